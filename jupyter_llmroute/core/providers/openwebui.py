"""Open WebUI: a gateway with accounts, which may add to what is asked.

Facts: open_webui/main.py, utils/auth.py, utils/models.py, routers/openai.py and routers/ollama.py, recorded from
0.12.4. `/v1/models` there is a web page.
"""

from __future__ import annotations

from typing import Any

from jupyter_llmroute.core.endpoint import ServedModel, Size
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import GATEWAY, cloud_sign, parameters, told
from jupyter_llmroute.core.values import Answered


class _Details(Answered):
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class _Ollama(Answered):
    """What an Ollama behind it says of the model."""

    name: str | None = None
    size: Size = None
    digest: str | None = None
    details: _Details = _Details()
    remote_host: str | None = None
    remote_model: str | None = None


class _Meta(Answered):
    """What a llama.cpp behind it says of the model."""

    n_ctx: Size = None
    n_ctx_train: Size = None
    n_params: Size = None
    size: Size = None
    ftype: str | None = None


class _Listed(Answered):
    """One entry; its `connection_type` is a label, which is `local` for any Ollama, wherever that is."""

    id: str
    max_model_len: Size = None
    loaded: bool | None = None
    meta: _Meta | None = None
    ollama: _Ollama | None = None


class OpenWebUI(OpenAICompatible):
    """The models that an account may use; a server behind it is better asked itself."""

    name = "openwebui"
    default_urls = ("http://127.0.0.1:8080", "http://127.0.0.1:3000")  # the second is that of its Docker instructions
    marks = ("/api/config",)
    models_path = "/api/models"
    chat_path = "/api/chat/completions"
    cuts_silently = True  # its servers may be of any kind

    async def recognise(self, probe: Probe) -> bool:
        """Whether its configuration is what its own web page reads; that is open without an account too."""
        config = told(await probe.get(self.marks[0]))
        parts = (config.get("name"), config.get("version"), config.get("oauth"), config.get("features"))
        if not all(map(isinstance, parts, (str, str, dict, dict))):
            return False
        return isinstance(config["features"].get("auth"), bool)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list: it has what the server behind it said."""
        known = _Listed.model_validate(item)
        meta, ollama = known.meta or _Meta(), known.ollama or _Ollama()
        family = ollama.details.family
        return ServedModel(
            id=known.id,
            context_window=meta.n_ctx or known.max_model_len,
            trained_window=meta.n_ctx_train,
            size_bytes=meta.size or ollama.size,
            parameters=meta.n_params or parameters(ollama.details.parameter_size),
            quantisation=meta.ftype or ollama.details.quantization_level,
            family=family,
            digest=ollama.digest,
            loaded=known.loaded,
            chat="bert" not in (family or ""),  # those embed
            remote=_remote_sign(known, ollama),
        )


def _remote_sign(known: _Listed, ollama: _Ollama) -> str:
    if ollama.remote_host or ollama.remote_model:
        return f"remote host {ollama.remote_host or ollama.remote_model!r}"
    return cloud_sign(ollama.name or known.id) or GATEWAY
