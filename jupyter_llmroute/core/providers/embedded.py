"""The embedded llama.cpp server: its models are GGUF files, and a server starts when one of them is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import httpx

from jupyter_llmroute.core.embedded import EmbeddedBackend, Header, Running, find_models, is_installed
from jupyter_llmroute.core.embedded.server import served_window
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.errors import ModelNotFound, ServerFailure, UserError
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat, Chunk, Counted
from jupyter_llmroute.core.providers.llamacpp import LlamaCpp
from jupyter_llmroute.core.sections import EmbeddedSettings


class Embedded:
    """A provider without an address: the servers it starts have one.

    It holds the processes it asked for until `close`; they also end by themselves, when nobody holds them or when
    they are idle.
    """

    name = "embedded"
    default_urls: tuple[str, ...] = ()
    named_urls: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    cuts_silently = False

    def __init__(self, settings: EmbeddedSettings) -> None:
        self._settings = settings
        self._backend = EmbeddedBackend(settings)
        self._dialect = LlamaCpp()

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the embedded server as one endpoint, with what is in its way; none when it is switched off."""
        if not self._settings.enabled:
            return ()
        endpoint = Endpoint(name=self.name, provider=self.name, base_url="", priority=9, counts=True)
        if not is_installed():
            detail = 'not installed: pip install "jupyter-llmroute[embedded]"'
            return (endpoint.model_copy(update={"health": Health.DOWN, "detail": detail}),)
        try:
            headers, running = await asyncio.to_thread(lambda: (find_models(self._settings), self._backend.running()))
        except UserError as error:
            return (endpoint.model_copy(update={"health": Health.DOWN, "detail": str(error)}),)
        in_memory = {process.path: process for process in running}
        models = tuple(self._served(header, in_memory.get(header.path)) for header in headers)
        detail = "" if models else "no model yet: jupyter-llmroute embedded fetch, or set embedded.model_path"
        return (endpoint.model_copy(update={"models": models, "detail": detail}),)

    def _served(self, header: Header, running: Running | None) -> ServedModel:
        to_be = served_window(self._settings.context_window, header.trained_window)
        return ServedModel(
            id=header.name,
            context_window=running.context_window if running else to_be,
            trained_window=header.trained_window,
            size_bytes=header.size_bytes,
            parameters=header.parameters,
            quantisation=header.quantisation,
            loaded=running is not None,
        )

    async def recognise(self, probe: Probe) -> bool:
        """Whether a server found by its address is the embedded one: it never is, it has a key."""
        return False

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models of an endpoint that `endpoints` gave."""
        return endpoint.models

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt where the model's server runs already; none is started for it."""
        for process in await asyncio.to_thread(self._backend.running):
            if process.model == chat.model.id:
                return await self._dialect.count(client, _at(endpoint, process), chat)
        return None

    async def chat(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> AsyncGenerator[Chunk, None]:
        """Start the model's server if need be, and ask it; for a question with options none is started."""
        async with contextlib.aclosing(
            self._dialect.chat(client, _at(endpoint, await self._server(chat)), chat)
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _server(self, chat: Chat) -> Running:
        try:
            headers = await asyncio.to_thread(find_models, self._settings)
        except UserError as error:  # the settings are as they were when its models were listed: the files changed
            raise ModelNotFound(str(error)) from error
        header = next((header for header in headers if header.name == chat.model.id), None)
        if header is None:
            raise ModelNotFound(f"The file of {chat.model.id!r} is gone: see jupyter-llmroute embedded status.")
        if chat.options:
            servers = await asyncio.to_thread(self._backend.running)
            if running := next((server for server in servers if server.path == header.path), None):
                return running
            raise ModelNotFound(f"The embedded server of {chat.model.id!r} does not run any more: ask it a question.")
        try:
            return await self._backend.ensure(header)
        except (UserError, OSError) as error:  # the user's to mend, and no reason to ask nobody else
            raise ServerFailure(f"The embedded server cannot be had for {chat.model.id!r}: {error}") from error

    def close(self) -> None:
        """Let go of the servers; those that nobody else holds end soon."""
        self._backend.close()


def _at(endpoint: Endpoint, running: Running) -> Endpoint:
    """Return the endpoint with the address and the key of a process that answers for it."""
    return endpoint.model_copy(update={"base_url": running.url, "api_key": running.key})
