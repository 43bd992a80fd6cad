"""A face that is a box in its picture, said in the face's name as the web says a part of a picture.

``party.jpg#xywh=40,20,64,64`` is the part of ``party.jpg`` that begins 40 pixels from the left and 20 from the top and
is 64 wide and 64 high. So each face of a picture has a name of its own, which tables, predictions and cached features
keep as they keep a file's.

Source: Media Fragments URI 1.0, W3C Recommendation 2012, section 4.2.2. Unlike there, a box may begin outside its
picture, as detectors' boxes do.
"""

import re
from dataclasses import dataclass

from faceinsight.errors import InputError

__all__ = ["Edges", "FaceBox", "file_and_box"]

#: Left, upper, right, lower edge in pixels.
Edges = tuple[int, int, int, int]

FRAGMENT = re.compile(r"(?P<file>.+)#xywh=(?P<numbers>-?\d+,-?\d+,\d+,\d+)")


@dataclass(frozen=True)
class FaceBox:
    """Where a face is in its picture, in pixels.

    Args:
        left: of the box's left edge.
        top: of its upper edge.
        width: at least 1.
        height: at least 1.

    Raises:
        InputError: nothing is in the box.

    >>> box = FaceBox(left=40, top=20, width=64, height=64)
    >>> box.name_in("party.jpg")
    'party.jpg#xywh=40,20,64,64'
    >>> box.edges(), box.edges(margin=0.25)
    ((40, 20, 104, 84), (24, 4, 120, 100))
    """

    left: int
    top: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"a face's box is at least 1 pixel wide and high, got {self}")

    def edges(self, margin: float = 0.0) -> Edges:
        """Return the box with a margin on each side, a share of its longer side; it may reach beyond the picture."""
        more = round(margin * max(self.width, self.height))
        return self.left - more, self.top - more, self.left + self.width + more, self.top + self.height + more

    def name_in(self, file: str) -> str:
        """Return the name of the face that is this box of ``file``."""
        return f"{file}#xywh={self.left},{self.top},{self.width},{self.height}"


def file_and_box(name: str) -> tuple[str, FaceBox | None]:
    """Return a face's file, and its box there; None where it is the whole picture.

    >>> file_and_box("party.jpg#xywh=40,20,64,64")
    ('party.jpg', FaceBox(left=40, top=20, width=64, height=64))
    >>> file_and_box("portrait.jpg")
    ('portrait.jpg', None)
    """
    if (found := FRAGMENT.fullmatch(name)) is None:
        return name, None
    return found["file"], FaceBox(*map(int, found["numbers"].split(",")))
