"""A server of the OpenAI dialect whose tokens say when they were sent, or are those of a text with code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

MODELS = json.dumps({"object": "list", "data": [{"id": "clock", "object": "model"}]}).encode()


WORDS = (
    "A row",
    " of a",
    " table",
    " has ",
    "one ",
    "key, ",
    "and ",
    "`id`",
    " is ",
    "it.",
    "\n\n",
    "1. ",
    "Look",
    "\n\n",
)
CODE = (
    "```",
    "python\n",
    "def ",
    "total",
    "(row",
    "s):\n",
    "    ",
    "ret",
    "urn ",
    "sum(",
    "row ",
    "for ",
    "row ",
    "in ",
)
PROSE = (*WORDS * 4, *CODE, "rows", ")\n", "```", "\n\n")
"""Of about four characters each; an answer begins with them again and again."""


@contextlib.contextmanager
def token_server(tokens: int, every_s: float, *, prose: bool = False) -> Iterator[str]:
    """Serve on loopback in a thread; give the base URL.

    With `prose`, each token comes at its time from the answer's begin on, and the last words are "THE END".
    """
    urls: queue.SimpleQueue[str] = queue.SimpleQueue()
    stop = asyncio.Event()
    write = _stream_prose if prose else _stream

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await write(writer, tokens, every_s)
        writer.write(_event({}, "stop") + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: _serve(r, w, answer), "127.0.0.1", 0)
        urls.put(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await stop.wait()
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    yield urls.get(timeout=10)
    loop.call_soon_threadsafe(stop.set)
    thread.join()


async def _serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            if length := re.search(rb"content-length: (\d+)", head, re.IGNORECASE):
                await reader.readexactly(int(length[1]))
            if b"/v1/chat/completions" in head.split(b"\r\n", 1)[0]:
                await answer(writer)
            else:
                await _answer(writer, is_models=b" /v1/models " in head)
    writer.close()


async def _answer(writer: asyncio.StreamWriter, *, is_models: bool) -> None:
    status, body = (b"200 OK", MODELS) if is_models else (b"404 Not Found", b"{}")
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    writer.write(head + body)
    await writer.drain()


async def _stream(writer: asyncio.StreamWriter, tokens: int, every_s: float) -> None:
    for _ in range(tokens):
        writer.write(_event({"content": f"{time.time()!r} "}))
        await writer.drain()
        if every_s:
            await asyncio.sleep(every_s)


async def _stream_prose(writer: asyncio.StreamWriter, tokens: int, every_s: float) -> None:
    begun = time.perf_counter()
    for number in range(tokens):
        writer.write(_event({"content": PROSE[number % len(PROSE)]}))
        await writer.drain()
        await asyncio.sleep(max(0.0, begun + (number + 1) * every_s - time.perf_counter()))
    writer.write(_event({"content": "\n```\n\nTHE END" if _is_in_code(tokens) else "\n\nTHE END"}))


def _is_in_code(tokens: int) -> bool:
    return "".join(PROSE[: tokens % len(PROSE)]).count("```") % 2 == 1


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    item = {"model": "clock", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return _chunk(f"data: {json.dumps(item)}\n\n".encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    import sys

    with token_server(int(sys.argv[1]), float(sys.argv[2]), prose=sys.argv[3:] == ["prose"]) as address:
        print(address, flush=True)
        sys.stdin.read()  # until the one who started it is done
