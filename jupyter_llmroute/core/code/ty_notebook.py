"""`TyNotebook`: `ty server` as it runs, and what it was told of a notebook's cells and of the project's files.

The cells are a notebook of the protocol's, with addresses of our own; no file is written. A cell that nobody sees
follows them, in which the names stand that are asked about, so that they mean what they mean at the notebook's end.
"""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from jupyter_llmroute.core.code.lsp import CHANGED, CREATED, DELETED, LanguageServer
from jupyter_llmroute.core.code.notebook_cell import Place, reachable
from jupyter_llmroute.core.code.project import Stamp, python_files

MOST_CHARACTERS = 60_000
"""Of the newest cells, which `ty` is told; it follows each name through all of them, and a long notebook takes long."""

_NOTEBOOK = "llmroute-cells.ipynb"
_SCHEME = "llmroute-cell:"
_PASSED_ON = frozenset("APPDATA HOME LOCALAPPDATA SYSTEMROOT TEMP TMPDIR USERPROFILE".split())

PROBE = f"{_SCHEME}probe"
"""Address of the cell that nobody sees."""


class Position(NamedTuple):
    """A place in a cell, as the protocol has it."""

    uri: str
    line: int
    """Counted from 0."""
    column: int

    def params(self) -> dict[str, Any]:
        """Return it as a request has it."""
        return {"textDocument": {"uri": self.uri}, "position": {"line": self.line, "character": self.column}}


def position(cell: str, place: Place) -> Position:
    """Return a place of a cell."""
    return Position(uri_of(cell), place[0] - 1, place[1])


def uri_of(cell: str) -> str:
    """Return the address of a cell, whose id may hold anything."""
    return _SCHEME + cell.encode("utf-8", "surrogatepass").hex()


def cell_of(uri: str) -> str | None:
    """Return the id of the cell that an address names; `None` where it is none."""
    if uri.startswith(_SCHEME) and uri != PROBE:
        with suppress(ValueError):
            return bytes.fromhex(uri.removeprefix(_SCHEME)).decode("utf-8", "surrogatepass")
    return None


class TyNotebook:
    """A running `ty`, and the notebook that it knows.

    Parameters
    ----------
    root
        The project's root, without symbolic links in it.
    ty
        The program.
    prefix
        The environment that imports are looked for in.
    sys_path
        Where imports are looked for besides.
    """

    def __init__(self, root: Path, ty: Path, *, prefix: str, sys_path: Sequence[str]) -> None:
        self.root = root
        self.path = root / _NOTEBOOK
        """Where the notebook would lie; there is no such file."""
        programs = os.path.join(prefix, "Scripts" if sys.platform == "win32" else "bin")
        environment = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
        settings = {"python": prefix, "extra-paths": list(_extra_paths(root, sys_path))}
        self._server = LanguageServer(
            [str(ty), "server"],
            root=root,
            environment=environment | {"VIRTUAL_ENV": prefix, "PATH": programs},
            configuration={"configuration": {"environment": settings}, "diagnosticMode": "openFilesOnly"},
            name="ty",
        )
        self._cells: dict[str, str] | None = None
        """As they were told."""
        self._version = 0
        self._files: dict[str, Stamp] = {}

    async def start(self) -> Self:
        """Wait until it can be asked.

        Raises
        ------
        CodeUnavailable
            It is of another version than ours, or does not answer; it is ended then.
        """
        await self._server.__aenter__()
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._server.pid

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._server.is_lost

    async def close(self) -> None:
        """End it."""
        await self._server.close()

    async def tell(self, cells: Mapping[str, str]) -> None:
        """Tell it the cells as they are, and which files of the project have changed."""
        newest = _newest(cells)
        if self._cells is None or newest != list(self._cells.items()):
            self._tell_cells(dict(newest))
        files = await asyncio.to_thread(python_files, self.root)
        if self._files and (changes := list(self._changes(files))):
            self._server.notify("workspace/didChangeWatchedFiles", {"changes": changes})
        self._files = files

    def probe(self, text: str) -> Position:
        """Write a text into the cell that nobody sees, and return its end."""
        self._version += 1
        document = {"uri": PROBE, "version": self._version}
        change = {"cells": {"textContent": [{"document": document, "changes": [{"text": text}]}]}}
        notebook = {"uri": self.path.as_uri(), "version": self._version}
        self._server.notify("notebookDocument/didChange", {"notebookDocument": notebook, "change": change})
        return Position(PROBE, 0, len(text))

    async def ask(self, method: str, params: Mapping[str, Any], *, limit_s: float) -> Any:
        """Ask it something, as the protocol has it.

        Raises
        ------
        CodeUnavailable
            It refuses, takes too long, or is gone.
        """
        return await self._server.request(method, params, timeout_s=limit_s)

    async def at(self, place: Position, method: str, *, limit_s: float, **more: Any) -> Any:
        """Ask it something about a place; `more` is what the request has besides.

        Raises
        ------
        CodeUnavailable
            As for `ask`.
        """
        return await self.ask(f"textDocument/{method}", place.params() | more, limit_s=limit_s)

    def knows(self, cell: str) -> bool:
        """Whether it was told a cell; of a long notebook only the newest."""
        return self._cells is not None and cell in self._cells

    def _tell_cells(self, cells: dict[str, str]) -> None:
        notebook = self.path.as_uri()
        if self._cells is not None:
            before = [{"uri": uri} for uri in (*map(uri_of, self._cells), PROBE)]
            closed = {"notebookDocument": {"uri": notebook}, "cellTextDocuments": before}
            self._server.notify("notebookDocument/didClose", closed)
        self._cells = cells
        self._version += 1
        texts = [*((uri_of(cell), reachable(source)) for cell, source in cells.items()), (PROBE, "")]
        opened = {
            "notebookDocument": {
                "uri": notebook,
                "notebookType": "jupyter-notebook",
                "version": self._version,
                "cells": [{"kind": 2, "document": uri} for uri, _ in texts],
            },
            "cellTextDocuments": [
                {"uri": uri, "languageId": "python", "version": self._version, "text": text} for uri, text in texts
            ],
        }
        self._server.notify("notebookDocument/didOpen", opened)

    def _changes(self, files: Mapping[str, Stamp]) -> Iterator[dict[str, Any]]:
        before = self._files
        changed = {name for name in files.keys() & before.keys() if files[name] != before[name]}
        kinds = ((CHANGED, changed), (CREATED, files.keys() - before), (DELETED, before.keys() - files))
        for kind, names in kinds:
            yield from ({"uri": (self.root / name).as_uri(), "type": kind} for name in sorted(names))


def _newest(cells: Mapping[str, str]) -> list[tuple[str, str]]:
    left, newest = MOST_CHARACTERS, []
    for cell, source in reversed(list(cells.items())):
        left -= len(source)
        if left >= 0:
            newest.append((cell, source))
    return newest[::-1]


def _extra_paths(root: Path, sys_path: Sequence[str]) -> Iterator[str]:
    """Return where imports are looked for besides what `ty` knows of the environment and of the project."""
    known = {os.path.realpath(path) for path in sysconfig.get_paths().values()} | {str(root)}
    library = os.path.realpath(sysconfig.get_path("stdlib"))
    for folder in sys_path:
        path = os.path.realpath(folder)
        if folder and os.path.isdir(path) and path not in known and not Path(path).is_relative_to(library):
            yield folder
