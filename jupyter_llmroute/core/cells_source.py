"""The cells that go along with a question: those that it needs, bounded, in the order in which they were run."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_llmroute.core.context import cut_middle, fenced
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.relevance import Relevant, rank
from jupyter_llmroute.core.request import CellRef, Request
from jupyter_llmroute.core.settings import ContextSettings


class CellsSource:
    """The cells whose names a question needs, then the newest; or those that the user names."""

    def __init__(self, settings: ContextSettings) -> None:
        self._settings = settings

    async def items(self, request: Request) -> Sequence[ContextItem]:
        """Return the cells that go along, oldest first, each with its place in the ranking."""
        ranked = enumerate(self._ranked(request))
        ordered = sorted(ranked, key=lambda pair: (pair[1].cell.number, pair[1].cell.kind == "code"))
        return [self._item(found.cell, found.reason, place) for place, found in ordered]

    def _ranked(self, request: Request) -> Sequence[Relevant]:
        failed = next((cell for cell in request.cells if cell.number == request.failed_cell), None)
        wanted = [Relevant(cell=failed, reason="failed last")] if failed else []
        if request.chosen_cells is not None:
            named = [cell for cell in request.cells if cell.number in request.chosen_cells and cell is not failed]
            return [*wanted, *(Relevant(cell=cell, reason="named by --cells") for cell in reversed(named))]
        if not self._settings.max_cells:
            return wanted
        failed = failed or next((cell for cell in request.cells[-1:] if cell.error), None)
        return rank(
            request.cells,
            request.question,
            names=[attachment.name for attachment in request.attachments],
            failed=failed.number if failed else None,
            traceback=failed.error if failed else "",
            most=self._settings.max_cells,
        ).relevant

    def _item(self, cell: CellRef, reason: str, rank: int) -> ContextItem:
        limit = self._settings.max_cell_chars
        source = cut_middle(_sendable(cell.source), limit)
        if cell.kind == "markdown":
            return ContextItem(ref=f"above In[{cell.number}]", text=source, reason=reason, rank=rank)
        told = (cut_middle(_sendable(text), limit) for text in (cell.output, cell.error))
        output = "\n".join(part for part in told if part)
        return ContextItem(
            ref=f"In[{cell.number}]",
            text=f"In[{cell.number}]:\n{fenced(source, 'python')}",
            output=output,
            output_ref=f"{'Err' if cell.error else 'Out'}[{cell.number}]" if output else "",
            reason=reason,
            rank=rank,
        )


def _sendable(text: str) -> str:
    """Return a text with half characters, which no server can be sent, written out as their numbers."""
    return text.encode("utf-8", "backslashreplace").decode()


class AttachmentsSource:
    """What the user attached by name."""

    async def items(self, request: Request) -> Sequence[ContextItem]:
        """Return the attachments, as they were named."""
        return [
            ContextItem(ref=attachment.name, text=attachment.text, reason="named by you", rank=-1)
            for attachment in request.attachments
        ]
