"""A server that may answer, as it was last seen, with the models that it serves."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from jupyter_llmroute.core.values import Value

BEYOND_ANY_SIZE = 2**60
"""No count of tokens, bytes or parameters comes near this."""


def size(told: object) -> int | None:
    """Return the number that a server tells; `None` for what is no size: a server may say anything.

    Examples
    --------
    >>> size(8192), size(-1), size(10**400), size("many")
    (8192, None, None, None)
    """
    if isinstance(told, int) and not isinstance(told, bool) and 0 < told < BEYOND_ANY_SIZE:
        return told
    return None


Size = Annotated[int | None, AfterValidator(size)]
"""A number of tokens, bytes or parameters as a server tells it; what can be none counts as not told."""


class Health(StrEnum):
    """How a server was when last asked."""

    WELL = "well"
    LOADING = "loading"
    """Alive, and reading a model."""
    WANTS_KEY = "wants a key"
    DOWN = "down"


class ServedModel(Value):
    """One model on one server, as that server describes it; `None` is what it does not tell."""

    id: str
    """What requests must name it."""
    context_window: Size = None
    """Served window in tokens, prompt and answer together. This is the one that counts."""
    window_is_assumed: bool = False
    """Whether `context_window` is what we count on because the server does not tell it."""
    window_limit: Size = None
    """The largest window in tokens that a request may ask for; `None` where the server's is fixed."""
    trained_window: Size = None
    """Window in tokens that the model was trained for: an upper bound only."""
    size_bytes: Size = None
    parameters: Size = None
    quantisation: str | None = None
    family: str | None = None
    """The architecture as the server calls it, such as `qwen3`."""
    digest: str | None = None
    """Of the model's file or manifest; equal digests are equal models."""
    capabilities: frozenset[str] = frozenset()
    """What it can besides answering in text: of `tools`, `vision`, `thinking`, `insert`; empty also where unknown."""
    loaded: bool | None = None
    """Whether it is in memory now."""
    chat: bool = True
    """Whether it answers chats; embedding models do not."""
    remote: str | None = None
    """The sign that it runs on somebody else's machine, in words; `None` where there is no such sign."""


class Endpoint(Value):
    """One server."""

    name: str
    """What the user calls it."""
    provider: str
    """The dialect it speaks: a name of the `jupyter_llmroute.providers_v1` entry points."""
    base_url: str
    health: Health = Health.WELL
    detail: str = ""
    """What stands in the way, and the remedy; empty when nothing does."""
    priority: int = 5
    """Lower is preferred where all else is equal."""
    models: tuple[ServedModel, ...] = ()
    api_key: SecretStr | None = None
    stall_s: float = 30.0
    """Seconds of silence within an answer after which it counts as dead."""
    max_retries: int = 3
    """How often the same model is asked again after a passing failure, when there is nobody else."""
    counts: bool = False
    """Whether it counts a prompt's tokens before it answers: then no estimate refuses a prompt that may fit."""
    models_are_local: bool = False
    """Whether the user vouches that a gateway passes text on to nobody outside the allowed network."""
    models_path: str | None = None
    """Where a custom endpoint keeps its model list; `None`: where the dialect has it."""
    chat_path: str | None = None
    """Where a custom endpoint takes chats; `None`: where the dialect has it."""

    def with_loaded(self, model_id: str, window: int | None = None) -> Endpoint:
        """Return the same endpoint with that model in memory, serving `window` tokens where that is told."""
        noted: dict[str, object] = {"loaded": True} | ({"context_window": window} if window else {})
        models = (m.model_copy(update=noted) if m.id == model_id else m for m in self.models)
        return self.model_copy(update={"models": tuple(models)})

    @property
    def key(self) -> str | None:
        """Its key, as it is sent."""
        return self.api_key.get_secret_value() if self.api_key else None

    @property
    def host(self) -> str:
        """The host of `base_url`, without port and brackets; empty when it has no address yet, or none that reads."""
        try:
            return urlsplit(self.base_url).hostname or ""
        except ValueError:  # a bracket that does not close; nothing can be sent there
            return ""

    @property
    def port(self) -> int | None:
        """The port of `base_url`; `None` where it names none, or has no address."""
        try:
            return urlsplit(self.base_url).port
        except ValueError:
            return None

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, by its address: then its models take this machine's memory."""
        try:
            return not self.base_url or self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
