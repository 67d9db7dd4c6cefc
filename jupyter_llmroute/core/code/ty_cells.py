"""`TyCells`: what `ty` knows of the notebook's own cells as they stand, unsaved; no file is written.

The cells are told to `ty server` as a notebook of its protocol, with addresses of our own; a cell that nobody sees
follows them, in which the names stand that are asked about, so that they mean what they mean at the notebook's end.
`ty` reads code and runs none.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import sysconfig
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.jsonrpc import PeerLost
from jupyter_llmroute.core.code.lsp import CHANGED, CREATED, DELETED, LanguageServer, path_of
from jupyter_llmroute.core.code.notebook_cell import CELL, Place, cell_symbols, first_name, places
from jupyter_llmroute.core.code.project import PACKAGE, Stamp, installed_module, python_files, relative
from jupyter_llmroute.core.code.source_file import Unreadable, decode, read_bytes
from jupyter_llmroute.core.code.symbols import Symbol, innermost, known_symbols, pattern
from jupyter_llmroute.core.errors import CodeUnavailable

LIMIT_S = 3.0
"""Seconds that one answer may take, once `ty` is started."""

IDLE_S = 900.0
"""Seconds without a question after which it is ended."""

MOST_TRIED = 5
"""Places of a name that are asked about, until one is known."""

_NOTEBOOK = "llmroute-cells.ipynb"
_SCHEME = "llmroute-cell:"
_PROBE = f"{_SCHEME}probe"
_SAYS_NOTHING = frozenset(("", "Never", "Unknown", "Divergent"))
_SEVERITIES = {1: "error", 2: "warning", 3: "information"}
"""Hints, such as of what is unused, are left out: in a notebook it is used later."""

_NORMAL_CODES = frozenset("unused-import unused-expression unused-variable redefinition redefined-while-unused".split())
_NORMAL_WORDS = re.compile(r"`(?:await|async with|async for|async)\b.*outside|\bunused (?:expression|import)|redefin")
_UNDEFINED = re.compile(r"Name `(.+)` used when not defined")
_OF_IPYTHON = re.compile(r"_{1,3}|_i{0,3}|_i?\d+|_[do]h|_exit_code|In|Out|get_ipython|display|exit|quit")
_KINDS = (("class ", "class"), ("def ", "function"), ("async def ", "function"), ("bound method ", "method"))
_PASSED_ON = frozenset("APPDATA HOME LOCALAPPDATA SYSTEMROOT TEMP TMPDIR USERPROFILE".split())


class _Position(NamedTuple):
    """A place in a cell, as the protocol has it."""

    uri: str
    line: int
    column: int

    def params(self) -> dict[str, Any]:
        return {"textDocument": {"uri": self.uri}, "position": {"line": self.line, "character": self.column}}


class _Found(NamedTuple):
    """A text that a location lies in."""

    file: str
    symbols: Sequence[Symbol]
    lines: Sequence[str]


class TyCells:
    """What `ty` knows of the cells of one notebook.

    Parameters
    ----------
    root
        The project that the notebook belongs to, or the notebook's own folder.
    ty
        The program; `None` where there is none.
    prefix
        The environment that imports are looked for in: `sys.prefix` of the kernel.
    sys_path
        Where imports are looked for besides; default: as it is here when `ty` is started.
    limit_s
        Seconds that one answer may take, once `ty` is started.
    idle_s
        Seconds without a question after which it is ended; the next one starts it again.

    Examples
    --------
    >>> async def type_of(name, cells, root, ty):
    ...     async with TyCells(root, ty) as code:
    ...         await code.open(cells)
    ...         return await code.find(CodeQuestion(ask=Ask.DOCUMENTATION, name_path=name))
    """

    source = Source.TY
    asks = frozenset((Ask.DEFINITION, Ask.DOCUMENTATION, Ask.REFERENCES, Ask.CALLERS, Ask.DIAGNOSTICS, Ask.OVERVIEW))

    def __init__(
        self,
        root: Path,
        ty: Path | None,
        *,
        prefix: str = sys.prefix,
        sys_path: Sequence[str] | None = None,
        limit_s: float = LIMIT_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._root = Path(os.path.realpath(root))
        self._ty = ty
        self._prefix = prefix
        self._sys_path = sys_path
        self._limit_s = limit_s
        self._idle_s = idle_s
        self._cells: dict[str, str] = {}
        self._names: frozenset[str] = frozenset()
        self._server: LanguageServer | None = None
        self._told: dict[str, str] = {}
        """The cells as the server was told them."""
        self._version = 0
        self._files: dict[str, Stamp] = {}
        self._one = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """The running process; `None` where there is none."""
        return self._server.pid if self._server and not self._server.is_lost else None

    async def close(self) -> None:
        """End `ty`; it is started again where something is asked."""
        if self._idle:
            self._idle.cancel()
        async with self._one:
            await self._end()

    async def open(self, cells: Sequence[tuple[str, str]], names: Collection[str] = ()) -> None:
        """Take the cells as they stand now; nothing is started for it.

        Parameters
        ----------
        cells
            Ids and sources of the cells of code, in the order in which they were run or stand.
        names
            What is bound in the kernel besides; it is not said to be undefined.
        """
        self._cells = dict(cells)
        self._names = frozenset(names)

    async def find(self, question: CodeQuestion) -> tuple[Finding, ...]:
        """Return what is found, in the order of the cells, then by file, each by line.

        Raises
        ------
        CodeUnavailable
            `ty` is not installed, failed or took too long; or the question is about a file of the project's.
        """
        answer = _ANSWERS.get(question.ask)
        if answer is None:
            raise CodeUnavailable(f"ty cannot tell {question.ask.value!r} of cells: ask somebody else.")
        if question.file and question.file.removeprefix(CELL) not in self._cells:
            raise CodeUnavailable(f"{question.file!r} is no cell of this notebook: ask Serena, or jedi, about files.")
        async with self._one:
            try:
                found = await self._asked(answer, question)
            except PeerLost:  # it ended between two questions
                found = await self._asked(answer, question)
        order = {CELL + cell: number for number, cell in enumerate(self._cells)}
        found = sorted(found, key=lambda one: (order.get(one.file, len(order)), one.file, one.first_line))
        return tuple(dict.fromkeys(found))

    async def _asked(self, answer: _Answer, question: CodeQuestion) -> list[Finding]:
        server = await self._ready()
        self._rest()
        return await answer(self, server, question)

    # -- the server ------------------------------------------------------------------------------------------------

    async def _ready(self) -> LanguageServer:
        """Return the server, started, and with the cells and files as they are now."""
        if self._server is None or self._server.is_lost:
            await self._end()
            self._server = await self._started()
        if self._told != self._cells:
            self._tell_cells(self._server)
        await self._tell_files(self._server)
        return self._server

    async def _started(self) -> LanguageServer:
        if self._ty is None:
            raise CodeUnavailable("ty is not installed: `jupyter-llmroute serena install` brings it.")
        programs = os.path.join(self._prefix, "Scripts" if sys.platform == "win32" else "bin")
        environment = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
        settings = {"environment": {"python": self._prefix, "extra-paths": list(self._extra_paths())}}
        server = LanguageServer(
            [str(self._ty), "server"],
            root=self._root,
            environment=environment | {"VIRTUAL_ENV": self._prefix, "PATH": programs},
            configuration={"configuration": settings, "diagnosticMode": "openFilesOnly"},
            name="ty",
        )
        return await server.__aenter__()

    async def _end(self) -> None:
        server, self._server = self._server, None
        self._told = {}
        self._files = {}
        if server:
            await server.close()

    def _rest(self) -> None:
        """End the server some time after the last question."""
        if self._idle:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    def _end_idle(self) -> None:
        self._ending = asyncio.create_task(self.close())

    def _folders(self) -> Sequence[str]:
        return sys.path if self._sys_path is None else self._sys_path

    def _extra_paths(self) -> Iterator[str]:
        """Return where imports are looked for besides what `ty` knows of the environment and of the project."""
        known = {os.path.realpath(path) for path in sysconfig.get_paths().values()} | {str(self._root)}
        for folder in self._folders():
            if folder and os.path.isdir(folder) and os.path.realpath(folder) not in known:
                if not os.path.realpath(folder).startswith(sysconfig.get_path("stdlib")):
                    yield folder

    def _tell_cells(self, server: LanguageServer) -> None:
        notebook = (self._root / _NOTEBOOK).as_uri()
        cells = [*((self._uri(cell), source) for cell, source in self._cells.items()), (_PROBE, "")]
        if self._told:
            before = [{"uri": uri} for uri in (*map(self._uri, self._told), _PROBE)]
            server.notify(
                "notebookDocument/didClose", {"notebookDocument": {"uri": notebook}, "cellTextDocuments": before}
            )
        self._version += 1
        server.notify(
            "notebookDocument/didOpen",
            {
                "notebookDocument": {
                    "uri": notebook,
                    "notebookType": "jupyter-notebook",
                    "version": self._version,
                    "cells": [{"kind": 2, "document": uri} for uri, _ in cells],
                },
                "cellTextDocuments": [
                    {"uri": uri, "languageId": "python", "version": self._version, "text": text} for uri, text in cells
                ],
            },
        )
        self._told = dict(self._cells)

    async def _tell_files(self, server: LanguageServer) -> None:
        """Tell the server which files of the project have changed since it was last asked."""
        files = await asyncio.to_thread(python_files, self._root)
        if self._files:
            changed = [name for name in files.keys() & self._files.keys() if files[name] != self._files[name]]
            told = [(CHANGED, changed), (CREATED, files.keys() - self._files), (DELETED, self._files.keys() - files)]
            changes = [
                {"uri": (self._root / name).as_uri(), "type": what} for what, names in told for name in sorted(names)
            ]
            if changes:
                server.notify("workspace/didChangeWatchedFiles", {"changes": changes})
        self._files = files

    def _uri(self, cell: str) -> str:
        # An id may hold anything; its place in the notebook is an address as well.
        return f"{_SCHEME}{cell.encode().hex()}"

    def _cell(self, uri: str) -> str | None:
        """Return the id of the cell that an address names; `None` where it is none of ours."""
        if not uri.startswith(_SCHEME) or uri == _PROBE:
            return None
        with suppress(ValueError):
            cell = bytes.fromhex(uri.removeprefix(_SCHEME)).decode()
            return cell if cell in self._cells else None
        return None

    async def _positioned(self, server: LanguageServer, method: str, position: _Position, **more: Any) -> Any:
        return await server.request(f"textDocument/{method}", position.params() | more, timeout_s=self._limit_s)

    # -- where a name stands ---------------------------------------------------------------------------------------

    def _positions(self, server: LanguageServer, question: CodeQuestion) -> Iterator[_Position]:
        """Go through the places to ask about: where the question says; else the notebook's end, then newest first."""
        asked = pattern(question.name_path)
        cells = [question.file.removeprefix(CELL)] if question.file else list(reversed(self._cells))
        if question.line is not None and question.file:
            for place in self._on_line(cells[0], question):
                yield _position(self._uri(cells[0]), place)
            return
        if not asked.parts:
            return
        if not question.file:
            dotted = ".".join(part.partition("[")[0] for part in asked.parts)
            self._version += 1
            server.notify(
                "notebookDocument/didChange",
                {
                    "notebookDocument": {"uri": (self._root / _NOTEBOOK).as_uri(), "version": self._version},
                    "change": {
                        "cells": {
                            "textContent": [
                                {
                                    "document": {"uri": _PROBE, "version": self._version},
                                    "changes": [{"text": dotted}],
                                }
                            ]
                        }
                    },
                },
            )
            yield _Position(_PROBE, 0, len(dotted))
        for cell in cells:
            yield from (_position(self._uri(cell), place) for place in places(self._cells[cell], asked))

    def _on_line(self, cell: str, question: CodeQuestion) -> list[Place]:
        source, asked = self._cells[cell], pattern(question.name_path)
        if asked.parts:
            return [place for place in places(source, asked) if place[0] == question.line]
        defined = [symbol for symbol in cell_symbols(cell, source) if symbol.name_line == question.line]
        if defined:
            return [(defined[0].name_line, defined[0].name_column)]
        first = first_name(source, question.line or 0)
        return [first] if first else []

    async def _first(
        self, server: LanguageServer, question: CodeQuestion, method: str, is_known: Callable[[Any], bool] = bool
    ) -> tuple[_Position, Any] | None:
        """Ask about one place after another until one is known."""
        for tried, position in enumerate(self._positions(server, question)):
            if tried == MOST_TRIED:
                break
            told = await self._positioned(server, method, position)
            if is_known(told):
                return position, told
        return None

    # -- answers ---------------------------------------------------------------------------------------------------

    async def _definition(self, server: LanguageServer, question: CodeQuestion) -> list[Finding]:
        found = await self._first(server, question, "definition")
        return await self._defined(question, found[1]) if found else []

    async def _defined(self, question: CodeQuestion, locations: Any) -> list[Finding]:
        texts = await self._texts(locations)
        findings = []
        for location in locations:
            text, line = texts[location["uri"]], location["range"]["start"]["line"] + 1
            last = location["range"]["end"]["line"] + 1
            symbol = next((symbol for symbol in text.symbols if symbol.name_line == line), None)
            first, last = (symbol.first_line, symbol.last_line) if symbol else (line, last)
            findings.append(
                Finding(
                    ask=question.ask,
                    name_path=symbol.name_path if symbol else _as_path(question.name_path),
                    kind=symbol.kind if symbol else "module" if line == last == 1 and not text.lines else "variable",
                    file=text.file,
                    first_line=first,
                    last_line=last,
                    body="\n".join(text.lines[first - 1 : last]),
                    source=Source.TY,
                )
            )
        return findings

    async def _documentation(self, server: LanguageServer, question: CodeQuestion) -> list[Finding]:
        found = await self._first(server, question, "hover", lambda told: _hover(told) not in _SAYS_NOTHING)
        if not found:
            return []
        position, told = found
        locations = await self._positioned(server, "definition", position) or []
        where = await self._defined(question, locations[:1])
        info = _hover(told)
        kind = next((kind for start, kind in _KINDS if info.startswith(start)), "variable")
        at = where[0] if where else None
        return [
            Finding(
                ask=question.ask,
                name_path=_as_path(question.name_path) or (at.name_path if at else ""),
                kind=kind,
                file=at.file if at else question.file or f"{PACKAGE}builtins",
                first_line=at.first_line if at else 1,
                last_line=at.last_line if at else 1,
                info=info,
                source=Source.TY,
            )
        ]

    async def _references(self, server: LanguageServer, question: CodeQuestion) -> list[Finding]:
        locations = await self._used(server, question)
        texts = await self._texts(locations)
        return [
            _use(question.ask, texts[location["uri"]], location["range"]["start"]["line"] + 1) for location in locations
        ]

    async def _callers(self, server: LanguageServer, question: CodeQuestion) -> list[Finding]:
        """Return who calls: of the project by the call hierarchy, which leaves out cells; of these by their uses."""
        found = await self._first(server, question, "prepareCallHierarchy")
        if not found:
            return []
        calls: list[Any] = []
        for item in found[1]:
            told = await server.request("callHierarchy/incomingCalls", {"item": item}, timeout_s=self._limit_s)
            calls += [call["from"] for call in told or [] if path_of(call["from"]["uri"]) != self._root / _NOTEBOOK]
        texts = await self._texts(calls)
        callers = [_caller(question.ask, texts[call["uri"]], call["selectionRange"]["start"]["line"]) for call in calls]
        uses = [location for location in await self._used(server, question) if self._cell(location["uri"]) is not None]
        texts = await self._texts(uses)
        for use in uses:
            text, end = texts[use["uri"]], use["range"]["end"]
            if text.lines[end["line"]][end["character"] :].lstrip().startswith("("):
                callers.append(_caller(question.ask, text, end["line"]))
        return callers

    async def _used(self, server: LanguageServer, question: CodeQuestion) -> list[Any]:
        for tried, position in enumerate(self._positions(server, question)):
            if tried == MOST_TRIED:
                break
            told = await self._positioned(server, "references", position, context={"includeDeclaration": False})
            if told:
                return [location for location in told if location["uri"] != _PROBE]
        return []

    async def _diagnostics(self, server: LanguageServer, question: CodeQuestion) -> list[Finding]:
        asked = pattern(question.name_path)
        findings: list[Finding] = []
        for cell in [question.file.removeprefix(CELL)] if question.file else self._cells:
            params = {"textDocument": {"uri": self._uri(cell)}}
            told = await server.request("textDocument/diagnostic", params, timeout_s=self._limit_s)
            symbols = cell_symbols(cell, self._cells[cell])
            lines = self._cells[cell].split("\n")
            for remark in (told or {}).get("items", []):
                first, last = (remark["range"][side]["line"] + 1 for side in ("start", "end"))
                inside = innermost(symbols, first)
                around = [symbol for symbol in symbols if symbol.first_line <= first <= symbol.last_line]
                if self._is_normal(remark) or (asked.parts and not any(map(asked.matches, around))):
                    continue
                if question.line is not None and not first <= question.line <= last:
                    continue
                findings.append(
                    Finding(
                        ask=question.ask,
                        name_path=inside.name_path if inside else "",
                        kind=_SEVERITIES[remark["severity"]],
                        file=CELL + cell,
                        first_line=first,
                        last_line=last,
                        body="\n".join(lines[first - 1 : last]),
                        # What follows names folders of this machine.
                        info=remark["message"].partition("\n\n")[0],
                        source=Source.TY,
                    )
                )
        return findings

    def _is_normal(self, remark: Mapping[str, Any]) -> bool:
        """Whether a remark is about what is usual in notebooks, or is none at all."""
        if remark.get("severity") not in _SEVERITIES or remark.get("code") in _NORMAL_CODES:
            return True
        if _NORMAL_WORDS.search(remark["message"]):
            return True
        undefined = _UNDEFINED.match(remark["message"])
        return undefined is not None and (
            undefined[1] in self._names or _OF_IPYTHON.fullmatch(undefined[1]) is not None
        )

    async def _overview(self, server: LanguageServer, question: CodeQuestion) -> list[Finding]:
        """Return what cells define; `ty` tells less of it than the text does."""
        return [
            Finding(
                ask=question.ask,
                name_path=symbol.name_path,
                kind=symbol.kind,
                file=symbol.file,
                first_line=symbol.first_line,
                last_line=symbol.last_line,
                info=" — ".join(filter(None, (symbol.signature, symbol.summary))),
                source=Source.AST,
            )
            for cell in ([question.file.removeprefix(CELL)] if question.file else self._cells)
            for symbol in cell_symbols(cell, self._cells[cell])
        ]

    # -- texts -----------------------------------------------------------------------------------------------------

    async def _texts(self, locations: Iterable[Mapping[str, Any]]) -> dict[str, _Found]:
        """Return the texts that locations lie in, by their addresses."""
        uris = {location["uri"] for location in locations}
        return await asyncio.to_thread(lambda: {uri: self._text(uri) for uri in uris})

    def _text(self, uri: str) -> _Found:
        cell = self._cell(uri)
        if cell is not None:
            source = self._cells[cell]
            return _Found(CELL + cell, cell_symbols(cell, source), source.split("\n"))
        path = path_of(uri)
        if path is None:  # what `ty` brings along: the standard library's types
            name = uri.rpartition("/")[2]
            return _Found(PACKAGE + name.partition(".")[0], (), ())
        file = relative(self._root, path) or PACKAGE + installed_module(path, self._folders())
        try:
            text = decode(read_bytes(path))
        except Unreadable:
            return _Found(file, (), ())
        return _Found(file, known_symbols(text, file), text.split("\n"))


_Answer = Callable[[TyCells, LanguageServer, CodeQuestion], Awaitable[list[Finding]]]

_ANSWERS: Mapping[Ask, _Answer] = {
    Ask.DEFINITION: TyCells._definition,
    Ask.DOCUMENTATION: TyCells._documentation,
    Ask.REFERENCES: TyCells._references,
    Ask.CALLERS: TyCells._callers,
    Ask.DIAGNOSTICS: TyCells._diagnostics,
    Ask.OVERVIEW: TyCells._overview,
}


def _position(uri: str, place: Place) -> _Position:
    return _Position(uri, place[0] - 1, place[1])


def _as_path(name: str) -> str:
    return "/".join(pattern(name).parts)


def _hover(told: Any) -> str:
    """Return what a hover says, without the line between signature and docstring."""
    text = ((told or {}).get("contents") or {}).get("value", "")
    return re.sub(r"\n-{3,}\n", "\n\n", text).strip()


def _use(ask: Ask, text: _Found, line: int) -> Finding:
    inside = innermost(text.symbols, line)
    return Finding(
        ask=ask,
        name_path=inside.name_path if inside else "",
        kind=inside.kind if inside else "module",
        file=text.file,
        first_line=line,
        last_line=line,
        body="\n".join(text.lines[max(0, line - 2) : line + 1]),
        source=Source.TY,
    )


def _caller(ask: Ask, text: _Found, line: int) -> Finding:
    """Return the function that a line stands in; the line alone where it stands in none."""
    functions = [symbol for symbol in text.symbols if symbol.kind in ("function", "method", "property")]
    inside = innermost(functions, line + 1)
    first, last = (inside.first_line, inside.last_line) if inside else (line + 1, line + 1)
    return Finding(
        ask=ask,
        name_path=inside.name_path if inside else "",
        kind=inside.kind if inside else "module",
        file=text.file,
        first_line=first,
        last_line=last,
        body="\n".join(text.lines[first - 1 : last]),
        info=inside.signature if inside else "",
        source=Source.TY,
    )
