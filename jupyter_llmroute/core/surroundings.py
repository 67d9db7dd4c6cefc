"""What a short question leaves unsaid and the notebook knows: the question before it, the cell that it points at."""

from __future__ import annotations

from jupyter_llmroute.core.asking import heads
from jupyter_llmroute.core.cues import cues
from jupyter_llmroute.core.reading import read
from jupyter_llmroute.core.request import Request, Turn
from jupyter_llmroute.core.words import Word, sentences

SHORT = 7
"""Words of a question that may go on from what was before."""

PASTED_CHARS = 1500
"""Of a cell, what is read along with a question."""


def _words(text: str) -> list[Word] | None:
    """Return the words of a short question; `None` for a longer one, or for one that pastes something."""
    if len(text) > 200:
        return None
    reading = read(text)
    words = [word for sentence in sentences(reading.prose) for word in sentence.words if word.text[0] not in ",;:–—?"]
    return None if reading.pasted or len(words) > SHORT else words


def continued(request: Request) -> Turn | None:
    """Return the turn that a question goes on from, if it does."""
    if not request.turns or not _continues(request.question):
        return None
    return next(
        (turn for turn in reversed(request.turns) if turn.question.strip() and not _continues(turn.question)), None
    )


def _continues(text: str) -> bool:
    words = _words(text)
    if words is None:
        return False
    start = text.strip().lstrip("…. ")
    return not words or words[0].plain in cues().continuing or start.startswith(cues().continuing_script)


def asks(text: str) -> bool:
    """Whether a short question says itself what it wants: "and now test it", not "and in polars?"."""
    return any(heads(sentence) for sentence in sentences(read(text).prose))


def with_cell(request: Request) -> str:
    """Return the question with the cell before it, where it points at that: "why?", "explain this"."""
    if failed := request.failed:
        return f"{request.question}\n\n{failed.error[-PASTED_CHARS:]}"
    words, cells = _words(request.question), request.code
    if not words or not cells:
        return request.question
    cell = cells[-1]
    if request.turns and request.turns[-1].number > cell.number:
        return request.question  # what was said since is what it points at
    if not any(word.plain in cues().pointing for word in words):
        return request.question
    traceback = cell.error or cell.output
    if cell.error or read(traceback[-PASTED_CHARS:]).pasted.get("traceback"):
        return f"{request.question}\n\n{traceback[-PASTED_CHARS:]}"
    source = cell.source[:PASTED_CHARS].strip()
    return f"{request.question}\n\n```\n{source}\n```" if source and not source.startswith("%%") else request.question
