"""What a multimodal model gives for each face, before any of it is a prediction: yes/no logits, and texts.

It is kept in shards, readable files each named by a hash of all that it depends on: weights, prompts, pictures. An
interrupted run loses one shard at most, and nothing is ever stale.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from faceinsight.data.batch import FaceBatch
from faceinsight.data.dataset import FaceDataset, FaceReader
from faceinsight.data.table import FaceTable
from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.models.face_insight import FaceInsight
from faceinsight.models.loop import over_faces, read_batches
from faceinsight.models.speaking import answers
from faceinsight.modules.frozen import fingerprint
from faceinsight.store import JsonStore, key_of

__all__ = ["Readings", "asked", "blank_images", "blank_logits", "read_faces"]

#: Faces in one file: what an interruption costs at most.
SHARD = 64

Tell = Callable[[str, int], None]
Rows = list[list[float]] | list[list[str]]
Read = Callable[[FaceBatch], Rows]


@dataclass(frozen=True)
class Readings:
    """What a model gave for some faces.

    Args:
        logits: ``z_yes - z_no`` for every attribute.
        blank: the same for pictures without content, see :func:`blank_logits`.
        texts: for each face, its answer to each of :func:`asked`; None where it was not asked for words.
        seconds: ``logits`` and ``texts``, the time that each took.
    """

    logits: Float[Tensor, "face attr"]
    blank: Float[Tensor, "blank attr"]
    texts: tuple[tuple[str, ...], ...] | None
    seconds: Mapping[str, float]


def blank_images(image_size: int) -> Float[Tensor, "3 3 height width"]:
    """Return a black, a grey and a white picture: nothing to be seen, said in three ways.

    >>> blank_images(2)[:, 0, 0, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    return torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1).expand(3, 3, image_size, image_size).contiguous()


@torch.no_grad()
def blank_logits(model: FaceInsight) -> Float[Tensor, "blank attr"]:
    """Return what a model answers about :func:`blank_images`: its leaning towards yes before it has seen anybody."""
    images = model.images(blank_images(model.image_encoder.preprocessing["image_size"]))
    masks = None if model.segmentation is None else torch.zeros_like(images[:, 0], dtype=torch.uint8)
    return model(images, masks=masks).logits.float().cpu()


def asked(model: FaceInsight) -> list[str]:
    """Every question of every attribute in their order, as :attr:`Readings.texts` answers them.

    Raises:
        InputError: the model asks in soft tokens only, which is no question to be answered in words.
    """
    questions = [text for paraphrases in model.questions() for text in paraphrases]
    if not all(questions):
        raise InputError(
            "this model asks by soft tokens alone; give it a question with {prompt} in it for text answers"
        )
    return questions


def read_faces(
    model: FaceInsight,
    table: FaceTable,
    *,
    folder: Path,
    texts: bool = False,
    batch_size: int = 16,
    max_new_tokens: int = 16,
    tell: Tell = lambda kind, faces: None,
) -> Readings:
    """Read every face of a table, or find it read.

    Args:
        folder: where the shards are kept.
        texts: also let the model answer every question in words.
        batch_size: faces at a time; it changes nothing but speed.
        max_new_tokens: where a text is cut off.
        tell: called with ``logits`` or ``texts`` and the number of faces after each batch.
    """
    made_of = {
        "encoder": model.encoder.feature_keys(),
        "model": fingerprint(model),
        "answers": model.answer_tokens(),
        "prompts": [model.instruction, list(model.language_model.image_frame), list(map(list, model.questions()))],
    }
    store = JsonStore(folder)
    blank = store.get_or_make(store_key("blank", made_of), lambda: {"logits": blank_logits(model).tolist()})
    shards = {"logits": of_shards(table, made_of, model, store, "logits", logits_of(model), batch_size, tell)}
    if texts:
        words = {**made_of, "max_new_tokens": max_new_tokens}
        speak = texts_of(model, max_new_tokens)
        shards["texts"] = of_shards(table, words, model, store, "texts", speak, batch_size, tell)
    said = [tuple(row) for shard in shards.get("texts", ()) for row in shard["texts"]]
    return Readings(
        logits=torch.tensor([row for shard in shards["logits"] for row in shard["logits"]]),
        blank=torch.tensor(blank["logits"]),
        texts=tuple(said) if texts else None,
        seconds={kind: sum(shard["seconds"] for shard in some) for kind, some in shards.items()},
    )


def store_key(kind: str, made_of: Mapping[str, object]) -> str:
    """Return a key that begins with what it is of."""
    return f"{kind}-{key_of(kind=kind, **made_of)[:20]}"


def of_shards(
    table: FaceTable,
    made_of: Mapping[str, object],
    model: FaceInsight,
    store: JsonStore,
    kind: str,
    read: Read,
    batch_size: int,
    tell: Tell,
) -> list[PlainData]:
    """Return all shards of one kind; those that are missing are read now."""
    reader = FaceReader(**model.picture_options, memory_mb=0)
    shown = table if model.segmentation is not None else replace(table, mask_root=None)
    shards = []
    for rows in torch.arange(len(table)).split(SHARD):
        faces = FaceDataset(table=shown.select(rows), reader=reader)
        known: list[int] = []

        def note(number: int, known: list[int] = known) -> None:
            known.append(number)
            tell(kind, number)

        def compute(faces: FaceDataset = faces, note: Callable[[int], None] = note) -> PlainData:
            began, batches = time.perf_counter(), read_batches(faces, batch_size=batch_size)
            device = model.language_model.device
            values = [row for _, rows in over_faces(read, batches, device=device, tell=note) for row in rows]
            return {kind: values, "files": list(faces.table.files), "seconds": time.perf_counter() - began}

        key = store_key(kind, {**made_of, "faces": reader.fingerprint(faces.table)})
        shards.append(store.get_or_make(key, compute))
        tell(kind, len(faces) - sum(known))
    return shards


def logits_of(model: FaceInsight) -> Read:
    """Read all attributes of a batch in one pass."""

    def read(batch: FaceBatch) -> Rows:
        return model(batch.images, masks=batch.masks).logits.float().tolist()

    return read


def texts_of(model: FaceInsight, max_new_tokens: int) -> Read:
    """Asks every question about a batch."""
    questions = asked(model)

    def read(batch: FaceBatch) -> Rows:
        return answers(model, model.encoder(batch.images, batch.masks), questions, max_new_tokens=max_new_tokens)

    return read
