"""`LanguageServer`: a program that speaks the Language Server Protocol (3.17) over its pipes, from start to end."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from jupyter_llmroute.core.code.jsonrpc import LSP, Connection, NotOffered
from jupyter_llmroute.core.code.process import Child
from jupyter_llmroute.core.errors import CodeUnavailable

START_S = 20.0
"""Seconds that a server may take to say what it can do."""

CHANGED, CREATED, DELETED = 2, 1, 3
"""What can have happened to a file."""

_CAPABILITIES: Mapping[str, Any] = {
    # Columns are counted in characters, as Python counts them; the protocol's own are of UTF-16.
    "general": {"positionEncodings": ["utf-32"]},
    "textDocument": {
        "hover": {"contentFormat": ["plaintext"]},
        "definition": {"linkSupport": False},
        "references": {},
        "callHierarchy": {},
        "diagnostic": {"dynamicRegistration": False},
    },
    "notebookDocument": {"synchronization": {"dynamicRegistration": False}},
    "workspace": {"configuration": True, "didChangeWatchedFiles": {"dynamicRegistration": True}},
}


class LanguageServer:
    """A language server that runs, on one project.

    Parameters
    ----------
    command
        Program and arguments.
    root
        The project's root.
    environment
        All of the program's environment.
    configuration
        What it is told when it asks for its settings.
    name
        What it is called in messages.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        root: Path,
        environment: Mapping[str, str],
        configuration: Mapping[str, Any],
        name: str,
    ) -> None:
        self._root = root
        self._configuration = configuration
        self._name = name
        self._child = Child(command, environment=environment, folder=root)
        self._connection = Connection(self._child.stdout, self._child.stdin, LSP, name=name, answer=self._answer)

    async def __aenter__(self) -> Self:
        try:
            await self._greet()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._connection.lost is not None

    async def close(self) -> None:
        """End the program; nothing of it has to be saved."""
        self._connection.close()
        self._child.kill()
        await self._child.ended()

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell it something."""
        self._connection.notify(method, params)

    async def request(self, method: str, params: Mapping[str, Any], *, timeout_s: float) -> Any:
        """Ask it something.

        Raises
        ------
        CodeUnavailable
            It refuses, takes too long, or is gone.
        """
        return await self._connection.request(method, params, timeout_s=timeout_s)

    async def _greet(self) -> None:
        uri = self._root.as_uri()
        params = {
            "processId": os.getpid(),
            "rootUri": uri,
            "workspaceFolders": [{"uri": uri, "name": self._root.name}],
            "capabilities": _CAPABILITIES,
        }
        told = await self.request("initialize", params, timeout_s=START_S)
        encoding = told.get("capabilities", {}).get("positionEncoding")
        if encoding != "utf-32":
            raise CodeUnavailable(
                f"{self._name} counts columns as {encoding!r}, not as 'utf-32': install the version that is pinned, "
                "with `jupyter-llmroute serena install`."
            )
        self.notify("initialized", {})

    def _answer(self, method: str, params: Any) -> Any:
        if method == "workspace/configuration":
            return [self._configuration for _ in params["items"]]
        if method in ("client/registerCapability", "client/unregisterCapability", "window/workDoneProgress/create"):
            return None
        raise NotOffered


def path_of(uri: str) -> Path | None:
    """Return the file that an address names; `None` where it names none.

    Examples
    --------
    >>> path_of("file:///srv/caf%C3%A9.py").name, path_of("untitled:1")
    ('café.py', None)
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    path = unquote(parts.path)
    return Path(path[1:] if _DRIVE.match(path) else path)


_DRIVE = re.compile(r"/[A-Za-z]:")
