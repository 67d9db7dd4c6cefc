"""DataFrame, LazyFrame and Series of polars, and the tables of pyarrow."""

from __future__ import annotations

from typing import Any

from jupyter_llmroute.core.secrets import MASK
from jupyter_llmroute.variables import plain
from jupyter_llmroute.variables.columns import FEW, Column, add_columns, distinct, is_secret, missing, sampled_rows
from jupyter_llmroute.variables.draft import Draft, Kind

LOOKED_INTO = 1_000
"""Cells of a text column that are compared."""


def frame_headline(frame: Any) -> str:
    """Return the shape."""
    rows, columns = frame.shape
    return f"{plain.type_name(type(frame))}, {plain.count(rows, 'row')} x {plain.count(columns, 'column')}"


def frame_details(frame: Any, draft: Draft) -> None:
    """Add columns and first rows."""
    rows, total = frame.shape
    sampled = sampled_rows(rows, total, draft)
    add_columns(draft, total, rows, sampled, lambda n: _column(frame.to_series(n), sampled, draft), "[:, n - 1]")


def lazy_headline(frame: Any) -> str:
    """Return that it is lazy: even its columns may be known only to a file or a server."""
    return f"{plain.type_name(type(frame))}, not collected; its columns are not known before it is"


def series_headline(series: Any) -> str:
    """Return name, length and dtype."""
    kind = plain.type_name(type(series))
    return f"{kind} {plain.name(series.name)}, {plain.count(len(series), 'row')}, {_dtype(series.dtype)}"


def series_details(series: Any, draft: Draft) -> None:
    """Add missing values and what the values are."""
    sampled = sampled_rows(len(series), 1, draft)
    column = _column(series, sampled, draft)
    draft.add(missing(column.missing) + (f" of the first {sampled:,} rows" if sampled < len(series) else ""))
    _add_values(column, draft)


def table_details(table: Any, draft: Draft) -> None:
    """Add columns and first rows of a pyarrow table."""
    rows, total = table.shape
    sampled = sampled_rows(rows, total, draft)

    def read(position: int) -> Column:
        field, column = table.schema.field(position), table.column(position)
        cells = column.slice(0, draft.limits.rows).to_pylist() if draft.values else ()
        dtype = plain.line(str(field.type))
        return Column(field.name, dtype, column.slice(0, sampled).null_count, cells=cells)

    add_columns(draft, total, rows, sampled, read, ".column(n - 1)")


def array_headline(array: Any) -> str:
    """Return type and length of a pyarrow array."""
    return (
        f"{plain.type_name(type(array))}, {plain.count(len(array), 'entry', 'entries')}, {plain.line(str(array.type))}"
    )


def array_details(array: Any, draft: Draft) -> None:
    """Add missing and first values of a pyarrow array."""
    sampled = sampled_rows(len(array), 1, draft)
    cells = array.slice(0, draft.limits.rows).to_pylist() if draft.values else ()
    draft.add(missing(array.slice(0, sampled).null_count))
    _add_values(Column("", "", None, cells=cells), draft)


def _add_values(column: Column, draft: Draft) -> None:
    if draft.values and is_secret(column, draft):
        draft.add(f"values: {MASK}")
    elif draft.values:
        draft.add("first: " + ", ".join(plain.value(cell, 40) for cell in column.cells))
        if column.facts:
            draft.add(column.facts)


def _column(series: Any, sampled: int, draft: Draft) -> Column:
    head = series.head(sampled)
    counted = int(head.null_count())
    if series.dtype.is_float():
        counted += int(head.is_nan().sum())
    dtype = _dtype(series.dtype)
    if not draft.values:
        return Column(series.name, dtype, counted)
    cells = series.head(draft.limits.rows).to_list()
    return Column(series.name, dtype, counted, _facts(head, all_missing=counted == len(head)), cells)


def _dtype(dtype: Any) -> str:
    """Return a dtype without the categories that it may list: they are values."""
    text, listed, _ = str(dtype).partition("(categories=")
    return plain.line(text + ("(…)" if listed else ""))


def _facts(head: Any, *, all_missing: bool) -> str:
    dtype = head.dtype
    if all_missing:
        return ""
    if dtype.is_numeric() or dtype.is_temporal():
        return f"from {plain.value(head.min())} to {plain.value(head.max())}"
    name = str(dtype)
    if name == "Boolean":
        return f"{int(head.sum()):,} true"
    if name.startswith("Enum"):
        listed = [plain.value(category, 40) for category in dtype.categories.head(FEW).to_list()]
        return "values " + ", ".join(listed + ["…"] * (len(dtype.categories) > FEW))
    return distinct(head.head(LOOKED_INTO).to_list()) if name.startswith(("String", "Categorical")) else ""


KINDS = {
    ("polars", "DataFrame"): Kind(frame_headline, frame_details),
    ("polars", "LazyFrame"): Kind(lazy_headline),
    ("polars", "Series"): Kind(series_headline, series_details),
    ("pyarrow", "Table"): Kind(frame_headline, table_details),
    ("pyarrow", "RecordBatch"): Kind(frame_headline, table_details),
    ("pyarrow", "ChunkedArray"): Kind(array_headline, array_details),
    ("pyarrow", "Array"): Kind(array_headline, array_details),
}
