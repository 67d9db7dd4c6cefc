"""What the network policy did, written down: hosts that were refused, and what it allows beyond the usual."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from jupyter_llmroute.core.audit.folder import AuditError
from jupyter_llmroute.core.audit.journal import AuditWarning
from jupyter_llmroute.core.audit.once import Once
from jupyter_llmroute.core.audit.record import Record, Refused, Security


class Refusals:
    """Collects refusals where they happen, and writes each of them down once.

    Parameters
    ----------
    remarks
        What the policy allows beyond the usual: `Policy.remarks`.
    once
        Who writes.
    """

    def __init__(self, remarks: Sequence[str], once: Once) -> None:
        self._said: dict[tuple[str, ...], Record] = {("", remark): Security(event=remark) for remark in remarks}
        self._once = once

    def note(self, host: str, reason: str) -> None:
        """Keep that a host was refused, until somebody writes."""
        self._said[host, reason] = Refused(service=host, detail=reason)

    async def write(self) -> None:
        """Write down what is not written yet.

        Raises
        ------
        AuditError
            It cannot be written, and audit is required.
        """
        await self._once.tell(self._said)

    async def write_last(self) -> None:
        """Write down what is left; who closes has no question that could fail, so a failure is a warning."""
        try:
            await self.write()
        except AuditError as error:
            warnings.warn(f"What was refused last is not in the audit log: {error}", AuditWarning, stacklevel=2)
