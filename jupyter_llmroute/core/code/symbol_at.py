"""Which symbol stands on a line of a file: Serena and editors ask for names, people point at lines."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from jupyter_llmroute.core.parsing import tree_of

_Scope = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def symbol_at(source: bytes | str, line: int) -> str:
    r"""Return the name path of the innermost symbol that the line is part of.

    Parameters
    ----------
    source
        A file's content.
    line
        Counted from 1; decorators belong to what they decorate.

    Returns
    -------
    str
        Such as `Order/total`, or `Order/note[1]` where a class has that name twice; empty at the level of the module.

    Raises
    ------
    SyntaxError, ValueError
        The file does not parse.

    Examples
    --------
    >>> symbol_at("class Order:\n    def total(self):\n        return 0\n", line=3)
    'Order/total'
    """
    scope: ast.AST = tree_of(source)
    path = []
    while found := _within(scope, line):
        name, scope = found
        path.append(name)
    return "/".join(path)


def _within(scope: ast.AST, line: int) -> tuple[str, ast.AST] | None:
    symbols = list(_symbols(scope))
    times = Counter(name for name, _ in symbols)
    seen: Counter[str] = Counter()
    for name, node in symbols:
        number = f"[{seen[name]}]" if times[name] > 1 and isinstance(node, _Scope) else ""
        seen[name] += 1
        if _first(node) <= line <= (node.end_lineno or 0):
            return name + number, node
    return None


def _symbols(scope: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what a scope defines, in order; also below its `if`, `try` and `with`."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, _Scope):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _symbols(node)


def _first(node: ast.stmt) -> int:
    if isinstance(node, _Scope) and node.decorator_list:
        return min(node.lineno, *(decorator.lineno for decorator in node.decorator_list))
    return node.lineno
