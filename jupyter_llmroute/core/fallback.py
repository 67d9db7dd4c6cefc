"""Who is asked next when somebody failed. Pure: what was tried in, the next step out.

The same again → the same model elsewhere → other models for the task → the same with a reduced context → the smallest
model that may answer → nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BrokenStream,
    ContextOverflow,
    LLMRouteError,
    OutOfMemory,
    PolicyRefusal,
    ServerBusy,
    ServerFailure,
    Unreachable,
)
from jupyter_llmroute.core.naming import same_model
from jupyter_llmroute.core.route import Candidate, Route
from jupyter_llmroute.core.values import Value

PASSING = (BrokenStream, ServerBusy, ServerFailure)
"""Failures that may be over a moment later: the server was restarted, its queue was full, it stumbled."""

DEAD = (Unreachable, AuthenticationNeeded, PolicyRefusal)
"""Failures of a whole server: none of its models is asked again for this question."""

SHORT_PAUSE_S = 2.0
"""Nobody waits longer for a server while another one could answer."""

LONG_PAUSE_S = 60.0
"""Nobody waits longer for a server at all, whatever it asks for."""


class Level(StrEnum):
    """How far a question had to fall back."""

    PRIMARY = "primary"
    FALLBACK_MODELS = "fallback models"
    REDUCED_CONTEXT = "reduced context"
    """The question alone, without cells and earlier answers."""
    SMALLEST_MODEL = "smallest model"
    FAILED = "failed"


class Step(Value):
    """One attempt to make."""

    candidate: Candidate
    level: Level
    pause_s: float = 0.0
    """Seconds to wait before."""

    @property
    def is_reduced(self) -> bool:
        """Whether the question goes alone."""
        return self.level in (Level.REDUCED_CONTEXT, Level.SMALLEST_MODEL)


class Tried(NamedTuple):
    """One attempt that was made, and how it failed."""

    step: Step
    error: LLMRouteError


def next_step(route: Route, tried: Sequence[Tried], attempts: int, *, has_context: bool = True) -> Step | None:
    """Return the attempt to make next.

    Parameters
    ----------
    route
        The decision.
    tried
        What was tried, in order.
    attempts
        So many in all may be made for this question.
    has_context
        Whether anything goes along with the question that could be left out.

    Returns
    -------
    Step or None
        `None` where nobody is left, or the last error is one that nobody else would take better.
    """
    if not tried:
        return Step(candidate=route.candidates[0], level=Level.PRIMARY) if route.candidates and attempts else None
    if len(tried) >= attempts or not getattr(tried[-1].error, "may_fall_back", False):
        return None
    if has_context and (refitted := _refitted(tried)):
        return refitted
    others = [*_others(route, tried)]
    if again := _again(tried, is_last=not others):
        return again
    smallest = _smallest(route, tried)
    if smallest and attempts - len(tried) == 1 and len(tried) > 2:
        return smallest  # the last chance goes to the one that is likeliest to run
    if others:
        return others[0]
    return (_reduced(route, tried) if has_context else None) or smallest


def _again(tried: Sequence[Tried], *, is_last: bool) -> Step | None:
    step, error = tried[-1]
    endpoint = step.candidate.endpoint
    starts_by_itself = not endpoint.base_url  # the embedded server: asked again, it starts again
    if not isinstance(error, PASSING) and not (starts_by_itself and isinstance(error, Unreachable)):
        return None
    asked = [past for past in tried if _key(past.step.candidate) == _key(step.candidate)]
    retries = sum(past.step.level is step.level for past in asked) - 1
    if retries >= (endpoint.max_retries if is_last else min(1, endpoint.max_retries)):
        return None
    pause_s = _pause(error, retries)
    if not is_last and pause_s > SHORT_PAUSE_S:
        return None
    return step.model_copy(update={"pause_s": pause_s})


def _refitted(tried: Sequence[Tried]) -> Step | None:
    """Return the same again with the window that its server has just told, where it was thought to be larger."""
    step, error = tried[-1]
    told = error.context_window if isinstance(error, ContextOverflow) else None
    believed = step.candidate.model.context_window
    if not told or step.is_reduced or (believed and believed <= told):
        return None
    model = step.candidate.model.model_copy(update={"context_window": told, "window_is_assumed": False})
    return step.model_copy(update={"candidate": step.candidate.model_copy(update={"model": model}), "pause_s": 0.0})


def _pause(error: LLMRouteError, retries: int) -> float:
    if isinstance(error, BrokenStream) and not retries:
        return 0.0  # often a connection that the server had closed before
    asked_for = error.retry_after_s if isinstance(error, ServerBusy) else None
    return min(LONG_PAUSE_S, asked_for if asked_for is not None else 0.5 * 2.0**retries)


def _others(route: Route, tried: Sequence[Tried]) -> Iterator[Step]:
    """Return the candidates that were not tried yet and may do better; replicas of what failed first."""
    failed = tried[-1].step.candidate
    first = tried[0].step.candidate
    window = _overflowed(tried)
    open_ = [
        candidate
        for candidate in _alive(route.candidates, tried)
        if not _was_tried(candidate, tried) and not _is_too_small(candidate, window)
    ]
    for candidate in sorted(open_, key=lambda candidate: not same_model(candidate.model, failed.model)):
        is_primary = same_model(candidate.model, first.model)
        yield Step(candidate=candidate, level=Level.PRIMARY if is_primary else Level.FALLBACK_MODELS)


def _reduced(route: Route, tried: Sequence[Tried]) -> Step | None:
    """Return the best of those whom the context was too much for."""
    too_much = [
        past.step.candidate
        for past in tried
        if isinstance(past.error, ContextOverflow | OutOfMemory) and past.step.level is not Level.REDUCED_CONTEXT
    ]
    skipped = [candidate for candidate in route.candidates if _is_too_small(candidate, _overflowed(tried))]
    for candidate in _alive([*too_much, *skipped], tried):
        if not any(past.step.candidate == candidate and past.step.is_reduced for past in tried):
            return Step(candidate=candidate, level=Level.REDUCED_CONTEXT)
    return None


def _smallest(route: Route, tried: Sequence[Tried]) -> Step | None:
    smallest = route.smallest
    if smallest is None or _was_tried(smallest, tried) or not any(_alive([smallest], tried)):
        return None
    return Step(candidate=smallest, level=Level.SMALLEST_MODEL)


def _alive(candidates: Iterable[Candidate], tried: Sequence[Tried]) -> Iterator[Candidate]:
    dead = {past.step.candidate.endpoint.name for past in tried if isinstance(past.error, DEAD)}
    return (candidate for candidate in candidates if candidate.endpoint.name not in dead)


def _was_tried(candidate: Candidate, tried: Sequence[Tried]) -> bool:
    return any(_key(past.step.candidate) == _key(candidate) for past in tried)


def _key(candidate: Candidate) -> tuple[str, str]:
    return candidate.endpoint.name, candidate.model.id


def _overflowed(tried: Sequence[Tried]) -> int:
    """Return the largest window, in tokens, that the whole prompt is known not to fit; 0 where none is known."""
    return max(
        (
            past.error.context_window or past.step.candidate.model.context_window or 0
            for past in tried
            if isinstance(past.error, ContextOverflow) and not past.step.is_reduced
        ),
        default=0,
    )


def _is_too_small(candidate: Candidate, overflowed: int) -> bool:
    window = candidate.model.window_limit or candidate.model.context_window
    return bool(overflowed and window and window <= overflowed)
