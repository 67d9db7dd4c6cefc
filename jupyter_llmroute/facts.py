"""The facts of an answer: what the JupyterLab extension draws the card from, and all that is kept with the answer.

Small and plain JSON. Names and messages of servers in it are made inert before they come in.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jupyter_llmroute.core.values import Value
from jupyter_llmroute.response import State


class TaskFacts(Value):
    """The task that the question was taken for."""

    name: str
    confidence: float = Field(ge=0, le=1)
    evidence: tuple[str, ...] = ()
    rival: str | None = None
    """Another task that is nearly as probable."""


class Considered(Value):
    """A model or server that does not answer, and why."""

    model: str
    service: str
    verdict: str


class FailedAttempt(Value):
    """A server that was asked and failed."""

    model: str
    service: str
    error: str


class AnswerFacts(Value):
    """The vendor JSON of an answer: facts only, small and plain. Times in seconds."""

    version: Literal[1] = 1
    state: State
    card_lines: int
    """How many leading lines of the bundle's Markdown are the card."""
    task: TaskFacts | None = None
    model: str | None = None
    service: str | None = None
    reasons: tuple[str, ...] = ()
    considered: tuple[Considered, ...] = ()
    more: int = 0
    """How many others were not chosen, besides those considered here."""
    level: str | None = None
    """How far the question had to fall back: a name of `core.fallback.Level`."""
    fallback: str | None = None
    """The same in words, and because of whom; `None` where the first one asked answers."""
    waiting: str | None = None
    """Why nothing comes yet, and for how long."""
    attempts: tuple[FailedAttempt, ...] = ()
    answered_by: str | None = None
    """The name that the server gave itself in the answer."""
    context: tuple[str, ...] = ()
    """References of what went along."""
    left_out: tuple[str, ...] = ()
    """References of what did not fit the model's window."""
    remarks: tuple[str, ...] = ()
    """What the user should know of how that was gathered, a sentence each."""
    prompt_tokens: int | None = None
    prompt_tokens_exact: bool = False
    """Whether the server counted them; otherwise they are estimated."""
    context_window: int | None = None
    """Tokens that the model serves, prompt and answer together."""
    window_is_assumed: bool = False
    """Whether nobody told it."""
    completion_tokens: int | None = None
    time_to_first_token_s: float | None = None
    tokens_per_second: float | None = None
    elapsed_s: float | None = None
    finish_reason: str | None = None
    """`"length"` where the answer was cut at its limit of tokens."""
    error: str | None = None
    changes: int = 0
    """How many changes of project files the answer offers; none once they were applied, discarded or superseded."""
