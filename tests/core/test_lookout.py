"""When is looked around, who waits for it, and what of other processes' looks is taken."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest
from filelock import FileLock

from jupyter_llmroute.core.discovery import places
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.environment import detect
from jupyter_llmroute.core.lookout import Lookout
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.state import Look, StateFile, fingerprint
from jupyter_llmroute.core.transport import open_client

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:8000"
FRESH, STALE = 3600.0, 0.0
DIALECTS = {"openai": type("Quiet", (OpenAICompatible,), {"default_urls": ()})()}


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Server:
    """Serves one model, whose name tells the number of the look; answers while its gate is open."""

    def __init__(self) -> None:
        self.looks = 0
        self.model = "look-{}"
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/models":
            return httpx.Response(404)
        self.looks += 1
        listed = {"object": "list", "data": [{"id": self.model.format(self.looks), "object": "model"}]}
        self.arrived.set()
        await self.gate.wait()
        return httpx.Response(200, content=json.dumps(listed))


def settings(*, rescan_s: float = FRESH, key: str | None = None, **more: Any) -> Settings:
    desk = {"name": "desk", "endpoint": URL, "api_key": key}
    limits = {"rescan_s": rescan_s, "scan_s": 60}
    return Settings(
        **{"services": {"custom_endpoints": [desk]}, "embedded": {"enabled": False}, "limits": limits} | more
    )


@asynccontextmanager
async def lookout(server: Server, *, state: Path | None = None, **wishes: Any) -> AsyncIterator[Lookout]:
    given = settings(**wishes)
    file = StateFile(state) if state else None
    policy = Policy.from_settings(given.security)
    async with open_client(policy, transport=httpx.MockTransport(server)) as client:
        opened = Lookout(given, DIALECTS, Embedded(given.embedded), client, file)
        try:
            yield opened
        finally:
            await opened.aclose()


async def models(opened: Lookout, **wish: bool) -> list[str]:
    return [model.id for endpoint in (await opened.seen(**wish)).endpoints for model in endpoint.models]


# --- when is looked ---


async def test_nobody_looks_before_somebody_asks():
    server = Server()
    async with lookout(server) as opened:
        assert (server.looks, opened.seen_at) == (0, 0)


async def test_questions_at_one_time_share_one_look_and_later_ones_use_it():
    server = Server()
    async with lookout(server) as opened:
        answers = await asyncio.gather(*(models(opened) for _ in range(5)))
        assert [*answers, await models(opened)] == [["look-1"]] * 6
        assert time.time() - 60 < opened.seen_at <= time.time()


async def test_what_is_stale_is_good_enough_to_begin_with_while_a_new_look_goes_on():
    server = Server()
    async with lookout(server, rescan_s=STALE) as opened:
        await opened.seen()
        server.gate.clear()
        server.arrived.clear()
        assert await models(opened) == ["look-1"]
        await server.arrived.wait()
        assert await models(opened) == ["look-1"]
        assert server.looks == 2, "one look at one time"
        server.gate.set()
        assert await models(opened, refresh=True) == ["look-3"], "the look that goes on began before: it is made again"


@pytest.mark.parametrize("is_shared", [True, False])
async def test_the_time_of_a_look_is_that_of_the_servers_that_are_shown(tmp_path: Path, is_shared: bool):
    """A server that was left alone is asked again where it was looked at since: until then it was not."""
    server = Server()
    async with lookout(server, rescan_s=STALE, state=tmp_path if is_shared else None) as opened:
        await opened.seen()
        first = opened.seen_at
        server.gate.clear()
        server.arrived.clear()
        await opened.seen()
        await server.arrived.wait()
        assert opened.seen_at == first
        began = time.time()
        server.gate.set()
        async with asyncio.timeout(60):
            while opened.seen_at == first:
                await opened.seen()
                await asyncio.sleep(0)
        assert first < opened.seen_at <= began, "when it began, not when it ended"


async def test_after_a_failure_the_next_one_waits_for_a_new_look():
    server = Server()
    async with lookout(server) as opened:
        await opened.seen()
        opened.forget()
        assert await models(opened) == ["look-2"]
        assert await models(opened) == ["look-2"]


async def test_a_look_that_began_before_a_failure_is_not_believed():
    server = Server()
    async with lookout(server, rescan_s=STALE) as opened:
        await opened.seen()
        server.gate.clear()
        server.arrived.clear()
        await opened.seen()
        await server.arrived.wait()
        opened.forget()
        server.gate.set()
        assert await models(opened) == ["look-3"]


async def test_refresh_looks_now():
    server = Server()
    async with lookout(server) as opened:
        await opened.seen()
        assert await models(opened, refresh=True) == ["look-2"]


# --- what is noted ---


async def test_that_a_model_is_loaded_is_noted_and_no_news_is_no_new_value():
    server = Server()
    async with lookout(server) as opened:
        before = (await opened.seen()).endpoints
        opened.note_loaded("desk", "look-1", 4096)
        after = (await opened.seen()).endpoints
        [model] = after[0].models
        assert (model.loaded, model.context_window) == (True, 4096)
        assert after is not before
        for service, model_id, window in (
            ("desk", "look-1", 4096),
            ("desk", "look-1", None),
            ("desk", "another", 512),
            ("elsewhere", "look-1", 512),
        ):
            opened.note_loaded(service, model_id, window)
            assert (await opened.seen()).endpoints is after


async def test_before_the_first_look_and_after_a_failure_nothing_is_noted():
    server = Server()
    async with lookout(server) as opened:
        opened.note_loaded("desk", "look-1", None)
        await opened.seen()
        opened.forget()
        opened.note_loaded("desk", "look-1", None)
        assert await models(opened) == ["look-2"]


# --- what another process has seen ---


def shared(folder: Path, endpoint: Endpoint, *, seen_s_ago: float = 0.0, **wishes: Any) -> None:
    """Let another process have seen this."""
    given = settings(**wishes)
    mark = fingerprint(given, [place.base_url for place in places(given, DIALECTS)])
    look = Look(seen_at=time.time() - seen_s_ago, endpoints=(endpoint,))
    StateFile(folder).update(lambda old: old.with_look(mark, look))


SEEN = Endpoint(name="desk", provider="openai", base_url=URL, models=(ServedModel(id="theirs"),))

LOOKS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    # name: (what is another in what they saw, the settings, what is used)
    "just now": ({}, {}, ["theirs"]),
    "with a key set": ({}, {"key": "k"}, ["theirs"]),
    "it wanted a key, and there is none": ({"health": Health.WANTS_KEY, "models": ()}, {}, []),
    "it refused the key, and there may be another": (
        {"health": Health.WANTS_KEY, "models": ()}, {"key": "k"}, ["look-1"]),
    "a dialect that is not installed here": ({"provider": "gopher"}, {}, ["look-1"]),
    "a server at which nobody would look": ({"base_url": "http://127.0.0.1:9"}, {}, ["look-1"]),
    "longer ago than a look is good for": ({}, {"rescan_s": STALE}, ["look-1"]),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "wishes", "used"), LOOKS.values(), ids=LOOKS)
async def test_a_look_of_another_process_is_used_where_it_is_as_good_as_ones_own(
    tmp_path: Path, facts: dict[str, Any], wishes: dict[str, Any], used: list[str]
):
    server = Server()
    shared(tmp_path, SEEN.model_copy(update=facts), seen_s_ago=10, **wishes)
    async with lookout(server, state=tmp_path, **wishes) as opened:
        assert await models(opened) == used
        assert await models(opened) == used
        is_theirs = used != ["look-1"]
        assert server.looks == (0 if is_theirs else 1) or "rescan_s" in wishes
        assert (opened.seen_at < time.time() - 9) is is_theirs, "when they saw it"


async def test_who_has_seen_something_looks_again_however_lately_another_did(tmp_path: Path):
    server = Server()
    async with lookout(server, state=tmp_path) as opened:
        await opened.seen()
        await opened.aclose()
        shared(tmp_path, SEEN)
        opened.forget()
        assert await models(opened) == ["look-2"]


async def test_what_is_seen_is_shared_without_waiting_for_who_holds_the_file(tmp_path: Path):
    server, before = Server(), asyncio.all_tasks()
    async with lookout(server, state=tmp_path) as opened:
        with FileLock(tmp_path / "seen.lock"):
            assert await models(opened) == ["look-1"]
            assert [task.get_name() for task in asyncio.all_tasks() - before] == ["llmroute state"]
        await opened.seen(refresh=True)
    assert asyncio.all_tasks() == before
    assert "look-2" in "".join(StateFile(tmp_path).read().looks.values())


async def test_half_a_character_in_a_models_name_hinders_nobody(tmp_path: Path):
    server = Server()
    server.model = "\ud800"
    async with lookout(server, state=tmp_path) as opened:
        assert await models(opened) == [], "no request can name it"


# --- where ---


@contextmanager
def witness(code: Any) -> Iterator[list[str]]:
    """Tell whether a function is called in a thread that starts meanwhile."""
    seen: list[str] = []

    def watch(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is code:
            seen.append(frame.f_code.co_name)

    threading.setprofile(watch)
    try:
        yield seen
    finally:
        threading.setprofile(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_what_machine_this_is_is_found_out_once_and_only_where_it_is_wanted(is_wanted: bool):
    with witness(detect.__code__) as seen:
        async with lookout(Server(), discovery={"host_machine": is_wanted}) as opened:
            await opened.seen()
            await opened.seen(refresh=True)
    assert seen == (["detect"] if is_wanted else [])


# --- leaving ---


@pytest.mark.parametrize("is_first", [True, False])
async def test_closing_gives_up_the_look_that_goes_on_and_leaves_nothing_behind(tmp_path: Path, is_first: bool):
    server, before = Server(), asyncio.all_tasks()
    async with lookout(server, rescan_s=STALE, state=tmp_path) as opened:
        if not is_first:
            await opened.seen()
            server.arrived.clear()
        server.gate.clear()
        waiting = asyncio.create_task(opened.seen(refresh=True))
        await server.arrived.wait()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert asyncio.all_tasks() == before


async def test_closing_a_look_that_has_not_begun_leaves_nothing_behind():
    server, before = Server(), asyncio.all_tasks()
    async with lookout(server, rescan_s=STALE) as opened:
        await opened.seen()
        await opened.seen()
    assert asyncio.all_tasks() == before
    assert server.looks == 1


async def test_who_stops_waiting_stops_nobody_else():
    server = Server()
    server.gate.clear()
    async with lookout(server) as opened:
        one, other = asyncio.create_task(models(opened)), asyncio.create_task(models(opened))
        await server.arrived.wait()
        one.cancel()
        await asyncio.wait([one])
        server.gate.set()
        assert await other == ["look-1"]
        assert one.cancelled()
