"""A table that is shown as Markdown and as plain text, found in and sorted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jupyter_llmroute.core.values import Value
from jupyter_llmroute.inert import inert_line, plain_line
from jupyter_llmroute.wording import and_more

SHOWN = 40
"""Rows that are shown where not all are asked for."""

LONGEST = 400
"""Characters of a cell; what is longer is cut, with a mark."""

_NUMBER = re.compile(r"([\d,]*\.?\d+)\s?([KMBT]?)")
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


class Table(Value):
    """Columns, rows and notes; the words of servers in them may be anything, and come out inert."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    """Lines under the table."""
    nothing: str
    """What is said where there are no rows."""

    def found(self, words: str) -> Table:
        """Return the table of the rows that hold all these words, in whatever case."""
        wanted = words.lower().split()
        rows = (row for row in self.rows if all(word in " ".join(row).lower() for word in wanted))
        return self.model_copy(
            update={"rows": tuple(rows), "nothing": f"No row holds {words!r}." if self.rows else self.nothing}
        )

    def sorted_by(self, column: str) -> Table:
        """Return the table sorted by a column: numbers from the largest, then words, then nothing."""
        index = self.columns.index(column)
        return self.model_copy(update={"rows": tuple(sorted(self.rows, key=lambda row: _order(row[index])))})

    def text(self, shown: int | None = SHOWN) -> str:
        """Return it as aligned plain text; of more rows than `shown`, the first ones."""
        table = self._shortened(shown)
        if not table.rows:
            return table.nothing
        lines = [table.columns, *([plain_line(cell, LONGEST) for cell in row] for row in table.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
        aligned = ["  ".join(cell.ljust(wide) for cell, wide in zip(r, widths, strict=True)).rstrip() for r in lines]
        return "\n".join((*aligned, *(["", *map(_plain, table.notes)] if table.notes else [])))

    def markdown(self, shown: int | None = SHOWN) -> str:
        """Return it as Markdown; of more rows than `shown`, the first ones."""
        table = self._shortened(shown)
        if not table.rows:
            return inert_line(table.nothing, LONGEST)
        lines = [
            table.columns,
            ("---",) * len(table.columns),
            *([inert_line(cell, LONGEST) for cell in row] for row in table.rows),
        ]
        notes = [inert_line(note, LONGEST) + "  " for note in table.notes]
        return "\n".join((*(f"| {' | '.join(line)} |" for line in lines), *(["", *notes] if notes else [])))

    def bundle(self, shown: int | None = SHOWN) -> dict[str, Any]:
        """Return it as a mime bundle: Markdown, and the same in plain text."""
        return {"text/markdown": self.markdown(shown), "text/plain": self.text(shown)}

    def _shortened(self, shown: int | None) -> Table:
        """Return what is shown: the first rows, without the columns in which nobody says anything."""
        rows = self.rows[:shown]
        kept = [index for index in range(len(self.columns)) if any(row[index] for row in rows)]
        more = and_more(len(self.rows) - len(rows))
        return self.model_copy(
            update={
                "columns": _picked(self.columns, kept),
                "rows": tuple(_picked(row, kept) for row in rows),
                "notes": (*([f"{more}: see them with --all"] if more else []), *self.notes),
            }
        )


def _picked(cells: Sequence[str], kept: Sequence[int]) -> tuple[str, ...]:
    return tuple(cells[index] for index in kept)


def _plain(note: str) -> str:
    return plain_line(note, LONGEST)


def _order(cell: str) -> tuple[int, float, str]:
    if found := _NUMBER.match(cell):
        return 0, -float(found[1].replace(",", "")) * _UNITS[found[2]], cell
    return (1, 0.0, cell.lower()) if cell else (2, 0.0, "")
