"""A definition's text put into a file's text. Pure; lines end with a line feed alone here."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import NamedTuple

from jupyter_llmroute.core.edits.edit import Side
from jupyter_llmroute.core.edits.symbol import Symbol, find_symbol, parse, symbols
from jupyter_llmroute.core.errors import EditRefused

_ELIDED = re.compile(
    r"^[ \t]*(?:#|//|<!--)[ \t]*(?:\[?(?:\.{3}|…)|(?:the )?rest of (?:the|your|this)\b|(?:\w+ )?existing code\b|"
    r"(?:other|remaining) (?:code|methods?|functions?|imports?|classes)\b.*(?:here|unchanged|same|\.{3}|…))",
    re.IGNORECASE | re.MULTILINE,
)
"""A comment that stands for code which was left out."""


class Fitted(NamedTuple):
    """A definition as it will stand in a file."""

    body: str
    """The first line is not indented, the others are."""
    notes: tuple[str, ...] = ()
    """Sentences that who looks at the change should read."""


def elided(text: str, old: str = "") -> str | None:
    """Return a line that stands for code which was left out, where the old text did not have it."""
    for found in _ELIDED.finditer(text):
        end = text.find("\n", found.start())
        line = text[found.start() : end if end >= 0 else None].strip()
        if line not in old:
            return line
    return None


def fitted(text: str, symbol: Symbol, said: str, file: str) -> Fitted:
    """Return the definition that an answer gives for `symbol`, as it will stand in the file.

    Parameters
    ----------
    text
        Of the file.
    symbol
        That is replaced.
    said
        What the answer says, however it is indented; a method may come within its class.
    file
        For what is said of it.

    Raises
    ------
    EditRefused
        It is no definition of that name.
    """
    if line := elided(said, text[symbol.start : symbol.end]):
        raise _refused(symbol, file, f"leaves code out ({line[:80]!r})", "Ask for the whole definition")
    body = _unwrapped(_at_left_edge(said, symbol, file), symbol, file)
    tree = parse(body)
    if not any(_defines(node, symbol.name) for node in tree.body):
        raise _refused(symbol, file, "does not define it", "Ask for a definition of that very name")
    if symbol.parent and any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree.body):
        body = _without_known_imports(body, tree, text, symbol, file)
    notes = []
    new = [found for found in symbols(body) if found.name == symbol.name and found.top_level]
    if gone := [name for name in symbol.decorators if new and name not in new[-1].decorators]:
        notes.append(f"The decorator @{gone[0][:80]} of {symbol.name_path} goes away.")
    return Fitted(indented(body, symbol.indent).lstrip(" \t"), tuple(notes))


def replaced(text: str, symbol: Symbol, body: str) -> str:
    """Return a text in which `body` takes the place of a symbol."""
    return text[: symbol.start] + body + text[symbol.end :]


def new_definition(said: str, symbol: Symbol, file: str) -> str:
    """Return what an answer gives to stand beside `symbol`, all its lines indented.

    Raises
    ------
    EditRefused
        It does not parse.
    """
    if line := elided(said):
        raise _refused(symbol, file, f"leaves code out ({line[:80]!r})", "Ask for the whole definition")
    return indented(_at_left_edge(said, symbol, file), symbol.indent)


def inserted(text: str, symbol: Symbol, side: Side, body: str) -> str:
    """Return a text in which `body` stands beside a symbol, with as many empty lines between as is usual."""
    lines = text.split("\n")
    gap = [""] * (0 if symbol.kind == "variable" and _is_plain(body) else 1 if symbol.indent else 2)
    if side is Side.AFTER:
        above, below = lines[: symbol.last_line], lines[symbol.last_line :]
    else:
        above, below = lines[: symbol.first_line - 1], lines[symbol.first_line - 1 :]
    rest = _without_first_empty(below)
    end = rest if not any(rest) else [*gap, *rest]
    kept = _without_last_empty(above)
    opens_block = not kept or kept[-1].endswith(":")
    return "\n".join([*kept, *([] if opens_block else gap), *body.split("\n"), *end])


def deleted(text: str, symbol: Symbol) -> str:
    """Return a text without a symbol's lines.

    Raises
    ------
    EditRefused
        It shares its lines with something else, or its block would be empty without it.
    """
    line_start = text.rfind("\n", 0, symbol.start) + 1
    line_end = text.find("\n", symbol.end)
    line_end = len(text) if line_end < 0 else line_end
    behind = text[symbol.end : line_end].strip()
    if text[line_start : symbol.start].strip() or (behind and not behind.startswith("#")):
        raise EditRefused(
            f"{symbol.name_path!r} shares its line with other code: nothing was changed. Take it away by hand."
        )
    above, below = text[:line_start].split("\n"), text[line_end + 1 :].split("\n")
    kept = _without_last_empty(above[:-1])
    rest = _without_first_empty(below)
    gap = min(len(above) - 1 - len(kept), 2) if any(rest) and kept else 0
    new = "\n".join([*kept, *[""] * gap, *rest])
    try:
        parse(new)
    except SyntaxError as error:
        raise EditRefused(
            f"Without {symbol.name_path!r} the file does not parse: nothing was changed. It may be all that its block "
            f"holds; take the block away."
        ) from error
    return new


def beside(text: str, name_path: str, file: str, said: str) -> tuple[Symbol, str]:
    """Return a symbol and what is to stand beside it, all its lines indented."""
    symbol = find_symbol(text, name_path, file)
    return symbol, new_definition(said, symbol, file)


def indented(body: str, indent: str) -> str:
    """Return a text with `indent` before its lines, but not within strings of several lines that are no docstrings."""
    if not indent:
        return body
    inside = _string_lines(body)
    lines = body.split("\n")
    return "\n".join(
        line if number in inside or not line.strip() else indent + line for number, line in enumerate(lines, 1)
    )


def _string_lines(body: str) -> set[int]:
    """Return the lines that begin within a string, docstrings apart."""
    try:
        tree = parse(body)
    except SyntaxError:
        return set()
    documents = {
        node.body[0].lineno
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and ast.get_docstring(node) is not None
    }
    inside: set[int] = set()
    start = 0
    for token in tokenize.generate_tokens(io.StringIO(body).readline):
        if token.type in _STRING_STARTS:
            start = token.start[0]
        if token.type in _STRING_ENDS and start not in documents:
            inside |= set(range(start + 1, token.end[0] + 1))
    return inside


_STRING_STARTS = {tokenize.STRING, *(getattr(tokenize, name) for name in ("FSTRING_START",) if hasattr(tokenize, name))}
_STRING_ENDS = {tokenize.STRING, *(getattr(tokenize, name) for name in ("FSTRING_END",) if hasattr(tokenize, name))}
"""From Python 3.12 on a formatted string is several tokens."""


def _at_left_edge(said: str, symbol: Symbol, file: str) -> str:
    """Return a definition that is not indented, of one that is, or whose first line alone is not."""
    lines = said.strip("\n").rstrip().split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    ways = (_outdented(lines), _outdented([symbol.indent + lines[0], *lines[1:]] if lines else []))
    trees, problem = {}, SyntaxError("it is empty")
    for way in dict.fromkeys(ways):
        try:
            if (tree := parse(way)).body:
                trees[way] = tree
        except SyntaxError as error:
            problem = error
    if not trees:
        where = f"line {problem.lineno}: " if problem.lineno else ""
        raise _refused(symbol, file, f"does not parse ({where}{problem.msg})", "Ask again")
    if len(trees) == 2 and symbol.inner and _inner(trees[ways[0]]) == len(symbol.indent) + symbol.inner:
        return ways[1]  # as it would stand in the file, cut out from the first letter on
    return next(iter(trees))


def _inner(tree: ast.Module) -> int:
    body = getattr(tree.body[0], "body", None)
    first = body[0] if isinstance(body, list) and body else None
    return first.col_offset if isinstance(first, ast.stmt) and first.lineno > tree.body[0].lineno else 0


def _outdented(lines: list[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip(" \t"))]
    return (
        "\n".join(line.removeprefix(indent) if line.strip() else "" for line in lines) if indent else "\n".join(lines)
    )


def _unwrapped(body: str, symbol: Symbol, file: str) -> str:
    """Take a method out of the class that an answer wrote around it."""
    tree = parse(body)
    parent = symbol.parent.rsplit("/", 1)[-1].split("[")[0]
    definitions = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    if not parent or len(definitions) != 1 or not isinstance(wrapper := definitions[0], ast.ClassDef):
        return body
    if wrapper.name != parent or parent == symbol.name:
        return body
    members = [node for node in wrapper.body if not _is_filler(node)]
    inner = [found for found in symbols(body) if found.parent == parent and found.name == symbol.name]
    if len(members) != len(inner) or not inner:
        raise _refused(symbol, file, f"holds more of the class {parent!r} than it", "Ask for the one definition alone")
    first, last = inner[0], inner[-1]
    return _outdented((first.indent + body[first.start : last.end]).split("\n"))


def _is_filler(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _without_known_imports(body: str, tree: ast.Module, text: str, symbol: Symbol, file: str) -> str:
    known = {ast.unparse(node) for node in ast.walk(parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))}
    lines = body.split("\n")
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if ast.unparse(node) not in known:
                raise _refused(
                    symbol,
                    file,
                    f"begins with {ast.unparse(node)[:80]!r}, which the file lacks",
                    "Have it imported first",
                )
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(lines).strip("\n")


def _defines(node: ast.stmt, name: str) -> bool:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name == name
        case ast.Assign(targets=[ast.Name(id=given)]) | ast.AnnAssign(target=ast.Name(id=given)):
            return given == name
    return any(_defines(child, name) for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


def _is_plain(body: str) -> bool:
    return not re.search(r"^\s*(?:@|(?:async\s+)?def\b|class\b)", body, re.MULTILINE)


def _without_first_empty(lines: list[str]) -> list[str]:
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    # The empty text behind the last line end stays.
    return lines[first:] if first < len(lines) else lines[-1:]


def _without_last_empty(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _refused(symbol: Symbol, file: str, what: str, then: str) -> EditRefused:
    return EditRefused(
        f"The new text of {symbol.name_path!r} in {file!r} {what}: nothing was changed. {then}, or write it yourself."
    )
