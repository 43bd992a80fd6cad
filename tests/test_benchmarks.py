"""The benchmarks run, and what they compare is right."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from benchmarks import (
    decoding,
    evidence,
    image_encoders,
    logic,
    loss_cost,
    one_pass,
    paper_size,
    startup,
    training_step,
)
from benchmarks.timing import Timing, interleaved
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
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


def test_every_decoder_but_the_threshold_and_the_marginals_keeps_the_rules() -> None:
    rules = RuleSet.parse("exactly_one(a, b, c, d)", Schema.from_names([*"abcde"]))
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.where(torch.eye(5).repeat(40, 1) > 0, 1, -1).to(torch.int8)
    rows = {row["decoded by"]: row for row in decoding.compared(logits, labels, rules)}
    assert list(rows) == ["threshold", "shield, best of 9 orderings", "exact mode", "exact marginals"]
    broken = [row["faces that break a rule"] for row in rows.values()]
    assert broken[0] == pytest.approx(100 * ((logits[:, :4] > 0).sum(1) != 1).double().mean().item())
    assert broken[1:3] == [0, 0]
    assert 0 < broken[3] < broken[0]
    assert rows["threshold"]["accuracy"] == pytest.approx(100 * ((logits > 0) == (labels > 0)).double().mean().item())


@pytest.mark.parametrize("balanced", [False, True])
def test_the_fitted_classifier_is_the_logistic_regression_of_scikit_learn(balanced: bool) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(300, 4, generator=draw, dtype=torch.float64)
    chosen = inputs @ torch.tensor([[1.0], [-2.0], [0.0], [0.5]]).double() > 1 + torch.randn(300, 1, generator=draw)
    faces = inputs, (2 * chosen.long() - 1).to(torch.int8)
    ours = decoding.logistic_regression(faces, faces, balanced)(inputs)[:, 0]
    # our loss is a mean and its least penalty 1e-4: with the weights' sum, C = 1 / (2 * 1e-4 * faces)
    positives = chosen.sum().item()
    weight = {True: (300 - positives) / positives if balanced else 1.0, False: 1.0}
    theirs = linear_model.LogisticRegression(C=1 / (2e-4 * 300), class_weight=weight, tol=1e-10, max_iter=1000)
    standard = (inputs - inputs.mean(0)) / inputs.std(0)
    expected = theirs.fit(standard.numpy(), chosen[:, 0].numpy()).decision_function(standard.numpy())
    torch.testing.assert_close(ours, torch.from_numpy(expected), rtol=1e-3, atol=1e-3)


def test_fh37k_s_labels_go_to_celeba_s_faces_by_their_names(tmp_path: Path) -> None:
    schema = Schema.load("fh37k")
    annotation = pd.DataFrame(0, index=["0_12.jpg", "3.jpg", "1.jpg"], columns=list(schema.names))
    annotation.loc["1.jpg", "Clean_shaven"] = 1
    annotation.rename_axis("image_id").to_csv(tmp_path / "labels.csv")
    rows = {"train": torch.tensor([0, 1]), "val": torch.tensor([3]), "test": torch.tensor([2])}
    celeba = decoding.Faces({"number": torch.arange(4.0)[:, None]}, torch.ones(4, 40, dtype=torch.int8), rows)
    faces = decoding.fh37k_faces(tmp_path / "labels.csv", celeba, ["0.jpg", "1.jpg", "2.jpg", "3.jpg"], schema)
    (number,), (label,) = faces.of("number", "train")
    assert (number.item(), label[schema.index("Clean_shaven")].item(), label.sum().item()) == (1, 1, 1 - 21)
    assert faces.of("number", "val")[0].tolist() == [[3.0]]
    assert len(faces.of("number", "test")[0]) == 0


def test_the_loss_of_many_faces_fits_into_memory_and_is_a_small_part_of_a_step() -> None:
    step = loss_cost.measure_step(8).set_index("what")
    assert step.loc["step without the constraint", "% of the step"] == 100
    assert (step["ms"] > 0).all()
    (few,) = loss_cost.measure_memory(64, "20 attributes")["peak, MB"]
    (many,) = loss_cost.measure_memory(65536, "20 attributes")["peak, MB"]
    if sys.platform == "linux":
        assert few + 20 < many < 2000


def test_the_ways_to_read_all_attributes_agree_and_one_pass_takes_fewer_operations(tmp_path: Path) -> None:
    sizes = ["--batch", "2", "--attributes", "5", "--prefix", "12", "--question", "4", "--pooled", "3"]
    one_pass.main(["--shape", "tiny", "--rounds", "3", *sizes, "--output", str(tmp_path / "rows.csv")])
    rows = pd.read_csv(tmp_path / "rows.csv").set_index("contender")
    assert (rows["difference"].dropna() < 1e-5).tolist() == [True] * 3
    assert rows.loc["separate prompts", "fewer FLOP"] == 1
    assert rows.loc["one packed pass", "fewer FLOP"] > 2
    assert rows["images/s"].gt(0).all()


def test_what_is_counted_without_computing_bounds_what_is_counted_while_it_is_computed(tmp_path: Path) -> None:
    """By little: attention alone is written out in the one, and a kernel of its own in the other."""
    pytest.importorskip("peft")
    sizes = {
        one_pass: ["--attributes", "5", "--prefix", "12", "--question", "4", "--pooled", "3"],
        training_step: ["--grid", "4", "--width", "12", "--only", "cached, checkpointing"],
    }
    for benchmark, given in sizes.items():
        found = {}
        for device in ("cpu", "meta"):
            file = tmp_path / f"{device}.csv"
            words = ["--shape", "tiny", "--batch", "2", "--rounds", "3", "--device", device, "--output", str(file)]
            benchmark.main([*words, *given])
            found[device] = pd.read_csv(file).set_index("contender")
        counted, computed = found["meta"], found["cpu"].loc[found["meta"].index]
        assert len(counted) == {one_pass: 5, training_step: 2}[benchmark]
        assert (counted["GFLOP"] / computed["GFLOP"]).between(1, 2).all()
        if benchmark is training_step:
            assert (counted["kept, MiB"] / computed["kept, MiB"]).between(1, 1.5).all()
            assert counted["kept, MiB"].iloc[1] == computed["kept, MiB"].iloc[1]  # the layers' inputs alone
            assert counted["trained"].tolist() == computed["trained"].tolist()


@pytest.mark.parametrize(("faces", "features"), [(300, 20), (80, 120)])
def test_the_evidence_errs_as_scikit_learn_s_leave_one_out(faces: int, features: int) -> None:
    pytest.importorskip("sklearn")
    inputs, labels = evidence.drawn(faces, features)
    mine = evidence.CONTENDERS["evidence, whole grid"](inputs, labels)
    torch.testing.assert_close(mine, evidence.ridge_cv(inputs, labels), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_the_evidence_benchmark_writes_a_row_for_each_contender(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    file = tmp_path / "rows.csv"
    evidence.main(["--faces", "200", "--features", "30", "--rounds", "1", "--output", str(file)])
    rows = pd.read_csv(file).set_index("contender")
    assert list(rows.index) == list(evidence.CONTENDERS)
    assert rows["s"].gt(0).all()
    assert rows["times ours"].iloc[0] == 1


def test_each_way_to_train_saves_what_it_should(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("peft")
    sizes = ["--batch", "2", "--grid", "4", "--width", "12"]
    training_step.main(["--shape", "tiny", "--rounds", "3", *sizes, "--output", str(tmp_path / "rows.csv")])
    rows = pd.read_csv(tmp_path / "rows.csv").set_index("contender")
    assert list(rows.index) == [name for name, each in training_step.CONTENDERS.items() if not each.compiled]
    times = rows.loc[training_step.CHEAPEST, "times as fast"]
    assert f"cached, pooled, bf16: {times:.3g} times as fast as with both encoders each" in capsys.readouterr().out
    base, kept = "both encoders each step", rows["kept, MiB"]
    assert kept["cached, checkpointing"] < kept["cached features"]
    assert kept["cached, LoRA, checkpointing"] < kept["cached, LoRA"]
    assert kept["cached, pooled"] < kept["cached features"]
    assert rows.loc["cached features", "GFLOP"] < rows.loc[base, "GFLOP"]
    assert rows.loc["cached, LoRA", "trained"] > rows.loc["cached features", "trained"] == rows.loc[base, "trained"]


def test_the_encoders_are_compared_with_the_face_network(tmp_path: Path) -> None:
    image_encoders.main(["--batch", "1", "--rounds", "3", "--output", str(tmp_path / "rows.csv")])
    rows = pd.read_csv(tmp_path / "rows.csv").set_index("encoder")
    assert rows.index[0] == image_encoders.OURS
    assert rows["x"].iloc[0] == 1
    assert rows["tokens"].tolist()[:2] == ["16 of 704", "16 of 896"]
    assert rows["million weights"].iloc[0] == pytest.approx(5.575, abs=0.001)
    assert (rows["faces a second"] > 0).all()


def test_the_start_is_measured_beside_the_packages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "STATEMENTS", {startup.BARE: "sum(range(10**6))", "more": "sum(range(10**7))"})
    rows = startup.start(rounds=3).set_index("what")
    assert rows.loc[startup.BARE, "x"] == 1
    assert (rows["CPU seconds"] > 0).all()


@pytest.mark.filterwarnings("ignore:constant on the 10 training faces")
def test_what_surrounds_a_run_is_what_its_training_did_not_take(tmp_path: Path) -> None:
    drawn = {"root": str(tmp_path / "faces"), "count": 20, "image_size": 32, "seed": 1}
    plan = {
        "extends": str(Path("experiments/constraints.yaml").resolve()),
        "question": "What is around a run?",
        "settings": {
            "source": {"class_path": "faceinsight.data.SynthFaces", "init_args": drawn},
            "crop": None,
            "limit_train": 10,
        },
        "variants": {"none": {"from": "majority class"}},
    }
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(plan))
    rows = startup.around_runs(tmp_path / "ablation.yaml", ["none", "none"])
    assert rows["run"].tolist() == ["none"]
    assert (rows["around"] == rows["CPU seconds"] - rows["training and test"]).all()


def test_the_work_of_the_papers_form_is_that_of_its_matrix_products(monkeypatch: pytest.MonkeyPatch) -> None:
    language, width, mlp, layers = paper_size.LANGUAGE, 64, 96, 3
    small = {"hidden_size": width, "intermediate_size": mlp, "num_hidden_layers": layers, "num_attention_heads": 4}
    sizes = {**small, "num_key_value_heads": 4, "vocab_size": 50, "head_dim": width // 4}
    monkeypatch.setattr(paper_size, "LANGUAGE", type(language)(**sizes))
    monkeypatch.setattr(
        paper_size, "VISION", type(paper_size.VISION)(**{**small, "image_size": 336, "patch_size": 168})
    )
    with torch.device("meta"):
        model = type(paper_size.LlamaForCausalLM(paper_size.LANGUAGE))(paper_size.LANGUAGE).bfloat16()
        tower = paper_size.CLIPVisionModel(paper_size.VISION).bfloat16()
    model.requires_grad_(False)
    length = 10
    products = 2 * length * layers * (4 * width * width + 3 * width * mlp)  # of the weights, in one pass
    attention = 2 * 2 * length * length * width * layers
    patches = 2 * 4 * 3 * 168**2 * width  # the tower's first layer
    layer = 2 * 5 * (4 * width * width + 2 * width * mlp) + 2 * 2 * 5 * 5 * width
    once = paper_size.step_work(model, tower, length, 4) - patches - layers * layer
    assert once == 3 * products + 4 * attention  # frozen weights need no gradient of their own
    assert [float(each.replace(",", "")) >= 0 for each in paper_size.row(2, 4, 5, 100.0)] == [True] * 7
