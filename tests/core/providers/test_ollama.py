"""Ollama's native dialect: who is Ollama and who only looks like it, what leaves the machine, when an answer ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BadRequest,
    BrokenStream,
    ContextOverflow,
    ModelNotFound,
    OutOfMemory,
    PeerError,
    PolicyRefusal,
    ServerBusy,
    ServerFailure,
    Unreachable,
)
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.providers import Chat, WindowChooser
from jupyter_llmroute.core.providers.ollama import MAX_SHOWN, Ollama, base_url
from jupyter_llmroute.core.providers.ollama_listing import WANTED_WINDOW, WINDOWS, served_window

from ...scripted import (
    CUT,
    HANG,
    LAST_LINE,
    TAG,
    Reply,
    Scripted,
    html,
    json_reply,
    line,
    ndjson,
    nobody,
    ollama,
    ollama_says,
    text_reply,
)
from ...servers.ollama import SURFACE
from .asking import TEXTS, body, chat, first_chunk_then_leave, listen, models, recognises, sent, within_reason

pytestmark = pytest.mark.anyio
CHAT = "POST /api/chat"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def dialect():
    return Ollama()


# --- where it is ---


@pytest.mark.parametrize(
    ("ollama_host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("   ", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("1.2.3.4:5678", "http://1.2.3.4:5678"),
        (":5678", "http://127.0.0.1:5678"),
        ("gpu.lab", "http://gpu.lab:11434"),
        ("http://example", "http://example:80"),
        ("https://example", "https://example:443"),
        ("http://example:8080/base", "http://example:8080/base"),
        ("http://example:8080/base/", "http://example:8080/base"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:5678", "http://[::1]:5678"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:5678", "http://127.0.0.1:5678"),
        ("::", "http://[::1]:11434"),
        ("1.2.3.4:port", "http://1.2.3.4:11434"),
        ("1.2.3.4:99999", "http://1.2.3.4:11434"),
        (' "1.2.3.4" ', "http://1.2.3.4:11434"),
        ("'1.2.3.4:5678'", "http://1.2.3.4:5678"),
        ("[::1", "http://127.0.0.1:11434"),
    ],
)
def test_where_ollama_host_says(monkeypatch, dialect, ollama_host, url):
    assert base_url(ollama_host) == url
    monkeypatch.setenv("OLLAMA_HOST", ollama_host)
    assert dialect.named_urls == ((url,) if ollama_host.strip() else ())


def test_without_it_the_default_port(monkeypatch, dialect):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert (dialect.default_urls, dialect.named_urls) == ((base_url(""),), ())


# --- who it is ---

NOT_FOUND = text_reply("404 page not found", 404)
GREETING = text_reply("Ollama is running")
TAGS = json_reply({"models": [TAG]})
IMITATORS = {
    "KoboldCpp": {
        "GET /": html(),
        "GET /api/version": json_reply({"version": "0.7.0"}),
        "GET /api/tags": TAGS,
        "GET /api/extra/version": json_reply({"result": "KoboldCpp", "version": "1.117.1"}),
    },
    "LocalAI": {
        "GET /": html(),
        "GET /api/version": json_reply({"version": "v3.1.0"}),
        "GET /api/tags": TAGS,
        "GET /.well-known/localai.json": json_reply({"version": "v3.1.0"}),
    },
    "LocalAI, told to greet": {
        "GET /": GREETING,
        "GET /api/version": json_reply({"version": "v3.1.0"}),
        "GET /api/tags": TAGS,
        "GET /.well-known/localai.json": json_reply({"version": "v3.1.0"}),
    },
    "Docker Model Runner": {
        "GET /": text_reply("Docker Model Runner is running"),
        "GET /api/version": json_reply({"version": "0.1.0"}),
        "GET /api/tags": TAGS,
    },
    "SGLang": {"GET /": json_reply("Ollama is running"), "GET /api/tags": TAGS},
    "Open WebUI": {
        "GET /": html(),
        "GET /api/version": json_reply({"version": "0.6.0", "deployment_id": ""}),
        "GET /ollama/api/tags": TAGS,
    },
    "llama-swap": {
        "GET /": html(),
        "GET /api/version": json_reply({"version": "1", "commit": "c", "build_date": "d"}),
    },
    "a greeting in quotes": {
        "GET /": json_reply("Ollama is running"),
        "GET /api/version": json_reply({"version": "1"}),
    },
    "a greeting alone": {"GET /": GREETING},
    "a greeting and a web page": {"GET /": GREETING, "GET /api/version": html()},
    "a greeting and other keys": {"GET /": GREETING, "GET /api/version": json_reply({"version": "1", "x": 1})},
    "a greeting and no object": {"GET /": GREETING, "GET /api/version": json_reply(["version"])},
    "nothing": {},
}


async def test_recognised_by_greeting_and_version(dialect):
    with ollama() as server:
        assert await recognises(dialect, server.url)
    assert server.chats == []


@pytest.mark.parametrize("name", IMITATORS)
async def test_imitators_are_not_ollama(dialect, name):
    with Scripted(IMITATORS[name], otherwise=NOT_FOUND) as server:
        assert not await recognises(dialect, server.url)


async def test_a_web_page_for_everything_is_not_ollama(dialect):
    with Scripted({}, otherwise=html()) as server:
        assert not await recognises(dialect, server.url)


async def test_ollama_is_recognised_where_unknown_paths_get_a_web_page(dialect):
    """Such as behind a proxy: only an answer of LocalAI's own tells LocalAI."""
    script = {"GET /": GREETING, "GET /api/version": json_reply({"version": "0.12.3"})}
    with Scripted(script, otherwise=html()) as server:
        assert await recognises(dialect, server.url)


# --- what it serves ---


def tag(name: str, **more: object) -> dict[str, object]:
    return TAG | {"name": name, "model": name} | more


async def test_a_model_of_a_newer_build(dialect):
    with ollama() as server:
        assert await models(dialect, server.url) == (
            ServedModel(
                id="qwen3:8b",
                context_window=WANTED_WINDOW,
                window_limit=40960,
                trained_window=40960,
                size_bytes=5225388164,
                parameters=8_200_000_000,
                quantisation="Q4_K_M",
                family="qwen3",
                digest="500a1f",
                capabilities=frozenset({"tools", "thinking"}),
                loaded=False,
            ),
        )
    assert server.chats == [], "the list tells it all"


OLD = {
    "name": "llama2:7b",
    "size": 5,
    "digest": "d1",
    "details": {"family": "llama", "quantization_level": "Q4_0", "parameter_size": "7B"},
}
"""One entry of `/api/tags` of an older build."""
SHOW = "POST /api/show"


def shown(**more: object) -> Reply:
    """What such a build tells of a model when it is asked."""
    return json_reply(
        {"model_info": {"general.architecture": "llama", "llama.context_length": 4096}, "parameters": "", **more}
    )


def older(show: Reply | list[Reply], *, tags: tuple[dict[str, object], ...] = (OLD,)) -> Scripted:
    return Scripted({"GET /api/tags": json_reply({"models": list(tags)}), SHOW: show})


async def test_a_model_of_an_older_build(dialect):
    with older(shown(capabilities=["completion", "vision"])) as server:
        (model,) = await models(dialect, server.url)
    assert model == ServedModel(
        id="llama2:7b",
        context_window=4096,
        window_limit=4096,
        trained_window=4096,
        size_bytes=5,
        parameters=7_000_000_000,
        quantisation="Q4_0",
        family="llama",
        digest="d1",
        capabilities=frozenset({"vision"}),
        loaded=False,
    )


@pytest.mark.parametrize(
    "answer",
    [
        json_reply({"error": "no such path"}, 404),
        json_reply({"error": "boom"}, 500),
        html(),
        json_reply([]),
        json_reply({"model_info": "x"}),
        json_reply({"model_info": {"general.architecture": 5, "parameters": None}}),
        Reply((CUT,)),
    ],
)
async def test_a_build_that_does_not_tell_more_lists_its_models_all_the_same(dialect, answer):
    with older(answer) as server:
        (model,) = await models(dialect, server.url)
    assert (model.id, model.context_window, model.window_limit) == ("llama2:7b", WANTED_WINDOW, None)


@pytest.mark.parametrize(
    ("parameters", "trained", "window"),
    [
        ("", 40960, WANTED_WINDOW),
        ("num_ctx                        16384", 40960, 16384),
        ('stop    "num_ctx 5"\nnum_ctx   2048\ntemperature   0.5', 40960, 2048),
        ("num_ctx 16384", 4096, 4096),
        ("num_ctx 16384", None, 16384),
        ("num_ctx many", 40960, WANTED_WINDOW),
        ("num_ctx 0", 40960, WANTED_WINDOW),
        ("num_ctx " + "9" * 100, 40960, WANTED_WINDOW),
    ],
)
async def test_the_modelfile_says_what_window_it_wants(dialect, parameters, trained, window):
    info = {"general.architecture": "llama", "llama.context_length": trained}
    with older(shown(parameters=parameters, model_info=info)) as server:
        (model,) = await models(dialect, server.url)
    assert (model.context_window, model.window_limit) == (window, trained)


async def test_each_file_is_asked_about_once(dialect):
    named = (("llama2:7b", "d1"), ("same:7b", "d1"), ("other:7b", "d2"), ("none:7b", None))
    with older(shown(), tags=tuple(OLD | {"name": name, "digest": digest} for name, digest in named)) as server:
        for _ in range(3):
            await models(dialect, server.url)
    assert sorted(asked.json["model"] for asked in server.chats) == ["none:7b", "other:7b", "same:7b"]


async def test_what_failed_is_asked_again(dialect):
    with older([Reply((CUT,)), shown()]) as server:
        found = [(await models(dialect, server.url))[0].trained_window for _ in range(3)]
    assert found == [None, 4096, 4096]
    assert len(server.chats) == 2


async def test_a_great_many_are_asked_about_in_several_looks(dialect):
    tags = tuple(OLD | {"name": f"m:{number}", "digest": str(number)} for number in range(MAX_SHOWN + 5))
    with older(shown(), tags=tags) as server:
        for known in (MAX_SHOWN, MAX_SHOWN + 5):
            found = await models(dialect, server.url)
            assert sum(model.trained_window is not None for model in found) == known
    assert len(server.chats) == MAX_SHOWN + 5


async def test_one_that_runs_elsewhere_is_not_asked_about(dialect):
    with older(shown(), tags=(OLD | {"name": "gpt-oss:cloud"},)) as server:
        (model,) = await models(dialect, server.url)
    assert model.remote == "cloud tag 'gpt-oss:cloud'"
    assert server.chats == []


async def test_what_is_told_later_of_another_machine_counts_too(dialect):
    with older(shown(remote_host="https://ollama.com:443")) as server:
        (model,) = await models(dialect, server.url)
    assert model.remote == "remote host 'https://ollama.com:443'"


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (
            "newer",
            {
                "qwen3:8b": (4096, 40960, {"tools", "thinking"}, True, True),
                "llama3.2:3b": (8192, 131072, {"tools"}, False, True),
                "nomic-embed-text:latest": (2048, 2048, set(), False, False),
                "gpt-oss:120b-cloud": (8192, 131072, {"tools", "thinking"}, False, True),
                "helper:latest": (8192, 131072, {"tools", "thinking"}, False, True),
            },
        ),
        (
            "older",
            {
                "qwen3:8b": (8192, 131072, set(), True, True),
                "llama3.2:3b": (16384, 131072, set(), False, True),
                "nomic-embed-text:latest": (8192, 131072, set(), False, False),
                "deepseek-r1:7b": (8192, 131072, set(), False, True),
            },
        ),
    ],
)
async def test_all_that_a_build_serves(dialect, build, expected):
    with SURFACE.open(build) as server:
        found = await models(dialect, server.url)
        assert server.spoilt == []
    assert {
        each.id: (each.context_window, each.window_limit, each.capabilities, each.loaded, each.chat) for each in found
    } == expected
    assert {each.id for each in found if each.remote} == expected.keys() & {"gpt-oss:120b-cloud", "helper:latest"}


@pytest.mark.parametrize(
    ("trained", "running", "window"),
    [
        (40960, None, WANTED_WINDOW),
        (2048, None, 2048),
        (None, None, WANTED_WINDOW),
        (40960, {"name": "qwen3:8b", "context_length": 4096}, 4096),
        (40960, {"name": "qwen3:8b", "context_length": 32768}, 32768),
        (40960, {"name": "qwen3:8b"}, WANTED_WINDOW),
        (40960, {"name": "other:1b", "context_length": 4096}, WANTED_WINDOW),
    ],
)
async def test_the_window_is_the_allocated_one_or_the_one_that_will_be_asked_for(dialect, trained, running, window):
    entry = tag("qwen3:8b", details={"context_length": trained})
    with ollama(tags=[entry], running=[running] if running else []) as server:
        (model,) = await models(dialect, server.url)
    assert (model.context_window, model.trained_window) == (window, trained)
    assert model.loaded is bool(running and running["name"] == "qwen3:8b")


@pytest.mark.parametrize(
    ("entry", "remote"),
    [
        (tag("qwen3:8b"), None),
        (tag("gpt-oss:120b-cloud"), "cloud tag 'gpt-oss:120b-cloud'"),
        (tag("kimi:cloud"), "cloud tag 'kimi:cloud'"),
        (tag("mine:1b", remote_host="https://ollama.com:443"), "remote host 'https://ollama.com:443'"),
        (tag("mine:1b", remote_model="gpt-oss:120b"), "remote host 'gpt-oss:120b'"),
        (tag("cloudy:8b"), None),
        (tag("cloud:8b"), None),
    ],
)
async def test_models_that_run_elsewhere_are_marked(dialect, entry, remote):
    with ollama(tags=[entry]) as server:
        (model,) = await models(dialect, server.url)
    assert model.remote == remote


@pytest.mark.parametrize(
    ("entry", "chats"),
    [
        (tag("m", capabilities=["completion", "tools"]), True),
        (tag("m", capabilities=["completion", "embedding"]), True),
        (tag("m", capabilities=["embedding"]), False),
        (tag("m", capabilities=["image"]), False),
        (tag("m", capabilities=[]), True),
        (tag("m", capabilities=None), True),
        (tag("m", capabilities=None, details={"family": "nomic-bert"}), False),
        (tag("m", capabilities=None, details={"family": "llama"}), True),
        (tag("m", capabilities=None, details=None), True),
    ],
)
async def test_embedding_models_do_not_chat(dialect, entry, chats):
    with ollama(tags=[entry]) as server:
        (model,) = await models(dialect, server.url)
    assert model.chat is chats


async def test_one_odd_entry_does_not_hide_the_others(dialect):
    tags = json_reply({"models": [tag("a"), {"size": 1}, "odd", tag("b", size="large"), tag("c")]})
    with Scripted({"GET /api/tags": tags}) as server:
        assert [model.id for model in await models(dialect, server.url)] == ["a", "c"]


@pytest.mark.parametrize("running", [NOT_FOUND, html(), json_reply({"models": None}), json_reply([])])
async def test_a_build_that_does_not_tell_what_is_in_memory(dialect, running):
    with Scripted({"GET /api/tags": TAGS, "GET /api/ps": running}) as server:
        (model,) = await models(dialect, server.url)
    assert model.loaded is False


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json_reply({"error": "unauthorized"}, 401), AuthenticationNeeded),
        (Reply((), 403), AuthenticationNeeded),
        (json_reply({"error": "boom"}, 500), ServerFailure),
        (Reply((CUT,)), BrokenStream),
    ],
)
async def test_a_list_that_cannot_be_had(dialect, reply, kind):
    with Scripted({"GET /api/tags": reply}) as server, pytest.raises(PeerError) as caught:
        await models(dialect, server.url)
    assert type(caught.value) is kind


# --- the window that is asked for ---


@pytest.mark.parametrize(
    ("needed", "allocated", "trained", "window"),
    [
        (3000, 4096, 40960, 4096),
        (4096, 4096, 40960, 4096),
        (4097, 4096, 40960, 8192),
        (8193, 4096, 40960, 16384),
        (16385, 8192, 40960, 32768),
        (32769, 8192, 40960, 40960),
        (99999, 8192, 40960, 40960),
        (99999, 8192, None, 131072),
        (10**9, 8192, None, 262144),
        (10**9, 8192, 10**6, 262144),
        (5000, None, 40960, 8192),
        (5000, None, 2048, 2048),
        (5000, 2048, 2048, 2048),
        (300_000, 500_000, 10**6, 500_000),
        (600_000, 500_000, 10**6, 500_000),
        (9000, 8192, 4096, 8192),
    ],
)
def test_a_window_that_holds_what_is_needed(needed, allocated, trained, window):
    assert served_window(needed, allocated, trained) == window


SIZES = st.integers(1, 2**21)


@given(SIZES, st.none() | SIZES, st.none() | SIZES)
def test_a_window_is_one_of_few_and_never_smaller_than_the_one_there_is(needed, allocated, trained):
    window = served_window(needed, allocated, trained)
    assert window in {*WINDOWS, allocated, trained}
    assert window >= (allocated or 0)
    assert window <= max(allocated or 0, trained or WINDOWS[-1])
    assert window >= needed or window >= min(WINDOWS[-1], trained or WINDOWS[-1])


@pytest.mark.parametrize(
    ("model", "needed", "window"),
    [
        (ServedModel(id="m", context_window=4096, window_limit=40960), 9000, 16384),
        (ServedModel(id="m", context_window=4096, window_limit=40960), 100, 4096),
        (ServedModel(id="m", context_window=8192), 9000, 8192),
        (ServedModel(id="m"), 9000, 16384),
    ],
)
def test_where_no_limit_is_known_the_window_stays(dialect, model, needed, window):
    assert isinstance(dialect, WindowChooser)
    assert dialect.window_for(model, needed) == window


async def windows(server: Scripted, dialect: Ollama, *asked_for: int) -> list[int]:
    """Ask one question after another, each with such a window; return what the server was told."""
    asked = chat(model=ServedModel(id="qwen3:8b", context_window=8192))
    for window in asked_for:
        await listen(dialect, server.url, asked.model_copy(update={"window": window}))
    return [asked.json["options"]["num_ctx"] for asked in server.chats]


async def test_a_window_stays_as_large_as_it_became(dialect):
    with ollama() as server:
        assert await windows(server, dialect, 8192, 32768, 8192) == [8192, 32768, 32768]


async def test_a_window_that_the_server_did_not_give_is_forgotten(dialect):
    memory = json_reply({"error": "out of memory"}, 500)
    with ollama([memory, ollama_says("Yes")]) as server:
        assert await windows(server, dialect, 131072, 8192) == [131072, 8192]


@pytest.mark.parametrize(
    ("running", "window"),
    [([], 8192), ([{"name": "qwen3:8b", "context_length": 16384}], 16384)],
    ids=["gone from memory", "loaded anew by somebody"],
)
async def test_the_server_knows_best_what_it_has_in_memory(dialect, running, window):
    with ollama(running=running) as server:
        await windows(server, dialect, 32768)
        await models(dialect, server.url)
        assert (await windows(server, dialect, 8192))[-1] == window


async def test_windows_of_two_servers_are_kept_apart(dialect):
    with ollama() as one, ollama() as other:
        await windows(one, dialect, 32768)
        assert await windows(other, dialect, 8192) == [8192]


# --- what is sent ---


def sized(window: int | None, served: int | None, room: int, max_tokens: int | None = None) -> Chat:
    asked = chat(model=ServedModel(id="qwen3:8b", context_window=served), max_tokens=max_tokens)
    return asked.model_copy(update={"window": window, "room_tokens": room})


async def test_nothing_may_be_cut_silently(dialect):
    assert body(await sent(dialect, sized(4096, 2048, 4000))) == {
        "model": "qwen3:8b",
        "messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": "Hello?"}],
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": 4096, "num_predict": 4000},
    }


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        (sized(4096, 2048, 4000, 100), {"num_ctx": 4096, "num_predict": 100}),
        (sized(4096, 2048, 4000, 100_000), {"num_ctx": 4096, "num_predict": 4000}),
        (sized(None, 2048, 1), {"num_ctx": 2048, "num_predict": 1}),
        (sized(None, None, 1024), {"num_predict": 1024}),
    ],
)
async def test_prompt_and_answer_fit_the_window_together(dialect, asked, options):
    assert body(await sent(dialect, asked))["options"] == options


async def test_sampling_is_sent_where_it_was_asked_for(dialect):
    options = body(await sent(dialect, chat(temperature=0, seed=3)))["options"]
    assert options == {"temperature": 0.0, "seed": 3, "num_predict": 1024}


@pytest.mark.parametrize("name", TEXTS)
async def test_the_text_is_sent_character_for_character(dialect, name):
    assert body(await sent(dialect, chat(TEXTS[name])))["messages"][-1] == {"role": "user", "content": TEXTS[name]}


@pytest.mark.parametrize(
    ("base", "chat_path", "url"),
    [
        ("http://127.0.0.1:1/base/", None, "http://127.0.0.1:1/base/api/chat"),
        ("http://127.0.0.1:1", "/ollama/api/chat", "http://127.0.0.1:1/ollama/api/chat"),
    ],
)
async def test_where_it_is_sent(dialect, base, chat_path, url):
    request = await sent(dialect, chat(), url=base, chat_path=chat_path, api_key="s3cret")
    assert str(request.url) == url
    assert request.headers["authorization"] == "Bearer s3cret"


# --- streams that are answers ---

ANSWERS = {
    # name: (stream, text, reasoning, finish reason)
    "whole": (ollama_says("Hel", "lo"), "Hello", "", "stop"),
    "thinking": (ndjson(line(thinking="hm"), line("Yes"), LAST_LINE), "Yes", "hm", "stop"),
    "cut by its limit": (ndjson(line("Hel"), LAST_LINE | {"done_reason": "length"}), "Hel", "", "length"),
    "no reason": (ndjson(line("Hel"), {"done": True}), "Hel", "", "stop"),
    "null content": (ndjson({"message": {"content": None}, "done": False}, line("Yes"), LAST_LINE), "Yes", "", "stop"),
    "blank lines": (ndjson(line("Yes"), "\n\r\n", LAST_LINE), "Yes", "", "stop"),
    "no line end at the end": (ndjson(line("Yes"), '{"done":true,"done_reason":"stop"}'), "Yes", "", "stop"),
    "line separators within": (ndjson(line("a\u2028b\x85c\n"), LAST_LINE), "a\u2028b\x85c\n", "", "stop"),
    "no done": (ndjson(line("Yes")), "Yes", "", None),
    "nothing": (ndjson(), "", "", None),
    "loaded only": (ndjson({"done": True, "done_reason": "load"}), "", "", None),
    "unloaded only": (ndjson({"done": True, "done_reason": "unload"}), "", "", None),
    "think tags": (
        ndjson(*map(line, ("<thi", "nk>", "h", "m</th", "ink>", "\n\n", "Yes")), LAST_LINE),
        "Yes",
        "hm\n\n",
        "stop",
    ),
    "thoughts that never end": (ndjson(line("<think>hm, hm"), LAST_LINE), "", "hm, hm", "stop"),
    "no tag after all": (ndjson(line(" <"), LAST_LINE), " <", "", "stop"),
    "tags beside thoughts": (ndjson(line(thinking="hm"), line("<think>"), LAST_LINE), "<think>", "hm", "stop"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answer(dialect, name):
    stream, *expected = ANSWERS[name]
    with Scripted({CHAT: stream}) as server:
        heard = await listen(dialect, server.url)
    assert [heard.text, heard.reasoning, heard.last("finish_reason"), heard.error] == [*expected, None]


async def test_a_character_in_two_pieces(dialect):
    raw = '{"message":{"content":"🧿"},"done":true}\n'.encode()
    with Scripted({CHAT: Reply((raw[:25], raw[25:]), content_type="application/x-ndjson")}) as server:
        assert (await listen(dialect, server.url)).text == "🧿"


@pytest.mark.parametrize(
    ("last", "usage"),
    [
        (LAST_LINE, Usage(prompt_tokens=26, completion_tokens=282)),
        ({"done": True}, Usage()),
        ({"done": True, "eval_count": 5}, Usage(completion_tokens=5)),
    ],
)
async def test_a_count_that_is_left_out_is_unknown_and_not_zero(dialect, last, usage):
    with Scripted({CHAT: ndjson(line("Yes"), last)}) as server:
        asked = chat(model=ServedModel(id="m", loaded=False))
        assert (await listen(dialect, server.url, asked)).last("usage") == usage


@pytest.mark.parametrize(
    ("tags", "model", "is_whole"),
    [
        ([TAG], ServedModel(id="qwen3:8b", loaded=True), True),
        ([OLD], ServedModel(id="llama2:7b", loaded=True), False),
        ([OLD], ServedModel(id="llama2:7b", loaded=None), False),
        ([OLD], ServedModel(id="llama2:7b", loaded=False), True),
        ([], ServedModel(id="m", loaded=True), False),
        ([], ServedModel(id="m", loaded=True, capabilities=frozenset({"tools"})), True),
    ],
)
async def test_older_builds_count_no_more_of_a_prompt_than_was_not_in_their_cache(dialect, tags, model, is_whole):
    with ollama(tags=tags) as server:
        await models(dialect, server.url)
        usage = (await listen(dialect, server.url, chat(model=model))).last("usage")
    assert usage == Usage(prompt_tokens=26 if is_whole else None, completion_tokens=282)


async def test_a_build_that_tells_what_a_model_can_when_it_is_asked_counts_all(dialect):
    with ollama(tags=[OLD]) as server:
        server.script[SHOW] = [shown(capabilities=["completion"])]
        await models(dialect, server.url)
        asked = chat(model=ServedModel(id="llama2:7b", loaded=True))
        assert (await listen(dialect, server.url, asked)).last("usage").prompt_tokens == 26


REMOTE = {"remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b"}


@pytest.mark.parametrize("sign", REMOTE)
async def test_an_answer_from_another_machine_is_refused_at_its_first_word(dialect, sign):
    with Scripted({CHAT: ndjson(line("Hel", **{sign: REMOTE[sign]}), LAST_LINE)}) as server:
        heard = await listen(dialect, server.url)
    assert type(heard.error) is PolicyRefusal
    assert heard.text == ""
    assert repr(REMOTE[sign]) in str(heard.error)
    assert "has been sent there already" in str(heard.error)


@pytest.mark.parametrize(("known", "models_are_local"), [("remote host 'https://ollama.com:443'", False), (None, True)])
async def test_it_is_an_answer_where_the_user_allows_it(dialect, known, models_are_local):
    asked = chat(model=ServedModel(id="m", remote=known))
    with Scripted({CHAT: ndjson(line("Yes", **REMOTE), LAST_LINE)}) as server:
        heard = await listen(dialect, server.url, asked, models_are_local=models_are_local)
    assert (heard.text, heard.error) == ("Yes", None)


async def test_a_busy_server_says_when_to_come_back(dialect):
    with Scripted({CHAT: json_reply({"error": "queue full"}, 503, **{"Retry-After": "7"})}) as server:
        assert (await listen(dialect, server.url)).error.retry_after_s == 7


async def test_early_exit_ends_the_servers_work(dialect):
    with Scripted({CHAT: ndjson(line("Hel"), HANG)}) as server:
        await first_chunk_then_leave(dialect, server.url)
        assert await within_reason(server.asked[0].is_abandoned)


AFTER_THE_END = {
    "nothing, and it stays open": (HANG,),
    "the connection is cut": (CUT,),
    "half a line": ('{"message":{"cont',),
    "another answer": (line("no"), LAST_LINE),
    "an error": ({"error": "late"},),
}


@pytest.mark.parametrize("name", AFTER_THE_END)
@pytest.mark.parametrize("in_one_piece", [False, True])
async def test_what_follows_the_last_line_spoils_no_answer(dialect, name, in_one_piece):
    ended = ndjson(line("Yes"), LAST_LINE).pieces
    after = ndjson(*AFTER_THE_END[name]).pieces
    if in_one_piece:
        ended, after = (b"".join([*ended, *(each for each in after[:1] if isinstance(each, bytes))]),), after[1:]
    with Scripted({CHAT: Reply((*ended, *after), content_type="application/x-ndjson")}) as server:
        heard = await listen(dialect, server.url)
    assert (heard.text, heard.last("finish_reason"), heard.error) == ("Yes", "stop", None)
    assert heard.last("usage").completion_tokens == 282


# --- streams that are failures ---

FAILURES = {
    # name: (reply, error, text that came before, words of the message)
    "no model": (json_reply({"error": "model 'm' not found"}, 404), ModelNotFound, "", "not found"),
    "too long": (
        json_reply({"error": "request (9000 tokens) exceeds the available context size (8192 tokens)"}, 400),
        ContextOverflow,
        "",
        "9000 tokens",
    ),
    "queue": (json_reply({"error": "server busy, please try again."}, 503), ServerBusy, "", "server busy"),
    "memory": (json_reply({"error": "cudaMalloc failed: out of memory"}, 500), OutOfMemory, "", "smaller model"),
    "option": (json_reply({"error": 'option "num_ctx" must be of type integer'}, 400), BadRequest, "", "num_ctx"),
    "embeddings": (json_reply({"error": '"m" does not support chat'}, 400), ServerFailure, "", "does not support chat"),
    "error line": (ndjson(line("Hel"), {"error": "an error was encountered"}), ServerFailure, "Hel", "encountered"),
    "memory in the stream": (ndjson({"error": "out of memory"}), OutOfMemory, "", "out of memory"),
    "cut in mid-token": (ndjson(line("Hel"), '{"message":{"cont', CUT), BrokenStream, "Hel", "broke off"),
    "ended in mid-token": (ndjson(line("Hel"), '{"message":{"cont'), BrokenStream, "Hel", "not a line of Ollama's"),
    "cut before an answer": (Reply((CUT,)), BrokenStream, "", "broke off"),
    "garbage": (ndjson(line("Hel"), "<oops>\n"), BrokenStream, "Hel", "b'<oops>'"),
    "other JSON": (ndjson("5\n"), BrokenStream, "", "b'5'"),
    "half a character": (ndjson(r'{"message":{"content":"\ud83e"}}' + "\n"), BrokenStream, "", "not a line"),
    "an endless line": (ndjson(*["x" * (1 << 20)] * 17), BrokenStream, "", "more than"),
    "web page": (html(), ServerFailure, "", "'text/html' where 'application/x-ndjson' was due"),
    "whole answer in JSON": (json_reply({"message": {}}), ServerFailure, "", "'application/json'"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failure(dialect, name):
    reply, kind, text, words = FAILURES[name]
    with Scripted({CHAT: reply}) as server:
        heard = await listen(dialect, server.url)
    assert (type(heard.error), heard.text) == (kind, text)
    assert str(heard.error).startswith("m on desk")
    assert words in str(heard.error)


async def test_refused(dialect):
    with nobody() as url:
        assert type((await listen(dialect, url)).error) is Unreachable
