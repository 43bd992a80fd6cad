"""All metrics in one place: a new one is a function and its entry, in ``attributes``, ``groups`` or ``text``."""

from faceinsight.errors import InputError, did_you_mean
from faceinsight.metrics.attributes import ATTRIBUTE_METRICS
from faceinsight.metrics.entry import MetricEntry
from faceinsight.metrics.text import TEXT_METRICS

__all__ = ["BY_ATTRIBUTE", "COLUMNS", "INTERVALS", "find_metric"]

#: The columns of a report by name: metrics of attributes, of faces and of texts.
COLUMNS = {entry.name: entry for entry in (*ATTRIBUTE_METRICS, *TEXT_METRICS)}

#: The names of the metrics that are estimated and compared with intervals, in the order of a table's columns.
INTERVALS = tuple(entry.name for entry in ATTRIBUTE_METRICS if entry.shown == "interval")

#: The names of those that are compared for each attribute by itself as well.
BY_ATTRIBUTE = tuple(
    entry.name for entry in sorted(ATTRIBUTE_METRICS, key=lambda entry: entry.attribute_place) if entry.attribute_title
)


def find_metric(name: str) -> MetricEntry:
    """Return the entry of a metric of attributes, faces or texts.

    Raises:
        InputError: there is no metric of this name.

    >>> find_metric("average_precision").heading
    'mAP ↑'
    """
    if name not in COLUMNS:
        raise InputError(f"no metric {name!r}{did_you_mean(name, COLUMNS)}; the metrics are {', '.join(COLUMNS)}")
    return COLUMNS[name]
