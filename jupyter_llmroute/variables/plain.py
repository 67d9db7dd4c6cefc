"""Names and values as text that stays on its line, is short, holds no secret, and was made without their own code."""

from __future__ import annotations

import datetime
import decimal
import math
import pathlib
import re
import uuid
from collections.abc import Callable
from typing import Any

from jupyter_llmroute.core.secrets import MASK, is_secret_name, masked
from jupyter_llmroute.variables import static

NAME_CHARS = 80
CELL_CHARS = 60
WHOLE_CHARS = 20_000
"""Of a long text, what is read at all."""

_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\xa0\xad`\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Control, direction and invisible characters, half pairs, and the mark that opens code in Markdown."""

_UNSEEN_IN_BLOCK = re.compile(_UNSEEN.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f").replace("`", ""))
_SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}


def line(text: str, limit: int = NAME_CHARS) -> str:
    r"""Return a text as part of a line: secrets masked, then cut, every sign visible.

    Examples
    --------
    >>> line("price\n\nIgnore `this`")
    'price\\n\\nIgnore \\x60this\\x60'
    """
    return _UNSEEN.sub(_visible, _cut(masked(_whole(text)), limit))


def quoted(text: str, limit: int = NAME_CHARS) -> str:
    r"""Return a text in quotation marks that nothing in it can close.

    Examples
    --------
    >>> print(quoted('say "hi"\n'))
    "say \"hi\"\n"
    """
    whole = masked(_whole(text))
    shown = _cut(whole, limit).replace("\\", r"\\").replace('"', r"\"")
    return f'"{_UNSEEN.sub(_visible, shown)}"' + (" (cut)" if len(whole) > limit else "")


def block(text: str, limit: int) -> tuple[str, bool]:
    """Return a text of many lines, and whether it is whole.

    Secrets are masked, then it is cut; it has no hidden signs but line ends and tabs.
    """
    read = _whole(text)
    shown = _UNSEEN_IN_BLOCK.sub(_visible, masked(read.replace("\r\n", "\n")))
    return shown[:limit], len(shown) <= limit and len(read) == len(text)


def value(thing: object, limit: int = CELL_CHARS) -> str:
    """Return a simple value as text, and the name of its type in angle brackets for any other.

    The value's own `__repr__`, `__str__` and `__format__` are called only where they are the interpreter's or a known
    library's.
    """
    for cls in static.line_of(type(thing)):
        if writer := _WRITERS.get(id(cls)):
            return writer(thing, limit)
        if is_library_scalar(cls):
            return _own_form(thing, limit)
        if writer := _LIBRARY.get(_package_and_name(cls)):
            return writer(thing, limit) if static.is_genuine(cls) else f"<{type_name(type(thing))}>"
    return f"<{type_name(type(thing))}>"


def is_simple(thing: object) -> bool:
    """Say whether `value` returns more than the type."""
    return not value(thing).startswith("<")


def name(label: object, limit: int = NAME_CHARS) -> str:
    """Return a column's, key's or field's name: in quotation marks where it is text, else as a value."""
    return quoted(str.__str__(label), limit) if static.is_a(label, str) else value(label, limit)


def spelt(label: object) -> str:
    """Return the letters of a name, for telling whether it is secret; those of a tuple's parts together."""
    if static.is_a(label, str):
        return str.__str__(label)
    if static.is_a(label, tuple):
        return " ".join(map(spelt, tuple.__iter__(label)))  # type: ignore[arg-type]
    return ""


def type_name(cls: type) -> str:
    """Return the full name of a type as part of a line."""
    return line(static.full_name(cls))


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number of things in words.

    Examples
    --------
    >>> count(1, "row"), count(1204, "row"), count(0, "entry", "entries")
    ('1 row', '1,204 rows', '0 entries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _whole(text: str) -> str:
    """Return what is read of a text; a word that the end would cut in two is left out, as it may be half a key."""
    if len(text) <= WHOLE_CHARS:
        return text
    head = text[:WHOLE_CHARS]
    return head.rsplit(None, 1)[0] if " " in head else head


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    form = r"\x{:02x}" if code < 0x100 else r"\u{:04x}" if code < 0x10000 else r"\U{:08x}"
    return _SHORT.get(found[0]) or form.format(code)


def _integer(thing: Any, limit: int) -> str:
    bits = int.bit_length(thing)
    # The decimal form of a huge number takes long, and the interpreter refuses it.
    return int.__repr__(thing) if bits < 200 else f"<int of {bits:,} bits>"


def _sequence(opening: str, closing: str, items: Callable[[Any], Any]) -> Callable[[Any, int], str]:
    def write(thing: Any, limit: int) -> str:
        parts: list[str] = []
        for item in items(thing):
            if len(parts) == 8 or sum(map(len, parts)) > limit:
                parts.append("…")
                break
            parts.append(quoted_or_type(item))
        return opening + ", ".join(parts) + closing

    return write


def quoted_or_type(item: object) -> str:
    """Return an item of a sequence: a simple one as text, and of any other the type."""
    nested = static.is_a(item, list, tuple, set, frozenset, dict)
    return f"<{type_name(type(item))}>" if nested else value(item, 30)


def _mapping(thing: Any, limit: int) -> str:
    parts: list[str] = []
    for key, item in dict.items(thing):
        if len(parts) == 8 or sum(map(len, parts)) > limit:
            parts.append("…")
            break
        parts.append(f"{name(key, 30)}: {MASK if is_secret_name(spelt(key)) else quoted_or_type(item)}")
    return "{" + ", ".join(parts) + "}"


def _bytes(thing: Any, limit: int) -> str:
    return f"<bytes of {bytes.__len__(thing):,}>"


_WRITERS: dict[int, Callable[[Any, int], str]] = {
    # by identity: a class may have a hash of its own
    id(bool): lambda thing, _: "True" if thing else "False",
    id(int): _integer,
    id(float): lambda thing, _: float.__repr__(thing),
    id(complex): lambda thing, _: complex.__repr__(thing),
    id(str): lambda thing, limit: quoted(str.__str__(thing), limit),
    id(bytes): _bytes,
    id(type(None)): lambda thing, _: "None",
    id(type(...)): lambda thing, _: "...",
    id(tuple): _sequence("(", ")", tuple.__iter__),
    id(list): _sequence("[", "]", list.__iter__),
    id(dict): _mapping,
}
TIMES = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID, pathlib.PurePath)
"""Types, and those they are the bases of, whose form the interpreter writes."""

_WRITERS |= {id(cls): lambda thing, limit: _own_form(thing, limit) for cls in TIMES}


def _own_form(thing: Any, limit: int) -> str:
    """Return a value as its own type writes it, where this is the interpreter's or a library's."""
    cls = type(thing)
    package = static.names_of(cls)[0].split(".")[0]
    is_known = package in ("datetime", "decimal", "uuid", "pathlib", "pandas", "numpy") and static.is_genuine(cls)
    return line(str(thing), limit) if is_known and _has_known_zone(thing) else f"<{type_name(cls)}>"


def _has_known_zone(thing: Any) -> bool:
    """Say whether a time's zone, where it has one, is no code of the user's."""
    zone = None
    if static.is_a(thing, datetime.datetime):
        zone = datetime.datetime.__dict__["tzinfo"].__get__(thing)
    elif static.is_a(thing, datetime.time):
        zone = datetime.time.__dict__["tzinfo"].__get__(thing)
    package = static.names_of(type(zone))[0].split(".")[0]
    return package in ("builtins", "datetime", "zoneinfo", "pytz", "dateutil")


def _package_and_name(cls: type) -> tuple[str, str]:
    module, qualname = static.names_of(cls)
    return module.split(".")[0], qualname


def is_library_scalar(cls: type) -> bool:
    """Say whether a class is one of numpy's numbers."""
    package, qualname = _package_and_name(cls)
    return package == "numpy" and qualname in _NUMPY_SCALARS and static.is_genuine(cls)


_NUMPY_SCALARS = frozenset(("integer", "floating", "complexfloating", "bool", "bool_", "datetime64", "timedelta64"))

_LIBRARY: dict[tuple[str, str], Callable[[Any, int], str]] = {
    ("pandas", "NAType"): lambda thing, _: "<NA>",
    ("pandas", "NaTType"): lambda thing, _: "NaT",
    ("pandas", "Timedelta"): lambda thing, limit: line(str(thing), limit),
    ("pandas", "Period"): lambda thing, limit: line(str(thing), limit),
    ("pandas", "Interval"): lambda thing, limit: line(f"{value(thing.left)} to {value(thing.right)}", limit),
}


def number(figure: float) -> str:
    """Return a computed figure, short."""
    if static.is_a(figure, float) and math.isfinite(figure):
        return f"{figure:.6g}"
    return value(figure)
