"""`TyCells`: what `ty` knows of the notebook's own cells as they stand, unsaved; no file is written.

The cells are told to `ty server` as a notebook of its protocol, with addresses of our own; a cell that nobody sees
follows them, in which the names stand that are asked about, so that they mean what they mean at the notebook's end.
`ty` reads code and runs none.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from jupyter_llmroute.core.code import ty_findings
from jupyter_llmroute.core.code.closing import Closing
from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.jsonrpc import PeerLost
from jupyter_llmroute.core.code.lsp import path_of
from jupyter_llmroute.core.code.notebook_cell import CELL, Place, cell_symbols, first_name, places
from jupyter_llmroute.core.code.project import PACKAGE, Stamp, installed_module, relative, stamp
from jupyter_llmroute.core.code.source_file import Unreadable, decode, read_bytes
from jupyter_llmroute.core.code.symbols import innermost, known_symbols, pattern
from jupyter_llmroute.core.code.ty_findings import SAYS_NOTHING, SEVERITIES, Found
from jupyter_llmroute.core.code.ty_notebook import PROBE, Position, TyNotebook, cell_of, position, uri_of
from jupyter_llmroute.core.dataflow import names_of
from jupyter_llmroute.core.errors import CodeUnavailable

LIMIT_S = 3.0
"""Seconds that one answer may take, once `ty` is started."""

IDLE_S = 900.0
"""Seconds without a question after which it is ended."""

MOST_FOUND = 50
"""Findings in an answer; the first of them are told."""

MOST_TRIED = 5
"""Places of a name that are asked about, until one is known."""


class TyCells(Closing):
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
    asks = frozenset((Ask.DEFINITION, Ask.DOCUMENTATION, Ask.REFERENCES, Ask.CALLERS, Ask.DIAGNOSTICS))

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
        self._notebook: TyNotebook | None = None
        self._one = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running process; `None` where there is none."""
        return self._notebook.pid if self._notebook and not self._notebook.is_lost else None

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
        # Half characters cannot be sent; the lines of files end in one way, those of cells in theirs.
        clean = {cell: source.encode("utf-8", "replace").decode().replace("\r\n", "\n") for cell, source in cells}
        async with self._one:
            self._cells = clean
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
        return tuple(dict.fromkeys(found))[:MOST_FOUND]

    async def _asked(self, answer: _Answer, question: CodeQuestion) -> list[Finding]:
        notebook = await self._ready()
        self._rest()
        try:
            async with asyncio.timeout(self._limit_s):
                return await answer(self, notebook, question)
        except TimeoutError:
            raise CodeUnavailable(
                f"ty did not answer within {self._limit_s:g} s: ask again, or allow it more time."
            ) from None

    async def _ready(self) -> TyNotebook:
        """Return `ty`, started, and with cells and files as they are now."""
        if self._notebook is None or self._notebook.is_lost:
            await self._end()
            if self._ty is None:
                raise CodeUnavailable("ty is not installed: `jupyter-llmroute serena install` brings it.")
            notebook = TyNotebook(self._root, self._ty, prefix=self._prefix, sys_path=self._folders())
            self._notebook = await notebook.start()
        await self._notebook.tell(self._cells)
        return self._notebook

    async def _end(self) -> None:
        notebook, self._notebook = self._notebook, None
        if notebook:
            await notebook.close()

    def _rest(self) -> None:
        """End it some time after the last question."""
        if self._idle:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    def _end_idle(self) -> None:
        self._ending = asyncio.create_task(self.close())

    def _folders(self) -> Sequence[str]:
        return sys.path if self._sys_path is None else self._sys_path

    # -- where a name stands ---------------------------------------------------------------------------------------

    def _positions(self, notebook: TyNotebook, question: CodeQuestion) -> Iterator[Position]:
        """Go through the places to ask about: where the question says; else the notebook's end, then newest first."""
        asked = pattern(question.name_path)
        cells = [cell for cell in reversed(self._asked_cells(question)) if notebook.knows(cell)]
        if question.line is not None and question.file and cells:
            for place in self._on_line(cells[0], question):
                yield position(cells[0], place)
            return
        if not asked.parts:
            return
        if not question.file:
            yield notebook.probe(".".join(part.partition("[")[0] for part in asked.parts))
        for cell in cells:
            yield from (position(cell, place) for place in places(self._cells[cell], asked))

    def _asked_cells(self, question: CodeQuestion) -> list[str]:
        return [question.file.removeprefix(CELL)] if question.file else list(self._cells)

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
        self, notebook: TyNotebook, question: CodeQuestion, method: str, is_known: Callable[[Any], bool] = bool
    ) -> tuple[Position, Any] | None:
        """Ask about one place after another until one is known."""
        for place in islice(self._positions(notebook, question), MOST_TRIED):
            told = await notebook.at(place, method, limit_s=self._limit_s)
            if is_known(told):
                return place, told
        return None

    # -- answers ---------------------------------------------------------------------------------------------------

    async def _definition(self, notebook: TyNotebook, question: CodeQuestion) -> list[Finding]:
        found = await self._first(notebook, question, "definition")
        return await self._defined(question, found[1]) if found else []

    async def _defined(self, question: CodeQuestion, locations: Any) -> list[Finding]:
        texts = await self._texts(locations)
        return [ty_findings.definition(question, texts[location["uri"]], location["range"]) for location in locations]

    async def _documentation(self, notebook: TyNotebook, question: CodeQuestion) -> list[Finding]:
        found = await self._first(notebook, question, "hover", lambda told: ty_findings.hover(told) not in SAYS_NOTHING)
        if not found:
            return []
        place, told = found
        locations = await notebook.at(place, "definition", limit_s=self._limit_s) or []
        where = await self._defined(question, locations[-1:])  # of several bindings the newest
        return [ty_findings.documentation(question, ty_findings.hover(told), where[0] if where else None)]

    async def _references(self, notebook: TyNotebook, question: CodeQuestion) -> list[Finding]:
        locations = await self._used(notebook, question)
        texts = await self._texts(locations)
        return [
            ty_findings.use(question.ask, texts[location["uri"]], location["range"]["start"]["line"] + 1)
            for location in locations
        ]

    async def _callers(self, notebook: TyNotebook, question: CodeQuestion) -> list[Finding]:
        """Return who calls: of the project by the call hierarchy, which leaves out cells; of these by their uses."""
        found = await self._first(notebook, question, "prepareCallHierarchy")
        if not found:
            return []
        calls: list[Any] = []
        for item in found[1]:
            told = await notebook.ask("callHierarchy/incomingCalls", {"item": item}, limit_s=self._limit_s)
            calls += [call["from"] for call in told or [] if path_of(call["from"]["uri"]) != notebook.path]
        texts = await self._texts(calls)
        callers = [
            ty_findings.caller(question.ask, texts[call["uri"]], call["selectionRange"]["start"]["line"])
            for call in calls
        ]
        uses = [location for location in await self._used(notebook, question) if cell_of(location["uri"]) is not None]
        texts = await self._texts(uses)
        for use in uses:
            text, end = texts[use["uri"]], use["range"]["end"]
            if text.lines[end["line"]][end["character"] :].lstrip().startswith("("):
                callers.append(ty_findings.caller(question.ask, text, end["line"]))
        return callers

    async def _used(self, notebook: TyNotebook, question: CodeQuestion) -> list[Any]:
        declared = {"includeDeclaration": False}
        for place in islice(self._positions(notebook, question), MOST_TRIED):
            told = await notebook.at(place, "references", limit_s=self._limit_s, context=declared)
            if told:
                return [location for location in told if location["uri"] != PROBE]
        return []

    async def _diagnostics(self, notebook: TyNotebook, question: CodeQuestion) -> list[Finding]:
        asked = pattern(question.name_path)
        findings: list[Finding] = []
        forgotten = (source for cell, source in self._cells.items() if not notebook.knows(cell))
        names = self._names.union(*(names_of(source).binds for source in forgotten))
        for cell in filter(notebook.knows, self._asked_cells(question)):
            params = {"textDocument": {"uri": uri_of(cell)}}
            told = await notebook.ask("textDocument/diagnostic", params, limit_s=self._limit_s)
            symbols = cell_symbols(cell, self._cells[cell])
            lines = self._cells[cell].split("\n")
            for remark in (told or {}).get("items", []):
                first, last = (remark["range"][side]["line"] + 1 for side in ("start", "end"))
                inside = innermost(symbols, first)
                around = [symbol for symbol in symbols if symbol.first_line <= first <= symbol.last_line]
                if ty_findings.is_normal(remark, names) or (asked.parts and not any(map(asked.matches, around))):
                    continue
                if question.line is not None and not first <= question.line <= last:
                    continue
                findings.append(
                    Finding(
                        ask=question.ask,
                        name_path=inside.name_path if inside else "",
                        kind=SEVERITIES[remark["severity"]],
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

    # -- texts -----------------------------------------------------------------------------------------------------

    async def _texts(self, locations: Iterable[Mapping[str, Any]]) -> dict[str, Found]:
        """Return the texts that locations lie in, by their addresses."""
        uris = {location["uri"] for location in locations}
        return await asyncio.to_thread(lambda: {uri: self._text(uri) for uri in uris})

    def _text(self, uri: str) -> Found:
        cell = cell_of(uri)
        if cell in self._cells:
            source = self._cells[cell]
            return Found(CELL + cell, cell_symbols(cell, source), source.split("\n"))
        path = path_of(uri)
        if path is None:  # what `ty` brings along: the standard library's types
            name = uri.rpartition("/")[2]
            return Found(PACKAGE + name.partition(".")[0], (), ())
        file = relative(self._root, path) or PACKAGE + installed_module(path, self._folders())
        try:
            return _file(path, file, stamp(path))
        except OSError:
            return Found(file, (), ())


@lru_cache(maxsize=16)
def _file(path: Path, file: str, state: Stamp) -> Found:
    """Read a file once for each of its states: the standard library's types are long."""
    try:
        text = decode(read_bytes(path))
    except Unreadable:
        return Found(file, (), ())
    return Found(file, known_symbols(text, file), text.split("\n"))


_Answer = Callable[[TyCells, TyNotebook, CodeQuestion], Awaitable[list[Finding]]]

_ANSWERS: Mapping[Ask, _Answer] = {
    Ask.DEFINITION: TyCells._definition,
    Ask.DOCUMENTATION: TyCells._documentation,
    Ask.REFERENCES: TyCells._references,
    Ask.CALLERS: TyCells._callers,
    Ask.DIAGNOSTICS: TyCells._diagnostics,
}
