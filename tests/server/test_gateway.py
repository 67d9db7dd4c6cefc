"""The gateway: what an OpenAI client sends reaches the model's server, and what comes back is what OpenAI would say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ..scripted import (
    CUT,
    HANG,
    LOADING,
    OVERFLOW,
    USAGE,
    Asked,
    Reply,
    delta,
    json_reply,
    line,
    llamacpp,
    ndjson,
    nobody,
    ollama,
    ollama_says,
    says,
    sse,
)
from .conftest import Start

pytestmark = pytest.mark.anyio

ASK = {"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
CHAT = "v1/chat/completions"

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CALLS = sse(
    delta(role="assistant", content=None),
    delta(tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '"Rome"}'}}]),
    delta(finish="tool_calls"),
    USAGE,
    "data: [DONE]\n\n",
)


def data_of(text: str) -> list[Any]:
    items = [block.removeprefix("data: ") for block in text.strip().split("\n\n")]
    return [item if item == "[DONE]" else json.loads(item) for item in items]


async def test_the_models_are_those_that_may_be_asked_and_auto(start: Start) -> None:
    with llamacpp(model="qwen3-8b") as server:
        async with start(server.url) as jupyter:
            listed = (await jupyter.client.get("v1/models")).json()
            one = await jupyter.client.get("v1/models/qwen3-8b")
            none = await jupyter.client.get("v1/models/gpt-5")
    assert [model["id"] for model in listed["data"]] == [
        "auto",
        "auto:coding",
        "auto:reasoning",
        "auto:analysis",
        "auto:documentation",
        "qwen3-8b",
    ]
    assert listed["object"] == "list"
    assert one.json() == {"id": "qwen3-8b", "object": "model", "created": 0, "owned_by": "server0"}
    assert none.status_code == 404
    assert none.json()["error"]["code"] == "model_not_found"


async def test_a_whole_answer_has_its_usage_and_the_decision_in_its_headers(start: Start) -> None:
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json=ASK)
    body = answer.json()
    assert answer.status_code == 200
    assert body["choices"][0]["message"]["content"] == "Hello"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert (body["object"], body["model"]) == ("chat.completion", "m")
    assert body["usage"] == {
        "prompt_tokens": 42,
        "completion_tokens": 2,
        "total_tokens": 44,
        "prompt_tokens_details": {"cached_tokens": 41},
    }
    told = {name: answer.headers[f"x-llmroute-{name}"] for name in ("model", "service", "task", "level", "attempts")}
    assert told == {"model": "m", "service": "server0", "task": "reasoning", "level": "primary", "attempts": "1"}
    assert answer.headers["x-llmroute-reason"]


@pytest.mark.parametrize("with_usage", [False, True])
async def test_a_streamed_answer_is_in_openais_chunks(start: Start, with_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if with_usage else {}
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json={**ASK, "stream": True, **options})
    *items, end = data_of(answer.text)
    assert end == "[DONE]"
    assert answer.headers["content-type"] == "text/event-stream"
    assert "content-encoding" not in answer.headers
    assert answer.headers["x-llmroute-model"] == "m"
    choices = [item["choices"][0] for item in items if item["choices"]]
    assert [choice["delta"].get("content") for choice in choices] == ["", "Hel", "lo", None]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert [item["usage"]["total_tokens"] for item in items if "usage" in item] == ([44] if with_usage else [])
    assert len({(item["id"], item["created"], item["model"], item["object"]) for item in items}) == 1


async def test_messages_and_parameters_reach_the_server_as_they_are(start: Start) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "The weather"}, {"type": "text", "text": "in Rome?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    passed = {
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
        "stop": ["\n\n"],
        "top_p": 0.5,
    }
    sampling = {"temperature": 0.25, "max_tokens": 17, "seed": 7}
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            sent = {"model": "m", "messages": messages, "user": "ann", **passed, **sampling}
            answer = await jupyter.client.post(CHAT, json=sent)
        assert answer.status_code == 200, answer.text
        received = server.chats[-1].json
    assert received["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "The weather\nin Rome?"},
        {"role": "assistant", "content": "", "tool_calls": messages[2]["tool_calls"]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]
    assert {key: received[key] for key in (*passed, *sampling)} == {**passed, **sampling}
    assert "user" not in received


async def test_json_mode_is_each_dialects_own(start: Start) -> None:
    with llamacpp(model="m") as server, ollama() as other:
        async with start(server.url, other.url) as jupyter:
            for model in ("m", "qwen3:8b"):
                asked = {**ASK, "model": model, "response_format": {"type": "json_object"}}
                assert (await jupyter.client.post(CHAT, json=asked)).status_code == 200
        assert server.chats[-1].json["response_format"] == {"type": "json_object"}
        assert next(a for a in reversed(other.chats) if a.path == "/api/chat").json["format"] == "json"


@pytest.mark.parametrize("is_stream", [False, True])
async def test_calls_of_tools_come_back(start: Start, is_stream: bool) -> None:
    with llamacpp(CALLS, model="m") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json={**ASK, "tools": [WEATHER], "stream": is_stream})
    if is_stream:
        choices = [item["choices"][0] for item in data_of(answer.text) if item != "[DONE]"]
        pieces = [piece for choice in choices for piece in choice["delta"].get("tool_calls", ())]
        assert pieces[0] == {
            "index": 0,
            "id": "c1",
            "type": "function",
            "function": {"name": "weather", "arguments": ""},
        }
        assert "".join(piece["function"]["arguments"] for piece in pieces) == '{"city":"Rome"}'
        assert choices[-1]["finish_reason"] == "tool_calls"
    else:
        (choice,) = answer.json()["choices"]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        assert choice["message"]["tool_calls"] == [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
        ]


async def test_calls_of_tools_come_back_from_ollama_too(start: Start) -> None:
    calls = [{"function": {"name": "weather", "arguments": {"city": city}}} for city in ("Rome", "Oslo")]
    lines = [{**line(), "message": {"role": "assistant", "content": "", "tool_calls": [call]}} for call in calls]
    reply = ndjson(*lines, line(done=True, done_reason="stop", prompt_eval_count=26, eval_count=9))
    asked = {
        "model": "qwen3:8b",
        "messages": [
            *ASK["messages"],
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"in": 1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        ],
        "tools": [WEATHER],
        "stop": "END",
        "top_p": 0.5,
    }
    with ollama(reply) as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json=asked)
        received = next(each for each in reversed(server.chats) if each.path == "/api/chat").json
    (choice,) = answer.json()["choices"]
    told = [(call["function"]["name"], call["function"]["arguments"]) for call in choice["message"]["tool_calls"]]
    assert told == [("weather", '{"city": "Rome"}'), ("weather", '{"city": "Oslo"}')]
    assert len({call["id"] for call in choice["message"]["tool_calls"]}) == 2
    assert choice["finish_reason"] == "tool_calls"
    assert received["messages"][1]["tool_calls"] == [{"function": {"name": "now", "arguments": {"in": 1}}}]
    assert received["messages"][2] == {"role": "tool", "content": "noon", "tool_name": "now"}
    assert received["tools"] == [WEATHER]
    assert (received["options"]["stop"], received["options"]["top_p"]) == (["END"], 0.5)


async def test_a_wish_that_one_server_cannot_be_told_goes_to_another(start: Start) -> None:
    with ollama() as cannot, llamacpp(CALLS, model="m") as can:
        async with start(cannot.url, can.url) as jupyter:
            asked = {**ASK, "tools": [WEATHER], "tool_choice": "required"}
            answer = await jupyter.client.post(CHAT, json=asked)
    assert answer.headers["x-llmroute-model"] == "m"


async def test_thoughts_come_in_a_field_of_their_own(start: Start) -> None:
    thinks = sse(delta(reasoning_content="Hm."), delta("Yes."), delta(finish="stop"), "data: [DONE]\n\n")
    with llamacpp(thinks, model="m") as server:
        async with start(server.url) as jupyter:
            whole = (await jupyter.client.post(CHAT, json=ASK)).json()
            stream = data_of((await jupyter.client.post(CHAT, json={**ASK, "stream": True})).text)
    assert whole["choices"][0]["message"]["reasoning_content"] == "Hm."
    assert whole["choices"][0]["message"]["content"] == "Yes."
    assert stream[1]["choices"][0]["delta"] == {"reasoning_content": "Hm."}


@pytest.mark.parametrize("is_stream", [False, True])
async def test_another_model_answers_where_the_first_fails_before_its_first_word(start: Start, is_stream: bool) -> None:
    with llamacpp(json_reply({"error": "broken"}, 500), model="qwen2.5-72b") as bad, llamacpp(model="tiny") as good:
        async with start(bad.url, good.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json={**ASK, "stream": is_stream})
    assert answer.status_code == 200
    assert answer.headers["x-llmroute-model"] == "tiny"
    assert answer.headers["x-llmroute-service"] == "server1"
    assert answer.headers["x-llmroute-attempts"] == "2"


@pytest.mark.parametrize("first", [delta("Hel"), delta(reasoning_content="Hm.")])
async def test_an_answer_that_breaks_off_ends_with_an_error_and_no_done(start: Start, first: dict[str, Any]) -> None:
    with llamacpp(sse(first, CUT), model="qwen2.5-72b") as bad, llamacpp(model="tiny") as good:
        async with start(bad.url, good.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json={**ASK, "stream": True})
        assert not good.chats
    *_, end = data_of(answer.text)
    assert end["error"]["type"] == "api_error"
    assert end["error"]["code"] == "broken_stream"


FAILURES: list[tuple[Reply, int, str, str | None]] = [
    (json_reply(OVERFLOW, 400), 400, "invalid_request_error", "context_length_exceeded"),
    (json_reply({"error": "bad temperature"}, 400), 400, "invalid_request_error", "upstream_refused"),
    (json_reply({"error": "Invalid key sk-abcdefghijklmnop0123456789"}, 401), 502, "api_error", "upstream_wants_key"),
    (json_reply({"error": "model 'm' not found"}, 404), 404, "invalid_request_error", "model_not_found"),
    (json_reply({"error": "server busy"}, 503), 429, "rate_limit_error", "server_busy"),
    (json_reply({"error": "cudaMalloc failed: out of memory"}, 500), 503, "api_error", "out_of_memory"),
    (json_reply({"error": "it broke"}, 500), 502, "api_error", "upstream_failed"),
    (Reply((CUT,)), 502, "api_error", "broken_stream"),
    (says(""), 502, "api_error", "empty_answer"),
]


@pytest.mark.parametrize(("reply", "status", "kind", "code"), FAILURES)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_failure_of_the_server_is_openais_error(
    start: Start, reply: Reply, status: int, kind: str, code: str | None, is_stream: bool
) -> None:
    with llamacpp(reply, model="m") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json={**ASK, "stream": is_stream})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (status, kind, code), answer.text
    assert "sk-abcdefghij" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("POST", "v1/embeddings", 404, "only models and chat/completions are served"),
        ("GET", "v1/responses/1", 404, "only models and chat/completions are served"),
        ("GET", CHAT, 405, "chat/completions POST"),
        ("DELETE", "v1/models/m", 405, "models GET"),
    ],
)
async def test_what_is_not_served_is_said_as_openai_says_it(
    start: Start, method: str, path: str, status: int, said: str
) -> None:
    async with start() as jupyter:
        answer = await jupyter.client.request(method, path, json={})
        stranger = await jupyter.nobody.request(method, path, json={})
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, "invalid_request_error")
    assert said in answer.json()["error"]["message"]
    assert stranger.status_code in ((401, 403) if status == 404 else (401, 403, 405))


async def test_a_question_that_no_window_holds_is_too_long(start: Start) -> None:
    with llamacpp(model="m", window=2048) as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(
                CHAT, json={**ASK, "messages": [{"role": "user", "content": "word " * 9000}]}
            )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


async def test_where_nobody_is_there_that_is_said(start: Start) -> None:
    with nobody() as down:
        async with start(down) as jupyter:
            answer = await jupyter.client.post(CHAT, json=ASK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_model")


async def test_a_server_that_is_too_slow_is_a_timeout(start: Start) -> None:
    with llamacpp(sse(HANG), model="m") as server:
        async with start(server.url, settings={"limits": {"first_token_s": 0.05, "attempts": 1}}) as jupyter:
            answer = await jupyter.client.post(CHAT, json=ASK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")


async def test_a_model_that_loads_is_waited_for(start: Start) -> None:
    with llamacpp([json_reply(LOADING, 503), says("Hello")], model="m") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json=ASK)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize(
    ("model", "asked"),
    [("auto", "reasoning"), ("auto:coding", "coding"), ("AUTO:Documentation", "documentation"), ("m@server0", None)],
)
async def test_a_model_is_auto_a_task_or_its_own_name(start: Start, model: str, asked: str | None) -> None:
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json={**ASK, "model": model})
    assert answer.headers["x-llmroute-model"] == "m"
    assert asked in (None, answer.headers["x-llmroute-task"])


REFUSED: list[tuple[dict[str, Any] | bytes, int, str | None]] = [
    ({**ASK, "model": "gpt-5"}, 404, "model"),
    ({**ASK, "model": "auto:poetry"}, 404, "model"),
    ({**ASK, "model": "m@nowhere"}, 404, None),
    ({**ASK, "model": ""}, 400, "model"),
    ({"messages": ASK["messages"]}, 400, "model"),
    ({"model": "auto"}, 400, "messages"),
    ({**ASK, "messages": []}, 400, "messages"),
    ({**ASK, "messages": [{"role": "cook", "content": ""}]}, 400, "messages.0.role"),
    ({**ASK, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, 400, None),
    ({**ASK, "temperature": 3}, 400, "temperature"),
    ({**ASK, "max_tokens": 0}, 400, "max_tokens"),
    ({**ASK, "max_tokens": 10**400}, 400, "max_tokens"),
    ({**ASK, "seed": -(10**30)}, 400, "seed"),
    ({**ASK, "temperature": float("nan")}, 400, "temperature"),
    ({**ASK, "top_p": float("nan")}, 400, "top_p"),
    ({**ASK, "stop": ["END"], "logit_bias": {"1": float("inf")}}, 400, "logit_bias"),
    ({**ASK, "n": 2}, 400, "n"),
    ({**ASK, "logprobs": True}, 400, "logprobs"),
    ({**ASK, "response_format": {"type": "xml"}}, 400, "response_format"),
    ({**ASK, "api_base": "http://far.example"}, 400, "api_base"),
    ({**ASK, "fallbacks": ["gpt-4o"]}, 400, "fallbacks"),
    (b"{", 400, None),
    (b"", 400, None),
    (b"[" * 100_000, 400, None),
    (b" " * (8 << 20) + b"{}", 413, None),
]


@pytest.mark.parametrize(("body", "status", "param"), REFUSED)
async def test_what_cannot_be_done_is_refused_and_nobody_asked(
    start: Start, body: dict[str, Any] | bytes, status: int, param: str | None
) -> None:
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await jupyter.client.post(CHAT, content=content)
            for _ in range(3):  # nor is a server left alone for what a client sends
                again = await jupyter.client.post(CHAT, content=content)
            served = (await jupyter.client.get("services")).json()["services"]
        assert not server.chats
        assert served[0]["healthy"]
    error = answer.json()["error"]
    assert (answer.status_code, again.status_code) == (status, status), answer.text
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    if param:
        assert error["param"] == param


async def test_a_client_that_leaves_ends_the_servers_work(start: Start) -> None:
    with llamacpp(sse(delta("Hel"), HANG), model="m") as server:
        async with start(server.url) as jupyter:
            async with jupyter.client.stream("POST", CHAT, json={**ASK, "stream": True}) as answer:
                async for piece in answer.aiter_text():
                    if "Hel" in piece:
                        break
            asked: Asked = server.chats[-1]
            assert await _abandoned(asked)


async def test_a_client_that_leaves_before_the_first_word_ends_the_servers_work(start: Start) -> None:
    with llamacpp(sse(HANG), model="m") as server:
        arrival = server.arrival(f"POST /{CHAT}")
        async with start(server.url) as jupyter:
            asking = asyncio.create_task(jupyter.client.post(CHAT, json=ASK))
            asked = await asyncio.wrap_future(arrival)
            asking.cancel()
            assert await _abandoned(asked)


async def _abandoned(asked: Asked) -> bool:
    async with asyncio.timeout(20):
        return await asyncio.wrap_future(asked.is_abandoned)


async def test_secrets_of_the_settings_are_in_no_error(start: Start) -> None:
    key = "a-key-nobody-may-see-0123456789"
    with llamacpp(json_reply({"error": f"what is {key}?"}, 401), model="m") as server:
        services = {
            "custom_endpoints": [{"name": "mine", "endpoint": server.url, "api_key": key, "max_retries": 0}],
        }
        async with start(settings={"services": services}) as jupyter:
            answer = await jupyter.client.post(CHAT, json=ASK)
    assert answer.status_code == 502
    assert key not in answer.text


async def test_ollama_answers_through_the_gateway(start: Start) -> None:
    with ollama(ollama_says("Hel", "lo")) as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post(CHAT, json={**ASK, "model": "qwen3:8b"})
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"


# --- which tool asks ---


async def test_the_log_names_the_tool_that_asks_by_its_own_word(start: Start, tmp_path: Path) -> None:
    security = {"audit_log_path": str(tmp_path / "log" / "audit.jsonl"), "audit_fsync": False}
    with llamacpp(model="m") as server:
        async with start(server.url, settings={"security": security}) as jupyter:
            for tool in ("Cline/3.74.0", "RooCode/3.52.1"):
                answer = await jupyter.client.post(CHAT, json=ASK, headers={"User-Agent": tool})
                assert answer.status_code == 200
            tail = (await jupyter.client.get("audit")).json()["records"]
    said = [(body["caller"], body["caller_by"]) for body in tail if body["kind"] == "ended"]
    assert said == [("cline", "user-agent"), ("roo-code", "user-agent")]


async def test_the_settings_for_a_tool_hold_through_the_gateway_where_it_says_nothing_itself(start: Start) -> None:
    callers = {"cline": {"model": "b", "temperature": 0.2, "cells": "1"}}
    cline, named = {"User-Agent": "Cline/3.74.0"}, {**ASK, "model": "a", "temperature": 0.9}
    with llamacpp(model="a") as first, llamacpp(model="b") as second:
        async with start(first.url, second.url, settings={"callers": callers}) as jupyter:
            for body, headers in ((ASK, {}), (ASK, cline), (named, cline)):
                assert (await jupyter.client.post(CHAT, json=body, headers=headers)).status_code == 200
        assert [chat.json["temperature"] for chat in second.chats] == [0.2]
        assert [chat.json.get("temperature") for chat in first.chats] == [None, 0.9]


async def test_settings_for_a_tool_that_no_request_can_have_are_named(start: Start) -> None:
    with llamacpp(model="a") as server:
        async with start(server.url, settings={"callers": {"cline": {"task": "poetry"}}}) as jupyter:
            answer = await jupyter.client.post(CHAT, json=ASK, headers={"User-Agent": "Cline/3.74.0"})
    assert "callers.cline.task" in answer.json()["error"]["message"]
    assert not server.chats
