"""What is written down once, however often it is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from jupyter_llmroute.core.audit.journal import Journal
from jupyter_llmroute.core.audit.record import Record


class Once:
    """Writes each record once.

    Parameters
    ----------
    journal
        Where to; `None`: nowhere.
    """

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._told: set[tuple[str, ...]] = set()
        self._writing = asyncio.Lock()

    async def tell(self, said: Mapping[tuple[str, ...], Record]) -> None:
        """Write down what is not written yet; what could not be written is tried again the next time.

        Parameters
        ----------
        said
            Records by what tells one from another.

        Raises
        ------
        AuditError
            They cannot be written, and audit is required.
        """
        if self._journal is None:
            return
        async with self._writing:
            new = {name: record for name, record in said.items() if name not in self._told}
            await self._journal.note(*new.values())
            self._told |= new.keys()
