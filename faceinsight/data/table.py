"""A labelled set of faces as one table: files, labels, splits and identities, checked once."""

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from faceinsight.data.face_box import Edges, file_and_box
from faceinsight.errors import InputError
from faceinsight.files import check_file_names
from faceinsight.knowledge.schema import Schema

__all__ = ["FaceSource", "FaceTable", "Split", "check_source"]

Split = Literal["train", "val", "test"]
SPLITS: tuple[str, ...] = get_args(Split)


@dataclass(frozen=True, eq=False)
class FaceTable:
    """What is known about the faces of a data set; row ``i`` of every field is the same face.

    Args:
        schema: names the columns of ``labels``.
        root: folder of the images.
        files: names below ``root``, each once; a face that is a box in its picture is named ``FILE#xywh=...``, see
            :mod:`faceinsight.data.face_box`.
        labels: 1 positive, -1 negative, 0 undefined, or booleans; int8 once they are checked.
        split: "train", "val" or "test" for each face.
        identity: who is shown; faces of one person are all in one split.
        mask_root: folder of the parsing masks, named like the images but ``.png``; None where there are none.
        margin: what is seen of a picture beyond a face's box on each side, as a share of the box's longer side.
        undefined: the value of undefined labels, see :meth:`Schema.check_labels`; 0 once the labels are checked, so
            that some rows of a table are a table.

    Raises:
        InputError: no faces, lengths that differ, a file named twice, unknown splits, wrong labels, or an identity in
            two splits.
    """

    schema: Schema
    root: Path
    files: tuple[str, ...]
    labels: Shaped[Tensor, "..."]
    split: tuple[str, ...]
    identity: Int64[Tensor, " face"]
    mask_root: Path | None = None
    margin: float = 0.0
    undefined: int | float | None = None

    def __post_init__(self) -> None:
        if not self.files:
            raise InputError(f"no faces: the table of {self.root} has no rows")
        lengths = {
            "files": len(self.files),
            "labels": len(self.labels),
            "split": len(self.split),
            "identity": len(self.identity),
        }
        if len(set(lengths.values())) > 1:
            raise InputError(f"every field needs one row for each face, got {lengths}")
        if len(set(self.files)) < len(self.files):
            raise InputError(f"a file may be named once only, {_first_repeated(self.files)!r} is named again")
        check_file_names(self.files, self.root)
        if unknown := set(self.split) - set(SPLITS):
            raise InputError(f"a split is one of {list(SPLITS)}, got {sorted(unknown)}")
        object.__setattr__(self, "labels", self.schema.check_labels(self.labels, undefined=self.undefined))
        object.__setattr__(self, "undefined", 0)
        self._check_identities()

    def _check_identities(self) -> None:
        codes = torch.tensor([SPLITS.index(split) for split in self.split])
        pairs = torch.stack([self.identity, codes], dim=1).unique(dim=0)
        crossing = pairs[:-1, 0][pairs[:-1, 0] == pairs[1:, 0]]
        if len(crossing):
            person = int(crossing[0])
            shared = sorted({self.split[row] for row in (self.identity == person).nonzero().flatten().tolist()})
            raise InputError(
                f"identity {person} has faces in {' and '.join(shared)} ({len(crossing.unique())} such identities); "
                "all faces of a person belong in one split, or the test measures who was remembered"
            )

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, split: Split) -> Int64[Tensor, " face"]:
        """Return the rows of one split, in order.

        Raises:
            InputError: the split is empty.
        """
        if split not in SPLITS:
            raise InputError(f"a split is one of {list(SPLITS)}, got {split!r}")
        rows = torch.tensor([row for row, each in enumerate(self.split) if each == split], dtype=torch.int64)
        if not len(rows):
            raise InputError(f"empty split: none of the {len(self)} faces of {self.root} is in {split!r}")
        return rows

    def select(self, rows: Tensor) -> "FaceTable":
        """Return the table of some rows only, renumbered from 0."""
        chosen = rows.tolist()
        return replace(
            self,
            files=tuple(self.files[row] for row in chosen),
            labels=self.labels[rows],
            split=tuple(self.split[row] for row in chosen),
            identity=self.identity[rows],
        )

    def picture(self, row: int) -> tuple[str, Edges | None]:
        """Return a face's file below ``root``, and within which edges the picture is looked at; None for all of it."""
        file, box = file_and_box(self.files[row])
        return file, None if box is None else box.edges(self.margin)

    def mask_name(self, row: int) -> str:
        """Return the file of a face's parsing mask below ``mask_root``."""
        file, _ = self.picture(row)
        return f"{file.rpartition('.')[0] or file}.png"

    def describe(self) -> str:
        """Return counts in one line."""
        counts = ", ".join(f"{name} {self.split.count(name):,}" for name in SPLITS)
        undefined = float((self.labels == 0).float().mean())
        return (
            f"{len(self):,} faces of {len(self.identity.unique()):,} people ({counts}); "
            f"{len(self.schema)} attributes of {self.schema.name!r}, {undefined:.1%} of the labels undefined"
            + ("" if self.mask_root is None else "; with parsing masks")
        )


if TYPE_CHECKING:

    class FaceSource(Protocol):
        """A data set: anything with these two methods can be trained on."""

        def prepare(self) -> None:
            """Make or check the files; called once, before anything is read."""

        def table(self) -> FaceTable:
            """Read what is known about the faces."""

else:

    class FaceSource(ABC):  # noqa: B024  # its hook says what is one
        """A data set: anything with ``prepare()`` and ``table()`` can be trained on, with or without annotations.

        Not a protocol while it runs: configurations would then ask for the annotations of the two methods.
        """

        @classmethod
        def __subclasshook__(cls, other: type) -> bool:
            return all(callable(getattr(other, name, None)) for name in ("prepare", "table"))


def check_source(source: Any) -> FaceSource:
    """Return a source of faces.

    Raises:
        InputError: it lacks ``prepare()`` or ``table()``, or is a class.
    """
    if isinstance(source, type):
        raise InputError(f"a source is built of its folder, such as {source.__name__}(root=...), got the class")
    if lacking := [f"{name}()" for name in ("prepare", "table") if not callable(getattr(source, name, None))]:
        raise InputError(f"a source of faces has prepare() and table(); {type(source).__name__} lacks {lacking[0]}")
    return source


def _first_repeated(names: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
