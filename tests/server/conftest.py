"""A Jupyter server with the extension, in this process and on a real socket, and model servers that play a script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.serverapp import ServerApp
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

TOKEN = "a-token-of-the-tests"


class Jupyter(NamedTuple):
    """A running server."""

    url: str
    """Of the extension, with a slash at its end."""
    app: ServerApp
    client: httpx.AsyncClient
    """Bears the token."""
    nobody: httpx.AsyncClient
    """Bears none."""
    server: WatchedServer


class WatchedServer(HTTPServer):
    """A server that tells when it has seen a client leave, and has told the handler that was at work for it."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self.left: defaultdict[tuple[str, int], asyncio.Event] = defaultdict(asyncio.Event)
        """By the client's own address."""

    def on_close(self, server_conn: Any) -> None:
        super().on_close(server_conn)
        self.left[server_conn.context.address[:2]].set()


class NobodyMay(Authorizer):
    """Denies everything to everybody."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return False


Start = Callable[..., contextlib.AbstractAsyncContextManager[Jupyter]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a server whose router knows these model servers and no others; its settings may be given."""
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))

    @contextlib.asynccontextmanager
    async def started(
        *endpoints: str, settings: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncIterator[Jupyter]:
        file, root = tmp_path / "llmroute.yaml", tmp_path / "root"
        root.mkdir(exist_ok=True)
        file.write_text(json.dumps(_settings(endpoints, settings or {})), encoding="utf-8")
        monkeypatch.setenv("LLMROUTE_SETTINGS", str(file))
        ServerApp.clear_instance()
        app = ServerApp.instance(
            jpserver_extensions={"jupyter_llmroute": True, "jupyter_server_terminals": False},
            root_dir=str(root),
            base_url="/some/where/",
            allow_root=True,
            open_browser=False,
            log_level=logging.ERROR,
            **options,
        )
        app.initialize(argv=[f"--IdentityProvider.token={TOKEN}"], new_httpserver=False)
        socket, port = bind_unused_port("127.0.0.1")
        server = WatchedServer(app.web_app)
        server.add_sockets([socket])
        url = f"http://127.0.0.1:{port}/some/where/jupyter_llmroute/"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            httpx.AsyncClient(base_url=url, headers=bearer, timeout=60, trust_env=False) as client,
            httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as nobody,
        ):
            try:
                yield Jupyter(url, app, client, nobody, server)
            finally:
                server.stop()
                await server.close_all_connections()
                await app.web_app.settings["llmroute_exchange"].aclose()
                await app._cleanup()
                ServerApp.clear_instance()

    return started


def _settings(endpoints: tuple[str, ...], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under which nobody is looked for but these."""
    custom = [
        {"name": f"server{at}", "endpoint": url, "priority": at, "max_retries": 0} for at, url in enumerate(endpoints)
    ]
    return {
        "services": {"custom_endpoints": custom},
        "discovery": {"default_ports": False},
        "embedded": {"enabled": False},
        **more,
    }
