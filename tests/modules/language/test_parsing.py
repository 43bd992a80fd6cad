"""Answers are read strictly: what is no clear answer is none."""

import pytest

from faceinsight.errors import InputError
from faceinsight.modules.language.parsing import (
    CHOICE_RULES,
    EXAMPLE_OPTIONS,
    YES_NO_RULES,
    AnswerRule,
    answer_part,
    is_refusal,
    lettered_options,
    parse_choice,
    parse_yes_no,
    plain_text,
)

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
        "是否微笑？",
        "有胡子。",
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
    with pytest.raises(InputError, match="30 options, but 26"):
        parse_choice("A", ["option"] * 30)


EXAMPLES = [(rule, text, answer) for rule in (*YES_NO_RULES, *CHOICE_RULES) for text, answer in rule.examples.items()]


@pytest.mark.parametrize(("rule", "text", "answer"), EXAMPLES, ids=lambda each: getattr(each, "name", None))
def test_each_rules_examples_are_read_so_and_by_that_rule(
    rule: AnswerRule, text: str, answer: bool | str | None
) -> None:
    plain, rules, options = plain_text(answer_part(text)), CHOICE_RULES, [lettered_options(EXAMPLE_OPTIONS)]
    if rule in YES_NO_RULES:
        plain, rules, options = plain.casefold(), YES_NO_RULES, []
    assert next(each for each in rules if each.find(plain, *options)) is rule
    found = parse_yes_no(text) if rule in YES_NO_RULES else parse_choice(text, EXAMPLE_OPTIONS)
    assert found == answer


def test_every_rule_has_examples_with_an_answer() -> None:
    assert len(EXAMPLES) > 50
    assert all(rule.examples for rule in (*YES_NO_RULES, *CHOICE_RULES))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes\r\nSmiling.", True),
        ("Yes\n\nQuestion: Is she young? Answer: No", True),
        ("No.\nQ: Is he bald?\nA: Yes", False),
        ("Yes.</s><s>No.", True),
        ("Yes<|im_end|>\n<|im_start|>user\nAnd bald?\nNo", True),
        ("Question: Is she young?\nAnswer: No", False),
        ("<think>\nYes? There is no beard.\n</think>\n\nNo.", False),
        ("The lips are up.\n</think>\nYes", True),
        ("<think>Is it yes? The answer is yes.", None),
        ("<answer>\nYes, she is.\n</answer> No.", True),
        ("**Answer:** Yes", True),
        ('{"answer": "no"}', False),
        ("The final answer is $\\boxed{\\text{No}}$.", False),
        ("**Yes** and **no**.", None),
        ("ＹＥＳ！", True),
        ("是。", True),
        ("不是，他没有胡子。", False),
        ("否", False),
        ("没有。", False),
        ("答案：是", True),
        ("答案是不是。", False),
    ],
)
def test_thoughts_marks_turns_and_other_spellings_are_understood(text: str, answer: bool | None) -> None:
    assert parse_yes_no(text) is answer


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is B because option A shows black hair.", "B"),
        ("The answer is (C). Black hair, as in option A, does not fit.", "C"),
        ("The correct option is D, not A.", "D"),
        ("I would choose (B).", "B"),
        ("Option B is correct.", "B"),
        ("B\nExplanation: the hair in (A) is darker.", "B"),
        ("B.\n\nQuestion: Which nose?\n(A) long (B) short\nAnswer: A", "B"),
        ("**(B)** blond hair", "B"),
        ("'B'", "B"),
        ("“B”", "B"),
        ("Answer:\nB", "B"),
        ("### Answer\nB", "B"),
        ("answer: b", "B"),
        ("答案是（Ｂ）", "B"),
        ("我选B。", "B"),
        ("\\boxed{C}", "C"),
        ("The answer is $\\boxed{\\mathrm{C}}$ as the hair is gray.", "C"),
        ("<think>A, B, C...</think><answer>(A)</answer>", "A"),
        ("The answer is A man with black hair", "A"),
        ("A person with gray hair", "C"),
        ("The answer is a person without hair", None),
        ("The answer is blond hair because black hair would be darker.", "B"),
        ("The answer is A/B", None),
        ("The answer is A. The answer is B.", None),
        ("The answer is A.\nThe answer is B.", "A"),
        ("Is the answer A?\nMy final answer: C", "C"),
        ("A. black hair\nB. blond hair\nC. gray hair\nD. no hair", None),
        ("I", None),
    ],
)
def test_a_concluded_letter_comes_before_letters_and_words_around_it(text: str, letter: str | None) -> None:
    assert parse_choice(text, EXAMPLE_OPTIONS) == letter
