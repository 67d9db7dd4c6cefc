"""Writing the log: under a lock, to the disk, and from wherever the last writer left it.

Under the lock the head says how far the log goes. Where the file has more, the writer before was killed after it wrote
and before it moved the head: whole records there are kept, and half of one is cut off, which nobody was told was
written. Where the file has less, somebody took something away: the chain goes on from the head, so that the gap stays
for ever. Either way a record says so.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import mmap
import os
import re
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jupyter_llmroute.core.audit.chain import NOTHING, Broken, Tip, follows, link, read
from jupyter_llmroute.core.audit.folder import Folder, Head, is_file
from jupyter_llmroute.core.audit.record import Opened, Origin, Part, Record, Repaired, Retired
from jupyter_llmroute.core.audit.verify import Line, lines

MAX_BYTES = 64 << 20
"""A file of this size is closed, and a new one begun."""


_PART = re.compile(rb'"kind":"part","sha256":"([0-9a-f]{64})"')


class _End(NamedTuple):
    """How far the log goes, as it was found."""

    tip: Tip
    archived: int
    size: int
    """Bytes of the file that is being written."""


class AuditLog:
    """A log that any number of processes and threads write at once.

    Parameters
    ----------
    path
        Of the file; see `folder` for those beside it.
    origin
        Who writes; stands in every record.
    max_bytes
        Size from which on a file is closed and a new one begun, which goes on with the chain.
    keep
        Closed files that are kept; the oldest are removed, and a record says so. `None`: all.
    is_forced
        Whether records are on the disk (fsync) before `append` returns. Otherwise they outlive the death of the
        process, and not that of the machine.
    """

    def __init__(
        self,
        path: Path,
        origin: Origin,
        *,
        max_bytes: int = MAX_BYTES,
        keep: int | None = None,
        is_forced: bool = True,
    ) -> None:
        self.folder = Folder(path)
        self._origin = origin.model_dump()
        self._max_bytes = max_bytes
        self._keep = keep
        self._is_forced = is_forced
        self._salt: bytes | None = None
        self._parts: tuple[tuple[int, int] | None, frozenset[str]] = (None, frozenset())
        self._pending: list[Record] = []
        self._thread = threading.Lock()

    @property
    def salt(self) -> bytes:
        """The log's salt; drawn when it is first wanted.

        Raises
        ------
        AuditError
            It cannot be read or written.
        """
        if self._salt is None:
            with self._open():
                self._salt = self._salt_of_log()
        return self._salt

    def append(self, records: Sequence[Record], parts: Mapping[str, str] | None = None) -> None:
        """Write records; when this returns, they stay.

        Parameters
        ----------
        records
            In the order in which they are to stand.
        parts
            What they refer to, by its SHA-256; what the file has already is not written again.

        Raises
        ------
        AuditError
            Nothing of it stays.
        """
        with self._open():
            self._salt = self._salt or self._salt_of_log()
            end, repairs = self._found()
            end, begins = self._file_for(end)
            known = frozenset() if repairs else self._known_parts(end)
            new = {name: text for name, text in (parts or {}).items() if name not in known}
            packed = (Part(sha256=name, data=_packed(text)) for name, text in new.items())
            self._write(end, [*begins, *repairs, *self._pending, *packed, *records])
            self._pending.clear()
            self._parts = (self._file_id(end.archived), known | new.keys())
            for record in begins:
                if isinstance(record, Retired):  # only now that it is written: nothing goes without a record
                    with contextlib.suppress(PermissionError):  # Windows removes no file that somebody reads
                        self.folder.active.with_name(record.file).unlink()

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        with self._thread, self.folder.written():
            yield

    def _salt_of_log(self) -> bytes:
        if salt := self.folder.read_salt():
            return salt
        if is_file(self.folder.active):
            self._pending.append(Repaired(what="salt missing", detail="hashes of texts from here on have another"))
        return self.folder.make_salt()

    # --- where it ends ---

    def _found(self) -> tuple[_End, list[Repaired]]:
        """Return where the log ends, put right what a dead writer left, and say what was found."""
        try:
            head = self.folder.read_head()
        except Broken as error:
            end, repairs = self._searched()
            return end, [Repaired(what="head unreadable", detail=str(error)), *repairs]
        if head:
            return self._followed(head)
        if not is_file(self.folder.active) and not self.folder.archives():
            # Before the first record, so that a head that is missing later was taken away.
            self.folder.write_head(Head(count=0, last=NOTHING, archived=0, size=0))
            return _End(Tip(), 0, 0), []
        end, repairs = self._searched()
        return end, [Repaired(what="head missing", detail="the end was looked for in the log itself"), *repairs]

    def _followed(self, head: Head) -> tuple[_End, list[Repaired]]:
        """Go from the head to the end of what was written since."""
        tip, archived, at, repairs = head.tip, head.archived, head.size, list[Repaired]()
        while is_file(
            self.folder.archive(archived + 1)
        ):  # closed since, by writers who died before they moved the head
            archived += 1
            tip, _, found = self._walked(self.folder.archive(archived), at, tip)
            repairs, at = [*repairs, *found], 0
        tip, size, more = self._walked(self.folder.active, at, tip)
        repairs = [*repairs, *more]
        if tip != head.tip and not repairs:
            # At once, so that writers who die one after the other do not leave the next ever more to follow.
            self.folder.write_head(Head(count=tip.number, last=tip.hash, archived=archived, size=size))
        return _End(tip, archived, size), repairs

    def _walked(self, path: Path, at: int, tip: Tip) -> tuple[Tip, int, list[Repaired]]:
        """Follow the chain in a file from a place on; return the end, the file's size, and what was put right."""
        size = path.stat().st_size if is_file(path) else 0
        repairs: list[Repaired] = []
        if size < at:
            detail = f"{path.name} has {size} bytes, and had {at} up to record {tip.number}"
            repairs.append(Repaired(what="records missing", detail=detail))
            at = _start_of_last_line(path, size)
        if size == at:
            return tip, size, repairs
        foreign = 0
        with path.open("rb") as file:
            file.seek(at)
            for line in lines(file):
                try:
                    found = read(line.content)
                except Broken:
                    found = None
                if found and follows(found, tip):
                    tip = found.tip
                elif line.is_whole:
                    foreign += 1
                else:
                    repairs.append(_torn(path, line))
                    size -= line.size
        if size < path.stat().st_size:
            os.truncate(path, size)
        if foreign:
            detail = f"{foreign} lines in {path.name} after record {tip.number} are not of the chain, and were left"
            repairs.append(Repaired(what="lines of no writer", detail=detail))
        return tip, size, repairs

    def _searched(self) -> tuple[_End, list[Repaired]]:
        """Look for the end in the log itself, where no head tells it."""
        archives = self.folder.archives()
        tip, size, repairs = self._last_of(self.folder.active)
        if not tip.number and archives:
            tip, _, more = self._last_of(self.folder.archive(archives[-1]))
            repairs = [*more, *repairs]
        return _End(tip, archives[-1] if archives else 0, size), repairs

    def _last_of(self, path: Path) -> tuple[Tip, int, list[Repaired]]:
        tip, size, repairs = Tip(), 0, list[Repaired]()
        if not is_file(path):
            return tip, size, repairs
        with path.open("rb") as file:
            for line in lines(file):
                if not line.is_whole:
                    repairs.append(_torn(path, line))
                    break
                size += line.size
                with contextlib.suppress(Broken):
                    tip = read(line.content).tip
        if repairs:
            os.truncate(path, size)
        return tip, size, repairs

    # --- files ---

    def _file_for(self, end: _End) -> tuple[_End, list[Record]]:
        """Close the file where it is full; return where to write, and what a new file begins with."""
        if end.size < self._max_bytes:
            return end, [] if end.size else [self._opened(end)]
        closed = self.folder.archive(end.archived + 1)
        try:
            os.rename(self.folder.active, closed)
        except PermissionError:  # Windows renames no file that somebody reads: the next time, then
            return end, []
        end = _End(end.tip, end.archived + 1, 0)
        return end, [self._opened(end), *self._retired()]

    def _opened(self, end: _End) -> Opened:
        assert self._salt is not None
        after = self.folder.archive(end.archived).name if end.archived else ""
        return Opened(salt=hashlib.sha256(self._salt).hexdigest()[:32], after=after)

    def _retired(self) -> Iterator[Retired]:
        """Say of the oldest of too many files where they end."""
        archives = self.folder.archives()
        for number in archives[: max(0, len(archives) - self._keep)] if self._keep is not None else ():
            path = self.folder.archive(number)
            tip, _, _ = self._last_of(path)
            yield Retired(file=path.name, count=tip.number, last=tip.hash)

    def _file_id(self, archived: int) -> tuple[int, int]:
        return archived, self.folder.active.stat().st_ino

    def _known_parts(self, end: _End) -> frozenset[str]:
        """Return the parts that are in the file; others may have put more there since it was looked through."""
        if not end.size:
            return frozenset()
        return self._parts[1] if self._parts[0] == self._file_id(end.archived) else _parts_in(self.folder.active)

    # --- writing ---

    def _write(self, end: _End, records: Sequence[Record]) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        tip, lines = end.tip, list[bytes]()
        for record in records:
            body = {"time": now, **self._origin, **record.model_dump(exclude_none=True)}
            line, tip = link(body, tip)
            lines.append(line)
        content = b"".join(lines)
        self._put(content, end.size)
        head = Head(count=tip.number, last=tip.hash, archived=end.archived, size=end.size + len(content))
        try:
            self.folder.write_head(head)
        except OSError:
            os.truncate(self.folder.active, end.size)
            raise

    def _put(self, content: bytes, size: int) -> None:
        """Write at the file's end, wholly or not at all."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self.folder.active, flags, 0o600)
        try:
            if os.name == "posix" and os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
            written = 0
            while written < len(content):
                written += os.write(descriptor, content[written:])
            if self._is_forced:
                os.fsync(descriptor)
                if not size:
                    _force_folder(self.folder.active.parent)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
        finally:
            os.close(descriptor)


def _parts_in(path: Path) -> frozenset[str]:
    """Look for parts in a file; what stands in the words of a record does not look like one, its quotes are escaped."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return frozenset(found[1].decode() for found in _PART.finditer(content))


def _packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode("ascii"))).decode()


def _torn(path: Path, line: Line) -> Repaired:
    digest = hashlib.sha256(line.content).hexdigest()
    first = f" of the first {len(line.content)}" if len(line.content) < line.size else ""
    detail = (
        f"{line.size} bytes at the end of {path.name}, SHA-256{first} {digest}, were no whole record and were cut off"
    )
    return Repaired(what="torn line", detail=detail)


def _start_of_last_line(path: Path, size: int) -> int:
    """Return where a line begins that does not end, or the file's size where there is none."""
    if not size:
        return 0
    at = 0
    with path.open("rb") as file:
        for line in lines(file):
            if not line.is_whole:
                return at
            at += line.size
    return at


def _force_folder(folder: Path) -> None:
    """Have the name of a new file on the disk too; Windows has no such thing."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
