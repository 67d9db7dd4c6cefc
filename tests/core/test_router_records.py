"""What a router refuses to ask, and what it writes down by itself: changed models, refused hosts, an open policy."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from jupyter_llmroute.core.audit.folder import AuditError
from jupyter_llmroute.core.audit.journal import Journal
from jupyter_llmroute.core.audit.reading import records
from jupyter_llmroute.core.audit.replay import replay_log
from jupyter_llmroute.core.audit.verify import verify
from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import RouteFailed
from jupyter_llmroute.core.events import Event
from jupyter_llmroute.core.model_lock import lock
from jupyter_llmroute.core.providers.ollama import Ollama
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import RejectionReason
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings

from ..scripted import TAG, Reply, Scripted, json_reply, ollama

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))
    return tmp_path / "log" / "audit.jsonl"


def router(server: Scripted | str, log: Path, **security: Any) -> Router:
    url = server if isinstance(server, str) else server.url
    settings = Settings(
        services={"custom_endpoints": [{"name": "desk", "endpoint": url, "max_retries": 0}]},
        embedded={"enabled": False},
        security={"audit_log_path": log, **security},
    )
    dialect = type("Ollama", (Ollama,), {"default_urls": ()})()
    return Router(settings, providers={"ollama": dialect}, journal=Journal.of(settings.security))


async def ask(asked: Router, question: str = "Why?") -> list[Event]:
    async with aclosing(asked.stream(Request(question=question))) as events:
        return [event async for event in events]


def words(log: Path) -> str:
    return log.read_text()


def told(log: Path, kind: str) -> list[dict[str, Any]]:
    return [body for body in records(log) if body["kind"] == kind]


async def test_a_question_leaves_a_chain_that_verifies_and_a_decision_that_replays(log: Path):
    with ollama() as server:
        async with router(server, log) as asked:
            await ask(asked)
    assert [body["kind"] for body in records(log)] == ["opened", "decided", "started", "ended"]
    (decided,), (ended,) = told(log, "decided"), told(log, "ended")
    assert (decided["chosen"][0]["who"]["model"], ended["verdict"]) == (TAG["name"], "complete")
    assert "Why?" not in words(log)
    assert verify(log).is_whole
    assert [one.is_same for one in replay_log(log)] == [True]


async def test_a_model_that_changed_since_it_was_locked_is_not_asked_and_says_so(log: Path):
    with ollama() as server:
        async with router(server, log) as asked:
            await lock(await asked.services(refresh=True))
            assert [event.kind for event in await ask(asked)][-1] == "completed"
    with ollama(tags=[{**TAG, "digest": "666"}]) as server:
        async with router(server, log) as asked:
            with pytest.raises(RouteFailed, match="another model than the one that was locked"):
                await ask(asked)
            with pytest.raises(RouteFailed):
                await ask(asked)
            routed = await asked.decide(Request(question="Why?"))
        assert server.chats == []
    assert [one.reason for one in routed.route.rejections] == [RejectionReason.CHANGED]
    assert "models verify" in routed.remarks[0]
    assert [body["detail"] for body in told(log, "security")] == [f"{TAG['name']} on desk"]


async def test_a_model_that_changes_between_two_questions_is_not_asked_the_second(log: Path):
    with ollama() as server:
        async with router(server, log) as asked:
            await lock(await asked.services(refresh=True))
            await ask(asked)
            server.script["GET /api/tags"] = [json_reply({"models": [{**TAG, "digest": "666"}]})]
            with pytest.raises(RouteFailed, match="another model than the one that was locked"):
                await ask(asked)
        assert len(server.chats) == 1
    assert [body["sha256"] for body in told(log, "security")] == ["666"]


async def test_the_digest_that_is_written_down_is_the_one_of_the_moment(log: Path):
    with ollama() as server:
        async with router(server, log) as asked:
            (desk,) = await asked.services(refresh=True)
            await lock([desk.model_copy(update={"models": (ServedModel(id="another", digest="1"),)})])
            await ask(asked)
            server.script["GET /api/tags"] = [json_reply({"models": [{**TAG, "digest": "666"}]})]
            await ask(asked)
    assert [body["who"]["digest"] for body in told(log, "started")] == [TAG["digest"], "666"]


@pytest.mark.parametrize("fault", [json_reply({}, 500), json_reply({"models": []})])
async def test_a_server_that_lists_a_locked_model_no_more_is_not_asked_for_it(log: Path, fault: Reply):
    with ollama() as server:
        async with router(server, log) as asked:
            await lock(await asked.services(refresh=True))
            await ask(asked)
            server.script["GET /api/tags"] = [fault]
            with pytest.raises(RouteFailed):
                await ask(asked)
        assert len(server.chats) == 1


async def test_checksums_are_not_asked_for_where_the_user_switched_that_off(log: Path):
    with ollama() as server:
        async with router(server, log) as asked:
            await lock(await asked.services(refresh=True))
    with ollama(tags=[{**TAG, "digest": "666"}]) as server:
        async with router(server, log, verify_checksums=False) as asked:
            assert [event.kind for event in await ask(asked)][-1] == "completed"


async def test_a_refused_host_is_written_down_once(log: Path):
    async with router("http://192.0.2.7:11434", log) as asked:
        for _ in range(2):
            with pytest.raises(RouteFailed):
                await ask(asked)
    assert [body["service"] for body in told(log, "refused")] == ["192.0.2.7"]


async def test_a_refusal_that_could_not_be_written_is_written_the_next_time(blocked: Path):
    log = blocked
    async with router("http://192.0.2.7:11434", log) as asked:
        with pytest.raises(AuditError):
            await asked.services(refresh=True)
        await asyncio.to_thread(log.rmdir)
        await asked.services()
    assert [body["service"] for body in told(log, "refused")] == ["192.0.2.7"]


async def test_a_host_is_written_down_for_each_reason_and_what_was_refused_last_too(log: Path):
    async with router("http://192.0.2.7:11434", log) as asked:
        for host, port in (("192.0.2.7", 1), ("192.0.2.7", 2), ("169.254.169.254", 1)):
            asked._refusals.note(host, f"for {port}")
    assert [(body["service"], body["detail"]) for body in told(log, "refused")] == [
        ("192.0.2.7", "for 1"),
        ("192.0.2.7", "for 2"),
        ("169.254.169.254", "for 1"),
    ]


async def test_a_model_that_changes_a_second_time_is_written_down_again(log: Path):
    with ollama() as server:
        async with router(server, log) as asked:
            await lock(await asked.services(refresh=True))
            for digest in ("666", "667", "667"):
                server.script["GET /api/tags"] = [json_reply({"models": [{**TAG, "digest": digest}]})]
                await asked.decide(Request(question="Why?"))
    assert [body["sha256"] for body in told(log, "security")] == ["666", "667"]


async def test_outside_addresses_that_are_allowed_are_written_down_and_said(log: Path):
    with ollama() as server:
        async with router(server, log, allow_external=True) as asked:
            routed, *_ = await ask(asked)
            await ask(asked)
    assert "allow_external is on" in routed.remarks[0]
    assert ["allow_external is on" in body["event"] for body in told(log, "security")] == [True]


@pytest.fixture
def blocked(log: Path) -> Path:
    log.mkdir(parents=True)
    return log


@pytest.mark.parametrize(("is_required", "kinds"), [(True, []), (False, ["completed"])])
async def test_a_log_that_cannot_be_written_stops_questions_only_where_it_is_required(
    blocked: Path, is_required: bool, kinds: list[str]
):
    log = blocked
    with ollama() as server:
        async with router(server, log, audit_required=is_required) as asked:
            if is_required:
                with pytest.raises(AuditError, match=str(log)):
                    await ask(asked)
            else:
                with pytest.warns(UserWarning, match="without audit"):
                    assert [event.kind for event in await ask(asked)][-1:] == kinds
        assert len(server.chats) == len(kinds)


async def test_without_audit_nothing_is_written(log: Path):
    with ollama() as server:
        async with router(server, log, audit_enabled=False) as asked:
            await ask(asked)
    assert not log.parent.exists()
