"""Handing an answer over in the form that was wanted: its code into a cell, and a word where the form is not kept.

A cell is only written, by IPython's `set_next_input`: nothing is ever run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.inert import inert_line, plain_line
from jupyter_llmroute.next_cell import Reader, next_cell
from jupyter_llmroute.response import Response, State

WORDS = {"next": "write a new cell below", "replace": "replace the cell"}

MOST_SAID = 600
"""Characters of one sentence."""

_FORMS = {"text/markdown": inert_line, "text/plain": plain_line}


def deliver(
    response: Response,
    shell: Any,
    *,
    to: str | None,
    asked: str = "",
    noted: Callable[[str, str, str], None] = lambda *_: None,
) -> dict[str, Any] | None:
    """Write an answer's code into a cell where that is wanted, and return what there is to say; `None` for nothing.

    Parameters
    ----------
    response
        The answer, however it ended.
    shell
        The shell whose cell it is.
    to
        Where the code is to go: `"next"`, `"replace"`, or `None` for nowhere.
    asked
        The text of the cell that asked, where it is to be replaced.
    noted
        Called before a cell is written: with what is done, the text that it takes the place of, and its own.

    Returns
    -------
    dict or None
        A mime bundle.
    """
    said = []
    if response.format is Format.JSON and response.state is State.COMPLETE:
        try:
            _ = response.data
        except UserError as error:
            said.append(str(error))
    if to is not None:
        cell = next_cell(response, reader_of(shell), asked if to == "replace" else "")
        if cell.text:
            noted(f"{WORDS[to]} (--to {to})", asked if to == "replace" else "", cell.text)
            shell.set_next_input(cell.text, replace=to == "replace")
            said.append(f"{cell.what} is {_where(shell, to)}; it was not run.")
        else:
            said.append(cell.what)
        said += cell.notes
    return _bundle(said) if said else None


def reader_of(shell: Any) -> Reader:
    """Return what a shell can read."""
    return Reader(shell.magics_manager.magics["cell"].__contains__, shell.transform_cell)


def whole_question(raw: str) -> str:
    """Return a cell as it was written where all of it is the question; otherwise an empty text."""
    code = [one for one in raw.splitlines() if one.strip() and not one.lstrip().startswith("#")]
    is_whole = raw.lstrip().startswith("%%") or (len(code) == 1 and code[0].lstrip().startswith("%"))
    return raw if is_whole else ""


def _where(shell: Any, to: str) -> str:
    if not hasattr(shell, "kernel"):
        return "at the next prompt"
    return "in this cell now, under the question" if to == "replace" else "in a new cell below"


def _bundle(said: list[str]) -> dict[str, Any]:
    return {form: " ".join(make(one, MOST_SAID) for one in said) for form, make in _FORMS.items()}


def own_cell(raw: str, line: str, cell: str | None) -> str:
    """Return the text of the cell that asks.

    Parameters
    ----------
    raw
        The cell that is running, as it was written.
    line, cell
        What the magic was called with.

    Raises
    ------
    UserError
        It holds more than the question, which would go with it, or the magic was called from elsewhere.
    """
    if cell is None:
        code = [one for one in raw.splitlines() if one.strip() and not one.lstrip().startswith("#")]
        is_own = len(code) == 1 and line.strip() in code[0]
    else:
        is_own = raw.lstrip().startswith("%%") and cell.strip() in raw
    if not is_own:
        raise UserError(
            "--to replace replaces the whole cell, and this one holds more than the question: give the question a "
            "cell of its own, or use --to next."
        )
    return raw
