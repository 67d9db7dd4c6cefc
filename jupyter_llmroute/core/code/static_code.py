"""`StaticCode`: what is known of a project where Serena is not there: its symbols by `ast`, their uses by jedi."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

from jupyter_llmroute.core.code.closing import Closing
from jupyter_llmroute.core.code.finding import CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.jedi_process import JediProcess
from jupyter_llmroute.core.code.jedi_source import LIMIT_S, JediSource
from jupyter_llmroute.core.code.syntax_index import SyntaxIndex
from jupyter_llmroute.core.errors import CodeUnavailable


class StaticCode(Closing):
    """Answers from source alone; each finding says whether `ast` or jedi made it.

    Parameters
    ----------
    root
        As `project.find_root` gave it.
    process
        Where jedi works; it is ended with this.
    sys_path
        Where imports are looked for, after the project itself; default: as it is here when something is asked.
    limit_s
        Seconds that one answer of jedi's may take, once it is started.

    Examples
    --------
    >>> async def body(root, name):
    ...     async with StaticCode(root) as code:
    ...         return await code.find(CodeQuestion(ask=Ask.DEFINITION, name_path=name))
    """

    source = Source.JEDI
    asks = SyntaxIndex.asks | JediSource.asks

    def __init__(
        self,
        root: Path,
        process: JediProcess | None = None,
        *,
        sys_path: Sequence[str] | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        self.index = SyntaxIndex(root)
        self.jedi = JediSource(self.index, process, sys_path=sys_path, limit_s=limit_s)

    def until(self, ends_at: float) -> StaticCode:
        """Return the same, where jedi answers by then, in seconds since the epoch, with what it has found."""
        hurried = copy(self)
        hurried.jedi = self.jedi.until(ends_at)
        return hurried

    async def close(self) -> None:
        """End jedi's process, if there is one."""
        await self.jedi.close()

    async def find(self, question: CodeQuestion) -> tuple[Finding, ...]:
        """Return what is found, by file and then by line.

        What `ast` does not find, such as a name that is imported, or what stands in a file with a mistake, jedi is
        asked for.

        Raises
        ------
        CodeUnavailable
            Neither can tell.
        """
        if question.ask not in self.index.asks:
            return await self.jedi.find(question)
        try:
            found, reason = await self.index.find(question), None
        except CodeUnavailable as error:
            found, reason = (), error
        if not found and question.ask in self.jedi.asks:
            try:
                found = await self.jedi.find(question)
            except CodeUnavailable as error:
                reason = reason or error
        if not found and reason:
            raise reason
        return found
