"""Arrays of numbers: numpy, scipy's sparse ones, tensors of torch; on the device where they are."""

from __future__ import annotations

import sys
from typing import Any

from jupyter_llmroute.core.secrets import MASK, is_secret_name
from jupyter_llmroute.variables import plain, static
from jupyter_llmroute.variables.draft import Draft, Kind, ends

FIRST = 8
"""Elements that are shown."""


def corner(shape: tuple[int, ...], limit: int) -> tuple[slice, ...]:
    """Return slices of the first elements of an array, at most `limit` of them, without reading the others.

    Examples
    --------
    >>> corner((10**9, 3), 12)
    (slice(0, 4, None), slice(0, 3, None))
    """
    taken: list[slice] = []
    for length in reversed(shape):
        part = min(length, max(1, limit))
        limit //= max(part, 1)
        taken.insert(0, slice(0, part))
    return tuple(taken)


def array_headline(array: Any) -> str:
    """Return shape and dtype."""
    plain_array = _bare(array)
    fields = plain_array.dtype.names
    dtype = f"records of {plain.count(len(fields), 'field')}" if fields else plain.line(str(plain_array.dtype))
    return f"{plain.type_name(type(array))}, {shape(plain_array.shape)}, {dtype}"


def array_details(array: Any, draft: Draft) -> None:
    """Add fields, missing values and, where they are asked for, the first ones and their range."""
    bare = _bare(array)
    if bare.dtype.names:
        _add_fields(bare, draft)
        return
    head = bare[corner(bare.shape, draft.limits.sampled)] if bare.shape else bare
    which = f" of the {head.size:,} looked at" if head.size < bare.size else ""
    gaps = _missing(head)
    if gaps is not None:
        draft.add(f"{plain.count(int(gaps.sum()), 'missing', 'missing') if gaps.any() else 'none missing'}{which}")
    if not draft.values or not head.size:
        return
    if draft.secret:
        draft.add(f"values: {MASK}")
        return
    known = head[~gaps] if gaps is not None else head
    if bare.dtype.kind in "iufMm" and known.size:
        draft.add(f"from {_figure(known.min())} to {_figure(known.max())}{which}")
    few = bare[corner(bare.shape, FIRST)].ravel() if bare.shape else [bare[()]]
    draft.add("first: " + ", ".join(plain.value(item, 40) for item in few))


def _bare(array: Any) -> Any:
    """Return the same memory as numpy's own class, so that no subclass is asked."""
    numpy = sys.modules["numpy"]
    return array if type(array) is numpy.ndarray else numpy.ndarray.view(array, numpy.ndarray)


def _missing(head: Any) -> Any:
    """Return which elements are missing; `None` where the dtype has no such."""
    numpy = sys.modules["numpy"]
    if head.dtype.kind in "fc":
        return numpy.isnan(head)
    return numpy.isnat(head) if head.dtype.kind in "Mm" else None


def _add_fields(bare: Any, draft: Draft) -> None:
    names = bare.dtype.names
    draft.add("fields, counted from 1:")
    end = 0
    for positions in ends(len(names), draft.limits.columns):
        if positions.start > end:
            draft.leave_out(f"{positions.start - end:,} of {len(names):,} fields")
        for position in positions:
            name = names[position]
            line = f"{position + 1}. {plain.quoted(name)} {plain.line(str(bare.dtype[name]))}"
            if draft.values and bare.size:
                few = bare[name][corner(bare.shape, 3)].ravel() if bare.shape else [bare[name][()]]
                cells = ", ".join(plain.value(item, 40) for item in few)
                line += f", first {MASK if draft.secret or is_secret_name(name) else cells}"
            draft.add(line)
        end = positions.stop


def shape(lengths: tuple[int, ...]) -> str:
    """Return a shape in words."""
    return "shape " + (" x ".join(f"{length:,}" for length in lengths) if lengths else "() (one element)")


def _figure(figure: Any) -> str:
    return (
        plain.number(float(figure)) if static.is_a(figure, float) or figure.dtype.kind == "f" else plain.value(figure)
    )


def sparse_headline(matrix: Any) -> str:
    """Return shape, dtype, format and how many elements are stored."""
    kind, dtype = plain.type_name(type(matrix)), plain.line(str(matrix.dtype))
    return f"{kind}, {shape(matrix.shape)}, {dtype}, {matrix.nnz:,} stored"


def tensor_headline(tensor: Any) -> str:
    """Return shape, dtype, device and whether gradients are kept."""
    dtype, device = plain.line(str(tensor.dtype)), plain.line(str(tensor.device))
    grad = ", requires_grad" if tensor.requires_grad else ""
    return f"{plain.type_name(type(tensor))}, {shape(tuple(tensor.shape))}, {dtype}, on {device}{grad}"


def tensor_details(tensor: Any, draft: Draft) -> None:
    """Add missing values, and where they are asked for the first ones; of a tensor in main memory alone."""
    torch = sys.modules["torch"]
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        if draft.values:
            draft.leave_out("values, which would have to be moved or converted to be shown,")
        return
    bare = tensor.detach()
    head = bare[corner(tuple(bare.shape), draft.limits.sampled)] if bare.ndim else bare
    which = f" of the {head.numel():,} looked at" if head.numel() < bare.numel() else ""
    if head.is_floating_point():
        gaps = int(torch.isnan(head).sum())
        draft.add(f"{f'{gaps:,} missing' if gaps else 'none missing'}{which}")
    if not draft.values or not head.numel():
        return
    if draft.secret:
        draft.add(f"values: {MASK}")
        return
    if not head.is_complex():
        draft.add(f"from {plain.number(head.min().item())} to {plain.number(head.max().item())}{which}")
    few = bare[corner(tuple(bare.shape), FIRST)].reshape(-1) if bare.ndim else bare.reshape(1)
    draft.add("first: " + ", ".join(plain.number(item) for item in few.tolist()))


def module_headline(module: Any) -> str:
    """Return the parameters of a torch module, counted without asking it."""
    held = static.attributes(module)
    counted = sum(_parameters(module, set()))
    mode = "training" if held.get("training") is True else "evaluating"
    return f"{plain.type_name(type(module))}, a torch module, {plain.count(counted, 'parameter')}, {mode}"


def module_details(module: Any, draft: Draft, indent: str = "", depth: int = 0) -> None:
    """Add the modules within, with the shapes of their parameters."""
    held = static.attributes(module)
    for name, parameter in _entries(held.get("_parameters")):
        if parameter is not None:
            draft.add(f"{indent}{plain.name(name)} {shape(tuple(parameter.shape))}")
    parts = _entries(held.get("_modules"))
    for number, (name, part) in enumerate(parts):
        if number == draft.limits.columns or depth > draft.limits.depth:
            draft.leave_out(plain.count(len(parts) - number, "module"))
            break
        draft.add(f"{indent}{plain.name(name)} {plain.type_name(type(part))}")
        module_details(part, draft, indent + "  ", depth + 1)


def _parameters(module: Any, seen: set[int]) -> list[int]:
    """Return the sizes of all parameters within, each counted once."""
    held = static.attributes(module)
    sizes = []
    for _, parameter in _entries(held.get("_parameters")):
        if parameter is not None and id(parameter) not in seen:
            seen.add(id(parameter))
            sizes.append(int(parameter.numel()))
    for _, part in _entries(held.get("_modules")):
        if id(part) not in seen:
            seen.add(id(part))
            sizes += _parameters(part, seen)
    return sizes


def _entries(held: object) -> list[tuple[object, Any]]:
    return list(dict.items(held)) if static.is_a(held, dict) else []  # type: ignore[arg-type]


KINDS = {
    ("numpy", "ndarray"): Kind(array_headline, array_details),
    ("scipy", "_spbase"): Kind(sparse_headline),
    ("scipy", "spmatrix"): Kind(sparse_headline),
    ("scipy", "sparray"): Kind(sparse_headline),
    ("torch", "Tensor"): Kind(tensor_headline, tensor_details),
    ("torch", "Module"): Kind(module_headline, module_details),
}
