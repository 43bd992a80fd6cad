"""Text about the faces of a training batch, written from their labels: what a network learns to say."""

from collections.abc import Sequence

from jaxtyping import Shaped
from torch import Tensor

from faceinsight.data.words import FaceWriter, Population, SchemaWords
from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet

__all__ = ["FaceTexts"]

#: How a description is asked for.
QUESTIONS = ("Describe this face.", "What does this person look like?", "Describe the person in the photograph.")


class FaceTexts:
    """A question and its answer for a face: a description of what its labels say.

    The text of a face depends on the seed, its row and its labels; it is the same in every epoch.

    Args:
        rules: of the labels' schema; see :class:`~faceinsight.data.words.SchemaWords`.
        questions: one of them is asked, by the face's row.
        seed: of all choices.

    >>> import torch
    >>> from faceinsight.knowledge.schema import Schema
    >>> texts = FaceTexts(rules=RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"])))
    >>> texts(torch.tensor([1, 0], dtype=torch.int8), 3)
    ('Describe this face.', 'They are bald.')
    """

    def __init__(self, rules: RuleSet, *, questions: Sequence[str] = QUESTIONS, seed: int = 0) -> None:
        if not questions:
            raise InputError("no question to ask for a description; give one, or leave the argument out")
        self.rules, self.questions, self.seed = rules, tuple(questions), seed
        self.words = SchemaWords.of(rules)

    def __call__(self, labels: Shaped[Tensor, " attr"], row: int) -> tuple[str, str] | None:
        """Question and answer for the face in a row; None where none of its labels is defined.

        Args:
            labels: 1 yes, -1 no, 0 undefined; or booleans.
        """
        labels = self.rules.schema.check_labels(labels[None], undefined=0)[0]
        values = zip(self.rules.schema.names, labels.tolist(), strict=True)
        facts = self.words.facts({name: value == 1 for name, value in values if value})
        if not facts:
            return None
        write = FaceWriter(populations=[Population(self.words, [facts])], seed=self.seed, kinds=["description"])
        return self.questions[row % len(self.questions)], write(row).text
