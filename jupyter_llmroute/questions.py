"""Shell and cells become a request."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_llmroute.tracebacks import folded

if TYPE_CHECKING:
    from jupyter_llmroute.core.attachment import Attachment
    from jupyter_llmroute.core.request import CellRef, Request, Turn
    from jupyter_llmroute.notebook import NotebookSession

_NAMED = re.compile(r"(?<![\w@.`])@([^\W\d]\w*)(?![\w(])")
"""`@df` in a question: no e-mail address, no decorator that is called, nothing within backticks."""

_NOT_PROSE = re.compile(
    r"```[\s\S]*?(?:```|\Z)|^[ \t]*@[\w.]+(?:\([^\n]*\))?[ \t]*(?=\n\s*(?:def|class|async|@))", re.MULTILINE
)
"""Code in a question, where `@name` is a decorator."""

MOST_MARKED_CHARS = 20_000
"""Of a longer question only so much is read for `@name`."""


class Questions:
    """Makes the requests of a session.

    Parameters
    ----------
    session
        Whose cells, answers and variables go along.
    """

    def __init__(self, session: NotebookSession) -> None:
        self._session = session

    def request(
        self,
        question: str,
        *,
        with_context: bool = True,
        cells: str | None = None,
        fix: bool = False,
        variables: str = "",
        values: bool = False,
        with_code: bool | None = None,
        symbols: str = "",
        files: str = "",
        is_to_edit: bool = False,
        **pins: Any,
    ) -> Request:
        """Return the request of the cell that is running.

        Parameters
        ----------
        question
            As the user wrote it; with `fix` it may be empty.
        with_context
            Whether earlier cells and answers go along.
        cells
            Which cells: what stands behind `--cells`; `None` lets those be chosen that the question needs.
        fix
            Whether the question is about the last error.
        variables
            Names with commas between them, to be attached beside those that the question marks with `@`.
        values
            Whether what is in the variables goes along too.
        with_code
            Whether the project's code is looked into; `None` where the question needs it.
        symbols, files
            What of it, by names with commas between them.
        is_to_edit
            Whether the answer is to hold changes of the project's files.
        pins
            Further fields of `Request`.

        Raises
        ------
        UserError
            A cell or variable that is named is not there, or there is no error to fix.
        """
        from jupyter_llmroute.core.request import CellRef, Request
        from jupyter_llmroute.places import chosen, notebook_path, saved, with_prose
        from jupyter_llmroute.wording import FIX

        with folded():
            number, cell = self._session.log.running, self._session.log.running_id
            attachments = self._attachments(variables, question, values=values)
            if is_to_edit:
                from jupyter_llmroute.core.edits.answer_edits import HOW_TO_WRITE_CHANGES

                attachments = (*attachments, HOW_TO_WRITE_CHANGES)
            if with_code is None and (is_to_edit or not (with_context or symbols or files)):
                with_code = is_to_edit
            known = self._session.log.cells() if with_context or fix else ()
            path = notebook_path(self._session.shell)
            notebook = saved(path)
            places, held = notebook.places if with_context else (), self._session.pins.held(notebook.pins)
            asking = CellRef(number=number, source="", id=cell)
            choice = None if cells is None else chosen(cells, known, places, asking)
            return Request(
                question=question if question.strip() or not fix else FIX,
                number=number,
                cell=cell,
                cells=with_prose(known, places, asking) if with_context else known,
                turns=self._turns(number, cell) if with_context else (),
                chosen_cells=choice and choice.numbers,
                failed_cell=self._failed(known) if fix else None,
                attachments=attachments,
                with_code=with_code,
                symbols=_listed(symbols),
                files=_listed(files),
                folder=str(path.parent) if path else self._session.log.folder,
                pins=held.pins,
                remarks=(*(choice.remarks if choice else ()), *self._unknown(question), *held.remarks),
                **pins,
            )

    def _turns(self, number: int, cell: str) -> tuple[Turn, ...]:
        most = self._session.router.settings.context.max_turns
        turns = self._session.conversation.turns(asking=cell, number=number, deleted=self._session.log.deleted)
        return turns[-most:] if most else ()

    def _attachments(self, listed: str, question: str, *, values: bool) -> tuple[Attachment, ...]:
        """Describe the variables that the user names."""
        from jupyter_llmroute.core.errors import UserError
        from jupyter_llmroute.variables import describe_all

        named = [name.lstrip("@") for name in _listed(listed)]
        there = self._session.shell.user_ns
        if missing := [name for name in named if name not in there]:
            raise UserError(
                f"--vars {listed}: there is no variable {missing[0]!r}. Variables are named after their cell was run; "
                "%who lists them."
            )
        marked = (name for name in _marked(question) if name in there)
        return describe_all({name: there[name] for name in (*named, *marked)}, values=values)

    def _unknown(self, question: str) -> Iterator[str]:
        """Say what a question marks with `@` that is not there; `@property` may well be meant as it is."""
        for name in dict.fromkeys(_marked(question)):
            if name not in self._session.shell.user_ns and name not in vars(builtins):
                yield f"@{name}: there is no variable of that name, so nothing was attached for it."

    def _failed(self, known: Sequence[CellRef]) -> int:
        from jupyter_llmroute.core.errors import UserError

        failed = [cell.number for cell in known if cell.error]
        if not failed:
            raise UserError("--fix: no cell has failed since the extension was loaded. Run the cell that fails first.")
        return failed[-1]


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _marked(question: str) -> list[str]:
    return _NAMED.findall(_NOT_PROSE.sub(" ", question[:MOST_MARKED_CHARS]))
