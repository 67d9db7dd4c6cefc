"""Taking each logged decision once more, from what it was taken on, and comparing bit for bit."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jupyter_llmroute.core.audit.basis import put_together, route_digest
from jupyter_llmroute.core.audit.reading import Damaged, bodies_by_file
from jupyter_llmroute.core.audit.record import Chosen, Decided
from jupyter_llmroute.core.audit.verify import opened_log
from jupyter_llmroute.core.route import Route
from jupyter_llmroute.core.selector import replay
from jupyter_llmroute.core.values import Value

MAX_PART_BYTES = 256 << 20
"""No part of ours unpacks to more."""

NO_ROUTE = Route(candidates=(), rejections=())


class Replayed(Value):
    """A decision that was taken once more."""

    record: int
    """Its number."""
    time: str
    chosen: str
    """Who was wanted first then."""
    is_same: bool
    difference: str = ""
    """In words; empty where there is none."""


def replay_log(path: Path, damaged: Damaged = bool) -> Iterator[Replayed]:
    """Take each decision of a log once more.

    What is compared is the choice among servers and models; the task of the question is an input here, as the log does
    not keep its words. Other rules, after an update of the package, may give other choices: that is what this shows.

    Parameters
    ----------
    path
        Of the file that is being written; the older ones are found beside it.
    damaged
        Called for each line that is no record any more, and may have been a decision.

    Raises
    ------
    AuditError
        It cannot be read.
    """
    with opened_log(path) as (files, _, _):
        for bodies in bodies_by_file(files, damaged):
            parts: dict[str, str] = {}  # each file has all that its own decisions refer to
            for body in bodies:
                if body.get("kind") == "part":
                    parts[str(body.get("sha256"))] = str(body.get("data"))
                elif body.get("kind") == "decided":
                    yield _replayed(body, _Unpacked(parts))


class _Unpacked(Mapping[str, str]):
    """Parts, unpacked when they are wanted."""

    def __init__(self, packed: Mapping[str, str]) -> None:
        self._packed = packed

    def __getitem__(self, name: str) -> str:
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(base64.b64decode(self._packed[name]), MAX_PART_BYTES)
        except zlib.error as error:
            raise ValueError(f"the part {name[:12]} does not unpack ({error})") from error
        if unpacker.unconsumed_tail:
            raise ValueError(f"the part {name[:12]} is larger than any of ours")
        return content.decode("ascii")

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def _replayed(body: Mapping[str, Any], parts: Mapping[str, str]) -> Replayed:
    number, time = int(body["n"]), str(body.get("time", ""))
    try:
        logged = Decided.model_validate({name: body[name] for name in Decided.model_fields if name in body})
    except ValidationError:
        return Replayed(record=number, time=time, chosen="", is_same=False, difference="it is of another form")
    difference = _compared(logged, parts)
    first = logged.chosen[0].who if logged.chosen else None
    chosen = f"{first.model} on {first.service}" if first else "nobody"
    return Replayed(record=number, time=time, chosen=chosen, is_same=not difference, difference=difference)


def _compared(logged: Decided, parts: Mapping[str, str]) -> str:
    """Return the difference, in words; nothing where there is none."""
    if not logged.basis:
        return "the record does not hold what it was decided on"
    try:
        decision = put_together(logged.basis, parts, NO_ROUTE)
        route = replay(decision)
    except KeyError as error:
        return f"a part of what it was decided on is not in this file: {str(error.args[0])[:20]!r}"
    except (ValueError, TypeError) as error:
        return f"what it was decided on does not read: {str(error).splitlines()[0]}"
    # Its servers are called as they are to be: to mask what is masked would change it.
    called = {endpoint.base_url: endpoint.base_url for endpoint in decision.snapshot.endpoints}
    return "" if route_digest(route, called) == logged.route else _difference(logged.chosen, route)


def _difference(chosen: Sequence[Chosen], route: Route) -> str:
    before = [(each.who.service, each.who.model, each.score or 0.0) for each in chosen]
    now = [(each.endpoint.name, each.model.id, each.score) for each in route.candidates]
    for place, (old, new) in enumerate(zip(before, now, strict=False), start=1):
        if old != new:
            return f"place {place} was {_told(old)}, and is {_told(new)} now"
    if len(before) != len(now):
        return f"there were {len(before)} candidates, and are {len(now)} now"
    return "the order is the same; reasons, expected times or rejections differ"


def _told(candidate: tuple[str, str, float]) -> str:
    service, model, score = candidate
    return f"{model} on {service} ({score:g} points)"
