"""The conversation of a kernel session: questions and answers by the cells that asked, not by the clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from jupyter_llmroute.core.context import OLD
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.request import Turn
from jupyter_llmroute.core.values import Value

MAX_FILE_BYTES = 64 << 20
"""A larger file is not a conversation of ours."""


class Saved(Value):
    """The content of a file that a conversation was saved in."""

    version: Literal[1] = 1
    turns: tuple[Turn, ...]


class Conversation:
    """The turns of a session; asking again in the same cell replaces what that cell asked before."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []

    def turns(self, *, asking: str, number: int, deleted: Collection[str] = ()) -> tuple[Turn, ...]:
        """Return the turns that go along with a question, oldest first.

        Parameters
        ----------
        asking
            The id of the cell that asks, or an empty text; what an earlier run of it asked stays out.
        number
            Execution count of its run: what this run has asked already goes along.
        deleted
            Ids of cells that are no longer in the notebook: their turns stay out, and so does what was taken from them.
        """
        return tuple(
            _without(turn, deleted)
            for turn in self._turns
            if not turn.cell or (turn.cell not in deleted and (turn.cell != asking or turn.number == number))
        )

    def add(self, turn: Turn) -> None:
        """Put a turn at the end; the same question of the same run keeps its place, and earlier runs of its cell go."""
        for place, old in enumerate(self._turns):
            if (old.number, old.question) == (turn.number, turn.question):
                self._turns[place] = turn
                return
        earlier = [turn.cell != old.cell or turn.number == old.number or not turn.cell for old in self._turns]
        self._turns = [old for old, stays in zip(self._turns, earlier, strict=True) if stays]
        self._turns.append(turn)

    def learn(self, turns: Iterable[Turn]) -> None:
        """Keep the summaries that turns of this conversation have got."""
        summaries = {(turn.number, turn.question): turn.summary for turn in turns if turn.summary}
        for place, turn in enumerate(self._turns):
            if summary := summaries.get((turn.number, turn.question)):
                self._turns[place] = turn.model_copy(update={"summary": summary})

    def reset(self) -> int:
        """Begin anew; return how many turns are forgotten."""
        count = len(self._turns)
        self._turns.clear()
        return count

    def save(self, path: Path) -> int:
        """Write the turns as JSON; return how many. A file that is there is not overwritten.

        Raises
        ------
        UserError
            The file cannot be written; the message names it.
        """
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(Saved(turns=tuple(self._turns)).model_dump_json(indent=1))
        except FileExistsError:
            raise UserError(f"{str(path)!r} is there already: name another file, or delete it first.") from None
        except (OSError, ValueError) as error:
            raise UserError(f"The conversation was not saved in {str(path)!r}: {error}. Name another file.") from None
        return len(self._turns)

    def load(self, path: Path) -> int:
        """Put saved turns in the place of these; return how many. They belong to no cell of this notebook.

        Raises
        ------
        UserError
            The file does not read, or holds something else; the message names it.
        """
        try:
            with path.open("rb") as file:
                text = file.read(MAX_FILE_BYTES + 1)
            if len(text) > MAX_FILE_BYTES:
                raise UserError(f"{str(path)!r} is larger than {MAX_FILE_BYTES >> 20} MiB: no conversation is so long.")
            saved = Saved.model_validate_json(text)
        except OSError as error:
            raise UserError(f"{str(path)!r} does not read: {error.strerror or error}. Name another file.") from None
        except (ValidationError, RecursionError):
            raise UserError(
                f"{str(path)!r} holds no conversation: name a file that `%llm_context save` has written."
            ) from None
        self._turns = [_of_old(turn) for turn in saved.turns]
        return len(self._turns)


def _without(turn: Turn, deleted: Collection[str]) -> Turn:
    items = tuple(item for item in turn.items if item.cell not in deleted)
    return turn if items == turn.items else turn.model_copy(update={"items": items})


def _of_old(turn: Turn) -> Turn:
    """Return a turn of another session: its cells are none of this one, though their numbers may be."""
    items = (
        item
        if item.ref.startswith(OLD)
        else item.model_copy(
            update={"ref": f"{OLD}{item.ref}", "text": f"Of an earlier session, {item.text}", "cell": ""}
        )
        for item in turn.items
    )
    return turn.model_copy(update={"cell": "", "number": -abs(turn.number), "items": tuple(items)})
