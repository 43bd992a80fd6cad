"""The benchmarks run, and what they compare is right."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import logic
from benchmarks.timing import Timing, interleaved
from faceinsight.modules.logical import semantic_loss


def test_contenders_take_turns_and_are_compared_round_by_round() -> None:
    calls: list[str] = []
    timings = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warmup=1)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]
    assert Timing((2.0, 9.0, 4.0)).ratio(Timing((1.0, 3.0, 4.0))) == 2.0
    assert Timing((2.0, 9.0, 4.0)).median == 4.0


def test_the_logic_benchmark_writes_a_row_for_each_contender_and_finds_ours_exact(tmp_path: Path) -> None:
    logic.main(["--batches", "16", "--only", "CelebA", "--output", str(tmp_path / "rows.csv")])
    rows = pd.read_csv(tmp_path / "rows.csv")
    losses, decoding = (rows[rows["what"].str.startswith(what)].set_index("contender") for what in ("loss", "decod"))
    assert {"faceinsight", "  by enumeration", "  by diagram"} <= set(losses.index)
    assert (losses["error"] < 1e-4).all()
    assert (decoding.loc[["faceinsight, mode", "faceinsight, ShieldLayer"], "broken"] == 0).all()
    assert (decoding["nats lost"].dropna() > -1e-6).all()


@pytest.mark.parametrize("size", [12, 40])
def test_pysdd_and_klay_count_the_same(size: int) -> None:
    pytest.importorskip("pysdd")
    pytest.importorskip("klay")
    rules = logic.random_rules(size, 2 * size, None)
    logits = torch.randn(6, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    circuit, ours = logic.Circuit(rules), semantic_loss(logits, rules)
    torch.testing.assert_close(circuit.face_by_face(logits).double(), ours, rtol=0, atol=1e-4)
    torch.testing.assert_close(circuit.klay()(logits), ours, rtol=0, atol=1e-9)
