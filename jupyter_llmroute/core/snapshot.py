"""What a decision rests on besides the question: servers as last seen, and the user's standing wishes.

All that does not depend on the question is worked out once for each snapshot, in its roster.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from pydantic import Field, PrivateAttr

from jupyter_llmroute.core.catalog import Catalog, ModelInfo, memory_bytes
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.history import place, place_of
from jupyter_llmroute.core.likeness import Names, meant
from jupyter_llmroute.core.policy import Policy, check_model, check_name
from jupyter_llmroute.core.prompt import answer_reserve
from jupyter_llmroute.core.route import Rejection, RejectionReason
from jupyter_llmroute.core.sections import TaskRouting
from jupyter_llmroute.core.speed import Prior, Speed, prior
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

TASKS = tuple(Task)

ANSWER_TOKENS = 400
"""Length of an answer, for comparing how long models take for one."""

LIST_GAIN = 4.0
"""Points that the first place of the catalog's list for the task is worth; the last place is worth near none."""

SMALL_WINDOW_COST = 10.0
"""Points a model loses for serving less than the task's `min_context`."""

PATIENCE_COST = 12.0
"""Points that an answer costs which takes as long as `limits.patience_s`; each further doubling costs as much again."""

MOST_OVERESTIMATED = 1.6
"""How many times too high an estimate is at most, for prose and code."""

ROUNDING = 1e-9
"""Points by which a sum of other order may come out higher."""

UNKNOWN_BYTES = 4e9
"""Taken for the weights of a model of which neither file nor number of parameters is told: about 7 billion."""

Place = tuple[int, int]
"""Where a model stands in the user's lists: 0 primary, 1 fallback, 2 neither; then its position there."""

UNLISTED: Place = (2, 0)


def time_cost(expected_s: float, patience_s: float) -> float:
    """Return the points that an answer loses for taking so many seconds."""
    return PATIENCE_COST * math.log2(1 + expected_s / patience_s)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One model on one server that nothing standing forbids; scores and the like in the order of `TASKS`."""

    endpoint: Endpoint
    model: ServedModel
    info: ModelInfo
    rank: int
    """Where it stands among all by priority, then by name: decides between equal scores."""
    place: str
    key: str
    window: int | None
    """The largest that may be served, in tokens."""
    served: int | None
    """The one that is served now."""
    room: int | None
    """What of it a question may take: an answer must have room too."""
    is_loaded: bool
    """Whether it is in memory, for all we know."""
    guess: Prior
    answer_s: float
    """Seconds for writing an answer, by the guess."""
    scores: tuple[float, ...]
    gains: tuple[float, ...]
    """Points besides the scores: the catalog's lists, a window that is smaller than wanted."""
    is_listed: tuple[bool, ...]
    """Whether it stands in the catalog's list."""
    is_small: tuple[bool, ...]
    """Whether its window is smaller than wanted."""
    places: tuple[Place, ...]
    promise: tuple[float, ...]
    """No score for that task can be higher."""


class Roster:
    """The models of one snapshot that may be asked, and those that may not."""

    def __init__(self, rows: list[Row], rejections: list[Rejection], patience_s: float) -> None:
        self.rows = rows
        self._patience_s = patience_s
        self._learnt: dict[str, tuple[Speed, Row]] = {}
        self._known: tuple[Mapping[str, Speed], dict[int, list[Row]]] = ({}, {})
        self.rejections = tuple(rejections)
        self.by_key = {row.key: row for row in self.rows}

    def learnt(self, row: Row, speed: Speed | None) -> Row:
        """Return a row with what was learnt of its speed in place of the guess; worked out once for each speed."""
        if speed is None:
            return row
        kept = self._learnt.get(row.key)
        if kept is None or kept[0] is not speed:
            guess = speed.learnt(row.guess)
            promise = _promise(row.scores, row.gains, guess, row.is_loaded, self._patience_s)
            again = replace(row, guess=guess, answer_s=ANSWER_TOKENS * guess.token_s, promise=promise)
            self._learnt[row.key] = kept = (speed, again)
        return kept[1]

    def known(self, speeds: Mapping[str, Speed], task: int) -> list[Row]:
        """Return the rows of which something was learnt, the highest promise first; for the same speeds the same."""
        if self._known[0] is not speeds:
            self._known = (speeds, {})
        by_task = self._known[1]
        if task not in by_task:
            rows = [self.learnt(row, speed) for key, speed in speeds.items() if (row := self.by_key.get(key))]
            by_task[task] = sorted(rows, key=lambda row: -row.promise[task])
        return by_task[task]

    def called(self, names: Iterable[str]) -> Iterator[Row]:
        """Yield the rows of models that the catalog calls so."""
        return (row for name in names for row in self._by_name.get(name, ()))

    @functools.cached_property
    def _by_name(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.info.id, []).append(row)
        return found

    @functools.cached_property
    def promising(self) -> list[list[Row]]:
        """The rows for each task, the highest promise first."""
        return [sorted(self.rows, key=lambda row: -row.promise[t]) for t in range(len(TASKS))]

    @functools.cached_property
    def listed(self) -> list[list[Row]]:
        """The rows for each task that stand in the user's lists."""
        return [[row for row in self.rows if row.places[t] != UNLISTED] for t in range(len(TASKS))]

    @functools.cached_property
    def by_size(self) -> list[Row]:
        """The rows, those that need least memory first."""
        return sorted(self.rows, key=lambda row: row.guess.load_s)


class Snapshot(Value):
    """All that a decision rests on besides the question and the history."""

    endpoints: tuple[Endpoint, ...]
    catalog: Catalog
    routing: Mapping[Task, TaskRouting]
    reserve_tokens: int = Field(1024, gt=0)
    """Tokens of each window kept free for the answer."""
    excluded: tuple[str, ...] = ()
    """Names of models that the user never wants."""
    changed: tuple[tuple[str, str], ...] = ()
    """Servers and models that are others than those that were locked."""
    checking: tuple[tuple[str, str], ...] = ()
    """Servers and models that are being compared with the locked ones."""
    memory_bytes: int | None = None
    """What models on this machine may take; `None`: unknown, and then none is too large."""
    patience_s: float = 30.0
    seen_at: float = 0.0
    """When the servers were looked at, in seconds since the epoch."""

    _roster: tuple[Policy, Roster] | None = PrivateAttr(default=None)

    def __eq__(self, other: Any) -> bool:
        # Without this, whether a roster was worked out yet would count.
        return isinstance(other, Snapshot) and self.__dict__ == other.__dict__

    def __copy__(self) -> Self:
        # The copy may be given other values than those that the roster was worked out of.
        copied = super().__copy__()
        copied._roster = None
        return copied

    def seen_again(self, seen_at: float) -> Snapshot:
        """Return the same with a newer look that showed nothing new; what was worked out holds."""
        again = self.model_copy(update={"seen_at": seen_at})
        again._roster = self._roster
        return again

    def roster(self, policy: Policy) -> Roster:
        """Return the models under a policy; the second time for the same one, the same roster."""
        # The very same, first: it is asked for with every question, and comparing networks takes longer than scoring.
        if self._roster is None or (self._roster[0] is not policy and self._roster[0] != policy):
            self._roster = (policy, self._worked_out(policy))
        return self._roster[1]

    def _worked_out(self, policy: Policy) -> Roster:
        served: list[_Served] = []
        rejections: list[Rejection] = []
        unwanted = self._unwanted()
        for endpoint in self.endpoints:
            if rejection := _reject_endpoint(endpoint, policy):
                rejections.append(rejection)
                continue
            for model in endpoint.models:
                info = self.catalog.describe(model)
                one = _Served(endpoint, model, info, memory_bytes(info, model))
                if rejection := self._reject(one, policy, unwanted):
                    rejections.append(rejection)
                else:
                    served.append(one)
        served.sort(key=lambda one: (one.endpoint.priority, one.endpoint.name, one.model.id))
        names = {(one.model.id, one.info.id) for one in served}
        places = [_places(names, self.routing.get(task, TaskRouting())) for task in TASKS]
        gains = [_gains(self.catalog, task) for task in TASKS]
        return Roster(
            [self._row(one, rank, places, gains) for rank, one in enumerate(served)], rejections, self.patience_s
        )

    def _unwanted(self) -> frozenset[Names]:
        names = {(m.id, self.catalog.describe(m).id) for e in self.endpoints for m in e.models if self.excluded}
        return frozenset(found for name in self.excluded for found in meant(name, names))

    def _reject(self, one: _Served, policy: Policy, unwanted: frozenset[Names]) -> Rejection | None:
        endpoint, model, info, needed = one

        def no(reason: RejectionReason, detail: str) -> Rejection:
            return Rejection(service=endpoint.name, model=model.id, reason=reason, detail=detail)

        if not model.chat:
            return no(RejectionReason.NOT_A_CHAT_MODEL, "it makes embeddings")
        if model.remote and not (verdict := check_model(policy, model)).allowed:
            return no(RejectionReason.POLICY, verdict.reason)
        if (model.id, info.id) in unwanted:
            return no(RejectionReason.EXCLUDED, "excluded in the settings (models.excluded)")
        if (endpoint.name, model.id) in self.changed:
            look = "look at it: jupyter-llmroute models verify, and models lock if it is right"
            return no(RejectionReason.CHANGED, f"another model than the one that was locked; {look}")
        if (endpoint.name, model.id) in self.checking:
            return no(RejectionReason.CHECKING, "its file looks changed, and is being compared with the locked one")
        if self.memory_bytes and needed and not model.loaded and endpoint.is_here and needed > self.memory_bytes:
            has = f"this machine has {self.memory_bytes / 1e9:.0f} GB for models (models.memory_gb)"
            return no(RejectionReason.MEMORY, f"needs about {needed / 1e9:.0f} GB of memory, and {has}")
        return None

    def _row(
        self, one: _Served, rank: int, places: list[dict[Names, Place]], listed_gains: list[dict[str, float]]
    ) -> Row:
        endpoint, model, info, needed = one
        weights = float(needed or UNKNOWN_BYTES)
        whole, active = info.parameters, info.active_parameters
        guess = prior(weights, weights * (active / whole if whole and active else 1))
        window = model.window_limit or model.context_window
        scores = tuple([info.scores[task] for task in TASKS])
        is_small = tuple([self._is_small(window, task) for task in TASKS])
        gains = tuple(
            [
                gain.get(info.id, 0.0) - SMALL_WINDOW_COST * small
                for gain, small in zip(listed_gains, is_small, strict=True)
            ]
        )
        is_loaded = model.loaded is not False
        names = (model.id, info.id)
        return Row(
            endpoint=endpoint,
            model=model,
            info=info,
            rank=rank,
            place=place(endpoint),
            key=place_of(endpoint, model.id),
            window=window,
            served=model.context_window,
            room=window and self._room(window, counts=endpoint.counts),
            is_loaded=is_loaded,
            guess=guess,
            answer_s=ANSWER_TOKENS * guess.token_s,
            scores=scores,
            gains=gains,
            is_listed=tuple([info.id in listed for listed in listed_gains]),
            is_small=is_small,
            places=tuple([listed.get(names, UNLISTED) for listed in places]),
            promise=_promise(scores, gains, guess, is_loaded, self.patience_s),
        )

    def _room(self, window: int, *, counts: bool) -> int:
        """Return the estimated tokens that a question may have; where they are counted before, it may have more."""
        room = window - answer_reserve(window, self.reserve_tokens)
        return int(room * MOST_OVERESTIMATED) if counts else room

    def _is_small(self, window: int | None, task: Task) -> bool:
        routing = self.routing.get(task)
        return bool(routing and window and window < routing.min_context)


def _promise(
    scores: tuple[float, ...], gains: tuple[float, ...], guess: Prior, is_loaded: bool, patience_s: float
) -> tuple[float, ...]:
    """Return for each task the score of an answer to an empty prompt, were the best of all tasks the wanted one."""
    least = guess.expected(prompt_tokens=0, answer_tokens=ANSWER_TOKENS, is_loaded=is_loaded)
    ceiling = max(scores) - time_cost(least.total_s, patience_s) + ROUNDING
    return tuple([ceiling + gain for gain in gains])


class _Served(NamedTuple):
    """One model on one server, with what the catalog knows of it, and the bytes of memory that it needs."""

    endpoint: Endpoint
    model: ServedModel
    info: ModelInfo
    needed: int | None


def _gains(catalog: Catalog, task: Task) -> dict[str, float]:
    """Return the points that places in the catalog's list for a task are worth, by the model's id there."""
    listed = catalog.lists[task]
    order = (*listed.primary, *listed.fallback)
    return {model_id: LIST_GAIN * (1 - position / len(order)) for position, model_id in reversed([*enumerate(order)])}


def _reject_endpoint(endpoint: Endpoint, policy: Policy) -> Rejection | None:
    def no(reason: RejectionReason, detail: str) -> Rejection:
        return Rejection(service=endpoint.name, reason=reason, detail=detail)

    if endpoint.host and not (verdict := check_name(policy, endpoint.host, endpoint.port)).allowed:
        return no(RejectionReason.POLICY, verdict.reason)
    if endpoint.health not in (Health.WELL, Health.LOADING):
        return no(RejectionReason.NOT_WELL, endpoint.detail or endpoint.health.value)
    if not endpoint.models and endpoint.health is Health.LOADING:
        return no(RejectionReason.LOADING, endpoint.detail or endpoint.health.value)
    if not endpoint.models:
        return no(RejectionReason.NO_MODELS, endpoint.detail or "it serves no model")
    return None


def _places(names: set[Names], wishes: TaskRouting) -> dict[Names, Place]:
    """Place models by the user's own lists: primary first, then fallback."""
    places: dict[Names, Place] = {}
    for rank, listed in enumerate((wishes.primary_models, wishes.fallback_models)):
        for position, name in enumerate(listed):
            for found in meant(name, names):
                places.setdefault(found, (rank, position))
    return places
