import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from jupyter_llmroute.core.embedded import EmbeddedBackend, Running, is_installed, read_header
from jupyter_llmroute.core.embedded.rendezvous import Rendezvous
from jupyter_llmroute.core.errors import MissingExtra, ServerFailure, SettingsError
from jupyter_llmroute.core.sections import EmbeddedSettings

GRACE_S = 0.3
CLIENT = f"""
import asyncio, os, sys
from pathlib import Path
from jupyter_llmroute.core.embedded import EmbeddedBackend, read_header
from jupyter_llmroute.core.sections import EmbeddedSettings

model, state, idle_timeout_s, forks = sys.argv[1:]
settings = EmbeddedSettings(threads=1, idle_timeout_s=float(idle_timeout_s))
with EmbeddedBackend(settings, Path(state), grace_s={GRACE_S}) as backend:
    pid = asyncio.run(backend.ensure(read_header(Path(model)))).pid
    if forks == "forks" and os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print(pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path, embedded_extra):
    """A state folder; whatever server it leads to at the end is stopped."""
    folder = tmp_path / "state"
    yield folder
    asyncio.run(EmbeddedBackend(EmbeddedSettings(), folder).stop())


def backend(state: Path, **settings: object) -> EmbeddedBackend:
    return EmbeddedBackend(EmbeddedSettings(**{"threads": 1, **settings}), state, grace_s=GRACE_S)


def client(model: Path, state: Path, *, idle_timeout_s: float = 900, forks: str = "") -> subprocess.Popen[bytes]:
    arguments = [str(model), str(state), str(idle_timeout_s), forks]
    return subprocess.Popen([sys.executable, "-c", CLIENT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def started(process: subprocess.Popen[bytes]) -> psutil.Process:
    return psutil.Process(int(process.stdout.readline()))


def end(process: subprocess.Popen[bytes]) -> None:
    process.communicate()


def goes(*processes: psutil.Process) -> bool:
    return not psutil.wait_procs(processes, timeout=60)[1]


def children() -> set[psutil.Process]:
    """Processes of this one; those of other tests, which share servers, may be among them."""
    return set(psutil.Process().children())


def ask(running: Running, **body: object) -> httpx.Response:
    message = {"role": "user", "content": "a word that no log should hold: zwetschgendatschi"}
    with httpx.Client(trust_env=False, timeout=60) as http:
        return http.post(
            f"{running.url}/v1/chat/completions",
            json={"messages": [message], "max_tokens": 4, **body},
            headers={"Authorization": f"Bearer {running.key.get_secret_value()}"},
        )


def in_folder(folder: Path) -> list[str]:
    """What a server that is gone must not leave there."""
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".part", ".kept"))


def test_a_second_call_finds_the_same_server(state, tiny_model):
    async def twice():
        with backend(state) as one, backend(state) as other:
            first = await one.ensure(read_header(tiny_model))
            assert await one.ensure(read_header(tiny_model)) == first
            assert await other.ensure(read_header(tiny_model)) == first
            assert one.running() == other.running() == (first,)
            assert first.path == tiny_model
            assert first.model == "tiny"
            assert repr(first).count(first.key.get_secret_value()) == 0
            assert ask(first).json()["usage"]["completion_tokens"] > 0

    asyncio.run(twice())


def test_calls_at_once_start_one_server(state, tiny_model):
    async def at_once():
        with backend(state) as one, backend(state) as other:
            found = await asyncio.gather(*(each.ensure(read_header(tiny_model)) for each in (one, other, one)))
            assert len({running.pid for running in found}) == 1

    asyncio.run(at_once())


def test_two_processes_share_a_server_that_goes_after_both(state, tiny_model):
    clients = [client(tiny_model, state) for _ in range(2)]
    servers = [started(each) for each in clients]
    assert servers[0] == servers[1]
    end(clients[0])
    assert [running.pid for running in backend(state).running()] == [servers[0].pid]
    end(clients[1])
    assert goes(servers[0])
    assert in_folder(state) == []


def test_a_killed_process_leaves_no_server(state, tiny_model):
    killed = client(tiny_model, state)
    server = started(killed)
    killed.kill()
    end(killed)
    assert goes(server)
    assert in_folder(state) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_of_a_killed_process_does_not_hold_the_server_for_ever(state, tiny_model):
    killed = client(tiny_model, state, idle_timeout_s=2, forks="forks")
    server = started(killed)
    killed.kill()
    assert goes(server)
    end(killed)


def test_an_idle_server_goes_though_it_is_held(state, tiny_model):
    with backend(state, idle_timeout_s=0.5) as held:
        server = psutil.Process(asyncio.run(held.ensure(read_header(tiny_model))).pid)
        assert goes(server)
        assert in_folder(state) == []
        again = asyncio.run(held.ensure(read_header(tiny_model)))
        assert again.pid != server.pid


def test_a_server_at_work_is_not_idle(state, tiny_model):
    with backend(state, idle_timeout_s=1) as held:
        running = asyncio.run(held.ensure(read_header(tiny_model)))
        answer = ask(running, max_tokens=3000, ignore_eos=True).json()
    assert answer["usage"]["completion_tokens"] == 3000


def test_stop_ends_one_or_all_and_says_which(state, tiny_model, tmp_path):
    (tmp_path / "other.gguf").symlink_to(tiny_model)

    async def stop():
        with backend(state) as held:
            one, other = [await held.ensure(read_header(path)) for path in (tiny_model, tmp_path / "other.gguf")]
            assert {one.model, other.model} == {"tiny", "other"}
            servers = [psutil.Process(running.pid) for running in (one, other)]
            assert await held.stop(os.getpid()) == ()
            assert await held.stop(one.pid) == (one,)
            assert goes(servers[0])
            assert held.running() == (other,)
            assert await held.stop() == (other,)
            assert goes(servers[1])
            assert held.running() == ()
            assert in_folder(state) == []

    asyncio.run(stop())


@pytest.mark.skipif(os.name != "posix", reason="SIGSTOP")
def test_a_server_that_hangs_is_named_and_can_be_stopped(state, tiny_model):
    async def hang():
        with backend(state) as first, backend(state) as second:
            server = psutil.Process((await first.ensure(read_header(tiny_model))).pid)
            server.suspend()
            # Returns when the last of its threads has stopped.
            await asyncio.to_thread(os.waitpid, server.pid, os.WUNTRACED)
            with pytest.raises(ServerFailure, match=f"process {server.pid}.* does not answer"):
                await second.ensure(read_header(tiny_model))
            assert [running.pid for running in await second.stop()] == [server.pid]
            assert goes(server)

    asyncio.run(hang())


def test_sigterm_ends_a_server_and_its_record(state, tiny_model):
    with backend(state) as held:
        server = psutil.Process(asyncio.run(held.ensure(read_header(tiny_model))).pid)
        server.terminate()
        assert goes(server)
        assert held.running() == ()
        assert in_folder(state) == []


def test_a_killed_server_is_replaced(state, tiny_model):
    with backend(state) as held:
        server = psutil.Process(asyncio.run(held.ensure(read_header(tiny_model))).pid)
        server.kill()
        assert goes(server)
        assert len(in_folder(state)) == 1
        assert asyncio.run(held.ensure(read_header(tiny_model))).pid != server.pid


def test_a_record_of_a_process_id_that_is_somebody_elses_now(state, tiny_model):
    meeting = Rendezvous.of(tiny_model, state)
    meeting.open()
    stale = {
        "model": "tiny", "path": str(tiny_model), "url": "http://127.0.0.1:9", "key": "k", "pid": os.getpid(),
        "context_window": 512, "started_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    meeting.record.write_text(json.dumps(stale))
    with backend(state) as held:
        assert asyncio.run(held.stop(os.getpid())) == ()
        assert in_folder(state) == []
        meeting.record.write_text(json.dumps(stale))
        assert held.running() == ()
        meeting.record.write_text(json.dumps(stale))
        assert asyncio.run(held.ensure(read_header(tiny_model))).pid != os.getpid()


def test_a_server_of_another_version_is_replaced(state, tiny_model):
    with backend(state) as held:
        old = asyncio.run(held.ensure(read_header(tiny_model)))
        server = psutil.Process(old.pid)
        Rendezvous.of(tiny_model, state).record.write_text('{"format": "of next year"}')
        assert asyncio.run(held.ensure(read_header(tiny_model))).pid != server.pid
        assert goes(server)


def test_a_server_that_is_kept_has_its_mark_until_it_goes(state, tiny_model):
    meeting = Rendezvous.of(tiny_model, state)
    with backend(state) as first:
        running = asyncio.run(first.ensure(read_header(tiny_model), keep=True))
        assert meeting.kept.exists()
    with backend(state) as second:
        assert asyncio.run(second.ensure(read_header(tiny_model))).pid == running.pid
        asyncio.run(second.stop())
    assert in_folder(state) == []


@pytest.mark.parametrize("turns", [1, 2, 5, 1000])
def test_a_cancelled_start_leaves_nothing(state, tiny_model, turns):
    """Cancelled after so many turns of the loop: before, while and after the process is made."""

    async def cancel():
        with backend(state) as held:
            starting = asyncio.ensure_future(held.ensure(read_header(tiny_model)))
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            assert held.running() == ()

    before = children()
    asyncio.run(cancel())
    assert goes(*children() - before)
    assert in_folder(state) == []


def test_a_start_cancelled_while_the_model_is_read_ends_the_process(state, tiny_model):
    before = children()

    async def cancel():
        with backend(state) as held:
            starting = asyncio.ensure_future(held.ensure(read_header(tiny_model)))
            while not (started := children() - before):  # noqa: ASYNC110
                await asyncio.sleep(0)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            assert await asyncio.to_thread(goes, *started)
            assert (await held.ensure(read_header(tiny_model))).pid not in [child.pid for child in started]

    asyncio.run(cancel())


@pytest.mark.parametrize("length", [3_000_000, 20])
def test_a_broken_file_gives_one_short_error(state, tiny_model, tmp_path, length):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_model.read_bytes()[:length])
    header = read_header(tiny_model).model_copy(update={"path": broken, "name": "broken"})
    before = children()
    with backend(state) as held, pytest.raises(ServerFailure) as caught:
        asyncio.run(held.ensure(header))
    message = str(caught.value)
    assert repr(str(broken)) in message
    assert "\n" not in message
    assert len(message) < 700
    assert goes(*children() - before)
    assert in_folder(state) == []


def test_without_the_package(state, tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert not is_installed()
    with backend(state) as held, pytest.raises(MissingExtra, match=r"pip install \"jupyter-llmroute\[embedded\]\""):
        asyncio.run(held.ensure(read_header(tiny_model)))


def test_the_window_that_is_named_is_the_one_served(state, tiny_model):
    with backend(state, context_window=1000) as held:
        running = asyncio.run(held.ensure(read_header(tiny_model)))
        assert running.context_window == 768
        with httpx.Client(trust_env=False, headers=bearer(running)) as http:
            settings = http.get(f"{running.url}/props").json()["default_generation_settings"]
    assert settings["n_ctx"] == 768


def bearer(running: Running) -> dict[str, str]:
    return {"Authorization": f"Bearer {running.key.get_secret_value()}"}


def test_a_window_is_never_larger_than_the_trained_one(embedded, demo_model):
    assert embedded.context_window == 8192 == read_header(demo_model).trained_window


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/props", "/slots", "/metrics"])
def test_nothing_is_told_without_the_key(embedded, path):
    with httpx.Client(trust_env=False, base_url=embedded.url) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert http.request("POST" if "chat" in path else "GET", path, headers=headers, json={}).status_code == 401


def test_no_other_origin_is_allowed_and_there_is_no_page(embedded):
    headers = bearer(embedded) | {"Origin": "http://elsewhere.example"}
    with httpx.Client(trust_env=False, base_url=embedded.url, headers=headers) as http:
        for method in ("GET", "OPTIONS"):
            answer = http.request(method, "/v1/models")
            assert answer.headers.get("access-control-allow-origin", "") == ""
        assert http.get("/").status_code == 404


def test_only_the_loopback_listens(embedded):
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(embedded.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


def test_the_key_and_the_question_are_nowhere_to_be_read(state, tiny_model):
    with backend(state) as held:
        running = asyncio.run(held.ensure(read_header(tiny_model)))
        key = running.key.get_secret_value()
        assert len(key) > 40
        assert ask(running).status_code == 200
        server = psutil.Process(running.pid)
        assert not any(key in part for part in (*server.cmdline(), *server.environ().values()))
        meeting = Rendezvous.of(tiny_model, state)
        log = meeting.log.read_text()
        assert key not in log
        assert "zwetschgendatschi" not in log
        assert Path(server.cwd()) == state.resolve()
        if os.name == "posix":
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.rglob("*")}
            assert set(modes.values()) == {0o600, 0o700}
            assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_state_folder_that_cannot_be_used(tmp_path, tiny_model):
    (tmp_path / "file").touch()
    with backend(tmp_path / "file" / "state") as held, pytest.raises(SettingsError, match="LLMROUTE_HOME"):
        asyncio.run(held.ensure(read_header(tiny_model)))


@pytest.mark.skipif(os.name != "posix", reason="signals of a terminal")
def test_a_ctrl_c_in_the_kernels_terminal_does_not_reach_the_server(state, tiny_model):
    with backend(state) as held:
        running = asyncio.run(held.ensure(read_header(tiny_model)))
        assert os.getsid(running.pid) == running.pid
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
