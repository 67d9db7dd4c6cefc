"""What the tests of faults share: a router of servers, and what is to be seen of a question, as a transcript."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from jupyter_llmroute.core.errors import LLMRouteError, RouteFailed
from jupyter_llmroute.core.events import Event
from jupyter_llmroute.core.providers import Provider, load_providers
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.state import StateFile

from ..scripted import Scripted

CHAT = "POST /v1/chat/completions"


def nowhere() -> dict[str, Provider]:
    """All dialects, none of which looks at a port of this machine."""
    kinds = {name: type(provider) for name, provider in load_providers().items()}
    return {
        name: type(kind.__name__, (kind,), {"default_urls": (), "named_urls": ()})() for name, kind in kinds.items()
    }


def router(
    servers: Mapping[str, str],
    *,
    retries: int = 0,
    state: StateFile | None = None,
    each: Mapping[str, object] | None = None,
    keys: Mapping[str, SecretStr] | None = None,
    **settings: Any,
) -> Router:
    """A router of servers by name, the first of them preferred; `each` has more settings of all of them."""
    endpoints = [
        {"name": name, "endpoint": url, "priority": rank, "max_retries": retries, **(each or {})}
        | ({"api_key": keys[name]} if keys else {})
        for rank, (name, url) in enumerate(servers.items())
    ]
    limits = {"rescan_s": 3600, "scan_s": 30, **settings.pop("limits", {})}
    embedded = settings.pop("embedded", {"enabled": False})
    given = Settings(services={"custom_endpoints": endpoints}, embedded=embedded, limits=limits, **settings)
    return Router(given, providers=nowhere(), transport=httpx.AsyncHTTPTransport(verify=False), state=state)


class Outcome(NamedTuple):
    """What came of a question."""

    lines: list[str]
    """The transcript, without the decision."""
    error: LLMRouteError | None
    events: list[Event]


async def ask(asked: Router, question: str = "Why?", **request: Any) -> Outcome:
    """Ask, and check what is true of every transcript: nothing is lost, and what ends it is the last that came."""
    events: list[Event] = []
    error = None
    try:
        async with aclosing(asked.stream(Request(question=question, **request))) as stream:
            async for event in stream:
                events.append(event)
    except LLMRouteError as caught:
        error = caught
    failed = [event.attempt for event in events if event.kind == "attempt_failed"]
    assert [attempt.number for attempt in failed] == list(range(1, len(failed) + 1))
    assert all(attempt.error for attempt in failed)
    assert (error is None) is (events[-1].kind == "completed")
    if isinstance(error, RouteFailed):
        assert list(error.attempts) == failed
        assert all(attempt.error in str(error) for attempt in failed)
    elif error is not None:
        assert failed[-1].error == str(error)
    return Outcome([shown(event) for event in events[1:]], error, events)


def shown(event: Event) -> str:
    """One line for an event; the level where it is not the first."""
    match event.kind:
        case "attempt_started":
            return f"ask {event.service}" + ("" if event.level == "primary" else f": {event.level}")
        case "attempt_failed":
            return f"{event.attempt.service} failed: {event.attempt.failure}"
        case "completed":
            return f"{event.service} answered: {event.finish_reason}"
        case "waiting":
            return event.reason
        case "text_delta" | "reasoning_delta":
            return ("" if event.kind == "text_delta" else "thinks ") + repr(event.text)
        case other:
            return other


def chats(server: Scripted, path: str = CHAT) -> int:
    """How often a model was made to work there."""
    return server.lines.count(path)


@contextmanager
def gone(server: Scripted) -> Iterator[None]:
    """End a server, and keep its port so that connections to it are refused."""
    port = urlsplit(server.url).port
    server.__exit__()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        yield
