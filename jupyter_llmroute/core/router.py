"""The router: the one file that knows every stage."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.classifier import classify
from jupyter_llmroute.core.context import CellsSource, Context, ContextSource, gather
from jupyter_llmroute.core.discovery import discover, with_unique_names
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.errors import RouteFailed, UnknownModel, UnknownService
from jupyter_llmroute.core.events import AttemptFailed, Completed, Event, Routed
from jupyter_llmroute.core.executor import execute
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.providers import Provider, load_providers
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.selector import Rejection, RejectionReason, Route, Snapshot, select
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.transport import open_client


class Router:
    """Answers requests by the model that suits each; an async context manager.

    Parameters
    ----------
    settings
        Everything that can be set.
    providers
        Dialects by name. Default: the installed ones.
    sources
        Where context comes from. Default: the cells of the request.
    transport
        What carries the requests to servers; a test puts `httpx.MockTransport` here. Default: the network.

    Examples
    --------
    >>> async def ask(question: str) -> str:
    ...     async with Router(Settings.load()) as router:
    ...         events = router.stream(Request(question=question))
    ...         return "".join([event.text async for event in events if event.kind == "text_delta"])
    """

    def __init__(
        self,
        settings: Settings,
        *,
        providers: Mapping[str, Provider] | None = None,
        sources: Sequence[ContextSource] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self.policy = Policy.from_settings(settings.security)
        self.sources = (CellsSource(settings.context),) if sources is None else sources
        self.embedded = Embedded(settings.embedded)
        self._dialects = load_providers() if providers is None else providers
        self.providers = {**self._dialects, self.embedded.name: self.embedded}
        self._client = open_client(self.policy, connect_s=settings.limits.connect_s, transport=transport)
        self._endpoints: tuple[Endpoint, ...] | None = None
        self._seen_at = 0.0
        self._looking: asyncio.Task[tuple[Endpoint, ...]] | None = None

    async def __aenter__(self) -> Self:
        """Return the router itself; nothing is looked for before it is needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections, and give up the hold on embedded servers."""
        try:
            if self._looking:
                self._looking.cancel()
                await asyncio.wait([self._looking])
            self.embedded.close()
        finally:
            await self._client.aclose()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer a request; closing the iterator stops the server's work.

        Yields
        ------
        Event
            Routed first, Completed last.

        Raises
        ------
        UnknownModel, UnknownService
            What the request pins is nowhere.
        RouteFailed
            Nobody could answer.
        PeerError
            The server failed after the first visible token.
        """
        context, routed = await self._decide(request)
        yield routed
        if not routed.route.candidates:
            raise _nobody(request, routed.route)
        answers = execute(
            routed.route,
            context,
            self.providers,
            self._client,
            self.settings.limits,
            self.settings.context.reserve_tokens,
        )
        async with contextlib.aclosing(answers) as events:
            async for event in events:
                if isinstance(event, AttemptFailed):
                    self._endpoints = None  # what was seen is no longer true
                if isinstance(event, Completed):
                    self._note_loaded(event)
                yield event

    async def decide(self, request: Request) -> Routed:
        """Return the decision that `stream` would take, and ask nobody."""
        return (await self._decide(request))[1]

    async def services(self, *, refresh: bool = False) -> tuple[Endpoint, ...]:
        """Return the servers as last seen, looking for them when that is too long ago.

        Parameters
        ----------
        refresh
            Look now, whenever the last look was.
        """
        stale = time.monotonic() - self._seen_at > self.settings.limits.rescan_s
        if (refresh or stale or self._endpoints is None) and self._looking is None:
            self._looking = asyncio.create_task(self._look())
        # What was seen a while ago is good enough to begin with: the new look goes on beside the answer.
        if self._looking and (refresh or self._endpoints is None):
            return await asyncio.shield(self._looking)
        return self._endpoints or ()

    async def _look(self) -> tuple[Endpoint, ...]:
        try:
            found, built_in = await asyncio.gather(
                discover(self.settings, self._dialects, self._client), self.embedded.endpoints()
            )
            self._endpoints = with_unique_names((*found, *built_in))
            self._seen_at = time.monotonic()
            return self._endpoints
        finally:
            self._looking = None

    def _note_loaded(self, answered: Completed) -> None:
        """Note that the model that answered is in memory now; a new look would say so, but later."""
        self._endpoints = self._endpoints and tuple(
            endpoint.with_loaded(answered.model) if endpoint.name == answered.service else endpoint
            for endpoint in self._endpoints
        )

    async def _decide(self, request: Request) -> tuple[Context, Routed]:
        context = await gather(request, self.sources)
        what = classify(request, context)
        route = select(what, context, await self._snapshot(), self.policy)
        return context, Routed(classification=what, route=route, context=context.refs())

    async def _snapshot(self) -> Snapshot:
        return Snapshot(
            endpoints=await self.services(),
            catalog=Catalog.load(),
            routing=self.settings.task_routing,
            reserve_tokens=self.settings.context.reserve_tokens,
        )


def _nobody(request: Request, route: Route) -> Exception:
    """Return the error for a route without candidates: what is in the way, and what to do."""
    services = list(dict.fromkeys(r.service for r in route.rejections))
    if request.service and request.service.lower() not in {name.lower() for name in services}:
        known = ", ".join(services) or "none"
        return UnknownService(f"There is no server named {request.service!r}. Known servers: {known}.")
    in_the_way = [r for r in route.rejections if r.reason is not RejectionReason.NOT_ASKED_FOR]
    if request.model:
        of_servers = [r for r in in_the_way if r.model is None]
        in_the_way = [r for r in in_the_way if r.model]
        if not in_the_way:
            served = ", ".join(r.model for r in route.rejections if r.model) or "none"
            closed = ", ".join(f"{r.service} ({r.detail})" for r in of_servers)
            who = f"The server {request.service!r} has no" if request.service else "No server has a"
            return UnknownModel(
                f"{who} model {request.model!r}. Models there are: {served}."
                + (f" Not looked into: {closed}." if closed else "")
            )
    if request.service or any(r.service != Embedded.name or r.model for r in route.rejections):
        return RouteFailed(f"No model can answer this. {_reasons(in_the_way)}")
    built_in = next((r.detail for r in in_the_way), "switched off by embedded.enabled")
    return RouteFailed(
        "No model server was found on this machine. Start one (such as Ollama or llama.cpp's server), "
        f"name one under services in llmroute.yaml, or use the built-in one ({built_in})."
    )


def _reasons(rejections: Iterable[Rejection]) -> str:
    return "; ".join(f"{r.model or r.service}: {r.detail.rstrip('.')}" for r in rejections)
