"""A server that quotes its own key, which has no shape of one: nobody sees it, and nobody writes it."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from jupyter_llmroute.core.audit.journal import Journal
from jupyter_llmroute.core.audit.record import Kept
from jupyter_llmroute.core.cassette import Cassette, Mode
from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.own_key import without_key
from jupyter_llmroute.core.providers.failure import READ_CHARS, SHOWN_CHARS, failure
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.transport import peer_errors
from jupyter_llmroute.services import table
from jupyter_llmroute.view import RunView

from ..scripted import CUT, Reply, Scripted, delta, json_reply, line, llamacpp, ndjson, ollama, sse, text_reply
from .audit.logs import log, path
from .test_router import router

pytestmark = pytest.mark.anyio

KEY = "swordfish-harbour"
QUOTED = f"the key {KEY} is none of ours"


@pytest.fixture
def anyio_backend():
    return "asyncio"


SPELT = {
    "as it is": (KEY, f"no key: {KEY}!"),
    "in JSON": ('pass"word/ü', json.dumps('no key: pass"word/ü')),
    "in JSON that escapes more": ("pass/word", r'"no key: pass\/word"'),
    "in an address": ("pass word/1", "http://gw/v1?key=pass%20word%2F1"),
    "in what Python shows": ("it's\\me", repr("it's\\me")),
}


@pytest.mark.parametrize("name", SPELT)
def test_a_key_is_taken_out_however_it_is_spelt(name):
    key, text = SPELT[name]
    left = without_key(text, key)
    assert "[masked]" in left
    assert not any(part in left for part in ("word", "me"))


def test_without_a_key_a_text_stays_as_it_is_and_so_does_one_with_a_key_that_hides_nothing():
    assert [without_key("a b", key) for key in (None, "", "a", "zebra")] == ["a b"] * 4


@pytest.mark.parametrize("before", range(SHOWN_CHARS - len(KEY) - 2, SHOWN_CHARS + 2))
@pytest.mark.parametrize("is_json", [True, False])
def test_no_half_of_a_key_is_left_where_words_are_cut(before, is_json):
    said = "x" * before + KEY
    shown = str(failure("m", 403, json.dumps({"error": said}) if is_json else said, key=KEY))
    assert "swo" not in shown


def test_no_half_of_a_key_is_left_where_words_are_read_no_further():
    assert "swo" not in str(failure("m", 403, KEY * (2 * READ_CHARS // len(KEY)), key=KEY))


def test_control_characters_within_do_not_hide_a_key():
    assert "harbour" not in str(failure("m", 403, json.dumps({"error": "sword\u0007fish-harbour"}), key=KEY))


def test_what_a_server_means_is_told_by_its_words_before_its_key_is_taken_out():
    error = failure("m", 400, json.dumps({"error": "model 'x' not found"}), key="model")
    assert type(error).__name__ == "ModelNotFound"


def test_a_connection_that_breaks_off_over_a_key_does_not_show_it():
    with pytest.raises(LLMRouteError) as caught, peer_errors("m", key=KEY):
        raise httpx.RemoteProtocolError(f"illegal header line: bytearray(b'{KEY}')")
    assert KEY not in str(caught.value)


CHATS = {
    "a status": llamacpp(json_reply({"error": {"message": QUOTED}}, 403)),
    "a status, in plain text": llamacpp(text_reply(QUOTED, 401)),
    "a failure of another kind": llamacpp(json_reply({"detail": [{"msg": QUOTED, "loc": ["header"]}]}, 500)),
    "an item of a stream": llamacpp(sse(delta("Hel"), {"error": {"message": QUOTED}})),
    "an event": llamacpp(sse(f"event: error\ndata: {QUOTED}\n\n")),
    "what is no item": llamacpp(sse(f"data: {'x' * 190}{KEY}\n\n")),
    "a whole answer": llamacpp(json_reply({"error": QUOTED})),
    "another type": llamacpp(text_reply(QUOTED, content_type=f"text/{KEY}")),
    "a packed answer": llamacpp(Reply((b"x",), headers={"Content-Encoding": "x" * 30 + KEY})),
    "a line of Ollama's": ollama(ndjson(line("Hel"), {"error": QUOTED})),
    "what is no line of Ollama's": ollama(ndjson(f"{'x' * 190}{KEY}\n", CUT)),
    "another machine of Ollama's": ollama(ndjson(line("Hel", remote_host=KEY))),
}


@pytest.mark.parametrize("name", CHATS)
async def test_a_key_that_a_server_quotes_is_in_no_log_no_recording_and_no_output(name, tmp_path: Path):
    journal = Journal(log(tmp_path), queries=Kept.TEXT, responses=Kept.TEXT)
    recordings = Cassette(tmp_path / "n.cassette.json", Mode.ALL)
    request = Request(question="Why?")
    view, error = RunView(request), None
    with CHATS[name] as server:
        async with router({"desk": server.url}, key=KEY) as asked:

            def live():
                return journal.recorded(request, asked.stream(request), lambda: asked.last_decision)

            try:
                async with aclosing(recordings.stream(request, live)) as events:
                    async for event in events:
                        view.apply(event)
            except LLMRouteError as failed:
                error = failed
                view.fail(failed)
        assert any(chat.headers.get("authorization") == f"Bearer {KEY}" for chat in server.asked)
    assert error is not None
    for shown in (
        str(error),
        json.dumps([view.bundle(), view.response().model_dump(mode="json")]),
        recordings.file.path.read_text(),
        path(tmp_path).read_text(),
    ):
        assert "harbour" not in shown
        assert "swordfish" not in shown


LISTS = {
    "a status": json_reply({"error": QUOTED}, 403),
    "plain text": text_reply(QUOTED, 500),
    "a packed list": Reply((b"x",), headers={"Content-Encoding": KEY}),
}


@pytest.mark.parametrize("name", LISTS)
async def test_a_key_that_a_server_quotes_where_it_is_looked_at_is_not_shown(name):
    with Scripted({}, otherwise=LISTS[name], headers={"Server": "llama.cpp"}) as server:
        async with router({"desk": server.url}, key=KEY) as asked:
            (endpoint,) = await asked.services()
            shown = json.dumps(table((endpoint,)).model_dump(mode="json"))
    assert endpoint.detail
    assert KEY not in endpoint.detail
    assert KEY not in shown
