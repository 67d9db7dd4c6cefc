"""What a client of the OpenAI dialect wishes, as Ollama's native API has it.

Facts: api/types.go of ollama/ollama; `openai/openai.go` there does the same the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_llmroute.core.errors import BadRequest
from jupyter_llmroute.core.message import Message

OPTIONS = frozenset({"top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repeat_penalty"})
"""Keys that are options there, by the same names."""

UNUSED = frozenset({"parallel_tool_calls"})
"""Keys that it does not know, and that change little."""


def messages(chat: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a chat's messages; a call's arguments are an object there, and an answer names its tool."""
    names = {call.id: call.name for message in chat for call in message.tool_calls}
    return [_message(message, names) for message in chat]


def _message(message: Message, names: Mapping[str | None, str | None]) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        body["tool_calls"] = [
            {"function": {"name": call.name or "", "arguments": _arguments(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        body["tool_name"] = message.name or names.get(message.tool_call_id) or ""
    return body


def _arguments(told: str) -> dict[str, Any]:
    try:
        arguments = json.loads(told or "{}")
    except (ValueError, RecursionError):
        arguments = None
    return arguments if isinstance(arguments, dict) else {"arguments": told}


def with_passed(body: dict[str, Any], passed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with the further keys of a chat.

    Raises
    ------
    BadRequest
        One of them is a wish that Ollama cannot be told.
    """
    options = dict(body["options"])
    more: dict[str, Any] = {}
    for key, value in passed.items():
        if key in OPTIONS:
            options[key] = value
        elif key == "stop":
            options[key] = [value] if isinstance(value, str) else value
        elif key == "tools":
            more |= {} if passed.get("tool_choice") == "none" else {key: value}
        elif key == "response_format":
            more |= _format(value)
        elif not (key in UNUSED or (key == "tool_choice" and value in ("auto", "none", None))):
            raise BadRequest(f"Ollama cannot be told {key} {value!r}: leave it out, or ask a model on another server.")
    return {**body, "options": options, **more}


def _format(told: Any) -> dict[str, Any]:
    kind = told.get("type") if isinstance(told, Mapping) else None
    if kind == "json_schema" and isinstance(schema := told.get("json_schema"), Mapping):
        return {"format": schema.get("schema", "json")}
    return {"format": "json"} if kind == "json_object" else {}
