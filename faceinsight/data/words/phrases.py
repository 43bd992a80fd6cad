"""How a fact about a face is said: as a claim, a denial, a question, or a description of a person.

The words stand in ``phrases.yaml``: patterns for each kind of wording, and the words of each concept. A *concept* is
what can be true or false of a face, whatever a catalog calls it: ``No_Beard`` is the concept ``beard`` turned round.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random

from faceinsight.files import PlainData, plain_yaml

__all__ = [
    "Subject",
    "Wording",
    "asked",
    "concept_of",
    "described",
    "fill",
    "in_words",
    "joined",
    "phrases",
    "sentence",
    "wordings",
]


@dataclass(frozen=True)
class Subject:
    """Who a sentence is about.

    Args:
        words: "the person", "they".
        possessive: "the person's", "their".
        plural: whether the verb is a plural's, as with the singular "they".
    """

    words: str
    possessive: str
    plural: bool = False


@dataclass(frozen=True)
class Wording:
    """One way to speak of a concept.

    Args:
        kind: one of the ``forms`` of ``phrases.yaml``.
        words: what fills the form.
        positive: whether the words say that the concept is true; "female" says that ``male`` is false.
    """

    kind: str
    words: str
    positive: bool


@cache
def phrases() -> PlainData:
    """Return the contents of ``phrases.yaml``."""
    return plain_yaml((resources.files("faceinsight.data.words") / "phrases.yaml").read_text("utf-8"))


@cache
def wordings(concept: str) -> tuple[Wording, ...]:
    """All wordings of a concept, the shortest name of it first.

    >>> [wording.words for wording in wordings("male")]
    ['male', 'a man', 'female', 'a woman']
    """
    entry, kinds = phrases()["concepts"][concept], phrases()["forms"].keys()
    sides = ((entry, True), (entry.get("opposite", {}), False))
    return tuple(
        Wording(kind, str(words), positive)
        for side, positive in sides
        for kind in kinds
        for words in side.get(kind, ())
    )


def concept_of(attribute: str) -> tuple[str, bool]:
    """Return the concept that an attribute of a catalog speaks of, and whether the attribute says that it is true.

    Raises:
        KeyError: no words for the attribute.

    >>> concept_of("Wavy_Hair"), concept_of("No_Beard")
    (('wavy_hair', True), ('beard', False))
    """
    key = attribute.lower().replace(" ", "_")
    name = str(phrases()["attributes"].get(key, key))
    concept = name.removeprefix("not ")
    if concept not in phrases()["concepts"]:
        raise KeyError(f"no words for the attribute {attribute!r}; add them to faceinsight/data/words/phrases.yaml")
    return concept, not name.startswith("not ")


def in_words(wording: Wording, value: bool, subject: Subject, draw: Random) -> str:
    """Return a sentence, without capital and full stop, that says of the subject that the concept is ``value``."""
    form = "claim" if value == wording.positive else "denial"
    return fill(draw.choice(_patterns(wording, form)), wording, subject, draw)


def asked(wording: Wording, subject: Subject, draw: Random) -> str:
    """Return a question whose answer is yes where the concept is ``wording.positive``."""
    patterns, askings = _patterns(wording, "question"), phrases()["askings"]
    if "with" in phrases()["forms"][wording.kind] and not subject.plural and draw.random() < 0.3:
        return f"{draw.choice(askings)} {described(wording, wording.positive, draw)}?"
    return sentence(fill(draw.choice(patterns), wording, subject, draw), end="")


def described(wording: Wording, value: bool, draw: Random) -> str:
    """Return what follows "a person" where the concept is ``value``: "with black hair", "not wearing a hat".

    Raises:
        KeyError: of a picture nothing can follow "a person".
    """
    form = "with" if value == wording.positive else "without"
    return fill(draw.choice(_patterns(wording, form)), wording, Subject("", ""), draw)


def _patterns(wording: Wording, form: str) -> Sequence[str]:
    return phrases()["forms"][wording.kind][form]


def fill(pattern: str, wording: Wording | str, subject: Subject, draw: Random, *, own: bool = False) -> str:
    """Return a pattern of ``phrases.yaml`` with its slots filled and its verbs agreeing with the subject.

    Args:
        own: say whose a part is, "their eyebrows"; else it may also be "the eyebrows".
    """
    words = wording if isinstance(wording, str) else wording.words
    slots: dict[str, str] = {"s": subject.words, "w": words, "bare": re.sub(r"^(a|an|the) ", "", words)}
    slots["of"] = draw.choice([subject.possessive, "the"][: 1 if own else 2]) if "{of}" in pattern else ""
    if "{be}" in pattern:
        slots["n"], slots["be"], slots["w"] = re.split(r" (is|are) ", words, maxsplit=1)
    agreeing = re.sub(r"\[([^|\]]*)\|([^\]]*)\]", r"\2" if subject.plural else r"\1", pattern)
    return agreeing.format_map(slots)


def sentence(text: str, end: str = ".") -> str:
    """``text`` with a capital and an end.

    >>> sentence("they look happy")
    'They look happy.'
    """
    return f"{text[:1].upper()}{text[1:]}{end}"


def joined(parts: Sequence[str], word: str = "and") -> str:
    """Parts as a list in words.

    >>> joined(["has bangs", "is smiling", "wears a hat"])
    'has bangs, is smiling and wears a hat'
    """
    return f" {word} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
