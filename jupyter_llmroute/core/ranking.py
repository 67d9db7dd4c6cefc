"""Cells in the order in which a question needs them, with the reasons that each is taken for."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from jupyter_llmroute.core.cell_text import Texts
from jupyter_llmroute.core.request import CellRef
from jupyter_llmroute.core.values import Value

MOST_REASONS = 3
"""Reasons that are told of one cell."""


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


class _Reason(NamedTuple):
    """Why a place is taken; the smallest of several is the strongest."""

    tier: Tier
    depth: int
    """Of what is used: how many steps of the flow it is away."""
    order: int
    """Among equals; newest first as a rule."""
    words: str


class Found:
    """Places that are taken, each with its reasons, the strongest first.

    Parameters
    ----------
    text
        The cells.
    most
        Cells that are ranked at most.
    """

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
        """Whether no more places are wanted."""
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
        """Return the cells at these places, those that are there twice but once."""
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
