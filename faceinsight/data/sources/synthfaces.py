"""SynthFaces: drawn faces with exact labels and parsing masks, the data set that needs no download.

The faces are drawn once into a folder in CelebA's own layout and are then read by the reader that reads CelebA. Their
label statistics imitate celebrity photographs; they describe no real person.
"""

import json
import multiprocessing
import os
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from faceinsight.data.sources.celeba import CelebA
from faceinsight.data.synthetic.population import ATTRIBUTES, Face, face, split_of
from faceinsight.data.synthetic.renderer import VERSION
from faceinsight.data.synthetic.writer import CHUNK, file_name, leave_with_parent, write_chunk
from faceinsight.data.table import FaceTable
from faceinsight.errors import InputError
from faceinsight.files import make_folder, write_text

__all__ = ["SynthFaces"]

_PARTITION = {"train": 0, "val": 1, "test": 2}


class SynthFaces:
    """A source of drawn faces: call :meth:`prepare` once, then read :meth:`table`.

    Args:
        root: folder for all sets of drawn faces; each set gets a folder of its own in it, named by its parameters and
            by the version of the drawing, so that sets are never mixed.
        count: number of faces. Face ``i`` is the same whatever the count.
        image_size: side of the square pictures in pixels.
        seed: of the whole population.
        workers: processes that draw; ``None`` takes one per core, 1 stays in this process.
        progress: show a progress bar while drawing.

    Raises:
        InputError: count, image_size, seed or workers out of range.
    """

    def __init__(
        self,
        *,
        root: str | os.PathLike[str] = "data/synthfaces",
        count: int = 4000,
        image_size: int = 96,
        seed: int = 0,
        workers: int | None = None,
        progress: bool = True,
    ) -> None:
        wanted = {"count": (count, 1, 999_999), "image_size": (image_size, 16, 1024), "seed": (seed, 0, 2**32 - 1)}
        for name, (value, low, high) in wanted.items():
            if not low <= value <= high:
                raise InputError(f"SynthFaces: {name} must be between {low} and {high}, got {value}")
        if workers is not None and workers < 1:
            raise InputError(f"SynthFaces: workers must be at least 1 or None for all cores, got {workers}")
        self.root, self.count, self.image_size, self.seed = Path(root), count, image_size, seed
        self.workers, self.progress = workers, progress

    @property
    def settings(self) -> dict[str, int]:
        """What the files depend on; also written beside them as ``synthfaces.json``."""
        return {"version": VERSION, "seed": self.seed, "count": self.count, "image_size": self.image_size}

    @property
    def folder(self) -> Path:
        """Where this set lies: CelebA's layout plus ``masks``."""
        return self.root / f"v{VERSION}-seed{self.seed}-{self.count}x{self.image_size}px"

    def prepare(self) -> None:
        """Draw what is not drawn yet. A killed run goes on where it stopped; a second process waits for the first."""
        if self._whole():
            return
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise RuntimeError("SynthFaces.prepare() was reached while a worker starts: guard your script's main part "
                               "with `if __name__ == '__main__':` or pass workers=1")  # fmt: skip
        make_folder(self.root)
        with _locked(self.root / f".{self.folder.name}.lock"):
            if self._whole():
                return
            partial = self.root / f".{self.folder.name}.partial"
            for name in ("img_align_celeba", "masks", "chunks"):
                (partial / name).mkdir(parents=True, exist_ok=True)
            try:
                self._draw(partial)
                self._write_lists(partial)
                shutil.rmtree(partial / "chunks")
                partial.rename(self.folder)
            except OSError as error:
                error.add_note(f"while drawing faces into {partial}; the next run goes on from there")
                raise

    def table(self) -> FaceTable:
        """Return the faces as a table, read by the reader of CelebA, with their masks.

        Raises:
            FileNotFoundError: :meth:`prepare` has not been called, or files of the set were removed.
        """
        if not self._whole():
            raise FileNotFoundError(f"no drawn faces in {self.folder}: call prepare() first")
        return CelebA(root=self.folder, schema="synthfaces", split="official", mask_folder="masks").table()

    def _whole(self) -> bool:
        return (self.folder / "synthfaces.json").is_file()

    def _draw(self, partial: Path) -> None:
        spans = [(first, min(first + CHUNK, self.count)) for first in range(0, self.count, CHUNK)]
        left = [span for span in spans if not (partial / "chunks" / f"{span[0]}-{span[1]}").exists()]
        jobs = [(str(partial), self.seed, self.image_size, *span) for span in left]
        columns = (TextColumn("drawing faces"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, disable=not self.progress) as bar:
            task = bar.add_task("faces", total=self.count)
            bar.advance(task, self.count - sum(last - first for first, last in left))
            for drawn in _run(jobs, self.workers or os.cpu_count() or 1):
                bar.advance(task, drawn)

    def _write_lists(self, partial: Path) -> None:
        """CelebA's text files; ``synthfaces.json`` last."""
        faces = [face(self.seed, index) for index in range(self.count)]
        attributes = [str(self.count), " ".join(ATTRIBUTES) + " ", *map(_attribute_line, faces)]
        partition = [f"{file_name(f.index)} {_PARTITION[split_of(f.person.identity)]}" for f in faces]
        identity = [f"{file_name(f.index)} {f.person.identity + 1}" for f in faces]
        for name, lines in (
            ("list_attr_celeba.txt", attributes),
            ("list_eval_partition.txt", partition),
            ("identity_CelebA.txt", identity),
            ("synthfaces.json", [json.dumps(self.settings, indent=2)]),
        ):
            write_text(partial / name, "\n".join(lines) + "\n")


def _attribute_line(someone: Face) -> str:
    return f"{file_name(someone.index)} " + " ".join(f"{1 if someone[name] else -1:2d}" for name in ATTRIBUTES)


def _run(jobs: list[tuple[str, int, int, int, int]], workers: int) -> Iterator[int]:
    """Run the chunks, here or in fresh processes (spawned: forking a process that uses torch is unsafe)."""
    if min(workers, len(jobs)) > 1:
        done: set[int] = set()
        try:
            fresh = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(min(workers, len(jobs)), fresh, initializer=leave_with_parent) as pool:
                futures = {pool.submit(write_chunk, *job): number for number, job in enumerate(jobs)}
                try:
                    for future in as_completed(futures):
                        drawn = future.result()
                        done.add(futures[future])
                        yield drawn
                finally:  # after an error (a full disk), do not draw the rest in vain
                    pool.shutdown(wait=True, cancel_futures=True)
            return
        except BrokenProcessPool:
            warnings.warn("SynthFaces: the drawing processes could not run; drawing goes on in this one", stacklevel=4)
            jobs = [job for number, job in enumerate(jobs) if number not in done]
    for job in jobs:
        yield write_chunk(*job)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on ``path`` against other processes, where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes drawing one set at once are not guarded there
        yield
        return
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
