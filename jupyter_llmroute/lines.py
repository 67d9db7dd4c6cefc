"""Lines of a cell that IPython would take for something else before a magic of ours sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from tokenize import TokenInfo
from typing import Any

from IPython.core.inputtransformer2 import EscapedCommand


class QuestionLines:
    """Keeps IPython from taking the question mark at the end of a `%route` line for a call for help.

    Parameters
    ----------
    names
        Of the line magics that take a question.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def find(self, tokens_by_line: Sequence[Sequence[TokenInfo]]) -> Any:
        """Return the first line of theirs that ends with a question mark and holds more than `%route?`."""
        for tokens in tokens_by_line:
            visible = [token for token in tokens if token.string.strip()]
            is_ours = len(visible) > 3 and visible[0].string == "%" and visible[1].string in self._names
            if is_ours and visible[-1].string == "?":
                command = EscapedCommand(visible[0].start)
                command.priority = 1  # before the help command, which begins at the same place
                return command
        return None


class LoneFix:
    """Makes a line magic of `%%route --fix` with nothing below it: IPython takes no cell magic without a body.

    Parameters
    ----------
    names
        Of the cell magics that take `--fix`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._head = re.compile(rf"%%(?:{'|'.join(map(re.escape, names))})(?=\s)(?:.*\s)?--fix(?:\s|$)")

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the lines of a cell as they are to be run."""
        for at, line in enumerate(lines):
            if line.strip():
                is_alone = self._head.match(line) and not any(below.strip() for below in lines[at + 1 :])
                return [line[1:]] if is_alone else lines
        return lines
