"""Where servers may be, what they are, what they hold, and whether they are well.

A server is identified by what it says, never by its port. Looking costs a server a few GET requests that load no
model and wake no generation; a key goes only to the endpoint that it was set for.
"""

from __future__ import annotations

import asyncio
import itertools
import warnings
from collections.abc import Iterable, Mapping

import httpx
from pydantic import SecretStr

from jupyter_llmroute.core.endpoint import Endpoint, Health
from jupyter_llmroute.core.errors import AuthenticationNeeded, LLMRouteError, ModelLoading, SettingsError
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Provider
from jupyter_llmroute.core.settings import CustomEndpoint, ServiceSettings, Settings
from jupyter_llmroute.core.values import Value

UNMARKED = "openai"
"""The dialect of a server that lists models and bears no other mark."""


class Place(Value):
    """An address to look at."""

    base_url: str
    settings: ServiceSettings
    name: str | None = None
    """What the user calls it; `None`: it is named after what it turns out to be."""
    configured: bool = False
    """Whether the user named the address, in the settings or by a variable: then it is shown even when nothing answers.
    """

    @property
    def api_key(self) -> SecretStr | None:
        """The key that may be sent there: the one that stands beside this very address in the settings."""
        return self.settings.api_key if self.settings.endpoint else None

    @property
    def dialect(self) -> str | None:
        """The one that the user names; paths of their own are those of the unmarked one."""
        custom = self.settings if isinstance(self.settings, CustomEndpoint) else None
        return self.settings.api_style or (UNMARKED if custom and (custom.models_path or custom.chat_path) else None)


def places(settings: Settings, providers: Mapping[str, Provider]) -> list[Place]:
    """Return every address to look at, each once: custom ones, configured ones, and default ports.

    Raises
    ------
    SettingsError
        An `api_style` is not one of the dialects.
    """
    by_name = settings.services.by_name
    named = [*by_name.items(), *((custom.name, custom) for custom in settings.services.custom_endpoints)]
    for name, service in named:
        if service.enabled and service.api_style and service.api_style not in providers:
            known = ", ".join(sorted(providers))
            raise SettingsError(
                f"The api_style of {name!r} is {service.api_style!r}, which is no known dialect: choose one of {known}."
            )
    found = [
        Place(base_url=_base(custom.endpoint, custom), settings=custom, name=custom.name, configured=True)
        for custom in settings.services.custom_endpoints
        if custom.enabled
    ]
    found += [
        Place(base_url=_base(service.endpoint, service), settings=service, name=name, configured=True)
        for name, service in by_name.items()
        if service.endpoint and service.enabled
    ]
    disabled = {name for name, service in by_name.items() if not service.enabled}
    moved = {name for name, service in by_name.items() if service.endpoint}
    switched_off = {
        _key(_base(service.endpoint, service)) for _, service in named if service.endpoint and not service.enabled
    }
    found += [
        Place(
            base_url=url,
            settings=by_name.get(name, ServiceSettings()),
            name=name if provider.named_urls else None,
            configured=bool(provider.named_urls),
        )
        for name, provider in providers.items()
        if name not in disabled | moved
        for url in provider.named_urls or provider.default_urls
        if _key(url) not in switched_off
    ]
    return list({_key(place.base_url): place for place in reversed(found)}.values())[::-1]


async def discover(
    settings: Settings, providers: Mapping[str, Provider], client: httpx.AsyncClient
) -> tuple[Endpoint, ...]:
    """Look at every place at once.

    Returns
    -------
    tuple of Endpoint
        In the order of the places. A default port where nothing answers is left out; a configured address is
        there whatever happens, with its health and the reason.

    Raises
    ------
    SettingsError
        An `api_style` is not one of the dialects; nobody was asked.
    """
    looks = [_look(place, providers, client, settings.limits.scan_s) for place in places(settings, providers)]
    return with_unique_names(endpoint for endpoint in await asyncio.gather(*looks) if endpoint)


async def _look(
    place: Place, providers: Mapping[str, Provider], client: httpx.AsyncClient, timeout_s: float
) -> Endpoint | None:
    key = place.api_key.get_secret_value() if place.api_key else None
    probe = Probe(client, place.base_url, timeout_s=timeout_s, api_key=key)
    try:
        name = await _recognise(place, probe, providers)
    except LLMRouteError as error:
        return _endpoint(place, place.dialect or UNMARKED, Health.DOWN, str(error)) if place.configured else None
    if name is None:
        detail = "something answers there, and it is no model server that is known"
        return _endpoint(place, place.dialect or UNMARKED, Health.DOWN, detail) if place.configured else None
    endpoint = _endpoint(place, name, Health.WELL)
    try:
        models = await providers[name].models(probe, endpoint)
    except LLMRouteError as error:
        return endpoint.model_copy(update={"health": _health_of(error), "detail": str(error)})
    except Exception as error:  # a third party's code: whatever it raises must not stop the rest
        detail = f"the provider {name!r} failed: {error!r}"
        return endpoint.model_copy(update={"health": Health.DOWN, "detail": detail})
    return endpoint.model_copy(update={"models": models, "detail": "" if models else "it serves no model yet"})


async def _recognise(place: Place, probe: Probe, providers: Mapping[str, Provider]) -> str | None:
    """Return the dialect's name. Each is asked, the most telling first; the unmarked one is what remains."""
    if place.dialect:
        await probe.get("/")  # is anybody there?
        return place.dialect
    for name in sorted(providers, key=lambda name: name == UNMARKED):
        if await _is_of(name, providers[name], probe):
            return name
    # 401 and 403 mean "here, and wants a key"; which dialect it is shows once it has one.
    # Unasked, only in JSON: on a default port may be a web page that nobody may see.
    answer = await probe.get("/v1/models")
    wants_key = answer.status in (401, 403) and (place.configured or answer.json is not None)
    return UNMARKED if wants_key and UNMARKED in providers else None


async def _is_of(name: str, provider: Provider, probe: Probe) -> bool:
    try:
        return await provider.recognise(probe)
    except LLMRouteError:  # nobody answers: then no other dialect needs to ask
        raise
    except Exception as error:  # a third party's code: whatever it raises must not stop the rest
        warnings.warn(f"The provider {name!r} failed at {probe.base_url}: {error!r}", stacklevel=2)
        return False


def _health_of(error: LLMRouteError) -> Health:
    match error:
        case AuthenticationNeeded():
            return Health.WANTS_KEY
        case ModelLoading():
            return Health.LOADING
        case _:
            return Health.DOWN


def _endpoint(place: Place, provider: str, health: Health, detail: str = "") -> Endpoint:
    custom = place.settings if isinstance(place.settings, CustomEndpoint) else None
    return Endpoint(
        name=place.name or provider,
        provider=provider,
        base_url=place.base_url.rstrip("/"),
        health=health,
        detail=detail,
        priority=place.settings.priority,
        api_key=place.api_key,
        stall_s=place.settings.timeout / 1000,
        models_path=_from_root(custom.models_path) if custom else None,
        chat_path=_from_root(custom.chat_path) if custom else None,
    )


def with_unique_names(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Tell two servers of one name apart by a number; the first keeps its name."""
    named: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        numbered = (f"{endpoint.name}-{number}" for number in itertools.count(2))
        name = next(name for name in itertools.chain([endpoint.name], numbered) if name.casefold() not in named)
        named[name.casefold()] = endpoint.model_copy(update={"name": name})
    return tuple(named.values())


def _from_root(path: str | None) -> str | None:
    return path and "/" + path.lstrip("/")


def _base(endpoint: str, service: ServiceSettings) -> str:
    """Return what paths are joined to: addresses are often copied with the `/v1` that our paths begin with."""
    if isinstance(service, CustomEndpoint) and (service.models_path or service.chat_path):
        return endpoint  # its own paths go on from where it ends
    return endpoint.rstrip("/").removesuffix("/v1")


def _key(base_url: str) -> str:
    return base_url.rstrip("/").lower().replace("://localhost", "://127.0.0.1")
