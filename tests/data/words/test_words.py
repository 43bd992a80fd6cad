"""The written text is good English, says nothing that contradicts the face, and answers rightly."""

import random
import re

import pytest
import torch

from faceinsight.data.synthetic.population import face
from faceinsight.data.words import FaceWriter, Facts, Population, SchemaWords, Text
from faceinsight.data.words.phrases import Subject, asked, concept_of, described, in_words, phrases, wordings
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema, catalog_names
from faceinsight.modules.constrained import ConstrainedBernoulli

#: What a phrase about a drawn face speaks of, found in this order; "not" where the word says the opposite.
KEYWORDS = {
    r"young adult": "Young_Adult", r"child": "Child", r"middle-aged": "Middle_Aged", r"senior|elderly": "Senior",
    r"young": "Young", r"female|woman": "not Male", r"\bmale\b|\bman\b": "Male",
    r"receding": "Receding_Hairline", r"bald": "Bald", r"bangs|fringe": "Bangs", r"black": "Black_Hair",
    r"blond|fair": "Blond_Hair", r"brown": "Brown_Hair", r"gray": "Gray_Hair", r"straight": "Straight_Hair",
    r"wav": "Wavy_Hair", r"shadow|stubble": "5_o_Clock_Shadow", r"goatee|around the mouth": "Goatee",
    r"mustache|upper lip": "Mustache", r"sideburns": "Sideburns", r"beard": "not No_Beard",
    r"eyebrows.*arched|arched eyebrows": "Arched_Eyebrows", r"eyebrows": "Bushy_Eyebrows",
    r"bags": "Bags_Under_Eyes", r"narrow": "Narrow_Eyes", r"nose": "Big_Nose", r"lipstick": "Wearing_Lipstick",
    r"lips": "Big_Lips", r"open": "Mouth_Slightly_Open", r"closed": "not Mouth_Slightly_Open", r"pale": "Pale_Skin",
    r"rosy": "Rosy_Cheeks", r"chubby": "Chubby", r"double chin": "Double_Chin", r"glasses": "Eyeglasses",
    r"make-?up": "Heavy_Makeup", r"earrings": "Wearing_Earrings", r"\bhat\b": "Wearing_Hat",
    r"necklace": "Wearing_Necklace", r"\b(neck)?tie\b": "Wearing_Necktie", r"smil": "Smiling", r"neutral": "Neutral",
    r"happy": "Happy", r"surpris": "Surprised", r"\bsad": "Sad", r"angry|anger": "Angry",
    r"blurry|out of focus": "Blurry", r"sharp": "not Blurry",
}  # fmt: skip

THEY = Subject("they", "their", plural=True)


def true_of(phrase: str, attributes: dict[str, bool]) -> bool:
    """Whether a phrase that speaks of one attribute of a drawn face is true; refuses phrases it does not know."""
    found = [name for pattern, name in KEYWORDS.items() if re.search(pattern, phrase)]
    assert found, f"nothing is known of {phrase!r}"
    said = re.search(r"\b(not|no|without)\b", phrase) is None
    return said == (attributes[found[0].removeprefix("not ")] != found[0].startswith("not "))


@pytest.fixture(scope="module")
def drawn() -> list[dict[str, bool]]:
    return [dict(face(9, 7 * number).attributes) for number in range(120)]


@pytest.fixture(scope="module")
def written(drawn: list[dict[str, bool]]) -> list[tuple[Text, list[dict[str, bool]]]]:
    """Texts about drawn faces, with the attributes that they were written from."""
    words = SchemaWords.of(RuleSet.load("synthfaces"))
    faces = [words.facts(attributes) for attributes in drawn]
    write = FaceWriter(populations=[Population(words, faces)])
    place = {id(facts): number for number, facts in enumerate(faces)}
    texts = [write(index) for index in range(2000)]
    return [(text, [drawn[place[id(facts)]] for facts in text.faces]) for text in texts]


def of_kind(written: list[tuple[Text, list[dict[str, bool]]]], *kinds: str) -> list[tuple[Text, dict[str, bool]]]:
    found = [(text, attributes[0]) for text, attributes in written if text.kind in kinds]
    assert len(found) > 30
    return found


@pytest.mark.parametrize("catalog", catalog_names())
def test_every_attribute_of_each_catalog_can_be_said_and_denied(catalog: str) -> None:
    draw = random.Random(0)
    for name in Schema.load(catalog).names:
        concept, positive = concept_of(name)
        assert wordings(concept), name
        for wording in wordings(concept):
            yes, no = ({in_words(wording, value == positive, THEY, draw) for _ in range(40)} for value in (True, False))
            assert yes
            assert no
            assert not yes & no, name
            modifiers = (
                [described(wording, value, draw) for value in (True, False)] if wording.kind != "picture" else []
            )
            for text in (*yes, *no, *modifiers, asked(wording, THEY, draw)):
                assert not re.search(r"[{}\[\]|]", text)


def test_the_attributes_of_a_catalog_are_told_apart() -> None:
    for catalog in catalog_names():
        schema = Schema.load(catalog)
        concepts = [concept_of(name) for name in schema.names]
        same = {concept for concept, _ in concepts if [name for name, _ in concepts].count(concept) > 1}
        assert same <= {"male"}, f"{catalog}: {same} are said by several attributes"


def test_the_english_is_right(written: list[tuple[Text, list[dict[str, bool]]]]) -> None:
    wrong = [
        r"[{}\[\]|]", r"  ", r"\ba [aeiou]", r"\ban [^aeiou]", r"\bno (a|an|the|not)\b", r"\bnot (no|not)\b",
        r"\b([Tt]hey|[Bb]oth of them) (has|is|wears|looks|does|appears)\b", r"\b(Is|Does) (they|both)\b",
        r"\b(Are|Do) (the|this) person\b(?!')",
        r"\b(\w+) \1\b", r"[,:;] ?[.?]", r"\ba person(,| and)\b", r"[.!?] [a-z]",
    ]  # fmt: skip
    for text, _ in written:
        body = text.text.rpartition("?")[0] + "?" if text.kind == "choice" else text.text  # options are no sentences
        assert body[0].isupper() or text.kind == "checklist", text
        for pattern in wrong:
            assert not re.search(pattern, body), f"{pattern} in {text.text!r}"
        claims = re.sub(r"[^.?\n]*\?", "", body)
        assert not re.search(r"\b(person|[Hh]e|[Ss]he|[Nn]either of them) (have|are|wear|look|appear|do)\b", claims), (
            claims
        )


def test_no_description_says_what_is_not_so(written: list[tuple[Text, list[dict[str, bool]]]]) -> None:
    count = 0
    for text, attributes in of_kind(written, "description"):
        for phrase in re.split(r"[.,] ?| and (?!chin)", text.text):
            if phrase:
                assert true_of(phrase, attributes), f"{phrase!r} of {text.text!r}"
                count += 1
        for pronoun, male in (("he|his", True), ("she|her", False)):
            assert not re.search(rf"\b({pronoun})\b", text.text, re.IGNORECASE) or attributes["Male"] is male
    assert count > 500


def test_every_yes_and_no_answers_its_own_question(written: list[tuple[Text, list[dict[str, bool]]]]) -> None:
    count = {True: 0, False: 0}
    for text, attributes in of_kind(written, "interview", "checklist", "recall"):
        for answer in text.answers:
            assert answer.why == "stated" or text.kind != "recall"
            question = re.split(
                r"[\n.?:] *", text.text[: answer.start].rstrip("\n :").removesuffix("Answer").rstrip("? \nA:")
            )[-1]
            spelled = answer.yes if answer.value else answer.no
            assert text.text[answer.start :].startswith(spelled)
            assert true_of(question, attributes) == answer.value, f"{question!r} in {text.text!r}"
            count[answer.value] += 1
    assert min(count.values()) > 200


def test_the_letter_is_that_of_the_one_true_option(written: list[tuple[Text, list[dict[str, bool]]]]) -> None:
    count = 0
    for text, attributes in of_kind(written, "choice"):
        asked_for, right = text.text.rsplit("\nAnswer: ", 1)
        _, *parts = re.split(r"[\n ]\(?([A-E])[.):] ", asked_for)
        options = dict(zip(parts[::2], parts[1::2], strict=True))
        assert len(options) > 1
        chosen = right.strip("()")
        judged = {
            letter: true_of(option, attributes) for letter, option in options.items() if option != "none of these"
        }
        assert [letter for letter, true in judged.items() if true] == ([chosen] if chosen in judged else [])
        count += 1
    assert count > 50


def test_which_of_two_faces_is_told_rightly(written: list[tuple[Text, list[dict[str, bool]]]]) -> None:
    count = 0
    for text, (one, two) in [(text, faces) for text, faces in written if text.kind == "comparison"]:
        for question, answer in re.findall(r"(Which of the two[^?]*)\?\s+(?:Answer: |A: )?([A-Z][^.]*)\.", text.text):
            values = true_of(question, one), true_of(question, two)
            expected = {
                (True, True): "Both",
                (False, False): "Neither",
                (True, False): "The first",
                (False, True): "The second",
            }
            assert answer.startswith(expected[values]), text.text
            count += 1
        for who, rest in re.findall(
            r"\n(Both of them|Neither of them|Only the first person|Only the second person) ([^.?]*)\.", text.text
        ):
            values = true_of(rest, one), true_of(rest, two)
            assert values == {"B": (True, True), "N": (False, False)}.get(who[0], ("first" in who, "second" in who))
            count += 1
    assert count > 30


def test_what_a_photograph_does_not_show_is_never_answered(written: list[tuple[Text, list[dict[str, bool]]]]) -> None:
    count = 0
    for text, _ in written:
        if text.kind == "unseen":
            assert text.answers == ()
            assert any(text.text.endswith(answer) for answer in phrases()["unseen"]["answers"])
            count += 1
    assert count > 10


def test_impressions_are_told_as_impressions(written: list[tuple[Text, list[dict[str, bool]]]]) -> None:
    fact = r"\b(is|are|am|was) (not )?(a man|a woman|male|female|young|attractive|chubby|a senior|middle-aged)\b"
    assert re.search(fact, "she is young")
    assert not [text.text for text, _ in written if re.search(fact, text.text)]


def test_a_text_depends_on_seed_and_number_alone(drawn: list[dict[str, bool]]) -> None:
    words = SchemaWords.of(RuleSet.load("synthfaces"))
    populations = [Population(words, [words.facts(each) for each in drawn])]
    one, two, other = (FaceWriter(populations=populations, seed=seed) for seed in (3, 3, 4))
    forward, backward = [one(index) for index in range(20)], [two(index) for index in reversed(range(20))]
    assert forward == backward[::-1]
    assert [other(index).text for index in range(20)] != [text.text for text in forward]


def test_there_are_thousands_of_ways_to_say_the_same() -> None:
    words = SchemaWords.of(RuleSet.load("synthfaces"))
    facts = words.facts({"Smiling": True, "Bangs": True, "Eyeglasses": False, "Male": True})
    write = FaceWriter(populations=[Population(words, [facts])])
    texts = {write(index).text for index in range(1000)}
    assert len(texts) > 900


def test_what_follows_is_what_the_exact_distribution_is_sure_of(drawn: list[dict[str, bool]]) -> None:
    rules = RuleSet.load("synthfaces")
    words = SchemaWords.of(rules)
    draw, count = random.Random(1), 0
    for attributes in drawn[:40]:
        known = {name: attributes[name] for name in draw.sample([*attributes], 12)}
        told_facts: Facts = words.facts(known)
        faces = ConstrainedBernoulli(logits=torch.zeros(len(rules.schema)), rules=rules).condition(known)
        sure = dict(zip(rules.schema.names, faces.marginals.tolist(), strict=True))
        for name, value in words.implied(told_facts).items():
            attribute, positive = next(
                (each, sign) for each, (concept, sign) in words.concepts.items() if concept == name
            )
            assert sure[attribute] == pytest.approx(float(value == positive), abs=1e-6)
            count += 1
    assert count > 50


def test_of_what_a_description_leaves_out_nothing_follows() -> None:
    """Attributes that are coins: whether one is asked about and not told does not depend on how it fell."""
    draw = random.Random(2)
    names = ["Bald", "Bangs", "Smiling", "Eyeglasses", "Wearing_Hat", "Big_Nose", "Pale_Skin", "Wearing_Earrings"]
    words = SchemaWords.of(RuleSet(Schema.from_names(names)))
    faces = [words.facts({name: draw.random() < 0.5 for name in names}) for _ in range(400)]
    write = FaceWriter(populations=[Population(words, faces)])
    fell = [answer.value for index in range(1500) for answer in write(index).answers if answer.why == "regular"]
    assert len(fell) > 1000
    assert sum(fell) / len(fell) == pytest.approx(0.5, abs=0.05)


def test_words_for_an_unknown_attribute_and_a_face_that_contradicts_itself_are_refused() -> None:
    with pytest.raises(KeyError, match="no words for the attribute 'Third_Eye'"):
        SchemaWords.of(RuleSet(Schema.from_names(["Third_Eye"])))
    words = SchemaWords.of(RuleSet.load("fairface"))
    with pytest.raises(ValueError, match=r"Female = True contradicts .*'male'"):
        words.facts({"Male": True, "Female": True})
    with pytest.raises(ValueError, match="every population needs faces"):
        FaceWriter(populations=[Population(words, [])])
