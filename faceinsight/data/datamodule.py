"""Faces for training and testing: any source, split by identity, reproducible to the last draw."""

import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal

import lightning
import numpy as np
import torch
from jaxtyping import Int8, Int64
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from faceinsight.data.augment import Augmentation, augment
from faceinsight.data.batch import FaceBatch
from faceinsight.data.dataset import FaceDataset, FaceReader, without_broken
from faceinsight.data.images import Crop
from faceinsight.data.inspection.check import constant_attributes
from faceinsight.data.table import FaceSource, FaceTable, check_source
from faceinsight.data.words.face_texts import FaceTexts
from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema

__all__ = ["FaceDataModule", "ProcessSampler"]


class FaceDataModule(lightning.LightningDataModule):
    """Batches of a source's faces. The splits are the source's own and share no identity.

    Order and augmentation depend only on the seed, the epoch and the batch's number, not on workers or on what else
    drew random numbers, so that a resumed training sees what an uninterrupted one would have seen: also one that goes
    on in the middle of an epoch, which sees the rest of it.

    In a distributed run of N processes, a step takes N times ``batch_size`` faces, and they are the faces that one
    process with that batch size would take. Each process augments its own with its own random numbers.

    Args:
        source: where the faces come from, e.g. :class:`~faceinsight.data.sources.celeba.CelebA`.
        image_size: side of the square pictures in pixels.
        batch_size: faces in a batch of one process, as everywhere in Lightning. The last, smaller batch of a training
            epoch is dropped; in tests it is kept.
        num_workers: processes that read; 0 reads in this one and keeps what it has read.
        broken: "refuse" a file that cannot be read when it is met, or "skip" such faces: they are looked for first,
            named in a warning and left out of :attr:`table`.
        augment: changes to training pictures; None for none. Cached features are never changed.
        limit_train: train on this many faces only: whole identities in a fixed order, so that a smaller limit's faces
            are among a larger one's.
        limit_draw: the order of the identities: ``fixed`` for every seed, or ``seed``, so that each seed draws other
            faces; then results of several seeds tell how much depends on which faces were labelled.
        crop: which part of each picture; the centred square by default.
        interpolation: the filter by which pictures are resized. A model's own size, crop and filter are its
            :attr:`~faceinsight.models.face_insight.FaceModel.picture_options`.
        texts: writes what a network is to learn to say of each training face, and of each validation face; None for no
            text.
        memory_mb: room for decoded pictures in MiB.
        seed: of order and augmentation; None takes torch's own (``seed_everything``).
    """

    def __init__(
        self,
        *,
        source: FaceSource,
        image_size: int = 96,
        batch_size: int = 64,
        num_workers: int = 0,
        broken: Literal["refuse", "skip"] = "refuse",
        augment: Augmentation | None = None,
        limit_train: int | None = None,
        limit_draw: Literal["fixed", "seed"] = "fixed",
        crop: Crop | None = None,
        interpolation: str = "bilinear",
        texts: FaceTexts | None = None,
        memory_mb: int = 1024,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or (limit_train is not None and limit_train < 1):
            raise InputError(f"batch_size and limit_train must be at least 1, got {batch_size} and {limit_train}")
        self.source, self.batch_size, self.num_workers = check_source(source), batch_size, num_workers
        self.broken, self.augment, self.limit_train, self.seed = broken, augment, limit_train, seed
        self.limit_draw = limit_draw
        self.texts = texts
        memory_mb = 0 if num_workers else memory_mb  # each worker would keep a copy of its own
        self.reader = FaceReader(image_size=image_size, crop=crop, memory_mb=memory_mb, interpolation=interpolation)
        self._table: FaceTable | None = None
        self._features: dict[str, Tensor] | None = None
        self._common_seed: int | None = None
        self._begin = 0  # the batch with which the next epoch of training begins

    @property
    def table(self) -> FaceTable:
        """The faces; read, and with ``broken="skip"`` looked through, when they are first asked for."""
        if self._table is None:
            self.source.prepare()
            table = self.source.table()
            self._table = without_broken(table) if self.broken == "skip" else table
        return self._table

    @property
    def schema(self) -> Schema:
        """The attributes of the labels."""
        return self.table.schema

    @property
    def features(self) -> dict[str, Tensor] | None:
        """Cached tokens by name, ``[face, ...]`` for each row of the table; batches then carry them, not pictures."""
        return self._features

    @features.setter
    def features(self, features: dict[str, Tensor] | None) -> None:
        for name, tensor in (features or {}).items():
            if len(tensor) != len(self.table):
                raise InputError(
                    f"features {name!r} have {len(tensor):,} rows for a table of {len(self.table):,} faces; "
                    "compute them from faces_dataloader()"
                )
        self._features = features

    def fingerprint(self, rows: Int64[Tensor, " face"] | None = None) -> str:
        """Return a hash of these faces (all by default) as networks see them, labels apart: part of cached features'
        keys.
        """
        return self.reader.fingerprint(self.table if rows is None else self.table.select(rows))

    def train_rows(self) -> Int64[Tensor, " face"]:
        """Return the rows trained on, with ``limit_train`` obeyed."""
        rows = self.table.rows("train")
        if self.limit_train is None or self.limit_train >= len(rows):
            return rows
        people, owner = self.table.identity[rows].unique(return_inverse=True)
        seed = self._draw(3) if self.limit_draw == "seed" else 0
        place = torch.randperm(len(people), generator=torch.Generator().manual_seed(seed))
        by_person = place[owner].argsort(stable=True)
        return rows[by_person[: self.limit_train]].sort().values

    def train_labels(self) -> Int8[Tensor, "face attr"]:
        """Return the labels trained on: all that a graph, a prior or a class weight may be counted from."""
        return self.table.labels[self.train_rows()]

    def prepare_data(self) -> None:
        """Make or check the source's files; Lightning calls this in one process only."""
        self.source.prepare()

    def setup(self, stage: str) -> None:
        """Agree on a seed with the other processes; warn of attributes that are constant in training.

        Without any label, as for a parser, there is nothing to warn of.
        """
        if self.trainer is not None and self.trainer.world_size > 1:
            self._common_seed = self.trainer.strategy.broadcast(torch.initial_seed())
        labels = self.train_labels()
        if stage == "fit" and labels.any() and (constant := constant_attributes(labels, self.schema, undefined=0)):
            rank_zero_warn(constant_warning(constant, len(labels)))

    def train_dataloader(self) -> DataLoader[FaceBatch]:
        rows = self.train_rows()
        world = self.trainer.world_size if self.trainer else 1
        drop_last = len(rows) >= self.batch_size * world
        return self._shared(rows, shuffle=True, drop_last=drop_last, texts=self._texts(), begin=self._take_begin)

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        return self._shared(self.table.rows("val"), texts=self._texts())

    def test_dataloader(self) -> DataLoader[FaceBatch]:
        return self._shared(self.table.rows("test"))

    def predict_dataloader(self) -> DataLoader[FaceBatch]:
        return self.faces_dataloader()

    def faces_dataloader(self, rows: Int64[Tensor, " face"] | None = None) -> DataLoader[FaceBatch]:
        """Return these faces of the table (all by default) in order, never augmented."""
        return self._loader(self._faces(torch.arange(len(self.table)) if rows is None else rows))

    def state_dict(self) -> dict[str, int]:
        """How many batches of an epoch that is under way were trained on; Lightning puts it into its checkpoints."""
        if self.trainer is None:
            return {"begin": 0}
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return {"begin": 0 if done >= self.trainer.num_training_batches else done}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Begin the next epoch of training where the checkpoint's was."""
        self._begin = state_dict["begin"]

    def _take_begin(self) -> int:
        """Return the batch with which an epoch of training begins: the first one, except right after a resumption."""
        begin, self._begin = self._begin, 0
        return begin

    def on_after_batch_transfer(self, batch: FaceBatch, dataloader_idx: int) -> FaceBatch:
        """Augment training batches, on the device that they are on."""
        if self.augment is None or self.trainer is None or not self.trainer.training:
            return batch
        number = self.trainer.fit_loop.total_batch_idx + 1
        generator = torch.Generator().manual_seed(self._draw(1, self.trainer.global_rank, number))
        return augment(batch, self.augment, generator)

    def _texts(self) -> FaceTexts | None:
        """Return what writes the texts, for the table's attributes."""
        if self.texts is not None:
            self.schema.check_names(self.texts.rules.schema.names, "the texts' rules")
        return self.texts

    def _faces(self, rows: Tensor, texts: FaceTexts | None = None) -> FaceDataset:
        return FaceDataset(table=self.table, reader=self.reader, rows=rows, features=self.features, texts=texts)

    def _shared(
        self,
        rows: Tensor,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        texts: FaceTexts | None = None,
        begin: Callable[[], int] | None = None,
    ) -> DataLoader[FaceBatch]:
        """Return the faces that this process takes of some rows."""
        faces = self._faces(rows, texts)
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler = ProcessSampler(
            faces, num_replicas=world, rank=rank, shuffle=shuffle, seed=self._draw(0), drop_last=drop_last
        )
        return self._loader(faces, sampler=sampler, drop_last=drop_last, begin=begin)

    def _loader(self, faces: FaceDataset, **options: Any) -> DataLoader[FaceBatch]:
        return FaceLoader(
            faces,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=FaceBatch.cat,
            worker_init_fn=seed_worker,
            generator=torch.Generator().manual_seed(self._draw(2)),
            **options,
        )

    def _draw(self, *purpose: int) -> int:
        """Return a seed for one purpose, far from the seeds of all others."""
        own = torch.initial_seed() if self._common_seed is None else self._common_seed
        seed = own if self.seed is None else self.seed
        return int(np.random.SeedSequence((seed % 2**63, *purpose)).generate_state(1)[0])


class FaceLoader(DataLoader[FaceBatch]):
    """A DataLoader that begins when its first batch is asked for, at the batch that training has come to.

    Lightning asks for the iterator before it has restored a checkpoint. Torch's own would then draw an epoch's order,
    and workers read its first batches, of the wrong epoch and from its beginning.

    Args:
        begin: gives the batch to begin with, asked each time; the first one by default.
        options: of torch's DataLoader, with a :class:`ProcessSampler` where ``begin`` is given.
    """

    def __init__(self, *args: Any, begin: Callable[[], int] | None = None, **options: Any) -> None:
        self.begin = begin
        super().__init__(*args, **options)

    def __iter__(self) -> Iterator[FaceBatch]:  # type: ignore[override]  # torch promises more than an iterator
        if self.begin is not None:
            self.sampler.first = self.begin() * (self.batch_size or 1)  # type: ignore[attr-defined]
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the data module keeps the place. With it Lightning knows that the loader can go on from there."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load."""


class ProcessSampler(DistributedSampler[Any]):
    """One process's share of the faces: together, the processes take each face once.

    All processes take as many, so that none waits for another for ever. Where torch's sampler repeats faces for that,
    this one gives the position -1, whose face :attr:`FaceBatch.counted` leaves out.

    >>> [list(ProcessSampler([0] * 5, num_replicas=2, rank=rank, shuffle=False)) for rank in range(2)]
    [[0, 2, 4], [1, 3, -1]]
    """

    #: the place in this process's share with which the next pass begins
    first = 0

    def __iter__(self) -> Iterator[int]:
        places = range(self.rank, self.total_size, self.num_replicas)
        whole = len(self.dataset)  # type: ignore[arg-type]
        all_of_it = (own if place < whole else -1 for place, own in zip(places, super().__iter__(), strict=True))
        return islice(all_of_it, self.first, None)


def seed_worker(worker: int) -> None:
    """Give numpy and Python in a worker the seed that torch gave it, and one thread."""
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)
    torch.set_num_threads(1)


def constant_warning(constant: dict[str, str], faces: int) -> str:
    """Return what to tell about attributes that never vary."""
    named = ", ".join(f"{name} ({how})" for name, how in constant.items())
    return f"constant on the {faces:,} training faces: {named}; nothing can be learnt about these attributes"
