"""What many tests share, made once: models, a home of their own, one running server."""

from __future__ import annotations

import asyncio
import os
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import psutil
import pytest

from jupyter_llmroute.core.embedded import (
    EmbeddedBackend,
    Running,
    fetch_demo,
    is_installed,
    models_folder,
    read_header,
)
from jupyter_llmroute.core.errors import NoModelFile
from jupyter_llmroute.core.sections import EmbeddedSettings

# A machine that is shared may take any time for an example. CI judges a change by the same examples each time; new
# ones are found where people work.
hypothesis.settings.register_profile("shared", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("shared")
# So may it for a server's answer to a look around; a test that waits for none names its own limit.
os.environ.setdefault("LLMROUTE_LIMITS__SCAN_S", "30")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares what is slow to make, where several processes run the tests: files, and all browsers.

    The order is kept, in which the browser tests come last.
    """
    browsers = Path(__file__).parent / "e2e"
    for item in items:
        group = "browsers" if browsers in item.path.parents else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def _do_without(what: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where `LLMROUTE_TEST_REQUIRE` says that `what` must be there."""
    required = os.environ.get("LLMROUTE_TEST_REQUIRE", "")
    (pytest.fail if what in required or required == "all" else pytest.skip)(f"no {what}: {reason}")


def _own_servers(base: Path) -> list[psutil.Process]:
    """Embedded servers that tests of this session started: those whose state lies below `base`."""
    found = []
    for process in psutil.process_iter():
        try:
            if "jupyter_llmroute.core.embedded.server" in process.cmdline() and process.cwd().startswith(str(base)):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="session", autouse=True)
def no_server_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the session if a server that it started outlives it."""
    base = tmp_path_factory.getbasetemp().resolve()
    yield
    _, left = psutil.wait_procs(_own_servers(base), timeout=30)
    for process in left:
        process.kill()
    assert not left


@pytest.fixture(autouse=True)
def no_state_of_the_users(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what tests see and learn of servers away from what the user's own programs know."""
    if "LLMROUTE_HOME" not in os.environ:
        monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The demonstration model, fetched where it is not there yet."""
    try:
        return fetch_demo()
    except NoModelFile as error:
        _do_without("backend", str(error))


@pytest.fixture(scope="session")
def tiny_model(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 14 MiB with random weights: a real server's instant, meaningless answers."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    # By its path: a package named "tests" may be installed.
    runpy.run_path(str(Path(__file__).with_name("tiny_gguf.py")))["write_tiny_model"](demo_model, path)
    return path


@pytest.fixture(scope="session")
def embedded_extra() -> None:
    """The package that the embedded backend runs on."""
    if not is_installed():
        _do_without("backend", 'pip install "jupyter-llmroute[embedded]"')


@pytest.fixture(scope="session")
def embedded_home(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A `LLMROUTE_HOME` of the session's own, which holds the demonstration model."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMROUTE_HOME", str(home))
        models_folder().mkdir()
        try:
            (models_folder() / demo_model.name).symlink_to(demo_model)
        except OSError:
            shutil.copyfile(demo_model, models_folder() / demo_model.name)
        yield home


@pytest.fixture(scope="session")
def embedded(embedded_extra: None, embedded_home: Path, demo_model: Path) -> Iterator[Running]:
    """One running server of the demonstration model."""
    header = read_header(models_folder() / demo_model.name)
    with EmbeddedBackend(EmbeddedSettings(threads=1)) as backend:
        yield asyncio.run(backend.ensure(header))
        asyncio.run(backend.stop())
