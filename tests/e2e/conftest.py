"""A private JupyterLab on loopback and one headless Chromium, for the whole session."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from jupyter_llmroute.core.embedded import Running

from ..scripted import Scripted, llamacpp, says
from ..shown import NO_OTHERS

collect_ignore = [] if os.environ.get("LLMROUTE_TEST_FILM") else ["test_pictures.py"]
"""The film is made where somebody wants it."""

CHROMIUM = os.environ.get("LLMROUTE_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SETTINGS = Path(__file__).parents[1] / "data" / "embedded-only.yaml"

NODE = ("node", "nodejs", "npm", "npx", "corepack", "yarn")

CHROMIUM_ARGS = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

LAB_CONFIG = {
    "ServerApp": {"open_browser": False, "allow_root": True, "ip": "127.0.0.1", "port_retries": 0},
    "JupyterNotebookApp": {"expose_app_in_browser": True},
    "LabApp": {
        "expose_app_in_browser": True,  # window.jupyterapp: commands by id are steadier than menus
        "extension_manager": "readonly",  # the default one asks the package index
        "news_url": None,
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    },
}
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "checkForUpdates": False,
        "doNotDisturbMode": True,
        "fetchNews": "false",
    },
    "@jupyterlab/docmanager-extension/plugin.jupyterlab-settings": {"autosave": False},
    # Cells out of view must be in the page too.
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}

CODER, WRITER = "qwen2.5-coder-7b", "phi-4"
ANSWER = "Here it is:\n\n```python\nbuilt = [n * n for n in range(4)]\nprint(built)\n```\n\nIt prints squares."
TWO_SERVERS = """
services:
  {{custom_endpoints: [{{name: desk, endpoint: '{coder}'}}, {{name: studio, endpoint: '{writer}'}}], {others}}}
embedded: {{enabled: false}}
"""

KERNEL_READY = """async (timeout) => {
  const end = Date.now() + timeout;
  const app = window.jupyterapp;
  await app.restored;
  for (;;) {
    const context = app.shell.currentWidget?.sessionContext;
    if (context) {
      await context.ready;
      if (context.session?.kernel?.status === 'idle') return true;
    }
    if (Date.now() > end) throw new Error('kernel not idle: ' + context?.session?.kernel?.status);
    await new Promise(r => setTimeout(r, 50));
  }
}"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests last: while Playwright's loop is running, no other test could run one on this thread."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


@dataclass
class Lab:
    """The running JupyterLab."""

    url: str
    token: str
    root: Path
    log: list[str]
    pid: int


@pytest.fixture(scope="session")
def lab(embedded: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """With the embedded server alone."""
    with running_lab(tmp_path_factory.mktemp("lab"), SETTINGS) as running:
        yield running


@dataclass
class Desk:
    """A JupyterLab with two servers, of which the coder is better at coding, and the writer at everything else."""

    lab: Lab
    coder: Scripted
    writer: Scripted


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    base = tmp_path_factory.mktemp("desk")
    with llamacpp(says(ANSWER), model=CODER) as coder, llamacpp(says(ANSWER), model=WRITER) as writer:
        settings = base / "llmroute.yaml"
        settings.write_text(TWO_SERVERS.format(coder=coder.url, writer=writer.url, others=NO_OTHERS))
        with running_lab(base, settings) as running:
            yield Desk(running, coder, writer)


@contextmanager
def running_lab(base: Path, settings_file: Path) -> Iterator[Lab]:
    """Run a JupyterLab of its own below a folder; kernels and server have the settings of the file."""
    root, config, settings = base / "root", base / "config", base / "settings"
    for folder in (root, config):
        folder.mkdir()
    (config / "jupyter_server_config.json").write_text(json.dumps(LAB_CONFIG))
    for name, value in LAB_SETTINGS.items():
        (settings / name).parent.mkdir(parents=True, exist_ok=True)
        (settings / name).write_text(json.dumps(value))
    token = secrets.token_hex(16)
    env = {
        **os.environ,
        "PATH": path_without_node(base / "bin"),
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(base / "data"),
        "JUPYTER_RUNTIME_DIR": str(base / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
        "IPYTHONDIR": str(base / "ipython"),
        "JUPYTER_TOKEN": token,  # not on the command line, where `ps` shows it
        "LLMROUTE_SETTINGS": str(settings_file),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", f"--ServerApp.port={_free_port()}"]
    process = subprocess.Popen(command, env=env, cwd=base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log: list[str] = []
    listening = threading.Event()
    reader = threading.Thread(target=_follow, args=(process, log, listening))
    reader.start()
    try:
        listening.wait(120)
        url = next((found.group() for line in log if (found := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
        if not url or process.poll() is not None:
            pytest.fail("JupyterLab did not start:\n" + "".join(log[-60:]))
        yield Lab(url, token, root, log, process.pid)
    finally:
        process.terminate()  # the server ends its kernels itself
        process.wait(30)
        reader.join(30)
        process.stdout.close()  # type: ignore[union-attr]


def path_without_node(links: Path) -> str:
    """Return PATH without what builds front ends: a folder that holds any of it is replaced by links to the rest."""
    folders = []
    for number, folder in enumerate(map(Path, os.environ["PATH"].split(os.pathsep))):
        if any((folder / name).exists() for name in NODE):
            rest = links / str(number)
            rest.mkdir(parents=True)
            for program in folder.iterdir():
                if program.name not in NODE:
                    (rest / program.name).symlink_to(program)
            folder = rest
        folders.append(str(folder))
    path = os.pathsep.join(folders)
    assert [name for name in NODE if shutil.which(name, path=path)] == []
    return path


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _follow(process: subprocess.Popen[str], log: list[str], listening: threading.Event) -> None:
    """Keep what the server says, and tell when it says that it listens, or that it ended."""
    for line in process.stdout or ():
        log.append(line)
        if re.search(r"http://127\.0\.0\.1:\d+", line):
            listening.set()
    listening.set()


@pytest.fixture(scope="session")
def browser(lab: Lab) -> Iterator[Browser]:
    """Start after all that runs a loop of its own on this thread: Playwright keeps one running until it is closed."""
    if not CHROMIUM:
        required = os.environ.get("LLMROUTE_TEST_REQUIRE", "")
        (pytest.fail if required == "all" or "browser" in required else pytest.skip)("no browser: install chromium")
    expect.set_options(timeout=60_000)  # of milliseconds; a busy machine needs more than the usual five seconds
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def requests_seen(page: Page) -> list[str]:
    """Addresses that the page asked for, from now on."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    return seen


@pytest.fixture
def errors_seen(page: Page) -> list[str]:
    """Errors of the page, from now on."""
    seen: list[str] = []
    page.on("pageerror", lambda error: seen.append(f"{error}\n{error.stack}"))
    page.on("console", lambda message: seen.append(message.text) if message.type == "error" else None)
    return seen


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which screenshots are kept, one of the test's own where nobody named any."""
    folder = Path(os.environ.get("LLMROUTE_TEST_SHOTS") or tmp_path / "shots")
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("LLMROUTE_TEST_SHOTS", str(folder))
    return folder


@pytest.fixture
def open_notebook(page: Page, lab: Lab, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Open a copy of a tour, since the session of a path outlives its page; wait until its kernel answers."""

    return lambda name: opened(page, lab, name, request.node.name)


def opened(page: Page, lab: Lab, name: str, whose: str) -> Path:
    """Open a copy of a tour in a Lab, and wait until its kernel answers."""
    copy = lab.root / f"{whose}-{name}"
    shutil.copy(NOTEBOOKS / name, copy)
    page.goto(f"{lab.url}/lab/tree/{copy.name}?reset&token={lab.token}")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    page.evaluate(KERNEL_READY, 60_000)
    return copy
