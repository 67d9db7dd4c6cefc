"""Changes of files in a real kernel: buttons of an answer that was asked for again, and a wait that is interrupted."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from jupyter_llmroute.edit_offer import STARTING, STOPPED
from jupyter_llmroute.view import ANSWER_MIME

from .core.code.conftest import Fake, fake_serena
from .core.code.test_code_source import project
from .scripted import Scripted, llamacpp, says
from .test_kernel import Kernel, Ran
from .test_project_code import ANSWER, CHANGED, sources

__all__ = ["fake_serena", "project"]

PRESS = """
from ipywidgets.widgets.widget import _instances
[button] = [each for each in _instances.values() if getattr(each, "description", "") == {name!r}]
button.click()
"""
READY = "Serena is ready"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        yield server


@pytest.fixture
def start(project: Path, server: Scripted, tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Start a kernel in the project's folder of notebooks."""
    settings = tmp_path / "llmroute.yaml"
    settings.write_text(
        "discovery: {default_ports: false, host_machine: false}\nembedded: {enabled: false}\n"
        f"services: {{custom_endpoints: [{{name: s0, endpoint: '{server.url}'}}]}}\n"
    )
    own = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "LLMROUTE_HOME")}
    kernels: list[Kernel] = []

    def started(**settings_of: str) -> Kernel:
        env = {**os.environ, **own, "LLMROUTE_SETTINGS": str(settings)}
        env |= {f"LLMROUTE_SERENA__{name.upper()}": value for name, value in settings_of.items()}
        manager, client = start_new_kernel(kernel_name="python3", env=env, cwd=str(project / "notebooks"))
        kernels.append(Kernel(manager, client))
        kernels[-1].run("%load_ext jupyter_llmroute")
        return kernels[-1]

    yield started
    for kernel in kernels:
        kernel.client.stop_channels()
        kernel.manager.shutdown_kernel(now=True)


def offered(ran: Ran) -> list[int]:
    """How many changes the cards say that wait."""
    return [bundle[ANSWER_MIME]["changes"] for bundle in ran.bundles if ANSWER_MIME in bundle]


def texts(ran: Ran) -> list[str]:
    return [bundle["text/plain"] for bundle in ran.bundles]


def test_the_answer_of_the_picker_has_buttons_of_its_own(start: Callable[..., Kernel], project: Path) -> None:
    kernel = start(enabled="false")
    kernel.run("%%route --apply\nmake Order.total safe and rename checkout to pay")
    before = sources(project)
    assert offered(kernel.run(PRESS.format(name="Discard"))) == [0], "its card offers nothing any more"
    reserved = kernel.run("%llm_retry").display_ids
    ran = kernel.run(PRESS.format(name="Retry"))
    assert any("+def pay(path):" in text for text in texts(ran))
    assert offered(ran)[-1] == 2
    assert ran.display_ids <= reserved, "a button's handler has no cell that an output could go to"
    assert sources(project) == before
    applied = kernel.run(PRESS.format(name="Apply"))
    assert any("Applied: change 1" in text for text in texts(applied))
    assert offered(applied) == [0]
    assert sources(project)["orders.py"] == CHANGED


def test_what_the_picker_was_told_is_said_where_it_stands(start: Callable[..., Kernel], server: Scripted) -> None:
    kernel = start(enabled="false")
    kernel.run("%%route --apply\nmake Order.total safe and rename checkout to pay")
    kernel.run("%llm_retry")
    server.script["POST /v1/chat/completions"] = [says("I would not.", prompt_tokens=900)]
    assert "The answer holds no change of a file." in texts(kernel.run(PRESS.format(name="Retry")))


@pytest.mark.skipif(sys.platform == "win32", reason="the fake is started by a script")
@pytest.mark.parametrize("by_button", [True, False])
def test_a_wait_for_serena_is_told_and_can_be_stopped(
    start: Callable[..., Kernel], project: Path, fake_serena: Callable[..., Fake], by_button: bool
) -> None:
    kernel = start(executable=str(fake_serena("never edits").executable))
    before = sources(project)
    kernel.run("%%route --apply\nmake Order.total safe and rename checkout to pay")
    while READY not in kernel.run("%llm_serena").last["text/plain"]:
        pass
    ran = kernel.run(
        PRESS.format(name="Apply") if by_button else "%llm_apply", lambda bundle: bundle["text/plain"] == STARTING
    )
    assert [text for text in texts(ran) if text] == [STARTING, STOPPED]
    assert sources(project) == before
    assert not list(project.rglob("*.llmroute*"))
    kernel.run("%llm_apply --as-shown")
    assert sources(project)["orders.py"] == CHANGED
