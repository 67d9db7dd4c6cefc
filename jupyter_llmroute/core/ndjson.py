"""Newline-delimited JSON: bytes in, lines out, no I/O."""

from __future__ import annotations

MAX_LINE_BYTES = 16 << 20
"""No honest line is larger than 16 MiB; a server that sends one is cut off. What is held is as large as the line, in
however small pieces it comes."""


class LineTooLong(ValueError):
    """The server sent a line of more than `MAX_LINE_BYTES` bytes."""


class LineDecoder:
    """Takes the stream in pieces of any size; what comes out does not depend on where it was cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the non-empty lines that they complete.

        Raises
        ------
        LineTooLong
            The memory for one line is bounded.
        """
        *lines, rest = data.split(b"\n")  # only LF: JSON may hold the other line ends of Unicode in its strings
        complete: list[bytes] = []
        for line in lines:
            self._hold(line)
            complete += self.close()
        self._hold(rest)
        return complete

    def close(self) -> list[bytes]:
        """End the stream; return the line that was left open, if there is one."""
        line, self._rest = bytes(self._rest), bytearray()
        return [line] if line.strip() else []

    def _hold(self, piece: bytes) -> None:
        if len(self._rest) + len(piece) > MAX_LINE_BYTES:
            raise LineTooLong(f"one line has more than {MAX_LINE_BYTES} bytes")
        self._rest += piece
