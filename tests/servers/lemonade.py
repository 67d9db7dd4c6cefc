"""Lemonade: four roots of paths, Ollama's surface, and models of the cloud's beside local ones.

Facts: `src/cpp/server/server.cpp`, `src/cpp/server/ollama_api.cpp`. Its engines are llama.cpp's.
"""

from __future__ import annotations

from ..scripted import Due, Reply, html, json_reply
from . import llamacpp
from .surface import WINDOW, Build, Chats, Surface, item, model_list, only, refused

MODEL, OTHER, EMBEDDING = "Qwen3-8B-GGUF", "gpt-oss-20b-GGUF", "nomic-embed-text-v1-GGUF"
CLOUD = "fireworks.kimi-k2"
ROOTS = ("/v1", "/v0", "/api/v1", "/api/v0")


def listed(name: str, recipe: str, size_gb: float, window: int, *labels: str) -> dict[str, object]:
    """Return an entry of its list; sizes are in GB."""
    about = {"checkpoint": f"unsloth/{name}:Q4_K_M", "downloaded": True, "suggested": True, "labels": list(labels)}
    windows = {"context_length": WINDOW, "max_context_window": window}
    return item(name, "lemonade", recipe=recipe, size=size_gb, recipe_options={}, **about, **windows) | {
        "created": 1234567890
    }


MODELS = [
    listed(MODEL, "llamacpp", 4.68, 40960, "reasoning", "tool-calling"),
    listed(OTHER, "llamacpp", 11.3, 131072, "reasoning"),
    listed(EMBEDDING, "llamacpp", 0.08, 2048, "embeddings"),
    listed(CLOUD, "cloud", 0.0, 262144) | {"cloud_provider": "fireworks"},
]
HEALTH = {
    "status": "ok",
    "version": "9.4.1",
    "model_loaded": MODEL,
    "all_models_loaded": [
        {
            "model_name": MODEL,
            "type": "llm",
            "device": "gpu",
            "recipe": "llamacpp",
            "recipe_options": {"ctx_size": 4096},
        }
    ],
    "max_models": {"llm": 1, "embedding": 1},
}
TAGGED = [
    {
        "name": f"{each['id']}:latest",
        "model": f"{each['id']}:latest",
        "modified_at": "2024-01-01T00:00:00Z",
        "size": 5025105018,
        "digest": f"sha256:{'0' * 64}",
        "details": {"parent_model": "", "format": "gguf", "family": each["recipe"], "parameter_size": "8B"},
    }
    for each in MODELS
]


def unknown(name: str) -> Reply:
    about = {"type": "model_not_found", "param": "model", "code": "model_not_found"}
    return refused(404, {"message": f"Model '{name}' not found", **about})


CHATS = Chats(
    models=tuple(str(each["id"]) for each in MODELS),
    window=4096,
    unknown=unknown,
    overflow=llamacpp.overflow,
    last=llamacpp.timings,
)
PATHS: dict[str, Due] = {
    "GET {}/health": json_reply(HEALTH),
    "GET {}/models": model_list(*MODELS),
    "GET {}/system-info": json_reply({"OS Version": "Linux"}),
    "POST {}/load": json_reply({"status": "success"}),
    "POST {}/unload": json_reply({"status": "success"}),
    "POST {}/chat/completions": CHATS,
}
SURFACE = Surface(
    name="lemonade",
    port=13305,
    builds={
        "usual": Build(
            model=MODEL,
            script={
                "GET /": html(),
                "GET /live": json_reply({"status": "ok"}),
                "GET /api/version": json_reply({"version": "9.4.1"}),
                "GET /api/tags": json_reply({"models": TAGGED}),
                "GET /api/ps": json_reply({"models": TAGGED[:1]}),
                **{line.format(root): due for root in ROOTS for line, due in PATHS.items()},
            },
            otherwise=refused(404, {"message": "The requested endpoint does not exist", "type": "not_found"}),
            headers={"Access-Control-Allow-Origin": "*"},
            faults={
                "overflow": llamacpp.overflow(9000, 0, 4096),
                "unknown_model": unknown("nope"),
                "error_in_stream": CHATS.breaks_with(
                    {"error": {"message": "backend connection lost", "type": "backend_error"}}
                ),
            },
            refusal=refused(401, {"message": "Invalid or missing API key", "type": "authentication_error"}),
            is_open=only("GET /", "GET /live"),
        )
    },
    never=("GET */load", "GET */unload", "POST */pull", "POST */delete"),
)
