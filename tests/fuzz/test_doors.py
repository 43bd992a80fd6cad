"""Every door under a thousand mutations: what is harmless is taken as it was, what is harmful is refused.

A mutation is known to be harmless or harmful by how it was made. A harmful one that is accepted fails, and so does any
error but an InputError (a BrokenImageError is one).
"""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from faceinsight.data.images import image_batch, read_image
from faceinsight.data.sources.label_files import read_labels
from faceinsight.data.table import FaceTable
from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.bce import masked_bce

pytestmark = pytest.mark.slow

MUTATIONS = 1000
SCHEMA = Schema.from_names(["Male", "Goatee", "Smiling", "20_29"])
RULES = RuleSet.parse("Goatee -> Male", SCHEMA)

#: What a mutation gives: whether it is harmful, and what the door is given.
Mutation = tuple[bool, Any]


def went_wrong(
    mutate: Callable[[random.Random], Mutation], door: Callable[[Any], Any], wanted: Callable[[Any], bool]
) -> list[str]:
    """What went wrong, by the number of the mutation.

    Args:
        mutate: makes one mutation.
        door: takes it.
        wanted: whether the door's result is that of the input before it was mutated.
    """
    wrong = []
    kinds = {True: 0, False: 0}
    for number in range(MUTATIONS):
        harmful, given = mutate(random.Random(number))
        kinds[harmful] += 1
        try:
            result = door(given)
        except InputError as error:
            if not harmful:
                wrong.append(f"{number}: {given!r} was refused: {error}"[:500])
            continue
        except Exception as error:
            wrong.append(f"{number}: {given!r} gave {type(error).__name__}: {error}"[:500])
            continue
        if harmful or not wanted(result):
            wrong.append(f"{number}: {given!r} was accepted as {result!r}"[:500])
    assert min(kinds.values()) > MUTATIONS // 10
    return wrong


#: Eight faces with every attribute both shown and not.
TRUTH = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1]] * 2)


def mutated_labels(draw: random.Random) -> Mutation:
    """Labels in another type or coding, or with a value that no label has."""
    signed = TRUTH * 2 - 1
    kind = draw.choice([torch.int8, torch.int16, torch.int64, torch.float32, torch.float64, torch.bfloat16])
    face, attr = draw.randrange(len(TRUTH)), draw.randrange(4)
    match draw.randrange(8):
        case 0:
            return False, signed.to(kind)
        case 1:
            return False, TRUTH.bool()
        case 2:
            return True, TRUTH.to(kind)
        case 3:
            signed[:, attr] = TRUTH[:, attr]
            return True, signed.to(kind)
        case 4:
            signed[face, attr] = draw.choice([2, -2, 100, -100, 7])
            return True, signed.to(kind)
        case 5:
            signed = signed.double()
            signed[face, attr] = draw.choice([torch.nan, torch.inf, -torch.inf, 0.5, 1e-3, 1.0001])
            return True, signed
        case 6:
            width = draw.choice([0, 1, 3, 5])
            return True, signed[:, :1].expand(-1, width).to(kind)
        case _:
            return True, draw.choice([signed[0], signed[None], signed.T[:3]]).to(kind)


@pytest.mark.parametrize("door", ["check", "table", "graph", "violations", "bce"])
def test_labels(door: str) -> None:
    files = tuple(f"{row}.jpg" for row in range(8))

    def table(labels: Tensor) -> Tensor:
        return FaceTable(SCHEMA, Path("faces"), files, labels, ("train",) * 8, torch.arange(8)).labels

    def bce(labels: Tensor) -> Tensor:
        return masked_bce(torch.zeros(8, 4), SCHEMA.check_labels(labels))

    doors: dict[str, tuple[Callable[[Any], Any], Callable[[Any], bool]]] = {
        "check": (SCHEMA.check_labels, lambda found: torch.equal(found, (TRUTH * 2 - 1).to(torch.int8))),
        "table": (table, lambda found: torch.equal(found, (TRUTH * 2 - 1).to(torch.int8))),
        "graph": (
            lambda labels: LabelGraph.from_labels(labels, SCHEMA).counts.together,
            lambda found: torch.equal(found, TRUTH.T @ TRUTH),
        ),
        "violations": (
            RULES.violations,
            lambda found: torch.equal(found[:, 0], TRUTH[:, 1].bool() & ~TRUTH[:, 0].bool()),
        ),
        "bce": (bce, lambda found: bool(torch.isclose(found, torch.tensor(2.0).log()))),
    }
    assert went_wrong(mutated_labels, *doors[door]) == []


PICTURE = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)


def mutated_pixels(draw: random.Random) -> Mutation:
    """A picture in memory in another form, or with other numbers than RGB in [0, 1] or bytes."""
    tensor = torch.from_numpy(PICTURE).movedim(-1, 0)
    unit = tensor / 255
    match draw.randrange(9):
        case 0:
            return False, draw.choice([PICTURE, PICTURE[None], [PICTURE]])
        case 1:
            return False, draw.choice([tensor, tensor[None], [tensor], unit, unit[None], [unit], unit.double()])
        case 2:
            return False, draw.choice([Image.fromarray(PICTURE), [Image.fromarray(PICTURE)]])
        case 3:
            return True, unit * draw.choice([255, 2, 100, -1])
        case 4:
            return True, (unit - draw.uniform(0.4, 0.5)) / draw.uniform(0.2, 0.3)
        case 5:
            unit = unit.clone()
            unit[draw.randrange(3), draw.randrange(12), draw.randrange(12)] = draw.choice([torch.nan, torch.inf, 255.0])
            return True, unit
        case 6:
            return True, tensor.to(draw.choice([torch.int64, torch.int16, torch.int32, torch.bool]))
        case 7:
            return True, draw.choice([unit[0], unit[:2], tensor[:1], tensor.movedim(0, -1), unit[None, None]])
        case _:
            return True, draw.choice([PICTURE / 255, PICTURE.astype(np.int32), None, 5, [], [None], {"a": 1}, b"x"])


def test_pictures_in_memory() -> None:
    wanted = torch.from_numpy(PICTURE).movedim(-1, 0)[None] / 255
    found = went_wrong(
        mutated_pixels,
        lambda picture: image_batch(picture, image_size=12),
        lambda batch: batch.shape == wanted.shape and torch.allclose(batch.float(), wanted, atol=1e-6),
    )
    assert found == []


KINDS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "GIF", "PPM")


def test_picture_files(tmp_path: Path) -> None:
    files = {}
    for kind in KINDS:
        written = io.BytesIO()
        Image.fromarray(PICTURE).save(written, format=kind)
        files[kind] = written.getvalue()

    def mutate(draw: random.Random) -> Mutation:
        """A file under another ending, or cut so short that no pixel is left, or of a kind that is not read."""
        kind, path = draw.choice(KINDS), tmp_path / f"a.{draw.choice(['jpg', 'png', 'txt', 'eps'])}"
        match draw.randrange(5):
            case 0 | 1:
                path.write_bytes(files[kind])
                return False, path
            case 2:
                path.write_bytes(files[kind][: draw.randrange(12)])
            case 3:
                path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" + draw.randbytes(40))
            case _:
                path.write_bytes(draw.choice([b"", b"8BPS\0\1", b"GIF", b"<svg/>", b"PK\3\4"]) + draw.randbytes(30))
        return True, path

    assert (
        went_wrong(mutate, lambda path: read_image(path, image_size=12), lambda read: read.shape == (3, 12, 12)) == []
    )


def test_damaged_picture_files_are_read_or_refused_by_the_one_error(tmp_path: Path) -> None:
    path, refused = tmp_path / "a.jpg", 0
    for number in range(MUTATIONS):
        draw, written = random.Random(number), io.BytesIO()
        Image.fromarray(PICTURE).save(written, format=KINDS[number % len(KINDS)])
        damaged = bytearray(written.getvalue())
        for _ in range(draw.randint(1, 6)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read_image(path, image_size=12)
        except InputError:
            refused += 1
    assert refused > MUTATIONS // 20


CATALOG = """name: mine
attributes:
  Male: who is a man
  Goatee: with a goatee
  20_29: who looks 20 to 29
  30_39: who looks 30 to 39
groups:
  age:
    kind: ordinal
    labels: [20_29, 30_39]
    years: [[20, 29], [30, 39]]
rules:
  logical:
    - Goatee -> Male
"""

#: Text that says the same, by what is replaced and by what.
SAME = [
    ("name: mine", "name: 'mine'"),
    ("name: mine", "# a comment\nname: mine"),
    ("  20_29:", "  '20_29':"),
    ("[20_29, 30_39]", "['20_29', \"30_39\"]"),
    ("[20_29, 30_39]", "[ 20_29,30_39 ]"),
    ("\n", "\r\n"),
    ("name: mine", "\ufeffname: mine"),
    ("who is a man", "'who is a man'"),
    ("- Goatee -> Male", "- 'Goatee -> (Male)'"),
]
#: Text that says something else, or nothing.
OTHER = [
    ("  Male: who is a man\n", "  Male: who is a man\n  Male: who is male\n"),
    ("attributes:\n", "attributes: null\nothers:\n"),
    ("with a goatee", "~"),
    ("with a goatee", ""),
    ("with a goatee", "[with, a, goatee]"),
    ("  Goatee:", "  null:"),
    ("  Goatee:", "  '':"),
    ("  Goatee:", "  'Goa\"tee':"),
    ("  Goatee:", '  "Goa\\ntee":'),
    ("[20_29, 30_39]", "[20_29, 40_49]"),
    ("[20_29, 30_39]", "[20_29, 20_29]"),
    ("[20_29, 30_39]", "[20_29]"),
    ("[20_29, 30_39]", "20_29"),
    ("kind: ordinal", "kind: cardinal"),
    ("kind: ordinal\n", ""),
    ("[[20, 29], [30, 39]]", "[[20, 29]]"),
    ("[[20, 29], [30, 39]]", "[[20, 29], [30, old]]"),
    ("[[20, 29], [30, 39]]", "20"),
    ("Goatee -> Male", "Goatee -> Mail"),
    ("Goatee -> Male", "Goatee => Male"),
    ("Goatee -> Male", "Goatee ->"),
    ("Goatee -> Male", "(" * 200 + "Goatee" + ")" * 199),
    ("Goatee -> Male", "not " * 250 + "Male"),
    ("logical:", "logicel:"),
    ("rules:", "roles:"),
    ("groups:", "groups: 5\nothers:"),
    ("name: mine", "name: mine\nname: yours"),
    ("name: mine", "name: !!python/object/apply:os.system [ls]"),
    ("name: mine", "name: [mine"),
    ("name: mine", "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))),
    ("name: mine", "name: " + "[" * 300 + "]" * 300),
]


def mutated_catalog(draw: random.Random) -> Mutation:
    """A catalog in other words, in another encoding, or one that says something else."""
    text = CATALOG
    for old, new in draw.sample(SAME, draw.randrange(3)):
        text = text.replace(old, new, 1 if old != "\n" else -1)
    if text.count("\ufeff") and not text.startswith("\ufeff"):
        text = "\ufeff" + text.replace("\ufeff", "")
    encoding, harmful = "utf-8", draw.random() < 0.7
    if harmful and draw.random() < 0.15:
        encoding = draw.choice(["utf-16", "utf-16-le", "utf-32", "latin-1"])
        text = text.replace("who is a man", "who is a man, né").replace("\ufeff", "")
    elif harmful:
        old, new = draw.choice([each for each in OTHER if each[0] in text])
        text = text.replace(old, new, 1)
    return harmful, text.encode(encoding)


@pytest.mark.parametrize("door", ["catalog", "rules"])
def test_catalogs_and_rules(door: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"

    def load(data: bytes) -> tuple[Schema, RuleSet]:
        path.write_bytes(data)
        if door == "rules":
            rules = RuleSet.load(path)
            return rules.schema, rules
        return Schema.load(str(path)), RuleSet.load(path)

    path.write_text(CATALOG)
    schema, rules = Schema.load(str(path)), RuleSet.load(path)
    assert went_wrong(mutated_catalog, load, lambda found: (found[0], found[1].texts) == (schema, rules.texts)) == []


LABELS = "file,Male,Goatee,Smiling,20_29\n" + "".join(
    f"{row}.jpg,{','.join(str(int(value) * 2 - 1) for value in labels)}\n" for row, labels in enumerate(TRUTH)
)


def mutated_label_file(draw: random.Random) -> Mutation:
    """A CSV of labels in another form, or one with other values, names, columns, separators or encodings."""
    lines = LABELS.splitlines()
    row, column = draw.randrange(1, len(lines)), draw.randrange(1, 5)

    def with_cell(value: str) -> str:
        cells = lines[row].split(",")
        cells[column] = value
        return "\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]])

    def with_column(change: Callable[[str], str]) -> str:
        cells = [line.split(",") for line in lines]
        return "\n".join(
            ",".join([*c[:column], change(c[column]), *c[column + 1 :]]) if n else lines[0] for n, c in enumerate(cells)
        )

    match draw.randrange(14):
        case 0:
            return False, draw.choice(
                [LABELS, LABELS.rstrip(), LABELS.replace("\n", "\r\n"), "\ufeff" + LABELS]
            ).encode()
        case 1:
            return False, LABELS.replace("0.jpg", draw.choice(["NA", "null", "nan", "é.jpg", "'a b'.jpg"])).encode()
        case 2:
            return False, with_column(lambda cell: {"1": "True", "-1": "False"}[cell]).encode()
        case 3:
            return False, with_column(lambda cell: f"{cell}.0").encode()
        case 4:
            return False, "\n".join(f"{line},{n or 'extra'}" for n, line in enumerate(lines)).encode()
        case 5:
            return True, with_column(lambda cell: {"1": "1", "-1": "0"}[cell]).encode()
        case 6:
            return True, with_cell(
                draw.choice(["2", "yes", "", "nan", "NA", "1e9", "-", "0.5", "True", "１ｘ"])
            ).encode()
        case 7:
            return True, LABELS.replace(",", draw.choice([";", "\t", "|"])).encode()
        case 8:
            return True, LABELS.replace("0.jpg", "né.jpg").encode(draw.choice(["utf-16", "utf-16-le", "latin-1"]))
        case 9:
            return True, "\n".join([*lines, lines[row]]).encode()
        case 10:
            return True, LABELS.replace("Goatee", draw.choice(["goatee", "Male", "", "Goatee "[:-2]]), 1).encode()
        case 11:
            return True, "\n".join([*lines[:row], lines[row].rpartition(",")[0], *lines[row + 1 :]]).encode()
        case 12:
            return True, "\n".join([*lines[:row], f"{lines[row]},1", *lines[row + 1 :]]).encode()
        case _:
            return True, draw.choice([b"", b"\n", lines[0].encode(), b"\0" * 20, b"file"])


def test_label_files(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"

    def load(data: bytes) -> Tensor:
        path.write_bytes(data)
        return read_labels(path, SCHEMA).labels

    assert went_wrong(mutated_label_file, load, lambda found: torch.equal(found, (TRUTH * 2 - 1).to(torch.int8))) == []
