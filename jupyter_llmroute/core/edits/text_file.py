"""`TextFile`: a file's text with what is kept of its bytes: encoding, byte order mark, line ends."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import secrets
import time
import tokenize
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from jupyter_llmroute.core.errors import EditRefused

PYTHON = (".py", ".pyi")

PRIVATE = 0o600
"""Permissions of what is the user's alone."""

TEMPORARY = ".llmroute-"
"""What the name of a file begins with that is not whole yet."""

_END = re.compile(r"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


def digest(raw: bytes) -> str:
    """Return what tells one content from another."""
    return hashlib.sha256(raw).hexdigest()


def with_plain_ends(text: str) -> str:
    r"""Return a text whose lines end with `\n`."""
    return _END.sub("\n", text)


class TextFile(NamedTuple):
    """A text as it was read."""

    name: str
    """For what is said of it, and for its kind."""
    decoded: str
    """With the line ends of the file."""
    encoding: str = "utf-8"
    bom: bytes = b""

    @property
    def text(self) -> str:
        r"""With `\n` at the end of its lines."""
        return with_plain_ends(self.decoded)

    def encoded(self, text: str) -> bytes:
        r"""Return the bytes of another text, with encoding and line ends of this one.

        Parameters
        ----------
        text
            With `\n`. Where the file mixes line ends, each line keeps its own, or that of the line in its place.

        Raises
        ------
        EditRefused
            The encoding cannot say it, or the text declares another one.
        """
        try:
            raw = self.bom + self._with_ends(text).encode(self.encoding)
        except UnicodeEncodeError as error:
            raise EditRefused(
                f"{self.name!r} is kept in {self.encoding}, which has no {text[error.start]!r}: nothing was changed. "
                f"Ask for a text without it."
            ) from error
        try:
            reads_back = decoded(self.name, raw).text == text
        except EditRefused:
            reads_back = False
        if not reads_back:
            raise EditRefused(
                f"{self.name!r} is kept in {self.encoding}, and the new text declares another encoding: nothing was "
                f"changed. Ask for a text that keeps the declaration in its first two lines."
            )
        return raw

    def _with_ends(self, text: str) -> str:
        ends = Counter(_END.findall(self.decoded))
        if not ends:
            return text
        usual = ends.most_common(1)[0][0]
        return text.replace("\n", usual) if len(ends) == 1 else self._with_own_ends(text, usual)

    def _with_own_ends(self, text: str, usual: str) -> str:
        old_ends, new = _END.findall(self.decoded), text.split("\n")
        ends = [usual] * (len(new) - 1)
        same = SequenceMatcher(None, self.text.split("\n"), new, autojunk=False)
        for _, old_start, old_end, new_start, new_end in same.get_opcodes():
            count = min(old_end - old_start, new_end - new_start, len(ends) - new_start, len(old_ends) - old_start)
            ends[new_start : new_start + count] = old_ends[old_start : old_start + count]
        return "".join(line + end for line, end in zip(new, [*ends, ""], strict=True))


def decoded(name: str, raw: bytes) -> TextFile:
    """Return the text of bytes: Python by its declaration (PEP 263), everything else as UTF-8.

    Raises
    ------
    EditRefused
        It is no text, or could not be written back as it is.
    """
    try:
        bom = _BOM if raw.startswith(_BOM) else b""
        encoding = "utf-8"
        if name.endswith(PYTHON):
            encoding = tokenize.detect_encoding(io.BytesIO(raw).readline)[0].removesuffix("-sig")
        text = raw[len(bom) :].decode(encoding)
        if "\0" in text or text.encode(encoding) != raw[len(bom) :]:
            raise ValueError("it holds bytes that are no text")
    except (SyntaxError, ValueError, LookupError) as error:
        raise EditRefused(
            f"{name!r} does not read as text ({error}): nothing was changed. Have a text file named."
        ) from error
    return TextFile(name, text, encoding, bom)


def read_bytes(path: Path, name: str) -> bytes | None:
    """Return what a file holds; `None` where there is none.

    Raises
    ------
    EditRefused
        It is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EditRefused(
            f"{name!r} cannot be read ({error.strerror}): nothing was changed. Look at whom the file belongs to."
        ) from error


def write_whole(path: Path, raw: bytes, mode: int | None = None) -> None:
    """Put a file in the place of another at once: who reads sees the old one or the new one.

    Parameters
    ----------
    path
        Not a link.
    raw
        What it holds then.
    mode
        Its permissions; `None` keeps those of the old one.
    """
    old = path.stat() if path.exists() else None
    if mode is None and old is not None:
        mode = old.st_mode & 0o7777
    name = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    # A new file gets the permissions that the user's other programs would give it.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(name, flags, 0o666 if mode is None else 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        if old is not None and hasattr(os, "chown"):
            with contextlib.suppress(OSError):  # of a folder that is shared: then the file becomes ours
                os.chown(name, old.st_uid, old.st_gid)
        if mode is not None:
            os.chmod(name, mode)
        _replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _replace(new: Path, old: Path) -> None:
    """Windows refuses it while somebody reads the old file: that is soon over."""
    for pause_s in (0.01, 0.05, 0.2):
        with contextlib.suppress(PermissionError):
            return os.replace(new, old)
        time.sleep(pause_s)
    os.replace(new, old)
