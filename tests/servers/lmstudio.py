"""LM Studio: 0.4 with its newer list, 0.3 with the older one.

Its server is closed; facts: its documentation (`1_developer/2_rest`, `1_developer/3_openai-compat`), the discovery code
of lmstudio-js, and its users' reports. What it does not know gets 200, and a line in the user's log.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Due, Reply, json_reply, sse
from .surface import TEXT, WINDOW, Build, Chats, Surface, event, item, model_list, only

CHAT_MODEL, OTHER, EMBEDDING = "qwen/qwen3-8b", "openai/gpt-oss-20b", "text-embedding-nomic-embed-text-v1.5"


def unexpected(asked: Asked) -> Reply:
    """Return what is said to what is not there: with status 200."""
    return json_reply({"error": f"Unexpected endpoint or method. ({asked.line}). Returning 200 anyway"})


V1 = [
    {
        "type": "llm",
        "publisher": "qwen",
        "key": CHAT_MODEL,
        "display_name": "Qwen3 8B",
        "architecture": "qwen3",
        "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
        "size_bytes": 5027784512,
        "params_string": "8B",
        "loaded_instances": [{"id": CHAT_MODEL, "config": {"context_length": WINDOW, "parallel": 4}}],
        "max_context_length": 40960,
        "format": "gguf",
        "capabilities": {
            "vision": False,
            "trained_for_tool_use": True,
            "reasoning": {"allowed_options": ["off", "on"], "default": "on"},
        },
    },
    {
        "type": "llm",
        "publisher": "openai",
        "key": OTHER,
        "display_name": "gpt-oss 20B",
        "architecture": "gpt-oss",
        "quantization": {"name": "MXFP4", "bits_per_weight": 4},
        "size_bytes": 12109565632,
        "params_string": "20B",
        "loaded_instances": [],
        "max_context_length": 131072,
        "format": "gguf",
        "capabilities": {"vision": False, "trained_for_tool_use": True},
    },
    {
        "type": "embedding",
        "publisher": "nomic-ai",
        "key": EMBEDDING,
        "display_name": "Nomic Embed Text v1.5",
        "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
        "size_bytes": 84106624,
        "params_string": None,
        "loaded_instances": [],
        "max_context_length": 2048,
        "format": "gguf",
    },
]


def v0(name: str, kind: str, state: str, trained: int, **more: object) -> dict[str, object]:
    """Return an entry of the older list; the window that is served is told only of what is loaded."""
    about = {"publisher": "qwen", "arch": "qwen3", "compatibility_type": "gguf", "quantization": "Q4_K_M"}
    return {"id": name, "object": "model", "type": kind, **about, "state": state, "max_context_length": trained, **more}


V0 = [
    v0(CHAT_MODEL, "llm", "loaded", 40960, loaded_context_length=WINDOW, capabilities=["tool_use"]),
    v0(OTHER, "llm", "not-loaded", 131072, capabilities=["tool_use"]),
    v0("qwen/qwen2.5-vl-7b", "vlm", "not-loaded", 128000),
    v0(EMBEDDING, "embeddings", "not-loaded", 2048),
]
TOO_LONG = (
    "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model "
    "with a larger context length, or provide a shorter input"
)


def overflow(counted: int, wanted: int = 0, window: int = WINDOW) -> Reply:
    return json_reply({"error": TOO_LONG}, 400)


def unknown(name: str) -> Reply:
    message = f'Failed to load model "{name}". Error: Model not found.'
    return json_reply({"error": {"message": message, "type": "invalid_request_error", "code": "model_not_found"}}, 404)


CHATS = Chats(
    models=(CHAT_MODEL, OTHER),
    reasoning="reasoning",
    unknown=unknown,
    overflow=overflow,
    chunk={"system_fingerprint": CHAT_MODEL},
)


def faults(chats: Chats) -> dict[str, Due]:
    return {
        "overflow": overflow(9000),
        "overflow_in_stream": sse(event({"error": {"message": TOO_LONG}}, name="error")),
        "overflow_in_data": sse(event({"error": TOO_LONG})),
        "empty": sse(event("[DONE]")),
        "unknown_model": unknown("nope"),
        "error_in_stream": sse(
            event({"choices": [{"index": 0, "delta": {"content": TEXT[0]}, "finish_reason": None}]}),
            event({"error": {"message": "The model has crashed without additional information."}}, name="error"),
        ),
        # With one model in memory, some builds answer with that one.
        "other_model": replace(chats, unknown=None),
    }


OLDER = Build(
    model=CHAT_MODEL,
    script={
        "GET /lmstudio-greeting": json_reply({"lmstudio": True}),
        # With loading on demand, all that was downloaded.
        "GET /v1/models": model_list(*(item(str(each["id"]), "organization_owner") for each in V0)),
        "GET /api/v0/models": model_list(*V0),
        "POST /v1/chat/completions": replace(CHATS, reasoning="reasoning_content"),
    },
    otherwise=unexpected,
    headers={"X-Powered-By": "Express"},
    faults=faults(replace(CHATS, reasoning="reasoning_content")),
)
NEWER = replace(
    OLDER,
    script={
        **OLDER.script,
        "GET /v1/models": model_list(*(item(str(each["key"]), "organization_owner") for each in V1)),
        "GET /api/v1/models": json_reply({"models": V1}),
        "POST /v1/chat/completions": CHATS,
        "POST /api/v1/models/load": json_reply({"type": "llm", "instance_id": CHAT_MODEL, "status": "loaded"}),
        "POST /api/v1/models/unload": json_reply({"instance_id": CHAT_MODEL}),
    },
    faults=faults(CHATS),
    # Without the token, a call may look like one to a path that is not there.
    refusal=unexpected,
    is_open=only("GET /lmstudio-greeting"),
)
SURFACE = Surface(name="lmstudio", port=1234, builds={"0.4": NEWER, "0.3": OLDER})
