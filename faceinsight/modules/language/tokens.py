"""Tokens from a tokenizer: the tokens round an image, and a word for an answer."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from faceinsight.errors import InputError

__all__ = ["answer_tokens", "nearest_tokens", "tokens_round_image"]


def tokens_round_image(
    tokenizer: PreTrainedTokenizerBase, before: str, image_token: str, after: str
) -> tuple[list[int], list[int]]:
    """Return the tokens before and after an image's place, of both texts tokenized as one.

    The begin token comes in front as the tokenizer puts it, unless a chat template has already written it.

    Raises:
        ValueError: the texts name the image token themselves.
    """
    text = f"{before}{image_token}{after}"
    begin = tokenizer.bos_token
    ids = tokenizer.encode(text, add_special_tokens=not (begin and text.startswith(begin)))
    number = tokenizer.convert_tokens_to_ids(image_token)
    if (named := ids.count(number)) != 1:
        raise InputError(
            f"the prompt names the image token {image_token!r} {named - 1} times beside the image's own place; write "
            "the text round the image without it: all of the image's tokens are put in that one place"
        )
    return ids[: ids.index(number)], ids[ids.index(number) + 1 :]


def answer_tokens(tokenizer: PreTrainedTokenizerBase, spellings: Sequence[str], ending: str = "") -> list[int]:
    """Return the tokens with which an answer begins where a prompt ends, one for each spelling that is a single token
    there.

    After "ASSISTANT:" an answer begins with a space, after a line end or a special token it does not; to a tokenizer
    these are different tokens, and the model was trained on one of them. So each spelling is tokenized together with
    the prompt: with a space where one belongs, without one if that is no single token, and by itself as a last resort.

    Args:
        spellings: such as ``("Yes", "yes")``. One that begins with a space is taken as it is.
        ending: the prompt's last words; none of a prompt that ends in something else than words.

    Raises:
        InputError: no spelling is a single token; the nearest are listed.
    """
    spaced = bool(ending) and not ending[-1].isspace() and not ending.endswith(tuple(tokenizer.all_special_tokens))
    before = tokenizer.encode(ending, add_special_tokens=False) if ending else []
    found = []
    for spelling in spellings:
        forms = [f" {spelling}", spelling] if spaced and not spelling.startswith(" ") else [spelling]
        whole = [tokenizer.encode(ending + form, add_special_tokens=False) for form in forms if ending]
        own = [ids[len(before) :] for ids in whole if ids[: len(before)] == before]
        single = [ids[0] for ids in (*own, tokenizer.encode(spelling, add_special_tokens=False)) if len(ids) == 1]
        found += [token for token in single if token != tokenizer.unk_token_id][:1]
    if not found:
        raise InputError(
            f"none of {list(spellings)} is a single token of this tokenizer; the nearest that it has: "
            f"{nearest_tokens(tokenizer, spellings) or 'none'}; name spellings that are (yes=[...], no=[...]) or use a "
            "trained head"
        )
    return [*dict.fromkeys(found)]


def nearest_tokens(tokenizer: PreTrainedTokenizerBase, spellings: Sequence[str], count: int = 5) -> list[str]:
    """Return the tokens that begin one of the spellings, capital or not, the longest first; as they are to be
    spelled.
    """
    wanted = {spelling.strip().casefold() for spelling in spellings}
    texts = {str(tokenizer.decode([token])) for token in tokenizer.get_vocab().values()}
    begins = [
        text for text in texts if text.strip() and any(each.startswith(text.strip().casefold()) for each in wanted)
    ]
    single = [text for text in begins if len(tokenizer.encode(text, add_special_tokens=False)) == 1]
    return sorted(single, key=lambda text: (-len(text.strip()), text))[:count]
