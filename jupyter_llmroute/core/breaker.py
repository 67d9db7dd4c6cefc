"""Leaving a server alone for a while that failed several times in a row."""

from __future__ import annotations

from pydantic import Field, FiniteFloat

from jupyter_llmroute.core.values import Value

LONGEST_S = 600.0
"""No server is left alone for longer than ten minutes."""

MOST_DOUBLINGS = 64
"""By then any pause is the longest."""


class Breaker(Value):
    """The failures of one server since its last answer."""

    failures: int = Field(0, ge=0)
    opened: int = Field(0, ge=0)
    """How often it was left alone since its last answer."""
    open_until: FiniteFloat | None = None
    """Seconds since the epoch until which nobody asks it; `None` while it is asked as usual."""

    def with_failure(self, now: float, *, allowed: int, first_s: float) -> Breaker:
        """Return the state after one more failure.

        One that comes during the pause was on its way before, or is a further attempt for the same question: it says
        nothing new, and the pause stays as it is.

        Parameters
        ----------
        now
            Seconds since the epoch.
        allowed
            So many failures in a row open it; once it was open, the next one does.
        first_s
            Seconds that it stays open the first time; each time after, twice as long.
        """
        failures = self.failures + 1
        is_paused = not self.is_closed(now, seen_at=now)
        if is_paused or (failures < allowed and not self.opened):
            return self.model_copy(update={"failures": failures})
        pause_s = min(LONGEST_S, first_s * 2.0 ** min(self.opened, MOST_DOUBLINGS))
        return Breaker(failures=failures, opened=self.opened + 1, open_until=now + pause_s)

    def with_pause_over(self, at: float) -> Breaker:
        """Return the state as if its pause were over at that time: where nobody else is there, it is worth a look."""
        return self.model_copy(update={"open_until": self.open_until and min(self.open_until, at)})

    def is_closed(self, now: float, seen_at: float) -> bool:
        """Whether the server may be asked.

        After its pause it may be asked again when a look at its metadata since then, at `seen_at`, found it well;
        whether it was well is the endpoint's health.
        """
        if self.open_until is None or self.open_until - now > LONGEST_S + 1:  # or the clock was set back since
            return True
        return now >= self.open_until and seen_at >= self.open_until
