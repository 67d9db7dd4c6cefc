"""Dataset and DataArray of xarray; what is not in memory stays where it is."""

from __future__ import annotations

import sys
from typing import Any

from jupyter_llmroute.core.secrets import MASK, is_secret_name
from jupyter_llmroute.variables import arrays, plain, static
from jupyter_llmroute.variables.draft import Draft, Kind


def dataset_headline(dataset: Any) -> str:
    """Return the dimensions with their lengths."""
    counted = plain.count(len(dataset.data_vars), "data variable")
    return f"{plain.type_name(type(dataset))}, {_sizes(dataset)}, {counted}"


def array_headline(array: Any) -> str:
    """Return name, dimensions and dtype."""
    name = "" if array.name is None else f" {plain.name(array.name)}"
    return f"{plain.type_name(type(array))}{name}, {_sizes(array)}, {plain.line(str(array.dtype))}"


def dataset_details(dataset: Any, draft: Draft) -> None:
    """Add coordinates, variables and attributes."""
    _add_variables("coordinates", dataset.coords, draft)
    _add_variables("data variables, counted from 1", dataset.data_vars, draft)
    _add_attributes(dataset.attrs, draft)


def array_details(array: Any, draft: Draft) -> None:
    """Add what its values are, coordinates and attributes."""
    held = _in_memory(array)
    if held is None:
        draft.leave_out("values, which are not in memory,")
    else:
        arrays.array_details(held, draft)
    _add_variables("coordinates", array.coords, draft)
    _add_attributes(array.attrs, draft)


def _sizes(thing: Any) -> str:
    return " x ".join(f"{plain.name(name)} {length:,}" for name, length in thing.sizes.items()) or "no dimensions"


def _add_variables(title: str, variables: Any, draft: Draft) -> None:
    names = list(variables)
    if names:
        draft.add(f"{title}:")
    for number, name in enumerate(names[: draft.limits.columns], start=1):
        draft.add(f"{number}. {plain.name(name)} {_variable(name, variables[name], draft)}")
    if len(names) > draft.limits.columns:
        draft.leave_out(f"{len(names) - draft.limits.columns:,} of {len(names):,} variables")


def _variable(name: object, variable: Any, draft: Draft) -> str:
    """Return dimensions and dtype of a variable, missing values where it is in memory, and its first value and last."""
    secret = draft.secret or is_secret_name(plain.spelt(name))
    parts = [f"({', '.join(plain.name(dim) for dim in variable.dims)}) {plain.line(str(variable.dtype))}"]
    if (index := _index(variable)) is not None:
        if draft.values and len(index):
            parts.append(MASK if secret else f"from {plain.value(index[0])} to {plain.value(index[-1])}")
    elif (held := _in_memory(variable)) is None:
        parts.append("not in memory")
    else:
        inner = Draft(draft.limits, values=draft.values, secret=secret)
        arrays.array_details(held, inner)
        parts += inner.lines
    return ", ".join(parts)


def _data(thing: Any) -> Any:
    return static.attribute(getattr(thing, "variable", thing), "_data")


def _in_memory(thing: Any) -> Any:
    """Return the numpy array that holds the values; `None` where they are in a file, or not computed yet."""
    held = _data(thing)
    return held if static.is_a(held, sys.modules["numpy"].ndarray) else None


def _index(thing: Any) -> Any:
    """Return the pandas index that holds the labels of a dimension; `None` where there is none."""
    held = _data(thing)
    is_index = any(static.names_of(cls)[1] == "PandasIndexingAdapter" for cls in static.line_of(type(held)))
    return held.array if is_index else None


def _add_attributes(attributes: Any, draft: Draft) -> None:
    if not static.is_a(attributes, dict):
        return
    entries = list(dict.items(attributes))[: draft.limits.items]
    if entries and not draft.values:
        draft.add("attributes: " + ", ".join(plain.name(name) for name, _ in entries))
    for name, held in entries if draft.values else ():
        secret = draft.secret or is_secret_name(plain.spelt(name))
        draft.add(f"attribute {plain.name(name)}: {MASK if secret else plain.value(held)}")


KINDS = {
    ("xarray", "Dataset"): Kind(dataset_headline, dataset_details),
    ("xarray", "DataArray"): Kind(array_headline, array_details),
}
