"""The OpenAI dialect: what of a stream is text, what is an end, and what is a failure."""

import asyncio
import json
import re

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BadRequest,
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
from .asking import (
    TEXTS,
    body,
    chat,
    endpoint,
    first_chunk_then_leave,
    listen,
    models,
    opened,
    recognises,
    sent,
    within_reason,
)

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


def whole(text: str, *, beside: dict[str, object] | None = None, **more: object) -> Reply:
    """An answer in one piece, as of a server that does not stream; `more` goes into its message."""
    message = {"role": "assistant", "content": text, **more}
    usage = {"prompt_tokens": 42, "completion_tokens": 2}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json_reply({"choices": [choice], "model": "m", "usage": usage, **(beside or {})})


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
    "thinking": (sse(delta(thinking="hm"), delta("Yes"), delta(finish="stop")), "Yes", "hm", "stop"),
    "the same thoughts under two names": (
        sse(delta(reasoning="hm", reasoning_content="hm"), delta("Yes", finish="stop")),
        "Yes",
        "hm",
        "stop",
    ),
    "other thoughts under two names": (sse(delta(reasoning="b", reasoning_content="a")), "", "ab", None),
    "thoughts and text in one delta": (sse(delta("Yes", reasoning="hm", finish="stop")), "Yes", "hm", "stop"),
    "thoughts that are no text": (sse(delta("Yes", reasoning={"effort": "low"}, finish="stop")), "Yes", "", "stop"),
    "think tags": (
        sse(*map(delta, ("<thi", "nk>", "h", "m</th", "ink>", "\n\n", "Yes")), delta(finish="stop")),
        "Yes",
        "hm\n\n",
        "stop",
    ),
    "think tags of Magistral": (sse(delta("[THINK]hm[/THINK]Yes", finish="stop")), "Yes", "hm", "stop"),
    "thoughts that never end": (sse(delta("<think>hm, hm"), delta(finish="length")), "", "hm, hm", "length"),
    "no tag after all": (sse(delta(" <"), delta(finish="stop")), " <", "", "stop"),
    "tags beside a field for thoughts": (
        sse(delta(reasoning="hm"), delta("<think>is a tag</think>"), delta(finish="stop")),
        "<think>is a tag</think>",
        "hm",
        "stop",
    ),
    "an empty field for thoughts is none": (
        sse(delta("<think>hm</think>", reasoning=""), delta("Yes", reasoning=None, finish="stop")),
        "Yes",
        "hm",
        "stop",
    ),
    "parts": (
        sse(
            delta([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
            delta([{"type": "text", "text": "Y"}, {"type": "text", "text": "es"}, {"type": "image"}, 5], finish="stop"),
        ),
        "Yes",
        "hm",
        "stop",
    ),
    "KoboldCpp 1.76": (
        sse(delta("Y", finish="null"), delta("es", finish="null"), delta("", finish="stop")),
        "Yes",
        "",
        "stop",
    ),
    "KoboldCpp 1.76, no end": (sse(delta("Yes", finish="null")), "Yes", "", None),
    "an empty finish reason": (sse(delta("Yes", finish="")), "Yes", "", None),
    "a finish reason that is no word": (sse(delta("Yes", finish=5)), "Yes", "", None),
    "the whole message at the end again": (
        sse(delta("Yes"), {"choices": [{"message": {"content": "Yes"}, "finish_reason": "stop"}]}),
        "Yes",
        "",
        "stop",
    ),
    "the whole message alone": (
        sse({"choices": [{"message": {"content": "Yes", "reasoning": "hm"}, "finish_reason": "stop"}]}),
        "Yes",
        "hm",
        "stop",
    ),
    "no choices": (sse({"choices": None}, delta("Yes", finish="stop")), "Yes", "", "stop"),
    "no error": (sse(delta("Yes", finish="stop") | {"error": None}), "Yes", "", "stop"),
    "not streamed": (whole("Yes"), "Yes", "", "stop"),
    "not streamed, thoughts": (whole("Yes", reasoning_content="hm"), "Yes", "hm", "stop"),
    "not streamed, think tags": (whole("<think>hm</think>\nYes"), "Yes", "hm\n", "stop"),
    "not streamed, nothing": (whole(""), "", "", "stop"),
    "not streamed, a null error": (whole("Yes", beside={"error": None}), "Yes", "", "stop"),
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


TIMINGS = {"cache_n": 40, "prompt_n": 2, "predicted_n": 7}
"""llama.cpp's."""


@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        (whole("Yes"), Usage(prompt_tokens=42, completion_tokens=2)),
        (sse(delta("Yes", finish="stop")), None),
        (
            sse(delta("Yes", finish="stop") | {"timings": TIMINGS}),
            Usage(prompt_tokens=42, cached_tokens=40, completion_tokens=7),
        ),
        (sse(delta("Yes") | {"timings": {"prompt_n": 2, "predicted_n": 7}}), Usage(completion_tokens=7)),
        (
            sse(USAGE, delta("Yes") | {"timings": TIMINGS}),
            Usage(prompt_tokens=42, cached_tokens=41, completion_tokens=2),
        ),
        (sse(USAGE | {"timings": TIMINGS}), Usage(prompt_tokens=42, cached_tokens=41, completion_tokens=2)),
        (sse({"choices": [], "usage": {"prompt_tokens": "many", "completion_tokens": True}}), Usage()),
        (sse({"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 0}}), Usage(completion_tokens=0)),
        (sse({"choices": [], "usage": {"prompt_tokens_details": None}}), Usage()),
    ],
)
async def test_usage_as_the_server_tells_it(dialect, reply, usage):
    with Scripted({CHAT: reply}) as server:
        heard = await listen(dialect, server.url)
    assert (heard.last("usage"), heard.error) == (usage, None)


async def test_a_dialect_may_know_that_counts_are_invented():
    class Inventing(OpenAICompatible):
        def believed(self, usage):
            return usage.model_copy(update={"prompt_tokens": None})

    with Scripted({CHAT: says("Yes")}) as server:
        heard = await listen(Inventing(), server.url)
    assert heard.last("usage") == Usage(cached_tokens=41, completion_tokens=2)


async def test_a_stream_of_nothing_says_nothing(dialect):
    """The executor calls it broken."""
    with Scripted({CHAT: sse()}) as server:
        assert await listen(dialect, server.url) == ((), None)


# --- a key that a server could do without ---

STRICT = {
    "vLLM, of long ago": json_reply(
        {"error": {"message": "[{'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]"}}, 400
    ),
    "FastAPI": json_reply({"detail": [{"loc": ["body", "stream_options"], "msg": "extra fields not permitted"}]}, 422),
    "in the parameter": json_reply({"error": {"message": "Unknown field", "param": "include_usage"}}, 400),
    "beside an option": json_reply({"error": {"message": "no such keys: stream_options, seed"}}, 400),
}


@pytest.mark.parametrize("name", STRICT)
async def test_it_is_left_out_where_it_is_refused(dialect, name):
    with Scripted({CHAT: [STRICT[name], says("Yes")]}) as server:
        heard = await listen(dialect, server.url)
    first, second = (asked.json for asked in server.asked)
    assert (heard.text, heard.error) == ("Yes", None)
    assert second == {key: value for key, value in first.items() if key != "stream_options"}


async def test_it_is_left_out_once(dialect):
    with Scripted({CHAT: STRICT["FastAPI"]}) as server:
        heard = await listen(dialect, server.url)
    assert type(heard.error) is BadRequest
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "reply",
    [
        json_reply({"error": {"message": "no system role"}}, 400),
        json_reply({"error": {"message": "stream_options"}}, 500),
        sse(delta("Yes"), 'data: {"error":{"message":"stream_options","code":400}}\n\n'),
    ],
)
async def test_nothing_is_asked_twice_for_another_reason(dialect, reply):
    with Scripted({CHAT: reply}) as server:
        assert (await listen(dialect, server.url)).error
    assert len(server.asked) == 1


async def test_a_connection_is_not_used_again_after_a_500(dialect):
    """Two servers reset the next request on it: see the recorded answers of llama-cpp-python and transformers."""
    used_again = []

    async def fail_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1]))
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")
        used_again.append(await reader.read(1) != b"")
        writer.close()

    server = await asyncio.start_server(fail_once, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, opened() as client:
        for _ in range(3):
            with pytest.raises(ServerFailure, match="HTTP 500"):
                await anext(dialect.chat(client, endpoint(url), chat()))
    assert not any(used_again)


async def test_each_piece_is_given_when_it_comes(dialect):
    """The end of this answer never comes, and its beginning is there all the same."""
    with Scripted({CHAT: sse(delta("Hel"), HANG)}) as server:
        await first_chunk_then_leave(dialect, server.url)
        assert await within_reason(server.asked[0].is_abandoned)


DONE = "data: [DONE]\n\n"
AFTER_THE_END = {
    "nothing, and it stays open": (HANG,),
    "the connection is cut": (CUT,),
    "a comment, and it stays open": (": bye\n\n", HANG),
    "half an event": ('data: {"choi',),
    "an event too long": ("data: ", *["x" * (1 << 20)] * 17),
    "another answer": (delta("no", finish="length"), DONE),
    "an error": ('data: {"error":"late"}\n\n',),
}


@pytest.mark.parametrize("name", AFTER_THE_END)
@pytest.mark.parametrize("in_one_piece", [False, True])
async def test_what_follows_the_end_spoils_no_answer(dialect, name, in_one_piece):
    ended = sse(delta("Yes"), delta(finish="stop"), USAGE, DONE).pieces
    after = sse(*AFTER_THE_END[name]).pieces
    if in_one_piece:
        ended, after = (b"".join([*ended, *(each for each in after[:1] if isinstance(each, bytes))]),), after[1:]
    with Scripted({CHAT: Reply((*ended, *after), content_type="text/event-stream")}) as server:
        heard = await listen(dialect, server.url)
    assert (heard.text, heard.last("finish_reason"), heard.error) == ("Yes", "stop", None)
    assert heard.last("usage") == Usage(prompt_tokens=42, cached_tokens=41, completion_tokens=2)


async def test_a_connection_is_used_again_after_an_answer(dialect):
    visits = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(writer)
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (*sse(delta("Yes", finish="stop"), DONE).pieces, b""):
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with opened() as client:
        for _ in range(3):
            assert [chunk.text async for chunk in dialect.chat(client, endpoint(url), chat())] == ["Yes"]
    assert len(visits) == 1
    server.close()


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
    "error event in words": (sse("event: error\ndata: out of memory\n\n"), OutOfMemory, "", "out of memory"),
    "flat error item": (sse('data: {"object":"error","message":"boom"}\n\n'), ServerFailure, "", "boom"),
    "error item with a code": (
        sse(delta("Hel"), 'data: {"error":{"message":"no","code":503}}\n\n'),
        ServerBusy,
        "Hel",
        "no",
    ),
    "detail item": (sse('data: {"detail":{"msg":"out of memory"}}\n\n'), OutOfMemory, "", "out of memory"),
    "an error for an end": (sse(delta("Hel"), delta(finish="error")), ServerFailure, "Hel", "ended its answer with"),
    "an abort for an end": (sse(delta("Hel"), delta(finish="abort")), ServerFailure, "Hel", "'abort'"),
    "flat error with 200": (json_reply({"object": "error", "message": "boom"}), ServerFailure, "", "boom"),
    "detail with 200": (json_reply({"detail": "Not authenticated"}), ServerFailure, "", "Not authenticated"),
    "null with 200": (json_reply(None), ServerFailure, "", "'application/json'"),
    "a model list with 200": (json_reply({"data": []}), ServerFailure, "", "is this the API"),
    "half a completion": (text_reply('{"choices":[', 200, "application/json"), ServerFailure, "", "is this the API"),
    "a completion cut": (Reply((b'{"choices":[', CUT)), BrokenStream, "", "broke off"),
    "an endless completion": (Reply([b" " * (1 << 20)] * 17), ServerFailure, "", "is this the API"),
    "a web page with 502": (html(502), ServerFailure, "", "a web page (HTTP 502)"),
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


async def test_a_busy_server_says_when_to_come_back(dialect):
    with Scripted({CHAT: json_reply({"error": "queue full"}, 503, **{"Retry-After": "7"})}) as server:
        error = (await listen(dialect, server.url)).error
    assert isinstance(error, ServerBusy)
    assert error.retry_after_s == 7


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


WINDOWS = {
    # name: (model, window that is asked for, limit that is sent for a room of 100 tokens)
    "told": (ServedModel(id="m", context_window=4096), None, 100),
    "asked for": (ServedModel(id="m"), 4096, 100),
    "assumed": (ServedModel(id="m", context_window=4096, window_is_assumed=True), 4096, 5000),
    "unknown": (ServedModel(id="m"), None, 5000),
}


@pytest.mark.parametrize("name", WINDOWS)
async def test_no_more_tokens_are_asked_for_than_a_known_window_has_room_for(dialect, name):
    model, window, limit = WINDOWS[name]
    room = {"window": window, "room_tokens": 100}
    assert body(await sent(dialect, chat(model=model, max_tokens=5000).model_copy(update=room)))["max_tokens"] == limit
    assert body(await sent(dialect, chat(model=model, max_tokens=7).model_copy(update=room)))["max_tokens"] == 7
    assert "max_tokens" not in body(await sent(dialect, chat(model=model).model_copy(update=room)))


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


def test_the_window_is_the_servers(dialect):
    assert dialect.window_for(ServedModel(id="m", context_window=4096), 9000) is None


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


ELSEWHERE = {
    # name: (entry, sign)
    "a cloud tag": ({"id": "gpt-oss:120b-cloud"}, "cloud tag 'gpt-oss:120b-cloud'"),
    "a cloud's model": ({"id": "gpt-4o", "owned_by": "openai"}, "its owner is 'openai'; set models_are_local"),
    "in capitals": ({"id": "claude", "owned_by": "Anthropic"}, "its owner is 'Anthropic'"),
    "an engine's": ({"id": "m", "owned_by": "vllm"}, None),
    "somebody's": ({"id": "m", "owned_by": "me"}, None),
    "one whose name has a cloud's": ({"id": "m", "owned_by": "openai-compatible"}, None),
    "an owner that is no name": ({"id": "m", "owned_by": ["openai"]}, None),
    "a name that has one": ({"id": "openai/gpt-oss-20b"}, None),
    "nobody's": ({"id": "m"}, None),
}


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("vouched", [False, True])
async def test_a_model_that_runs_elsewhere_bears_the_sign_unless_the_user_vouches(dialect, name, vouched):
    entry, sign = ELSEWHERE[name]
    with Scripted({LIST: json_reply({"data": [entry]})}) as server:
        (model,) = await models(dialect, server.url, models_are_local=vouched)
    settled = vouched and name != "a cloud tag"  # that is no doubt
    assert (model.remote or "").startswith((not settled and sign) or "")
    assert (model.remote is None) is (settled or sign is None)


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
