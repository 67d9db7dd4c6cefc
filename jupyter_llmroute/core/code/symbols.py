"""The symbols of one Python file, and which of them a name path means.

A name path is written `Order/total` or `Order.total`; a bare name is met at any depth, one that begins with `/` at the
top of its file alone. Of several symbols of one name `total[1]` is the second. A module's name may stand before:
`shop.pricing.Order.total`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jupyter_llmroute.core.code.source_file import Unreadable, decode, parse, read_bytes

MOST_SIGNATURE = 400
"""Characters of a signature; what is longer is cut."""


class Symbol(NamedTuple):
    """Something that a file defines."""

    name: str
    name_path: str
    """`Order/total`; `Order/total[1]` where there are several of it."""
    kind: str
    """`class`, `function`, `method`, `property`, `variable` or `constant`."""
    file: str
    """Relative to the project's root, with `/`."""
    first_line: int
    """Counted from 1, decorators included."""
    last_line: int
    """Counted from 1, and part of it."""
    name_line: int
    """Counted from 1; where the name itself stands."""
    name_column: int
    """Counted from 0, in characters."""
    signature: str = ""
    summary: str = ""
    """The docstring's first line."""


_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_PROPERTIES = frozenset(("property", "cached_property", "setter", "getter", "deleter"))


def symbols_of(text: str, file: str) -> tuple[Symbol, ...]:
    r"""Return the symbols of a file, in the order of their lines.

    Parameters
    ----------
    text
        Its source, lines ended by `\n`.
    file
        What it is called in the symbols.

    Raises
    ------
    Unreadable
        It does not parse.

    Examples
    --------
    >>> [(found.name_path, found.kind) for found in symbols_of("class Order:\n    def total(self): ...", "shop.py")]
    [('Order', 'class'), ('Order/total', 'method')]
    """
    collected = _Collector(file, text.split("\n"))
    collected.visit(parse(text).body, ())
    return tuple(_numbered(collected.found))


def known_symbols(text: str, file: str) -> tuple[Symbol, ...]:
    """Return the symbols of a file as `symbols_of` does; none where it does not parse."""
    try:
        return symbols_of(text, file)
    except Unreadable:
        return ()


def innermost(symbols: Iterable[Symbol], line: int) -> Symbol | None:
    """Return the smallest symbol that a line stands in."""
    around = (symbol for symbol in symbols if symbol.first_line <= line <= symbol.last_line)
    return min(around, key=lambda symbol: symbol.last_line - symbol.first_line, default=None)


def symbol_at(path: Path, line: int) -> tuple[Symbol | None, list[str]]:
    """Return the symbol whose name stands on a line of a file, and the file's lines; none where it cannot be read."""
    try:
        text = decode(read_bytes(path))
    except Unreadable:
        return None, []
    found = (symbol for symbol in known_symbols(text, path.name) if symbol.name_line == line)
    return next(found, None), text.split("\n")


class _Collector:
    def __init__(self, file: str, lines: list[str]) -> None:
        self._file = file
        self._lines = lines
        self.found: list[tuple[tuple[int, ...], Symbol]] = []
        """Each with the places of the symbols that it stands in."""
        self._named: set[tuple[tuple[int, ...], str]] = set()

    def visit(self, body: Sequence[ast.AST], within: tuple[int, ...], kind: str = "") -> None:
        """Collect what statements define; `kind` is that of the symbol whose body they are."""
        for statement in body:
            if isinstance(statement, _Definition):
                self._define(statement, within, kind)
            elif isinstance(statement, ast.stmt):
                if kind in ("", "class"):
                    self._assign(statement, within)
                for name in ("body", "orelse", "handlers", "finalbody", "cases"):
                    self.visit(getattr(statement, name, ()), within, kind)
            elif isinstance(statement, ast.ExceptHandler | ast.match_case):
                self.visit(statement.body, within, kind)

    def _define(self, node: _Definition, within: tuple[int, ...], outer: str) -> None:
        kind = "class" if isinstance(node, ast.ClassDef) else "function"
        if kind == "function" and outer == "class":
            kind = "property" if any(map(_makes_property, node.decorator_list)) else "method"
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        signature = self._signature(node)
        self._add(node.name, kind, (first, node.end_lineno or first), node.lineno, within, signature, _summary(node))
        self.visit(node.body, (*within, len(self.found) - 1), kind)

    def _assign(self, node: ast.stmt, within: tuple[int, ...]) -> None:
        for name in _assigned(node):
            if (within, name.id) not in self._named:
                kind = "constant" if name.id.isupper() else "variable"
                lines = (node.lineno, node.end_lineno or node.lineno)
                self._add(name.id, kind, lines, name.lineno, within, self._statement(*lines))

    def _add(
        self,
        name: str,
        kind: str,
        lines: tuple[int, int],
        name_line: int,
        within: tuple[int, ...],
        signature: str,
        summary: str = "",
    ) -> None:
        column = self._column(name, name_line)
        self._named.add((within, name))
        self.found.append((within, Symbol(name, "", kind, self._file, *lines, name_line, column, signature, summary)))

    def _column(self, name: str, line: int) -> int:
        text = self._lines[line - 1]
        word = rf"(?<!\w){re.escape(name)}(?!\w)"
        found = re.search(rf"\b(?:def|class)\s+({word})", text) or re.search(f"({word})", text)
        return found.start(1) if found else 0

    def _signature(self, node: _Definition) -> str:
        first = node.body[0]
        decorators = first.decorator_list if isinstance(first, _Definition) else []
        end = min([first.lineno, *(decorator.lineno for decorator in decorators)])
        if end == node.lineno:
            return _cut(_unparsed(node))
        return _cut(self._statement(node.lineno, end - 1).rstrip(": "))

    def _statement(self, first: int, last: int) -> str:
        lines = self._lines[first - 1 : min(last, first + 40)]
        text = " ".join(_COMMENT.sub("", line).strip() for line in lines)
        return _cut(re.sub(r"([(\[{]) | (?=[)\]}])", r"\1", text).replace(",)", ")"))


_COMMENT = re.compile(r"(?:^|\s)#[^'\"]*$")


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SIGNATURE else text[: MOST_SIGNATURE - 1] + "…"


def _unparsed(node: _Definition) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
        return f"class {node.name}" + (f"({bases})" if bases else "")
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{word} {node.name}({ast.unparse(node.args)}){returns}"


def _summary(node: _Definition) -> str:
    first = node.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return ""
    text = first.value.value
    return _cut(text.strip().partition("\n")[0].strip()) if isinstance(text, str) else ""


def _makes_property(decorator: ast.expr) -> bool:
    name = decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
    return name in _PROPERTIES


def _assigned(node: ast.stmt) -> Iterator[ast.Name]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            yield from (part for part in parts if isinstance(part, ast.Name))
    elif type(node).__name__ == "TypeAlias":  # Python 3.12
        yield from (name for name in [getattr(node, "name", None)] if isinstance(name, ast.Name))


def _numbered(found: list[tuple[tuple[int, ...], Symbol]]) -> Iterator[Symbol]:
    """Give the symbols their name paths, with a number where several in one place have the same name."""
    outer = {place: within[-1] if within else None for place, (within, _) in enumerate(found)}
    paths: dict[int, str] = {}
    many = Counter((outer[place], symbol.name) for place, (_, symbol) in enumerate(found))
    seen: Counter[tuple[int | None, str]] = Counter()
    for place, (_, symbol) in enumerate(found):
        key = (outer[place], symbol.name)
        number = f"[{seen[key]}]" if many[key] > 1 else ""
        seen[key] += 1
        inside = outer[place]
        paths[place] = (f"{paths[inside]}/" if inside is not None else "") + symbol.name + number
        yield symbol._replace(name_path=paths[place])


class Pattern(NamedTuple):
    """A name path as somebody wrote it."""

    parts: tuple[str, ...]
    """`total`, `total[1]`; the symbol's own last, and there may be a module's before."""
    is_whole: bool
    """Whether it begins at the top of its file."""

    @property
    def name(self) -> str:
        """The symbol's own name; empty where the pattern is none."""
        return self.parts[-1].partition("[")[0] if self.parts else ""

    def matches(self, symbol: Symbol) -> bool:
        r"""Whether a symbol is meant.

        Examples
        --------
        >>> total = symbols_of("class Order:\n    def total(self): ...", "src/shop.py")[1]
        >>> [pattern(name).matches(total) for name in ("total", "Order.total", "shop.Order.total", "/total")]
        [True, True, True, False]
        """
        own = symbol.name_path.split("/")
        if self.is_whole:
            return len(own) == len(self.parts) and all(map(_is_meant, self.parts, own))
        if not self.parts:
            return False
        whole = [*module_of(symbol.file).split("."), *own]
        ending = whole[-len(self.parts) :]
        return len(ending) == len(self.parts) and all(map(_is_meant, self.parts, ending))


def pattern(name_path: str) -> Pattern:
    """Read a name path; one that cannot be a name path matches nothing."""
    text = name_path.strip().removesuffix("()")
    parts = tuple(re.split(r"[./]", text.removeprefix("/"))) if text else ()
    if not all(_PART.fullmatch(part) for part in parts):
        parts = ()
    return Pattern(parts, text.startswith("/") and bool(parts))


_PART = re.compile(r"[^\W\d]\w*(?:\[\d{1,4}\])?")


def _is_meant(asked: str, part: str) -> bool:
    return asked in (part, part.partition("[")[0])


def module_of(file: str) -> str:
    """Return the dotted name of a file, from the root.

    Examples
    --------
    >>> module_of("src/shop/__init__.py")
    'src.shop'
    """
    return file.rpartition(".")[0].removesuffix("/__init__").replace("/", ".")
