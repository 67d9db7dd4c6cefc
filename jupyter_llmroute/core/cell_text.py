"""The cells of a session as texts: searched first, glanced at next, and parsed last.

A cell can only bind or change a name that stands in its text, so a search comes first; a glance at what stands around
the name tells most of its uses from what may bind or change it; few cells are parsed.
The work is bounded by counting, not by a clock, so that it comes out the same every time.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum

from jupyter_llmroute.core.dataflow import LONGEST, NOTHING, Names, names_of
from jupyter_llmroute.core.request import CellRef
from jupyter_llmroute.core.statement_names import CHANGING_ARGUMENT, CHANGING_CALLS, RETURNING, SETTING

MOST_PARSED = 30_000
"""Characters that are parsed; about a microsecond each, three at worst."""

MOST_SEARCHED = 2_000_000
"""Characters of the newest cells, which are searched for names; older cells are not."""

MOST_STEPS = 500_000
"""About a tenth of a microsecond each: a search takes one a cell and one for 125 characters, a glance 45 for each place
where the name stands."""


MOST_AROUND = 300
"""Characters of a line that are looked at on each side of a name."""

MOST_COMPARED = 4
"""Comparisons on a line that are passed over; behind more of them an assignment is taken for granted."""


class Glance(IntEnum):
    """What a cell may do with a name, as far as a glance tells: more than it does, seldom less."""

    USES = 0
    MAY_CHANGE = 1
    MAY_BIND = 2


_BINDING_WORDS = frozenset("def class type import as for case global".split())
_BOUND = re.compile(r"[ \t]*:?=(?!=)")
_METHOD = re.compile(r"\.(\w+)\(")
_ARGUMENT_OF = re.compile(r"(\w+)\([ \t]*$|\bout=$")
_IMPORT_IN_LINES = re.compile(r"\bimport\b(?:\s*\([^)]*|(?:[^\n]{0,300}\\\n)+[^\n]{0,300})")


def glance(source: str, name: str) -> Glance:
    """Look at what stands around a name.

    Examples
    --------
    >>> [glance(source, "df").name for source in ("df = 1", "df['a'] = 1", "df.head()", "plot(df)")]
    ['MAY_BIND', 'MAY_CHANGE', 'USES', 'USES']
    """
    seen = Glance.USES
    start = source.find(name)
    while start >= 0:
        end = start + len(name)
        before, after = source[start - 1 : start], source[end : end + 1]
        if not (before == "_" or before == "." or before.isalnum() or after == "_" or after.isalnum()):
            first = source.rfind("\n", max(0, start - MOST_AROUND), start) + 1 or max(0, start - MOST_AROUND)
            last = source.find("\n", end, end + MOST_AROUND)
            line = source[first : last if last >= 0 else end + MOST_AROUND]
            here = _glance_at(line, start - first, end - first)
            if here == Glance.MAY_BIND:
                return here
            seen = here or seen
        start = source.find(name, end)
    if "import" in source and any(name in names for names in _IMPORT_IN_LINES.findall(source)):
        return Glance.MAY_BIND
    return seen


def _glance_at(line: str, start: int, end: int) -> Glance:
    """Look at what stands around a name on its line."""
    head, tail = line[:start], line[end:]
    has_part = tail[:1] in (".", "[")
    if "=" in tail:
        if start < _assignment(line) or _BOUND.match(tail):
            return Glance.MAY_CHANGE if has_part else Glance.MAY_BIND
        if has_part and (_assignment(line, end) >= 0 or "inplace" in tail):
            return Glance.MAY_CHANGE
    words = head.split()
    if words and (words[0][0] == "%" or not _BINDING_WORDS.isdisjoint(words)):
        return Glance.MAY_BIND
    if has_part and "(" in tail and any(map(_may_change, _METHOD.findall(tail))):
        return Glance.MAY_CHANGE
    if words and (words[0] == "del" or (words[-1][-1] in "(=" and _is_changed_argument(head))):
        return Glance.MAY_CHANGE
    return Glance.USES


def _assignment(line: str, start: int = 0) -> int:
    """Return where a sign of assignment stands, from a place on; -1 where there is none, or a keyword argument's."""
    at = line.find("=", start)
    for _ in range(MOST_COMPARED):
        if at < 0:
            return -1
        if line.startswith("==", at):
            at = line.find("=", at + 2)
        elif at and line[at - 1] in "!<>" and line[at - 2 : at] not in ("<<", ">>"):
            at = line.find("=", at + 1)
        else:
            return at if line.count("(", 0, at) == line.count(")", 0, at) else -1
    return at


def _may_change(method: str) -> bool:
    return method in CHANGING_CALLS or method.endswith("_") or (method.startswith(SETTING) and method not in RETURNING)


def _is_changed_argument(head: str) -> bool:
    called = _ARGUMENT_OF.search(head[-40:])
    return called is not None and (not called[1] or called[1] in CHANGING_ARGUMENT)


class Texts:
    """The cells by their places, and what may still be read of them."""

    def __init__(self, cells: Sequence[CellRef]) -> None:
        self.cells = cells
        # Looking for what a value has not takes long, so it is done once a class.
        with_kind = {kind for kind in {type(cell) for cell in cells} if "kind" in kind.model_fields}
        self.prose = {place for place, cell in enumerate(cells) if type(cell) in with_kind and is_prose(cell)}
        self.sources = ["" if place in self.prose else cell.source for place, cell in enumerate(cells)]
        self._places = {cell.number: place for place, cell in enumerate(cells) if self.is_code(place)}
        self._steps = MOST_STEPS
        self._parse = MOST_PARSED
        self._names: dict[int, Names] = {}
        self._holding: dict[str, list[int]] = {}
        self._too_long: set[int] = set()
        self._is_cut = False
        """Whether there was more to read than may be."""
        self._first, self._chars = self._searched()
        self._to_search = ["" if len(source) > LONGEST else source for source in self.sources[self._first :]]

    def is_code(self, place: int) -> bool:
        """Whether there is code in a cell."""
        return bool(self.sources[place]) and not self.sources[place].isspace()

    @property
    def last(self) -> int | None:
        """The place of the last cell of code."""
        return next(filter(self.is_code, reversed(range(len(self.cells)))), None)

    def position(self, number: int | None) -> int | None:
        """Return the place of the newest cell of a number; `None` where there is none."""
        return None if number is None else self._places.get(number)

    def holding(self, word: str, end: int | None = None) -> Iterator[int]:
        """Go through the places, newest first, whose cells have a text in them and can be parsed.

        Parameters
        ----------
        word
            A name, or any text.
        end
            The place before which they are; default: all of them.
        """
        places = self._holding.get(word)
        if places is None:
            self._steps -= len(self._to_search) + self._chars // 125
            places = self._holding[word] = self._search(word) if self._has_steps() else []
        stop = len(places) if end is None else bisect_left(places, end)
        return (places[n] for n in range(stop - 1, -1, -1))

    def has_quoted(self, place: int, word: str) -> bool:
        """Whether a word stands in a cell between quotation marks."""
        source = self.sources[place]
        return f"'{word}'" in source or f'"{word}"' in source

    def glance(self, place: int, name: str) -> Glance:
        """Look at what a cell may do with a name that stands in it; nothing is seen once enough was looked at."""
        source = self.sources[place]
        self._steps -= 20 + 45 * source.count(name)
        return glance(source, name) if self._has_steps() else Glance.USES

    def names(self, place: int) -> Names:
        """Return the names of a cell; none once enough was parsed."""
        names = self._names.get(place)
        if names is None:
            source = self.sources[place]
            if len(source) > LONGEST:
                self._too_long.add(place)
                return NOTHING
            if len(source) > self._parse:
                self._is_cut = True
                return NOTHING
            self._parse -= len(source)
            names = self._names[place] = names_of(source)
        return names

    def limits(self) -> Iterator[str]:
        """Say what was not read, and why."""
        if self._first:
            number = self.cells[self._first].number
            yield f"the cells before In[{number}] were not read for names: what came since is long enough"
        for place in sorted(self._too_long):
            length = len(self.sources[place])
            yield f"In[{self.cells[place].number}] was not read for names: it has {length:,} characters"
        if self._is_cut:
            yield "some cells were not read for names: there is more code than can be followed in a moment"

    def _searched(self) -> tuple[int, int]:
        """Return the place from which on cells are searched, and how many characters that is."""
        chars = 0
        for place in reversed(range(len(self.sources))):
            length = len(self.sources[place])
            if length > LONGEST:
                self._too_long.add(place)
            elif chars + length > MOST_SEARCHED:
                return place + 1, chars
            else:
                chars += length
        return 0, chars

    def _search(self, word: str) -> list[int]:
        return [place for place, source in enumerate(self._to_search, self._first) if word in source]

    def _has_steps(self) -> bool:
        self._is_cut = self._is_cut or self._steps < 0
        return self._steps >= 0


def is_prose(cell: CellRef) -> bool:
    """Whether a cell is Markdown; kernels know only cells of code."""
    return getattr(cell, "kind", "code") == "markdown"
