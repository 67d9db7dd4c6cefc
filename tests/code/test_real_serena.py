"""The real Serena on a sample project: what it says, what it leaves alone, and that nothing of it stays.

It is the one that `LLMROUTE_TEST_SERENA` names, or that of our own environment.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion
from jupyter_llmroute.core.code.installation import own_programs
from jupyter_llmroute.core.code.serena import Serena
from jupyter_llmroute.core.code.serena_life import Stage
from jupyter_llmroute.core.errors import EditRefused

from .sample import contents, write

pytestmark = pytest.mark.anyio

READY_S = 120
MODELS, PRICING, ETE = "shop/models.py", "shop/pricing.py", "shop/été.py"
OWN = own_programs()  # before a test has a data folder of its own
OWNER = """
import asyncio, os, sys
from pathlib import Path
from jupyter_llmroute.core.code.serena import Serena

async def main():
    root, executable, homes, when, forks = sys.argv[1:]
    serena = Serena(Path(root), executable=Path(executable), homes=Path(homes))
    serena.start()
    while serena.state.stage.value != when or not serena.state.pid:
        await serena.changed()
    if forks == "forks" and os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print(serena.state.pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def executable() -> Path:
    """The real Serena's program."""
    named = os.environ.get("LLMROUTE_TEST_SERENA")
    if named:
        return Path(named)
    if OWN:
        return OWN / "serena"
    required = os.environ.get("LLMROUTE_TEST_REQUIRE", "")
    stop = pytest.fail if "serena" in required or required == "all" else pytest.skip
    stop("no serena: install it with `jupyter-llmroute serena install`, or name it in LLMROUTE_TEST_SERENA")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, hostile=True)


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    return tmp_path / "homes"


def tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def brief(found):
    return [(one.file, one.first_line, one.kind, one.name_path) for one in found]


QUESTIONS = {
    CodeQuestion(ask=Ask.DEFINITION, name_path="Order.total"): [(MODELS, 28, "method", "Order/total")],
    CodeQuestion(ask=Ask.DEFINITION, file=MODELS, line=38): [(MODELS, 37, "method", "Order/note[1]")],
    CodeQuestion(ask=Ask.DEFINITION, file="shop/half.py", line=6): [("shop/half.py", 5, "function", "finished")],
    CodeQuestion(ask=Ask.DOCUMENTATION, name_path="compute_total"): [(PRICING, 26, "function", "compute_total")],
    CodeQuestion(ask=Ask.DEFINITION, name_path="prix_d_été", file=ETE): [(ETE, 5, "function", "prix_d_été")],
    CodeQuestion(ask=Ask.DEFINITION, name_path="models"): [],
    CodeQuestion(ask=Ask.REFERENCES, name_path="compute_total", file=PRICING): [
        ("shop/__main__.py", 5, "module", ""),
        (PRICING, 31, "constant", "CHEAPEST"),
        (ETE, 7, "function", "prix_d_été"),
    ],
    CodeQuestion(ask=Ask.IMPLEMENTATIONS, name_path="Policy"): [
        (PRICING, 14, "class", "FlatPolicy"),
        (PRICING, 19, "class", "DiscountPolicy"),
    ],
    CodeQuestion(ask=Ask.DIAGNOSTICS, file="shop/report.py"): [
        ("shop/report.py", 2, "error", ""),
        ("shop/report.py", 8, "error", "broken"),
        ("shop/report.py", 9, "error", "broken"),
        ("shop/report.py", 10, "error", "broken"),
    ],
}


async def test_a_hostile_project_is_answered_about_and_otherwise_left_alone(executable, project, homes):
    before = contents(project)
    async with Serena(project, executable=executable, homes=homes) as serena:
        await serena.ready(READY_S)
        processes = tree(serena.state.pid)
        answers = await asyncio.gather(*(serena.find(question) for question in QUESTIONS))
        for question, found in zip(QUESTIONS, answers, strict=True):
            assert brief(found) == QUESTIONS[question], question
        overview = await serena.find(CodeQuestion(ask=Ask.OVERVIEW, file=MODELS))
        assert len(overview) == 11
        # Nothing but pipes: no connection, and nobody listens.
        assert [process.net_connections("inet") for process in processes] == [[]] * len(processes)
    assert not any(process.is_running() for process in processes)
    assert contents(project) == before
    assert not (project / "PWNED").exists()
    assert not [name for name in contents(homes) if "PWNED" in name]


async def test_each_change_is_made_where_it_should(executable, project, homes):
    before = contents(project)
    async with Serena(project, executable=executable, homes=homes) as serena:
        await serena.rename(PRICING, "/compute_total", "payable")
        await serena.replace_body(
            MODELS, "Order.add", "def add(self, item: Item) -> None:\n        self.items += [item]"
        )
        await serena.insert_after(MODELS, "Order", "\nclass Refund:\n    pass\n")
        await serena.insert_before(MODELS, "/Item", "KINDS = 2\n\n")
        await serena.safe_delete(MODELS, "/Refund")
        await serena.replace_body(MODELS, "/Order/note[1]", "@note.setter\n    def note(self, words: str) -> None: ...")
        with pytest.raises(EditRefused, match="still used"):
            await serena.safe_delete(PRICING, "/payable")
    after = contents(project)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {MODELS, PRICING, ETE, "shop/__main__.py"}
    assert after[ETE] == before[ETE].replace(b"compute_total", b"payable")
    assert after[PRICING] == before[PRICING].replace(b"compute_total", b"payable")
    assert b"self.items += [item]" in after[MODELS]
    assert b"Refund" not in after[MODELS]
    assert b"KINDS = 2" in after[MODELS]
    setter = b"    @note.setter\n    def note(self, words: str) -> None: ...\n"
    assert b"        return self._note\n\n" + setter in after[MODELS]


ASKS_ONCE = f"""
import asyncio, sys
from pathlib import Path
from jupyter_llmroute.core.code.finding import Ask, CodeQuestion
from jupyter_llmroute.core.code.serena import Serena

async def main():
    root, executable, homes = map(Path, sys.argv[1:])
    async with Serena(root, executable=executable, homes=homes) as serena:
        await serena.ready({READY_S})
        print(len(await serena.find(CodeQuestion(ask=Ask.DEFINITION, name_path="Order"))))

asyncio.run(main())
"""


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, check=False, capture_output=True)


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
async def test_it_answers_where_there_is_no_network(executable, project, homes):
    if (await asyncio.to_thread(run, "unshare", "-rn", "true")).returncode:
        pytest.skip("no namespace can be made here")
    arguments = map(str, (project, executable, homes))
    done = await asyncio.to_thread(run, "unshare", "-rn", sys.executable, "-c", ASKS_ONCE, *arguments)
    assert done.stdout == b"1\n", done.stderr


@pytest.mark.skipif(not shutil.which("strace"), reason="calls of the system are traced by strace")
async def test_from_its_start_to_its_end_it_connects_to_nothing_and_listens_nowhere(
    executable, project, homes, tmp_path
):
    trace = tmp_path / "trace"
    arguments = map(str, (project, executable, homes))
    traced = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=socket,connect,bind,listen"]
    done = await asyncio.to_thread(run, *traced, sys.executable, "-c", ASKS_ONCE, *arguments)
    assert done.stdout == b"1\n", done.stderr
    lines = trace.read_text("utf-8").splitlines()
    # A library of Serena's tries at import whether ::1 can be bound, and closes that at once.
    assert not [line for line in lines if "listen(" in line or ("connect(" in line and "AF_INET" in line)]


@pytest.fixture
def owners() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that own a Serena; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for owner in started:
        owner.kill()
        owner.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux's")
@pytest.mark.parametrize(
    ("when", "forks"), [("ready", ""), ("ready", "forks"), ("starting", ""), ("starting", "forks")]
)
async def test_the_owners_sudden_death_leaves_nothing(executable, project, homes, owners, when, forks):
    owner = start_owner([str(project), str(executable), str(homes), when, forks])
    owners.append(owner)
    processes = tree(int(await asyncio.to_thread(owner.stdout.readline)))
    assert len(processes) >= (2 if when == "ready" else 1)
    owner.kill()
    _, left = await asyncio.to_thread(psutil.wait_procs, processes, 30)
    assert not left


def start_owner(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", OWNER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def test_the_language_servers_death_is_mended(executable, project, homes):
    async with Serena(project, executable=executable, homes=homes) as serena:
        await serena.ready(READY_S)
        _, *servers = tree(serena.state.pid)
        for server in servers:
            server.kill()
        question = CodeQuestion(ask=Ask.DEFINITION, name_path="Order", file=MODELS)
        assert brief(await serena.find(question, timeout_s=READY_S)) == [(MODELS, 19, "class", "Order")]
        assert serena.state.stage is Stage.READY
