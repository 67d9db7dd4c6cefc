"""What goes wrong at each product, in its own words, through the whole router: what is shown, and who is asked next."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

from jupyter_llmroute.core.errors import TruncatedContext
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.task import Task

from ..scripted import HANG, LOADING, Reply, Scripted, delta, json_reply, line, llamacpp, ndjson, sse
from ..servers import FAULTS, KEY, PRODUCTS, TEXT, THOUGHT
from ..servers.surface import tokens
from .transcripts import Outcome, ask, router

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


# --- a product, and one that is well beside it ---


def beside(product: str, build: str, urls: dict[str, str], **more: Any) -> Router:
    """A router that asks the build's usual model first, and then the spare one."""
    lists = {"primary_models": [PRODUCTS[product].build(build).model], "fallback_models": ["spare"]}
    limits = {"first_token_s": 20, **more.pop("limits", {})}
    each = {"api_key": KEY, "models_are_local": True}
    return router(urls, each=each, task_routing=dict.fromkeys(Task, lists), limits=limits, **more)


def spare() -> Scripted:
    return llamacpp(sse(delta("Yes"), delta(finish="stop")), model="spare", window=131072, trained=131072)


async def asked_first(product: str, build: str, *, question: str = "Why?", **staged: Any) -> tuple[Outcome, int, int]:
    """Ask where the first one is the product; return also how often each of the two was asked to answer."""
    with PRODUCTS[product].open(build, **staged) as first, spare() as other:
        async with beside(product, build, {"first": first.url, "spare": other.url}) as asked:
            outcome = await ask(asked, question)
        return outcome, *(len([each for each in server.lines if is_chat(each)]) for server in (first, other))


def is_chat(asked: str) -> bool:
    return asked.startswith("POST ") and asked.endswith(("/chat/completions", "/api/chat"))


SPARE = ["ask spare: fallback models", "'Yes'", "spare answered: stop"]
ANSWER = [f"thinks {THOUGHT!r}", *map(repr, TEXT), "first answered: stop"]

# --- what each of them says ---

KINDS = {
    **dict.fromkeys(("overflow", "overflow_in_stream", "overflow_in_data", "overflow_with_output"), "ContextOverflow"),
    **dict.fromkeys(("unknown_model", "none_runs"), "ModelNotFound"),
    **dict.fromkeys(("busy", "full"), "ServerBusy"),
    **dict.fromkeys(("no_model_named", "stream"), "BadRequest"),
    **dict.fromkeys(("no_end", "cut_upstream", "empty"), "BrokenStream"),
    "exhausted": "ContextOverflow",
    "out_of_memory": "OutOfMemory",
    "signed_out": "AuthenticationNeeded",
}
"""By what goes wrong; the rest is `ServerFailure`."""
KINDS_OF = {
    # Words that tell less, or more.
    ("gpt4all", "overflow"): "ServerFailure",
    ("textgen", "bad_input"): "BadRequest",
    ("llamacpp", "out_of_memory"): "ServerFailure",
    ("llamafile", "out_of_memory"): "ServerFailure",
    ("openwebui", "cut_upstream"): "ServerFailure",
    ("textgen", "error_in_stream"): "BrokenStream",
    ("ray_serve", "error_in_stream"): "BrokenStream",
    **{
        (name, "error_in_stream"): "ContextOverflow"
        for name in ("jan", "llamacpp", "llamafile", "docker", "llama_swap")
    },
}
AFTER_A_WORD = {"error_in_stream", "no_end", "cut_upstream"}
NO_FAILURES = {"silent_cut", "mended", "other_model", "uncounted", "wants_key"}
"""What is no error of the server's: further down."""
REPEATED = {
    ("jan", "newer"),
    ("jan", "empty"),
    ("openwebui", "keyless"),
    ("localai", "greeting"),
    ("textgen", "empty"),
    ("sglang", "raw"),
    ("llamacpp", "older"),
    ("docker", "older"),
    ("litellm", "open"),
    ("litellm", "without_prisma"),
}
"""Builds that fail in the same words as another one."""
LOADINGS = {(name, fault) for name, fault in (("openwebui", "loading"), ("localai", "loading"), ("litellm", "loading"))}
BLIND = [
    (name, build, fault)
    for name, build, fault in FAULTS
    if isinstance(PRODUCTS[name].build(build).faults.get(fault), dict) and fault in ("loading", "foreign_host")
]
"""Where nothing is to be had: not even a list of models."""
SAID = [
    (name, build, fault)
    for name, build, fault in FAULTS
    if (name, build) not in REPEATED
    and (name, fault) not in LOADINGS
    and (name, build, fault) not in BLIND
    and fault not in NO_FAILURES | {"starting"}
]


@pytest.mark.parametrize(("name", "build", "fault"), SAID)
async def test_what_it_says_is_understood_and_the_next_one_answers_unless_there_was_a_word(name, build, fault):
    outcome, first, second = await asked_first(name, build, fault=fault)
    kind = KINDS_OF.get((name, fault), KINDS.get(fault, "ServerFailure"))
    # Two of its models are the same one under two names.
    times = 2 if name == "openwebui" and kind != "ContextOverflow" else 1
    if fault in AFTER_A_WORD:
        assert outcome.lines == ["ask first", repr(TEXT[0]), f"first failed: {kind}"]
        assert type(outcome.error).__name__ == kind
        assert (first, second) == (1, 0)
    else:
        assert outcome.lines == ["ask first", f"first failed: {kind}"] * times + SPARE
        assert (first, second) == (times, 1)


@pytest.mark.parametrize(("name", "build", "fault"), BLIND)
async def test_who_shows_no_models_is_not_asked(name, build, fault):
    outcome, first, second = await asked_first(name, build, fault=fault)
    assert outcome.lines == [SPARE[0].partition(":")[0], *SPARE[1:]]
    assert (first, second) == (0, 1)
    assert [each.service for each in outcome.events[0].route.rejections] == ["first"]


async def test_who_reads_its_model_says_so_in_its_own_words_and_is_waited_for():
    """Side by side, for each takes a second."""
    loads = {name: PRODUCTS[name].build().faults["loading"] for name, _ in LOADINGS}
    loads |= dict.fromkeys(("llamacpp", "llamafile", "jan", "llama_swap"), json_reply(LOADING, 503))
    with ExitStack() as opened:
        servers = {
            name: opened.enter_context(PRODUCTS[name].open(chat=[reply, PRODUCTS[name].build().script[CHATS_OF[name]]]))
            for name, reply in loads.items()
        }
        routers = [beside(name, "", {"first": server.url}) for name, server in servers.items()]
        outcomes = await asyncio.gather(*map(ask, routers))
        for asked in routers:
            await asked.__aexit__(None, None, None)
    for name, outcome in zip(servers, outcomes, strict=True):
        assert (name, outcome.lines) == (name, ["ask first", "loading", *ANSWER])


CHATS_OF = {name: surface.build().chat for name, surface in PRODUCTS.items()}


# --- prompts that are cut without a word ---

LONG = "word " * 400
"""More words than anybody cuts by chance, and far fewer than any window."""
CUT_BY = [("ollama", "newer"), ("koboldcpp", "1.117"), ("textgen", "loaded")]


@pytest.mark.parametrize(("name", "build"), CUT_BY)
async def test_an_answer_to_a_prompt_that_was_cut_is_an_error_and_what_came_of_it_is_kept(name, build):
    outcome, first, second = await asked_first(name, build, fault="silent_cut", question=LONG)
    assert outcome.lines == ["ask first", *ANSWER[:-1], "first failed: TruncatedContext"]
    assert type(outcome.error) is TruncatedContext
    assert "read only 64 tokens of a prompt of at least" in str(outcome.error)
    assert (first, second) == (1, 0)


COUNTERS = [
    # (product, build, where it counts, a count that is too high)
    ("koboldcpp", "1.117", "POST */api/extra/tokencount", {"value": 9000}),
    ("koboldcpp", "1.76", "POST */api/extra/tokencount", {"value": 9000}),
    ("textgen", "loaded", "POST /v1/internal/token-count", {"length": 9000}),
    ("localai", "plain", "POST /v1/tokenize", {"tokens": tokens(9000)}),
]


@pytest.mark.parametrize(("name", "build", "where", "counted"), COUNTERS)
async def test_what_would_be_cut_is_counted_first_and_not_sent(name, build, where, counted):
    """The estimate says that it fits; the server's own count does not."""
    question = "pneumonoultramicroscopic " * 300
    outcome, first, second = await asked_first(name, build, question=question, script={where: json_reply(counted)})
    assert outcome.lines == ["first failed: ContextOverflow", *SPARE]
    assert "9,00" in outcome.events[1].attempt.error
    assert (first, second) == (0, 1)


@pytest.mark.parametrize(("name", "build"), [("koboldcpp", "1.76"), ("ollama", "older")])
async def test_builds_whose_counts_say_nothing_cannot_be_caught_after_the_fact(name, build):
    """So the one counts first, as in the test above; the other, which leaves out what it had cached, is told the window
    that the whole needs."""
    with PRODUCTS[name].open(build, fault="silent_cut") as server:
        async with beside(name, build, {"first": server.url}) as asked:
            outcome = await ask(asked, LONG)
        (sent,) = (each for each in server.asked if is_chat(each.line))
    assert outcome.error is None
    if name == "ollama":
        options = sent.json["options"]
        assert options["num_ctx"] - options["num_predict"] >= outcome.events[1].prompt_tokens >= len(LONG.split())
    else:
        assert outcome.events[-1].usage.prompt_tokens is None


# --- another one answers, or it wants a key ---


async def test_a_model_that_answers_in_place_of_the_one_that_was_asked_is_named():
    asked_for = PRODUCTS["lmstudio"].build().model
    other = sse(delta("Yes") | {"model": "other"}, delta(finish="stop") | {"model": "other"})
    outcome, _, _ = await asked_first("lmstudio", "0.4", chat=other)
    completed = outcome.events[-1]
    assert (completed.model, completed.answered_by) == (asked_for, "other")


KEYED = [(name, build) for name, build, fault in FAULTS if fault == "wants_key" and (name, build) not in REPEATED]


@pytest.mark.parametrize(("name", "build"), KEYED)
async def test_with_the_key_that_it_wants_it_answers(name, build):
    outcome, first, second = await asked_first(name, build, fault="wants_key")
    assert outcome.lines == ["ask first", *ANSWER]
    assert (first, second) == (1, 0)


# --- leaving ---


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("when", ["before headers", "after a word"])
async def test_whoever_leaves_ends_the_server_s_work(name, when):
    began = ndjson(line("Hel"), HANG) if name == "ollama" else sse(delta("Hel"), HANG)
    reply = Reply((HANG,)) if when == "before headers" else began
    with PRODUCTS[name].open(chat=reply) as server:
        async with beside(name, "", {"first": server.url}) as asked:
            asking = asyncio.create_task(ask(asked))
            sent = await asyncio.wrap_future(server.arrival(CHATS_OF[name].replace("*", "")))
            asking.cancel()
            await asyncio.wait([asking])
            assert await asyncio.wrap_future(sent.is_abandoned)
    assert asking.cancelled()
