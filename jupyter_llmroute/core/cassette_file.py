"""The file of recordings beside a notebook: JSON laid out so that people can read it and compare two of them.

A file may come with a notebook from anybody. It is data alone: bounded in size and depth, every value checked, and
none of it runs. What does not read is an error, and is never written over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import ValidationError
from pydantic_core import from_json

from jupyter_llmroute.core.embedded.rendezvous import state_folder
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.recording import Recording, plain
from jupyter_llmroute.core.values import Value

SUFFIX = ".cassette.json"

VERSION = 1

MAX_FILE_BYTES = 64 << 20
"""A larger file is none of ours: the longest answer has four million characters."""

MOST_RECORDINGS = 10_000

WIDE = 110
"""Characters of a line, where what stands in it can be parted."""

LINE_ENDS = '\\n", "'
"""Between two lines of a text: each stands in a line of its own."""

LOCK_S = 10.0
"""Seconds to wait for another kernel that writes."""

_UNSEEN = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Signs that do not show, or that turn the order of others around: they are written as their numbers."""


class CassetteError(UserError):
    """A file of recordings does not read, or cannot be written."""


class Tape(Value):
    """The content of a file."""

    version: Literal[1] = 1
    recordings: tuple[Recording, ...] = ()


class CassetteFile:
    """The file of a notebook's recordings.

    Parameters
    ----------
    path
        Where it lies; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._known: tuple[tuple[int, int, int] | None, Tape] = (None, Tape())

    def read(self) -> Tape:
        """Return what was recorded; nothing where there is no file.

        Raises
        ------
        CassetteError
            It is no file of recordings, of a newer version, or too large.
        """
        try:
            with self.path.open("rb") as file:
                told = os.fstat(file.fileno())
                version = (told.st_ino, told.st_mtime_ns, told.st_size)
                if version != self._known[0]:
                    self._known = (version, parse(file.read(MAX_FILE_BYTES + 1), str(self.path)))
        except FileNotFoundError:
            return Tape()
        except OSError as error:
            raise CassetteError(f"The recordings in {str(self.path)!r} cannot be read: {error.strerror}.") from error
        return self._known[1]

    def check_writable(self) -> None:
        """Raise before anybody is asked where the answer could not be recorded anyway.

        Raises
        ------
        CassetteError
            The folder is not there, or nothing may be written into it.
        """
        if not os.access(self.path.parent, os.W_OK):
            raise CassetteError(
                f"Nothing can be recorded in {str(self.path)!r}: its folder is not there, or may not be written to. "
                f"Name another file."
            )

    def update(self, change: Callable[[Tape], Tape]) -> None:
        """Write what `change` makes of the file as it is now; a reader sees the old one or the new one.

        Raises
        ------
        CassetteError
            It cannot be written, somebody else holds it, or what is there does not read.
        """
        try:
            with FileLock(self._lock()).acquire(timeout=LOCK_S, poll_interval=0.02):
                self._known = (
                    None,
                    Tape(),
                )  # two files written in one tick of the clock may look the same from without
                self._write(laid_out(change(self.read())))
        except Timeout as error:
            raise CassetteError(
                f"The answer was not recorded: another program has held {str(self.path)!r} for {LOCK_S:g} s. Ask again."
            ) from error
        except (OSError, NotImplementedError) as error:  # the latter where a disk knows no locks
            raise CassetteError(
                f"The answer cannot be recorded in {str(self.path)!r}: {error}. Name another file, "
                f"or see who may write there."
            ) from error

    def _lock(self) -> Path:
        """Return the lock: in the user's own folder, so that none lies beside notebooks."""
        folder = state_folder() / "cassettes"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:16]}.lock"

    def _write(self, text: str) -> None:
        data = text.encode()
        if len(data) > MAX_FILE_BYTES:
            raise CassetteError(
                f"{str(self.path)!r} would be larger than {MAX_FILE_BYTES >> 20} MiB with one more answer: record into "
                f"another file."
            )
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileNotFoundError):
                os.chmod(name, stat.S_IMODE(self.path.stat().st_mode))
            _replace(name, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


def _replace(new: str, old: Path) -> None:
    """Put a file in the place of another. Windows refuses that while somebody reads the old one: that is soon over."""
    for pause_s in (0.01, 0.05, 0.2):
        with contextlib.suppress(PermissionError):
            return os.replace(new, old)
        time.sleep(pause_s)
    os.replace(new, old)


def parse(data: bytes, name: str) -> Tape:
    """Return the recordings that a file holds; `name` is the file's in messages.

    Raises
    ------
    CassetteError
        It holds something else.
    """
    if len(data) > MAX_FILE_BYTES:
        raise CassetteError(f"{name!r} is larger than {MAX_FILE_BYTES >> 20} MiB, so it holds no recordings of ours.")
    try:
        told = from_json(data, allow_inf_nan=False)
        version = told.get("version") if isinstance(told, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise CassetteError(
                f"{name!r} was recorded by a newer jupyter-llmroute (format {version}, and this one reads {VERSION}): "
                f"upgrade it, or record into another file."
            )
        _raise_if_infinite(told)
        if len(told["recordings"]) > MOST_RECORDINGS:
            raise ValueError(f"more than {MOST_RECORDINGS:,} recordings")
        return Tape.model_validate(told)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_context=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"] if isinstance(part, int) or part.isidentifier())
        raise CassetteError(_unreadable(name, f"{where[:120]}: {problem['msg'][:200]}", data)) from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise CassetteError(_unreadable(name, f"{type(error).__name__}: {str(error)[:200]}", data)) from None


def _unreadable(name: str, problem: str, data: bytes) -> str:
    remedy = (
        "it holds the marks of a merge that was not finished: finish it"
        if re.search(rb"^(?:<{7}|>{7}) ", data, re.MULTILINE)
        else "take it back from where it came, or delete it and record anew"
    )
    return f"{name!r} holds no recordings that read ({problem}); {remedy}."


def _raise_if_infinite(value: Any) -> None:
    """Refuse numbers that are written so large that they have no end: no event has one."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError("a number without end")
        case dict():
            for part in value.values():
                _raise_if_infinite(part)
        case list():
            for part in value:
                _raise_if_infinite(part)
        case _:
            pass


def laid_out(tape: Tape) -> str:
    """Return the text of a file."""
    data = {"version": tape.version, "recordings": [plain(recording) for recording in tape.recordings]}
    text = "".join(_lines(data, "")) + "\n"
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _lines(value: Any, indent: str) -> Iterator[str]:
    """Yield a value as JSON: in one line where it is short, its parts in lines of their own where it is long."""
    whole = json.dumps(value, ensure_ascii=False)
    is_short = len(indent) + len(whole) <= WIDE and LINE_ENDS not in whole
    if not isinstance(value, Mapping | list) or not value or is_short:
        yield whole
        return
    is_map, deeper = isinstance(value, Mapping), indent + " "
    yield "{" if is_map else "["
    for number, part in enumerate(value):
        yield (",\n" if number else "\n") + deeper
        if is_map:
            yield f"{json.dumps(part, ensure_ascii=False)}: "
        yield from _lines(value[part] if is_map else part, deeper)
    yield f"\n{indent}" + ("}" if is_map else "]")
