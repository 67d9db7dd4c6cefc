"""What kernels and the Jupyter server share: servers as last seen, and how fast and reliable they were.

One small JSON file in the user's own folder, written whole under a lock and read without one. It holds no key and no
word of a question or an answer. A file that is missing, locked, broken or of another version is as if nothing had been
seen yet. Each machine has its own: by 127.0.0.1 each means itself, also where they share a home.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.embedded.rendezvous import state_folder
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.feedback import Feedback, Thumb
from jupyter_llmroute.core.lean import Lean
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.speed import Speed
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

_T = TypeVar("_T")

_Version = tuple[int, int, int]
"""What tells one file from the next: its number, its time, its size."""

FILE_NAME = "seen.state"
"""Not `.json`: such files beside it are those of embedded servers, and are cleared away when these are gone."""

MAX_FILE_BYTES = 16 << 20
"""A state file above 16 MiB is not ours; a look at 16 servers of 200 models each is 1.3 MB."""

KEPT_LOOKS = 4
KEPT_SPEEDS = 500
KEPT_BREAKERS = 100
"""The newest of each are kept."""

LOCK_S = 1.0
"""Seconds to wait for another process that writes; after that the file stays as it is."""

UNWRITABLE = (Timeout, NotImplementedError, PydanticSerializationError)
"""Why nothing is written: somebody else writes; a network's disk that knows no locks; half a character in a name."""


class Look(Value):
    """What one look around found."""

    seen_at: float
    """Seconds since the epoch."""
    endpoints: tuple[Endpoint, ...]
    """Without their keys."""


class State(Value):
    """The file's content; of equal keys the newest stands last."""

    version: Literal[1] = 1
    looks: Mapping[str, str] = {}
    """By `fingerprint`: who has other settings looks elsewhere. Each is the text of a `Look`: it may tell of thousands
    of models, and who only wants to know speeds does not read them."""
    speeds: Mapping[str, Speed] = {}
    """By `history.place_of`."""
    breakers: Mapping[str, Breaker] = {}
    """By `history.place`."""
    lean: Lean = Lean()
    """What the user's corrections of tasks say."""
    feedback: Feedback = Feedback()
    """What the user thought of answers."""

    def with_look(self, fingerprint: str, look: Look) -> State:
        """Return the state with one more look; keys are taken out of it."""
        bare = tuple(endpoint.model_copy(update={"api_key": None}) for endpoint in look.endpoints)
        text = look.model_copy(update={"endpoints": bare}).model_dump_json(exclude_defaults=True)
        return self.model_copy(update={"looks": _newest(self.looks, {fingerprint: text}, KEPT_LOOKS)})

    def look(self, fingerprint: str) -> Look | None:
        """Return what was found by who looks in the same way, if there is such a look that reads."""
        try:
            return Look.model_validate_json(self.looks.get(fingerprint, ""))
        except (ValidationError, RecursionError):
            return None

    def with_learnt(self, speeds: Mapping[str, Speed], breakers: Mapping[str, Breaker]) -> State:
        """Return the state with what was learnt since; a breaker as new is left out."""
        kept = _newest(self.breakers, breakers, KEPT_BREAKERS)
        return self.model_copy(
            update={
                "speeds": _newest(self.speeds, speeds, KEPT_SPEEDS),
                "breakers": {place: breaker for place, breaker in kept.items() if breaker != Breaker()},
            }
        )

    def with_named_task(self, said: Mapping[Task, float], right: Task) -> State:
        """Return the state after the user named the task of a question; see `Lean.corrected`."""
        return self.model_copy(update={"lean": self.lean.corrected(said, right)})

    def with_thumb(self, model: str, task: Task, thumb: Thumb | None, before: Thumb | None) -> State:
        """Return the state after the user rated an answer; see `Feedback.rated`."""
        return self.model_copy(update={"feedback": self.feedback.rated(model, task, thumb, before)})

    def without_thumbs(self) -> State:
        """Return the state with no answer rated."""
        return self.model_copy(update={"feedback": Feedback()})


def _newest(old: Mapping[str, _T], new: Mapping[str, _T], kept: int) -> dict[str, _T]:
    joined = {key: value for key, value in old.items() if key not in new} | dict(new)
    return dict(list(joined.items())[-kept:])


class StateFile:
    """The file, and the lock beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._known: tuple[_Version | None, State] = (None, State())

    @classmethod
    def of_user(cls) -> StateFile:
        """Return the file of this machine in the user's own state folder, or in `LLMROUTE_HOME` where that is set."""
        return cls(state_folder())

    @property
    def known(self) -> State:
        """What was read or written last; the file is not looked at."""
        return self._known[1]

    def has_changed(self) -> bool:
        """Whether the file is there and is another one than was read or written last."""
        try:
            return _version(self.path.stat()) != self._known[0]
        except OSError:
            return False

    def read(self) -> State:
        """Return what the file holds; an empty state where it cannot be read."""
        try:
            return self._load() if _version(self.path.stat()) != self._known[0] else self.known
        except FileNotFoundError:
            return State()
        except OSError:  # Windows opens no file in the moment in which it is replaced
            return self.known

    def update(self, change: Callable[[State], State]) -> None:
        """Write what `change` makes of the state, unless somebody else holds the file or the folder is read-only."""
        with contextlib.suppress(OSError, *UNWRITABLE):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(self.path.with_suffix(".lock")).acquire(timeout=LOCK_S, poll_interval=0.02):
                # Read anew: two files written in one tick of the clock may look the same from without.
                self._write(change(self._load() if self.path.exists() else State()))

    def _load(self) -> State:
        with self.path.open("rb") as file:
            version, text = _version(os.fstat(file.fileno())), file.read(MAX_FILE_BYTES + 1)
        self._known = (version, _parse(text))
        return self.known

    def _write(self, state: State) -> None:
        """Write the whole file at once: a reader sees the old one or the new one. Only the user may read it."""
        text = state.model_dump_json(exclude_defaults=True).encode()
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=FILE_NAME)
        try:
            with open(descriptor, "wb") as file:
                file.write(text)
            version = _version(os.stat(name))
            _replace(name, self.path)
        except OSError:
            os.unlink(name)
            raise
        self._known = (version, state)


def _version(stat: os.stat_result) -> _Version:
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def _parse(text: bytes) -> State:
    if len(text) > MAX_FILE_BYTES:
        return State()
    try:
        return State.model_validate_json(text)
    except (ValidationError, RecursionError):
        return _taught(text)


def _taught(text: bytes) -> State:
    """Return what the user has taught, out of a state that does not read otherwise: that is not seen again."""
    kept: dict[str, Lean | Feedback] = {}
    for name, kind in (("lean", Lean), ("feedback", Feedback)):
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            kept[name] = kind.model_validate(json.loads(text)[name])
    return State().model_copy(update=kept)


def _replace(new: str, old: Path) -> None:
    """Put a file in the place of another. Windows refuses that while somebody reads the old one: that is soon over."""
    for pause_s in (0.01, 0.05, 0.2):
        with contextlib.suppress(PermissionError):
            return os.replace(new, old)
        time.sleep(pause_s)
    os.replace(new, old)


class Sharing:
    """Writing to the file beside other work, in order; nobody waits for it before the end."""

    def __init__(self, file: StateFile | None) -> None:
        self._file = file
        self._changes: list[Callable[[State], State]] = []
        self._writing: asyncio.Task[None] | None = None

    def write(self, change: Callable[[State], State]) -> None:
        """Have it written soon; where there is no file, nothing happens."""
        if self._file:
            self._changes.append(change)
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write_all(self._file), name="llmroute state")

    async def _write_all(self, file: StateFile) -> None:
        while changes := self._changes:
            self._changes = []
            await asyncio.to_thread(file.update, _one_after_another(changes))

    async def aclose(self) -> None:
        """Wait until all is written."""
        if self._writing:
            await asyncio.wait([self._writing])


def _one_after_another(changes: Iterable[Callable[[State], State]]) -> Callable[[State], State]:
    def change(state: State) -> State:
        for each in changes:
            state = each(state)
        return state

    return change


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
