"""What a decision was taken on, taken apart for the log and put together again.

The catalog and the servers' models are the same for many decisions and large: pieces above a few kilobytes stand once
in a file, named by their hash. Keys of servers are left out, secrets in addresses and in servers' remarks masked, the
words of the question that spoke for its task dropped, and so is what was learnt of servers that are not there any
more: nothing of that takes part in a decision. Addresses that differ in a secret alone get a number each: these are two
servers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from jupyter_llmroute.core.audit.chain import canonical
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.history import History, place, place_of
from jupyter_llmroute.core.route import Route
from jupyter_llmroute.core.secrets import MASK, masked
from jupyter_llmroute.core.selector import Decision

INLINE_CHARS = 2_000
"""A piece that is longer becomes a part."""

HASHED = "sha256:"
"""Begins a piece that is a part; JSON never begins so."""

_ELSEWHERE = {"catalog", "endpoints", "routing"}
"""Of the snapshot, the pieces of their own."""


class Basis(NamedTuple):
    """A decision in pieces."""

    pieces: dict[str, str]
    """JSON by name, or `sha256:` and the hash of a part."""
    parts: dict[str, str]
    """JSON by its SHA-256."""


class _Bare(NamedTuple):
    """Servers without secrets."""

    endpoints: tuple[Endpoint, ...]
    addresses: dict[str, str]
    """What they are called, by what they are."""
    places: dict[str, str]
    """What is remembered of them is called, by what it was."""


class Packer:
    """Takes decisions apart, in any thread; what is the same as the time before is not worked out again."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[object, str, str]] = {}
        self._bare: tuple[object, _Bare] | None = None

    def taken_apart(self, decision: Decision) -> Basis:
        """Return the pieces of a decision."""
        snapshot = decision.snapshot
        bare = self._without_secrets(snapshot.endpoints)
        pieces = {
            "classification": canonical(decision.classification.model_copy(update={"evidence": ()})),
            "wish": canonical(decision.wish),
            "policy": canonical(decision.policy),
            "history": canonical(_history(decision, bare.places)),
            "snapshot": canonical(snapshot.model_dump(exclude=_ELSEWHERE)),
        }
        parts: dict[str, str] = {}
        for name, text in pieces.items():
            if len(text) > INLINE_CHARS:
                digest = _sha256(text)
                parts[digest], pieces[name] = text, HASHED + digest
        for name, value in (
            ("catalog", snapshot.catalog),
            ("endpoints", bare.endpoints),
            ("routing", snapshot.routing),
        ):
            text, digest = self._text(name, value)
            parts[digest], pieces[name] = text, HASHED + digest
        return Basis(pieces, parts)

    def _text(self, name: str, value: object) -> tuple[str, str]:
        known = self._texts.get(name)
        if known is None or known[0] is not value:
            text = canonical(value)
            known = self._texts[name] = (value, text, _sha256(text))
        return known[1], known[2]

    def route_digest(self, decision: Decision) -> str:
        """Return the SHA-256 of the route of a decision, its servers called as they are in its pieces."""
        return route_digest(decision.route, self._without_secrets(decision.snapshot.endpoints).addresses)

    def _without_secrets(self, endpoints: tuple[Endpoint, ...]) -> _Bare:
        known = self._bare
        if known is None or known[0] is not endpoints:
            addresses = addresses_without_secrets(endpoints)
            bare = tuple(_without_secrets(endpoint, addresses[endpoint.base_url]) for endpoint in endpoints)
            places = {place(old): place(new) for old, new in zip(endpoints, bare, strict=True)}
            for old, new in zip(endpoints, bare, strict=True):
                places |= {place_of(old, model.id): place_of(new, model.id) for model in old.models}
            known = self._bare = (endpoints, _Bare(bare, addresses, places))
        return known[1]


def addresses_without_secrets(endpoints: Iterable[Endpoint]) -> dict[str, str]:
    """Return what addresses are called without their secrets, by what they are: those that differ, differently.

    Examples
    --------
    >>> keyed = (f"http://gw/v1?key={number}" for number in (1, 2))
    >>> list(addresses_without_secrets(Endpoint(name="gw", provider="openai", base_url=url) for url in keyed).values())
    ['http://gw/v1?key=[masked 1]', 'http://gw/v1?key=[masked 2]']
    """
    bare = {url: masked(url) for url in dict.fromkeys(endpoint.base_url for endpoint in endpoints)}
    shared = Counter(bare.values())
    taken = {address for address in bare.values() if shared[address] == 1}
    for url, address in bare.items():
        if shared[address] > 1:
            numbered = (address.replace(MASK, f"{MASK[:-1]} {number}]") for number in count(1))
            bare[url] = next(each for each in numbered if each not in taken)
            taken.add(bare[url])
    return bare


def put_together(pieces: Mapping[str, str], parts: Mapping[str, str], route: Route) -> Decision:
    """Return the decision of pieces, with a route.

    Raises
    ------
    KeyError
        A piece or a part is not there; its argument is what.
    ValueError
        A piece does not read, or is not what its hash says.
    """
    found = {name: json.loads(_whole(text, parts)) for name, text in pieces.items()}
    snapshot = {**dict(found.pop("snapshot")), **{name: found.pop(name) for name in _ELSEWHERE}}
    return Decision.model_validate({**found, "snapshot": snapshot, "route": route})


def route_text(route: Route, addresses: Mapping[str, str] | None = None) -> str:
    """Return what tells one route from another, to the last bit, without keys and secrets.

    Of a server's models the one that was chosen is in it; the others are the snapshot's.

    Parameters
    ----------
    route
        Whom to ask.
    addresses
        What the servers' addresses are called in it; one that is not among them, without its secrets.
    """
    called = addresses or {}
    without = {"models", "api_key"}
    dumped: dict[str, Any] = route.model_dump(
        exclude={"candidates": {"__all__": {"endpoint": without}}, "smallest": {"endpoint": without}}
    )
    for candidate in (*dumped["candidates"], *filter(None, [dumped["smallest"]])):
        endpoint = candidate["endpoint"]
        url = endpoint["base_url"]
        endpoint.update(base_url=called.get(url) or masked(url), detail=masked(endpoint["detail"]))
    for rejection in dumped["rejections"]:
        rejection["detail"] = masked(rejection["detail"])
    return canonical(dumped)


def route_digest(route: Route, addresses: Mapping[str, str] | None = None) -> str:
    """Return the SHA-256 of `route_text`."""
    return _sha256(route_text(route, addresses))


def _whole(text: str, parts: Mapping[str, str]) -> str:
    if not text.startswith(HASHED):
        return text
    digest = text.removeprefix(HASHED)
    if _sha256(found := parts[digest]) != digest:
        raise ValueError(f"the part {digest[:12]} is not what its hash says")
    return found


def _without_secrets(endpoint: Endpoint, address: str) -> Endpoint:
    return endpoint.model_copy(update={"base_url": address, "detail": masked(endpoint.detail), "api_key": None})


def _history(decision: Decision, places: Mapping[str, str]) -> History:
    history, roster = decision.history, decision.snapshot.roster(decision.policy)

    def known(noted: Mapping[str, Any]) -> dict[str, Any]:
        return {places[key]: value for key, value in noted.items() if key in places}

    return history.model_copy(
        update={
            "last": places.get(history.last) if history.last else None,
            "speeds": known(history.speeds),
            "breakers": known(history.breakers),
            "busy": known(history.busy),
            "feedback": history.feedback.among(
                {row.info.id for row in roster.rows} if history.feedback.tallies else ()
            ),
        }
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
