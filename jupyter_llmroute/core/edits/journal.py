"""`Journal`: what is kept of a project's files outside it: a snapshot while a change is being made, and changes made.

All of it is the user's alone (0700, 0600), in the state folder of this machine, one folder for each project:

==================  =================================================================================
`project.lock`      held by whoever changes files of the project, or takes a change back
`pending.data`      bytes of the files, one after another
`pending.json`      written when the data is whole and before anything is changed; gone when it is done
`applied/….json`    changes that can be undone, the newest with the highest number
`aside/…`           what stood where something was put back and nobody can tell who wrote it
==================  =================================================================================

A process that dies in the middle leaves `pending.json`: the next one that has the lock puts the files back.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_llmroute.core.edits.restoring import Restored, Restoring
from jupyter_llmroute.core.edits.text_file import PRIVATE, write_whole
from jupyter_llmroute.core.edits.tree import Tree
from jupyter_llmroute.core.embedded.rendezvous import state_folder
from jupyter_llmroute.core.errors import EditRefused

VERSION = 1
KEPT_CHANGES = 20
KEPT_BYTES = 32 << 20
"""Of all changes that can be undone, as they are kept."""
KEPT_ASIDE = 5
"""Times that something was put aside."""

LATE_S = 30.0
"""Seconds after its limit in which a change may still write. What was written later was written by somebody else."""


class Kept(NamedTuple):
    """One file of a change that can be undone."""

    file: str
    before: bytes | None
    mode: int | None
    after: str | None
    """Digest of what it was changed to; `None` where it was removed."""


class Entry(NamedTuple):
    """One change that can be undone."""

    number: int
    at: float
    what: tuple[str, ...]
    files: tuple[Kept, ...]
    folders: tuple[str, ...]
    """That were made for it, the outermost first."""


class Journal:
    """The private folder of one project."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder

    @classmethod
    def of(cls, root: Path, state: Path | None = None) -> Journal:
        """Return the journal of a project.

        Parameters
        ----------
        root
            Of the project.
        state
            The folder of all journals; `None` for the one in the user's state folder.
        """
        home = root.resolve()
        key = hashlib.sha256(os.fsencode(os.path.normcase(home))).hexdigest()[:16]
        readable = re.sub(r"[^A-Za-z0-9._-]", "_", home.name)[:40]
        return cls(home, (state or edits_folder()) / f"{readable}-{key}")

    @classmethod
    def pending(cls, state: Path | None = None) -> list[Journal]:
        """Return the journals of all projects in which a change was begun and not ended."""
        found = []
        for path in sorted((state or edits_folder()).glob("*/pending.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                journal = cls(Path(json.loads(path.read_bytes())["home"]), path.parent)
                # A project that is gone is not made anew.
                if journal.home.is_dir():
                    found.append(journal)
        return found

    @property
    def lock(self) -> Path:
        """Held by whoever changes files of the project."""
        return self.folder / "project.lock"

    @property
    def is_pending(self) -> bool:
        """Whether a change was begun and not ended: by whoever holds the lock, or by somebody who died."""
        return self._pending.exists()

    @property
    def _pending(self) -> Path:
        return self.folder / "pending.json"

    @property
    def _data(self) -> Path:
        return self.folder / "pending.data"

    def open(self) -> None:
        """Make the folders, readable by their owner alone."""
        try:
            for folder in (self.folder.parent, self.folder, self.folder / "applied", self.folder / "aside"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if folder.stat().st_mode & 0o077:
                    folder.chmod(0o700)
        except OSError as error:
            raise EditRefused(
                f"The folder {str(self.folder)!r}, where files are kept so that they can be put back, cannot be made "
                f"({error.strerror}): nothing was changed. Name a folder of your own in LLMROUTE_HOME."
            ) from error

    def begin(self, tree: Tree, planned: Mapping[Path, str | None], folders: Iterable[Path], limit_s: float) -> None:
        """Keep the files as they are; call it before anything is changed, holding the lock.

        Parameters
        ----------
        tree
            All that may be changed.
        planned
            What is to be changed, with the digest that it will have; `None` for what is to be removed.
        folders
            That will be made.
        limit_s
            Seconds after which the change has ended, however it does.
        """
        rows: list[dict[str, Any]] = []
        with open(
            os.open(self._data, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), PRIVATE), "wb"
        ) as data:
            for path, seen in tree.files.items():
                rows.append({"path": str(path), "at": data.tell(), "size": len(seen.raw), "mode": seen.mode})
                data.write(seen.raw)
            data.flush()
            os.fsync(data.fileno())
        now = time.time()
        record = {
            "version": VERSION,
            "home": str(self.home),
            "started": now,
            "ends": now + limit_s + LATE_S,
            "files": rows,
            "links": {str(path): target for path, target in tree.links.items()},
            "planned": {str(path): after for path, after in planned.items()},
            "folders": [str(folder) for folder in folders],
        }
        write_whole(self._pending, json.dumps(record).encode(), PRIVATE)

    def commit(self, what: Iterable[str], files: Iterable[Kept], folders: Iterable[Path], at: float) -> int:
        """Keep a change that was made, forget the snapshot, and return the change's number."""
        number = max(self._numbers(), default=0) + 1
        record = {
            "version": VERSION,
            "home": str(self.home),
            "at": at,
            "what": list(what),
            "files": [
                kept._asdict() | {"before": None if kept.before is None else base64.b64encode(kept.before).decode()}
                for kept in files
            ],
            "folders": [str(folder) for folder in folders],
        }
        path = self._path(number)
        write_whole(path, json.dumps(record).encode(), PRIVATE)
        self.forget()
        self._prune()
        return number

    def forget(self) -> None:
        """End a change: the snapshot is not needed any more."""
        self._pending.unlink(missing_ok=True)
        self._data.unlink(missing_ok=True)

    def restore(self, made: Iterable[Path] = ()) -> Restored:
        """Put every file back as the snapshot has it; call it holding the lock.

        Parameters
        ----------
        made
            Files that were not there before and go away, besides those that were planned.

        Raises
        ------
        EditRefused
            Some cannot be put back; the snapshot stays, and the next attempt goes on with it.
        """
        return Restoring(self, self._record(), made).run()

    def recover(self) -> Restored | None:
        """Put back what a process that died left; `None` where there is nothing. Call it holding the lock."""
        if not self.is_pending:
            self._data.unlink(missing_ok=True)
            return None
        record = self._record()
        if not record:
            self.forget()  # of a version that is none of ours, or not whole: begun and nothing changed yet
            return None
        return Restoring(self, record, (), is_late=True).run()

    def entries(self) -> list[Entry]:
        """Return the changes that can be undone, the newest last."""
        return [entry for number in self._numbers() if (entry := self._entry(number)) is not None]

    def drop(self, number: int) -> None:
        """Forget a change."""
        self._path(number).unlink(missing_ok=True)

    def aside(self) -> Path:
        """Return a new folder for what stood where something was put back."""
        base = self.folder / "aside"
        old = sorted(path for path in base.iterdir() if path.is_dir())
        for path in old[: max(0, len(old) + 1 - KEPT_ASIDE)]:
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
        new = base / f"{time.time_ns()}"
        new.mkdir(mode=0o700)
        return new

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return a part of the snapshot."""
        with self._data.open("rb") as data:
            data.seek(offset)
            return data.read(size)

    def _record(self) -> dict[str, Any]:
        try:
            record = json.loads(self._pending.read_bytes())
            is_ours = record["version"] == VERSION and record["home"] == str(self.home)
            return dict(record) if is_ours else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}

    def _path(self, number: int) -> Path:
        return self.folder / "applied" / f"{number:08}.json"

    def _numbers(self) -> list[int]:
        names = (path.stem for path in (self.folder / "applied").glob("*.json"))
        return sorted(int(name) for name in names if name.isdecimal())

    def _entry(self, number: int) -> Entry | None:
        try:
            record = json.loads(self._path(number).read_bytes())
            if record["version"] != VERSION:
                return None
            files = tuple(
                Kept(
                    str(row["file"]),
                    None if row["before"] is None else base64.b64decode(row["before"], validate=True),
                    row["mode"],
                    row["after"],
                )
                for row in record["files"]
            )
            return Entry(number, float(record["at"]), tuple(record["what"]), files, tuple(record["folders"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _prune(self) -> None:
        numbers = self._numbers()
        total = 0
        for place, number in enumerate(reversed(numbers)):
            total += self._path(number).stat().st_size
            # The newest can always be undone.
            if place and (place >= KEPT_CHANGES or total > KEPT_BYTES):
                self.drop(number)


def edits_folder() -> Path:
    """Folder of all journals: in `LLMROUTE_HOME`, where it is set, or in the user's state folder."""
    return state_folder() / "edits"
