"""Cells by their numbers: `--cells 3,5-7`, and `In[3]`, `Out[3]`, `Err[3]` in the text of a question."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from itertools import pairwise
from typing import Literal, NamedTuple

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.values import Value

SPANS = 8
"""Spans of numbers that a message shows; of more, the first and the last."""


class Choice(Value):
    """Which cells are to go along."""

    which: Literal["all", "above", "none", "numbers"]
    """`above`: those that stand before the question in the notebook."""
    numbers: tuple[int, ...] = ()
    """Of `numbers`: execution counts, each once, ascending."""


class Part(StrEnum):
    """What of a cell is referred to."""

    IN = "In"
    OUT = "Out"
    ERR = "Err"


class Reference(NamedTuple):
    """A cell's source, result or error, as a question names it."""

    part: Part
    number: int

    def __str__(self) -> str:
        return f"{self.part}[{self.number}]"


_WORDS: dict[str, Literal["all", "above", "none"]] = {"all": "all", "above": "above", "none": "none"}
_PIECE = re.compile(r"(\d{0,9})\s*([-–]?)\s*(\d{0,9})", re.ASCII)
_REFERENCE = re.compile(r"(?<![\w.])(In|Out|Err)\[\s{0,9}(\d{1,9})\s{0,9}\]", re.ASCII)
_FORMS = "Write numbers and ranges such as 3,5-7, or one of all, above, none."


def parse(text: str, known: Collection[int]) -> Choice:
    """Read what stands behind `--cells`.

    Parameters
    ----------
    text
        One of `all`, `above`, `none`; or numbers and ranges with commas between them. A range may be open at one end,
        and may be turned round; of its numbers those count that are known.
    known
        Numbers of the cells that there are.

    Raises
    ------
    UserError
        The text does not read, or names a cell that there is not.

    Examples
    --------
    >>> parse("3, 7-5", known=range(1, 10)).numbers
    (3, 5, 6, 7)
    >>> parse("above", known=()).which
    'above'
    """
    if word := _WORDS.get(text.strip().lower()):
        return Choice(which=word)
    chosen: set[int] = set()
    for piece in text.split(","):
        chosen |= _numbers(piece.strip(), text, known)
    return Choice(which="numbers", numbers=tuple(sorted(chosen)))


def _numbers(piece: str, text: str, known: Collection[int]) -> set[int]:
    read = _PIECE.fullmatch(piece)
    if not read or not (read[1] or read[3]) or (read[1] and read[3] and not read[2]):
        within = "" if piece == text.strip() else f" in {_short(text)}"
        raise UserError(f"--cells does not read: {_short(piece)}{within}. {_FORMS}")
    first = int(read[1]) if read[1] else min(known, default=0)
    last = int(read[3]) if read[3] else first if not read[2] else max(known, default=0)
    # An open range that begins behind the last cell is empty; one that is turned round is meant.
    low, high = sorted((first, last)) if read[1] and read[3] else (first, last)
    found = {number for number in known if low <= number <= high}
    if not found:
        missing = f"cell {first}" if first == last and not read[2] else f"cell in the range {piece!r}"
        raise UserError(f"--cells {_short(text)}: there is no {missing}. {_there_is(known)}")
    return found


def _there_is(known: Collection[int]) -> str:
    if not known:
        return "No cell has been run before this one: leave --cells out."
    return f"Choose from {spans(known)}, or write all, above or none."


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def spans(numbers: Iterable[int]) -> str:
    """Return numbers in words, those in a row together.

    Examples
    --------
    >>> spans([1, 2, 3, 5, 9, 8])
    '1-3, 5, 8-9'
    """
    ordered = sorted(set(numbers))
    starts = ordered[:1] + [after for before, after in pairwise(ordered) if after != before + 1]
    ends = [before for before, after in pairwise(ordered) if after != before + 1] + ordered[-1:]
    words = [str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True)]
    if len(words) > SPANS:
        words = [*words[: SPANS - 1], "…", words[-1]]
    return ", ".join(words)


def references(question: str) -> tuple[Reference, ...]:
    """Return the cells that a question names as IPython writes them, each once, in its order.

    Examples
    --------
    >>> [str(reference) for reference in references("why is Out[3] not what In[ 2 ] says? (Out[3])")]
    ['Out[3]', 'In[2]']
    """
    found = (Reference(Part(part), int(number)) for part, number in _REFERENCE.findall(question))
    return tuple(dict.fromkeys(found))
