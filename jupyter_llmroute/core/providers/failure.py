"""A server's words and status, turned into our errors. One table for all dialects.

The shapes of the bodies are those that servers really send: `{"error": "text"}`, `{"error": {"message", "type",
"code"}}`, `{"object": "error", "message"}`, `{"detail": …}`, plain text, nothing.
"""

from __future__ import annotations

import json
import re
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

SHOWN_CHARS = 300
"""How much of a server's own words goes into a message."""

BY_WORDS: tuple[tuple[re.Pattern[str], type[PeerError]], ...] = tuple(
    (re.compile(words, re.IGNORECASE), kind)
    for words, kind in (
        # llama.cpp, llama-cpp-python, vLLM, Ollama, SGLang, LM Studio
        (r"exceeds? the available context size|maximum context length|longer than the (model's )?context length"
         r"|context length is only|context_length_exceeded|initial prompt is greater than the context length"
         r"|context size has been exceeded", ContextOverflow),
        # Ollama and llama.cpp, from the runner below them
        (r"out of memory|cudaMalloc failed|failed to allocate|not enough memory|requires more system memory",
         OutOfMemory),
        (r"loading model|model_loading|is loading", ModelLoading),
        (r"model '?\"?[^'\"]*'?\"? (was )?not found|model .* does not exist|try pulling it first|not_found_error"
         r"|No running session found for model", ModelNotFound),
        (r"server busy|maximum pending requests|server is busy", ServerBusy),
        # Ollama, of an embedding model: its builds before capabilities were listed offer those beside the others
        (r"does not support chat", ServerFailure),
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

COUNTS = re.compile(r"\((\d+) tokens\)[^()]*\((\d+) tokens\)")
"""Prompt and window in the words of llama.cpp, of Ollama that passes them on, and of SGLang."""

REMEDIES: dict[type[PeerError], str] = {
    AuthenticationNeeded: "set its endpoint and api_key in the settings",
    ModelLoading: "ask again in a moment",
    ModelNotFound: "see %llm_services for what it serves",
    ServerBusy: "ask again in a moment",
    ContextOverflow: "send less, or serve the model with a larger window",
    OutOfMemory: "choose a smaller model, or a smaller window",
    BadRequest: "choose another model, or send less along",
    RefusedOption: "mend the option that it names",
}
"""What the user can do about each."""


def failure(who: str, status: int, body: bytes | str) -> PeerError:
    """Return the error that a server's answer stands for.

    Parameters
    ----------
    who
        The server and model, for the message.
    status
        The HTTP status; 200 for an error item within a stream.
    body
        What came with it.
    """
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    said, details = _read(text)
    kind = _kind(status, " ".join((said, *(str(details.get(key, "")) for key in ("type", "code", "param")))))
    said = said[:SHOWN_CHARS].rstrip(" .") or "no reason given"
    message = f"{who}: {said} (HTTP {status})" + (f"; {REMEDIES[kind]}." if kind in REMEDIES else ".")
    if kind is ContextOverflow:
        counts = COUNTS.search(said)
        prompt_tokens, context_window = map(int, counts.groups()) if counts else (None, None)
        return ContextOverflow(
            message,
            prompt_tokens=size(details.get("n_prompt_tokens")) or prompt_tokens,
            context_window=size(details.get("n_ctx")) or context_window,
        )
    return kind(message)


def _kind(status: int, said: str) -> type[PeerError]:
    for words, kind in BY_WORDS:
        if words.search(said):
            return kind
    kind = BY_STATUS.get(status, ServerFailure)
    return RefusedOption if kind is BadRequest and OPTIONS.search(said) else kind


def _read(text: str) -> tuple[str, dict[str, Any]]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return " ".join(text.split()), {}
    details = body
    for key in ("error", "detail"):
        if isinstance(body, dict) and body.get(key):
            details = body[key]
    if isinstance(details, dict):
        return str(details.get("message") or details.get("msg") or details), details
    return str(details), {}
