"""The plot: what is drawn is what the report holds."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from PIL import Image

from faceinsight.evaluation.report import Report, VariantResult
from faceinsight.evaluation.report.plot import plot_report, save_plot, usual_reference, visible_range
from faceinsight.evaluation.statistics import Estimate
from tests.evaluation.made_up import made_up_report


@pytest.fixture(scope="module")
def report() -> Report:
    return made_up_report()


def texts(panel: Axes) -> list[str]:
    return [each.get_text() for each in panel.texts]


def test_each_variant_is_a_point_with_its_interval_and_its_seeds(report: Report) -> None:
    panel = plot_report(report, ("accuracy",)).axes[0]
    low, high = panel.get_xlim()
    drawn = [
        each for each in report.variants if each.estimates and low <= 100 * each.estimates["accuracy"].value <= high
    ]
    points = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
    spans = [
        tuple(line.get_xdata()) for line in panel.lines if line.get_marker() != "o" and len({*line.get_ydata()}) == 1
    ]
    assert points == pytest.approx([100 * each.estimates["accuracy"].value for each in drawn])
    assert spans == [(100 * each.estimates["accuracy"].low, 100 * each.estimates["accuracy"].high) for each in drawn]
    seeds = [sorted(each.get_offsets()[:, 0]) for each in panel.collections]
    assert seeds == [
        pytest.approx(sorted(100 * x for x in each.estimates["accuracy"].by_seed.values())) for each in drawn
    ]
    assert len(drawn) >= 3


def test_rows_stand_in_the_tables_order_under_their_groups(report: Report) -> None:
    panel = plot_report(report).axes[0]
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert names == [each.name for each in report.variants]
    assert [label.get_text() for label in panel.get_yticklabels(minor=True)] == [
        "added alone",
        "left out alone",
        "control",
    ]
    heights = list(panel.get_yticks())
    assert heights == sorted(heights)
    bottom, top = panel.get_ylim()
    assert bottom > top  # the first row is at the top
    groups = panel.get_yticks(minor=True)
    assert heights[0] < groups[0] < heights[1] < heights[2] < groups[1] < heights[3]


def test_what_failed_or_has_not_run_says_so(report: Report) -> None:
    assert [text for text in texts(plot_report(report).axes[0]) if text in ("failed", "not run yet")] == [
        "failed",
        "not run yet",
    ]


def test_hollow_points_are_those_not_shown_to_differ(report: Report) -> None:
    comparison = report.variants[1].comparisons["accuracy"]
    faces = []
    for p in (0.01, 0.5):
        variant = replace(report.variants[1], comparisons={"accuracy": replace(comparison, p_holm=p)})
        panel = plot_report(Report((report.variants[0], variant)), ("accuracy",)).axes[0]
        faces.append([line.get_markerfacecolor() for line in panel.lines if line.get_marker() == "o"][1])
    assert faces[1] == "white"
    assert faces[0] != "white"


def variants(*values: float) -> list[VariantResult]:
    return [
        VariantResult(f"v{each}", estimates={"accuracy": Estimate(value, value - 0.01, value + 0.01, {0: value})})
        for each, value in enumerate(values)
    ]


def test_a_variant_far_outside_is_an_arrow_and_does_not_press_the_others_together() -> None:
    rows = variants(0.80, 0.81, 0.82, 0.83, 0.2)
    low, high = visible_range(rows, "accuracy")
    assert 78 < low < 79
    assert 84 < high < 85
    panel = plot_report(Report(tuple(rows)), ("accuracy",)).axes[0]
    assert "◂ 20.0" in texts(panel)
    assert sum(line.get_marker() == "o" for line in panel.lines) == 4


def test_several_far_variants_are_no_outliers() -> None:
    low, high = visible_range(variants(0.8, 0.81, 0.2, 0.21), "accuracy")
    assert low < 19
    assert high > 82


def test_the_labels_own_violation_rate_is_a_line_in_its_panel(report: Report) -> None:
    assert report.bootstrap is not None
    rate = report.variants[0].estimates["violation_rate"].value
    shown = replace(report, bootstrap=replace(report.bootstrap, label_violation_rate=rate))
    figure = plot_report(shown, ("accuracy", "violation_rate"))
    assert ["labels" in texts(panel) for panel in figure.axes] == [False, True]


def test_most_are_compared_with_the_full_model(report: Report) -> None:
    assert usual_reference(report) == "full"
    assert usual_reference(Report(())) is None


def test_the_file_is_a_whole_picture_of_readme_width(report: Report, tmp_path: Path) -> None:
    save_plot(report, tmp_path / "new" / "plot.png")
    with Image.open(tmp_path / "new" / "plot.png") as picture:
        assert picture.width == 1800  # 900 at twice the density
        assert len(picture.convert("L").getcolors()) > 20
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["plot.png"]


def test_drawing_opens_no_figure_of_pyplot(report: Report) -> None:
    plot_report(report)
    assert pyplot.get_fignums() == []


def test_before_the_first_run_there_is_a_picture_that_says_so(tmp_path: Path) -> None:
    nothing = Report((VariantResult("full", waiting=(0,)), VariantResult("broken", "control", errors={0: "x"})))
    assert texts(plot_report(nothing).axes[0]) == ["not run yet", "failed"]
    save_plot(nothing, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
