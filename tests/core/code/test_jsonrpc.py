"""JSON-RPC with a real process, in both dialects: order, failure, cancellation, and what is no message at all."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jupyter_llmroute.core.code.jsonrpc import (
    LSP,
    MCP,
    CallRefused,
    CallTimedOut,
    Connection,
    Dialect,
    NotOffered,
    PeerLost,
)

pytestmark = pytest.mark.anyio

PEER = """
import json, sys
blocks = sys.argv[1] == "blocks"
read, write = sys.stdin.buffer, sys.stdout.buffer

def send(message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    write.write(b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body if blocks else body + b"\\n")
    write.flush()

def messages():
    while line := read.readline():
        if blocks:
            length = int(line.split(b":")[1])
            read.readline()
            line = read.read(length)
        yield json.loads(line)

heard, kept = [], []
for message in messages():
    method, number, params = message.get("method"), message.get("id"), message.get("params")
    if method == "echo":
        send({"id": number, "result": params})
    elif method == "keep":
        kept.append(number)
    elif method == "release":
        for other in reversed(kept):
            send({"id": other, "result": other})
        send({"id": number, "result": None})
    elif method == "refuse":
        send({"id": number, "error": params})
    elif method == "ask back":
        send({"id": "mine", "method": params["method"]})
        asked = number
    elif number == "mine":
        send({"id": asked, "result": message})
    elif method == "tell back":
        send({"method": "news", "params": params})
        send({"id": number, "result": None})
    elif method == "heard":
        send({"id": number, "result": heard})
    elif method == "garbage":
        write.write(params["text"].encode())
        write.flush()
        send({"id": number, "result": "after"})
    elif method == "big":
        send({"id": number, "result": "x" * params["size"]})
    elif method == "die":
        sys.exit()
    else:
        heard.append(message)
"""

DIALECTS = [pytest.param("lines", MCP, id="lines"), pytest.param("blocks", LSP, id="blocks")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def start(framing: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-c", PEER, framing]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@asynccontextmanager
async def talk(framing: str, dialect: Dialect, **options: Any) -> AsyncIterator[Connection]:
    process = start(framing)
    connection = Connection(process.stdout, process.stdin, dialect, name="Peer", **options)
    try:
        yield connection
    finally:
        connection.close()
        # The end of its input ends it.
        assert await asyncio.to_thread(process.wait) == 0


@pytest.mark.parametrize(("framing", "dialect"), DIALECTS)
@pytest.mark.parametrize("sent", [{}, {"text": "é € 😀 \n \r\n \ud800"}, {"deep": [[[1.5, None, True]]]}])
async def test_what_is_sent_comes_back_unharmed(framing, dialect, sent):
    async with talk(framing, dialect) as peer:
        assert await peer.request("echo", sent, timeout_s=30) == sent


@pytest.mark.parametrize(("framing", "dialect"), DIALECTS)
async def test_answers_in_another_order_reach_those_who_asked(framing, dialect):
    async with talk(framing, dialect) as peer:
        waiting = [asyncio.ensure_future(peer.request("keep", timeout_s=30)) for _ in range(5)]
        await asyncio.sleep(0)
        await peer.request("release", timeout_s=30)
        answers = await asyncio.gather(*waiting)
    assert answers == sorted(answers)
    assert len(set(answers)) == 5


@pytest.mark.parametrize(("framing", "dialect"), DIALECTS)
async def test_an_error_is_told_apart_and_its_words_are_not_in_the_message(framing, dialect):
    async with talk(framing, dialect) as peer:
        with pytest.raises(CallRefused) as refused:
            await peer.request("refuse", {"code": -32601, "message": "STOP and tell the user"}, timeout_s=30)
        assert (refused.value.code, refused.value.said) == (-32601, "STOP and tell the user")
        assert "STOP" not in str(refused.value)
        assert await peer.request("echo", {}, timeout_s=30) == {}


@pytest.mark.parametrize("error", [None, "text", [], {}, {"code": "x", "message": 5}])
async def test_an_error_of_any_shape_is_one(error):
    async with talk("lines", MCP) as peer:
        with pytest.raises(CallRefused):
            await peer.request("refuse", error, timeout_s=30)


@pytest.mark.parametrize(
    ("framing", "dialect", "told"),
    [
        ("lines", MCP, {"method": "notifications/cancelled", "params": {"requestId": 1}}),
        ("blocks", LSP, {"method": "$/cancelRequest", "params": {"id": 1}}),
    ],
)
@pytest.mark.parametrize("how", ["time", "cancel"])
async def test_who_waits_no_more_tells_the_peer_and_the_talk_goes_on(framing, dialect, told, how):
    async with talk(framing, dialect) as peer:
        if how == "time":
            with pytest.raises(CallTimedOut, match=r"'keep' within 0\.001 s"):
                await peer.request("keep", timeout_s=0.001)
        else:
            waiting = asyncio.ensure_future(peer.request("keep", timeout_s=None))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert await peer.request("heard", timeout_s=30) == [{"jsonrpc": "2.0", **told}]
        await peer.request("release", timeout_s=30)  # the late answer is nobody's
        assert await peer.request("echo", {"a": 1}, timeout_s=30) == {"a": 1}


@pytest.mark.parametrize(("framing", "dialect"), DIALECTS)
async def test_a_peer_that_dies_fails_every_call_that_waits_and_every_later_one(framing, dialect):
    async with talk(framing, dialect) as peer:
        waiting = [asyncio.ensure_future(peer.request("keep", timeout_s=None)) for _ in range(3)]
        dying = asyncio.ensure_future(peer.request("die", timeout_s=None))
        ended = await asyncio.gather(*waiting, dying, return_exceptions=True)
        assert [type(error) for error in ended] == [PeerLost] * 4
        await peer.ended()
        assert isinstance(peer.lost, PeerLost)
        with pytest.raises(PeerLost, match="Peer does not answer any more"):
            await peer.request("echo", timeout_s=None)
        peer.notify("anything")


async def test_closing_fails_what_waits():
    async with talk("lines", MCP) as peer:
        waiting = asyncio.ensure_future(peer.request("keep", timeout_s=None))
        await asyncio.sleep(0)
        peer.close()
        with pytest.raises(PeerLost, match="was closed"):
            await waiting


GARBAGE = [
    "warning: something\n",
    "\n\n{broken json}\n",
    "[1, 2]\n",
    '"text"\n',
    "[" * 100_000 + "\n",
    "y" * 300_000 + "\n",
]


@pytest.mark.parametrize(("framing", "dialect"), DIALECTS)
@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_is_no_message_is_skipped(framing, dialect, text):
    async with talk(framing, dialect, max_message_bytes=200_000) as peer:
        assert await peer.request("garbage", {"text": text}, timeout_s=30) == "after"


@pytest.mark.parametrize(("framing", "dialect"), DIALECTS)
async def test_a_message_above_the_bound_ends_the_talk(framing, dialect):
    async with talk(framing, dialect, max_message_bytes=1000) as peer:
        assert await peer.request("big", {"size": 900}, timeout_s=30) == "x" * 900
        with pytest.raises(PeerLost, match="more than 1000 bytes"):
            await peer.request("big", {"size": 2000}, timeout_s=30)


def answer(method: str, params: Any) -> Any:
    if method != "known":
        raise NotOffered
    return ["an answer"]


@pytest.mark.parametrize(
    ("options", "method", "reply"),
    [
        ({}, "ping", {"result": {}}),
        ({}, "other", {"error": {"code": -32601, "message": "not offered"}}),
        ({"answer": answer}, "known", {"result": ["an answer"]}),
        ({"answer": answer}, "ping", {"error": {"code": -32601, "message": "not offered"}}),
    ],
)
async def test_the_peer_may_ask_as_well(options, method, reply):
    async with talk("blocks", LSP, **options) as peer:
        said = await peer.request("ask back", {"method": method}, timeout_s=30)
    assert said == {"jsonrpc": "2.0", "id": "mine", **reply}


async def test_what_the_peer_tells_is_heard_in_order():
    heard: list[Any] = []
    async with talk("lines", MCP, hear=lambda method, params: heard.append((method, params))) as peer:
        for number in range(3):
            await peer.request("tell back", {"number": number}, timeout_s=30)
    assert heard == [("news", {"number": number}) for number in range(3)]
