"""llama.cpp's server: the OpenAI dialect, and a true word about its window.

Facts: tools/server of ggml-org/llama.cpp, and answers recorded from it.
"""

from __future__ import annotations

from typing import Any

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, size
from jupyter_llmroute.core.errors import ModelLoading
from jupyter_llmroute.core.probe import Answer, Probe
from jupyter_llmroute.core.providers.openai import OpenAICompatible, model_list
from jupyter_llmroute.core.values import Answered


class _Meta(Answered):
    n_ctx: int | None = None
    n_ctx_train: int | None = None
    n_params: int | None = None
    size: int | None = None
    ftype: str | None = None


class _Status(Answered):
    value: str | None = None


class _Listed(Answered):
    id: str
    meta: _Meta | None = None
    status: _Status | None = None
    """Only in router mode, where one server holds several models."""


class LlamaCpp(OpenAICompatible):
    """One model a server, or several in router mode."""

    name = "llamacpp"
    default_urls = ("http://127.0.0.1:8080", "http://127.0.0.1:9931")  # the second is the announced new default
    cuts_silently = False

    async def recognise(self, probe: Probe) -> bool:
        """Whether it says so in its header, or as the owner of its models."""
        answer = await probe.get(self.models_path)
        is_owner = any(item.get("owned_by") == "llamacpp" for item in model_list(answer) or ())
        return answer.headers.get("server") == "llama.cpp" or is_owner

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models; the window of a single one is that of a slot, which `/props` tells."""
        if _is_loading(await probe.get(self.models_path)):
            raise ModelLoading(f"{endpoint.name} is reading its model.")
        models = await super().models(probe, endpoint)
        if len(models) == 1 and (window := _slot_window(await probe.get("/props"))):
            return (models[0].model_copy(update={"context_window": window}),)
        return models

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list."""
        known = _Listed.model_validate(item)
        meta = known.meta or _Meta()
        return ServedModel(
            id=known.id,
            context_window=meta.n_ctx,
            trained_window=meta.n_ctx_train,
            size_bytes=meta.size,
            parameters=meta.n_params,
            quantisation=meta.ftype,
            loaded=known.status is None or known.status.value in ("loaded", "sleeping"),
        )


def _is_loading(answer: Answer) -> bool:
    return answer.status == 503 and b"Loading model" in answer.body


def _slot_window(answer: Answer) -> int | None:
    settings = answer.json.get("default_generation_settings") if isinstance(answer.json, dict) else None
    return size(settings.get("n_ctx")) if isinstance(settings, dict) else None
