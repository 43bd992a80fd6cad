"""A text while it is written, and when it is finished."""

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from faceinsight.data.words.facts import Facts, SchemaWords

__all__ = ["Answer", "Draft", "Style", "Text", "Why"]

#: Why a yes or no is right: the text says so before, it follows by the rules, or it is just so of this face.
Why = Literal["stated", "implied", "regular"]


@dataclass(frozen=True)
class Answer:
    """A yes or no in a text.

    Args:
        start: the place of its first character, a space before it included.
        yes: how yes is spelled here: "Yes", "yes" or " yes".
        no: how no is.
        value: whether it is yes.
        why: what it follows from.
        concept: what was asked about; "not male" where the question asks for the opposite.
    """

    start: int
    yes: str
    no: str
    value: bool
    why: Why
    concept: str


@dataclass(frozen=True)
class Text:
    """A text, the kind that it is of, the yes and no in it, and the faces it was written from."""

    kind: str
    text: str
    answers: tuple[Answer, ...]
    faces: tuple[Facts, ...]


@dataclass(frozen=True)
class Style:
    """How questions and answers are laid out: ``before`` the question, ``between`` it and yes or no."""

    before: str
    between: str
    yes: str
    no: str

    @property
    def before_sentence(self) -> str:
        """What stands between a question and an answer that is a sentence."""
        return self.between if self.between.endswith("\n") else f"{self.between} "


@dataclass
class Draft:
    """A text while it is written.

    Args:
        words: of the schema that the faces' facts were made with.
        faces: one face, or two for a comparison.
        draw: every random choice.
    """

    words: SchemaWords
    faces: tuple[Facts, ...]
    draw: Random
    text: str = ""
    answers: list[Answer] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.text += text

    def answer(self, style: Style, value: bool, why: Why, concept: str) -> None:
        """Yes or no, in the spelling of a style."""
        self.answers.append(Answer(len(self.text), style.yes, style.no, value, why, concept))
        self.text += style.yes if value else style.no
