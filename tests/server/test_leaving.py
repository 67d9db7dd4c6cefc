"""Clients that leave before anything was written, and settings that are changed by two at once."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest

from jupyter_llmroute.server.shapes import ShownSettings

from ..scripted import Asked, Reply, Scripted, json_reply, says
from .conftest import TOKEN, Jupyter, Start

pytestmark = pytest.mark.anyio

LISTED = json_reply({"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 8192}]})
ASKING = [
    ("v1/chat/completions", {"model": "auto", "messages": [{"role": "user", "content": "first"}]}),
    ("v1/chat/completions", {"model": "m", "stream": True, "messages": [{"role": "user", "content": "first"}]}),
    ("chat", {"question": "first"}),
]
LAST = {"model": "auto", "messages": [{"role": "user", "content": "second"}]}


async def leave(jupyter: Jupyter, path: str, body: dict[str, Any], stays: asyncio.Event) -> None:
    """Ask, and leave without having read anything."""
    parts = urlsplit(jupyter.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    content = json.dumps(body).encode()
    head = (
        f"POST {parts.path}{path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()
    await stays.wait()
    left = jupyter.server.left[writer.get_extra_info("sockname")[:2]]
    writer.close()
    await writer.wait_closed()
    await left.wait()


def questions(server: Scripted) -> list[str]:
    return [chat.json["messages"][-1]["content"] for chat in server.chats]


@pytest.mark.parametrize(("path", "body"), ASKING)
async def test_who_leaves_before_the_router_is_made_has_nobody_asked(
    start: Start, path: str, body: dict[str, Any]
) -> None:
    at_once = asyncio.Event()
    at_once.set()
    with Scripted({"GET /v1/models": LISTED, "POST /v1/chat/completions": says("Hello")}) as server:
        async with start(server.url) as jupyter:
            await leave(jupyter, path, body, at_once)
            assert (await jupyter.client.post("v1/chat/completions", json=LAST)).status_code == 200
        assert questions(server) == ["second"]


@pytest.mark.parametrize(("path", "body"), ASKING)
async def test_who_leaves_while_servers_are_looked_for_has_nobody_asked(
    start: Start, path: str, body: dict[str, Any]
) -> None:
    looks, goes_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def listed(asked: Asked) -> Reply:
        loop.call_soon_threadsafe(looks.set)
        goes_on.wait(20)
        return LISTED

    with Scripted({"GET /v1/models": listed, "POST /v1/chat/completions": says("Hello")}) as server:
        async with start(server.url, settings={"limits": {"scan_s": 30}}) as jupyter:
            await leave(jupyter, path, body, looks)
            goes_on.set()
            assert (await jupyter.client.post("v1/chat/completions", json=LAST)).status_code == 200
        assert questions(server) == ["second"]


async def test_of_two_changes_at_once_none_is_lost(start: Start) -> None:
    changes: list[dict[str, Any]] = [{"limits.attempts": 2}, {"limits.total_s": 77}, {"limits.no_such_thing": 1}]
    async with start() as jupyter:
        answers = await asyncio.gather(
            *(jupyter.client.put("settings", json={"settings": change}) for change in changes)
        )
        shown = ShownSettings.model_validate_json((await jupyter.client.get("settings")).content)
    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert (shown.settings["limits"]["attempts"], shown.settings["limits"]["total_s"]) == (2, 77)
