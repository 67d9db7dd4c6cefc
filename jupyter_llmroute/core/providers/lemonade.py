"""Lemonade: several engines behind one server, models of a cloud's among them.

Facts: src/cpp/server/server.cpp of lemonade-sdk/lemonade. Sizes are told in GB, as floats.
"""

from __future__ import annotations

import re
from typing import Any

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, Size, size
from jupyter_llmroute.core.probe import Answer, Probe
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import owners, told
from jupyter_llmroute.core.values import Answered

HEALTH_PATH = "/v1/health"

CAPABILITIES = {"vision": "vision", "tool-calling": "tools", "reasoning": "thinking"}
"""Its labels, and our words for them."""

OTHER_KINDS = frozenset("embeddings embedding reranking audio transcription tts speech image edit".split())
"""Labels of models that do not answer in text."""

OTHER_RECIPES = frozenset(("whispercpp", "sd-cpp", "kokoro"))

_QUANTISATION = re.compile(r"[A-Z][A-Z0-9_-]*")


class _Listed(Answered):
    id: str
    checkpoint: str | None = None
    downloaded: bool = True
    recipe: str | None = None
    labels: tuple[str, ...] = ()
    size: float | None = None
    context_length: Size = None
    max_context_window: Size = None


class Lemonade(OpenAICompatible):
    """All models that were downloaded; one is loaded when it is asked."""

    name = "lemonade"
    default_urls = ("http://127.0.0.1:13305", "http://127.0.0.1:8000")
    marks = (HEALTH_PATH,)
    cuts_silently = True  # of its engines, not all are llama.cpp

    async def recognise(self, probe: Probe) -> bool:
        """Whether it owns its models; while it has none, whether its health tells which are loaded."""
        owned = owners(await probe.get(self.models_path))
        if owned:
            return owned == {self.name}
        health = told(await probe.get(HEALTH_PATH))
        return isinstance(health.get("all_models_loaded"), list) and isinstance(health.get("version"), str)

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models; those that are loaded with the window that they were loaded with."""
        windows = _windows(await probe.get(HEALTH_PATH))
        return tuple(
            model.model_copy(update={"loaded": model.id in windows, "context_window": windows.get(model.id)})
            for model in await super().models(probe, endpoint)
        )

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list; one that is not there yet would be downloaded, so it does not chat."""
        known = _Listed.model_validate(item)
        is_other = not OTHER_KINDS.isdisjoint(known.labels) or known.recipe in OTHER_RECIPES
        variant = (known.checkpoint or "").rpartition(":")[2]
        return ServedModel(
            id=known.id,
            trained_window=known.max_context_window or known.context_length,
            size_bytes=_bytes(known.size),
            quantisation=variant if _QUANTISATION.fullmatch(variant) else None,
            capabilities=frozenset(CAPABILITIES[label] for label in known.labels if label in CAPABILITIES),
            chat=known.downloaded and not is_other,
            remote="its recipe is 'cloud'" if known.recipe == "cloud" else None,
        )


def _windows(answer: Answer) -> dict[str, int | None]:
    loaded = told(answer).get("all_models_loaded")
    windows: dict[str, int | None] = {}
    for entry in loaded if isinstance(loaded, list) else ():
        name, options = (entry.get("model_name"), entry.get("recipe_options")) if isinstance(entry, dict) else (None, 0)
        if isinstance(name, str):
            windows[name] = size(options.get("ctx_size")) if isinstance(options, dict) else None
    return windows


def _bytes(gigabytes: float | None) -> int | None:
    # What is no number of gigabytes is infinite, or not one at all.
    return size(round(gigabytes * 1e9)) if gigabytes is not None and abs(gigabytes) < 1e9 else None
