"""The cells of a kernel session, as they were run: source, what they showed, how they failed, which cell they are.

Only what IPython itself keeps and tells is used. Nothing heavy is imported here: the log is listening from the moment
the extension is loaded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from traceback import TracebackException
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jupyter_llmroute.core.request import CellRef

OUR_MAGICS = ("route", "ask")
"""Cells that begin with them, or with a magic whose name begins with `llm_`, are turns, not context."""

MOST_OUTPUT_CHARS = 40_000
"""Of a longer output the ends are kept here; what goes along is shorter still."""

MOST_FRAMES = 8
"""Of a traceback those in the user's cells are kept, and the innermost of others."""

INNERMOST = 3

MOST_CAUSES = 3
"""Errors that one was raised from, itself among them."""

READ_FRAMES = 200
"""Of an endless recursion these are looked at."""


class Ran(NamedTuple):
    """What a run of a cell left beside its source and its result."""

    cell: str = ""
    """The cell's id in the notebook, where the front end tells it."""
    error: str = ""
    """The traceback, as text."""


class CellLog:
    """Listens to a shell, and gives its cells.

    Parameters
    ----------
    shell
        The running `InteractiveShell`.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.folder = os.getcwd()
        """Where the session began: a notebook's own folder, as a rule, whatever cells change to later."""
        self._ran: dict[int, Ran] = {}
        self.ours: tuple[str, ...] = OUR_MAGICS
        """Names of the magics that ask; a user may have one called `ask`, or another one of ours."""
        self._unstored: dict[int, str] = {}
        """Sources by number."""
        self._is_stored = True
        """Whether the cell that is running is in IPython's history: a front end may say that it is not to be."""
        self._deleted: set[str] = set()
        self._outputs: dict[int, str] = {}
        shell.events.register("pre_run_cell", self._begin)
        shell.events.register("post_run_cell", self._note)

    def close(self) -> None:
        """Stop listening."""
        self._shell.events.unregister("pre_run_cell", self._begin)
        self._shell.events.unregister("post_run_cell", self._note)

    def _begin(self, info: Any) -> None:
        self._is_stored = bool(info.store_history)
        # The front end tells each deletion once, with the next cell that is run.
        told = self._metadata.get("deletedCells")
        self._deleted |= set(map(str, told)) if isinstance(told, list) else set()
        self._deleted.discard(self.running_id)

    def _note(self, result: Any) -> None:
        if (info := result.info) is None:
            return
        number = result.execution_count if info.store_history else self.running
        if number is None:
            return
        error = result.error_before_exec or result.error_in_exec
        ran = Ran(str(getattr(info, "cell_id", None) or ""), "" if error is None else _traceback(error))
        self._ran[number] = ran
        if not info.store_history:
            self._unstored[number] = str(info.raw_cell)
        else:
            self._unstored.pop(number, None)
        self._outputs.pop(number, None)

    @property
    def running(self) -> int:
        """Number of the cell that is running: IPython stores a cell before it runs it, if at all.

        Cells that it does not store are counted on from those that it does.
        """
        stored = len(self._shell.history_manager.input_hist_raw)
        return stored - 1 if self._is_stored else max((stored - 1, *self._unstored)) + 1

    @property
    def running_id(self) -> str:
        """The id of the cell that is running; empty where the front end tells none."""
        return str(self._metadata.get("cellId") or "")

    @property
    def deleted(self) -> frozenset[str]:
        """Ids of cells that were deleted, as far as the front end tells them."""
        return frozenset(self._deleted)

    @property
    def _metadata(self) -> Mapping[str, Any]:
        kernel = getattr(self._shell, "kernel", None)
        parent = kernel.get_parent("shell") if kernel is not None else {}
        found = parent.get("metadata") if isinstance(parent, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def cells(self) -> tuple[CellRef, ...]:
        """Return the cells that were run before the one that is running and are still there, oldest first.

        Of a cell that was run again the newest run counts; ours are not among them.
        """
        from jupyter_llmroute.core.request import CellRef

        deleted = self.deleted
        is_ours = re.compile(rf"\s*%%?(?:llm_|(?:{'|'.join(map(re.escape, self.ours))})(?!\w))").match
        newest = {ran.cell: number for number, ran in self._ran.items() if ran.cell}
        found = []
        for number, source in self._sources():
            ran = self._ran.get(number, Ran())
            is_replaced = ran.cell and (newest[ran.cell] != number or ran.cell in deleted)
            if source.strip() and not is_replaced and not is_ours(source):
                output = self._output(number)
                if ran.error:
                    output = _PRINTED_TRACEBACK.split(output)[0].rstrip()
                found.append(CellRef(number=number, source=source, output=output, error=ran.error, id=ran.cell))
        return tuple(found)

    def _sources(self) -> list[tuple[int, str]]:
        """Return number and source of the cells that were run before the one that is running."""
        stored = enumerate(self._shell.history_manager.input_hist_raw)
        return sorted((n, source) for n, source in {**self._unstored, **dict(stored)}.items() if n < self.running)

    def _output(self, number: int) -> str:
        """Return what a cell printed and returned, as text; never an image's bytes."""
        if number not in self._outputs:
            self._outputs[number] = self._read_output(number)
        return self._outputs[number]

    def _read_output(self, number: int) -> str:
        history = self._shell.history_manager
        shown = getattr(history, "outputs", {}).get(number, ())  # IPython 8.31 and later
        parts = [text for output in shown for text in _texts(output.bundle)]
        result = _ends(str(history.output_hist_reprs.get(number, "")))
        if result and not any(result == part.rstrip("\n") for part in parts):
            parts.append(result)
        return _ends("".join(part if part.endswith("\n") else f"{part}\n" for part in parts).rstrip("\n"))


def _texts(bundle: Any) -> Iterator[str]:
    """Yield the text of an output, and of an image only that it is one."""
    if not isinstance(bundle, Mapping):
        return
    for kind in ("stream", "text/plain"):
        if (text := bundle.get(kind)) is not None:
            yield _COLOUR.sub("", _ends("".join(map(str, text)) if isinstance(text, list) else str(text)))
            return


def _ends(text: str) -> str:
    """Return a text, or of one that is far too long its head and its tail."""
    if len(text) <= MOST_OUTPUT_CHARS:
        return text
    half = MOST_OUTPUT_CHARS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


_PRINTED_TRACEBACK = re.compile(r"^-{40,}$", re.MULTILINE)
"""How a traceback begins that a shell of a terminal prints; a kernel prints none."""

_LIBRARIES = (os.path.dirname(os.__file__) + os.sep, "<frozen ")
_INSTALLED = re.compile(r"[\\/](?:site|dist)-packages[\\/]")

_CAUSED = "The above exception was the direct cause of the following exception:"
_MEANWHILE = "During handling of the above exception, another exception occurred:"
"""Between two of a chain, as Python says it."""

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")


def _traceback(error: BaseException) -> str:
    """Return a traceback as text, without IPython's own frames."""
    told = TracebackException(type(error), error, error.__traceback__, limit=-READ_FRAMES, compact=True)
    parts: list[str] = []
    for place in range(MOST_CAUSES):
        parts.insert(0, "".join(_shortened(told).format(chain=False)).rstrip())
        cause, context = told.__cause__, told.__context__
        before = cause or (None if told.__suppress_context__ else context)
        if before is None or place == MOST_CAUSES - 1:
            break
        parts.insert(0, _CAUSED if cause else _MEANWHILE)
        told = before
    return _COLOUR.sub("", _ends("\n\n".join(parts)))


def _is_librarys(file: str) -> bool:
    """Whether the file of a frame is neither a cell nor the user's own."""
    return file.startswith(_LIBRARIES) or bool(_INSTALLED.search(file))


def _shortened(told: TracebackException) -> TracebackException:
    """Leave the frames of a traceback that say something to the user."""
    frames = [frame for frame in told.stack if f"{os.sep}IPython{os.sep}" not in frame.filename]
    kept = [f for at, f in enumerate(frames) if at >= len(frames) - INNERMOST or not _is_librarys(f.filename)]
    if len(kept) > MOST_FRAMES:
        kept = kept[: MOST_FRAMES // 2] + kept[-MOST_FRAMES // 2 :]
    told.stack[:] = kept
    return told
