"""LM Studio: three lists of models, the newest tells most. A path that it does not know is an ERROR in the user's log.

Its server is closed. Facts: lmstudio-ai/docs (1_developer/2_rest, 1_developer/3_openai-compat), the discovery of
lmstudio-ai/lmstudio-js, and reports in lmstudio-ai/lmstudio-bug-tracker. Models of LM Link, which run on another
device of the user's, bear no sign.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, Size
from jupyter_llmroute.core.errors import AuthenticationNeeded
from jupyter_llmroute.core.probe import Answer, Probe
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import owners, parameters, told
from jupyter_llmroute.core.values import Answered

UNKNOWN_PATH = "Unexpected endpoint or method"
"""What a path that it does not know gets, with status 200; with tokens on, so does a request without one."""

EMBEDDING_PREFIX = "text-embedding-"
"""What LM Studio puts before the name of an embedding model."""


class _Config(Answered):
    context_length: Size = None


class _Instance(Answered):
    config: _Config = _Config()


class _Quantization(Answered):
    name: str | None = None


class _Capabilities(Answered):
    vision: bool = False
    trained_for_tool_use: bool = False
    reasoning: dict[str, Any] | None = None


class _Listed(Answered):
    """One entry of `/api/v1/models`."""

    key: str
    type: str | None = None
    architecture: str | None = None
    quantization: _Quantization | None = None
    size_bytes: Size = None
    params_string: str | None = None
    loaded_instances: tuple[_Instance, ...] = ()
    max_context_length: Size = None
    capabilities: _Capabilities | None = None


class _OlderListed(Answered):
    """One entry of `/api/v0/models`."""

    id: str
    type: str | None = None
    arch: str | None = None
    quantization: str | None = None
    state: str | None = None
    max_context_length: Size = None
    loaded_context_length: Size = None
    capabilities: tuple[str, ...] = ()


class LMStudio(OpenAICompatible):
    """All models that were downloaded; one is loaded when it is asked."""

    name = "lmstudio"
    default_urls = ("http://127.0.0.1:1234",)
    # It refuses `json_object`: lmstudio-ai/lmstudio-bug-tracker, issues 189 and 307.
    json_mode: ClassVar[Mapping[str, Any]] = {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    }
    cuts_silently = True  # the user chooses what happens on overflow, and two of three choices cut

    def __init__(self) -> None:
        self._older: set[str] = set()
        """Where the newest list is not there: asking again would fill the user's log."""

    async def recognise(self, probe: Probe) -> bool:
        """Whether it greets as LM Studio; only who seems to be it is asked, for the sake of the others."""
        answer = await probe.get(self.models_path)
        if not (_seems_to_be(answer) or probe.base_url.endswith(":1234")):
            return False
        return told(await probe.get("/lmstudio-greeting")).get("lmstudio") is True

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return what is downloaded, from the list that tells most."""
        if probe.base_url not in self._older:
            if (models := _read(await probe.get("/api/v1/models"), "models", _served)) is not None:
                return models
            self._older.add(probe.base_url)
        if (models := _read(await probe.get("/api/v0/models"), "data", _served_by_older)) is not None:
            return models
        answer = await probe.get(endpoint.models_path or self.models_path)
        if UNKNOWN_PATH in str(told(answer).get("error")):
            self._older.discard(probe.base_url)
            raise AuthenticationNeeded(
                f"{endpoint.name} answers {told(answer)['error'][:80]!r} to a request for its models, as it does to "
                "one without its token: set its endpoint and api_key in the settings."
            )
        return await super().models(probe, endpoint)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of `/v1/models`, which has no more than a name."""
        model = super().served(item)
        return model.model_copy(update={"chat": not model.id.startswith(EMBEDDING_PREFIX)})


def _seems_to_be(answer: Answer) -> bool:
    return (
        "express" in answer.headers.get("x-powered-by", "").lower()
        or UNKNOWN_PATH in str(told(answer).get("error"))
        or owners(answer) == {"organization_owner"}
    )


def _read(answer: Answer, key: str, served: Callable[[dict[str, Any]], ServedModel]) -> tuple[ServedModel, ...] | None:
    listed = told(answer).get(key)
    if not isinstance(listed, list):
        return None
    models = []
    for item in listed:
        with contextlib.suppress(ValidationError):  # one odd entry must not hide the others
            models.append(served(item))
    return tuple(models)


def _served(item: dict[str, Any]) -> ServedModel:
    known = _Listed.model_validate(item)
    can = known.capabilities or _Capabilities()
    has = {"vision": can.vision, "tools": can.trained_for_tool_use, "thinking": can.reasoning is not None}
    # A request by the model's name may get any of its instances.
    windows = [instance.config.context_length for instance in known.loaded_instances]
    return ServedModel(
        id=known.key,
        context_window=min((window for window in windows if window), default=None),
        trained_window=known.max_context_length,
        size_bytes=known.size_bytes,
        parameters=parameters(known.params_string),
        quantisation=known.quantization.name if known.quantization else None,
        family=known.architecture,
        capabilities=frozenset(name for name, is_told in has.items() if is_told),
        loaded=bool(known.loaded_instances),
        chat=known.type in (None, "llm"),
    )


def _served_by_older(item: dict[str, Any]) -> ServedModel:
    known = _OlderListed.model_validate(item)
    has = {"vision": known.type == "vlm", "tools": "tool_use" in known.capabilities}
    return ServedModel(
        id=known.id,
        context_window=known.loaded_context_length,
        trained_window=known.max_context_length,
        quantisation=known.quantization,
        family=known.arch,
        capabilities=frozenset(name for name, is_told in has.items() if is_told),
        loaded=known.state == "loaded",
        chat=known.type in (None, "llm", "vlm"),
    )
