"""The words of a text and their pairs as they stand, pasted pieces among them.

A linear model of its own looks at them. It knows little alone, but it errs elsewhere than the net that looks at what
was understood, so the two together are better than either.
"""

from __future__ import annotations

import re
from itertools import pairwise

HEAD, TAIL = 100, 60
"""Words that are read at each end of a longer text."""

_START, _END = 1000, 600
"""Characters that are read at each end."""

_TOKEN = re.compile(r"\w+|[?]")


def phrases(text: str) -> set[str]:
    """Return the words of a text, or of its two ends, and their pairs."""
    if len(text) > _START + _END:
        text = f"{text[:_START]}\n{text[-_END:]}"
    words: list[str] = _TOKEN.findall(text.lower())
    if len(words) > HEAD + TAIL:
        words = words[:HEAD] + words[-TAIL:]
    return {*words, *map(" ".join, pairwise(words))}
