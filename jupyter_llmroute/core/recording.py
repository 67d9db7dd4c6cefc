"""One recording: what was sent, what happened then and when, and how it ended.

In the file the text of an answer stands line by line, and beside it the pieces in which it came, such as `312+4 18+7`:
after 312 ms four characters, 18 ms later seven more. The text is what counts: who mends a word of it by hand need not
count again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, model_validator

from jupyter_llmroute.core import errors
from jupyter_llmroute.core.errors import LLMRouteError, RouteFailed
from jupyter_llmroute.core.events import (
    Attempt,
    AttemptFailed,
    AttemptStarted,
    Completed,
    Event,
    ReasoningDelta,
    Routed,
    TextDelta,
    Waiting,
)
from jupyter_llmroute.core.route import Candidate, RejectionReason, Route
from jupyter_llmroute.core.scrubbing import cleaned, scrubbed
from jupyter_llmroute.core.sent import Lines, Sent
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

KEPT_REJECTIONS = 60
"""More of a decision than any view of it shows; the others are counted."""

_PIECES = re.compile(r"(?:\d{1,9}\+\d{1,9}(?: \d{1,9}\+\d{1,9})*)?", re.ASCII)

Timed = tuple[int, Event]
"""Milliseconds since the event before, and the event."""

Pieces = tuple[tuple[int, int], ...]


def _read_pieces(told: Any) -> Any:
    if not isinstance(told, str):
        return told
    if not _PIECES.fullmatch(told):
        raise ValueError("pieces are written as MILLISECONDS+CHARACTERS, with blanks between them")
    return tuple(tuple(map(int, piece.split("+"))) for piece in told.split())


class Ended(StrEnum):
    """How a recorded answer ended."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    """The user stopped it; what had come is kept."""
    FAILED = "failed"


class Interrupted(LLMRouteError):
    """The answer was interrupted when it was recorded, so its replay ends there too."""


class Failure(Value):
    """The error that ended an answer."""

    error: str
    """The name of its class."""
    message: str
    attempts: tuple[Attempt, ...] = ()

    @classmethod
    def of(cls, error: LLMRouteError) -> Failure:
        """Return an error as it may be written."""
        attempts = error.attempts if isinstance(error, RouteFailed) else ()
        return cls.model_validate(
            {
                "error": type(error).__name__,
                "message": scrubbed(str(error)),
                "attempts": cleaned([attempt.model_dump(mode="json") for attempt in attempts]),
            }
        )

    def raised(self) -> LLMRouteError:
        """Return the error, of the same class where that is one of ours."""
        kind = getattr(errors, self.error, None)
        if isinstance(kind, type) and issubclass(kind, LLMRouteError) and kind is not RouteFailed:
            return kind(self.message)
        return RouteFailed(self.message, self.attempts)


class Passage(Value):
    """Text that came piece by piece, with nothing else between."""

    kind: Literal["text", "reasoning"]
    text: Lines
    pieces: Annotated[
        Pieces,
        BeforeValidator(_read_pieces),
        PlainSerializer(lambda pieces: " ".join(f"{wait}+{length}" for wait, length in pieces)),
    ] = ()

    @classmethod
    def of(cls, kind: Literal["text", "reasoning"], came: Iterable[tuple[int, str]]) -> Passage:
        """Return a text in its pieces, without what must not be written.

        A secret may come in pieces that do not show it, so the whole is looked at. From the first sign that is masked
        to the last, the text is then one piece.
        """
        came = tuple(came)
        text = "".join(piece for _, piece in came)
        clean = scrubbed(text)
        pieces = tuple((wait, len(piece)) for wait, piece in came)
        return cls(kind=kind, text=clean, pieces=pieces if text == clean else _fitted(pieces, text, clean))

    def timed(self) -> Iterator[Timed]:
        """Yield the pieces; where the text was changed by hand, the last takes what is left."""
        form = TextDelta if self.kind == "text" else ReasoningDelta
        begin, late = 0, 0
        for number, (wait, length) in enumerate(self.pieces, start=1):
            end = len(self.text) if number == len(self.pieces) else begin + length
            late += wait
            if piece := self.text[begin:end]:
                yield late, form(text=piece)
                late = 0
            begin = end
        if not self.pieces and self.text:
            yield 0, form(text=self.text)


def _fitted(pieces: Pieces, text: str, clean: str) -> Pieces:
    """Return the pieces of a masked text: as they were before and behind what was masked."""
    head = _shared(text, clean)
    tail = _shared(text[head:][::-1], clean[head:][::-1])
    fitted: list[tuple[int, int]] = []
    end = waited = 0
    for wait, length in pieces:
        begin, end, waited = end, end + length, waited + wait
        if end <= head or begin >= len(text) - tail or end == len(text):
            # Behind what was masked it counts from the end.
            now = end if end <= head else len(clean) - (len(text) - end)
            done = sum(size for _, size in fitted)
            fitted.append((waited, now - done))
            waited = 0
    return tuple(fitted)


def _shared(one: str, other: str) -> int:
    """Return how many first signs two texts have in common."""
    differs = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differs, min(len(one), len(other)))


class Happening(Value):
    """Anything else that happened."""

    after_ms: int = Field(0, ge=0)
    """Since what happened before."""
    event: Annotated[Routed | AttemptStarted | Waiting | AttemptFailed | Completed, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _names_all_tasks(self) -> Happening:
        if isinstance(self.event, Routed) and set(self.event.classification.scores) != set(Task):
            raise ValueError("the scores of a decision name each task once")
        return self


class Recording(Value):
    """One answer, or whatever else was shown."""

    sent: Sent
    cell: str = ""
    """The id of the cell that asked, where the notebook tells it."""
    ended: Ended = Ended.COMPLETE
    failure: Failure | None = None
    """Where it failed."""
    events: tuple[Happening | Passage, ...] = ()
    value: Any = None
    """What was shown, where that is no answer."""

    def timed(self) -> Iterator[Timed]:
        """Yield what happened, each with the milliseconds since what happened before."""
        for one in self.events:
            if isinstance(one, Passage):
                yield from one.timed()
            else:
                yield one.after_ms, one.event


def happened(events: Iterable[Timed]) -> tuple[Happening | Passage, ...]:
    """Return events as they may be written."""
    found: list[Happening | Passage] = []
    for kind, group in groupby(events, key=lambda timed: timed[1].kind):
        if kind == "text_delta" or kind == "reasoning_delta":
            came = [(wait, event.text) for wait, event in group if isinstance(event, TextDelta | ReasoningDelta)]
            found.append(Passage.of("text" if kind == "text_delta" else "reasoning", came))
        else:
            found += (Happening(after_ms=wait, event=written(event)) for wait, event in group)
    return tuple(found)


E = TypeVar("E", bound=Event)

_EVENT: TypeAdapter[Any] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def written(event: E) -> E:
    """Return an event as it may be written: without secrets, and a decision without what no view shows."""
    # What was gathered is gathered again when it is replayed: the notebook holds it.
    less = {"route": _short(event.route), "items": ()} if isinstance(event, Routed) else {}
    plain = _EVENT.dump_python(event.model_copy(update=less), mode="json")
    found: E = _EVENT.validate_python(cleaned(plain))
    return found


def _short(route: Route) -> Route:
    smallest = route.smallest if route.smallest not in route.candidates else None
    # In the order in which views show them.
    ordered = sorted(route.rejections, key=lambda rejection: rejection.reason is RejectionReason.NOT_ASKED_FOR)
    return route.model_copy(
        update={
            "candidates": tuple(map(_alone, route.candidates)),
            "smallest": smallest and _alone(smallest),
            "rejections": tuple(ordered[:KEPT_REJECTIONS]),
            "unranked": route.unranked + len(ordered[KEPT_REJECTIONS:]),
        }
    )


def _alone(candidate: Candidate) -> Candidate:
    """Return a candidate without its key, and without the other models of its server."""
    endpoint = candidate.endpoint.model_copy(update={"api_key": None, "models": ()})
    return candidate.model_copy(update={"endpoint": endpoint})


def plain(recording: Recording) -> Mapping[str, Any]:
    """Return a recording as plain data, without what is as usual."""
    data: dict[str, Any] = recording.model_dump(mode="json", exclude_defaults=True)
    for one, event in zip(data.get("events", ()), recording.events, strict=True):
        if isinstance(event, Happening):
            one["event"] = {"kind": event.event.kind, **one["event"]}
    return data
