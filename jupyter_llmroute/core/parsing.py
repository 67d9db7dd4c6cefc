"""Python text becomes a tree, one text at a time.

Up to CPython 3.12 the depth of a tree that is being built is counted in one place for all threads: where two threads
build one, either may fail with "SystemError: AST constructor recursion depth mismatch", whatever the texts are.
"""

from __future__ import annotations

import ast
import threading

_ALONE = threading.RLock()
_TRIES = 3


def tree_of(source: str | bytes) -> ast.Module:
    """Return the tree of a text.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        As `ast.parse` does.
    """
    with _ALONE:
        for _ in range(_TRIES - 1):
            try:
                return ast.parse(source)
            except SystemError:  # somebody else's thread, such as IPython's, built one meanwhile
                continue
        return ast.parse(source)
