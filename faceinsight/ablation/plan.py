"""What an ablation file says: a base configuration, named changes to it, seeds; and the runs that follow from it.

The keys of a file are ``question``, ``seeds``, ``base`` (a whole configuration: ``model``, ``data``, ``trainer``),
``variants`` and, if wanted, ``trunks`` (variants without a row, on which others rest), ``compared`` (metrics) and
``settings``: named values that the rest of the file uses as ``${NAME}``, so that another data set can be swapped in.
A variant has a ``section`` of the table, a variant it is compared ``against``, and the ``change`` it makes to the base,
or to the variant that it is made ``from``: dotted keys with new values. A trunk with a ``seed`` of its own is trained
once, and every seed's runs rest on that one, as on weights that somebody has published.

A file that ``extends`` another one asks a further question of the same base: it takes over whatever it does not say
itself, its variants may be made from the other's, and what both need is run once.
"""

import copy
import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceinsight import tiny
from faceinsight.ablation.contents import Contents, strings
from faceinsight.errors import InputError, did_you_mean, named
from faceinsight.evaluation.statistics.scores import METRICS
from faceinsight.files import PlainData, plain_yaml, read_text

__all__ = ["AblationFile", "PlanError", "Run", "Variant", "changed", "planned_runs", "read_ablation"]

KEYS = {"extends", "question", "settings", "seeds", "compared", "base", "trunks", "variants"}
VARIANT_KEYS = {"section", "against", "from", "change"}
TRUNK_KEYS = {"from", "change", "seed"}
KEYS_OF_A_WHOLE_FILE = {"question", "seeds", "base", "variants"}
REFERENCE = re.compile(r"\$\{run:([^}]+)\}")
SETTING = re.compile(r"\$\{(\w+)\}")


class PlanError(InputError):
    """An ablation file that cannot be carried out; the message names the place and the mend."""


@dataclass(frozen=True)
class Variant:
    """One row of the table, or a trunk that rows rest on.

    Args:
        name: unique in its file.
        config: the whole configuration; strings may hold ``${run:NAME}``, the folder of that variant's run.
        section: heading in the table; None for a trunk, which has no row.
        against: the variant that it is compared with.
        seed: of a trunk that is the same for every seed of the table.
    """

    name: str
    config: PlainData
    section: str | None = None
    against: str | None = None
    seed: int | None = None

    @property
    def needs(self) -> list[str]:
        """The variants whose runs this one's configuration refers to."""
        return sorted({match for text in strings(self.config) for match in REFERENCE.findall(text)})


@dataclass(frozen=True)
class AblationFile:
    """A question and the variants that answer it.

    Args:
        home: the name of the file whose folder holds the runs: this one's, or that of the one it extends.
        compared: the metrics whose differences the table shows; the first is the primary one.
    """

    question: str
    seeds: tuple[int, ...]
    variants: Mapping[str, Variant]
    home: str
    compared: tuple[str, ...] = ("accuracy", "average_precision", "violation_rate")

    @property
    def rows(self) -> list[Variant]:
        """The variants of the table, in the file's order."""
        return [variant for variant in self.variants.values() if variant.section is not None]


@dataclass(frozen=True)
class Run:
    """One variant with one seed, in a folder of its own that is named after everything it depends on.

    Args:
        contents: the hashes of what the configuration names, see :mod:`faceinsight.ablation.contents`.
        former: the folder that the run had before contents were recorded.
    """

    variant: Variant
    seed: int
    folder: Path
    config: PlainData = field(repr=False)
    needs: tuple["Run", ...] = ()
    contents: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    former: Path | None = field(default=None, repr=False)


def replaced(node: object, folders: Mapping[str, str]) -> Any:
    """Return a copy of ``node`` with every ``${run:NAME}`` replaced."""
    if isinstance(node, str):
        return REFERENCE.sub(lambda match: folders[match[1]], node)
    if isinstance(node, Mapping):
        return {key: replaced(each, folders) for key, each in node.items()}
    return [replaced(each, folders) for each in node] if isinstance(node, list) else node


def changed(config: Mapping[str, object], changes: Mapping[str, object]) -> PlainData:
    """Return a copy of ``config`` with each dotted key set to a new value; ``init_args`` on the way are implied.

    >>> config = {"model": {"class_path": "FaceInsight", "init_args": {"correlation": {"class_path": "GCN"}}}}
    >>> changed(config, {"model.correlation": None})
    {'model': {'class_path': 'FaceInsight', 'init_args': {'correlation': None}}}

    Raises:
        PlanError: a key that ``config`` does not have on the way to the last word, or that undoes one above it.
    """
    result: PlainData = copy.deepcopy(dict(config))
    done_before: list[str] = []
    for dotted, value in changes.items():
        if "" in dotted.split("."):
            raise PlanError(f"cannot change {dotted!r}: a change is named by words with dots between, such as model.lr")
        if lost := [each for each in done_before if f"{each}.".startswith(f"{dotted}.")]:
            raise PlanError(f"{dotted!r} would undo the change of {lost[0]!r}, which stands above it; put it first")
        done_before.append(dotted)
        *way, last = dotted.split(".")
        node = result
        for done, word in enumerate(way):
            node = arguments(node)
            if not isinstance(node.get(word), dict):
                near = difflib.get_close_matches(word, node, n=1, cutoff=0.0)
                place = ".".join(way[:done]) or "the base configuration"
                raise PlanError(
                    f"cannot change {dotted!r}: {place} has no part {word!r}; "
                    f"it has {sorted(node)}" + (f", did you mean {near[0]!r}?" if near else "")
                )
            node = node[word]
        arguments(node)[last] = copy.deepcopy(value)
    return result


def arguments(node: PlainData) -> PlainData:
    """Return where a part's arguments are: in ``init_args`` if it is given by class path."""
    return node.setdefault("init_args", {}) if "class_path" in node else node


def with_settings(node: object, settings: Mapping[str, object]) -> Any:
    """Return a copy of ``node`` in which every string that is ``${NAME}`` and nothing else is the setting of that name.

    >>> with_settings({"root": "${root}", "weights": "${run:trunk}/a"}, {"root": "data/celeba"})
    {'root': 'data/celeba', 'weights': '${run:trunk}/a'}

    Raises:
        PlanError: a setting that there is not, one inside other text, or ``${`` with something else.
    """
    if isinstance(node, str) and (match := SETTING.fullmatch(node)):
        if match[1] not in settings:
            raise PlanError(f"{node} is not among the settings {sorted(settings)}{did_you_mean(match[1], settings)}")
        return copy.deepcopy(settings[match[1]])
    if isinstance(node, str) and "${" in REFERENCE.sub("", node):
        raise PlanError(
            f"{node!r} holds '${{', which is neither a setting, ${{NAME}} and nothing else, nor a run's folder, "
            "${run:NAME}"
        )
    if isinstance(node, Mapping):
        return {key: with_settings(each, settings) for key, each in node.items()}
    return [with_settings(each, settings) for each in node] if isinstance(node, list) else node


def read_ablation(path: str | Path, settings: str | Path | None = None) -> AblationFile:
    """Read and check an ablation file.

    Args:
        settings: a YAML file of settings that take the place of the file's own.

    Raises:
        PlanError: a missing or unknown key, an unknown reference, or a circle of references.
    """
    data = read_content(path)
    home = data.pop("home")
    values = dict(data.pop("settings", None) or {})
    given = (read_yaml(settings) or {}) if settings is not None else {}
    if not isinstance(given, dict):
        raise PlanError(f"{settings}: settings are names with values, got {given!r}")
    if unknown := given.keys() - values.keys():
        raise PlanError(f"{settings}: {sorted(unknown, key=str)} are no settings of {path}; it has {sorted(values)}")
    used = {name for text in strings(data) for name in SETTING.findall(text)}
    if unused := [name for name in values if name not in used]:
        raise PlanError(
            f"{path}: nothing in the file, or in the one it extends, uses the setting {unused[0]!r}"
            f"{did_you_mean(unused[0], used)}; they are {', '.join(sorted(used)) or 'none'}"
        )
    with named(path):
        data = with_settings(data, values | given)
    check_kinds(Path(path), data)  # settings may have put something else in place
    variants: dict[str, Variant] = {}
    for kind in ("extended", "trunks", "variants"):
        for name, entry in (data.get(kind) or {}).items():
            if name in variants and name not in data["extended"]:
                raise PlanError(f"{path}: two variants are named {name!r}")
            variant = read_variant(str(path), name, entry or {}, data["base"], variants, kind=kind)
            variants.pop(name, None)  # one that takes the place of the extended file's stands where this file has it
            variants[name] = variant
    for variant in variants.values():
        referred = [*variant.needs, *([variant.against] if variant.against else [])]
        if missing := [name for name in referred if name not in variants]:
            hint = did_you_mean(missing[0], variants)
            raise PlanError(
                f"{path}: variant {variant.name!r} refers to {missing[0]!r}, which is not in the file{hint}"
            )
    for variant in [variants[name] for name in data["variants"]]:
        if variant.against is not None and variants[variant.against].section is None:
            raise PlanError(f"{path}: variant {variant.name!r} is compared with {variant.against!r}, which has no row")
    wanted = needed([*(data.get("trunks") or {}), *data["variants"]], variants)
    compared = {"compared": tuple(data["compared"])} if "compared" in data else {}
    kept = {name: variant for name, variant in variants.items() if name in wanted}
    return AblationFile(data["question"], tuple(data["seeds"]), kept, home, **compared)


def read_content(path: str | Path, extending: tuple[Path, ...] = ()) -> PlainData:
    """Return the keys of an ablation file, what it takes over from the one it extends among them.

    Returns:
        with the variants and trunks of extended files as ``extended``, and ``home``, the name of the first of them.
    """
    path = Path(path)
    data = read_yaml(path)
    needs = {"question", "variants"} if isinstance(data, dict) and "extends" in data else KEYS_OF_A_WHOLE_FILE
    if not isinstance(data, dict) or not needs <= data.keys():
        raise PlanError(f"{path}: an ablation file needs the keys question, seeds, base and variants")
    if unknown := data.keys() - KEYS:
        hint = did_you_mean(str(min(unknown, key=str)), KEYS)
        raise PlanError(f"{path}: unknown keys {sorted(unknown, key=str)}{hint}; known are {sorted(KEYS)}")
    check_kinds(path, data)
    if "extends" not in data:
        return {**data, "extended": {}, "home": path.stem}
    if path.resolve() in extending:
        raise PlanError(f"{path} extends itself")
    other = read_content(path.parent / data.pop("extends"), (*extending, path.resolve()))
    extended = {**other["extended"], **(other.pop("trunks", None) or {}), **other["variants"]}
    settings = {**(other.get("settings") or {}), **(data.get("settings") or {})}
    return {**other, **data, "extended": extended, "settings": settings}


def check_kinds(path: Path, data: PlainData) -> None:
    """Refuse a key whose value is of another kind than its."""
    kinds: dict[str, tuple[type, str]] = {
        **dict.fromkeys(("base", "trunks", "variants", "settings"), (dict, "names with values")),
        **dict.fromkeys(("seeds", "compared"), (list, "a list")),
        "extends": (str, "the name of a file"),
        "question": (str, "text"),
    }
    for key, (kind, says) in kinds.items():
        left_empty = data.get(key) in (None, {}) and key in ("trunks", "settings")
        if key in data and not left_empty and (not isinstance(data[key], kind) or data[key] in ("", {})):
            raise PlanError(f"{path}: {key!r} must be {says}, got {data[key]!r}")
    for key in ("trunks", "variants"):
        for name, entry in (data.get(key) or {}).items():
            check_entry(path, name, entry)
    for key in ("settings", "base"):
        if wrong := [name for name in data.get(key) or () if not isinstance(name, str)]:
            raise PlanError(f"{path}: {key!r} has the name {wrong[0]!r}, which is no text; quote it")
    if "seeds" in data:
        check_seeds(path, data["seeds"])
    known = list(METRICS)
    for metric in data.get("compared") or ():
        if metric not in known or data["compared"].count(metric) > 1:
            hint = did_you_mean(str(metric), known)
            raise PlanError(f"{path}: 'compared' has {metric!r}{hint}; each of {', '.join(known)} may stand there once")
    if data.get("compared") == []:
        raise PlanError(f"{path}: 'compared' is empty; it may hold {', '.join(known)}, or be left out")


def check_entry(path: Path, name: object, entry: object) -> None:
    """Refuse a variant or trunk with a value of another kind than its keys have."""
    if not isinstance(name, str) or not name.strip():
        raise PlanError(f"{path}: a variant is named {name!r}, which is no text; quote it")
    fields = {} if entry is None else entry
    if not isinstance(fields, dict) or not isinstance(fields.get("change"), dict | None):
        raise PlanError(f"{path}: variant {name!r} and its 'change' must be names with values, got {entry!r}")
    if wrong := [dotted for dotted in fields.get("change") or {} if not isinstance(dotted, str)]:
        raise PlanError(f"{path}: variant {name!r} changes {wrong[0]!r}, which is no text; quote it")
    for key in ("section", "against", "from"):
        if key in fields and not (isinstance(fields[key], str) and fields[key].strip()):
            raise PlanError(f"{path}: variant {name!r}: {key!r} must be text, got {fields[key]!r}; quote it")


def check_seeds(path: Path, seeds: Sequence[object]) -> None:
    """Refuse seeds that are no seeds, or the same twice."""
    if wrong := [seed for seed in seeds if type(seed) is not int or not 0 <= seed < 2**32]:
        raise PlanError(f"{path}: a seed is a whole number, got {wrong[0]!r}; it may be 0 to 2**32 - 1")
    if not seeds or len({*seeds}) != len(seeds):
        raise PlanError(f"{path}: seeds must be different numbers, at least one, got {[*seeds]}")


def needed(names: Sequence[str], variants: Mapping[str, Variant]) -> set[str]:
    """Return these variants and all that they rest on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += variants[name].needs
    return found


def read_yaml(path: str | Path) -> Any:
    """Return the contents of a YAML file; a syntax error is named with its place."""
    try:
        return plain_yaml(read_text(path), path)
    except InputError as error:
        raise PlanError(str(error)) from error


def read_variant(
    path: str,
    name: str,
    entry: PlainData,
    base: PlainData,
    above: Mapping[str, Variant],
    *,
    kind: str,
) -> Variant:
    """One entry of the file as a variant.

    Args:
        above: the variants that it can be made from.
        kind: "variants" have a row in the table; "trunks", and what is "extended" from another file, have none.
    """
    known = {"variants": VARIANT_KEYS, "trunks": TRUNK_KEYS, "extended": VARIANT_KEYS | TRUNK_KEYS}[kind]
    if unknown := entry.keys() - known:
        hint = did_you_mean(str(min(unknown, key=str)), known)
        raise PlanError(
            f"{path}: variant {name!r} has unknown keys {sorted(unknown, key=str)}{hint}; known: {sorted(known)}"
        )
    if (seed := entry.get("seed")) is not None:
        check_seeds(Path(f"{path}: trunk {name!r}"), [seed])
    if (origin := entry.get("from")) is not None and origin not in above:
        raise PlanError(f"{path}: variant {name!r} is made from {origin!r}, which is none of those above it")
    try:
        config = changed(base if origin is None else above[origin].config, entry.get("change") or {})
    except PlanError as error:
        raise PlanError(f"{path}: variant {name!r}: {error}") from None
    section = str(entry.get("section", "variants")) if kind == "variants" else None
    return Variant(name, config, section, entry.get("against"), seed)


def planned_runs(ablation: AblationFile, output: Path, seeds: Sequence[int] | None = None) -> list[Run]:
    """Every run of the table, what it needs before it; seed after seed.

    A run's folder is named after the variant, the seed and a hash of its resolved configuration (which holds the hashes
    of the runs it needs) and of the contents of what that names: files, folders, source outside the package. So a
    finished run is found again, and whatever has changed since never meets an old result.

    Raises:
        PlanError: variants that need each other in a circle; seeds that are none, or the same twice.
    """
    if seeds is not None:
        check_seeds(Path("--seeds"), seeds)
    runs: dict[tuple[str, int], Run] = {}
    contents = Contents()

    def plan(name: str, seed: int, waiting: tuple[str, ...]) -> Run:
        if name in waiting:
            raise PlanError(f"variants need each other in a circle: {' -> '.join([*waiting, name])}")
        variant = ablation.variants[name]
        seed = seed if variant.seed is None else variant.seed
        if (name, seed) not in runs:
            needs = tuple(plan(each, seed, (*waiting, name)) for each in variant.needs)
            config = {**variant.config, "seed_everything": seed}
            found = contents.of(variant.config)
            shown = replaced(config, {run.variant.name: run.folder.name for run in needs})
            before = replaced(config, {run.variant.name: run.former.name for run in needs if run.former is not None})
            folder, former = (
                output / "runs" / f"{slug(name)}-seed{seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
                for text in (everything_told(shown) + json.dumps(found, sort_keys=True), everything_told(before))
            )
            resolved = replaced(config, {run.variant.name: str(run.folder) for run in needs})
            runs[name, seed] = Run(variant, seed, folder, resolved, needs, found, former)
        return runs[name, seed]

    for seed in ablation.seeds if seeds is None else seeds:
        for name in ablation.variants:
            plan(name, seed, ())
    return list(runs.values())


def everything_told(config: Mapping[str, object]) -> str:
    """Return a configuration as text, with the hashes of the package's trained parts if it names them: they may
    change.
    """
    text = json.dumps(config, sort_keys=True)
    return text + json.dumps(tiny.fingerprints()) if f"{tiny.__name__}." in text else text


def slug(name: str) -> str:
    """``name`` as a folder name.

    >>> slug("full - segmentation"), slug("+ logical (semantic)")
    ('full-minus-segmentation', 'plus-logical-semantic')
    """
    words = name.replace(" - ", " minus ").replace("+", "plus ").lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")
