"""The evaluation room's front door."""

import pytest

from faceinsight import evaluation


def test_every_public_name_can_be_had_and_is_listed() -> None:
    assert len(evaluation.__all__) > 10
    for name in evaluation.__all__:
        assert getattr(evaluation, name) is not None
    assert set(evaluation.__all__) <= set(dir(evaluation))
    with pytest.raises(AttributeError, match=r"evaluation' has no attribute 'nothing'"):
        _ = evaluation.nothing
