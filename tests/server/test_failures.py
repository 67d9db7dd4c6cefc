"""What nobody expected: the client is told that something failed, and the log where; neither holds what was asked."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from jupyter_llmroute.core.events import AttemptStarted, Event, TextDelta
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.server.chat import ChatHandler
from jupyter_llmroute.server.gateway import CompletionsHandler

from .conftest import Jupyter, Start

pytestmark = pytest.mark.anyio

STARTED = AttemptStarted(number=1, service="s", model="m", reasons=("the best",), prompt_tokens=1)


class Broken:
    """A router with a mistake: it gives so many events, and then raises what holds the question."""

    settings = Settings()

    def __init__(self, events: int) -> None:
        self._events = (STARTED, TextDelta(text="Hel"), TextDelta(text="lo"))[:events]

    async def stream(
        self, request: Request, *, learns: bool = True, since: float | None = None
    ) -> AsyncGenerator[Event, None]:
        for event in self._events:
            yield event
        try:
            raise LookupError(f"what is {request.question!r}?")
        except LookupError as error:
            raise RuntimeError(f"{request.question}\nforged line") from error


class GivesBroken:
    """Gives that router."""

    def __init__(self, events: int) -> None:
        self._events = events

    @contextlib.asynccontextmanager
    async def router(self) -> AsyncIterator[Broken]:
        yield Broken(self._events)

    def hidden(self, text: str) -> str:
        return text


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextlib.contextmanager
def broken(jupyter: Jupyter, events: int) -> Any:
    """Serve the handlers with such a router beside the real ones; give what is logged."""
    ends: Any = {"exchange": GivesBroken(events)}
    jupyter.app.web_app.add_handlers(
        ".*$", [("/some/where/broken/chat", ChatHandler, ends), ("/some/where/broken/v1", CompletionsHandler, ends)]
    )
    kept, loggers = Kept(), [jupyter.app.log, logging.getLogger("tornado")]
    for each in loggers:
        each.addHandler(kept)
    try:
        yield kept.lines
    finally:
        for each in loggers:
            each.removeHandler(kept)


ASK: dict[str, Any] = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "my prompt"}]}


@pytest.mark.parametrize("events", [0, 1, 2, 3])
async def test_a_mistake_of_ours_is_logged_and_told_in_openais_words(start: Start, events: int) -> None:
    async with start() as jupyter:
        with broken(jupyter, events) as lines:
            answer = await jupyter.client.post("../broken/v1", json=ASK)
    has_begun = events > 1
    last = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: ")) if has_begun else answer.json()
    assert answer.status_code == (200 if has_begun else 500)
    assert last["error"]["type"] == "api_error"
    checked(answer.text, lines)


@pytest.mark.parametrize("events", [0, 1, 2, 3])
async def test_a_mistake_of_ours_ends_the_panels_answer_with_its_failure(start: Start, events: int) -> None:
    async with start() as jupyter:
        with broken(jupyter, events) as lines:
            answer = await jupyter.client.post("../broken/chat", json={"question": "my prompt"})
    if events:
        assert answer.text.strip().split("\n\n")[-2:] == [
            'event: failed\ndata: {"message": "The server failed; see its log.", "reason": "RuntimeError"}',
            "event: end\ndata: {}",
        ]
    else:
        assert (answer.status_code, answer.json()["message"]) == (500, "The server failed; see its log.")
    checked(answer.text, lines)


def checked(told: str, lines: list[str]) -> None:
    log = "\n".join(lines)
    assert log.count("failed: RuntimeError") == 1
    assert "LookupError" in log
    assert "in stream" in log
    assert not [text for text in (log, told) if "my prompt" in text or "forged line\n" in text]
