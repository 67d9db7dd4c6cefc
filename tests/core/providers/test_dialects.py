"""What all dialects have in common: each server is recognised by its own alone, and not asked what spoils something."""

from importlib.metadata import EntryPoint, entry_points

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import AuthenticationNeeded, LLMRouteError
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import GROUP, Counted, Provider, TokenCounter

from ...scripted import Scripted, html, json_reply
from ...servers import BUILDS, KEY, PRODUCTS, STRANGERS, TEXT, THOUGHT
from .asking import chat, endpoint, listen, models, opened, recognises

pytestmark = pytest.mark.anyio
LIST = "GET /v1/models"
ENTRIES: dict[str, EntryPoint] = {
    entry.name: entry
    for entry in entry_points(group=GROUP)
    if entry.name in PRODUCTS and entry.name not in ("openai", "ollama", "llamacpp")  # those have files of their own
}
KEYLESS_MARK = ("vllm", "lmstudio", "jan", "openwebui", "localai", "koboldcpp", "llamafile", "litellm")
"""Who is known without the key that it wants; the others are then like any server that wants one."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


def made(name: str) -> Provider:
    dialect: Provider = ENTRIES[name].load()()
    return dialect


async def served(name: str, url: str) -> tuple[ServedModel, ...]:
    """Return what somebody with the key is shown."""
    async with opened() as client:
        return await made(name).models(Probe(client, url, timeout_s=5, api_key=KEY), endpoint(url, api_key=KEY))


def test_every_product_has_a_dialect():
    assert set(PRODUCTS) == {*ENTRIES, "ollama", "llamacpp"}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_dialect_has_all_its_parts(name):
    dialect = made(name)
    assert isinstance(dialect, Provider)
    assert dialect.name == name
    assert dialect.named_urls == ()
    assert all(url.startswith("http://127.0.0.1:") for url in dialect.default_urls)
    assert any(url.endswith(f":{PRODUCTS[name].port}") for url in dialect.default_urls)


# --- who it is ---


async def recognising(url: str) -> list[str]:
    """Return whose server it is, each dialect asked by itself."""
    return [name for name in ENTRIES if await recognises(made(name), url)]


@pytest.mark.parametrize(("product", "build"), BUILDS)
async def test_a_server_is_recognised_by_its_own_dialect_alone(product, build):
    with PRODUCTS[product].open(build) as server:
        assert await recognising(server.url) == [name for name in ENTRIES if name == product]
    assert server.spoilt == []


@pytest.mark.parametrize("name", ENTRIES)
async def test_a_dialect_asks_for_no_more_than_it_says(name):
    greeting = {"/lmstudio-greeting"} if name == "lmstudio" else set()  # of those alone that seem to be LM Studio
    with PRODUCTS[name].open() as server:
        assert await recognises(made(name), server.url)
        assert {asked.path for asked in server.asked} <= {"/v1/models", *made(name).marks} | greeting


SILENT = ("half open", "nothing", "no HTTP")
"""Strangers that give no answer: who they are is not asked for."""


@pytest.mark.parametrize("stranger", [stranger for stranger in STRANGERS if stranger not in SILENT])
async def test_strangers_are_recognised_by_none(stranger):
    with STRANGERS[stranger].open() as server:
        assert await recognising(server.url) == []
    assert server.spoilt == []


@pytest.mark.parametrize("name", [name for name in ENTRIES if "wants_key" in PRODUCTS[name].faults()])
async def test_a_server_that_wants_a_key_is_known_where_it_says_who_it_is(name):
    with PRODUCTS[name].open(fault="wants_key") as server:
        assert await recognises(made(name), server.url) is (name in KEYLESS_MARK)


async def test_a_list_of_several_owners_is_nobodys():
    owners = ("vllm", "sglang", "koboldcpp", "humanity", "lemonade", "docker", "llama-swap", "llamafile", "openai")
    listed = [{"id": owner, "owned_by": owner, "max_model_len": 4096} for owner in owners]
    with Scripted({LIST: json_reply({"data": listed})}) as server:
        assert await recognising(server.url) == []


# --- what it serves ---


@pytest.mark.parametrize(("name", "build"), [(name, build) for name, build in BUILDS if name in ENTRIES])
async def test_looking_at_models_spoils_nothing(name, build):
    with PRODUCTS[name].open(build) as server:
        await served(name, server.url)
    assert server.spoilt == []
    assert {asked.method for asked in server.asked} == {"GET"}
    assert len(server.lines) == len(set(server.lines))


@pytest.mark.parametrize(
    "name",
    [name for name in ENTRIES if "wants_key" in PRODUCTS[name].faults() and name not in ("koboldcpp", "llamafile")],
)
async def test_a_list_behind_a_key_says_so(name):
    """KoboldCpp and early llama.cpp show it to anybody."""
    with PRODUCTS[name].open(fault="wants_key") as server, pytest.raises(AuthenticationNeeded, match="api_key"):
        await models(made(name), server.url)


ODD = (
    {"id": 5},
    {"id": "numbers", "max_model_len": 10**400, "context_length": -1, "context_size": "large", "size": "NaN"},
    {"id": "lists", "meta": [], "dmr": [], "status": [], "labels": {}, "metadata": [], "owned_by": [], "ollama": 1},
    {"id": "floats", "size": 1e400, "context_length": 1.5},
    None,
    [],
    "text",
)


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "textgen"])
async def test_odd_entries_hide_no_other(name):
    """Whoever listens on a default port may say anything."""
    listed = json_reply({"data": [*ODD, {"id": "well"}]})
    paths = ("/v1/models", "/engines/v1/models", "/api/models")
    script = {f"GET {path}": listed for path in paths} | {"GET /running": json_reply({"running": [1, {}]})}
    script |= {"GET /v1/health": json_reply({"all_models_loaded": [1, {}, {"model_name": [], "recipe_options": 5}]})}
    script |= {"GET /model/info": json_reply({"data": [1, {}, {"model_name": "well", "litellm_params": []}]})}
    script |= {"GET /api/v1/model": json_reply({"result": "well"})}
    with Scripted(script, otherwise=html(404)) as server:
        assert (await models(made(name), server.url))[-1].id == "well"


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("reply", [html(), json_reply([]), json_reply({"data": 5}), json_reply(None), html(500)])
async def test_what_is_no_list_is_said(name, reply):
    with Scripted({}, otherwise=reply) as server, pytest.raises(LLMRouteError):
        await models(made(name), server.url)


# --- chat ---

MESSAGES = [{"role": "system", "content": "You help."}, {"role": "user", "content": "Hello?"}]
THOUGHTLESS = ("gpt4all",)


@pytest.mark.parametrize(("name", "build"), [(name, build) for name, build in BUILDS if name in ENTRIES])
async def test_an_answer_comes_with_its_thoughts_apart(name, build):
    with PRODUCTS[name].open(build) as server:
        if not (found := await served(name, server.url)):
            assert build == "empty"
            return
        asked = chat(model=found[0])
        heard = await listen(made(name), server.url, asked, api_key=KEY)
    assert heard.error is None
    assert heard.text == "".join(TEXT)
    assert heard.reasoning == ("" if name in THOUGHTLESS else THOUGHT)
    assert heard.last("finish_reason") == "stop"
    assert heard.last("answered_by") == asked.model.id
    (request,) = server.chats
    assert request.json["messages"] == MESSAGES
    assert request.json["model"] == asked.model.id


@pytest.mark.parametrize("name", [name for name in ENTRIES if "error_in_stream" in PRODUCTS[name].faults()])
async def test_an_error_within_a_stream_is_no_answer(name):
    with PRODUCTS[name].open(fault="error_in_stream") as server:
        heard = await listen(made(name), server.url, api_key=KEY)
    assert heard.text == TEXT[0]
    assert heard.error is not None or heard.last("finish_reason") is None


# --- count ---

COUNTERS = {
    **dict.fromkeys(("vllm", "koboldcpp", "textgen"), Counted(11)),
    **dict.fromkeys(("sglang", "localai", "ray_serve"), Counted(11, is_exact=False)),
}
"""Words of the prompt, and of its template where that is counted too; four a message, and so is the estimate."""


def test_who_counts():
    """llamafile counts as llama.cpp does, if it is new enough."""
    assert {name for name in ENTRIES if isinstance(made(name), TokenCounter)} == {*COUNTERS, "llamafile"}


async def counted(name: str, url: str) -> Counted | None:
    dialect = made(name)
    assert isinstance(dialect, TokenCounter)
    async with opened() as client:
        return await dialect.count(client, endpoint(url), chat())


@pytest.mark.parametrize("name", COUNTERS)
async def test_the_server_counts(name):
    with PRODUCTS[name].open() as server:
        assert await counted(name, server.url) == COUNTERS[name]


@pytest.mark.parametrize("name", COUNTERS)
@pytest.mark.parametrize(
    "reply",
    [
        html(404),
        html(),
        json_reply({"detail": "Unauthorized"}, 401),
        json_reply([]),
        json_reply({"count": -1, "value": -1, "tokens": "many", "length": 10**400, "prompt": None}),
    ],
)
async def test_a_server_that_does_not_count(name, reply):
    with Scripted({}, otherwise=reply) as server:
        assert await counted(name, server.url) is None


@pytest.mark.parametrize("name", COUNTERS)
async def test_a_key_is_sent_along(name):
    with PRODUCTS[name].open() as server:
        async with opened() as client:
            await made(name).count(client, endpoint(server.url, api_key=KEY), chat())
    assert {asked.headers.get("authorization") for asked in server.asked} == {f"Bearer {KEY}"}
