"""The flow of data through cells: a name is followed back to where it had its value from."""

from __future__ import annotations

import builtins
import re
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from jupyter_llmroute.core.cell_text import Glance, Texts
from jupyter_llmroute.core.dataflow import STAR
from jupyter_llmroute.core.ranking import Found, Tier

MOST_CHANGES = 6
"""Cells that are taken, newest first, because they change one name."""

SILENT = frozenset((*dir(builtins), "display", "get_ipython", "In", "Out", "_", "__", "___", "_oh", "_ih", "_dh"))
"""Names that no cell is expected to define; a cell that does so is found where the question asks for the name."""

_RESULT = re.compile(r"_(\d{1,9})", re.ASCII)


class _Origin(NamedTuple):
    """Where a name had its value from, seen from some cell."""

    place: int
    """Of the cell that bound it last; -1 where none did."""
    seen_from: int
    changes: tuple[int, ...]
    """Places of the cells that changed it since, newest first."""


class _Need(NamedTuple):
    """A name whose origin is still to be found."""

    name: str
    end: int
    """The place that it is used at: cells before it count."""
    depth: int
    by: int
    """Place of the cell that uses it."""


class Flow:
    """Follows names back to where they come from.

    Parameters
    ----------
    text
        The cells.
    found
        Takes those that are come to.
    """

    def __init__(self, text: Texts, found: Found) -> None:
        self.asked: dict[str, int] = {}
        """Names that were asked for and are known, with the place of the cell that bound each; -1 where none did."""
        self._text = text
        self._found = found
        self._due: deque[_Need] = deque()
        self._followed: set[int] = set()
        self._called: set[tuple[int, str]] = set()
        self._origins: dict[str, list[_Origin]] = {}

    def ask(self, name: str, *, as_word: bool = False) -> bool:
        """Take the cells that define and change a name of the question; return whether there are any."""
        end = len(self._text.cells)
        origin = self._origin(name, end)
        if origin.place < 0 and not origin.changes:
            return False
        self.asked[name] = origin.place
        if origin.place >= 0:
            names = self._text.names(origin.place)
            if name not in names.imports:
                self._found.take(origin.place, Tier.DEFINES, f"defines `{name}`")
            elif as_word:
                # "how long is the time" is seldom about the module.
                self._found.take(origin.place, Tier.USED, f"imports `{name}`")
            else:
                self._found.take(origin.place, Tier.DEFINES, f"imports `{name}`")
            self._need(names.bodies.get(name, ()), end, 1, origin.place)
        for place in origin.changes:
            self._found.take(place, Tier.CHANGES, f"changes `{name}`")
        return True

    def follow(self, first: frozenset[str]) -> None:
        """Take the cells that what is taken so far gets its values from.

        Parameters
        ----------
        first
            Names of a failing line: their origins come before those of the rest of its cell.
        """
        strong = self._found.places(Tier.NAMED, Tier.FAILED, Tier.POINTED_AT)
        for place in self._found.places(Tier.FAILED):
            self._need(self._text.names(place).uses & first, place, 0, place)
        for place in [*strong, *self._found.places(Tier.DEFINES, Tier.CHANGES)]:
            self._follow(place, 1)
        for place in self._found.places(Tier.JUST_BEFORE):
            self._follow(place, 2 if self.asked else 1)
        while self._due and not self._found.is_full:
            self._resolve(self._due.popleft())

    def _follow(self, place: int, depth: int) -> None:
        """Have the names followed that a cell uses."""
        if place not in self._followed:
            self._followed.add(place)
            self._need(self._text.names(place).uses, place, depth, place)

    def _need(self, names: Iterable[str], end: int, depth: int, by: int) -> None:
        self._due.extend(_Need(name, end, depth, by) for name in sorted(names) if name not in SILENT)

    def _resolve(self, need: _Need) -> None:
        name, end, depth, by = need
        user = f"In[{self._text.cells[by].number}]"
        if result := _RESULT.fullmatch(name):
            place = self._text.position(int(result[1]))
            if place is not None and place < end:
                self._take(place, depth, "shows a result", user)
            return
        origin = self._origin(name, end)
        if origin.place >= 0:
            names = self._text.names(origin.place)
            is_import = name in names.imports
            words = f"imports `{name}`" if is_import else f"defines `{name}`"
            if origin.place != by:
                self._take(origin.place, depth, words, user, is_import=is_import)
            if (origin.place, name) not in self._called:
                self._called.add((origin.place, name))
                self._need(names.bodies.get(name, ()), end, depth + 1, origin.place)
        for place in origin.changes:
            if place != by:
                self._take(place, depth, f"changes `{name}`", user)
        if origin.place < 0 and not origin.changes:
            self._guess_import(need, user)

    def _take(self, place: int, depth: int, reason: str, by: str, *, is_import: bool = False) -> None:
        self._found.take(place, Tier.USED, reason, by=by, depth=2 * depth + is_import)
        self._follow(place, depth + 1)

    def _guess_import(self, need: _Need, user: str) -> None:
        """Take the newest cell that imports all of a module, for a name that no cell binds."""
        for place in self._text.holding("import *", need.end):
            if STAR in self._text.names(place).imports:
                self._take(place, need.depth, f"may import `{need.name}`", user, is_import=True)
                break

    def _origin(self, name: str, end: int) -> _Origin:
        known = self._origins.setdefault(name, [])
        for origin in known:
            if origin.place < end <= origin.seen_from:
                return origin._replace(changes=tuple(place for place in origin.changes if place < end))
        bound = -1
        changes: list[int] = []
        for place in self._text.holding(name, end):
            seen = self._text.glance(place, name)
            if seen == Glance.MAY_BIND or (seen == Glance.MAY_CHANGE and len(changes) < MOST_CHANGES):
                names = self._text.names(place)
                if name in names.imports:
                    # A module is not changed by `plt.plot()` as a value is.
                    bound, changes = place, []
                    break
                if name in names.defines:
                    bound = place
                    break
                if name in names.mutates and len(changes) < MOST_CHANGES:
                    changes.append(place)
        known.append(_Origin(bound, end, tuple(changes)))
        return known[-1]
