"""Many streams at once, and readers that are slow."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ..scripted import Asked, Reply, Scripted, delta, json_reply, sse
from .conftest import Jupyter, Start

pytestmark = pytest.mark.anyio

STREAMS = int(os.environ.get("LLMROUTE_TEST_STREAMS", "200"))
CHUNKS = 25

LISTED = json_reply({"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 8192}]})


def echoes(asked: Asked) -> Reply:
    """Answer in numbered pieces that all bear the question's own mark."""
    mark = asked.json["messages"][-1]["content"]
    pieces = [delta(f"<{mark}.{number}>") for number in range(CHUNKS)]
    return sse(*pieces, delta(finish="stop"), "data: [DONE]\n\n")


async def stream(jupyter: Jupyter, mark: int) -> str:
    asked = {"model": "auto:coding", "stream": True, "messages": [{"role": "user", "content": f"q{mark}"}]}
    answer = await jupyter.client.post("v1/chat/completions", json=asked)
    assert answer.status_code == 200, answer.text
    items = [item.removeprefix("data: ") for item in answer.text.strip().split("\n\n")]
    assert items.pop() == "[DONE]"
    return "".join(json.loads(item)["choices"][0]["delta"].get("content", "") for item in items)


async def test_many_streams_at_once_lose_and_mix_nothing(start: Start) -> None:
    with Scripted({"GET /v1/models": LISTED, "POST /v1/chat/completions": echoes}) as server:
        async with start(server.url, settings={"security": {"audit_fsync": False}}) as jupyter:
            texts = await asyncio.gather(*(stream(jupyter, mark) for mark in range(STREAMS)))
    expected = ["".join(f"<q{mark}.{number}>" for number in range(CHUNKS)) for mark in range(STREAMS)]
    assert texts == expected


class Pouring(BaseHTTPRequestHandler):
    """A model's server that writes as fast as it is read; it notes whether it was held back."""

    protocol_version = "HTTP/1.1"
    PIECE = f"data: {json.dumps(delta('sixteen letters '))}\n\n".encode() * 500
    PIECES = 450  # an answer of more than 4 million characters is none
    STALLED_S = 1.0
    outcome: Future[str]

    def do_GET(self) -> None:
        body = LISTED.pieces[0] if self.path == "/v1/models" else b"{}"
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.close_connection = True
        self.connection.settimeout(self.STALLED_S)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        try:
            for _ in range(self.PIECES):
                self.wfile.write(self.PIECE)
        except OSError as error:
            self.outcome.set_result("held back" if isinstance(error, TimeoutError) else repr(error))
        else:
            self.outcome.set_result("poured out")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def pouring() -> Iterator[tuple[str, Future[str]]]:
    """Give the address of such a server, and what becomes of its answer."""
    outcome: Future[str] = Future()
    handler = type("Once", (Pouring,), {"outcome": outcome})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", outcome
        finally:
            server.shutdown()
            thread.join()


async def test_a_reader_that_does_not_read_holds_the_models_server_back(start: Start) -> None:
    """What a slow reader has not taken is not read either: 50 MB are due to it, and most stay where they are."""
    asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
    with pouring() as (url, outcome):
        async with start(url) as jupyter:
            async with jupyter.client.stream("POST", "v1/chat/completions", json=asked) as answer:
                assert answer.status_code == 200
                assert await asyncio.wrap_future(outcome) == "held back"
