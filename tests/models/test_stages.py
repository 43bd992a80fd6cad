"""A model's states at each stage, compared with what transformers itself says of its layers."""

import torch

from faceinsight.models.face_insight import FaceInsight
from faceinsight.models.stages import face_stages, layer_states, spread_layers
from faceinsight.modules.attribute_query import AttributeQuery
from faceinsight.modules.language_model import LanguageModel
from tests.models.test_face_insight import face_insight, full

QUESTIONS = ["Is this a person {prompt}?", "A person {prompt}: yes or no?"]


def stages_of(model: FaceInsight, layers: list[int]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    features = model.encode(torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        return face_stages(model.eval(), features, layers), features


def test_layer_states_are_those_that_transformers_gives() -> None:
    model = LanguageModel.from_config(embed_dim=32, depth=3).eval()
    embeddings = torch.randn(2, 7, 32)
    with torch.no_grad(), layer_states(model) as states:
        last = model(embeddings)
    own = model.backbone.base_model(inputs_embeds=embeddings, output_hidden_states=True).hidden_states
    for number in (1, 2):  # transformers puts the norm on the last
        torch.testing.assert_close(states[number - 1], own[number])
    torch.testing.assert_close(model.backbone.base_model.norm(states[2]), last)
    model(embeddings)
    assert len(states) == 3, "the hooks are gone"


def test_the_stages_are_named_in_the_order_of_the_model() -> None:
    found, _ = stages_of(full(), [1, 2])
    layers = [f"layer {number}, {kind}" for number in (1, 2) for kind in ("image tokens", "answers")]
    before = ["image encoder", "mean image token", "face parts", "projector"]
    assert [*found] == [*before, *layers, "final state", "reading"]
    assert "face parts" not in stages_of(face_insight(), [2])[0]


def test_the_reading_is_the_models_own_also_with_paraphrases() -> None:
    asked = face_insight(text_encoder=None, question=QUESTIONS, query=AttributeQuery(embed_dim=32, num_tokens=0))
    for model in (full(), face_insight(question=QUESTIONS), asked):
        found, features = stages_of(model, [1])
        torch.testing.assert_close(found["reading"], model(features=features).logits, atol=1e-5, rtol=1e-4)


def test_the_states_of_answers_and_of_image_tokens_are_those_of_separate_prompts() -> None:
    model = full()
    found, features = stages_of(model, [1])
    prefix, segments = model.prefix(features), model.query.segments(model.question_prompts(), None)
    whole = []
    for segment in segments:
        prompt = torch.cat([prefix, segment.expand(3, -1, -1)], dim=1)
        with torch.no_grad(), layer_states(model.language_model) as states:
            model.language_model(prompt)
        whole.append(states[0])
    answers = torch.stack([each[:, -1] for each in whole], dim=1)
    torch.testing.assert_close(found["layer 1, answers"], answers, atol=1e-5, rtol=1e-4)
    tokens = model.face_tokens(features).shape[1]
    before = prefix.shape[1] - tokens  # nothing is said after the image
    image = whole[0][:, before : before + tokens].mean(1)
    torch.testing.assert_close(found["layer 1, image tokens"], image, atol=1e-5, rtol=1e-4)


def test_layers_are_spread_evenly_and_the_last_is_always_among_them() -> None:
    for depth in range(1, 40):
        for count in range(1, 45):
            layers = spread_layers(depth, count)
            assert layers[-1] == depth
            assert len(layers) == min(depth, count)
            assert min(layers) >= 1
