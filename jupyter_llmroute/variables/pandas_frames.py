"""DataFrame, Series and Index of pandas."""

from __future__ import annotations

import itertools
from typing import Any

from jupyter_llmroute.core.secrets import MASK
from jupyter_llmroute.variables import plain, static
from jupyter_llmroute.variables.columns import (
    FEW,
    Column,
    add_columns,
    distinct,
    is_secret,
    missing,
    sampled_rows,
)
from jupyter_llmroute.variables.draft import Draft, Kind

LOOKED_INTO = 1_000
"""Cells of an object column whose types are told."""


def frame_headline(frame: Any) -> str:
    """Return the shape."""
    rows, columns = frame.shape
    return f"{plain.type_name(type(frame))}, {plain.count(rows, 'row')} x {plain.count(columns, 'column')}"


def frame_details(frame: Any, draft: Draft) -> None:
    """Add index, columns and first rows."""
    rows, total = frame.shape
    sampled = sampled_rows(rows, total, draft)
    labels = frame.columns
    draft.add(_index_line(frame.index, draft))

    def read(position: int) -> Column:
        return _column(labels[position], frame.iloc[:, position], sampled, draft)

    add_columns(draft, total, rows, sampled, read, ".iloc[:, n - 1]")


def series_headline(series: Any) -> str:
    """Return name, length and dtype."""
    label = "" if series.name is None else " " + plain.name(series.name)
    return f"{plain.type_name(type(series))}{label}, {plain.count(len(series), 'row')}, {_dtype(series)}"


def series_details(series: Any, draft: Draft) -> None:
    """Add missing values, index, and what the values are."""
    rows = len(series)
    sampled = sampled_rows(rows, 1, draft)
    column = _column(series.name, series, sampled, draft)
    draft.add(missing(column.missing) + (f" of the first {sampled:,} rows" if sampled < rows else ""))
    draft.add(_index_line(series.index, draft))
    _add_values(column, draft)


def index_headline(index: Any) -> str:
    """Return length, name and dtype, or the levels."""
    return f"{_labels(index)}, {plain.count(len(index), 'entry', 'entries')}"


def index_details(index: Any, draft: Draft) -> None:
    """Add what the entries are."""
    if not _is_multi(index):
        series = index[: sampled_rows(len(index), 1, draft)].to_series()
        _add_values(_column(index.name, series, len(series), draft), draft)
    elif draft.values:
        secret = any(is_secret(Column(name, "", None), draft) for name in index.names)
        cells = [MASK if secret else plain.value(entry) for entry in index[: draft.limits.rows]]
        draft.add("first: " + ", ".join(cells))


def _add_values(column: Column, draft: Draft) -> None:
    if draft.values and is_secret(column, draft):
        draft.add(f"values: {MASK}")
    elif draft.values:
        draft.add("first: " + ", ".join(plain.value(cell, 40) for cell in column.cells))
        if column.facts:
            draft.add(column.facts)


def _column(name: object, series: Any, sampled: int, draft: Draft) -> Column:
    head = series.iloc[:sampled]
    counted = int(head.isna().sum())
    if not draft.values:
        return Column(name, _dtype(series), counted)
    cells = list(series.iloc[: draft.limits.rows].array)
    return Column(name, _dtype(series), counted, _facts(head, all_missing=counted == len(head)), cells)


def _dtype(series: Any) -> str:
    """Return the dtype, of categories how many, and of objects the types of the first."""
    text = plain.line(str(series.dtype))
    if text == "category":
        ordered = ", ordered" if series.dtype.ordered else ""
        return f"category of {plain.count(len(series.dtype.categories), 'value')}{ordered}"
    if text != "object":
        return text
    types = {id(type(cell)): type(cell) for cell in series.iloc[:LOOKED_INTO].array}
    names = sorted(plain.type_name(cls) for cls in types.values())
    return f"object ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})" if names else "object"


def _facts(head: Any, *, all_missing: bool) -> str:
    """Return what the values of a column are, without calling anything of an object in it."""
    dtype = head.dtype
    kind = getattr(dtype, "kind", "O")
    if str(dtype) == "category":
        listed = [plain.value(category, 40) for category in dtype.categories[:FEW]]
        return "values " + ", ".join(listed + ["…"] * (len(dtype.categories) > FEW))
    if all_missing:
        return ""
    if kind == "b":
        return f"{int(head.sum()):,} true"
    if kind in "iufMm":
        return f"from {_figure(head.min())} to {_figure(head.max())}"
    return distinct(list(head.iloc[:LOOKED_INTO].array)) if kind in "OUT" else ""


def _figure(figure: object) -> str:
    return plain.number(figure) if static.is_a(figure, float) else plain.value(figure)  # type: ignore[arg-type]


def _index_line(index: Any, draft: Draft) -> str:
    line = f"index: {_labels(index)}"
    if not draft.values or not len(index):
        return line
    if any(is_secret(Column(name, "", None), draft) for name in index.names):
        return f"{line}, {MASK}"
    return f"{line}, from {plain.value(index[0])} to {plain.value(index[-1])}"


def _labels(index: Any) -> str:
    kind = plain.type_name(type(index))
    if _is_multi(index):
        levels = zip(index.names, index.levels, strict=True)
        named = (f"{plain.name(name)} {plain.line(str(level.dtype))}" for name, level in itertools.islice(levels, 8))
        return f"{kind} of {index.nlevels} levels: {', '.join(named)}"
    name = "" if index.name is None else f" {plain.name(index.name)}"
    return f"{kind}{name}" + ("" if kind == "pandas.RangeIndex" else f" {plain.line(str(index.dtype))}")


def _is_multi(index: Any) -> bool:
    return int(index.nlevels) > 1


KINDS = {
    ("pandas", "DataFrame"): Kind(frame_headline, frame_details),
    ("pandas", "Series"): Kind(series_headline, series_details),
    ("pandas", "Index"): Kind(index_headline, index_details),
}
