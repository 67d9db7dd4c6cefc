"""Imports go one way, and the core knows nothing of Jupyter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jupyter_llmroute"
CORE = "jupyter_llmroute.core"

LAYERS = (
    ("errors", "values", "task"),
    ("settings", "request", "sse", "ndjson", "tokens"),
    ("endpoint", "context", "cues"),
    ("policy", "prompt", "classifier", "catalog"),
    ("transport", "compaction", "selector"),
    ("events", "probe"),
    ("providers", "embedded"),
    ("discovery", "executor"),
    ("router",),
)
"""From the ground up: a module imports from its own layer and from those before it."""

JUPYTER = (
    "IPython",
    "ipykernel",
    "ipywidgets",
    "jupyter_client",
    "jupyter_core",
    "jupyter_server",
    "traitlets",
    "comm",
)


def room(name: str) -> str:
    return name.removeprefix(CORE + ".").split(".")[0]


def imports_of(path: Path) -> set[str]:
    """Modules of the core that a file imports, wherever in the file, except for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names


CORE_FILES = sorted((PACKAGE / "core").rglob("*.py"))


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_core_imports_only_what_stands_before_it(path: Path) -> None:
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    here = room(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    if here == "__init__":
        return
    above = {name for name in imports_of(path) if name.startswith(CORE + ".") and rank[room(name)] > rank[here]}
    assert not above


def test_every_room_of_the_core_has_its_layer() -> None:
    rooms = {
        path.stem if path.is_file() else path.name for path in (PACKAGE / "core").iterdir() if path.name[0] not in "_."
    }
    assert rooms - {"data"} == {name for layer in LAYERS for name in layer}


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


def called_in(path: Path) -> set[str]:
    """Names of what a file calls, as they are written."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("opens", ONE_DOOR)
def test_connections_are_opened_at_one_door(opens: str) -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if opens
        in {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call)
        }
        or opens in imports_of(path)
    }
    assert users == ONE_DOOR[opens]
