"""Tables from a made-up ablation in which a variant failed, one is half done and one has not run."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from faceinsight.evaluation.report import (
    Report,
    VariantResult,
    comparisons_sheet,
    notes,
    print_report,
    scores_sheet,
    to_frame,
    write_report,
)
from faceinsight.evaluation.statistics import METRICS, paired_bootstrap
from faceinsight.evaluation.statistics.per_attribute import AttributeComparison
from tests.evaluation.made_up import made_up_report


@pytest.fixture(scope="module")
def report() -> Report:
    return made_up_report()


def printed(report: Report, width: int = 160) -> list[str]:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width))
    return out.getvalue().splitlines()


def test_every_row_says_how_far_it_came(report: Report) -> None:
    assert {each.name: each.status for each in report.variants} == {
        "full": "finished",
        "image only": "finished",
        "+ graph_row": "partial",
        "full - logic": "failed",
        "full - graph": "missing",
        "majority class": "finished",
    }
    assert [cells[1] for _, cells in scores_sheet(report).rows] == ["2", "2", "1 of 2", "failed", "not run", "2"]


def test_the_frame_holds_every_number_as_it_was_computed(report: Report) -> None:
    frame = to_frame(report).set_index("variant")
    assert list(frame.index) == [each.name for each in report.variants]
    for variant in report.variants:
        for name in METRICS:
            if estimate := variant.estimates.get(name):
                assert frame.loc[variant.name, [name, f"{name}_low", f"{name}_high"]].tolist() == pytest.approx(
                    [estimate.value, estimate.low, estimate.high], nan_ok=True
                )
            if each := variant.comparisons.get(name):
                columns = [
                    f"{name}_{part}" for part in ("difference", "difference_low", "difference_high", "p", "p_holm")
                ]
                wanted = [each.difference, each.low, each.high, each.p, each.p_holm]
                assert frame.loc[variant.name, columns].tolist() == pytest.approx(wanted, nan_ok=True)
                assert frame.loc[variant.name, f"{name}_detectable"] == pytest.approx(each.detectable)
    assert frame.loc["full - logic", list(METRICS)].isna().all()
    assert frame.loc["full", "parameters"] == 12_345
    assert frame.loc["+ graph_row", "error"] == "seed 1: ValueError: 3 faces | 50 % of Bald_faces"


def test_scores_are_shown_in_per_cent(report: Report) -> None:
    sheet = scores_sheet(report)
    assert sheet.header[:4] == ("variant", "seeds", "accuracy ↑", "balanced ↑")
    full = dict(zip(sheet.header, sheet.rows[0][1], strict=True))
    assert full["accuracy ↑"] == f"{100 * report.variants[0].estimates['accuracy'].value:.2f}"
    assert (full["trained"], full["seconds"]) == ("12.3 k", "61")
    assert set(sheet.rows[3][1][2:]) == {"–"}


def test_differences_stand_against_the_reference_with_interval_and_holm_p(report: Report) -> None:
    sheet = comparisons_sheet(report)
    assert sheet.header == ("variant", "against", "accuracy ↑", "p", "mAP ↑", "p", "violations ↓", "p")
    rows = {cells[0]: cells for _, cells in sheet.rows}
    assert "full" not in rows
    each = report.variants[1].comparisons["accuracy"]
    assert rows["image only"][1] == "full"
    assert rows["image only"][2] == f"{100 * each.difference:+.2f} [{100 * each.low:+.2f}, {100 * each.high:+.2f}]"
    assert rows["image only"][3] == f"{each.p_holm:.3f}{'*' if each.significant else ' '}"
    assert rows["full - logic"][2:] == ("–",) * 6
    starred = [cells[0] for cells in rows.values() if cells[3].endswith("*")]
    assert starred == [
        v.name for v in report.variants if "accuracy" in v.comparisons and v.comparisons["accuracy"].significant
    ]


def test_significant_differences_exist_and_are_starred() -> None:
    report = made_up_report()
    better = replace(report.variants[1].comparisons["accuracy"], p_holm=0.049)
    worse = replace(better, p_holm=0.05)
    stars = []
    for comparison in (better, worse):
        variant = replace(report.variants[1], comparisons={"accuracy": comparison})
        stars.append(comparisons_sheet(Report((variant,), report.bootstrap)).rows[0][1][3])
    assert stars == ["0.049*", "0.050 "]


def test_the_notes_name_faces_ceiling_power_gaps_and_failures(report: Report) -> None:
    lines = notes(report)
    rate = report.bootstrap.label_violation_rate if report.bootstrap else None
    assert rate is not None
    assert lines[0] == "90 test faces; 99 paired resamples of them."
    assert lines[1].startswith(f"The labels themselves break a logical rule on {100 * rate:.2f} % of the faces")
    powers = [each.comparisons["accuracy"].detectable for each in report.variants if each.comparisons]
    assert f"accuracy {100 * sorted(powers)[1]:.2f}, mAP " in lines[2]
    assert lines[3] == "* Holm-corrected p < 0.05 among 3 comparisons of that metric."
    assert lines[4] == ("99 resamples are too few for so many comparisons: the smallest possible corrected p is 0.060.")
    assert lines[5].startswith("One seed: ")
    assert lines[6] == "Constant among the test labels, so in no ranking metric: Constant."
    assert lines[7:] == [
        "+ graph_row, seed 1, failed: ValueError: 3 faces | 50 % of Bald_faces",
        "full - logic, seed 0, failed: ValueError: 3 faces | 50 % of Bald_faces",
        "full - logic, seed 1, failed: ValueError: 3 faces | 50 % of Bald_faces",
        "full - graph: not run yet for seed 0, 1.",
    ]


def test_the_terminal_shows_every_row_within_160_columns(report: Report) -> None:
    lines = printed(report)
    assert max(map(len, lines)) <= 160
    for variant in report.variants:
        assert any(line.startswith(variant.name) for line in lines)
    assert not any("…" in line for line in lines)
    assert any(re.search(r"\[[+-]\d+\.\d\d, [+-]\d+\.\d\d\]", line) for line in lines)  # not eaten as markup


def test_a_report_before_the_first_run_can_be_printed_and_written(tmp_path: Path) -> None:
    report = Report(
        (VariantResult("full", waiting=(0, 1)), VariantResult("image only", "added alone", "full", waiting=(0,)))
    )
    assert any("not run" in line for line in printed(report))
    assert notes(report) == ["full: not run yet for seed 0, 1.", "image only: not run yet for seed 0."]
    assert all(path.stat().st_size for path in write_report(report, tmp_path))
    assert pd.read_csv(tmp_path / "table.csv")["status"].tolist() == ["missing", "missing"]


def test_three_files_are_written_and_hold_the_same_rows(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, tmp_path / "new folder", name="ablation")
    assert [path.name for path in paths] == ["ablation.csv", "ablation.md", "ablation.tex"]
    csv, markdown, tex = (path.read_text(encoding="utf-8") for path in paths)
    frame = pd.read_csv(io.StringIO(csv)).set_index("variant")
    assert frame["accuracy"].dropna().tolist() == pytest.approx(
        [each.estimates["accuracy"].value for each in report.variants if each.estimates], rel=1e-5
    )
    assert markdown.count("\n| ") == 2 + 6 + 5 + 3 + 3  # headers, scores, comparisons, groups of each
    assert r"\textbf" not in tex
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == tex.count(r"\end{tabular}") == 2
    assert r"+ graph\_row & 1 of 2 &" in tex
    assert all(line in markdown.replace("\\", "") for line in notes(report))
    assert sorted(path.name for path in (tmp_path / "new folder").iterdir()) == sorted(path.name for path in paths)


def test_attributes_have_their_file_and_the_discoveries_their_sheet(report: Report, tmp_path: Path) -> None:
    assert report.bootstrap is not None
    each = AttributeComparison(
        variant="image only", reference="full", metric="average_precision", attribute="Bald", positives=21, value=0.4,
        reference_value=0.5, difference=-0.1, low=-0.15, high=-0.05, p=0.001, q=0.01, detectable=0.08,
    )  # fmt: skip
    for q, shown in ((0.01, True), (0.2, False)):
        whole = replace(report, bootstrap=replace(report.bootstrap, attributes=(replace(each, q=q),)))
        paths = write_report(whole, tmp_path)
        assert [path.name for path in paths] == ["table.csv", "table.md", "table.tex", "attributes.csv"]
        frame = pd.read_csv(paths[3])
        assert frame.loc[0, ["attribute", "positives", "difference", "q"]].tolist() == ["Bald", 21, -0.1, q]
        text = "\n".join(printed(whole))
        for written in (text, paths[1].read_text(encoding="utf-8"), paths[2].read_text(encoding="utf-8")):
            assert ("-10.0" in written.replace("$-$", "-")) is shown
            assert ("none of 1 differences" in written) is not shown


def test_a_single_identity_is_said_and_loses_no_table() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(40, 2, generator=generator) < 0.5).to(torch.int8) * 2 - 1
    runs = {name: {0: torch.rand(40, 2, generator=generator)} for name in ("full", "other")}
    one = paired_bootstrap(
        runs, labels, {"other": "full"}, clusters=torch.full((40,), 7), names=["a", "b"], resamples=50
    )
    faces = paired_bootstrap(runs, labels, {"other": "full"}, names=["a", "b"], resamples=50)
    assert one == replace(faces, clusters=1)
    assert notes(Report((), one))[0] == (
        "40 test faces of one identity, so faces were resampled and nothing is said about other people; "
        "50 paired resamples of them."
    )
    assert "identity" not in notes(Report((), faces))[0]


def test_an_unknown_metric_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="cannot compare 'speed'"):
        Report((), compared=("accuracy", "speed"))


@pytest.mark.parametrize(("seeds", "trained", "star"), [(1, True, False), (2, True, True), (1, False, True)])
def test_a_star_needs_two_seeds_where_something_was_trained(seeds: int, trained: bool, star: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(200, 3, generator=generator) < 0.4).to(torch.int8) * 2 - 1
    right, wrong = 0.5 + 0.4 * labels, 0.5 - 0.4 * labels
    runs = {"full": dict.fromkeys(range(seeds), right), "worse": dict.fromkeys(range(seeds), wrong)}
    bootstrap = paired_bootstrap(runs, labels, {"worse": "full"}, resamples=200)
    rows = tuple(
        VariantResult(
            name=name,
            reference=reference,
            seeds=tuple(range(seeds)),
            estimates=bootstrap.estimates[name],
            comparisons=bootstrap.comparisons_of(name),
        )
        for name, reference in (("full", None), ("worse", "full"))
    )
    report = Report(rows, bootstrap, compared=("accuracy",), trained=trained)
    assert bootstrap.comparisons_of("worse")["accuracy"].significant
    (_, cells), *_ = comparisons_sheet(report).rows
    assert cells[-1].endswith("*") is star
    assert any(line.startswith("One seed: ") for line in notes(report)) is (seeds == 1 and trained)
