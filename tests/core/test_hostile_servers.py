"""Servers that mean harm, on raw sockets: what they make us hold is bounded, and the error says what they did.

Memory is what Python allocates at most while a server is read, by tracemalloc, as a multiple of the stated cap.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import repeat

import httpx
import pytest

from jupyter_llmroute.core.errors import BrokenStream, LLMRouteError, ServerFailure
from jupyter_llmroute.core.ndjson import MAX_LINE_BYTES, LineDecoder, LineTooLong
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.probe import MAX_ANSWER_BYTES, Probe
from jupyter_llmroute.core.providers import Provider
from jupyter_llmroute.core.providers.ollama import Ollama
from jupyter_llmroute.core.providers.openai import MAX_COMPLETION_BYTES, OpenAICompatible
from jupyter_llmroute.core.sse import MAX_EVENT_BYTES, EventTooLong, SSEDecoder
from jupyter_llmroute.core.transport import MOST_BYTES, open_client, peer_errors, read_at_most

from .providers.asking import listen, opened
from .transcripts import ask, router

pytestmark = pytest.mark.anyio

MIB = 1 << 20
ENDLESS = 10 << 30
"""Bytes: nobody here ever gets so far."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def raw(pieces: Callable[[], Iterator[bytes]]) -> AsyncIterator[str]:
    """A server that answers every request with these pieces, until its client leaves."""
    talks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)  # its client is in the same loop
        writer.close()

    def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(converse(reader, writer))
        talks.add(task)
        task.add_done_callback(talks.discard)

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@contextmanager
def at_most(bytes_: float) -> Iterator[None]:
    """Fail where more is allocated at one time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < bytes_, f"{peak / MIB:.0f} MiB at one time, of {bytes_ / MIB:.0f}"


def head(content_type: str, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {content_type}", *lines, "", ""]).encode()


def answer(content_type: str, piece: bytes, times: int = ENDLESS, **headers: str) -> Callable[[], Iterator[bytes]]:
    """An answer of 10 GB that says so, of one piece again and again."""
    first = head(content_type, **({"Content_Length": str(ENDLESS)} | headers))
    return lambda: iter([first, *repeat(piece, times)]) if times < ENDLESS else _endless(first, piece)


def _endless(first: bytes, piece: bytes) -> Iterator[bytes]:
    yield first
    yield from repeat(piece)


SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"
BLOCK = b"x" * 65536
COMMENT = b": still here\n\n" * 1000
BOMB = gzip.compress(bytes(64 * MIB), 9)

CHATS: dict[str, tuple[Provider, Callable[[], Iterator[bytes]], type[LLMRouteError], str, float]] = {
    # name: the dialect, what is sent, the error, its words, and how much may be held
    "a line of 10 GB": (OpenAICompatible(), answer(SSE, BLOCK), BrokenStream, "16777216 bytes", 4 * MAX_EVENT_BYTES),
    "data lines of 10 GB": (
        OpenAICompatible(),
        answer(SSE, b"data: " + BLOCK + b"\n"),
        BrokenStream,
        "16777216 bytes",
        4 * MAX_EVENT_BYTES,
    ),
    "a completion of 10 GB": (
        OpenAICompatible(),
        answer(JSON, BLOCK),
        ServerFailure,
        "is this the API",
        4 * MAX_COMPLETION_BYTES,
    ),
    "a web page of 10 GB": (OpenAICompatible(), answer("text/html", BLOCK), ServerFailure, "is this the API", 4 * MIB),
    "a line of JSON of 10 GB": (Ollama(), answer(NDJSON, BLOCK), BrokenStream, "16777216 bytes", 4 * MAX_LINE_BYTES),
    "a head without end": (
        OpenAICompatible(),
        lambda: _endless(b"HTTP/1.1 200 OK\r\nX: ", BLOCK),
        BrokenStream,
        "broke off",
        4 * MIB,
    ),
    "heads without end": (
        OpenAICompatible(),
        lambda: _endless(b"HTTP/1.1 200 OK\r\n", b"X-Bomb: 1\r\n" * 5000),
        BrokenStream,
        "broke off",
        4 * MIB,
    ),
    "trailers without end": (
        OpenAICompatible(),
        lambda: _endless(head(SSE, Transfer_Encoding="chunked") + b"0\r\n", b"X-Bomb: 1\r\n" * 5000),
        BrokenStream,
        "broke off",
        4 * MIB,
    ),
    "a chunk's size without end": (
        OpenAICompatible(),
        lambda: _endless(head(SSE, Transfer_Encoding="chunked"), b"1" * 65536),
        BrokenStream,
        "broke off",
        4 * MIB,
    ),
    **{
        f"a bomb packed as {coding}": (
            OpenAICompatible(),
            answer(kind, packed, 1, Content_Encoding=coding, Content_Length=str(len(packed))),
            BrokenStream,
            "packed as",
            4 * MIB,
        )
        for coding, packed, kind in (
            ("gzip", BOMB, SSE),
            ("deflate", zlib.compress(bytes(64 * MIB)), JSON),
            ("gzip, gzip", gzip.compress(BOMB), "text/html"),
            ("br", b"\x1b" * 1000, SSE),
            ("zstd", b"\x28\xb5\x2f\xfd" * 100, JSON),
            ("X-GZIP", BOMB, SSE),
            ("no such coding", b"x" * 100, SSE),
        )
    },
}


@pytest.mark.parametrize("name", CHATS)
async def test_a_chat_with_a_hostile_server_ends_in_an_error_and_bounded_memory(name: str) -> None:
    provider, pieces, kind, words, most = CHATS[name]
    async with raw(pieces) as url:
        with at_most(most):
            heard = await listen(provider, url)
    assert type(heard.error) is kind
    assert words in str(heard.error)
    assert len(str(heard.error)) < 1000
    assert heard.text == heard.reasoning == ""


LOOKS = {
    "10 GB": (answer(JSON, BLOCK), None),
    "a bomb": (
        answer(JSON, BOMB, 1, Content_Encoding="gzip", Content_Length=str(len(BOMB))),
        "packed as 'gzip'",
    ),
    "a head without end": (lambda: _endless(b"HTTP/1.1 200 OK\r\nX: ", BLOCK), "broke off"),
}


@pytest.mark.parametrize("name", LOOKS)
async def test_a_look_at_a_hostile_server_holds_no_more_than_a_list_of_models(name: str) -> None:
    pieces, told = LOOKS[name]
    async with raw(pieces) as url, opened() as client:
        with at_most(4 * MAX_ANSWER_BYTES):
            probe = Probe(client, url, timeout_s=120)
            if told:
                with pytest.raises(BrokenStream, match=told):
                    await probe.get("/v1/models")
            else:
                seen = await probe.get("/v1/models")
                assert len(seen.body) < MAX_ANSWER_BYTES + MIB
                assert seen.json is None


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("comments", lambda: _endless(head(SSE), COMMENT)),
        ("items without a word", lambda: _endless(head(SSE), b'data: {"choices":[{"delta":{}}]}\n\n')),
        ("informational heads", lambda: _endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10)),
        ("an error that drips", lambda: _endless(b"HTTP/1.1 500 No\r\n\r\n", b"x")),
    ],
)
async def test_what_drips_without_a_word_is_given_up(name: str, pieces: Callable[[], Iterator[bytes]]) -> None:
    listed = b'{"object":"list","data":[{"id":"m","object":"model","owned_by":"llamacpp"}]}'

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            first = await reader.readuntil(b"\r\n\r\n")
            chosen = pieces() if first.startswith(b"POST") else iter([head(JSON, Connection="close"), listed])
            for piece in chosen:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with router({"a": url}, each={"api_style": "openai"}, limits={"first_token_s": 1.0}) as asked:
        outcome = await ask(asked)
    server.close()
    assert outcome.lines[-1] in ("a failed: TimedOut", "a failed: ServerFailure"), name
    assert outcome.error is not None


class Flood(httpx.AsyncByteStream):
    """More than the cap, of one block again and again."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        block = bytes(64 * MIB)
        for _ in range(MOST_BYTES // len(block) + 1):
            yield block


async def test_an_answer_is_cut_off_at_the_cap_of_the_door() -> None:
    flood = httpx.MockTransport(lambda request: httpx.Response(200, stream=Flood()))
    got = 0
    with at_most(128 * MIB):
        async with open_client(Policy(), transport=flood) as client:
            with pytest.raises(BrokenStream, match="more than 1 GiB"), peer_errors("desk"):  # noqa: PT012
                async with client.stream("GET", "http://127.0.0.1/") as response:
                    async for piece in response.aiter_raw():
                        got += len(piece)
    assert got == MOST_BYTES


KIB = 1 << 10


@pytest.mark.parametrize("decoder", [SSEDecoder, LineDecoder])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_small_pieces_are_held_as_one(decoder: type[SSEDecoder | LineDecoder], size: int) -> None:
    """A list of pieces of two bytes would be 25 times as large as what is in them."""
    held = decoder()
    with at_most(3 * 64 * KIB):
        for number in range(64 * KIB // size):
            held.feed(bytes([number % 200 + 33]) * size)


def test_data_lines_of_nothing_are_held_as_what_they_are() -> None:
    held = SSEDecoder()
    with at_most(3 * 64 * KIB):
        for _ in range(64):
            held.feed(b"data\n" * 100)
    lines = b"data: " + b"x" * MIB + b"\n"
    with pytest.raises(EventTooLong):
        _ = [held.feed(lines) for _ in range(17)]


def test_a_line_is_cut_off_before_it_is_joined() -> None:
    lines = LineDecoder()
    with at_most(4 * MAX_LINE_BYTES), pytest.raises(LineTooLong):
        _ = [lines.feed(BLOCK) for _ in range(MAX_LINE_BYTES // len(BLOCK) + 1)]


async def test_a_body_is_read_in_place_whatever_its_pieces() -> None:
    pieces = head(JSON, Transfer_Encoding="chunked"), b"2\r\nab\r\n" * 2000
    async with raw(lambda: _endless(*pieces)) as url, opened() as client, client.stream("GET", url) as response:
        assert await read_at_most(response, 64 * KIB) == b"ab" * (32 * KIB)
