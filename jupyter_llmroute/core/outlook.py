"""What decisions rest on: the servers, the catalog, and the models that are others than they were."""

from __future__ import annotations

import asyncio

from jupyter_llmroute.core.audit.once import Once
from jupyter_llmroute.core.audit.record import MODEL_CHANGED, Security
from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.checksums import Checked, Checksums
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.lookout import Lookout, Seen
from jupyter_llmroute.core.memory import total_memory_bytes
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.snapshot import Snapshot


class Outlook:
    """Keeps the snapshot of what was seen last.

    Parameters
    ----------
    settings
        Of the router.
    policy
        What may be reached.
    catalog
        What is known of models.
    lookout
        Asks servers for their digests anew.
    once
        Writes down that a model is another than it was.
    """

    def __init__(self, settings: Settings, policy: Policy, catalog: Catalog, lookout: Lookout, once: Once) -> None:
        self._settings = settings
        self._policy = policy
        self._catalog = catalog
        self._once = once
        self.checksums = Checksums(settings.embedded, lookout.listed_again)
        """Whether models are the locked ones."""
        self._snapshot: Snapshot | None = None

    async def snapshot(self, seen: Seen) -> Snapshot:
        """Return what a decision on these servers rests on.

        What was worked out of it stays for as long as nothing new is seen.
        """
        checked = await self._checked(seen.endpoints)
        endpoints, seen_at, snapshot = checked.endpoints, seen.seen_at, self._snapshot
        is_known = snapshot and (snapshot.endpoints is endpoints or snapshot.endpoints == endpoints)
        is_compared = snapshot and (snapshot.changed, snapshot.checking) == (checked.changed, checked.checking)
        if snapshot is None or not (is_known and is_compared):
            memory_gb = self._settings.models.memory_gb
            snapshot = Snapshot(
                endpoints=endpoints,
                catalog=self._catalog,
                routing=self._settings.task_routing,
                reserve_tokens=self._settings.context.reserve_tokens,
                excluded=self._settings.models.excluded,
                changed=checked.changed,
                checking=checked.checking,
                memory_bytes=int(memory_gb * 1e9) if memory_gb else total_memory_bytes(),
                patience_s=self._settings.limits.patience_s,
                seen_at=seen_at,
            )
            # Thousands of models take a while: other questions go on meanwhile.
            await asyncio.to_thread(snapshot.roster, self._policy)
        elif snapshot.seen_at != seen_at:
            snapshot = snapshot.seen_again(seen_at)
        self._snapshot = snapshot
        return snapshot

    async def _checked(self, endpoints: tuple[Endpoint, ...]) -> Checked:
        """Compare models with the locked ones, and write down those that were not seen so yet."""
        if not self._settings.security.verify_checksums:
            return Checked(endpoints)
        checked = await self.checksums.checked(endpoints)
        await self._once.tell(
            {
                (each.service, each.model, each.found): Security(
                    event=MODEL_CHANGED, detail=f"{each.model} on {each.service}", sha256=each.found
                )
                for each in checked.wrong
            }
        )
        return checked
