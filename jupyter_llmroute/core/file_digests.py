"""The digests of model files, which are read once and kept.

What was read is kept by path, size, times and number of the file: whoever can set the clock of the machine can make
another file look the same to that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from jupyter_llmroute.core.audit.folder import replace
from jupyter_llmroute.core.embedded.gguf import SPLIT_PART
from jupyter_llmroute.core.embedded.model import find_models
from jupyter_llmroute.core.embedded.rendezvous import state_folder
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.lock_file import MAX_FILE_BYTES, LockedModel, ModelLockError, held
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.sections import EmbeddedSettings

BLOCK_BYTES = 4 << 20

KEPT_FILES = 2_000
"""Digests of files that are kept, the newest."""

Progress = Callable[[Path, int, int], None]
"""Told while a file is read: its path, the bytes that are read, all its bytes. Called in another thread."""


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
        with held(path):
            known = _cached()
            known.pop(name, None)
            kept = dict(list({**known, name: (mark, digest)}.items())[-KEPT_FILES:])
            replace(path, json.dumps(kept).encode("ascii"))
