"""A server's own key in its own words: some quote what they refuse, and a key needs no shape to be told by.

Taken out where a server's words become ours, so that no error, no log and no recording holds it.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from jupyter_llmroute.core.secrets import MASK

SHORTEST = 4
"""What has fewer characters hides nothing, and stands in many a word."""


def without_key(text: str, key: str | None, *, behind: str = "") -> str:
    """Return a server's words without its key, however they spell it; not cut before, for half a key is one too.

    Parameters
    ----------
    text
        What it said.
    key
        What was sent along; `None` where nothing was.
    behind
        Words of ours that the text may begin with; they stay: a key that says nothing may be the server's name.

    Examples
    --------
    >>> without_key("'swordfish-harbour' is no key of ours", "swordfish-harbour")
    "'[masked]' is no key of ours"
    >>> without_key("m on ollama: no model 'ollama'", "ollama", behind="m on ollama")
    "m on ollama: no model '[masked]'"
    """
    if not key or len(key) < SHORTEST:
        return text
    kept = behind if behind and text.startswith(behind) else ""
    said = text[len(kept) :]
    for spelling in sorted(_spellings(key), key=len, reverse=True):
        said = said.replace(spelling, MASK)
    return kept + said


def _spellings(key: str) -> set[str]:
    """Return how a key stands in plain text, JSON, addresses and Python."""
    in_json = json.dumps(key)[1:-1]
    unescaped = json.dumps(key, ensure_ascii=False)[1:-1]
    return {
        key,
        in_json,
        unescaped,
        in_json.replace("/", "\\/"),
        unescaped.replace("/", "\\/"),
        quote(key, safe=""),
        repr(key)[1:-1],
        repr(key.encode())[2:-1],
    }
