"""Docker Model Runner: engines of several kinds below roots of its own.

Facts: pkg/server/server.go, pkg/inference/models/api.go, pkg/inference/backends/llamacpp/llamacpp_config.go of
docker/model-runner.
"""

from __future__ import annotations

import re
from typing import Any

from jupyter_llmroute.core.endpoint import ServedModel, Size, size
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import parameters
from jupyter_llmroute.core.values import Answered

GREETING = "Docker Model Runner is running"

_BYTES = re.compile(r"(\d{1,6}(?:\.\d{1,6})?) ?([KMGT])(i?)B")
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


class _About(Answered):
    context_window: Size = None
    """What the engine is started with."""
    architecture: str | None = None
    parameters: str | None = None
    quantization: str | None = None
    size: str | None = None


class _Listed(Answered):
    id: str
    dmr: _About | None = None
    """Only in newer builds."""


class DockerModelRunner(OpenAICompatible):
    """All models that were pulled; one is loaded when it is asked."""

    name = "docker"
    default_urls = ("http://127.0.0.1:12434",)
    marks = ("/",)
    models_path = "/engines/v1/models"
    chat_path = "/engines/v1/chat/completions"
    cuts_silently = False  # llama.cpp or vLLM, as they are

    async def recognise(self, probe: Probe) -> bool:
        """Whether it greets as itself."""
        answer = await probe.get("/")
        return answer.status == 200 and answer.text.strip() == GREETING

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list."""
        known = _Listed.model_validate(item)
        about = known.dmr or _About()
        return ServedModel(
            id=known.id,
            context_window=about.context_window,
            size_bytes=_bytes(about.size),
            parameters=parameters(about.parameters),
            quantisation=about.quantization,
            family=about.architecture,
            chat="bert" not in (about.architecture or ""),  # those embed
        )


def _bytes(text: str | None) -> int | None:
    found = _BYTES.fullmatch(text.strip()) if text else None
    if not found:
        return None
    number, unit, is_binary = found.groups()
    return size(round(float(number) * (1024 if is_binary else 1000) ** _POWERS[unit]))
