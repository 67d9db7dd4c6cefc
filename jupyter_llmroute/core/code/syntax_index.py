"""`SyntaxIndex`: the project's symbols as `ast` reads them; nothing is run, and nothing but the source is needed.

A file is parsed when it may hold what is asked for, and again only once it has changed. The text is searched first, so
a question about one symbol of a large project parses a handful of its files.
"""

from __future__ import annotations

import ast
import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.project import SUFFIXES, Stamp, python_files, relative, stamp
from jupyter_llmroute.core.code.source_file import Unreadable, decode, parse, read_bytes
from jupyter_llmroute.core.code.symbols import Pattern, Symbol, pattern, symbols_of
from jupyter_llmroute.core.errors import CodeUnavailable

T = TypeVar("T")

LIMIT_S = 3.0
"""Seconds that one question may take; what was not read by then is missing, and is read when it is asked again."""

MOST_FOUND = 50
"""Symbols in an answer; a name that more have says too little to ask with."""

MOST_DOCUMENTATION = 4_000
"""Characters of a docstring."""


class Read(NamedTuple):
    """A file as it was when it was read."""

    stamp: Stamp
    symbols: tuple[Symbol, ...] = ()
    mistake: str = ""
    """Why it has none."""
    mistake_line: int = 1


class SyntaxIndex:
    """What `ast` knows of a project.

    Parameters
    ----------
    root
        As `project.find_root` gave it.
    limit_s
        Seconds that one question may take.

    Examples
    --------
    >>> async def where(root, name):
    ...     found = await SyntaxIndex(root).find(CodeQuestion(ask=Ask.DEFINITION, name_path=name))
    ...     return [(finding.file, finding.first_line) for finding in found]
    """

    source = Source.AST
    asks = frozenset((Ask.DEFINITION, Ask.OVERVIEW, Ask.DOCUMENTATION, Ask.DIAGNOSTICS))

    def __init__(self, root: Path, *, limit_s: float = LIMIT_S) -> None:
        self.root = root
        self._limit_s = limit_s
        self._read: dict[str, Read] = {}
        self._without: dict[str, tuple[Stamp, set[re.Pattern[bytes] | None]]] = {}
        """What files were searched for in vain, each as it was then."""
        self._lock = threading.Lock()
        self._unread = 0

    @property
    def left_out(self) -> Mapping[str, str]:
        """The files that were read and have no symbols because they cannot be read or parsed, with the reason."""
        return {file: read.mistake for file, read in sorted(self._read.items()) if read.mistake}

    @property
    def unread(self) -> int:
        """Files that the last question had no time to read."""
        return self._unread

    async def find(self, question: CodeQuestion) -> tuple[Finding, ...]:
        """Return what is found, by file and then by line.

        Raises
        ------
        CodeUnavailable
            The question is not one for `ast`, or its file cannot be read, lies outside, or does not parse.
        """
        answer = _ANSWERS.get(question.ask)
        if answer is None:
            raise CodeUnavailable(f"ast cannot tell {question.ask.value!r} of code: install Serena, which can.")
        return await asyncio.to_thread(self._within, lambda end: tuple(answer(self, question, end)))

    async def symbols(self, name_path: str, file: str = "", line: int | None = None) -> tuple[Symbol, ...]:
        """Return the symbols that a name path means, in one file or in all of them, by file and then by line.

        Parameters
        ----------
        name_path
            As `symbols.pattern` reads it; may be empty where `line` is given.
        file
            Relative to the root; empty for the whole project.
        line
            Counted from 1; the innermost symbol that it stands in is meant.

        Raises
        ------
        CodeUnavailable
            The file cannot be read, lies outside, or does not parse.
        """
        question = CodeQuestion(ask=Ask.DEFINITION, name_path=name_path, file=file, line=line)
        return await asyncio.to_thread(self._within, lambda end: tuple(self._meant(question, end)))

    async def names(self) -> frozenset[str]:
        """Return the names of the classes, functions and methods of the project, as far as time allows."""
        return await asyncio.to_thread(self._within, lambda end: frozenset(self._names(end)))

    def _within(self, work: Callable[[float], T]) -> T:
        """Do some work, one at a time, and tell it when it must be done."""
        with self._lock:
            self._unread = 0
            return work(time.monotonic() + self._limit_s)

    def _names(self, end: float) -> Iterator[str]:
        for file in self._refreshed(python_files(self.root), end):
            yield from (symbol.name for symbol in self._read[file].symbols if symbol.kind in _CALLABLE)

    def _meant(self, question: CodeQuestion, end: float) -> Sequence[Symbol]:
        """Return the symbols that a question is about."""
        asked = pattern(question.name_path)
        if question.file:
            symbols: Iterable[Symbol] = self._read[self._one(question.file)].symbols
        elif asked.parts:
            symbols = self._holding(asked, end)
        else:
            return ()
        found = [symbol for symbol in symbols if not asked.parts or asked.matches(symbol)]
        if question.line is not None:
            on_line = [symbol for symbol in found if symbol.first_line <= question.line <= symbol.last_line]
            return sorted(on_line, key=lambda symbol: symbol.last_line - symbol.first_line)[:1]
        return found[:MOST_FOUND] if asked.parts else ()

    def _holding(self, asked: Pattern, end: float) -> Iterator[Symbol]:
        """Go through the symbols of the files that may define a name."""
        defines = _defining(asked.name)
        files = python_files(self.root)
        wanted = {file: now for file, now in files.items() if self._is_read(file, now) or self._has(file, now, defines)}
        for file in self._refreshed(wanted, end):
            yield from self._read[file].symbols

    def _has(self, file: str, now: Stamp, defines: re.Pattern[bytes] | None) -> bool:
        """Whether a file may define a name, as far as its text tells."""
        seen = self._without.get(file)
        if seen is None or seen[0] != now or len(seen[1]) > _MOST_NAMES:
            seen = self._without[file] = (now, set())
        if defines in seen[1]:
            return False
        try:
            data = read_bytes(self.root / file)
        except Unreadable:
            return True  # so that it is said
        if defines.search(data) if defines else not data.isascii():
            return True
        seen[1].add(defines)
        return False

    def _refreshed(self, files: Mapping[str, Stamp], end: float) -> list[str]:
        """Read the files that were not read yet, or have changed; return those that there was time for."""
        done = []
        for file, now in files.items():
            if not self._is_read(file, now):
                if time.monotonic() > end:
                    self._unread += 1
                    continue
                self._refresh(file, now)
            done.append(file)
        return done

    def _is_read(self, file: str, now: Stamp) -> bool:
        read = self._read.get(file)
        return read is not None and read.stamp == now

    def _refresh(self, file: str, now: Stamp) -> None:
        try:
            self._read[file] = Read(now, symbols_of(decode(read_bytes(self.root / file)), file))
        except Unreadable as error:
            self._read[file] = Read(now, mistake=str(error), mistake_line=error.line)

    def _one(self, file: str, *, may_be_broken: bool = False) -> str:
        """Read one file that somebody named, and return what it is called here."""
        name = relative(self.root, file)
        if name is None or not name.endswith(SUFFIXES) or not (self.root / name).is_file():
            raise CodeUnavailable(f"{file!r} is no Python file of the project: name one of it, from its root.")
        now = stamp(self.root / name)
        if not self._is_read(name, now):
            self._refresh(name, now)
        read = self._read[name]
        if read.mistake and not may_be_broken:
            raise CodeUnavailable(f"{name!r} cannot be read as Python ({_said(read)}): mend it, and ask again.")
        return name

    def _lines(self, file: str) -> list[str]:
        try:
            return decode(read_bytes(self.root / file)).split("\n")
        except Unreadable:
            return []

    def _definition(self, question: CodeQuestion, end: float) -> Iterator[Finding]:
        for symbol in self._meant(question, end):
            yield _finding(question.ask, symbol, body=self._body(symbol))

    def _documentation(self, question: CodeQuestion, end: float) -> Iterator[Finding]:
        for symbol in self._meant(question, end):
            info = "\n\n".join(filter(None, (symbol.signature, _docstring(self._body(symbol)))))
            yield _finding(question.ask, symbol, info=info)

    def _overview(self, question: CodeQuestion, end: float) -> Iterator[Finding]:
        asked = pattern(question.name_path)
        file = self._one(question.file)
        symbols = self._read[file].symbols
        tops = [symbol.name_path for symbol in symbols if asked.parts and asked.matches(symbol)]
        functions = {symbol.name_path for symbol in symbols if symbol.kind not in ("class", "variable", "constant")}
        for symbol in symbols:
            path = symbol.name_path
            if asked.parts and not any(path == top or path.startswith(f"{top}/") for top in tops):
                continue
            if functions.isdisjoint(_outer(path)):
                info = " — ".join(filter(None, (symbol.signature, symbol.summary)))
                yield _finding(question.ask, symbol, info=info)

    def _diagnostics(self, question: CodeQuestion, end: float) -> Iterator[Finding]:
        if question.file:
            files = [self._one(question.file, may_be_broken=True)]
        else:
            files = self._refreshed(python_files(self.root), end)
        for file in files:
            read = self._read[file]
            if read.mistake:
                line = read.mistake_line
                yield Finding(
                    ask=question.ask,
                    name_path="",
                    kind="error",
                    file=file,
                    first_line=line,
                    last_line=line,
                    body="".join(self._lines(file)[line - 1 : line]),
                    info=read.mistake,
                    source=Source.AST,
                )

    def _body(self, symbol: Symbol) -> str:
        return "\n".join(self._lines(symbol.file)[symbol.first_line - 1 : symbol.last_line])


_MOST_NAMES = 200
"""Names that are remembered of each file as those that it does not define."""

_CALLABLE = frozenset(("class", "function", "method", "property"))

_ANSWERS: Mapping[Ask, Callable[[SyntaxIndex, CodeQuestion, float], Iterator[Finding]]] = {
    Ask.DEFINITION: SyntaxIndex._definition,
    Ask.DOCUMENTATION: SyntaxIndex._documentation,
    Ask.OVERVIEW: SyntaxIndex._overview,
    Ask.DIAGNOSTICS: SyntaxIndex._diagnostics,
}


def _defining(name: str) -> re.Pattern[bytes] | None:
    """Return what stands in each file that defines a name; `None` where that depends on the file's encoding."""
    if not name.isascii():
        return None
    word = rb"(?<![\w])" + re.escape(name.encode()) + rb"(?![\w])"
    return re.compile(rb"(?:def|class|type)[ \t\\\r\n]+" + word + rb"|" + word + rb"[ \t]*[:=,)\]]")


def _outer(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _said(read: Read) -> str:
    return f"line {read.mistake_line}: {read.mistake}"


def _finding(ask: Ask, symbol: Symbol, *, body: str = "", info: str = "") -> Finding:
    return Finding(
        ask=ask,
        name_path=symbol.name_path,
        kind=symbol.kind,
        file=symbol.file,
        first_line=symbol.first_line,
        last_line=symbol.last_line,
        body=body,
        info=info,
        source=Source.AST,
    )


def _docstring(body: str) -> str:
    """Return the docstring of a class or function, whatever its lines are indented by."""
    try:
        [node] = parse(f"if 1:\n{body}" if body[:1].isspace() else body).body
    except (Unreadable, ValueError):
        return ""
    if isinstance(node, ast.If):
        node = node.body[0]
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return ""
    text = ast.get_docstring(node) or ""
    return text if len(text) <= MOST_DOCUMENTATION else text[: MOST_DOCUMENTATION - 1] + "…"
