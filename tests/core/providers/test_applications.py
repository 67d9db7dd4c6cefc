"""Jan, GPT4All, text-generation-webui, Lemonade and Docker Model Runner: what each serves, is sent and says."""

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BadRequest,
    ContextOverflow,
    ModelNotFound,
    ServerFailure,
)
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.providers import Counted
from jupyter_llmroute.core.providers.docker import DockerModelRunner
from jupyter_llmroute.core.providers.gpt4all import GPT4All
from jupyter_llmroute.core.providers.jan import Jan
from jupyter_llmroute.core.providers.lemonade import Lemonade
from jupyter_llmroute.core.providers.signs import GATEWAY, VOUCH
from jupyter_llmroute.core.providers.textgen import TextGeneration

from ...scripted import Scripted, html, json_reply, text_reply
from ...servers import PRODUCTS, TEXT, WINDOW, item, model_list
from .asking import chat, endpoint, listen, models, opened, recognises

pytestmark = pytest.mark.anyio
LIST = "GET /v1/models"
MESSAGES = [{"role": "system", "content": "You help."}, {"role": "user", "content": "Hello?"}]
DIALECTS = {each.name: each for each in (Jan, GPT4All, TextGeneration, Lemonade, DockerModelRunner)}


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize(
    ("name", "build", "fault", "kind"),
    [
        ("jan", "older", "overflow", ContextOverflow),
        ("jan", "older", "unknown_model", ModelNotFound),
        ("jan", "older", "none_runs", ModelNotFound),
        ("jan", "older", "child_died", ServerFailure),
        ("jan", "older", "foreign_host", ServerFailure),
        ("jan", "older", "wants_key", AuthenticationNeeded),
        ("jan", "older", "error_in_stream", ContextOverflow),
        ("gpt4all", "", "overflow", ServerFailure),  # it says nothing
        ("gpt4all", "", "stream", BadRequest),
        ("textgen", "loaded", "failed", ServerFailure),
        ("textgen", "loaded", "bad_input", BadRequest),
        ("textgen", "loaded", "foreign_host", ServerFailure),
        ("textgen", "loaded", "wants_key", AuthenticationNeeded),
        ("lemonade", "", "overflow", ContextOverflow),
        ("lemonade", "", "unknown_model", ModelNotFound),
        ("lemonade", "", "error_in_stream", ServerFailure),
        ("docker", "newer", "overflow", ContextOverflow),
        ("docker", "newer", "unknown_model", ModelNotFound),
        ("docker", "newer", "error_in_stream", ContextOverflow),
    ],
)
async def test_its_own_words(name, build, fault, kind):
    with PRODUCTS[name].open(build, fault=fault) as server:
        heard = await listen(DIALECTS[name](), server.url)
    assert type(heard.error) is kind


# --- Jan ---


@pytest.mark.parametrize(
    ("info", "recognised"),
    [
        ({"title": "👋Jan API"}, True),
        ({"title": "Jan API Server Endpoints"}, True),
        ({"title": "January"}, False),
        ({"title": "Trojan"}, False),
        ({"title": "FastAPI", "description": "Jan"}, False),
        ({"title": ["Jan"]}, False),
        (None, False),
    ],
)
async def test_jan_by_the_title_of_its_api(info, recognised):
    with Scripted({"GET /openapi.json": json_reply({"openapi": "3.1.0", "info": info})}) as server:
        assert await recognises(Jan(), server.url) is recognised


@pytest.mark.parametrize(
    ("owner", "remote"),
    [
        ("user", None),
        ("llama.cpp", None),
        ("mlx", None),
        ("remote", f"Jan says that it is of 'remote'{VOUCH}"),
        ("openai", f"Jan says that it is of 'openai'{VOUCH}"),
        (None, f"Jan says that it is of None{VOUCH}"),
    ],
)
async def test_jan_says_whose_a_model_is(owner, remote):
    with PRODUCTS["jan"].open(script={LIST: model_list(item("m", owner))}) as server:
        (model,) = await models(Jan(), server.url)
    assert (model.remote, model.context_window) == (remote, None)


async def test_jan_may_pass_on_to_a_server_that_the_user_vouches_for():
    with PRODUCTS["jan"].open(script={LIST: model_list(item("m", "remote"))}) as server:
        (model,) = await models(Jan(), server.url, models_are_local=True)
    assert model.remote is None


async def test_jan_with_nothing_started_serves_nothing():
    with PRODUCTS["jan"].open("empty") as server:
        assert await models(Jan(), server.url) == ()


# --- GPT4All ---


async def test_gpt4all_gets_no_key_that_it_does_not_know():
    model = ServedModel(id="Llama 3 8B Instruct", context_window=2048)
    with PRODUCTS["gpt4all"].open() as server:
        heard = await listen(GPT4All(), server.url, chat(model=model, tokens=48, temperature=0.5, seed=7))
    assert server.chats[0].json == {
        "model": "Llama 3 8B Instruct",
        "messages": MESSAGES,
        "max_tokens": 1000,
        "temperature": 0.5,
    }
    assert (heard.text, heard.last("finish_reason"), heard.error) == ("".join(TEXT), "stop", None)
    assert heard.last("usage") == Usage(prompt_tokens=11, completion_tokens=3)


async def test_gpt4all_says_which_model_answered():
    """One that it does not know is answered by another."""
    with PRODUCTS["gpt4all"].open() as server:
        heard = await listen(GPT4All(), server.url, chat(model=ServedModel(id="nope")))
    assert heard.last("answered_by") == "Llama 3 8B Instruct"


async def test_gpt4all_has_the_window_that_it_sets_unless_told():
    with PRODUCTS["gpt4all"].open() as server:
        found = await models(GPT4All(), server.url)
    assert [(model.context_window, model.window_is_assumed) for model in found] == [(2048, True)] * 2


@pytest.mark.parametrize(("vouched", "remote"), [(False, GATEWAY), (True, None)])
async def test_gpt4all_lists_online_models_like_its_own(vouched, remote):
    with PRODUCTS["gpt4all"].open() as server:
        found = await models(GPT4All(), server.url, models_are_local=vouched)
    assert [model.remote for model in found] == [remote] * 2


# --- text-generation-webui ---


@pytest.mark.parametrize(
    ("info", "recognised"),
    [
        (json_reply({"model_name": "None", "lora_names": [], "loader": None}), True),
        (json_reply({"model_name": "m", "lora_names": None}), False),
        (json_reply({"lora_names": []}), False),
        (json_reply({"status": "ok"}), False),
        (html(), False),
    ],
)
async def test_textgen_by_what_it_tells_of_its_model(info, recognised):
    with Scripted({"GET /v1/internal/model/info": info}) as server:
        assert await recognises(TextGeneration(), server.url) is recognised


async def test_textgen_serves_what_is_loaded_whatever_its_list_makes_up():
    listed = model_list(item("gpt-3.5-turbo", "user"), item("text-embedding-ada-002", "user"))
    with PRODUCTS["textgen"].open(script={LIST: listed}) as server:
        assert await models(TextGeneration(), server.url) == (ServedModel(id="Qwen3-8B-Q4_K_M.gguf", loaded=True),)


async def test_textgen_with_nothing_loaded_serves_nothing():
    with PRODUCTS["textgen"].open("empty") as server:
        assert await models(TextGeneration(), server.url) == ()


@pytest.mark.parametrize(("chosen", "window", "length"), [(None, 4096, 4096), (2048, 4096, 2048), (None, None, None)])
async def test_textgen_drops_nothing_within_the_window(chosen, window, length):
    asked = chat(model=ServedModel(id="m", context_window=window), tokens=48).model_copy(update={"window": chosen})
    with PRODUCTS["textgen"].open() as server:
        await listen(TextGeneration(), server.url, asked)
    (request,) = server.chats
    assert request.json.get("truncation_length") == length
    assert request.json["max_tokens"] + 2 * 48 <= (length or 10**6)


async def test_textgen_renders_the_whole_prompt_to_count_it():
    """It would drop the same messages from the prompt that it counts as from the one that it answers."""
    asked = chat(model=ServedModel(id="m", context_window=64))
    with PRODUCTS["textgen"].open() as server:
        async with opened() as client:
            assert await TextGeneration().count(client, endpoint(server.url), asked) == Counted(11)
    rendered, counted = server.chats
    assert rendered.line == "POST /v1/internal/chat-prompt"
    assert rendered.json["truncation_length"] > 10**9
    assert counted.line == "POST /v1/internal/token-count"


async def test_textgen_cuts_a_stream_where_it_fails():
    with PRODUCTS["textgen"].open(fault="error_in_stream") as server:
        heard = await listen(TextGeneration(), server.url)
    assert heard.text == TEXT[0]
    assert heard.error is not None


# --- Lemonade ---


async def test_lemonade_tells_the_window_of_what_is_loaded():
    with PRODUCTS["lemonade"].open() as server:
        first, second, embedding, cloud = await models(Lemonade(), server.url)
    assert first == ServedModel(
        id="Qwen3-8B-GGUF",
        context_window=4096,
        trained_window=40960,
        size_bytes=4_680_000_000,
        quantisation="Q4_K_M",
        capabilities={"tools", "thinking"},
        loaded=True,
    )
    assert (second.context_window, second.loaded, second.chat) == (None, False, True)
    assert not embedding.chat
    assert cloud.remote == "its recipe is 'cloud'"


@pytest.mark.parametrize(
    ("entry", "chats"),
    [
        ({"labels": ["vision"]}, True),
        ({"labels": ["reranking"]}, False),
        ({"labels": ["embeddings"]}, False),
        ({"labels": ["transcription"]}, False),
        ({"recipe": "sd-cpp"}, False),
        ({"recipe": "flm"}, True),
        ({"downloaded": False}, False),
    ],
)
async def test_lemonade_has_models_of_other_kinds(entry, chats):
    with PRODUCTS["lemonade"].open(script={LIST: model_list(item("m", "lemonade", **entry))}) as server:
        (model,) = await models(Lemonade(), server.url)
    assert model.chat is chats


async def test_lemonade_without_a_model_is_known_by_its_health():
    with PRODUCTS["lemonade"].open(script={LIST: model_list()}) as server:
        assert await recognises(Lemonade(), server.url)
        assert await models(Lemonade(), server.url) == ()


# --- Docker Model Runner ---


async def test_docker_describes_its_models():
    with PRODUCTS["docker"].open() as server:
        first, embedding = await models(DockerModelRunner(), server.url)
    assert first == ServedModel(
        id="docker.io/ai/qwen3:8B-Q4_K_M",
        context_window=WINDOW,
        size_bytes=round(4.68 * 2**30),
        parameters=8_190_000_000,
        quantisation="Q4_K_M",
        family="qwen3",
    )
    assert not embedding.chat


async def test_an_older_docker_tells_names():
    with PRODUCTS["docker"].open("older") as server:
        first, _ = await models(DockerModelRunner(), server.url)
        await listen(DockerModelRunner(), server.url, chat(model=first))
    assert first == ServedModel(id="docker.io/ai/qwen3:8B-Q4_K_M")
    assert server.lines[-1] == "POST /engines/v1/chat/completions"


@pytest.mark.parametrize(
    "greeting", [text_reply("Docker Model Runner is running", 404), text_reply("Ollama is running"), html()]
)
async def test_another_greeting_is_not_docker(greeting):
    with Scripted({"GET /": greeting}) as server:
        assert not await recognises(DockerModelRunner(), server.url)


@pytest.mark.parametrize("size", ["", "many", "1e9 GB", "-1 GB", "9999999999 GB", "4.68 PB", None])
async def test_a_size_that_does_not_read(size):
    listed = json_reply({"data": [{"id": "m", "dmr": {"size": size}}]})
    with PRODUCTS["docker"].open(script={"GET /engines/v1/models": listed}) as server:
        (model,) = await models(DockerModelRunner(), server.url)
    assert model == ServedModel(id="m")
