"""vLLM: the window is in the list, and its tokenizer counts a chat exactly.

Facts: vllm/entrypoints/openai/models/serving.py, engine/protocol.py, tokenize/protocol.py, and a recorded 0.32.
"""

from __future__ import annotations

from typing import Any

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.counting import ask, whole
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import model_list, owners, told


class VLLM(OpenAICompatible):
    """One model a server, and adapters of it."""

    name = "vllm"
    default_urls = ("http://127.0.0.1:8000",)
    cuts_silently = False  # 400, unless `truncate_prompt_tokens` is asked for

    async def recognise(self, probe: Probe) -> bool:
        """Whether it owns all the models of its list, and tells a window as only engines of this family do."""
        answer = await probe.get(self.models_path)
        if answer.status == 401 and answer.json == {"error": "Unauthorized"}:
            # With a key set it guards what is below /v1, and not this: vllm/entrypoints/serve/instrumentator/basic.py.
            return set(told(await probe.get("/load"))) == {"server_load"}
        tells_window = any("max_model_len" in item for item in model_list(answer) or ())
        return owners(answer) == {self.name} and tells_window

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models; an adapter has the window of its parent."""
        models = await super().models(probe, endpoint)
        listed = model_list(await probe.get(endpoint.models_path or self.models_path)) or ()
        parent_of = {item["id"]: str(item.get("parent")) for item in listed}
        windows = {model.id: model.context_window for model in models}

        def window(model: ServedModel) -> int | None:
            return model.context_window or windows.get(parent_of.get(model.id, ""))

        return tuple(model.model_copy(update={"context_window": window(model)}) for model in models)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list; the engine listens when it has loaded."""
        return super().served(item).model_copy(update={"loaded": True})

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt, template included; `None` where the server does not count."""
        messages = [message.model_dump() for message in chat.messages]
        body = {"model": chat.model.id, "messages": messages, "add_generation_prompt": True}
        return whole((await ask(client, endpoint, "/tokenize", body)).get("count"))
