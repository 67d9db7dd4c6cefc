"""What a router learns of its servers: who is busy, how fast they answer, who failed, and what others learnt."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.catalog import guess
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BadRequest,
    BrokenStream,
    ContextOverflow,
    EmptyAnswer,
    LLMRouteError,
    ModelLoading,
    ModelNotFound,
    OutOfMemory,
    PeerError,
    PolicyRefusal,
    RefusedOption,
    ServerBusy,
    ServerFailure,
    TimedOut,
    TruncatedContext,
    Unreachable,
)
from jupyter_llmroute.core.events import Attempt, AttemptFailed, AttemptStarted, Completed, Usage
from jupyter_llmroute.core.executor import execute
from jupyter_llmroute.core.history import History
from jupyter_llmroute.core.ledger import COUNTED, Ledger
from jupyter_llmroute.core.providers import Chunk
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Candidate, Route
from jupyter_llmroute.core.sections import ContextSettings, Limits
from jupyter_llmroute.core.speed import OVERHEAD_TOKENS, Average, Speed
from jupyter_llmroute.core.state import StateFile

pytestmark = pytest.mark.anyio

A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"
LIMITS = Limits(breaker_failures=3, breaker_s=30)


@pytest.fixture
def anyio_backend():
    return "asyncio"


def candidate(name: str, url: str, **facts: Any) -> Candidate:
    model = ServedModel(id="m", **facts)
    endpoint = Endpoint(name=name, provider="plays", base_url=url, max_retries=0)
    return Candidate(endpoint=endpoint, model=model, info=guess(model), score=1, reasons=())


ROUTE = Route(candidates=(candidate("a", A), candidate("b", B)), rejections=())


def started(service: str = "a", number: int = 1, **facts: Any) -> AttemptStarted:
    return AttemptStarted(
        **{"number": number, "service": service, "model": "m", "reasons": (), "prompt_tokens": 1000} | facts
    )


def failed(failure: str = "Unreachable", service: str = "a", number: int = 1) -> Attempt:
    return Attempt(number=number, service=service, model="m", error="no", failure=failure)


def completed(**facts: Any) -> Completed:
    usual = {
        "service": "a",
        "model": "m",
        "answered_by": None,
        "finish_reason": "stop",
        "usage": Usage(),
        "time_to_first_token_s": 0.5,
        "elapsed_s": 2.0,
        "tokens_per_second": 20.0,
    }
    return Completed(**usual | facts)


def answer(ledger: Ledger, of: AttemptStarted | None = None, **facts: Any) -> None:
    with ledger.turn(ROUTE) as turn:
        turn.begin(of or started())
        ledger.note_answer(turn, completed(**facts))


def fail(ledger: Ledger, failure: str = "Unreachable", *, times: int = 1) -> None:
    for _ in range(times):
        with ledger.turn(ROUTE) as turn:
            turn.begin(started())
            ledger.note_failure(turn, failed(failure))


# --- who is busy ---


class Plays:
    """A provider whose servers do what their script says."""

    name = "plays"
    default_urls = named_urls = marks = ()
    cuts_silently = False

    def __init__(self, **scripts: Sequence[Chunk | Exception | None]) -> None:
        self.scripts = scripts
        self.is_silent = asyncio.Event()

    async def recognise(self, probe):
        return False

    async def models(self, probe, endpoint):
        return ()

    async def chat(self, client, endpoint, chat) -> AsyncGenerator[Chunk, None]:
        for step in self.scripts[endpoint.name]:
            if step is None:
                self.is_silent.set()
                await asyncio.Event().wait()
            elif isinstance(step, Exception):
                raise step
            else:
                yield step


SAYS, STOPS, SILENCE = Chunk(text="Yes"), Chunk(finish_reason="stop"), None


async def ask(ledger: Ledger, plays: Plays, *, until: str = "", busy: list[dict[str, int]] | None = None) -> None:
    """Ask as the router does; note who is busy after each event, and leave early at the event of the kind `until`."""
    context = Context(request=Request(question="why?"))
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        with ledger.turn(ROUTE) as turn:
            async with aclosing(execute(ROUTE, context, {"plays": plays}, client, LIMITS, ContextSettings())) as events:
                async for event in events:
                    match event:
                        case AttemptStarted():
                            turn.begin(event)
                        case AttemptFailed():
                            ledger.note_failure(turn, event.attempt)
                        case Completed():
                            ledger.note_answer(turn, event)
                    if busy is not None:
                        busy.append(dict(ledger.history().busy))
                    if event.kind == until:
                        return


ENDS: dict[str, tuple[dict[str, Sequence[Chunk | Exception | None]], str]] = {
    # name: (what the servers do, the event at which the user leaves)
    "an answer": ({"a": [SAYS, STOPS]}, ""),
    "an answer after a failure": ({"a": [Unreachable("no")], "b": [SAYS, STOPS]}, ""),
    "nobody answers": ({"a": [Unreachable("no")], "b": [Unreachable("no")]}, ""),
    "a failure after the first word": ({"a": [SAYS, BrokenStream("cut")]}, ""),
    "an option that nobody takes": ({"a": [RefusedOption("temperature")]}, ""),
    "an error that is none of ours": ({"a": [RuntimeError("a third party's")]}, ""),
    "the user leaves at the start": ({"a": [SAYS, STOPS]}, "attempt_started"),
    "the user leaves within": ({"a": [SAYS, STOPS]}, "text_delta"),
    "the user leaves between two attempts": ({"a": [Unreachable("no")], "b": [SAYS, STOPS]}, "attempt_failed"),
}


@pytest.mark.parametrize(("scripts", "until"), ENDS.values(), ids=ENDS)
async def test_whichever_way_a_question_ends_nobody_is_busy_with_it_any_more(scripts, until):
    ledger, busy = Ledger(LIMITS, None), []
    try:
        await ask(ledger, Plays(**scripts), until=until, busy=busy)
    except (LLMRouteError, RuntimeError):
        assert not until
    assert {sum(each.values()) for each in busy} == {1}, "one at a time"
    assert dict(ledger.history().busy) == {}


async def test_a_question_that_is_cancelled_keeps_nobody_busy():
    ledger, plays = Ledger(LIMITS, None), Plays(a=[SAYS, SILENCE])
    asking = asyncio.create_task(ask(ledger, plays))
    await plays.is_silent.wait()
    assert dict(ledger.history().busy) == {A: 1}
    asking.cancel()
    await asyncio.wait([asking])
    assert dict(ledger.history().busy) == {}


async def test_questions_at_one_time_are_counted_each():
    ledger = Ledger(LIMITS, None)
    with ledger.turn(ROUTE) as one, ledger.turn(ROUTE) as two, ledger.turn(ROUTE) as three:
        one.begin(started("a"))
        two.begin(started("a"))
        three.begin(started("b"))
        assert dict(ledger.history().busy) == {A: 2, B: 1}
        two.begin(started("b", number=2))
        assert dict(ledger.history().busy) == {A: 1, B: 2}
        one.end()
        one.end()
        assert dict(ledger.history().busy) == {B: 2}
    assert dict(ledger.history().busy) == {}


async def test_who_is_in_no_candidate_is_not_counted():
    ledger = Ledger(LIMITS, None)
    with ledger.turn(ROUTE) as turn:
        turn.begin(started("elsewhere"))
        assert dict(ledger.history().busy) == {}
        ledger.note_answer(turn, completed())
        ledger.note_failure(turn, failed())
    assert (ledger.history().speeds, ledger.history().breakers, ledger.history().last) == ({}, {}, None)


async def test_the_smallest_model_is_found_where_it_is_no_candidate():
    ledger, small = Ledger(LIMITS, None), candidate("small", "http://127.0.0.1:3")
    with ledger.turn(ROUTE.model_copy(update={"smallest": small})) as turn:
        turn.begin(started("small"))
        assert turn.candidate == small


# --- what an answer teaches ---

ANSWERS = {
    # name: (how it began, how it ended, tokens that are taken to be read)
    "by the server's count": (started(), {"usage": Usage(prompt_tokens=700)}, 700),
    "without those in its cache": (started(), {"usage": Usage(prompt_tokens=700, cached_tokens=690)}, 10),
    "by the estimate where it does not count": (started(), {}, 1000),
    "never fewer than none": (started(), {"usage": Usage(prompt_tokens=7, cached_tokens=9)}, 0),
}


@pytest.mark.parametrize(("began", "ended", "read"), ANSWERS.values(), ids=ANSWERS)
async def test_what_an_answer_teaches(began: AttemptStarted, ended: dict[str, Any], read: int):
    ledger = Ledger(LIMITS, None)
    answer(ledger, began, **ended)
    history = ledger.history()
    assert history.last == f"{A} m"
    assert dict(history.speeds) == {
        f"{A} m": Speed(
            first_token=Average().with_value(0.5),
            prompt=Average().with_value(read + OVERHEAD_TOKENS),
            token=Average().with_value(1 / 20),
        )
    }


async def test_an_answer_of_a_cold_model_teaches_its_loading():
    ledger = Ledger(LIMITS, None)
    answer(ledger, started(is_cold=True), time_to_first_token_s=40.0)
    [speed] = ledger.history().speeds.values()
    assert (speed.load, speed.first_token) == (Average().with_value(40.0), Average())


async def test_answers_add_up_and_the_server_that_answered_last_is_known():
    ledger = Ledger(LIMITS, None)
    for service in ("a", "a", "b"):
        answer(ledger, started(service))
    history = ledger.history()
    assert history.speeds[f"{A} m"].token.weight > history.speeds[f"{B} m"].token.weight == 1
    assert history.last == f"{B} m"


async def test_a_server_without_an_address_is_known_by_its_name():
    ledger, route = Ledger(LIMITS, None), Route(candidates=(candidate("embedded", ""),), rejections=())
    with ledger.turn(route) as turn:
        turn.begin(started("embedded"))
        assert dict(ledger.history().busy) == {"embedded": 1}
        ledger.note_answer(turn, completed(service="embedded"))
    assert ledger.history().last == "embedded m"


# --- failures ---

SAYS_NOTHING_OF_THE_SERVER = (
    AuthenticationNeeded,
    ModelNotFound,
    ModelLoading,
    ServerBusy,
    ContextOverflow,
    TruncatedContext,
    OutOfMemory,
    BadRequest,
    RefusedOption,
    EmptyAnswer,
    PolicyRefusal,
)


def test_every_failure_is_counted_or_is_not():
    def kinds(kind: type[Exception]) -> set[str]:
        return {kind.__name__}.union(*(kinds(below) for below in kind.__subclasses__() if "core.errors" in str(below)))

    uncounted = {kind.__name__ for kind in SAYS_NOTHING_OF_THE_SERVER}
    assert not uncounted & COUNTED
    assert uncounted | COUNTED == kinds(PeerError) - {"PeerError"} | kinds(PolicyRefusal)
    assert {kind.__name__ for kind in (Unreachable, TimedOut, BrokenStream, ServerFailure)} == COUNTED


@pytest.mark.parametrize("failure", sorted(COUNTED))
async def test_a_server_that_fails_several_times_in_a_row_is_left_alone(failure: str):
    ledger = Ledger(LIMITS, None)
    fail(ledger, failure, times=2)
    assert dict(ledger.history().breakers) == {A: Breaker(failures=2)}
    fail(ledger, failure)
    [breaker] = ledger.history().breakers.values()
    now = ledger.history().now
    assert (breaker.failures, breaker.opened) == (3, 1)
    assert now < breaker.open_until <= now + LIMITS.breaker_s


@pytest.mark.parametrize("failure", [kind.__name__ for kind in SAYS_NOTHING_OF_THE_SERVER])
async def test_a_failure_that_says_nothing_of_the_server_is_not_counted(failure: str):
    ledger = Ledger(LIMITS, None)
    fail(ledger, failure, times=9)
    assert dict(ledger.history().breakers) == {}


async def test_an_answer_makes_up_for_all_failures():
    ledger = Ledger(LIMITS, None)
    fail(ledger, times=5)
    answer(ledger)
    assert dict(ledger.history().breakers) == {A: Breaker()}
    fail(ledger)
    assert dict(ledger.history().breakers) == {A: Breaker(failures=1)}


async def test_attempts_for_one_question_leave_a_server_alone_no_longer_than_the_first_time():
    ledger = Ledger(LIMITS, None)
    with ledger.turn(ROUTE) as turn:
        for number in range(1, 7):
            turn.begin(started(number=number))
            ledger.note_failure(turn, failed(number=number))
    [breaker] = ledger.history().breakers.values()
    assert (breaker.failures, breaker.opened) == (6, 1)


async def test_an_attempt_that_fails_before_it_is_sent_is_not_blamed_on_the_one_before():
    ledger = Ledger(LIMITS, None)
    with ledger.turn(ROUTE) as turn:
        turn.begin(started("a"))
        ledger.note_failure(turn, failed(service="a"))
        ledger.note_failure(turn, failed(service="b", number=2))
    assert dict(ledger.history().breakers) == {A: Breaker(failures=1)}


async def test_a_failure_before_anybody_was_asked_is_nobodys():
    ledger = Ledger(LIMITS, None)
    with ledger.turn(ROUTE) as turn:
        ledger.note_failure(turn, failed())
        ledger.note_answer(turn, completed())
    assert (ledger.history().speeds, ledger.history().breakers) == ({}, {})


# --- shared with other processes ---


async def test_what_one_learns_the_other_knows(tmp_path: Path):
    one, other = Ledger(LIMITS, StateFile(tmp_path)), Ledger(LIMITS, StateFile(tmp_path))
    assert other.history().speeds == {}
    answer(one, started("a"))
    for number in range(3):
        with one.turn(ROUTE) as turn:
            turn.begin(started("b", number=number))
            one.note_failure(turn, failed(service="b", number=number))
    await one.aclose()
    mine, theirs = one.history(), await other.recall()
    assert theirs.speeds == mine.speeds
    assert theirs.breakers == {B: mine.breakers[B]}, "a closed one is not written"
    assert (theirs.last, theirs.busy) == (None, {}), "not of this session"


async def test_what_another_process_wrote_is_known_without_asking_for_it(tmp_path: Path):
    one, other = Ledger(LIMITS, StateFile(tmp_path)), Ledger(LIMITS, StateFile(tmp_path))
    answer(one)
    await one.aclose()
    assert other.history().speeds == one.history().speeds


async def test_this_process_knows_best_what_it_has_seen_itself(tmp_path: Path):
    one, other = Ledger(LIMITS, StateFile(tmp_path)), Ledger(LIMITS, StateFile(tmp_path))
    fail(other)
    await other.aclose()
    fail(one, times=3)
    await one.aclose()
    assert dict((await other.recall()).breakers) == {A: Breaker(failures=1)}
    answer(other)
    await other.aclose()
    assert (await Ledger(LIMITS, StateFile(tmp_path)).recall()).breakers == {}, "who wrote last is believed"


async def test_what_others_learnt_goes_on_from_there(tmp_path: Path):
    for expected in (1, 2):
        ledger = Ledger(LIMITS, StateFile(tmp_path))
        await ledger.recall()
        fail(ledger)
        answer(ledger)
        fail(ledger)
        await ledger.aclose()
        assert ledger.history().breakers[A].failures == 1
        [speed] = StateFile(tmp_path).read().speeds.values()
        assert (expected == 1) is (speed.token.weight == 1)


async def test_of_two_writes_about_one_server_the_newer_stands(tmp_path: Path):
    """Writes go one after another, however long they wait."""
    ledger = Ledger(LIMITS, StateFile(tmp_path))
    for _ in range(5):
        answer(ledger)
    fail(ledger)
    await ledger.aclose()
    state = StateFile(tmp_path).read()
    assert dict(state.speeds) == dict(ledger.history().speeds)
    assert dict(state.breakers) == {A: Breaker(failures=1)}


async def test_without_a_file_nothing_is_shared_and_nothing_is_missing():
    ledger = Ledger(LIMITS, None)
    assert (await ledger.recall()).model_copy(update={"now": 0, "draw": 0}) == History()
    answer(ledger)
    await ledger.aclose()
    assert set(ledger.history().speeds) == {f"{A} m"}


async def test_draws_differ():
    ledger = Ledger(LIMITS, None)
    assert len({ledger.history().draw for _ in range(9)}) == 9


async def test_a_history_is_a_value_of_its_moment():
    ledger = Ledger(LIMITS, None)
    with ledger.turn(ROUTE) as turn:
        turn.begin(started())
        before = ledger.history()
    answer(ledger)
    assert (dict(before.busy), dict(before.speeds), before.last) == ({A: 1}, {}, None)
