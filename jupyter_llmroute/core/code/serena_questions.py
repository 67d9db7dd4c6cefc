"""How each question is asked of Serena: with which tools, in which order, and about what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding
from jupyter_llmroute.core.code.mcp import ToolAnswer
from jupyter_llmroute.core.code.serena_life import SerenaLife
from jupyter_llmroute.core.code.serena_shapes import EVERYTHING, ManySymbols, remarks, symbols, uses
from jupyter_llmroute.core.code.symbol_at import symbol_at
from jupyter_llmroute.core.errors import CodeUnavailable

_WHOLE_FILES = frozenset({Ask.OVERVIEW, Ask.DIAGNOSTICS})
ASKS = _WHOLE_FILES | {Ask.DEFINITION, Ask.DOCUMENTATION, Ask.REFERENCES, Ask.IMPLEMENTATIONS}
"""What Serena can be asked."""

_MOST_DEFINITIONS = 8
"""Symbols of one name whose uses are asked for."""

_DEPTH = 2
"""An overview holds classes, what is in them, and what is in that."""

_WORST_TO_WARNING = 2
"""Errors and warnings; hints say that something is unused."""


class SerenaQuestion:
    """One question on its way: which tools are used for it, and with what."""

    def __init__(self, life: SerenaLife, project: Path, timeout_s: float) -> None:
        self._life = life
        self._project = project
        self._timeout_s = timeout_s

    async def named(self, question: CodeQuestion) -> CodeQuestion:
        """Return the question with the name of the symbol that it means."""
        if question.name_path:
            return question.model_copy(update={"name_path": slashed(question.name_path)})
        if question.ask in _WHOLE_FILES and question.file:
            return question
        if not question.file or question.line is None:
            raise CodeUnavailable("Serena needs the name of a symbol, or a file and a line: name one.")
        if not (name := await self._symbol_at(question.file, question.line)):
            raise CodeUnavailable(
                f"Line {question.line} of {question.file!r} is in no function or class: name the symbol that is meant."
            )
        return question.model_copy(update={"name_path": name})

    async def find(self, question: CodeQuestion) -> tuple[Finding, ...]:
        """Ask for what is meant."""
        match question.ask:
            case Ask.OVERVIEW:
                return await self._overview(question)
            case Ask.DEFINITION:
                found = await self._symbols(question, include_body=True)
                return await asyncio.to_thread(lambda: tuple(_as_it_stands(self._project, one) for one in found))
            case Ask.DOCUMENTATION:
                return await self._symbols(question, include_info=True)
            case Ask.REFERENCES:
                return await self._uses(question)
            case Ask.IMPLEMENTATIONS:
                return await self._implementations(question)
            case Ask.DIAGNOSTICS:
                return await self._remarks(question)
            case _:
                return ()

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        return await self._life.call(tool, arguments, timeout_s=self._timeout_s)

    async def _symbols(self, question: CodeQuestion, **options: bool) -> tuple[Finding, ...]:
        where = {"name_path_pattern": question.name_path, "relative_path": question.file}
        return symbols(await self._call("find_symbol", {**where, **options}), question.ask)

    async def _overview(self, question: CodeQuestion) -> tuple[Finding, ...]:
        if question.name_path:
            which: Mapping[str, Any] = {"name_path_pattern": question.name_path}
        else:
            which = EVERYTHING
        arguments = {**which, "relative_path": question.file, "depth": _DEPTH}
        return symbols(await self._call("find_symbol", arguments), question.ask, with_children=True)

    async def _uses(self, question: CodeQuestion) -> tuple[Finding, ...]:
        if question.file:
            try:
                return await self._uses_of(question.name_path, question.file)
            except ManySymbols:
                pass  # each of them has a longer name
        meant = await self._meant(question)
        found = await asyncio.gather(*(self._uses_of(one.name_path, one.file) for one in meant))
        return _merged(found)

    async def _uses_of(self, name_path: str, file: str) -> tuple[Finding, ...]:
        return uses(await self._call("find_referencing_symbols", {"name_path": name_path, "relative_path": file}))

    async def _implementations(self, question: CodeQuestion) -> tuple[Finding, ...]:
        meant = await self._meant(question)
        found = await asyncio.gather(*(self._implementations_of(one) for one in meant))
        return _merged(found)

    async def _implementations_of(self, meant: Finding) -> tuple[Finding, ...]:
        arguments = {"name_path": meant.name_path, "relative_path": meant.file, "include_info": False}
        found = symbols(await self._call("find_implementations", arguments), Ask.IMPLEMENTATIONS)
        itself = (meant.file, meant.first_line)
        return tuple(one for one in found if (one.file, one.first_line) != itself)

    async def _remarks(self, question: CodeQuestion) -> tuple[Finding, ...]:
        if question.name_path:
            which = {"name_path": question.name_path, "reference_file": question.file}
            answer = await self._call("get_diagnostics_for_symbol", {**which, "min_severity": _WORST_TO_WARNING})
        else:
            which = {"relative_path": question.file}
            answer = await self._call("get_diagnostics_for_file", {**which, "min_severity": _WORST_TO_WARNING})
        return remarks(answer)

    async def _meant(self, question: CodeQuestion) -> tuple[Finding, ...]:
        """Return the symbols of that name; a getter and its setter are one."""
        by_place: dict[tuple[str, str], Finding] = {}
        for one in await self._symbols(question):
            by_place.setdefault((one.file, one.name_path.partition("[")[0]), one)
        return tuple(by_place.values())[:_MOST_DEFINITIONS]

    async def _symbol_at(self, file: str, line: int) -> str:
        try:
            source = await asyncio.to_thread((self._project / file).read_bytes)
            return await asyncio.to_thread(symbol_at, source, line)
        except OSError as error:
            raise CodeUnavailable(f"{file!r} cannot be read ({error.strerror}): see who may read it.") from error
        except (SyntaxError, ValueError, RecursionError):
            all_of_it = await self._overview(CodeQuestion(ask=Ask.OVERVIEW, file=file))
        around = [one for one in all_of_it if one.first_line <= line <= one.last_line]
        return max(around, key=lambda one: one.first_line).name_path if around else ""


def slashed(name_path: str) -> str:
    """Return a name path as Serena writes it: `Order.total` is `Order/total`."""
    return name_path.replace(".", "/")


def _merged(found: list[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    return tuple(sorted(dict.fromkeys(chain(*found)), key=lambda one: (one.file, one.first_line, one.name_path)))


def _as_it_stands(project: Path, finding: Finding) -> Finding:
    """Give the body's first line the indentation that Serena leaves out, if the file still has it so."""
    try:
        lines = (project / finding.file).read_text("utf-8").split("\n")[finding.first_line - 1 : finding.last_line]
    except (OSError, ValueError):
        return finding
    indentation = lines[0][: len(lines[0]) - len(lines[0].lstrip())] if lines else ""
    is_same = bool(lines) and lines[0].strip() == finding.body.split("\n")[0].strip()
    return finding.model_copy(update={"body": indentation + finding.body}) if is_same else finding
