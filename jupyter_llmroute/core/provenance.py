"""Where a setting's value comes from: layers of data, the last of which wins, key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import Field

from jupyter_llmroute.core.values import Value

Key = tuple[str, ...]
"""The names that lead to a value, an entry of a list by its number."""


class Source(StrEnum):
    """Who may say what a setting is, the one that wins last."""

    DEFAULT = "default"
    FILE = "file"
    VARIABLE = "variable"
    ARGUMENT = "argument"
    TRAITLETS = "traitlets"
    SESSION = "this session"


class Origin(NamedTuple):
    """Who says what a setting is, and where."""

    source: Source
    where: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.source.value, self.where)))


DEFAULT = Origin(Source.DEFAULT)


class Layer(Value):
    """What one source says."""

    source: Source
    data: dict[str, Any] = Field(repr=False)  # there may be keys in it
    places: dict[Key, str] = Field(default_factory=dict)
    """Where it says so: of a key and all below it; of `()` everything."""

    def origin(self, key: Key) -> Origin:
        """Return where this source says what `key` is."""
        ends = (end for end in range(len(key), -1, -1) if key[:end] in self.places)
        end = next(ends, None)
        return Origin(self.source, "" if end is None else self.places[key[:end]])


def origin(layers: Sequence[Layer], key: Key) -> Origin:
    """Return who says what `key` is.

    Parameters
    ----------
    layers
        The one that wins last.
    key
        Of one value.

    Examples
    --------
    >>> file = Layer(source=Source.FILE, data={"limits": {"attempts": 2}}, places={(): "llmroute.yaml"})
    >>> str(origin([file], ("limits", "attempts"))), str(origin([file], ("limits", "scan_s")))
    ('file llmroute.yaml', 'default')
    """
    for layer in reversed(layers):
        is_there, is_hidden = _look(layer.data, key)
        if is_there:
            return layer.origin(key)
        if is_hidden:
            return DEFAULT
    return DEFAULT


def nearest_origin(layers: Sequence[Layer], key: Key) -> Origin:
    """Return who says what `key` is, or what is around it where nobody does: what is missing, or a name itself."""
    ends = (origin(layers, key[:end]) for end in range(len(key), 0, -1))
    return next((found for found in ends if found != DEFAULT), DEFAULT)


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return all parts in one; where two say what a value is, the later one wins, and lists are not joined."""
    result: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            old = result.get(name)
            if isinstance(old, Mapping) and isinstance(value, Mapping):
                result[name] = merged((old, value))
            else:
                result[name] = value
    return result


def nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return data in which a name may be a whole key, with dots, by section.

    Examples
    --------
    >>> nested({"limits.attempts": 2, "limits": {"scan_s": 1}})
    {'limits': {'attempts': 2, 'scan_s': 1}}
    """
    return merged(at(tuple(name.split(".")), value) for name, value in given.items())


def at(key: Key, value: Any) -> dict[str, Any]:
    """Return data that holds one value."""
    first, *rest = key
    return {first: at(tuple(rest), value) if rest else value}


def without(data: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Return data without `key` and what is below it, and without sections that are empty then."""
    first, *rest = key
    kept = {name: value for name, value in data.items() if name != first}
    inner = data.get(first)
    if rest and isinstance(inner, Mapping) and (left := without(inner, tuple(rest))):
        kept[first] = left
    return kept


def _look(data: Any, key: Key) -> tuple[bool, bool]:
    """Return whether `key` is in the data, and whether there is something else in its place, such as another list."""
    in_list = False
    for name in key:
        if isinstance(data, Mapping):
            found = next((spelt for spelt in (name, name.replace("_", "-")) if spelt in data), None)
            if found is None:
                return False, in_list
            data = data[found]
        elif isinstance(data, list | tuple) and name.isdigit() and int(name) < len(data):
            data, in_list = data[int(name)], True
        else:
            return False, True
    return True, False
