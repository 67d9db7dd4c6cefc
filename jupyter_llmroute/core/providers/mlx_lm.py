"""mlx-lm's server: it lists what is in the cache, and loads, even downloads, whatever it is asked for.

Facts: mlx_lm/server.py of ml-explore/mlx-lm. Its window is told nowhere, and nothing is cut to one.
"""

from __future__ import annotations

from typing import Any

from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import owners, told


class MLXLM(OpenAICompatible):
    """The models of the cache; a request names one of the list, for any other would be downloaded."""

    name = "mlx_lm"
    default_urls = ("http://127.0.0.1:8080",)
    marks = ("/health",)
    cuts_silently = False

    async def recognise(self, probe: Probe) -> bool:
        """Whether Python's own server lists models that nobody owns, and says that it is well.

        Only then is it asked how it is: of others that wakes a generation.
        """
        answer = await probe.get(self.models_path)
        if not answer.headers.get("server", "").startswith("BaseHTTP/") or owners(answer) != {""}:
            return False
        return told(await probe.get(self.marks[0])) == {"status": "ok"}

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send; without a limit the answer has 512 tokens."""
        return {"max_tokens": chat.room_tokens, **super().body(chat)}
