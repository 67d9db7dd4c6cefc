"""The log's records as people and other programs read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_llmroute.core.audit.chain import Broken, read
from jupyter_llmroute.core.audit.verify import lines, opened_log

FOR_REPLAYS = frozenset({"part"})
"""Kinds of records that tell people nothing."""


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a log, the oldest first; lines that are none are passed over, verifying tells of these.

    Raises
    ------
    AuditError
        It cannot be read.
    """
    with opened_log(path) as (files, _, _):
        for _, file in files:
            for line in lines(file):
                try:
                    body = read(line.content).body
                except Broken:
                    continue
                if body.get("kind") not in FOR_REPLAYS:
                    yield body


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
            return "; ".join(filter(None, (body["verdict"], who, _figures(body), body["failure"], body["error"])))
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
