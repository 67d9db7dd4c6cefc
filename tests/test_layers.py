"""Imports go one way, and the core knows nothing of Jupyter."""

import ast
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path, PurePosixPath

import pytest

PACKAGE = Path(__file__).parents[1] / "jupyter_llmroute"
OURS = "jupyter_llmroute"
CORE = f"{OURS}.core"

CORE_LAYERS = (
    ("errors", "values", "task", "chance"),
    (
        "item",
        "message",
        "provenance",
        "attachment",
        "secrets",
        "service_settings",
        "sections",
        "own_key",
        "settings_file",
        "settings_variables",
        "settings_problem",
        "settings",
        "request",
        "sse",
        "ndjson",
        "tokens",
        "thinking",
        "environment",
        "user_agent",
        "memory",
        "breaker",
        "speed",
        "lean",
        "pins",
        "feedback",
        "air_gap",
        "parsing",
    ),
    ("endpoint", "local_network", "context", "cues", "words", "asking"),
    ("dataflow", "statement_names", "cell_syntax", "asked", "cell_ranges", "cell_text"),
    ("ranking",),
    ("name_flow",),
    ("relevance",),
    ("cells_source",),
    ("naming", "history", "catalog_tables"),
    (
        "policy",
        "prompt",
        "reading",
        "features",
        "phrases",
        "weights",
        "evidence",
        "surroundings",
        "classifier",
        "catalog",
    ),
    ("likeness", "route", "doctor"),
    ("transport", "compaction", "snapshot", "scrubbing"),
    ("pinned", "selector", "fallback"),
    ("events", "probe"),
    ("providers", "embedded"),
    ("fitting", "state", "code", "edits", "sent", "audit"),
    ("recording",),
    ("cassette_file",),
    ("cassette",),
    ("lock_file", "unanswered", "answer"),
    ("file_digests",),
    ("discovery", "executor", "ledger", "arbiter", "model_lock", "doctor_facts"),
    ("lookout", "diagnosis", "checksums"),
    ("outlook",),
    ("router",),
    ("summaries",),
)
"""From the ground up: a module imports from its own layer and from those before it."""

OUTER_LAYERS = (
    (
        "",
        "__version__",
        "own_folders",
        "setting_types",
        "variables",
        "code_blocks",
        "inert",
        "forms",
        "response",
        "wording",
    ),
    ("facts", "table", "next_cell", "delivery", "assignments"),
    ("card", "edit_card"),
    ("view",),
    ("services", "terminal", "doctor_table", "why", "evaluation", "scorecard", "context_table"),
    ("models", "session_pins", "rating", "picker"),
    (
        "bridge",
        "edit_widget",
        "edit_log",
        "edit_offer",
        "cells",
        "places",
        "conversation",
        "lines",
        "traits",
        "options",
        "config",
    ),
    ("screen", "tracebacks"),
    ("ticker", "questions", "cassettes", "reports"),
    ("notebook",),
    ("workplace", "tour"),
    ("serena_cli", "audit_cli", "lock_cli", "doctor_cli", "route_cli", "classify_cli", "embedded_cli"),
    ("demo_cli",),
    ("widgets", "picker_widget", "cell_writer", "answer_widget", "session_magics", "magics", "cli", "server"),
)
"""On top of the core. The package itself, `""`, and its version may be read by all of these."""

APART = {
    "server": {
        *("screen", "ticker", "tracebacks", "questions", "cassettes", "reports"),
        *("notebook", "edit_offer", "widgets", "edit_widget", "picker_widget", "answer_widget"),
        *("session_magics", "magics"),
        *("cli", "route_cli", "classify_cli", "embedded_cli", "demo_cli"),
    }
}
"""The server and the faces of kernel and terminal stand side by side: neither imports the other."""

RANK = {
    room: number
    for number, layer in enumerate((*(tuple(f"core.{name}" for name in layer) for layer in CORE_LAYERS), *OUTER_LAYERS))
    for room in layer
}

JUPYTER = {
    "IPython",
    "ipykernel",
    "ipywidgets",
    "jupyter_client",
    "jupyter_core",
    "jupyter_server",
    "traitlets",
    "comm",
}

TYPE_CHECKING = {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def room(name: str) -> str:
    """Return the room of a module of ours: `"core.router"`, `"view"`; `""`, the package itself."""
    parts = name.split(".")[1:]
    return ".".join(parts[: 2 if parts[:1] == ["core"] else 1])


def imports_of(source: str, package: str = "", *, for_types: bool = False) -> set[str]:
    """Return what a text imports, wherever in it, as full names: of a module, or of what is taken from one.

    Parameters
    ----------
    source
        Python.
    package
        The one that holds the file, for imports with leading dots.
    for_types
        Whether what is imported for type checking alone counts too.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not for_types and isinstance(node, ast.If) and ast.unparse(node.test) in TYPE_CHECKING:
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def wrong_imports(source: str, file: str) -> set[str]:
    """Return the imports that a file of this text must not have.

    Parameters
    ----------
    source
        Python.
    file
        Where it stands in the package, as `"core/router.py"`.
    """
    path = PurePosixPath(OURS, file)
    package = ".".join(path.parent.parts)
    here = room(package if path.stem == "__init__" else f"{package}.{path.stem}")
    for_types = imports_of(source, package, for_types=True)
    wrong = {name for name in imports_of(source, package) if is_ours(name) and not may_import(here, room(name))}
    if package == CORE or package.startswith(CORE + "."):
        wrong |= {name for name in for_types if is_ours(name) and not name.startswith(CORE + ".")}
        wrong |= {name for name in for_types if name.split(".")[0] in JUPYTER}
    return wrong


def is_ours(name: str) -> bool:
    return name.split(".")[0] == OURS


def may_import(here: str, there: str) -> bool:
    """Whether one room may import another; the package's own hooks import any."""
    if there not in RANK or there in APART.get(here, ()) or here in APART.get(there, ()):
        return False
    return here == "" or RANK.get(here, -1) >= RANK[there]


FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES)
def test_a_file_imports_only_what_stands_before_it(file: str) -> None:
    assert not wrong_imports((PACKAGE / file).read_text("utf-8"), file)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("core/policy.py", "from jupyter_llmroute.core.router import Router"),
        ("core/policy.py", "from jupyter_llmroute.core import errors, router"),
        ("core/policy.py", "import jupyter_llmroute.core.router as above"),
        ("core/policy.py", "from .router import Router"),
        ("core/policy.py", "from . import router"),
        ("core/policy.py", "from jupyter_llmroute.core import *"),
        ("core/policy.py", "import jupyter_llmroute.core"),
        ("core/policy.py", "def late():\n    from jupyter_llmroute.core import router"),
        ("core/policy.py", "if not TYPE_CHECKING:\n    from .router import Router"),
        ("core/policy.py", "if TYPE_CHECKING:\n    pass\nelse:\n    from .router import Router"),
        ("core/embedded/model.py", "from ..router import Router"),
        ("core/embedded/__init__.py", "from jupyter_llmroute.core.executor import execute"),
        ("core/__init__.py", "from jupyter_llmroute.core.errors import LLMRouteError"),
        ("core/router.py", "from jupyter_llmroute.view import RunView"),
        ("core/router.py", "from jupyter_llmroute import inert"),
        ("core/router.py", "from .. import inert"),
        ("core/router.py", "from jupyter_llmroute import __version__"),
        ("core/router.py", "import jupyter_llmroute"),
        ("core/router.py", "if TYPE_CHECKING:\n    from jupyter_llmroute.view import RunView"),
        ("core/router.py", "from IPython.display import display"),
        ("core/router.py", "def late():\n    import ipywidgets.widgets"),
        ("inert.py", "from jupyter_llmroute.view import RunView"),
        ("view.py", "from jupyter_llmroute import terminal"),
        ("services.py", "from .screen import OutputScreen"),
        ("terminal.py", "import jupyter_llmroute.bridge"),
        ("bridge.py", "from jupyter_llmroute.magics import RouteMagics"),
        ("notebook.py", "def late():\n    from jupyter_llmroute.widgets import show_retry"),
        ("server/__init__.py", "from jupyter_llmroute.notebook import NotebookSession"),
        ("server/handlers.py", "from ..widgets import show_retry"),
        ("magics.py", "from jupyter_llmroute import server"),
        ("cli.py", "import jupyter_llmroute.server.handlers"),
        ("view.py", "from jupyter_llmroute import no_such_room"),
    ],
)
def test_a_wrong_import_is_found(file: str, source: str) -> None:
    assert wrong_imports(source, file)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("core/router.py", "from jupyter_llmroute.core import errors, executor"),
        ("core/router.py", "from .executor import execute\nimport httpx, asyncio"),
        ("core/providers/ollama.py", "from . import openai\nfrom ..embedded import find_models"),
        ("core/errors.py", "if TYPE_CHECKING:\n    from jupyter_llmroute.core.events import Attempt"),
        ("core/errors.py", "import typing\nif typing.TYPE_CHECKING:\n    from .events import Attempt"),
        ("view.py", "from jupyter_llmroute import __version__"),
        ("view.py", "from jupyter_llmroute.core.router import Router\nfrom jupyter_llmroute.inert import plain_line"),
        ("magics.py", "from jupyter_llmroute import widgets\nfrom IPython.core.magic import Magics"),
        ("cli.py", "import jupyter_llmroute\nfrom jupyter_llmroute.own_folders import own_folders"),
        ("server/handlers.py", "from . import panel\nfrom ..view import RunView"),
        ("__init__.py", "from jupyter_llmroute.magics import load"),
    ],
)
def test_a_right_import_is_let_be(file: str, source: str) -> None:
    assert not wrong_imports(source, file)


@pytest.mark.parametrize(("folder", "layers"), [("core", CORE_LAYERS), (".", OUTER_LAYERS)])
def test_every_room_has_its_layer(folder: str, layers: tuple[tuple[str, ...], ...]) -> None:
    rooms = {
        path.stem for path in (PACKAGE / folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert rooms - {"__init__", "core"} == {name for layer in layers for name in layer} - {"", "__version__"}


def test_core_brings_no_jupyter_along() -> None:
    code = f"import sys, {CORE}.router, {CORE}.embedded.process; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert set(loaded).isdisjoint(JUPYTER)


def test_loading_the_extension_brings_nothing_heavy() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance();"
        "s.run_line_magic('load_ext', 'jupyter_llmroute'); print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert set(loaded).isdisjoint({"httpx", "pydantic", "yaml", "ipywidgets", "jupyter_server", "filelock"})


ONE_DOOR = {
    "httpx.AsyncClient": {"core/transport.py"},
    "httpx.Client": set(),
    "httpx.get": set(),
    "httpx.post": set(),
    "urllib.request": set(),
    "requests": set(),
    "socket.create_connection": set(),
}


def opens_with(source: str, name: str) -> bool:
    """Whether a text calls this, as it is written, or imports it or something of it."""
    calls = (ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return name in calls or any(f"{found}.".startswith(f"{name}.") for found in imports_of(source))


@pytest.mark.parametrize("name", ONE_DOOR)
def test_connections_are_opened_at_one_door(name: str) -> None:
    assert {file for file in FILES if opens_with((PACKAGE / file).read_text("utf-8"), name)} == ONE_DOOR[name]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("httpx.Client", "import httpx\nhttpx.Client()"),
        ("httpx.AsyncClient", "from httpx import AsyncClient as Door"),
        ("urllib.request", "from urllib import request"),
        ("urllib.request", "from urllib.request import urlopen"),
        ("requests", "import requests.sessions"),
    ],
)
def test_a_second_door_is_found(name: str, source: str) -> None:
    assert opens_with(source, name)
