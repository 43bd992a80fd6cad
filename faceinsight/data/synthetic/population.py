"""Who the drawn faces are: a small causal model from a person to the attributes of one picture.

A *person* (an identity) has a sex, an age, a skin tone, a skull and habits; a *face* is one picture of a person, with
an expression, accessories and a pose. The regularities (make-up mostly on women, ties and beards mostly on men, grey
hair mostly on seniors) imitate the label statistics of celebrity photographs such as CelebA. They say nothing about
people, and every rare pairing still occurs. Our choice throughout.

Face ``i`` of seed ``s`` depends on ``(s, i)`` alone, never on how many faces are made or by which process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng

__all__ = ["ATTRIBUTES", "Face", "Person", "Split", "face", "identity_of", "person", "split_of"]

Split = Literal["train", "val", "test"]

EXPRESSIONS = ("Neutral", "Happy", "Surprised", "Sad", "Angry")
AGES = {"Child": (5, 17), "Young_Adult": (18, 39), "Middle_Aged": (40, 59), "Senior": (60, 85)}
HAIR_COLOURS = {"black": "Black_Hair", "blond": "Blond_Hair", "brown": "Brown_Hair", "gray": "Gray_Hair"}
BEARDS = ("none", "light", "heavy", "mustache", "goatee", "circle", "sideburns", "full", "strap")

#: Every attribute of a drawn face, in the order of the label file. CelebA's word wherever the meaning is CelebA's.
ATTRIBUTES = (
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Pale_Skin",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
    *EXPRESSIONS,
    *AGES,
)

#: 10 identities in turn: 7 train, 1 val, 2 test. The first three already fill every split, so small sets have all.
_SPLITS: tuple[Split, ...] = (
    "train",
    "test",
    "val",
    "train",
    "train",
    "train",
    "test",
    "train",
    "train",
    "train",
)


@dataclass(frozen=True)
class Person:
    """One identity: everything that does not change between two pictures.

    Args:
        identity: its number, from 0.
        male: drawn with the male shape statistics.
        age: one of ``AGES``; ``years`` lies in its range.
        skin: 0 (very light) to 1 (very dark), independent of everything else.
        hair: black, brown, blond, gray or other (red and dyed).
        texture: straight, wavy or plain.
        length: 0 none (bald), 1 short, 2 to the chin, 3 past the shoulders.
        beard: the usual facial hair, one of ``BEARDS``.
        habits: probability of each accessory or make-up in a picture.
        trait: strength of each continuous feature in standard deviations; attributes are thresholds on these.
        shape: standard normal numbers for the geometry of head and features.
        seed: of the details that the person keeps (freckles, iris, strands' phase).
    """

    identity: int
    male: bool
    age: str
    years: int
    skin: float
    hair: str
    texture: str
    length: int
    receding: bool
    bangs: bool
    beard: str
    habits: Mapping[str, float]
    trait: Mapping[str, float]
    shape: Mapping[str, float]
    seed: int


@dataclass(frozen=True)
class Face:
    """One picture of a person: attribute values, and the seed of everything that is drawn at random."""

    index: int
    person: Person
    attributes: Mapping[str, bool]
    expression: str
    beard: str
    length: int
    seed: int

    def __getitem__(self, name: str) -> bool:
        return self.attributes[name]


def identity_of(index: int) -> int:
    """Return the identity of face ``index``: runs of three and four faces in turn.

    >>> [identity_of(i) for i in range(8)]
    [0, 0, 0, 1, 1, 1, 1, 2]
    """
    return 2 * (index // 7) + (index % 7 >= 3)


def split_of(identity: int) -> Split:
    """70 % of the identities train, 10 % validate, 20 % test.

    >>> [split_of(i) for i in range(4)]
    ['train', 'test', 'val', 'train']
    """
    return _SPLITS[identity % 10]


#: Streams of random numbers: one per person, one per face.
_PERSON, _FACE = 11, 1


def _stream(seed: int, kind: int, number: int) -> Generator:
    return default_rng(SeedSequence([seed, kind, number]))


def _pick(rng: Generator, odds: Mapping[str, float | int]) -> str:
    weights = np.array(list(odds.values()), dtype=float)
    return list(odds)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _traits(rng: Generator, male: bool, age: str, skin: float) -> dict[str, float]:
    """Continuous features, pushed a little away from the thresholds so that every label can be seen."""
    old = {"Child": -0.6, "Young_Adult": 0.0, "Middle_Aged": 0.5, "Senior": 1.0}[age]
    weight = rng.normal() + 0.25 * old
    value = {
        "Arched_Eyebrows": rng.normal() + (-0.3 if male else 0.4) - 0.75,
        "Bags_Under_Eyes": rng.normal() + 0.8 * old - 1.1,
        "Big_Lips": rng.normal() - 0.85,
        "Big_Nose": rng.normal() + 0.3 * old + (0.4 if male else -0.3) - 1.0,
        "Bushy_Eyebrows": rng.normal() + (0.5 if male else -0.5) - 1.1,
        "Chubby": weight - 1.45,
        "Double_Chin": 0.75 * weight + 0.66 * rng.normal() + 0.3 * old - 1.6,
        "Narrow_Eyes": rng.normal() - 1.15,
        "Pale_Skin": 10.0 * (0.07 - skin),
    }
    return {name: float(np.clip(strength + 0.3 * np.sign(strength), -2.5, 2.5)) for name, strength in value.items()}


def _hair(rng: Generator, male: bool, age: str) -> dict[str, object]:
    gray = {"Child": 0.0, "Young_Adult": 0.015, "Middle_Aged": 0.16, "Senior": 0.68}[age]
    bald = {"Child": 0.004, "Young_Adult": 0.03, "Middle_Aged": 0.13, "Senior": 0.24}[age] if male else 0.008
    thin = {"Child": 0.0, "Young_Adult": 0.06, "Middle_Aged": 0.26, "Senior": 0.38}[age] * (1.0 if male else 0.15)
    blond = 0.15 if male else 0.27
    odds = {"black": 0.33, "brown": 0.34, "blond": blond, "other": 0.1}
    colour = "gray" if rng.random() < gray else _pick(rng, odds)
    length = int(rng.choice(3, p=(0.84, 0.11, 0.05) if male else (0.14, 0.32, 0.54))) + 1
    if rng.random() < bald:
        length = 0
    receding = bool(length and rng.random() < thin)
    texture = _pick(rng, {"straight": 0.36, "wavy": 0.26 if male else 0.42, "plain": 0.38 if male else 0.22})
    fringe = (0.3 if age == "Child" else 0.1) if male else 0.27
    bangs = bool(length and not receding and rng.random() < fringe)
    return {"hair": colour, "length": length, "receding": receding, "texture": texture, "bangs": bangs}


def _usual_beard(rng: Generator, male: bool, age: str) -> str:
    if age == "Child":
        return "none"
    if not male:
        return "none" if rng.random() > 0.012 else _pick(rng, {"light": 1, "mustache": 1, "full": 0.5})
    odds = (0.42, 0.09, 0.12, 0.06, 0.06, 0.06, 0.05, 0.10, 0.04)
    return _pick(rng, dict(zip(BEARDS, odds, strict=True)))


def _habits(rng: Generator, male: bool, age: str) -> dict[str, float]:
    """How often this person is photographed so; drawn once per person, so pictures of one person agree."""
    child, adult = age == "Child", age != "Child"
    often = {
        "Eyeglasses": {"Child": 0.06, "Young_Adult": 0.08, "Middle_Aged": 0.16, "Senior": 0.34}[age],
        "Heavy_Makeup": 0.012 if male else (0.05 if child else 0.56),
        "Wearing_Earrings": 0.035 if male else (0.12 if child else 0.34),
        "Wearing_Hat": 0.09 if male else 0.06,
        "Wearing_Necktie": 0.16 * adult if male else 0.006,
    }
    return {name: float(rng.beta(1.2 * rate, 1.2 * (1 - rate))) if rate else 0.0 for name, rate in often.items()}


def person(seed: int, identity: int) -> Person:
    """Return the person number ``identity`` of the population ``seed``."""
    rng = _stream(seed, _PERSON, identity)
    male = bool(rng.random() < 0.46)
    age = _pick(rng, {"Child": 0.08, "Young_Adult": 0.5, "Middle_Aged": 0.27, "Senior": 0.15})
    first, last = AGES[age]
    skin = float(rng.random())
    hair = _hair(rng, male, age)
    names = (
        "width",
        "length",
        "jaw",
        "chin",
        "eyes",
        "eye_size",
        "tilt",
        "brow",
        "nose",
        "mouth",
        "ears",
        "iris",
        "hue",
    )
    return Person(
        identity=identity,
        male=male,
        age=age,
        years=int(rng.integers(first, last + 1)),
        skin=skin,
        beard=_usual_beard(rng, male, age),
        habits=_habits(rng, male, age),
        trait=_traits(rng, male, age, skin),
        shape={name: float(np.clip(rng.normal(), -2.2, 2.2)) for name in names},
        seed=int(rng.integers(2**31)),
        **hair,  # type: ignore[arg-type]
    )


def _expression(rng: Generator, male: bool) -> tuple[str, bool, bool]:
    """Expression, smiling, mouth open."""
    odds = dict(zip(EXPRESSIONS, (0.36, 0.30 if male else 0.42, 0.09, 0.08, 0.09), strict=True))
    mood = _pick(rng, odds)
    smiling = mood == "Happy" or rng.random() < {"Neutral": 0.14, "Surprised": 0.15}.get(mood, 0.0)
    ajar = {"Neutral": 0.14, "Happy": 0.7, "Surprised": 0.93, "Sad": 0.12, "Angry": 0.3}[mood]
    return mood, bool(smiling), bool(rng.random() < ajar)


def _dress(rng: Generator, who: Person) -> dict[str, bool]:
    """Make-up and accessories of one picture."""
    worn = {name: bool(rng.random() < rate) for name, rate in who.habits.items()}
    heavy, child = worn["Heavy_Makeup"], who.age == "Child"
    lips = 0.9 if heavy else (0.008 if who.male else (0.06 if child else 0.24))
    rosy = 0.2 if heavy else (0.14 if child else 0.035)
    worn["Wearing_Lipstick"] = bool(rng.random() < lips)
    worn["Rosy_Cheeks"] = bool(rng.random() < rosy)
    worn["Wearing_Necklace"] = bool(rng.random() < (0.025 if who.male else (0.32 if heavy else 0.17)))
    return worn


def _hair_labels(who: Person, length: int, hat: bool, bangs: bool) -> dict[str, bool]:
    """Hair attributes as far as a picture shows them: under a hat nobody is seen to be bald or to recede."""
    shown = length > 0
    visible = shown and not (hat and length == 1)  # short hair under a hat shows its colour, not its waves
    labels = {label: shown and who.hair == colour for colour, label in HAIR_COLOURS.items()}
    return labels | {
        "Bald": not shown and not hat,
        "Bangs": bangs and shown,
        "Receding_Hairline": who.receding and shown and not hat,
        "Straight_Hair": visible and who.texture == "straight",
        "Wavy_Hair": visible and who.texture == "wavy",
    }


def _beard_labels(beard: str) -> dict[str, bool]:
    return {
        "5_o_Clock_Shadow": beard in {"light", "heavy"},
        "Goatee": beard in {"goatee", "circle", "full"},
        "Mustache": beard in {"mustache", "circle", "full"},
        "Sideburns": beard in {"sideburns", "full"},
        "No_Beard": beard in {"none", "light"},
    }


def face(seed: int, index: int) -> Face:
    """Face ``index`` of the population ``seed``: a person and everything that one picture of them shows.

    >>> someone = face(0, 5)
    >>> someone.person.identity, face(0, 5) == someone
    (1, True)
    """
    who = person(seed, identity_of(index))
    rng = _stream(seed, _FACE, index)
    mood, smiling, ajar = _expression(rng, who.male)
    worn = _dress(rng, who)
    hat = worn["Wearing_Hat"]
    fringe = who.bangs if rng.random() > 0.12 else not who.bangs and not who.male
    bangs = fringe and not who.receding and (not hat or rng.random() < 0.15)
    beard = (
        who.beard if rng.random() > 0.2 or not (who.male and who.age != "Child") else _usual_beard(rng, True, who.age)
    )
    length = who.length
    if length > 1 and rng.random() < 0.15:  # tied back, or let down
        length = 5 - length
    values = (
        worn
        | _hair_labels(who, length, hat, bangs)
        | _beard_labels(beard)
        | {name: strength > 0 for name, strength in who.trait.items()}
        | {mood_: mood_ == mood for mood_ in EXPRESSIONS}
        | {age: age == who.age for age in AGES}
        | {"Male": who.male, "Smiling": smiling, "Mouth_Slightly_Open": ajar, "Blurry": bool(rng.random() < 0.06)}
        | {"Young": who.age in {"Child", "Young_Adult"}}
    )
    attributes = {name: bool(values[name]) for name in ATTRIBUTES}
    return Face(index, who, attributes, mood, beard, length, int(rng.integers(2**31)))
