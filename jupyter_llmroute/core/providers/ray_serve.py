"""Ray Serve LLM: vLLM on many machines, behind one address.

Facts: ray/llm/_internal/serve/core/configs/openai_api_models.py and core/ingress/ingress.py of Ray 2.60, and answers
recorded from it. The models run on the machines of its own cluster.
"""

from __future__ import annotations

from typing import Any

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, Size
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.counting import ask, joined, text_alone
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import model_list, owners
from jupyter_llmroute.core.values import Answered


class _Metadata(Answered):
    max_request_context_length: Size = None


class _Listed(Answered):
    id: str
    metadata: _Metadata = _Metadata()


class RayServe(OpenAICompatible):
    """The models of one deployment, and adapters of them."""

    name = "ray_serve"
    default_urls = ("http://127.0.0.1:8000",)
    cuts_silently = False  # vLLM

    async def recognise(self, probe: Probe) -> bool:
        """Whether its models have the owner that it writes, and its metadata."""
        answer = await probe.get(self.models_path)
        metadata = [item.get("metadata") for item in model_list(answer) or ()]
        has_its_own = all(isinstance(each, dict) and "max_request_context_length" in each for each in metadata)
        return owners(answer) == {"organization-owner"} and has_its_own

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list; a deployment may have no replica at the moment."""
        known = _Listed.model_validate(item)
        return ServedModel(id=known.id, context_window=known.metadata.max_request_context_length)

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt's text, and what its template may add: the endpoint takes no chats."""
        body = {"model": chat.model.id, "prompt": joined(chat.messages)}
        return text_alone((await ask(client, endpoint, "/tokenize", body)).get("count"), chat)
