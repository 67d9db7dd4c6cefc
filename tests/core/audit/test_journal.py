"""From what happens to records: over real sockets, however a question ends; and each decision taken once more."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_llmroute.core.audit.basis import Packer, put_together, route_text
from jupyter_llmroute.core.audit.chain import canonical
from jupyter_llmroute.core.audit.folder import AuditError
from jupyter_llmroute.core.audit.journal import AuditWarning, Journal, note_end
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.question import Question
from jupyter_llmroute.core.audit.reading import records, told, without_text
from jupyter_llmroute.core.audit.record import Edited, Kept, Security
from jupyter_llmroute.core.audit.replay import NO_ROUTE, replay_log
from jupyter_llmroute.core.audit.verify import verify
from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.classifier import classify_text
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.errors import BrokenStream, RouteFailed
from jupyter_llmroute.core.events import Event, Routed
from jupyter_llmroute.core.history import History, place_of
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.providers.llamacpp import LlamaCpp
from jupyter_llmroute.core.providers.ollama import Ollama
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.request import CellRef, Request
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.sections import SecuritySettings
from jupyter_llmroute.core.selector import Decision, Wish, replay
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.snapshot import Snapshot

from ...scripted import CUT, HANG, Reply, Scripted, json_reply, llamacpp, ollama, ollama_says, says
from .logs import log, path

pytestmark = pytest.mark.anyio

SECRET = "sk-abcdefghij0123456789ABCDEF"
QUESTION = "why is the frob slow?"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def router(*servers: Scripted, **settings: Any) -> Router:
    endpoints = [
        {"name": f"desk{rank}", "endpoint": server.url, "priority": rank, "max_retries": 0}
        for rank, server in enumerate(servers)
    ]
    kinds: list[type] = [LlamaCpp, Ollama, OpenAICompatible]
    dialects = [type(kind.__name__, (kind,), {"default_urls": ()})() for kind in kinds]
    given = Settings(services={"custom_endpoints": endpoints}, embedded={"enabled": False}, **settings)
    transport = httpx.AsyncHTTPTransport(verify=False)
    return Router(given, providers={each.name: each for each in dialects}, transport=transport)


def audited(journal: Journal, asked: Router, request: Request) -> AsyncGenerator[Event, None]:
    return journal.recorded(request, asked.stream(request), lambda: asked.last_decision)


async def ask(journal: Journal, asked: Router, question: str = QUESTION, **request: Any) -> str:
    pieces = []
    async with aclosing(audited(journal, asked, Request(question=question, **request))) as events:
        async for event in events:
            pieces.append(event.text if event.kind == "text_delta" else "")
    return "".join(pieces)


def written(folder: Path) -> list[dict[str, Any]]:
    return [body for body in records(path(folder)) if body["kind"] != "opened"]


def kinds(folder: Path) -> list[str]:
    return [body["kind"] for body in written(folder)]


# --- what is written of a question ---


async def test_a_question_leaves_its_decision_its_attempt_and_its_end(tmp_path: Path):
    journal = Journal(log(tmp_path))
    with ollama(ollama_says("Hel", "lo")) as server:
        async with router(server) as asked:
            assert await ask(journal, asked) == "Hello"
    assert kinds(tmp_path) == ["decided", "started", "ended"]
    decided, started, ended = written(tmp_path)
    assert decided["question"] == started["question"] == ended["question"]
    assert decided["chosen"][0]["who"] == started["who"] == ended["who"]
    assert decided["chosen"][0]["reasons"]
    assert started["who"]["service"] == "desk0"
    assert started["who"]["digest"], "as the server tells it"
    assert (ended["verdict"], ended["response"]["chars"]) == ("complete", 5)
    assert ended["elapsed_s"] >= ended["time_to_first_token_s"] >= 0
    content = path(tmp_path).read_text()
    assert QUESTION not in content
    assert "frob" not in content
    assert "Hello" not in content
    assert verify(path(tmp_path)).is_whole


async def test_words_are_kept_where_that_is_configured_and_secrets_in_them_masked(tmp_path: Path):
    journal = Journal(log(tmp_path), queries=Kept.TEXT, responses=Kept.TEXT)
    with ollama(ollama_says("take ", SECRET)) as server:
        async with router(server) as asked:
            await ask(journal, asked, f"{QUESTION} {SECRET}")
    decided, _, ended = written(tmp_path)
    assert decided["text"]["text"] == f"{QUESTION} [masked]"
    assert ended["response"]["text"] == "take [masked]"
    assert SECRET not in path(tmp_path).read_text()
    assert QUESTION not in json.dumps([without_text(body) for body in written(tmp_path)])


async def test_nothing_is_kept_of_words_where_that_is_configured(tmp_path: Path):
    journal = Journal(log(tmp_path), queries=Kept.NOTHING, responses=Kept.NOTHING)
    with ollama() as server:
        async with router(server) as asked:
            await ask(journal, asked)
    assert "hmac" not in path(tmp_path).read_text()


async def test_every_attempt_and_its_error_is_written_without_the_secrets_in_it(tmp_path: Path):
    broken = json_reply({"error": f"no room for {SECRET}"}, 500)
    with llamacpp(broken) as one, llamacpp(broken) as two:
        async with router(one, two) as asked:
            with pytest.raises(RouteFailed):
                await ask(Journal(log(tmp_path)), asked)
    failed = [body for body in written(tmp_path) if body["kind"] == "failed"]
    assert {body["who"]["service"] for body in failed} == {"desk0", "desk1"}
    assert [body["attempt"] for body in failed] == list(range(1, len(failed) + 1))
    assert kinds(tmp_path) == ["decided", *["started", "failed"] * len(failed), "ended"]
    assert SECRET not in path(tmp_path).read_text()
    assert "no room for [masked]" in failed[0]["error"]


async def test_a_question_that_nobody_answers_ends_as_failed(tmp_path: Path):
    with llamacpp(json_reply({"error": "no"}, 500)) as server:
        async with router(server) as asked:
            with pytest.raises(RouteFailed):
                await ask(Journal(log(tmp_path)), asked)
    ended = written(tmp_path)[-1]
    assert (ended["verdict"], ended["failure"]) == ("failed", "RouteFailed")
    assert "failed" in kinds(tmp_path)


async def test_an_answer_that_breaks_off_ends_as_failed_with_what_had_come(tmp_path: Path):
    broken = Reply([*says("Hel").pieces[:2], CUT], content_type="text/event-stream")
    with llamacpp(broken) as server:
        async with router(server) as asked:
            with pytest.raises((BrokenStream, RouteFailed)):
                await ask(Journal(log(tmp_path)), asked)
    ended = written(tmp_path)[-1]
    assert (ended["kind"], ended["verdict"]) == ("ended", "failed")


async def test_whoever_stops_listening_leaves_an_interrupted_question(tmp_path: Path):
    hanging = Reply([*says("Hel").pieces[:2], HANG], content_type="text/event-stream")
    with llamacpp(hanging) as server:
        async with router(server) as asked:
            request = Request(question=QUESTION)
            async with aclosing(audited(Journal(log(tmp_path)), asked, request)) as events:
                async for event in events:
                    if event.kind == "text_delta":
                        break
    ended = written(tmp_path)[-1]
    assert (ended["verdict"], ended["response"]["chars"]) == ("interrupted", 3)


async def test_a_cancelled_question_is_interrupted_too(tmp_path: Path):
    with llamacpp(Reply([HANG])) as server:
        async with router(server) as asked:
            journal, started = Journal(log(tmp_path)), asyncio.Event()

            async def run() -> None:
                async with aclosing(audited(journal, asked, Request(question=QUESTION))) as events:
                    async for event in events:
                        if event.kind == "attempt_started":
                            started.set()

            task = asyncio.create_task(run())
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert written(tmp_path)[-1]["verdict"] == "interrupted"


async def test_who_listens_until_the_end_and_leaves_then_leaves_one_end(tmp_path: Path):
    with ollama() as server:
        async with router(server) as asked:
            async with aclosing(audited(Journal(log(tmp_path)), asked, Request(question=QUESTION))) as events:
                async for event in events:
                    if event.kind == "completed":
                        break
    assert kinds(tmp_path).count("ended") == 1


async def test_each_record_is_there_before_its_event_is_given_on(tmp_path: Path):
    due = {"routed": "decided", "attempt_started": "started", "completed": "ended"}
    with ollama() as server:
        async with router(server) as asked:
            async with aclosing(audited(Journal(log(tmp_path)), asked, Request(question=QUESTION))) as events:
                async for event in events:
                    assert kinds(tmp_path)[-1] == due.get(event.kind, kinds(tmp_path)[-1])


async def test_edits_and_security_are_noted(tmp_path: Path):
    journal = Journal(log(tmp_path))
    edit = Edited(action="replace cell", target="c1", after=await journal.fingerprint("x = 1"))
    await journal.note(edit, Security(event="external addresses allowed"))
    assert kinds(tmp_path) == ["edited", "security"]
    assert [told(body) for body in written(tmp_path)] == ["replace cell: c1", "external addresses allowed"]


async def test_a_digest_that_the_server_does_not_tell_is_asked_for(tmp_path: Path):
    journal = Journal(log(tmp_path), digests=lambda service, model: f"sha256:{service}")
    with llamacpp() as server:
        async with router(server) as asked:
            await ask(journal, asked)
    assert written(tmp_path)[-1]["who"]["digest"] == "sha256:desk0"


# --- when it cannot be written ---


def unwritable(folder: Path) -> AuditLog:
    path(folder).parent.parent.mkdir(exist_ok=True)
    path(folder).parent.write_text("a file, and no folder")
    return log(folder)


async def test_no_answer_comes_where_an_audit_is_required_and_cannot_be_had(tmp_path: Path):
    with ollama() as server:
        async with router(server) as asked:
            with pytest.raises(AuditError, match="cannot be used"):
                await ask(Journal(unwritable(tmp_path)), asked)
        assert server.chats == [], "nobody was asked"


async def test_answers_go_on_where_none_is_required_and_what_was_lost_is_counted(tmp_path: Path):
    journal = Journal(unwritable(tmp_path), is_required=False)
    with ollama() as server:
        async with router(server) as asked:
            with pytest.warns(AuditWarning, match="Answers go on without audit") as warned:
                assert await ask(journal, asked)
            assert len(warned) == 1
            await ask(journal, asked)  # a second warning would be an error here
            path(tmp_path).parent.unlink()
            await ask(journal, asked)
    assert written(tmp_path)[0]["records"] == 6
    assert kinds(tmp_path)[0] == "lost"
    assert kinds(tmp_path).count("lost") == 1


# --- taking decisions once more ---


async def test_each_decision_comes_out_the_same_bit_for_bit(tmp_path: Path):
    journal = Journal(log(tmp_path, max_bytes=20_000))
    with ollama() as one, llamacpp() as two:
        async with router(one, two, limits={"rescan_s": 1e-6}) as asked:
            for number in range(4):
                await ask(journal, asked, f"question {number}")
            await ask(journal, asked, service="desk1")
    found = list(replay_log(path(tmp_path)))
    assert [(each.is_same, each.difference) for each in found] == [(True, "")] * 5
    assert len(verify(path(tmp_path)).files) > 1, "over several files"


def decision(**endpoint: Any) -> Decision:
    served = tuple(
        ServedModel(id=name, context_window=32768, loaded=True, capabilities=frozenset({"tools", "vision"}))
        for name in ("qwen2.5-coder:32b", "phi4:14b", "odd\ud800")
    )
    one = Endpoint(
        **{"name": "desk", "provider": "ollama", "base_url": "http://127.0.0.1:11434", "models": served} | endpoint
    )
    down = Endpoint(
        name="shed",
        provider="ollama",
        base_url="http://127.0.0.1:1",
        health=Health.DOWN,
        detail=f"refused: Bearer {SECRET}",
    )
    settings = Settings()
    snapshot = Snapshot(endpoints=(one, down), catalog=Catalog.load(), routing=settings.task_routing, seen_at=5.0)
    breakers = {one.base_url: Breaker(failures=1), "http://gone": Breaker(failures=9, open_until=1e9)}
    history = History(now=3.0, draw=7, last=place_of(one, "phi4:14b"), breakers=breakers, busy={one.base_url: 2})
    unrouted = Decision(
        classification=classify_text("fix the secretword in f(x)"),
        wish=Wish(needed_tokens=10, prompt_tokens=20),
        snapshot=snapshot,
        policy=Policy.from_settings(SecuritySettings()),
        history=history,
        route=NO_ROUTE,
    )
    return unrouted.model_copy(update={"route": replay(unrouted)})


PLACES = {
    "plain": {},
    "a key in its address": {"base_url": f"http://127.0.0.1:11434/v1?key={SECRET}"},
    "a key": {"api_key": SECRET},
}


@pytest.mark.parametrize("name", PLACES)
def test_a_decision_in_pieces_holds_no_secret_and_gives_the_same_route(name: str):
    taken = decision(**PLACES[name])
    pieces, parts = Packer().taken_apart(taken)
    assert SECRET not in json.dumps([pieces, parts])
    assert "secretword" not in json.dumps([pieces, parts]), "of the question nothing is kept here"
    again = replay(put_together(pieces, parts, NO_ROUTE))
    assert route_text(again) == route_text(taken.route)
    assert SECRET not in route_text(again)


def test_what_stays_the_same_is_not_taken_apart_again():
    packer, taken = Packer(), decision()
    first, second = packer.taken_apart(taken), packer.taken_apart(taken)
    assert first == second == Packer().taken_apart(taken)
    other = taken.model_copy(update={"snapshot": taken.snapshot.seen_again(9.0)})
    assert packer.taken_apart(other).parts == first.parts


ALIKE = {
    # addresses that are the same but for a secret
    "in their paths": [
        f"http://127.0.0.1:8000/llm/{digest}/v1"
        for digest in ("5f4dcc3b5aa765d61d8327deb882cf99", "q8Zk2Lw9Tn4Vb7XcRt5Yp1")
    ],
    "in their queries": [f"http://127.0.0.1:8000/v1?key={key}" for key in ("hunter2", SECRET, "swordfish")],
    "one of them by no secret": ["http://127.0.0.1:8000/v1?key=hunter2", "http://127.0.0.1:8000/v1?key=[masked]"],
    "one of them as if it had a number": [
        f"http://127.0.0.1:8000/{part}" for part in (SECRET, SECRET[::-1], "[masked 1]")
    ],
}


@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize("name", ALIKE)
def test_servers_whose_addresses_differ_in_a_secret_alone_stay_apart(name: str, broken: int, tmp_path: Path):
    first = decision()
    desk = first.snapshot.endpoints[0]
    twins = tuple(
        desk.model_copy(update={"name": f"gw{number}", "base_url": url}) for number, url in enumerate(ALIKE[name])
    )
    away = twins[broken].base_url
    history = History(now=3.0, draw=7, breakers={away: Breaker(failures=9, open_until=1e9)}, busy={away: 3})
    taken = first.model_copy(
        update={"snapshot": first.snapshot.model_copy(update={"endpoints": twins}), "history": history}
    )
    taken = taken.model_copy(update={"route": replay(taken)})
    assert taken.route.candidates, "the others are well"
    routed = Routed(classification=taken.classification, route=taken.route)
    (record,), parts = Question(Request(question=QUESTION), b"salt").records_of(routed, taken)
    assert not any(
        secret in json.dumps([record.model_dump(mode="json"), parts])
        for secret in (SECRET, "hunter2", "5f4dcc", "q8Zk")
    )
    log(tmp_path).append([record], parts)
    (found,) = replay_log(path(tmp_path))
    assert (found.is_same, found.difference) == (True, "")


def with_record(folder: Path, change: dict[str, Any]) -> str:
    """Write a changed decision as whoever has other rules would have written it; return the difference."""
    taken = decision()
    routed = Routed(classification=taken.classification, route=taken.route)
    (record,), parts = Question(Request(question=QUESTION), b"salt").records_of(routed, taken)
    log(folder).append([record.model_copy(update=change)], parts)
    (found,) = replay_log(path(folder))
    assert found.is_same is (not found.difference)
    return found.difference


DIFFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({}, ""),
    "another route": ({"route": "0" * 64}, "the order is the same; reasons, expected times or rejections differ"),
    "another choice": ({"route": "0" * 64, "chosen": ()}, "there were 0 candidates, and are 3 now"),
    "nothing to go on": ({"basis": {}}, "the record does not hold what it was decided on"),
    "a piece that does not read": ({"basis": {"snapshot": "{"}}, "what it was decided on does not read"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_named(name: str, tmp_path: Path):
    change, difference = DIFFERENCES[name]
    assert with_record(tmp_path, change).startswith(difference)


# --- who it was ---


async def test_all_journals_of_a_process_write_as_one_session(tmp_path: Path):
    for place in ("before", "after"):
        journal = Journal.of(SecuritySettings(audit_log_path=path(tmp_path / place)))
        assert journal
        await journal.note(Security(event="x"))
    (before, *_), (after, *_) = written(tmp_path / "before"), written(tmp_path / "after")
    assert before["session"] == after["session"], "new settings begin no new session"


async def test_who_asks_through_us_stands_in_the_records_by_their_own_word(tmp_path: Path):
    with ollama() as server:
        async with router(server) as asked:
            await ask(Journal(log(tmp_path)), asked, caller="cline")
            await ask(Journal(log(tmp_path)), asked)
    of_cline, ours = written(tmp_path)[:3], written(tmp_path)[3:]
    assert {(body["caller"], body["caller_by"]) for body in of_cline} == {("cline", "user-agent")}
    assert {(body["caller"], body.get("caller_by")) for body in ours} == {("aider", None)}
    assert [each.is_same for each in replay_log(path(tmp_path))] == [True, True]


# --- what is sent ---


def hmac_of(folder: Path, text: str) -> str:
    return hmac.new(log(folder).salt, text.encode(), "sha256").hexdigest()


async def test_each_attempt_has_the_fingerprint_of_the_messages_that_it_sent(tmp_path: Path):
    cells = tuple(CellRef(number=number, source=f"frob{number} = {'y' * 3000}") for number in range(1, 9))
    with llamacpp(json_reply({"error": "no"}, 500), window=32768) as one, llamacpp(window=2048) as two:
        async with router(one, two) as asked:
            asked.journal = Journal(log(tmp_path))
            async for _ in asked.stream(Request(question=QUESTION, cells=cells, number=9)):
                pass
    started = [body for body in written(tmp_path) if body["kind"] == "started"]
    asked_for = [each for server in (one, two) for each in server.chats if each.path == "/v1/chat/completions"]
    sent = [each.json["messages"] for each in asked_for]
    assert len(started) > 1
    assert sent[0] != sent[-1], "each as it fits its window"
    assert [body["prompt"]["hmac"] for body in started] == [
        hmac_of(tmp_path, canonical({"messages": messages, "passed": {}})) for messages in sent
    ]


SWITCHES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "switched off": ({"audit_enabled": False}, ["audit switched off"]),
    "another log": ({"audit_log_path": "elsewhere.jsonl"}, ["audit goes on in another log"]),
    "something else": ({"log_queries": False}, []),
}


@pytest.mark.parametrize("name", SWITCHES)
async def test_a_log_that_settings_leave_says_so_last(name: str, tmp_path: Path):
    more, events = SWITCHES[name]
    before = SecuritySettings(audit_log_path=tmp_path / "log" / "audit.jsonl")
    await note_end(before, before.model_copy(update=more))
    path = tmp_path / "log" / "audit.jsonl"
    assert [body["event"] for body in (records(path) if path.exists() else ()) if body["kind"] == "security"] == events
