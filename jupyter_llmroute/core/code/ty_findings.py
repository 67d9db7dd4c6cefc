"""What `ty` says, as findings: what is usual in notebooks is left out, and names are as everywhere else."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.project import PACKAGE
from jupyter_llmroute.core.code.symbols import Symbol, innermost, pattern

SAYS_NOTHING = frozenset(("", "Never", "Unknown", "Divergent"))
SEVERITIES = {1: "error", 2: "warning", 3: "information"}
"""Hints, such as of what is unused, are left out: in a notebook it is used later."""

_NORMAL_CODES = frozenset("unused-import unused-expression unused-variable redefinition redefined-while-unused".split())
_NORMAL_WORDS = re.compile(r"`(?:await|async with|async for|async)\b.*outside|\bunused (?:expression|import)|redefin")
_UNDEFINED = re.compile(r"Name `(.+)` used when not defined")
_OF_IPYTHON = re.compile(r"_{1,3}|_i{0,3}|_i?\d+|_[do]h|_exit_code|In|Out|get_ipython|display|exit|quit")
_KINDS = (
    ("class ", "class"),
    ("<class ", "class"),
    ("<module ", "module"),
    ("def ", "function"),
    ("async def ", "function"),
    ("bound method ", "method"),
)


class Found(NamedTuple):
    """A text that a location lies in."""

    file: str
    symbols: Sequence[Symbol]
    lines: Sequence[str]


def _as_path(name: str) -> str:
    return "/".join(pattern(name).parts)


def _last(name_path: str) -> str:
    return name_path.rpartition("/")[2].partition("[")[0]


def hover(told: Any) -> str:
    """Return what a hover says, without the line between signature and docstring."""
    text = ((told or {}).get("contents") or {}).get("value", "")
    return re.sub(r"\n-{3,}\n", "\n\n", text).strip()


def is_normal(remark: Mapping[str, Any], names: Collection[str]) -> bool:
    """Whether a remark is about what is usual in notebooks, or is none at all."""
    if remark.get("severity") not in SEVERITIES or remark.get("code") in _NORMAL_CODES:
        return True
    if _NORMAL_WORDS.search(remark["message"]):
        return True
    undefined = _UNDEFINED.match(remark["message"])
    return undefined is not None and (undefined[1] in names or _OF_IPYTHON.fullmatch(undefined[1]) is not None)


def definition(question: CodeQuestion, text: Found, where: Mapping[str, Any]) -> Finding:
    """Return what is defined at a place; a module where the place is empty."""
    line, last = where["start"]["line"] + 1, where["end"]["line"] + 1
    symbol = next((symbol for symbol in text.symbols if symbol.name_line == line), None)
    first, last = (symbol.first_line, symbol.last_line) if symbol else (line, last)
    is_module = where["start"] == where["end"]
    return Finding(
        ask=question.ask,
        name_path=symbol.name_path if symbol else _as_path(question.name_path),
        kind="module" if is_module else symbol.kind if symbol else "variable",
        file=text.file,
        first_line=first,
        last_line=last,
        body="" if is_module else "\n".join(text.lines[first - 1 : last]),
        info="" if is_module or symbol is None else symbol.signature,
        source=Source.TY,
    )


def documentation(question: CodeQuestion, info: str, at: Finding | None) -> Finding:
    """Return what a hover says, at the place that is defined."""
    kind = next((kind for start, kind in _KINDS if info.startswith(start)), "variable")
    name = _as_path(question.name_path) or (at.name_path if at else "")
    if at and at.kind not in ("variable", "constant") and _last(at.name_path) == _last(name):
        kind = at.kind
        if kind in ("class", "property"):
            info = "\n\n".join([at.info, *info.split("\n\n")[1:]])
    if kind == "variable" and name:
        info = f"{_last(name)}: {info}"
    return Finding(
        ask=question.ask,
        name_path=name,
        kind=kind,
        file=at.file if at else question.file or f"{PACKAGE}builtins",
        first_line=at.first_line if at else 1,
        last_line=at.last_line if at else 1,
        info=info,
        source=Source.TY,
    )


def use(ask: Ask, text: Found, line: int) -> Finding:
    """Return a use on a line, with the lines around it."""
    inside = innermost(text.symbols, line)
    return Finding(
        ask=ask,
        name_path=inside.name_path if inside else "",
        kind=inside.kind if inside else "module",
        file=text.file,
        first_line=line,
        last_line=line,
        body="\n".join(text.lines[max(0, line - 2) : line + 1]),
        body_line=max(1, line - 1),
        source=Source.TY,
    )


def caller(ask: Ask, text: Found, line: int) -> Finding:
    """Return the function that a line stands in; the line alone where it stands in none."""
    functions = [symbol for symbol in text.symbols if symbol.kind in ("function", "method", "property")]
    inside = innermost(functions, line + 1)
    first, last = (inside.first_line, inside.last_line) if inside else (line + 1, line + 1)
    return Finding(
        ask=ask,
        name_path=inside.name_path if inside else "",
        kind=inside.kind if inside else "module",
        file=text.file,
        first_line=first,
        last_line=last,
        body="\n".join(text.lines[first - 1 : last]),
        info=inside.signature if inside else "",
        source=Source.TY,
    )
