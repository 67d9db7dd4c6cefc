"""The fault matrix: whatever a server does, over a real socket, gives the right transcript.

No text twice, no error lost, no request more than the contract allows. What products do in their own words is in
`test_product_faults`, real servers that die are in `test_replicas`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from jupyter_llmroute.core.errors import RefusedOption, RouteFailed
from jupyter_llmroute.core.request import CellRef, Request
from jupyter_llmroute.core.route import RejectionReason
from jupyter_llmroute.core.state import StateFile
from jupyter_llmroute.core.task import Task

from ..scripted import (
    CUT,
    HANG,
    LOADING,
    OVERFLOW,
    TAG,
    Reply,
    delta,
    html,
    json_reply,
    llamacpp,
    ollama,
    says,
    sse,
    text_reply,
)
from .transcripts import ask, chats, gone, router

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


# --- two replicas, of which the first one fails ---

SOON = {"limits": {"first_token_s": 1.5}}
STALLS = {"each": {"timeout": 1000}}
THEN_B = ["ask b", "'Yes'", "b answered: stop"]
E_ACUTE = 'data: {"choices":[{"index":0,"delta":{"content":"é"}}]}\n\n'.encode()
ITEM = 'data: {"choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n'
BROKEN: list[str] = ["'Hel'", "a failed: BrokenStream"]
STREAM = "text/event-stream"


def busy(**headers: str) -> Reply:
    return json_reply({"error": {"message": "slow down"}}, 429, **headers)


def after(first: bytes, *more: object) -> Reply:
    return Reply([b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n', first, *more], content_type=STREAM)


MATRIX: dict[str, tuple[Reply, dict[str, Any], list[str]]] = {
    # name: (what the first one does, settings, what comes of it; where it ends with no answer, the error is its own)
    "hang before headers": (Reply((HANG,)), SOON, ["a failed: TimedOut", *THEN_B]),
    "hang before a word": (sse(delta(role="assistant"), HANG), SOON, ["a failed: TimedOut", *THEN_B]),
    "hang in its thoughts": (
        sse(delta(reasoning_content="hm"), HANG),
        STALLS,
        ["thinks 'hm'", "a failed: TimedOut", *THEN_B],
    ),
    "hang after a word": (sse(delta("Hel"), HANG), STALLS, ["'Hel'", "a failed: TimedOut"]),
    "hang up before headers": (Reply((CUT,)), {}, ["a failed: BrokenStream", *THEN_B]),
    "cut before a word": (sse(delta(role="assistant"), CUT), {}, ["a failed: BrokenStream", *THEN_B]),
    "cut after a word": (sse(delta("Hel"), CUT), {}, BROKEN),
    "cut within a character": (after(E_ACUTE[:-8], CUT), {}, BROKEN),
    "cut within an item": (after(ITEM[:30].encode(), CUT), {}, BROKEN),
    "ended within an item": (after(ITEM[:30].encode()), {}, BROKEN),
    "no end": (sse(delta("Hel")), {}, BROKEN),
    "an end that says nothing": (sse(delta("Hel"), "data: [DONE]\n\n"), {}, BROKEN),
    "garbage": (Reply((b"\x00\xff{",), content_type=STREAM), {}, ["a failed: BrokenStream", *THEN_B]),
    "garbage in an event": (sse("data: {nope\n\n"), {}, ["a failed: BrokenStream", *THEN_B]),
    "garbage after a word": (after(b"data: nope\n\n"), {}, BROKEN),
    "another kind of JSON": (sse('data: ["Hel"]\n\n'), {}, ["a failed: BrokenStream", *THEN_B]),
    "a web page": (html(), {}, ["a failed: ServerFailure", *THEN_B]),
    "no HTTP": (Reply((b"SSH-2.0\r\n",), is_http=False), {}, ["a failed: BrokenStream", *THEN_B]),
    "nothing at all": (sse(), {}, ["a failed: BrokenStream", *THEN_B]),
    "an end without a word": (sse(delta(finish="stop")), {}, ["a failed: EmptyAnswer", *THEN_B]),
    "thoughts without a word": (
        sse(delta(reasoning_content="hm"), delta(finish="length")),
        {},
        ["thinks 'hm'", "a failed: EmptyAnswer", *THEN_B],
    ),
    "too many questions": (busy(), {}, ["a failed: ServerBusy", *THEN_B]),
    "too many, come back later": (
        busy(**{"Retry-After": "30"}),
        {"retries": 3},  # nobody waits so long while another could answer
        ["a failed: ServerBusy", *THEN_B],
    ),
    "wants a key now": (json_reply({"error": "Unauthorized"}, 401), {}, ["a failed: AuthenticationNeeded", *THEN_B]),
    "lost its model": (
        json_reply({"error": {"message": "model 'm' not found"}}, 404),
        {},
        ["a failed: ModelNotFound", *THEN_B],
    ),
    "no memory": (json_reply({"error": "CUDA error: out of memory"}, 500), {}, ["a failed: OutOfMemory", *THEN_B]),
    "a gateway's failure": (text_reply("Bad Gateway", 502), {}, ["a failed: ServerFailure", *THEN_B]),
    "refuses what our prompt does": (
        json_reply({"error": {"message": "System role not supported"}}, 400),
        {},
        ["a failed: BadRequest", *THEN_B],
    ),
    "an error as an item": (
        sse('data: {"error":{"message":"boom"}}\n\n'),
        {},
        ["a failed: ServerFailure", *THEN_B],
    ),
    "an error as an item after a word": (
        sse(delta("Hel"), 'data: {"error":{"message":"boom"}}\n\n', delta("lo", finish="stop")),
        {},
        ["'Hel'", "a failed: ServerFailure"],
    ),
    "an error as an event": (
        sse('event: error\ndata: {"message":"boom"}\n\n'),
        {},
        ["a failed: ServerFailure", *THEN_B],
    ),
    "an error as an end": (sse(delta("Hel"), delta(finish="error")), {}, ["'Hel'", "a failed: ServerFailure"]),
    "an error as an answer": (json_reply({"error": "Unexpected endpoint"}), {}, ["a failed: ServerFailure", *THEN_B]),
    # --- what is no failure ---
    "a character in two pieces": (
        Reply([E_ACUTE[:-8], E_ACUTE[-8:], *sse(delta(finish="stop")).pieces], content_type=STREAM),
        {},
        ["'é'", "a answered: stop"],
    ),
    "comments, and no end mark": (
        sse(": ping\n\n", delta("Hel"), ": ping\n\n", delta("lo", finish="length")),
        {},
        ["'Hel'", "'lo'", "a answered: length"],
    ),
}


@pytest.mark.parametrize("name", MATRIX)
async def test_what_the_first_of_two_does(name):
    reply, settings, expected = MATRIX[name]
    with llamacpp(reply) as a, llamacpp(says("Yes")) as b:
        async with router({"a": a.url, "b": b.url}, **settings) as asked:
            outcome = await ask(asked)
    assert outcome.lines == ["ask a", *expected]
    assert (chats(a), chats(b)) == (1, "ask b" in expected)
    if outcome.error is not None:
        assert expected[-1] == f"a failed: {type(outcome.error).__name__}"


# --- one server, asked again ---

OK = says("Yes")
YES = ["'Yes'", "a answered: stop"]
LOADS = json_reply(LOADING, 503)
FAILS = json_reply({"error": "boom"}, 500)
AGAIN: dict[str, tuple[list[Reply], dict[str, Any], list[str]]] = {
    # name: (what it does, one reply after another, settings, what comes of it)
    "a connection that breaks is made again": (
        [Reply((CUT,)), OK],
        {"retries": 1},
        ["ask a", "a failed: BrokenStream", "ask a", *YES],
    ),
    "and once more after a while": (
        [Reply((CUT,)), sse(CUT), OK],
        {"retries": 2},
        ["ask a", "a failed: BrokenStream"] * 2 + ["waiting 1 s to ask again", "ask a", *YES],
    ),
    "not oftener than it is allowed": (
        [Reply((CUT,))],
        {"retries": 1},
        ["ask a", "a failed: BrokenStream"] * 2,
    ),
    "not at all": ([Reply((CUT,))], {"retries": 0}, ["ask a", "a failed: BrokenStream"]),
    "a failure may pass": ([FAILS, OK], {"retries": 1}, ["ask a", "a failed: ServerFailure", "ask a", *YES]),
    "it says when to come back": (
        [busy(**{"Retry-After": "0"}), busy(**{"Retry-After": "1"}), OK],
        {"retries": 3},
        ["ask a", "a failed: ServerBusy"] * 2 + ["waiting 1 s to ask again", "ask a", *YES],
    ),
    "it says to come back when the question is no more": (
        [busy(**{"Retry-After": "40"}), OK],
        {"retries": 3, "limits": {"total_s": 20}},
        ["ask a", "a failed: ServerBusy"],
    ),
    "attempts are counted for the whole question": (
        [busy(**{"Retry-After": "0"})],
        {"retries": 9, "limits": {"attempts": 3}},
        ["ask a", "a failed: ServerBusy"] * 3,
    ),
    "it reads its model, and is alive": ([LOADS, OK], {}, ["ask a", "loading", *YES]),
    "it reads its model for too long": ([LOADS], SOON, ["ask a", "loading", "a failed: ModelLoading"]),
    "it stumbles after it has read its model": (
        [LOADS, Reply((CUT,)), OK],
        {"retries": 1},
        ["ask a", "loading", "a failed: BrokenStream", "ask a", *YES],
    ),
    "what would be the same again is not asked again": (
        [json_reply(OVERFLOW, 400), OK],
        {"retries": 3},
        ["ask a", "a failed: ContextOverflow"],
    ),
    "a wrong key is not tried again": (
        [json_reply({"error": "Unauthorized"}, 401), OK],
        {"retries": 3},
        ["ask a", "a failed: AuthenticationNeeded"],
    ),
    "nothing is asked again after a word": (
        [sse(delta("Hel"), CUT), OK],
        {"retries": 3},
        ["ask a", "'Hel'", "a failed: BrokenStream"],
    ),
}


@pytest.mark.parametrize("name", AGAIN)
async def test_what_the_only_one_does(name):
    replies, settings, expected = AGAIN[name]
    with llamacpp(replies) as a:
        async with router({"a": a.url}, **settings) as asked:
            outcome = await ask(asked)
    assert outcome.lines == expected
    assert chats(a) == expected.count("ask a") + expected.count("loading")
    assert isinstance(outcome.error, RouteFailed) is ("'Hel'" not in expected and expected[-1] != YES[-1])


async def test_what_was_shown_is_not_shown_again():
    """Thoughts of an attempt that failed stand before those of the next one, each once."""
    with llamacpp(
        [sse(delta(reasoning_content="one"), CUT), sse(delta(reasoning_content="two"), delta("Yes"), CUT)]
    ) as a:
        async with router({"a": a.url}, retries=3) as asked:
            outcome = await ask(asked)
    assert outcome.lines == [
        "ask a",
        "thinks 'one'",
        "a failed: BrokenStream",
        "ask a",
        "thinks 'two'",
        "'Yes'",
        "a failed: BrokenStream",
    ]
    assert chats(a) == 2


# --- several ---

REFUSED, CUTS = "refused", Reply((CUT,))
SEVERAL: dict[str, tuple[dict[str, object], dict[str, Any], list[str]]] = {
    # name: (what each does, settings, what comes of it)
    "one of three is dead": (
        {"a": REFUSED, "b": OK, "c": OK},
        {"retries": 3},
        ["ask a", "a failed: Unreachable", "ask b", "'Yes'", "b answered: stop"],
    ),
    "two of three are dead": (
        {"a": REFUSED, "b": REFUSED, "c": OK},
        {"retries": 3},
        ["ask a", "a failed: Unreachable", "ask b", "b failed: Unreachable", "ask c", "'Yes'", "c answered: stop"],
    ),
    "all are dead": (
        {"a": REFUSED, "b": REFUSED, "c": REFUSED},
        {"retries": 3},
        [line for each in "abc" for line in (f"ask {each}", f"{each} failed: Unreachable")],
    ),
    "each fails in its own way": (
        {"a": REFUSED, "b": CUTS, "c": json_reply({"error": "boom"}, 500)},
        {},
        ["ask a", "a failed: Unreachable", "ask b", "b failed: BrokenStream", "ask c", "c failed: ServerFailure"],
    ),
    "one that breaks is asked once more before another": (
        {"a": CUTS, "b": OK, "c": OK},
        {"retries": 3},
        ["ask a", "a failed: BrokenStream"] * 2 + ["ask b", "'Yes'", "b answered: stop"],
    ),
    "no more than may be tried": (
        {"a": REFUSED, "b": REFUSED, "c": OK},
        {"limits": {"attempts": 2}},
        ["ask a", "a failed: Unreachable", "ask b", "b failed: Unreachable"],
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
async def test_several_replicas(name):
    does, settings, expected = SEVERAL[name]
    with ExitStack() as opened:
        servers = {
            each: opened.enter_context(llamacpp(reply if isinstance(reply, Reply) else ()))
            for each, reply in does.items()
            if reply is not REFUSED
        }
        dead = {each: llamacpp().__enter__() for each in does if each not in servers}
        urls = {each: (servers | dead)[each].url for each in does}
        async with router(urls, **settings) as asked:
            await asked.services()
            for server in dead.values():
                opened.enter_context(gone(server))
            outcome = await ask(asked)
    assert outcome.lines == expected
    for each, server in servers.items():
        assert chats(server) == expected.count(f"ask {each}")
    if isinstance(outcome.error, RouteFailed):
        assert [attempt.service for attempt in outcome.error.attempts] == [
            line.removeprefix("ask ") for line in expected if line.startswith("ask")
        ]


async def test_of_a_dead_server_no_other_model_is_asked():
    other = TAG | {"name": "llama3.2:3b", "model": "llama3.2:3b", "digest": "a80c4f"}
    with ExitStack() as opened, llamacpp(says("Yes"), model="spare") as b:
        a = ollama(tags=[TAG, other]).__enter__()
        lists = {"primary_models": ["qwen3:8b", "llama3.2:3b"], "fallback_models": ["spare"]}
        async with router({"a": a.url, "b": b.url}, task_routing=dict.fromkeys(Task, lists)) as asked:
            await asked.services()
            opened.enter_context(gone(a))
            outcome = await ask(asked)
    assert outcome.lines == [
        "ask a",
        "a failed: Unreachable",
        "ask b: fallback models",
        "'Yes'",
        "b answered: stop",
    ]


async def test_a_server_that_was_restarted_between_two_questions_answers_the_second():
    """Its connection is kept by the client, and reset by the server when it is used again."""
    with llamacpp([says("one"), Reply((CUT,)), says("two")]) as a, llamacpp() as b:
        async with router({"a": a.url, "b": b.url}, retries=3) as asked:
            assert (await ask(asked)).lines == ["ask a", "'one'", "a answered: stop"]
            outcome = await ask(asked)
    assert outcome.lines == ["ask a", "a failed: BrokenStream", "ask a", "'two'", "a answered: stop"]
    assert (chats(a), chats(b)) == (3, 0)


async def test_another_model_that_answers_is_named():
    with llamacpp(says("Yes"), model="qwen3:8b") as a:  # each piece of the answer says "m"
        async with router({"a": a.url}) as asked:
            outcome = await ask(asked)
    completed = outcome.events[-1]
    assert (completed.model, completed.answered_by) == ("qwen3:8b", "m")


async def test_what_is_too_long_for_all_goes_alone_in_the_end():
    cells = (CellRef(number=3, source="x = 1"),)
    with llamacpp([json_reply(OVERFLOW, 400), says("Yes")]) as a, llamacpp(json_reply(OVERFLOW, 400)) as b:
        async with router({"a": a.url, "b": b.url}) as asked:
            outcome = await ask(asked, cells=cells)
    # The other one serves no more, so it is not asked; the first one gets the question alone.
    assert outcome.lines == ["ask a", "a failed: ContextOverflow", "ask a: reduced context", *YES]
    first, second = (event for event in outcome.events if event.kind == "attempt_started")
    assert (first.context, second.context, second.left_out) == (("In[3]",), (), ("In[3]",))
    assert (chats(a), chats(b)) == (2, 0)


OPTIONS = {
    # who says so: (status, body)
    "vLLM": (400, {"error": {"message": "too high", "type": "BadRequestError", "param": "temperature", "code": 400}}),
    "SGLang": (400, {"object": "error", "message": "max_tokens must be at least 1", "type": "BadRequest"}),
    "GPT4All": (400, {"error": {"message": "9 is not between 0 and 2 - 'temperature'"}}),
    "FastAPI": (422, {"detail": [{"loc": ["body", "seed"], "msg": "Input should be a valid integer", "input": "x"}]}),
    "llama.cpp": (400, {"error": {"message": "Field 'temperature': wrong type", "type": "invalid_request_error"}}),
}


@pytest.mark.parametrize("name", OPTIONS)
async def test_an_option_of_the_user_s_that_is_refused_is_said_and_nobody_else_is_asked(name):
    status, body = OPTIONS[name]
    with llamacpp(json_reply(body, status)) as a, llamacpp() as b:
        async with router({"a": a.url, "b": b.url}, retries=3) as asked:
            outcome = await ask(asked)
    assert outcome.lines == ["ask a", "a failed: RefusedOption"]
    assert type(outcome.error) is RefusedOption
    assert (chats(a), chats(b)) == (1, 0)


# --- who fails again and again ---

BREAKER = {"breaker_failures": 3, "breaker_s": 0.2}
PATIENCE_S = 60


def left_alone(events: Sequence[Any]) -> list[str]:
    """Return the servers that a decision leaves alone."""
    return [each.service for each in events[0].route.rejections if each.reason is RejectionReason.BREAKER_OPEN]


async def look_until_it_may_be_asked(asked: Any) -> None:
    """Look at metadata, as often as it takes until the pause is over."""
    async with asyncio.timeout(PATIENCE_S):
        while left_alone([await asked.decide(Request(question="Why?"))]):
            await asked.services(refresh=True)


async def fail_three_times(asked: Any) -> None:
    for _ in range(3):
        assert (await ask(asked, service="a")).lines == ["ask a", "a failed: ServerFailure"]


async def test_a_server_that_fails_again_and_again_is_left_alone_and_looked_at_before_it_is_asked_again():
    with llamacpp([FAILS, FAILS, FAILS, OK]) as a, llamacpp(says("Yes")) as b:
        async with router({"a": a.url, "b": b.url}, limits=BREAKER) as asked:
            await fail_three_times(asked)
            opened_at = time.time()
            decision = await asked.decide(Request(question="Why?"))
            assert left_alone([decision]) == ["a"]
            [why] = [each.detail for each in decision.route.rejections if each.service == "a"]
            assert why.startswith("failed 3 times in a row; left alone for")

            async with asyncio.timeout(PATIENCE_S):
                while time.time() < opened_at + BREAKER["breaker_s"]:
                    await asked.decide(Request(question="Why?"))
            assert left_alone([await asked.decide(Request(question="Why?"))]) == ["a"], "nobody has looked since"

            await look_until_it_may_be_asked(asked)
            assert chats(a) == 3, "it was looked at, not asked"
            assert (await ask(asked, service="a")).lines == ["ask a", *YES]
    assert chats(a) == 4


async def test_one_more_failure_is_enough_for_a_server_that_was_left_alone():
    with llamacpp([FAILS]) as a, llamacpp(says("Yes")) as b:
        async with router({"a": a.url, "b": b.url}, limits=BREAKER) as asked:
            await fail_three_times(asked)
            await look_until_it_may_be_asked(asked)
            assert (await ask(asked, service="a")).lines == ["ask a", "a failed: ServerFailure"]
            assert left_alone([await asked.decide(Request(question="Why?"))]) == ["a"]


async def test_where_nobody_else_could_answer_the_one_that_is_left_alone_is_looked_at_and_asked():
    with llamacpp([FAILS, FAILS, FAILS, OK]) as a:
        async with router({"a": a.url}, limits={**BREAKER, "breaker_s": 3600}) as asked:
            await fail_three_times(asked)
            looks = [each.line for each in a.asked].count("GET /v1/models")
            assert (await ask(asked)).lines == ["ask a", *YES]
            assert [each.line for each in a.asked].count("GET /v1/models") > looks


async def test_an_answer_makes_all_failures_forgotten():
    with llamacpp([FAILS, FAILS, OK, FAILS, FAILS, OK]) as a:
        async with router({"a": a.url}, limits={**BREAKER, "breaker_s": 3600}) as asked:
            ends = [(await ask(asked)).error is None for _ in range(6)]
    assert ends == [False, False, True, False, False, True]


HARMLESS = {
    "busy": busy(),
    "too long": json_reply(OVERFLOW, 400),
    "wants a key": json_reply({"error": "Unauthorized"}, 401),
    "no such model": json_reply({"error": "model 'm' not found"}, 404),
    "no memory": json_reply({"error": "out of memory"}, 500),
    "refused": json_reply({"error": "System role not supported"}, 400),
}


@pytest.mark.parametrize("name", HARMLESS)
async def test_what_says_nothing_against_a_server_does_not_count(name):
    with llamacpp(HARMLESS[name]) as a:
        async with router({"a": a.url}, limits={**BREAKER, "breaker_s": 3600}) as asked:
            for _ in range(5):
                assert (await ask(asked)).lines[0] == "ask a"
    assert chats(a) == 5


async def test_the_others_are_asked_while_one_is_left_alone():
    with llamacpp([FAILS]) as a, llamacpp(says("Yes")) as b:
        async with router({"a": a.url, "b": b.url}, limits={**BREAKER, "breaker_s": 3600}) as asked:
            await fail_three_times(asked)
            outcome = await ask(asked)
            assert (outcome.lines, left_alone(outcome.events)) == (THEN_B, ["a"])
    assert chats(a) == 3


async def test_what_one_process_leaves_alone_another_does_too(tmp_path):
    limits = {**BREAKER, "breaker_s": 3600}
    with llamacpp([FAILS]) as a, llamacpp(says("Yes")) as b:
        urls = {"a": a.url, "b": b.url}
        async with router(urls, limits=limits, state=StateFile(tmp_path)) as first:
            await fail_three_times(first)
        async with router(urls, limits=limits, state=StateFile(tmp_path)) as second:
            outcome = await ask(second)
    assert (outcome.lines, left_alone(outcome.events)) == (THEN_B, ["a"])
    assert chats(a) == 3
