"""The predictions of many faces: a list, a table, a file; and the one loop that makes them."""

import html
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import torch
from jaxtyping import Float
from torch import Tensor

from faceinsight.data.batch import FaceBatch
from faceinsight.data.dataset import FaceReader, Pictures
from faceinsight.errors import InputError
from faceinsight.files import PlainData, replacing
from faceinsight.knowledge.rules import RuleSet
from faceinsight.models.face_insight import FaceModel
from faceinsight.models.loop import evaluating, over_faces, progress_bars, read_batches
from faceinsight.models.predicting.detection import FaceFinder, Place, faces_of_photographs
from faceinsight.models.predicting.face_prediction import FacePrediction
from faceinsight.models.predicting.found import BrokenPicture, find_pictures, printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "Predictions", "counted", "predict"]

#: The endings that :meth:`Predictions.save` knows.
FORMATS = (".json", ".jsonl", ".csv", ".parquet")


class Predictions(Sequence[FacePrediction]):
    """The faces that were read, in the order of the source, and which pictures gave none.

    Args:
        faces: one prediction each.
        broken: the pictures that could not be read.
        faceless: the pictures in which no face was found.
    """

    def __init__(
        self,
        faces: Sequence[FacePrediction],
        broken: Sequence[BrokenPicture] = (),
        faceless: Sequence[BrokenPicture] = (),
    ) -> None:
        self.faces, self.broken, self.faceless = tuple(faces), tuple(broken), tuple(faceless)

    def __len__(self) -> int:
        """Return the number of faces that could be read."""
        return len(self.faces)

    @overload
    def __getitem__(self, place: int) -> FacePrediction: ...
    @overload
    def __getitem__(self, place: slice) -> "Predictions": ...
    def __getitem__(self, place: int | slice) -> "FacePrediction | Predictions":
        """Return one prediction, or some of them as a list that has no broken pictures."""
        return Predictions(self.faces[place]) if isinstance(place, slice) else self.faces[place]

    def __iter__(self) -> Iterator[FacePrediction]:
        """Yield each prediction."""
        return iter(self.faces)

    def frame(self, values: Literal["probabilities", "attributes"] = "probabilities") -> "pd.DataFrame":
        """Return a table with one row a face: its file, the label of each group, and each attribute.

        Where faces were looked for, the face's number in its picture and its box stand behind the file.

        Args:
            values: of the attributes: their exact probabilities, or the most probable consistent face as booleans.
        """
        import pandas as pd

        rows = []
        for face in self:
            own = getattr(face, values)
            groups = {f"{name} (group)" if name in own else name: label for name, label in face.groups.items()}
            rows.append({"path": face.name, **found_columns(face), **groups, **own})
        return pd.DataFrame(rows, index=pd.Index([face.index for face in self], name="index"))

    def to_dict(self) -> PlainData:
        """Return all faces and the broken pictures as plain data."""
        return {
            "faces": [face.to_dict() for face in self],
            "broken": [as_told(each) for each in self.broken],
            "faceless": [as_told(each) for each in self.faceless],
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Write the predictions, whole or not at all; the file's ending says how.

        Args:
            path: ``.json`` (everything, broken pictures too), ``.jsonl`` (one face a line), ``.csv`` or ``.parquet``
                (:meth:`frame`).

        Raises:
            InputError: another ending, or ``.parquet`` without pyarrow.
        """
        ending = check_format(path)
        with replacing(path) as temporary:
            if ending == ".csv":
                self.frame().to_csv(temporary)
            elif ending == ".parquet":
                self.frame().to_parquet(temporary)
            elif ending == ".json":
                temporary.write_text(_json(self.to_dict(), indent=1) + "\n", encoding="utf-8")
            else:
                temporary.write_text("".join(f"{_json(face.to_dict())}\n" for face in self), encoding="utf-8")

    @property
    def counts(self) -> str:
        """How many faces there are, and how many pictures gave none, in words."""
        without = f", {counted(len(self.faceless), 'picture')} without a face" if self.faceless else ""
        return f"{counted(len(self), 'face')}{without}, {counted(len(self.broken), 'picture')} that cannot be read"

    def __repr__(self) -> str:
        """Return how many faces there are, and how many pictures are broken."""
        lines = [f"Predictions: {self.counts}"]
        lines += [f"  {face!r}" for face in self.faces[:10]] + ["  ..."] * (len(self) > 10)
        for without in (self.faceless, self.broken):
            lines += [f"  {each}" for each in without[:10]] + ["  ..."] * (len(without) > 10)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the first faces as a table for a notebook, and the broken pictures."""
        shown = [face.groups for face in self.faces[:20]]
        rows = [[face.name, *map(str, row.values())] for face, row in zip(self.faces, shown, strict=False)]
        heads = ["picture", *(shown[0] if shown else [])]
        cells = "".join(f"<tr>{''.join(f'<td>{html.escape(each)}</td>' for each in row)}</tr>" for row in rows)
        head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
        wrong = "".join(f"<li>{html.escape(str(each))}</li>" for each in (*self.faceless, *self.broken)[:20])
        return f"<table><tr>{head}</tr>{cells}</table><p>{self.counts}</p>" + (f"<ul>{wrong}</ul>" if wrong else "")


def found_columns(face: FacePrediction) -> PlainData:
    """Return where a face was found, as columns of a table; none where no face was looked for."""
    if face.found is None:
        return {}
    return {"face": face.found.number, **asdict(face.found.box), "score": face.found.score}


def as_told(picture: BrokenPicture) -> PlainData:
    """Return a picture that gave no face, and why, as plain data."""
    return {**asdict(picture), "name": printable(picture.name), "problem": str(picture)}


def _json(data: object, indent: int | None = None) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent)


def counted(number: int, what: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "face"), counted(2000, "face")
    ('1 face', '2,000 faces')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def check_format(path: str | PathLike[str]) -> str:
    """Return the ending of a file of predictions.

    Raises:
        InputError: an ending that is not in :data:`FORMATS`, or ``.parquet`` without pyarrow.
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InputError(
            f"{path}: predictions are saved as {', '.join(FORMATS)}, not as {ending or 'a file without'!r}"
        )
    if ending == ".parquet" and find_spec("pyarrow") is None:
        raise InputError(f"{path}: a parquet file needs pyarrow; pip install 'faceinsight[report]', or save as .csv")
    return ending


def predict(
    model: FaceModel,
    source: object,
    *,
    detect: bool | FaceFinder = True,
    batch_size: int = 32,
    broken: Literal["skip", "raise"] = "skip",
    progress: bool | None = None,
) -> Predictions:
    """Return a model's predictions of all pictures of a source; see ``FaceModel.predict``."""
    if broken not in ("skip", "raise"):
        raise InputError(f"broken pictures are left out ('skip') or an error ('raise'), got {broken!r}")
    if not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size is a whole number of at least 1, got {batch_size!r}")
    found, unlisted = find_pictures(source)
    if unlisted and broken == "raise":
        raise InputError(str(unlisted[0]))
    finder = detect if isinstance(detect, FaceFinder) else FaceFinder() if detect else None
    pictures = Pictures(found, reader=FaceReader(memory_mb=0, **model.picture_options))
    wrong: dict[int, str] = {}
    skipped = wrong if broken == "skip" else None
    where: list[Place] = []
    faceless: list[int] = []
    if finder is None:
        batches = whole_pictures(pictures, where, batch_size=batch_size, broken=skipped)
    else:
        batches = faces_of_photographs(
            pictures, finder, where, margin=model.margin, batch_size=batch_size, broken=skipped, faceless=faceless
        )
    if progress is None:
        progress = len(found) > batch_size and sys.stderr.isatty()
    bar = progress_bars({"pictures": len(found)}) if progress else nullcontext(lambda title, pictures: None)
    faces: list[FacePrediction] = []
    with evaluating(model), bar as advance:
        place, done = next(model.parameters()).device, 0
        for index, (logits, rules) in over_faces(lambda batch: _logits(model, batch), batches, device=place):
            mine = where[len(faces) : len(faces) + len(index)]
            seen = [found[position] for position, _ in mine]
            faces += FacePrediction.of_batch(mine, seen, logits.clone(), rules, model)
            advance("pictures", mine[-1][0] + 1 - done)
            done = mine[-1][0] + 1
        advance("pictures", len(found) - done)
    named = [BrokenPicture(pictures.name(position), problem, position) for position, problem in wrong.items()]
    without = [BrokenPicture(pictures.name(each), "no face was found in it", each) for each in faceless]
    return Predictions(faces, [*unlisted, *named], without)


def whole_pictures(
    pictures: Pictures, where: list[Place], *, batch_size: int, broken: dict[int, str] | None
) -> Iterator[FaceBatch]:
    """Yield pictures as they are, and note the place of each."""
    for batch in read_batches(pictures, batch_size=batch_size, broken=broken):
        where += [(position, None) for position in batch.index.tolist()]
        yield batch


def _logits(model: FaceModel, batch: FaceBatch) -> tuple[Float[Tensor, "batch attr"], RuleSet]:
    """Return a batch's logits, and the rules that its probabilities keep."""
    output = model(batch.images, masks=batch.masks)
    rules = RuleSet(model.schema) if output.rules is None else output.rules
    wide = torch.promote_types(output.logits.dtype, torch.float32)
    return output.logits.to(wide).cpu(), rules
