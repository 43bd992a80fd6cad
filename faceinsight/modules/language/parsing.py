r"""What a generated text answers: yes or no, one of several choices, or nothing that counts.

The rules are strict. A text that hedges, contradicts itself or answers in another way than it was asked gives None, and
is counted as such rather than guessed at. A sentence that opens with neither "yes" nor "no" is never read as one of
them: "there is no beard" answers "is this a person without a beard?" with yes.

A text is read in three steps:

1. :func:`answer_part` takes what is marked as the answer (``<answer>``, ``\boxed``, one word in bold) and leaves out
   what was thought aloud and what runs on after the answer: another question, another turn, an end token.
2. :func:`plain_text` makes one spelling of full-width letters, emphasis and quotes.
3. The first rule of :data:`YES_NO_RULES` or :data:`CHOICE_RULES` that finds something decides. If it finds more than
   one answer, the text has none. Each rule has examples, which are tested.

Not in the paper: all of it, for answers in English, and for yes and no in Chinese.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from faceinsight.errors import InputError

__all__ = ["CHOICE_RULES", "YES_NO_RULES", "AnswerRule", "is_refusal", "parse_choice", "parse_yes_no"]


@dataclass(frozen=True)
class AnswerRule:
    """One way to read an answer.

    Args:
        name: what the rule looks for.
        find: a plain text, and of a choice its options by letter, to the answers found: none, if the rule does not
            apply; one; or several, or None among them, if the text cannot be decided.
        examples: text -> answer, read by this rule; the options of a choice are :data:`EXAMPLE_OPTIONS`.
    """

    name: str
    find: Callable[..., Sequence[Any]]
    examples: Mapping[str, object]


#: The options of the examples of :data:`CHOICE_RULES`.
EXAMPLE_OPTIONS = ("black hair", "blond hair", "gray hair", "no hair")

# -- step 1: the part of a text that answers

THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|$)|^.*?</(?:think|thinking|reasoning)>", re.S | re.I)

MARKED = (
    re.compile(r"<answer>(.*?)(?:</answer>|$)", re.S | re.I),
    re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}", re.S),
    # a first sentence of one word in bold: what follows explains it
    re.compile(r"^\s*(\*\*|__)(?P<bold>\w+)(?:[.!]\1|\1(?:[.!]|\s*\n|\s*$))"),
)

#: Another turn or another question after the answer, or a token that ends it.
RUNS_ON = re.compile(
    r"</s>|<\|[^|>]*\|>|<eos>|<end_of_turn>"
    r"|(?:(?<=[.!?\n])|(?<=[.!?\n]\s))\s*[*#>\s]*(?:next )?(?:question|q\d+|q|user|human|instruction|input|问题|用户)"
    r"(?: ?\d+)?\s*\**\s*[:：]",
    re.I,
)


def answer_part(text: str) -> str:
    r"""Return the part of a text that is its answer.

    >>> [answer_part(text) for text in ("<think>A?</think>B", r"So it is $\boxed{B}$.", "No.\nUser: And now?")]
    ['B', 'B', 'No.']
    """
    said = THOUGHT.sub("", text)
    for mark in MARKED:
        if found := mark.search(said):
            return found.groupdict().get("bold") or found[1]
    started = len(said) - len(said.lstrip())
    cut = next((each.start() for each in RUNS_ON.finditer(said) if said[started : each.start()].strip()), len(said))
    return said[:cut].rstrip()


# -- step 2: one spelling

LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathit)\s*\{([^{}]*)\}")

SPELLINGS = str.maketrans({"’": "'", "‘": "'", "。": ".", "、": ",", **dict.fromkeys('*`"“”„«»「」『』$', "")})


def plain_text(text: str) -> str:
    r"""Return a text without emphasis, quotes, tags, LaTeX, full-width letters and doubled spaces; line ends stay.

    >>> plain_text('The answer is  **"Ｂ"**。\n\n_Why?_')
    'The answer is B.\nWhy?'
    """
    straight = unicodedata.normalize("NFKC", LATEX.sub(r"\1", text)).translate(SPELLINGS)
    untagged = re.sub(r"</?(?:b|i|em|strong|p|br|u)\s*/?>", "", straight, flags=re.I)
    lines = (re.sub(r"\s+", " ", line).strip() for line in re.split(r"[\r\n]+", untagged))
    bare = (re.sub(r"^[{]|^(?:[>#•-]+\s+)+|(?<!\w)[_']+|[_']+(?!\w)", "", line) for line in lines)
    return "\n".join(line for line in bare if line)


# -- step 3: the rules

YES, NO = r"yes|yeah|yep|yup|是的?|对的?|正确", r"no|nope|nah|不是的?|不对|不|否|没有|错误"

#: What may stand before the answer without changing it.
LEAD = (
    r"(?:(?:assistant|answer|response|a|答案|回答)\s*:\s*"
    r"|(?:well|oh|ok|okay|hmm|actually|i think|i believe|i would say|i'd say)[\s,:]+)*"
)

#: What follows an answer: an end, punctuation, or a clause that goes on from it; never a noun ("no hat is visible").
AFTER = (
    r"(?=$|[.,;:!?)}\n]|\s*[–—]|\s+-\s|\s+(?:he|she|it|they|this|that|there|the|i|you|we|because|since|as|based"
    r"|definitely|absolutely|indeed)\b)"
)

DENIED = r"(?:not (?:really|at all)|(?:definitely|absolutely|certainly|probably|clearly|of course) not)(?=$|[.,;:!?\n])"

#: An answer that is drawn as a conclusion, wherever it stands; "final" comes before others.
CHINESE_CONCLUDED = r"(?:最终)?答案(?:应该)?[是为:]+\s*|选择?"
CONCLUDED = r"\b(?P<final>final )?(?:answer|choice)(?: is| would be| should be|\s*[:=]|\n)[\s:,]*|" + CHINESE_CONCLUDED

#: An answer that stands by itself after the first one: if it is the other one, the text contradicts itself.
AGAIN = rf"(?:[.,;!?\n]\s*|\b(?:and|or|but|maybe|also|then)\s+)({YES}|{NO})(?=$|[.,;:!?\n])"

REFUSAL = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|not able to|won't|will not|impossible to|not possible to"
    r"|(?:hard|difficult|not easy|not enough information) to)"
    r"(?: \w+ly)? (?:be )?(?:tell|say|determined?|answer|assess|assist|help|identify|judge|comment|provide|know|confirm"
    r"|infer|sure|certain|verify)"
    r"|\b(?:don't|do not) know\b|(?:\bnot|n't) (?:be )?(?:sure|certain)\b|\bunsure\b|\buncertain\b|\bas an ai\b"
    r"|\bsorry\b|\bno idea\b|\bnot enough information\b"
)


def parse_yes_no(text: str) -> bool | None:
    """Whether a text answers yes (True) or no (False); None where it does neither clearly.

    The rules are :data:`YES_NO_RULES`. What comes after a first "yes" or "no" is not held against it ("Yes, but not
    widely"), unless it is the other answer or says that nothing can be said.

    >>> [parse_yes_no(text) for text in ("Yes, he is.", "No.", "Yes and no", "I cannot tell.", "The person smiles.")]
    [True, False, None, None, None]
    """
    return decided(YES_NO_RULES, plain_text(answer_part(text)).casefold())


def is_refusal(text: str) -> bool:
    """Whether a text without an answer says that it gives none, as against one that says something else.

    >>> [is_refusal(text) for text in ("I'm sorry, I can't help with that.", "A person with a hat.", "")]
    [True, False, False]
    """
    return parse_yes_no(text) is None and refuses(plain_text(answer_part(text)))


def parse_choice(text: str, options: Sequence[str] | Mapping[str, str]) -> str | None:
    """Return the letter of the one option that a text chooses; None where it chooses none, or more than one.

    The rules are :data:`CHOICE_RULES`.

    Args:
        options: the options' texts, lettered A, B, C, ...; or letter -> text.

    Raises:
        InputError: more options than letters.

    >>> options = ["black hair", "blond hair", "gray hair"]
    >>> [parse_choice(text, options) for text in ("the answer is (C)", "B. blond hair", "Gray hair!", "(A) or (B)")]
    ['C', 'B', 'C', None]
    """
    return decided(CHOICE_RULES, plain_text(answer_part(text)), lettered_options(options))


def decided(rules: Sequence[AnswerRule], text: str, *options: Any) -> Any:
    """Return the one answer that the first rule which applies finds; None if it finds several, or no rule applies."""
    found = next((found for rule in rules if (found := rule.find(text, *options))), ())
    return found[0] if len({*found}) == 1 else None


def lettered_options(options: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Letter -> text of each option."""
    if isinstance(options, Mapping):
        return {letter.upper(): option for letter, option in options.items()}
    if len(options) > len(ascii_uppercase):
        raise InputError(f"{len(options)} options, but {len(ascii_uppercase)} letters; give a mapping letter -> option")
    return dict(zip(ascii_uppercase, options, strict=False))


def refuses(text: str) -> bool:
    return REFUSAL.search(text.casefold().replace("\n", " ")) is not None


def conclusions(text: str, answer: str, *leads: str) -> list[tuple[str, int]]:
    """Return the answer that is concluded first, and others on the same line: their texts, and where they end.

    Args:
        answer: a pattern.
        leads: further patterns of what stands before a conclusion.
    """
    lead = "|".join((CONCLUDED, *leads))
    matches = [*re.finditer(rf"(?i:{lead})(?P<answer>{answer})", text)]
    first = [each for each in matches if each["final"]] or matches
    if not first:
        return []
    end = text.find("\n", first[0].end())
    return [(each["answer"], each.end()) for each in first if end < 0 or each.start() < end]


def concluded_yes_no(text: str) -> list[bool | None]:
    found: list[bool | None] = [is_yes(each) for each, _ in conclusions(text, rf"(?:{YES}|{NO}){AFTER}")]
    return [*found, *opening_yes_no(text, refusals=False)] if found else []


def opening_yes_no(text: str, refusals: bool = True) -> list[bool | None]:
    first = re.match(rf"{LEAD}[(\[]?({YES}|{NO}){AFTER}", text)
    if first is None:
        return []
    rest = text[first.end() :]
    undecided: list[bool | None] = [None] if refusals and refuses(rest) else []
    return [is_yes(first[1]), *(is_yes(each) for each in re.findall(AGAIN, rest)), *undecided]


def denied(text: str) -> list[bool | None]:
    first = re.match(rf"{LEAD}{DENIED}", text)
    if first is None:
        return []
    rest = text[first.end() :]
    return [False, *(is_yes(each) for each in re.findall(AGAIN, rest)), *([None] if refuses(rest) else [])]


def is_yes(word: str) -> bool:
    return re.fullmatch(YES, word, re.IGNORECASE) is not None


#: How yes and no are read, in this order.
YES_NO_RULES = (
    AnswerRule(
        "a conclusion, which an opening answer must not contradict",
        concluded_yes_no,
        {
            "The hair is gray, so the answer is no.": False,
            "I'm not certain, but the answer would be: yes.": True,
            "Is it yes or no? The answer is **Yes**.": True,
            "The answer is yes because no beard covers the smile.": True,
            "Let us see.\nAnswer: Yes\nThere is no hat.": True,
            "<think>Perhaps no.</think> Final answer: yes": True,
            "答案是：否。": False,
            "No, wait. The answer is yes.": None,
            "The answer is yes. The answer is no.": None,
        },
    ),
    AnswerRule(
        "an answer with which the text opens",
        opening_yes_no,
        {
            "Yes": True,
            "“No”, she isn't.": False,
            "Yes\nSmiling.": True,
            "No\nBald": False,
            "Yes\n\nQuestion: Is she young? Answer: No": True,
            "<answer>No</answer>": False,
            r"\boxed{\text{Yes}}": True,
            "Ｙｅｓ。": True,
            "是的，她在微笑。": True,
            "不是。": False,
            "**No.** Yes, she wears something on her head, but no hat.": False,
            "**Yes**\n\nNo beard can be seen.": True,
            "Yes. No.": None,
            "No, I cannot tell from this picture.": None,
        },
    ),
    AnswerRule(
        "a denial with which the text opens",
        denied,
        {"Not really.": False, "Definitely not!": False, "Of course not, but yes.": None},
    ),
)


# -- choices

#: Conclusions that only a choice has.
CHOSEN = (
    r"\bi(?: would|'d|'ll)? (?:choose|pick|select|go with) |\b(?:correct|best|right) (?:option|one)(?: is|\s*:)[\s:]*"
)

#: What follows a letter that is no word of a sentence ("A person ..."): an end, punctuation, or a clause.
ENDS = r"(?=$|[)\].,:;!}\n]|\s+[-–—]|\s*(?:or|and|/|&)\s|\s+(?:because|since|as|which|due|given|is correct)\b)"


@dataclass(frozen=True)
class Letters:
    """Patterns of the letters of some options."""

    any: str

    @classmethod
    def of(cls, lettered: Mapping[str, str]) -> "Letters":
        return cls("|".join(map(re.escape, sorted(lettered, key=len, reverse=True))))

    @property
    def concluded(self) -> str:
        """A letter after a conclusion; "A" and "I" are words, unless something ends there."""
        capital = rf"(?!(?:A|I)\b)(?:{self.any})(?![\w'])|(?:{self.any}){ENDS}"
        return rf"(?i:option |choice )?[(\[]?(?:{capital}|(?i:{self.any})(?=$|[)\].,:;!\n]))"

    @property
    def opening(self) -> str:
        return rf"(?i:{LEAD})(?i:option |choice )?[(\[]?({self.any}){ENDS}"

    @property
    def bracketed(self) -> str:
        return rf"(?<!not )[(\[]((?i:{self.any}))[)\]]"

    @property
    def other(self) -> str:
        """Another letter beside the first: "(A) or (B)"."""
        return rf"[)\].:]*\s*(?:or|and|/|,|&)\s*(?:option |choice )?[(\[]?(?:{self.any})(?![\w'])"


def beside(text: str, end: int, letters: Letters) -> list[str | None]:
    """None as a second answer where another letter stands beside the one that ends there."""
    return [None] if re.compile(letters.other).match(text, end) else []


def only_a_letter(text: str, lettered: Mapping[str, str]) -> list[str | None]:
    letters = Letters.of(lettered)
    whole = re.fullmatch(rf"(?:option |choice )?[(\[]?({letters.any})[)\].:!]*", text, re.IGNORECASE)
    return [whole[1].upper()] if whole else []


def concluded_letter(text: str, lettered: Mapping[str, str]) -> list[str | None]:
    letters = Letters.of(lettered)
    found = conclusions(text, letters.concluded, CHOSEN)
    named: list[str | None] = [re.sub(r"(?i)option|choice|[^\w]", "", each[0]).upper() for each in found]
    return named + [None for each in found if beside(text, each[1], letters)]


def concluded_words(text: str, lettered: Mapping[str, str]) -> list[str | None]:
    words = {plain_text(option).casefold(): letter for letter, option in lettered.items()}
    any_of_them = "|".join(map(re.escape, sorted(filter(None, words), key=len, reverse=True)))
    if not any_of_them:
        return []
    return [words[each] for each, _ in conclusions(text.casefold(), rf"(?:{any_of_them})(?!\w)", CHOSEN)]


def refusal(text: str, lettered: Mapping[str, str]) -> list[str | None]:
    return [None] if refuses(text) else []


def opening_letter(text: str, lettered: Mapping[str, str]) -> list[str | None]:
    letters = Letters.of(lettered)
    first = re.match(letters.opening, text)
    if first is None:
        return []
    lines = [re.match(letters.opening, line) for line in text.split("\n")]
    recited = [each[1] for each in lines if each] == [*lettered][: len(lines)] and len(lines) > 1
    return [first[1], *([None] if recited else []), *beside(text, first.end(), letters)]


def bracketed_letters(text: str, lettered: Mapping[str, str]) -> list[str | None]:
    return [each.upper() for each in re.findall(Letters.of(lettered).bracketed, text)]


def named_in_words(text: str, lettered: Mapping[str, str]) -> list[str | None]:
    """Return the letters of the options whose words stand in a text; not of one within another, nor after "not"."""
    plain = text.casefold().replace("\n", " ")
    words = {letter: re.escape(plain_text(option).casefold()) for letter, option in lettered.items()}
    found = {letter: each for letter, each in words.items() if re.search(rf"(?<!\w){each}(?!\w)", plain)}
    whole = {
        letter: each
        for letter, each in found.items()
        if not any(each != other and each in other for other in found.values())
    }
    return [letter for letter, each in whole.items() if re.search(rf"(?<!not )(?<!\w){each}(?!\w)", plain)]


#: How a choice is read, in this order.
CHOICE_RULES = (
    AnswerRule(
        "a letter and nothing else",
        only_a_letter,
        {
            "C": "C",
            "(c)": "C",
            "Option B.": "B",
            "**B**": "B",
            "（Ｂ）": "B",
            "<think>Could be A.</think>\nB": "B",
            "<answer>D</answer>": "D",
            r"The hair is $\boxed{\text{B}}$.": "B",
        },
    ),
    AnswerRule(
        "a concluded letter, the first one",
        concluded_letter,
        {
            "the answer is (C)": "C",
            "The correct answer is **B**.": "B",
            "The answer is B because option A shows black hair.": "B",
            "Answer: B\nThe person has gray hair.": "B",
            "I am not sure, but the answer is (A).": "A",
            "The answer is A, since (B) and (C) do not fit.": "A",
            "The answer is B.\nQuestion: What of the beard?\nAnswer: C": "B",
            "Perhaps the answer is A? No. Final answer: D": "D",
            "答案是B。": "B",
            "The answer is A or B": None,
        },
    ),
    AnswerRule(
        "a conclusion in an option's words",
        concluded_words,
        {"The answer is gray hair, not black hair.": "C", "Answer: Blond hair": "B"},
    ),
    AnswerRule("a refusal", refusal, {"I cannot tell; (A) would be a guess.": None}),
    AnswerRule(
        "a letter with which the text opens",
        opening_letter,
        {
            "B. blond hair": "B",
            "(B) blond hair": "B",
            "B\nThe hair is not black hair.": "B",
            "C) because (A) and (B) do not fit": "C",
            "A, as one sees.": "A",
            "(A) or (B)": None,
            "A. black hair\nB. blond hair": None,
        },
    ),
    AnswerRule(
        "a letter in brackets",
        bracketed_letters,
        {"The person has (B) blond hair.": "B", "It is not (A), it is (B)": "B", "Either (A), perhaps (B).": None},
    ),
    AnswerRule(
        "an option in its own words",
        named_in_words,
        {
            "Gray hair!": "C",
            "This person has blond hair.": "B",
            "Not gray hair, but blond hair.": "B",
            "Either black hair or gray hair": None,
        },
    ),
)
