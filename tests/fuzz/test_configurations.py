"""A thousand changed experiment files: what says the same is taken, what says something else is refused with its file.

An ablation file is read and planned, the configuration of a single training is parsed and built; nothing is trained.
"""

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from faceinsight.ablation.plan import planned_runs, read_ablation
from faceinsight.training.configure import FaceCLI, expected_warnings
from tests.fuzz.test_doors import Mutation, went_wrong

pytestmark = pytest.mark.slow

Pair = tuple[str, str]

ABLATION = """question: Does it help?
seeds: [0, 1]
compared: [accuracy]
settings:
  root: data/faces
  epochs: 3
base:
  trainer:
    max_epochs: ${epochs}
  data:
    class_path: faceinsight.data.FaceDataModule
    init_args: {source: "${root}"}
  model:
    class_path: faceinsight.training.AttributeSystem
    init_args:
      lr: 0.001
      network:
        class_path: Net
        init_args:
          weights: ${run:trunk}/vit.safetensors
          graph: {tau: 0.4}
trunks:
  trunk:
    seed: 7
    change:
      model.network: {class_path: ViT}
variants:
  full:
    section: full model
  full - graph:
    section: left out
    against: full
    change:
      model.network.graph: null
  flat:
    section: left out
    against: full
    from: full - graph
    change:
      model.lr: 0.1
"""

#: Files of YAML that say the same, by what is replaced and by what.
SAME_YAML = [("\n", "\r\n"), ("trainer:\n", "trainer:  # a comment\n"), ("trainer:\n", "'trainer':\n")]
SAME_ABLATION = [
    *SAME_YAML,
    ("question: Does it help?", "question: 'Does it help?'"),
    ("seeds: [0, 1]", "seeds:\n- 0\n- 1"),
    ("compared: [accuracy]", "compared: ['accuracy']"),
    ("  root: data/faces", "  root: &root data/faces"),
    ("    section: full model", "    section: full model\n    change: null"),
    ("  full:", "  'full':"),
    ("lr: 0.001", "lr: 1.0e-3"),
]
#: YAML that is none, or more than plain data.
BROKEN = [
    ("trainer:\n", "trainer: [\n"),
    ("trainer:\n", "trainer:\n\t"),
    ("trainer:\n", "trainer: !!python/object/apply:os.system [ls]\n"),
    ("trainer:\n", "trainer: *nothing\n"),
    ("trainer:\n", "more: " + "[" * 300 + "]" * 300 + "\ntrainer:\n"),
    ("trainer:\n", "more: {a0: &a0 [x, x], " + ", ".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30))
     + "}\ntrainer:\n"),
    ("trainer:\n", "more: &more [*more]\ntrainer:\n"),
]  # fmt: skip
OTHER_ABLATION = [
    *((f"{key}:", new) for key in ("question", "seeds", "base", "variants") for new in (f"{key[:-1]}:", f"{key}x:")),
    *(("question: Does it help?", f"question: {value}") for value in ("", "null", "[a]", "5", "yes", "${quest}")),
    *(("seeds: [0, 1]", f"seeds: {value}") for value in ("", "[]", "0", "[0, 0]", "[0, one]", "[true]", "[-1]",
                                                         "[1.5]", "{0: 1}", "[null]", "[4294967296]")),
    *(("[accuracy]", value) for value in ("[]", "[accurcy]", "accuracy", "[accuracy, accuracy]", "[[accuracy]]",
                                         "[1]")),
    ("  epochs: 3", "  epoch: 3"), ("  epochs: 3", "  epochs: 3\n  epochs: 4"), ("  epochs: 3", "  5: 3"),
    ("${epochs}", "${epochs}0"), ("${epochs}", "${ epochs }"), ("${epochs}", "${epohcs}"), ("${epochs}", "${"),
    ('"${root}"', '"${root}/faces"'), ("settings:", "settings: 5\nothers:"), ("base:", "base: null\nothers:"),
    ("${run:trunk}", "${run:trnk}"), ("${run:trunk}", "${rum:trunk}"), ("${run:trunk}", "${run:}"),
    ("${run:trunk}", "${run:full}"), ("${run:trunk}", "${run:trunk"),
    ("      lr: 0.001", "      lr: 0.001\n      lr: 0.01"),
    ("seed: 7", "seed: seven"), ("seed: 7", "seed: true"), ("seed: 7", "seed: -7"), ("seed: 7", "sede: 7"),
    ("  trunk:\n", "  full:\n"), ("  trunk:\n", "  trunks:\n"), ("  trunk:\n", "  5:\n"),
    ("  full - graph:", "  full:"), ("  full - graph:", "  yes:"), ("  full - graph:", "  20_29:"),
    ("  full - graph:", "  '':"), ("  full - graph:", "  null:"), ("  full - graph:", "  [a, b]:"),
    ("  full - graph:", "  trunk:"),
    *(("section: full model", f"section: {value}") for value in ("", "[a]", "5", "false", "''")),
    *(("against: full", f"against: {value}") for value in ("", "[full]", "fll", "5", "{a: 1}", "trunk", "''")),
    *(("from: full - graph", f"from: {value}") for value in ("", "[full]", "flat", "5", "ful", "{a: 1}")),
    ("    against: full\n", "    against: full\n    against: full\n"), ("against: full", "agianst: full"),
    *(("model.lr:", f"{name}:") for name in ("5", "null", "''", "model..lr", ".lr", "modle.lr", "model.lr.x", "[a]")),
    ("      model.lr: 0.1", "      model.lr: 0.1\n      model: {}"), ("      model.lr: 0.1", "      - model.lr"),
    ("      model.lr: 0.1", "      model.lr: 0.1\n      model.lr: 0.2"),
    ("  flat:\n", "  flat: 5\n  more:\n"), ("  flat:\n", "  - flat\n"), ("variants:", "extends: 5\nvariants:"),
    ("variants:", "variants: {}\nothers:"),
    *BROKEN,
]  # fmt: skip

FIT = """seed_everything: 3
model:
  class_path: faceinsight.training.AttributeSystem
  init_args:
    rules:
      class_path: faceinsight.RuleSet.load
      init_args: {name_or_path: synthfaces}
    lr: 0.001
    warmup: 0.1
    bce_weight: 1.0
    class_weight: none
    implied_labels: [Male, Young]
    network:
      class_path: faceinsight.models.controls.TokenClassifier
      init_args:
        schema:
          class_path: faceinsight.Schema.load
          init_args: {name_or_path: synthfaces}
        embed_dim: 12
        image_encoder:
          class_path: faceinsight.modules.ImageEncoder
          init_args: {name: vit_tiny_patch16_224, image_size: 32, options: {embed_dim: 12, depth: 1}}
data:
  class_path: faceinsight.data.FaceDataModule
  init_args:
    source:
      class_path: faceinsight.data.SynthFaces
      init_args: {root: FOLDER, count: 20, image_size: 32}
    image_size: 32
    batch_size: 4
trainer:
  max_epochs: 1
  accelerator: cpu
  logger: false
  enable_checkpointing: false
"""
SAME_FIT = [
    *SAME_YAML,
    ("lr: 0.001", "lr: 1e-3"),
    ("class_weight: none", "class_weight: 'none'"),
    ("[Male, Young]", "['Male', Young]"),
    ("    image_size: 32\n    batch_size: 4", "    batch_size: 4\n    image_size: 32"),
    ("faceinsight.training.AttributeSystem", "faceinsight.system.AttributeSystem"),
    ("faceinsight.models.controls.TokenClassifier", "faceinsight.controls.TokenClassifier"),
]
OTHER_FIT = [
    *((f"{key}: ", new) for key in ("lr", "warmup", "bce_weight", "class_weight", "batch_size", "max_epochs",
                                           "embed_dim")
      for new in (f"{key[:-1]}: ", f"{key}x: ")),
    *((f"{key}:\n", new) for key in ("model", "data", "trainer") for new in (f"{key}s:\n", f"{key}: 5\nmore:\n")),
    *(("lr: 0.001", f"lr: {value}") for value in ("-0.1", ".nan", ".inf", "fast", "[0.1]", "true", "null", "")),
    *(("warmup: 0.1", f"warmup: {value}") for value in ("-0.1", "1.5", "10", ".nan", "x")),
    *(("bce_weight: 1.0", f"bce_weight: {value}") for value in ("-1.0", ".nan", "-.inf", "one", "{a: 1}")),
    *(("class_weight: none", f"class_weight: {value}") for value in ("balance", "5", "true", "[none]")),
    *(("[Male, Young]", value) for value in ("[20_29]", "[yes]", "[null]", "{Male: 1}", "5")),
    *(("batch_size: 4", f"batch_size: {value}") for value in ("0", "-4", "4.5", "true", "four", "null", "[4]")),
    *(("max_epochs: 1", f"max_epochs: {value}") for value in ("one", "1.5", "[1]", "max_epochs: 1")),
    *(("count: 20", f"count: {value}") for value in ("0", "-1", "2.5", "many", "true")),
    *(("image_size: 32\n", f"image_size: {value}\n") for value in ("0", "-32", "x", "3.2", "null")),
    *(("accelerator: cpu", f"accelerator: {value}") for value in ("cpus", "5", "[cpu]")),
    *((name, name.replace("ce", "ec", 1)) for name in ("faceinsight.RuleSet.load", "faceinsight.data.SynthFaces")),
    ("AttributeSystem", "AttributSystem"), ("AttributeSystem", "ParserSystem"), ("FaceDataModule", "FaceTable"),
    ("TokenClassifier", "Token"), ("vit_tiny_patch16_224", "vit_tiny_patch"), ("embed_dim: 12\n", "embed_dim: 13\n"),
    ("depth: 1", "depht: 1"), ("embed_dim: 12\n", "embed_dim: twelve\n"), ("name: vit", "nam: vit"),
    ("faceinsight.RuleSet.load", "os.system"), ("faceinsight.RuleSet.load", "faceinsight"),
    ("faceinsight.data.SynthFaces", "''"), ("faceinsight.data.SynthFaces", "5"), ("faceinsight.data.SynthFaces", "a/b"),

    ("name_or_path: synthfaces", "name_or_path: synthface"),
    ("name_or_path: synthfaces", "name_or_path: 5"),

    ("name_or_path: synthfaces", "name_or_path: null"),
    ("name_or_path: synthfaces", "name_or_paths: synthfaces"),
    ("    lr: 0.001", "    lr: 0.001\n    lr: 0.01"), ("seed_everything: 3", "seed_everything: x"),
    ("seed_everything: 3", "seed_everything: -3"), ("seed_everything: 3", "seed_everything: 3.5"),
    ("seed_everything: 3", "seed_everything: 3\nseed_everything: 4"), ("seed_everything: 3", "seeds: 3"),
    *BROKEN,
]  # fmt: skip


def mutating(text: str, same: Sequence[Pair], other: Sequence[Pair]) -> Callable[[random.Random], Mutation]:
    """Files in other words, files that say something else or stand in another encoding, and lines that stand twice."""
    assert all(old in text for old, _ in [*same, *other] if old not in ("\n", "\ufeff"))

    def mutate(draw: random.Random) -> Mutation:
        harmful, lines = draw.random() < 0.7, text.splitlines(keepends=True)
        kind = draw.random()
        if harmful and kind < 0.1:
            return True, text.replace("help", "hélp").replace("FOLDER", "é").encode(
                draw.choice(["utf-16", "utf-16-le", "utf-32"])
            )
        if harmful and kind < 0.2:  # a key stands twice: a whole block of the first floor, or one line with its value
            keys = [number for number, line in enumerate(lines) if re.fullmatch(r" *[\w.]+: +\S.*\n", line)]
            row = draw.choice(keys)
            return True, "".join([*lines[: row + 1], lines[row], *lines[row + 1 :]]).encode()
        if harmful and kind < 0.25:
            return True, draw.choice([b"", b"\n", b"5", b"[1, 2]", b"null", b"text", b"\0\1\2", b"# nothing"])
        if harmful:
            old, new = draw.choice(other)
            return True, text.replace(old, new, 1).encode()
        changed = text
        for old, new in draw.sample(same, draw.randrange(3)):
            changed = changed.replace(old, new, -1 if old == "\n" else 1)
        return False, changed.encode("utf-8-sig" if draw.random() < 0.3 else "utf-8")

    return mutate


def test_ablation_files(tmp_path: Path) -> None:
    path = tmp_path / "ablation.yaml"

    def plan(data: bytes) -> list[Any]:
        path.write_bytes(data)
        return [(run.folder, run.config) for run in planned_runs(read_ablation(path), tmp_path)]

    wanted = plan(ABLATION.encode())
    assert went_wrong(mutating(ABLATION, SAME_ABLATION, OTHER_ABLATION), plan, lambda found: found == wanted) == []


def test_configurations_of_a_single_training(tmp_path: Path) -> None:
    path = tmp_path / "fit.yaml"
    text = FIT.replace("FOLDER", str(tmp_path / "faces"))
    path.write_text(text)
    with expected_warnings():
        cli = FaceCLI(["--config", str(path)], run=False)

    def build(data: bytes) -> tuple[Any, ...]:
        path.write_bytes(data)
        with expected_warnings():
            cli.parse_arguments(cli.parser, ["--config", str(path)])
            cli.instantiate_classes()
        system, module = cli.model, cli.datamodule
        numbers = (system.lr, system.warmup, system.bce_weight, system.class_weight, tuple(system.implied_labels))
        return (*numbers, system.rules, type(system.network), module.batch_size, cli.trainer.max_epochs)

    wanted = build(text.encode())
    assert went_wrong(mutating(text, SAME_FIT, OTHER_FIT), build, lambda found: found == wanted) == []
