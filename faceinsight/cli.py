"""The command line: ``faceinsight ablate | fit | test | data | lint``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import auto_cli
from rich.console import Console

__all__ = ["main"]

#: Sub-commands that are Lightning's own; ``faceinsight fit --help`` shows their options.
LIGHTNING = ("fit", "validate", "test")


def ablate(file: Path, output: Path | None = None, seeds: list[int] | None = None) -> None:
    """Train and test every variant of an ablation file and print its table; what is finished is not done again.

    Args:
        file: the ablation, e.g. experiments/constraints.yaml.
        output: where runs, tables and the plot go; runs/NAME by default.
        seeds: instead of the file's own.
    """
    from faceinsight.ablation import ablate as run

    run(file, output=output, seeds=seeds)


def check(name: str, root: Path, read_images: bool = False) -> None:
    """Check a data set on disk: files, splits, label counts, rules that the labels break.

    Args:
        name: the data set, e.g. celeba.
        root: its folder.
        read_images: also decode every image and name the broken ones.
    """
    from faceinsight.data.check import check as check_source
    from faceinsight.data.sources import source

    Console().print(check_source(source(name, root), read_images=read_images))


def main(words: Sequence[str] | None = None) -> None:
    """Run one command; the words are those of this process by default."""
    words = list(sys.argv[1:] if words is None else words)
    if words[:1] and words[0] in LIGHTNING:
        from faceinsight.configure import FaceCLI

        FaceCLI(words)
        return
    auto_cli({"ablate": ablate, "data": {"check": check}}, args=words)
