"""Faces found in photographs: shares by group, scenes of known faces, time, and what detection costs in accuracy.

    pip install 'faceinsight[detect]'
    python -m experiments.detection --faces 300

expects ``data/fairface``, ``data/UTKFace``, ``data/celeba`` and ``data/expw``. Contenders: the detector of ``predict``,
and dlib's histogram detector (HOG) on pictures enlarged to the same size. A scene is a smooth background with one face
of UTKFace pasted into it, of known size and turn; a find counts where the boxes share 30 % (intersection over union) of
their area, another one is false.
"""

import random
import time
import warnings
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from PIL import Image
from rich.console import Console
from torch import Tensor
from torchvision.ops import box_iou

import faceinsight as fi
from faceinsight.data.images import whole_picture
from faceinsight.models.predicting import FaceFinder, Predictions

SETS = {"FairFace": (fi.data.FairFace, "fairface"), "UTKFace": (fi.data.UTKFace, "UTKFace"),
        "CelebA": (fi.data.CelebA, "celeba"), "ExpW": (fi.data.ExpW, "expw")}  # fmt: skip

#: Sizes in pixels of the pasted pictures, of which a face takes about six tenths.
SIZES = (24, 40, 64, 96, 160, 240, 400)

TURNED = (0, 15, 30, 45, 90, 180)

Find = Callable[[Sequence[Image.Image]], list[Tensor]]


def contenders() -> dict[str, Find]:
    """Return what gives the boxes ``[face, 4]`` of each photograph, by name."""
    import dlib

    finder, hog = FaceFinder(), dlib.get_frontal_face_detector()

    def ours(photographs: Sequence[Image.Image]) -> list[Tensor]:
        return [as_boxes([face.box.edges() for face in faces]) for faces in finder.find(photographs)]

    def histograms(photographs: Sequence[Image.Image]) -> list[Tensor]:
        found = []
        for each in photographs:
            shown = each.resize(finder.size(each), Image.Resampling.BILINEAR)
            boxes = [(box.left(), box.top(), box.right(), box.bottom()) for box in hog(np.asarray(shown))]
            found.append(as_boxes(boxes) * each.width / shown.width)
        return found

    return {"predict": ours, "HOG": histograms}


def as_boxes(edges: Sequence[tuple[int, int, int, int]]) -> Tensor:
    return torch.tensor(edges, dtype=torch.float32).reshape(-1, 4)


def interval(found: int, of: int) -> str:
    """Return a share with its 95 % interval (Wilson), in percent."""
    if not of:
        return ""
    share, z = found / of, 1.96
    middle, half = share + z * z / 2 / of, z * sqrt(share * (1 - share) / of + z * z / 4 / of**2)
    low, high = ((middle + sign * half) / (1 + z * z / of) for sign in (-1, 1))
    return f"{100 * share:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def sample(name: str, data: Path, faces: int) -> tuple[Any, list[int]]:
    """Return a set's table, and the rows of some test faces."""
    kind, folder = SETS[name]
    with warnings.catch_warnings(action="ignore"):  # that the samples are not whole
        whole = {} if name == "UTKFace" else {"missing_images": "skip"}  # its labels are its files' names
        table = kind(root=data / folder, **whole).table()
    rows = table.rows("test").tolist()
    return table, random.Random(0).sample(rows, min(faces, len(rows)))


def shares(data: Path, faces: int, finds: dict[str, Find]) -> pd.DataFrame:
    """Return the share of the sets' pictures in which a face is found, by group."""
    rows = []
    for name in SETS:
        table, chosen = sample(name, data, faces)
        pictures = [picture_of(table, row) for row in chosen]
        hits = {who: [len(find([each])[0]) for each in pictures] for who, find in finds.items()}
        for title, member in slices(table, chosen).items():
            cells = {who: interval(sum(n > 0 for n, own in zip(hit, member, strict=True) if own), sum(member))
                     for who, hit in hits.items()}  # fmt: skip
            rows.append({"set": name, "faces of": title, "pictures": sum(member), **cells})
    return pd.DataFrame(rows)


def picture_of(table: Any, row: int) -> Image.Image:
    """Return a face's picture as its set has it."""
    file, edges = table.picture(row)
    whole = whole_picture(Path(table.root, file))
    return whole if edges is None else whole.crop(edges)


def slices(table: Any, rows: list[int]) -> dict[str, list[bool]]:
    """Return who is in each group, all of them first."""
    found = {"all": [True] * len(rows)}
    if table.schema.name not in ("fairface", "utkface"):
        return found
    for group in table.schema.groups.values():
        for label, expression in group.labels.items():
            sign, name = (-1, expression[4:]) if expression.startswith("not ") else (1, expression)
            if name.strip('"') in table.schema.names:
                column = table.labels[rows, table.schema.index(name.strip('"'))]
                found[label] = (column == sign).tolist()
    return {title: member for title, member in found.items() if any(member)}


def scene(face: Image.Image, size: int, turn: float, draw: random.Random) -> tuple[Image.Image, Tensor]:
    """Return a background of 1,000 x 750 with a face in it, and the middle part of the face's picture as its box."""
    noise = np.random.default_rng(draw.randrange(2**31)).integers(60, 190, (9, 12, 3), dtype=np.uint8)
    background = Image.fromarray(noise).resize((1000, 750), Image.Resampling.BICUBIC)
    shown = face.resize((size, size), Image.Resampling.LANCZOS)
    mask = Image.new("L", shown.size, 255).rotate(turn, expand=True)
    shown = shown.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    left, top = draw.randint(0, 1000 - shown.width), draw.randint(0, 750 - shown.height)
    background.paste(shown, (left, top), mask)
    x, y, half = left + shown.width / 2, top + shown.height / 2, 0.35 * size
    return background, torch.tensor([[x - half, y - half, x + half, y + half]])


def scenes(data: Path, faces: int, finds: dict[str, Find]) -> pd.DataFrame:
    """Return recall and false finds by the size of the face and by its turn."""
    table, chosen = sample("UTKFace", data, faces)
    rows = []
    for size, turn in [*((size, 0) for size in SIZES), *((200, turn) for turn in TURNED[1:])]:
        draw = random.Random(size + turn)
        made = [scene(picture_of(table, row), size, turn, draw) for row in chosen]
        cells = {}
        for who, find in finds.items():
            hits = false = 0
            for photograph, box in made:
                own = box_iou(find([photograph])[0], box)[:, 0] > 0.3
                hits += int(own.any())
                false += int((~own).sum())
            cells |= {f"{who}: found": interval(hits, len(made)), f"{who}: false": false}
        rows.append({"pixels": size, "degrees": turn, "scenes": len(made), **cells})
    return pd.DataFrame(rows)


def speed(data: Path, finds: dict[str, Find]) -> pd.DataFrame:
    """Return seconds of processor and of clock for scenes of 1,000 x 750, and for whole predictions."""
    table, chosen = sample("UTKFace", data, 32)
    draw = random.Random(0)
    photographs = [scene(picture_of(table, row), 300, 0, draw)[0] for row in chosen]
    model = fi.FaceInsight.from_pretrained("tiny")
    works: dict[str, tuple[int, Callable[[], object]]] = {
        f"{who}, one": (1, lambda find=find: find(photographs[:1])) for who, find in finds.items()
    }
    works |= {f"{who}, batch of 32": (32, lambda find=find: find(photographs)) for who, find in finds.items()}
    works["model.predict, one"] = 1, lambda: model.predict(photographs[0])
    works["model.predict, batch of 32"] = 32, lambda: model.predict(photographs)
    works["model.predict(detect=False), batch of 32"] = 32, lambda: model.predict(photographs, detect=False)
    rows = []
    for name, (count, work) in works.items():
        work()
        clock, processor = time.perf_counter(), time.process_time()
        work()
        seconds = time.perf_counter() - clock, time.process_time() - processor
        rows.append({"what": name, "ms of clock a photograph": round(1000 * seconds[0] / count),
                     "ms of processor": round(1000 * seconds[1] / count)})  # fmt: skip
    return pd.DataFrame(rows)


def accuracy(data: Path, faces: int) -> pd.DataFrame:
    """Return how often ``tiny`` is right on the owners' crops as they are, and on the faces found in them."""
    model = fi.FaceInsight.from_pretrained("tiny")
    rows = []
    for name in ("FairFace", "UTKFace"):
        table, chosen = sample(name, data, faces)
        files = [str(Path(table.root, table.files[row])) for row in chosen]
        with_detection = model.predict(files)
        for how, found in (("owners' crops", model.predict(files, detect=False)), ("found", with_detection)):
            rows.append({"set": name, "pictures": how, "faces": len(files), "without a face": len(found.faceless),
                         **right(found, table, chosen)})  # fmt: skip
    return pd.DataFrame(rows)


def right(found: Predictions, table: Any, rows: list[int]) -> dict[str, str]:
    """Return the share of right labels of each group that model and set share; a picture without a face is wrong."""
    first = {face.index: face for face in reversed(found.faces)}
    scores = {}
    for title, group in table.schema.groups.items():
        marks = []
        for place, row in enumerate(rows):
            labels = {name: int(value) for name, value in zip(table.schema.names, table.labels[row], strict=True)}
            true = [label for label, expression in group.labels.items() if holds(expression, labels)]
            if len(true) == 1 and title in found[0].groups:
                marks.append(place in first and first[place].groups[title] == true[0])
        if marks:
            scores[title] = interval(sum(marks), len(marks))
    return scores


def holds(expression: str, labels: dict[str, int]) -> bool:
    """Tell whether an attribute, or the opposite of one, is labelled so."""
    opposite, name = expression.startswith("not "), expression.removeprefix("not ").strip('"')
    return labels.get(name) == (-1 if opposite else 1)


def main(data: Path = Path("data"), faces: int = 300, scene_faces: int = 40, only: str | None = None) -> None:
    """Measure and print.

    Args:
        data: the folder of the sets.
        faces: of each set.
        scene_faces: of each size and turn.
        only: one of shares, scenes, speed and accuracy.
    """
    finds, console = contenders(), Console(width=160)
    parts = {
        "speed": lambda: speed(data, finds),
        "scenes": lambda: scenes(data, scene_faces, finds),
        "shares": lambda: shares(data, faces, finds),
        "accuracy": lambda: accuracy(data, faces),
    }
    for name, part in parts.items():
        if only in (None, name):
            console.print(f"{name}\n{part().to_string(index=False)}")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
