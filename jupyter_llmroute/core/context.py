"""What goes along with a question, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from jupyter_llmroute.core.request import CellRef, Request, Turn
from jupyter_llmroute.core.settings import ContextSettings
from jupyter_llmroute.core.values import Value

CUT = "\n… {chars} characters left out …\n"


class ContextItem(Value):
    """One piece of what is sent beside the question."""

    ref: str
    """What the user knows it by, such as `In[3]`."""
    text: str


class Context(Value):
    """A request with what was gathered for it."""

    request: Request
    items: tuple[ContextItem, ...] = ()
    """Oldest first."""
    left_out: tuple[str, ...] = ()
    """References of what was gathered and then dropped, because it did not fit."""

    def refs(self) -> tuple[str, ...]:
        """Return the references of all that goes along with the question, in the order of the prompt."""
        return (*(item.ref for item in self.items), *map(turn_ref, self.request.turns))

    def alone(self) -> Context:
        """Return the question with nothing along; what went along is left out."""
        request = self.request.model_copy(update={"turns": ()})
        return Context(request=request, left_out=(*self.left_out, *self.refs()))


def turn_ref(turn: Turn) -> str:
    """Return what the user knows an earlier answer by."""
    return f"answer to In[{turn.number}]"


class ContextSource(Protocol):
    """Somewhere that context comes from."""

    async def items(self, request: Request) -> Sequence[ContextItem]:
        """Return what this source has for the request, oldest first."""


class CellsSource:
    """The newest cells before the question, within fixed bounds."""

    def __init__(self, settings: ContextSettings) -> None:
        self._settings = settings

    async def items(self, request: Request) -> Sequence[ContextItem]:
        """Return the last `max_cells` cells with their results."""
        newest = request.cells[-self._settings.max_cells :] if self._settings.max_cells else ()
        return [self._item(cell) for cell in newest]

    def _item(self, cell: CellRef) -> ContextItem:
        limit = self._settings.max_cell_chars
        text = f"In[{cell.number}]:\n{fenced(cut_middle(cell.source, limit), 'python')}"
        if cell.output:
            text += f"\nOut[{cell.number}]:\n{fenced(cut_middle(cell.output, limit))}"
        return ContextItem(ref=f"In[{cell.number}]", text=text)


def cut_middle(text: str, limit: int) -> str:
    """Return `text`, or its head and tail around a mark that says how much is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return text[:half] + CUT.format(chars=len(text) - 2 * half) + text[len(text) - half :]


def fenced(text: str, language: str = "") -> str:
    """Return `text` as a fenced block of Markdown that nothing within it can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


async def gather(request: Request, sources: Sequence[ContextSource]) -> Context:
    """Ask every source, in order, and join what they give."""
    items = [item for source in sources for item in await source.items(request)]
    return Context(request=request, items=tuple(items))
