"""An answer as a value: what a notebook's variable holds after `%%route`."""

from __future__ import annotations

from enum import StrEnum

from jupyter_llmroute.core.events import Attempt, Usage
from jupyter_llmroute.core.fallback import Level
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value


class State(StrEnum):
    """How far an answer has come."""

    ROUTING = "routing"
    WAITING = "waiting"
    """Asked, and not one token yet."""
    STREAMING = "streaming"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class Response(Value):
    """One question, its answer and how it came about; `str()` of it is the answer's text."""

    question: str
    text: str
    """The answer, character for character as it came; what had come, where the state is not complete."""
    reasoning: str = ""
    """What the model thought before it answered, where it says so."""
    state: State
    error: str | None = None
    task: Task | None = None
    confidence: float | None = None
    """Of the task, from 0 to 1."""
    model: str | None = None
    service: str | None = None
    level: Level | None = None
    """How far the question had to fall back; `Level.PRIMARY` where the model that was wanted first answered."""
    answered_by: str | None = None
    """The name that the server gave itself in the answer."""
    finish_reason: str | None = None
    attempts: tuple[Attempt, ...] = ()
    """Those that failed, the last of them perhaps in the middle of its answer."""
    usage: Usage = Usage()
    time_to_first_token_s: float | None = None
    elapsed_s: float | None = None
    tokens_per_second: float | None = None

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        from jupyter_llmroute.inert import inert_markdown

        return inert_markdown(self.text)
