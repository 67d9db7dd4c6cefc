"""How a server counts the tokens of a prompt, and how long an answer may be where it takes room from the prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, size
from jupyter_llmroute.core.probe import MAX_ANSWER_BYTES
from jupyter_llmroute.core.prompt import Message
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.openai import auth_headers
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE
from jupyter_llmroute.core.transport import peer_errors

MESSAGE_TOKENS = 8
"""At most this many tokens of a template stand around one message: Llama 3 has five, gpt-oss seven."""

TEMPLATE_TOKENS = 96
"""At most this many a template says on its own: gpt-oss has the most, its channels and dates are about seventy."""


def joined(messages: Sequence[Message]) -> str:
    """Return the text of a chat without its template."""
    return "\n".join(message.content for message in messages)


def answer_limit(chat: Chat) -> int:
    """Return the most tokens that an answer may have, for a server that cuts the prompt to make room for it.

    A prompt of less than half the window was counted by nobody, and its estimate may be too low by half: of what it
    leaves by the estimate, the answer gets half. Of a longer one maybe the text alone was counted.
    """
    window = chat.window or chat.model.context_window
    room = chat.room_tokens
    if window:
        left = window - chat.prompt_tokens
        template = MESSAGE_TOKENS * (len(chat.messages) + 1) + TEMPLATE_TOKENS
        room = left // 2 if chat.prompt_tokens * 2 < window else left - template
    return max(1, min(chat.sampling.max_tokens or room, room))


def total(counted: object) -> int | None:
    """Return the number of tokens that a server tells, as a number or as a list of them."""
    return size(len(counted) if isinstance(counted, list) else counted)


def whole(counted: object) -> Counted | None:
    """Return what a server tells that counted a prompt with its template."""
    tokens = total(counted)
    return Counted(tokens) if tokens else None


def text_alone(counted: object, chat: Chat) -> Counted | None:
    """Return what a server tells that counted the text of a prompt, and the template's share by estimate."""
    tokens = total(counted)
    return Counted(tokens + TOKENS_PER_MESSAGE * len(chat.messages), is_exact=False) if tokens else None


async def ask(client: httpx.AsyncClient, endpoint: Endpoint, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object that a server answers a POST request with; empty where it refuses it.

    Raises
    ------
    PeerError
        The connection failed.
    """
    url = endpoint.base_url.rstrip("/") + path
    received = b""
    with peer_errors(endpoint.name, key=endpoint.key):
        async with client.stream("POST", url, json=body, headers=auth_headers(endpoint)) as response:
            if response.status_code != 200:
                return {}
            async for piece in response.aiter_bytes():
                received += piece
                if len(received) > MAX_ANSWER_BYTES:
                    return {}
    try:
        answer = json.loads(received)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
