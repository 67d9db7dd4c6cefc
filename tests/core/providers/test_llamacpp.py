"""llama.cpp's server: by its script first, then the real one."""

import asyncio
from contextlib import aclosing

import httpx
import pytest

from jupyter_llmroute.core.embedded import Running
from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    ContextOverflow,
    ModelLoading,
    RefusedOption,
    Unreachable,
)
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat, TokenCounter
from jupyter_llmroute.core.providers.llamacpp import LlamaCpp
from jupyter_llmroute.core.transport import open_client

from ...scripted import LOADING, Reply, Scripted, html, json_reply, llamacpp, nobody
from ...servers.llamacpp import SURFACE
from ...servers.surface import rendered, words
from .asking import TEXTS, chat, endpoint, listen, models, opened, recognises

pytestmark = pytest.mark.anyio
LIST = "GET /v1/models"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def dialect():
    return LlamaCpp()


# --- who it is ---


def owned(owner: object) -> Reply:
    return json_reply({"data": [{"id": "m", "owned_by": owner}]})


@pytest.mark.parametrize(
    ("reply", "server_header", "recognised"),
    [
        (owned("llamacpp"), "llama.cpp", True),
        (owned("llamacpp"), "nginx", True),
        (json_reply(LOADING, 503), "llama.cpp", True),
        (json_reply({"error": {"message": "Invalid API Key"}}, 401), "llama.cpp", True),
        (owned("koboldcpp"), "KoboldCppServer", False),
        (owned("vllm"), "uvicorn", False),
        (owned(["llamacpp"]), "odd", False),
        (owned(None), "BaseHTTP/0.6 Python/3.12", False),
        (html(), "nginx", False),
    ],
)
async def test_recognised_by_what_it_says(dialect, reply, server_header, recognised):
    with Scripted({LIST: reply}, headers={"Server": server_header}) as server:
        assert await recognises(dialect, server.url) is recognised


# --- what it serves ---


async def test_a_model_with_both_windows(dialect):
    with llamacpp(model="qwen3-8b.gguf", window=8192, trained=40960) as server:
        (model,) = await models(dialect, server.url)
    assert model == ServedModel(
        id="qwen3-8b.gguf",
        context_window=8192,
        trained_window=40960,
        size_bytes=5_021_941_760,
        parameters=8_190_735_360,
        loaded=True,
    )


@pytest.mark.parametrize(
    ("ftype", "quantisation"),
    [
        ("Q4_K - Medium", "Q4_K_M"),
        ("Q3_K - Small", "Q3_K_S"),
        ("Q4_1", "Q4_1"),
        ("IQ2_XXS - 2.0625 bpw", "IQ2_XXS"),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("told_by", ["list", "props"])
async def test_the_quantisation_has_the_name_that_it_has_everywhere(dialect, ftype, quantisation, told_by):
    listed = {"id": "m", "meta": {"ftype": ftype if told_by == "list" else None}}
    props = json_reply({"model_ftype": ftype if told_by == "props" else None})
    with Scripted({LIST: json_reply({"data": [listed]}), "GET /props": props}) as server:
        (model,) = await models(dialect, server.url)
    assert model.quantisation == quantisation


@pytest.mark.parametrize(
    ("props", "capabilities"),
    [
        ({}, set()),
        ({"modalities": {"vision": True, "audio": True}}, {"vision"}),
        ({"chat_template_caps": {"supports_tools": True, "supports_system_role": True}}, {"tools"}),
        ({"chat_template": "{{ '<|im_start|>assistant\\n' }}"}, set()),
        ({"chat_template": "{{ '<|im_start|>assistant\\n<think>\\n' }}"}, {"thinking"}),
        ({"chat_template": "<|start|>assistant<|channel|>analysis<|message|>"}, {"thinking"}),
    ],
)
async def test_props_tell_what_the_model_can(dialect, props, capabilities):
    listed = json_reply({"data": [{"id": "m"}]})
    with Scripted({LIST: listed, "GET /props": json_reply(props)}) as server:
        (model,) = await models(dialect, server.url)
    assert model.capabilities == capabilities


async def test_the_window_is_that_of_one_slot(dialect):
    with llamacpp(window=8192, slot=2048) as server:
        (model,) = await models(dialect, server.url)
    assert model.context_window == 2048


@pytest.mark.parametrize(
    "props",
    [
        html(),
        html(404),
        json_reply({}),
        json_reply([]),
        json_reply({"default_generation_settings": {"n_ctx": 0}}),
        json_reply({"default_generation_settings": {"n_ctx": -1}}),
        json_reply({"default_generation_settings": None}),
        json_reply({"role": "router", "default_generation_settings": {"n_ctx": 9}}),
    ],
)
async def test_without_props_the_list_tells_the_window(dialect, props):
    listed = json_reply({"data": [{"id": "m", "meta": {"n_ctx": 4096}}]})
    with Scripted({LIST: listed, "GET /props": props}) as server:
        (model,) = await models(dialect, server.url)
    assert model.context_window == 4096


@pytest.mark.parametrize("entry", [{"id": "m"}, {"id": "m", "meta": None}, {"id": "m", "meta": {}}])
async def test_an_old_build_tells_no_more_than_a_name(dialect, entry):
    with Scripted({LIST: json_reply({"data": [entry]})}) as server:
        assert await models(dialect, server.url) == (ServedModel(id="m", loaded=True),)


async def test_router_mode_tells_what_is_loaded_and_no_model_is_loaded_by_looking(dialect):
    states = {"a": "loaded", "b": "sleeping", "c": "unloaded", "d": "downloading"}
    listed = json_reply({"data": [{"id": id, "status": {"value": value}} for id, value in states.items()]})
    with Scripted({LIST: listed}) as server:
        found = await models(dialect, server.url)
    assert {model.id: model.loaded for model in found} == {"a": True, "b": True, "c": False, "d": False}
    assert server.lines == [LIST]


async def test_router_mode_of_each_build_tells_windows_and_what_models_take(dialect):
    with SURFACE.open("router") as server:
        found = {model.id: model for model in await models(dialect, server.url)}
        assert server.spoilt == []
    assert found["qwen3-8b"].context_window == 8192
    assert found["gpt-oss-20b"].context_window is None
    assert [name for name, model in found.items() if "vision" in model.capabilities] == ["gemma-3-4b"]


# --- how long a prompt is ---

INPUT_TOKENS = "POST /v1/chat/completions/input_tokens"
APPLY, TOKENIZE = "POST /apply-template", "POST /tokenize"


async def counts(dialect: LlamaCpp, url: str, asked: Chat | None = None, **more: object) -> int | None:
    async with opened() as client:
        counted = await dialect.count(client, endpoint(url, **more), asked or chat())
    assert counted is None or counted.is_exact
    return counted and counted.tokens


def test_it_counts(dialect):
    assert isinstance(dialect, TokenCounter)


async def test_a_newer_build_counts_the_very_body_that_is_sent(dialect):
    with Scripted({INPUT_TOKENS: json_reply({"input_tokens": 21})}) as server:
        assert await counts(dialect, server.url) == 21
    assert [asked.json for asked in server.asked] == [dialect.body(chat())]


async def test_an_older_build_renders_it_and_counts_the_text(dialect):
    script = {APPLY: json_reply({"prompt": "<s>Hello?"}), TOKENIZE: json_reply({"tokens": [1, 2, 3]})}
    with Scripted(script) as server:
        assert await counts(dialect, server.url) == 3
        assert await counts(dialect, server.url) == 3
    assert server.lines == [INPUT_TOKENS, APPLY, TOKENIZE, APPLY, TOKENIZE], "what works is remembered"
    assert server.asked[-1].json == {"model": "m", "content": "<s>Hello?", "add_special": True, "parse_special": True}


async def test_a_server_that_changed_its_build_is_asked_the_other_way(dialect):
    counted, gone = json_reply({"input_tokens": 21}), json_reply({"error": "gone"}, 404)
    script = {INPUT_TOKENS: [counted, gone], APPLY: json_reply({"prompt": "x"}), TOKENIZE: json_reply({"tokens": [1]})}
    with Scripted(script) as server:
        assert [await counts(dialect, server.url) for _ in range(2)] == [21, 1]


@pytest.mark.parametrize("build", SURFACE.builds)
async def test_every_build_counts(dialect, build):
    with SURFACE.open(build) as server:
        expected = words(rendered([message.model_dump() for message in chat().messages]))
        assert await counts(dialect, server.url) == expected


@pytest.mark.parametrize(
    "script",
    [
        {},
        {INPUT_TOKENS: json_reply({"error": "no"}, 405), APPLY: json_reply({"error": "no"}, 501)},
        {INPUT_TOKENS: html(), APPLY: html()},
        {INPUT_TOKENS: json_reply({"input_tokens": "many"}), APPLY: json_reply({"prompt": 5})},
        {APPLY: json_reply({"prompt": "x"}), TOKENIZE: json_reply({"tokens": None})},
        {INPUT_TOKENS: json_reply({"error": {"message": "Invalid API Key"}}, 401)},
    ],
)
async def test_a_server_that_does_not_count_is_no_failure(dialect, script):
    with Scripted(script) as server:
        assert await counts(dialect, server.url) is None


async def test_a_connection_that_fails_while_counting_is_one():
    with nobody() as url, pytest.raises(Unreachable):
        await counts(LlamaCpp(), url)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json_reply(LOADING, 503), ModelLoading),
        (json_reply({"error": {"message": "Invalid API Key"}}, 401), AuthenticationNeeded),
    ],
)
async def test_alive_without_a_list(dialect, reply, kind):
    with Scripted({LIST: reply}) as server, pytest.raises(kind):
        await models(dialect, server.url)


# --- the real server ---


def of(embedded: Running, **more: object) -> dict[str, object]:
    return {"url": embedded.url, "api_key": embedded.key, **more}


def model_of(embedded: Running) -> ServedModel:
    return ServedModel(id=embedded.model, context_window=embedded.context_window)


async def post(embedded: Running, path: str, json: object) -> dict[str, object]:
    """Ask the server past our own code."""
    headers = {"Authorization": f"Bearer {embedded.key.get_secret_value()}"}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.post(embedded.url + path, json=json, headers=headers)
    answer.raise_for_status()
    read: dict[str, object] = answer.json()
    return read


async def is_busy(embedded: Running, client: httpx.AsyncClient) -> bool:
    """Whether the server generates, as it says itself."""
    headers = {"Authorization": f"Bearer {embedded.key.get_secret_value()}"}
    slots = (await client.get(f"{embedded.url}/slots", headers=headers)).json()
    return any(slot["is_processing"] for slot in slots)


async def test_real_server_is_recognised_and_describes_its_model(dialect, embedded):
    async with open_client(Policy()) as client:
        key = embedded.key.get_secret_value()
        probe = Probe(client, embedded.url, timeout_s=10, api_key=key)
        assert await dialect.recognise(probe)
        (model,) = await dialect.models(probe, endpoint(embedded.url))
    assert (model.id, model.context_window, model.trained_window) == (embedded.model, embedded.context_window, 8192)
    assert model.loaded
    assert model.parameters == 134_515_008


async def test_real_server_is_recognised_without_its_key_and_wants_it(dialect, embedded):
    assert await recognises(dialect, embedded.url)
    with pytest.raises(AuthenticationNeeded, match="Invalid API Key"):
        await models(dialect, embedded.url)


@pytest.mark.parametrize("key", [None, "another", "é"])
async def test_real_server_refuses_a_chat_without_its_key(dialect, embedded, key):
    heard = await listen(dialect, embedded.url, chat(max_tokens=1), api_key=key)
    assert type(heard.error) is AuthenticationNeeded
    assert heard.chunks == ()


async def test_real_server_streams_and_counts(dialect, embedded):
    asked = chat("Say hello.", model_of(embedded), max_tokens=6, temperature=0, seed=1)
    heard = await listen(dialect, asked=asked, **of(embedded))
    counted = await post(embedded, "/v1/chat/completions/input_tokens", dialect.body(asked))
    assert heard.error is None
    assert len([chunk for chunk in heard.chunks if chunk.text]) > 1
    assert heard.last("answered_by") == embedded.model
    assert heard.last("finish_reason") in ("stop", "length")
    usage = heard.last("usage")
    assert usage.prompt_tokens == counted["input_tokens"]
    assert 1 < usage.completion_tokens <= 6
    again = await listen(dialect, asked=asked, **of(embedded))
    assert again.text == heard.text
    assert again.last("usage").cached_tokens > 0


@pytest.mark.parametrize("is_newer", [True, False], ids=["newer build", "older build"])
@pytest.mark.parametrize("name", TEXTS)
async def test_real_server_counts_what_its_answer_reports(embedded, name, is_newer):
    class Older(LlamaCpp):
        async def _count_chat(self, client, endpoint, asked):
            return None

    counting = LlamaCpp() if is_newer else Older()
    asked = chat(TEXTS[name] * 3, model_of(embedded), max_tokens=1)
    counted = await counts(counting, asked=asked, **of(embedded))
    heard = await listen(counting, asked=asked, **of(embedded))
    assert heard.last("usage").prompt_tokens == counted


@pytest.mark.parametrize("name", TEXTS)
async def test_real_server_reads_the_text_character_for_character(dialect, embedded, name):
    """`/apply-template` gives back the very prompt that the model reads, made of the body that we send."""
    asked = chat(TEXTS[name], model_of(embedded), max_tokens=1)
    prompt = str((await post(embedded, "/apply-template", dialect.body(asked)))["prompt"])
    assert f"<|im_start|>user\n{TEXTS[name]}<|im_end|>" in prompt
    heard = await listen(dialect, asked=asked, **of(embedded))
    counted = await post(embedded, "/v1/chat/completions/input_tokens", {"messages": plain(TEXTS[name])})
    assert heard.error is None
    assert heard.last("usage").prompt_tokens == counted["input_tokens"]


def plain(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "You help."}, {"role": "user", "content": text}]


async def test_real_server_says_by_how_much_a_prompt_is_too_long(dialect, embedded):
    words = "word " * (embedded.context_window + 100)
    heard = await listen(dialect, asked=chat(words, model_of(embedded)), **of(embedded))
    assert isinstance(heard.error, ContextOverflow)
    assert heard.error.context_window == embedded.context_window
    assert heard.error.prompt_tokens is not None
    assert heard.error.prompt_tokens > embedded.context_window


async def test_real_server_refuses_half_a_character_which_is_why_it_is_not_sent(embedded):
    """The executor refuses it before; see there."""
    headers = {"Authorization": f"Bearer {embedded.key.get_secret_value()}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False) as client:
        content = rb'{"messages":[{"role":"user","content":"\ud800"}],"max_tokens":1}'
        answer = await client.post(f"{embedded.url}/v1/chat/completions", content=content, headers=headers)
    assert answer.status_code == 400
    assert "surrogate" in answer.text


ENDLESS = "Count from one to ten thousand, in words."


@pytest.mark.parametrize("way", ["early exit", "cancel"])
async def test_real_server_stops_when_the_reader_leaves(dialect, embedded, way):
    asked = chat(ENDLESS, model_of(embedded), temperature=0, max_tokens=7000)
    began = asyncio.Event()

    async def read(leaves: bool) -> None:
        async with (
            open_client(Policy()) as client,
            aclosing(dialect.chat(client, endpoint(**of(embedded)), asked)) as stream,
        ):
            async for chunk in stream:
                if chunk.text:
                    async with httpx.AsyncClient(trust_env=False) as other:
                        assert await is_busy(embedded, other)
                    began.set()
                    if leaves:
                        return

    reading, waiting = asyncio.create_task(read(leaves=way == "early exit")), asyncio.create_task(began.wait())
    await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
    if way == "cancel":
        reading.cancel()
    ended, _ = await asyncio.gather(reading, waiting, return_exceptions=True)
    assert type(ended) is {"early exit": type(None), "cancel": asyncio.CancelledError}[way]
    # 7000 tokens take this server minutes; idle within seconds means that it was stopped.
    async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
        while await is_busy(embedded, client):
            pass


async def test_real_server_refuses_what_is_no_parameter(dialect, embedded):
    class Odd(LlamaCpp):
        def body(self, asked):
            return super().body(asked) | {"temperature": "hot"}

    heard = await listen(Odd(), asked=chat(), **of(embedded))
    assert type(heard.error) is RefusedOption
    assert "temperature" in str(heard.error)
