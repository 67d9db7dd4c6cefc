"""The file that kernels and the Jupyter server share: written whole, read without a lock, believed in nothing."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.discovery import places
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.speed import Average, Speed
from jupyter_llmroute.core.state import (
    FILE_NAME,
    KEPT_BREAKERS,
    KEPT_LOOKS,
    KEPT_SPEEDS,
    MAX_FILE_BYTES,
    Look,
    Sharing,
    State,
    StateFile,
    fingerprint,
    with_keys,
)

SECRET = "s3cr3t-k3y"
URL = "http://127.0.0.1:8000"
MODEL = ServedModel(id="qwen3:8b", context_window=8192, capabilities=frozenset({"tools"}), loaded=True)
ENDPOINT = Endpoint(name="desk", provider="openai", base_url=URL, models=(MODEL,), api_key=SecretStr(SECRET))
LOOK = Look(seen_at=1_700_000_000.25, endpoints=(ENDPOINT,))
SPEED = Speed(token=Average(mean=-3.2, weight=1.5))
OPEN = Breaker(failures=3, opened=1, open_until=1_700_000_030.0)


@pytest.fixture
def anyio_backend():
    return "asyncio"


def learning(*keys: str, speed: Speed = SPEED) -> Callable[[State], State]:
    return lambda old: old.with_learnt(dict.fromkeys(keys, speed), {})


# --- what is written is read ---


def test_what_is_written_is_read_and_keys_are_not_in_it(tmp_path: Path):
    StateFile(tmp_path).update(lambda old: old.with_look("mark", LOOK).with_learnt({"a m": SPEED}, {"a": OPEN}))
    found = StateFile(tmp_path).read()
    bare = ENDPOINT.model_copy(update={"api_key": None})
    assert found.look("mark") == LOOK.model_copy(update={"endpoints": (bare,)})
    assert (found.speeds, found.breakers) == ({"a m": SPEED}, {"a": OPEN})
    assert found.look("another") is None
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.iterdir())


@given(
    st.dictionaries(st.text(max_size=8), st.builds(Speed, token=st.builds(Average, mean=st.floats(-50, 50)))),
    st.dictionaries(st.text(max_size=8), st.builds(Breaker, failures=st.integers(1, 9))),
    st.lists(st.text(max_size=8), max_size=3),
)
def test_any_state_reads_back_as_it_was(speeds, breakers, names):
    look = Look(seen_at=1.0, endpoints=tuple(Endpoint(name=n, provider=n, base_url=n) for n in names))
    state = State().with_learnt(speeds, breakers).with_look("mark", look)
    read = State.model_validate_json(state.model_dump_json(exclude_defaults=True))
    assert (read, read.look("mark")) == (state, look)


def test_a_file_is_not_read_again_until_somebody_writes_it(tmp_path: Path):
    mine, other = StateFile(tmp_path), StateFile(tmp_path)
    assert not mine.has_changed(), "there is none"
    other.update(learning("a"))
    assert mine.has_changed()
    assert mine.known == State()
    first = mine.read()
    assert not mine.has_changed()
    assert mine.read() is mine.known is first
    mine.update(learning("b"))
    assert not mine.has_changed(), "what it wrote itself it knows"
    assert set(mine.read().speeds) == {"a", "b"}


def test_a_closed_breaker_is_left_out(tmp_path: Path):
    state = State().with_learnt({}, {"a": OPEN, "b": OPEN}).with_learnt({}, {"a": Breaker()})
    assert dict(state.breakers) == {"b": OPEN}


def test_of_more_than_are_kept_the_newest_are():
    state = State()
    for number in range(KEPT_LOOKS + 2):
        state = state.with_look(str(number), LOOK)
    state = state.with_look("2", LOOK).with_look("new", LOOK)
    assert list(state.looks) == ["4", "5", "2", "new"]
    for kept, counted in ((KEPT_SPEEDS, "speeds"), (KEPT_BREAKERS, "breakers")):
        for number in range(kept + 5):
            state = state.with_learnt({str(number): SPEED}, {str(number): OPEN})
        state = state.with_learnt({"5": Speed()}, {"5": Breaker(failures=1)})
        names = list(getattr(state, counted))
        assert (len(names), names[0], names[-1]) == (kept, "6", "5")


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_only_the_user_may_read_the_file(tmp_path: Path):
    StateFile(tmp_path / "new").update(learning("a"))
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("new", f"new/{FILE_NAME}")] == [0o700, 0o600]


def test_the_users_file_is_in_a_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A home may be shared by machines, of which each means itself by 127.0.0.1."""
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    path = StateFile.of_user().path
    assert path.name == FILE_NAME
    assert path.is_relative_to(tmp_path)
    assert path.parents[1] == tmp_path / "state"


# --- many at one time ---

WRITER = """
import sys
from pathlib import Path
from jupyter_llmroute.core.speed import Speed
from jupyter_llmroute.core.state import StateFile
file = StateFile(Path(sys.argv[1]))
for number in range(25):
    key = f"{sys.argv[2]} {number:02}"
    while key not in file.read().speeds:  # the lock may be taken for a second, on a busy machine
        file.update(lambda old: old.with_learnt({key: Speed()}, {}))
"""


def test_two_processes_that_write_at_one_time_lose_nothing(tmp_path: Path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name]) for name in ("a", "b")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    expected = {f"{name} {number:02}" for name in ("a", "b") for number in range(25)}
    assert set(StateFile(tmp_path).read().speeds) == expected


def test_what_another_wrote_counts_even_where_the_file_looks_as_before(tmp_path: Path):
    """Two writes in one tick of the clock: same size, same time, and the number of a file is used again."""
    mine = StateFile(tmp_path)
    mine.update(learning("mine"))
    before = mine.path.stat()
    text = mine.path.read_bytes().replace(b"mine", b"your")
    with mine.path.open("r+b") as file:
        file.write(text)
    os.utime(mine.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not mine.has_changed()
    mine.update(learning("more"))
    assert set(StateFile(tmp_path).read().speeds) == {"your", "more"}


def test_who_reads_while_others_write_never_sees_half_a_file(tmp_path: Path):
    done = threading.Event()

    def write(name: str) -> None:
        file = StateFile(tmp_path)
        for number in range(15):
            file.update(learning(*(f"{name} {number} {key}" for key in range(number * 20))))

    StateFile(tmp_path).update(learning("first"))
    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    stopper = threading.Thread(target=lambda: ([writer.join() for writer in writers], done.set()))
    stopper.start()
    seen, path = 0, tmp_path / FILE_NAME
    while not done.is_set():
        try:
            text = path.read_bytes()
        except PermissionError:  # Windows, in the moment in which it is replaced
            continue
        assert json.loads(text)["speeds"]
        assert StateFile(tmp_path).read().speeds
        seen += 1
    stopper.join()
    assert seen
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == [FILE_NAME], "nothing is left over"


def test_where_somebody_else_holds_the_file_it_stays_as_it_is(tmp_path: Path):
    file = StateFile(tmp_path)
    file.update(learning("a"))
    before = file.path.read_bytes()
    with FileLock(tmp_path / "seen.lock"):
        file.update(learning("b"))
        assert StateFile(tmp_path).read().speeds, "reading takes no lock"
    assert file.path.read_bytes() == before


@pytest.mark.anyio
async def test_what_is_written_beside_is_written_when_it_is_closed(tmp_path: Path):
    sharing, before = Sharing(StateFile(tmp_path)), asyncio.all_tasks()
    for number in range(5):
        sharing.write(learning(str(number), speed=Speed()))
        sharing.write(learning("newest", speed=Speed(token=Average(mean=number, weight=1))))
        await asyncio.sleep(0)
    await sharing.aclose()
    await sharing.aclose()
    speeds = StateFile(tmp_path).read().speeds
    assert set(speeds) == {"0", "1", "2", "3", "4", "newest"}
    assert speeds["newest"].token.mean == 4, "in order"
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_without_a_file_nothing_is_written():
    sharing, before = Sharing(None), asyncio.all_tasks()
    sharing.write(learning("a"))
    await sharing.aclose()
    assert asyncio.all_tasks() == before


# --- files that are none ---


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


BROKEN: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "empty": lambda path: path.write_text(""),
    "half of it": lambda path: path.write_text('{"version":1,"speeds":{"a":'),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "another version": lambda path: path.write_text('{"version":2}'),
    "another kind of value": lambda path: path.write_text("[]"),
    "fields of another's": lambda path: path.write_text('{"version":1,"more":1}'),
    "a sum that is no number": lambda path: path.write_text('{"speeds":{"a":{"token":{"mean":NaN,"weight":1}}}}'),
    "nested without end": lambda path: path.write_text('{"speeds":' * 100_000),
    "half a character": lambda path: path.write_text('{"speeds":{"\\ud800":{}}}'),
    "huge": _sparse,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_as_if_nothing_had_been_seen_and_the_next_write_mends_it(tmp_path: Path, name: str):
    file = StateFile(tmp_path)
    BROKEN[name](file.path)
    assert file.read() == State()
    assert StateFile(tmp_path).read() == State()
    file.update(learning("a"))
    assert set(StateFile(tmp_path).read().speeds) == {"a"}


def test_a_folder_in_its_place_stays_there(tmp_path: Path):
    file = StateFile(tmp_path)
    (file.path / "something").mkdir(parents=True)
    file.update(learning("a"))
    assert file.read() == State()
    assert [path.name for path in file.path.iterdir()] == ["something"]
    assert {path.name for path in tmp_path.iterdir()} <= {FILE_NAME, "seen.lock"}, "nothing is left over"


def test_where_no_folder_can_be_made_nothing_is_written(tmp_path: Path):
    (tmp_path / "file").touch()
    file = StateFile(tmp_path / "file" / "below")
    file.update(learning("a"))
    assert file.read() == State()


def test_a_folder_that_may_only_be_read(tmp_path: Path):
    file = StateFile(tmp_path)
    file.update(learning("a"))
    tmp_path.chmod(0o500)
    try:
        may_write = os.access(tmp_path, os.W_OK)  # root may, and Windows knows no such right of a folder
        file.update(learning("b"))
        assert set(StateFile(tmp_path).read().speeds) == ({"a", "b"} if may_write else {"a"})
    finally:
        tmp_path.chmod(0o700)


def test_a_look_that_does_not_read_is_none_and_the_others_are_there():
    state = State(looks={"broken": '{"seen_at":1,', "other": LOOK.model_dump_json(exclude={"endpoints"})})
    state = state.with_look("good", LOOK)
    assert (state.look("broken"), state.look("other")) == (None, None)
    assert state.look("good") is not None


def test_half_a_character_in_a_models_name_is_not_written_and_stops_nobody(tmp_path: Path):
    """JSON can spell it, a server may say it, and no text can hold it."""
    file = StateFile(tmp_path)
    file.update(learning("a"))
    file.update(lambda old: old.with_look("mark", Look(seen_at=1.0, endpoints=(_named("\ud800"),))))
    file.update(learning("\ud800"))
    file.update(learning("b"))
    found = StateFile(tmp_path).read()
    assert set(found.speeds) >= {"a", "b"}
    assert not found.looks


def _named(model_id: str) -> Endpoint:
    return Endpoint(name="desk", provider="openai", base_url=URL, models=(ServedModel(id=model_id),))


# --- who looks in the same way ---

SERVICE = {"name": "desk", "endpoint": URL}
PLAIN: dict[str, Any] = {"services": {"custom_endpoints": [SERVICE]}}


def marked(settings: dict[str, Any] = PLAIN, urls: tuple[str, ...] = (URL,)) -> str:
    return fingerprint(Settings(**settings), urls)


def custom(**more: Any) -> dict[str, Any]:
    return {"services": {"custom_endpoints": [SERVICE | more]}}


OTHERS = {
    "another address": marked(urls=("http://127.0.0.1:8001",)),
    "one more address, as of another host": marked(urls=(URL, "http://10.0.0.7:8000")),
    "another name for it": marked(custom(name="bench")),
    "a key where there was none": marked(custom(api_key=SECRET)),
    "a key of a known server": marked(PLAIN | {"services": {"jan": {"endpoint": URL, "api_key": SECRET}}}),
    "a server switched off": marked({"services": {**PLAIN["services"], "ollama": {"enabled": False}}}),
    "a vouched gateway": marked(custom(models_are_local=True)),
    "an open door": marked(PLAIN | {"security": {"allow_external": True}}),
    "another network": marked(PLAIN | {"security": {"allowed_cidrs": ["10.0.0.0/8"]}}),
    "another host to look at": marked(PLAIN | {"discovery": {"hosts": ["gpu"]}}),
    "the machine around": marked(PLAIN | {"discovery": {"host_machine": False}}),
}


@pytest.mark.parametrize("mark", OTHERS.values(), ids=OTHERS)
def test_who_looks_in_another_way_has_another_fingerprint(mark: str):
    assert mark != marked()
    assert len(set(OTHERS.values())) == len(OTHERS)


SAME = {
    "the same": (marked(), marked()),
    "other keys": (marked(custom(api_key=SECRET)), marked(custom(api_key="another"))),
    "other limits": (marked(), marked(PLAIN | {"limits": {"attempts": 1}})),
    "other wishes": (marked(), marked(PLAIN | {"models": {"excluded": ["phi4"]}})),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_who_looks_in_the_same_way_has_the_same_fingerprint(one: str, other: str):
    assert one == other


@pytest.mark.parametrize(
    ("base_url", "key"),
    [
        (URL, SECRET),
        (f"{URL}/", SECRET),
        (URL.upper(), SECRET),
        ("http://127.0.0.1:80001", None),
        ("http://127.0.0.1:80", None),
        ("http://127.0.0.1:8000.example", None),
        (f"{URL}/v2", None),
        (f"{URL}@10.0.0.1", None),
        ("https://127.0.0.1:8000", None),
        ("", None),
    ],
)
def test_a_key_goes_to_the_very_address_that_it_was_set_for(base_url: str, key: str | None):
    settings = Settings(**custom(endpoint=f"{URL}/v1", api_key=SECRET))
    endpoint = ENDPOINT.model_copy(update={"base_url": base_url, "api_key": None})
    [found] = with_keys([endpoint], settings)
    assert (found.api_key and found.api_key.get_secret_value()) == key


# --- files that lie ---

FORBIDDEN = "http://8.8.8.8:8000"

LIES: dict[str, dict[str, Any]] = {
    "an address that is forbidden": {"base_url": FORBIDDEN},
    "a name that is forbidden": {"base_url": "http://gpu.example:8000"},
    "a name within the address": {"base_url": "http://127.0.0.1:8000@8.8.8.8"},
    "a path that leads elsewhere": {"base_url": URL, "chat_path": "@8.8.8.8/v1/chat/completions"},
    "an address that does not read": {"base_url": "http://[::1"},
    "no address": {"base_url": ""},
    "a file": {"base_url": "file:///etc/passwd"},
    "a dialect that is not there": {"base_url": URL, "provider": "gopher"},
    "the built-in server's dialect": {"base_url": FORBIDDEN, "provider": "embedded"},
    "a name of control characters": {"base_url": FORBIDDEN, "name": "\x1b[2J\r\n\x00\u202e" * 1000},
    "sizes that cannot be": {"base_url": FORBIDDEN, "priority": -(10**30), "max_retries": 10**30, "stall_s": 1e308},
}


async def asked_after(folder: Path, configured: str, **said: Any) -> list[str]:
    """Ask in three ways where the file says that of the one configured server; return the requests that go out."""
    settings = Settings(
        services={"custom_endpoints": [{"name": "desk", "endpoint": configured, "api_key": SECRET}]},
        embedded={"enabled": False},
        limits={"rescan_s": 1e12, "attempts": 1},
        discovery={"host_machine": False},
    )
    dialects = {"openai": type("Quiet", (OpenAICompatible,), {"default_urls": ()})()}
    mark = fingerprint(settings, [place.base_url for place in places(settings, dialects)])
    models = (ServedModel(id="phi4", context_window=2**59, size_bytes=1, loaded=True),)
    endpoint = Endpoint(**{"name": "desk", "provider": "openai", "base_url": configured, "models": models} | said)
    state = StateFile(folder)
    state.update(lambda old: old.with_look(mark, Look(seen_at=1_700_000_000.0, endpoints=(endpoint,))))
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url}")
        return httpx.Response(404)

    async with Router(settings, providers=dialects, transport=httpx.MockTransport(answer), state=state) as router:
        for wish in ({}, {"model": "phi4"}, {"service": "desk"}):
            async with aclosing(router.stream(Request(question="why?", **wish))) as events:
                with pytest.raises(LLMRouteError):
                    [event async for event in events]
    return asked


@pytest.mark.anyio
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("configured", [URL, FORBIDDEN, "http://gpu.example:8000"])
async def test_a_file_that_lies_sends_nothing_to_a_forbidden_address(tmp_path: Path, lie: str, configured: str):
    asked = await asked_after(tmp_path, configured, **LIES[lie])
    assert all(line.split(" ")[1].startswith(f"{URL}/") for line in asked)


@pytest.mark.anyio
async def test_a_file_that_tells_the_truth_is_believed(tmp_path: Path):
    """Otherwise those that lie would prove nothing."""
    asked = await asked_after(tmp_path, URL)
    assert asked[0] == f"POST {URL}/v1/chat/completions"
