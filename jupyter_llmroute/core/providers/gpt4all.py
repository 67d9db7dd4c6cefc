"""GPT4All: whole answers only, and a request with a key that it does not know is refused.

Facts: gpt4all-chat/src/server.cpp and modellist.h of nomic-ai/gpt4all. Its list has the online models that the user
added beside those that were downloaded (`ModelInfo::isOnline`): all of them belong to humanity, and nothing in an entry
tells one from the other. So all count as remote until the user vouches for them with `models_are_local`.
"""

from __future__ import annotations

from typing import Any

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import BadRequest
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat
from jupyter_llmroute.core.providers.counting import answer_limit
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import GATEWAY, owners

USUAL_WINDOW = 2048
"""Tokens of a model's window unless the user sets another one (`m_contextLength` in modellist.h); told nowhere."""


class GPT4All(OpenAICompatible):
    """The models of the application; each chat is shown in its window."""

    name = "gpt4all"
    default_urls = ("http://127.0.0.1:4891",)
    cuts_silently = True  # what is generated pushes the oldest half of the prompt out

    async def recognise(self, probe: Probe) -> bool:
        """Whether its models belong to humanity."""
        return owners(await probe.get(self.models_path)) == {"humanity"}

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list; where the model runs is not told."""
        more = {"context_window": USUAL_WINDOW, "window_is_assumed": True, "remote": GATEWAY}
        return super().served(item).model_copy(update=more)

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send; without a limit the answer has 16 tokens.

        `stream` is not supported, nor a seed, nor a mode for JSON.
        """
        if chat.passed:
            raise BadRequest(f"GPT4All takes none of {', '.join(chat.passed)}: ask a model on another server.")
        body: dict[str, Any] = {
            "model": chat.model.id,
            "messages": [message.model_dump() for message in chat.messages],
            "max_tokens": answer_limit(chat),
        }
        if chat.sampling.temperature is not None:
            body["temperature"] = chat.sampling.temperature
        return body
