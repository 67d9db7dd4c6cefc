"""The OpenAI dialect: what of a stream is text, what is an end, and what is a failure."""

import asyncio
import json

import pytest

from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BrokenStream,
    ContextOverflow,
    ModelLoading,
    ModelNotFound,
    OutOfMemory,
    PeerError,
    RefusedOption,
    ServerBusy,
    ServerFailure,
    Unreachable,
)
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.providers.openai import OpenAICompatible

from ...scripted import (
    CUT,
    HANG,
    LOADING,
    OVERFLOW,
    USAGE,
    Reply,
    Scripted,
    delta,
    html,
    json_reply,
    nobody,
    says,
    sse,
    text_reply,
)
from .asking import TEXTS, body, chat, first_chunk_then_leave, listen, models, recognises, sent, within_reason

pytestmark = pytest.mark.anyio
CHAT = "POST /v1/chat/completions"
LIST = "GET /v1/models"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def dialect():
    return OpenAICompatible()


# --- streams that are answers ---

EMOJI = "data: " + json.dumps(delta("🧿"), ensure_ascii=False) + "\n\n"
ANSWERS = {
    # name: (stream, text, reasoning, finish reason)
    "llama.cpp": (says("Hel", "lo"), "Hello", "", "stop"),
    "cut by its limit": (says("Hel", finish="length"), "Hel", "", "length"),
    "reasoning_content": (
        sse(delta(reasoning_content="hm"), delta("Yes"), delta(finish="stop")),
        "Yes",
        "hm",
        "stop",
    ),
    "reasoning": (sse(delta(reasoning="hm"), delta("Yes"), delta(finish="stop")), "Yes", "hm", "stop"),
    "finish with the last word": (sse(delta("Yes", finish="stop")), "Yes", "", "stop"),
    "no [DONE]": (sse(delta("Yes"), delta(finish="stop"), USAGE), "Yes", "", "stop"),
    "[DONE] alone is no end": (sse(delta("Yes"), "data: [DONE]\n\n"), "Yes", "", None),
    "comments": (sse(": ping\n\n", delta("Yes"), ": keepalive 1/2\n\n", delta(finish="stop")), "Yes", "", "stop"),
    "no delta": (sse('data: {"choices":[{"index":0}]}\n\n', delta("Yes", finish="stop")), "Yes", "", "stop"),
    "null delta": (sse('data: {"choices":[{"delta":null}]}\n\n', delta("Yes", finish="stop")), "Yes", "", "stop"),
    "CRLF, no space": (
        sse(f"data:{json.dumps(delta('Yes', finish='stop'))}\r\n\r\ndata:[DONE]\r\n\r\n"),
        "Yes",
        "",
        "stop",
    ),
    "no blank line at the end": (sse(f"data: {json.dumps(delta('Yes', finish='stop'))}"), "Yes", "", "stop"),
    "a character in two pieces": (
        Reply((EMOJI.encode()[:60], EMOJI.encode()[60:]), content_type="text/event-stream; charset=utf-8"),
        "🧿",
        "",
        None,
    ),
    "escaped character": (sse(r'data: {"choices":[{"delta":{"content":"\ud83e\uddff"}}]}' + "\n\n"), "🧿", "", None),
    "half a character": (sse(r'data: {"choices":[{"delta":{"content":"a\ud83e"}}]}' + "\n\n"), "a\ufffd", "", None),
    "nothing": (sse(), "", "", None),
    "an end and no word": (sse(delta(finish="stop"), "data: [DONE]\n\n"), "", "", "stop"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answer(dialect, name):
    stream, *expected = ANSWERS[name]
    with Scripted({CHAT: stream}) as server:
        heard = await listen(dialect, server.url)
    assert [heard.text, heard.reasoning, heard.last("finish_reason"), heard.error] == [*expected, None]


async def test_usage_and_the_name_that_the_server_gives_itself(dialect):
    with Scripted({CHAT: says("Hel", "lo")}) as server:
        heard = await listen(dialect, server.url)
    assert heard.last("usage") == Usage(prompt_tokens=42, cached_tokens=41, completion_tokens=2)
    assert heard.last("answered_by") == "m"


async def test_each_piece_is_given_when_it_comes(dialect):
    """The end of this answer never comes, and its beginning is there all the same."""
    with Scripted({CHAT: sse(delta("Hel"), HANG)}) as server:
        await first_chunk_then_leave(dialect, server.url)
        assert await within_reason(server.asked[0].is_abandoned)


async def test_leaving_before_the_first_token_ends_the_servers_work(dialect):
    with Scripted({CHAT: Reply((HANG,))}) as server:
        listening = asyncio.create_task(listen(dialect, server.url))
        asked = await within_reason(server.arrival(CHAT))
        listening.cancel()
        await asyncio.wait([listening])
        assert await within_reason(asked.is_abandoned)


# --- streams that are failures ---

ERROR_ITEM = 'data: {"error":{"code":500,"message":"Compute error.","type":"server_error"}}\n\n'
FAILURES = {
    # name: (reply, error, text that came before, words of the message)
    "overflow": (json_reply(OVERFLOW, 400), ContextOverflow, "", "9000 tokens"),
    "loading": (json_reply(LOADING, 503), ModelLoading, "", "Loading model"),
    "rate limit": (json_reply({"error": {"message": "slow down"}}, 429), ServerBusy, "", "slow down"),
    "no key": (json_reply({"error": {"message": "Invalid API Key"}}, 401), AuthenticationNeeded, "", "api_key"),
    "no model": (json_reply({"error": {"message": "gone"}}, 404), ModelNotFound, "", "gone"),
    "option": (json_reply({"error": {"message": "temperature"}}, 400), RefusedOption, "", "temperature"),
    "crash": (text_reply("", 500), ServerFailure, "", "HTTP 500"),
    "redirect": (Reply((), 307, headers={"Location": "http://127.0.0.1:1/"}), ServerFailure, "", "HTTP 307"),
    "web page": (html(), ServerFailure, "", "'text/html' where 'text/event-stream' was due"),
    "JSON with 200": (json_reply({"choices": []}), ServerFailure, "", "'application/json'"),
    "error with 200": (json_reply({"error": "Unexpected endpoint"}), ServerFailure, "", "Unexpected endpoint"),
    "no type": (Reply((b"x",), content_type=""), ServerFailure, "", "something without a type"),
    "error item": (sse(delta("Hel"), ERROR_ITEM), ServerFailure, "Hel", "Compute error"),
    "error item, then [DONE]": (sse(delta("Hel"), ERROR_ITEM, "data: [DONE]\n\n"), ServerFailure, "Hel", "Compute"),
    "error event": (sse('event: error\ndata: {"message":"out of memory"}\n\n'), OutOfMemory, "", "out of memory"),
    "error string": (sse('data: {"error":"out of memory"}\n\n'), OutOfMemory, "", "out of memory"),
    "overflow in the stream": (sse(f"data: {json.dumps(OVERFLOW)}\n\n"), ContextOverflow, "", "9000 tokens"),
    "error without a blank line": (sse(delta("Hel"), ERROR_ITEM.strip()), ServerFailure, "Hel", "Compute error"),
    "cut in mid-token": (sse(delta("Hel"), 'data: {"choices":[{"del', CUT), BrokenStream, "Hel", "broke off"),
    "ended in mid-token": (sse(delta("Hel"), 'data: {"choices":[{"del'), BrokenStream, "Hel", "not a chat completion"),
    "cut before an answer": (Reply((CUT,)), BrokenStream, "", "broke off"),
    "packed as it is not": (
        Reply((b"no gzip",), 200, "text/event-stream", {"Content-Encoding": "gzip"}),
        BrokenStream,
        "",
        "DecodingError",
    ),
    "garbage": (sse(delta("Hel"), "data: <oops>\n\n"), BrokenStream, "Hel", "not a chat completion: '<oops>'"),
    "other JSON": (sse("data: 5\n\n"), BrokenStream, "", "not a chat completion: '5'"),
    "other fields": (sse('data: {"choices":"x"}\n\n'), BrokenStream, "", "not a chat completion"),
    "a tower of brackets": (sse(f"data: {'[' * 100_000}\n\n"), BrokenStream, "", "not a chat completion"),
    "an endless event": (sse("data: ", *["x" * (1 << 20)] * 17), BrokenStream, "", "more than"),
    "no HTTP": (Reply((b"SSH-2.0-OpenSSH_9.6\r\n",), is_http=False), BrokenStream, "", "broke off"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failure(dialect, name):
    reply, kind, text, words = FAILURES[name]
    with Scripted({CHAT: reply}) as server:
        heard = await listen(dialect, server.url)
    assert (type(heard.error), heard.text) == (kind, text)
    assert str(heard.error).startswith("m on desk")
    assert words in str(heard.error)


async def test_an_overflow_tells_both_numbers(dialect):
    with Scripted({CHAT: json_reply(OVERFLOW, 400)}) as server:
        error = (await listen(dialect, server.url)).error
    assert isinstance(error, ContextOverflow)
    assert (error.prompt_tokens, error.context_window) == (9000, 8192)


async def test_refused(dialect):
    with nobody() as url:
        heard = await listen(dialect, url)
    assert type(heard.error) is Unreachable
    assert str(heard.error) == "m on desk refused the connection: is the server running?"


# --- what is sent ---


@pytest.mark.parametrize("name", TEXTS)
async def test_the_text_is_sent_character_for_character(dialect, name):
    request = await sent(dialect, chat(TEXTS[name]))
    assert body(request)["messages"] == [
        {"role": "system", "content": "You help."},
        {"role": "user", "content": TEXTS[name]},
    ]


async def test_body_holds_what_was_asked_for_and_nothing_else(dialect):
    plain = body(await sent(dialect, chat()))
    assert {key: value for key, value in plain.items() if key != "messages"} == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    chosen = body(await sent(dialect, chat(temperature=0, max_tokens=7, seed=3)))
    assert chosen == plain | {"temperature": 0.0, "max_tokens": 7, "seed": 3}


@pytest.mark.parametrize(
    ("base_url", "chat_path", "url"),
    [
        ("http://127.0.0.1:1", None, "http://127.0.0.1:1/v1/chat/completions"),
        ("http://127.0.0.1:1/", None, "http://127.0.0.1:1/v1/chat/completions"),
        ("http://127.0.0.1:1/base", None, "http://127.0.0.1:1/base/v1/chat/completions"),
        ("http://127.0.0.1:1", "/api/chat/completions", "http://127.0.0.1:1/api/chat/completions"),
    ],
)
async def test_where_it_is_sent(dialect, base_url, chat_path, url):
    assert str((await sent(dialect, chat(), url=base_url, chat_path=chat_path)).url) == url


@pytest.mark.parametrize(("key", "header"), [(None, None), ("s3cret", b"Bearer s3cret"), ("é", "Bearer é".encode())])
async def test_the_key_is_in_the_header_only(dialect, key, header):
    request = await sent(dialect, chat(), api_key=key)
    assert dict(request.headers.raw).get(b"authorization") == header
    assert b"s3cret" not in request.content + str(request.url).encode()


@pytest.mark.parametrize("key", ["s3cret\n", " s3cret", "s3\rcret", "s3\x00cret"])
async def test_a_key_that_no_header_can_carry_is_named_and_not_shown(dialect, key):
    with Scripted({}) as server:
        heard = await listen(dialect, server.url, api_key=key)
    assert type(heard.error) is AuthenticationNeeded
    assert "api_key of desk" in str(heard.error)
    assert "s3" not in str(heard.error)
    assert server.asked == []


# --- the list of models ---


@pytest.mark.parametrize(
    ("reply", "recognised"),
    [
        (json_reply({"object": "list", "data": []}), True),
        (json_reply({"data": [{"id": "m"}]}), True),
        (json_reply({"data": {}}), False),
        (json_reply({"models": []}), False),
        (json_reply([]), False),
        (json_reply({"data": []}, 401), False),
        (json_reply({"error": "Unexpected endpoint or method."}), False),
        (html(), False),
        (text_reply(""), False),
        (text_reply("[" * 100_000), False),
    ],
)
async def test_it_is_recognised_by_its_list(dialect, reply, recognised):
    with Scripted({LIST: reply}) as server:
        assert await recognises(dialect, server.url) is recognised


async def test_models_and_the_window_of_those_that_tell(dialect):
    listed = [
        {"id": "plain", "object": "model"},
        {"id": "vllm", "max_model_len": 4096, "owned_by": "vllm"},
        {"id": 5},
        {"name": "no id"},
        "odd",
        {"id": "odd", "max_model_len": "as much as you like"},
    ]
    with Scripted({LIST: json_reply({"data": listed})}) as server:
        found = await models(dialect, server.url)
    assert [(model.id, model.context_window) for model in found] == [("plain", None), ("vllm", 4096)]


async def test_a_list_at_a_path_of_its_own(dialect):
    with Scripted({"GET /api/models": json_reply({"data": [{"id": "m"}]})}) as server:
        assert [model.id for model in await models(dialect, server.url, models_path="/api/models")] == ["m"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json_reply({"detail": "Unauthorized"}, 401), AuthenticationNeeded),
        (json_reply(LOADING, 503), ModelLoading),
        (html(), ServerFailure),
        (Reply((CUT,)), BrokenStream),
    ],
)
async def test_a_list_that_cannot_be_had(dialect, reply, kind):
    with Scripted({LIST: reply}) as server, pytest.raises(PeerError) as caught:
        await models(dialect, server.url)
    assert type(caught.value) is kind
