"""An answer that is one of a few words: how it is asked for, and how likely servers say that each was.

The OpenAI dialect and Ollama's tell log-probabilities alike: a list with an entry for each token, which has the token
that was taken with its `logprob`, and in `top_logprobs` the likeliest of its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LIKELIEST = 10
"""Tokens whose probabilities are asked for; mlx-lm gives no more."""

LEAST = -1000.0
"""A log-probability below this is none, and one above 0 neither."""


def grammar(options: Iterable[str]) -> str:
    """Return a grammar (GBNF) of these words alone.

    Examples
    --------
    >>> grammar(("A", "B"))
    'root ::= "A" | "B"'
    """
    return "root ::= " + " | ".join(f'"{option}"' for option in options)


def likely(told: Any) -> dict[str, float] | None:
    """Return the log-probabilities of the first token of a list, and of what else it might have been.

    `None` where the list tells none that reads.

    Examples
    --------
    >>> likely([{"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "B", "logprob": -2.5}]}])
    {'A': -0.1, 'B': -2.5}
    """
    first = told[0] if isinstance(told, list) and told else None
    if not isinstance(first, dict):
        return None
    others = first.get("top_logprobs")
    entries = [first, *(others[: 2 * LIKELIEST] if isinstance(others, list) else [])]
    return {entry["token"]: float(entry["logprob"]) for entry in entries if _reads(entry)} or None


def _reads(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
        return False
    told = entry.get("logprob")
    return isinstance(told, int | float) and not isinstance(told, bool) and LEAST <= told <= 0
