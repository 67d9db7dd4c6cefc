"""The servers as a table: one row a server, what runs there, and what is wrong where nothing does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.inert import plain_line
from jupyter_llmroute.table import LONGEST, Table
from jupyter_llmroute.wording import PRODUCTS, and_more

COLUMNS = ("server", "product", "address", "state", "models", "in memory", "window", "priority")

NAMED = 3
"""Models of a server that are named in its row; `%llm_models` has them all."""

NOTHING_FOUND = (
    "No model server was found on this machine. Start one, name one under services in llmroute.yaml, "
    'or install the built-in one: pip install "jupyter-llmroute[embedded]".'
)


def table(endpoints: Iterable[Endpoint]) -> Table:
    """Return one row a server, those that are preferred first."""
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.priority)
    return Table(columns=COLUMNS, rows=tuple(map(_row, ordered)), nothing=NOTHING_FOUND)


def as_text(endpoints: Sequence[Endpoint]) -> str:
    """Return the table as aligned plain text."""
    return table(endpoints).text(shown=None)


def bundle(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the table as a mime bundle: Markdown, and the same in plain text."""
    return table(endpoints).bundle(shown=None)


def _row(endpoint: Endpoint) -> tuple[str, ...]:
    loaded = [model for model in endpoint.models if model.loaded]
    return (
        plain_line(endpoint.name),
        plain_line(PRODUCTS.get(endpoint.provider, endpoint.provider)),
        plain_line(endpoint.base_url) or "this machine",
        plain_line(_state(endpoint), LONGEST),
        _names(endpoint.models),
        _names(loaded) or ("none" if any(model.loaded is False for model in endpoint.models) else ""),
        _windows(endpoint.models),
        str(endpoint.priority),
    )


def _state(endpoint: Endpoint) -> str:
    # The address stands beside it.
    detail = endpoint.detail.removeprefix(endpoint.base_url).removeprefix(":").strip()
    if endpoint.health is not Health.WELL:
        return ": ".join(part for part in (endpoint.health.value, detail) if part)
    if detail:
        return detail
    if not endpoint.models:
        return "it serves no model"
    return "well" if endpoint.base_url else "starts when asked"


def _names(models: Sequence[ServedModel]) -> str:
    named = ", ".join(plain_line(model.id, 60) for model in models[:NAMED])
    return " ".join(part for part in (named, and_more(len(models) - NAMED)) if part)


def _windows(models: Iterable[ServedModel]) -> str:
    """Return the smallest and the largest window that is served for chats."""
    served = sorted({model.context_window for model in models if model.chat and model.context_window})
    return " to ".join(f"{window:,}" for window in dict.fromkeys((served[0], served[-1]))) if served else ""
