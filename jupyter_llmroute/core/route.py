"""A decision: whom to ask, in which order, who was left out, and why."""

from __future__ import annotations

from enum import StrEnum

from jupyter_llmroute.core.catalog import ModelInfo
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.values import Value


class RejectionReason(StrEnum):
    """Why a model, or a whole server, cannot be a candidate."""

    POLICY = "policy"
    NOT_WELL = "not well"
    NO_MODELS = "no models"
    LOADING = "loading"
    """It reads a model, and does not tell yet which."""
    NOT_ASKED_FOR = "not asked for"
    NOT_A_CHAT_MODEL = "not a chat model"
    EXCLUDED = "excluded"
    CHANGED = "changed"
    """Another model than the one that was locked."""
    CHECKING = "checking"
    """Its file looks changed, and is being read to compare it with the locked one."""
    MEMORY = "memory"
    WINDOW_TOO_SMALL = "window too small"
    BREAKER_OPEN = "breaker open"


class Rejection(Value):
    """A server or a model that was left out, and why."""

    service: str
    model: str | None = None
    """`None` when the whole server was left out."""
    reason: RejectionReason
    detail: str


class Candidate(Value):
    """A model on a server that may answer."""

    endpoint: Endpoint
    model: ServedModel
    info: ModelInfo
    score: float
    """Higher is better: expected quality from 0 to 100, less costs."""
    expected_s: float = 0.0
    """Seconds until the answer is whole, as expected: loading, reading, writing, waiting."""
    reasons: tuple[str, ...]
    """What the score is made of, in words."""


class Route(Value):
    """The decision."""

    candidates: tuple[Candidate, ...]
    """Best first."""
    rejections: tuple[Rejection, ...]
    smallest: Candidate | None = None
    """The one that needs least memory: the last to be asked."""
    unranked: int = 0
    """How many more models were not looked at closely: none of them could be among the candidates."""
    remarks: tuple[str, ...] = ()
    """What the user should know of it, a sentence each: why a pinned model does not answer."""
