"""The small language model that ships with the package: text about faces, a tokenizer, a Llama, its numbers.

    python -m experiments.tiny.language_model --output runs/tiny/language_model

Written into the folder, whole or not at all: ``model.safetensors`` (float16), ``config.json``, the tokenizer, the
model card ``README.md`` and ``metrics.json``. A run that was killed goes on after its last whole round (one in
``rounds``) and ends as if it had not been. The text is written anew from the seed, which takes some minutes; its hash
stands in the card.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from jsonargparse import auto_cli
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from experiments.tiny.training import circumstances, described, fitted, hash_of, publish, work_folder
from experiments.tiny.words.card import card, table
from experiments.tiny.words.corpus import ANSWERS, packed, positions_of, targets_of, tokenized, trained_tokenizer
from experiments.tiny.words.ngrams import NGrams
from experiments.tiny.words.populations import HELD_OUT, populations, split
from experiments.tiny.words.scores import (
    Question,
    answer_scores,
    majority,
    perplexity,
    questions_in,
    read,
    read_ngrams,
)
from faceinsight.data.words import FaceWriter, Population, Text
from faceinsight.modules.language.answers import next_token_sum_and_count
from faceinsight.modules.language_model import LanguageModel
from faceinsight.training.configure import silence_tips
from faceinsight.training.systems import TrainingSystem

#: Before the number of a held-out text, so that it is none of the training's.
HELD_TEXTS = 10**9


@dataclass(frozen=True)
class Settings:
    """Everything that the weights depend on.

    Args:
        seed: of text, weights and order.
        tokens: to train on, padding among them.
        faces: attribute sets in each of the large populations.
        held_texts: texts to measure on.
        tokenizer_texts: texts that the tokenizer is trained on.
        vocab_size: tokens of the tokenizer at most; the texts have fewer different words.
        block: tokens of one training sequence, which holds several texts.
        rounds: parts of the training, after each of which its state is kept.
        answer_weight: how often a yes or no counts in the loss, of which there are two in a hundred tokens.
    """

    seed: int = 0
    tokens: int = 8_000_000
    faces: int = 12_000
    held_texts: int = 4_000
    tokenizer_texts: int = 20_000
    vocab_size: int = 1536
    block: int = 256
    embed_dim: int = 256
    depth: int = 4
    num_heads: int = 8
    mlp_dim: int = 800
    batch_size: int = 4
    rounds: int = 24
    lr: float = 1.5e-3
    weight_decay: float = 0.1
    answer_weight: float = 10.0


class LanguageSystem(TrainingSystem):
    """Next tokens within each text, of blocks that hold several.

    Args:
        end: the token that ends a text.
        padding: the token behind the last text of a block.
        answers: yes and no, which count ``answer_weight`` times wherever they stand: learnt last, they are read first.
    """

    def __init__(
        self,
        *,
        network: LlamaForCausalLM,
        end: int,
        padding: int,
        answers: Sequence[int],
        answer_weight: float,
        lr: float,
        weight_decay: float,
    ) -> None:
        super().__init__(network=network, lr=lr, weight_decay=weight_decay, warmup=0.03)
        self.end, self.padding = end, padding
        self.answers, self.answer_weight = [*answers], answer_weight

    def training_step(self, tokens: Tensor, batch_index: int) -> Tensor:
        places = positions_of(tokens, self.end)
        logits = self.network(input_ids=tokens, position_ids=places, use_cache=False).logits[:, :-1].float()
        targets = targets_of(tokens, self.end, self.padding)
        total, count = next_token_sum_and_count(logits, targets)
        answering = torch.isin(targets, torch.tensor(self.answers, device=targets.device))
        more, answered = next_token_sum_and_count(logits[answering], targets[answering])
        extra = self.answer_weight - 1
        loss = (total + extra * more) / (count + extra * answered).clamp(min=1)
        self.log("train/perplexity", (total.detach() / count.clamp(min=1)).exp(), prog_bar=True)
        return self.finite(loss, {"cross_entropy": loss})


class Blocks(lightning.LightningDataModule):
    """The blocks of the whole training in their order, each once; a round has its own."""

    def __init__(self, blocks: Tensor, *, rounds: int, batch_size: int) -> None:
        super().__init__()
        self.blocks, self.rounds, self.batch_size = blocks, rounds, batch_size

    def train_dataloader(self) -> DataLoader[Tensor]:
        size = len(self.blocks) // self.rounds
        number = self.trainer.current_epoch if self.trainer else 0
        return DataLoader(self.blocks[number * size : (number + 1) * size], batch_size=self.batch_size)


@dataclass(frozen=True)
class Data:
    """What is trained and measured on."""

    tokenizer: PreTrainedTokenizerBase
    blocks: Tensor
    held: list[Text]
    sample: list[Text]  # of the training's texts, for their questions' majority
    key: str  # the hash of all of it


def written(settings: Settings, *, progress: bool = True) -> Data:
    """Return the texts, their tokenizer, and the blocks."""
    found = populations(faces=settings.faces, seed=settings.seed)
    write = FaceWriter(populations=split(found, held_out=False), seed=settings.seed)
    sample = [
        write(index)
        for index in track(range(settings.tokenizer_texts), "texts for the tokenizer", disable=not progress)
    ]
    tokenizer = trained_tokenizer((text.text for text in sample), vocab_size=settings.vocab_size)
    count = settings.tokens // settings.block // settings.rounds * settings.rounds
    texts = (
        write(index).text
        for index in track(range(settings.tokens), "texts", total=settings.tokens // 80, disable=not progress)
    )
    blocks = packed(
        tokenized(texts, tokenizer), blocks=count, length=settings.block, padding=tokenizer.pad_token_id
    ).to(torch.int32)
    held = held_out(split(found, held_out=True), settings, progress)
    parts = [
        json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()), sort_keys=True),
        *(text.text for text in held),
    ]
    key = hash_of("\n".join(parts).encode(), blocks.numpy().tobytes())
    return Data(tokenizer, blocks[torch.randperm(count, generator=torch.Generator().manual_seed(settings.seed))],
                held, sample, key)  # fmt: skip


def held_out(found: list[Population], settings: Settings, progress: bool) -> list[Text]:
    """Texts about faces that no training text is about."""
    write = FaceWriter(populations=found, seed=settings.seed)
    numbers = range(HELD_TEXTS, HELD_TEXTS + settings.held_texts)
    return [write(number) for number in track(numbers, "held-out texts", disable=not progress)]


def random_model(settings: Settings, tokenizer: PreTrainedTokenizerBase) -> LanguageModel:
    """Return the Llama before training: shallow, since every face of an ablation passes it."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.embed_dim,
        intermediate_size=settings.mlp_dim,
        num_hidden_layers=settings.depth,
        num_attention_heads=settings.num_heads,
        num_key_value_heads=settings.num_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return LanguageModel(backbone=LlamaForCausalLM(config), tokenizer=tokenizer)


def trained(settings: Settings, data: Data, work: Path, *, progress: bool = True) -> tuple[LanguageModel, float]:
    """Return the trained model and the seconds that it took, interruptions left out."""
    model = random_model(settings, data.tokenizer)
    system = LanguageSystem(
        network=model.backbone, end=data.tokenizer.eos_token_id, padding=data.tokenizer.pad_token_id,
        answers=[data.tokenizer.encode(answer)[0] for answer in ANSWERS], answer_weight=settings.answer_weight,
        lr=settings.lr, weight_decay=settings.weight_decay,
    )  # fmt: skip
    blocks = Blocks(data.blocks.long(), rounds=settings.rounds, batch_size=settings.batch_size)
    return model, fitted(system, blocks, work, epochs=settings.rounds, progress=progress)


def measured(model: LanguageModel, settings: Settings, data: Data) -> dict[str, dict[str, object]]:
    """Every contender's perplexity and answers on the held-out texts."""
    documents = [*tokenized((text.text for text in data.held), data.tokenizer)]
    questions = questions_in(data.held, data.tokenizer)
    training = questions_in(data.sample, data.tokenizer)
    seen = list(documents_in(data.blocks, data.tokenizer.eos_token_id))
    size = len(data.tokenizer)
    random = random_model(settings, data.tokenizer).eval()
    read_by = {
        "this model": lambda: read(model.eval(), documents, questions),
        "trigram": lambda: read_ngrams(NGrams(seen, vocab_size=size, order=3), documents, questions),
        "unigram": lambda: read_ngrams(NGrams(seen, vocab_size=size, order=1), documents, questions),
        "random weights": lambda: read(random, documents, questions),
        "majority of each attribute": lambda: (None, majority(training, questions, by_concept)),
        "majority": lambda: (None, majority(training, questions, by_why)),
    }
    scores: dict[str, dict[str, object]] = {}
    for name, reading in read_by.items():
        log_probs, logits = reading()
        ppl = None if log_probs is None else perplexity(log_probs)
        scores[name] = {"perplexity": ppl, "answers": answer_scores(questions, logits)}
    return scores


def by_concept(question: Question) -> str:
    return f"{question.why} {question.concept}"


def by_why(question: Question) -> str:
    return question.why


def documents_in(blocks: Tensor, end: int) -> Iterator[list[int]]:
    """Yield the documents that were packed into blocks."""
    for block in blocks.tolist():
        document: list[int] = []
        for token in block:
            document.append(token)
            if token == end:
                yield document
                document = []


def saved(model: LanguageModel, folder: Path) -> None:
    """Save the model and its tokenizer as transformers keeps them."""
    model.backbone.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


def main(output: Path, settings: Settings = Settings(), progress: bool = True) -> None:
    """Write the text, train, measure, and put everything into ``output``.

    Args:
        output: the folder.
        settings: see Settings.
        progress: show progress bars.
    """
    output = Path(output)
    data = written(settings, progress=progress)
    work = work_folder(output, data.key, settings)
    model, seconds = trained(settings, data, work, progress=progress)
    model.backbone.half().float()  # measured as it is kept
    scores = measured(model, settings, data)
    told = {
        **circumstances("experiments.tiny.language_model", settings, data.key, seconds),
        "tokens": data.blocks.numel(),
        "documents": int((data.blocks == data.tokenizer.eos_token_id).sum()),
        "held_texts": len(data.held),
        "held_out": HELD_OUT,
        "parameters": sum(each.numel() for each in model.backbone.parameters()),
        "vocab_size": len(data.tokenizer),
    }
    model.backbone.half()
    publish(output, lambda folder: saved(model, folder), described(card, told, scores))
    shutil.rmtree(work, ignore_errors=True)
    Console().print(table(scores))


if __name__ == "__main__":
    silence_tips()
    auto_cli(main, as_positional=False)
