"""How often a run is shown while it comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jupyter_llmroute.screen import Screen

if TYPE_CHECKING:
    from jupyter_llmroute.core.events import Event
    from jupyter_llmroute.view import RunView

MIN_TICK_S = 0.05
"""Seconds between two updates of an output: one a token overloads the page, whatever the method."""

TICK_S_PER_CHAR = 1e-5
"""Each update carries the whole text, so long answers are updated less often."""

SHOWING_SHARE = 0.04
"""Of one processor core, what updates may take: what takes long to show is shown less often."""

MOST_TICK_S = 1.0
"""So often there is an update whatever it takes."""


class Ticker:
    """Applies events at once and updates the screen at a tick; the first token and every decision show immediately."""

    def __init__(
        self,
        view: RunView,
        screen: Screen,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.thread_time,
    ) -> None:
        self._view = view
        self._clock, self._work = clock, work
        self._screen = screen
        self._chars = 0
        self._pending = False
        self._next_at = 0.0
        self._asked_at = clock()

    def __call__(self, events: list[Event]) -> None:
        """Apply what came since the last tick, and show what there is to show."""
        for event in events:
            first_token = event.kind == "text_delta" and not self._view.pieces
            self._view.apply(event)
            self._asked_at = self._clock() if event.kind == "attempt_started" else self._asked_at
            self._chars += len(event.text) if event.kind == "text_delta" else 0
            self._pending = True
            if first_token or event.kind not in ("text_delta", "reasoning_delta"):
                self._next_at = 0.0
        self._count_the_wait()
        if self._pending and self._view.is_shown and self._clock() >= self._next_at:
            before_s = self._work()
            self._screen.update(self._view, final=False)
            self._pending = False
            pause_s = min(MOST_TICK_S, (self._work() - before_s) / SHOWING_SHARE)
            self._next_at = self._clock() + max(MIN_TICK_S, self._chars * TICK_S_PER_CHAR, pause_s)

    def _count_the_wait(self) -> None:
        """Show each further second in which nothing comes because a model is being loaded."""
        elapsed_s = float(int(self._clock() - self._asked_at))
        if self._view.is_loading and elapsed_s > self._view.waited_s:
            self._view.note_wait(elapsed_s)
            self._pending = True


def apply(view: RunView, events: list[Event]) -> None:
    """Apply what came, and show nothing yet: who compares outputs may hear of the first display alone."""
    for event in events:
        view.apply(event)
