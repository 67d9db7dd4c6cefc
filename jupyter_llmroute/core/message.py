"""One message of a chat, and the calls of tools in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from jupyter_llmroute.core.values import Value

MOST_CALLS = 128
"""Calls that one answer may ask for; what is beyond is no honest wish."""


class ToolCall(Value):
    """A call that a model asks for, or a piece of one where an answer is streamed."""

    index: int
    """Which call of the answer it is, or belongs to."""
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    """JSON, or the next piece of it."""

    def body(self) -> dict[str, Any]:
        """Return the whole call as the OpenAI dialect has it in a message."""
        return {
            "id": self.id or f"call_{self.index}",
            "type": "function",
            "function": {"name": self.name or "", "arguments": self.arguments},
        }


class Message(Value):
    """One message of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """What the assistant asked for."""
    tool_call_id: str | None = None
    """Which call this is the answer to."""
    name: str | None = None
    """Who speaks, or of which tool this is the answer."""

    @model_serializer(mode="wrap")
    def _only_what_is_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return what the OpenAI dialect has: a key that says nothing confuses strict servers."""
        body = {key: value for key, value in handler(self).items() if value not in (None, ())}
        return {**body, "tool_calls": [call.body() for call in self.tool_calls]} if self.tool_calls else body

    @property
    def counted(self) -> str:
        """All of it that a model reads."""
        calls = (f"\n{call.name} {call.arguments}" for call in self.tool_calls)
        return self.content + "".join(calls) if self.tool_calls else self.content


def told_calls(told: Any) -> tuple[ToolCall, ...]:
    """Return the calls that a server tells, whole or in pieces; what is no call is passed over.

    Examples
    --------
    >>> told_calls([{"function": {"name": "now", "arguments": {}}}])
    (ToolCall(index=0, id=None, name='now', arguments='{}'),)
    """
    if not isinstance(told, list):
        return ()
    return tuple(_call(at, each) for at, each in enumerate(told[:MOST_CALLS]) if isinstance(each, Mapping))


def _call(position: int, told: Mapping[str, Any]) -> ToolCall:
    function = told.get("function")
    function = function if isinstance(function, Mapping) else {}
    index, arguments = told.get("index"), function.get("arguments")
    is_index = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < MOST_CALLS
    if isinstance(arguments, Mapping | list):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(
        index=index if is_index else position,
        id=_text(told.get("id")),
        name=_text(function.get("name")),
        arguments=_text(arguments) or "",
    )


def _text(told: Any) -> str | None:
    # Without halves of characters: JSON can spell them, no output can show them.
    return told.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(told, str) else None
