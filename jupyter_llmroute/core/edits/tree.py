"""`Tree`: the files of a project as they are at one moment, so that nothing can change unseen.

Watched are Python files, notebooks, and the small text files that language servers write. Links are followed: what an
editor reaches through them is watched too, wherever it lies. Bytes are read once; later only what looks changed is
read again.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jupyter_llmroute.core.edits.place import FOREIGN
from jupyter_llmroute.core.edits.text_file import PYTHON, TEMPORARY
from jupyter_llmroute.core.errors import EditRefused

WATCHED = (*PYTHON, ".ipynb", ".toml", ".cfg", ".ini", ".md", ".rst")

SKIPPED = FOREIGN | {
    ".git",
    ".hg",
    ".svn",
    ".venv",
    ".tox",
    ".nox",
    ".eggs",
    ".cache",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".serena",
}
"""Folders that no editor of symbols looks into."""

MOST_FILES = 50_000
MOST_BYTES = 256 << 20
MOST_ENTRIES = 500_000
MOST_BEHIND_LINK = 5_000
"""Entries of a folder that a link leads to; a data set behind one is not walked through."""

JUST_NOW_NS = 2_000_000_000
"""A file that was written this shortly before it was read is read again: some file systems count in seconds."""

_Mark = tuple[int, int, int, int]


class Seen(NamedTuple):
    """One file."""

    raw: bytes
    mode: int
    mark: _Mark
    """What changes when somebody writes it."""


class Tree(NamedTuple):
    """Files by their true paths."""

    home: Path
    files: dict[Path, Seen]
    names: dict[Path, str]
    """How each is called: relative to the root, by the link's name where it lies elsewhere."""
    links: dict[Path, str]
    """What is a link, and where it leads, as it is written."""
    whole: bool
    """Whether all of the project is watched, or only some files."""
    taken_ns: int
    also: tuple[Path, ...] = ()
    """Watched whatever they are called."""

    @classmethod
    def take(cls, home: Path, also: Iterable[Path] = (), *, whole: bool) -> Tree:
        """Read the files of a project.

        Parameters
        ----------
        home
            Its root, without links.
        also
            Files that are watched whatever they are called; they need not be there.
        whole
            Whether all the project's files are watched, or only those of `also`.

        Raises
        ------
        EditRefused
            There are too many, or one cannot be read.
        """
        tree = cls(home, {}, {}, {}, whole, time.time_ns(), tuple(also))
        total = 0
        for path in tree._walk(tree.also):
            total += path.stat().st_size if path.exists() else 0
            if len(tree.files) >= MOST_FILES or total > MOST_BYTES:
                raise _too_large(home)
            if (seen := _read(path)) is not None:
                tree.files[path] = seen
        return tree

    def changed(self) -> dict[Path, bytes | None]:
        """Return what is no more as it was, with what it holds now; `None` where it is gone."""
        now = Tree(self.home, {}, {}, {}, self.whole, self.taken_ns)
        found: dict[Path, bytes | None] = {}
        for path in now._walk(dict.fromkeys((*self.files, *self.also))):
            if (new := self._differing(path)) is not None:
                found[path] = new
                self.names.setdefault(path, now.names.get(path, path.name))
        return found | {path: None for path in self.files if not os.path.lexists(path)}

    def lost_links(self) -> list[Path]:
        """Return the links that are none any more, or lead elsewhere."""
        return [path for path, target in self.links.items() if _target(path) != target]

    def _differing(self, path: Path) -> bytes | None:
        old = self.files.get(path)
        try:
            mark = _mark(path.stat())
        except OSError:
            return None
        if old and mark == old.mark and mark[0] < self.taken_ns - JUST_NOW_NS:
            return None
        seen = _read(path)
        return seen.raw if seen and (old is None or seen.raw != old.raw) else None

    def _walk(self, also: Iterable[Path]) -> Iterator[Path]:
        for path in also:
            self.names.setdefault(path, _name(self.home, path))
            yield path
        if not self.whole:
            return
        for found, is_own in _watched(self.home, self.links):
            # Of what is found without following a link the path is the true one.
            true = Path(found if is_own else os.path.realpath(found))
            if true not in self.names and true.is_file():
                self.names[true] = _name(self.home, Path(found))
                yield true


def python_files(home: Path) -> dict[str, Path]:
    """Return the Python files of a project by name; links are left out."""
    found: dict[str, Path] = {}
    for text in _below(str(home), {}, [], Budget(MOST_ENTRIES)):
        if text.endswith(PYTHON) and not os.path.islink(text) and os.path.isfile(text):
            found[_name(home, Path(text))] = Path(text)
    return dict(sorted(found.items()))


class Budget:
    """How many entries of folders may still be looked at."""

    def __init__(self, left: int) -> None:
        self.left = left


def _watched(home: Path, links: dict[Path, str]) -> Iterator[tuple[str, bool]]:
    """Yield the watched files below a folder, each with whether no link led to it, and note the links.

    Folders behind links are looked into for a little.
    """
    linked: list[str] = []
    budget = Budget(MOST_ENTRIES)
    for path in _below(str(home), links, linked, budget):
        yield path, Path(path) not in links if links else True
    if not budget.left:
        raise _too_large(home)
    seen: set[str] = set()
    while linked:
        folder = linked.pop()
        true = os.path.realpath(folder)
        if true not in seen and not Path(true).is_relative_to(home):
            seen.add(true)
            for path in _below(folder, links, linked, Budget(MOST_BEHIND_LINK)):
                yield path, False


def _below(top: str, links: dict[Path, str], linked: list[str], budget: Budget) -> Iterator[str]:
    """Yield the watched files below a folder in a stable order; links to folders go into `linked`."""
    todo = [top]
    while todo:
        folder = todo.pop()
        entries = _entries(folder)
        if folder != top and not {"pyvenv.cfg", "conda-meta"}.isdisjoint(entry.name for entry in entries):
            continue  # an environment of Python's
        budget.left = max(0, budget.left - len(entries))
        if not budget.left:
            return
        for entry in entries:
            is_file_name = entry.name.endswith(WATCHED) and not entry.name.startswith(TEMPORARY)
            if entry.is_symlink():
                is_folder = entry.name not in SKIPPED and os.path.isdir(entry.path)  # a loop of links is none
                if is_file_name or is_folder:
                    links[Path(entry.path)] = _target(Path(entry.path)) or ""
                if is_folder:
                    linked.append(entry.path)
                    continue
            elif entry.is_dir():
                if entry.name not in SKIPPED:
                    todo.append(entry.path)
                continue
            if is_file_name:
                yield entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # gone meanwhile, or somebody else's
        return []


def _target(path: Path) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _name(home: Path, path: Path) -> str:
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)


def _read(path: Path) -> Seen | None:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return None
            return Seen(file.read(), stat.S_IMODE(found.st_mode), _mark(found))
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        raise EditRefused(
            f"{str(path)!r} cannot be read ({error.strerror}), so it could not be put back: nothing was changed. "
            f"Make it readable, or take it out of the project."
        ) from error


def _mark(found: os.stat_result) -> _Mark:
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)


def _too_large(home: Path) -> EditRefused:
    return EditRefused(
        f"The project {str(home)!r} has more than {MOST_FILES:,} files or {MOST_BYTES >> 20} MiB to watch over: "
        f"nothing was changed. Name a smaller folder as the project, or have whole files written."
    )
