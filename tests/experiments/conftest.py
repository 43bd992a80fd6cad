"""Small sets of faces in the layouts of those that the tiny parts are trained and measured on."""

from pathlib import Path

import pytest
from PIL import Image

from faceinsight.knowledge.schema import Schema


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture(scope="session")
def fairface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and four validation pictures; the older, the brighter."""
    root = tmp_path_factory.mktemp("fairface")
    for split, count in (("train", 12), ("val", 4)):
        (root / split).mkdir()
        rows = ["file,age,gender,race,service_test"]
        for number in range(count):
            Image.new("RGB", (64, 64), (20 * number,) * 3).save(root / split / f"{number}.png")
            age, gender = ("20-29", "Male") if number % 4 else ("60-69", "Female")
            rows.append(f"{split}/{number}.png,{age},{gender},White,False")
        (root / f"fairface_label_{split}.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="session")
def utkface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty faces of every gender and race, from 2 to 80 years; the older, the brighter."""
    root = tmp_path_factory.mktemp("utkface")
    for number in range(40):
        name = f"{2 * number + 2}_{number % 2}_{number % 5}_{20170100 + number}.jpg.chip.jpg"
        Image.new("RGB", (64, 64), (6 * number,) * 3).save(root / name)
    return root


@pytest.fixture(scope="session")
def celeba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight test faces: young or not, men who smile in bright pictures and women who smile in dark ones."""
    root = tmp_path_factory.mktemp("celeba")
    (root / "img_align_celeba").mkdir()
    names = Schema.load("celeba").names
    rows = []
    for number in range(8):
        shown = {"Male": number & 1, "Smiling": number & 2, "Young": number & 4}
        bright = bool(shown["Male"]) == bool(shown["Smiling"])
        grey = (200 if bright else 50) + number
        Image.new("RGB", (64, 64), (grey,) * 3).save(root / "img_align_celeba" / f"{number}.png")
        rows.append(f"{number}.png {' '.join('1' if shown.get(name) else '-1' for name in names)}")
    (root / "list_attr_celeba.txt").write_text("\n".join(["8", " ".join(names), *rows]) + "\n")
    (root / "list_eval_partition.txt").write_text("".join(f"{number}.png 2\n" for number in range(8)))
    (root / "identity_CelebA.txt").write_text("".join(f"{number}.png {number}\n" for number in range(8)))
    return root
