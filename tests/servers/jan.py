"""Jan: the proxy of 2025 with its own plain-text errors, a newer one with remote models, and one where nothing runs.

Facts: `src-tauri/src/core/server/proxy.rs`; the newer one is known from its issues alone. A child of llama.cpp's
answers, so streams and overflow are its.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply, json_reply, text_reply
from . import llamacpp
from .surface import Build, Chats, Surface, item, model_list, only

MODEL, OTHER, REMOTE = "qwen3-8b-instruct", "gemma-3-4b", "anthropic/claude-sonnet-5"
DOCS = '<!DOCTYPE html>\n<html lang="en">\n<head>\n<title>API Docs</title>\n</head></html>'
OPENAPI = {
    "openapi": "3.1.0",
    "info": {
        "title": "👋Jan API",
        "description": "OpenAI-compatible API for local inference with Jan.",
        "version": "0.6",
    },
    "paths": {"/v1/models": {}, "/v1/chat/completions": {}},
}
CORS = {"Access-Control-Allow-Origin": "*", "Vary": "Origin"}


def plain(text: str, status: int) -> Reply:
    return text_reply(text, status)


def unauthorised(asked: Asked) -> Reply:
    has_one = "authorization" in asked.headers
    return plain("Invalid or missing authorization token" if has_one else "Missing authorization header", 401)


def unknown(name: str) -> Reply:
    return plain(f"No running session found for model '{name}'", 404)


CHATS = Chats(models=(MODEL, OTHER), unknown=unknown, overflow=llamacpp.overflow, last=llamacpp.timings)
OLDER = Build(
    model=MODEL,
    script={
        "GET /": text_reply(DOCS, content_type="text/html"),
        "GET /openapi.json": json_reply(OPENAPI),
        # Those that run, and no others.
        "GET /v1/models": model_list(*(item(name, "user") | {"created": 1} for name in (MODEL, OTHER))),
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=plain("Not Found", 404),
    headers=CORS,
    faults={
        "overflow": llamacpp.overflow(9000),
        "unknown_model": unknown("nope"),
        "none_runs": plain("No models are available", 503),
        "no_model_named": plain("Request body must contain a 'model' field", 400),
        "child_died": plain("Proxy request to model failed: error sending request", 502),
        "error_in_stream": replace(CHATS, done=False).breaks_with(
            {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}
        ),
        "foreign_host": {"*": plain("Invalid host header", 403)},
    },
    refusal=unauthorised,
    is_open=only("GET /", "GET /openapi.json", "GET /favicon.ico"),
)
NEWER = replace(
    OLDER,
    script={
        **OLDER.script,
        "GET /v1/models": model_list(item(MODEL, "llama.cpp"), item(OTHER, "mlx"), item(REMOTE, "remote")),
        "POST /v1/chat/completions": replace(CHATS, models=(MODEL, OTHER, REMOTE)),
    },
)
EMPTY = replace(OLDER, script={**OLDER.script, "GET /v1/models": model_list()})
SURFACE = Surface(
    name="jan", port=1337, builds={"older": OLDER, "newer": NEWER, "empty": EMPTY}, never=("GET /v1/models/start*",)
)
