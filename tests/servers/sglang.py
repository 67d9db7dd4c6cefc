"""SGLang 0.5: it greets like Ollama, in quotes; being asked for its health, it makes its model speak.

Facts: `sglang/srt/entrypoints/http_server.py`, `sglang/srt/entrypoints/openai/protocol.py`.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply, json_reply
from .surface import WINDOW, Build, Chats, Surface, item, model_list, only, tokens, words
from .vllm import FASTAPI, NOT_FOUND, flat

MODEL = "Qwen/Qwen3-8B"


def overflow(counted: int, wanted: int = 0, window: int = WINDOW) -> Reply:
    message = f"The input ({counted} tokens) is longer than the model's context length ({window} tokens)."
    return flat(400, "BadRequestError", message)


def count(asked: Asked) -> Reply:
    """Count a text; it knows no chats here."""
    counted = words(asked.json["prompt"])
    return json_reply({"tokens": tokens(counted), "count": counted, "max_model_len": WINDOW})


CHATS = Chats(models=(MODEL,), overflow=overflow)
TAGGED = {"name": MODEL, "model": MODEL, "modified_at": "2026-05-01T10:00:00Z", "size": 0, "digest": ""}
NEWER = Build(
    model=MODEL,
    script={
        "GET /": json_reply("Ollama is running"),
        "GET /health": Reply(()),
        "GET /health_generate": Reply(()),
        "GET /model_info": json_reply({"model_path": MODEL, "tokenizer_path": MODEL, "is_generation": True}),
        "GET /get_model_info": json_reply({"model_path": MODEL, "tokenizer_path": MODEL, "is_generation": True}),
        "GET /server_info": json_reply({"version": "0.5.9", "model_path": MODEL, "context_length": None}),
        "GET /v1/models": model_list(item(MODEL, "sglang", root=MODEL, parent=None, max_model_len=WINDOW)),
        "GET /api/tags": json_reply({"models": [{**TAGGED, "details": {"format": "sglang", "family": "qwen3"}}]}),
        "GET /openapi.json": FASTAPI,
        "POST /v1/tokenize": count,
        "POST /tokenize": count,
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=NOT_FOUND,
    headers={"Server": "uvicorn"},
    faults={
        "overflow": overflow(9000),
        "loading": {"*": Reply((), 503, "text/plain")},
        "error_in_stream": CHATS.breaks_with(
            {"error": {"object": "error", "message": "boom", "type": "InternalServerError", "code": 500}}, "[DONE]"
        ),
    },
    refusal=json_reply({"error": "Unauthorized"}, 401),
    is_open=only("GET /health", "GET /health_generate"),
)
SURFACE = Surface(
    name="sglang",
    port=30000,
    builds={
        "newer": NEWER,
        "raw": replace(NEWER, script={**NEWER.script, NEWER.chat: replace(CHATS, reasoning="<think>")}),
    },
    never=("GET /health", "GET /health_generate", "GET /flush_cache", "POST /flush_cache"),
)
"""`raw` has no reasoning parser."""
