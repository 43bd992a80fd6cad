"""Whose faces the training text is about: attribute sets whose statistics may be shipped.

    drawn               the population of the drawn faces (``faceinsight/data/synthetic/population.py``)
    joined              the same with an age, a gender and a race by FairFace's counts
    fairface, utkface   FairFace's counts of age, gender and race (CC BY 4.0), in either catalog's words
    celeba, maad        a drawn face's attributes as odds, the other ones free, sampled by the catalog's rules
    expw, rafdb, fh37k  the catalog's rules alone

No label of CelebA or of another set of photographs enters, FairFace's counts apart. The regularities are those of
drawn faces and of a sample of photographs; they say nothing about people.
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random

import torch

from faceinsight.data.synthetic.population import face
from faceinsight.data.words import Facts, Population, SchemaWords
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Group, Schema
from faceinsight.modules.constrained import ConstrainedBernoulli

#: Of the drawn faces written about: far from every seed that pictures are drawn with.
DRAWN_SEED = 4_000_000

#: How sure a drawn face's attribute is where a catalog's rules have the last word, as a logit: 1 in 90 turns over.
SURE = 4.5

#: Attributes that a drawn face does not have: logits; the others lie about ``COMMON``.
COMMON = -0.8
ODDS = {"No_Eyewear": 2.5, "Asian": -1.2, "White": -0.4, "Black": -1.2, "Mouth_Closed": 0.5}

#: FairFace's ages that a drawn age may be.
YEARS = {
    "Child": ["3-9", "10-19"],
    "Young_Adult": ["20-29", "30-39"],
    "Middle_Aged": ["40-49", "50-59"],
    "Senior": ["60-69", "more than 70"],
}
UTK_RACES = {"White": "White", "Black": "Black", "East Asian": "Asian", "Southeast Asian": "Asian", "Indian": "Indian"}

#: One combination of attributes in so many is kept from training.
HELD_OUT = 20


@cache
def fairface_counts() -> list[tuple[dict[str, str], int]]:
    """Each age, gender and race, and how many of FairFace's training faces have them."""
    lines = Path(__file__).with_name("fairface_counts.csv").read_text("utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [({name: row[name] for name in ("age", "gender", "race")}, int(row["faces"])) for row in rows]


def populations(*, faces: int, seed: int) -> list[Population]:
    """All populations, ``faces`` faces in each of the large ones."""
    draw = Random(f"populations/{seed}")
    drawn = [dict(face(DRAWN_SEED + seed, 7 * number).attributes) for number in range(faces)]
    people = [cell(draw) for _ in range(faces)]
    both = joined_rules()
    return [
        direct(RuleSet.load("synthfaces"), drawn, 0.32),
        direct(both, [one | placed(one, draw, both.schema) for one in drawn], 0.22),
        direct(RuleSet.load("fairface"), [one_hot("fairface", person) for person in people], 0.12),
        direct(RuleSet.load("utkface"), [one_hot("utkface", as_utkface(person)) for person in people], 0.04),
        by_rules("celeba", drawn, 0.14, seed),
        by_rules("maad", drawn, 0.07, seed),
        by_rules("expw", [{}] * 200, 0.02, seed),
        by_rules("rafdb", [{}] * 200, 0.02, seed),
        by_rules("fh37k", [{}] * faces, 0.05, seed, spread=2.0),
    ]


def split(found: Iterable[Population], *, held_out: bool) -> list[Population]:
    """Return the populations with only the faces whose combination of attributes is held out of training, or is not."""
    parts = [(each, [facts for facts in each.faces if is_held_out(facts) == held_out]) for each in found]
    return [Population(each.words, faces, each.weight) for each, faces in parts if faces]


def is_held_out(facts: Facts) -> bool:
    """Whether no training text is written about a face with just these facts.

    A single expression or the like is no combination: nothing would be left to learn it from.
    """
    told = ",".join(f"{name}={facts[name]}" for name in sorted(facts))
    number = int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big")
    return sum(facts.values()) > 1 and number % HELD_OUT == 0


def direct(rules: RuleSet, faces: Iterable[Mapping[str, bool]], weight: float) -> Population:
    """Attribute sets as they are."""
    words = SchemaWords.of(rules)
    return Population(words, [words.facts(attributes) for attributes in faces], weight)


def by_rules(
    name: str, hints: Sequence[Mapping[str, bool]], weight: float, seed: int, spread: float = 1.0
) -> Population:
    """Exact samples of a catalog's rules; where a hint speaks of an attribute, it nearly always comes true."""
    rules = RuleSet.load(name)
    generator = torch.Generator().manual_seed(seed)
    middle = torch.tensor([ODDS.get(each, COMMON) for each in rules.schema.names])
    logits = middle + spread * torch.randn(len(hints), len(middle), generator=generator)
    for row, hint in enumerate(hints):
        for column, each in enumerate(rules.schema.names):
            if each in hint:
                logits[row, column] = SURE if hint[each] else -SURE
    shown = ConstrainedBernoulli(logits=logits, rules=rules).sample(generator=generator) > 0.5
    return direct(rules, [dict(zip(rules.schema.names, row, strict=True)) for row in shown.tolist()], weight)


def cell(draw: Random, **known: Sequence[str]) -> dict[str, str]:
    """Return an age, a gender and a race as often as FairFace has them, among those of which something is ``known``."""
    cells = [each for each in fairface_counts() if all(each[0][name] in values for name, values in known.items())]
    return draw.choices([person for person, _ in cells], [count for _, count in cells])[0]


def placed(drawn: Mapping[str, bool], draw: Random, schema: Schema) -> dict[str, bool]:
    """FairFace's attributes for a drawn face, of its apparent gender and age."""
    (age,) = [name for name in YEARS if drawn[name]]
    found = cell(draw, age=YEARS[age], gender=["Male" if drawn["Male"] else "Female"])
    return one_hot("fairface", found)


def as_utkface(person: Mapping[str, str]) -> dict[str, str]:
    """FairFace's groups in UTKFace's words."""
    return {**person, "race": UTK_RACES.get(person["race"], "Others")}


def one_hot(catalog: str, person: Mapping[str, str]) -> dict[str, bool]:
    """Return the attributes of a catalog of groups: true for the person's age, gender and race."""
    return {name: name in person.values() for name in names_of(catalog)}


@cache
def names_of(catalog: str) -> tuple[str, ...]:
    """Return a catalog's attributes."""
    return Schema.load(catalog).names


def joined_rules() -> RuleSet:
    """Return the drawn faces' schema with FairFace's age, gender and race, and the rules of both."""
    drawn, photographed = RuleSet.load("synthfaces"), RuleSet.load("fairface")
    more = [each for each in photographed.schema.attributes if each.name not in drawn.schema]
    groups = dict(drawn.schema.groups)
    for name, group in photographed.schema.groups.items():
        called = name if name not in groups else f"{name}_in_years"
        groups[called] = Group(called, group.kind, group.labels, group.years)
    schema = Schema("synthfaces and fairface", (*drawn.schema.attributes, *more), groups)
    return RuleSet(schema, (*drawn.rules, *photographed.rules))
