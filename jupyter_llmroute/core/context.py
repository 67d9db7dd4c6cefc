"""What goes along with a question, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.request import Request, Turn
from jupyter_llmroute.core.values import Value

CUT = "\n… {chars} characters left out …\n"

OLD = "earlier "
"""Begins the references of what was taken from the cells of another session."""


class Context(Value):
    """A request with what was gathered for it."""

    request: Request
    items: tuple[ContextItem, ...] = ()
    """Of one source the oldest first."""
    left_out: tuple[str, ...] = ()
    """References of what was gathered and then dropped or shortened, because it did not fit."""
    remarks: tuple[str, ...] = ()
    """What the user should know of how it was gathered, a sentence each; no model reads them."""

    def refs(self) -> tuple[str, ...]:
        """Return the references of all that goes along with the question, in the order of the prompt."""
        earlier = (item.ref for turn in self.request.turns for item in turn.items)
        return (*dict.fromkeys((*earlier, *(item.ref for item in self.items))), *map(turn_ref, self.request.turns))

    def with_more(self, gathered: Gathered) -> Context:
        """Return the context with what one more source has for it."""
        if gathered == Gathered():
            return self
        items, remarks = (*self.items, *gathered.items), (*self.remarks, *gathered.remarks)
        return self.model_copy(update={"items": items, "remarks": remarks})

    def alone(self) -> Context:
        """Return the question with nothing along; what went along is left out."""
        request = self.request.model_copy(update={"turns": ()})
        return Context(request=request, left_out=(*self.left_out, *self.refs()))


def turn_ref(turn: Turn) -> str:
    """Return what the user knows an earlier answer by."""
    return f"answer to In[{turn.number}]" if turn.number >= 0 else f"{OLD}answer to In[{-turn.number}]"


class Gathered(Value):
    """What one source has for a request."""

    items: tuple[ContextItem, ...] = ()
    """Oldest first."""
    remarks: tuple[str, ...] = ()
    """What the user should know of it, a sentence each."""


class ContextSource(Protocol):
    """Somewhere that context comes from."""

    async def gather(self, request: Request) -> Gathered:
        """Return what this source has for the request."""


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
    gathered = [await source.gather(request) for source in sources]
    return Context(
        request=request,
        items=tuple(item for found in gathered for item in found.items),
        remarks=(*request.remarks, *(remark for found in gathered for remark in found.remarks)),
    )
