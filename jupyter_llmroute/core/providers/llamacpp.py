"""llama.cpp's server: the OpenAI dialect, a true word about its window, and an exact count of any prompt.

Facts: tools/server of ggml-org/llama.cpp, and answers recorded from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from pydantic import ValidationError

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, Size
from jupyter_llmroute.core.errors import ModelLoading
from jupyter_llmroute.core.probe import Answer, Probe
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.choosing import grammar
from jupyter_llmroute.core.providers.counting import ask, whole
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import owners
from jupyter_llmroute.core.thinking import SPELLINGS
from jupyter_llmroute.core.values import Answered

IN_MEMORY = ("loaded", "sleeping")
"""What the router calls a model that answers without being looked for on the disk."""

GRADES = {"Small": "_S", "Medium": "_M", "Large": "_L"}
"""What is behind the dash in such a name as `Q4_K - Medium`, which is `Q4_K_M` everywhere else."""


class _Meta(Answered):
    n_ctx: Size = None
    n_ctx_train: Size = None
    n_params: Size = None
    size: Size = None
    ftype: str | None = None


class _Status(Answered):
    value: str | None = None


class _Architecture(Answered):
    input_modalities: tuple[str, ...] = ()


class _Listed(Answered):
    id: str
    meta: _Meta | None = None
    architecture: _Architecture | None = None
    status: _Status | None = None
    """Only in router mode, where one server holds several models."""


class _Slot(Answered):
    n_ctx: Size = None


class _Modalities(Answered):
    vision: bool = False


class _Abilities(Answered):
    """What the model's chat template can."""

    supports_tools: bool = False


class _Properties(Answered):
    """What `/props` tells of the one model of a server."""

    role: str | None = None
    default_generation_settings: _Slot = _Slot()
    """Those of one slot: of its window, one request can use as much."""
    modalities: _Modalities = _Modalities()
    chat_template: str = ""
    chat_template_caps: _Abilities = _Abilities()
    model_ftype: str | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """What the model can, in our words; it thinks if its template has a place for thoughts."""
        can = {
            "vision": self.modalities.vision,
            "tools": self.chat_template_caps.supports_tools,
            "thinking": any(tag in self.chat_template for tag in SPELLINGS),
        }
        return frozenset(name for name, it_can in can.items() if it_can)


class LlamaCpp(OpenAICompatible):
    """One model a server, or several in router mode."""

    name = "llamacpp"
    # The second is the announced new default.
    default_urls: tuple[str, ...] = ("http://127.0.0.1:8080", "http://127.0.0.1:9931")
    cuts_silently = False

    def __init__(self) -> None:
        self._counts: dict[str, Callable[[httpx.AsyncClient, Endpoint, Chat], Awaitable[Counted | None]]] = {}
        """By server: the way to count that it knows."""

    async def recognise(self, probe: Probe) -> bool:
        """Whether it says so in its header, or as the owner of all its models: a gateway may have some of its."""
        answer = await probe.get(self.models_path)
        return answer.headers.get("server") == "llama.cpp" or owners(answer) == {"llamacpp"}

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models; of a single one, `/props` tells more."""
        if _is_loading(await probe.get(self.models_path)):
            raise ModelLoading(f"{endpoint.name} is reading its model.")
        models = await super().models(probe, endpoint)
        if len(models) != 1:
            return models
        props = _properties(await probe.get("/props"))
        return models if props is None or props.role == "router" else (_described(models[0], props),)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list."""
        known = _Listed.model_validate(item)
        meta = known.meta or _Meta()
        takes = known.architecture.input_modalities if known.architecture else ()
        return ServedModel(
            id=known.id,
            context_window=meta.n_ctx,
            trained_window=meta.n_ctx_train,
            size_bytes=meta.size,
            parameters=meta.n_params,
            quantisation=_quantisation(meta.ftype),
            capabilities=frozenset({"vision"} if "image" in takes else ()),
            loaded=known.status is None or known.status.value in IN_MEMORY,
        )

    def narrowed(self, chat: Chat) -> dict[str, Any]:
        """Return the keys of the dialect, a grammar of the options, and the wish for an answer without thoughts."""
        thoughtless = {"chat_template_kwargs": {"enable_thinking": False}}
        can_think = "thinking" in chat.model.capabilities
        return {**super().narrowed(chat), "grammar": grammar(chat.options), **(thoughtless if can_think else {})}

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt as its answer would report them; `None` where the server does not count.

        Newer builds count a chat; older ones render it, and count the text. Both make no model work, but the router
        loads the one that they name.
        """
        known = self._counts.get(endpoint.base_url)
        for way in sorted((self._count_chat, self._count_rendered), key=lambda way: way != known):
            if counted := await way(client, endpoint, chat):
                self._counts[endpoint.base_url] = way
                return counted
        return None

    async def _count_chat(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        path = self.chat_path + "/input_tokens"
        return whole((await ask(client, endpoint, path, self.body(chat))).get("input_tokens"))

    async def _count_rendered(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        prompt = (await ask(client, endpoint, "/apply-template", self.body(chat))).get("prompt")
        if not isinstance(prompt, str):
            return None
        text = {"model": chat.model.id, "content": prompt, "add_special": True, "parse_special": True}
        return whole((await ask(client, endpoint, "/tokenize", text)).get("tokens"))


def _is_loading(answer: Answer) -> bool:
    return answer.status == 503 and b"Loading model" in answer.body


def _properties(answer: Answer) -> _Properties | None:
    try:
        return _Properties.model_validate(answer.json) if answer.status == 200 else None
    except ValidationError:
        return None


def _described(model: ServedModel, props: _Properties) -> ServedModel:
    return model.model_copy(
        update={
            "context_window": props.default_generation_settings.n_ctx or model.context_window,
            "quantisation": model.quantisation or _quantisation(props.model_ftype),
            "capabilities": model.capabilities | props.capabilities,
        }
    )


def _quantisation(ftype: str | None) -> str | None:
    name, _, grade = (ftype or "").partition(" - ")
    return name + GRADES.get(grade, "") or None
