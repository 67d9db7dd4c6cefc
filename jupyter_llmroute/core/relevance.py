"""Which cells a question needs, in which order, and why: by the flow of data, then by age.

Names come from the question, from the cell it points at, and from the last error. Each is followed back to the cell
that bound it last before it was used, to the cells that changed it since, and from these to what they use in turn.
The same cells and the same question give the same ranking.
"""

from __future__ import annotations

import builtins
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from itertools import islice, takewhile
from typing import NamedTuple

from jupyter_llmroute.core.asked import Asked, asked, failing
from jupyter_llmroute.core.cell_ranges import references
from jupyter_llmroute.core.cell_text import Glance, Texts
from jupyter_llmroute.core.dataflow import STAR
from jupyter_llmroute.core.request import CellRef
from jupyter_llmroute.core.values import Value

MOST = 32
"""Cells that are ranked: more than a prompt holds as a rule."""

MOST_CHANGES, MOST_USERS, MOST_MENTIONS = 6, 5, 4
"""Cells that are taken, newest first, because they change one name, use it, or mention one word."""

MOST_REASONS = 3
"""Reasons that are told of one cell."""

SHORTEST_MENTION = 4
"""Letters of a word that is looked for between quotation marks, as a column's name is."""


class Relevant(Value):
    """A cell, and why it is taken."""

    cell: CellRef
    reason: str
    """In words, such as ``defines `load`, used by In[4]``."""


class Ranking(Value):
    """The cells that a question needs, most needed first."""

    relevant: tuple[Relevant, ...] = ()
    left_out: tuple[int, ...] = ()
    """Numbers of the cells that are not among them, oldest first."""
    limits: tuple[str, ...] = ()
    """What was not looked at because there is too much of it, in words; empty as a rule."""


class Tier(IntEnum):
    """Why a cell is taken, the strongest reason first."""

    NAMED = 0
    FAILED = 1
    POINTED_AT = 2
    DEFINES = 3
    CHANGES = 4
    JUST_BEFORE = 5
    MENTIONS = 6
    USED = 7
    """What the cells above use, and what these use, and so on."""
    HEADING = 8
    USES = 9
    RESEMBLES = 10
    """A word of the question stands there between quotation marks, as a column's name does."""
    RECENT = 11


def rank(
    cells: Sequence[CellRef],
    question: str = "",
    *,
    names: Iterable[str] = (),
    target: int | None = None,
    failed: int | None = None,
    traceback: str = "",
    most: int = MOST,
) -> Ranking:
    """Rank cells by how much a question needs them.

    Parameters
    ----------
    cells
        The cells that were run, oldest first. One whose `kind` is `"markdown"` is prose: it defines nothing, and comes
        along as the heading of what follows it.
    question
        As the user wrote it. `In[3]` and the like put a cell first; code and words in it are looked for as names.
    names
        Further names that are asked for, such as those of variables that the user attaches.
    target
        Number of the cell that is asked about; default: the last one.
    failed
        Number of the cell that the last error stands in, where the question may be about it.
    traceback
        That error's traceback, in IPython's form.
    most
        Cells that are ranked at most.

    Examples
    --------
    >>> cells = [CellRef(number=1, source="rate = 3"), CellRef(number=2, source="def net(x): return x - rate")]
    >>> [(found.cell.number, found.reason) for found in rank(cells, "what does the net function return?").relevant]
    [(2, 'defines `net`; just before'), (1, 'defines `rate`, used by In[2]')]
    """
    text = Texts(cells)
    found = _Found(text, most)
    last = text.last
    looked_for = asked(question)
    error = failing(traceback)
    for reference in references(question):
        found.take(text.position(reference.number), Tier.NAMED, "named in the question", order=len(found))
    found.take(text.position(failed), Tier.FAILED, "failed last")
    pointed_at = text.position(target)
    if pointed_at is None and looked_for.points_back:
        pointed_at = last
    reason = "just before" if pointed_at == last else "pointed at"
    found.take(pointed_at, Tier.POINTED_AT, reason)
    flow = _Flow(text, found)
    strange = _ask(flow, looked_for, (*names, *error.message))
    found.take(last, Tier.JUST_BEFORE, "just before")
    for word in (*strange, *looked_for.quoted):
        tier = Tier.RESEMBLES if word in _SILENT else Tier.MENTIONS
        _mention(text, found, word, tier, in_quotes=word in looked_for.quoted)
    flow.follow(error.lines)
    _users(text, found, flow.asked)
    for word in looked_for.words:
        if len(word) >= SHORTEST_MENTION and word not in flow.asked:
            _mention(text, found, word, Tier.RESEMBLES, in_quotes=True)
    _headings(text, found)
    _fill(text, found)
    return found.ranking()


# -- cells that are taken ----------------------------------------------------------------------------------------------


class _Reason(NamedTuple):
    """Why a place is taken; the smallest of several is the strongest."""

    tier: Tier
    depth: int
    """Of what is used: how many steps of the flow it is away."""
    order: int
    """Among equals; newest first as a rule."""
    words: str


class _Found:
    """Places that are taken, each with its reasons, the strongest first."""

    def __init__(self, text: Texts, most: int) -> None:
        self._text = text
        self._most = most
        self._reasons: dict[int, dict[str, _Reason]] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def __contains__(self, place: int) -> bool:
        return place in self._reasons

    @property
    def is_full(self) -> bool:
        # Some fall away that are there twice, so a few more are taken.
        return len(self._reasons) >= self._most + self._most // 2

    def take(
        self,
        place: int | None,
        tier: Tier,
        reason: str,
        *,
        by: str = "",
        depth: int = 0,
        order: int | None = None,
    ) -> None:
        """Note a reason for a place, and the cell that it is needed by."""
        if place is not None:
            reasons = self._reasons.setdefault(place, {})
            noted = _Reason(
                tier, depth, -place if order is None else order, f"{reason}, used by {by}" if by else reason
            )
            reasons[reason] = min(noted, reasons.get(reason, noted))

    def places(self, *tiers: Tier) -> list[int]:
        """Return the places taken for these reasons, in the order in which they were taken."""
        return [
            place
            for place, reasons in self._reasons.items()
            if any(reason.tier in tiers for reason in reasons.values())
        ]

    def ranking(self) -> Ranking:
        cells = self._text.cells
        kept: dict[object, int] = {}
        strongest = {place: min(reasons.values()) for place, reasons in self._reasons.items()}
        for place in sorted(strongest, key=lambda place: strongest[place][:3]):
            # A cell that was run again as it was is the same cell; one that the user names is taken as named.
            kept.setdefault(place if strongest[place].tier == Tier.NAMED else cells[place].source, place)
        taken = list(kept.values())[: self._most]
        relevant = tuple(Relevant(cell=cells[place], reason=self._words(place)) for place in taken)
        left_out = sorted(set(range(len(cells))).difference(taken))
        return Ranking(
            relevant=relevant,
            left_out=tuple(cells[place].number for place in left_out),
            limits=tuple(self._text.limits()),
        )

    def _words(self, place: int) -> str:
        return "; ".join(reason.words for reason in sorted(self._reasons[place].values())[:MOST_REASONS])


# -- the flow of data --------------------------------------------------------------------------------------------------

_SILENT = frozenset((*dir(builtins), "display", "get_ipython", "In", "Out", "_", "__", "___", "_oh", "_ih", "_dh"))
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


class _Flow:
    """Follows names back to where they come from."""

    def __init__(self, text: Texts, found: _Found) -> None:
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
        self._due.extend(_Need(name, end, depth, by) for name in sorted(names) if name not in _SILENT)

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


# -- what else speaks for a cell ---------------------------------------------------------------------------------------


def _ask(flow: _Flow, looked_for: Asked, further: Iterable[str]) -> list[str]:
    """Ask for all names of the question; return what is code, and no cell's name."""
    strange = [name for name in dict.fromkeys((*further, *looked_for.code)) if not flow.ask(name)]
    for word in looked_for.words:
        if not flow.ask(word, as_word=True) and word[0].isupper():
            flow.ask(word[0].lower() + word[1:], as_word=True)
    return strange


def _mention(text: Texts, found: _Found, word: str, tier: Tier, *, in_quotes: bool) -> None:
    """Take the newest cells in which a word stands, or stands between quotation marks."""
    whole = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    places = (
        place
        for place in text.holding(word)
        if (text.has_quoted(place, word) if in_quotes else whole.search(text.sources[place]))
    )
    for place in islice(places, MOST_MENTIONS):
        found.take(place, tier, f"mentions `{word}`")


def _users(text: Texts, found: _Found, bound: Mapping[str, int]) -> None:
    """Take the newest cells that use the names that are asked for, as they are bound now."""
    for name, origin in bound.items():
        since = takewhile(origin.__lt__, text.holding(name))
        users = (place for place in since if place not in found and name in text.names(place).uses)
        for place in islice(users, MOST_USERS):
            found.take(place, Tier.USES, f"uses `{name}`")


def _headings(text: Texts, found: _Found) -> None:
    """Take the Markdown that stands right above what is taken so far."""
    if text.prose:
        for place in found.places(*(tier for tier in Tier if tier < Tier.HEADING)):
            above = next((other for other in range(place - 1, -1, -1) if other in text.prose), None)
            found.take(above, Tier.HEADING, f"heading of In[{text.cells[place].number}]")


def _fill(text: Texts, found: _Found) -> None:
    """Take the newest of the other cells, until there are enough."""
    for place in reversed(range(len(text.cells))):
        if found.is_full:
            break
        if place not in found and (text.is_code(place) or place in text.prose):
            found.take(place, Tier.RECENT, "recent")
