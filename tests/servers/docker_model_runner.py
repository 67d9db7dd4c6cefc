"""Docker Model Runner: its own roots beside `/v1`, and Ollama's surface; its engines are llama.cpp's.

Facts: `pkg/server/server.go`, `pkg/inference/models/api.go`, `pkg/ollama/http_handler.go`.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Reply, json_reply, text_reply
from . import llamacpp
from .surface import WINDOW, Build, Chats, Surface, item, model_list

MODEL, EMBEDDING = "docker.io/ai/qwen3:8B-Q4_K_M", "docker.io/ai/nomic-embed-text-v1.5:latest"
ABOUT = {"architecture": "qwen3", "parameters": "8.19 B", "quantization": "Q4_K_M", "size": "4.68 GiB"}
SMALL = {"architecture": "nomic-bert", "parameters": "136.73 M", "quantization": "F16", "size": "260.86 MiB"}


def unknown(name: str) -> Reply:
    return text_reply(f"error while getting model: model not found: {name}\n", 404)


def tagged(name: str, about: dict[str, str]) -> dict[str, object]:
    details = {"format": "gguf", "family": about["architecture"], "families": [about["architecture"]]}
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-05-01T10:00:00Z",
        "size": 0,
        "digest": f"sha256:{'cd' * 32}",
        "details": {**details, "parameter_size": about["parameters"], "quantization_level": about["quantization"]},
    }


CHATS = Chats(models=(MODEL, EMBEDDING), unknown=unknown, overflow=llamacpp.overflow, last=llamacpp.timings)
LISTED = model_list(
    item(MODEL, "docker", dmr={"context_window": WINDOW, **ABOUT}),
    item(EMBEDDING, "docker", dmr={"context_window": 2048, **SMALL}),
)
TAGS = [tagged(MODEL, ABOUT), tagged(EMBEDDING, SMALL)]
NEWER = Build(
    model=MODEL,
    script={
        "GET /": text_reply("Docker Model Runner is running"),
        "GET /engines/v1/models": LISTED,
        "GET /engines/llama.cpp/v1/models": LISTED,
        "GET /v1/models": LISTED,
        "GET /models": json_reply([{"id": f"sha256:{'cd' * 32}", "tags": [MODEL], "created": 1, "config": ABOUT}]),
        "GET /engines/ps": json_reply([{"backend_name": "llama.cpp", "model_name": MODEL, "mode": "completion"}]),
        "GET /engines/status": json_reply({"llama.cpp": "running llama.cpp version: c22473b"}),
        "GET /version": json_reply({"version": "1.2.0"}),
        "GET /api/version": json_reply({"version": "0.1.0"}),
        "GET /api/tags": json_reply({"models": TAGS}),
        "GET /api/ps": json_reply({"models": [{"name": MODEL, "model": MODEL, "size": 0, "digest": ""}]}),
        "POST /engines/v1/chat/completions": CHATS,
        "POST /engines/llama.cpp/v1/chat/completions": CHATS,
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=text_reply("404 page not found\n", 404),
    chat="POST /engines/v1/chat/completions",
    faults={
        "overflow": llamacpp.overflow(9000),
        "unknown_model": unknown("nope"),
        "loading": text_reply("unable to load runner: error waiting for runner to be ready\n", 500),
        "error_in_stream": replace(CHATS, done=False).breaks_with(
            {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}
        ),
    },
)
OLDER = replace(
    NEWER,
    script={
        **{line: due for line, due in NEWER.script.items() if "/api/" not in line and " /v1/" not in line},
        "GET /engines/v1/models": model_list(item(MODEL, "docker"), item(EMBEDDING, "docker")),
    },
)
"""Without `/v1`, Ollama's surface, and what it says of a model."""
SURFACE = Surface(name="docker", port=12434, builds={"newer": NEWER, "older": OLDER})
