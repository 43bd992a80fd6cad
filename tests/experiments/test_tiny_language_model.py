"""The small language model's training: its data, its measures, its folder, and that a kill costs nothing."""

import doctest
import json
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from experiments.tiny import language_model
from experiments.tiny.language_model import LanguageSystem, Settings, main, random_model
from experiments.tiny.words import corpus, ngrams, scores
from experiments.tiny.words.corpus import ANSWERS, packed, positions_of, targets_of, tokenized, trained_tokenizer
from experiments.tiny.words.ngrams import NGrams
from experiments.tiny.words.populations import fairface_counts, is_held_out, populations, split
from experiments.tiny.words.scores import answer_scores, perplexity, questions_in, read, read_ngrams
from faceinsight.data.words import FaceWriter, Population, Text
from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.language_model import LanguageModel

SMALL = Settings(
    tokens=12_288, faces=40, held_texts=24, tokenizer_texts=150, vocab_size=600, block=256, embed_dim=32, depth=1,
    num_heads=2, mlp_dim=48, batch_size=4, rounds=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def found() -> list[Population]:
    return populations(faces=40, seed=0)


@pytest.fixture(scope="module")
def texts(found: list[Population]) -> list[Text]:
    write = FaceWriter(populations=found)
    return [write(index) for index in range(150)]


@pytest.fixture(scope="module")
def tokenizer(texts: list[Text]) -> PreTrainedTokenizerFast:
    return trained_tokenizer((text.text for text in texts), vocab_size=600)


@pytest.mark.parametrize("module", [corpus, ngrams, scores])
def test_the_examples_in_the_docstrings_are_right(module: ModuleType) -> None:
    tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried.attempted > 0
    assert tried.failed == 0


def test_no_face_is_both_trained_on_and_measured_on(found: list[Population]) -> None:
    training, held = split(found, held_out=False), split(found, held_out=True)
    combinations = [
        {tuple(sorted(facts.items())) for part in parts for facts in part.faces} for parts in (training, held)
    ]
    assert all(combinations)
    assert not combinations[0] & combinations[1]
    large = [facts for part in populations(faces=400, seed=1)[:1] for facts in part.faces]
    assert 5 <= sum(map(is_held_out, large)) <= 40  # of 400, one in 20


def test_faces_drawn_by_a_catalogs_rules_keep_them(found: list[Population]) -> None:
    rules = RuleSet.load("celeba")
    (celeba,) = [
        each for each in found if "High_Cheekbones" in each.words.concepts and "Shiny_Skin" not in each.words.concepts
    ]
    rows = [
        [facts[concept] == positive for concept, positive in celeba.words.concepts.values()] for facts in celeba.faces
    ]
    assert not rules.violations(torch.tensor(rows)).any()


def test_fairfaces_counts_are_those_of_its_training_list() -> None:
    assert len(fairface_counts()) == 9 * 2 * 7
    assert sum(count for _, count in fairface_counts()) == 86_744


def test_any_text_survives_the_tokenizer_and_each_answer_is_one_token(
    texts: list[Text], tokenizer: PreTrainedTokenizerFast
) -> None:
    for text in [*(each.text for each in texts), "Ein Bart? Ça va, 東京! \t\n\n no  yes"]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert {len(tokenizer.encode(answer)) for answer in ANSWERS} == {1}
    assert len({tokenizer.encode(answer)[0] for answer in ANSWERS}) == len(ANSWERS)
    again = trained_tokenizer((text.text for text in texts), vocab_size=600)
    assert again.get_vocab() == tokenizer.get_vocab()
    with pytest.raises(ValueError, match="single tokens with vocab_size=260"):
        trained_tokenizer(["yes"], vocab_size=260)


def test_documents_in_one_block_do_not_see_each_other(texts: list[Text], tokenizer: PreTrainedTokenizerFast) -> None:
    model = random_model(SMALL, tokenizer).eval()
    one, two = [*tokenized((text.text for text in texts[:2]), tokenizer)]
    block = packed([one, two], blocks=1, length=len(one) + len(two) + 3, padding=tokenizer.pad_token_id)
    places = positions_of(block, tokenizer.eos_token_id)
    with torch.no_grad():
        together = model.backbone(input_ids=block, position_ids=places, use_cache=False).logits[0]
        alone = [model.backbone(input_ids=torch.tensor([each]), use_cache=False).logits[0] for each in (one, two)]
    torch.testing.assert_close(together[: len(one) + len(two)], torch.cat(alone), atol=1e-4, rtol=0)
    targets = targets_of(block, tokenizer.eos_token_id, tokenizer.pad_token_id)[0]
    assert targets[targets != -100].tolist() == one[1:] + two[1:]


def test_the_n_gram_models_are_those_reckoned_by_hand() -> None:
    """Documents "a b a b" and "a c" over {a, b, c}: a 3, b 2, c 1 of 6, three kinds."""
    documents = [[0, 1, 0, 1], [0, 2]]
    unigram = {0: (3 + 3 / 3) / 9, 1: (2 + 3 / 3) / 9, 2: (1 + 3 / 3) / 9}
    found = NGrams(documents, vocab_size=3, order=1).probability([[], [0]], [[0, 1, 2]] * 2)
    np.testing.assert_allclose(found, [[*unigram.values()]] * 2)
    # after a: b twice, c once, so two kinds; after c nothing was seen, and the unigram is left
    bigram = NGrams(documents, vocab_size=3, order=2)
    after_a = [(count + 2 * unigram[token]) / 5 for token, count in enumerate([0, 2, 1])]
    np.testing.assert_allclose(bigram.probability([[1, 0], [2]], [[0, 1, 2]] * 2), [after_a, [*unigram.values()]])
    # after b a: b once, one kind
    trigram = NGrams(documents, vocab_size=3, order=3).probability([[1, 0]], [[0, 1, 2]])
    np.testing.assert_allclose(trigram, [[(count + after_a[token]) / 2 for token, count in enumerate([0, 1, 0])]])
    assert trigram.sum() == pytest.approx(1)
    log_prob = bigram.log_prob([2, 0, 1])
    np.testing.assert_allclose(log_prob, [math.log(unigram[0]), math.log(after_a[1])])
    assert perplexity([log_prob]) == pytest.approx((unigram[0] * after_a[1]) ** -0.5, rel=1e-5)


def test_a_models_numbers_are_those_of_one_text_at_a_time(
    texts: list[Text], tokenizer: PreTrainedTokenizerFast
) -> None:
    model = random_model(SMALL, tokenizer).eval()
    some = [text for text in texts if text.answers][:6]
    documents, questions = [*tokenized((text.text for text in some), tokenizer)], questions_in(some, tokenizer)
    log_probs, logits = read(model, documents, questions)
    with torch.no_grad():
        for document, found in zip(documents, log_probs, strict=True):
            loss = model.backbone(input_ids=torch.tensor([document]), labels=torch.tensor([document])).loss
            assert -found.mean() == pytest.approx(float(loss), abs=1e-4)
        question = questions[3]
        hidden = model(model.embed_tokens(torch.tensor(documents[question.document][: question.place]))[None])[0, -1]
        words = [[tokenizer.decode([token])] for token in question.tokens]
        assert float(model.yes_no_logits(hidden, yes=words[0], no=words[1])) == pytest.approx(logits[3], abs=1e-4)


def test_the_loss_counts_each_yes_and_no_as_often_as_it_says(
    texts: list[Text], tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a weighted mean over single texts, each read alone."""
    model = random_model(SMALL, tokenizer)
    answers = [tokenizer.encode(answer)[0] for answer in ANSWERS]
    system = LanguageSystem(
        network=model.backbone, end=tokenizer.eos_token_id, padding=tokenizer.pad_token_id, answers=answers,
        answer_weight=7.0, lr=1e-3, weight_decay=0.1,
    )  # fmt: skip
    monkeypatch.setattr(system, "log", lambda *given, **options: None)
    documents = [*tokenized((text.text for text in texts if text.answers), tokenizer)][:3]
    block = packed(documents, blocks=1, length=sum(map(len, documents)) + 5, padding=tokenizer.pad_token_id)
    total, count = 0.0, 0.0
    for document in documents:
        with torch.no_grad():
            spread = model.backbone(input_ids=torch.tensor([document]), use_cache=False).logits[0].log_softmax(-1)
        for place, token in enumerate(document[1:]):
            weight = 7.0 if token in answers else 1.0
            total, count = total - weight * float(spread[place, token]), count + weight
    assert count > 7
    assert float(system.training_step(block.long(), 0).detach()) == pytest.approx(total / count, rel=1e-5)


def test_answers_are_scored_by_hand(texts: list[Text], tokenizer: PreTrainedTokenizerFast) -> None:
    questions = [replace(questions_in(texts, tokenizer)[0], why="stated", value=value) for value in (True, True, False)]
    told = answer_scores(questions, np.array([2.0, -1.0, 0.0]))["stated"]
    assert told == {"count": 3, "accuracy": pytest.approx(0.5), "auroc": pytest.approx(0.5)}
    trigram = NGrams(tokenized((text.text for text in texts), tokenizer), vocab_size=len(tokenizer), order=3)
    documents = [*tokenized((text.text for text in texts[:20]), tokenizer)]
    asked = [each for each in questions_in(texts, tokenizer) if each.document < 20]
    _, logits = read_ngrams(trigram, documents, asked)
    yes, no = (
        trigram.log_prob([*documents[asked[0].document][: asked[0].place], each])[-1] for each in asked[0].tokens
    )
    assert logits[0] == pytest.approx(yes - no)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    main(folder, SMALL, progress=False)
    return folder


def test_the_folder_loads_offline_as_a_language_model(finished: Path) -> None:
    model = LanguageModel.from_pretrained(str(finished), dtype=torch.float32)
    assert model.backbone.dtype == torch.float32
    assert model.yes_no_logits(torch.zeros(1, SMALL.embed_dim)).tolist() == [0.0]  # "Yes" and "No" are single tokens
    assert {each.name for each in finished.iterdir()} >= {
        "model.safetensors",
        "tokenizer.json",
        "config.json",
        "README.md",
    }
    told = json.loads((finished / "metrics.json").read_text())
    contenders = told["scores"]
    assert contenders["this model"]["perplexity"] < contenders["random weights"]["perplexity"]
    assert told["data_hash"] in (finished / "README.md").read_text()
    assert [each.name for each in finished.parent.iterdir()] == ["model"]  # nothing is left beside it


def test_a_training_that_is_killed_goes_on_and_ends_the_same(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    step = LanguageSystem.training_step

    def killed(self: LanguageSystem, tokens: Tensor, batch_index: int) -> Tensor:
        if len(done) == 6:  # of 12, in the second of three rounds
            raise KeyboardInterrupt
        done.append(self.global_step)
        return step(self, tokens, batch_index)

    monkeypatch.setattr(LanguageSystem, "training_step", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(tmp_path / "model", SMALL, progress=False)
    assert not (tmp_path / "model").exists()
    done.extend([-1] * 94)  # killed no more
    main(tmp_path / "model", SMALL, progress=False)
    assert done[:6] == [*range(6)]
    assert done[100:] == [*range(4, 12)]
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "model" / name).read_bytes() == (finished / name).read_bytes(), name
    whole, resumed = (json.loads((folder / "metrics.json").read_text()) for folder in (finished, tmp_path / "model"))
    assert whole["scores"] == resumed["scores"]


def test_another_seed_writes_other_texts_and_does_not_go_on_from_this_one(texts: list[Text]) -> None:
    one, other = (language_model.written(replace(SMALL, seed=seed)) for seed in (0, 1))
    assert one.key != other.key
    assert language_model.written(SMALL).key == one.key
