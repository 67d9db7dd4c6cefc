"""text-generation-webui: the model that is loaded answers, whatever a request names, and old messages are dropped.

Facts: modules/api/script.py, models.py and completions.py of oobabooga/text-generation-webui.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.choosing import grammar
from jupyter_llmroute.core.providers.counting import answer_limit, ask, whole
from jupyter_llmroute.core.providers.failure import failure
from jupyter_llmroute.core.providers.json_grammar import JSON_OBJECT
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import told

NOTHING_LOADED = "None"

NOTHING_DROPPED = 2**30
"""As a length in tokens: no prompt has as many."""


class TextGeneration(OpenAICompatible):
    """One model a server; its model list has names that older builds make up, so another one is read."""

    name = "textgen"
    default_urls = ("http://127.0.0.1:5000",)
    json_mode: ClassVar[Mapping[str, Any]] = {"grammar_string": JSON_OBJECT}
    models_path = "/v1/internal/model/info"
    marks = (models_path,)
    cuts_silently = True

    async def recognise(self, probe: Probe) -> bool:
        """Whether it describes its model where only this server does; with a key wanted, nothing tells it."""
        info = told(await probe.get(self.marks[0]))
        return isinstance(info.get("model_name"), str) and isinstance(info.get("lora_names"), list)

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the model that is loaded; the window is told nowhere."""
        answer = await probe.get(endpoint.models_path or self.models_path)
        name = told(answer).get("model_name")
        if not isinstance(name, str):
            raise failure(endpoint.name, answer.status, answer.body, key=endpoint.key)
        return () if name == NOTHING_LOADED else (ServedModel(id=name, loaded=True),)

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send; messages are dropped where they and `max_tokens` exceed `truncation_length`."""
        window = chat.window or chat.model.context_window
        return {
            **super().body(chat),
            "max_tokens": answer_limit(chat),
            **({"truncation_length": window} if window else {}),
        }

    def narrowed(self, chat: Chat) -> dict[str, Any]:
        """Return the keys of the dialect, and a grammar of the options."""
        return {**super().narrowed(chat), "grammar_string": grammar(chat.options)}

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt, template included, as the server renders and counts it.

        Rendering drops old messages as answering does, so it gets a length that nothing exceeds.
        """
        body = {**self.body(chat), "stream": False, "max_tokens": 1, "truncation_length": NOTHING_DROPPED}
        prompt = (await ask(client, endpoint, "/v1/internal/chat-prompt", body)).get("prompt")
        if not isinstance(prompt, str):
            return None
        return whole((await ask(client, endpoint, "/v1/internal/token-count", {"text": prompt})).get("length"))
