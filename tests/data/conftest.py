"""A tiny data set in CelebA's layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling"])

#: File, partition, identity, labels; people 1 to 3 train, 4 and 5 validate, 6 and 7 test.
FACES = [
    ("01.png", 0, 1, (1, -1, 1)),
    ("02.png", 0, 1, (1, -1, -1)),
    ("03.png", 0, 2, (-1, 1, 1)),
    ("04.png", 0, 2, (-1, 1, -1)),
    ("05.png", 0, 3, (-1, -1, 1)),
    ("06.png", 0, 3, (-1, 1, 1)),
    ("07.png", 1, 4, (-1, 1, 0)),
    ("08.png", 1, 4, (1, 1, -1)),
    ("09.png", 1, 5, (-1, -1, -1)),
    ("10.png", 2, 6, (1, -1, 1)),
    ("11.png", 2, 7, (-1, 1, 1)),
    ("12.png", 2, 7, (-1, -1, 1)),
]


@pytest.fixture
def schema() -> Schema:
    return SCHEMA


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve faces of 20 x 24 pixels; face ``i`` is of the even grey ``10 * i``, its mask of class ``i``."""
    root = tmp_path / "faces"
    for folder in ("img_align_celeba", "masks"):
        (root / folder).mkdir(parents=True)
    for number, (name, *_) in enumerate(FACES, 1):
        Image.new("RGB", (20, 24), (10 * number,) * 3).save(root / "img_align_celeba" / name)
        Image.fromarray(np.full((24, 20), number, dtype=np.uint8)).save(root / "masks" / name)
    rows = [f"{name} {' '.join(f'{value:2d}' for value in labels)}" for name, _, _, labels in FACES]
    write(root / "list_attr_celeba.txt", [str(len(FACES)), " ".join(SCHEMA.names) + " ", *rows])
    write(root / "list_eval_partition.txt", [f"{name} {part}" for name, part, _, _ in FACES])
    write(root / "identity_CelebA.txt", [f"{name} {person}" for name, _, person, _ in FACES])
    return root


def write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n")
