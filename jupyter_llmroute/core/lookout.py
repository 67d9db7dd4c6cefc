"""Servers as last seen, and looking again when that is too long ago.

A look goes on in the background while what was seen before is good enough to begin with. What another process of the
user's has just seen is taken from the state file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import httpx

from jupyter_llmroute.core.discovery import discover, places, with_unique_names
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.environment import detect, neighbours
from jupyter_llmroute.core.providers import Provider
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.state import Look, StateFile, fingerprint, with_keys


class Lookout:
    """The servers of one router."""

    def __init__(
        self,
        settings: Settings,
        dialects: Mapping[str, Provider],
        embedded: Embedded,
        client: httpx.AsyncClient,
        state: StateFile | None,
    ) -> None:
        self._settings = settings
        self._dialects = dialects
        self._embedded = embedded
        self._client = client
        self._state = state
        self._hosts: tuple[str, ...] | None = None
        self._endpoints: tuple[Endpoint, ...] | None = None
        self._looking: asyncio.Task[tuple[Endpoint, ...]] | None = None
        self.seen_at = 0.0
        """When the servers were last looked at, in seconds since the epoch."""

    async def services(self, *, refresh: bool = False) -> tuple[Endpoint, ...]:
        """Return the servers as last seen, looking for them when that is too long ago.

        Parameters
        ----------
        refresh
            Look now, whenever the last look was.
        """
        is_stale = time.time() - self.seen_at > self._settings.limits.rescan_s
        if (refresh or is_stale or self._endpoints is None) and self._looking is None:
            self._looking = asyncio.create_task(self._look(is_forced=refresh or self.seen_at > 0))
        # What was seen a while ago is good enough to begin with: the new look goes on beside the answer.
        if self._looking and (refresh or self._endpoints is None):
            return await asyncio.shield(self._looking)
        return self._endpoints or ()

    def forget(self) -> None:
        """Note that what was seen is no longer true: whoever asks next waits for a new look."""
        self._endpoints = None

    def note_loaded(self, service: str, model_id: str, window: int | None) -> None:
        """Note that a model is in memory now, with that window; a new look would say so, but later."""
        self._endpoints = self._endpoints and tuple(
            endpoint.with_loaded(model_id, window) if endpoint.name == service else endpoint
            for endpoint in self._endpoints
        )

    async def aclose(self) -> None:
        """Give up a look that goes on."""
        if self._looking:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self, *, is_forced: bool) -> tuple[Endpoint, ...]:
        """Look around, or take what another process has seen lately.

        Not the latter once this process has seen something itself: then something did not go as it was seen.
        """
        try:
            hosts = await self._hosts_around()
            found, built_in = await asyncio.gather(self._found(hosts, is_forced), self._embedded.endpoints())
            self._endpoints = with_unique_names((*found, *built_in))
            return self._endpoints
        finally:
            self._looking = None

    async def _hosts_around(self) -> tuple[str, ...]:
        """Return the hosts besides this machine to look at; what machine this is does not change."""
        if self._hosts is None:
            wanted = self._settings.discovery
            around = neighbours(await asyncio.to_thread(detect)) if wanted.host_machine else ()
            self._hosts = tuple(dict.fromkeys((*wanted.hosts, *around)))
        return self._hosts

    async def _found(self, hosts: tuple[str, ...], is_forced: bool) -> tuple[Endpoint, ...]:
        state = self._state
        if state is None:
            self.seen_at = time.time()
            return await discover(self._settings, self._dialects, self._client, hosts)
        looked_at = (place.base_url for place in places(self._settings, self._dialects, hosts))
        mark = fingerprint(self._settings, looked_at)
        shared = None if is_forced else (await asyncio.to_thread(state.read)).looks.get(mark)
        if shared and 0 <= time.time() - shared.seen_at <= self._settings.limits.rescan_s:
            self.seen_at = shared.seen_at
            return with_keys(shared.endpoints, self._settings)
        seen_at = time.time()
        found = await discover(self._settings, self._dialects, self._client, hosts)
        self.seen_at = seen_at
        look = Look(seen_at=seen_at, endpoints=found)
        await asyncio.to_thread(state.update, lambda old: old.with_look(mark, look))
        return found
