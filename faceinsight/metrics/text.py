"""Metrics of what a model wrote, with nothing to compare it with: functions of all texts and what each answers."""

from collections.abc import Sequence

from faceinsight.metrics.entry import MetricEntry
from faceinsight.modules.language.parsing import is_refusal

__all__ = ["TEXT_METRICS", "measure_texts", "refused_and_unclear"]


def refused_and_unclear(texts: Sequence[str], answers: Sequence[bool | None]) -> tuple[float, float]:
    """Return the share of the texts that say that they give no answer, and of all others without one.

    Args:
        texts: what a model wrote.
        answers: what each says, from :func:`~faceinsight.modules.language.parsing.parse_yes_no`.

    >>> refused_and_unclear(["Yes.", "I cannot tell.", "A hat", "No"], [True, None, None, False])
    (0.25, 0.25)
    """
    silent = [text for text, answer in zip(texts, answers, strict=True) if answer is None]
    refused = sum(map(is_refusal, silent))
    return refused / len(texts), (len(silent) - refused) / len(texts)


#: Every metric of texts, in the order of a table's columns.
TEXT_METRICS = tuple(
    MetricEntry(
        name=name,
        title=name,
        function=refused_and_unclear,
        part=part,
        direction="none",
        level="text",
        shown="share",
    )
    for part, name in enumerate(("refused", "unclear"))
)


def measure_texts(texts: Sequence[str], answers: Sequence[bool | None]) -> dict[str, float]:
    """Return every metric of :data:`TEXT_METRICS` by its name."""
    found = {entry.function: entry.function(texts, answers) for entry in TEXT_METRICS}
    return {
        entry.name: float(found[entry.function] if entry.part is None else found[entry.function][entry.part])
        for entry in TEXT_METRICS
    }
