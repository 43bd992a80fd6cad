"""Variants times seeds to a table that can be trusted: resumable, on identical splits, with statistics."""

from faceinsight.ablation.carry import ablate
from faceinsight.ablation.plan import AblationFile, PlanError, read_ablation
from faceinsight.ablation.run import RunResult, read_result

__all__ = ["AblationFile", "PlanError", "RunResult", "ablate", "read_ablation", "read_result"]
