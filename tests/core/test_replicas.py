"""Real servers side by side, some of which are killed: who answers shows in what they say.

Models of random weights answer noise, always the same one at temperature 0, and each another one.
"""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from jupyter_llmroute.core.embedded import EmbeddedBackend, Running, read_header
from jupyter_llmroute.core.errors import RouteFailed
from jupyter_llmroute.core.request import Sampling
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.sections import EmbeddedSettings
from jupyter_llmroute.core.task import Task

from .transcripts import Outcome, ask, router

pytestmark = pytest.mark.anyio

SAMPLING = Sampling(temperature=0, max_tokens=6, seed=1)
TINY_GGUF = Path(__file__).parents[1] / "tiny_gguf.py"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def text(outcome: Outcome) -> str:
    return "".join(event.text for event in outcome.events if event.kind == "text_delta")


def steps(outcome: Outcome) -> list[str]:
    """The transcript without the text."""
    return [line for line in outcome.lines if not line.startswith(("'", '"'))]


def kill(running: Running) -> None:
    """End a server of ours as a crash would, and wait until it is gone."""
    process = psutil.Process(running.pid)
    process.kill()
    psutil.wait_procs([process], timeout=60)


@pytest.fixture(scope="module")
def other_model(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers something else than `tiny_model`."""
    path = tmp_path_factory.mktemp("other") / "other.gguf"
    runpy.run_path(str(TINY_GGUF))["write_tiny_model"](demo_model, path, seed=2)
    return path


@pytest.fixture
def fleet(tmp_path: Path, tiny_model: Path, other_model: Path, embedded_extra: None) -> Iterator[dict[str, Running]]:
    """Three real servers: `a` and `b` of one model, `c` of another one."""
    files = {"a": tiny_model, "b": tiny_model, "c": other_model}
    settings = EmbeddedSettings(threads=1, context_window=1024)
    with ExitStack() as opened:
        backends = [opened.enter_context(EmbeddedBackend(settings, tmp_path / name)) for name in files]

        async def start() -> list[Running]:
            headers = map(read_header, files.values())
            return await asyncio.gather(*(each.ensure(header) for each, header in zip(backends, headers, strict=True)))

        async def stop() -> None:
            await asyncio.gather(*(each.stop() for each in backends))

        opened.callback(lambda: asyncio.run(stop()))
        yield dict(zip(files, asyncio.run(start()), strict=True))


def router_of(fleet: dict[str, Running], **settings: object) -> Router:
    urls = {name: running.url for name, running in fleet.items()}
    return router(urls, keys={name: running.key for name, running in fleet.items()}, **settings)


async def test_the_answer_shows_who_gave_it_and_a_replica_answers_for_one_that_died(fleet):
    async with router_of(fleet) as asked:
        assert {endpoint.provider for endpoint in await asked.services()} == {"llamacpp"}
        said = {name: text(await ask(asked, service=name, sampling=SAMPLING)) for name in fleet}
        assert said["a"] == said["b"] != said["c"]
        assert all(said.values())

        kill(fleet["a"])
        outcome = await ask(asked, service="a", sampling=SAMPLING)
        assert steps(outcome) == ["ask a", "a failed: Unreachable"]
        assert isinstance(outcome.error, RouteFailed)
        outcome = await ask(asked, model=fleet["a"].model, sampling=SAMPLING)
        assert steps(outcome) == ["ask b", "b answered: length"], "the failure made it look again"
        assert text(outcome) == said["b"]


async def test_two_of_three_that_die_unseen_are_passed_over_and_then_nobody_is_left(fleet):
    lists = {"primary_models": [fleet["a"].model], "fallback_models": [fleet["c"].model]}
    async with router_of(fleet, task_routing=dict.fromkeys(Task, lists), retries=3) as asked:
        said = text(await ask(asked, service="c", sampling=SAMPLING))
        kill(fleet["a"])
        kill(fleet["b"])
        outcome = await ask(asked, sampling=SAMPLING)
        dead = ["ask a", "a failed: Unreachable", "ask b", "b failed: Unreachable"]
        assert steps(outcome) == [*dead, "ask c: fallback models", "c answered: length"]
        assert text(outcome) == said

        kill(fleet["c"])
        outcome = await ask(asked, sampling=SAMPLING)
        assert steps(outcome) == []
        said = str(outcome.error)
        assert all(f"{name}: {running.url} refused the connection" in said for name, running in fleet.items())


async def test_a_built_in_server_that_was_killed_starts_again_for_the_next_question(
    tmp_path, tiny_model, embedded_extra, monkeypatch
):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    settings = {"model_path": tiny_model, "threads": 1}
    with EmbeddedBackend(EmbeddedSettings(**settings)) as backend:
        try:
            async with router({}, embedded=settings) as asked:
                before = await ask(asked, sampling=SAMPLING)
                (first,) = backend.running()
                kill(first)
                after = await ask(asked, sampling=SAMPLING)
                (second,) = backend.running()
        finally:
            await backend.stop()
    assert steps(before) == steps(after) == ["ask embedded", "embedded answered: length"]
    assert text(before) == text(after) != ""
    assert first.pid != second.pid
