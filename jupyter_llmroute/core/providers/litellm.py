"""LiteLLM proxy: a gateway to servers of any kind, clouds among them.

Facts: recorded from 1.106. `GET /health` asks every model behind it to speak: it is never asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import AuthenticationNeeded
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.probe import Answer, Probe
from jupyter_llmroute.core.providers import Chat
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.providers.signs import GATEWAY, is_cloud_tag, is_near, told
from jupyter_llmroute.core.values import Answered

CONFIG_KEYS = {"server_root_path", "proxy_base_url"}
"""Of what its own web page reads first; open without a key too."""


class _Parameters(Answered):
    model: str = ""
    api_base: str | None = None


class _About(Answered):
    mode: str | None = None


class _Deployment(Answered):
    """One entry of `/model/info`; several may bear one name, and share its requests."""

    model_name: str
    litellm_params: _Parameters
    model_info: _About = _About()

    @property
    def is_near(self) -> bool:
        return is_near(self.litellm_params.api_base) and not is_cloud_tag(self.litellm_params.model)


class _Listed(Answered):
    id: str
    mode: str | None = None


class LiteLLM(OpenAICompatible):
    """The models that its configuration names."""

    name = "litellm"
    default_urls = ("http://127.0.0.1:4000",)
    marks = ("/.well-known/litellm-ui-config",)
    cuts_silently = True  # its servers may be of any kind

    async def recognise(self, probe: Probe) -> bool:
        """Whether it has what its own web page reads."""
        return set(told(await probe.get(self.marks[0]))) >= CONFIG_KEYS

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models; a window in the list is that of a price list, and not what is served."""
        answer = await probe.get(endpoint.models_path or self.models_path)
        if _wants_key(answer):
            raise AuthenticationNeeded(
                f"{endpoint.name} wants a key, or another one (HTTP {answer.status}); "
                f"set its endpoint and api_key in the settings."
            )
        models = await super().models(probe, endpoint)
        if endpoint.models_are_local:
            return models
        deployments = list(_deployments(await probe.get("/model/info")))
        return tuple(_judged(model, [each for each in deployments if each.model_name == model.id]) for model in models)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list; where it runs is told elsewhere."""
        known = _Listed.model_validate(item)
        return ServedModel(id=known.id, chat=known.mode in (None, "chat"), remote=GATEWAY)

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send: no other model may answer, which may be a cloud's; who else is asked is our part."""
        return {**super().body(chat), "disable_fallbacks": True, "num_retries": 0}

    def believed(self, usage: Usage) -> Usage:
        """Return the counts without the prompt's: where a server behind it counts nothing, it makes one up."""
        return usage.model_copy(update={"prompt_tokens": None, "cached_tokens": None})


def _wants_key(answer: Answer) -> bool:
    """Whether a list is refused for want of the right key: builds without a database fail over that themselves."""
    return answer.status in (401, 403) or (answer.status == 500 and answer.json is None) or b"no_db" in answer.body


def _judged(model: ServedModel, deployments: list[_Deployment]) -> ServedModel:
    chats = all(each.model_info.mode in (None, "chat") for each in deployments)
    is_near = bool(deployments) and all(each.is_near for each in deployments)
    return model.model_copy(update={"remote": None if is_near else GATEWAY, "chat": model.chat and chats})


def _deployments(answer: Answer) -> Iterator[_Deployment]:
    """Yield what reads; an entry that does not counts as far, since its name may be that of a near one."""
    listed = told(answer).get("data")
    for entry in listed if isinstance(listed, list) else ():
        try:
            yield _Deployment.model_validate(entry)
        except ValidationError:
            name = entry.get("model_name") if isinstance(entry, dict) else None
            yield _Deployment(model_name=str(name), litellm_params=_Parameters())
