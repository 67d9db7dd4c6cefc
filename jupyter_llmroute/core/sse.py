"""Server-sent events: bytes in, events out, no I/O.

Follows the WHATWG HTML standard, section 9.2.6 ("Interpreting an event stream"), with one deviation: an event
whose closing blank line is missing at the end of the stream is still given by `close`, because servers that cut
their stream short put their error into it.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT_BYTES = 16 << 20
"""No honest event is larger than 16 MiB; a server that sends one is cut off. What is held is as large as the event, in
however small pieces it comes."""

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event of the stream."""

    data: str
    event: str = "message"


class EventTooLong(ValueError):
    """The server sent an event, or a line, of more than `MAX_EVENT_BYTES` bytes."""


class SSEDecoder:
    """Takes the stream in pieces of any size; what comes out does not depend on where it was cut."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_cr = False
        self._at_start = True
        self._data = bytearray()
        """The lines of data so far, each with a line end."""
        self._event = ""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes; return the events that they complete.

        Raises
        ------
        EventTooLong
            The memory for one event is bounded.
        """
        if data and self._after_cr:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        events: list[ServerSentEvent] = []
        # Lines end with CR, LF or CRLF, and with nothing else. In UTF-8 no other character holds these bytes.
        self._after_cr = self._after_cr or data.endswith(b"\r")
        *lines, rest = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._hold(line)
            self._end_line(events)
        self._hold(rest)
        return events

    def close(self) -> list[ServerSentEvent]:
        """End the stream; return the event that was left open, if it holds data."""
        events: list[ServerSentEvent] = []
        if self._line:
            self._end_line(events)
        self._end_event(events)
        return events

    def _hold(self, piece: bytes) -> None:
        if len(self._line) + len(self._data) + len(piece) > MAX_EVENT_BYTES:
            raise EventTooLong(f"one event has more than {MAX_EVENT_BYTES} bytes")
        self._line += piece

    def _end_line(self, events: list[ServerSentEvent]) -> None:
        line, self._line = bytes(self._line), bytearray()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            self._end_event(events)
            return
        field, _, value = line.partition(b":")  # a comment line has an empty field, which is none of ours
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data += value + b"\n"
        elif field == b"event":
            self._event = value.decode("utf-8", "replace")

    def _end_event(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            text = self._data[:-1].decode("utf-8", "replace")
            events.append(ServerSentEvent(text, self._event or "message"))
        self._data = bytearray()
        self._event = ""
