"""Whether the models that a router may ask are the locked ones.

Servers tell their digests anew each time. A locked file that looks changed is read once, in a thread of its own that
ends with the process: until it is read its model is not asked, and everything else goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from jupyter_llmroute.core.embedded import find_models
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.errors import NoModelFile
from jupyter_llmroute.core.file_digests import kept, mark_of, of_file
from jupyter_llmroute.core.lock_file import LockedModel, ModelLock, ModelLockError, key, read_lock
from jupyter_llmroute.core.model_lock import Compared, compare, told
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.sections import EmbeddedSettings

QUICK_S = 0.2
"""Seconds in which a small file is read: so long the question itself waits."""

Again = Callable[[tuple[Endpoint, ...], Collection[str]], Awaitable[tuple[Endpoint, ...]]]
"""Asks the named servers for their digests anew."""


class Checked(NamedTuple):
    """What is known of models and their checksums at this moment."""

    endpoints: tuple[Endpoint, ...]
    """The servers, with the digests that were just read."""
    wrong: tuple[Compared, ...] = ()
    """Models that are others than the locked ones, or cannot be compared any more."""
    checking: tuple[tuple[str, str], ...] = ()
    """Servers and models whose files are being read."""

    @property
    def changed(self) -> tuple[tuple[str, str], ...]:
        """Servers and models of `wrong`."""
        return tuple((each.service, each.model) for each in self.wrong)


class _Stopped(Exception):
    """The reading is not wanted any more."""


class _Reading:
    """One file that is being read."""

    def __init__(self, path: Path, mark: str) -> None:
        self.mark = mark
        """What the file looked like before."""
        self.result: LockedModel | None = None
        """`None`: it cannot be read, or is not yet."""
        self._path = path
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, name="llmroute-checksum", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End it, after the block that is being read."""
        self._stop.set()

    def _run(self) -> None:
        with contextlib.suppress(_Stopped, ModelLockError):
            self.result = of_file(self._path, progress=self._go_on)

    def _go_on(self, path: Path, done: int, size: int) -> None:
        if self._stop.is_set():
            raise _Stopped


class Checksums:
    """Compares models with the lock, for one router.

    Parameters
    ----------
    settings
        Those of the embedded server, whose files are read.
    again
        Asks servers for their digests.
    """

    def __init__(self, settings: EmbeddedSettings, again: Again) -> None:
        self._settings = settings
        self._again = again
        self._readings: dict[Path, _Reading] = {}
        self._starting = threading.Lock()
        self._waiting = 0

    async def checked(self, endpoints: tuple[Endpoint, ...]) -> Checked:
        """Compare models with the lock; where nothing is locked, nothing is done.

        Raises
        ------
        ModelLockError
            The lock file does not read.
        """
        locked = await asyncio.to_thread(read_lock)
        if locked is None:
            return Checked(endpoints)
        endpoints = await self._again(endpoints, locked.services)
        files = await asyncio.to_thread(self._files, locked)
        known = {name: digest for name, (is_read, digest) in files.items() if is_read}
        compared = compare(locked, {**told(endpoints), **known})
        checking = tuple((each.service, each.model) for each in compared if _is_being_read(files, each))
        return Checked(endpoints, tuple(each for each in compared if each.is_wrong), checking)

    @contextlib.contextmanager
    def waited_for(self) -> Iterator[None]:
        """While a question waits for a file: when it is interrupted, and no other waits, the file is read no more."""
        self._waiting += 1
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
            if self._waiting == 1:
                self.close()
            raise
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Read no more."""
        with self._starting:
            for path, reading in list(self._readings.items()):
                if reading.thread.is_alive():
                    reading.stop()
                    del self._readings[path]

    def _files(self, locked: ModelLock) -> dict[str, tuple[bool, LockedModel | None]]:
        """Return the embedded server's locked models by key: whether each was read, and its digest."""
        try:
            headers = find_models(self._settings)
        except NoModelFile:  # its endpoint says so
            return {}
        paths = {key(Embedded.name, header.name): header.path for header in headers}
        return {name: self._file(path) for name, path in paths.items() if name in locked.models}

    def _file(self, path: Path) -> tuple[bool, LockedModel | None]:
        try:
            mark = mark_of(path)
            if found := kept(path):
                return True, found
        except ModelLockError:
            return True, None
        with self._starting:
            reading = self._readings.get(path)
            if reading is None or (reading.mark != mark and not reading.thread.is_alive()):
                reading = self._readings[path] = _Reading(path, mark)
                is_new = True
            else:
                is_new = False
        if is_new:
            reading.thread.join(QUICK_S)
        is_read = reading.mark == mark and not reading.thread.is_alive()
        return is_read, reading.result if is_read else None


def _is_being_read(files: Mapping[str, tuple[bool, LockedModel | None]], each: Compared) -> bool:
    """Whether a model's file is still being read."""
    name = key(each.service, each.model)
    return name in files and not files[name][0]
