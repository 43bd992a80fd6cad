"""Text about faces, written from attribute sets: the language on which a small language model can be trained.

Every text is made from the facts of one or two faces by a small grammar (``phrases.yaml``) and says nothing that
contradicts them. Text ``i`` of seed ``s`` depends on ``(s, i)`` and the faces alone. Age, gender, race and looks are
written as impressions; what a photograph cannot show is said to be so. Our choice throughout; Face-MLLM
(https://arxiv.org/abs/2410.20717) turns label sets into questions and answers likewise, with templates of its own.
"""

from collections.abc import Sequence
from random import Random

from faceinsight.data.words.draft import Draft, Text
from faceinsight.data.words.facts import Population
from faceinsight.data.words.kinds import KINDS
from faceinsight.errors import InputError

__all__ = ["FaceWriter"]


class FaceWriter:
    """Text number ``index`` about the faces of some populations, always the same.

    Args:
        populations: whom to write about.
        seed: of all choices.
        kinds: of text, of those in :mod:`faceinsight.data.words.kinds`; all by default.

    Raises:
        InputError: no faces to write about, or an unknown kind of text.

    >>> from faceinsight.knowledge.rules import RuleSet
    >>> from faceinsight.data.words.facts import SchemaWords
    >>> words = SchemaWords.of(RuleSet.load("synthfaces"))
    >>> faces = [words.facts({"Bald": True, "Smiling": True, "Male": True, "Eyeglasses": False})]
    >>> write = FaceWriter(populations=[Population(words, faces)])
    >>> print(write(10).text)
    The person is bald, has no eyeglasses and is shown with a smile. The person does not look like a woman.
    """

    def __init__(
        self, *, populations: Sequence[Population], seed: int = 0, kinds: Sequence[str] = tuple(KINDS)
    ) -> None:
        if not populations or not all(population.faces for population in populations):
            sizes = [len(population.faces) for population in populations]
            raise InputError(f"every population needs faces to write about, got populations of {sizes} faces")
        if not kinds or not KINDS.keys() >= {*kinds}:
            raise InputError(f"kinds of text must be some of {', '.join(KINDS)}; got {', '.join(kinds) or 'none'}")
        self.populations, self.seed, self.kinds = tuple(populations), seed, tuple(kinds)

    def __call__(self, index: int) -> Text:
        draw = Random(f"{self.seed}/{index}")
        (population,) = draw.choices(self.populations, [each.weight for each in self.populations])
        (kind,) = draw.choices(self.kinds, [KINDS[kind][0] for kind in self.kinds])
        faces = tuple(draw.choice(population.faces) for _ in range(2 if kind == "comparison" else 1))
        draft = Draft(population.words, faces, draw)
        KINDS[kind][1](draft)
        return Text(kind, draft.text, tuple(draft.answers), faces)
