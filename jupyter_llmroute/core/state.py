"""What kernels and the Jupyter server share: servers as last seen, and how fast and reliable they were.

One small JSON file in the user's own folder, written whole under a lock and read without one. It holds no key and no
word of a question or an answer. It is a cache: a file that is missing, locked, broken or of another version is as if
nothing had been seen yet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.speed import Speed
from jupyter_llmroute.core.values import Value

_T = TypeVar("_T")

FILE_NAME = "state.json"

MAX_FILE_BYTES = 16 << 20
"""A state file above 16 MiB is not ours; 16 servers of 200 models are 1.5 MB."""

KEPT_LOOKS = 4
KEPT_SPEEDS = 500
KEPT_BREAKERS = 100
"""The newest of each are kept."""

LOCK_S = 1.0
"""Seconds to wait for another process that writes; after that the file stays as it is."""


class Look(Value):
    """What one look around found."""

    seen_at: float
    """Seconds since the epoch."""
    endpoints: tuple[Endpoint, ...]
    """Without their keys."""


class State(Value):
    """The file's content; of equal keys the newest stands last."""

    version: Literal[1] = 1
    looks: Mapping[str, Look] = {}
    """By `fingerprint`: who has other settings looks elsewhere."""
    speeds: Mapping[str, Speed] = {}
    """By `history.place_of`."""
    breakers: Mapping[str, Breaker] = {}
    """By `history.place`."""

    def with_look(self, fingerprint: str, look: Look) -> State:
        """Return the state with one more look; keys are taken out of it."""
        bare = tuple(endpoint.model_copy(update={"api_key": None}) for endpoint in look.endpoints)
        look = look.model_copy(update={"endpoints": bare})
        return self.model_copy(update={"looks": _newest(self.looks, {fingerprint: look}, KEPT_LOOKS)})

    def with_learnt(self, speeds: Mapping[str, Speed], breakers: Mapping[str, Breaker]) -> State:
        """Return the state with what was learnt since; a breaker as new is left out."""
        kept = _newest(self.breakers, breakers, KEPT_BREAKERS)
        return self.model_copy(
            update={
                "speeds": _newest(self.speeds, speeds, KEPT_SPEEDS),
                "breakers": {place: breaker for place, breaker in kept.items() if breaker != Breaker()},
            }
        )


def _newest(old: Mapping[str, _T], new: Mapping[str, _T], kept: int) -> dict[str, _T]:
    joined = {key: value for key, value in old.items() if key not in new} | dict(new)
    return dict(list(joined.items())[-kept:])


class StateFile:
    """The file, and the lock beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._read: tuple[tuple[int, int], State] | None = None

    @classmethod
    def of_user(cls) -> StateFile:
        """Return the file in the user's own state folder, or in `LLMROUTE_HOME` where that is set."""
        if home := os.environ.get("LLMROUTE_HOME"):
            return cls(Path(home).expanduser().absolute())
        from platformdirs import user_state_path

        return cls(user_state_path("jupyter-llmroute", appauthor=False))

    def read(self) -> State:
        """Return what the file holds; an empty state where it cannot be read."""
        try:
            stat = self.path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            if self._read and self._read[0] == version:
                return self._read[1]
            if stat.st_size > MAX_FILE_BYTES:
                return State()
            state = State.model_validate_json(self.path.read_bytes())
        except (OSError, ValidationError, RecursionError):
            return State()
        self._read = (version, state)
        return state

    def update(self, change: Callable[[State], State]) -> None:
        """Write what `change` makes of the state, unless somebody else holds the file or the folder is read-only."""
        with contextlib.suppress(OSError, Timeout):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(self.path.with_suffix(".lock"), timeout=LOCK_S):
                self._write(change(self.read()).model_dump_json(exclude_defaults=True))

    def _write(self, text: str) -> None:
        """Write the whole file at once: a reader sees the old one or the new one. Only the user may read it."""
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=FILE_NAME)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, self.path)
        except OSError:
            os.unlink(name)
            raise


def fingerprint(settings: Settings, urls: Iterable[str]) -> str:
    """Return what is equal for routers that would look at the same places in the same way.

    Parameters
    ----------
    settings
        The user's.
    urls
        The addresses that are looked at.
    """
    looked_by = settings.model_dump(mode="json", include={"services", "security", "discovery", "embedded"})
    # Keys stand in it as asterisks: whether there is one counts, and it is not written anywhere.
    text = json.dumps([looked_by, list(urls)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_keys(endpoints: Iterable[Endpoint], settings: Settings) -> tuple[Endpoint, ...]:
    """Return endpoints of a file with the keys that the settings have for their very addresses."""
    named = (*settings.services.by_name.values(), *settings.services.custom_endpoints)
    keys = {_bare(service.endpoint): service.api_key for service in named if service.endpoint and service.api_key}
    return tuple(
        endpoint.model_copy(update={"api_key": keys.get(_bare(endpoint.base_url))}) if endpoint.base_url else endpoint
        for endpoint in endpoints
    )


def _bare(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1").lower()
