"""KoboldCpp: one model whatever is asked for, prompts that are cut without a word, and counts that are invented."""

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import AuthenticationNeeded, ServerBusy, ServerFailure
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.providers import Counted
from jupyter_llmroute.core.providers.koboldcpp import KoboldCpp
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE

from ...scripted import Scripted, json_reply
from ...servers import PRODUCTS, WINDOW, item, model_list
from .asking import chat, endpoint, listen, models, opened, recognises

pytestmark = pytest.mark.anyio
MODEL = "koboldcpp/qwen3-8b-q4_k_m"
LIST = "GET /v1/models"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def dialect():
    return KoboldCpp()


async def count(dialect, url, asked=None) -> Counted | None:
    async with opened() as client:
        return await dialect.count(client, endpoint(url), asked or chat())


@pytest.mark.parametrize("header", ["KoboldCppServer", "ConcedoLlamaForKoboldServer"])
async def test_its_header_suffices(dialect, header):
    with Scripted({}, headers={"Server": header}) as server:
        assert await recognises(dialect, server.url)


async def test_behind_another_server_its_models_tell(dialect):
    with Scripted({LIST: model_list(item(MODEL, "koboldcpp"))}, headers={"Server": "nginx"}) as server:
        assert await recognises(dialect, server.url)


# --- what it serves ---


@pytest.mark.parametrize("build", ["1.117", "1.76"])
async def test_the_window_is_the_one_that_is_served(dialect, build):
    with PRODUCTS["koboldcpp"].open(build) as server:
        assert await models(dialect, server.url) == (ServedModel(id=MODEL, context_window=WINDOW, loaded=True),)


async def test_of_an_administrators_list_only_the_loaded_one_answers(dialect):
    listed = model_list(*(item(name, "koboldcpp") for name in ("koboldcpp/other", MODEL, "koboldcpp/third.kcpps")))
    with PRODUCTS["koboldcpp"].open(script={LIST: listed}) as server:
        assert [model.id for model in await models(dialect, server.url)] == [MODEL]


async def test_without_a_model_it_serves_none(dialect):
    script = {
        LIST: model_list(item("koboldcpp/inactive", "koboldcpp")),
        "GET /api/v1/model": json_reply({"result": "inactive"}),
    }
    with PRODUCTS["koboldcpp"].open(script=script) as server:
        assert await models(dialect, server.url) == ()


@pytest.mark.parametrize(
    "script",
    [
        {"GET /api/v1/model": json_reply({"result": "koboldcpp/protected-model"})},
        {"GET /api/extra/version": json_reply({"result": "KoboldCpp", "protected": True})},
    ],
)
async def test_behind_a_password_it_says_so(dialect, script):
    with PRODUCTS["koboldcpp"].open(script=script) as server:
        with pytest.raises(AuthenticationNeeded, match="password"):
            await models(dialect, server.url)


async def test_a_model_that_sees(dialect):
    script = {"GET /api/extra/version": json_reply({"result": "KoboldCpp", "vision": True})}
    with PRODUCTS["koboldcpp"].open(script=script) as server:
        (model,) = await models(dialect, server.url)
    assert model.capabilities == {"vision"}


# --- count ---


async def test_newer_builds_count_the_chat(dialect):
    with PRODUCTS["koboldcpp"].open() as server:
        assert await count(dialect, server.url) == Counted(11)
    assert [asked.json.keys() for asked in server.chats] == [{"messages"}]


@pytest.mark.parametrize("of_nothing", [0, 1])
async def test_older_builds_count_the_text(dialect, of_nothing):
    """Of a chat they see nothing, which is the first token of all or none."""

    def counting(asked):
        return json_reply({"value": len(asked.json["prompt"].split()) if "prompt" in asked.json else of_nothing})

    with Scripted({"POST /api/extra/tokencount": counting}) as server:
        assert await count(dialect, server.url, chat("How many words are these?")) == Counted(
            7 + 2 * TOKENS_PER_MESSAGE, is_exact=False
        )


# --- chat ---


async def test_an_answer_has_a_limit_so_that_the_prompt_keeps_its_room(dialect):
    model = ServedModel(id=MODEL, context_window=WINDOW)
    with PRODUCTS["koboldcpp"].open() as server:
        await listen(dialect, server.url, chat(model=model, tokens=WINDOW - 1000))
        await listen(dialect, server.url, chat(model=model, tokens=92))
    counted, estimated = (asked.json["max_tokens"] for asked in server.chats)
    assert counted < 1000
    assert estimated == (WINDOW - 92) // 2


async def test_invented_counts_are_not_believed(dialect):
    assert dialect.believed(Usage(prompt_tokens=100, completion_tokens=100)) == Usage()
    assert dialect.believed(Usage(prompt_tokens=64, completion_tokens=3)).prompt_tokens == 64


async def test_newer_builds_tell_how_much_they_read(dialect):
    with PRODUCTS["koboldcpp"].open(fault="silent_cut") as server:
        heard = await listen(dialect, server.url)
    assert heard.last("usage").prompt_tokens == 64


@pytest.mark.parametrize("build", ["1.117", "1.76"])
@pytest.mark.parametrize(
    ("fault", "kind"), [("busy", ServerBusy), ("bad_input", ServerFailure), ("error_in_stream", ServerFailure)]
)
async def test_its_own_words(dialect, build, fault, kind):
    with PRODUCTS["koboldcpp"].open(build, fault=fault) as server:
        heard = await listen(dialect, server.url)
    assert type(heard.error) is kind


async def test_a_refused_value_is_no_answer(dialect):
    """1.76 answers a bad temperature with `null` and status 200."""
    with PRODUCTS["koboldcpp"].open("1.76", fault="null") as server:
        heard = await listen(dialect, server.url)
    assert heard.error is not None
