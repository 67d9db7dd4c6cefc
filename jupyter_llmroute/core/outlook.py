"""What decisions rest on: the servers, the catalog, and the models that are others than they were."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from jupyter_llmroute.core.audit.journal import Journal
from jupyter_llmroute.core.audit.record import MODEL_CHANGED, Security
from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.lookout import Lookout
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
        Tells when the servers were last looked at.
    journal
        What writes down that a model is another than it was. `None`: nothing is written.
    """

    def __init__(
        self, settings: Settings, policy: Policy, catalog: Catalog, lookout: Lookout, journal: Journal | None
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._catalog = catalog
        self._lookout = lookout
        self._journal = journal
        self._snapshot: Snapshot | None = None

    async def snapshot(self, endpoints: tuple[Endpoint, ...]) -> Snapshot:
        """Return what a decision on these servers rests on.

        What was worked out of it stays for as long as nothing new is seen.
        """
        changed = await self._changed_models(endpoints)
        seen_at, snapshot = self._lookout.seen_at, self._snapshot
        is_known = snapshot and (snapshot.endpoints is endpoints or snapshot.endpoints == endpoints)
        if snapshot is None or not is_known or snapshot.changed != changed:
            memory_gb = self._settings.models.memory_gb
            snapshot = Snapshot(
                endpoints=endpoints,
                catalog=self._catalog,
                routing=self._settings.task_routing,
                reserve_tokens=self._settings.context.reserve_tokens,
                excluded=self._settings.models.excluded,
                changed=changed,
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

    async def _changed_models(self, endpoints: Sequence[Endpoint]) -> tuple[tuple[str, str], ...]:
        """Return servers and models that are others than the locked ones, and write down those that were not so yet.

        Files are read only where they look changed since.
        """
        if not self._settings.security.verify_checksums:
            return ()
        from jupyter_llmroute.core.embedded import find_models
        from jupyter_llmroute.core.lock_file import has_lock
        from jupyter_llmroute.core.model_lock import verify

        if not await asyncio.to_thread(has_lock):
            return ()
        own = await asyncio.to_thread(find_models, self._settings.embedded) if self._settings.embedded.enabled else ()
        wrong = [each for each in await verify(endpoints, own, is_thorough=False) if each.is_wrong]
        known = self._snapshot.changed if self._snapshot else ()
        if self._journal and (new := [each for each in wrong if (each.service, each.model) not in known]):
            await self._journal.note(
                *(
                    Security(event=MODEL_CHANGED, detail=f"{each.model} on {each.service}", sha256=each.found)
                    for each in new
                )
            )
        return tuple((each.service, each.model) for each in wrong)
