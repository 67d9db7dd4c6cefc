"""The servers and their models as a table, for notebooks and terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.inert import inert_line, plain_line

COLUMNS = ("server", "address", "state", "model", "window", "size", "in memory")

NOTHING_FOUND = (
    "No model server was found on this machine. Start one, name one under services in llmroute.yaml, "
    'or install the built-in one: pip install "jupyter-llmroute[embedded]".'
)


def rows(endpoints: Iterable[Endpoint]) -> list[tuple[str, ...]]:
    """Return one row a model, in the order of `COLUMNS`; a server without models has one row too."""
    return [
        (*_server_cells(endpoint), *cells)
        for endpoint in endpoints
        for cells in [_model_cells(model) for model in endpoint.models] or [("", "", "", "")]
    ]


def as_text(endpoints: Sequence[Endpoint]) -> str:
    """Return the table as aligned plain text."""
    if not endpoints:
        return NOTHING_FOUND
    table = [COLUMNS, *rows(endpoints)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in table
    )


def bundle(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the table as a mime bundle: Markdown, and the same in plain text."""
    if not endpoints:
        return {"text/markdown": inert_line(NOTHING_FOUND, 500), "text/plain": NOTHING_FOUND}
    lines = [COLUMNS, ("---",) * len(COLUMNS), *([inert_line(cell) for cell in row] for row in rows(endpoints))]
    markdown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return {"text/markdown": markdown, "text/plain": as_text(endpoints)}


def _server_cells(endpoint: Endpoint) -> tuple[str, str, str]:
    state = endpoint.health.value + (f": {endpoint.detail}" if endpoint.detail else "")
    if endpoint.health is Health.WELL and not endpoint.models:
        state = endpoint.detail
    elif endpoint.health is Health.WELL and not endpoint.base_url and not endpoint.detail:
        state = "starts when asked"
    return plain_line(endpoint.name), plain_line(endpoint.base_url) or "built in", plain_line(state)


def _model_cells(model: ServedModel) -> tuple[str, str, str, str]:
    window = f"{model.context_window:,}" if model.context_window else "unknown"
    size = f"{model.size_bytes / 1e9:.1f} GB" if model.size_bytes else ""
    loaded = {True: "yes", False: "no", None: ""}[model.loaded] if model.chat else "not a chat model"
    return plain_line(model.id), window, size, plain_line(f"elsewhere: {model.remote}") if model.remote else loaded
