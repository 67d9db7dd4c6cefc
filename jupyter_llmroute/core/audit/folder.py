"""The files of a log, whose they are, and what may stand in the way of them.

====================  ==========================================================================
`audit.jsonl`         the newest records
`audit.000001.jsonl`  older ones, the oldest first
`audit.head`          number and hash of the last record
`audit.salt`          32 bytes of chance: what makes the hashes of texts this log's own
`audit.lock`          held while somebody writes
====================  ==========================================================================
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from jupyter_llmroute.core.audit.chain import Broken, Tip, opened, seal
from jupyter_llmroute.core.embedded.rendezvous import state_folder
from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.values import Value

if TYPE_CHECKING:
    from jupyter_llmroute.core.sections import SecuritySettings

LOCK_S = 10.0
"""Seconds to wait for others who write; each holds the lock for as long as the disk takes."""

HELD_S = 0.05
"""The same after a wait that was in vain, until somebody else lets go: not every record is to wait as long again."""

SALT_BYTES = 32

HEAD_BYTES = 320
"""Of every head."""

_NO_FILES: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""What may stand in a file's place, by its mode."""


class AuditError(LLMRouteError):
    """The audit log cannot be written or read."""


class Head(Value):
    """How far the log goes: the anchor that shows a cut end."""

    count: int
    last: str
    """The hash of the last record."""
    archived: int
    """The number of the newest file that is closed; 0 where there is none."""
    size: int
    """Bytes of the file that is being written."""

    @property
    def tip(self) -> Tip:
        """The last record's number and hash."""
        return Tip(self.count, self.last)


def default_path() -> Path:
    """Return where the log is unless the settings say otherwise: in the user's own state folder of this machine."""
    return state_folder() / "audit" / "audit.jsonl"


def path_of(security: SecuritySettings) -> Path:
    """Return where the log of these settings is; a path that is not absolute begins where the default one lies."""
    return default_path().parent / (security.audit_log_path or default_path())


class Folder:
    """The files of one log.

    Parameters
    ----------
    path
        Of the file that is being written; the others stand beside it.
    """

    def __init__(self, path: Path) -> None:
        self.active = path.expanduser().absolute()
        stem = self.active.name.removesuffix(".jsonl")
        self._archive = re.compile(re.escape(stem) + r"\.(\d{6,})\.jsonl")
        self._stem = stem
        self.head = self.active.with_name(f"{stem}.head")
        self.salt = self.active.with_name(f"{stem}.salt")
        self._lock = self.active.with_name(f"{stem}.lock")
        self._was_held = False

    def archive(self, number: int) -> Path:
        """Return the path of a closed file."""
        return self.active.with_name(f"{self._stem}.{number:06}.jsonl")

    def archives(self) -> list[int]:
        """Return the numbers of the closed files, the oldest first."""
        try:
            names = os.listdir(self.active.parent)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(found[1]) for name in names if (found := self._archive.fullmatch(name)))

    def open(self) -> None:
        """Make the folder, for its owner alone.

        Raises
        ------
        AuditError
            It cannot be made, or others may write in it, or something in it is no file.
        """
        folder = self.active.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = folder.stat().st_mode
        except OSError as error:
            raise _unusable(folder, error) from error
        # What is there is not made ours: it may be meant for others too, as /tmp is.
        if os.name == "posix" and mode & 0o022:
            raise AuditError(
                f"The folder {str(folder)!r} of the audit log may be written by others (mode {mode & 0o777:o}): "
                f"chmod 700 it, or name one of your own in security.audit_log_path."
            )
        self.see_files()

    def see_files(self) -> None:
        """See that nothing but files stands where the log's files are.

        Raises
        ------
        AuditError
            Something is none.
        """
        for path in (self.active, self.head, self.salt, self._lock):
            is_file(path)

    @contextlib.contextmanager
    def written(self) -> Iterator[None]:
        """Hold the log for writing, and say what stands in the way of it.

        Raises
        ------
        AuditError
            The log cannot be written.
        """
        try:
            self.open()
            with self.locked():
                yield
        except OSError as error:
            raise AuditError(
                f"The audit log {str(self.active)!r} cannot be written ({error.strerror or error}): make room "
                f"or mend its permissions, or name another place in security.audit_log_path."
            ) from error

    def trouble(self) -> str:
        """Return why the log cannot be written, and what to do; empty where it can be. Nothing is added to it."""
        try:
            with self.written():
                self.read_salt()
                self.try_new_file()
                for path in filter(is_file, (self.active, self.head)):
                    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
        except AuditError as error:
            return str(error)
        return ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the log against all other writers.

        Raises
        ------
        AuditError
            Somebody else holds it for too long, or it cannot be made or locked at all.
        """
        lock = FileLock(self._lock, mode=0o600)
        try:
            self._acquire(lock)
        except Timeout as error:
            so_long = "still" if self._was_held else f"for more than {LOCK_S:g} s"
            self._was_held = True
            raise AuditError(
                f"The audit log {str(self.active)!r} is held by another process {so_long}: "
                f"see who has {self._lock.name!r} open."
            ) from error
        except (OSError, NotImplementedError) as error:
            raise AuditError(
                f"The audit log {str(self.active)!r} cannot be locked ({error}): put it on a disk of this machine "
                f"that you may write on (security.audit_log_path)."
            ) from error
        self._was_held = False
        try:
            yield
        finally:
            lock.release()

    def _acquire(self, lock: FileLock) -> None:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            # Where no file can be made, such as in /proc, the lock is not there, and is called held all the same.
            if not self._lock.exists():
                self.try_new_file()
            lock.acquire(timeout=HELD_S if self._was_held else LOCK_S, poll_interval=0.005)

    def try_new_file(self) -> None:
        """See that files can be made beside the log; nothing stays.

        Raises
        ------
        AuditError
            They cannot.
        """
        try:
            with tempfile.TemporaryFile(dir=self.active.parent):
                pass
        except OSError as error:
            raise AuditError(
                f"The audit log {str(self.active)!r} cannot be created there ({error.strerror}): "
                f"name a place on a disk of this machine that you may write on (security.audit_log_path)."
            ) from error

    def read_head(self) -> Head | None:
        """Return the head; `None` where there is none.

        Raises
        ------
        Broken
            It does not read, or was changed.
        """
        try:
            with self.head.open("rb") as file:
                sealed = opened(file.read(HEAD_BYTES + 1))
            return Head(**{name: sealed[name] for name in Head.model_fields})
        except FileNotFoundError:
            return None
        except (KeyError, ValueError) as error:  # Broken is one of these
            raise Broken(f"the head {self.head.name!r} does not read: {error}") from error

    def write_head(self, head: Head) -> None:
        """Move the head, at once; its file is not forced to the disk, as the log is.

        All heads are of one size and within one sector of a disk, so that one call writes them whole, and on a full
        disk too. A new file is put in the old one's place only once: that takes a hundred times as long.
        """
        body = head.model_dump()
        content, _ = seal(body | {"pad": ""})
        content, _ = seal(body | {"pad": " " * (HEAD_BYTES - len(content))})
        try:
            descriptor = os.open(self.head, os.O_WRONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            return replace(self.head, content, is_forced=True)
        try:
            os.write(descriptor, content)
            if os.fstat(descriptor).st_size > HEAD_BYTES:
                os.ftruncate(descriptor, HEAD_BYTES)
        finally:
            os.close(descriptor)

    def read_salt(self) -> bytes | None:
        """Return the salt; `None` where there is none.

        Raises
        ------
        AuditError
            It is there and is none.
        """
        try:
            with self.salt.open("rb") as file:
                salt = file.read(SALT_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(salt) != SALT_BYTES:
            raise AuditError(
                f"The audit log's salt {str(self.salt)!r} has {self.salt.stat().st_size} bytes, not {SALT_BYTES}: put "
                f"the right one back, or remove it, and new hashes will not compare with old ones."
            )
        return salt

    def make_salt(self) -> bytes:
        """Draw a salt and write it; call it only while the log is locked."""
        salt = os.urandom(SALT_BYTES)
        replace(self.salt, salt, is_forced=True)
        return salt


def is_file(path: Path) -> bool:
    """Whether there is a file; what is there and is none is refused, as reading it may never end.

    Raises
    ------
    AuditError
        It is no file.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISREG(mode):
        return True
    kind = next((name for is_kind, name in _NO_FILES if is_kind(mode)), "something else")
    raise AuditError(
        f"{str(path)!r} of the audit log is {kind}, and no file: "
        f"name another place in security.audit_log_path, or take it away."
    )


def replace(path: Path, content: bytes, *, is_forced: bool = False) -> None:
    """Write a whole file at once, for its owner alone; call it only under a lock.

    Parameters
    ----------
    path
        Of the file; whoever reads sees the old one or the new one.
    content
        All of it.
    is_forced
        Whether it must be on the disk before this returns.
    """
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)  # of a writer that died, or a pipe, whose opening would not end
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if is_forced:
            os.fsync(descriptor)
    os.replace(scratch, path)


def _unusable(folder: Path, error: OSError) -> AuditError:
    return AuditError(
        f"The folder {str(folder)!r} of the audit log cannot be used ({error.strerror}): "
        f"mend its permissions, or name another in security.audit_log_path."
    )
