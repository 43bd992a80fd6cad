"""A checkpoint fine-tuned on labels and texts at once, saved, and loaded again."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

import faceinsight as fi
from faceinsight.data.batch import FaceBatch
from faceinsight.models.controls import TokenClassifier
from faceinsight.modules.bce import masked_bce
from faceinsight.modules.frozen import fingerprint
from faceinsight.modules.language.multimodal import multimodal_parts
from faceinsight.modules.logical import conditional_loss, semantic_loss
from faceinsight.training.callbacks import FrozenCheck, GradientCheck
from faceinsight.training.systems import AttributeSystem
from tests.modules.checkpoints import write_llava

pytest.importorskip("peft")

SCHEMA = fi.Schema.from_names(["Bald", "Smiling"])
RULES = fi.RuleSet.parse("Bald or not Bald", SCHEMA)
TRAINED = ["projector", "language_model"]
STRICT = fi.RuleSet.parse("Bald -> not Smiling", SCHEMA)
GRAPH = fi.LabelGraph.from_labels(torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1]]).bool(), SCHEMA)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llava(tmp_path_factory.mktemp("checkpoints"))


def adapted(checkpoint: Path, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    language_model = multimodal_parts(checkpoint)["language_model"]
    return fi.FaceInsight.from_llava(
        checkpoint, schema=SCHEMA, language_model=fi.modules.LoRA(module=language_model, rank=2, dropout=0.1)
    )


def batch() -> FaceBatch:
    """Labels, a text, both, neither."""
    return FaceBatch(
        images=torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0)),
        labels=torch.tensor([[1, -1], [0, 0], [-1, 1], [0, 0]], dtype=torch.int8),
        index=torch.arange(4),
        texts=[None, ("Describe this face.", "A bald man."), ("Is she smiling?", "Yes"), None],
    )


@torch.no_grad()
def logits(model: Any) -> Tensor:
    return model.eval()(batch().images).logits


def loss_of(system: AttributeSystem, faces: FaceBatch) -> Tensor:
    system.log = system.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]  # no trainer here
    return system.training_step(faces, 0)


def test_the_loss_is_bce_plus_the_weighted_mean_over_the_answers_tokens(checkpoint: Path) -> None:
    model = fi.FaceInsight.from_llava(checkpoint, schema=SCHEMA)
    faces, features = batch(), model.encode(batch().images)
    total, count = model.answer_sum_and_count(features, faces.texts or [])
    bce = masked_bce(model(features=features).logits, faces.labels)
    system = AttributeSystem(network=model, rules=RULES, text_weight=0.3)
    torch.testing.assert_close(loss_of(system, faces), bce + 0.3 * total / count)
    faces.texts = [None] * 4
    torch.testing.assert_close(loss_of(system, faces), bce)
    faces.texts = None
    with pytest.raises(ValueError, match=r"^text_weight is not 0, .*no texts"):
        loss_of(system, faces)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:Found .* module")
def test_it_learns_labels_and_texts_at_once_and_comes_back_with_its_adapters(checkpoint: Path, tmp_path: Path) -> None:
    model = adapted(checkpoint)
    tower = fingerprint(model.image_encoder)
    system = AttributeSystem(
        network=model, rules=RULES, trained=TRAINED, text_weight=1.0, gradient_checkpointing=True, lr=1e-2, warmup=0.0
    )
    before, untrained = loss_of(system, batch()).item(), logits(model)
    trainer = lightning.Trainer(
        accelerator="cpu", max_steps=25, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[GradientCheck(), FrozenCheck()],
    )  # fmt: skip
    del system.log, system.log_dict
    trainer.fit(system, DataLoader([batch()], batch_size=None))
    assert loss_of(system, batch()).item() < before / 2
    assert {name.partition(".")[0] for name, each in model.named_parameters() if each.requires_grad} == {*TRAINED}
    assert not [name for name in model.image_encoder.state_dict() if "lora" in name]
    assert fingerprint(model.image_encoder) == tower
    model.save_pretrained(tmp_path / "tuned")
    again = fi.FaceInsight.from_pretrained(tmp_path / "tuned", **multimodal_parts(checkpoint))
    assert torch.equal(logits(again), logits(model))
    assert not torch.equal(logits(again), untrained)


OBJECTIVES: dict[str, dict[str, Any]] = {
    "bce": {},
    "bce + L_c": {"logical": fi.modules.LogicalConstraint(rules=STRICT), "logical_weight": 0.5},
    "conditional": {"logical": fi.modules.LogicalConstraint(rules=STRICT, kind="conditional"), "bce_weight": 0.0},
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "trained", [["projector", "segmentation.route", "head"], ["language_model", "correlation", "query"]]
)
def test_one_step_of_each_objective_moves_what_was_named_and_nothing_else(
    objective: str, trained: list[str], checkpoint: Path
) -> None:
    torch.manual_seed(0)
    model = fi.FaceInsight.from_llava(
        checkpoint,
        schema=SCHEMA,
        rules=STRICT,
        language_model=fi.modules.LoRA(module=multimodal_parts(checkpoint)["language_model"], rank=2),
        segmentation=fi.modules.SegmentationEncoder(
            parser=None, route=fi.modules.RegionTokens(image_dim=24, embed_dim=32)
        ),
        text_encoder=fi.modules.TextEncoder(),
        correlation=fi.modules.CorrelationConstraint(graph=GRAPH, embed_dim=32, depth=1),
        query=fi.modules.AttributeQuery(prompt_dim=32, embed_dim=32),
        head=fi.modules.SharedHead(embed_dim=32),
    )
    faces = replace(batch(), texts=None, masks=torch.randint(0, 19, (4, 12, 12)).to(torch.uint8))
    system = AttributeSystem(network=model, rules=STRICT, trained=trained, **OBJECTIVES[objective])
    said, labels = system(faces), faces.labels
    semantic = semantic_loss(said, STRICT).mean()
    conditional = conditional_loss(said, labels, STRICT).sum() / 2  # two of the faces have labels
    bce = masked_bce(said, labels)
    expected = {"bce": bce, "bce + L_c": bce + 0.5 * semantic, "conditional": conditional}
    loss = loss_of(system, faces)
    torch.testing.assert_close(loss, expected[objective])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loss.backward()
    torch.optim.SGD([each for each in system.parameters() if each.requires_grad], lr=1.0).step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in trained if any(f"{name}." in each for each in moved)} == {*trained}
    assert [each for each in moved if not any(f"{name}." in each for name in trained)] == []
    assert all("lora_B" in each for each in moved if "language_model" in each)


def test_an_adapter_of_another_base_is_refused_by_name(checkpoint: Path, tmp_path: Path) -> None:
    model = adapted(checkpoint)
    model.save_pretrained(tmp_path / "tuned")
    parts = multimodal_parts(checkpoint)
    next(parts["language_model"].parameters()).data += 1e-3
    wanted = rf"language_model is not the frozen part .*name_or_path='{checkpoint}'.*SHA-256"
    with pytest.raises(ValueError, match=wanted):
        fi.FaceInsight.from_pretrained(tmp_path / "tuned", **parts)
    wide = fi.modules.LanguageModel.from_config(embed_dim=64, depth=2, num_heads=2)
    with pytest.raises(ValueError, match=wanted):
        fi.FaceInsight.from_pretrained(tmp_path / "tuned", **{**parts, "language_model": wide})


def test_adapters_that_no_longer_train_stay_as_they_are(checkpoint: Path, tmp_path: Path) -> None:
    system = AttributeSystem(network=adapted(checkpoint), rules=RULES, trained=["projector"])
    network: Any = system.network
    assert not [name for name, each in network.language_model.named_parameters() if each.requires_grad]
    network.save_pretrained(tmp_path / "tuned")
    parts = {**multimodal_parts(checkpoint), "language_model": adapted(checkpoint).language_model}
    again = fi.FaceInsight.from_pretrained(tmp_path / "tuned", **parts)
    assert torch.equal(logits(again), logits(network))


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on an epoch of one batch
def test_the_readmes_lines_fine_tune_a_directory_and_load_it_again(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).resolve().parent.parent.parent / "README.md").read_text()
    (block,) = (each for each in readme.split("```")[1::2] if "AttributeSystem(" in each)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(checkpoint, "path/to/llava")
    write_celeba(Path("path/to/celeba"))
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    tuned, system = names["model"], names["system"]
    assert system.global_step == 1
    assert tuned is not system.network
    assert torch.equal(logits(tuned), logits(system.network))
    start = fi.FaceInsight.from_llava("path/to/llava", schema=tuned.schema)
    assert not torch.equal(logits(tuned), logits(start))
    assert names["faces"].reader.interpolation == "bicubic", "as the checkpoint's processor has it"


def write_celeba(root: Path) -> None:
    """Three faces in CelebA's layout, with all of its attributes; one in each split."""
    (root / "img_align_celeba").mkdir(parents=True)
    names = fi.Schema.load("celeba").names
    draw = torch.Generator().manual_seed(0)
    files = [f"{face:02d}.png" for face in range(3)]
    rows = [[str(2 * int(each) - 1) for each in torch.randint(2, (len(names),), generator=draw)] for _ in files]
    for file in files:
        pixels = torch.randint(256, (24, 20, 3), generator=draw, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(root / "img_align_celeba" / file)
    lists = {
        "list_attr_celeba.txt": [
            str(len(files)), " ".join(names), *(" ".join([file, *row]) for file, row in zip(files, rows, strict=True))
        ],
        "list_eval_partition.txt": [f"{file} {face}" for face, file in enumerate(files)],
        "identity_CelebA.txt": [f"{file} {face}" for face, file in enumerate(files)],
    }  # fmt: skip
    for name, lines in lists.items():
        (root / name).write_text("\n".join(lines) + "\n")


def test_a_network_without_a_language_model_says_nothing() -> None:
    encoder = fi.modules.ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    network = TokenClassifier(schema=SCHEMA, image_encoder=encoder, embed_dim=12)
    with pytest.raises(ValueError, match=r"^a TokenClassifier has no language model"):
        AttributeSystem(network=network, rules=RULES, text_weight=1.0)
