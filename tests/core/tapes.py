"""Answers for cassettes: events made by hand, and a clock that only they move."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from jupyter_llmroute.core.cassette import Cassette, Mode
from jupyter_llmroute.core.catalog import ModelInfo
from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.events import (
    AttemptStarted,
    Completed,
    Event,
    ReasoningDelta,
    Routed,
    TextDelta,
    Usage,
)
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Candidate, Rejection, RejectionReason, Route
from jupyter_llmroute.core.task import Task

Live = Callable[[], AsyncGenerator[Event, None]]


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def routed(*, rejections: int = 1, key: str | None = None, url: str = "http://127.0.0.1:8000") -> Routed:
    model = ServedModel(id="m", context_window=8192)
    endpoint = Endpoint(name="desk", provider="llamacpp", base_url=url, models=(model,) * 3, api_key=key)
    scores = dict.fromkeys(Task, 60.0)
    info = ModelInfo(id="m", family="m", scores=scores, sources=dict.fromkeys(Task, "size"))
    best = Candidate(endpoint=endpoint, model=model, info=info, score=50.5, reasons=("rated 60 of 100",))
    left_out = (
        Rejection(
            service="desk",
            model=f"m{number}",
            reason=RejectionReason.NOT_ASKED_FOR if number % 2 else RejectionReason.MEMORY,
            detail=f"reason {number}",
        )
        for number in range(rejections)
    )
    return Routed(
        classification=Classification(
            task=Task.CODING,
            confidence=0.7,
            scores={**dict.fromkeys(Task, 0.1), Task.CODING: 0.7},
            evidence=("word: write",),
            needs_symbols=False,
        ),
        route=Route(candidates=(best,), rejections=tuple(left_out), smallest=best),
    )


def started(number: int = 1) -> AttemptStarted:
    return AttemptStarted(number=number, service="desk", model="m", reasons=("rated 60 of 100",), prompt_tokens=12)


def completed() -> Completed:
    return Completed(
        service="desk",
        model="m",
        answered_by="m",
        finish_reason="stop",
        usage=Usage(prompt_tokens=12, completion_tokens=3),
        time_to_first_token_s=0.0123456789,
        elapsed_s=0.1 + 0.2,
        tokens_per_second=41.7,
    )


def answer(*texts: str) -> tuple[Event, ...]:
    return (
        routed(),
        started(),
        ReasoningDelta(text="Hm. "),
        *(TextDelta(text=text) for text in texts),
        completed(),
    )


def live(
    events: Sequence[Event] = (),
    *,
    error: BaseException | None = None,
    clock: Clock | None = None,
    every_s: float = 0.0,
) -> Live:
    """Return what gives these events, each so many seconds after the one before, and then fails with `error`."""

    async def stream() -> AsyncGenerator[Event, None]:
        for event in events:
            if clock:
                clock.now += every_s
            yield event
        if error:
            raise error

    return stream


def nobody() -> AsyncGenerator[Event, None]:
    """Stands where nobody may be asked."""
    raise AssertionError("somebody was asked")


def cassette(path: Path, mode: Mode = Mode.NONE, clock: Clock | None = None, **options: Any) -> Cassette:
    clock = clock or Clock()
    return Cassette(path, mode, clock=clock, sleep=clock.sleep, **options)


async def play(
    recordings: Cassette, source: Live = nobody, *, question: str = "Why?", **asked: Any
) -> tuple[list[Event], LLMRouteError | None]:
    """Return the events of an answer, and the error that ended it."""
    events: list[Event] = []
    try:
        async with aclosing(recordings.stream(Request(question=question, **asked), source)) as stream:
            async for event in stream:
                events.append(event)
    except LLMRouteError as error:
        return events, error
    return events, None


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))
