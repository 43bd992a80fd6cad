"""From any source of pictures to consistent attributes, and nothing lost by what is broken."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import faceinsight as fi
from faceinsight.data.images import BrokenImageError
from faceinsight.errors import InputError
from faceinsight.models.predicting import predictions
from faceinsight.models.predicting.predictions import Predictions


def test_a_folder_gives_what_the_model_gives_under_its_rules_at_every_batch_size(
    tiny: fi.FaceInsight, folder: Path
) -> None:
    files = sorted(folder.iterdir())
    with torch.no_grad():
        output = tiny(tiny.images(files))
    for size in (2, 32):
        found = tiny.predict(folder, batch_size=size, detect=False)
        assert [face.path for face in found] == [str(path) for path in files]
        assert [face.index for face in found] == [0, 1, 2, 3, 4]
        marginals = torch.tensor([[*face.probabilities.values()] for face in found])
        torch.testing.assert_close(marginals, output.probability, atol=1e-5, rtol=1e-4)
        modes = torch.tensor([[*face.attributes.values()] for face in found])
        assert torch.equal(modes, output.mode.bool())
        assert [*found[0].probabilities] == [*found[0].attributes] == [*tiny.schema.names]
    assert not found.broken


def test_files_pil_images_arrays_and_tensors_give_the_same(tiny: fi.FaceInsight, folder: Path) -> None:
    path = folder / "0.png"
    picture = Image.open(path)
    pixels = np.array(picture)
    found = tiny.predict(
        [path, picture, pixels, torch.from_numpy(pixels).movedim(-1, 0), tiny.images(path)[0]], detect=False
    )
    assert [face.name for face in found] == [str(path), *(f"picture {number}" for number in range(2, 6))]
    for face in found[1:]:
        torch.testing.assert_close(face.logits, found[0].logits)
    (alone,) = tiny.predict(picture, detect=False)
    torch.testing.assert_close(alone.logits, found[0].logits, atol=1e-5, rtol=1e-4)


def test_predicting_leaves_every_parts_mode_as_it_was_and_no_gradient(tiny: fi.FaceInsight, folder: Path) -> None:
    (first,) = tiny.predict(folder / "0.png", detect=False)
    tiny.train()
    modes = [part.training for part in tiny.modules()]
    (second,) = tiny.predict(folder / "0.png", detect=False)
    assert [part.training for part in tiny.modules()] == modes
    tiny.eval()
    assert torch.equal(first.logits, second.logits)
    assert not second.logits.requires_grad
    assert not second.logits.is_inference()


def odd_pictures(folder: Path) -> dict[str, bool]:
    """Write pictures of every odd kind; which of them can be read."""
    face = Image.open(folder / "0.png").convert("RGB")
    made = {
        "grey.png": face.convert("L"),
        "alpha.png": face.convert("RGBA"),
        "cmyk.jpg": face.convert("CMYK"),
        "palette.png": face.convert("P"),
        "pixel.png": Image.new("RGB", (1, 1)),
        "line\nend.png": face,
        "smile 😀.png": face,
    }
    for name, picture in made.items():
        picture.save(folder / name)
    face.save(folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", face.size)])
    exif = Image.Exif()
    exif[0x0112] = 6
    face.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=exif)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "sixteen_bit.png")
    (folder / "truncated.png").write_bytes((folder / "0.png").read_bytes()[:900])
    (folder / "text.jpg").write_text("no picture at all")
    (folder / "empty.png").write_bytes(b"")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    readable = dict.fromkeys([*made, "animated.gif", "turned.png"], True)
    return readable | dict.fromkeys(
        ["sixteen_bit.png", "truncated.png", "text.jpg", "empty.png", "gone.png", "pipe.png"], False
    )


def test_odd_pictures_are_read_or_named_and_nothing_else_is_lost(tiny: fi.FaceInsight, folder: Path) -> None:
    clean = {face.name: face.logits for face in tiny.predict(folder, detect=False)}
    odd = odd_pictures(folder)
    found = tiny.predict(folder, batch_size=4, detect=False)
    by_file = {Path(str(face.path)).name: face for face in found}
    assert {name for name in odd if name in by_file} == {name for name, readable in odd.items() if readable}
    broken = {Path(each.name).name: each for each in found.broken}
    assert broken.keys() == {name for name, readable in odd.items() if not readable}
    assert len(found) + len(found.broken) == 5 + len(odd)
    assert "8 bits" in str(broken["sixteen_bit.png"])
    assert "not a picture" in str(broken["text.jpg"])
    for name, logits in clean.items():
        torch.testing.assert_close(by_file[Path(name).name].logits, logits, atol=1e-5, rtol=1e-4)
    for same in ("alpha.png", "turned.png", "line\nend.png", "smile 😀.png"):
        torch.testing.assert_close(by_file[same].logits, by_file["0.png"].logits, atol=1e-5, rtol=1e-4)
    assert "1 picture" not in repr(found)
    assert "6 pictures" in repr(found)
    assert "line\\nend" in by_file["line\nend.png"].name
    for each in (found, by_file["line\nend.png"], by_file["smile 😀.png"]):
        assert each._repr_html_()


def test_a_file_that_may_not_be_read_is_named(
    tiny: fi.FaceInsight, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Image.open

    def refusing(path: Path, **options: object) -> Image.Image:
        if Path(path).name == "1.png":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, **options)

    monkeypatch.setattr(Image, "open", refusing)
    found = tiny.predict(folder, detect=False)
    assert len(found) == 4
    assert [each.index for each in found.broken] == [1]
    assert "Permission denied" in str(found.broken[0])


def test_the_first_broken_picture_is_an_error_on_request(tiny: fi.FaceInsight, folder: Path) -> None:
    (folder / "text.jpg").write_text("no picture at all")
    with pytest.raises(BrokenImageError, match=r"text\.jpg"):
        tiny.predict(folder, broken="raise", detect=False)
    found = tiny.predict([folder / "text.jpg", "missing.png"], detect=False)
    assert len(found) == 0
    assert len(found.broken) == 2
    assert found.frame().empty
    assert found._repr_html_()


def test_a_batch_without_pictures_is_refused(tiny: fi.FaceInsight, folder: Path) -> None:
    with pytest.raises(InputError, match="at least 1"):
        tiny.predict(folder, batch_size=0, detect=False)


def test_progress_counts_broken_pictures_too(
    tiny: fi.FaceInsight, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "9.jpg").write_text("no picture at all")
    tiny.predict(folder, batch_size=2, progress=True, detect=False)
    assert "6/6" in capsys.readouterr().err


def test_what_is_saved_can_be_read_again(tiny: fi.FaceInsight, folder: Path, tmp_path: Path) -> None:
    odd_pictures(folder)
    found, out = tiny.predict(folder, detect=False), tmp_path / "out"
    for ending in ("json", "jsonl", "csv"):
        found.save(out / f"faces.{ending}")
    whole = json.loads((out / "faces.json").read_text())
    lines = [json.loads(line) for line in (out / "faces.jsonl").read_text().splitlines()]
    assert whole["faces"] == lines == [face.to_dict() for face in found]
    assert len(whole["broken"]) == len(found.broken)
    table = pd.read_csv(out / "faces.csv", index_col=0, keep_default_na=False, na_values=[])
    assert [*table["path"]] == [face.name for face in found]
    assert [*table["race"]] == [face.groups["race"] for face in found]
    np.testing.assert_allclose(table["Smiling"], [face.probabilities["Smiling"] for face in found])
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


def test_a_save_that_fails_leaves_what_stood_there(
    tiny: fi.FaceInsight, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, path = tiny.predict(folder / "0.png", detect=False), tmp_path / "faces.csv"
    path.write_text("before")
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        found.save(path)
    assert path.read_text() == "before"


def test_an_unknown_ending_and_a_missing_pyarrow_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "find_spec", lambda name: None)
    for name, says in (("faces.xls", r"\.csv"), ("faces", r"\.csv"), ("faces.parquet", "pyarrow")):
        with pytest.raises(InputError, match=says):
            Predictions([]).save(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_a_frame_holds_probabilities_or_the_consistent_face(tiny: fi.FaceInsight, folder: Path) -> None:
    found = tiny.predict(folder, detect=False)
    frame, faces = found.frame(), found.frame("attributes")
    assert [*frame.columns] == ["path", *tiny.schema.groups, *tiny.schema.names]
    races = [*tiny.schema.groups["race"].labels]
    np.testing.assert_allclose(frame[races].sum(axis=1), 1, atol=1e-5)
    assert (faces[races].sum(axis=1) == 1).all()
    assert not tiny.rules.violations(torch.tensor(faces[[*tiny.schema.names]].to_numpy())).any()
    assert isinstance(found[1:3], Predictions)
    assert [face.index for face in found[1:3]] == [1, 2]


def test_every_model_of_the_library_predicts_with_its_rules_or_without() -> None:
    schema = fi.Schema.from_names(["Young", "Old", "Smiling"])
    rules = fi.RuleSet.parse("exactly_one(Young, Old)", schema)
    encoder = fi.modules.ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    options = {"schema": schema, "image_encoder": encoder, "embed_dim": 12}
    pictures = torch.rand(2, 3, 32, 32)
    for given in (rules, None):
        network = fi.controls.TokenClassifier(**options, rules=given)
        for face in network.predict(pictures, detect=False):
            both = face.probabilities["Young"] + face.probabilities["Old"]
            assert both == pytest.approx(1 if given else both)
            assert face.segmentation is None
            assert face.groups == {}
            if given is None:
                assert [*face.probabilities.values()] == pytest.approx(face.logits.sigmoid().tolist())
            assert face.plot().axes
