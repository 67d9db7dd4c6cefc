"""Locked files before a question: read once, aside, stoppable; what does not read is the embedded server's alone.

The slow file is the second part of a split model: 64 GiB of nothing, which take no place on the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from jupyter_llmroute.core.errors import RouteFailed, TimedOut
from jupyter_llmroute.core.lock_file import LockedModel, ModelLock, key, lock_path, write_lock
from jupyter_llmroute.core.providers.ollama import Ollama
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import RejectionReason
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings

from ..scripted import TAG, Scripted, ollama

NAME = "big-00001-of-00002"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    return tmp_path


def router(path: Path, server: Scripted | None = None) -> Router:
    settings = Settings(
        services={"custom_endpoints": [{"name": "desk", "endpoint": server.url}] if server else []},
        embedded={"model_path": path},
    )
    return Router(settings, providers={"ollama": type("Ollama", (Ollama,), {"default_urls": ()})()})


def locked(*names: str) -> None:
    write_lock(ModelLock(models={key("embedded", name): LockedModel(digest="sha256:00") for name in names}))


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llmroute-checksum"]


@pytest.fixture
def slow(home: Path, tiny_model: Path, embedded_extra: None) -> Iterator[Path]:
    """A locked model whose second part takes minutes to read."""
    if os.name != "posix":
        pytest.skip("a file of nothing takes its place on the disk here")
    shutil.copyfile(tiny_model, home / f"{NAME}.gguf")
    long = home / "big-00002-of-00002.gguf"
    long.touch()
    os.truncate(long, 64 << 30)
    locked(NAME)
    yield long
    os.truncate(long, 0)
    for reader in readers():
        reader.join(60)


async def test_a_question_waits_for_a_file_that_is_read_and_says_so(slow: Path):
    async with router(slow.with_name(f"{NAME}.gguf")) as asked:
        async with aclosing(asked.stream(Request(question="Why?"))) as events:
            routed, waiting = await anext(events), await anext(events)
            assert [one.reason for one in routed.route.rejections] == [RejectionReason.CHECKING]
            assert (waiting.kind, waiting.reason) == ("waiting", "checking")
            await asked.decide(Request(question="And?"))
            assert len(readers()) == 1, "two questions share it"
            os.truncate(slow, 1)
            with pytest.raises(RouteFailed, match="another model than the one that was locked"):
                _ = [event async for event in events]


async def test_a_question_that_is_interrupted_has_the_file_read_no_more(slow: Path):
    async with router(slow.with_name(f"{NAME}.gguf")) as asked:
        async with aclosing(asked.stream(Request(question="Why?"))) as events:
            await anext(events), await anext(events)
            (reader,) = readers()
        reader.join(60)
        assert not reader.is_alive()


def cache(home: Path) -> str:
    return "".join(path.read_text() for path in home.rglob("digests.cache"))


async def test_a_question_has_its_own_time_however_long_a_file_is(slow: Path):
    async with router(slow.with_name(f"{NAME}.gguf")) as asked:
        with pytest.raises(TimedOut, match="still being compared with the locked one"):
            async with aclosing(asked.stream(Request(question="Why?", timeout_s=0.9))) as events:
                _ = [event async for event in events]


async def test_others_answer_while_a_file_is_read(slow: Path):
    with ollama() as server:
        async with router(slow.with_name(f"{NAME}.gguf"), server) as asked:
            async with aclosing(asked.stream(Request(question="Why?"))) as events:
                kinds = [event.kind async for event in events]
            (reader,) = readers()
        reader.join(60)
        assert not reader.is_alive(), "who closes the router has no file read any more"
    assert kinds[-1] == "completed"


async def test_a_file_that_was_not_locked_is_not_read(home: Path, tiny_model: Path, embedded_extra: None):
    shutil.copyfile(tiny_model, home / "other.gguf")
    locked(NAME)
    async with router(home / "other.gguf") as asked:
        routed = await asked.decide(Request(question="Why?"))
    assert [each.model.id for each in routed.route.candidates] == ["other"]
    assert readers() == []
    assert cache(home) == ""


@pytest.mark.parametrize("name", ["nowhere.gguf", "text.gguf"])
async def test_a_wrong_model_path_is_the_embedded_servers_matter_alone(name: str, home: Path, embedded_extra: None):
    (home / "text.gguf").write_text("no model")
    locked(NAME)
    with ollama() as server:
        async with router(home / name, server) as asked:
            async with aclosing(asked.stream(Request(question="Why?"))) as events:
                routed, *_, last = [event async for event in events]
    assert (last.kind, last.model) == ("completed", TAG["name"])
    assert [(one.service, one.reason) for one in routed.route.rejections] == [("embedded", RejectionReason.NOT_WELL)]
    assert lock_path().exists()


async def test_a_model_file_that_cannot_be_read_is_not_asked_and_others_are(
    home: Path, tiny_model: Path, embedded_extra: None
):
    shutil.copyfile(tiny_model, home / f"{NAME}.gguf")
    (home / "big-00002-of-00002.gguf").mkdir()
    locked(NAME)
    with ollama() as server:
        async with router(home / f"{NAME}.gguf", server) as asked:
            async with aclosing(asked.stream(Request(question="Why?"))) as events:
                routed, *_, last = [event async for event in events]
    assert last.kind == "completed"
    assert [(one.model, one.reason) for one in routed.route.rejections] == [(NAME, RejectionReason.CHANGED)]


async def test_what_is_seen_while_models_are_compared_is_not_what_a_decision_rests_on(home: Path):
    write_lock(ModelLock(models={key("desk", "look-1"): LockedModel(digest="sha256:00")}))
    listed: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/models":
            return httpx.Response(404)
        listed.append(request.url.path)
        if len(listed) == 2:  # asked for its digests: meanwhile somebody else looks around
            await asked.services(refresh=True)
        return httpx.Response(200, content=json.dumps({"data": [{"id": "look-1"}, {"id": "m"}]}))

    settings = Settings(
        services={"custom_endpoints": [{"name": "desk", "endpoint": "http://127.0.0.1:8000"}]},
        embedded={"enabled": False},
    )
    dialects = {"openai": type("Quiet", (OpenAICompatible,), {"default_urls": ()})()}
    async with Router(settings, providers=dialects, transport=httpx.MockTransport(answer)) as asked:
        await asked.services()
        first = asked.seen_at
        (taken,) = await asked.decide_each([Request(question="Why?")])
        assert len(listed) == 3
        assert taken.decision.snapshot.seen_at == first < asked.seen_at
