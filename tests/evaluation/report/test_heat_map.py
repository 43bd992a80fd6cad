"""The heat map: what is drawn is what was compared."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from faceinsight.evaluation.report.heat_map import plot_attributes, save_attributes
from faceinsight.evaluation.statistics.per_attribute import AttributeComparison

PLAIN = AttributeComparison(
    variant="v0", reference="full", metric="average_precision", attribute="a0", positives=20, value=0.4,
    reference_value=0.5, difference=-0.1, low=-0.25, high=0.05, p=0.18, q=0.4, detectable=0.28,
)  # fmt: skip
DIFFERENCES = {("v0", "a0"): -0.1, ("v0", "a1"): 0.02, ("v1", "a0"): 0.05, ("v1", "a1"): -0.05}
DISCOVERED = {("v0", "a0"), ("v1", "a0")}


@pytest.fixture
def rows() -> list[AttributeComparison]:
    """Two variants, three attributes of which the last is constant; the rarer attribute stands second."""
    made = [
        replace(PLAIN, variant=variant, attribute=attribute, difference=difference,
                positives=20 if attribute == "a1" else 300, q=0.01 if (variant, attribute) in DISCOVERED else 0.4)
        for (variant, attribute), difference in DIFFERENCES.items()
    ]  # fmt: skip
    constant = [
        replace(PLAIN, variant=name, attribute="a2", difference=math.nan, value=math.nan) for name in ("v0", "v1")
    ]
    return made + constant


def test_discoveries_carry_their_number_and_keep_their_colour(rows: list[AttributeComparison]) -> None:
    panel = plot_attributes(rows).axes[0]
    numbers = {text.get_position(): text.get_text() for text in panel.texts if text.get_text()[:1] in "+-"}
    assert numbers == {(0, 1): "-10.0", (1, 1): "+5.0"}  # column of the variant, row of the attribute
    red, green, blue = np.moveaxis(panel.images[0].get_array(), -1, 0)
    assert (red - blue)[1, 0] > 0.2  # worse is red
    assert (blue - red)[1, 1] > 0.2  # better is blue
    assert (red - blue)[0, 1] > 0 > (red - blue)[0, 0]
    strength = 1 - np.minimum(np.minimum(red, green), blue)
    assert strength[0].max() < 0.5 * strength[1].min()  # pale where nothing was discovered


def test_rarest_attributes_stand_first_with_their_power_and_constant_ones_are_left_out(
    rows: list[AttributeComparison],
) -> None:
    panel = plot_attributes(rows).axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["a1", "a0"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["v0\nagainst full", "v1\nagainst full"]
    written = [text.get_text() for text in panel.texts]
    assert written.index("20") < written.index("300")
    assert written.count("28.0") == 2


def test_zero_is_the_middle_and_a_hopeless_control_does_not_pale_the_others(rows: list[AttributeComparison]) -> None:
    hopeless = [replace(each, variant="majority class", difference=-0.6) for each in rows[:2]]
    scales = [plot_attributes(each).axes[1].get_xlim() for each in (rows, rows + hopeless)]
    for low, high in scales:
        assert low == pytest.approx(-high)
    assert scales[1][1] == pytest.approx(10)
    assert scales[0][1] == pytest.approx(7.5)


def test_the_file_is_whole_and_readable_for_many_attributes_and_variants(tmp_path: Path) -> None:
    many = [
        replace(PLAIN, variant=f"variant with a long name {variant}", attribute=f"5_o_Clock_Shadow_{attr}")
        for variant in range(20)
        for attr in range(45)
    ]
    save_attributes(many, tmp_path / "attributes.png")
    with Image.open(tmp_path / "attributes.png") as picture:
        assert 2200 < picture.width < 2700
        assert 2000 < picture.height < 2500
    figure = plot_attributes(many)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(above.y0 >= below.y1 for above, below in pairwise(boxes))  # none overlap
    edge = figure.get_window_extent()
    assert all(edge.x0 <= box.x0 for box in boxes)
    assert pyplot.get_fignums() == []


def test_nothing_compared_is_no_picture(tmp_path: Path, rows: list[AttributeComparison]) -> None:
    save_attributes([], tmp_path / "attributes.png")
    save_attributes(rows[-2:], tmp_path / "attributes.png")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"no attribute .*'accuracy'.*names"):
        plot_attributes(rows, "accuracy")
