"""Containers, records and simple values: lengths and keys, and what is in them where that was asked for."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jupyter_llmroute.core.secrets import MASK, is_secret_name
from jupyter_llmroute.variables import plain, static
from jupyter_llmroute.variables.draft import Draft

TYPES_OF = 1_000
"""Items whose types are told."""

INLINE = 200
"""Characters of a text that is shown on its line; a longer one, or one of several lines, in a block of its own."""

Headline = Callable[[object], str]

_SEQUENCES: dict[type, Callable[[Any], Iterator[object]]] = {
    list: list.__iter__,
    tuple: tuple.__iter__,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
    collections.deque: collections.deque.__iter__,
}
_LENGTHS: dict[type, Callable[[Any], int]] = {
    cls: cls.__len__ for cls in (dict, list, tuple, set, frozenset, collections.deque)
}


def headline(thing: Any) -> str:
    """Return type, length, and the types of the items."""
    base = _base(thing)
    length = _LENGTHS[base](thing)
    kind = plain.type_name(type(thing))
    if base is dict:
        return f"{kind}, {plain.count(length, 'entry', 'entries')}"
    if fields := _tuple_fields(thing):
        return f"{kind}, a named tuple of {plain.count(len(fields), 'field')}"
    return f"{kind}, {plain.count(length, 'item')}{_types(_SEQUENCES[base](thing), length)}"


def details_by(headline_of: Headline) -> Callable[[Any, Draft], None]:
    """Return what describes a container or record, given what names anything that it holds."""

    def details(thing: Any, draft: Draft) -> None:
        _add_items(thing, draft, headline_of, "", 0, secret=draft.secret)

    return details


def _base(thing: object) -> type:
    return next((cls for cls in static.line_of(type(thing)) if any(cls is known for known in _LENGTHS)), object)


def _types(items: Iterable[object], length: int) -> str:
    counts: dict[int, tuple[type, int]] = {}
    for item in itertools.islice(items, TYPES_OF):
        cls, number = counts.get(id(type(item)), (type(item), 0))
        counts[id(cls)] = cls, number + 1
    if not counts:
        return ""
    most = sorted(counts.values(), key=lambda pair: -pair[1])[:4]
    named = ", ".join(plain.type_name(cls) for cls, _ in most) + (", …" if len(counts) > len(most) else "")
    return f" of {named}" + (f" (the first {TYPES_OF:,})" if length > TYPES_OF else "")


def _add_items(thing: object, draft: Draft, headline_of: Headline, indent: str, depth: int, *, secret: bool) -> None:
    """Add a line for each of the first items, and below it those that it holds itself."""
    total, items = _items(thing)
    if not total or not (draft.values or _is_worth_a_line(thing)):
        return
    if depth >= draft.limits.depth:
        draft.add(f"{indent}… not described at this depth …")
        return
    limit = draft.limits.columns if depth == 0 and _is_keyed(thing) else draft.limits.items
    for label, item in itertools.islice(items, limit):
        hidden = secret or is_secret_name(plain.spelt(label))
        draft.add(f"{indent}{_label(label, thing)}: {_item(item, draft, headline_of, secret=hidden)}")
        if _base(item) is not object or _is_record(item):
            _add_items(item, draft, headline_of, indent + "  ", depth + 1, secret=hidden)
    if total > limit:
        what = f"{total - limit:,} of {plain.count(total, 'item')}"
        (draft.leave_out if depth == 0 else lambda what: draft.add(f"{indent}… {what} left out …"))(what)


def _is_worth_a_line(thing: object) -> bool:
    """Say whether items are described one by one also without values: they have names, or hold others."""
    _, items = _items(thing)
    return _is_keyed(thing) or any(
        _base(item) is not object or _is_record(item) for _, item in itertools.islice(items, TYPES_OF)
    )


def _is_keyed(thing: object) -> bool:
    return static.is_a(thing, dict) or _is_record(thing) or bool(_tuple_fields(thing))


def _label(label: object, thing: object) -> str:
    return f"[{label}]" if type(label) is int and not static.is_a(thing, dict) else plain.name(label)


def _item(item: object, draft: Draft, headline_of: Headline, *, secret: bool) -> str:
    if not draft.values or not plain.is_simple(item) or _base(item) is not object:
        return headline_of(item)
    return MASK if secret else plain.value(item, INLINE)


def _items(thing: object) -> tuple[int, Iterator[tuple[object, object]]]:
    """Return how many items a container or record has, and them with their keys or positions."""
    base = _base(thing)
    if base is dict:
        return dict.__len__(thing), iter(dict.items(thing))  # type: ignore[arg-type]
    if fields := _tuple_fields(thing):
        return len(fields), zip(fields, tuple.__iter__(thing), strict=False)  # type: ignore[arg-type]
    if base in (set, frozenset):
        return _LENGTHS[base](thing), enumerate(_ordered(_SEQUENCES[base](thing)))
    if base is not object:
        return _LENGTHS[base](thing), enumerate(_SEQUENCES[base](thing))
    held = {name: item for name, item in static.attributes(thing).items() if not name.startswith("_")}
    return len(held), iter(held.items())


def _ordered(items: Iterable[object]) -> list[object]:
    """Return the first items of a set, in an order that is the same in every session."""
    first = list(itertools.islice(items, TYPES_OF))
    return sorted(first) if len({type(item) for item in first} & {str, int}) == len({*map(type, first)}) == 1 else first  # type: ignore[type-var]


def _tuple_fields(thing: object) -> tuple[str, ...]:
    fields = static.class_attribute(type(thing), "_fields") if static.is_a(thing, tuple) else ()
    is_named = type(fields) is tuple and all(type(name) is str for name in fields)
    return fields if is_named else ()


def _is_record(thing: object) -> bool:
    """Say whether a class is a dataclass or a pydantic model: its public attributes are its data."""
    marks = ("__dataclass_fields__", "__pydantic_fields__", "__attrs_attrs__")
    is_type = static.is_a(thing, type)
    return not is_type and any(static.class_attribute(type(thing), mark) is not static.MISSING for mark in marks)


is_record = _is_record


def record_headline(thing: Any) -> str:
    """Return type and number of fields."""
    return f"{plain.type_name(type(thing))}, a record of {plain.count(_items(thing)[0], 'field')}"


def text_headline(thing: Any) -> str:
    """Return type and length."""
    base: Any = str if static.is_a(thing, str) else bytes if static.is_a(thing, bytes) else bytearray
    length = base.__len__(thing)
    if base is not str:
        return f"{plain.type_name(type(thing))}, {plain.count(length, 'byte')}"
    lines = str.count(thing, "\n") + 1
    more = f" in {plain.count(lines, 'line')}" if lines > 1 else ""
    return f"{plain.type_name(type(thing))}, {plain.count(length, 'character')}{more}"


def text_details(thing: Any, draft: Draft) -> None:
    """Add the text, where values are asked for."""
    if not draft.values or not static.is_a(thing, str):
        draft.leave_out("what is in it")
        return
    text = str.__str__(thing)
    if draft.secret:
        draft.add(f"value: {MASK}")
    elif len(text) <= INLINE and "\n" not in text:
        draft.add(f"value: {plain.quoted(text, INLINE)}")
    else:
        draft.add_block(text)


def simple_headline(thing: Any) -> str:
    """Return the type."""
    return plain.type_name(type(thing))


def simple_details(thing: Any, draft: Draft) -> None:
    """Add the value, where it is asked for."""
    if draft.values:
        draft.add(f"value: {MASK if draft.secret else plain.value(thing)}")
    else:
        draft.leave_out("its value")
