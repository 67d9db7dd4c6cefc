"""A Python file as text: decoded as Python decodes it, and parsed without running, warning or giving up."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

from jupyter_llmroute.core.code.project import MAX_FILE_BYTES
from jupyter_llmroute.core.parsing import tree_of


class Unreadable(Exception):
    """A file is no Python that can be read; says why in a few words."""

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.line = line
        """Counted from 1; where the mistake is."""


def read_bytes(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a file.

    Raises
    ------
    Unreadable
        It is not there, or longer than it may be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise Unreadable(f"it cannot be read: {error.strerror or error}") from None
    if len(data) > max_bytes:
        raise Unreadable(f"it has more than {max_bytes >> 20} MiB")
    return data


def decode(data: bytes) -> str:
    r"""Return a file's text: by its byte order mark or the encoding that it declares (PEP 263), lines ended by `\n`.

    Raises
    ------
    Unreadable
        It is not in the encoding that it declares.

    Examples
    --------
    >>> decode(b"# coding: latin-1\r\nname = '\xe9'")
    "# coding: latin-1\nname = 'é'"
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, ValueError, LookupError) as error:
        raise Unreadable(f"its encoding is not what it says: {error}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


_ESCAPE = re.compile(r"\\(?:([^\n\\'\"abfnrtvxuUN0-7])|.)", re.DOTALL)
_NUMBER_AND_WORD = re.compile(r"\b(\d+)(?=(?:and|else|for|if|in|is|not|or)\b)")


def parse(text: str) -> ast.Module:
    """Parse a text, and give no warning of what is written in it: that is said when it is run.

    Raises
    ------
    Unreadable
        It does not parse.
    """
    if "\\" in text:
        text = _ESCAPE.sub(lambda found: "\\" + found[0] if found[1] else found[0], text)
    try:
        return tree_of(_NUMBER_AND_WORD.sub(r"\1 ", text))
    except SyntaxError as error:
        raise Unreadable(f"{type(error).__name__}: {error.msg}", error.lineno or 1) from None
    except ValueError as error:  # null bytes, half characters
        raise Unreadable(str(error)) from None
    except (RecursionError, MemoryError):
        raise Unreadable("it is nested too deeply to be parsed") from None
