"""Reading the whole log again: every record that was changed, removed, moved or cut off is found."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from jupyter_llmroute.core.audit.chain import NOTHING, Broken, Link, Tip, follows, read
from jupyter_llmroute.core.audit.folder import AuditError, Folder, Head, is_file
from jupyter_llmroute.core.values import Value

MAX_LINE_BYTES = 64 << 20
"""No record of ours is as long; one that is does not count as one."""

MOST_FINDINGS = 200
"""Findings that are told one by one."""

UNANCHORED = frozenset({"head missing", "head unreadable"})
"""Repairs that no death of a writer explains: the head is there before the first record, and is replaced whole."""


class Finding(Value):
    """Something that is not as it was written."""

    file: str
    line: int | None = None
    """From 1 on; `None` for what is wrong with the file itself."""
    what: str


class Report(Value):
    """What a look through the whole log showed."""

    records: int
    """How many are whole and in their place."""
    files: tuple[str, ...]
    count: int
    """The number of the last record."""
    last: str
    """That record's hash: kept elsewhere, the two are an anchor that nobody who writes here can move."""
    findings: tuple[Finding, ...]
    found: int
    """How many findings there are, those that are not told included."""
    notes: tuple[str, ...] = ()
    """What a writer put right, and what else is no finding."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was changed, removed, moved or cut off."""
        return not self.found


def verify(path: Path, anchors: Mapping[int, str] | None = None) -> Report:
    """Look through a log.

    Parameters
    ----------
    path
        Of the file that is being written; the older ones are found beside it.
    anchors
        Hashes by the numbers of their records, as an earlier look told them and as they were kept elsewhere.

    Raises
    ------
    AuditError
        It cannot be read, or there is none.
    """
    with opened_log(path) as (files, head, broken_head):
        if not files and head is None:
            raise AuditError(f"There is no audit log {str(path)!r}: name it, or ask a question first.")
        check = _Check(dict(anchors or {}), head)
        for name, file in files:
            check.file(name, file)
        return check.report(Folder(path).head.name, head, broken_head, tuple(name for name, _ in files))


@contextlib.contextmanager
def opened_log(path: Path) -> Iterator[tuple[Sequence[tuple[str, BinaryIO]], Head | None, str]]:
    """Open all files of a log as they are at one moment, the oldest first, with the head, or why it does not read.

    Raises
    ------
    AuditError
        It cannot be read.
    """
    folder = Folder(path)
    with contextlib.ExitStack() as stack:
        try:
            folder.see_files()
            with contextlib.ExitStack() as quiet:
                if folder.active.parent.is_dir():
                    with contextlib.suppress(AuditError):  # a copy on a disk that only reads has no writers
                        quiet.enter_context(folder.locked())
                paths = [*map(folder.archive, folder.archives()), folder.active]
                files = [(each.name, stack.enter_context(each.open("rb"))) for each in paths if is_file(each)]
                head, broken = _head(folder)
        except OSError as error:
            raise AuditError(
                f"The audit log {str(path)!r} cannot be read ({error.strerror}): it is its owner's alone."
            ) from error
        yield files, head, broken


def _head(folder: Folder) -> tuple[Head | None, str]:
    try:
        return folder.read_head(), ""
    except Broken as error:
        return None, str(error)


class Line(NamedTuple):
    """A line of a file."""

    number: int
    content: bytes
    """Of one that is longer than any record, the beginning."""
    size: int
    """Its bytes, those included that are not in `content`."""
    is_whole: bool
    """Whether it ends."""


def lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a file from where it stands, as far as it goes now."""
    number, left = 0, max(0, os.fstat(file.fileno()).st_size - file.tell())
    while content := file.readline(min(MAX_LINE_BYTES, left)):
        number, size, more = number + 1, len(content), content
        while not more.endswith(b"\n") and (more := file.readline(min(MAX_LINE_BYTES, left - size))):
            size += len(more)
        left -= size
        yield Line(number, content, size, (more or content).endswith(b"\n"))


class _Check:
    """The chain as far as it was followed, and what was found."""

    def __init__(self, anchors: dict[int, str], head: Head | None) -> None:
        self._anchors = anchors
        self._wanted = {*anchors, *([head.count] if head else [])}
        self._tip = Tip()
        self._highest = Tip()
        self._records = 0
        self._findings: list[Finding] = []
        self._found = 0
        self._notes: list[str] = []
        self._begins: Tip | None = None
        """What the first record names as the one before, where that is not the very first."""
        self._retired: set[Tip] = set()
        self._hashes: dict[int, str] = {0: NOTHING}
        """Of the records that are wanted: a long log has more than would fit into memory."""
        self._torn: tuple[str, int] | None = None

    def file(self, name: str, file: BinaryIO) -> None:
        """Follow the chain through one more file."""
        self._tell_torn()
        for line in lines(file):
            try:
                found = read(line.content)
            except Broken as error:
                if line.is_whole:
                    self._tell(name, line.number, str(error))
                else:
                    self._torn = (name, line.number)
                continue
            self._take(name, line.number, found)

    def _take(self, name: str, number: int, found: Link) -> None:
        if follows(found, self._tip):
            self._records += 1
        elif self._tip == Tip() and not self._records and not self._found and found.tip.number > 1:
            self._begins = Tip(found.tip.number - 1, found.prev)
            self._records += 1
        else:
            self._tell(name, number, self._gap(found))
        self._tip = found.tip
        self._highest = max(self._highest, found.tip)
        if found.tip.number in self._wanted:
            self._hashes[found.tip.number] = found.tip.hash
        if found.body.get("kind") == "retired":
            self._retired.add(Tip(found.body.get("count", 0), found.body.get("last", "")))
        if found.body.get("kind") == "repaired":
            told = f"record {found.tip.number}: {found.body.get('what')}: {found.body.get('detail')}"
            if found.body.get("what") in UNANCHORED:
                self._tell(name, number, f"{told}; whether records before it were cut off, only an anchor can tell")
            else:
                self._notes.append(told)

    def _gap(self, found: Link) -> str:
        count, due = found.tip.number, self._tip.number + 1
        if count > due:
            which = f"record {due} is" if count == due + 1 else f"records {due} to {count - 1} are"
            return f"{which} missing before record {count}"
        if count < due:
            return f"record {count} stands where {due} belongs: moved, or written twice"
        return f"record {count} does not follow the record before it: one of the two was put in"

    def report(self, head_name: str, head: Head | None, broken_head: str, files: tuple[str, ...]) -> Report:
        """Return what was found, once the end was compared with the head."""
        if self._begins and self._begins not in self._retired:
            self._tell(
                files[0], 1, f"records 1 to {self._begins.number} are missing, and no record says that they went"
            )
        if broken_head:
            self._tell(head_name, None, broken_head)
        elif head is None:
            self._tell(head_name, None, "it is missing, so a cut end would not show")
        else:
            self._compare(head_name, head)
        for count, digest in self._anchors.items():
            if self._hashes.get(count) != digest:
                there = "has another hash" if count in self._hashes else "is not there"
                self._tell(files[-1] if files else head_name, None, f"record {count} of the anchor {there}")
        if self._torn:
            name, number = self._torn
            self._notes.append(
                f"{name}, line {number}: half a line at the end; a writer died, and the next cuts it off"
            )
        return Report(
            records=self._records,
            files=files,
            count=self._highest.number,
            last=self._highest.hash,
            findings=tuple(self._findings),
            found=self._found,
            notes=tuple(self._notes),
        )

    def _compare(self, head_name: str, head: Head) -> None:
        if head.count > self._highest.number:
            missing = f"records {self._highest.number + 1} to {head.count} are missing at the end"
            self._tell(head_name, None, f"the log was written up to record {head.count}: {missing}")
        elif self._hashes.get(head.count) != head.last:
            self._tell(head_name, None, f"record {head.count} is not the one that the head names")
        elif head.count < self._highest.number:
            more = self._highest.number - head.count
            self._notes.append(f"{more} records after the head: a writer died before it moved the head, or writes now")

    def _tell_torn(self) -> None:
        """Tell of a line that does not end: where another file follows, no writer left it."""
        if self._torn:
            self._tell(*self._torn, "it does not end")
            self._torn = None

    def _tell(self, name: str, number: int | None, what: str) -> None:
        self._found += 1
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(Finding(file=name, line=number, what=what))
