"""A text, parted into what a person wrote and what they pasted: code, tracebacks, logs, diffs, quotations."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from jupyter_llmroute.core.cues import cues

HEAD, TAIL = 1600, 800
"""Characters that are read at each end of a longer text: a request stands before or after what it pastes."""

LINES = 40
"""Lines that are read, half of them at each end."""


class Reading(NamedTuple):
    """A text, parted."""

    prose: tuple[str, ...]
    """Lines that a person wrote to be read."""
    pasted: Mapping[str, int]
    """How many lines of code, traceback, log, diff and quotation there are."""


_FENCE = re.compile(r"\s*(?:```|~~~)")
_INLINE_CODE = re.compile(r"(?:\s|^)(?:def \w+\(|class \w+[:(]|for \w+ in .{1,60}:$|data ?= ?'''|\w+ = \[)")
_SYMBOLS = re.compile(r"[(){}\[\]=<>;|&_\\\"']")
_INDENT = ("    ", "\t", "\xa0\xa0")


def read(text: str) -> Reading:
    """Part a text, or its two ends, into prose and pasted lines."""
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n{text[-TAIL:]}"
    text = unicodedata.normalize("NFC", text)
    prose: list[str] = []
    pasted: dict[str, int] = {}
    fenced, before = False, ""
    lines = text.splitlines()
    if len(lines) > LINES:
        lines = lines[: LINES // 2] + lines[-LINES // 2 :]
    for line in filter(str.strip, lines):
        if _FENCE.match(line):
            fenced, before = not fenced, "fence"
            continue
        before = _kind(line, fenced=fenced, after=before)
        if not before and (inline := _INLINE_CODE.search(line)):
            before, line = "code", line[: inline.start()]
            prose.append(line)
        elif not before:
            prose.append(line)
        if before:
            pasted[before] = pasted.get(before, 0) + 1
    return Reading(tuple(filter(str.strip, prose)), pasted)


def _kind(line: str, *, fenced: bool, after: str) -> str:
    """Name what a line is a piece of; empty for prose."""
    if found := cues().pasted.match(line):
        return found.lastgroup or ""
    if after == "diff" and line[0] in "+- ":
        return "diff"
    if fenced or (after in ("code", "traceback") and line.startswith(_INDENT)):
        return "code"
    head = line[:300]
    return "code" if len(_SYMBOLS.findall(head)) > 0.14 * len(head) + 1 else ""
