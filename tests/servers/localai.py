"""LocalAI: it greets as itself, or as Ollama where it is told to.

Facts: `core/http/app.go`, `core/http/routes/localai.go`, `core/http/routes/ollama.go`,
`core/http/endpoints/ollama/models.go`, `core/http/endpoints/openai`.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply, html, json_reply, text_reply
from .surface import Build, Chats, Surface, item, model_list, only, refused, tokens, words

MODEL, EMBEDDING, PICTURES = "qwen3-8b", "nomic-embed-text-v1.5", "stablediffusion"
NAMES = (MODEL, EMBEDDING, PICTURES, "whisper-1")
NOT_FOUND = refused(404, {"code": 404, "message": "Resource not found", "type": ""})


def unknown(name: str) -> Reply:
    message = f'model "{name}" not found. To see available models, call GET /v1/models'
    return refused(404, {"code": 404, "type": "invalid_request_error", "message": message})


def overflow(counted: int, wanted: int = 0, window: int = 0) -> Reply:
    message = f"rpc error: code = Internal desc = request ({counted} tokens) exceeds the available context size"
    return refused(500, {"code": 500, "message": f"{message} ({window} tokens), try increasing it", "type": ""})


def imitated(name: str) -> dict[str, object]:
    return {
        "name": f"{name}:latest",
        "model": f"{name}:latest",
        "modified_at": "2026-05-01T10:00:00Z",
        "digest": f"sha256:{'ab' * 32}",
        "details": {"format": "gguf", "family": "llama-cpp", "parameter_size": "8B", "quantization_level": "Q4_K_M"},
        "capabilities": ["embedding"] if name == EMBEDDING else ["completion"],
    }


def capable(name: str) -> dict[str, object]:
    """Return what it says of a model where it is asked what it can."""
    can = {MODEL: "chat", EMBEDDING: "embeddings", PICTURES: "image"}.get(name, "transcript")
    return item(name) | {"capabilities": [can], "input_modalities": ["text"], "output_modalities": ["text"]}


def listed(name: str) -> dict[str, str]:
    return {"id": name, "object": "model"}


def count(asked: Asked) -> Reply:
    return json_reply({"tokens": tokens(words(asked.json["content"]))})


CHATS = Chats(models=NAMES, reasoning="reasoning", unknown=unknown, overflow=overflow)
LOADING = json_reply(
    {
        "error": {"code": "model_loading", "type": "server_error", "message": f"model {MODEL} is loading"},
        "loading": {"model": MODEL, "elapsed_seconds": 12},
    },
    503,
    **{"Retry-After": "5"},
)
PLAIN = Build(
    model=MODEL,
    script={
        "GET /": Reply((), 301, "text/html", {"Location": "/app"}),
        "GET /app": html(),
        "GET /healthz": Reply((), content_type="text/plain"),
        "GET /readyz": Reply((), content_type="text/plain"),
        "GET /version": json_reply({"version": "v4.9.0 (82c191a)"}),
        "GET /.well-known/localai.json": json_reply(
            {
                "version": "v4.9.0",
                "endpoints": {"chat_completions": "/v1/chat/completions", "models": "/v1/models"},
                "endpoint_groups": {},
                "capabilities": {"mcp": True},
            }
        ),
        "GET /v1/models": model_list(*map(listed, NAMES)),
        "GET /models": model_list(*map(listed, NAMES)),
        "GET /v1/models/capabilities": model_list(*map(capable, NAMES)),
        "GET /system": json_reply({"backends": ["llama-cpp"], "loaded_models": [{"id": MODEL}]}),
        "GET /api/tags": json_reply({"models": [imitated(name) for name in NAMES]}),
        "GET /api/ps": json_reply({"models": [imitated(MODEL)]}),
        "GET /api/version": json_reply({"version": "0.9.0"}),
        "POST /v1/tokenize": count,
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=NOT_FOUND,
    headers={"Vary": "Origin", "Access-Control-Allow-Origin": "*"},
    faults={
        "overflow": overflow(9000, 0, 8192),
        "unknown_model": unknown("nope"),
        "loading": LOADING,
        "starting": {"GET /readyz": json_reply({"status": "starting", "ready": False}, 503)},
        "error_in_stream": CHATS.breaks_with(
            {"error": {"message": "rpc error: connection closed", "type": "server_error", "code": "server_error"}},
            "[DONE]",
        ),
        # With opaque errors on.
        "opaque": Reply((), 500, "text/plain"),
    },
    refusal=refused(401, {"message": "An authentication key is required", "code": 401, "type": ""}),
    is_open=only("GET /", "GET /app", "GET /healthz", "GET /readyz", "GET /.well-known/localai.json"),
)
GREETING = replace(PLAIN, script={**PLAIN.script, "GET /": text_reply("Ollama is running")})
SURFACE = Surface(name="localai", port=8080, builds={"plain": PLAIN, "greeting": GREETING})
