"""Server-sent events: bytes in, events out, no I/O.

Follows the WHATWG HTML standard, section 9.2.6 ("Interpreting an event stream"), with one deviation: an event
whose closing blank line is missing at the end of the stream is still given by `close`, because servers that cut
their stream short put their error into it.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

MAX_EVENT_CHARS = 16 << 20
"""No honest event is larger than 16 Mi characters; a server that sends one is cut off."""


class ServerSentEvent(NamedTuple):
    """One event of the stream."""

    data: str
    event: str = "message"


class EventTooLong(ValueError):
    """The server sent an event, or a line, of more than `MAX_EVENT_CHARS` characters."""


class SSEDecoder:
    """Takes the stream in pieces of any size; what comes out does not depend on where it was cut."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: list[str] = []
        self._line_chars = 0
        self._after_cr = False
        self._at_start = True
        self._data: list[str] = []
        self._data_chars = 0
        self._event = ""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes; return the events that they complete.

        Raises
        ------
        EventTooLong
            The memory for one event is bounded.
        """
        return self._take(self._text.decode(data))

    def close(self) -> list[ServerSentEvent]:
        """End the stream; return the event that was left open, if it holds data."""
        events = self._take(self._text.decode(b"", final=True))
        if self._line:
            self._end_line(events)
        self._end_event(events)
        return events

    def _take(self, text: str) -> list[ServerSentEvent]:
        if text and self._at_start:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if text and self._after_cr:
            self._after_cr = False
            text = text.removeprefix("\n")
        events: list[ServerSentEvent] = []
        # Lines end with CR, LF or CRLF, and with nothing else: str.splitlines knows too many.
        self._after_cr = self._after_cr or text.endswith("\r")
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines:
            self._hold(line)
            self._end_line(events)
        self._hold(rest)
        return events

    def _hold(self, piece: str) -> None:
        if piece:
            self._line.append(piece)
            self._line_chars += len(piece)
            if self._line_chars + self._data_chars > MAX_EVENT_CHARS:
                raise EventTooLong(f"one event has more than {MAX_EVENT_CHARS} characters")

    def _end_line(self, events: list[ServerSentEvent]) -> None:
        line = "".join(self._line)
        self._line.clear()
        self._line_chars = 0
        if not line:
            self._end_event(events)
            return
        field, _, value = line.partition(":")  # a comment line has an empty field, which is none of ours
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._data_chars += len(value) + 1
        elif field == "event":
            self._event = value

    def _end_event(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            events.append(ServerSentEvent("\n".join(self._data), self._event or "message"))
        self._data.clear()
        self._data_chars = 0
        self._event = ""
