"""Leaving a server alone for a while that failed several times in a row."""

from __future__ import annotations

from jupyter_llmroute.core.values import Value

LONGEST_S = 600.0
"""No server is left alone for longer than ten minutes."""


class Breaker(Value):
    """The failures of one server since its last answer."""

    failures: int = 0
    opened: int = 0
    """How often it was left alone since its last answer."""
    open_until: float | None = None
    """Seconds since the epoch until which nobody asks it; `None` while it is asked as usual."""

    def with_failure(self, now: float, *, allowed: int, first_s: float) -> Breaker:
        """Return the state after one more failure.

        Parameters
        ----------
        now
            Seconds since the epoch.
        allowed
            So many failures in a row open it; once it was open, the next one does.
        first_s
            Seconds that it stays open the first time; each time after, twice as long.
        """
        if self.failures + 1 < allowed and not self.opened:
            return self.model_copy(update={"failures": self.failures + 1})
        pause_s = min(LONGEST_S, first_s * 2**self.opened)
        return Breaker(failures=self.failures + 1, opened=self.opened + 1, open_until=now + pause_s)

    def is_closed(self, now: float, seen_at: float) -> bool:
        """Whether the server may be asked.

        After its pause it may be asked again when a look at its metadata since then, at `seen_at`, found it well;
        whether it was well is the endpoint's health.
        """
        return self.open_until is None or (now >= self.open_until and seen_at >= self.open_until)
