"""Looking around: who is there by what they say, what is shown of those who are not well, and who must not be asked."""

import asyncio
import warnings
from collections.abc import Mapping, Sequence

import httpx
import pytest

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.discovery import discover, with_unique_names
from jupyter_llmroute.core.endpoint import Endpoint, Health
from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.providers import Provider, load_providers
from jupyter_llmroute.core.providers.llamacpp import LlamaCpp
from jupyter_llmroute.core.providers.ollama import Ollama
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.transport import open_client

from ..scripted import (
    CUT,
    HANG,
    LOADING,
    Reply,
    Scripted,
    html,
    json_reply,
    llamacpp,
    nobody,
    ollama,
    text_reply,
)
from ..servers import PRODUCTS

pytestmark = pytest.mark.anyio
KEY = "s3cret"
GETS = {
    "/",
    "/v1/models",
    "/props",
    "/api/version",
    "/api/tags",
    "/api/ps",
    "/.well-known/localai.json",
}
"""All that a look may ask for: none of it loads a model, wakes a generation or downloads."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


KINDS: dict[str, type] = {"llamacpp": LlamaCpp, "ollama": Ollama, "openai": OpenAICompatible}
"""Three dialects show what looking around is; `test_fingerprints` has all of them."""


def dialects(kinds: Mapping[str, type] = KINDS, /, **default_urls: str) -> dict[str, Provider]:
    """The dialects, with other places than the machine's own ports to look at."""

    def moved(kind: type, name: str) -> Provider:
        urls = (default_urls[name],) if name in default_urls else ()
        return type(kind.__name__, (kind,), {"default_urls": urls})()

    return {name: moved(kind, name) for name, kind in kinds.items()}


async def look(
    services: Mapping[str, object] | None = None,
    providers: Mapping[str, Provider] | None = None,
    scan_s: float = 5,
    hosts: Sequence[str] = (),
) -> tuple[Endpoint, ...]:
    settings = Settings(services=services or {}, limits={"scan_s": scan_s})
    transport = httpx.AsyncHTTPTransport(verify=False)
    async with open_client(Policy.from_settings(settings.security), transport=transport) as client:
        return await discover(settings, dialects() if providers is None else providers, client, hosts)


def custom(name: str, url: str, **more: object) -> dict[str, object]:
    return {"name": name, "endpoint": url, **more}


def customs(*endpoints: dict[str, object]) -> dict[str, object]:
    return {"custom_endpoints": endpoints}


# --- who it is ---


async def test_servers_are_identified_by_what_they_say_wherever_they_listen():
    with llamacpp() as first, ollama() as second, Scripted({"GET /v1/models": json_reply({"data": []})}) as third:
        found = await look(providers=dialects(ollama=first.url, openai=second.url, llamacpp=third.url))
    assert {endpoint.base_url: endpoint.provider for endpoint in found} == {
        first.url: "llamacpp",
        second.url: "ollama",
        third.url: "openai",
    }


async def test_an_endpoint_has_its_models_and_its_health():
    with ollama() as server:
        (endpoint,) = await look(providers=dialects(ollama=server.url))
    assert (endpoint.name, endpoint.health, endpoint.detail) == ("ollama", Health.WELL, "")
    assert [model.id for model in endpoint.models] == ["qwen3:8b"]


async def test_a_server_without_models_says_so():
    with ollama(tags=[]) as server:
        (endpoint,) = await look(providers=dialects(ollama=server.url))
    assert (endpoint.health, endpoint.models, endpoint.detail) == (Health.WELL, (), "it serves no model yet")


async def test_looking_costs_a_few_requests_that_change_nothing():
    unknown = Scripted({}, otherwise=json_reply({}, 404))
    with llamacpp() as first, ollama() as second, unknown as third:
        await look(customs(*(custom(str(n), server.url) for n, server in enumerate((first, second, third)))))
    for server in (first, second, third):
        assert {asked.method for asked in server.asked} == {"GET"}
        assert {asked.path for asked in server.asked} <= GETS
        assert len(server.lines) == len(set(server.lines)) <= 6


async def test_with_a_named_dialect_no_other_is_asked():
    with Scripted({"GET /": html(404), "GET /api/tags": json_reply({"models": []})}) as server:
        (endpoint,) = await look(customs(custom("mine", server.url, api_style="ollama")))
    assert (endpoint.provider, endpoint.health) == ("ollama", Health.WELL)
    assert server.lines == ["GET /api/tags", "GET /api/ps"]


@pytest.mark.parametrize("how", ["custom", "configured", "known"])
async def test_a_dialect_that_is_not_there_is_said_before_anybody_is_asked(how):
    with ollama() as server:
        services = {
            "custom": customs(custom("mine", server.url, api_style="gopher")),
            "configured": {"mine": {"endpoint": server.url, "api_style": "gopher"}},
            "known": {"ollama": {"api_style": "gopher"}},
        }[how]
        with pytest.raises(SettingsError) as caught:
            await look(services, dialects(ollama=server.url))
    name = "ollama" if how == "known" else "mine"
    assert str(caught.value) == (
        f"The api_style of {name!r} is 'gopher', which is no known dialect: choose one of llamacpp, ollama, openai."
    )
    assert server.asked == []


async def test_a_dialect_of_what_is_switched_off_does_not_matter():
    assert await look(customs(custom("mine", "http://127.0.0.1:1", api_style="gopher", enabled=False))) == ()


async def test_a_server_with_paths_of_its_own_speaks_the_openai_dialect():
    script = {"GET /api/models": json_reply({"data": [{"id": "m"}]})}
    with Scripted(script) as server:
        (endpoint,) = await look(customs(custom("mine", server.url, models_path="api/models", chat_path="/api/chat")))
    assert (endpoint.provider, endpoint.health, endpoint.chat_path) == ("openai", Health.WELL, "/api/chat")
    assert [model.id for model in endpoint.models] == ["m"]


# --- who is not well ---

NO_SERVER: dict[str, tuple[dict[str, Reply], Reply]] = {
    "web page": ({}, html()),
    "web page that nobody may see": ({}, html(403)),
    "other API": ({}, json_reply({"detail": "Not Found"}, 404)),
    "packed as it is not": ({}, Reply((b"{}",), headers={"Content-Encoding": "gzip"})),
    "no HTTP": ({}, Reply((b"SSH-2.0-OpenSSH_9.6\r\n",), is_http=False)),
    "half open": ({}, Reply((HANG,))),
    "a greeting of Ollama's alone": ({"GET /": text_reply("Ollama is running")}, html()),
}


@pytest.mark.parametrize("name", NO_SERVER)
async def test_what_is_no_model_server_is_left_out(name):
    script, otherwise = NO_SERVER[name]
    with Scripted(script, otherwise=otherwise) as server:
        asked = server.arrival("GET /v1/models")
        assert await look(providers=dialects(ollama=server.url), scan_s=1) == ()
        await asyncio.wrap_future(asked)


async def test_a_default_port_where_nobody_listens_is_left_out():
    with nobody() as url:
        assert await look(providers=dialects(ollama=url)) == ()


@pytest.mark.parametrize("name", NO_SERVER)
async def test_a_configured_one_is_shown_with_the_reason(name):
    script, otherwise = NO_SERVER[name]
    with Scripted(script, otherwise=otherwise) as server:
        (endpoint,) = await look(customs(custom("mine", server.url)), scan_s=1)
    assert (endpoint.name, endpoint.base_url, endpoint.models) == ("mine", server.url, ())
    assert endpoint.health in (Health.DOWN, Health.WANTS_KEY)
    assert endpoint.detail


async def test_the_reason_of_a_refused_connection():
    with nobody() as url:
        (endpoint,) = await look({"ollama": {"endpoint": url}})
    assert (endpoint.name, endpoint.health) == ("ollama", Health.DOWN)
    assert endpoint.detail == f"{url} refused the connection: is the server running?"


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:port", "http://127.0.0.1:99999"])
async def test_what_is_no_address_is_said_and_hides_no_other(url):
    with llamacpp() as server:
        broken, well = await look(customs(custom("broken", url), custom("well", server.url)))
    assert (broken.health, well.health) == (Health.DOWN, Health.WELL)
    assert "has an address that does not read" in broken.detail or "has no port that exists" in broken.detail


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
async def test_an_address_may_be_copied_with_the_start_of_the_paths(end):
    with llamacpp() as server:
        (endpoint,) = await look(customs(custom("mine", server.url + end)))
    assert (endpoint.health, endpoint.base_url) == (Health.WELL, server.url)


async def test_own_paths_go_on_from_the_address_as_it_is():
    with llamacpp() as server:
        (endpoint,) = await look(customs(custom("mine", server.url + "/v1", models_path="/models")))
        assert "GET /v1/models" in server.lines
    assert (endpoint.health, endpoint.base_url) == (Health.WELL, server.url + "/v1")


async def test_an_address_that_the_policy_forbids_is_said():
    (endpoint,) = await look(customs(custom("far", "http://192.0.2.1:8080")))
    assert endpoint.health is Health.DOWN
    assert "The policy forbids '192.0.2.1'" in endpoint.detail


async def test_a_server_that_reads_its_model_is_loading():
    with Scripted({}, otherwise=json_reply(LOADING, 503), headers={"Server": "llama.cpp"}) as server:
        (endpoint,) = await look(providers=dialects(llamacpp=server.url))
    assert (endpoint.provider, endpoint.health) == ("llamacpp", Health.LOADING)


@pytest.mark.parametrize("body", [Reply((), 503), json_reply(LOADING, 503), text_reply("starting", 503)])
async def test_who_only_says_that_it_is_not_ready_is_loading_where_the_user_named_it(body):
    with Scripted({}, otherwise=body) as server:
        (endpoint,) = await look(customs(custom("mine", server.url)))
        assert (endpoint.health, endpoint.models) == (Health.LOADING, ())
        assert "not ready (HTTP 503)" in endpoint.detail
        assert await look(providers=dialects(ollama=server.url)) == ()


async def test_a_half_open_server_costs_one_request_and_no_more_than_the_limit():
    """The next request would take the limit once more."""
    with Scripted({}, otherwise=Reply((HANG,))) as server:
        asked = server.arrival("GET /v1/models")
        (endpoint,) = await look(customs(custom("stuck", server.url)), scan_s=0.5)
        await asyncio.wrap_future(asked)
    assert endpoint.health is Health.DOWN
    assert len(server.asked) == 1


async def test_one_odd_server_hides_no_other():
    odd = json_reply({"data": [{"id": "m", "owned_by": ["x"], "max_model_len": {}}, 5, None]})
    with Scripted({"GET /v1/models": odd}) as first, ollama() as second:
        found = await look(customs(custom("odd", first.url), custom("well", second.url)))
    assert [(endpoint.name, len(endpoint.models)) for endpoint in found] == [("odd", 0), ("well", 1)]


@pytest.mark.parametrize("said", [-1, 0, 10**400, 1 << 60, "1e9", True])
async def test_figures_that_can_be_none_are_as_if_they_were_not_told(said):
    """Whoever listens on a default port may say anything, and the question must go on."""
    listed = {"id": "9" * 400 + "x7b", "meta": {"n_params": said, "size": said, "n_ctx": said, "n_ctx_train": said}}
    with Scripted(
        {
            "GET /v1/models": json_reply({"data": [listed, {"id": "m"}]}),
            "GET /props": json_reply({"default_generation_settings": {"n_ctx": said}}),
        },
        headers={"Server": "llama.cpp"},
    ) as server:
        (endpoint,) = await look(providers=dialects(llamacpp=server.url))
    assert endpoint.models[-1].id == "m"
    for model in endpoint.models:
        assert not {model.parameters, model.size_bytes, model.context_window, model.trained_window} - {None, 1}
        assert Catalog.load().describe(model).source == "size"


# --- keys ---

REFUSES = json_reply({"error": {"message": "Invalid API Key", "type": "authentication_error"}}, 401)


@pytest.mark.parametrize("header", ["llama.cpp", "uvicorn"])
async def test_a_server_that_wants_a_key(header):
    with Scripted({}, otherwise=REFUSES, headers={"Server": header}) as server:
        (endpoint,) = await look(providers=dialects(llamacpp=server.url))
    assert endpoint.provider == {"llama.cpp": "llamacpp"}.get(header, "openai")
    assert endpoint.health is Health.WANTS_KEY
    assert endpoint.detail.endswith("set its endpoint and api_key in the settings, or mend the key.")


async def test_a_key_goes_to_its_own_endpoint_and_nowhere_else():
    with llamacpp() as mine, llamacpp() as other, ollama() as known, ollama() as found:
        services = customs(custom("mine", mine.url, api_key=KEY), custom("other", other.url))
        services |= {"lmstudio": {"endpoint": known.url, "api_key": "another"}}
        endpoints = await look(services, dialects(ollama=found.url))
    sent = {
        server.url: {asked.headers.get("authorization") for asked in server.asked}
        for server in (mine, other, known, found)
    }
    assert list(sent.values()) == [{f"Bearer {KEY}"}, {None}, {"Bearer another"}, {None}]
    keys = {endpoint.base_url: endpoint.api_key and endpoint.api_key.get_secret_value() for endpoint in endpoints}
    assert keys == {mine.url: KEY, other.url: None, known.url: "another", found.url: None}


async def test_a_key_without_an_endpoint_goes_nowhere():
    """Whoever took the default port must not be given it."""
    with ollama() as server:
        (endpoint,) = await look({"ollama": {"api_key": KEY}}, dialects(ollama=server.url))
    assert {asked.headers.get("authorization") for asked in server.asked} == {None}
    assert endpoint.api_key is None


async def test_a_key_does_not_follow_a_redirect():
    with Scripted({}) as thief:
        away = Reply((), 307, headers={"Location": f"{thief.url}/v1/models"})
        with Scripted({}, otherwise=away) as server:
            await look(customs(custom("mine", server.url, api_key=KEY)))
    assert thief.asked == []


# --- who is asked ---


async def test_a_disabled_service_is_not_asked():
    with ollama() as server:
        found = await look({"ollama": {"enabled": False}}, dialects(ollama=server.url))
    assert found == ()
    assert server.asked == []


@pytest.mark.parametrize("how", ["known", "custom"])
async def test_a_disabled_address_is_not_asked_under_another_name_either(how):
    with ollama() as server:
        services = {
            "known": {"lmstudio": {"endpoint": server.url, "enabled": False}},
            "custom": customs(custom("mine", server.url + "/", enabled=False)),
        }[how]
        assert await look(services, dialects(llamacpp=server.url)) == ()
    assert server.asked == []


async def test_a_service_with_an_endpoint_is_not_looked_for_elsewhere():
    with ollama() as there, ollama() as default:
        (endpoint,) = await look({"ollama": {"endpoint": there.url}}, dialects(ollama=default.url))
    assert endpoint.base_url == there.url
    assert default.asked == []


async def test_an_address_is_asked_once_and_the_custom_name_wins():
    with ollama() as server:
        services = customs(custom("mine", server.url + "/")) | {"jan": {"endpoint": server.url}}
        port = server.url.rpartition(":")[2]
        (endpoint,) = await look(services, dialects(ollama=f"http://localhost:{port}"))
    assert endpoint.name == "mine"
    assert len(server.lines) == len(set(server.lines))


OWN = {"priority": 3, "timeout": 1500, "max_retries": 1, "models_are_local": True}


def settings_of(endpoint: Endpoint) -> tuple[object, ...]:
    return endpoint.priority, endpoint.stall_s, endpoint.max_retries, endpoint.models_are_local


async def test_settings_of_an_endpoint_reach_it():
    with llamacpp() as server:
        (endpoint,) = await look(customs(custom("mine", server.url, **OWN)))
    assert settings_of(endpoint) == (3, 1.5, 1, True)


async def test_settings_of_a_service_reach_what_turns_out_to_be_one_whatever_port_it_listens_on():
    with ollama() as server:
        (endpoint,) = await look({"ollama": OWN, "llamacpp": {"priority": 8}}, dialects(llamacpp=server.url))
    assert (endpoint.provider, settings_of(endpoint)) == ("ollama", (3, 1.5, 1, True))


async def test_what_the_settings_do_not_mention_has_its_default():
    with ollama() as one, llamacpp() as two:
        first, second = await look({"ollama": {"timeout": 1500}}, dialects(llamacpp=one.url, ollama=two.url))
        assert {settings_of(first), settings_of(second)} == {(1, 1.5, 3, False), (5, 30, 3, False)}


async def test_a_disabled_service_is_left_out_where_it_listens_on_the_port_of_another():
    with ollama() as one, llamacpp() as two:
        services = {"ollama": {"enabled": False}}
        (endpoint,) = await look(services, dialects(llamacpp=one.url, openai=two.url))
    assert (endpoint.provider, endpoint.base_url) == ("llamacpp", two.url)
    assert one.asked, "only its own words tell what it is"


async def test_the_address_of_one_service_is_no_setting_of_a_second_server_of_that_kind():
    with ollama() as mine, ollama() as other:
        services = {"ollama": {"endpoint": mine.url, "api_key": KEY, "priority": 3}}
        first, second = await look(services, dialects(llamacpp=other.url))
    assert (first.base_url, first.priority) == (mine.url, 3)
    assert (second.base_url, second.priority, second.api_key) == (other.url, 3, None)
    assert {asked.headers.get("authorization") for asked in other.asked} == {None}


@pytest.mark.parametrize("service", [{"api_key": KEY}, {"priority": 1}, {"enabled": False}, {}])
async def test_a_misspelt_service_is_said(service):
    with pytest.warns(
        UserWarning, match=r"services\.olama has no endpoint, and no server of that kind is known: .*ollama"
    ):
        assert await look({"olama": service}) == ()


async def test_a_service_of_any_name_may_have_an_endpoint():
    with warnings.catch_warnings(), llamacpp() as server:
        warnings.simplefilter("error")
        (endpoint,) = await look({"olama": {"endpoint": server.url}})
    assert (endpoint.name, endpoint.provider) == ("olama", "llamacpp")


TELLS, SILENT = {"n_ctx": 8192}, {}
WINDOWS = [
    # (dialect, what the server tells, the user's word, the window, whether it is assumed)
    ("llamacpp", TELLS, None, 8192, False),
    ("llamacpp", TELLS, 2048, 8192, False),
    ("llamacpp", SILENT, None, None, False),  # it refuses what is too long
    ("llamacpp", SILENT, 16384, 16384, False),
    ("openai", SILENT, None, 4096, True),  # it may cut without a word
    ("openai", SILENT, 16384, 16384, False),
]


@pytest.mark.parametrize(("name", "meta", "given", "window", "is_assumed"), WINDOWS)
@pytest.mark.parametrize("how", ["named", "found"])
async def test_the_window_that_is_counted_on(name, meta, given, window, is_assumed, how):
    listed = json_reply({"data": [{"id": "m", "meta": meta}]})
    headers = {"Server": "llama.cpp"} if name == "llamacpp" else {}
    more = {"context_window": given} if given else {}
    with Scripted({"GET /v1/models": listed}, headers=headers) as server:
        if how == "named":
            (endpoint,) = await look(customs(custom("mine", server.url, **more)))
        else:
            (endpoint,) = await look({name: more} if more else {}, dialects(ollama=server.url))
    (model,) = endpoint.models
    assert (endpoint.provider, model.context_window, model.window_is_assumed) == (name, window, is_assumed)


@pytest.mark.parametrize("path", ["well", "/well"])
@pytest.mark.parametrize(
    ("reply", "health", "detail"),
    [
        (Reply((), 204), Health.WELL, ""),
        (html(), Health.WELL, ""),
        (Reply((), 399), Health.WELL, ""),
        (html(404), Health.DOWN, "its health_path answers with status 404"),
        (json_reply({}, 503), Health.DOWN, "its health_path answers with status 503"),
        (Reply((CUT,)), Health.DOWN, "broke off"),
    ],
)
async def test_a_health_path_says_whether_it_is_well(path, reply, health, detail):
    with llamacpp() as server:
        server.script["GET /well"] = [reply]
        (endpoint,) = await look(customs(custom("mine", server.url, health_path=path)))
        assert server.lines.count("GET /well") == 1
    assert (endpoint.provider, endpoint.health) == ("llamacpp", health)
    assert detail in endpoint.detail
    assert bool(endpoint.models) is (health is Health.WELL)


@pytest.mark.parametrize(("vouched", "is_local"), [(False, False), (True, True)])
async def test_the_user_may_vouch_for_what_is_behind_a_gateway(vouched, is_local):
    everyone = {name: type(provider) for name, provider in load_providers().items()}
    with PRODUCTS["litellm"].open("open") as server:
        services = customs(custom("gate", server.url, models_are_local=vouched))
        (endpoint,) = await look(services, dialects(everyone))
    assert endpoint.provider == "litellm"
    chats = [model for model in endpoint.models if model.chat]
    assert all(model.remote is None for model in chats) is is_local


# --- on other machines ---


class Elsewhere(Scripted):
    """A server on another address than this machine's usual one."""

    async def _open(self) -> str:
        try:
            self._server = await asyncio.start_server(self._greet, "127.0.0.2", 0)
        except OSError:
            pytest.skip("this machine has no address 127.0.0.2")
        return f"http://127.0.0.2:{self._server.sockets[0].getsockname()[1]}"


async def test_default_ports_are_looked_at_on_other_hosts_too():
    with Elsewhere({"GET /v1/models": json_reply({"data": [{"id": "m"}]})}) as server:
        here = server.url.replace("127.0.0.2", "127.0.0.1")
        assert await look(providers=dialects(ollama=here)) == ()
        (endpoint,) = await look({"openai": {"priority": 2}}, dialects(ollama=here), hosts=["127.0.0.2"])
    assert (endpoint.base_url, endpoint.provider, endpoint.priority) == (server.url, "openai", 2)
    assert endpoint.is_here, "its models take this machine's memory, for it is a loopback address"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
async def test_this_machine_by_another_name_is_looked_at_once(host):
    with llamacpp() as server:
        assert len(await look(providers=dialects(ollama=server.url), hosts=[host])) == 1
    assert len(server.lines) == len(set(server.lines))


async def test_a_host_where_nobody_is_found_is_not_shown():
    with nobody() as url:
        assert await look(providers=dialects(ollama=url), hosts=["127.0.0.2", "no-such-name.invalid", "::1"]) == ()


async def test_a_variable_s_address_is_not_looked_for_on_other_hosts(monkeypatch):
    with Elsewhere({"GET /v1/models": json_reply({"data": []})}) as server:
        here = server.url.replace("127.0.0.2", "127.0.0.1")
        monkeypatch.setenv("OLLAMA_HOST", here)
        (endpoint,) = await look(providers=dialects(ollama=here), hosts=["127.0.0.2"])
    assert (endpoint.base_url, endpoint.health) == (here, Health.DOWN)
    assert server.asked == []


@pytest.mark.parametrize(
    ("names", "unique"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a-2", "a-3"]),
        (["my-gpu", "my-gpu"], ["my-gpu", "my-gpu-2"]),
        (["a", "a-2", "a"], ["a", "a-2", "a-3"]),
        (["gpu", "GPU"], ["gpu", "GPU-2"]),
    ],
)
async def test_two_servers_of_one_name_get_different_ones(names, unique):
    with llamacpp() as one, llamacpp() as two, llamacpp() as three:
        found = await look(customs(*(custom(name, s.url) for name, s in zip(names, (one, two, three), strict=False))))
    assert [endpoint.name for endpoint in found] == unique


def test_names_that_are_unique_stay_as_they_are():
    named = with_unique_names(Endpoint(name=name, provider="x", base_url="") for name in ("a", "A", "embedded", "a"))
    assert [endpoint.name for endpoint in named] == ["a", "A-2", "embedded", "a-3"]
    assert with_unique_names(named) == named


# --- where OLLAMA_HOST says ---


async def test_a_server_that_a_variable_names_is_looked_at_in_place_of_the_default_port(monkeypatch):
    with ollama() as named, ollama() as default:
        monkeypatch.setenv("OLLAMA_HOST", named.url)
        (endpoint,) = await look(providers=dialects(ollama=default.url))
    assert (endpoint.name, endpoint.base_url, endpoint.health) == ("ollama", named.url, Health.WELL)
    assert default.asked == []


async def test_a_variable_that_names_what_the_policy_forbids_is_shown_with_the_reason(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "192.0.2.1")
    (endpoint,) = await look()
    assert (endpoint.name, endpoint.base_url, endpoint.health) == ("ollama", "http://192.0.2.1:11434", Health.DOWN)
    assert "The policy forbids '192.0.2.1'" in endpoint.detail


async def test_the_settings_say_more_than_a_variable(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "192.0.2.1")
    with ollama() as server:
        (endpoint,) = await look({"ollama": {"endpoint": server.url}})
        assert endpoint.base_url == server.url
        assert await look({"ollama": {"enabled": False}}) == ()


async def test_a_key_of_the_settings_does_not_go_where_a_variable_says(monkeypatch):
    with ollama() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        (endpoint,) = await look({"ollama": {"api_key": KEY}})
    assert {asked.headers.get("authorization") for asked in server.asked} == {None}
    assert endpoint.api_key is None


async def test_a_look_that_is_given_up_leaves_nothing_behind():
    with Scripted({}, otherwise=Reply((HANG,))) as server:
        before = asyncio.all_tasks()
        looking = asyncio.create_task(look(customs(custom("stuck", server.url)), scan_s=60))
        asked = await asyncio.wrap_future(server.arrival("GET /v1/models"))
        looking.cancel()
        await asyncio.wait([looking])
        assert asyncio.all_tasks() == before
        assert await asyncio.wrap_future(asked.is_abandoned)


# --- dialects of others ---

BUILT_IN = {*PRODUCTS, "openai"}
"""There is a scripted server of each but the unmarked one."""

PLUGIN = """
class Broken:
    def __init__(self):
        raise RuntimeError("no licence")

class Gopher:
    name = "gopher"
    default_urls = named_urls = marks = ()
    cuts_silently = True

    async def recognise(self, probe): ...
    async def models(self, probe, endpoint): ...
    def chat(self, client, endpoint, chat): ...

class Half:
    name = "half"
    default_urls = ()
"""
ENTRY_POINTS = """
[jupyter_llmroute.providers_v1]
missing = llmroute_test_plugin:Nowhere
absent = llmroute_no_such_module:Any
broken = llmroute_test_plugin:Broken
half = llmroute_test_plugin:Half
gopher = llmroute_test_plugin:Gopher
"""


def test_a_dialect_that_does_not_load_is_named_and_stops_no_other(tmp_path, monkeypatch):
    (tmp_path / "llmroute_test_plugin.py").write_text(PLUGIN)
    info = tmp_path / "llmroute_test_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmroute-test-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        providers = load_providers()
    assert set(providers) == BUILT_IN | {"gopher"}
    said = [str(warning.message) for warning in caught]
    reasons = {"missing": "Nowhere", "absent": "No module named", "broken": "no licence", "half": "lacks a part"}
    assert len(said) == len(reasons)
    for name, why in reasons.items():
        assert any(f"The provider {name!r}" in text and why in text for text in said)


class Careless(OpenAICompatible):
    """A third party's dialect that takes servers at their word."""

    name = "careless"

    def __init__(self, says_so: bool | None = None) -> None:
        self.says_so = says_so

    async def recognise(self, probe):
        return {}["gopher"] if self.says_so is None else self.says_so

    async def models(self, probe, endpoint):
        return [][0]


async def test_a_dialect_that_fails_at_a_server_is_named_and_the_next_one_is_asked():
    with ollama() as server, pytest.warns(UserWarning, match="The provider 'careless' failed at .*KeyError"):
        (endpoint,) = await look(providers={"careless": Careless(), **dialects(llamacpp=server.url)})
    assert (endpoint.provider, endpoint.health) == ("ollama", Health.WELL)


async def test_a_dialect_that_fails_at_its_list_is_named_and_hides_no_other():
    with ollama() as first, ollama() as second:
        services = customs(custom("one", first.url, api_style="careless"), custom("two", second.url))
        one, two = await look(services, {"careless": Careless(False), **dialects()})
    assert (one.name, one.provider, one.health) == ("one", "careless", Health.DOWN)
    assert one.detail == "the provider 'careless' failed: IndexError('list index out of range')"
    assert (two.name, two.provider, two.health) == ("two", "ollama", Health.WELL)


async def test_a_dialect_goes_by_the_name_that_it_was_installed_under():
    with Scripted({}) as server:
        (endpoint,) = await look(customs(custom("mine", server.url)), {"other": Careless(True)})
    assert endpoint.provider == "other"


def test_the_built_in_dialects_come_in_by_the_same_door():
    found = load_providers()
    assert set(found) == BUILT_IN
    for name, provider in found.items():
        assert provider.name == name
        assert type(provider).__module__.startswith("jupyter_llmroute.core.providers.")
    assert {name: type(found[name]) for name in KINDS} == KINDS
