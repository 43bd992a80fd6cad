"""ExpW's layout: several faces in a picture, each a box with an expression."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.dataset import FaceReader
from faceinsight.data.sources import source
from faceinsight.data.sources.expw import ExpW
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.knowledge.schema import Schema

#: Picture, face, top, left, right, bottom, confidence, class.
LINES = [
    "party.jpg 0 10 40 60 30 22.9 0",
    "party.jpg 1 50 8 24 66 50.3 3",
    "alone.jpg 0 0 0 16 16 0.9 6",
]
FACES = ("party.jpg#xywh=40,10,20,20", "party.jpg#xywh=8,50,16,16", "alone.jpg#xywh=0,0,16,16")
CROPS = "file,label,name,src_image,face_id,top,left,right,bottom,confidence"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A picture of two faces, the first red and the second green, and one of a single blue face."""
    (tmp_path / "image").mkdir()
    party = Image.new("RGB", (100, 80), "white")
    party.paste("red", (40, 10, 60, 30))
    party.paste("lime", (8, 50, 24, 66))
    party.save(tmp_path / "image" / "party.jpg", quality=100, subsampling=0)
    Image.new("RGB", (32, 32), "blue").save(tmp_path / "image" / "alone.jpg", quality=100)
    (tmp_path / "label.lst").write_text("\n".join(LINES) + "\n")
    return tmp_path


def crops(root: Path) -> Path:
    """The same faces, cut out before."""
    (root / "crops128").mkdir()
    lines = [CROPS]
    for name, line in zip(("angry_0.jpg", "happy_0.jpg", "neutral_0.jpg"), LINES, strict=True):
        Image.new("RGB", (16, 16)).save(root / "crops128" / name)
        picture, *rest, label = line.split()
        lines.append(",".join([name, label, name[:-6], picture, *rest]))
    (root / "crops128_labels.csv").write_text("\n".join(lines) + "\n")
    return root


def test_every_line_is_a_face_with_its_expression(root: Path) -> None:
    table = source("expw", root).table()
    assert table.files == FACES
    assert [table.schema.names[row.argmax()] for row in table.labels] == ["angry", "happy", "neutral"]
    assert ((table.labels == 1).sum(1) == 1).all()
    assert len(table.identity.unique()) == 3


def test_a_face_is_seen_as_its_box_with_a_margin(root: Path) -> None:
    reader = FaceReader(image_size=20)
    bare = ExpW(root=root, margin=0.0).table()
    for row, colour in enumerate([(254, 0, 0), (0, 255, 1), (0, 0, 254)]):
        seen = reader.image(bare, row).numpy().astype(int)
        assert np.abs(seen - np.array(colour)[:, None, None]).max() < 40  # a jpeg's edges
    wide = FaceReader(image_size=40).image(ExpW(root=root, margin=0.5).table(), 0).numpy().astype(int)
    assert np.abs(wide[:, 12:28, 12:28] - np.array([254, 0, 0])[:, None, None]).max() < 40
    assert wide[:, :8].min() > 200
    assert wide[:, :, 32:].min() > 200


def test_the_margin_is_said_by_the_table_and_the_notes(root: Path) -> None:
    wanted = ExpW(root=root)
    assert wanted.table().margin == 0.25
    assert wanted.notes()[0] == "faces are boxes with a margin of 0.25 on each side"
    with pytest.raises(ValueError, match=r"margin is .*got -0.1"):
        ExpW(root=root, margin=-0.1)


def test_boxes_make_batches(root: Path) -> None:
    (batch,) = FaceDataModule(source=ExpW(root=root), image_size=8, batch_size=3, broken="skip").faces_dataloader()
    assert batch.images.shape == (3, 3, 8, 8)


def test_the_faces_of_a_picture_share_its_split(root: Path) -> None:
    names = [f"{number}.jpg" for number in range(200)]
    lines = [f"{name} {face} 0 {face} 9 9 1.0 0" for name in names for face in range(2)]
    (root / "label.lst").write_text("\n".join(lines) + "\n")
    for name in names:
        (root / "image" / name).touch()
    table = ExpW(root=root).table()
    assert table.split[0::2] == table.split[1::2]
    assert table.split[0::2] == tuple(hashed_split(name, train=0.8, val=0.05) for name in names)
    assert set(table.split) == {"train", "val", "test"}


def test_faces_that_the_detector_doubted_are_left_out_where_that_is_asked_for(root: Path) -> None:
    wanted = ExpW(root=root, min_confidence=22.9)
    assert wanted.table().files == FACES[:2]
    assert "faces with a confidence below 22.9, left out: 1" in wanted.notes()


def test_a_face_that_is_listed_again_counts_once_and_with_two_expressions_not_at_all(root: Path) -> None:
    again = [*LINES, LINES[0], "alone.jpg 0 0 0 16 16 0.9 5"]
    (root / "label.lst").write_text("\n".join(again) + "\n")
    wanted = ExpW(root=root)
    assert wanted.table().files == FACES[:2]
    assert "lines that say what another line says: 1" in wanted.notes()
    assert "faces listed with two expressions, left out: 1 (alone.jpg#xywh=0,0,16,16)" in wanted.notes()


def test_crops_are_read_where_the_pictures_are_not(root: Path) -> None:
    whole = ExpW(root=crops(root)).table()
    ready = ExpW(root=root, faces="crops", min_confidence=1.0)
    table = ready.table()
    assert (table.files, table.root.name, table.margin) == (("angry_0.jpg", "happy_0.jpg"), "crops128", 0.0)
    assert table.labels.tolist() == whole.labels[:2].tolist()
    assert ExpW(root=root, faces="crops").table().split == whole.split == ("train", "train", "test")
    assert ready.notes()[0] == "faces are crops as they are"
    (root / "image").rename(root / "elsewhere")
    assert ExpW(root=root).takes_crops
    assert not ExpW(root=root, faces="boxes").takes_crops


def test_the_owners_own_folders_are_looked_into(root: Path) -> None:
    for old, new in (("image", "origin"), ("label.lst", "label/label.lst"), ("origin", "image/origin")):
        (root / new).parent.mkdir(exist_ok=True)
        (root / old).rename(root / new)
    assert ExpW(root=root).table().files == FACES


def test_what_the_set_does_not_know_is_undefined_and_said(root: Path) -> None:
    wanted = ExpW(root=root, schema=Schema.from_names(["Bald", "happy"]))
    assert wanted.table().labels.tolist() == [[0, -1], [0, 1], [0, -1]]
    assert "attributes that ExpW does not know are undefined: Bald" in wanted.notes()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("22.9 0", "22.9 7", r"label\.lst: expression of party\.jpg#\S+ is 7; known are 0, 1, 2, 3, 4, 5, 6"),
        ("22.9 0", "22.9 happy", r"label\.lst: party\.jpg#xywh=40,10,20,20 has 'happy', a whole number is wanted"),
        ("22.9 0", "sure 0", r"label\.lst: confidence of party\.jpg#\S+ is 'sure', a number is wanted"),
        (
            "10 40 60 30",
            "10 60 40 30",
            r"label\.lst: nothing is in the box of party\.jpg, .*'left': 60.* columns are pic",
        ),
        ("10 40 60 30", "ten 40 60 30", r"label\.lst: party\.jpg has 'ten', a whole number is wanted"),
        (" 22.9", "", r"label\.lst: .*Expected 7 fields in line 2, saw 8"),
        ("alone.jpg", "../alone.jpg", r"'\.\./alone\.jpg' leads out of"),
        ("alone.jpg", "nobody.jpg", r"1 \(nobody\.jpg\) of 2 listed images are not in .*'skip' leaves them out"),
    ],
)
def test_a_damaged_list_is_refused_with_its_entry(root: Path, before: str, after: str, message: str) -> None:
    path = root / "label.lst"
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ExpW(root=root).table()


def test_a_list_of_crops_without_a_column_is_refused(root: Path) -> None:
    path = crops(root) / "crops128_labels.csv"
    path.write_text(path.read_text().replace("src_image", "picture"))
    with pytest.raises(ValueError, match=r"missing columns \['src_image'\]"):
        ExpW(root=root, faces="crops").table()


def test_missing_pictures_are_left_out_with_all_their_faces(root: Path) -> None:
    (root / "image" / "party.jpg").unlink()
    wanted = ExpW(root=root, missing_images="skip")
    with pytest.warns(UserWarning, match=r"\(party\.jpg\) of 2 .*left out"):
        assert wanted.table().files == FACES[2:]
    assert "listed images that are not on disk, left out: 1 (party.jpg)" in wanted.notes()


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lacks image, label/label.lst"):
        ExpW(root=tmp_path).prepare()
    with pytest.raises(FileNotFoundError, match=r"lacks crops128, crops128_labels.csv\. "):
        ExpW(root=tmp_path, faces="crops").prepare()


def test_the_real_crops_read(expw_root: Path) -> None:
    table = source("expw", expw_root).table()
    assert len(table) == 1_400
    assert (table.labels == 1).sum(0).tolist() == [200] * 7
    assert 160 < table.split.count("test") < 260


def test_the_real_list_reads(expw_root: Path, tmp_path: Path) -> None:
    """Its pictures are not in the sample; empty files stand for them."""
    (tmp_path / "image").mkdir()
    (tmp_path / "label.lst").symlink_to(expw_root / "label.lst")
    lines = [line.split() for line in (expw_root / "label.lst").read_text().splitlines()]
    for name in {words[0] for words in lines}:
        (tmp_path / "image" / name).touch()
    table = ExpW(root=tmp_path).table()
    assert len(table) == 5_705
    assert (table.labels == 1).sum(0).tolist() == [815] * 7
    picture, _, top, left, right, bottom, *_ = lines[4567]
    edges = table.picture(4567)[1]
    margin = round(0.25 * (int(right) - int(left)))
    assert table.picture(4567)[0] == picture
    assert edges == (int(left) - margin, int(top) - margin, int(right) + margin, int(bottom) + margin)
