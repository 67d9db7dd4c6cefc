"""Jan: a proxy before llama.cpp's server, which lists what runs; newer builds may list others' models too.

Facts: src-tauri/src/core/server/proxy.rs and src-tauri/static/openapi.json of janhq/jan.
"""

from __future__ import annotations

import re
from typing import Any

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import VOUCH, told
from jupyter_llmroute.core.values import Answered

LOCAL_OWNERS = ("user", "llama.cpp", "llamacpp", "mlx")
"""Who owns a model that runs on the machine itself: older builds say `user`, newer ones the engine."""

TITLE = re.compile(r"\bJan API\b")
"""Of "👋Jan API" and "Jan API Server Endpoints"; Jan alone is many people's name."""


class _Listed(Answered):
    id: str
    owned_by: str | None = None


class Jan(OpenAICompatible):
    """The models that were started in the application."""

    name = "jan"
    default_urls = ("http://127.0.0.1:1337",)
    marks = ("/openapi.json",)
    cuts_silently = False  # llama.cpp's server, started without context shift

    async def recognise(self, probe: Probe) -> bool:
        """Whether the description of its API bears its name; that is open without a key too."""
        described = told(await probe.get(self.marks[0]))
        info = described.get("info")
        title = info.get("title") if "openapi" in described and isinstance(info, dict) else None
        return isinstance(title, str) and TITLE.search(title) is not None

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list: it has a name and an owner."""
        known = _Listed.model_validate(item)
        is_local = known.owned_by in LOCAL_OWNERS
        return ServedModel(
            id=known.id,
            loaded=True if is_local else None,
            remote=None if is_local else f"Jan says that it is of {known.owned_by!r}{VOUCH}",
        )
