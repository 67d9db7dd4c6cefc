"""LocalAI: models of all kinds in one list, loaded when they are asked.

Facts: core/http/routes/localai.go, core/http/endpoints/openai/list_capabilities.go, core/config/model_config.go,
core/http/endpoints/localai/tokenize.go of mudler/LocalAI. Nothing tells a backend that passes text on.
"""

from __future__ import annotations

import os
from typing import Any

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, Size
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.counting import ask, joined, text_alone
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import bound_url, model_list, told
from jupyter_llmroute.core.values import Answered

DEFAULT_PORT = 8080
CAPABILITIES_PATH = "/v1/models/capabilities"
"""The same models, and what each of them is for; only in newer builds."""
SHARED_CAPABILITIES = frozenset({"tools", "vision", "thinking"})


class _Listed(Answered):
    id: str
    capabilities: tuple[str, ...] | None = None
    context_size: Size = None
    """That of one request, after what its backend makes of it."""


class LocalAI(OpenAICompatible):
    """Several models, loaded when they are asked."""

    name = "localai"
    default_urls = (f"http://127.0.0.1:{DEFAULT_PORT}",)
    marks = ("/.well-known/localai.json",)
    cuts_silently = True  # what a backend does is not known

    @property
    def named_urls(self) -> tuple[str, ...]:
        """Where `LOCALAI_ADDRESS` tells the server to listen."""
        url = bound_url(os.environ.get("LOCALAI_ADDRESS", ""), DEFAULT_PORT)
        return (url,) if url else ()

    async def recognise(self, probe: Probe) -> bool:
        """Whether it describes itself where only LocalAI does; that is open without a key too."""
        known = told(await probe.get(self.marks[0]))
        return isinstance(known.get("version"), str) and isinstance(known.get("endpoints"), dict)

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models, from the list that says what they are for where there is one."""
        if endpoint.models_path is None and model_list(await probe.get(CAPABILITIES_PATH)) is not None:
            endpoint = endpoint.model_copy(update={"models_path": CAPABILITIES_PATH})
        return await super().models(probe, endpoint)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of either list; an entry of the newer one may lack what it is for."""
        known = _Listed.model_validate(item)
        return ServedModel(
            id=known.id,
            context_window=known.context_size,
            capabilities=SHARED_CAPABILITIES.intersection(known.capabilities or ()),
            chat=not known.capabilities or "chat" in known.capabilities,
        )

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt's text, and what its template may add: the endpoint takes no chats."""
        body = {"model": chat.model.id, "content": joined(chat.messages)}
        return text_alone((await ask(client, endpoint, "/v1/tokenize", body)).get("tokens"), chat)
