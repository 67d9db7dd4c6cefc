"""mlx-lm's server: it lists what is in the cache, and loads or downloads whatever it is asked for.

Facts: `mlx_lm/server.py`.
"""

from __future__ import annotations

from ..scripted import Reply, json_reply, text_reply
from .surface import Build, Chats, Surface, item, model_list

MODEL, OTHER = "mlx-community/Qwen3-8B-4bit", "mlx-community/gemma-3-4b-it-4bit"


def error(text: str, status: int) -> Reply:
    return json_reply({"error": text}, status)


def unknown(name: str) -> Reply:
    return error(f"404 Client Error. Repository Not Found for {name}.", 404)


CHATS = Chats(
    models=(MODEL, OTHER),
    window=None,
    reasoning="reasoning",
    unknown=unknown,
    before=(": keepalive 0/9\n\n", ": keepalive 9/9\n\n"),
    chunk={"system_fingerprint": "0.32.0-macOS-15.6-arm64-applegpu_g15s"},
)
SURFACE = Surface(
    name="mlx_lm",
    port=8080,
    builds={
        "usual": Build(
            model=MODEL,
            script={
                "GET /health": json_reply({"status": "ok"}),
                "GET /v1/models": model_list(item(MODEL), item(OTHER)),
                "POST /v1/chat/completions": CHATS,
            },
            otherwise=text_reply("Not Found", 404, "application/json"),
            headers={"Server": "BaseHTTP/0.6 Python/3.12.4", "Access-Control-Allow-Origin": "*"},
            faults={
                "unknown_model": unknown("nope"),
                "out_of_memory": error("[METAL] Command buffer execution failed: Insufficient Memory", 503),
                "no_length": error("Content-Length header is required", 411),
            },
        )
    },
)
