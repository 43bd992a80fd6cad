"""Facts about a face as a description in sentences."""

from random import Random

from faceinsight.data.words.facts import Facts
from faceinsight.data.words.phrases import (
    Subject,
    Wording,
    described,
    in_words,
    joined,
    phrases,
    sentence,
    wordings,
)

__all__ = ["THE_PERSON", "chosen", "claims", "describe", "fitting", "pick", "subject_for"]

THE_PERSON = Subject("the person", "the person's")

#: Who a description is about as long as the apparent gender is not mentioned.
SUBJECTS = (THE_PERSON, Subject("this person", "this person's"), Subject("they", "their", plural=True))

#: After the apparent gender is mentioned.
PRONOUNS = {True: Subject("he", "his"), False: Subject("she", "her")}


def subject_for(facts: Facts, draw: Random) -> Subject:
    """Who a text is about: a pronoun of the apparent gender only where the facts have it."""
    return PRONOUNS[facts["male"]] if "male" in facts and draw.random() < 0.5 else draw.choice(SUBJECTS)


def fitting(concept: str, facts: Facts) -> list[Wording]:
    """Return the wordings of a concept; of a bald head it is not said what its hair is like."""
    hairless = bool(facts.get("bald"))
    return [each for each in wordings(concept) if not (hairless and each.words.startswith("hair is"))]


def pick(concept: str, facts: Facts, draw: Random) -> Wording:
    """Any of the wordings that fit."""
    return draw.choice(fitting(concept, facts))


def chosen(facts: Facts, draw: Random, most: int = 8) -> dict[str, bool]:
    """Return some facts, as a person would choose them: rather what there is than what there is not."""
    sides = ([name for name, value in facts.items() if value is side] for side in (True, False))
    there, absent = (draw.sample(names, len(names)) for names in sides)
    count = draw.randint(2, most)
    split = count - sum(draw.random() < 0.3 for _ in range(count))
    names = [*there[:split], *absent[: count - min(split, len(there))]]
    draw.shuffle(names)
    if draw.random() < 0.5:  # in the order of a face rather than as they come to mind
        names.sort(key=[*phrases()["concepts"]].index)
    return {name: facts[name] for name in names}


def describe(facts: Facts, subject: Subject, draw: Random, *, opening: bool = True) -> str:
    """All of the facts in sentences; a person called "he" or "she" is described as a man or a woman first.

    >>> describe({"bald": True, "smiling": False}, THE_PERSON, Random(1))
    'A person who is bald-headed. The person has no smile on the face.'
    """
    names = [*facts]
    sentences: list[str] = []
    modifiers: list[str] = []
    pronoun = subject in PRONOUNS.values()
    if opening and (pronoun or draw.random() < 0.6):
        names.sort(key=lambda name: name != "male" or not pronoun)
        for name in names[: draw.randint(1, 4)]:
            wording = pick(name, facts, draw)
            if wording.kind != "picture":
                modifiers.append(described(wording, facts[name], draw))
                names.remove(name)
        if modifiers:
            sentences.append(sentence(f"{draw.choice(phrases()['openings'])} {joined(sorted(modifiers, key=place))}"))
    while names:
        share = draw.randint(1, 3)
        sentences.append(claims({name: facts[name] for name in names[:share]}, facts, subject, draw))
        names = names[share:]
    return " ".join(sentences)


def place(modifier: str) -> int:
    """Return a modifier's place among others: with what, wearing what, who."""
    return {"with": 0, "without": 0, "wearing": 1, "not": 1}.get(modifier.split(" ", 1)[0], 2)


def claims(some: Facts, facts: Facts, subject: Subject, draw: Random) -> str:
    """Return some of the facts as one sentence or two.

    >>> claims({"bangs": True, "smiling": True}, {}, THE_PERSON, Random(0))
    'The person is shown with bangs over the forehead and is shown with a smile.'
    """
    found = [in_words(pick(name, facts, draw), value, subject, draw) for name, value in some.items()]
    start = f"{subject.words} "
    predicates = [each.removeprefix(start) for each in found if each.startswith(start)]
    others = [each for each in found if not each.startswith(start)]
    parts = [*([start + joined(predicates)] if predicates else []), *([joined(others)] if others else [])]
    return " ".join(sentence(each) for each in parts)
