"""The columns and rows of any table, as lines; what reads them from a table is its library's own file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jupyter_llmroute.core.secrets import MASK, is_secret_name
from jupyter_llmroute.variables import plain, static
from jupyter_llmroute.variables.draft import Draft, ends

CELLS_LOOKED_AT = 1_000_000
"""Of a table: rows of many columns lie far apart in memory, so fewer of them are read."""

ROW_COLUMNS = 12
"""Columns of which the first rows are shown."""

FEW = 10
"""Categories and distinct texts that are listed."""


_MISSING = {"NoneType", "float", "pandas.NAType", "pandas._libs.missing.NAType"}
"""Types of what stands for a missing text."""


class Column(NamedTuple):
    """What is known of one column."""

    name: object
    dtype: str
    missing: int | None
    """Of the rows that were looked at; `None` where it was not counted."""
    facts: str = ""
    """What its values are, where that was asked for."""
    cells: Sequence[object] = ()
    """Of the first rows, where values were asked for."""


def sampled_rows(rows: int, columns: int, draft: Draft) -> int:
    """Return how many rows at the head are looked at."""
    return min(rows, draft.limits.sampled, max(1_000, CELLS_LOOKED_AT // max(columns, 1)))


def add_columns(
    draft: Draft, total: int, rows: int, sampled: int, read: Callable[[int], Column], position: str = ""
) -> None:
    """Add a line for each column, and the first rows where values are asked for.

    Parameters
    ----------
    draft
        What to add to.
    total
        Columns of the table.
    rows, sampled
        Rows of the table, and those at its head that are looked at.
    read
        Returns a column by its position.
    position
        How Python names the n-th column, such as `".iloc[:, n - 1]"`.
    """
    draft.add(f"columns, counted from 1{f' (the n-th is {position})' if position else ''}:")
    if sampled < rows:
        draft.add(f"(missing values and figures are of the first {sampled:,} rows)")
    first: list[Column] = []
    end = 0
    for positions in ends(total, draft.limits.columns):
        if positions.start > end:
            draft.leave_out(f"{positions.start - end:,} of {total:,} columns")
        for index in positions:
            column = read(index)
            draft.add(f"{index + 1}. {line(column, draft)}")
            first += [column] * (index < ROW_COLUMNS)
        end = positions.stop
    if draft.values and first and rows:
        _add_rows(draft, first, total, rows)


def line(column: Column, draft: Draft) -> str:
    """Return what is said of a column."""
    parts = [f"{plain.name(column.name)} {column.dtype}", missing(column.missing)]
    if draft.values and column.facts:
        parts.append(MASK if is_secret(column, draft) else column.facts)
    return ", ".join(filter(None, parts))


def missing(count: int | None) -> str:
    """Return a count of missing values in words; empty where it was not counted."""
    return "" if count is None else f"{count:,} missing" if count else "none missing"


def is_secret(column: Column, draft: Draft) -> bool:
    """Say whether the values of a column are masked whatever they are."""
    return draft.secret or is_secret_name(plain.spelt(column.name))


def distinct(texts: Sequence[object]) -> str:
    """Return what texts there are: all when they are few, else how many; empty where not all of them are plain text."""
    known = {text for text in texts if type(text) is str}
    others = {static.full_name(type(text)) for text in texts if type(text) is not str}
    if not known or others - _MISSING:
        return ""
    if len(known) <= FEW:
        return "values " + ", ".join(plain.quoted(text, 40) for text in sorted(known))
    return f"{len(known):,} different values in the first {plain.count(len(texts), 'row')}"


def _add_rows(draft: Draft, columns: Sequence[Column], total: int, rows: int) -> None:
    shown = min(rows, draft.limits.rows, min(len(column.cells) for column in columns))
    which = f" of columns 1 to {len(columns)}" if len(columns) < total else ""
    draft.add(f"first {plain.count(shown, 'row')}{which}:")
    draft.add(" | ".join(plain.name(column.name, 30) for column in columns))
    for row in range(shown):
        cells = (MASK if is_secret(column, draft) else plain.value(column.cells[row], 40) for column in columns)
        draft.add(" | ".join(cells))
