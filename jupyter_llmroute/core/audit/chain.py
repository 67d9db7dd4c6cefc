"""One line of the log: JSON that ends with the SHA-256 of all that stands before it. Pure, no I/O.

A line names the hash of the line before, so that a chain is whole from its first line to its last. It is judged by its
very bytes: nothing is written anew to be compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Set
from typing import Any, NamedTuple

from pydantic import BaseModel

NOTHING = "0" * 64
"""What the first record of all has before it."""

_SEALED = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})"\}\n', re.DOTALL)


class Tip(NamedTuple):
    """Where a chain ends, so far."""

    number: int = 0
    """Of its last record; the first one has 1."""
    hash: str = NOTHING


class Link(NamedTuple):
    """A record as it stands in a line that is whole."""

    tip: Tip
    """Its own number and hash."""
    prev: str
    """The hash of the record before."""
    body: dict[str, Any]


class Broken(ValueError):
    """A line is no record, or was changed; the text says how."""


def canonical(value: object) -> str:
    """Return a value as JSON in ASCII on one line; sets are sorted, so that equal values give equal texts."""
    return json.dumps(value, default=_plain, separators=(",", ":"))


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return sorted(map(str, value)) if isinstance(value, Set) else str(value)


def seal(body: Mapping[str, object]) -> tuple[bytes, str]:
    """Return the line of a body with something in it, and its hash."""
    text = canonical(body)[:-1].encode("ascii")
    digest = hashlib.sha256(text).hexdigest()
    return text + f',"hash":"{digest}"}}\n'.encode(), digest


def link(body: Mapping[str, object], tip: Tip) -> tuple[bytes, Tip]:
    """Return the line of a record that follows `tip`, and the tip that it makes."""
    line, digest = seal({"n": tip.number + 1, **body, "prev": tip.hash})
    return line, Tip(tip.number + 1, digest)


def opened(line: bytes) -> dict[str, Any]:
    """Return what is sealed in a line.

    Raises
    ------
    Broken
        It is not whole, or was changed.
    """
    found = _SEALED.fullmatch(line)
    if found is None:
        raise Broken("it does not end with its hash")
    if hashlib.sha256(found[1]).hexdigest().encode() != found[2]:
        raise Broken("its hash is that of another text: it was changed")
    try:
        body = json.loads(found[1] + b"}")
    except (ValueError, RecursionError) as error:
        raise Broken(f"it is not JSON ({error})") from error
    return {**body, "hash": found[2].decode()}


def read(line: bytes) -> Link:
    """Return the record of a line.

    Raises
    ------
    Broken
        It is not whole, was changed, or is no record.
    """
    body = opened(line)
    number, prev = body.get("n"), body.get("prev")
    if not isinstance(number, int) or not isinstance(prev, str):
        raise Broken("it has no number, or does not name the record before")
    return Link(Tip(number, body["hash"]), prev, body)


def follows(found: Link, tip: Tip) -> bool:
    """Whether a record is the one right after `tip`."""
    return found.prev == tip.hash and found.tip.number == tip.number + 1
