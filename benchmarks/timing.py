"""Contenders timed side by side in one run: machines differ and change, the ratio of two things on one much less."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Timing", "interleaved"]


@dataclass(frozen=True)
class Timing:
    """Seconds of one contender, round after round; the same round of all contenders ran together."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ratio(self, other: "Timing") -> float:
        """How many times as long as the other: the median over the rounds."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True))


def interleaved(
    contenders: Mapping[str, Callable[[], object]], rounds: int = 7, warmup: int = 2, budget: float = 60.0
) -> dict[str, Timing]:
    """Run the contenders in turn, so that whatever else the machine does meets all of them.

    Another one begins each round: who runs first finds the caches as the slowest has left them.

    Args:
        rounds: how often each is timed; fewer, but three at least, once ``budget`` seconds have passed.
        warmup: how often each runs before.
    """
    for run in contenders.values():
        for _ in range(warmup):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    began = time.perf_counter()
    names = list(contenders)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - start)
        if number >= 2 and time.perf_counter() - began > budget:
            break
    return {name: Timing(tuple(each)) for name, each in seconds.items()}
