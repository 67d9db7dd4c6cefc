"""What of a project a question may mean: names written as code, names that cells import from it, lines that failed."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from jupyter_llmroute.core.asked import asked
from jupyter_llmroute.core.cell_syntax import plain
from jupyter_llmroute.core.dataflow import names_of
from jupyter_llmroute.core.parsing import tree_of
from jupyter_llmroute.core.request import CellRef

MOST_NAMES = 8
"""Names that are looked up for one question; of more, the first."""

MOST_CELL_CHARS = 20_000
"""A longer cell is not read for what it imports."""


class Imported(NamedTuple):
    """A name that a cell has from the project."""

    module: str
    """`shop.orders`"""
    name: str
    """What it is called there; empty for the module itself."""


class FailedAt(NamedTuple):
    """A line that a traceback points at."""

    file: str
    """As the traceback has it."""
    line: int


_DOTTED = re.compile(r"(?<![\w.@/])([^\W\d]\w*(?:\.[^\W\d]\w*)+)(?![\w/])")
_CLASS_LIKE = re.compile(r"(?<![\w.@/])([A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+)(?!\w)")
_FRAME = re.compile(r"^\s*File [\"']?([^\"'\n]{1,400}?)[\"']?(?:, line |:)(\d{1,7})", re.MULTILINE)


def imported(cells: Iterable[CellRef], modules: Collection[str]) -> dict[str, Imported]:
    r"""Return the names that cells import from a project's modules, with what each stands for.

    Parameters
    ----------
    cells
        Oldest first; a name that is imported again is what it was last.
    modules
        Top-level names of the project.

    Examples
    --------
    >>> cells = [CellRef(number=1, source="from shop.orders import Order as O\nimport shop, os")]
    >>> imported(cells, {"shop"})
    {'O': Imported(module='shop.orders', name='Order'), 'shop': Imported(module='shop', name='')}
    """
    found: dict[str, Imported] = {}
    for cell in cells:
        if cell.kind == "code" and "import" in cell.source and len(cell.source) <= MOST_CELL_CHARS:
            found.update(_imports(cell.source, modules))
    return found


def _imports(source: str, modules: Collection[str]) -> Iterator[tuple[str, Imported]]:
    try:
        tree = tree_of(plain(source).text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module.partition(".")[0] in modules:
                for alias in node.names:
                    yield alias.asname or alias.name, Imported(node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                if first in modules:
                    yield (alias.asname, Imported(alias.name, "")) if alias.asname else (first, Imported(first, ""))


def named(question: str, known: Collection[str]) -> tuple[str, ...]:
    """Return what a question may call symbols of a project, each once, in its order.

    Parameters
    ----------
    question
        As the user wrote it.
    known
        Names that cells import from the project: these are meant also where they stand as plain words.

    Examples
    --------
    >>> named("does Order.total() use the PriceList, and what is `clean_up` for order?", {"order"})
    ('Order.total', 'PriceList', 'clean_up', 'order')
    """
    found = asked(question)
    dotted = _DOTTED.findall(question)
    parts = {part for name in dotted for part in name.split(".")}
    names = [*dotted, *_CLASS_LIKE.findall(question), *found.code, *(word for word in found.words if word in known)]
    kept = (name for name in dict.fromkeys(names) if "." in name or name not in parts)
    return tuple(sorted(kept, key=lambda name: (question.find(name), name)))[:MOST_NAMES]


def used(sources: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Return which of the known names the sources use, in alphabetical order."""
    uses = frozenset[str]().union(*(names_of(source[:MOST_CELL_CHARS]).uses for source in sources))
    return tuple(sorted(uses.intersection(known)))[:MOST_NAMES]


def failed_at(traceback: str) -> Sequence[FailedAt]:
    r"""Return the files and lines of a traceback, the innermost first.

    Examples
    --------
    >>> failed_at('  File "/srv/shop/orders.py", line 12, in total\n    return a / b')
    (FailedAt(file='/srv/shop/orders.py', line=12),)
    """
    found = [FailedAt(file, int(line)) for file, line in _FRAME.findall(traceback)]
    return tuple(dict.fromkeys(reversed(found)))
