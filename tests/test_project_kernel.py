"""The project's code in a real kernel, with the real Serena: it starts behind the first question, and ends with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

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
def kernel(project: Path, executable: Path, server: Scripted, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel in the project's notebook folder."""
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
    manager, client = start_new_kernel(kernel_name="python3", env=env, cwd=str(project / "notebooks"))
    kernel = Kernel(manager, client)
    kernel.run("%load_ext jupyter_llmroute")
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)


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
    kernel.run("%%route --apply --yes\nmake Order.total safe, rename checkout to pay")
    assert (project / "src" / "shop" / "orders.py").read_text() == CHANGED
    assert "def pay(path)" in (project / "src" / "shop" / "cart.py").read_text()
    kernel.run("%llm_undo")
    assert (project / "src" / "shop" / "orders.py").read_text() == before
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
