"""From the folders of finished runs to one report: tables, a plot, and the per-face predictions they rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from jaxtyping import Float, Int8, Int64
from torch import Tensor

from faceinsight.ablation.plan import AblationFile, Run, Variant
from faceinsight.ablation.run import RunResult, read_result
from faceinsight.configure import built
from faceinsight.evaluation.predictions import read_predictions
from faceinsight.evaluation.report import Report, VariantResult
from faceinsight.evaluation.statistics import Bootstrap, paired_bootstrap
from faceinsight.knowledge.rules import RuleSet

__all__ = ["summarise"]


@dataclass(frozen=True)
class TestFaces:
    """The faces that every variant was tested on, by file name, with the rules that predictions are held against."""

    files: tuple[str, ...]
    labels: Int8[Tensor, "face attr"]
    identity: Int64[Tensor, " face"]
    rules: RuleSet


def summarise(ablation: AblationFile, runs: Sequence[Run], errors: Mapping[tuple[str, int], str]) -> Report:
    """The report of whatever is finished; what failed or is missing stands in it as such.

    Args:
        errors: (variant, seed) -> message of the runs that failed just now.
    """
    results = {(run.variant.name, run.seed): read_result(run.folder) for run in runs}
    finished = [run for run in runs if run.variant.section is not None and results[run.variant.name, run.seed]]
    faces = test_faces(min(finished, key=lambda run: size(results[run.variant.name, run.seed]))) if finished else None
    bootstrap = compared(ablation, finished, faces) if faces else None
    constant = [faces.rules.schema.names[each] for each in bootstrap.constant_attributes] if faces and bootstrap else []
    seeds = sorted({run.seed for run in runs if run.variant.section is not None})
    rows = tuple(row(variant, seeds, results, errors, bootstrap) for variant in ablation.rows)
    remarks = [trunk_line(name, results) for name in ablation.variants if ablation.variants[name].section is None]
    return Report(rows, bootstrap, ablation.compared, constant=tuple(constant), remarks=tuple(filter(None, remarks)))


def trunk_line(name: str, results: Mapping[tuple[str, int], RunResult | None]) -> str:
    """What a trunk measured on its own test faces, averaged over its finished seeds; empty where there is none."""
    done = [result for (variant, _), result in results.items() if variant == name and result is not None]
    if not done:
        return ""
    means = {metric: fmean(result.metrics[metric] for result in done) for metric in done[0].metrics}
    return f"{name}: {', '.join(f'{metric} {mean:.3f}' for metric, mean in means.items())}."


def size(result: RunResult | None) -> int:
    """Parameters of a finished run's network: how long it takes to build it again."""
    return 0 if result is None else result.trained + result.frozen


def test_faces(run: Run) -> TestFaces:
    """The test split as the run's own configuration names it; any run's will do, they were tested on the same faces."""
    objects = built(run.config)
    table = objects.datamodule.table
    rows = table.rows("test")
    files = tuple(table.files[position] for position in rows.tolist())
    return TestFaces(files, table.labels[rows], table.identity[rows], objects.model.rules)


def compared(ablation: AblationFile, finished: Sequence[Run], faces: TestFaces) -> Bootstrap:
    """Every finished run on the same faces, every variant against its reference."""
    predictions: dict[str, dict[int, Float[Tensor, "face attr"]]] = {}
    for run in finished:
        read = read_predictions(run.folder / "predictions.csv", faces.rules.schema)
        predictions.setdefault(run.variant.name, {})[run.seed] = read.for_files(faces.files)
    references = {
        variant.name: variant.against
        for variant in ablation.rows
        if variant.against in predictions and variant.name in predictions
    }
    identities = faces.identity if len(faces.identity.unique()) < len(faces.files) else None
    names = faces.rules.schema.names
    return paired_bootstrap(
        predictions, faces.labels, references, rules=faces.rules, clusters=identities, names=names, undefined=0
    )


def row(
    variant: Variant,
    seeds: Sequence[int],
    results: Mapping[tuple[str, int], RunResult | None],
    errors: Mapping[tuple[str, int], str],
    bootstrap: Bootstrap | None,
) -> VariantResult:
    """One variant's line of the report."""
    done = {seed: result for seed in seeds if (result := results[variant.name, seed]) is not None}
    failed = {seed: errors[variant.name, seed] for seed in seeds if (variant.name, seed) in errors}
    return VariantResult(
        name=variant.name,
        group=variant.section or "",
        reference=variant.against,
        seeds=tuple(done),
        errors=failed,
        waiting=tuple(seed for seed in seeds if seed not in done and seed not in failed),
        estimates={} if bootstrap is None else bootstrap.estimates.get(variant.name, {}),
        comparisons={} if bootstrap is None else bootstrap.comparisons_of(variant.name),
        parameters=next((result.trained for result in done.values()), None),
        seconds=fmean(result.seconds for result in done.values()) if done else None,
    )
