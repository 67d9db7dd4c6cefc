"""What would be sent for a question, item by item: its tokens, why it goes along, and what stays behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jupyter_llmroute.core.cell_ranges import spans
from jupyter_llmroute.core.context import OLD, turn_ref
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.prompt import INSTRUCTIONS, item_text
from jupyter_llmroute.core.request import CellRef
from jupyter_llmroute.core.router import Preview
from jupyter_llmroute.core.tokens import estimate_tokens
from jupyter_llmroute.inert import seen
from jupyter_llmroute.table import Table
from jupyter_llmroute.wording import FIX, plural, who

COLUMNS = ("what", "tokens", "why", "sent")
NOTHING = "Nothing would be sent."
SHOWN_CHARS = 80
"""Of a question."""

NEW, KNOWN, SHORTENED, LEFT_OUT, NOT_NEEDED = "yes", "with an earlier question", "shortened", "no room", "no"


def table(preview: Preview, cells: Sequence[CellRef]) -> Table:
    """Return one row for each piece of the prompt, in its order, and below them what is not in it.

    Parameters
    ----------
    preview
        What would be sent.
    cells
        All cells that could go along.
    """
    rows = _Rows(preview)
    return Table(
        columns=COLUMNS,
        rows=(*rows.sent(), *rows.left_out(), *rows.not_needed(cells)),
        notes=tuple(rows.notes()),
        nothing=NOTHING,
    )


def full(preview: Preview) -> str:
    """Return every message that would be sent, word for word, under a line that says who says it."""
    return "\n\n".join(f"--- {message.role} ---\n{seen(message.content)}" for message in preview.fitted.chat.messages)


Row = tuple[str, str, str, str]


class _Rows:
    def __init__(self, preview: Preview) -> None:
        self._candidate, self._gathered, self._fitted = preview
        self._context = self._fitted.context
        self._family = self._candidate.info.family

    def sent(self) -> Iterator[Row]:
        yield self._row("instructions", INSTRUCTIONS, "always the same", NEW)
        for turn in self._context.request.turns:
            yield from (self._item(item, KNOWN) for item in turn.items)
            number = f"In[{turn.number}]" if turn.number >= 0 else f"{OLD}In[{-turn.number}]"
            yield self._row(f"{number}: {_short(turn.question)}", turn.question, "asked earlier", NEW)
            yield self._row(turn_ref(turn), turn.answer, "answered earlier", NEW)
        yield from (self._item(item, NEW) for item in self._context.items)
        question = self._context.request.question
        yield self._row(
            f"question: {_short(question)}", question, "asked by --fix" if question == FIX else "as you wrote it", NEW
        )

    def _item(self, item: ContextItem, sent: str) -> Row:
        return self._row(", ".join(filter(None, (item.ref, item.output_ref))), item_text(item), item.reason, sent)

    def _row(self, what: str, text: str, why: str, sent: str) -> Row:
        return what, f"{estimate_tokens(text, self._family):,}", why, sent

    def left_out(self) -> Iterator[Row]:
        reasons = {item.ref: item.reason for item in self._gathered.items}
        for ref in self._context.left_out:
            yield ref, "", reasons.get(ref, ""), LEFT_OUT

    def not_needed(self, cells: Sequence[CellRef]) -> Iterator[Row]:
        earlier = (item for turn in self._context.request.turns for item in turn.items)
        gathered = {item.ref for item in (*self._gathered.items, *earlier)}
        others = [cell.number for cell in cells if cell.kind == "code" and f"In[{cell.number}]" not in gathered]
        if others:
            yield (
                f"In[{spans(others)}]",
                "",
                f"{plural(len(others), 'cell')} that the question does not need",
                NOT_NEEDED,
            )

    def notes(self) -> Iterator[str]:
        chat = self._fitted.chat
        window = f" of a window of {chat.window:,}" if chat.window else ""
        model = who(self._candidate.model.id, self._candidate.endpoint.name)
        yield f"About {chat.prompt_tokens:,} tokens{window} would go to {model}; estimated for its family."
        if self._gathered.items or self._gathered.request.turns:
            yield "A server that counts for itself may find more; then more is left out, and the card says what."
        yield from self._gathered.remarks


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[: SHOWN_CHARS - 1]}…"
