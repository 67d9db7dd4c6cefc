"""A description while it is being written: lines within limits, which can be taken away at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pydantic import Field

from jupyter_llmroute.core.context import fenced
from jupyter_llmroute.core.values import Value
from jupyter_llmroute.variables import plain


class Limits(Value):
    """How much is said of variables, and how long may be looked at them."""

    seconds: float = Field(0.2, gt=0)
    """For all variables of a question together."""
    max_chars: int = Field(6_000, ge=400)
    """Of one description."""
    columns: int = Field(40, ge=2)
    """Of a table, or fields of a record; of more, the first and the last are described."""
    rows: int = Field(5, ge=1)
    """At the head of a table, where values are asked for."""
    items: int = Field(10, ge=1)
    """Of a container, at each depth."""
    depth: int = Field(3, ge=0)
    """Of containers within containers."""
    sampled: int = Field(100_000, ge=1)
    """Rows or elements at the head that are counted and compared."""


MOST_DROPPED = 100
"""Lines without room after which nothing more is looked at."""


class GivenUp(Exception):
    """Nobody waits for this description any more, or there is no room for more of it."""


class Draft:
    """The lines of one description.

    Parameters
    ----------
    limits
        How much is to be said.
    values
        Whether values may be said, or only what things are.
    secret
        Whether the variable's own name says that its values are secret.
    """

    def __init__(self, limits: Limits, *, values: bool, secret: bool = False) -> None:
        self.limits = limits
        self.values = values
        self.secret = secret
        self.lines: list[str] = []
        self.left_out: list[str] = []
        self.is_closed = False
        self._chars = 0
        self.dropped = 0
        """Lines that had no room."""

    def add(self, line: str) -> None:
        """Add a line, or count it as left out where there is no room.

        Raises
        ------
        GivenUp
            The time is over, or no line has had room for long.
        """
        if self.is_closed or self.dropped == MOST_DROPPED:
            raise GivenUp
        if self.room < len(line) + 1:
            self.dropped += 1
            return
        self.lines.append(line)
        self._chars += len(line) + 1

    def leave_out(self, what: str) -> None:
        """Say that something is not described, in the text and beside it."""
        self.left_out.append(what)
        self.add(f"… {what} left out …")

    def add_block(self, text: str, language: str = "", *, limit: int | None = None) -> None:
        """Add a text of many lines, fenced so that nothing in it can end it; what has no room is left out and said.

        Parameters
        ----------
        text
            Source, a docstring, the value of a variable.
        language
            What it is written in, where it is code.
        limit
            Characters; default: all that are left.
        """
        room = max(0, self.room - 100)
        shown, is_whole = plain.block(text, min(room, limit or room))
        self.add(fenced(shown, language))
        if not is_whole:
            self.leave_out(f"the rest of {len(text):,} characters")

    @property
    def room(self) -> int:
        """Characters that are left."""
        return self.limits.max_chars - self._chars - 200


class Kind(NamedTuple):
    """How things of one kind are described."""

    headline: Callable[[Any], str]
    """Returns what a thing is, in a few words."""
    details: Callable[[Any, Draft], None] = lambda thing, draft: None
    """Adds more lines about it."""


def ends(total: int, limit: int) -> Iterator[range]:
    """Yield the positions that are described: all, or those at both ends.

    Examples
    --------
    >>> list(ends(3, 8)), list(ends(100, 8))
    ([range(0, 3)], [range(0, 6), range(98, 100)])
    """
    if total <= limit:
        yield range(total)
    else:
        last = max(1, limit // 4)
        yield range(limit - last)
        yield range(total - last, total)
