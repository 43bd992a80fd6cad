"""Worse labels than there are: to see what structure is worth where labels are missing or wrong."""

from dataclasses import replace

import torch

from faceinsight.data.table import FaceSource, FaceTable
from faceinsight.errors import InputError

__all__ = ["DegradedLabels"]


class DegradedLabels:
    """A source whose training labels are partly hidden or turned round; validation and test stay as they are.

    Which labels are met depends on the seed alone, not on how many are: a larger share's labels hold a smaller one's.

    Args:
        source: the faces.
        undefined: share of the training labels that become undefined.
        flipped: share of the remaining ones that become their opposite.
        seed: of the choice.

    Raises:
        InputError: a share outside [0, 1].
    """

    def __init__(self, *, source: FaceSource, undefined: float = 0.0, flipped: float = 0.0, seed: int = 0) -> None:
        if not (0 <= undefined <= 1 and 0 <= flipped <= 1):
            raise InputError(f"shares are between 0 and 1, got undefined={undefined} and flipped={flipped}")
        self.source, self.undefined, self.flipped, self.seed = source, undefined, flipped, seed

    def prepare(self) -> None:
        """As the source does."""
        self.source.prepare()

    def table(self) -> FaceTable:
        """Return the source's table with its training labels changed."""
        table = self.source.table()
        generator = torch.Generator().manual_seed(self.seed)
        hidden, turned = (torch.rand(table.labels.shape, generator=generator) for _ in range(2))
        training = torch.tensor([split == "train" for split in table.split])[:, None]
        labels = torch.where(training & (turned < self.flipped), -table.labels, table.labels)
        return replace(table, labels=torch.where(training & (hidden < self.undefined), 0, labels))
