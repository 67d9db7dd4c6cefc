"""llama-swap: a proxy that starts a server for each model, and passes on to peers.

Facts: internal/server/server.go, api.go and apigroup.go of mostlygeek/llama-swap. `GET /unload` stops every model and
`GET /upstream/` starts one: neither is ever asked.
"""

from __future__ import annotations

from typing import Any

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, Size
from jupyter_llmroute.core.probe import Answer, Probe
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import VOUCH, model_list, owners, told
from jupyter_llmroute.core.values import Answered

VERSION_KEYS = {"version", "commit", "build_date"}


class _Status(Answered):
    value: str | None = None


class _Listed(Answered):
    id: str
    context_length: Size = None
    """As its configuration says."""
    status: _Status | None = None
    peerID: str | None = None  # its spelling
    meta: dict[str, Any] | None = None


class LlamaSwap(OpenAICompatible):
    """Several models, of which few run at a time; a swap may take minutes."""

    name = "llama_swap"
    default_urls = ("http://127.0.0.1:8080",)
    marks = ("/api/version",)
    cuts_silently = True  # its servers may be of any kind

    async def recognise(self, probe: Probe) -> bool:
        """Whether it owns its models; while it has none, whether its version has the three parts of a Go build."""
        answer = await probe.get(self.models_path)
        if model_list(answer) != []:
            return owners(answer) == {"llama-swap"}
        return set(told(await probe.get(self.marks[0]))) >= VERSION_KEYS

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models; where the list does not say which run, another one does."""
        models = await super().models(probe, endpoint)
        if any(model.loaded is not None for model in models):
            running = {model.id for model in models if model.loaded}
        else:
            running = _running(await probe.get("/running"))
        return tuple(model.model_copy(update={"loaded": model.id in running}) for model in models)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list."""
        known = _Listed.model_validate(item)
        ours = (known.meta or {}).get("llamaswap")
        about = ours if isinstance(ours, dict) else {}
        peer = known.peerID or about.get("peerID")
        is_peer = bool(peer) or about.get("type") == "peer"
        return ServedModel(
            id=known.id,
            context_window=known.context_length,
            loaded=known.status.value == "loaded" if known.status else None,
            remote=f"of the peer {peer!r}{VOUCH}" if peer else f"of a peer{VOUCH}" if is_peer else None,
        )


def _running(answer: Answer) -> set[str]:
    listed = told(answer).get("running")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return {str(entry.get("model")) for entry in entries if entry.get("state") == "ready"}
