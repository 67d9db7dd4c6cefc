"""LiteLLM, Open WebUI and llama-swap: whose models they pass text on to, and that nobody else answers instead."""

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    ContextOverflow,
    ModelLoading,
    ModelNotFound,
    ServerBusy,
    ServerFailure,
)
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers.litellm import LiteLLM
from jupyter_llmroute.core.providers.llama_swap import LlamaSwap
from jupyter_llmroute.core.providers.openwebui import OpenWebUI
from jupyter_llmroute.core.providers.signs import GATEWAY, VOUCH, is_doubt

from ...scripted import Scripted, html, json_reply, text_reply
from ...servers import KEY, PRODUCTS, WINDOW, item, model_list
from .asking import chat, endpoint, listen, opened, recognises

pytestmark = pytest.mark.anyio
LIST = "GET /v1/models"
DIALECTS = {each.name: each for each in (LiteLLM, OpenWebUI, LlamaSwap)}


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def served(dialect, url, key=KEY, **more) -> tuple[ServedModel, ...]:
    async with opened() as client:
        return await dialect.models(Probe(client, url, timeout_s=5, api_key=key), endpoint(url, api_key=key, **more))


@pytest.mark.parametrize("name", DIALECTS)
async def test_a_user_may_vouch_for_all_its_models(name):
    with PRODUCTS[name].open() as server:
        judged = await served(DIALECTS[name](), server.url)
        vouched = await served(DIALECTS[name](), server.url, models_are_local=True)
    assert {model.remote is None for model in judged} >= {False}
    # What a server says itself is no doubt that the user's word could settle.
    assert not any(is_doubt(model.remote) for model in vouched if model.remote)
    assert any(model.remote is None for model in vouched)
    assert [model.id for model in vouched] == [model.id for model in judged]


@pytest.mark.parametrize(
    ("name", "fault", "kind"),
    [
        ("litellm", "overflow", ContextOverflow),
        ("litellm", "unknown_model", ModelNotFound),
        ("litellm", "loading", ModelLoading),
        ("litellm", "busy", ServerBusy),
        ("litellm", "upstream_died", ServerFailure),
        ("litellm", "error_in_stream", ServerFailure),
        ("openwebui", "overflow", ContextOverflow),
        ("openwebui", "unknown_model", ModelNotFound),
        ("openwebui", "error_in_stream", ServerFailure),
        ("llama_swap", "overflow", ContextOverflow),
        ("llama_swap", "busy", ServerBusy),
        ("llama_swap", "upstream_died", ServerFailure),
        ("llama_swap", "error_in_stream", ContextOverflow),
    ],
)
async def test_its_own_words(name, fault, kind):
    with PRODUCTS[name].open(fault=fault) as server:
        heard = await listen(DIALECTS[name](), server.url, api_key=KEY)
    assert type(heard.error) is kind


# --- LiteLLM ---


def deployed(*deployments: tuple[str, dict[str, object]]):
    """LiteLLM, with these behind it."""
    listed = model_list(*(item(name, "openai") for name in dict.fromkeys(name for name, _ in deployments)))
    data = [{"model_name": name, "litellm_params": parameters} for name, parameters in deployments]
    return PRODUCTS["litellm"].open("open", script={LIST: listed, "GET /model/info": json_reply({"data": data})})


NEAR, FAR = {"model": "openai/m", "api_base": "http://10.0.0.7:8000/v1"}, {"model": "openai/gpt-4o-mini"}


@pytest.mark.parametrize(
    ("deployments", "remote"),
    [
        ([NEAR], None),
        ([NEAR, {**NEAR, "api_base": "http://localhost:1"}], None),
        ([FAR], GATEWAY),
        ([NEAR, FAR], GATEWAY),  # requests are shared among them
        ([{**NEAR, "api_base": "https://api.example/v1"}], GATEWAY),
        ([{**NEAR, "api_base": "http://vllm:8000"}], GATEWAY),  # a name tells nothing
        ([{"model": "ollama/gpt-oss:120b-cloud", "api_base": "http://127.0.0.1:11434"}], GATEWAY),
        ([NEAR, {"model": 5}], GATEWAY),
        ([NEAR, {**NEAR, "api_base": 5}], GATEWAY),
    ],
)
async def test_litellm_says_where_its_models_run(deployments, remote):
    with deployed(*(("m", parameters) for parameters in deployments)) as server:
        (model,) = await served(LiteLLM(), server.url)
    assert model == ServedModel(id="m", remote=remote)


@pytest.mark.parametrize(
    "info", [html(403), json_reply({"detail": "no"}, 401), json_reply({"data": {}}), json_reply([])]
)
async def test_a_litellm_that_does_not_say_may_pass_text_on(info):
    with PRODUCTS["litellm"].open("open", script={"GET /model/info": info}) as server:
        assert {model.remote for model in await served(LiteLLM(), server.url)} == {GATEWAY}


async def test_the_window_of_a_price_list_is_not_the_served_one():
    with PRODUCTS["litellm"].open() as server:
        assert {model.context_window for model in await served(LiteLLM(), server.url)} == {None}


async def test_an_embedding_model_behind_litellm_does_not_chat():
    data = [{"model_name": "m", "litellm_params": NEAR, "model_info": {"mode": "embedding"}}]
    script = {LIST: model_list(item("m", "openai")), "GET /model/info": json_reply({"data": data})}
    with PRODUCTS["litellm"].open("open", script=script) as server:
        (model,) = await served(LiteLLM(), server.url)
    assert not model.chat


@pytest.mark.parametrize("build", ["keyed", "without_prisma"])
@pytest.mark.parametrize("key", [None, "sk-wrong"])
async def test_a_litellm_without_its_key_says_so(build, key):
    with PRODUCTS["litellm"].open(build) as server:
        assert await recognises(LiteLLM(), server.url)
        with pytest.raises(AuthenticationNeeded, match="set its endpoint and api_key"):
            await served(LiteLLM(), server.url, key=key)
    assert server.spoilt == []


async def test_litellm_may_not_let_another_model_answer():
    with PRODUCTS["litellm"].open() as server:
        await listen(LiteLLM(), server.url, api_key=KEY)
    assert server.chats[0].json["disable_fallbacks"] is True


# --- Open WebUI ---


@pytest.mark.parametrize(
    ("change", "recognised"),
    [
        ({}, True),
        ({"name": "Our chats"}, True),
        ({"features": {}}, False),
        ({"features": None}, False),
        ({"oauth": None}, False),
        ({"version": None}, False),
    ],
)
async def test_open_webui_by_its_configuration(change, recognised):
    config = {"status": True, "name": "Open WebUI", "version": "0.12.4", "oauth": {}, "features": {"auth": False}}
    with Scripted({"GET /api/config": json_reply(config | change)}, otherwise=html()) as server:
        assert await recognises(OpenWebUI(), server.url) is recognised


async def test_open_webui_says_what_the_server_behind_it_says():
    with PRODUCTS["openwebui"].open() as server:
        found = {model.id: model for model in await served(OpenWebUI(), server.url)}
    assert found["qwen3-8b-q4_k_m.gguf"].context_window == WINDOW
    assert found["qwen3-8b-q4_k_m.gguf"].trained_window == 40960
    assert found["qwen3:8b"].size_bytes == 5225388164
    assert found["gpt-oss:120b-cloud"].remote == "remote host 'https://ollama.com:443'"
    assert found["gpt-5"].remote == GATEWAY


async def test_the_label_local_tells_nothing():
    """Open WebUI gives it to any Ollama, wherever that is."""
    script = {"GET /api/models": model_list(item("m", "ollama", connection_type="local"))}
    with PRODUCTS["openwebui"].open("keyless", script=script) as server:
        (model,) = await served(OpenWebUI(), server.url)
    assert model.remote == GATEWAY


async def test_open_webui_is_asked_below_its_own_paths():
    with PRODUCTS["openwebui"].open() as server:
        await served(OpenWebUI(), server.url)
        await listen(OpenWebUI(), server.url, chat(model=ServedModel(id="qwen3:8b")), api_key=KEY)
    assert server.lines == ["GET /api/models", "POST /api/chat/completions"]


# --- llama-swap ---


@pytest.mark.parametrize(
    ("version", "recognised"),
    [
        ({"version": "v240", "commit": "0bdb372", "build_date": "2026-08-22"}, True),
        ({"version": "0.12.4", "deployment_id": ""}, False),
        ({"version": "0.24.1"}, False),
    ],
)
async def test_llama_swap_without_a_model_is_known_by_its_version(version, recognised):
    with Scripted({LIST: model_list(), "GET /api/version": json_reply(version)}) as server:
        assert await recognises(LlamaSwap(), server.url) is recognised


@pytest.mark.parametrize(
    ("more", "remote"),
    [
        ({}, None),
        ({"meta": {"llamaswap": {"peerID": "cloud"}}}, f"of the peer 'cloud'{VOUCH}"),
        ({"meta": {"llamaswap": {"type": "peer"}}, "peerID": "cloud"}, f"of the peer 'cloud'{VOUCH}"),
        ({"meta": {"llamaswap": {"type": "peer"}}}, f"of a peer{VOUCH}"),
        ({"meta": {"llamaswap": []}}, None),
        ({"meta": {"mine": {"peerID": "x"}}}, None),
    ],
)
async def test_llama_swap_marks_the_models_of_its_peers(more, remote):
    with PRODUCTS["llama_swap"].open(script={LIST: model_list(item("m", "llama-swap", **more))}) as server:
        (model,) = await served(LlamaSwap(), server.url)
    assert model.remote == remote


async def test_llama_swap_says_what_runs():
    with PRODUCTS["llama_swap"].open() as server:
        first, second, _ = await served(LlamaSwap(), server.url)
    assert (first.loaded, first.context_window) == (True, WINDOW)
    assert (second.loaded, second.context_window) == (False, None)
    assert server.spoilt == []


async def test_an_older_llama_swap_says_it_in_another_list():
    listed = model_list(item("qwen3-8b", "llama-swap"), item("other", "llama-swap"))
    with PRODUCTS["llama_swap"].open(script={LIST: listed}) as server:
        first, second = await served(LlamaSwap(), server.url)
    assert (first.loaded, second.loaded) == (True, False)


async def test_plain_text_is_no_list():
    with PRODUCTS["llama_swap"].open(script={LIST: text_reply("OK")}) as server:
        with pytest.raises(ServerFailure):
            await served(LlamaSwap(), server.url)
