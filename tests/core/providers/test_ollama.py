"""Ollama's native dialect: who is Ollama and who only looks like it, what leaves the machine, when an answer ends."""

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BadRequest,
    BrokenStream,
    ContextOverflow,
    ModelNotFound,
    OutOfMemory,
    PeerError,
    ServerBusy,
    ServerFailure,
    Unreachable,
)
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.providers.ollama import WANTED_WINDOW, Ollama, base_url

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
                trained_window=40960,
                size_bytes=5225388164,
                quantisation="Q4_K_M",
                loaded=False,
            ),
        )


async def test_a_model_of_an_older_build(dialect):
    old = {"name": "llama2:7b", "size": 5, "details": {"family": "llama", "quantization_level": "Q4_0"}}
    with ollama(tags=[old]) as server:
        (model,) = await models(dialect, server.url)
    assert model == ServedModel(
        id="llama2:7b", context_window=WANTED_WINDOW, size_bytes=5, quantisation="Q4_0", loaded=False
    )


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


# --- what is sent ---


async def test_nothing_may_be_cut_silently(dialect):
    sent_body = body(await sent(dialect, chat(model=ServedModel(id="qwen3:8b", context_window=4096), tokens=96)))
    assert sent_body == {
        "model": "qwen3:8b",
        "messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": "Hello?"}],
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": 4096, "num_predict": 4000},
    }


@pytest.mark.parametrize(
    ("window", "tokens", "max_tokens", "options"),
    [
        (4096, 96, 100, {"num_ctx": 4096, "num_predict": 100}),
        (4096, 96, 100_000, {"num_ctx": 4096, "num_predict": 4000}),
        (4096, 5000, None, {"num_ctx": 4096, "num_predict": 1}),
        (None, 96, None, {}),
        (None, 96, 100, {"num_predict": 100}),
    ],
)
async def test_prompt_and_answer_fit_the_window_together(dialect, window, tokens, max_tokens, options):
    asked = chat(model=ServedModel(id="m", context_window=window), tokens=tokens, max_tokens=max_tokens)
    assert body(await sent(dialect, asked))["options"] == options


async def test_sampling_is_sent_where_it_was_asked_for(dialect):
    assert body(await sent(dialect, chat(temperature=0, seed=3)))["options"] == {"temperature": 0.0, "seed": 3}


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
    "loaded only": (ndjson({"done": True, "done_reason": "load"}), "", "", "load"),
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
        assert (await listen(dialect, server.url)).last("usage") == usage


async def test_early_exit_ends_the_servers_work(dialect):
    with Scripted({CHAT: ndjson(line("Hel"), HANG)}) as server:
        await first_chunk_then_leave(dialect, server.url)
        assert await within_reason(server.asked[0].is_abandoned)


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
