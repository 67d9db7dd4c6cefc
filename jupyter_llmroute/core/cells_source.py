"""The cells that go along with a question: those that it needs, bounded, in the order in which they were run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jupyter_llmroute.core.cell_ranges import references
from jupyter_llmroute.core.context import Gathered, cut_middle, fenced
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.ranking import Ranking, Relevant
from jupyter_llmroute.core.relevance import rank
from jupyter_llmroute.core.request import CellRef, Request
from jupyter_llmroute.core.secrets import MASK, masked
from jupyter_llmroute.core.sections import ContextSettings

BESIDE = ("recent", "just before")
"""Reasons that say nothing of what a cell has to do with the question."""

LONGEST_KEY = 8000
"""Characters: a private key of 4,096 bits has half of them."""

_LITERAL = re.compile(r"""(["'])([^"'\\\n]{6,200})\1""")
"""A text in code; a shorter one may stand anywhere by chance."""


class CellsSource:
    """The cells whose names a question needs, then the newest; or those that the user names."""

    def __init__(self, settings: ContextSettings) -> None:
        self._settings = settings

    async def gather(self, request: Request) -> Gathered:
        """Return the cells that go along, oldest first, each with its place in the ranking."""
        ranking = self._ranking(request)
        places = {id(cell): place for place, cell in enumerate(request.cells)}
        ordered = sorted(enumerate(ranking.relevant), key=lambda pair: places[id(pair[1].cell)])
        secret = frozenset[str]().union(*(_secrets(found.cell.source) for found in ranking.relevant))
        items = [_without(self._item(found.cell, found.reason, place), secret) for place, found in ordered]
        hidden = [item.ref for item in items if MASK in item.text + item.output]
        return Gathered(
            items=tuple(items),
            remarks=(
                *([f"Passwords and keys in {', '.join(hidden)} are masked."] if hidden else ()),
                *map(_sentence, ranking.limits),
                *_unknown(request),
            ),
        )

    def _ranking(self, request: Request) -> Ranking:
        failed = request.failed
        wanted = [Relevant(cell=failed, reason="failed last")] if failed else []
        if request.chosen_cells is not None:
            named = [cell for cell in request.cells if cell.number in request.chosen_cells and cell is not failed]
            wanted += (Relevant(cell=cell, reason="named by --cells") for cell in reversed(named))
            return Ranking(relevant=tuple(wanted))
        if not self._settings.max_cells:
            return Ranking(relevant=tuple(wanted))
        last = failed or next((cell for cell in request.code[-1:] if cell.error), None)
        ranking = rank(
            request.cells,
            request.question,
            names=[attachment.name for attachment in request.attachments],
            failed=last.number if last else None,
            traceback=last.error if last else "",
            most=self._settings.max_cells,
        )
        if failed:
            # The question is about one error: other cells, and their errors, are about something else.
            needed = tuple(found for found in ranking.relevant if found.reason not in BESIDE)
            ranking = ranking.model_copy(update={"relevant": needed})
        return ranking

    def _item(self, cell: CellRef, reason: str, rank: int) -> ContextItem:
        limit = self._settings.max_cell_chars
        source = _told(cell.source, limit)
        if cell.kind == "markdown":
            return ContextItem(ref=f"text above In[{cell.number}]", text=source, reason=reason, cell=cell.id, rank=rank)
        told = (_told(text, limit) for text in (cell.output, cell.error))
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


def _secrets(source: str) -> frozenset[str]:
    """Return the texts in a cell that are masked there: another cell, or an output, may show them without a name."""
    text = source[:LONGEST_KEY]
    hidden = masked(text)
    if hidden == text:
        return frozenset()
    return frozenset(literal for _, literal in _LITERAL.findall(text) if literal not in hidden)


def _without(item: ContextItem, secret: frozenset[str]) -> ContextItem:
    text, output = item.text, item.output
    for value in sorted(secret, key=len, reverse=True):
        text, output = text.replace(value, MASK), output.replace(value, MASK)
    return (
        item.model_copy(update={"text": text, "output": output}) if (text, output) != (item.text, item.output) else item
    )


def _told(text: str, limit: int) -> str:
    """Return a text as it may be sent: without secrets, without half characters, and not too long."""
    # What is cut first is longer than what is left of it: a key that it cuts in two is not among that.
    return cut_middle(masked(cut_middle(_sendable(text), limit + LONGEST_KEY)), limit)


def _sentence(phrase: str) -> str:
    return f"{phrase[0].upper()}{phrase[1:]}."


def _unknown(request: Request) -> Iterator[str]:
    """Say which cells a question names that are not there; where the user keeps cells out nothing is said."""
    there = {cell.number for cell in request.code} | {turn.number for turn in request.turns}
    for reference in dict.fromkeys(references(request.question)):
        if reference.number >= (request.number or 1 + max(there, default=0)):
            yield f"There is no {reference} in this session: nothing was attached for it."
        elif reference.number not in there and request.code and request.chosen_cells is None:
            yield f"{reference} is no longer among the cells of this session: nothing was attached for it."


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
