"""KoboldCpp: one model, whatever name a request has, and prompts that are too long are cut without a word.

Facts: koboldcpp.py of 1.76, 1.102 and 1.117.1, and answers recorded from 1.76.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, size
from jupyter_llmroute.core.errors import AuthenticationNeeded
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.prompt import least_tokens
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.choosing import grammar
from jupyter_llmroute.core.providers.counting import answer_limit, ask, joined, text_alone, whole
from jupyter_llmroute.core.providers.json_grammar import JSON_OBJECT
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import owners, told

SERVERS = ("KoboldCppServer", "ConcedoLlamaForKoboldServer")
"""What the header says, in newer and in older builds."""

PROTECTED = "koboldcpp/protected-model"
"""What it calls its model before those who do not know the password."""

COUNT_PATH = "/api/extra/tokencount"

INVENTED = Usage(prompt_tokens=100, completion_tokens=100)
"""What 1.76 says of every answer."""


class KoboldCpp(OpenAICompatible):
    """One model a server."""

    name = "koboldcpp"
    default_urls = ("http://127.0.0.1:5001",)
    json_mode: ClassVar[Mapping[str, Any]] = {"grammar": JSON_OBJECT}
    cuts_silently = True

    async def recognise(self, probe: Probe) -> bool:
        """Whether it says so in its header, or as the owner of its models."""
        answer = await probe.get(self.models_path)
        return answer.headers.get("server", "").startswith(SERVERS) or owners(answer) == {self.name}

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the model that is loaded: requests get its answers whatever they name.

        An administrator's list has other files too, which only an administrator can load.
        """
        about = told(await probe.get("/api/extra/version"))
        current = told(await probe.get("/api/v1/model")).get("result")
        if current == PROTECTED or (about.get("protected") is True and endpoint.api_key is None):
            raise AuthenticationNeeded(
                f"{endpoint.name} keeps its model {current!r} behind a password: set its endpoint and api_key in the "
                "settings."
            )
        window = size(told(await probe.get("/api/extra/true_max_context_length")).get("value"))
        vision = about.get("vision") is True
        models = [model for model in await super().models(probe, endpoint) if model.id != "koboldcpp/inactive"]
        if len(models) > 1:
            models = [model for model in models if model.id == current]
        more = {"context_window": window, "loaded": True, "capabilities": frozenset({"vision"} if vision else ())}
        return tuple(model.model_copy(update=more) for model in models)

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send; the server cuts the prompt to make room for the answer, so that has its limit."""
        return {**super().body(chat), "max_tokens": answer_limit(chat)}

    def narrowed(self, chat: Chat) -> dict[str, Any]:
        """Return the keys of the dialect, and a grammar of the options."""
        return {**super().narrowed(chat), "grammar": grammar(chat.options)}

    def believed(self, usage: Usage) -> Usage:
        """Return what is true of the server's counts: older builds invent them."""
        return Usage() if usage == INVENTED else usage

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt; in older builds those of its text, and what its template may add.

        Those see nothing of a chat: fewer tokens than it has words mean that its text is to be counted.
        """
        messages = [message.model_dump() for message in chat.messages]
        counted = whole((await ask(client, endpoint, COUNT_PATH, {"messages": messages})).get("value"))
        if counted and counted.tokens >= max(2, least_tokens(chat.messages)):
            return counted
        answer = await ask(client, endpoint, COUNT_PATH, {"prompt": joined(chat.messages)})
        return text_alone(answer.get("value"), chat)
