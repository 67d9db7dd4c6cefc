"""What the server extension takes and gives: the values of its HTTP interface.

The front end's types are made from these (`tests/typescript_types.py`), and so is the OpenAPI description.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SkipValidation, StringConstraints

from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

MOST_CHARS = 2_000_000
"""Characters of a question, or of one message."""

MOST_MESSAGES = 4096


class Shape(Value):
    """The base of all; the fields' own words go into the descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)


class ServedModel(Shape):
    """A model on one server."""

    id: str
    """What requests must name it."""
    name: str
    """What is shown."""
    loaded: bool | None
    """Whether it is in memory; null where the server does not tell."""
    context_window: int | None
    """Tokens that it serves."""
    window_is_assumed: bool
    size_bytes: int | None
    is_usable: bool
    """Whether it may be asked now."""
    why_not: str | None
    """What stands in the way."""


class Service(Shape):
    """A server as it was last seen."""

    name: str
    product: str
    """What it says it is, such as "Ollama"."""
    url: str
    """Its address, without a password; empty for the built-in one."""
    healthy: bool
    why_not: str | None
    models: tuple[ServedModel, ...]


class Services(Shape):
    """All servers that are known."""

    services: tuple[Service, ...]
    looked_at: datetime | None
    """When they were last looked at."""
    is_looking: bool
    """Whether a look is going on now."""
    remarks: tuple[str, ...]
    """What the user should know, such as that the policy is open."""


class OfferedModel(ServedModel):
    """A model with the server that serves it."""

    service: str


class Models(Shape):
    """The models of all servers."""

    models: tuple[OfferedModel, ...]


Pin = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
PinnedTask = Literal["any", "coding", "reasoning", "analysis", "documentation"]
Pins = dict[PinnedTask, Pin]
"""Wishes by task, or for any without one of its own: "model" or "model@service"."""


class Question(Shape):
    """What would be asked."""

    question: str = Field(max_length=MOST_CHARS)
    task: Task | None = None
    """The task where the user names it."""
    model: str | None = Field(None, max_length=300)
    """Only this model."""
    # Anybody may have written a notebook: what cannot be read in it stops no question. `core.pins.read` judges it.
    pins: SkipValidation[Pins] = Field(default_factory=dict)


class Said(Shape):
    """One message of an earlier conversation."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=MOST_CHARS)


class ChatQuestion(Question):
    """What is asked."""

    messages: tuple[Said, ...] = Field((), max_length=MOST_MESSAGES)
    """What was said before, the oldest first."""


class GuessedTask(Shape):
    """What a question was taken for."""

    name: Task
    confidence: float
    """From 0 to 1."""
    evidence: tuple[str, ...]
    rival: Task | None
    """Another task that is nearly as probable."""


class Considered(Shape):
    """Who else was looked at, and what came of it."""

    model: str | None
    """Null where the whole server was left out."""
    service: str
    verdict: str


class Decision(Shape):
    """Who would answer, and why."""

    task: GuessedTask | None
    """Null where nothing could be decided."""
    model: str | None
    service: str | None
    reasons: tuple[str, ...]
    considered: tuple[Considered, ...]
    remarks: tuple[str, ...]
    """What the user should know, such as why a pinned model does not answer."""
    error: str | None
    """Why nobody would."""


class NextUp(Shape):
    """Who each task would use now."""

    tasks: dict[Task, Decision]


class AuditTail(Shape):
    """The newest records of the audit log, the oldest first."""

    records: tuple[dict[str, Any], ...]
    is_kept: bool
    """Whether there is a log."""


class Verdict(StrEnum):
    """How a check ended."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


class Check(Shape):
    """One item of the doctor's checklist."""

    id: str
    title: str
    verdict: Verdict
    evidence: str
    remedy: str
    """What to do; empty where nothing is to be done."""


class Doctor(Shape):
    """The checklist of a closed network."""

    checks: tuple[Check, ...]
    verdict: Verdict
    """The worst of all."""


class ShownSettings(Shape):
    """The settings that hold in the Jupyter server, without secrets."""

    file: str | None
    """The settings file that was read."""
    settings: dict[str, Any]
    origins: dict[str, str]
    """Who says what a setting is, by its name with dots; what is not here is a default."""
    may_set: tuple[str, ...]
    """Names that PUT takes; a section stands for all in it."""


class ChangedSettings(Shape):
    """Settings to change for as long as the Jupyter server runs."""

    settings: dict[str, Any] = Field(min_length=1, max_length=100)
    """New values by their names with dots; null takes a change back."""


class Failure(Shape):
    """Why a request came to nothing."""

    message: str
    reason: str | None


# --- OpenAI's shapes, as far as they are described; what clients send is read in `openai_wire` ---


class GatewayModel(Shape):
    """A model as OpenAI lists it."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class GatewayModels(Shape):
    """The list of models."""

    object: Literal["list"] = "list"
    data: tuple[GatewayModel, ...]


class GatewayProblem(Shape):
    """OpenAI's error."""

    message: str
    type: str
    param: str | None
    code: str | None


class GatewayFailure(Shape):
    """What OpenAI answers where it fails."""

    error: GatewayProblem
