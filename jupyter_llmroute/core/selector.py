"""Whom to ask: hard filters with typed reasons, then one score. Pure: the same values give the same route.

The score of a model is its quality for the task, from 0 to 100, less the cost of the seconds that it is expected to
take. The user's own lists come before any score.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from jupyter_llmroute.core.catalog import GUESSED
from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.history import History
from jupyter_llmroute.core.naming import same_model
from jupyter_llmroute.core.pinned import Wanted, ids_meant, is_named, named, stands_in
from jupyter_llmroute.core.pins import Pin, pinned_for
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.prompt import answer_reserve, estimate_prompt, estimate_tools, lay_out
from jupyter_llmroute.core.route import Candidate, Rejection, RejectionReason, Route
from jupyter_llmroute.core.snapshot import ANSWER_TOKENS, TASKS, UNLISTED, Place, Roster, Row, Snapshot, time_cost
from jupyter_llmroute.core.speed import OVERHEAD_TOKENS, Expected
from jupyter_llmroute.core.tokens import DENSEST
from jupyter_llmroute.core.values import Value

RANKED = 8
"""Candidates of one route: more than any question may try."""

STICKY_GAIN = 3.0
"""Points for the model that answered last in this session: its server still has the prompt's beginning in its cache."""

EQUAL_POINTS = 1.0
"""Replicas whose scores differ by no more are equals."""

PINNED: Place = (-1, 0)
"""Before all lists."""


class Wish(Value):
    """What a decision needs to know of a question."""

    needed_tokens: int
    """Estimated, of instructions and question: what must fit whatever else is left out."""
    prompt_tokens: int
    """Estimated, with all that was gathered."""
    model: str | None = None
    service: str | None = None
    pins: tuple[Pin, ...] = ()
    """The one that wins first; `model` wins over all."""

    @classmethod
    def of(cls, context: Context) -> Wish:
        """Return the wish of a gathered context."""
        request = context.request
        bare = context.model_copy(update={"items": (), "request": request.model_copy(update={"turns": ()})})
        needed = estimate_prompt(lay_out(bare), DENSEST) + estimate_tools(context, DENSEST)
        is_bare = not context.items and not request.turns
        whole = needed if is_bare else estimate_prompt(lay_out(context), DENSEST)
        return cls(
            needed_tokens=needed,
            prompt_tokens=whole,
            model=request.model,
            service=request.service,
            pins=request.pins,
        )

    def on_server(self, endpoints: Sequence[Endpoint]) -> Wish:
        """Return the wish with its model's name divided, where that names a server of these as well."""
        if self.model is None or self.service:
            return self
        model, service = named(self.model, endpoints)
        return self.model_copy(update={"model": model, "service": service}) if service else self

    def pinned(self, what: Classification, snapshot: Snapshot) -> Wanted | None:
        """Return whom a pin wants for a task; `None` where nobody is pinned, or the question names a model itself."""
        pin = None if self.model else pinned_for(what.task, self.pins)
        return Wanted.by(pin, snapshot) if pin else None


class Decision(Value):
    """A route with all that it was decided on, so that it can be checked later."""

    classification: Classification
    wish: Wish
    snapshot: Snapshot
    policy: Policy
    history: History
    route: Route


def replay(decision: Decision) -> Route:
    """Return the route that the same values give now; it equals `decision.route` unless the rules have changed."""
    return choose(decision.classification, decision.wish, decision.snapshot, decision.policy, decision.history)


def select(
    what: Classification, context: Context, snapshot: Snapshot, policy: Policy, history: History | None = None
) -> Route:
    """Choose who may answer.

    Returns
    -------
    Route
        Candidates best first, perhaps none; and a rejection for each server and model that cannot be one. Of more
        models than can be tried, the best are ranked and the others counted.
    """
    return choose(what, Wish.of(context), snapshot, policy, history or History())


def choose(what: Classification, wish: Wish, snapshot: Snapshot, policy: Policy, history: History) -> Route:
    """Choose who may answer a wish; what `select` and `replay` have in common."""
    roster, wish = snapshot.roster(policy), wish.on_server(snapshot.endpoints)
    rows, rejections = _asked_for(roster, wish, snapshot)
    wanted = wish.pinned(what, snapshot)
    pinned = [*wanted.among(rows)] if wanted else []
    judge = _Judge(what, wish, snapshot, history, pinned={row.key: str(wanted.pin) for row in pinned if wanted})
    if wish.model or wish.service:
        asked_for = (roster.learnt(row, history.speeds.get(row.key)) for row in rows)
        best = [scored for row in asked_for if (scored := judge.score(row))]
    else:
        best = _best(judge, roster, history, pinned)
    best.sort(key=lambda scored: (scored.place, -scored.score, -scored.tie))
    candidates = [judge.candidate(scored) for scored in _spread(best[:RANKED], history)]
    rejections += judge.rejections()
    unmet = wanted.unmet(candidates, rejections) if wanted else None
    asked = wanted.pin.model if wanted else wish.model
    if asked and candidates and not unmet:
        unmet = stands_in(asked, wish.service, snapshot, rejections)
    return Route(
        candidates=tuple(candidates),
        rejections=tuple(rejections),
        smallest=judge.smallest(rows, roster),
        unranked=len(rows) - len(candidates) - len(judge.refused),
        remarks=(unmet,) if unmet else (),
    )


def in_memory(
    what: Classification, wish: Wish, snapshot: Snapshot, policy: Policy, history: History
) -> Iterator[Candidate]:
    """Yield who can answer a wish at once, who needs least memory first: in memory, not busy, and not elsewhere.

    Nobody of those whom `choose` would refuse, and of the others only whose server says that it is loaded.
    """
    rows, _ = _asked_for(snapshot.roster(policy), wish.on_server(snapshot.endpoints), snapshot)
    judge = _Judge(what, wish, snapshot, history)
    for row in rows:
        is_free = row.model.loaded and not row.model.remote and not history.busy.get(row.place)
        if is_free and not judge.obstacle(row):
            yield judge.candidate(judge.scored(row))


class _Scored(NamedTuple):
    """A row with its score for one question; the greater, the better."""

    score: float
    tie: int
    """Decides between equal scores: less far down in the roster is greater. No two rows have the same."""
    row: Row
    place: Place


class _Judge:
    """Scores rows for one question, and keeps why a row cannot answer it."""

    def __init__(
        self,
        what: Classification,
        wish: Wish,
        snapshot: Snapshot,
        history: History,
        *,
        pinned: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.task = TASKS.index(what.task)
        self._what = what
        self._shares = [what.scores[task] for task in TASKS]
        self._wish = wish
        self._snapshot = snapshot
        self._history = history
        self._pinned = pinned
        self._tallies = history.feedback.for_task(what.task)
        # Asked for with every row: looking them up in the values takes longer than adding up the score.
        self._busy, self._last, self._patience_s = history.busy, history.last, snapshot.patience_s
        self._needed_tokens = wish.needed_tokens
        self._prompt_tokens = wish.prompt_tokens
        self._left_alone = {
            place for place, breaker in history.breakers.items() if not breaker.is_closed(history.now, snapshot.seen_at)
        }
        self.refused: list[tuple[Row, RejectionReason]] = []
        """Rows that were looked at and cannot answer."""

    @property
    def liked(self) -> list[str]:
        """The catalog's names of models that thumbs lift above what their rows promise."""
        return [model for model, tally in self._tallies.items() if tally.points > 0]

    def score(self, row: Row) -> _Scored | None:
        """Return the row with its score, or `None` where it cannot answer."""
        if reason := self.obstacle(row):
            self.refused.append((row, reason))
            return None
        return self.scored(row)

    def obstacle(self, row: Row) -> RejectionReason | None:
        """Return why a row cannot answer; `None` where it can."""
        if self._left_alone and row.place in self._left_alone:
            return RejectionReason.BREAKER_OPEN
        if row.room is not None and self._needed_tokens > row.room:
            return RejectionReason.WINDOW_TOO_SMALL
        return None

    def scored(self, row: Row) -> _Scored:
        """Return the score of a row that can answer."""
        # The mixture, not the winner alone: where two tasks are close, a model that is good at both is the better bet.
        a, b, c, d = row.scores
        p, q, r, s = self._shares
        score = a * p + b * q + c * r + d * s + row.gains[self.task]
        score -= time_cost(self._expected_s(row), self._patience_s)
        if row.key == self._last:
            score += STICKY_GAIN
        if self._tallies and (tally := self._tallies.get(row.info.id)):
            score += tally.points
        place = PINNED if row.key in self._pinned else row.places[self.task]
        return _Scored(score, -row.rank, row, place)

    def _expected_s(self, row: Row) -> float:
        """Return the seconds that an answer is expected to take; the short way where nobody else is being answered."""
        if row.place in self._busy:
            return self._expected(row).total_s
        seconds = row.answer_s + (self._tokens(row) + OVERHEAD_TOKENS) * row.guess.prompt_token_s
        return seconds if self._is_loaded(row) else seconds + row.guess.load_s

    def _expected(self, row: Row) -> Expected:
        """Return what an answer is expected to take, by its parts."""
        expected = row.guess.expected(
            prompt_tokens=self._tokens(row), answer_tokens=ANSWER_TOKENS, is_loaded=self._is_loaded(row)
        )
        busy = self._busy.get(row.place, 0)
        return expected._replace(queue_s=busy * (expected.prompt_s + expected.answer_s))

    def _tokens(self, row: Row) -> int:
        wanted = self._prompt_tokens
        return wanted if row.window is None or wanted < row.window else row.window

    def _is_loaded(self, row: Row) -> bool:
        """Whether it can begin at once: a window that must grow means that it is loaded again."""
        return row.is_loaded and (row.served is None or self._needed_tokens <= row.served)

    def candidate(self, scored: _Scored) -> Candidate:
        """Return a scored row as a value, with its reasons in words."""
        row, expected = scored.row, self._expected(scored.row)
        return Candidate(
            endpoint=row.endpoint,
            model=row.model,
            info=row.info,
            score=round(scored.score, 2),
            expected_s=round(expected.total_s, 2),
            reasons=self._reasons(scored, expected),
        )

    def _reasons(self, scored: _Scored, expected: Expected) -> tuple[str, ...]:
        row, task = scored.row, self._what.task
        origin = "guessed from its size" if row.info.sources.get(task) == GUESSED else "catalog"
        reasons = [self._pinned[row.key]] if row.key in self._pinned else []
        reasons.append(f"rated {row.info.scores[task]:.0f} of 100 for {task} ({origin})")
        if tally := self._tallies.get(row.info.id):
            reasons.append(f"{tally} for {task}")
        if row.places[self.task][0] < 2:
            reasons.append(f"on your list for {task}")
        elif row.is_listed[self.task]:
            reasons.append(f"on the list for {task}")
        if expected.load_s:
            reasons.append(f"not in memory yet, about {expected.load_s:.0f} s to load")
        learnt = " as measured" if row.key in self._history.speeds else ""
        reasons.append(f"about {expected.total_s:.0f} s for an answer{learnt}")
        if expected.queue_s:
            reasons.append(f"busy with {self._history.busy[row.place]}")
        if row.key == self._history.last:
            reasons.append("answered last, so its caches are warm")
        if row.is_small[self.task]:
            wanted = self._snapshot.routing[task].min_context
            reasons.append(f"window {row.window:,} below the {wanted:,} wanted for {task}")
        if row.model.window_is_assumed:
            reasons.append(f"window of {row.window:,} assumed, as it does not tell")
        return tuple(reasons)

    def rejections(self) -> Iterator[Rejection]:
        """Return why rows that were looked at cannot answer; a server that is left alone is named once."""
        left_alone = {row.place: row for row, reason in self.refused if reason is RejectionReason.BREAKER_OPEN}
        for place, row in left_alone.items():
            breaker = self._history.breakers[place]
            wait_s = max(0.0, (breaker.open_until or 0) - self._history.now)
            detail = f"failed {breaker.failures} times in a row; left alone for {wait_s:.0f} s more"
            model = row.model.id if self._wish.model else None
            yield Rejection(service=row.endpoint.name, model=model, reason=RejectionReason.BREAKER_OPEN, detail=detail)
        for row, reason in self.refused:
            if reason is RejectionReason.WINDOW_TOO_SMALL:
                needed, assumed = self._wish.needed_tokens, " that are assumed (set context_window)"
                reserve = answer_reserve(row.window or 0, self._snapshot.reserve_tokens)
                detail = f"about {needed:,} tokens and {reserve:,} for the answer do not fit its {row.window:,}"
                detail += assumed if row.model.window_is_assumed else ""
                yield Rejection(service=row.endpoint.name, model=row.model.id, reason=reason, detail=detail)

    def smallest(self, rows: Iterable[Row], roster: Roster) -> Candidate | None:
        """Return the first of the rows, smallest first, that can answer, if there is one."""
        found = next((row for row in rows if not self.obstacle(row)), None)
        if found is None:
            return None
        return self.candidate(self.scored(roster.learnt(found, self._history.speeds.get(found.key))))


def _best(judge: _Judge, roster: Roster, history: History, pinned: Iterable[Row]) -> list[_Scored]:
    """Return the best rows, unsorted, and those in the user's lists.

    Rows come in the order of what they promise, so that the search ends where nobody further down can be among the
    best. Those of which more is known than the order rests on are looked at apart.
    """
    task, speeds = judge.task, history.speeds
    apart = {row.key: row for row in (*roster.listed[task], *pinned, *roster.called(judge.liked))}
    if history.last and (last := roster.by_key.get(history.last)):
        apart[last.key] = last
    best = [scored for key, row in apart.items() if (scored := judge.score(roster.learnt(row, speeds.get(key))))]
    heap = [scored for scored in best if scored.place == UNLISTED]
    listed = [scored for scored in best if scored.place != UNLISTED]
    for rows, seen in ((roster.known(speeds, task), ()), (roster.promising[task], speeds)):
        for row in rows:
            if len(heap) >= RANKED and row.promise[task] < heap[0].score:
                break
            if row.key not in apart and row.key not in seen and (scored := judge.score(row)):
                (heapq.heappush if len(heap) < RANKED else heapq.heappushpop)(heap, scored)
    return [*heap, *listed]


def _spread(best: list[_Scored], history: History) -> list[_Scored]:
    """Put the less busy of two replicas first, drawn by lot, where the best has replicas that are as good.

    Of two drawn by lot the less busy is nearly as good as the least busy of all, and questions that come at one time
    from several notebooks do not all go to the same (M. Mitzenmacher, The power of two choices, 2001).
    """
    if not best or best[0].row.key == history.last:
        return best
    first = best[0]
    equals = [
        scored
        for scored in best
        if first.score - scored.score <= EQUAL_POINTS
        and scored.place == first.place
        and scored.row.endpoint.priority == first.row.endpoint.priority
        and same_model(scored.row.model, first.row.model)
    ]
    if len(equals) < 2:
        return best
    drawn = random.Random(history.draw).sample(equals, 2)
    chosen = min(drawn, key=lambda scored: history.busy.get(scored.row.place, 0))
    return [chosen, *(scored for scored in best if scored is not chosen)]


def _asked_for(roster: Roster, wish: Wish, snapshot: Snapshot) -> tuple[list[Row], list[Rejection]]:
    """Return the rows that are asked for, smallest first, and the rejections that stand before any score."""
    if not wish.service and not wish.model:
        return roster.by_size, list(roster.rejections)
    rows, rejections = roster.by_size, list(roster.rejections)
    if service := wish.service:
        others = [endpoint.name for endpoint in snapshot.endpoints if not is_named(endpoint.name, service)]
        rows = [row for row in rows if is_named(row.endpoint.name, service)]
        rejections = [_not_asked_for(name, None, service) for name in others] + [
            rejection for rejection in rejections if is_named(rejection.service, service)
        ]
    if wish.model:
        pinned = ids_meant(wish.model, wish.service, snapshot)
        rejections = [
            _not_asked_for(r.service, r.model, wish.model) if r.model and r.model not in pinned else r
            for r in _by_model(rejections, pinned, snapshot)
        ]
        rejections += [
            _not_asked_for(row.endpoint.name, row.model.id, wish.model) for row in rows if row.model.id not in pinned
        ]
        rows = [row for row in rows if row.model.id in pinned]
    return rows, rejections


def _by_model(rejections: Iterable[Rejection], ids: frozenset[str], snapshot: Snapshot) -> Iterator[Rejection]:
    """Yield rejections, that of a server which has a model of these ids once for each of its models."""
    having = {e.name: e.models for e in snapshot.endpoints if any(model.id in ids for model in e.models)}
    for rejection in rejections:
        if rejection.model is None and (models := having.get(rejection.service)):
            yield from (rejection.model_copy(update={"model": model.id}) for model in models)
        else:
            yield rejection


def _not_asked_for(service: str, model: str | None, asked: str) -> Rejection:
    detail = f"only {asked} was asked for"
    return Rejection(service=service, model=model, reason=RejectionReason.NOT_ASKED_FOR, detail=detail)
