"""The whole flow, over real sockets: from a request to its events, and what is said when nobody can answer."""

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_llmroute.core.errors import (
    BrokenStream,
    LLMRouteError,
    RefusedOption,
    RouteFailed,
    SettingsError,
    TooLong,
    TruncatedContext,
    UnknownModel,
    UnknownService,
    UserError,
)
from jupyter_llmroute.core.events import Event
from jupyter_llmroute.core.providers import Provider
from jupyter_llmroute.core.providers.llamacpp import LlamaCpp
from jupyter_llmroute.core.providers.ollama import Ollama
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.request import CellRef, Request, Sampling, Turn
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.state import FILE_NAME, StateFile
from jupyter_llmroute.core.task import Task

from ..scripted import (
    CUT,
    HANG,
    LOADING,
    OVERFLOW,
    TAG,
    Reply,
    Scripted,
    delta,
    html,
    json_reply,
    llamacpp,
    nobody,
    ollama,
    ollama_says,
    says,
    sse,
)
from .providers.asking import TEXTS

pytestmark = pytest.mark.anyio
LIST = "GET /v1/models"
CHAT = "POST /v1/chat/completions"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def providers() -> dict[str, Provider]:
    """The built-in dialects, which look at no port of this machine of their own."""
    kinds: list[type] = [LlamaCpp, Ollama, OpenAICompatible]
    made = [type(kind.__name__, (kind,), {"default_urls": ()})() for kind in kinds]
    return {provider.name: provider for provider in made}


def router(
    servers: dict[str, str] | None = None, *, state: Path | None = None, key: str | None = None, **settings: Any
) -> Router:
    """A router of servers by name, the first of them preferred; none is asked twice, that is `test_faults`' to show."""
    endpoints = [
        {"name": name, "endpoint": url, "priority": rank, "max_retries": 0, "api_key": key}
        for rank, (name, url) in enumerate((servers or {}).items())
    ]
    given = Settings(
        services={"custom_endpoints": endpoints, **settings.pop("services", {})},
        embedded=settings.pop("embedded", {"enabled": False}),
        **settings,
    )
    transport = httpx.AsyncHTTPTransport(verify=False)
    return Router(given, providers=providers(), transport=transport, state=StateFile(state) if state else None)


async def ask(asked: Router, question: str = "Why?", **request: Any) -> tuple[list[Event], LLMRouteError | None]:
    events: list[Event] = []
    try:
        async with aclosing(asked.stream(Request(question=question, **request))) as stream:
            async for event in stream:
                events.append(event)
    except LLMRouteError as error:
        return events, error
    return events, None


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if event.kind == "text_delta")


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def rounds(server: Scripted) -> int:
    """How often the server was looked at."""
    return server.lines.count(LIST)


# --- the flow ---


@pytest.mark.parametrize("server", [llamacpp(says("Hel", "lo")), ollama(ollama_says("Hel", "lo"))])
async def test_a_question_is_routed_asked_and_answered(server):
    with server:
        async with router({"desk": server.url}) as asked:
            events, error = await ask(asked, "def f(x): return x  # write a test for this function")
    assert error is None
    assert kinds(events) == ["routed", "attempt_started", "text_delta", "text_delta", "completed"]
    routed, started, *_, completed = events
    assert routed.classification.task == "coding"
    assert [candidate.endpoint.name for candidate in routed.route.candidates] == ["desk"]
    assert (started.service, started.model) == (completed.service, completed.model)
    assert text(events) == "Hello"
    assert len(server.chats) == 1


@pytest.mark.parametrize("name", TEXTS)
async def test_the_question_goes_out_character_for_character(name):
    with llamacpp() as one, ollama() as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            for service in ("one", "two"):
                _, error = await ask(asked, TEXTS[name], service=service)
                assert error is None
    for server in (one, two):
        (sent,) = server.chats
        assert sent.json["messages"][-1] == {"role": "user", "content": TEXTS[name]}


async def test_cells_go_along_and_are_listed_before_they_are_sent():
    cell = CellRef(number=3, source="x = {'a': 1}", output="1")
    turn = Turn(number=4, question="What?", answer="That.")
    with llamacpp() as server:
        async with router({"desk": server.url}) as asked:
            events, _ = await ask(asked, cells=(cell,), turns=(turn,))
    routed, started = events[:2]
    assert routed.context == started.context == ("In[3]", "answer to In[4]")
    _, *turns, question = server.chats[0].json["messages"]
    assert cell.source in question["content"]
    assert [message["content"] for message in turns] == [turn.question, turn.answer]
    assert question["role"] == "user"
    assert question["content"].endswith("\nWhy?")


async def test_sampling_goes_along():
    with llamacpp() as server:
        async with router({"desk": server.url}) as asked:
            await ask(asked, sampling=Sampling(temperature=0, max_tokens=5, seed=3))
    assert {key: server.chats[0].json[key] for key in ("temperature", "max_tokens", "seed")} == {
        "temperature": 0,
        "max_tokens": 5,
        "seed": 3,
    }


FAULTS = {
    "died since it was looked at": Reply((CUT,)),
    "cut before a word": sse(delta(role="assistant"), CUT),
    "error in the stream before a word": sse('data: {"error":{"message":"Compute error."}}\n\n'),
    "empty answer": sse(delta(finish="stop")),
    "empty stream": sse(),
    "too long": json_reply(OVERFLOW, 400),
    "rate limit": json_reply({"error": {"message": "slow down"}}, 429),
    "no place for a message of the system's": json_reply({"error": {"message": "System role not supported"}}, 400),
    "packed as it is not": Reply((b"no gzip",), 200, "text/event-stream", {"Content-Encoding": "gzip"}),
    "loading": json_reply({"error": {"message": "Loading model"}}, 503),
    "web page": html(),
    "silence": Reply((HANG,)),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_when_the_best_one_fails_the_next_one_answers(name):
    with llamacpp(FAULTS[name], window=16384) as best, llamacpp(says("Yes"), window=32768) as next_one:
        servers = {"best": best.url, "next": next_one.url}
        async with router(servers, limits={"first_token_s": 2}) as asked:
            events, error = await ask(asked)
    assert error is None
    assert [kind for kind in kinds(events) if kind != "waiting"] == [
        "routed",
        "attempt_started",
        "attempt_failed",
        "attempt_started",
        "text_delta",
        "completed",
    ]
    assert ("waiting" in kinds(events)) is (name == "loading")
    assert [event.service for event in events if event.kind == "attempt_started"] == ["best", "next"]
    assert text(events) == "Yes"
    assert (len(best.chats), len(next_one.chats)) == (1 + (name == "loading"), 1)


async def test_when_it_fails_after_a_word_the_word_is_kept_and_nobody_else_is_asked():
    with llamacpp(sse(delta("Hel"), CUT)) as best, llamacpp() as other:
        async with router({"best": best.url, "other": other.url}) as asked:
            events, error = await ask(asked)
    assert type(error) is BrokenStream
    assert kinds(events) == ["routed", "attempt_started", "text_delta", "attempt_failed"]
    assert text(events) == "Hel"
    assert other.chats == []


async def test_a_refused_option_is_said_and_nobody_else_is_asked():
    refusal = json_reply({"error": {"message": "Field 'seed': too odd", "type": "invalid_request_error"}}, 400)
    with llamacpp(refusal) as best, llamacpp() as other:
        async with router({"best": best.url, "other": other.url}) as asked:
            _, error = await ask(asked)
    assert type(error) is RefusedOption
    assert "Field 'seed': too odd" in str(error)
    assert other.chats == []


async def test_an_answer_to_a_prompt_that_was_cut_keeps_its_text_and_is_an_error():
    """The server says that it counted 42 tokens."""
    with llamacpp(says("Hel", "lo")) as best, llamacpp() as other:
        async with router({"best": best.url, "other": other.url}) as asked:
            events, error = await ask(asked, "word " * 1000)
    assert type(error) is TruncatedContext
    assert kinds(events) == ["routed", "attempt_started", "text_delta", "text_delta", "attempt_failed"]
    assert text(events) == "Hello"
    assert other.chats == []


async def test_when_all_fail_each_is_named():
    busy = json_reply({"error": {"message": "slow down"}}, 429)
    with llamacpp(busy) as one, llamacpp(sse()) as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            _, error = await ask(asked)
    assert isinstance(error, RouteFailed)
    assert [attempt.service for attempt in error.attempts] == ["one", "two"]
    assert "m on one: slow down (HTTP 429); ask again in a moment." in str(error)


# --- what is pinned ---


async def test_a_pinned_service_is_asked_and_no_other():
    with llamacpp() as one, llamacpp() as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            events, _ = await ask(asked, service="TWO")
    assert events[-1].service == "two"
    assert one.chats == []


async def test_a_pinned_model_is_asked_and_no_other():
    with llamacpp(model="qwen2.5-coder:7b") as one, llamacpp(model="llama3.2:3b") as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            events, _ = await ask(asked, "write a function", model="llama3.2")
    assert events[-1].model == "llama3.2:3b"
    assert one.chats == []


# --- nobody can answer: what happened, the value, what to do ---


async def refused(asked: Router, **request: Any) -> LLMRouteError:
    events, error = await ask(asked, **request)
    assert kinds(events) == ["routed"]
    assert error is not None
    return error


async def test_nothing_was_found():
    async with router() as asked:
        error = await refused(asked)
    assert type(error) is RouteFailed
    assert str(error) == (
        "No model server was found on this machine. Start one (such as Ollama or llama.cpp's server), name one under "
        "services in llmroute.yaml, or use the built-in one (switched off by embedded.enabled)."
    )


async def test_nothing_was_found_and_the_built_in_one_has_no_model(tmp_path, monkeypatch, embedded_extra):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    async with router(embedded={}) as asked:
        error = await refused(asked)
    assert "No model server was found" in str(error)
    assert "jupyter-llmroute embedded fetch" in str(error)


async def test_an_unknown_service():
    with llamacpp() as one, nobody() as two:
        async with router({"one": one.url, "two": two}) as asked:
            error = await refused(asked, service="three")
    assert type(error) is UnknownService
    assert str(error) == "There is no server named 'three'. Known servers: one, two."


async def test_an_unknown_model():
    with llamacpp(model="qwen3:8b") as one, llamacpp(model="llama3.2:3b") as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            error = await refused(asked, model="mistral")
    assert type(error) is UnknownModel
    assert str(error) == "No server has a model 'mistral'. Models there are: qwen3:8b, llama3.2:3b."


async def test_a_model_that_the_pinned_server_does_not_have():
    with llamacpp(model="qwen3:8b") as one, llamacpp(model="llama3.2:3b") as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            error = await refused(asked, model="llama3.2", service="one")
    assert type(error) is UnknownModel
    assert str(error) == "The server 'one' has no model 'llama3.2'. Models there are: qwen3:8b."


async def test_a_model_whose_server_died_is_not_taken_for_one_of_a_similar_name():
    with llamacpp(model="phi-4-mini-instruct") as other, ExitStack() as stack:
        own = stack.enter_context(llamacpp(model="phi-4"))
        async with router({"own": own.url, "other": other.url}) as asked:
            assert (await asked.decide(Request(question="Why?", model="phi-4"))).route.candidates[0].model.id == "phi-4"
            await asyncio.to_thread(stack.close)
            await asked.services(refresh=True)
            error = await refused(asked, model="phi-4")
    assert type(error) is RouteFailed
    assert "phi-4: " in str(error)
    assert "refused the connection" in str(error)
    assert not other.chats


async def test_a_model_of_more_words_than_were_asked_for_is_said_where_a_server_is_out_of_sight():
    with llamacpp(model="phi-4-mini-instruct") as other, nobody() as gone:
        async with router({"own": gone, "other": other.url}) as asked:
            routed = await asked.decide(Request(question="Why?", model="phi-4"))
            same = await asked.decide(Request(question="Why?", model="phi-4-mini-instruct"))
    said = "own may have a model 'phi-4' and cannot be looked into: phi-4-mini-instruct is taken for it."
    assert said in routed.remarks
    assert same.remarks == ()


@pytest.mark.parametrize("name", ["phi-4@two", "PHI-4@Two"])
async def test_a_name_with_its_server_asks_that_one(name: str):
    with llamacpp(model="phi-4") as one, llamacpp(model="phi-4") as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            routed = await asked.decide(Request(question="Why?", model=name))
    assert [candidate.endpoint.name for candidate in routed.route.candidates] == ["two"]


async def test_who_was_left_alone_is_asked_where_nobody_else_has_the_model():
    with llamacpp([sse(delta("half"))] * 3 + [says("Yes")], model="phi-4") as one, llamacpp(model="qwen3") as two:
        limits = {"breaker_failures": 2, "rescan_s": 3600}
        async with router({"one": one.url, "two": two.url}, limits=limits) as asked:
            for _ in range(3):
                await ask(asked, model="phi-4")
            await asked.services(refresh=True)
            events, error = await ask(asked, model="phi-4")
    assert error is None
    assert text(events) == "Yes"


async def test_a_question_that_is_too_long_for_all_says_so_once():
    with llamacpp(model="phi-4", window=2048) as one, llamacpp(model="qwen3", window=2048) as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            _, error = await ask(asked, question="word " * 9000)
    assert type(error) is TooLong
    assert "qwen3" in str(error)
    assert "phi-4" in str(error)
    assert str(error).count("do not fit") == 1


async def test_a_servers_names_do_not_break_the_line_of_an_error():
    with llamacpp(model="a\nb\u202ec" + "d" * 200) as one:
        async with router({"one": one.url}) as asked:
            error = await refused(asked, model="mistral")
    told = str(error).partition("Models there are: ")[2]
    assert told.startswith("a\ufffdb\ufffdcddd")
    assert len(told) < 90


async def test_an_unknown_model_where_a_server_could_not_be_looked_into():
    embedding = TAG | {"name": "nomic-embed-text", "capabilities": ["embedding"]}
    with ollama(tags=[TAG, embedding]) as one, nobody() as two:
        async with router({"one": one.url, "two": two}) as asked:
            error = await refused(asked, model="mistral")
    assert type(error) is UnknownModel
    assert str(error) == (
        "No server has a model 'mistral'. Models there are: nomic-embed-text, qwen3:8b. "
        f"Not looked into: two ({two} refused the connection: is the server running?)."
    )


async def test_a_model_that_runs_elsewhere():
    cloud = TAG | {"name": "gpt-oss:120b-cloud"}
    with ollama(tags=[cloud]) as server:
        async with router({"desk": server.url}) as asked:
            error = await refused(asked, model="gpt-oss:120b-cloud")
            assert type(await refused(asked)) is RouteFailed
    assert type(error) is RouteFailed
    assert str(error) == "No model can answer this. gpt-oss:120b-cloud: runs elsewhere (cloud tag 'gpt-oss:120b-cloud')"
    assert server.chats == []


async def test_a_pinned_server_that_is_down():
    with llamacpp() as one, nobody() as two:
        async with router({"one": one.url, "two": two}) as asked:
            error = await refused(asked, service="two")
    assert type(error) is RouteFailed
    assert "two: " in str(error)
    assert "is the server running?" in str(error)


async def test_a_server_that_wants_a_key():
    refusal = json_reply({"error": {"message": "Invalid API Key"}}, 401)
    with Scripted({}, otherwise=refusal, headers={"Server": "llama.cpp"}) as server:
        async with router({"desk": server.url}) as asked:
            error = await refused(asked)
    assert "set its endpoint and api_key in the settings" in str(error)


async def test_a_question_that_fits_no_window():
    with llamacpp(window=512) as server:
        async with router({"desk": server.url}) as asked:
            error = await refused(asked, question="word " * 5000)
    assert "do not fit its 512" in str(error)
    assert server.chats == []


async def test_half_a_character_is_said():
    with llamacpp() as server:
        async with router({"desk": server.url}) as asked:
            _, error = await ask(asked, "\ud83e")
    assert type(error) is UserError
    assert server.chats == []


# --- looking around ---


async def test_decide_decides_as_stream_does_and_asks_nobody():
    with llamacpp(model="qwen2.5-coder:7b") as one, ollama() as two:
        async with router({"one": one.url, "two": two.url}) as asked:
            decided = await asked.decide(Request(question="Why?"))
            assert one.chats == two.chats == []
            events, _ = await ask(asked)
    assert events[0] == decided


async def test_several_decisions_rest_on_one_look_also_where_nobody_can_answer():
    script = {"GET /v1/models": [json_reply({}, 404), json_reply({"data": [{"id": "m"}]})]}
    requests = [Request(question="", task=task) for task in Task]
    with Scripted(script) as late, Scripted({}) as never:
        async with router({"late": late.url}) as asked:
            await asked.services()
            taken = await asked.decide_each(requests)
        async with router({"never": never.url}) as asked:
            nobody_can = await asked.decide_each(requests, refresh=True)
    assert [[one.model.id for one in each.decision.route.candidates] for each in taken] == [["m"]] * len(Task)
    assert [each.decision.route.candidates for each in nobody_can] == [()] * len(Task)
    assert [server.lines.count("GET /v1/models") for server in (late, never)] == [2, 1]


async def test_nothing_is_looked_for_before_it_is_needed():
    with llamacpp() as server:
        async with router({"desk": server.url}):
            pass
    assert server.asked == []


async def test_a_look_is_good_for_a_while():
    with llamacpp() as server:
        async with router({"desk": server.url}, limits={"rescan_s": 3600}) as asked:
            for _ in range(3):
                await ask(asked)
            await asked.services()
    assert rounds(server) == 1


async def test_questions_at_the_same_time_share_a_look():
    with llamacpp() as server:
        async with router({"desk": server.url}) as asked:
            answers = await asyncio.gather(*(ask(asked) for _ in range(3)))
    assert [text(events) for events, _ in answers] == ["Hello"] * 3
    assert rounds(server) == 1


async def test_refresh_looks_again():
    with llamacpp() as server:
        async with router({"desk": server.url}, limits={"rescan_s": 3600}) as asked:
            await asked.services()
            await asked.services(refresh=True)
    assert rounds(server) == 2


async def test_when_the_look_is_old_the_answer_does_not_wait_for_a_new_one():
    """The second look hangs, and the question is answered all the same."""
    with llamacpp() as server:
        server.script[LIST].append(Reply((HANG,)))
        async with router({"desk": server.url}, limits={"rescan_s": 0, "scan_s": 60}) as asked:
            await asked.services()
            events, error = await ask(asked)
            await asyncio.wrap_future(server.arrival(LIST, 2))
    assert error is None
    assert text(events) == "Hello"


async def test_after_a_failure_it_looks_again():
    with llamacpp([sse(), says("Yes")]) as server:
        async with router({"desk": server.url}, limits={"rescan_s": 3600}) as asked:
            _, error = await ask(asked)
            assert isinstance(error, RouteFailed)
            events, _ = await ask(asked)
    assert text(events) == "Yes"
    assert rounds(server) == 2


async def test_a_server_that_is_well_again_is_found_by_looking_again():
    with llamacpp() as server:
        server.script[LIST].insert(0, json_reply(LOADING, 503))
        async with router({"desk": server.url}, limits={"first_token_s": 0.9}) as asked:
            error = await refused(asked)
            await asked.services(refresh=True)
            events, _ = await ask(asked)
    assert str(error) == "No model can answer this. desk: desk is reading its model"
    assert text(events) == "Hello"


async def test_a_server_that_was_started_since_the_last_look_is_found_by_the_next_question():
    with llamacpp() as server:
        server.script[LIST].insert(0, html(404))
        async with router({"desk": server.url}, limits={"rescan_s": 3600}) as asked:
            await asked.services()
            events, error = await ask(asked)
    assert error is None
    assert text(events) == "Hello"


async def test_where_the_only_server_reads_its_model_it_is_waited_for():
    with llamacpp() as server:
        server.script[LIST].insert(0, json_reply(LOADING, 503))
        async with router({"desk": server.url}) as asked:
            events, error = await ask(asked)
    assert error is None
    assert [event.kind for event in events][:4] == ["routed", "waiting", "routed", "attempt_started"]
    assert events[1].reason == "loading"
    assert text(events) == "Hello"


async def test_a_model_that_answered_counts_as_loaded():
    with ollama() as server:
        async with router({"desk": server.url}, limits={"rescan_s": 3600}) as asked:
            before = await asked.services()
            await ask(asked)
            after = await asked.services()
    assert [endpoint.models[0].loaded for endpoint in (*before, *after)] == [False, True]


async def test_two_routers_side_by_side_do_not_know_of_each_other():
    with llamacpp(says("one")) as one, llamacpp(says("two")) as two:
        async with router({"desk": one.url}) as first, router({"desk": two.url}) as second:
            (answer_one, _), (answer_two, _) = await asyncio.gather(ask(first), ask(second))
    assert [text(answer_one), text(answer_two)] == ["one", "two"]
    assert (len(one.chats), len(two.chats)) == (1, 1)


async def test_default_ports_of_the_hosts_in_the_settings_are_looked_at():
    """What is outside the allowed networks stays outside."""
    asked_for = set()

    def answer(request: httpx.Request) -> httpx.Response:
        asked_for.add((request.url.host, request.url.port))
        if request.url.host != "10.9.8.7":
            raise httpx.ConnectError("nobody is there")
        return httpx.Response(200, json={"data": [{"id": "m", "owned_by": "llamacpp"}]})

    given = Settings(
        discovery={"hosts": ["203.0.113.5", "10.9.8.7"], "host_machine": False}, embedded={"enabled": False}
    )
    kinds = {"llamacpp": LlamaCpp(), "ollama": Ollama()}
    async with Router(given, providers=kinds, transport=httpx.MockTransport(answer)) as asked:
        found = await asked.services()
    hosts, ports = ("127.0.0.1", "10.9.8.7"), (8080, 9931, 11434)
    assert asked_for == {(host, port) for host in hosts for port in ports}
    assert [endpoint.base_url for endpoint in found] == [f"http://10.9.8.7:{port}" for port in ports]
    assert not any(endpoint.is_here for endpoint in found)


# --- what processes share ---


async def test_what_one_has_just_seen_the_next_one_does_not_look_for(tmp_path):
    with llamacpp() as server:
        async with router({"desk": server.url}, state=tmp_path) as first:
            seen = await first.services()
        async with router({"desk": server.url}, state=tmp_path) as second:
            assert await second.services() == seen
            assert rounds(server) == 1
            events, error = await ask(second)
    assert (error, text(events)) == (None, "Hello")
    assert rounds(server) == 1


@pytest.mark.parametrize("why", ["refresh", "a failure", "too long ago"])
async def test_the_next_one_looks_itself_where_it_has_a_reason_to(tmp_path, why):
    limits = {"rescan_s": 0 if why == "too long ago" else 3600}
    with llamacpp([says("Yes"), sse(), says("Yes")]) as server:
        async with router({"desk": server.url}, state=tmp_path, limits=limits) as first:
            await ask(first)
        before = rounds(server)
        async with router({"desk": server.url}, state=tmp_path, limits=limits) as second:
            if why == "a failure":
                await ask(second)
            await second.services(refresh=why == "refresh")
    assert rounds(server) == before + 1


async def test_who_has_other_settings_looks_itself(tmp_path):
    with llamacpp() as server:
        async with router({"desk": server.url}, state=tmp_path) as first:
            await first.services()
        async with router({"bench": server.url}, state=tmp_path) as second:
            (endpoint,) = await second.services()
    assert endpoint.name == "bench"
    assert rounds(server) == 2


async def test_keys_are_not_in_the_file_and_stand_at_their_endpoints_again(tmp_path):
    with llamacpp() as server:
        for _ in range(2):
            async with router({"desk": server.url}, state=tmp_path, key="s3cret") as asked:
                assert [endpoint.api_key.get_secret_value() for endpoint in await asked.services()] == ["s3cret"]
                await ask(asked)
    assert rounds(server) == 1
    assert {each.headers.get("authorization") for each in server.asked} == {"Bearer s3cret"}
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"desk" in written
    assert b"s3cret" not in written
    assert b"Why?" not in written


async def test_a_key_does_not_go_to_an_address_that_only_the_file_knows(tmp_path):
    """Whoever writes to the file must not get it."""
    with llamacpp() as server, llamacpp() as thief:
        async with router({"desk": server.url}, state=tmp_path, key="s3cret") as first:
            await first.services()
        path = tmp_path / FILE_NAME
        path.write_text(path.read_text().replace(server.url, thief.url))
        async with router({"desk": server.url}, state=tmp_path, key="s3cret") as second:
            await ask(second)
    assert {each.headers.get("authorization") for each in thief.asked} <= {None}


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
async def test_only_the_user_may_read_the_file(tmp_path):
    folder = tmp_path / "new"
    async with router(state=folder) as asked:
        await asked.services()
    assert (folder.stat().st_mode & 0o777, (folder / FILE_NAME).stat().st_mode & 0o777) == (0o700, 0o600)


def as_seen_at(seen_at: float, text: str) -> str:
    """The same file, with every look at another time."""
    state = json.loads(text)
    looks = {mark: json.dumps(json.loads(look) | {"seen_at": seen_at}) for mark, look in state["looks"].items()}
    return json.dumps(state | {"looks": looks})


SPOILT = {
    # name: what becomes of the text of a good file
    "empty": lambda text: "",
    "cut": lambda text: text[:-20],
    "no JSON": lambda text: "<html>",
    "another kind of JSON": lambda text: "[1]",
    "deep": lambda text: "[" * 100_000,
    "of a later version": lambda text: json.dumps(json.loads(text) | {"version": 2}),
    "with what nobody knows": lambda text: json.dumps(json.loads(text) | {"gopher": 1}),
    "of long ago": lambda text: as_seen_at(1.0, text),
    "of the future": lambda text: as_seen_at(1e12, text),
    "of another's settings": lambda text: json.dumps({"looks": {"0" * 16: {"seen_at": 1e12, "endpoints": []}}}),
}


@pytest.mark.parametrize("name", SPOILT)
async def test_a_file_that_says_nothing_usable_is_as_if_it_were_not_there(tmp_path, name):
    with llamacpp() as server:
        async with router({"desk": server.url}, state=tmp_path) as first:
            await first.services()
        path = tmp_path / FILE_NAME
        path.write_text(SPOILT[name](path.read_text()))
        for _ in range(2):
            async with router({"desk": server.url}, state=tmp_path) as second:
                events, error = await ask(second)
            assert (error, text(events)) == (None, "Hello")
    assert rounds(server) == 2, "the second one wrote a good one"


@pytest.mark.parametrize("what", ["the folder is a file", "the file is a folder", "no rights"])
async def test_where_nothing_can_be_written_questions_are_answered_all_the_same(tmp_path, what):
    folder = tmp_path / "state"
    if what == "the folder is a file":
        folder.write_text("")
    else:
        (folder / FILE_NAME).mkdir(parents=True)
    if what == "no rights":
        folder.chmod(0o500)
    try:
        with llamacpp() as server:
            async with router({"desk": server.url}, state=folder) as asked:
                events, error = await ask(asked)
    finally:
        if what == "no rights":
            folder.chmod(0o700)
    assert (error, text(events)) == (None, "Hello")


async def test_without_a_file_nothing_is_shared(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    with llamacpp() as server:
        for _ in range(2):
            async with router({"desk": server.url}) as asked:
                await ask(asked)
    assert rounds(server) == 2
    assert list(tmp_path.iterdir()) == []


# --- leaving ---


async def test_early_exit_ends_the_servers_work_and_leaves_nothing_behind():
    before = asyncio.all_tasks()
    with llamacpp(sse(delta("Hel"), HANG)) as server:
        async with router({"desk": server.url}) as asked:
            async with aclosing(asked.stream(Request(question="Why?"))) as stream:
                async for event in stream:
                    if event.kind == "text_delta":
                        break
            assert await asyncio.wrap_future(server.chats[0].is_abandoned)
    # httpx leaves its own generators to the loop, which closes each in a task; these end by themselves.
    async with asyncio.timeout(30):
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left)


@pytest.mark.parametrize("reply", [Reply((HANG,)), sse(delta("Hel"), HANG)])
async def test_cancel_ends_the_servers_work_and_leaves_nothing_behind(reply):
    before = asyncio.all_tasks()
    with llamacpp(reply) as server:
        async with router({"desk": server.url}) as asked:
            asking = asyncio.create_task(ask(asked))
            sent = await asyncio.wrap_future(server.arrival(CHAT))
            asking.cancel()
            await asyncio.wait([asking])
            assert asking.cancelled()
            assert await asyncio.wrap_future(sent.is_abandoned)
    assert asyncio.all_tasks() == before


async def test_closing_while_it_looks_leaves_nothing_behind():
    before = asyncio.all_tasks()
    with Scripted({}, otherwise=Reply((HANG,))) as server:
        async with router({"desk": server.url}, limits={"scan_s": 60}) as asked:
            waiting = asyncio.create_task(asked.services())
            sent = await asyncio.wrap_future(server.arrival(LIST))
        await asyncio.wait([waiting])
        assert await asyncio.wrap_future(sent.is_abandoned)
    assert waiting.cancelled()
    assert asyncio.all_tasks() == before


async def test_who_waits_for_a_look_can_leave_and_the_look_goes_on_for_the_others():
    with llamacpp() as server:
        async with router({"desk": server.url}) as asked:
            first, second = asyncio.create_task(asked.services()), asyncio.create_task(asked.services())
            await asyncio.wrap_future(server.arrival(LIST))
            first.cancel()
            (endpoint,) = await second
    assert first.cancelled() or first.done()
    assert endpoint.name == "desk"
    assert rounds(server) == 1


async def test_a_server_that_is_called_as_the_built_in_one_keeps_its_name(tmp_path, monkeypatch, embedded_extra):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    with llamacpp() as server:
        async with router({"embedded": server.url}, embedded={}) as asked:
            mine, built_in = await asked.services()
            events, _ = await ask(asked, service="embedded")
    assert (mine.name, mine.base_url) == ("embedded", server.url)
    assert (built_in.name, built_in.provider) == ("embedded-2", "embedded")
    assert text(events) == "Hello"


@pytest.mark.parametrize("style", ["gopher", "embedded"])
async def test_a_dialect_that_is_not_there(style):
    with llamacpp() as server:
        services = {"jan": {"endpoint": server.url, "api_style": style}}
        async with router(services=services) as asked:
            events, error = await ask(asked)
    assert events == []
    assert type(error) is SettingsError
    assert "choose one of llamacpp, ollama, openai." in str(error)
    assert server.asked == []


# --- the real thing ---


async def test_the_real_embedded_server_answers(embedded):
    async with router(embedded={"threads": 1}) as asked:
        sampling = Sampling(temperature=0, max_tokens=4)
        events, error = await ask(asked, "Say hello.", service="embedded", sampling=sampling)
        (endpoint,) = await asked.services()
    assert error is None
    assert kinds(events)[:3] == ["routed", "attempt_started", "text_delta"]
    assert events[-1].answered_by == embedded.model
    assert events[-1].usage.completion_tokens <= 4
    assert [model.loaded for model in endpoint.models] == [True]
