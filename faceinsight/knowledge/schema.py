"""Named attributes, their prompts and their groups: the one list of labels that every part of the library shares.

Labels are three-valued everywhere: ``1`` positive, ``-1`` negative, ``0`` undefined (not annotated). Positions never
leak: a tensor's attribute axis is always read through a :class:`Schema`, which is saved with every checkpoint.
"""

import difflib
import os
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Literal, get_args

import yaml
from jaxtyping import Int8, Shaped
from torch import Tensor

from faceinsight.errors import InputError, named
from faceinsight.files import PlainData, plain_yaml, read_text, write_text
from faceinsight.knowledge.labels import three_valued

__all__ = [
    "Attribute",
    "Group",
    "GroupKind",
    "Schema",
    "UnknownAttributeError",
    "catalog_names",
    "read_catalog",
]

GroupKind = Literal["exactly_one", "at_most_one", "ordinal"]

#: Each catalog's keys; anything else in a file is a typing error and is named.
GROUP_KEYS = {"kind", "labels", "years"}
CATALOG_KEYS = {"name", "source", "rights", "attributes", "groups", "rules", "learnt_from"}


class UnknownAttributeError(InputError, KeyError):
    """A name that the schema does not have; the message offers the nearest ones."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name, self.nearest = name, difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        super().__init__(name)

    def __str__(self) -> str:
        hint = f"; did you mean {' or '.join(map(repr, self.nearest))}?" if self.nearest else ""
        return f"unknown attribute {self.name!r}{hint}"


@dataclass(frozen=True)
class Attribute:
    """One yes-or-no property of a face.

    Args:
        name: as in the data set's own files.
        prompt: a phrase that follows "a person": "wearing eyeglasses", "with black hair", "who is smiling".
        questions: whole yes-or-no questions of its own, for an attribute that a template with its prompt asks badly;
            several are paraphrases of one another.

    Raises:
        InputError: a name that the rule language cannot write, or no prompt.
    """

    name: str
    prompt: str
    questions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, "an attribute")
        if not all(each.strip() for each in (*self.questions, *(() if self.questions else (self.prompt,)))):
            raise InputError(f"attribute {self.name!r} has an empty prompt; write what follows 'a person'")


@dataclass(frozen=True)
class Group:
    """A categorical reading of several attributes, such as hair colour or age.

    Args:
        name: the category, e.g. "gender".
        kind: ``exactly_one``, ``at_most_one``, or ``ordinal`` (exactly one, and the labels are in order).
        labels: label -> expression of the rule language over attributes; mostly a label is itself an attribute.
        years: for ages, the first and last year of each label, in the order of the labels.
    """

    name: str
    kind: GroupKind
    labels: Mapping[str, str]
    years: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        for what, name in (
            ("a group", self.name),
            *((f"a label of group {self.name!r}", each) for each in self.labels),
        ):
            check_name(name, what)
        kinds = get_args(GroupKind)
        if self.kind not in kinds:
            raise InputError(f"group {self.name!r}: kind must be one of {kinds}, got {self.kind!r}")
        if len(self.labels) < 2:
            raise InputError(f"group {self.name!r}: needs at least two labels, got {list(self.labels)}")
        if self.years is not None and len(self.years) != len(self.labels):
            raise InputError(f"group {self.name!r}: {len(self.years)} year ranges for {len(self.labels)} labels")

    @property
    def rule(self) -> str:
        """The group as one rule of the rule language."""
        word = "at_most_one" if self.kind == "at_most_one" else "exactly_one"
        return f"{word}({', '.join(self.labels.values())})"


@dataclass(frozen=True)
class Schema:
    """The attributes of a data set or a model, in a fixed order, with prompts and groups.

    >>> schema = Schema.from_names(["Smiling", "Wearing_Hat"])
    >>> schema.index("Wearing_Hat"), schema.prompts[0]
    (1, 'who is described as: smiling')
    >>> schema.index("Smilling")
    Traceback (most recent call last):
    ...
    faceinsight.knowledge.schema.UnknownAttributeError: unknown attribute 'Smilling'; did you mean 'Smiling'?
    """

    name: str
    attributes: tuple[Attribute, ...]
    groups: Mapping[str, Group] = field(default_factory=dict)
    #: kind of pictures -> the attributes whose labels came from them; the attributes are the same without it
    learnt_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        repeated = {name for name in self.names if self.names.count(name) > 1}
        if repeated:
            raise InputError(f"schema {self.name!r}: attributes named twice: {sorted(repeated)}")
        if not self.attributes:
            raise InputError(f"schema {self.name!r}: needs at least one attribute")
        named = [name for names in self.learnt_from.values() for name in names]
        if wrong := [name for name in named if name not in self or named.count(name) > 1]:
            raise InputError(f"schema {self.name!r}: 'learnt_from' names each attribute at most once, got {wrong[0]!r}")
        if self.groups:
            self._check_groups()

    def _check_groups(self) -> None:
        """Refuse groups over attributes that the schema does not have."""
        from faceinsight.knowledge.logic.language import parse_expression

        for group in self.groups.values():
            for label, expression in group.labels.items():
                with named(f"schema {self.name!r}, group {group.name!r}, label {label!r}"):
                    parse_expression(expression, self)

    def __len__(self) -> int:
        return len(self.attributes)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.attributes)

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        return tuple(attribute.prompt for attribute in self.attributes)

    def questions(self, templates: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Return the paraphrases that ask for each attribute: its own, or the templates with its prompt for
        ``{prompt}``.

        >>> Schema.from_dict({
        ...     "name": "two",
        ...     "attributes": {"Bald": "who is bald", "Blurry": {"prompt": "", "questions": ["Is it blurred?"]}},
        ... }).questions(["Is this a person {prompt}?"])
        (('Is this a person who is bald?',), ('Is it blurred?',))

        Raises:
            InputError: a template without a place for the prompt.
        """
        if wrong := [template for template in templates if "{prompt}" not in template]:
            raise InputError(f"a question asks for every attribute alike without '{{prompt}}' in it, got {wrong[0]!r}")
        return tuple(
            each.questions or tuple(template.replace("{prompt}", each.prompt) for template in templates)
            for each in self.attributes
        )

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    def index(self, name: str) -> int:
        """Return the position of an attribute on every ``attr`` axis; raises :class:`UnknownAttributeError`."""
        try:
            return self._index[name]
        except KeyError:
            raise UnknownAttributeError(name, self.names) from None

    def origin(self, name: str) -> str | None:
        """Return the kind of pictures that an attribute was learnt from; None where nobody says.

        >>> Schema.load("tiny").origin("Bald"), Schema.load("celeba").origin("Bald")
        ('drawn faces', None)
        """
        self.index(name)
        return next((kind for kind, names in self.learnt_from.items() if name in names), None)

    def check_labels(
        self, labels: Shaped[Tensor, "..."], *, undefined: int | float | None = None
    ) -> Int8[Tensor, "face attr"]:
        """Return ``labels`` as int8 ``[face, attr]``: 1 yes, -1 no, 0 undefined; booleans become 1 and -1.

        This is the check at every door where labels come in; see :mod:`faceinsight.knowledge.labels`.

        Args:
            labels: ``[face, attr]`` in this schema's order.
            undefined: the value of undefined labels, where they could be mistaken for 0 and 1; see
                :func:`~faceinsight.knowledge.labels.three_valued`.

        Raises:
            InputError: the width is not the schema's, a value is none of -1, 0, 1, or labels are 0 and 1.

        >>> import torch
        >>> Schema.from_names(["Bald", "Bangs"]).check_labels(torch.tensor([[1, 0], [-1, 1]]), undefined=0).tolist()
        [[1, 0], [-1, 1]]
        """
        if isinstance(labels, Tensor) and (labels.ndim != 2 or labels.shape[1] != len(self)):
            raise InputError(
                f"labels must be [face, {len(self)}] for schema {self.name!r}, got {list(labels.shape)}; "
                "select the columns by schema.names"
            )
        return three_valued(labels, undefined=undefined, names=self.names)

    def check_names(self, names: Sequence[str], whose: str) -> None:
        """Refuse other attributes than this schema's, in its order; ``whose`` they are begins the message.

        Raises:
            InputError: the names differ, or their order.
        """
        if tuple(names) == self.names:
            return
        apart = sorted({*names} ^ {*self.names})
        how = f"only one of them has {', '.join(map(repr, apart[:5]))}" if apart else "the order is another"
        raise InputError(
            f"{whose}: other attributes than those of the schema {self.name!r} ({how}); make both from one schema"
            f"{'' if apart else ', for a graph by graph.reorder(schema.names)'}"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a readable YAML file, laid out like a catalog; :meth:`load` reads it back."""
        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120))

    def to_dict(self) -> PlainData:
        """Plain data that :meth:`from_dict` and a catalog file read back."""
        groups: dict[str, PlainData] = {}
        for group in self.groups.values():
            groups[group.name] = {"kind": group.kind, "labels": dict(group.labels)}
            if group.years is not None:
                groups[group.name]["years"] = [list(span) for span in group.years]
        attributes: dict[str, str | PlainData] = {}
        for each in self.attributes:
            own = {"prompt": each.prompt, "questions": list(each.questions)}
            attributes[each.name] = own if each.questions else each.prompt
        data = {"name": self.name, "attributes": attributes, "groups": groups}
        learnt = {kind: list(names) for kind, names in self.learnt_from.items()}
        return {**data, "learnt_from": learnt} if learnt else data

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> "Schema":
        """Build a schema from catalog data (see ``faceinsight/knowledge/catalog``).

        Raises:
            InputError: a key is missing, a name or prompt is no text, or a group speaks of unknown attributes.
        """
        if not isinstance(data, Mapping) or not {"name", "attributes"} <= data.keys():
            raise InputError("a catalog needs the keys 'name' and 'attributes'")
        entry = data["attributes"]
        if not isinstance(entry, Mapping) or not entry:
            raise InputError(f"'attributes' must be a mapping, a line 'NAME: PROMPT' for each, got {short(entry)}")
        name = check_name(data["name"], "a schema")
        groups = data.get("groups") or {}
        if not isinstance(groups, Mapping):
            raise InputError(f"'groups' must be a mapping of names to kind and labels, got {short(groups)}")
        learnt = data.get("learnt_from") or {}
        if not isinstance(learnt, Mapping) or not all(isinstance(names, list) for names in learnt.values()):
            raise InputError(f"'learnt_from' is a mapping of kinds of pictures to lists of names, got {short(learnt)}")
        return cls(
            name=name,
            attributes=tuple(attribute_from(each, prompt) for each, prompt in entry.items()),
            groups={each: group_from(each, group) for each, group in groups.items()},
            learnt_from={str(kind): tuple(map(str, names)) for kind, names in learnt.items()},
        )

    @classmethod
    def from_names(cls, names: Iterable[str], name: str = "custom") -> "Schema":
        """Return a quick schema without groups; the prompts are made from the names.

        Raises:
            InputError: one text instead of several names, or a name that is none.
        """
        if isinstance(names, str):
            raise InputError(f"names are a list, got the text {names!r}; write [{names!r}]")
        names = [*names]
        for each in names:
            check_name(each, "an attribute")
        words = [(each, each.replace("_", " ").lower()) for each in names]
        return cls(name, tuple(Attribute(each, f"who is described as: {text}") for each, text in words))

    @classmethod
    def load(cls, name_or_path: str) -> "Schema":
        """Load a catalog of this library by name, or a YAML file of the same layout by path.

        Names stay as they are written: ``Yes``, ``20_29`` and ``010`` need no quotes.

        Raises:
            FileNotFoundError: no catalog of that name and no such file.
            InputError: the file is not a catalog; what is wrong is named.
        """
        catalog = read_catalog(name_or_path)
        with named(name_or_path):
            return cls.from_dict(catalog)


def attribute_from(name: object, entry: object) -> Attribute:
    """Return an attribute as a catalog tells it: by its prompt alone, or by a prompt and questions of its own."""
    name = check_name(name, "an attribute")
    if not isinstance(entry, Mapping):
        return attribute_from(name, {"prompt": entry})
    if (
        "prompt" not in entry
        or not isinstance(entry.get("questions", []), list)
        or entry.keys() - {"prompt", "questions"}
    ):
        raise InputError(f"attribute {name!r} needs a 'prompt' and may have a list of 'questions', got {short(entry)}")
    questions = entry.get("questions", [])
    if wrong := [each for each in (entry["prompt"], *questions) if not isinstance(each, str)]:
        raise InputError(f"attribute {name!r}: a prompt is text, got {short(wrong[0])}; quote it")
    return Attribute(name, entry["prompt"], tuple(questions))


def group_from(name: object, entry: object) -> Group:
    """Return a group as a catalog tells it: its kind, its labels, and for ages the years of each."""
    name = check_name(name, "a group")
    if not isinstance(entry, Mapping) or not {"kind", "labels"} <= entry.keys() or entry.keys() - GROUP_KEYS:
        raise InputError(f"group {name!r} needs 'kind' and 'labels', and may have 'years', got {short(entry)}")
    kind, labels = entry["kind"], entry["labels"]
    if kind not in get_args(GroupKind):
        raise InputError(f"group {name!r}: kind must be one of {get_args(GroupKind)}, got {short(kind)}")
    if isinstance(labels, list):  # each label is an attribute of that name
        for label in labels:
            check_name(label, f"a label of group {name!r}")
        if len(set(labels)) < len(labels):
            raise InputError(f"group {name!r}: a label is named twice in {short(labels)}")
        labels = {label: quoted(label) for label in labels}
    if not isinstance(labels, Mapping) or not all(isinstance(each, str) for each in labels.values()):
        raise InputError(f"group {name!r}: labels are a list of attributes, or label: expression, got {short(labels)}")
    try:
        years = tuple((int(first), int(last)) for first, last in entry["years"]) if "years" in entry else None
    except (TypeError, ValueError) as error:
        raise InputError(f"group {name!r}: years are pairs of numbers, got {short(entry['years'])}") from error
    return Group(name=name, kind=kind, labels=dict(labels), years=years)


def check_name(name: object, what: str) -> str:
    """Return a name, or refuse one that YAML has made something else of, or that the rule language cannot write.

    Raises:
        InputError: no text, nothing, blanks at an end, a double quote, a line end or another control character.
    """
    if not isinstance(name, str):
        raise InputError(f"{what} is called {name!r}, which is {type(name).__name__} and no text; quote it")
    if not name.strip() or name != name.strip():
        raise InputError(f"{what} is called {name!r}: a name is not empty and has no blanks at its ends")
    if '"' in name or any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name):
        raise InputError(f"{what} is called {name!r}: a name has no double quotes, line ends or control characters")
    return name


def short(value: object) -> str:
    """Return a value in an error, cut off where it is long."""
    return textwrap.shorten(repr(value), 120, placeholder=" ...")


def quoted(name: str) -> str:
    """``name`` as the rule language writes it: quoted unless it is a plain word.

    >>> quoted("5_o_Clock_Shadow"), quoted("East Asian")
    ('5_o_Clock_Shadow', '"East Asian"')
    """
    plain = name.replace("_", "a").isalnum() and name not in {"and", "or", "not"}
    return name if plain else f'"{name}"'


def catalog_names() -> list[str]:
    """Return the names that :meth:`Schema.load` knows."""
    folder = resources.files("faceinsight.knowledge") / "catalog"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_catalog(name_or_path: str) -> PlainData:
    """Return the checked contents of a catalog: ``name``, ``attributes``, ``groups``, ``rules``, ``source``,
    ``rights``.

    Raises:
        FileNotFoundError: no catalog of that name and no such file.
        InputError: the file is not a catalog; the wrong or missing key is named.
    """
    if name_or_path in catalog_names():
        text = (resources.files("faceinsight.knowledge") / "catalog" / f"{name_or_path}.yaml").read_text("utf-8")
    elif os.path.exists(name_or_path):
        text = read_text(name_or_path)
    else:
        raise FileNotFoundError(
            f"no catalog named {name_or_path!r} and no such file; "
            f"catalogs of this library: {', '.join(catalog_names())}"
        )
    data = plain_yaml(text, name_or_path, as_text=True)
    if not isinstance(data, dict) or not {"name", "attributes"} <= data.keys():
        raise InputError(f"{name_or_path}: a catalog needs the keys 'name' and 'attributes'")
    if unknown := data.keys() - CATALOG_KEYS:
        raise InputError(f"{name_or_path}: unknown keys {sorted(unknown)}; a catalog has {sorted(CATALOG_KEYS)}")
    return data
