"""`Restoring`: files put back as a snapshot has them, byte for byte."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jupyter_llmroute.core.edits.text_file import PRIVATE, TEMPORARY, digest, write_whole
from jupyter_llmroute.core.errors import EditRefused


class Restored(NamedTuple):
    """What was put back."""

    files: tuple[str, ...]
    aside: Path | None = None
    """Where what stood there instead is kept, if nobody can tell who wrote it."""
    left: tuple[str, ...] = ()
    """Files that were written later, and stay."""


class Snapshot(Protocol):
    """Where a project's files are kept as they were."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return a part of what is kept."""

    def aside(self) -> Path:
        """Return a new folder for what stood where something was put back."""

    def forget(self) -> None:
        """Drop it: everything is as it was."""


class Restoring:
    """Putting files back, one after another; what fails does not stop the rest."""

    def __init__(
        self, snapshot: Snapshot, record: dict[str, Any], made: Iterable[Path], *, is_late: bool = False
    ) -> None:
        self._snapshot = snapshot
        self._record = record
        self._made = [*made]
        self._is_late = is_late
        """Whether the process that made the snapshot is gone: others may have written since."""
        self._aside: Path | None = None
        self._done: list[str] = []
        self._left: list[str] = []
        self._failed: list[str] = []

    def run(self) -> Restored:
        """Put back what can be put back, and forget the snapshot where that is everything.

        Raises
        ------
        EditRefused
            Some of it cannot be put back.
        """
        files = self._record["files"]
        for row in files:
            self._attempt(row["path"], partial(self._put_back, row))
        for name in self._to_remove():
            self._attempt(name, partial(self._remove, name))
        self._put_links_back()
        self._clear_folders()
        if self._failed:
            raise EditRefused(
                f"A change was to be taken back, and {', '.join(self._failed[:5])} cannot be put back. Its bytes are "
                f"kept in {str(self._snapshot.folder)!r}: make it writable, and it is put back with the next change."
            )
        self._snapshot.forget()
        return Restored(tuple(self._done), self._aside, tuple(self._left))

    def _attempt(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._failed.append(f"{name!r} ({error.strerror or error})")

    def _put_back(self, row: dict[str, Any]) -> None:
        path, mode = Path(row["path"]), int(row["mode"])
        old = self._snapshot.bytes_at(row["at"], row["size"])
        now = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        if now == old:
            if path.stat().st_mode & 0o7777 != mode:
                path.chmod(mode)
            return
        if self._is_anothers(path):
            self._left.append(str(path))
            return
        if now is not None and digest(now) != self._record["planned"].get(row["path"]):
            self._put_aside(path, now)
        elif path.is_symlink():
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, old, mode)
        self._done.append(str(path))

    def _to_remove(self) -> Iterator[str]:
        before = {row["path"] for row in self._record["files"]}
        yield from (name for name in self._record["planned"] if name not in before)
        yield from (str(path) for path in self._made if str(path) not in before)

    def _remove(self, name: str) -> None:
        path = Path(name)
        if not path.is_file() or path.is_symlink():
            return
        now = path.read_bytes()
        if digest(now) != self._record["planned"].get(name):
            if self._is_late:
                self._left.append(name)
                return
            self._put_aside(path, now)
        path.unlink()
        self._done.append(name)

    def _is_anothers(self, path: Path) -> bool:
        return self._is_late and path.exists() and path.stat().st_mtime > self._record["ends"]

    def _put_aside(self, path: Path, raw: bytes) -> None:
        if self._aside is None:
            self._aside = self._snapshot.aside()
        number = sum(1 for _ in self._aside.iterdir())
        write_whole(self._aside / f"{number:03}-{path.name[:100]}", raw, PRIVATE)

    def _put_links_back(self) -> None:
        for name, target in self._record["links"].items():
            self._attempt(name, partial(self._put_link_back, Path(name), target))

    def _put_link_back(self, path: Path, target: str) -> None:
        if path.is_symlink() and os.readlink(path) == target:
            return
        if self._is_late and (not os.path.lexists(path) or self._is_anothers(path)):
            self._left.append(str(path))
            return
        if path.is_file() and not path.is_symlink():
            self._put_aside(path, path.read_bytes())
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        self._done.append(str(path))

    def _clear_folders(self) -> None:
        for folder in {Path(row["path"]).parent for row in self._record["files"]} | {
            Path(name).parent for name in self._record["planned"]
        }:
            for left in folder.glob(f"{TEMPORARY}*"):
                with contextlib.suppress(OSError):
                    left.unlink()
        for name in reversed(self._record["folders"]):
            with contextlib.suppress(OSError):  # somebody else put something there
                Path(name).rmdir()
