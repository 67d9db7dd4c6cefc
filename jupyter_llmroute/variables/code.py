"""Functions, classes and modules: signature, docstring and source; nothing is called or imported for it."""

from __future__ import annotations

import inspect
import linecache
import re
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from jupyter_llmroute.core.secrets import MASK, is_secret_name
from jupyter_llmroute.variables import plain, static
from jupyter_llmroute.variables.draft import Draft, Kind

LONGEST = 1_500
"""Lines of a source that are looked at."""

PUBLIC_NAMES = 30

_BOUND = re.compile(r"^\(\$\w+(?:, /|, )?")
"""What a built-in function is bound to: not for the caller to give."""

_CELL_FILES = re.compile(r"<ipython-input-|.*[\\/]ipykernel_\d+[\\/]")


def function_headline(function: Any) -> str:
    """Return name and signature."""
    held = _innermost(function)
    module = function.__module__
    where = f" of {plain.line(module)}" if type(module) is str and module != "__main__" else ""
    return f"{_kind_of(held.__code__)} {plain.line(held.__name__)}{signature(held)}{where}"


def function_details(function: Any, draft: Draft) -> None:
    """Add the source where it is to be had, else the docstring."""
    held = _innermost(function)
    source = function_source(held.__code__)
    if source:
        draft.add_block(source.rstrip("\n"), "python")
    else:
        _add_docstring(held.__doc__, draft)


def method_headline(method: Any) -> str:
    """Return the function and what it is bound to."""
    owner = method.__self__
    owner_name = plain.type_name(owner if static.is_a(owner, type) else type(owner))
    function = method.__func__
    what = function_headline(function) if type(function) is FunctionType else plain.type_name(type(function))
    return f"method of {owner_name}, {what}"


def method_details(method: Any, draft: Draft) -> None:
    """Add what is known of its function."""
    if type(method.__func__) is FunctionType:
        function_details(method.__func__, draft)


def builtin_headline(function: Any) -> str:
    """Return name, signature and docstring's first line of a function that is not written in Python."""
    text, about = function.__text_signature__, static.first_line(function.__doc__)
    shown = plain.line(_BOUND.sub("(", text), 200) if type(text) is str else "(…)"
    return f"built-in {plain.line(function.__qualname__)}{shown}" + (f": {plain.line(about, 200)}" if about else "")


def signature(function: FunctionType) -> str:
    """Return the parameters of a function with their defaults, without the annotations: those may be anybody's code."""
    code = function.__code__
    names, count = code.co_varnames, code.co_argcount
    positional, keyword = function.__defaults__ or (), function.__kwdefaults__ or {}
    last = names[count - len(positional) : count]
    defaults = dict(zip(last, positional, strict=False)) | keyword
    only = list(names[count : count + code.co_kwonlyargcount])
    rest = list(names[count + code.co_kwonlyargcount :])
    parts = [_parameter(name, defaults) for name in names[:count]]
    if code.co_posonlyargcount:
        parts.insert(code.co_posonlyargcount, "/")
    if code.co_flags & inspect.CO_VARARGS:
        parts.append("*" + rest.pop(0))
    elif only:
        parts.append("*")
    parts += [_parameter(name, defaults) for name in only]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parts.append("**" + rest.pop(0))
    return f"({plain.line(', '.join(parts), 400)})"


def _parameter(name: str, defaults: dict[str, object]) -> str:
    if name not in defaults:
        return name
    return f"{name}={MASK if is_secret_name(name) else plain.value(defaults[name], 40)}"


def _kind_of(code: CodeType) -> str:
    flags = (
        (inspect.CO_COROUTINE, "async function"),
        (inspect.CO_ASYNC_GENERATOR, "async generator function"),
        (inspect.CO_GENERATOR, "generator function"),
    )
    return next((kind for flag, kind in flags if code.co_flags & flag), "function")


def _innermost(function: FunctionType) -> FunctionType:
    """Return the function that decorators were put around."""
    for _ in range(10):
        within = function.__dict__.get("__wrapped__")
        if type(within) is not FunctionType:
            break
        function = within
    return function


def function_source(code: CodeType) -> str:
    """Return the lines of a function as they stand in its file or cell; empty where they are not to be had."""
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :][:LONGEST]
    return _dedented(inspect.getblock(lines)) if lines else ""


def class_headline(cls: Any) -> str:
    """Return name and bases."""
    bases = [plain.type_name(base) for base in static.line_of(cls)[1:] if base is not object]
    return f"class {plain.type_name(cls)}" + (f", a {bases[0]}" if bases else "")


def class_details(cls: Any, draft: Draft) -> None:
    """Add the source where it is to be had, else docstring and methods."""
    source = class_source(cls)
    if source:
        draft.add_block(source.rstrip("\n"), "python")
        return
    held = static.own(cls)
    _add_docstring(held.get("__doc__"), draft)
    methods = {name: item for name, item in held.items() if type(item) is FunctionType}
    for name, method in methods.items():
        if name == "__init__" or not name.startswith("_"):
            about = static.first_line(method.__doc__)
            draft.add(f"{plain.line(name)}{signature(method)}" + (f": {plain.line(about, 120)}" if about else ""))
    others = [name for name in held if name not in methods and not name.startswith("_")]
    if others:
        draft.add("attributes: " + ", ".join(map(plain.line, others[:PUBLIC_NAMES])))


def class_source(cls: type) -> str:
    """Return the lines of a class as they stand in its file or in the newest cell that defines it."""
    module, qualname = static.names_of(cls)
    pattern = re.compile(rf"\s*class\s+{re.escape(qualname.split('.')[-1])}\b")
    for filename, before in _places(cls, module):
        lines = linecache.getlines(filename)
        starts = [n for n, line in enumerate(lines[:before]) if pattern.match(line)]
        if starts:
            return _dedented(inspect.getblock(_with_decorators(lines, starts[-1])[:LONGEST]))
    return ""


def _places(cls: type, module: str) -> Iterator[tuple[str, int | None]]:
    """Yield files that may hold a class, with the line that it begins before, where that is known."""
    for item in static.own(cls).values():
        if (
            type(item) is FunctionType
            and item.__module__ == module
            and not item.__code__.co_filename.startswith("<str")
        ):
            linecache.checkcache(item.__code__.co_filename)
            yield item.__code__.co_filename, item.__code__.co_firstlineno
    if module == "__main__":
        yield from ((name, None) for name in reversed([*linecache.cache]) if _CELL_FILES.match(name))
    file = static.attributes(sys.modules.get(module)).get("__file__")
    if type(file) is str and file.endswith(".py"):
        yield file, None


def _with_decorators(lines: list[str], start: int) -> list[str]:
    while start and lines[start - 1].lstrip().startswith("@"):
        start -= 1
    return lines[start:]


def _dedented(lines: list[str]) -> str:
    return inspect.cleandoc("".join(lines)) if lines and lines[0][:1].isspace() else "".join(lines)


def module_headline(module: Any) -> str:
    """Return name and version."""
    held = static.attributes(module)
    version = held.get("__version__")
    return f"module {plain.line(module_name(held))}" + (f" {plain.line(version)}" if type(version) is str else "")


def module_name(held: dict[str, Any]) -> str:
    """Return the name that a module holds."""
    name = held.get("__name__")
    return name if type(name) is str else "?"


def module_details(module: Any, draft: Draft) -> None:
    """Add docstring and public names."""
    held = static.attributes(module)
    _add_docstring(static.first_line(held.get("__doc__")), draft)
    listed = held.get("__all__")
    names = [name for name in listed if type(name) is str] if isinstance(listed, (list, tuple)) else []
    names = names or [name for name in held if not name.startswith("_") and type(held[name]) is not ModuleType]
    if names:
        more = f", and {len(names) - PUBLIC_NAMES:,} more" if len(names) > PUBLIC_NAMES else ""
        draft.add("names: " + ", ".join(map(plain.line, names[:PUBLIC_NAMES])) + more)


def _add_docstring(text: object, draft: Draft) -> None:
    if type(text) is str and text.strip():
        draft.add_block(inspect.cleandoc(text[: plain.WHOLE_CHARS]), limit=2_000)


KINDS = {
    FunctionType: Kind(function_headline, function_details),
    MethodType: Kind(method_headline, method_details),
    type(len): Kind(builtin_headline),
    type(str.join): Kind(builtin_headline),
    type: Kind(class_headline, class_details),
    ModuleType: Kind(module_headline, module_details),
}
