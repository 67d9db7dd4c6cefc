"""LM Studio: its three lists, and its log, which is spared."""

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    ContextOverflow,
    ModelNotFound,
    ServerFailure,
)
from jupyter_llmroute.core.providers.lmstudio import LMStudio

from ...scripted import Scripted, json_reply
from ...servers import PRODUCTS, WINDOW
from .asking import chat, listen, models, recognises

pytestmark = pytest.mark.anyio
LIST, GREETING = "GET /v1/models", "GET /lmstudio-greeting"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def dialect():
    return LMStudio()


# --- who it is ---


@pytest.mark.parametrize(
    "hint",
    [
        json_reply({"data": [{"id": "m", "owned_by": "organization_owner"}]}),
        json_reply({"data": []}, **{"X-Powered-By": "Express"}),
        json_reply({"error": "Unexpected endpoint or method. (GET /v1/models)"}),
        json_reply({"error": {}}, 401, **{"X-Powered-By": "Express"}),
    ],
)
async def test_it_is_asked_for_its_greeting_where_it_may_be_it(dialect, hint):
    with Scripted({LIST: hint, GREETING: json_reply({"lmstudio": True})}) as server:
        assert await recognises(dialect, server.url)


@pytest.mark.parametrize(
    "greeting", [json_reply({"lmstudio": False}), json_reply({}), json_reply({"lmstudio": True}, 404)]
)
async def test_another_greeting_is_none(dialect, greeting):
    with Scripted({LIST: json_reply({"data": []}, **{"X-Powered-By": "Express"}), GREETING: greeting}) as server:
        assert not await recognises(dialect, server.url)


async def test_others_are_not_asked_for_it(dialect):
    with PRODUCTS["vllm"].open() as server:
        assert not await recognises(dialect, server.url)
    assert server.lines == [LIST]


# --- what it serves ---


async def test_the_newest_list_tells_most(dialect):
    with PRODUCTS["lmstudio"].open() as server:
        first, second, third = await models(dialect, server.url)
    assert first == ServedModel(
        id="qwen/qwen3-8b",
        context_window=WINDOW,
        trained_window=40960,
        size_bytes=5027784512,
        parameters=8_000_000_000,
        quantisation="Q4_K_M",
        family="qwen3",
        capabilities={"tools", "thinking"},
        loaded=True,
    )
    assert (second.context_window, second.trained_window, second.loaded) == (None, 131072, False)
    assert (third.chat, third.parameters) == (False, None)
    assert server.strays == []


async def test_the_older_list(dialect):
    with PRODUCTS["lmstudio"].open("0.3") as server:
        first, _, vision, embedding = await models(dialect, server.url)
    assert first == ServedModel(
        id="qwen/qwen3-8b",
        context_window=WINDOW,
        trained_window=40960,
        quantisation="Q4_K_M",
        family="qwen3",
        capabilities={"tools"},
        loaded=True,
    )
    assert (vision.capabilities, vision.chat, vision.loaded) == ({"vision"}, True, False)
    assert not embedding.chat


async def test_the_users_log_gets_one_line_at_most(dialect):
    """An older build is asked for the newest list once, and not at every look."""
    with PRODUCTS["lmstudio"].open("0.3") as server:
        first = await models(dialect, server.url)
        assert await models(dialect, server.url) == first
    assert server.lines.count("GET /api/v1/models") == 1


async def test_the_oldest_list_has_names_alone(dialect):
    listed = json_reply({"data": [{"id": "qwen3-8b"}, {"id": "text-embedding-nomic"}]})
    with Scripted({LIST: listed}, otherwise=json_reply({"error": "Unexpected endpoint or method."})) as server:
        assert await models(dialect, server.url) == (
            ServedModel(id="qwen3-8b"),
            ServedModel(id="text-embedding-nomic", chat=False),
        )


async def test_of_several_instances_the_smallest_window_counts(dialect):
    instances = [{"config": {"context_length": length}} for length in (8192, 4096, None, -1)]
    entry = {"key": "m", "type": "llm", "loaded_instances": [*instances, {}]}
    with Scripted({"GET /api/v1/models": json_reply({"models": [entry]})}) as server:
        (model,) = await models(dialect, server.url)
    assert (model.context_window, model.loaded) == (4096, True)


async def test_one_odd_entry_hides_no_other(dialect):
    listed = [{"key": 5}, {"key": "a", "loaded_instances": "all"}, None, {"key": "b", "max_context_length": 10**400}]
    with Scripted({"GET /api/v1/models": json_reply({"models": listed})}) as server:
        assert await models(dialect, server.url) == (ServedModel(id="b", loaded=False),)


async def test_without_its_token_it_says_what_to_do(dialect):
    with PRODUCTS["lmstudio"].open(fault="wants_key") as server:
        for _ in range(2):
            with pytest.raises(AuthenticationNeeded, match="set its endpoint and api_key"):
                await models(dialect, server.url)
    assert server.lines.count("GET /api/v1/models") == 2  # not taken for an older build


# --- chat ---


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("overflow", ContextOverflow),
        ("overflow_in_stream", ContextOverflow),
        ("overflow_in_data", ContextOverflow),
        ("unknown_model", ModelNotFound),
        ("error_in_stream", ServerFailure),
    ],
)
async def test_its_own_words(dialect, fault, kind):
    with PRODUCTS["lmstudio"].open(fault=fault) as server:
        heard = await listen(dialect, server.url)
    assert type(heard.error) is kind


async def test_an_empty_stream_has_no_end(dialect):
    with PRODUCTS["lmstudio"].open(fault="empty") as server:
        heard = await listen(dialect, server.url)
    assert (heard.text, heard.last("finish_reason")) == ("", None)


async def test_what_is_sent(dialect):
    asked = chat(model=ServedModel(id="qwen/qwen3-8b"), temperature=0, seed=1, max_tokens=5)
    with PRODUCTS["lmstudio"].open() as server:
        await listen(dialect, server.url, asked)
    (request,) = server.chats
    assert (request.line, request.json) == (
        "POST /v1/chat/completions",
        {
            "model": "qwen/qwen3-8b",
            "messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": "Hello?"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0,
            "seed": 1,
            "max_tokens": 5,
        },
    )
