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
from faceinsight.models.predicting.face_prediction import FacePrediction
from faceinsight.models.predicting.found import BrokenPicture, find_pictures, printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "Predictions", "counted", "predict"]

#: The endings that :meth:`Predictions.save` knows.
FORMATS = (".json", ".jsonl", ".csv", ".parquet")


class Predictions(Sequence[FacePrediction]):
    """The faces that could be read, in the order of the source, and what was wrong with the others.

    Args:
        faces: one prediction each.
        broken: the pictures that could not be read.
    """

    def __init__(self, faces: Sequence[FacePrediction], broken: Sequence[BrokenPicture] = ()) -> None:
        self.faces, self.broken = tuple(faces), tuple(broken)

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

        Args:
            values: of the attributes: their exact probabilities, or the most probable consistent face as booleans.
        """
        import pandas as pd

        rows = []
        for face in self:
            own = getattr(face, values)
            groups = {f"{name} (group)" if name in own else name: label for name, label in face.groups.items()}
            rows.append({"path": face.name, **groups, **own})
        return pd.DataFrame(rows, index=pd.Index([face.index for face in self], name="index"))

    def to_dict(self) -> PlainData:
        """Return all faces and the broken pictures as plain data."""
        return {
            "faces": [face.to_dict() for face in self],
            "broken": [{**asdict(each), "name": printable(each.name), "problem": str(each)} for each in self.broken],
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
        """How many faces there are, and how many pictures cannot be read, in words."""
        return f"{counted(len(self), 'face')}, {counted(len(self.broken), 'picture')} that cannot be read"

    def __repr__(self) -> str:
        """Return how many faces there are, and how many pictures are broken."""
        lines = [f"Predictions: {self.counts}"]
        lines += [f"  {face!r}" for face in self.faces[:10]] + ["  ..."] * (len(self) > 10)
        lines += [f"  {each}" for each in self.broken[:10]] + ["  ..."] * (len(self.broken) > 10)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the first faces as a table for a notebook, and the broken pictures."""
        shown = [face.groups for face in self.faces[:20]]
        rows = [[face.name, *map(str, row.values())] for face, row in zip(self.faces, shown, strict=False)]
        heads = ["picture", *(shown[0] if shown else [])]
        cells = "".join(f"<tr>{''.join(f'<td>{html.escape(each)}</td>' for each in row)}</tr>" for row in rows)
        head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
        wrong = "".join(f"<li>{html.escape(str(each))}</li>" for each in self.broken[:20])
        return f"<table><tr>{head}</tr>{cells}</table><p>{self.counts}</p>" + (f"<ul>{wrong}</ul>" if wrong else "")


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
    pictures = Pictures(found, reader=FaceReader(memory_mb=0, **model.picture_options))
    wrong: dict[int, str] = {}
    batches = read_batches(pictures, batch_size=batch_size, broken=wrong if broken == "skip" else None)
    if progress is None:
        progress = len(found) > batch_size and sys.stderr.isatty()
    bar = progress_bars({"faces": len(found)}) if progress else nullcontext(lambda title, faces: None)
    faces: list[FacePrediction] = []
    with evaluating(model), bar as advance:
        place = next(model.parameters()).device
        steps = over_faces(lambda batch: _logits(model, batch), batches, device=place)
        told = 0
        for index, (logits, rules) in steps:
            positions = index.tolist()
            mine = [found[position] for position in positions]
            faces += FacePrediction.of_batch(positions, mine, logits.clone(), rules, model)
            advance("faces", len(index) + len(wrong) - told)
            told = len(wrong)
        advance("faces", len(wrong) - told)
    named = [BrokenPicture(pictures.name(position), problem, position) for position, problem in wrong.items()]
    return Predictions(faces, [*unlisted, *named])


def _logits(model: FaceModel, batch: FaceBatch) -> tuple[Float[Tensor, "batch attr"], RuleSet]:
    """Return a batch's logits, and the rules that its probabilities keep."""
    output = model(batch.images, masks=batch.masks)
    rules = RuleSet(model.schema) if output.rules is None else output.rules
    wide = torch.promote_types(output.logits.dtype, torch.float32)
    return output.logits.to(wide).cpu(), rules
