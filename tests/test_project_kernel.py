"""The project's code in a real kernel, with the real Serena: it starts behind the first question, and ends with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

from jupyter_llmroute.edit_offer import STARTING

from .code.test_real_serena import executable
from .core.code.test_code_source import project
from .scripted import Scripted, llamacpp, says
from .test_kernel import Kernel
from .test_project_code import ANSWER, CHANGED

__all__ = ["executable", "project"]

READY_S = 120


@pytest.fixture
def server() -> Iterator[Scripted]:
    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        yield server


@pytest.fixture
def start(project: Path, executable: Path, server: Scripted, tmp_path: Path) -> Iterator[Callable[[], Kernel]]:
    """Start a kernel in the project's notebook folder."""
    settings = tmp_path / "llmroute.yaml"
    settings.write_text(
        "discovery: {default_ports: false, host_machine: false}\nembedded: {enabled: false}\n"
        f"services: {{custom_endpoints: [{{name: s0, endpoint: '{server.url}'}}]}}\n"
    )
    own = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "LLMROUTE_HOME")}
    env = {
        **os.environ,
        **own,
        "LLMROUTE_SETTINGS": str(settings),
        "LLMROUTE_SERENA__EXECUTABLE": str(executable),
        "PYTHONPATH": os.pathsep.join((str(project / "src"), os.environ.get("PYTHONPATH", ""))),
    }
    kernels: list[Kernel] = []

    def started() -> Kernel:
        manager, client = start_new_kernel(kernel_name="python3", env=env, cwd=str(project / "notebooks"))
        kernels.append(Kernel(manager, client))
        kernels[-1].run("%load_ext jupyter_llmroute")
        return kernels[-1]

    yield started
    for kernel in kernels:
        kernel.client.stop_channels()
        kernel.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(start: Callable[[], Kernel]) -> Kernel:
    return start()


def serena_of(kernel: Kernel) -> list[psutil.Process]:
    pid = kernel.manager.provisioner.process.pid
    return [each for each in psutil.Process(pid).children(recursive=True) if "serena" in " ".join(each.cmdline())]


def ready(kernel: Kernel) -> None:
    """Have Serena started by a question, and wait until it answers."""
    kernel.run("%%route\nwho calls Order.total?")
    until = time.monotonic() + READY_S
    while "Serena is ready" not in (said := kernel.run("%llm_serena").last["text/plain"]):
        assert time.monotonic() < until, said


def test_nothing_is_started_before_a_question_needs_it(kernel: Kernel) -> None:
    kernel.run("%%route\nhello")
    assert serena_of(kernel) == []
    first = kernel.run("%%route\nwho calls Order.total?").last["text/plain"]
    assert first
    assert serena_of(kernel)


def test_serena_answers_lives_through_interrupts_and_changes_files(kernel: Kernel, project: Path) -> None:
    kernel.run("from shop import Order")
    ready(kernel)
    pids = {each.pid for each in serena_of(kernel)}
    shown = kernel.run("%llm_context --symbol Order.total who uses it?").last["text/plain"]
    assert "Code of mon café: Serena" in shown
    stopped = kernel.run("display('here')\nwhile True: pass", lambda bundle: True)
    assert stopped.status == "error"
    assert {each.pid for each in serena_of(kernel)} >= pids, "an interrupt leaves it alive"
    before = (project / "src" / "shop" / "orders.py").read_text()
    applied = kernel.run("%%route --apply --yes\nmake Order.total safe, rename checkout to pay")
    said = [bundle["text/plain"] for bundle in applied.bundles]
    assert STARTING in said, "the first change waits for the session that may change files"
    assert said[said.index(STARTING) + 1] == "", "the line goes away"
    assert (project / "src" / "shop" / "orders.py").read_text() == CHANGED
    assert "def pay(path)" in (project / "src" / "shop" / "cart.py").read_text()
    kernel.run("%llm_undo")
    assert (project / "src" / "shop" / "orders.py").read_text() == before
    assert sorted(path.name for path in project.iterdir()) == ["notebooks", "pyproject.toml", "src"]


def test_two_kernels_of_one_project_both_answer_and_leave_nothing(
    start: Callable[[], Kernel], project: Path, tmp_path: Path
) -> None:
    both = (start(), start())
    orders = project / "src" / "shop" / "orders.py"
    before = orders.read_text()
    for kernel in both:
        kernel.run("%%route\nwho calls Order.total?")
    for kernel in both:
        ready(kernel)
        shown = kernel.run("%llm_context --symbol Order.total who uses it?").last["text/plain"]
        assert "Code of mon café: Serena" in shown
    for kernel in both:
        kernel.run("%%route --apply --yes\nmake Order.total safe, rename checkout to pay")
        assert orders.read_text() == CHANGED
        kernel.run("%llm_undo")
        assert orders.read_text() == before, "what the other one applied and took back is seen"
    running = [process for kernel in both for process in serena_of(kernel)]
    # Each has one of its own for questions, and one for changes.
    assert len([each for each in running if "start-mcp-server" in each.cmdline()]) == 4
    for kernel in both:
        kernel.manager.shutdown_kernel()
    _, alive = psutil.wait_procs(running, timeout=60)
    assert alive == []
    homes = tmp_path / "LLMROUTE_HOME"
    assert [path for path in homes.rglob("*") if path.suffix in (".session", ".restart")] == []
    assert sorted(path.name for path in project.iterdir()) == ["notebooks", "pyproject.toml", "src"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_with_a_killed_kernel_nothing_stays(kernel: Kernel) -> None:
    ready(kernel)
    # A child outlives the kernel, and has what it had open.
    kernel.run(
        "import multiprocessing as m, time\nchild = m.get_context('fork').Process(target=time.sleep, args=(300,))"
    )
    kernel.run("child.start()")
    child = kernel.value("child.pid")
    left = serena_of(kernel)
    assert left
    try:
        os.kill(kernel.manager.provisioner.process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(left, timeout=60)
        assert alive == []
    finally:
        psutil.Process(child).kill()
