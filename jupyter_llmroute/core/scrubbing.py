"""What may be written beside a notebook: no key, no password, no cookie, and no name of a user in an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jupyter_llmroute.core.secrets import masked

_USER = re.compile(r"(?<=://)[^\s/?#@\"'<>\[\]]{1,200}@(?=[\w\[])")
"""Who logs in, in an address, with the password or what stands for it."""

_MASKED_USER = re.compile(r"(?<=://)[^\s/?#@\"'<>\[\]]{0,200}(?:\[masked\])@(?=[\w\[])")

_HALF = re.compile(r"[\ud800-\udfff]")
"""Half a character, which no file in UTF-8 can hold."""

NAMES = frozenset("model service id name provider family digest answered_by kind finish_reason quantisation".split())
"""Fields that name something: what looks like chance in them is a digest or a version, and no key."""


def scrubbed(text: str) -> str:
    """Return a text as it may be written: without keys, passwords, cookies, and names of users in addresses.

    Examples
    --------
    >>> scrubbed("http://ann:s3cret@db.example/v1 takes Authorization: Bearer abcdef1234567890")
    'http://db.example/v1 takes Authorization: Bearer [masked]'
    """
    text = _MASKED_USER.sub("", masked(_HALF.sub("\N{REPLACEMENT CHARACTER}", text)))
    return _USER.sub("", text)


def cleaned(value: Any) -> Any:
    """Return plain data with every text in it scrubbed; in `NAMES` only of users in addresses."""
    match value:
        case str():
            return scrubbed(value)
        case Mapping():
            return {
                name: _USER.sub("", _HALF.sub("\N{REPLACEMENT CHARACTER}", part))
                if name in NAMES and isinstance(part, str)
                else cleaned(part)
                for name, part in value.items()
            }
        case list() | tuple():
            return [cleaned(part) for part in value]
        case _:
            return value
