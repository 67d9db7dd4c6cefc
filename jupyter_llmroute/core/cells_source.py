"""The cells that go along with a question: those that it needs, bounded, in the order in which they were run."""

from __future__ import annotations

from collections.abc import Iterator

from jupyter_llmroute.core.cell_ranges import references
from jupyter_llmroute.core.context import Gathered, cut_middle, fenced
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.relevance import Ranking, Relevant, rank
from jupyter_llmroute.core.request import CellRef, Request
from jupyter_llmroute.core.settings import ContextSettings


class CellsSource:
    """The cells whose names a question needs, then the newest; or those that the user names."""

    def __init__(self, settings: ContextSettings) -> None:
        self._settings = settings

    async def gather(self, request: Request) -> Gathered:
        """Return the cells that go along, oldest first, each with its place in the ranking."""
        ranking = self._ranking(request)
        ordered = sorted(enumerate(ranking.relevant), key=lambda pair: _place(pair[1].cell))
        return Gathered(
            items=tuple(self._item(found.cell, found.reason, place) for place, found in ordered),
            remarks=(*map(_sentence, ranking.limits), *_unknown(request)),
        )

    def _ranking(self, request: Request) -> Ranking:
        failed = next((cell for cell in request.cells if cell.number == request.failed_cell), None)
        wanted = [Relevant(cell=failed, reason="failed last")] if failed else []
        if request.chosen_cells is not None:
            named = [cell for cell in request.cells if cell.number in request.chosen_cells and cell is not failed]
            wanted += (Relevant(cell=cell, reason="named by --cells") for cell in reversed(named))
            return Ranking(relevant=tuple(wanted))
        if not self._settings.max_cells:
            return Ranking(relevant=tuple(wanted))
        failed = failed or next((cell for cell in _code(request)[-1:] if cell.error), None)
        return rank(
            request.cells,
            request.question,
            names=[attachment.name for attachment in request.attachments],
            failed=failed.number if failed else None,
            traceback=failed.error if failed else "",
            most=self._settings.max_cells,
        )

    def _item(self, cell: CellRef, reason: str, rank: int) -> ContextItem:
        limit = self._settings.max_cell_chars
        source = cut_middle(_sendable(cell.source), limit)
        if cell.kind == "markdown":
            return ContextItem(ref=f"text above In[{cell.number}]", text=source, reason=reason, cell=cell.id, rank=rank)
        told = (cut_middle(_sendable(text), limit) for text in (cell.output, cell.error))
        output = "\n".join(part for part in told if part)
        return ContextItem(
            ref=f"In[{cell.number}]",
            text=f"In[{cell.number}]:\n{fenced(source, 'python')}",
            output=output,
            output_ref=f"{'Err' if cell.error else 'Out'}[{cell.number}]" if output else "",
            reason=reason,
            cell=cell.id,
            rank=rank,
        )


def _sentence(phrase: str) -> str:
    return f"{phrase[0].upper()}{phrase[1:]}."


def _place(cell: CellRef) -> tuple[int, bool]:
    """Sort prose right before the cell that it stands above."""
    return cell.number, cell.kind == "code"


def _code(request: Request) -> tuple[CellRef, ...]:
    return tuple(cell for cell in request.cells if cell.kind == "code")


def _unknown(request: Request) -> Iterator[str]:
    """Say which cells a question names that are not there."""
    there = {cell.number for cell in request.cells} | {turn.number for turn in request.turns}
    for reference in dict.fromkeys(references(request.question)):
        if reference.number not in there:
            yield f"There is no {reference} in this session: nothing was attached for it."


def _sendable(text: str) -> str:
    """Return a text with half characters, which no server can be sent, written out as their numbers."""
    return text.encode("utf-8", "backslashreplace").decode()


class AttachmentsSource:
    """What the user attached by name."""

    async def gather(self, request: Request) -> Gathered:
        """Return the attachments, as they were named."""
        return Gathered(
            items=tuple(
                ContextItem(ref=attachment.name, text=attachment.text, reason="named by you", rank=-1)
                for attachment in request.attachments
            ),
            remarks=tuple(
                f"{attachment.name} is described without {', '.join(attachment.left_out)}."
                for attachment in request.attachments
                if attachment.left_out
            ),
        )
