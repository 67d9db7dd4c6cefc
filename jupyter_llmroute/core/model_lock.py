"""Which models are which: their digests, written down once and compared from then on.

A GGUF file's digest is the SHA-256 of its content, a split model's that of all its files; a server's model has the
digest that the server tells, which is as true as the server is. A model of which neither is known cannot be locked,
and is named. `lock_file` has what was written down.

Reading a large file takes a while, so `file_digests` keeps what it read; `verify` with `is_thorough` reads all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from jupyter_llmroute.core.embedded.gguf import Header
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.file_digests import Progress, of_file
from jupyter_llmroute.core.lock_file import LockedModel, ModelLock, key, of_key, read_lock, write_lock
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.values import Value


class Change(StrEnum):
    """What a look at a model shows."""

    SAME = "same"
    CHANGED = "changed"
    NEW = "not locked"
    GONE = "gone"
    UNKNOWN = "no digest"
    """Neither a file nor a digest of the server's: nothing to compare."""


class Compared(Value):
    """A model, and what it was compared with."""

    service: str
    model: str
    change: Change
    locked: str = ""
    """The digest that it had."""
    found: str = ""
    """The digest that it has."""

    @property
    def is_wrong(self) -> bool:
        """Whether this is another model than the one that was locked."""
        return self.change is Change.CHANGED


async def lock(
    endpoints: Iterable[Endpoint],
    headers: Iterable[Header] = (),
    *,
    path: Path | None = None,
    progress: Progress | None = None,
) -> tuple[ModelLock, tuple[Compared, ...]]:
    """Write down the digests of all models; what was locked of others is kept.

    Parameters
    ----------
    endpoints
        The servers as they were just seen.
    headers
        The embedded server's files.
    path
        Of the lock file; `None`: `lock_path()`.
    progress
        Told while files are read.

    Returns
    -------
    tuple
        The lock, and what is new in it beside what was there.

    Raises
    ------
    ModelLockError
        A file cannot be read or written.
    """
    before = read_lock(path) or ModelLock()
    found = await locked_models(endpoints, headers, is_thorough=True, progress=progress)
    known = {name: model for name, model in found.items() if model}
    after = ModelLock(models={**before.models, **known})
    await asyncio.to_thread(write_lock, after, path)
    return after, compare(before, found)


async def verify(
    endpoints: Iterable[Endpoint],
    headers: Iterable[Header] = (),
    *,
    path: Path | None = None,
    is_thorough: bool = True,
    progress: Progress | None = None,
) -> tuple[Compared, ...]:
    """Compare all models with the lock.

    Parameters
    ----------
    endpoints, headers, path, progress
        As of `lock`.
    is_thorough
        Whether files are read that look unchanged; for use before a question, which waits, `False`.

    Returns
    -------
    tuple of Compared
        One for each model that is there or locked; empty where nothing was locked yet.

    Raises
    ------
    ModelLockError
        A file cannot be read.
    """
    locked = read_lock(path)
    if locked is None:
        return ()
    return compare(locked, await locked_models(endpoints, headers, is_thorough=is_thorough, progress=progress))


def compare(locked: ModelLock, found: Mapping[str, LockedModel | None]) -> tuple[Compared, ...]:
    """Compare what was found with the lock; pure.

    Parameters
    ----------
    locked
        The lock.
    found
        What there is now, by `key`; `None` for a model of which no digest is known.
    """
    return tuple(_compared(name, locked.models.get(name), found) for name in {**found, **locked.models})


def _compared(name: str, before: LockedModel | None, found: Mapping[str, LockedModel | None]) -> Compared:
    service, model = of_key(name)
    now = found.get(name)
    names = {"service": service, "model": model}
    if before is None:
        change = Change.NEW if now else Change.UNKNOWN
    elif name not in found:
        change = Change.GONE
    elif now is None:
        change = Change.CHANGED  # who does not tell its digest any more is not the one who did
    else:
        change = Change.SAME if _bare(before.digest) == _bare(now.digest) else Change.CHANGED
    return Compared(**names, change=change, locked=before.digest if before else "", found=now.digest if now else "")


def _bare(digest: str) -> str:
    return digest.lower().removeprefix("sha256:")


def told(endpoints: Iterable[Endpoint]) -> dict[str, LockedModel | None]:
    """Return what servers tell of their models; a server that is not there now tells nothing, and is left out."""
    return {
        key(endpoint.name, model.id): LockedModel(digest=model.digest, size_bytes=model.size_bytes)
        if model.digest
        else None
        for endpoint in endpoints
        if endpoint.name != Embedded.name
        for model in endpoint.models
    }


async def locked_models(
    endpoints: Iterable[Endpoint],
    headers: Iterable[Header] = (),
    *,
    is_thorough: bool,
    progress: Progress | None = None,
) -> dict[str, LockedModel | None]:
    """Return all models with their digests, by `key`; files are read in another thread.

    Raises
    ------
    ModelLockError
        A file cannot be read.
    """
    found = told(endpoints)
    for header in headers:
        found[key(Embedded.name, header.name)] = await asyncio.to_thread(
            of_file, header.path, is_thorough=is_thorough, progress=progress
        )
    return found
