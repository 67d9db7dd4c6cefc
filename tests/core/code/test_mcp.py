"""The three calls of the Model Context Protocol, with a server that speaks it and one that does not."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jupyter_llmroute.core.code.jsonrpc import MCP, CallRefused, CallTimedOut, Connection, PeerLost
from jupyter_llmroute.core.code.mcp import PROTOCOL_VERSION, ToolServer
from jupyter_llmroute.core.code.serena_home import EDIT_TOOLS, READ_TOOLS

pytestmark = pytest.mark.anyio

WITHOUT_SENSE = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"id": message["id"], "result": json.loads(sys.argv[1])}), flush=True)
"""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@asynccontextmanager
async def server(*command: str) -> AsyncIterator[ToolServer]:
    process = start(command)
    connection = Connection(process.stdout, process.stdin, MCP, name="Serena")
    try:
        yield ToolServer(connection, "Serena")
    finally:
        connection.close()
        process.wait()


def start(command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


async def test_the_greeting_is_said_in_order_and_the_peers_ping_is_answered(fake_serena):
    fake = fake_serena()
    async with server(str(fake.executable)) as serena:
        await serena.initialize(timeout_s=30)
        assert await serena.tools(timeout_s=30) == READ_TOOLS.keys() | EDIT_TOOLS.keys()
    _, hello, *told = fake.messages()
    assert (hello["method"], hello["params"]["protocolVersion"]) == ("initialize", PROTOCOL_VERSION)
    assert [message.get("method") for message in told if message.get("id") != "from the server"] == [
        "notifications/initialized",
        "tools/list",
        "tools/list",
    ]
    assert {"jsonrpc": "2.0", "id": "from the server", "result": {}} in told


@pytest.mark.parametrize(
    ("arguments", "text", "is_error"),
    [
        ({"name_path_pattern": "no symbol has this name"}, "[]", False),
        ({"name_path_pattern": "please talk"}, "[]", False),
        ({"name_path_pattern": "please time out"}, "Error executing tool", True),
        ({}, "Error executing tool find_symbol: 1 validation error", True),
    ],
)
async def test_a_tool_says_what_it_says_and_whether_it_failed(fake_serena, arguments, text, is_error):
    async with server(str(fake_serena("talks").executable)) as serena:
        await serena.initialize(timeout_s=30)
        answer = await serena.call("find_symbol", arguments, timeout_s=30)
    assert answer.text.startswith(text)
    assert answer.is_error is is_error


@pytest.mark.parametrize(
    ("name", "timeout_s", "error"),
    [("please refuse", 30, CallRefused), ("please be slow", 0.001, CallTimedOut), ("please die", 30, PeerLost)],
)
async def test_what_fails_fails_by_kind(fake_serena, name, timeout_s, error):
    async with server(str(fake_serena().executable)) as serena:
        await serena.initialize(timeout_s=30)
        with pytest.raises(error):
            await serena.call("find_symbol", {"name_path_pattern": name}, timeout_s=timeout_s)


@pytest.mark.parametrize("result", [None, [], {"tools": 1, "content": 1}, {"content": [1]}, "text"])
async def test_an_answer_that_is_not_the_protocol_is_no_answer(result):
    async with server(sys.executable, "-c", WITHOUT_SENSE, json.dumps(result)) as serena:
        for call in (serena.initialize(timeout_s=30), serena.tools(timeout_s=30)):
            with pytest.raises(PeerLost, match="not the protocol"):
                await call
        with pytest.raises(PeerLost, match="not the protocol"):
            await serena.call("find_symbol", {}, timeout_s=30)
