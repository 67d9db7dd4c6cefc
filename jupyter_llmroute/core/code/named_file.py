"""What `--file src/x.py:42` names: a Python file of the project, and perhaps a line of it; or why it names none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from jupyter_llmroute.core.code.plan import Meant
from jupyter_llmroute.core.code.project import MAX_FILE_BYTES, SUFFIXES, relative
from jupyter_llmroute.core.errors import UserError

_PEEKED = 8192
"""Bytes in which a null byte shows that a file is binary."""


class _Refusal(NamedTuple):
    what: str
    then: str


def named_file(root: Path, folder: Path, name: str) -> Meant:
    """Return the file that a user names, with the line.

    Parameters
    ----------
    root
        Of the project, as `project.find_root` gave it.
    folder
        Where the notebook lies: a file may also be named as it is seen from there.
    name
        As it was written, such as `src/x.py` or `src/x.py:42`.

    Raises
    ------
    UserError
        It is no Python file of the project, or has no such line; the message says which.
    """
    path, colon, number = name.rpartition(":")
    if not (colon and number.isdecimal()):
        path, number = name, ""
    ways = dict.fromkeys((_plain(root, path), _plain(folder.resolve(), path)))
    refusals = {way: _refusal(root, way) for way in ways}
    found = next((way for way, refusal in refusals.items() if refusal is None), None)
    if found is None:
        # Of two that are meant, the one that is there says more.
        there = [refusal for way, refusal in refusals.items() if os.path.lexists(way.replace("\0", ""))]
        refusal = next(filter(None, [*there, *refusals.values()]))
        raise UserError(f"--file {name!r}: {refusal.what}; {refusal.then}.")
    lines = Path(found).read_bytes().count(b"\n") + 1
    if number and not 1 <= int(number) <= lines:
        raise UserError(f"--file {name!r}: the file has {lines:,} lines; name one of them, or none.")
    return Meant(file=relative(root, found) or "", line=int(number) if number else None)


def _plain(folder: Path, path: str) -> str:
    """Return a path without dots; links in it stay."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def _refusal(root: Path, way: str) -> _Refusal | None:
    """Return why a path is no Python file of the project; `None` where it is one."""
    top = os.path.realpath(root)
    inside, path = way == top or way.startswith(os.path.join(top, "")), Path(way)
    from_root = "name it from the project's root, such as src/shop.py or src/shop.py:42"
    if "\0" in way:
        return _Refusal("no file has a null byte in its name", from_root)
    if not inside and relative(root, way) is None:
        return _Refusal(f"it lies outside the project {top!r}", "nothing outside is looked into: copy what is needed")
    if not os.path.lexists(way):
        return _Refusal(f"there is no such file in the project {top!r}", from_root)
    if not path.exists():
        return _Refusal("it is a link that leads to no file", "name the file itself")
    if relative(root, way) is None:
        leads = f"a link leads out of the project {top!r}, to {os.path.realpath(way)!r}"
        return _Refusal(leads, "nothing outside is looked into: copy what is needed")
    if path.is_dir():
        return _Refusal("it is a folder", "name a file in it")
    if not path.is_file():
        return _Refusal("it is no regular file", "name a file with Python's source")
    return _refusal_of_text(path)


def _refusal_of_text(path: Path) -> _Refusal | None:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            is_binary = b"\0" in file.read(_PEEKED if path.suffix not in SUFFIXES else MAX_FILE_BYTES)
    except OSError as error:
        return _Refusal(f"it cannot be read ({error.strerror or error})", "see who may read it")
    if is_binary:
        return _Refusal("it is binary, whatever its name", "name a file with Python's source")
    if not path.name.endswith(SUFFIXES):
        return _Refusal(
            f"its name ends with {path.suffix!r}, and only .py and .pyi files are looked into",
            "put what is needed of it into the question",
        )
    if size > MAX_FILE_BYTES:
        larger = f"it is too large, {size / 2**20:.1f} MiB where {MAX_FILE_BYTES >> 20} MiB are looked into"
        return _Refusal(larger, "put what is needed of it into the question")
    return None
