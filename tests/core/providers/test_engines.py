"""vLLM, SGLang, Ray Serve LLM, LocalAI, mlx-lm and llamafile: what each serves, is sent and says in its own words."""

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    ContextOverflow,
    ModelLoading,
    ModelNotFound,
    OutOfMemory,
    ServerBusy,
    ServerFailure,
)
from jupyter_llmroute.core.providers.llamafile import Llamafile
from jupyter_llmroute.core.providers.localai import LocalAI
from jupyter_llmroute.core.providers.mlx_lm import MLXLM
from jupyter_llmroute.core.providers.ray_serve import RayServe
from jupyter_llmroute.core.providers.sglang import SGLang
from jupyter_llmroute.core.providers.vllm import VLLM

from ...scripted import Scripted, html, json_reply
from ...servers import KEY, PRODUCTS, WINDOW, item, model_list
from .asking import chat, endpoint, listen, models, opened, recognises

pytestmark = pytest.mark.anyio
LIST = "GET /v1/models"
DIALECTS = {each.name: each for each in (VLLM, SGLang, RayServe, LocalAI, MLXLM, Llamafile)}


@pytest.fixture
def anyio_backend():
    return "asyncio"


# --- who it is ---


@pytest.mark.parametrize(
    ("dialect", "listed", "recognised"),
    [
        (VLLM(), [item("m", "vllm", max_model_len=4096)], True),
        (VLLM(), [item("m", "vllm", max_model_len=None), item("lora", "vllm")], True),
        (VLLM(), [item("m", "vllm")], False),  # who only writes its name
        (VLLM(), [item("m", "sglang", max_model_len=4096)], False),
        (VLLM(), [], False),
        (SGLang(), [item("m", "sglang")], True),
        (SGLang(), [item("m", "vllm", max_model_len=4096)], False),
        (RayServe(), [item("m", "organization-owner", metadata={"max_request_context_length": None})], True),
        (RayServe(), [item("m", "organization-owner", metadata={})], False),
        (RayServe(), [item("m", "organization-owner", metadata=None)], False),
        (RayServe(), [item("m", "organization_owner", metadata={"max_request_context_length": 1})], False),
        (Llamafile(), [item("m", "llamafile")], True),
        (Llamafile(), [item("m", "llamacpp")], False),
    ],
)
async def test_recognised_by_its_list(dialect, listed, recognised):
    with Scripted({LIST: model_list(*listed)}) as server:
        assert await recognises(dialect, server.url) is recognised
    assert server.lines == [LIST]


@pytest.mark.parametrize(
    ("known", "recognised"),
    [
        (json_reply({"version": "v4.9.0", "endpoints": {"models": "/v1/models"}}), True),
        (json_reply({"version": "v4.9.0"}), False),
        (json_reply({"endpoints": {}}), False),
        (json_reply({"version": 4, "endpoints": {}}), False),
        (json_reply({"version": "v4.9.0", "endpoints": {}}, 404), False),
        (html(), False),
    ],
)
async def test_localai_describes_itself(known, recognised):
    with Scripted({"GET /.well-known/localai.json": known}) as server:
        assert await recognises(LocalAI(), server.url) is recognised


@pytest.mark.parametrize(
    ("header", "listed", "health", "asked"),
    [
        ("BaseHTTP/0.6 Python/3.12.4", [item("m", "me")], {"status": "ok"}, False),
        ("uvicorn", [item("m")], {"status": "ok"}, False),
        ("BaseHTTP/0.6 Python/3.12.4", [], {"status": "ok"}, False),
        ("BaseHTTP/0.6 Python/3.12.4", [item("m")], {"status": "ok", "version": "1"}, True),
        ("BaseHTTP/0.6 Python/3.12.4", [item("m")], "ok", True),
    ],
)
async def test_what_is_not_mlx_lm_is_asked_for_its_health_only_where_that_wakes_nobody(header, listed, health, asked):
    script = {LIST: model_list(*listed), "GET /health": json_reply(health)}
    with Scripted(script, headers={"Server": header}) as server:
        assert not await recognises(MLXLM(), server.url)
    assert ("GET /health" in server.lines) is asked


# --- where it is ---


@pytest.mark.parametrize(
    ("address", "urls"),
    [
        (":9090", ("http://127.0.0.1:9090",)),
        ("192.168.1.5", ("http://192.168.1.5:8080",)),
        ("", ()),
        (":port", ()),
    ],
)
def test_where_localai_address_says(monkeypatch, address, urls):
    monkeypatch.setenv("LOCALAI_ADDRESS", address)
    assert LocalAI().named_urls == urls


# --- what it serves ---


async def test_an_adapter_has_the_window_of_its_model():
    with PRODUCTS["vllm"].open() as server:
        base, adapter = await models(VLLM(), server.url)
    assert base == ServedModel(id="Qwen/Qwen3-8B", context_window=WINDOW, loaded=True)
    assert adapter == ServedModel(id="sql-lora", context_window=WINDOW, loaded=True)


@pytest.mark.parametrize(
    ("about", "chats"), [({"is_generation": True}, True), ({"is_generation": False}, False), ({}, True)]
)
async def test_sglang_says_whether_it_embeds(about, chats):
    with PRODUCTS["sglang"].open(script={"GET /model_info": json_reply(about)}) as server:
        (model,) = await models(SGLang(), server.url)
    assert model == ServedModel(id="Qwen/Qwen3-8B", context_window=WINDOW, loaded=True, chat=chats)
    assert server.spoilt == []


async def test_ray_serve_tells_the_window_that_was_set():
    with PRODUCTS["ray_serve"].open() as server:
        first, second = await models(RayServe(), server.url)
    assert (first.context_window, second.context_window) == (WINDOW, None)
    assert (first.loaded, first.remote) == (None, None)


async def test_localai_says_what_a_model_is_for():
    entries = [
        {"id": "chat", "capabilities": ["chat", "completion", "tools", "thinking", "vision"], "context_size": 4096},
        {"id": "embed", "capabilities": ["embeddings"]},
        {"id": "speak", "capabilities": ["tts"]},
        {"id": "no more than a name", "capabilities": None},
    ]
    with PRODUCTS["localai"].open(script={"GET /v1/models/capabilities": json_reply({"data": entries})}) as server:
        first, *others = await models(LocalAI(), server.url)
    assert first == ServedModel(id="chat", context_window=4096, capabilities={"tools", "thinking", "vision"})
    assert [model.chat for model in others] == [False, False, True]


async def test_an_older_localai_lists_names():
    with PRODUCTS["localai"].open(script={"GET /v1/models/capabilities": html(404)}) as server:
        found = await models(LocalAI(), server.url)
    assert found[0] == ServedModel(id="qwen3-8b")
    assert all(model.chat for model in found)


async def test_llamafile_tells_its_window_as_llamacpp_does():
    with PRODUCTS["llamafile"].open() as server:
        (model,) = await models(Llamafile(), server.url)
    assert (model.id, model.context_window) == ("Qwen3-8B-Q4_K_M.gguf", 8192)


# --- count ---


async def test_vllm_is_asked_to_count_what_will_be_sent():
    with PRODUCTS["vllm"].open() as server:
        async with opened() as client:
            await VLLM().count(client, endpoint(server.url, api_key=KEY), chat(model=ServedModel(id="Qwen/Qwen3-8B")))
    assert server.chats[0].json == {
        "model": "Qwen/Qwen3-8B",
        "messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": "Hello?"}],
        "add_generation_prompt": True,
    }


# --- chat ---


@pytest.mark.parametrize(("max_tokens", "sent"), [(None, 1024), (5, 5)])
async def test_mlx_lm_would_stop_at_512(max_tokens, sent):
    with PRODUCTS["mlx_lm"].open() as server:
        await listen(MLXLM(), server.url, chat(max_tokens=max_tokens))
    assert server.chats[0].json["max_tokens"] == sent


@pytest.mark.parametrize(
    ("name", "build", "fault", "kind"),
    [
        ("vllm", "newer", "overflow", ContextOverflow),
        ("vllm", "newer", "overflow_with_output", ContextOverflow),
        ("vllm", "newer", "unknown_model", ModelNotFound),
        ("vllm", "newer", "error_in_stream", ServerFailure),
        ("vllm", "newer", "dead", ServerFailure),
        ("vllm", "newer", "wants_key", AuthenticationNeeded),
        ("vllm", "older", "overflow", ContextOverflow),
        ("vllm", "older", "unknown_model", ModelNotFound),
        ("vllm", "older", "error_in_stream", ServerFailure),
        ("sglang", "", "overflow", ContextOverflow),
        ("sglang", "", "error_in_stream", ServerFailure),
        ("sglang", "", "loading", ServerBusy),
        ("ray_serve", "", "overflow", ContextOverflow),
        ("ray_serve", "", "unknown_model", ModelNotFound),
        ("ray_serve", "", "busy", ServerBusy),
        ("localai", "", "overflow", ContextOverflow),
        ("localai", "", "unknown_model", ModelNotFound),
        ("localai", "", "loading", ModelLoading),
        ("localai", "", "error_in_stream", ServerFailure),
        ("localai", "", "opaque", ServerFailure),
        ("mlx_lm", "", "out_of_memory", OutOfMemory),
        ("mlx_lm", "", "unknown_model", ModelNotFound),
        ("llamafile", "", "overflow", ContextOverflow),
    ],
)
async def test_its_own_words(name, build, fault, kind):
    with PRODUCTS[name].open(build, fault=fault) as server:
        heard = await listen(DIALECTS[name](), server.url)
    assert type(heard.error) is kind


@pytest.mark.parametrize(("name", "numbers"), [("vllm", (9000, WINDOW)), ("sglang", (9000, WINDOW))])
async def test_an_overflow_tells_both_numbers(name, numbers):
    with PRODUCTS[name].open(fault="overflow") as server:
        heard = await listen(DIALECTS[name](), server.url)
    assert (heard.error.prompt_tokens, heard.error.context_window) == numbers
