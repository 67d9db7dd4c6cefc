"""The section `services` of the settings: the servers that are known by name, and those of the user's own."""

from __future__ import annotations

from pydantic import ConfigDict, Field, SecretStr, field_validator

from jupyter_llmroute.core.values import Value


class ServiceSettings(Value):
    """One known server."""

    enabled: bool = Field(True, description="look for this server and use it")
    endpoint: str | None = Field(
        None, description="its base URL; unset: where such a server listens by default, on this machine"
    )
    priority: int = Field(
        5,
        description="lower is preferred where two servers are otherwise equal; by default 1 to 3 for `ollama`, "
        "`lmstudio` and `jan`, 0 for custom endpoints",
    )
    timeout: int = Field(30_000, gt=0, description="milliseconds of silence within an answer before it counts as dead")
    api_style: str | None = Field(
        None, description="dialect, such as `ollama`, `vllm` or `openai`; unset: found by asking"
    )
    api_key: SecretStr | None = Field(None, description="sent to `endpoint` alone, never in a scan")
    max_retries: int = Field(
        3, ge=0, description="how often the same model is asked again after a passing failure, when nobody else is left"
    )
    context_window: int | None = Field(
        None, ge=512, description="tokens that it serves, where it does not tell; unset: 4096 is assumed"
    )
    models_are_local: bool = Field(
        False, description="of a gateway: you vouch that what is behind it is inside the allowed network"
    )

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str | None) -> str | None:
        """Read `HOST:PORT` as what is meant. Addresses are shown and saved; a key is not."""
        if endpoint and "://" not in endpoint:
            endpoint = f"http://{endpoint}"
        if endpoint and "@" in endpoint.partition("://")[2].partition("/")[0]:
            raise ValueError("an address must not hold a name or a password: use api_key")
        if endpoint and not endpoint.lower().startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        if endpoint and ("?" in endpoint or "#" in endpoint):
            raise ValueError("an address ends before '?' and '#', as it is shown and saved: use api_key for a key")
        return endpoint


class CustomEndpoint(ServiceSettings):
    """A server of the user's own, with its own paths where they differ."""

    name: str = Field(description="what you call it; custom endpoints take the settings of a service too")
    endpoint: str
    priority: int = 0
    health_path: str | None = Field(None, description="path that answers with a status below 400 when it is well")
    models_path: str | None = Field(None, description="path of the model list, from the endpoint")
    chat_path: str | None = Field(None, description="path of chat completions, from the endpoint")


def _known_services() -> dict[str, ServiceSettings]:
    return {name: ServiceSettings(priority=rank) for rank, name in enumerate(("ollama", "lmstudio", "jan"), start=1)}


class Services(Value):
    """Known servers by name, and custom ones."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, ServiceSettings]

    custom_endpoints: tuple[CustomEndpoint, ...] = Field(
        (), description="servers of your own, each with its `name` and its `endpoint`"
    )

    @property
    def by_name(self) -> dict[str, ServiceSettings]:
        """Settings of each known server; what the user does not mention of one has that server's default."""
        known = _known_services()
        given = {
            name: service
            if "priority" in service.model_fields_set or name not in known
            else service.model_copy(update={"priority": known[name].priority})
            for name, service in (self.__pydantic_extra__ or {}).items()
        }
        return known | given
