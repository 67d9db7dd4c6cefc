"""`JediSource`: where the symbols of a project are used, where imported names come from, and what a rename would do."""

from __future__ import annotations

import asyncio
import builtins
import keyword
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from itertools import takewhile
from pathlib import Path
from typing import Any

from jupyter_llmroute.core.code.closing import Closing
from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.jedi_process import JediProcess
from jupyter_llmroute.core.code.project import PACKAGE, SUFFIXES, python_files, relative, source_folders
from jupyter_llmroute.core.code.source_file import Unreadable, decode, read_bytes
from jupyter_llmroute.core.code.symbols import Symbol, innermost, known_symbols, pattern, symbol_at
from jupyter_llmroute.core.code.syntax_index import SyntaxIndex
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused

LIMIT_S = 5.0
"""Seconds that one answer may take; of uses, those that were found by then are returned."""

RENAME_S = 20.0
"""Seconds for a rename, at the least: it is made of all the uses or not at all."""

GRACE_S = 5.0
"""Seconds that jedi has to notice that its time is over; then its process is ended."""

MOST_SYMBOLS = 5
"""Symbols of one name whose uses are looked for."""

MOST_BODY = 20_000
"""Characters of the source of something that is installed."""

_QUESTION = "llmroute_question.py"
"""What jedi is told that the text of a question is called; there is no such file."""


class JediSource(Closing):
    """What jedi knows of a project, and of what is installed beside it.

    Parameters
    ----------
    index
        The project's symbols.
    process
        Where jedi works; default: with this interpreter.
    sys_path
        Where imports are looked for, after the project itself; default: as it is here when something is asked.
    limit_s
        Seconds that one answer may take, once jedi is started.

    Examples
    --------
    >>> async def users(index, name):
    ...     async with JediSource(index) as jedi:
    ...         return await jedi.find(CodeQuestion(ask=Ask.REFERENCES, name_path=name))
    """

    source = Source.JEDI
    asks = frozenset((Ask.REFERENCES, Ask.DEFINITION, Ask.DOCUMENTATION))

    def __init__(
        self,
        index: SyntaxIndex,
        process: JediProcess | None = None,
        *,
        sys_path: Sequence[str] | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._index = index
        self._root = Path(os.path.realpath(index.root))
        self._process = process or JediProcess()
        self._sys_path = sys_path
        self._limit_s = limit_s
        self._ends_at: float | None = None

    def until(self, ends_at: float) -> JediSource:
        """Return the same, which answers by then with what it has found, started or not.

        Parameters
        ----------
        ends_at
            Seconds since the epoch.
        """
        hurried = copy(self)
        hurried._ends_at = ends_at
        hurried._limit_s = max(0.0, ends_at - time.time())
        return hurried

    def start(self) -> None:
        """Have jedi started, before something is asked; where it is not there, that is said when it is."""
        with suppress(CodeUnavailable):
            self._process.start()

    async def close(self) -> None:
        """End jedi's process."""
        await self._process.close()

    async def find(self, question: CodeQuestion) -> tuple[Finding, ...]:
        """Return what is found, by file and then by line.

        Of uses, `info` says how many places may be missing: those whose object jedi cannot tell.

        Raises
        ------
        CodeUnavailable
            The question is not one for jedi, or it is not installed, failed or took too long.
        """
        if question.ask is Ask.REFERENCES:
            found = await self._uses(question)
        elif question.ask in self.asks:
            found = await self._origins(question)
        else:
            raise CodeUnavailable(f"jedi cannot tell {question.ask.value!r} of code: install Serena, which can.")
        return tuple(sorted(found, key=lambda finding: (finding.file, finding.first_line)))

    async def rename_preview(self, file: str, name_path: str, new_name: str) -> dict[str, str]:
        r"""Return what a rename would make of files, by their names; nothing is written.

        A method is renamed together with those that it overrides, or that override it. Lines are ended by `\n`.

        Parameters
        ----------
        file
            Where the symbol is defined, relative to the root.
        name_path
            The symbol; there must be one of it in the file.
        new_name
            What it is to be called.

        Raises
        ------
        EditRefused
            There is no such symbol or more than one, the new name is none, or part of what would have to be renamed
            lies outside the project.
        CodeUnavailable
            jedi is not installed, failed or took too long.
        """
        if not new_name.isidentifier() or keyword.iskeyword(new_name):
            raise EditRefused(f"{new_name!r} is no name in Python: nothing was changed; choose another one.")
        symbols = await self._index.symbols(name_path, file)
        if len({_apart_from_number(symbol) for symbol in symbols}) != 1:
            raise EditRefused(
                f"{name_path!r} means {len(symbols)} symbols of {file!r}: nothing was changed; name one of "
                "them, from the top of the file."
            )
        told = await self._references(symbols[0], max(self._limit_s, RENAME_S))
        if told["outside"] or told["unchecked"]:
            raise EditRefused(
                f"{name_path!r} of {file!r} cannot be renamed: "
                + ("it overrides what is installed" if told["outside"] else "there are too many places to look at")
                + "; nothing was changed. Rename it by hand."
            )
        return await asyncio.to_thread(self._renamed, told["family"], symbols[0].name, new_name)

    # -- uses ------------------------------------------------------------------------------------------------------

    async def _uses(self, question: CodeQuestion) -> list[Finding]:
        symbols = await self._index.symbols(question.name_path, question.file, question.line)
        found: list[Finding] = []
        once = {_apart_from_number(symbol): symbol for symbol in symbols}
        for symbol in list(once.values())[:MOST_SYMBOLS]:
            told = await self._references(symbol, self._limit_s)
            if told["unchecked"] and not told["uses"]:
                raise CodeUnavailable(
                    f"jedi found no use of {symbol.name_path!r} in time, and has not looked everywhere: ask again, for "
                    "it keeps what it has read, or allow it more time."
                )
            found += await asyncio.to_thread(lambda: list(self._used(symbol, told)))  # noqa: B023
        return found

    async def _references(self, symbol: Symbol, limit_s: float) -> Any:
        files = await asyncio.to_thread(python_files, self._root)
        same = await self._index.symbols("/" + _apart_from_number(symbol)[1], symbol.file)
        asked = self._asked() | {
            "file": symbol.file,
            "name": symbol.name,
            "places": [(one.name_line, one.name_column) for one in same or [symbol]],
            "files": _nearest({*files, symbol.file}, symbol.file),
            "limit_s": limit_s,
        }
        # It looks at the clock itself, so that what it has found is not lost.
        return await self._process.ask("references", asked, limit_s=limit_s + GRACE_S)

    def _used(self, symbol: Symbol, told: Any) -> Iterator[Finding]:
        missing = _missing(told)
        for key, through in (("uses", ""), ("through", ", or of what it overrides")):
            lines = dict.fromkeys((file, line) for file, line, _ in told[key])
            texts = {file: self._lines(file) for file, _ in lines}
            standing = {file: known_symbols("\n".join(text), file) for file, text in texts.items()}
            for file, line in lines:
                inside = innermost(standing[file], line)
                yield Finding(
                    ask=Ask.REFERENCES,
                    name_path=inside.name_path if inside else "",
                    kind=inside.kind if inside else "module",
                    file=file,
                    first_line=line,
                    last_line=line,
                    body="\n".join(texts[file][max(0, line - 2) : line + 1]),
                    body_line=max(1, line - 1),
                    info=f"use of {_apart_from_number(symbol)[1]}{through}, found by jedi; {missing}",
                    reserve=missing if told["unresolved"] or told["unchecked"] else "",
                    source=Source.JEDI,
                )

    def _lines(self, file: str) -> list[str]:
        try:
            return decode(read_bytes(self._root / file)).split("\n")
        except Unreadable:
            return []

    def _renamed(self, places: Iterable[tuple[str, int, int]], name: str, new_name: str) -> dict[str, str]:
        texts: dict[str, list[str]] = {}
        for file, line, column in sorted(places, reverse=True):  # from behind, so that columns stay
            if file not in texts:
                texts[file] = self._lines(file)
            lines = texts[file]
            text = lines[line - 1] if line <= len(lines) else ""
            if text[column : column + len(name)] != name:
                raise EditRefused(f"{file!r} was changed meanwhile: nothing was changed by us; ask again.")
            lines[line - 1] = text[:column] + new_name + text[column + len(name) :]
        return {file: "\n".join(lines) for file, lines in sorted(texts.items())}

    # -- where names come from -------------------------------------------------------------------------------------

    async def _origins(self, question: CodeQuestion) -> list[Finding]:
        """Return what a dotted name means: in a file, or where it begins with the name of a module."""
        parts = pattern(question.name_path).parts
        dotted = ".".join(part.partition("[")[0] for part in parts)
        if not dotted:
            return []
        inside = relative(self._root, question.file) if question.file.endswith(SUFFIXES) else None
        text = "\n".join(self._lines(inside)) if inside else _bringing(parts[0])
        code = f"{text}\n\n{dotted}"
        asked = self._asked() | {
            # Beside the file, whose relative imports hold.
            "file": inside or _QUESTION,
            "code": code,
            "line": code.count("\n") + 1,
            "column": len(dotted),
            "inferred": question.ask is Ask.DOCUMENTATION,
            "limit_s": self._limit_s,
        }
        told = await self._process.ask("definitions", asked, limit_s=self._limit_s + GRACE_S)
        if told is None:
            raise CodeUnavailable(
                f"jedi did not find out in time what {dotted!r} is: ask again, for it keeps what it has read."
            )
        found = await asyncio.to_thread(lambda: [self._origin(question.ask, one) for one in told])
        return list(dict.fromkeys(finding for finding in found if finding))

    def _origin(self, ask: Ask, told: Any) -> Finding | None:
        path, line = Path(told["path"] or os.devnull), told["line"] or 1
        inside = relative(self._root, path) if told["path"] else None
        if inside == _QUESTION or (told["kind"] == "module" and ask is Ask.DEFINITION):
            return None
        symbol, lines = symbol_at(path, line) if told["path"] else (None, [])
        first, last = (symbol.first_line, symbol.last_line) if symbol else (line, max(line, told["last_line"] or 0))
        info = "\n\n".join(filter(None, (told["signature"] or told["full_name"], told["documentation"])))
        is_definition = ask is Ask.DEFINITION
        return Finding(
            ask=ask,
            name_path=symbol.name_path if symbol else told["name"],
            kind=symbol.kind if symbol else told["kind"],
            file=inside or PACKAGE + told["module"],
            first_line=first,
            last_line=last,
            body="\n".join(lines[first - 1 : last])[:MOST_BODY] if is_definition else "",
            info=info if not is_definition or not lines else "",
            source=Source.JEDI,
        )

    def _asked(self) -> dict[str, Any]:
        elsewhere = sys.path if self._sys_path is None else self._sys_path
        own = [str(folder) for folder in reversed(source_folders(self._root))]
        return {
            "ends_at": self._ends_at,
            "root": str(self._root),
            "sys_path": [*own, *(folder for folder in elsewhere if folder)],
        }


def _bringing(name: str) -> str:
    """Return what has to be written before a name can be: nothing for what Python always has."""
    return "" if hasattr(builtins, name) else f"import {name}"


def _number(symbol: Symbol) -> str:
    """Return the number that tells a symbol from others of its name; empty where it is the only one."""
    return symbol.name_path.rpartition("/")[2].removeprefix(symbol.name)


def _apart_from_number(symbol: Symbol) -> tuple[str, str]:
    return symbol.file, symbol.name_path.removesuffix(_number(symbol))


def _nearest(files: Iterable[str], file: str) -> list[str]:
    """Return files with those first that lie nearest to one of them."""
    folders = file.split("/")[:-1]

    def apart(other: str) -> tuple[int, str]:
        shared = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(folders, other.split("/"), strict=False))
        )
        return (-1 if other == file else len(folders) - shared), other

    return sorted(files, key=apart)


def _missing(told: Any) -> str:
    said = [
        words.format(places="one more place has" if count == 1 else f"{count} more places have")
        for count, words in ((told["unresolved"], _UNRESOLVED), (told["unchecked"], _UNCHECKED))
        if count
    ]
    return f"it may be incomplete: {'; '.join(said)}" if said else "uses that only show when it runs may be missing"


_UNRESOLVED = "{places} the name, and what stands there is not known"
_UNCHECKED = "{places} the name, and there was no time to look there"
