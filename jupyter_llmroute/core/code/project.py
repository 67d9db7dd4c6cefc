"""The project that a notebook belongs to: its root, its Python files, the names that can be imported from it.

Nothing is run or written. What is hidden, installed or made by a build is not the project's own, and neither is what a
symbolic link leads to outside.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.settings_file import FILE_NAMES

MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")
"""What stands at the root of a project; the nearest folder with one of them is it."""

MAX_FILES = 5_000
MAX_FILE_BYTES = 2 << 20
MAX_BYTES = 128 << 20
"""Python files that are looked at, the size of each and of all of them; the rest is left out."""

MAX_ENTRIES = 200_000
"""Files and folders that are gone through: data may lie beside the code, a million files of it."""

SUFFIXES = (".py", ".pyi")

PACKAGE = "package:"
"""Begins the file of a finding outside the project; the module's dotted name follows."""

_NOT_OWN = frozenset(("__pycache__", "__pypackages__", "node_modules", "site-packages", "venv", "env", "virtualenv"))
_ENVIRONMENT = frozenset(("pyvenv.cfg", "conda-meta"))
"""What stands in the folder of an environment, whatever it is called."""

_BUILT = frozenset(("build", "dist"))
_NOT_IMPORTED = frozenset(("setup", "conftest", "noxfile", "tasks", "__main__", "__init__"))


class Stamp(NamedTuple):
    """What tells one state of a file from the next, without reading it."""

    modified_ns: int
    size: int


def stamp(path: Path) -> Stamp:
    """Return the state of a file.

    Raises
    ------
    OSError
        It is not there.
    """
    return _stamp(path.stat())


def _stamp(told: os.stat_result) -> Stamp:
    return Stamp(told.st_mtime_ns, told.st_size)


def find_root(folder: Path, workspace: Path | None = None, *, home: Path | None = None) -> Path | None:
    """Return the root of the project that a notebook belongs to.

    Parameters
    ----------
    folder
        Where the notebook lies.
    workspace
        What the user set; it is taken as it is, unless it is the root of a file system.
    home
        The user's home, which is no project by accident, and neither is what it lies in; default: of this user.

    Returns
    -------
    Path | None
        Without symbolic links in it; `None` where no folder upwards has a mark of a project.

    Raises
    ------
    SettingsError
        `workspace` is no folder, or the root of a file system.
    """
    if workspace is not None:
        return _chosen(workspace)
    try:
        start = folder.resolve()
        home = (home or Path.home()).resolve()
    except (OSError, RuntimeError, ValueError):
        return None
    shared = {home, *home.parents}
    upwards = [place for place in (start, *start.parents) if place not in shared and place != place.parent]
    for marks in (MARKS, FILE_NAMES):
        for place in upwards:
            if any(_exists(place / mark) for mark in marks):
                return place
    return None


def _chosen(workspace: Path) -> Path:
    with suppress(OSError, RuntimeError, ValueError):
        root = workspace.expanduser().resolve()
        if root.is_dir() and root != root.parent:
            return root
    raise SettingsError(
        f"serena.workspace is {str(workspace)!r}, which is no folder, or a whole file system: "
        "name the folder of a project, or leave it out."
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def is_inside(root: Path, path: Path | str) -> bool:
    """Whether a path, once symbolic links are followed, lies in the root; a relative one is meant from there.

    Examples
    --------
    >>> is_inside(Path("/srv/shop"), "src/../../other")
    False
    """
    return relative(root, path) is not None


def relative(root: Path, path: Path | str) -> str | None:
    """Return a path as it is written in questions, from the root and with `/`; `None` where it lies outside."""
    try:
        base = root.resolve()
        inside = (base / path).resolve().relative_to(base).as_posix()
        inside.encode()
    except (OSError, RuntimeError, ValueError):  # loops of links, null bytes, half characters
        return None
    return inside


def python_files(
    root: Path, *, max_files: int = MAX_FILES, max_file_bytes: int = MAX_FILE_BYTES, max_bytes: int = MAX_BYTES
) -> dict[str, Stamp]:
    """Return the project's Python files and their states, in the order of their names.

    Folders near the root come first, so that where there are too many, what is left out lies deepest.

    Parameters
    ----------
    root
        As `find_root` gave it.
    max_files, max_file_bytes, max_bytes
        How many there may be, and how long each and all of them.

    Returns
    -------
    dict[str, Stamp]
        By their names, which are relative to the root and have `/`.
    """
    chosen: dict[str, Stamp] = {}
    left = max_bytes
    for name, state in _stamped(root):
        if len(chosen) == max_files:
            break
        if state.size <= min(max_file_bytes, left):
            chosen[name] = state
            left -= state.size
    return dict(sorted(chosen.items()))


def _stamped(root: Path) -> Iterator[tuple[str, Stamp]]:
    """Go through the Python files, a level of folders after another."""
    level, entries, top = [""], 0, str(root)
    while level:
        deeper: list[str] = []
        for folder in level:
            inside = _entries(f"{top}/{folder}")
            if folder and not _ENVIRONMENT.isdisjoint(entry.name for entry in inside):
                continue
            entries += len(inside)
            if entries > MAX_ENTRIES:
                return
            for entry in inside:
                name = f"{folder}/{entry.name}" if folder else entry.name
                with suppress(OSError, UnicodeEncodeError):
                    if entry.is_dir(follow_symlinks=False):
                        if _is_own(entry):
                            name.encode()
                            deeper.append(name)
                    elif name.endswith(SUFFIXES) and entry.is_file() and _stays(root, entry):
                        name.encode()
                        yield name, _stamp(entry.stat())
        level = deeper


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_own(folder: os.DirEntry[str]) -> bool:
    name = folder.name
    if name.startswith(".") or name in _NOT_OWN or name.endswith(".egg-info"):
        return False
    return name not in _BUILT or os.path.isfile(os.path.join(folder.path, "__init__.py"))


def _stays(root: Path, entry: os.DirEntry[str]) -> bool:
    return not entry.is_symlink() or is_inside(root, entry.path)


def source_folders(root: Path) -> tuple[Path, ...]:
    """Return the folders that the project's imports start from: the root, `src`, what `pyproject.toml` names."""
    named = ["", "src", *_declared(root)]
    folders = dict.fromkeys(root / name for name in named if is_inside(root, name))
    return tuple(folder for folder in folders if folder.is_dir())


def _declared(root: Path) -> Iterator[str]:
    """Read from `pyproject.toml` where setuptools, Poetry and Hatch find packages."""
    try:
        path = root / "pyproject.toml"
        if path.stat().st_size > MAX_FILE_BYTES or not is_inside(root, path):
            return
        tool = _table(tomllib.loads(path.read_text(encoding="utf-8")), "tool")
    except (OSError, ValueError, RecursionError):
        return
    setuptools = _table(tool, "setuptools")
    yield from _texts(_table(setuptools, "package-dir").values())
    found = _table(_table(setuptools, "packages"), "find").get("where", ())
    yield from _texts(found if isinstance(found, list) else (found,))
    packages = _table(tool, "poetry").get("packages", ())
    yield from _texts(part.get("from") for part in packages if isinstance(part, dict))
    wheel = _table(_table(_table(_table(tool, "hatch"), "build"), "targets"), "wheel").get("packages", ())
    yield from (name.rpartition("/")[0] for name in _texts(wheel))


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _texts(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def module_names(root: Path, beside: Iterable[Path] = ()) -> frozenset[str]:
    """Return the top-level names that can be imported from the project.

    Parameters
    ----------
    root
        As `find_root` gave it.
    beside
        More folders that imports start from, such as the notebook's own.

    Returns
    -------
    frozenset[str]
        Modules, packages, and folders with Python files right in them; not `setup`, `conftest` and the like.
    """
    folders = dict.fromkeys((*source_folders(root), *beside))
    names = {name for folder in folders for name in _importable(root, folder)}
    roots = {folder.name for folder in folders if folder.parent in folders and not _exists(folder / "__init__.py")}
    return frozenset(names - roots)


def _importable(root: Path, folder: Path) -> Iterator[str]:
    for entry in _entries(folder):
        stem, dot, suffix = entry.name.partition(".")
        if not stem.isidentifier() or stem in _NOT_IMPORTED or not is_inside(root, entry.path):
            continue
        if _is_module(entry) if dot + suffix in SUFFIXES else not dot and _is_package(entry):
            yield stem


def _is_module(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry.path)


def _is_package(entry: os.DirEntry[str]) -> bool:
    if not os.path.isdir(entry.path) or not _is_own(entry):
        return False
    return any(inner.name.endswith(SUFFIXES) for inner in _entries(Path(entry.path)))


def installed_module(path: Path, folders: Iterable[str]) -> str:
    """Return the dotted name of a module that lies in one of the folders that imports are looked for in.

    Examples
    --------
    >>> installed_module(Path("/env/lib/numpy/linalg/__init__.py"), ["/env", "/env/lib"])
    'numpy.linalg'
    """
    inside = [path.relative_to(folder).parts for folder in folders if folder and path.is_relative_to(folder)]
    parts = min(inside, key=len, default=path.parts[-1:])
    return ".".join(parts).rpartition(".")[0].removesuffix(".__init__") or path.stem
