"""From the folders of finished runs to one report: tables, a plot, and the per-face predictions they rest on."""

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from jaxtyping import Float
from torch import Tensor

from faceinsight.ablation.contents import package_hash
from faceinsight.ablation.plan import AblationFile, Run, Variant
from faceinsight.ablation.run import RESULT, RunResult, package_of, read_result
from faceinsight.evaluation.labelled import LabelledFaces, read_faces
from faceinsight.evaluation.predictions import read_predictions
from faceinsight.evaluation.report.writing import Report, VariantResult
from faceinsight.evaluation.statistics.bootstrap import Bootstrap, paired_bootstrap

__all__ = ["summarise"]

#: The probabilities of each variant's runs, by seed.
Probabilities = dict[str, dict[int, Float[Tensor, "face attr"]]]


def summarise(
    ablation: AblationFile,
    runs: Sequence[Run],
    errors: Mapping[tuple[str, int], str],
    only: Collection[str] | None = None,
) -> Report:
    """Return the report of whatever is finished; what failed or is missing has its row as such.

    Args:
        errors: (variant, seed) -> message of the runs that failed just now.
        only: the variants that were asked for; of the others, those without a finished run have no row.
    """
    results = {(run.variant.name, run.seed): read_result(run.folder) for run in runs}
    finished = [run for run in runs if run.variant.section is not None and results[run.variant.name, run.seed]]
    faces, predictions, unfit = read_tested(finished)
    errors = {**errors, **unfit}
    for key in unfit:
        results[key] = None
    bootstrap = compared(ablation, predictions, faces) if faces else None
    constant = [faces.rules.schema.names[each] for each in bootstrap.constant_attributes] if faces and bootstrap else []
    seeds = sorted({run.seed for run in runs if run.variant.section is not None})
    shown = [each for each in ablation.rows if only is None or each.name in only or each.name in predictions]
    rows = tuple(row(variant, seeds, results, errors, bootstrap) for variant in shown)
    remarks = [trunk_line(name, results) for name in ablation.variants if ablation.variants[name].section is None]
    remarks += [left_out_line([each.name for each in ablation.rows if each not in shown]), package_line(finished)]
    return Report(rows, bootstrap, ablation.compared, constant=tuple(constant), remarks=tuple(filter(None, remarks)))


def left_out_line(names: Sequence[str]) -> str:
    """Which variants have no row, since they were not asked for."""
    return f"Not asked for, and not run yet: {', '.join(names)}." if names else ""


def package_line(finished: Sequence[Run]) -> str:
    """Which runs were carried out with other files of this package than it has now; empty where there are none."""
    others = [run for run in finished if package_of(run.folder) != package_hash()]
    if not others:
        return ""
    names = ", ".join(dict.fromkeys(run.variant.name for run in others))
    return (
        f"{len(others)} of {len(finished)} runs were made with other files of faceinsight than it has now "
        f"({names}); --rerun NAME does them again."
    )


def trunk_line(name: str, results: Mapping[tuple[str, int], RunResult | None]) -> str:
    """Return what a trunk measured on its own test faces, averaged over its finished seeds; empty where there is
    none.
    """
    done = [result for (variant, _), result in results.items() if variant == name and result is not None]
    if not done:
        return ""
    means = {metric: fmean(result.metrics[metric] for result in done) for metric in done[0].metrics}
    return f"{name}: {', '.join(f'{metric} {mean:.3f}' for metric, mean in means.items())}."


def read_tested(
    finished: Sequence[Run],
) -> tuple[LabelledFaces | None, Probabilities, dict[tuple[str, int], str]]:
    """Return the test faces, every run's probabilities for them, and what is wrong with the runs that have none.

    The labels are those of the newest run; runs that were tested on others are not compared with it.
    """
    faces: LabelledFaces | None = None
    tested: dict[tuple[str, int], LabelledFaces] = {}
    unfit: dict[tuple[str, int], str] = {}
    for run in sorted(finished, key=lambda run: (run.folder / RESULT).stat().st_mtime_ns, reverse=True):
        key = (run.variant.name, run.seed)
        try:
            tested[key] = read_faces(run.folder)
            faces = faces or tested[key]
        except (OSError, ValueError) as error:
            unfit[key] = f"{error}; do it again by --rerun {run.variant.name!r}"
    predictions: Probabilities = {}
    for run in finished:
        key = (run.variant.name, run.seed)
        if faces is None or key not in tested:
            continue
        if not tested[key].same_labels(faces):
            unfit[key] = (
                f"tested on other faces or labels than the newest run; do it again by --rerun {run.variant.name!r}"
            )
            continue
        try:
            read = read_predictions(run.folder / "predictions.csv", faces.rules.schema).for_files(faces.files)
        except (OSError, ValueError) as error:
            unfit[key] = f"{error}; do it again by --rerun {run.variant.name!r}"
        else:
            predictions.setdefault(run.variant.name, {})[run.seed] = read
    return faces, predictions, unfit


def compared(ablation: AblationFile, predictions: Probabilities, faces: LabelledFaces) -> Bootstrap:
    """Every finished run on the same faces, every variant against its reference."""
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
