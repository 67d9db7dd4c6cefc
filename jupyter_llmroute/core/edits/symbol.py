"""`Symbol`: where a definition stands in a text, found by `ast`."""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, TypedDict

from jupyter_llmroute.core.errors import EditRefused
from jupyter_llmroute.core.parsing import tree_of

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_INDEX = re.compile(r"\[(\d{1,4})\]$")
_BLANK = re.compile(r"[ \t\f]*")


class Symbol(NamedTuple):
    """One definition."""

    name_path: str
    """`Order/total`; where there are several of that name, `Order/total[1]` is the second."""
    kind: str
    """`class`, `function` or `variable`."""
    start: int
    """Where it begins in the text, decorators included, as an index."""
    end: int
    indent: str
    """The blanks before it."""
    first_line: int
    """Counted from 1."""
    last_line: int
    name_at: int
    """Where its name stands, as an index."""
    inner: int
    """Columns that its body is indented by; 0 where it has none of its own."""
    decorators: tuple[str, ...] = ()
    top_level: bool = False
    """Whether it stands in the module itself, under no class, function or condition."""

    @property
    def name(self) -> str:
        """The last part of its name path."""
        return _INDEX.sub("", self.name_path.rsplit("/", 1)[-1])

    @property
    def parent(self) -> str:
        """What it is defined in; empty for the module."""
        return self.name_path.rpartition("/")[0]


def parse(text: str) -> ast.Module:
    """Return the tree of a text in Python.

    Raises
    ------
    SyntaxError
        It is none, or nested so deeply that Python cannot read it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that are none
            return tree_of(text)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "too deeply nested") from error


def symbols(text: str) -> tuple[Symbol, ...]:
    """Return the definitions of a text in its order: classes, functions, and names given at module or class level.

    Raises
    ------
    SyntaxError
        It does not parse.
    """
    found = sorted(_Reader(text).symbols(parse(text), "", is_function=False), key=lambda symbol: symbol.start)
    counts = Counter((symbol.name_path, symbol.kind == "variable") for symbol in found)
    seen: Counter[tuple[str, bool]] = Counter()
    numbered = []
    for symbol in found:
        key = (symbol.name_path, symbol.kind == "variable")
        index = f"[{seen[key]}]" if counts[key] > 1 else ""
        seen[key] += 1
        numbered.append(symbol._replace(name_path=symbol.name_path + index))
    return tuple(numbered)


def find_symbol(text: str, name_path: str, file: str) -> Symbol:
    """Return the one symbol that a name path means.

    Parameters
    ----------
    text
        Python.
    name_path
        `Order/total` or `Order.total`; a bare name at any depth; with a leading `/` exactly this one; `total[1]` is
        the second of that name.
    file
        That the text is of; its own name may lead the path, as in `shop.Order.total`.

    Raises
    ------
    EditRefused
        There is none, or there are several, or the text does not parse.
    """
    try:
        all_symbols = symbols(text)
    except SyntaxError as error:
        raise EditRefused(
            f"{file!r} does not parse (line {error.lineno}: {error.msg}), so {name_path[:100]!r} cannot be found in "
            f"it: nothing was changed. Mend the file first, or have all of its text given."
        ) from error
    wanted = _normal(name_path)
    for pattern in dict.fromkeys((wanted, _without_module(wanted, file))):
        if found := _matching(all_symbols, pattern):
            break
    else:
        raise EditRefused(
            f"{file!r} defines no {name_path[:100]!r}: nothing was changed. "
            f"It defines {_some([symbol.name_path for symbol in all_symbols])}."
        )
    if len(found) > 1:
        where = [f"{symbol.name_path} (line {symbol.first_line})" for symbol in found]
        raise EditRefused(
            f"{name_path[:100]!r} is no single symbol of {file!r}: nothing was changed. Have one of them named: "
            f"{_some(where)}."
        )
    return found[0]


def _normal(name_path: str) -> str:
    return name_path.strip().strip("`'\"").removesuffix("()").replace("::", "/").replace(".", "/")


def _without_module(pattern: str, file: str) -> str:
    """Return `Order/total` for `src/shop/Order/total` of `src/shop.py`."""
    parts, module = pattern.strip("/").split("/"), file.rsplit(".", 1)[0].removesuffix("/__init__").split("/")
    for size in range(min(len(parts) - 1, len(module)), 0, -1):
        if parts[:size] == module[-size:]:
            return "/" + "/".join(parts[size:])
    return pattern


def _matching(all_symbols: tuple[Symbol, ...], pattern: str) -> list[Symbol]:
    wanted = pattern.strip("/")
    has_index = _INDEX.search(wanted) is not None

    def path(symbol: Symbol) -> str:
        return symbol.name_path if has_index else _INDEX.sub("", symbol.name_path)

    found = [symbol for symbol in all_symbols if path(symbol) == wanted]
    if not found and not pattern.startswith("/"):
        found = [symbol for symbol in all_symbols if path(symbol).endswith("/" + wanted)]
    # A name that is given a first value and then defined is the definition.
    defined = [symbol for symbol in found if symbol.kind != "variable"]
    return defined if len(defined) == 1 else found


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown or "nothing"


class _Span(TypedDict):
    start: int
    end: int
    indent: str
    first_line: int
    last_line: int


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def symbols(self, node: ast.AST, prefix: str, *, is_function: bool) -> Iterator[Symbol]:
        # No recursion: how deep a text is nested is its author's affair.
        todo: list[tuple[ast.AST, str, bool, bool]] = [(node, prefix, is_function, True)]
        while todo:
            node, prefix, is_function, is_top = todo.pop()
            for child in ast.iter_child_nodes(node):
                if isinstance(child, _Definition):
                    symbol = self._definition(child, prefix, is_top)
                    yield symbol
                    todo.append((child, symbol.name_path + "/", not isinstance(child, ast.ClassDef), False))
                elif isinstance(child, ast.stmt):
                    if not is_function and (name := _name_given(child)):
                        yield self._variable(child, name, prefix, is_top)
                    todo.append((child, prefix, is_function, False))
                elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
                    todo.append((child, prefix, is_function, False))

    def _definition(self, node: _Definition, prefix: str, is_top: bool) -> Symbol:
        first = node.decorator_list[0] if node.decorator_list else node
        start = self._at(first.lineno, first.col_offset)
        if node.decorator_list:
            start = self._text.rindex("@", 0, start)
        word = re.compile(r"(?:async\b|def\b|class\b|[\s\\])+").match(
            self._text, self._at(node.lineno, node.col_offset)
        )
        assert word is not None
        own_line = node.body[0].lineno > node.lineno
        return Symbol(
            name_path=prefix + node.name,
            kind="class" if isinstance(node, ast.ClassDef) else "function",
            name_at=word.end(),
            inner=node.body[0].col_offset - node.col_offset if own_line else 0,
            decorators=tuple(ast.unparse(each) for each in node.decorator_list),
            **self._span(node, start),
            top_level=is_top,
        )

    def _variable(self, node: ast.stmt, name: ast.Name, prefix: str, is_top: bool) -> Symbol:
        return Symbol(
            name_path=prefix + name.id,
            kind="variable",
            name_at=self._at(name.lineno, name.col_offset),
            inner=0,
            **self._span(node, self._at(node.lineno, node.col_offset)),
            top_level=is_top,
        )

    def _span(self, node: ast.stmt, start: int) -> _Span:
        line_start = self._text.rfind("\n", 0, start) + 1
        blank = _BLANK.match(self._text, line_start, start)
        last = node.end_lineno or node.lineno
        return {
            "start": start,
            "end": self._at(last, node.end_col_offset or 0),
            "indent": blank[0] if blank else "",
            "first_line": self._text.count("\n", 0, start) + 1,
            "last_line": last,
        }

    def _at(self, line: int, column: int) -> int:
        """Return the index of a place that is told by line and by bytes in UTF-8."""
        text = self._lines[line - 1]
        chars = column if text.isascii() else len(text.encode()[:column].decode(errors="ignore"))
        return self._starts[line - 1] + chars


def _name_given(node: ast.stmt) -> ast.Name | None:
    match node:
        case ast.Assign(targets=[ast.Name() as name]) | ast.AnnAssign(target=ast.Name() as name):
            return name
    return None
