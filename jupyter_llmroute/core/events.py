"""What happens while a question is answered, in the order in which it happens.

Routed, then for each attempt AttemptStarted, perhaps Waiting, and its deltas; AttemptFailed where it failed; Completed
at the end.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.endpoint import size
from jupyter_llmroute.core.fallback import Level
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.message import ToolCall
from jupyter_llmroute.core.route import Route
from jupyter_llmroute.core.values import Value


class Attempt(Value):
    """One server that was asked, and how it failed."""

    number: int
    """1 for the first."""
    service: str
    model: str
    error: str
    level: Level = Level.PRIMARY
    failure: str = ""
    """The class of the error, such as `"Unreachable"`."""


Count = Annotated[int | None, AfterValidator(lambda told: 0 if told == 0 else size(told))]
"""A number as a server tells it, none at all included; what can be none counts as not told."""


class Usage(Value):
    """Tokens as the server counted them; `None` is what it did not tell."""

    prompt_tokens: Count = None
    cached_tokens: Count = None
    """Those of the prompt that the server did not have to read again."""
    completion_tokens: Count = None


class Routed(Value):
    """The decision was taken."""

    kind: Literal["routed"] = "routed"
    classification: Classification
    route: Route
    context: tuple[str, ...] = ()
    """References of what was gathered to go along: cells, then earlier answers."""
    items: tuple[ContextItem, ...] = ()
    """What was gathered for this question."""
    remarks: tuple[str, ...] = ()
    """What the user should know of how it was gathered, a sentence each."""


class AttemptStarted(Value):
    """A server is being asked."""

    kind: Literal["attempt_started"] = "attempt_started"
    number: int
    service: str
    model: str
    reasons: tuple[str, ...]
    prompt_tokens: int
    prompt_tokens_exact: bool = False
    """Whether the server counted them before they were sent; otherwise they are estimated."""
    level: Level = Level.PRIMARY
    context_window: int | None = None
    """Tokens of the window that it serves, or is asked to serve; `None` where nobody knows."""
    is_cold: bool = False
    """Whether the model is not in memory, so that it must be loaded before the first token."""
    context: tuple[str, ...] = ()
    """References of what goes along to this model: cells, then earlier answers."""
    left_out: tuple[str, ...] = ()
    """References of what did not fit its window."""


class Waiting(Value):
    """The attempt goes on, and there is a reason why nothing comes."""

    kind: Literal["waiting"] = "waiting"
    reason: str
    """In words, such as `"loading"`."""
    elapsed_s: float
    """Since it was asked, in seconds."""


class ReasoningDelta(Value):
    """Some more of what the model thinks before it answers."""

    kind: Literal["reasoning_delta"] = "reasoning_delta"
    text: str


class TextDelta(Value):
    """Some more of the answer."""

    kind: Literal["text_delta"] = "text_delta"
    text: str


class ToolCallDelta(Value):
    """Some more of the calls that the model asks for; only where the request has tools."""

    kind: Literal["tool_call_delta"] = "tool_call_delta"
    calls: tuple[ToolCall, ...]


class AttemptFailed(Value):
    """The server that was asked failed; another attempt follows, or an exception ends the stream."""

    kind: Literal["attempt_failed"] = "attempt_failed"
    attempt: Attempt


class Completed(Value):
    """The answer is whole."""

    kind: Literal["completed"] = "completed"
    service: str
    model: str
    """The one that was asked."""
    answered_by: str | None
    """The name that the server gave itself in the answer; `None` where it gave none."""
    finish_reason: str
    """`"stop"`, `"length"` or another word of the server's."""
    usage: Usage
    time_to_first_token_s: float
    elapsed_s: float
    """From sending to the last token, in seconds."""
    tokens_per_second: float | None
    """Generated tokens after the first, by the time they took; `None` when that cannot be told."""


Event = Routed | AttemptStarted | Waiting | ReasoningDelta | TextDelta | ToolCallDelta | AttemptFailed | Completed
