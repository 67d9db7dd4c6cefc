"""Servers as last seen, and looking again when that is too long ago.

A look goes on in the background while what was seen before is good enough to begin with. What another process of the
user's has just seen is taken from the state file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import httpx

from jupyter_llmroute.core.discovery import discover, listed_again, places, with_unique_names
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.environment import detect, neighbours
from jupyter_llmroute.core.providers import Provider
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.state import Look, Sharing, StateFile, fingerprint, with_keys


class Seen(NamedTuple):
    """What one look found."""

    endpoints: tuple[Endpoint, ...]
    seen_at: float
    """When, in seconds since the epoch."""


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
        self._sharing = Sharing(state)
        self._hosts: tuple[str, ...] | None = None
        self._endpoints: tuple[Endpoint, ...] | None = None
        self._looking: asyncio.Task[Seen] | None = None
        self._has_failed = False
        """Whether something failed since the look that goes on began, so that it may not be true any more."""
        self._windows: dict[tuple[str, str], int] = {}
        """Windows that servers told by refusing a prompt; by address and model."""
        self._models: dict[str, tuple[ServedModel, ...]] = {}
        """What servers had when they were well; by address."""
        self.seen_at = 0.0
        """When the servers were last looked at, in seconds since the epoch."""

    async def seen(self, *, refresh: bool = False) -> Seen:
        """Return the servers as last seen, looking for them when that is too long ago.

        Parameters
        ----------
        refresh
            Look now, whenever the last look was.
        """
        is_stale = time.time() - self.seen_at > self._settings.limits.rescan_s
        if refresh and self._looking:
            self._has_failed = True  # the look that goes on began before: it is made again
        if (refresh or is_stale or self._endpoints is None) and self._looking is None:
            self._looking = asyncio.create_task(self._look(is_forced=refresh or self.seen_at > 0))
        # What was seen a while ago is good enough to begin with: the new look goes on beside the answer.
        if self._looking and (refresh or self._endpoints is None):
            return await asyncio.shield(self._looking)
        return Seen(self._endpoints or (), self.seen_at)

    async def listed_again(self, endpoints: tuple[Endpoint, ...], names: Collection[str]) -> tuple[Endpoint, ...]:
        """Return servers, those named with the digests that they tell at this moment, however lately they were seen.

        Parameters
        ----------
        endpoints
            As `services` gave them; where nothing is new, the same value is returned.
        names
            Of the servers to ask.
        """
        asked = [e for e in endpoints if e.name in names and e.models and e.provider in self._dialects]
        limit_s = self._settings.limits.scan_s
        told = await asyncio.gather(
            *(listed_again(each, self._dialects[each.provider], self._client, limit_s) for each in asked)
        )
        now = {each.name: each for each in told}
        again = tuple(now.get(endpoint.name, endpoint) for endpoint in endpoints)
        if again == endpoints:
            return endpoints
        if self._endpoints == endpoints:  # otherwise a new look has seen more
            self._endpoints = again
        return again

    @property
    def is_looking(self) -> bool:
        """Whether a look is going on."""
        return self._looking is not None

    def forget(self) -> None:
        """Note that what was seen is no longer true: whoever asks next waits for a new look."""
        self._endpoints, self._has_failed = None, True

    def note_loaded(self, service: str, model_id: str, window: int | None) -> None:
        """Note that a model is in memory now, with that window; a new look would say so, but later.

        Where that is no news, the servers stay the same value: what was worked out of them stays true.
        """
        seen = self._endpoints
        noted = seen and tuple(e.with_loaded(model_id, window) if e.name == service else e for e in seen)
        if noted != seen:
            self._endpoints = noted

    async def aclose(self) -> None:
        """Give up a look that goes on, and wait until the one before is written."""
        if self._looking:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._sharing.aclose()

    async def _look(self, *, is_forced: bool) -> Seen:
        """Look around, or take what another process has seen lately.

        Not the latter once this process has seen something itself: then something did not go as it was seen.
        """
        try:
            self._has_failed = False
            seen = await self._look_once(is_forced)
            # What failed meanwhile may have been looked at before it did.
            return await self._look_once(True) if self._has_failed else seen
        finally:
            self._looking = None

    async def _look_once(self, is_forced: bool) -> Seen:
        hosts = await self._hosts_around()
        look, built_in = await asyncio.gather(self._found(hosts, is_forced), self._embedded.endpoints())
        self.seen_at = look.seen_at
        found = with_unique_names((*look.endpoints, *built_in))
        self._endpoints = endpoints = tuple(self._with_windows(self._remembered(endpoint)) for endpoint in found)
        return Seen(endpoints, look.seen_at)

    def _remembered(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint that is not well with the models that it had: no other's are to be taken for them."""
        if endpoint.health is Health.WELL:
            self._models[endpoint.base_url] = endpoint.models
        had = self._models.get(endpoint.base_url, ())
        is_gone = endpoint.health not in (Health.WELL, Health.LOADING) and not endpoint.models
        return endpoint.model_copy(update={"models": had}) if is_gone and had else endpoint

    def _with_windows(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint with the windows that it told when a prompt was too long."""
        told = {model.id: self._windows.get((endpoint.base_url, model.id)) for model in endpoint.models}
        if not any(told.values()):
            return endpoint
        models = (
            model.model_copy(update={"context_window": told[model.id], "window_is_assumed": False})
            if told[model.id] and (model.context_window is None or model.window_is_assumed)
            else model
            for model in endpoint.models
        )
        return endpoint.model_copy(update={"models": tuple(models)})

    def note_window(self, base_url: str, model_id: str, window: int) -> None:
        """Note the window that a server told by refusing a prompt; the next look counts on it."""
        self._windows[base_url, model_id] = window

    async def _hosts_around(self) -> tuple[str, ...]:
        """Return the hosts besides this machine to look at; what machine this is does not change."""
        if self._hosts is None:
            wanted = self._settings.discovery
            around = neighbours(await asyncio.to_thread(detect)) if wanted.host_machine else ()
            self._hosts = tuple(dict.fromkeys((*wanted.hosts, *around)))
        return self._hosts

    async def _found(self, hosts: tuple[str, ...], is_forced: bool) -> Look:
        urls = [place.base_url for place in places(self._settings, self._dialects, hosts)]
        mark = fingerprint(self._settings, urls)
        if self._state and not is_forced:
            shared = (await asyncio.to_thread(self._state.read)).look(mark)
            if shared and (taken := self._taken(shared, urls)):
                return taken
        seen_at = time.time()
        found = await discover(self._settings, self._dialects, self._client, hosts)
        look = Look(seen_at=seen_at, endpoints=found)
        self._sharing.write(lambda old: old.with_look(mark, look))
        return look

    def _taken(self, shared: Look, urls: Iterable[str]) -> Look | None:
        """Return a look of another process with this one's keys, where it is as good as one of our own.

        A file names no server at which we would not look, and none that speaks what is not installed here; and one
        that refused a key may take the one that is set now.
        """
        known = {url.rstrip("/") for url in urls}
        endpoints = with_keys(shared.endpoints, self._settings)
        is_fresh = 0 <= time.time() - shared.seen_at <= self._settings.limits.rescan_s
        is_ours = all(e.base_url in known and e.provider in self._dialects for e in endpoints)
        is_refused = any(e.health is Health.WANTS_KEY and e.api_key for e in endpoints)
        return shared.model_copy(update={"endpoints": endpoints}) if is_fresh and is_ours and not is_refused else None
