"""`ToolServer`: the three calls of the Model Context Protocol that a client of tools needs, by hand.

The official client costs a kernel 1.3 s and 55 MB at import. What is spoken is the protocol of 2025-06-18, opened by
`initialize`; a server may answer with an older one (2025-03-26, 2024-11-05) or a newer one (2025-11-25, 2026-07-28):
these calls are the same in all of them. Covered against servers made with `mcp` 1.28 and 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from jupyter_llmroute.core.code.jsonrpc import Connection, PeerLost
from jupyter_llmroute.core.values import Answered

PROTOCOL_VERSION = "2025-06-18"

_MAX_PAGES = 20


class _Tool(Answered):
    name: str


class _ToolsPage(Answered):
    tools: tuple[_Tool, ...]
    nextCursor: str | None = None


class _Content(Answered):
    type: str = ""
    text: str = ""


class ToolAnswer(Answered):
    """What a tool says."""

    content: tuple[_Content, ...] = ()
    isError: bool | None = False

    @property
    def text(self) -> str:
        """The texts, joined."""
        return "".join(part.text for part in self.content if part.type == "text")

    @property
    def is_error(self) -> bool:
        """Whether the tool says of itself that it failed; not every tool that failed does."""
        return bool(self.isError)


class ToolServer:
    """A server of tools at the other end of a connection.

    Parameters
    ----------
    connection
        Made with the dialect `jsonrpc.MCP`.
    name
        What the server is called in messages.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    async def initialize(self, *, timeout_s: float) -> None:
        """Greet; nothing else may be asked before."""
        about = {"name": "jupyter-llmroute", "version": "1"}
        params = {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": about}
        said = await self._connection.request("initialize", params, timeout_s=timeout_s)
        if not isinstance(said, dict) or not isinstance(said.get("protocolVersion"), str):
            raise self._strange("initialize")
        self._connection.notify("notifications/initialized")

    async def tools(self, *, timeout_s: float) -> frozenset[str]:
        """Return the names of the tools on offer."""
        names: set[str] = set()
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            params = {} if cursor is None else {"cursor": cursor}
            said = await self._connection.request("tools/list", params, timeout_s=timeout_s)
            try:
                page = _ToolsPage.model_validate(said)
            except ValidationError as error:
                raise self._strange("tools/list") from error
            names |= {tool.name for tool in page.tools}
            if not (cursor := page.nextCursor):
                break
        return frozenset(names)

    async def call(self, tool: str, arguments: Mapping[str, Any], *, timeout_s: float) -> ToolAnswer:
        """Use a tool, and return what it says, also where it says that it failed.

        Raises
        ------
        CallRefused, CallTimedOut, PeerLost
            As `Connection.request` has them.
        """
        params = {"name": tool, "arguments": dict(arguments)}
        said = await self._connection.request("tools/call", params, timeout_s=timeout_s)
        try:
            return ToolAnswer.model_validate(said)
        except ValidationError as error:
            raise self._strange("tools/call") from error

    def _strange(self, method: str) -> PeerLost:
        return PeerLost(
            f"{self._name} answered {method!r} with what is not the protocol: see its log, try another version."
        )
