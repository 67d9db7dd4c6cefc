"""Which models are which: their digests, written down once and compared from then on.

A GGUF file's digest is the SHA-256 of its content, a split model's that of all its files; a server's model has the
digest that the server tells, which is as true as the server is. A model of which neither is known cannot be locked,
and is named.

Reading a large file takes a while, so what was read is kept by path, size, times and number of the file: whoever can
set the clock of the machine can make another file look the same to that, and `verify` with `is_thorough` reads all.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from jupyter_llmroute.core.audit.folder import replace
from jupyter_llmroute.core.embedded.gguf import SPLIT_PART, Header
from jupyter_llmroute.core.embedded.model import find_models, models_folder
from jupyter_llmroute.core.embedded.rendezvous import state_folder, try_lock
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.errors import LLMRouteError, UserError
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.settings import EmbeddedSettings
from jupyter_llmroute.core.values import Value

BLOCK_BYTES = 4 << 20

MAX_FILE_BYTES = 16 << 20
"""A lock file or a cache above 16 MiB is not ours."""

KEPT_FILES = 2_000
"""Digests of files that are kept, the newest."""

LOCK_S = 10.0

Progress = Callable[[Path, int, int], None]
"""Told while a file is read: its path, the bytes that are read, all its bytes. Called in another thread."""


class ModelLockError(LLMRouteError):
    """The lock file cannot be read or written, or a model's file cannot be read."""


class LockedModel(Value):
    """A model as it was when it was locked."""

    digest: str
    """`sha256:` and hexadecimal digits, or in the server's own words."""
    size_bytes: int | None = None
    files: tuple[str, ...] = ()
    """Names of the files that were read; empty where the server told the digest."""


class ModelLock(Value):
    """The lock file's content."""

    version: Literal[1] = 1
    models: Mapping[str, LockedModel] = {}
    """By `key`."""

    @property
    def services(self) -> frozenset[str]:
        """Names of the servers of which a model is locked."""
        return frozenset(_of_key(name)[0] for name in self.models)


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


def lock_path() -> Path:
    """Return where the lock file is: beside the folder of the models."""
    return models_folder().with_name("models.lock")


def key(service: str, model: str) -> str:
    """Return what a model on a server is locked by."""
    return json.dumps([service, model])


def _of_key(name: str) -> tuple[str, str]:
    """Return the server and the model of a key; a name that is none is a model's."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        service, model = json.loads(name)
        return str(service), str(model)
    return "", name


def read_lock(path: Path | None = None) -> ModelLock | None:
    """Return the lock; `None` where nothing was locked yet.

    Raises
    ------
    ModelLockError
        It does not read: nothing is known to be right then.
    """
    path = path or lock_path()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _does_not_read(path, f"it has more than {MAX_FILE_BYTES >> 20} MiB")
        return ModelLock.model_validate(json.loads(content))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise _does_not_read(path, f"{place}: {first['msg']}" if place else first["msg"]) from error
    except OSError as error:
        raise _does_not_read(path, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:  # what JSON does not read names its line
        raise _does_not_read(path, str(error)) from error


def _does_not_read(path: Path, reason: str) -> ModelLockError:
    return ModelLockError(
        f"The lock file of models {str(path)!r} does not read ({reason}): put the right one back, or look at the "
        f"models yourself and lock them anew (jupyter-llmroute models lock)."
    )


def put_aside(path: Path | None = None) -> Path | None:
    """Rename a lock file that does not read, and return its new path; `None` where it reads, or there is none.

    Raises
    ------
    ModelLockError
        It cannot be renamed.
    """
    path = path or lock_path()
    try:
        read_lock(path)
    except ModelLockError:
        broken = path.with_name(path.name + ".broken")
        try:
            path.replace(broken)
        except OSError as error:
            raise ModelLockError(
                f"The lock file of models {str(path)!r} does not read and cannot be renamed ({error.strerror}): "
                f"mend its permissions, or remove it."
            ) from error
        return broken
    return None


def write_lock(found: ModelLock, path: Path | None = None) -> str:
    """Write the lock, and return the SHA-256 of the file: in the audit log it shows that the file was changed since.

    Raises
    ------
    ModelLockError
        It cannot be written.
    """
    path = path or lock_path()
    content = (json.dumps(found.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode("ascii")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _held(path):
            replace(path, content, is_forced=True)
    except OSError as error:
        raise ModelLockError(
            f"The lock file of models {str(path)!r} cannot be written ({error.strerror}): mend its permissions."
        ) from error
    return hashlib.sha256(content).hexdigest()


def lock_digest(path: Path | None = None) -> str:
    """Return the SHA-256 of the lock file as it is; empty where there is none."""
    try:
        return hashlib.sha256((path or lock_path()).read_bytes()).hexdigest()
    except OSError:
        return ""


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


def digests(settings: EmbeddedSettings) -> Callable[[str, str], str | None]:
    """Return what knows the digests of the embedded server's models, as far as their files were read before.

    Called with the names of a server and of a model, it reads no model's file.
    """

    def known(service: str, model: str) -> str | None:
        if service != Embedded.name:
            return None
        try:
            path = next((header.path for header in find_models(settings) if header.name == model), None)
            read = _cached().get(os.fspath(path.absolute())) if path and not SPLIT_PART.search(path.stem) else None
            return f"sha256:{read[1]}" if path and read and read[0] == _mark(path) else None
        except (OSError, UserError):
            return None

    return known


def _compared(name: str, before: LockedModel | None, found: Mapping[str, LockedModel | None]) -> Compared:
    service, model = _of_key(name)
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


def of_file(path: Path, *, is_thorough: bool = False, progress: Progress | None = None) -> LockedModel:
    """Return the digest of a GGUF file, of a split model that of all its files.

    Parameters
    ----------
    path
        Of the file; of a split model, the first.
    is_thorough
        Whether the content is read even if the file looks like one that was read before.
    progress
        Told while it is read.

    Raises
    ------
    ModelLockError
        It cannot be read.
    """
    with _readable(path):
        files = _parts(path)
        return _of_parts(files, [_digest(file, is_thorough=is_thorough, progress=progress) for file in files])


def kept(path: Path) -> LockedModel | None:
    """Return the digest of a GGUF file that was read before; `None` where it was not, or looks changed since.

    Raises
    ------
    ModelLockError
        The file is not there.
    """
    with _readable(path):
        files, known = _parts(path), _cached()
        read = [known.get(os.fspath(file.absolute()), ("", "")) for file in files]
        if all(mark == _mark(file) for file, (mark, _) in zip(files, read, strict=True)):
            return _of_parts(files, [digest for _, digest in read])
        return None


def mark_of(path: Path) -> str:
    """Return what tells whether a GGUF file looks changed: its size, times and number, of a split model those of all.

    Raises
    ------
    ModelLockError
        It is not there.
    """
    with _readable(path):
        return "; ".join(map(_mark, _parts(path)))


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelLockError(
            f"The model file {str(path)!r} cannot be read ({error.strerror}): mend its permissions, or remove it."
        ) from error


def _of_parts(files: tuple[Path, ...], digests: list[str]) -> LockedModel:
    size = sum(file.stat().st_size for file in files)
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return LockedModel(digest=f"sha256:{whole}", size_bytes=size, files=tuple(file.name for file in files))


def _parts(path: Path) -> tuple[Path, ...]:
    split = SPLIT_PART.search(path.stem)
    if split is None:
        return (path,)
    rest = re.compile(re.escape(path.stem[: split.start()]) + SPLIT_PART.pattern)
    return tuple(sorted(each for each in path.parent.glob("*" + path.suffix) if rest.fullmatch(each.stem)))


# --- what was read before ---


def _digest(path: Path, *, is_thorough: bool, progress: Progress | None) -> str:
    mark = _mark(path)
    name = os.fspath(path.absolute())
    known = _cached().get(name)
    if known and known[0] == mark and not is_thorough:
        return known[1]
    digest = _read(path, progress)
    if _mark(path) == mark:  # what is written while it is read is not kept
        _keep(name, mark, digest)
    return digest


def _mark(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _read(path: Path, progress: Progress | None) -> str:
    digest, done = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if progress:
                progress(path, done, size)
    return digest.hexdigest()


def _cache_path() -> Path:
    return state_folder() / "digests.cache"


def _cached() -> dict[str, tuple[str, str]]:
    """Return mark and digest by path; a cache that does not read is none."""
    try:
        with _cache_path().open("rb") as file:
            told = json.loads(file.read(MAX_FILE_BYTES))
        return {str(name): (str(mark), str(digest)) for name, (mark, digest) in told.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _keep(name: str, mark: str, digest: str) -> None:
    path = _cache_path()
    with contextlib.suppress(OSError):  # the next time it is read once more
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _held(path):
            known = _cached()
            known.pop(name, None)
            kept = dict(list({**known, name: (mark, digest)}.items())[-KEPT_FILES:])
            replace(path, json.dumps(kept).encode("ascii"))


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    held = try_lock(path.with_name(path.name + ".lock"), timeout_s=LOCK_S)
    if held is None:
        raise TimeoutError(0, "somebody else holds it")
    try:
        yield
    finally:
        held.release()
