"""What a router has learnt of servers and user since it was opened, and what others shared with it before."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.errors import (
    BrokenStream,
    ServerFailure,
    TimedOut,
    Unreachable,
)
from jupyter_llmroute.core.events import Attempt, AttemptStarted, Completed
from jupyter_llmroute.core.feedback import Feedback, Thumb
from jupyter_llmroute.core.history import History, place, place_of
from jupyter_llmroute.core.lean import Lean
from jupyter_llmroute.core.route import Candidate, Route
from jupyter_llmroute.core.sections import Limits
from jupyter_llmroute.core.speed import Speed
from jupyter_llmroute.core.state import Sharing, State, StateFile
from jupyter_llmroute.core.task import Task

COUNTED: frozenset[str] = frozenset(kind.__name__ for kind in (Unreachable, TimedOut, BrokenStream, ServerFailure))
"""Failures that say something of the server: not a full queue, a long prompt, a wrong key, a wish it cannot meet, nor
an answer without a word, which mostly means that a model's thoughts used up the tokens.
"""


class Ledger:
    """Speeds, failures, loads and corrections, kept while a router is open and shared through its state file."""

    def __init__(self, limits: Limits, state: StateFile | None) -> None:
        self._limits = limits
        self._state = state
        self._speeds: dict[str, Speed] = {}
        self._breakers: dict[str, Breaker] = {}
        self._busy: Counter[str] = Counter()
        self._last: str | None = None
        self._merged: tuple[Mapping[str, Speed], dict[str, Speed]] | None = None
        """The speeds of the file, and all together."""
        self._chance = random.Random()
        self._lean, self._lean_of = Lean(), Lean()
        """The lean of this process, and the file's when it was worked out: until that changes, ours is newer."""
        self._feedback, self._feedback_of = Feedback(), Feedback()
        """The thumbs, likewise."""
        self._named: set[tuple[str, Task]] = set()
        self._sharing = Sharing(state)

    async def recall(self) -> History:
        """Return what `history` does; a file that another process wrote is read beside the loop."""
        if self._state and self._state.has_changed():
            await asyncio.to_thread(self._state.read)
        return self.history()

    def history(self) -> History:
        """Return what a decision may rest on, as of now; this process knows its own servers best."""
        shared = self._state.read() if self._state else State()
        if self._merged is None or self._merged[0] is not shared.speeds:
            self._merged = (shared.speeds, {**shared.speeds, **self._speeds})
        # Not validated again: hundreds of speeds are ours, and stay the same value until one of them is learnt anew.
        return History.model_construct(
            now=time.time(),
            draw=self._chance.getrandbits(32),
            last=self._last,
            speeds=self._merged[1],
            breakers={**shared.breakers, **self._breakers},
            busy=dict(self._busy),
            lean=self._lean if shared.lean == self._lean_of else shared.lean,
            feedback=self._feedback if shared.feedback == self._feedback_of else shared.feedback,
        )

    def note_task(self, question: str, said: Mapping[Task, float], right: Task) -> None:
        """Learn from a task that the user named, beside the probabilities that the classifier told; once for each."""
        if (question, right) in self._named:
            return
        self._named.add((question, right))
        lean = self.history().lean
        self._lean, self._lean_of = lean.corrected(said, right), self._shared.lean
        self._sharing.write(lambda old: old.with_named_task(said, right))

    def note_thumb(self, model: str, task: Task, thumb: Thumb | None, before: Thumb | None = None) -> None:
        """Count the user's word on an answer, in place of an earlier one on the same; see `Feedback.rated`."""
        self._feel(self.history().feedback.rated(model, task, thumb, before))
        self._sharing.write(lambda old: old.with_thumb(model, task, thumb, before))

    def forget_thumbs(self) -> None:
        """Forget what the user thought of answers."""
        self._feel(Feedback())
        self._sharing.write(State.without_thumbs)

    def _feel(self, feedback: Feedback) -> None:
        self._feedback, self._feedback_of = feedback, self._shared.feedback

    @contextmanager
    def turn(self, route: Route) -> Iterator[Turn]:
        """Give what notes whom a question keeps busy, until the question is done with."""
        turn = Turn(route, self._busy)
        try:
            yield turn
        finally:
            turn.end()

    def note_answer(self, turn: Turn, done: Completed) -> None:
        """Learn from an answer how fast its model is."""
        started, candidate = turn.started, turn.candidate
        if started is None or candidate is None:
            return
        key, where = place_of(candidate.endpoint, candidate.model.id), place(candidate.endpoint)
        sent = done.usage.prompt_tokens or started.prompt_tokens
        speed = self._speeds.get(key) or self._shared.speeds.get(key, Speed())
        self._speeds[key] = speed.with_answer(
            first_token_s=done.time_to_first_token_s,
            read_tokens=max(0, sent - (done.usage.cached_tokens or 0)),
            tokens_per_second=done.tokens_per_second,
            was_loaded=not (started.is_cold or turn.waited),
        )
        self._merged = None
        self._breakers[where] = Breaker()
        self._last = key
        self._share({key: self._speeds[key]}, {where: Breaker()})

    def note_failure(self, turn: Turn, attempt: Attempt) -> None:
        """Count a failure that says something of its server."""
        # One may fail before it is sent: then the server of the one before is not to blame.
        is_of_turn = turn.started is not None and turn.started.number == attempt.number
        if turn.candidate is None or not is_of_turn or attempt.failure not in COUNTED:
            return
        where = place(turn.candidate.endpoint)
        breaker = self._breakers.get(where) or self._shared.breakers.get(where, Breaker())
        limits = self._limits
        self._breakers[where] = breaker.with_failure(
            time.time(), allowed=limits.breaker_failures, first_s=limits.breaker_s
        )
        self._share({}, {where: self._breakers[where]})

    @property
    def _shared(self) -> State:
        return self._state.known if self._state else State()

    def _share(self, speeds: dict[str, Speed], breakers: dict[str, Breaker]) -> None:
        self._sharing.write(lambda old: old.with_learnt(speeds, breakers))

    async def aclose(self) -> None:
        """Wait until what was learnt is written."""
        await self._sharing.aclose()


class Turn:
    """One question on its way, and the server that it keeps busy."""

    def __init__(self, route: Route, busy: Counter[str]) -> None:
        self._route = route
        self._busy = busy
        self.started: AttemptStarted | None = None
        self.candidate: Candidate | None = None
        """Whom the attempt asks that is being made, or was made last."""
        self.waited = False
        """Whether the attempt waited for a model to be loaded."""
        self._at: str | None = None

    def begin(self, started: AttemptStarted) -> None:
        """Note that this server is being asked, and no longer the one before."""
        self.end()
        self.started, self.candidate, self.waited = started, _find(self._route, started), False
        if self.candidate:
            self._at = place(self.candidate.endpoint)
            self._busy[self._at] += 1

    def end(self) -> None:
        """Note that no server is being asked any more."""
        if self._at is not None:
            self._busy[self._at] -= 1
            if not self._busy[self._at]:
                del self._busy[self._at]
            self._at = None


def _find(route: Route, started: AttemptStarted) -> Candidate | None:
    candidates = (*route.candidates, route.smallest) if route.smallest else route.candidates
    asked = (started.service, started.model)
    return next((c for c in candidates if (c.endpoint.name, c.model.id) == asked), None)
