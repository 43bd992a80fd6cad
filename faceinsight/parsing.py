"""What a generated text answers: yes or no, one of several choices, or nothing that counts.

The rules here are strict. A text that hedges, contradicts itself or answers in another way than it was asked gives
None, and is counted as such rather than guessed at. A sentence that opens with neither "yes" nor "no" is never read as
one of them: "there is no beard" answers "is this a person without a beard?" with yes.

Choice of this library: all of it, for answers in English.
"""

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

__all__ = ["is_refusal", "parse_choice", "parse_yes_no"]

YES, NO = r"yes|yeah|yep|yup", r"no|nope|nah"

#: What may stand before the answer without changing it.
LEAD = (
    r"(?:(?:assistant|answer|response)\s*:\s*|(?:well|oh|ok|okay|hmm|actually|i think|i believe|i would say|i'd say)"
    r"[\s,:]+)*"
)

#: What follows an answer: an end, punctuation, or a clause that goes on from it; never a noun ("no hat is visible").
AFTER = (
    r"(?=$|[.,;:!?)]|\s*[–—]|\s+-\s|\s+(?:he|she|it|they|this|that|there|the|i|you|we|because|based|definitely"
    r"|absolutely|indeed)\b)"
)

DENIED = r"(?:not (?:really|at all)|(?:definitely|absolutely|certainly|probably|clearly|of course) not)(?=$|[.,;:!?])"

#: An answer that is drawn as a conclusion, wherever it stands.
CONCLUDED = r"\banswer(?: is| would be|\s*:)[\s:,]*"

#: An answer that stands by itself after the first one: if it is the other one, the text contradicts itself.
AGAIN = rf"(?:[.,;!?]\s*|\b(?:and|or|but|maybe|also|then)\s+)({YES}|{NO})(?=$|[.,;:!?])"

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

    What comes after a first "yes" or "no" is not held against it ("Yes, but not widely"), unless it is the other answer
    or says that nothing can be said.

    >>> [parse_yes_no(text) for text in ("Yes, he is.", "No.", "Yes and no", "I cannot tell.", "The person smiles.")]
    [True, False, None, None, None]
    """
    plain = plain_text(text)
    concluded = {answer_of(each) for each in re.findall(rf"{CONCLUDED}({YES}|{NO}){AFTER}", plain)}
    first = re.match(rf"{LEAD}(?:({YES}|{NO}){AFTER}|({DENIED}))", plain)
    if first is None:
        return concluded.pop() if len(concluded) == 1 else None
    found = answer_of(first[1]) if first[1] else False
    others = {answer_of(each) for each in re.findall(AGAIN, plain[first.end() :])} | concluded
    if others - {found} or (not concluded and REFUSAL.search(plain[first.end() :])):
        return None
    return found


def is_refusal(text: str) -> bool:
    """Whether a text without an answer says that it gives none, as against one that says something else.

    >>> [is_refusal(text) for text in ("I'm sorry, I can't help with that.", "A person with a hat.", "")]
    [True, False, False]
    """
    return parse_yes_no(text) is None and REFUSAL.search(plain_text(text)) is not None


def parse_choice(text: str, options: Sequence[str] | Mapping[str, str]) -> str | None:
    """The letter of the one option that a text chooses; None where it chooses none, or more than one.

    A conclusion ("the answer is (C)") comes before a letter at the beginning, that before letters in brackets, and
    those before an option that is named in its own words.

    Args:
        options: the options' texts, lettered A, B, C, ...; or letter -> text.

    Raises:
        ValueError: more options than letters.

    >>> options = ["black hair", "blond hair", "gray hair"]
    >>> [parse_choice(text, options) for text in ("the answer is (C)", "B. blond hair", "Gray hair!", "(A) or (B)")]
    ['C', 'B', 'C', None]
    """
    lettered = lettered_options(options)
    letters = "|".join(map(re.escape, lettered))
    bracketed = rf"[(\[]({letters})[)\]]"
    only = rf"\s*(?:[Oo]ption |[Cc]hoice )?[(\[]?({letters})[)\].:]*\s*"
    other = r"(?!\s*(?:or|and|/|,)\s*[(\[]?(?:" + letters + r")\b)"
    concluded = rf"(?i:answer(?: is|:| would be))\s*:?\s*(?i:option |choice )?[(\[]?({letters})(?=[)\].,:;!]|\s*$)"
    start = rf"[(\[]?({letters})[)\].:]+(?=\s|$){other}"
    if whole := re.fullmatch(only, text.strip("*_ \n"), re.IGNORECASE):
        return whole[1].upper()
    if REFUSAL.search(plain_text(text)) and not re.search(concluded, text):
        return None
    for found in (
        re.findall(rf"{concluded}[)\]]?{other}", text) if re.search(concluded, text) else None,
        [first[1]] if (first := re.match(start, text.strip("*_ \n"))) else None,
        [each.upper() for each in re.findall(rf"(?<!not ){bracketed}", text, re.IGNORECASE)] or None,
        named_in_words(text, lettered),
    ):
        if found is not None:
            return found[0] if len({*found}) == 1 else None
    return None


def lettered_options(options: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Letter -> text of each option."""
    if isinstance(options, Mapping):
        return {letter.upper(): option for letter, option in options.items()}
    if len(options) > len(ascii_uppercase):
        raise ValueError(f"{len(options)} options, but {len(ascii_uppercase)} letters; give a mapping letter -> option")
    return dict(zip(ascii_uppercase, options, strict=False))


def named_in_words(text: str, lettered: Mapping[str, str]) -> list[str]:
    """The letters of the options whose words stand in a text; not of one within another, nor after "not"."""
    plain = plain_text(text)
    words = {letter: re.escape(plain_text(option)) for letter, option in lettered.items()}
    found = {letter: each for letter, each in words.items() if re.search(rf"(?<!\w){each}(?!\w)", plain)}
    whole = {
        letter: each
        for letter, each in found.items()
        if not any(each != other and each in other for other in found.values())
    }
    return [letter for letter, each in whole.items() if re.search(rf"(?<!not )(?<!\w){each}(?!\w)", plain)]


def answer_of(word: str) -> bool:
    return re.fullmatch(YES, word) is not None


def plain_text(text: str) -> str:
    """A text without capitals, emphasis, curly apostrophes and doubled spaces."""
    straight = text.casefold().replace("’", "'")
    return re.sub(r"\s+", " ", re.sub(r'[*_`"“”]', "", straight)).strip()
