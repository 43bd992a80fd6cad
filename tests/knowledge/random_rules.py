"""Random rule sets over a few attributes, with their faces found by looking at every one."""

import random
from itertools import product

from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["a", "b", "c", "d", "e", "f", "g"])
Face = tuple[bool, ...]


def random_rules(seed: int) -> RuleSet:
    """One to eight rules of every connective; some sets are contradictory."""
    draw = random.Random(seed)
    return RuleSet.parse("\n".join(_rule(draw) for _ in range(draw.randint(1, 8))), SCHEMA)


def consistent_faces(rules: RuleSet) -> list[Face]:
    """Every face that satisfies all rules, written as Python and evaluated by Python."""
    sentences = [_as_python(text) for text in rules.texts]
    faces = product([False, True], repeat=len(SCHEMA))
    return [face for face in faces if all(eval(each, _counting(), _named(face)) for each in sentences)]


def _named(face: Face) -> dict[str, object]:
    return dict(zip(SCHEMA.names, face, strict=True))


def _counting() -> dict[str, object]:
    return {
        "at_least_one": lambda *each: sum(each) >= 1,
        "at_most_one": lambda *each: sum(each) <= 1,
        "exactly_one": lambda *each: sum(each) == 1,
    }


def _as_python(text: str) -> str:
    for arrow, comparison in ((" <-> ", "=="), (" -> ", "<=")):  # False <= True: an implication
        if arrow in text:
            left, right = text.split(arrow)
            return f"bool({left}) {comparison} bool({right})"
    return text


def _literal(draw: random.Random, name: str) -> str:
    return draw.choice([name, f"not {name}"])


def _rule(draw: random.Random) -> str:
    names = draw.sample(SCHEMA.names, draw.randint(2, 5))
    literals = [_literal(draw, name) for name in names]
    match draw.randint(0, 3):
        case 0:
            return f"{literals[0]} -> {draw.choice([' and ', ' or ']).join(literals[1:])}"
        case 1:
            return f"{literals[0]} <-> {draw.choice([' and ', ' or ']).join(literals[1:])}"
        case 2:
            return f"{draw.choice(['exactly_one', 'at_most_one', 'at_least_one'])}({', '.join(literals)})"
    return " or ".join(literals)
