"""Which kind a thing is: by its type and those that this inherits from, never by asking the thing.

Libraries are told by the names of their types, and a type counts only where its module has loaded that very type under
its name. None of them is imported here.
"""

from __future__ import annotations

import collections
import functools
import io
from types import (
    AsyncGeneratorType,
    CoroutineType,
    GeneratorType,
    NoneType,
)
from typing import Any

from jupyter_llmroute.core.secrets import is_secret_name
from jupyter_llmroute.variables import (
    arrays,
    code,
    containers,
    estimators,
    labelled,
    pandas_frames,
    plain,
    polars_frames,
    static,
)
from jupyter_llmroute.variables.draft import Draft, Kind

SHOWN_ATTRIBUTES = 30


def kind_of(thing: object) -> Kind:
    """Return how a thing is described; whatever is not known is described by its type."""
    for cls in static.line_of(type(thing)):
        if kind := _BUILT_IN.get(id(cls)):
            return kind
        module, qualname = static.names_of(cls)
        kind = _LIBRARIES.get((module.split(".")[0], qualname))
        if kind and static.is_genuine(cls):
            return kind
        if plain.is_library_scalar(cls):
            return _SIMPLE
    return _RECORD if containers.is_record(thing) else _OTHER


def headline(thing: object) -> str:
    """Return what a thing is, in a few words; its type alone where finding out fails."""
    try:
        return kind_of(thing).headline(thing)
    except Exception:
        return plain.type_name(type(thing))


def _other_headline(thing: object) -> str:
    about = static.docstring(type(thing))
    return plain.type_name(type(thing)) + (f": {plain.line(about, 200)}" if about else "")


def _other_details(thing: object, draft: Draft) -> None:
    """Add the public attributes that the instance itself holds, with their types."""
    held = static.attributes(thing)
    names = {name: held[name] for name in held if not name.startswith("_") and not static.is_a(held[name], type)}
    for number, (name, item) in enumerate(names.items()):
        if number == SHOWN_ATTRIBUTES:
            draft.leave_out(f"{len(names) - number:,} of {len(names):,} attributes")
            return
        draft.add(f".{plain.line(name)}: {plain.type_name(type(item))}")


def _unread_headline(thing: object) -> str:
    return f"{plain.type_name(type(thing))}, not read"


def _generator_headline(thing: Any) -> str:
    name = next((door.__get__(thing) for door in _NAMES if door.__objclass__ is type(thing)), "")
    return f"{plain.type_name(type(thing))} {plain.line(name)}, not consumed"


def _partial_headline(thing: Any) -> str:
    function = functools.partial.__dict__["func"].__get__(thing)
    return f"functools.partial of {headline(function)}"


def _partial_details(thing: Any, draft: Draft) -> None:
    """Add the arguments that are given already."""
    arguments = functools.partial.__dict__["args"].__get__(thing)
    keywords = functools.partial.__dict__["keywords"].__get__(thing)
    shown = [(str(number), item) for number, item in enumerate(arguments, start=1)] + list(keywords.items())
    for name, item in shown[:SHOWN_ATTRIBUTES]:
        is_shown = draft.values and plain.is_simple(item) and not is_secret_name(name)
        draft.add(f"argument {plain.line(name)}: {plain.value(item) if is_shown else headline(item)}")


def _range_headline(thing: Any) -> str:
    return f"range, {plain.count(len(thing), 'item')}"


def _figure_headline(figure: Any) -> str:
    titles = [plain.quoted(axes.get_title() or axes.get_label() or "untitled", 60) for axes in figure.axes[:6]]
    width, height = figure.get_size_inches()
    what = f"{plain.type_name(type(figure))}, {float(width):g} x {float(height):g} inches"
    return f"{what}, {plain.count(len(figure.axes), 'pair of axes', 'pairs of axes')}: {', '.join(titles)}"


def _axes_headline(axes: Any) -> str:
    named = ", ".join(plain.quoted(text, 60) for text in (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()))
    return f"{plain.type_name(type(axes))}, title, x and y: {named}; {plain.count(len(axes.lines), 'line')}"


_NAMES = tuple(cls.__dict__["__qualname__"] for cls in (GeneratorType, CoroutineType, AsyncGeneratorType))

_CONTAINER = Kind(containers.headline, containers.details_by(headline))
_RECORD = Kind(containers.record_headline, containers.details_by(headline))
_TEXT = Kind(containers.text_headline, containers.text_details)
_SIMPLE = Kind(containers.simple_headline, containers.simple_details)
_OTHER = Kind(_other_headline, _other_details)
_UNREAD = Kind(_unread_headline)
_GENERATOR = Kind(_generator_headline)

_BUILT_IN: dict[int, Kind] = {
    # by identity: a class may have a hash of its own
    id(cls): kind
    for cls, kind in (
        *code.KINDS.items(),
        *((cls, _CONTAINER) for cls in (dict, list, tuple, set, frozenset, collections.deque)),
        *((cls, _TEXT) for cls in (str, bytes, bytearray)),
        *((cls, _SIMPLE) for cls in (bool, int, float, complex, NoneType, *plain.TIMES)),
        *((cls, _GENERATOR) for cls in (GeneratorType, CoroutineType, AsyncGeneratorType)),
        (io.IOBase.__mro__[1], _UNREAD),
        (functools.partial, Kind(_partial_headline, _partial_details)),
        (range, Kind(_range_headline)),
    )
}

_LIBRARIES: dict[tuple[str, str], Kind] = {
    # package and name of the type
    **pandas_frames.KINDS,
    **polars_frames.KINDS,
    **arrays.KINDS,
    **labelled.KINDS,
    ("sklearn", "BaseEstimator"): Kind(estimators.headline, estimators.details_by(headline)),
    ("matplotlib", "FigureBase"): Kind(_figure_headline),
    ("matplotlib", "_AxesBase"): Kind(_axes_headline),
}
