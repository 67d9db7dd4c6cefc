"""A cell as Python whose lines stay where they are, and the places where a name stands in it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from keyword import iskeyword

from jupyter_llmroute.core.cell_syntax import PASSING_BODIES, PYTHON_BODIES
from jupyter_llmroute.core.code.source_file import Unreadable, parse
from jupyter_llmroute.core.code.symbols import Pattern, Symbol, known_symbols

CELL = "cell:"
"""Begins the file of a finding in the notebook; the cell's id follows."""

Place = tuple[int, int]
"""A line counted from 1, and a column counted from 0, in characters."""

_ESCAPED = re.compile(r"([ \t]*)([^\n=#'\"]{1,200}=[ \t]*)?(?:%%?[^\W\d].*|!.*)")
_HELP = re.compile(r"([ \t]*)(?:\?\??[^\s?]+|[^\s#?]+\?\??)[ \t;]*")


def aligned(source: str) -> str:
    r"""Return a cell with what only IPython reads put as Python, line for line.

    Examples
    --------
    >>> aligned("%matplotlib inline\nfiles = !ls \\\n  -la\nfiles?")
    'pass\nfiles = None\n\npass'
    >>> aligned("%%bash\nls")
    '\n'
    """
    lines = source.split("\n")
    kept: list[str] = []
    at_top, goes_on = True, False
    for line in lines:
        if at_top and line.startswith("%%"):
            if not PYTHON_BODIES.union(PASSING_BODIES).intersection(line[2:].split()[:1]):
                return "\n" * (len(lines) - 1)
            line = ""
        elif goes_on:
            goes_on, line = line.endswith("\\"), ""
        elif escaped := _ESCAPED.fullmatch(line):
            goes_on = line.endswith("\\")
            line = escaped[1] + (f"{escaped[2]}None" if escaped[2] else "pass")
        elif asked := _HELP.fullmatch(line):
            line = f"{asked[1]}pass"
        at_top = at_top and not line.strip()
        kept.append(line)
    return "\n".join(kept)


def reachable(source: str) -> str:
    r"""Return a cell without the statements that end it, line for line.

    What follows them, in other cells too, would be taken for code that is never run; in a notebook it is.

    Examples
    --------
    >>> reachable("raise ValueError(\n    1)\nx = 2")
    'pass\n\nx = 2'
    """
    try:
        body = parse(aligned(source)).body
    except Unreadable:
        return source
    lines = source.split("\n")
    begun = Counter(line for node in body for line in {node.lineno, node.end_lineno})
    for node in body:
        first, last = node.lineno, node.end_lineno or node.lineno
        if _ends(node) and begun[first] == begun[last] == 1 and not node.col_offset:
            lines[first - 1 : last] = ["pass", *[""] * (last - first)]
    return "\n".join(lines)


def _ends(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.unparse(node.value.func) in ("exit", "quit", "sys.exit", "os._exit")
    return isinstance(node, ast.Raise | ast.Return)


def cell_symbols(cell: str, source: str) -> tuple[Symbol, ...]:
    """Return the symbols that a cell defines; none where it does not parse."""
    return known_symbols(aligned(source), CELL + cell)


def places(source: str, asked: Pattern) -> Iterator[Place]:
    """Go through the places where a name stands in a cell: first where it is defined."""
    yield from ((found.name_line, found.name_column) for found in cell_symbols("", source) if asked.matches(found))
    wanted = [part.partition("[")[0] for part in asked.parts]
    chain: list[str] = []
    before = ""
    for token in _tokens(source):
        if token.type == tokenize.NAME and not iskeyword(token.string):
            chain = [*chain, token.string] if before == "." else [token.string]
            if chain[-len(wanted) :] == wanted:
                yield token.start
        elif token.string != ".":
            chain = []
        before = token.string


def first_name(source: str, line: int) -> Place | None:
    """Return where the first name of a line stands, keywords aside."""
    names = (token.start for token in _tokens(source) if token.type == tokenize.NAME and not iskeyword(token.string))
    return next((place for place in names if place[0] == line), None)


def _tokens(source: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(aligned(source)).readline)
    except (SyntaxError, tokenize.TokenError):
        return  # what came before the mistake is taken
