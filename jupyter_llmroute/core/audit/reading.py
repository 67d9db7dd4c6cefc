"""The log's records as people and other programs read them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from jupyter_llmroute.core.audit.chain import Broken, read
from jupyter_llmroute.core.audit.verify import lines, opened_log

MOST_TAIL_BYTES = 32 << 20
"""What is read for the newest records; what decisions rest on stands between them."""

BLOCK_BYTES = 256 << 10

FOR_REPLAYS = frozenset({"part"})
"""Kinds of records that tell people nothing."""


Damaged = Callable[[], object]
"""Called for each line that is no record any more; verifying tells what is wrong with it."""


def records(path: Path, damaged: Damaged = bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a log, the oldest first; lines that are none are passed over.

    Parameters
    ----------
    path
        Of the file that is being written; the older ones are found beside it.
    damaged
        Called for each of these lines.

    Raises
    ------
    AuditError
        It cannot be read.
    """
    with opened_log(path) as (files, _, _):
        for bodies in bodies_by_file(files, damaged):
            yield from (body for body in bodies if body.get("kind") not in FOR_REPLAYS)


def bodies_by_file(
    files: Sequence[tuple[str, BinaryIO]], damaged: Damaged = bool
) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield what each file of a log holds, the oldest first."""
    for place, (_, file) in enumerate(files, start=1):
        yield _bodies(file, place == len(files), damaged)


def _bodies(file: BinaryIO, is_newest: bool, damaged: Damaged) -> Iterator[dict[str, Any]]:
    for line in lines(file):
        try:
            yield read(line.content).body
        except Broken:
            if line.is_whole or not is_newest:  # half a line at the end is one that nobody was told was written
                damaged()


def newest(path: Path, wanted: int, *, most_bytes: int = MOST_TAIL_BYTES) -> list[dict[str, Any]]:
    """Return the newest records, the oldest of them first; the log is read from its end, and no further than needed.

    Parameters
    ----------
    path
        Of the file that is being written.
    wanted
        How many.
    most_bytes
        What is read at most; where so many records do not lie in it, there are fewer.

    Raises
    ------
    AuditError
        It cannot be read.
    """
    found: list[dict[str, Any]] = []
    with opened_log(path) as (files, _, _):
        for _, file in reversed(files):
            for line in _backwards(file, most_bytes) if len(found) < wanted else ():
                with contextlib.suppress(Broken):
                    body = read(line).body
                    found += [body] if body.get("kind") not in FOR_REPLAYS else []
                if len(found) >= wanted:
                    break
            most_bytes = max(0, most_bytes - file.seek(0, os.SEEK_END))
    return found[::-1]


def _backwards(file: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first; one that has no end is none."""
    at, rest, ends = file.seek(0, os.SEEK_END), b"", False
    while at and most_bytes:
        size = min(BLOCK_BYTES, at, most_bytes)
        at, most_bytes = at - size, most_bytes - size
        file.seek(at)
        rest, *lines = (file.read(size) + rest).split(b"\n")
        if lines and not ends:
            lines.pop()
            ends = True
        yield from (line + b"\n" for line in reversed(lines))
    if ends and not at:
        yield rest + b"\n"


def without_text(value: Any) -> Any:
    """Return a record without the words of questions, answers and edits, whose hashes stay."""
    if isinstance(value, list):
        return [without_text(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {key: without_text(each) for key, each in value.items() if not (key == "text" and "hmac" in value)}


def told(body: Mapping[str, Any]) -> str:
    """Return what a record says, in a line; its words are those of servers and users, and not inert."""
    try:
        return _told(body)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return "a record of another form"


def _told(body: Mapping[str, Any]) -> str:
    who = _who(body.get("who") or body)
    match body.get("kind"):
        case "decided":
            first = _who(body["chosen"][0]["who"]) if body["chosen"] else "nobody"
            left_out = len(body["rejected"]) + body["rejected_more"]
            return f"{body['task']}: {first} first of {len(body['chosen'])}, {left_out} left out"
        case "started":
            exact = "" if body["prompt_tokens_exact"] else "about "
            return f"attempt {body['attempt']} ({body['level']}): {who}, {exact}{body['prompt_tokens']} tokens"
        case "failed":
            return f"attempt {body['attempt']}: {who}: {body['failure']}: {body['error']}"
        case "refused":
            return " ".join(filter(None, (who, body["detail"])))
        case "ended":
            return "; ".join(
                filter(None, (body.get("level"), body["verdict"], who, _figures(body), body["failure"], body["error"]))
            )
        case "edited":
            return f"{body['action']}: {body['target']}"
        case "security":
            return ": ".join(filter(None, (body["event"], body["detail"])))
        case "repaired":
            return f"{body['what']}: {body['detail']}"
        case "lost":
            return f"{body['records']} records before this one could not be written"
        case "retired":
            return f"{body['file']}, up to record {body['count']}, was removed as the settings say"
        case "opened":
            return f"a file of the log begins{', after ' + body['after'] if body['after'] else ''}"
    return ""


def _who(body: Mapping[str, Any]) -> str:
    model, service = body.get("model"), body.get("service")
    return f"{model} on {service}" if model and service else service or ""


def _figures(body: Mapping[str, Any]) -> str:
    tokens, elapsed_s = body.get("completion_tokens"), body.get("elapsed_s")
    figures = (f"{tokens} tokens" if tokens else "", f"{elapsed_s:.1f} s" if elapsed_s is not None else "")
    return " in ".join(filter(None, figures))
