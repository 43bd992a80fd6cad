"""What is asked of a tokenizer: the tokens round an image, and a word for an answer."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

__all__ = ["nearest_tokens", "tokens_round_image"]


def tokens_round_image(
    tokenizer: PreTrainedTokenizerBase, before: str, image_token: str, after: str
) -> tuple[list[int], list[int]]:
    """The tokens before and after an image's place, of both texts tokenized as one.

    The begin token comes in front as the tokenizer puts it, unless a chat template has already written it.

    Raises:
        ValueError: the texts name the image token themselves.
    """
    text = f"{before}{image_token}{after}"
    begin = tokenizer.bos_token
    ids = tokenizer.encode(text, add_special_tokens=not (begin and text.startswith(begin)))
    number = tokenizer.convert_tokens_to_ids(image_token)
    if (named := ids.count(number)) != 1:
        raise ValueError(
            f"the prompt names the image token {image_token!r} {named - 1} times beside the image's own place; write "
            "the text round the image without it: all of the image's tokens are put in that one place"
        )
    return ids[: ids.index(number)], ids[ids.index(number) + 1 :]


def nearest_tokens(tokenizer: PreTrainedTokenizerBase, spellings: Sequence[str], count: int = 5) -> list[str]:
    """The tokens that begin one of the spellings, capital or not, the longest first; as they are to be spelled."""
    wanted = {spelling.strip().casefold() for spelling in spellings}
    texts = {str(tokenizer.decode([token])) for token in tokenizer.get_vocab().values()}
    begins = [
        text for text in texts if text.strip() and any(each.startswith(text.strip().casefold()) for each in wanted)
    ]
    single = [text for text in begins if len(tokenizer.encode(text, add_special_tokens=False)) == 1]
    return sorted(single, key=lambda text: (-len(text.strip()), text))[:count]
