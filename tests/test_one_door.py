"""Connections are opened at one door: no other module of the package opens one, or imports what could."""

from __future__ import annotations

import ast
from importlib.util import resolve_name
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jupyter_llmroute"

DOOR = "core/transport.py"

OPENERS = {
    # What is imported: the names of it that open nothing, or "*" where none opens anything.
    "socket": frozenset({"SOCK_STREAM", "gaierror"}),
    "_socket": frozenset(),
    "ssl": frozenset({"SSLCertVerificationError", "create_default_context"}),
    "http.client": frozenset(),
    "http.server": frozenset(),
    "urllib.request": frozenset(),
    "urllib3": frozenset(),
    "requests": frozenset(),
    "aiohttp": frozenset(),
    "tornado.web": frozenset({"HTTPError", "authenticated"}),
    "tornado.iostream": frozenset({"StreamClosedError"}),
    "tornado": frozenset(),
    "websockets": frozenset(),
    "websocket": frozenset(),
    "zmq": frozenset(),
    "ftplib": frozenset(),
    "smtplib": frozenset(),
    "poplib": frozenset(),
    "imaplib": frozenset(),
    "telnetlib": frozenset(),
    "xmlrpc": frozenset(),
    "socketserver": frozenset(),
    "asyncore": frozenset(),
    "multiprocessing.connection": frozenset(),
    "multiprocessing.managers": frozenset(),
    "httpcore": frozenset(),
    "paramiko": frozenset(),
    "mcp": frozenset(),
    "openai": frozenset(),
    "ollama": frozenset(),
    "huggingface_hub": frozenset(),
    "_winapi": frozenset(),
    "xllamacpp": frozenset(),
}

HTTPX = frozenset(
    "AsyncBaseTransport AsyncByteStream AsyncClient ConnectError ConnectTimeout DecodingError Headers HTTPError "
    "InvalidURL Limits MockTransport ReadError ReadTimeout RemoteProtocolError Request RequestError Response Timeout "
    "TimeoutException UnsupportedProtocol URL".split()
)
"""Names of httpx that open nothing when they are only named."""

CALLS = {
    # Attribute calls that open a connection or a listener, whatever they are called on.
    "create_connection",
    "create_server",
    "create_datagram_endpoint",
    "create_unix_connection",
    "create_unix_server",
    "open_connection",
    "open_unix_connection",
    "start_server",
    "start_unix_server",
    "sock_connect",
    "getaddrinfo",
    "getnameinfo",
    "gethostbyname",
    "gethostbyaddr",
    "getfqdn",
    "connect_tcp",
    "create_connected_socket",
    "urlopen",
    "urlretrieve",
    "AsyncHTTPTransport",
    "HTTPTransport",
}

CLIENTS = {"AsyncClient", "Client", "get", "post", "put", "patch", "delete", "head", "options", "request", "stream"}
"""Of httpx: what makes a client, or sends by one of its own."""

PROGRAMS = {"create_subprocess_exec", "create_subprocess_shell", "Popen", "subprocess_exec", "subprocess_shell"}
OF_OS = {"system", "popen", "startfile", "execv", "execve", "execvp", "execl", "spawnv", "spawnl", "posix_spawn"}

LISTENS = {
    "core/embedded/server.py": (
        {"xllamacpp"},
        "llama.cpp in a process of its own, on 127.0.0.1, with a key of its own",
    ),
}
"""Files that have something listen, by what, and why."""

STARTS = {
    "core/embedded/process.py": "that process; the two meet by files in a folder of the user's alone",
    "core/embedded/model.py": "pip, for the demonstration model, when the user asks for it",
    "core/environment.py": "`wslinfo`, which prints how WSL is joined to Windows",
    "core/code/process.py": "Serena and ty, spoken to over pipes",
    "core/code/tied.py": "a program that ends with us, such as Serena",
    "core/code/installation.py": "pip, for Serena, when the user asks for it",
    "tour.py": "JupyterLab, when the user asks for it",
}
"""Files that start a program, and which. None of them opens a connection."""


def opened(source: str, package: str = "jupyter_llmroute") -> set[str]:
    """Return what of a text could open a connection or start a program, wherever in it."""
    tree = ast.parse(source)
    found: set[str] = set()
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                found |= _of_module(alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                names[alias.asname or alias.name] = f"{module}.{alias.name}"
                found |= _of_module(module, alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            whole = ast.unparse(node)
            first, _, rest = whole.partition(".")
            real = f"{names.get(first, '?')}.{rest}"
            module, _, name = real.rpartition(".")
            if module in OPENERS and name not in OPENERS[module]:
                found.add(real)
            if module == "httpx" and name not in HTTPX:
                found.add(real)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            last = called.rpartition(".")[2]
            real = names.get(called.partition(".")[0], called.partition(".")[0])
            if last in CALLS:
                found.add(f"call of {last}")
            if last in CLIENTS and (real == "httpx" or real.startswith("httpx.")):
                found.add(f"call of httpx.{last}")
            if last in PROGRAMS or (last in OF_OS and called == f"os.{last}"):
                found.add(f"program: {last}")
            if called in ("__import__", "importlib.import_module", "import_module") and node.args:
                told = node.args[0]
                if isinstance(told, ast.Constant):
                    found |= {str(told.value)} if str(told.value) in OPENERS else _of_module(str(told.value), None)
    return found


def _of_module(module: str, name: str | None) -> set[str]:
    """Return what an import brings along that could open something."""
    whole = f"{module}.{name}" if name else module
    if module.split(".")[0] == "subprocess":
        return {"program: subprocess"}
    if name and whole in OPENERS:
        return {whole}
    for opener, harmless in OPENERS.items():
        if module == opener or module.startswith(f"{opener}."):
            if name is None:
                # Harmless names may be used of these; each use is looked at by itself.
                return set() if harmless else {module}
            return set() if name in harmless else {whole}
    if module == "httpx" and name and name not in HTTPX - {"AsyncClient"}:
        return {whole}
    return set()


FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES)
def test_no_other_module_opens_a_connection(file: str) -> None:
    package = ".".join(("jupyter_llmroute", *Path(file).parent.parts))
    found = opened((PACKAGE / file).read_text("utf-8"), package)
    connections = {each for each in found if not each.startswith("program: ")}
    if file == DOOR:
        assert "call of httpx.AsyncClient" in connections
        assert "call of getaddrinfo" in connections
        return
    allowed = LISTENS[file][0] if file in LISTENS else set()
    assert {each.split(".")[0] for each in connections} == allowed, (
        f"open it with core.transport.open_client, so that the policy is asked: {connections}"
    )
    assert bool(found - connections) is (file in STARTS), f"name here what is started, and why: {found}"


@pytest.mark.parametrize(
    "source",
    [
        "import socket\nsocket.socket()",
        "import socket as s\ns.create_connection(('h', 1))",
        "from socket import socket",
        "from socket import create_connection as door",
        "def late():\n    import http.client",
        "from http import client",
        "import urllib.request",
        "from urllib import request",
        "from urllib.request import urlopen",
        "import requests",
        "import httpx\nhttpx.AsyncClient()",
        "import httpx as h\nh.Client()",
        "import httpx\nhttpx.get('http://x')",
        "from httpx import AsyncClient",
        "from httpx import get as fetch",
        "import httpx\nhttpx.AsyncHTTPTransport()",
        "import asyncio\nasyncio.open_connection('h', 1)",
        "import asyncio\nasyncio.get_running_loop().create_connection(None, 'h')",
        "import asyncio\nasyncio.start_server(None)",
        "import anyio\nanyio.connect_tcp('h', 1)",
        "import importlib\nimportlib.import_module('socket')",
        "import importlib\nimportlib.import_module('urllib.request')",
        "__import__('requests')",
        "import subprocess",
        "import os\nos.system('curl http://x')",
        "import asyncio\nasyncio.create_subprocess_exec('curl')",
        "import zmq.asyncio",
        "from multiprocessing.connection import Client",
        "import ssl\nssl.get_server_certificate(('h', 1))",
        "import loop\nloop.getaddrinfo('h', 1)",
    ],
)
def test_a_second_door_is_found(source: str) -> None:
    assert opened(source)


@pytest.mark.parametrize(
    "source",
    [
        "import httpx\ndef take(client: httpx.AsyncClient) -> httpx.Response: ...",
        "from jupyter_llmroute.core.transport import open_client\nopen_client(None)",
        "from urllib.parse import urlsplit",
        "import ssl\nssl.create_default_context()",
        "client.get('/v1/models')\nself._client.stream('POST', url)",
        "options.get('a')",
    ],
)
def test_what_opens_nothing_is_let_be(source: str) -> None:
    assert not opened(source)
