"""Who is asked next when somebody failed, as a table: what was tried in, the next step out."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.catalog import guess
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BadRequest,
    BrokenStream,
    ContextOverflow,
    EmptyAnswer,
    LLMRouteError,
    ModelNotFound,
    OutOfMemory,
    PolicyRefusal,
    RefusedOption,
    ServerBusy,
    ServerFailure,
    TimedOut,
    Unreachable,
)
from jupyter_llmroute.core.fallback import LONG_PAUSE_S, Level, Step, Tried, next_step
from jupyter_llmroute.core.route import Candidate, Route

BIG, WIDE, TINY = "qwen2.5-coder:32b", "phi4:14b", "smollm2:135m"
WINDOWS = {BIG: 8192, WIDE: 32768, TINY: 8192}


def on(service: str, model: str = BIG, **endpoint: object) -> Candidate:
    served = ServedModel(id=model, context_window=WINDOWS[model])
    where = Endpoint(**{"name": service, "provider": "vllm", "base_url": f"http://{service}:1", **endpoint})
    return Candidate(endpoint=where, model=served, info=guess(served), score=1, reasons=())


A, REPLICA, OTHER, SMALL = on("a"), on("b"), on("c", WIDE), on("a", TINY)
EMBEDDED = on("embedded", base_url="")
ROUTE = Route(candidates=(A, OTHER, REPLICA), rejections=(), smallest=SMALL)
ALONE = Route(candidates=(A,), rejections=())


def after(*failures: tuple[Candidate, LLMRouteError], route: Route = ROUTE, attempts: int = 6) -> Step | None:
    """Return the step after these candidates failed so, each having been asked as the rules have it."""
    tried: list[Tried] = []
    for candidate, error in failures:
        due = next_step(route, tried, attempts)
        level = due.level if due and due.candidate == candidate else Level.FALLBACK_MODELS
        tried.append(Tried(Step(candidate=candidate, level=level), error))
    return next_step(route, tried, attempts)


PRIMARY, FALLBACK, REDUCED, SMALLEST = Level.PRIMARY, Level.FALLBACK_MODELS, Level.REDUCED_CONTEXT, Level.SMALLEST_MODEL
CUT, GONE, LONG = BrokenStream("cut"), Unreachable("gone"), ContextOverflow("long", context_window=8192)
BUSY, PATIENT, SLOW = ServerBusy("b"), ServerBusy("b", retry_after_s=1), ServerBusy("b", retry_after_s=40)

NEXT = {
    "nothing was tried": ([], (A, PRIMARY, 0)),
    "cut: the same again at once": ([(A, CUT)], (A, PRIMARY, 0)),
    "cut twice: the same model elsewhere": ([(A, CUT), (A, CUT)], (REPLICA, PRIMARY, 0)),
    "busy: the same again in a moment": ([(A, BUSY)], (A, PRIMARY, 0.5)),
    "busy, and says for how long": ([(A, PATIENT)], (A, PRIMARY, 1)),
    "busy for longer than anybody would wait": ([(A, SLOW)], (REPLICA, PRIMARY, 0)),
    "stumbled: the same again": ([(A, ServerFailure("500"))], (A, PRIMARY, 0.5)),
    "gone: the same model elsewhere": ([(A, GONE)], (REPLICA, PRIMARY, 0)),
    "silent: the same model elsewhere": ([(A, TimedOut("silent"))], (REPLICA, PRIMARY, 0)),
    "without a word: the same model elsewhere": ([(A, EmptyAnswer("no"))], (REPLICA, PRIMARY, 0)),
    "refuses the prompt: the same model elsewhere": ([(A, BadRequest("role"))], (REPLICA, PRIMARY, 0)),
    "wants a key": ([(A, AuthenticationNeeded("key"))], (REPLICA, PRIMARY, 0)),
    "does not have it": ([(A, ModelNotFound("no"))], (REPLICA, PRIMARY, 0)),
    "all replicas gone: another model": ([(A, GONE), (REPLICA, GONE)], (OTHER, FALLBACK, 0)),
    "another model failed too: the smallest": (
        [(A, EmptyAnswer("no")), (REPLICA, GONE), (OTHER, GONE)], (SMALL, SMALLEST, 0)),
    "its server is gone, and the smallest with it": ([(A, GONE), (REPLICA, GONE), (OTHER, GONE)], None),
    "too long: only a larger window": ([(A, LONG)], (OTHER, FALLBACK, 0)),
    "too long for all: without the context": ([(A, LONG), (OTHER, GONE)], (A, REDUCED, 0)),
    "no memory for all: without the context": (
        [(A, OutOfMemory("no")), (REPLICA, GONE), (OTHER, GONE)], (A, REDUCED, 0)),
    "an option that nobody takes": ([(A, RefusedOption("temperature"))], None),
    "forbidden: the same model elsewhere": ([(A, PolicyRefusal("no"))], (REPLICA, PRIMARY, 0)),
}  # fmt: skip


def seen(step: Step | None) -> tuple[Candidate, Level, float] | None:
    return step and (step.candidate, step.level, step.pause_s)


@pytest.mark.parametrize("name", NEXT)
def test_next(name: str):
    failures, expected = NEXT[name]
    assert seen(after(*failures)) == expected


def test_the_levels_have_the_users_names():
    assert [level.value for level in Level] == [
        "primary",
        "fallback models",
        "reduced context",
        "smallest model",
        "failed",
    ]


def test_nobody_else_is_there_the_same_is_asked_as_often_as_its_settings_say():
    failures: list[tuple[Candidate, LLMRouteError]] = []
    pauses = []
    while step := after(*failures, route=ALONE, attempts=99):
        pauses.append(step.pause_s)
        failures.append((A, BUSY))
    assert pauses == [0, 0.5, 1, 2], "once, and three more times"
    assert (
        after((on("a", max_retries=0), CUT), route=Route(candidates=(on("a", max_retries=0),), rejections=())) is None
    )


def test_nobody_waits_for_longer_than_a_minute():
    step = after((A, ServerBusy("b", retry_after_s=86_400)), route=ALONE)
    assert step
    assert step.pause_s == LONG_PAUSE_S


def test_the_embedded_server_starts_again_when_it_is_asked_again():
    route = Route(candidates=(EMBEDDED, A), rejections=())
    assert seen(after((EMBEDDED, GONE), route=route)) == (EMBEDDED, PRIMARY, 0.5)
    assert seen(after((EMBEDDED, GONE), (EMBEDDED, GONE), route=route)) is not None


def test_the_last_chance_goes_to_the_smallest():
    failures = [(A, EmptyAnswer("no")), (REPLICA, EmptyAnswer("no"))]
    others = tuple(on(f"x{n}", WIDE) for n in range(5))
    route = Route(candidates=(A, REPLICA, *others), rejections=(), smallest=SMALL)
    assert seen(after(*failures, (others[0], TimedOut("t")), route=route, attempts=4)) == (SMALL, SMALLEST, 0)
    assert after(*failures, (others[0], TimedOut("t")), (SMALL, TimedOut("t")), route=route, attempts=4) is None


def test_without_context_there_is_nothing_to_reduce():
    tried = [Tried(Step(candidate=A, level=PRIMARY), LONG)]
    assert next_step(ALONE, tried, 6, has_context=False) is None
    assert next_step(ALONE, tried, 6, has_context=True)


FAULTS = st.sampled_from(
    [
        CUT,
        GONE,
        LONG,
        BUSY,
        SLOW,
        ServerFailure("f"),
        EmptyAnswer("e"),
        OutOfMemory("m"),
        BadRequest("r"),
        TimedOut("t"),
    ]
)


@given(st.lists(FAULTS, min_size=30, max_size=30), st.integers(1, 30))
def test_it_always_ends(faults: Sequence[LLMRouteError], attempts: int):
    tried: list[Tried] = []
    for fault in faults:
        step = next_step(ROUTE, tried, attempts)
        if step is None:
            break
        assert 0 <= step.pause_s <= LONG_PAUSE_S
        tried.append(Tried(step, fault))
    assert len(tried) <= min(attempts, 20)
    ways = [(past.step.candidate.endpoint.name, past.step.candidate.model.id, past.step.level) for past in tried]
    assert max(map(ways.count, ways), default=0) <= 5
