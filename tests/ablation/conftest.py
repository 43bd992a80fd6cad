"""A tiny ablation on a few drawn faces."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from faceinsight.data.sources.synthfaces import SynthFaces

FACES = {"count": 60, "image_size": 32, "seed": 0, "workers": 1, "progress": False}


@pytest.fixture(scope="package")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faces")
    SynthFaces(root=root, **FACES).prepare()
    return root


@pytest.fixture
def file(drawn: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes an ablation of a tiny full model and of the given further variants."""

    def write(**variants: dict) -> Path:
        def part(name: str, /, **arguments: object) -> dict:
            return {"class_path": f"faceinsight.{name}", "init_args": arguments}

        def frozen(module: dict) -> dict:
            return part("modules.Frozen", module=module)

        schema = part("Schema.load", name_or_path="synthfaces")
        rules = part("RuleSet.load", name_or_path="synthfaces")
        data = part(
            "data.FaceDataModule",
            image_size=32,
            batch_size=16,
            source=part("data.SynthFaces", root=str(drawn), **FACES),
        )
        vit = {"name": "vit_tiny_patch16_224", "image_size": 32, "options": {"embed_dim": 12, "depth": 1}}
        network = part(
            "FaceInsight",
            schema=schema,
            image_encoder=frozen(part("modules.ImageEncoder", **vit, weights="${run:plain}/image_encoder.safetensors")),
            segmentation=part(
                "modules.SegmentationEncoder",
                parser=None,
                route=part("modules.RegionTokens", image_dim=12, embed_dim=16),
            ),
            projector=part("modules.Projector", in_dim=12, out_dim=16),
            text_encoder=part("modules.TextEncoder"),
            correlation=part(
                "modules.CorrelationConstraint", embed_dim=16, graph=part("data.training_graph", data=data)
            ),
            query=part("modules.AttributeQuery", prompt_dim=16, embed_dim=16),
            language_model=frozen(part("modules.LanguageModel.from_config", embed_dim=16, depth=1, num_heads=2)),
            head=part("modules.SharedHead", embed_dim=16),
        )
        trainer = {
            "accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False,
            "enable_model_summary": False, "limit_val_batches": 0, "num_sanity_val_steps": 0,
            "callbacks": [part("callbacks.CacheFeatures", folder=str(tmp_path / "features"))],
        }  # fmt: skip
        logical = part("modules.LogicalConstraint", rules=rules)
        model = part("system.AttributeSystem", network=network, rules=rules, logical=logical, logical_weight=0.1)
        plain = part(
            "controls.TokenClassifier", schema=schema, embed_dim=12, image_encoder=part("modules.ImageEncoder", **vit)
        )
        content = {
            "question": "Does the machine run?",
            "seeds": [0, 1],
            "base": {"model": model, "data": data, "trainer": trainer},
            "variants": {
                "full": {"section": "the full model"},
                "plain": {"section": "controls", "against": "full", "change": {"model.network": plain}},
                **variants,
            },
        }
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write
