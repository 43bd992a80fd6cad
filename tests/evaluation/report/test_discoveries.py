"""The frame, sheet and notes of made-up comparisons in single attributes."""

import math
from dataclasses import replace

import pytest

from faceinsight.evaluation.report.discoveries import attribute_facts, attributes_frame, detectable, discoveries_sheet
from faceinsight.evaluation.statistics.per_attribute import AttributeComparison

PLAIN = AttributeComparison(
    variant="image only", reference="full", metric="average_precision", attribute="Bald", positives=21, value=0.4,
    reference_value=0.5, difference=-0.1, low=-0.25, high=0.05, p=0.18, q=0.4, detectable=0.28,
)  # fmt: skip


def made_up(variants: int, attributes: int, q: float = 0.01) -> list[AttributeComparison]:
    """Differences from 1 point upwards, of changing sign; rarer attributes have larger ones detectable."""
    return [
        replace(PLAIN, variant=f"v{variant}", attribute=f"a{attr}", q=q, positives=1000 + attr,
                detectable=0.2 / (1 + attr), difference=(-1) ** attr * 0.01 * (1 + variant * attributes + attr))
        for variant in range(variants)
        for attr in range(attributes)
    ]  # fmt: skip


def test_the_frame_has_one_row_a_comparison_and_its_columns_even_without_any() -> None:
    columns = [
        "variant", "reference", "metric", "attribute", "positives", "value", "reference_value", "difference", "low",
        "high", "p", "q", "detectable",
    ]  # fmt: skip
    frame = attributes_frame([PLAIN])
    assert list(frame) == list(attributes_frame([])) == columns
    assert frame.iloc[0].tolist() == [getattr(PLAIN, name) for name in columns]


def test_the_sheet_shows_discoveries_only_the_largest_first() -> None:
    small, large = replace(PLAIN, q=0.049), replace(PLAIN, variant="worse", difference=0.3, q=0.0001)
    sheet = discoveries_sheet([PLAIN, small, large, replace(PLAIN, difference=-0.9, q=0.05)])
    assert sheet is not None
    assert [cells for _, cells in sheet.rows] == [
        ("Bald", "worse", "full", "AP", "+30.0 [-25.0, +5.0]", "< 0.001", "21", "28.0"),
        ("Bald", "image only", "full", "AP", "-10.0 [-25.0, +5.0]", "0.049", "21", "28.0"),
    ]
    assert len(sheet.header) == len(sheet.rows[0][1])


def test_at_most_fifteen_are_shown_and_three_of_a_variant() -> None:
    sheet = discoveries_sheet(made_up(variants=7, attributes=5))
    assert sheet is not None
    variants = [cells[1] for _, cells in sheet.rows]
    assert variants == [name for name in ("v6", "v5", "v4", "v3", "v2") for _ in range(3)]
    sizes = [abs(float(cells[4].split()[0])) for _, cells in sheet.rows]
    assert sizes == sorted(sizes, reverse=True)
    facts = attribute_facts(made_up(variants=7, attributes=5))
    assert "35 discoveries among 35 differences" in facts[0]
    assert "v0 5, v1 5" in facts[0]
    assert facts[0].endswith(": v0 5, v1 5, v2 5, v3 5, v4 5, v5 5, v6 5. 20 more than shown stand in attributes.csv.")


def test_none_is_said_in_words() -> None:
    rows = [PLAIN, replace(PLAIN, attribute="Constant", p=math.nan, q=math.nan, value=math.nan, detectable=math.nan)]
    assert discoveries_sheet(rows) is None
    assert attribute_facts(rows)[0] == (
        "Single attributes: none of 1 differences in AP or accuracy is a discovery "
        "(q < 0.05, false discovery rate within a variant and metric)."
    )
    assert len(attribute_facts(rows)) == 2  # a constant attribute is named elsewhere
    assert attribute_facts([]) == []


def test_all_shown_leaves_no_more() -> None:
    assert "more than shown" not in attribute_facts([replace(PLAIN, q=0.01)])[0]


def test_the_notes_say_what_rare_attributes_could_have_shown() -> None:
    rows = made_up(variants=3, attributes=6)
    assert detectable(rows) == {f"a{attr}": (1000 + attr, pytest.approx(0.2 / (1 + attr))) for attr in range(6)}
    assert attribute_facts(rows)[1].endswith("a0 (1000) 20.0, a1 (1001) 10.0, a2 (1002) 6.7, a5 (1005) 3.3.")


def test_a_twins_zero_is_no_power() -> None:
    assert detectable([PLAIN, replace(PLAIN, variant="twin", detectable=0.0)]) == {"Bald": (21, 0.28)}
    assert detectable([replace(PLAIN, metric="accuracy")]) == {}


def test_an_attribute_of_a_single_person_is_named() -> None:
    alone = replace(PLAIN, attribute="Hat", p=math.nan, q=math.nan, detectable=math.nan)
    assert attribute_facts([PLAIN, alone])[-1] == "Shown, or not shown, by a single identity, so not tested: Hat."
