"""The data module: splits, order, augmentation and features, reproducible and clear when something is wrong."""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from faceinsight.data.augment import Augmentation
from faceinsight.data.batch import FaceBatch
from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.sources.celeba import CelebA
from faceinsight.data.table import FaceTable
from faceinsight.knowledge.schema import Schema


@pytest.fixture
def source(root: Path, schema: Schema) -> CelebA:
    return CelebA(root=root, schema=schema)


class Given:
    """A table that is there already, as a source."""

    def __init__(self, table: FaceTable) -> None:
        self.given, self.prepared = table, False

    def prepare(self) -> None:
        self.prepared = True

    def table(self) -> FaceTable:
        return self.given


class Listener(lightning.LightningModule):
    """Trains one number and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.shown: dict[str, list[FaceBatch]] = {"train": [], "val": [], "test": []}

    def training_step(self, batch: FaceBatch, batch_index: int) -> Tensor:
        self.shown["train"].append(batch)
        return self.weight.square()

    def validation_step(self, batch: FaceBatch, batch_index: int) -> None:
        self.shown["val"].append(batch)

    def test_step(self, batch: FaceBatch, batch_index: int) -> None:
        self.shown["test"].append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(data: FaceDataModule, epochs: int = 2) -> dict[str, list[FaceBatch]]:
    """What a module is shown in some epochs of training, and in a test."""
    listener = Listener()
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        trainer.fit(listener, datamodule=data)
        trainer.test(listener, datamodule=data, verbose=False)
    return listener.shown


def rows(batches: list[FaceBatch]) -> list[int]:
    return FaceBatch.cat(batches).index.tolist()


def order(data: FaceDataModule) -> list[int]:
    return rows(list(data.train_dataloader()))


def test_each_stage_sees_its_split_once_an_epoch_and_training_in_another_order_each_time(source: CelebA) -> None:
    shown = trained(FaceDataModule(source=source, image_size=8, batch_size=3, seed=1))
    first, second = rows(shown["train"][:2]), rows(shown["train"][2:])
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    assert rows(shown["val"][:1]) == [6, 7, 8]
    assert rows(shown["test"]) == [9, 10, 11]


def test_the_last_smaller_batch_is_kept_in_tests_and_dropped_in_training(source: CelebA) -> None:
    data = FaceDataModule(source=source, image_size=8, batch_size=2)
    assert [len(batch) for batch in data.test_dataloader()] == [2, 1]
    assert [len(batch) for batch in FaceDataModule(source=source, image_size=8, batch_size=4).train_dataloader()] == [4]
    small = FaceDataModule(source=source, image_size=8, batch_size=64)
    assert [len(batch) for batch in small.train_dataloader()] == [6]


def test_order_follows_the_seed_and_not_the_global_state(source: CelebA) -> None:
    def shuffled(seed: int | None) -> list[int]:
        torch.rand(3)
        return order(FaceDataModule(source=source, image_size=8, batch_size=2, seed=seed))

    assert shuffled(1) == shuffled(1)
    assert len({tuple(shuffled(seed)) for seed in range(6)}) > 3
    torch.manual_seed(11)
    first = shuffled(None)
    torch.manual_seed(11)
    assert shuffled(None) == first


def test_workers_give_the_same_batches(source: CelebA) -> None:
    alone = list(FaceDataModule(source=source, image_size=8, batch_size=2, seed=0).train_dataloader())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork")
        workers = list(FaceDataModule(source=source, image_size=8, batch_size=2, seed=0, num_workers=2)
                       .train_dataloader())  # fmt: skip
    assert rows(alone) == rows(workers)
    assert torch.equal(FaceBatch.cat(alone).images, FaceBatch.cat(workers).images)


def test_only_training_pictures_are_augmented_and_always_alike_for_a_seed(source: CelebA) -> None:
    def shown(seed: int) -> dict[str, list[FaceBatch]]:
        options: dict[str, Any] = {"image_size": 8, "batch_size": 3, "seed": seed}
        return trained(FaceDataModule(source=source, augment=Augmentation(brightness=0.03), **options))

    first, again, other = shown(0), shown(0), shown(1)
    plain = {stage: FaceDataModule(source=source, image_size=8).faces_dataloader() for stage in ("val", "test")}
    everything = FaceBatch.cat(list(plain["val"])).images
    for stage in ("val", "test"):
        for batch in first[stage]:
            assert torch.equal(batch.images, everything[batch.index])
    for one, two in zip(first["train"], again["train"], strict=True):
        assert not torch.equal(one.images, everything[one.index])
        assert torch.equal(one.images, two.images)
    assert not torch.equal(first["train"][0].images, other["train"][0].images)
    by_face = [dict(zip(rows([batch]), batch.images, strict=True)) for batch in first["train"]]
    epochs = [by_face[0] | by_face[1], by_face[2] | by_face[3]]
    assert all(not torch.equal(epochs[0][face], epochs[1][face]) for face in range(6))


def test_features_replace_pictures_and_are_not_augmented(source: CelebA) -> None:
    data = FaceDataModule(source=source, image_size=8, batch_size=3, augment=Augmentation())
    data.features = {"image": torch.arange(12.0).view(12, 1)}
    shown = trained(data, epochs=1)
    for batch in shown["train"] + shown["val"] + shown["test"]:
        assert batch.images is None
        assert batch.features["image"].flatten().tolist() == batch.index.tolist()


def test_features_of_another_number_of_faces_are_refused(source: CelebA) -> None:
    data = FaceDataModule(source=source)
    with pytest.raises(ValueError, match=r"'image' have 5 rows .*12 faces"):
        data.features = {"image": torch.zeros(5, 2)}


def test_all_faces_come_in_the_order_of_the_table(source: CelebA) -> None:
    data = FaceDataModule(source=source, image_size=8, batch_size=5, limit_train=2, augment=Augmentation())
    assert rows(list(data.faces_dataloader())) == list(range(12))
    assert rows(list(data.predict_dataloader())) == list(range(12))


def test_fewer_training_faces_are_whole_people_and_nested(celeba_root: Path) -> None:
    source = Given(CelebA(root=celeba_root).table())
    chosen = {limit: FaceDataModule(source=source, limit_train=limit).train_rows() for limit in (100, 300, 1000)}
    identity = source.table().identity
    train = FaceDataModule(source=source).train_rows()
    assert {limit: len(each) for limit, each in chosen.items()} == {100: 100, 300: 300, 1000: 1000}
    assert set(chosen[100].tolist()) < set(chosen[300].tolist()) < set(chosen[1000].tolist()) < set(train.tolist())
    cut = 0
    for person in identity[chosen[300]].unique():
        cut += int((identity[chosen[300]] == person).sum() < (identity[train] == person).sum())
    assert cut <= 1
    assert chosen[300].tolist() != train[:300].tolist()


def test_training_labels_are_those_of_the_faces_trained_on(source: CelebA) -> None:
    data = FaceDataModule(source=source, limit_train=3)
    assert torch.equal(data.train_labels(), data.table.labels[data.train_rows()])
    assert len(FaceDataModule(source=source).train_labels()) == 6


def test_broken_faces_are_skipped_before_training_and_features_fit_what_is_left(source: CelebA, root: Path) -> None:
    (root / "img_align_celeba" / "03.png").write_bytes(b"x")
    data = FaceDataModule(source=source, image_size=8, batch_size=5, broken="skip")
    with pytest.warns(UserWarning, match=r"1 of 12 faces(.|\n)*03.png: not a picture"):
        assert len(data.table) == 11
    assert [len(batch) for batch in data.train_dataloader()] == [5]
    assert rows(list(data.faces_dataloader())) == list(range(11))
    data.features = {"image": torch.zeros(11, 1)}


def test_an_attribute_that_is_constant_in_training_is_named(source: CelebA, root: Path) -> None:
    path = root / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    for number in range(2, 8):  # the six training faces: nobody is bald, everybody smiles
        name, _, bangs, _ = lines[number].split()
        lines[number] = f"{name} -1 {bangs} 1"
    path.write_text("\n".join(lines) + "\n")
    message = r"constant on the 6 training faces: Bald \(never positive\), Smiling \(always positive\); nothing can"
    with pytest.warns(UserWarning, match=message):
        FaceDataModule(source=source).setup("fit")


def test_an_empty_split_is_named(source: CelebA, root: Path) -> None:
    path = root / "list_eval_partition.txt"
    path.write_text(path.read_text().replace(" 1\n", " 0\n"))
    data = FaceDataModule(source=source)
    with pytest.raises(ValueError, match=r"the 12 faces of .* in 'val'"):
        data.val_dataloader()


def test_the_fingerprint_knows_size_and_crop_but_not_batches(source: CelebA) -> None:
    same = {FaceDataModule(source=source, batch_size=size, seed=size).fingerprint() for size in (1, 2)}
    assert len(same) == 1
    assert FaceDataModule(source=source, image_size=32).fingerprint() not in same


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"limit_train": 0}])
def test_sizes_below_one_are_refused(source: CelebA, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="batch_size and limit_train"):
        FaceDataModule(source=source, **options)


def test_any_object_with_prepare_and_table_is_a_source(source: CelebA) -> None:
    mine = Given(source.table())
    assert FaceDataModule(source=mine).schema.names == ("Bald", "Bangs", "Smiling")
    assert mine.prepared


class KillError(RuntimeError):
    pass


class KillAfter(lightning.Callback):
    """Ends training after so many batches."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.fit_loop.total_batch_idx == self.batches:
            raise KillError


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [1, 2, 3, 4, 5, 7])
def test_a_training_that_goes_on_in_the_middle_of_an_epoch_sees_the_rest_of_it(
    source: CelebA, tmp_path: Path, done: int, workers: int
) -> None:
    """Three batches an epoch: after 1, 2, 4, 5 and 7 of them an epoch is under way, after 3 it has ended."""

    def seen(*callbacks: lightning.Callback, resumed: Path | None = None) -> list[FaceBatch]:
        torch.manual_seed(7)
        data = FaceDataModule(
            source=source, image_size=8, batch_size=2, num_workers=workers, augment=Augmentation(brightness=0.1)
        )
        listener = Listener()
        trainer = lightning.Trainer(
            max_epochs=3, accelerator="cpu", logger=False, callbacks=[*callbacks], enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0,
            enable_checkpointing=bool(callbacks),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            warnings.filterwarnings("ignore", message=".*fork")
            warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`, callbacks")
            with suppress(KillError):
                trainer.fit(listener, datamodule=data, ckpt_path=resumed, weights_only=True)
        return listener.shown["train"]

    whole = seen()
    folder = tmp_path / "kept"
    kept = ModelCheckpoint(dirpath=folder, filename="newest", every_n_train_steps=1, enable_version_counter=False)
    before = seen(kept, KillAfter(done))
    after = seen(resumed=folder / "newest.ckpt")
    assert (len(before), len(whole)) == (done, 9)
    for found, wanted in zip(before + after, whole, strict=True):
        assert found.index.tolist() == wanted.index.tolist()
        assert torch.equal(found.images, wanted.images)


def test_each_seed_can_draw_other_labelled_faces_and_the_same_again(celeba_root: Path) -> None:
    source = Given(CelebA(root=celeba_root).table())
    chosen = [FaceDataModule(source=source, limit_train=100, limit_draw="seed", seed=seed) for seed in (0, 1, 0)]
    first, second, again = (each.train_rows().tolist() for each in chosen)
    assert first == again
    assert first != second
    whole = FaceDataModule(source=source, limit_train=300, limit_draw="seed", seed=0).train_rows().tolist()
    assert set(first) < set(whole)
