"""SGLang: the window is in the list; its tokenizer counts texts.

Facts: sglang/srt/entrypoints/http_server.py, openai/protocol.py, openai/serving_tokenize.py of 0.5.9.
`/health` wakes a generation there: it is never asked.
"""

from __future__ import annotations

from typing import Any

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.counting import ask, joined, text_alone
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import owners, told


class SGLang(OpenAICompatible):
    """One model a server, and adapters of it."""

    name = "sglang"
    default_urls = ("http://127.0.0.1:30000",)
    cuts_silently = False  # 400 with both numbers

    async def recognise(self, probe: Probe) -> bool:
        """Whether it owns all the models of its list."""
        return owners(await probe.get(self.models_path)) == {self.name}

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models; the server says once for all whether it generates or embeds."""
        models = await super().models(probe, endpoint)
        if told(await probe.get("/model_info")).get("is_generation") is False:
            return tuple(model.model_copy(update={"chat": False}) for model in models)
        return models

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list."""
        return super().served(item).model_copy(update={"loaded": True})

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt's text, and what its template may add: the endpoint takes no chats.

        The `max_model_len` of its answer is the tokenizer's, not the served window.
        """
        body = {"model": chat.model.id, "prompt": joined(chat.messages)}
        return text_alone((await ask(client, endpoint, "/v1/tokenize", body)).get("count"), chat)
