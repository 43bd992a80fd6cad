"""Hidden and turned training labels."""

from pathlib import Path

import pytest
import torch

from faceinsight.data.sources.degraded import DegradedLabels
from faceinsight.data.table import FaceTable
from faceinsight.knowledge.schema import Schema


class Made:
    """Faces that are on no disk."""

    def prepare(self) -> None:
        self.prepared = True

    def table(self) -> FaceTable:
        faces = 4000
        return FaceTable(
            schema=Schema.from_names(["a", "b"]),
            root=Path(),
            files=tuple(map(str, range(faces))),
            labels=(torch.rand(faces, 2, generator=torch.Generator().manual_seed(9)) < 0.3).to(torch.int8) * 2 - 1,
            split=tuple("train" if face % 4 else "test" for face in range(faces)),
            identity=torch.arange(faces),
        )


def test_only_training_labels_change_and_by_the_shares_asked_for() -> None:
    whole = Made().table().labels
    table = DegradedLabels(source=Made(), undefined=0.5, flipped=0.2).table()
    train = torch.tensor([split == "train" for split in table.split])
    assert torch.equal(table.labels[~train], whole[~train])
    hidden = table.labels[train] == 0
    turned = (table.labels[train] == -whole[train])[~hidden]
    torch.testing.assert_close(hidden.float().mean(), torch.tensor(0.5), atol=0.02, rtol=0)
    torch.testing.assert_close(turned.float().mean(), torch.tensor(0.2), atol=0.02, rtol=0)


def test_a_larger_share_holds_the_smaller_one_and_no_share_changes_nothing() -> None:
    some, more = ((DegradedLabels(source=Made(), undefined=share).table().labels == 0) for share in (0.2, 0.6))
    assert bool((more | ~some).all())
    assert more.sum() > 2 * some.sum()
    assert torch.equal(DegradedLabels(source=Made()).table().labels, Made().table().labels)


def test_the_source_is_prepared_and_impossible_shares_are_refused() -> None:
    source = Made()
    DegradedLabels(source=source).prepare()
    assert source.prepared
    with pytest.raises(ValueError, match="between 0 and 1, got undefined"):
        DegradedLabels(source=Made(), undefined=1.5)
