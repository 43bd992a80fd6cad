"""The kinds of text, from a description to what no photograph shows."""

from collections.abc import Callable, Iterable

from faceinsight.data.words.description import chosen, claims, describe, fitting, pick, subject_for
from faceinsight.data.words.draft import Draft, Style, Why
from faceinsight.data.words.facts import Facts
from faceinsight.data.words.phrases import (
    Subject,
    Wording,
    asked,
    described,
    fill,
    in_words,
    phrases,
    sentence,
)

__all__ = ["KINDS"]

FIRST, SECOND = Subject("the first person", "the first person's"), Subject("the second person", "the second person's")
BOTH, NEITHER = Subject("both of them", "their", plural=True), Subject("neither of them", "their")

#: How questions and their yes or no are laid out, and how often.
STYLES = {
    Style("", "\n", "Yes", "No"): 5,
    Style("", "\n", "yes", "no"): 2,
    Style("Question: ", "\nAnswer:", " yes", " no"): 2,
    Style("Q: ", " A:", " yes", " no"): 1,
}


def description(draft: Draft) -> None:
    """Write some of what a face shows."""
    some = chosen(draft.faces[0], draft.draw, most=10)
    draft.add(describe(some, subject_for(some, draft.draw), draft.draw))


def interview(draft: Draft) -> None:
    """Write a description, and questions with yes or no.

    What is asked though it is not mentioned is chosen before the description and whatever the answer is, and the
    description leaves it out: from its silence nothing follows, so these answers have the population's own odds.
    """
    facts, draw = draft.faces[0], draft.draw
    asides = draw.sample([*facts], draw.randint(1, min(3, len(facts))))
    known = introduced(draft, asides)
    subject = subject_for(known, draw)
    implied = draft.words.implied(known)
    concepts = [*asides, *balanced(known, draft, 3), *balanced(implied, draft, 2)]
    names = draw.sample(sorted({*concepts} & facts.keys()), len({*concepts} & facts.keys()))
    style, explained = styled(draft), draw.random() < 0.2
    for name in names:
        ask(draft, name, facts, known, subject, style, explained)
        known[name] = facts[name]
    if draw.random() < 0.15:
        draft.add(f"{style.before}{unseen_question(draft, subject)}{style.before_sentence}")
        draft.add(draw.choice(phrases()["unseen"]["answers"]))
    draft.text = draft.text.rstrip()


def introduced(draft: Draft, left_out: Iterable[str], rate: float = 0.85) -> dict[str, bool]:
    """Describe the face except what is left out, now and then not at all, and return what was said."""
    facts, draw = draft.faces[0], draft.draw
    some = chosen({name: value for name, value in facts.items() if name not in {*left_out}}, draw)
    if draw.random() > rate or not some:
        return {}
    draft.add(describe(some, subject_for(some, draw), draw) + "\n")
    return some


def balanced(facts: Facts, draft: Draft, most: int) -> list[str]:
    """Up to ``most`` of the facts, the true and the false equally often where there are both."""
    draw = draft.draw
    sides = [draw.sample(names, len(names)) for names in
             ([name for name, value in facts.items() if value is side] for side in (True, False))]  # fmt: skip
    found: list[str] = []
    for _ in range(draw.randint(0, most)):
        side = draw.choice([each for each in sides if each] or [[]])
        found += [side.pop()] if side else []
    return found


def styled(draft: Draft) -> Style:
    (style,) = draft.draw.choices([*STYLES], [*STYLES.values()])
    return style


def ask(
    draft: Draft, name: str, facts: Facts, known: Facts, subject: Subject, style: Style, explained: bool = False
) -> None:
    """One question and its yes or no."""
    wording = pick(name, facts, draft.draw)
    draft.add(style.before + asked(wording, subject, draft.draw) + style.between)
    answered(draft, wording, name, facts, known, style)
    draft.add(f", {in_words(wording, facts[name], subject, draft.draw)}.\n" if explained else "\n")


def answered(draft: Draft, wording: Wording, name: str, facts: Facts, known: Facts, style: Style) -> None:
    """Write the yes or no alone, with why it is right."""
    why: Why = "stated" if name in known else "implied" if name in draft.words.implied(known) else "regular"
    draft.answer(style, facts[name] == wording.positive, why, asked_about(name, wording))


def asked_about(name: str, wording: Wording) -> str:
    return name if wording.positive else f"not {name}"


def recall(draft: Draft) -> None:
    """Write a few facts, true and false as often, and one question about each: what was said can be found again."""
    facts, draw = draft.faces[0], draft.draw
    names = balanced(facts, draft, 4) or [draw.choice([*facts])]
    known = {name: facts[name] for name in names}
    subject = subject_for(known, draw)
    draft.add(describe(known, subject, draw) + "\n")
    style = styled(draft)
    for name in draw.sample(names, len(names)):
        ask(draft, name, facts, known, subject, style)
    draft.text = draft.text.rstrip()


def checklist(draft: Draft) -> None:
    """Phrases as the catalogs have them, each with yes or no."""
    facts, draw = draft.faces[0], draft.draw
    asides = draw.sample([*facts], draw.randint(1, min(3, len(facts))))
    known = introduced(draft, asides)
    names = [*asides, *balanced(known, draft, 5)]
    draw.shuffle(names)
    style = Style("", ":", " yes", " no")
    for name in names:
        wording = pick(name, facts, draw)
        phrase = wording.words if wording.kind == "picture" else described(wording, wording.positive, draw)
        draft.add(f"{phrase}{style.between}")
        answered(draft, wording, name, facts, known, style)
        draft.add("\n")
        known[name] = facts[name]
    draft.text = draft.text.rstrip()


def choice(draft: Draft) -> None:
    """Write a question with lettered answers, one of which is right."""
    facts, draw = draft.faces[0], draft.draw
    groups = [each for each in draft.words.choices if all(name in facts for name, _ in each.options)]
    group = draw.choice(groups) if groups and draw.random() < 0.7 else None
    names = [name for name, _ in group.options] if group else []
    introduced(draft, names if draw.random() < 0.5 else (), rate=0.75 if group else 1.0)
    if group is None:
        options = any_options(draft)
    else:
        right = [option for option in group.options if facts[option[0]] is option[1]]
        wrong = [option for option in group.options if option not in right]
        options = [(option_words(draft, *each), each in right) for each in
                   (right[:1] + draw.sample(wrong, min(len(wrong), 4 - len(right[:1]))))]  # fmt: skip
        if not right:
            options.append(("none of these", True))
    questions = phrases()["choice_questions"]
    question = draw.choice(questions[group.name if group and group.name in questions else "any"])
    lettered(draft, question, draw.sample(options, len(options)))


def any_options(draft: Draft) -> list[tuple[str, bool]]:
    """Three or four phrases about anything, the first of which is true."""
    facts, draw = draft.faces[0], draft.draw
    names = draw.sample([*facts], min(len(facts), draw.randint(3, 4)))
    return [
        (option_words(draft, name, facts[name] if number == 0 else not facts[name]), number == 0)
        for number, name in enumerate(names)
    ]


def option_words(draft: Draft, name: str, value: bool) -> str:
    """Return a fact as a short phrase: "black hair", "female", "not wearing a hat"."""
    found = fitting(name, draft.faces[0])
    wording = draft.draw.choice([each for each in found if each.positive is value] or found)
    if wording.kind == "picture":
        return wording.words if value == wording.positive else f"not {wording.words}"
    if value == wording.positive and wording.kind not in ("part", "parts") and draft.draw.random() < 0.6:
        return wording.words
    return described(wording, value, draft.draw)


def lettered(draft: Draft, question: str, options: list[tuple[str, bool]]) -> None:
    """Write the question, its options, and the letter of the right one."""
    draw = draft.draw
    mark = draw.choice(["{}. ", "({}) ", "{}) ", "{}: "])
    between = draw.choice(["\n", "\n", " "])
    lines = [f"{mark.format(letter)}{text}" for letter, (text, _) in zip("ABCDE", options, strict=False)]
    letter = "ABCDE"[[right for _, right in options].index(True)]
    draft.add(between.join([question, *lines]) + f"\nAnswer: {draw.choice(['{}', '({})']).format(letter)}")


def open_question(draft: Draft) -> None:
    """Write a question about one part of the face, answered in a sentence."""
    facts, draw = draft.faces[0], draft.draw
    topics = {name: phrases()["concepts"][name]["topic"] for name in facts}
    topic = draw.choice(sorted({*topics.values()}))
    there = [name for name in facts if topics[name] == topic and facts[name]]
    names = there or draw.sample(about := [name for name in facts if topics[name] == topic], min(2, len(about)))
    known = introduced(draft, names if draw.random() < 0.3 else ())
    subject = subject_for(known, draw)
    style = styled(draft)
    draft.add(f"{style.before}{draw.choice(phrases()['open_questions'][topic])}{style.before_sentence}")
    draft.add(claims({name: facts[name] for name in names[:4]}, facts, subject, draw))


def comparison(draft: Draft) -> None:
    """Two faces, what they share and how they differ."""
    draw, (one, two) = draft.draw, draft.faces
    shared = [name for name in one if name in two and (one[name] or two[name])]
    names = draw.sample(shared, min(len(shared), draw.randint(2, 5)))
    for face, who, label in ((one, FIRST, "First"), (two, SECOND, "Second")):
        draft.add(f"{label}: " + describe({name: face[name] for name in names}, who, draw, opening=False) + "\n")
    style = styled(draft)
    for name in draw.sample(names, min(len(names), draw.randint(1, 3))):
        compare(draft, name, one, two, style)
    draft.text = draft.text.rstrip()


def compare(draft: Draft, name: str, one: Facts, two: Facts, style: Style) -> None:
    """One question about both, or one sentence."""
    draw = draft.draw
    wording = pick(name, {"bald": one.get("bald", False) or two.get("bald", False)}, draw)
    values = one[name] == wording.positive, two[name] == wording.positive
    form = draw.choice(["which", "one"] if wording.kind == "looks_like" else ["which", "one", "summary", "both"])
    if form == "one" or wording.kind in ("part", "parts", "picture"):
        face, who = draw.choice([(one, FIRST), (two, SECOND)])
        if wording.kind != "picture":
            ask_both(draft, wording, who, face[name] == wording.positive, style, name)
    elif form == "both":
        ask_both(draft, wording, BOTH, all(values), style, name)
    elif form == "which":
        which = in_words(wording, wording.positive, Subject("which of the two", "whose"), draw)
        answer = {(True, True): "Both of them.", (False, False): "Neither of them."}.get(
            values, f"The {'first' if values[0] else 'second'} person."
        )
        draft.add(f"{style.before}{sentence(which, '?')}{style.before_sentence}{answer}\n")
    else:
        only = FIRST if values[0] else SECOND
        who = BOTH if all(values) else NEITHER if not any(values) else Subject(f"only {only.words}", "")
        draft.add(sentence(in_words(wording, wording.positive, who, draw)) + "\n")


def ask_both(draft: Draft, wording: Wording, who: Subject, value: bool, style: Style, name: str) -> None:
    """Write a question of a comparison, of one person or of both."""
    question = fill(draft.draw.choice(phrases()["forms"][wording.kind]["question"]), wording, who, draft.draw, own=True)
    draft.add(style.before + sentence(question, "") + style.between)
    draft.answer(style, value, "stated", asked_about(name, wording))
    draft.add("\n")


def correction(draft: Draft) -> None:
    """Write a claim about a described face, put right where it is wrong."""
    facts, draw = draft.faces[0], draft.draw
    known = introduced(draft, (), rate=1.0)
    name = draw.choice([*known])
    subject = subject_for(known, draw)
    right = draw.random() < 0.4
    claim = in_words(pick(name, facts, draw), facts[name] == right, subject, draw)
    draft.add(f"{draw.choice(['Claim', 'Somebody says', 'Is this right'])}: {sentence(claim)}\n")
    if right:
        draft.add(draw.choice(["That is right.", "Yes, that is right.", "This is correct."]))
    else:
        truth = claims({name: facts[name]}, facts, subject, draw)
        draft.add(f"{draw.choice(['That is wrong.', 'No, that is wrong.', 'Correction:'])} {truth}")


def unseen(draft: Draft) -> None:
    """Ask for what a photograph cannot show."""
    known = introduced(draft, (), rate=0.6)
    subject, style = subject_for(known, draft.draw), styled(draft)
    for _ in range(draft.draw.randint(1, 2)):
        question = unseen_question(draft, subject)
        answer = draft.draw.choice(phrases()["unseen"]["answers"])
        draft.add(f"{style.before}{question}{style.before_sentence}{answer}\n")
    draft.text = draft.text.rstrip()


def unseen_question(draft: Draft, subject: Subject) -> str:
    """Return a question that no photograph answers."""
    table, draw = phrases()["unseen"], draft.draw
    pattern = draw.choice([*table["patterns"], *table["questions"]])
    return sentence(fill(pattern, draw.choice(table["what"]), subject, draw, own=True), "")


#: Each kind of text, how often it is written, and by what. Measured on a model of four layers, AUROC of the yes or no
#: to what stands in the text: 0.66 after five million tokens without ``recall``, 0.71 after one with much of it.
KINDS: dict[str, tuple[float, Callable[[Draft], None]]] = {
    "description": (0.12, description),
    "recall": (0.30, recall),
    "interview": (0.30, interview),
    "checklist": (0.10, checklist),
    "choice": (0.08, choice),
    "open question": (0.04, open_question),
    "comparison": (0.04, comparison),
    "correction": (0.015, correction),
    "unseen": (0.005, unseen),
}
