"""Where servers may be, what they are, what they hold, and whether they are well.

A server is identified by what it says, never by its port. Looking costs a server a few GET requests that load no
model and wake no generation; a key goes only to the endpoint that it was set for.
"""

from __future__ import annotations

import asyncio
import itertools
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.errors import AuthenticationNeeded, LLMRouteError, ModelLoading, ServerBusy, SettingsError
from jupyter_llmroute.core.own_key import without_key
from jupyter_llmroute.core.probe import Answer, Probe
from jupyter_llmroute.core.providers import Provider, TokenCounter
from jupyter_llmroute.core.service_settings import CustomEndpoint, ServiceSettings
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.values import Value

UNMARKED = "openai"
"""The dialect of a server that lists models and bears no other mark."""

ASSUMED_WINDOW = 4096
"""Tokens that are counted on where a server neither tells its window nor refuses what does not fit it.

The default of several servers: Ollama's on most machines, and KoboldCpp's of before. A dialect whose servers have a
smaller one says so itself.
"""

HERE = "127.0.0.1"

AT_ONE_TIME = 128
"""Places that are looked at together: fewer than the connections of a client, so that an answer that begins meanwhile
does not wait for one."""

MOST_MODELS = 2000
"""Models of one server that are taken; no machine serves more."""

UNNAMED = "found by chance, and nobody knows what it is: name it in your settings if it may see your text"
"""Why models of a server without a mark are not asked where nobody named it: it may be a gateway to anywhere."""


class Place(Value):
    """An address to look at."""

    base_url: str
    settings: ServiceSettings | None = None
    """Those of the address, where the user named it; `None`: those of what it turns out to be."""
    name: str | None = None
    """What the user calls it; `None`: it is named after what it turns out to be."""
    configured: bool = False
    """Whether the user named the address, in the settings or by a variable: then it is shown even when nothing answers.
    """

    @property
    def api_key(self) -> SecretStr | None:
        """The key that may be sent there: the one that stands beside this very address in the settings."""
        return self.settings.api_key if self.settings and self.settings.endpoint else None

    @property
    def custom(self) -> CustomEndpoint | None:
        """The settings of an endpoint of the user's own, if it is one."""
        return self.settings if isinstance(self.settings, CustomEndpoint) else None

    @property
    def dialect(self) -> str | None:
        """The one that the user names; paths of their own are those of the unmarked one."""
        has_paths = self.custom and (self.custom.models_path or self.custom.chat_path)
        return (self.settings.api_style if self.settings else None) or (UNMARKED if has_paths else None)


def places(settings: Settings, providers: Mapping[str, Provider], hosts: Sequence[str] = ()) -> list[Place]:
    """Return every address to look at, each once: custom ones, configured ones, and default ports.

    Parameters
    ----------
    settings
        The user's.
    providers
        Dialects by name; each has its default ports.
    hosts
        Names or addresses besides this machine on which default ports are looked at too.

    Raises
    ------
    SettingsError
        An `api_style` is not one of the dialects, or a name is that of none and has no endpoint.
    """
    by_name = settings.services.by_name
    customs = settings.services.custom_endpoints
    named = [*by_name.items(), *((custom.name, custom) for custom in customs)]
    _refuse_unknown(named, providers, given=settings.services.model_extra or {})
    found = [
        Place(base_url=_base(service.endpoint, service), settings=service, name=name, configured=True)
        for name, service in (*((custom.name, custom) for custom in customs), *by_name.items())
        if service.endpoint and service.enabled
    ]
    disabled = {name for name, service in by_name.items() if not service.enabled}
    moved = {name for name, service in by_name.items() if service.endpoint}
    switched_off = {
        _key(_base(service.endpoint, service)) for _, service in named if service.endpoint and not service.enabled
    }
    wanted = {name: provider for name, provider in providers.items() if name not in disabled | moved}
    found += [
        Place(base_url=url, settings=by_name.get(name), name=name, configured=True)
        for name, provider in wanted.items()
        for url in provider.named_urls
        if _key(url) not in switched_off
    ]
    default_urls = [url for p in wanted.values() for url in (() if p.named_urls else p.default_urls)]
    found += [
        Place(base_url=url)
        for host in ((HERE, *hosts) if settings.discovery.default_ports else ())
        for url in (_on(host, url) for url in default_urls)
        if _key(url) not in switched_off
    ]
    return list({_key(place.base_url): place for place in reversed(found)}.values())[::-1]


def _refuse_unknown(
    named: Iterable[tuple[str, ServiceSettings]], providers: Mapping[str, Provider], given: Collection[str]
) -> None:
    known = ", ".join(sorted(providers))
    for name, service in named:
        if service.enabled and service.api_style and service.api_style not in providers:
            raise SettingsError(
                f"The api_style of {name!r} is {service.api_style!r}, which is no known dialect: choose one of {known}."
            )
        if name in given and not service.endpoint and name not in providers:
            warnings.warn(
                f"services.{name} has no endpoint, and no server of that kind is known: give it one, "
                f"or mend the name (known are {known}).",
                stacklevel=2,
            )


def _on(host: str, url: str) -> str:
    return url.replace(f"//{HERE}:", f"//{f'[{host}]' if ':' in host else host}:", 1)


async def discover(
    settings: Settings, providers: Mapping[str, Provider], client: httpx.AsyncClient, hosts: Sequence[str] = ()
) -> tuple[Endpoint, ...]:
    """Look at every place at once.

    Parameters
    ----------
    settings, providers, hosts
        As for `places`.
    client
        The door to the network.

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
    few = asyncio.Semaphore(AT_ONE_TIME)

    async def look(place: Place) -> Endpoint | None:
        async with few:
            return await _look(place, settings, providers, client)

    looks = [look(place) for place in places(settings, providers, hosts)]
    return with_unique_names(endpoint for endpoint in await asyncio.gather(*looks) if endpoint)


async def _look(
    place: Place, settings: Settings, providers: Mapping[str, Provider], client: httpx.AsyncClient
) -> Endpoint | None:
    key = place.api_key.get_secret_value() if place.api_key else None
    probe = Probe(client, place.base_url, timeout_s=settings.limits.scan_s, api_key=key)
    try:
        name = await _recognise(place, probe, providers)
    except LLMRouteError as error:
        return _endpoint(place, place.dialect or UNMARKED, Health.DOWN, str(error)) if place.configured else None
    if name is None:
        unknown = _unknown(await probe.get("/v1/models"))
        return _endpoint(place, place.dialect or UNMARKED, *unknown) if place.configured else None
    if place.settings is None:
        service = settings.services.by_name.get(name, ServiceSettings())
        if not service.enabled:
            return None
        place = place.model_copy(update={"settings": service.model_copy(update={"endpoint": None, "api_key": None})})
    endpoint = _endpoint(place, name, Health.WELL)
    endpoint = endpoint.model_copy(update={"counts": isinstance(providers[name], TokenCounter)})
    return await _ask(endpoint, place, probe, providers[name])


async def _ask(endpoint: Endpoint, place: Place, probe: Probe, provider: Provider) -> Endpoint:
    """Return the endpoint with its models, or with what is in the way of them."""
    try:
        if place.custom and place.custom.health_path:
            answer = await probe.get(_from_root(place.custom.health_path) or "/")
            if answer.status >= 400:
                raise ServerBusy(f"its health_path answers with status {answer.status}")
        models = await provider.models(probe, endpoint)
    except LLMRouteError as error:
        detail = without_key(str(error), endpoint.key, behind=endpoint.name)
        return endpoint.model_copy(update={"health": _health_of(error), "detail": detail})
    except Exception as error:  # a third party's code: whatever it raises must not stop the rest
        detail = f"the provider {endpoint.provider!r} failed: {without_key(repr(error), endpoint.key)}"
        return endpoint.model_copy(update={"health": Health.DOWN, "detail": detail})
    sendable = [model for model in models if _is_text(model.id)]
    detail = "" if sendable else "it serves no model yet"
    if len(sendable) > MOST_MODELS:
        detail = f"it lists {len(sendable):,} models, of which the first {MOST_MODELS:,} are taken"
    window = place.settings.context_window if place.settings else None
    counted_on = [_with_window(model, window, provider.cuts_silently) for model in sendable[:MOST_MODELS]]
    if endpoint.provider == UNMARKED and not place.configured:
        counted_on = [model.model_copy(update={"remote": model.remote or UNNAMED}) for model in counted_on]
    return endpoint.model_copy(update={"models": tuple(counted_on), "detail": detail})


async def listed_again(endpoint: Endpoint, provider: Provider, client: httpx.AsyncClient, timeout_s: float) -> Endpoint:
    """Return a server with those of its models that it lists now, each with the digest that it tells now.

    Who does not list them any more has none, and what is in the way.
    """
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else None
    try:
        told = await provider.models(Probe(client, endpoint.base_url, timeout_s=timeout_s, api_key=key), endpoint)
    except LLMRouteError as error:
        return endpoint.model_copy(update={"health": _health_of(error), "detail": str(error), "models": ()})
    except Exception as error:  # a third party's code
        detail = f"the provider {endpoint.provider!r} failed: {error!r}"
        return endpoint.model_copy(update={"health": Health.DOWN, "detail": detail, "models": ()})
    now = {model.id: model.digest for model in told}
    models = tuple(
        model if model.digest == now[model.id] else model.model_copy(update={"digest": now[model.id]})
        for model in endpoint.models
        if model.id in now
    )
    return endpoint.model_copy(update={"models": models})


def _is_text(name: str) -> bool:
    """Whether a name can be asked for: JSON can spell half a character, UTF-8 cannot; and blanks name nobody."""
    has_half = not name.isprintable() and any("\ud800" <= character <= "\udfff" for character in name)
    return bool(name.strip()) and not has_half


def _with_window(model: ServedModel, window: int | None, cuts_silently: bool) -> ServedModel:
    """Return a model with the window to count on, where the server does not tell one."""
    is_told = model.context_window and not model.window_is_assumed
    if is_told or not (window or model.context_window or cuts_silently):
        return model
    assumed = model.context_window or ASSUMED_WINDOW
    return model.model_copy(update={"context_window": window or assumed, "window_is_assumed": window is None})


async def _recognise(place: Place, probe: Probe, providers: Mapping[str, Provider]) -> str | None:
    """Return the dialect's name. Who needs fewest requests is asked first; the unmarked one is what remains."""
    if place.dialect:
        return place.dialect  # whether anybody is there shows when it is asked for its models
    answer = await probe.get("/v1/models")
    # What is found unasked and does not speak JSON there is likely an app of other kind: it is spared the questions
    # of those whose port it is not.
    may_be_any = place.configured or answer.json is not None
    for name in sorted(providers, key=lambda name: _precedence(name, providers[name], place)):
        if (may_be_any or _is_port_of(providers[name], place)) and await _is_of(name, providers[name], probe):
            return name
    # 401 and 403 mean "here, and wants a key"; which dialect it is shows once it has one.
    # Unasked, only in JSON: on a default port may be a web page that nobody may see.
    wants_key = answer.status in (401, 403) and (place.configured or answer.json is not None)
    return UNMARKED if wants_key and UNMARKED in providers else None


def _precedence(name: str, provider: Provider, place: Place) -> tuple[bool, bool, bool, int]:
    """Return where a dialect stands: first those that the model list tells, then the one whose port it is."""
    is_own = name == place.name or _is_port_of(provider, place)
    return (name == UNMARKED, bool(provider.marks), not is_own, len(provider.marks))


def _is_port_of(provider: Provider, place: Place) -> bool:
    """Whether such servers listen there by default, or where the user says."""
    try:
        port = urlsplit(place.base_url).port
    except ValueError:
        return False
    return port in {urlsplit(url).port for url in (*provider.default_urls, *provider.named_urls)}


async def _is_of(name: str, provider: Provider, probe: Probe) -> bool:
    try:
        return await provider.recognise(probe)
    except LLMRouteError:  # nobody answers: then no other dialect needs to ask
        raise
    except Exception as error:  # a third party's code: whatever it raises must not stop the rest
        warnings.warn(
            f"The provider {name!r} failed at {probe.base_url}: {without_key(repr(error), probe.api_key)}", stacklevel=2
        )
        return False


def _unknown(answer: Answer) -> tuple[Health, str]:
    """Return how a server is of which nobody can tell what it is; several say nothing more while they start."""
    if answer.status == 503:
        return Health.LOADING, "it says that it is not ready (HTTP 503): it starts, or has too much to do"
    return Health.DOWN, "something answers there, and it is no model server that is known"


def _health_of(error: LLMRouteError) -> Health:
    match error:
        case AuthenticationNeeded():
            return Health.WANTS_KEY
        case ModelLoading():
            return Health.LOADING
        case _:
            return Health.DOWN


def _endpoint(place: Place, provider: str, health: Health, detail: str = "") -> Endpoint:
    settings, custom = place.settings or ServiceSettings(), place.custom
    return Endpoint(
        name=place.name or provider,
        provider=provider,
        base_url=place.base_url.rstrip("/"),
        health=health,
        detail=detail,
        priority=settings.priority,
        api_key=place.api_key,
        stall_s=settings.timeout / 1000,
        max_retries=settings.max_retries,
        models_are_local=settings.models_are_local,
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
