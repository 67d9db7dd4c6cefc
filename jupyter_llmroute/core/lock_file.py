"""The lock file of models: the digests that were written down."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from jupyter_llmroute.core.audit.folder import replace
from jupyter_llmroute.core.embedded.model import models_folder
from jupyter_llmroute.core.embedded.rendezvous import try_lock
from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.values import Value

MAX_FILE_BYTES = 16 << 20
"""A lock file or a cache above 16 MiB is not ours."""

LOCK_S = 10.0


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
        return frozenset(of_key(name)[0] for name in self.models)


def lock_path() -> Path:
    """Return where the lock file is: beside the folder of the models."""
    return models_folder().with_name("models.lock")


def key(service: str, model: str) -> str:
    """Return what a model on a server is locked by."""
    return json.dumps([service, model])


def of_key(name: str) -> tuple[str, str]:
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
        with held(path):
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


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other processes from writing a file while this one does."""
    lock = try_lock(path.with_name(path.name + ".lock"), timeout_s=LOCK_S)
    if lock is None:
        raise TimeoutError(0, "somebody else holds it")
    try:
        yield
    finally:
        lock.release()
