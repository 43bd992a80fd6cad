"""Answers are read strictly: what is no clear answer is none."""

import pytest

from faceinsight.parsing import is_refusal, parse_choice, parse_yes_no

HAIR = ["black hair", "blond hair", "gray hair", "hair"]


@pytest.mark.parametrize(
    "text",
    [
        "Yes",
        "yes.",
        " YES! ",
        "**Yes**",
        "“Yes”, the person is smiling.",
        "Yes, the person is not smiling much.",
        "Yes - a hat.",
        "Yes the person is bald",
        "Yes, there is no beard.",
        "Yeah.",
        "Answer: Yes",
        "ASSISTANT: yes",
        "Well, yes.",
        "I think yes.",
        "The answer is yes.",
        "I'm not certain, but the answer would be: yes.",
    ],
)
def test_yes_is_read(text: str) -> None:
    assert parse_yes_no(text) is True
    assert not is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "No",
        "no, she isn't.",
        "No\nThe person has hair.",
        "No, no. There is none.",
        "No there is no hat",
        "Nope!",
        "Not really.",
        "Not at all",
        "Definitely not.",
        "The correct hair is gray, so the answer is no.",
        "No, I can see both eyes.",
        "No, she cannot be seen wearing a hat.",
    ],
)
def test_no_is_read(text: str) -> None:
    assert parse_yes_no(text) is False
    assert not is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "...",
        "Yes and no.",
        "Yes/No",
        "Yes or no?",
        "Yes. No.",
        "No, or maybe yes.",
        "No, wait. The answer is yes.",
        "The answer is yes. The answer is no.",
        "The answer is not yes.",
        "Not yes",
        "The person is smiling.",
        "The person is not smiling.",
        "There is no beard.",
        "No hat is visible.",
        "No one can be seen",
        "Yesterday",
        "Nobody",
        "Norwegian",
        "Oui, la personne sourit.",
        "Ja.",
        "Да",
        "是的",
        "Sí, la persona sonríe.",
        "No se puede ver la cara.",
    ],
)
def test_what_is_neither_is_not_guessed_at_and_is_no_refusal(text: str) -> None:
    assert parse_yes_no(text) is None
    assert not is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I cannot tell.",
        "I can’t determine that from the picture.",
        "I'm sorry, but I can't help with identifying people.",
        "No, I cannot tell from this picture.",
        "As an AI, I do not look at faces.",
        "It is impossible to say.",
        "It's hard to tell",
        "I am not able to accurately assess this.",
        "This cannot be determined.",
        "I'm not sure.",
        "I don't know",
        "No idea.",
    ],
)
def test_a_refusal_is_told_from_other_texts_without_an_answer(text: str) -> None:
    assert parse_yes_no(text) is None
    assert is_refusal(text)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("C", "C"),
        ("(c)", "C"),
        ("C.", "C"),
        ("Option B", "B"),
        ("the answer is (C)", "C"),
        ("The answer is C.", "C"),
        ("Answer: B", "B"),
        ("B. blond hair", "B"),
        ("(B) blond hair", "B"),
        ("C) because (A) and (B) do not fit", "C"),
        ("The person has (B) blond hair.", "B"),
        ("It is not (A), it is (B)", "B"),
        ("Gray hair!", "C"),
        ("This person has blond hair.", "B"),
        ("I am not sure, but the answer is (A).", "A"),
        ("", None),
        ("A person with a hat", None),
        ("the answer is a man", None),
        ("(A) or (B)", None),
        ("A) or B)", None),
        ("The answer is A or B", None),
        ("Either black hair or gray hair", None),
        ("E", None),
        ("I cannot tell; (A) would be a guess.", None),
        ("not gray hair", None),
    ],
)
def test_a_choice_is_one_option_or_none(text: str, letter: str | None) -> None:
    assert parse_choice(text, HAIR) == letter


def test_options_may_have_letters_of_their_own() -> None:
    assert parse_choice("the answer is (Y)", {"x": "cat", "y": "dog"}) == "Y"
    with pytest.raises(ValueError, match=r"^30 options, but 26 letters; give a mapping letter -> option"):
        parse_choice("A", ["option"] * 30)
