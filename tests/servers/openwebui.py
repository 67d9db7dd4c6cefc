"""Open WebUI 0.12: a gateway, with a web page for every GET that it does not know.

Facts: `open_webui/main.py`, `open_webui/utils/auth.py`, `open_webui/routers/ollama.py`, and what a real one answered.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply, json_reply, sse, text_reply
from . import llamacpp, ollama
from .surface import KEY, WINDOW, Build, Chats, Surface, all_but, item, refused

MODEL, SERVED, CLOUD = "qwen3:8b", "qwen3-8b-q4_k_m.gguf", "gpt-5"
PAGE = text_reply('<!doctype html>\n<html lang="en"><title>Open WebUI</title>', content_type="text/html; charset=utf-8")
OPENAPI = {"openapi": "3.1.0", "info": {"title": "Open WebUI", "version": "0.1.0"}, "paths": {"/ollama/": {}}}


def of_ollama(tag: dict[str, object]) -> dict[str, object]:
    """Return an entry of a model of an Ollama behind it: what that says of it lies within."""
    name = str(tag["name"])
    about = {"name": name, "connection_type": "local", "loaded": False, "tags": [], "actions": []}
    return item(name, "ollama", **about, ollama={**tag, "connection_type": "local", "urls": [0]}) | {"created": 0}


def of_openai(name: str, **more: object) -> dict[str, object]:
    """Return an entry of any other model behind it: wherever it runs, its connection is external."""
    within = {"id": name, "object": "model", "connection_type": "external", **more}
    about = {"connection_type": "external", "name": name, "urlIdx": 0, "tags": [], "actions": []}
    return {**within, "owned_by": "openai", **about, "openai": within}


LISTED = json_reply(
    {
        "data": [
            of_ollama(ollama.OLD_TAGS[0]),
            of_ollama(ollama.as_older(ollama.TAGS[3])),
            of_openai(SERVED, owned_by="llamacpp", meta=llamacpp.META | {"n_ctx": WINDOW}),
            of_openai(CLOUD),
            item("arena-model", "arena", name="Arena Model", arena=True),
        ]
    }
)


def detail(status: int, text: str) -> Reply:
    return json_reply({"detail": text}, status)


def fallback(asked: Asked) -> Reply:
    return PAGE if asked.method == "GET" else detail(405, "Method Not Allowed")


def without_the_key(asked: Asked) -> Reply:
    if "authorization" in asked.headers:
        return detail(401, "Your session has expired or the token is invalid. Please sign in again.")
    return detail(401, "Not authenticated")


CHATS = Chats(
    models=(MODEL, SERVED, CLOUD),
    unnamed=detail(400, "Model not found"),
    unknown=lambda name: detail(400, "Model not found"),
    overflow=llamacpp.overflow,
    last=llamacpp.timings,
)
KEYLESS = Build(
    model=MODEL,
    script={
        "GET /health": json_reply({"status": True}),
        "GET /ready": json_reply({"status": True}),
        "GET /api/config": json_reply(
            {
                "status": True,
                "name": "Open WebUI",
                "version": "0.12.4",
                "default_locale": "",
                "oauth": {"providers": {}},
                "features": {"auth": True, "enable_signup": True, "enable_api_keys": True},
            }
        ),
        "GET /api/version": json_reply({"version": "0.12.4", "deployment_id": ""}),
        "GET /ollama/": json_reply({"status": True}),
        "GET /ollama/api/version": json_reply({"version": "0.24.1"}),
        "GET /ollama/api/tags": json_reply({"models": ollama.OLD_TAGS[:1]}),
        "GET /openapi.json": json_reply(OPENAPI),
        "GET /manifest.json": json_reply({"name": "Open WebUI", "short_name": "Open WebUI", "start_url": "/"}),
        "GET /health/db": json_reply({"status": True}),
        "GET /openai/models": LISTED,
        "POST /openai/chat/completions": CHATS,
        "GET /api/models": LISTED,
        "GET /api/v1/models": LISTED,
        "POST /api/chat/completions": CHATS,
        "POST /api/v1/chat/completions": CHATS,
    },
    otherwise=fallback,
    chat="POST /api/chat/completions",
    headers={"Server": "uvicorn", "X-Process-Time": "0"},
    faults={
        "overflow": llamacpp.overflow(9000),
        "unknown_model": detail(400, "Model not found"),
        "loading": refused(503, llamacpp.LOADING),
        "busy": refused(429, {"message": "slow down", "type": "rate_limit", "code": 429}),
        # The server behind it is down: its list stays.
        "upstream_died": detail(500, "Open WebUI: Server Connection Error"),
        "error_in_stream": replace(CHATS, done=False).breaks_with(
            {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}}
        ),
        "cut_upstream": CHATS.breaks_with({"error": {"message": "Chat completion stream failed"}}, "[DONE]"),
        "empty": sse(""),
    },
    refusal=without_the_key,
    is_open=all_but(
        "GET /api/models",
        "GET /api/v1/models",
        "GET /openai/models",
        "GET /ollama/api/version",
        "GET /ollama/api/tags",
        "POST /api/chat/completions",
        "POST /api/v1/chat/completions",
        "POST /openai/chat/completions",
    ),
)
ACCOUNTS = replace(KEYLESS, key=KEY)
SURFACE = Surface(name="openwebui", port=8080, builds={"accounts": ACCOUNTS, "keyless": KEYLESS})
"""As it is installed, nobody sees a model without an account."""
