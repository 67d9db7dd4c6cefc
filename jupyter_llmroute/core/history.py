"""What happened before, as far as a decision may rest on it."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.feedback import Feedback
from jupyter_llmroute.core.lean import Lean
from jupyter_llmroute.core.speed import Speed
from jupyter_llmroute.core.values import Value


def place(endpoint: Endpoint) -> str:
    """Return what a server is remembered by: its address, or its name where it has none yet."""
    return endpoint.base_url or endpoint.name


def place_of(endpoint: Endpoint, model_id: str) -> str:
    """Return what a model on a server is remembered by."""
    return f"{place(endpoint)} {model_id}"


class History(Value):
    """Speeds, loads and failures of servers, at one moment."""

    now: float = 0.0
    """Seconds since the epoch."""
    draw: int = 0
    """A random number: it decides between replicas that are equal in all else."""
    last: str | None = None
    """The model on a server that answered this session last, as `place_of` names it: its caches are warm."""
    speeds: Mapping[str, Speed] = {}
    """By `place_of`."""
    breakers: Mapping[str, Breaker] = {}
    """By `place`."""
    busy: Mapping[str, int] = {}
    """Questions that are being answered, by `place`."""
    lean: Lean = Lean()
    """What the user's corrections of tasks say."""
    feedback: Feedback = Feedback()
    """What the user thought of answers."""

    def with_pauses_over(self, at: float) -> History:
        """Return the same with nobody left alone after `at`, in seconds since the epoch; failures still count."""
        breakers = {place: breaker.with_pause_over(at) for place, breaker in self.breakers.items()}
        return self.model_copy(update={"breakers": breakers, "now": max(self.now, at)})
