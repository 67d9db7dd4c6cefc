"""llama-swap: a proxy that starts a server for each model; one GET stops them all.

Facts: `llama-swap.go`, `internal/server/server.go`, `internal/server/apigroup.go`. Its servers are llama.cpp's.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Reply, json_reply, text_reply
from . import llamacpp
from .surface import WINDOW, Build, Chats, Surface, item, model_list, only, refused

MODEL, OTHER, PEER = "qwen3-8b", "gpt-oss-20b", "kimi-k2"


def refusal(status: int, text: str) -> Reply:
    return json_reply({"src": "llama-swap", "error": text}, status)


def unknown(name: str) -> Reply:
    return refusal(404, f"no router for requested model: {name}")


CHATS = Chats(models=(MODEL, OTHER, PEER), unknown=unknown, overflow=llamacpp.overflow, last=llamacpp.timings)


def listed(name: str, state: str, /, **more: object) -> dict[str, object]:
    return item(name, "llama-swap", status={"value": state}, **more)


SURFACE = Surface(
    name="llama_swap",
    port=8080,
    builds={
        "usual": Build(
            model=MODEL,
            script={
                "GET /": Reply((), 302, "text/html", {"Location": "/ui/"}),
                "GET /health": text_reply("OK"),
                "GET /api/version": json_reply({"version": "v240", "commit": "0bdb372", "build_date": "2026-08-22"}),
                "GET /running": json_reply(
                    {"running": [{"model": MODEL, "state": "ready", "proxy": "http://127.0.0.1:5800", "ttl": 0}]}
                ),
                "GET /v1/models": model_list(
                    listed(MODEL, "loaded", context_length=WINDOW, name="Qwen3 8B"),
                    listed(OTHER, "unloaded"),
                    listed(PEER, "unloaded", meta={"llamaswap": {"type": "peer"}}, peerID="cloud"),
                ),
                "GET /unload": text_reply("OK"),
                "GET /upstream": Reply((), 302, "text/html", {"Location": "/ui/models"}),
                "GET /upstream/*": json_reply({"status": "ok"}),
                "POST /v1/chat/completions": CHATS,
            },
            otherwise=text_reply("404 page not found\n", 404),
            faults={
                "overflow": llamacpp.overflow(9000),
                "unknown_model": unknown("nope"),
                "busy": text_reply("Too many requests\n", 429),
                "upstream_died": refusal(502, "unable to start process: upstream command exited prematurely"),
                "error_in_stream": replace(CHATS, done=False).breaks_with(
                    {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}
                ),
            },
            refusal=refused(401, "unauthorized: invalid or missing API key"),
            is_open=only("GET /", "GET /health", "GET /metrics"),
        )
    },
    never=("GET /unload", "GET /upstream*", "POST /api/models/unload*"),
)
