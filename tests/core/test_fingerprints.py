"""Zero wrong labels: every product, and everybody who is none, on every default port and where the user says.

They stand side by side on the hosts of a town, and change places until each has been on every port. What each says
comes over a real socket; it is asked there once, and what it said is repeated from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from jupyter_llmroute.core.discovery import discover
from jupyter_llmroute.core.embedded import Running
from jupyter_llmroute.core.endpoint import Endpoint, Health
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.providers import load_providers
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.transport import open_client

from ..scripted import CUT, Reply, Scripted, json_reply, matches, text_reply
from ..servers import BUILDS, FAULTS, PRODUCTS, STRANGERS, Surface, item, model_list
from ..servers.strangers import stranger

pytestmark = pytest.mark.anyio

PROVIDERS = load_providers()
PORTS_OF = {
    name: {urlsplit(url).port for url in (*provider.default_urls, *provider.named_urls)}
    for name, provider in PROVIDERS.items()
}
PORTS = sorted(port for port in set().union(*PORTS_OF.values()) if port)
HERE, KEY = "127.0.0.1", "s3cret"


@pytest.fixture
def anyio_backend():
    return "asyncio"


# --- who may listen ---

PYTHONS = {"Server": "BaseHTTP/0.6 Python/3.12.4"}
MORE_STRANGERS: dict[str, Surface] = {
    **{
        f"models of {owner!r}": stranger("openai", {"GET /v1/models": model_list(item("m", owner))})
        for owner in ("pygmalionai", "tabbyAPI", "lmdeploy", "fastchat", "system", "openai", "llama.cpp", "user", "")
    },
    "vLLM's owner, passed on": stranger("openai", {"GET /v1/models": model_list(item("m", "vllm"))}),
    "Ray's owner alone": stranger("openai", {"GET /v1/models": model_list(item("m", "organization-owner"))}),
    "LM Studio's owner alone": stranger("openai", {"GET /v1/models": model_list(item("m", "organization_owner"))}),
    "an Express application": stranger(None, otherwise=text_reply("<p>", 404), headers={"X-Powered-By": "Express"}),
    "Python's own server": stranger("openai", {"GET /v1/models": model_list({"id": "m"})}, headers=PYTHONS),
    "Python's own server, well in other words": stranger(
        "openai",
        {"GET /v1/models": model_list({"id": "m"}), "GET /health": json_reply({"status": "ok", "uptime": 1})},
        headers=PYTHONS,
    ),
    "a version as Go writes it": stranger(
        None, {"GET /api/version": json_reply({"version": "v2", "commit": "0bdb372", "build_date": "2026-08-22"})}
    ),
    "a person's API": stranger(
        None,
        {"GET /openapi.json": json_reply({"openapi": "3.1.0", "info": {"title": "Jan's recipes"}, "paths": {}})},
    ),
    "a configuration": stranger(
        None, {"GET /api/config": json_reply({"name": "Shop", "version": "1", "features": {"auth": True}})}
    ),
    "true for everything": stranger(None, otherwise=json_reply(True)),
    "a page called JSON": stranger(None, otherwise=text_reply("<!doctype html>", 200, "application/json")),
    "no end of brackets": stranger(None, otherwise=text_reply("[" * 100_000, 200, "application/json")),
    "no text": stranger(None, otherwise=Reply((b"\xff\xfe\x00",))),
    "packed as it is not": stranger(None, otherwise=Reply((b"{}",), headers={"Content-Encoding": "gzip"})),
    "TLS": stranger(None, otherwise=Reply((b"\x15\x03\x01\x00\x02\x02\x46",), is_http=False)),
    "cut off": stranger(None, otherwise=Reply((b'{"data"', CUT))),
    "hangs up": stranger(None, otherwise=Reply((CUT,))),
    "shorter than it says": stranger(
        None, otherwise=Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",), is_http=False)
    ),
}
HALF_OPEN = "half open"

# With the key that they want, they are called by their names; without it, nothing tells them apart.
UNTOLD = {f"{name} wants_key": "openai" for name in ("sglang", "textgen", "lemonade", "llama_swap")}
# They answer no path, or each with the same words, which are not theirs alone.
UNTOLD |= dict.fromkeys(
    (
        "ollama foreign_host",
        "jan foreign_host",
        "textgen foreign_host",
        "sglang loading",
        "ray_serve loading",
        "llamafile loading",
    )
)
SHY = {"openwebui", "openwebui wants_key", "docker older", "jan wants_key", "litellm without_prisma"}
"""Who does not speak JSON where models are listed: found unasked, they have their names on their own ports alone."""


class Subject(NamedTuple):
    """Somebody who may listen."""

    open: Callable[[], Scripted]
    label: str | None
    """What it must be called; `None`: it is nobody."""
    is_shy: bool = False

    def expected_on(self, port: int) -> str | None:
        """Return what it must be called where nobody named it."""
        return None if self.is_shy and port not in PORTS_OF[self.label or ""] else self.label


def product(name: str, build: str, fault: str = "") -> Subject:
    titles = {name, f"{name} {build}", f"{name} {fault}"} if fault else {name, f"{name} {build}"}
    label = next((UNTOLD[title] for title in titles if title in UNTOLD), name)
    shy = {f"{name} {build}", f"{name} {fault}" if fault else name} & SHY
    return Subject(lambda: PRODUCTS[name].open(build, fault=fault), label, bool(shy))


def is_seen_by_a_look(name: str, build: str, fault: str) -> bool:
    return fault == "wants_key" or isinstance(PRODUCTS[name].build(build).faults[fault], Mapping)


SUBJECTS: dict[str, Subject] = {
    **{f"{name} {build}": product(name, build) for name, build in BUILDS},
    **{" ".join(each): product(*each) for each in FAULTS if is_seen_by_a_look(*each)},
    **{title: Subject(surface.open, surface.name) for title, surface in (STRANGERS | MORE_STRANGERS).items()},
}
PLACES = {title: number for number, title in enumerate(title for title in SUBJECTS if title != HALF_OPEN)}
HOSTS = [f"10.0.0.{number}" for number in range(-(-len(PLACES) // len(PORTS)))]


def place(title: str, turn: int) -> tuple[str, int]:
    """Return where it stands in that turn."""
    row, column = divmod(PLACES[title], len(PORTS))
    return HOSTS[row], PORTS[(column + turn) % len(PORTS)]


# --- the town ---


class Said(NamedTuple):
    """One answer, as it came."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


Heard = dict[tuple[str, str, bytes], Said | httpx.TransportError]


class Town(httpx.AsyncBaseTransport):
    """Carries requests to who has an address, by its title; nobody is anywhere else."""

    def __init__(self, urls: Mapping[str, str], heard: Heard | None = None) -> None:
        self.places: dict[tuple[str, int], str] = {}
        self.asked: dict[str, list[httpx.Request]] = {title: [] for title in urls}
        self._urls = urls
        self._heard: Heard = {} if heard is None else heard
        self._network = httpx.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        title = self.places.get((request.url.host, request.url.port or 80))
        if title is None:
            raise httpx.ConnectError("nobody is there")
        self.asked[title].append(request)
        key = (title, line(request), await request.aread())
        if key not in self._heard:
            self._heard[key] = await self._over_the_network(title, request)
        said = self._heard[key]
        if isinstance(said, httpx.TransportError):
            raise said
        return httpx.Response(said.status, headers=said.headers, stream=httpx.ByteStream(said.body))

    async def _over_the_network(self, title: str, request: httpx.Request) -> Said | httpx.TransportError:
        url = request.url.copy_with(host=HERE, port=urlsplit(self._urls[title]).port)
        moved = httpx.Request(request.method, url, headers=request.headers, stream=request.stream)
        try:
            answer = await self._network.handle_async_request(moved)
            assert isinstance(answer.stream, httpx.AsyncByteStream)
            body = b"".join([piece async for piece in answer.stream])
            await answer.aclose()
        except httpx.TransportError as error:
            return error
        return Said(answer.status_code, answer.headers.raw, body)

    async def aclose(self) -> None:
        await self._network.aclose()


def line(request: httpx.Request) -> str:
    return f"{request.method} {request.url.raw_path.decode()}"


async def look(
    town: Town, hosts: Sequence[str] = (), services: Mapping[str, object] | None = None, scan_s: float = 60
) -> dict[str, Endpoint]:
    settings = Settings(services=services or {}, limits={"scan_s": scan_s})
    async with open_client(Policy.from_settings(settings.security), transport=town) as client:
        found = await discover(settings, PROVIDERS, client, hosts)
    return {endpoint.base_url: endpoint for endpoint in found}


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with ExitStack() as opened:
        yield {title: opened.enter_context(SUBJECTS[title].open()).url for title in PLACES}


@pytest.fixture(scope="module")
def heard() -> Heard:
    return {}


# --- what a look must not do ---

NEVER = (
    "*unload*",
    "*/upstream*",
    "*health_generate*",
    "*flush_cache*",
    "*model=*",
    "*reload*",
    "GET /slots*",
    "GET /metrics*",
    "GET /models/*",
)
"""No server at all is asked for these: services.md 2.5 says why."""
POSTS = {"POST /api/show"}
"""What reads a file's head, and is told no other way."""
HEALTH_OF = ("mlx_lm", "Python's own server")
"""Who lists models as mlx-lm does may be asked whether it is well: of others, that wakes a generation."""
MOST, MOST_OF_PAGES = 11, 4
"""Requests that tell who somebody is and what it holds; and those at who speaks no JSON, where nobody named it."""


def wrongs(title: str, asked: Sequence[httpx.Request], most: int = MOST) -> Iterator[str]:
    """Yield what must not have been asked there."""
    surface = (PRODUCTS | STRANGERS | MORE_STRANGERS).get(title) or PRODUCTS[title.split()[0]]
    lines = [line(request) for request in asked]
    for each in lines:
        if any(matches(pattern, each) for pattern in (*NEVER, *surface.never)):
            yield f"{title}: {each}"
        if each == "GET /health" and not title.startswith(HEALTH_OF):
            yield f"{title}: {each}"
        if not each.startswith("GET ") and each not in POSTS:
            yield f"{title}: {each}"
    for request in asked:
        if {"authorization", "x-api-key", "cookie"} & set(request.headers) or KEY in str(request.url):
            yield f"{title}: a key with {line(request)}"
    gets = [each for each in lines if each.startswith("GET ")]
    if len(gets) > most or len(gets) != len(set(gets)):
        yield f"{title}: {len(gets)} requests, {gets}"


def known_to_lm_studio(build: str) -> set[str]:
    return set(PRODUCTS["lmstudio"].build(build).script)


def table(asked: Mapping[str, Sequence[httpx.Request]]) -> str:
    """Show how many requests each got, the most first."""
    counts = Counter({title: len(requests) for title, requests in asked.items()})
    return "\n".join(f"{count:4} {title}" for title, count in counts.most_common())


# --- the tests ---

KEYS = {name: {"api_key": KEY} for name in PROVIDERS}
"""Keys that belong to no address yet."""


@pytest.mark.parametrize("turn", range(len(PORTS)))
async def test_on_every_port_everybody_is_called_by_the_right_name_or_by_none(urls, heard, turn):
    town = Town(urls, heard)
    town.places = {place(title, turn): title for title in PLACES}
    found = await look(town, HOSTS, KEYS)
    labels = {title: found.get("http://{}:{}".format(*place(title, turn))) for title in PLACES}
    assert {title: endpoint and endpoint.provider for title, endpoint in labels.items()} == {
        title: SUBJECTS[title].expected_on(place(title, turn)[1]) for title in PLACES
    }
    assert not [wrong for title, asked in town.asked.items() for wrong in wrongs(title, asked)], table(town.asked)


async def test_where_the_user_says_even_who_speaks_no_json_is_called_by_its_name(urls, heard):
    town = Town(urls, heard)
    town.places = {place(title, 0): title for title in PLACES}
    named = [{"name": title, "endpoint": "http://{}:{}".format(*place(title, 0))} for title in PLACES]
    off = {name: {"enabled": False} for name in PROVIDERS}
    found = {
        endpoint.name: endpoint for endpoint in (await look(town, (), {"custom_endpoints": named, **off})).values()
    }
    assert set(found) == set(PLACES)
    for title, endpoint in found.items():
        label = SUBJECTS[title].label
        assert (title, endpoint.provider) == (title, label or "openai")
        is_starting = title.startswith(("sglang", "llamafile")) and title.endswith("loading")
        unwell = {Health.LOADING} if is_starting else {Health.DOWN, Health.WANTS_KEY}
        assert label or endpoint.health in unwell
        assert label or (endpoint.models == () and endpoint.detail)
    assert not [wrong for title, asked in town.asked.items() for wrong in wrongs(title, asked)], table(town.asked)


async def test_what_speaks_no_json_on_a_port_of_others_is_left_alone_soon(urls, heard):
    """An application in the making should not see its log filled."""
    town = Town(urls, heard)
    pages = ["single-page app", "nginx", "plain text", "AirPlay", "redirects", "page that nobody may see"]
    town.places = {(HERE, port): title for port, title in zip(PORTS, pages, strict=False)}
    assert await look(town) == {}
    assert all(len(town.asked[title]) <= MOST_OF_PAGES for title in pages), table(town.asked)


@pytest.mark.parametrize("build", PRODUCTS["lmstudio"].builds)
async def test_lm_studio_never_logs_a_path_that_it_does_not_know(urls, heard, build):
    """But for the newer of two lists, which alone tells whether it is there; it is tried once."""
    title = f"lmstudio {build}"
    for port in PORTS:
        town = Town(urls, heard)
        town.places = {(HERE, port): title}
        await look(town)
        assert {line(request) for request in town.asked[title]} - known_to_lm_studio(build) <= {"GET /api/v1/models"}


async def test_only_who_seems_to_be_lm_studio_is_asked_for_its_greeting(urls, heard):
    town = Town(urls, heard)
    town.places = {place(title, 0): title for title in PLACES}
    await look(town, HOSTS)
    greeted = {title for title, asked in town.asked.items() if "GET /lmstudio-greeting" in map(line, asked)}
    on_its_port = {title for title in PLACES if place(title, 0)[1] in PORTS_OF["lmstudio"]}
    alike = {title for title in PLACES if title.startswith(("lmstudio ", "LM Studio's ", "an Express "))}
    assert greeted <= on_its_port | alike
    assert greeted >= {title for title in PLACES if title.startswith("lmstudio ")}


async def test_half_open_sockets_are_given_up_after_one_request_each():
    with SUBJECTS[HALF_OPEN].open() as server:
        town = Town({HALF_OPEN: server.url})
        town.places = {(host, port): HALF_OPEN for host in HOSTS[:2] for port in PORTS}
        assert await look(town, HOSTS[:2], scan_s=0.5) == {}
    lines = Counter((request.url.host, request.url.port) for request in town.asked[HALF_OPEN])
    assert set(lines.values()) == {1}


@pytest.mark.parametrize("has_key", [False, True])
async def test_a_real_server_is_called_by_its_name_wherever_it_listens(embedded: Running, has_key: bool):
    """On every port, unasked; and where the user says that it is any of the others."""
    town = Town({"real": embedded.url})
    town.places = {(HERE, port): "real" for port in PORTS}
    found = await look(town)
    assert {(endpoint.provider, endpoint.health) for endpoint in found.values()} == {("llamacpp", Health.WANTS_KEY)}
    assert len(found) == len(PORTS)

    key = {"api_key": embedded.key} if has_key else {}
    named = {name: {"endpoint": f"http://{HERE}:{port}", **key} for name, port in zip(PRODUCTS, PORTS, strict=False)}
    health = Health.WELL if has_key else Health.WANTS_KEY
    town = Town({"real": embedded.url})
    town.places = {(HERE, port): "real" for port in PORTS}
    labels = {endpoint.name: endpoint for endpoint in (await look(town, (), named)).values()}
    assert {(labels[name].provider, labels[name].health) for name in named} == {("llamacpp", health)}
