"""A program of ours dies with us, whatever happens, and takes along what it started."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jupyter_llmroute.core.code.jsonrpc import MCP, Connection
from jupyter_llmroute.core.code.process import LOG_BYTES, Child
from jupyter_llmroute.core.errors import CodeUnavailable

pytestmark = pytest.mark.anyio

STARTS_ANOTHER = """
import subprocess, sys
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print('{"id": 1, "result": %d}' % other.pid, flush=True)
sys.stdin.read()
"""
STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"id": 1, "result": 0}', flush=True)
while True:
    time.sleep(1)
"""
OWNER = """
import asyncio, os, sys
from pathlib import Path
from jupyter_llmroute.core.code.process import Child

async def main():
    child = Child([sys.executable, "-c", "import time; time.sleep(600)"], environment={}, folder=Path(sys.argv[2]))
    if sys.argv[1] == "forks" and os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print(child.pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
WATCHED = """
import os, runpy, subprocess, sys
from jupyter_llmroute.core.code import process
watch = (
    "import runpy, sys; path, owner, *command = sys.argv[1:];"
    "sys.exit(runpy.run_path(path)['watch'](int(owner), command))"
)
path = os.path.join(os.path.dirname(process.__file__), "tied.py")
command = [sys.executable, "-c", watch, path, str(os.getpid()), sys.executable, "-c", sys.argv[1]]
watching = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
print(watching.stdout.readline().decode(), flush=True)
sys.exit(watching.wait() if sys.argv[2] == "waits" else sys.stdin.read())
"""
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}


@pytest.fixture
def anyio_backend():
    return "asyncio"


def python(code: str, folder: Path, **options: object) -> Child:
    return Child([sys.executable, "-c", code], environment=ENVIRONMENT, folder=folder, **options)


def start_owner(forks: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", OWNER, forks, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def first_words(child: Child) -> int:
    connection = Connection(child.stdout, child.stdin, MCP, name="Child")
    return await connection.request("anything", timeout_s=60)


async def test_closing_ends_what_it_started_as_well(tmp_path):
    async with python(STARTS_ANOTHER, tmp_path) as child:
        other = psutil.Process(await first_words(child))
    assert child.exit_code is not None
    await asyncio.to_thread(other.wait, 30)


async def test_what_a_program_leaves_behind_goes_with_it(tmp_path):
    async with python(STARTS_ANOTHER, tmp_path) as child:
        connection = Connection(child.stdout, child.stdin, MCP, name="Child")
        other = psutil.Process(await connection.request("anything", timeout_s=60))
        connection.close()
        await child.ended()
        await asyncio.to_thread(other.wait, 30)


async def test_a_program_that_does_not_want_to_end_is_ended(tmp_path):
    async with python(STUBBORN, tmp_path) as child:
        await first_words(child)
        await child.close(grace_s=0.01)
    assert child.exit_code == (-signal.SIGKILL if sys.platform != "win32" else 1)


async def test_closing_that_is_cancelled_ends_it_at_once(tmp_path):
    async with python(STUBBORN, tmp_path) as child:
        await first_words(child)
        closing = asyncio.ensure_future(child.close(grace_s=600))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await child.ended()


async def test_an_interrupt_of_ours_does_not_reach_it(tmp_path):
    async with python(STARTS_ANOTHER, tmp_path) as child:
        await first_words(child)
        if sys.platform != "win32":
            assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid


async def test_it_has_the_environment_that_is_given_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SECRET", "x")
    code = "import os, json; print(json.dumps({'id': 1, 'result': dict(os.environ)}), flush=True)"
    async with python(code, tmp_path) as child:
        names = set(await first_words(child))
    assert names - {"LC_CTYPE"} <= set(ENVIRONMENT)


async def test_its_words_are_kept_private_and_bounded(tmp_path):
    log = tmp_path / "program.log"
    code = (
        f"import sys\nfor n in range(40): sys.stderr.write(str(n) + 'x' * {LOG_BYTES // 10})\nsys.stderr.write('end')"
    )
    async with python(code, tmp_path, log=log) as child:
        await child.ended()
    assert log.read_bytes().endswith(b"end")
    logs = sorted(tmp_path.glob("*.log"))
    assert [path.name for path in logs] == ["program.before.log", "program.log"]
    assert sum(path.stat().st_size for path in logs) <= 2 * LOG_BYTES + 2 * (1 << 16)
    if sys.platform != "win32":
        assert {stat.S_IMODE(path.stat().st_mode) for path in logs} == {0o600}


async def test_a_program_that_is_not_there_is_named(tmp_path):
    async def start() -> None:
        async with Child([str(tmp_path / "none")], environment=ENVIRONMENT, folder=tmp_path / "nowhere"):
            pass

    with pytest.raises(CodeUnavailable, match="cannot be started"):
        await start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux's")
@pytest.mark.parametrize("forks", ["", "forks"])
async def test_it_dies_with_its_owner_however_that_dies(tmp_path, forks):
    owner = start_owner(forks, tmp_path)
    child = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    await asyncio.to_thread(child.wait, 30)
    owner.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="there is a job object instead")
async def test_where_there_is_no_such_signal_somebody_watches(tmp_path):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    owner = start_watched(code, "reads")
    child = psutil.Process(int(owner.stdout.readline()))
    tree = [child, child.parent()]
    owner.kill()
    owner.communicate()
    _, left = await asyncio.to_thread(psutil.wait_procs, tree, 30)
    assert not left


@pytest.mark.skipif(sys.platform == "win32", reason="there is a job object instead")
async def test_who_watches_ends_as_what_is_watched_does():
    owner = start_watched("import sys; print(1, flush=True); sys.exit(7)", "waits")
    assert await asyncio.to_thread(owner.wait, 30) == 7
    owner.communicate()


def start_watched(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WATCHED, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
