"""A server's words and status, turned into our errors. One table for all dialects.

The shapes of the bodies are those that servers really send: `{"error": "text"}`, `{"error": {"message", "type",
"code"}}`, `{"object": "error", "message"}`, `{"detail": …}`, one of these within another, plain text, a web page,
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from jupyter_llmroute.core.endpoint import size
from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BadRequest,
    ContextOverflow,
    ModelLoading,
    ModelNotFound,
    OutOfMemory,
    PeerError,
    RefusedOption,
    ServerBusy,
    ServerFailure,
)
from jupyter_llmroute.core.own_key import without_key

SHOWN_CHARS = 300
"""How much of a server's own words goes into a message."""

READ_CHARS = 2000
"""How much of them is looked through: patterns take their time."""

FIELD_CHARS = 200
"""How much of each field beside them is."""

MOST_COMPLAINTS = 20
"""How many of FastAPI's complaints are."""

LONGEST_WAIT_S = 3600.0
"""What a server may ask for with `Retry-After`; more is taken as this."""

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, or turns the text around it: what a server says is shown as it reads."""

WEB_PAGE = re.compile(r"\s*<(!doctype html|html|head|body)\b", re.IGNORECASE)

BY_WORDS: tuple[tuple[re.Pattern[str], type[PeerError]], ...] = tuple(
    (re.compile(words, re.IGNORECASE), kind)
    for words, kind in (
        # llama.cpp and Ollama above it; vLLM, SGLang, llama-cpp-python; LM Studio; LiteLLM; text-generation-inference
        (r"exceeds? the available context size|context size has been exceeded|exceed_context_size"
         r"|maximum context length|longer than the (model's )?context length|context length is only"
         r"|exceed(s|ed)? (the |max(imum)? )*context (length|window)|context_length_exceeded|ContextWindowExceeded"
         r"|initial prompt is greater than the context length|when context the overflows|reached context length"
         r"|`inputs` (tokens )?.{0,40}must (be|have) <?=?", ContextOverflow),
        # Ollama and llama.cpp, from the runner below them: CUDA, Vulkan, Metal; LM Studio's guard
        (r"out ?of ?(device ?)?memory|cudaMalloc failed|failed to allocate|not enough memory"
         r"|requires more system memory|insufficient (system )?(resources|memory)", OutOfMemory),
        # not: "error loading model", which is how a load fails
        (r"(?<!error )(?<!error: )(?<!failed )(?<!while )\bloading model|model_loading|\bis (still )?loading",
         ModelLoading),
        # Jan has no model in memory: to it, none exists; llama-swap of 2025; LiteLLM
        (r"\bmodel\b.{0,200}? not found\b|\bmodel\b.{0,200}? does not exist|try pulling it first|not_found_error"
         r"|model_not_found|No running session found for model|No models are available"
         r"|could not find real modelID|invalid model name", ModelNotFound),
        (r"server (is )?busy|maximum pending requests|request queue is full", ServerBusy),
        # Ollama, of an embedding model: its builds before capabilities were listed offer those beside the others
        (r"does not support chat", ServerFailure),
        # Jan and text-generation-webui: the server is well, and not to be had by that name
        (r"invalid host header", ServerFailure),
    )
)  # fmt: skip
"""Where only words tell. Asked before the status, because several servers put any failure under 400 or 500."""

BY_STATUS: dict[int, type[PeerError]] = {
    400: BadRequest,
    422: BadRequest,
    401: AuthenticationNeeded,
    403: AuthenticationNeeded,
    404: ModelNotFound,
    429: ServerBusy,
    503: ServerBusy,
}
"""The rest is `ServerFailure`: a path that is missing (405) or a body too large (413) says nothing of other servers."""

OPTIONS = re.compile(r"\b(temperature|seed|max_(completion_|new_)?tokens|(n|num)_predict)\b", re.IGNORECASE)
"""The names that servers have for what `Sampling` holds. A `BadRequest` that names one is the user's to mend; any other
may be about our own prompt, such as "System role not supported", and another server may take that."""

PROMPT_TOKENS = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        r"\((\d+) tokens\)[^()]*\(\d+ tokens\)",  # llama.cpp, Ollama that passes its words on, and SGLang
        r"\((\d+) in the messages",  # older vLLM, llama-cpp-python: before the sum, which holds the answer too
        r"(\d+) tokens from the input messages",  # SGLang
        r"(\d+) input tokens",  # vLLM
        r"requested tokens \((\d+)\)",  # llama-cpp-python
        r"keep the first (\d+) tokens",  # LM Studio
        r"resulted in (\d+) tokens",  # vLLM
        r"requested (\d+) tokens",
        r"given: (\d+) `inputs`",  # text-generation-inference
    )
)
"""Where servers write the number of a prompt's tokens; the first that is found counts."""

CONTEXT_WINDOW = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        r"\(\d+ tokens\)[^()]*\((\d+) tokens\)",  # llama.cpp, Ollama, SGLang
        r"context (?:length|window|size) (?:is |of )?(?:only )?(\d+)",  # vLLM, SGLang, llama-cpp-python, LM Studio
        r"must be <= (\d+)",  # text-generation-inference
    )
)
"""Where they write the number of tokens that they serve."""

REMEDIES: dict[type[PeerError], str] = {
    AuthenticationNeeded: "set its endpoint and api_key in the settings, or mend the key",
    ModelLoading: "ask again in a moment",
    ModelNotFound: "see %llm_services for what it serves",
    ServerBusy: "ask again in a moment",
    ContextOverflow: "send less, or serve the model with a larger window",
    OutOfMemory: "choose a smaller model, or a smaller window",
    BadRequest: "choose another model, or send less along",
    RefusedOption: "mend the option that it names",
}
"""What the user can do about each."""


def failure(
    who: str, status: int, body: bytes | str, headers: Mapping[str, str] | None = None, *, key: str | None = None
) -> PeerError:
    """Return the error that a server's answer stands for.

    Parameters
    ----------
    who
        The server and model, for the message.
    status
        The HTTP status; 200 for an error item within a stream.
    body
        What came with it.
    headers
        Those of the answer: a busy server may say in them when to come back.
    key
        The server's own: it is not shown where the server quotes it.
    """
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    said, details = _read(text)
    kind = _kind(status, details.get("code"), " ".join((said, *(_field(details, name) for name in ("type", "code")))))
    retry_after_s = _retry_after(headers or {}) if kind is ServerBusy else None
    remedy = f"ask again in {retry_after_s:g} s" if retry_after_s else REMEDIES.get(kind)
    # Before it is cut, and again where control characters stood within.
    hidden = without_key(text, key)
    told = said if hidden == text else _read(hidden)[0]
    shown = without_key(told, key)[:SHOWN_CHARS].rstrip(" .") or "no reason given"
    message = f"{who}: {shown} (HTTP {status})" + (f"; {remedy}." if remedy else ".")
    if kind is ServerBusy:
        return ServerBusy(message, retry_after_s=retry_after_s)
    if kind is ContextOverflow:
        return ContextOverflow(
            message,
            prompt_tokens=size(details.get("n_prompt_tokens")) or _number(PROMPT_TOKENS, said),
            context_window=size(details.get("n_ctx")) or _number(CONTEXT_WINDOW, said),
        )
    return kind(message)


def _kind(status: int, code: Any, said: str) -> type[PeerError]:
    for words, kind in BY_WORDS:
        if words.search(said):
            return kind
    # Within a stream, the status is that of its beginning.
    kind = BY_STATUS.get(code if status == 200 and isinstance(code, int) else status, ServerFailure)
    return RefusedOption if kind is BadRequest and OPTIONS.search(said) else kind


def _read(text: str) -> tuple[str, dict[str, Any]]:
    """Return what a body says, in words that can be shown, and the fields beside it."""
    if WEB_PAGE.match(text[:READ_CHARS]):
        return "a web page", {}
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return _shown(text), {}
    details: dict[str, Any] = {}
    while isinstance(body, dict):  # a gateway passes on what the server behind it said
        details |= body
        inner = [body[key] for key in ("error", "detail") if body.get(key) and isinstance(body[key], str | dict | list)]
        if not inner:
            body = body.get("message") or body.get("msg") or str(body)
            break
        body = inner[0]
    said = _shown("; ".join(map(_complaint, body[:MOST_COMPLAINTS])) if isinstance(body, list) else str(body))
    named = _field(details, "param")
    if named and named not in said:
        said = f"{said.rstrip('.')} ({named})"
    return said, details


def _shown(text: str) -> str:
    """Return as much of a text as is read, in one line."""
    return UNSEEN.sub("", " ".join(text[:READ_CHARS].split()))


def _field(details: dict[str, Any], name: str) -> str:
    """Return as much of a field as is read; empty for what is neither a word nor a number."""
    told = details.get(name)
    return _shown(str(told)[:FIELD_CHARS]) if isinstance(told, str | int) and not isinstance(told, bool) else ""


def _complaint(item: Any) -> str:
    """Put one of FastAPI's complaints into words, without the input: that is the user's own text."""
    if not isinstance(item, dict) or "msg" not in item:
        return str(item)
    where = item.get("loc")
    return f"{'.'.join(map(str, where))}: {item['msg']}" if isinstance(where, list) else str(item["msg"])


def _number(patterns: tuple[re.Pattern[str], ...], said: str) -> int | None:
    found = next((match for pattern in patterns if (match := pattern.search(said))), None)
    return size(int(found[1])) if found else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110, 10.2.3: a number of them, or a date); `None` where it is neither.

    A date is compared with the server's own, where it tells one.
    """
    told = {name.lower(): value for name, value in headers.items()}
    wanted = told.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", wanted, re.ASCII):
        return min(float(wanted), LONGEST_WAIT_S)
    if (until := _date(wanted)) is None:
        return None
    wait = until - (_date(told.get("date", "")) or datetime.now(UTC))
    return min(max(wait.total_seconds(), 0.0), LONGEST_WAIT_S)


def _date(told: str) -> datetime | None:
    try:
        return parsedate_to_datetime(told).replace(tzinfo=UTC)  # HTTP's dates are in GMT
    except (ValueError, TypeError, OverflowError):
        return None
