"""The report on a data set counts what a loop counts."""

import math
from pathlib import Path

import pytest
import torch
from rich.console import Console

from faceinsight.data.inspection.check import check, constant_attributes
from faceinsight.data.sources.celeba import CelebA
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema


@pytest.fixture
def source(root: Path, schema: Schema) -> CelebA:
    return CelebA(root=root, schema=schema, mask_folder="masks")


def test_counts_are_those_of_a_loop(source: CelebA) -> None:
    report, table = check(source), source.table()
    for column, name in enumerate(table.schema.names):
        values = [int(table.labels[row, column]) for row in range(len(table))]
        assert (report.positive[name], report.negative[name], report.undefined[name]) == tuple(
            values.count(value) for value in (1, -1, 0)
        )
    assert report.faces == {"train": 6, "val": 3, "test": 3}
    assert report.people == {"train": 3, "val": 2, "test": 2}
    assert report.frame().loc["Smiling", "prevalence"] == pytest.approx(7 / 11)
    assert report.frame().loc["Smiling", "undefined share"] == pytest.approx(1 / 12)


def test_label_noise_is_the_share_of_faces_that_break_a_rule(source: CelebA, schema: Schema) -> None:
    rules = RuleSet.parse(["Bald -> not Bangs", "Bangs -> Smiling"], schema)
    noise = check(source, rules=rules).noise
    # Bangs without Smiling: 04 and 08; 07 is undefined; Bald with Bangs: 08
    assert (noise.broken, noise.decided) == ((1, 2), (12, 11))
    assert (noise.faces_broken, noise.faces_decided) == (2, 12)
    assert noise.total_share == pytest.approx(2 / 12)


def test_a_schema_of_no_catalog_has_no_rules_unless_given(source: CelebA) -> None:
    assert check(source).noise is None


def test_broken_files_are_named_when_they_are_asked_for(source: CelebA, root: Path) -> None:
    (root / "img_align_celeba" / "02.png").write_bytes(b"x")
    assert check(source).broken is None
    (named,) = check(source, read_images=True).broken
    assert named.endswith("02.png: not a picture")


def test_an_empty_split_is_counted_rather_than_refused(source: CelebA, root: Path) -> None:
    path = root / "list_eval_partition.txt"
    path.write_text(path.read_text().replace(" 1\n", " 2\n"))
    report = check(source)
    assert report.faces == {"train": 6, "val": 0, "test": 6}
    assert report.people["val"] == 0


def test_constant_attributes_are_told_apart() -> None:
    labels = torch.tensor([[1, -1, 0, 1, 0], [1, 0, 0, -1, 1]], dtype=torch.int8)
    assert constant_attributes(labels, Schema.from_names([*"abcde"]), undefined=0) == {
        "a": "always positive",
        "b": "never positive",
        "c": "never defined",
        "e": "always positive",
    }


def test_the_report_prints_everything(source: CelebA, schema: Schema, root: Path) -> None:
    (root / "img_align_celeba" / "02.png").write_bytes(b"x")
    report = check(source, rules=RuleSet.parse('Bangs -> "Smiling"', schema), read_images=True)
    text = " ".join(str(report).split())
    for words in (
        "12 faces of 7 people (train 6, val 3, test 3)",
        "Smiling",
        "63.6%",
        "Bangs -> Smiling",
        "2 of 11 faces (18.18%) break at least one logical rule",
        "ceiling of logical accuracy is 81.82%",
        "faces that cannot be read: 1",
        "02.png: not a picture",
    ):
        assert words in text
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(report)
    assert "63.6%" in captured.get()


def test_the_real_sample_breaks_its_rules_as_often_as_was_measured(celeba_root: Path) -> None:
    report = check(CelebA(root=celeba_root))
    assert report.faces == {"train": 7096, "val": 964, "test": 970}
    assert report.constant == {}
    labels = CelebA(root=celeba_root).table().labels
    schema = Schema.load("celeba")
    bald, bangs = labels[:, schema.index("Bald")] == 1, labels[:, schema.index("Bangs")] == 1
    assert report.noise.broken[report.rules.index("Bald -> not Bangs")] == int((bald & bangs).sum())
    assert math.isclose(report.noise.total_share, 0.0245, abs_tol=0.005)
