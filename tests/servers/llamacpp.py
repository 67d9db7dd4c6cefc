"""llama.cpp's server: one model, an older build of the same, and the router that has several.

Facts: `tools/server/server.cpp`, `server-http.cpp`, `server-context.cpp`, `server-common.cpp`, `server-models.cpp`, and
what a real one answered.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply, html, json_reply
from .surface import WINDOW, Build, Chats, Fault, Surface, item, model_list, only, refused, rendered, tokens, words

MODEL = "qwen3-8b-q4_k_m.gguf"
META = {"vocab_type": 2, "n_vocab": 151936, "n_ctx_train": 40960, "n_embd": 4096, "n_params": 8190735360}
META |= {"size": 5021941760}
LOADING = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
HEADERS = {"Server": "llama.cpp"}
KEY_WANTED = refused(401, {"code": 401, "message": "Invalid API Key", "type": "authentication_error"})
NOT_FOUND = {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}
"""As the server writes what is not there."""


def overflow(counted: int, wanted: int = 0, window: int = WINDOW) -> Reply:
    message = f"request ({counted} tokens) exceeds the available context size ({window} tokens), try increasing it"
    about = {"n_prompt_tokens": counted, "n_ctx": window}
    return refused(400, {"code": 400, "type": "exceed_context_size_error", "message": message, **about})


def unknown(name: str) -> Reply:
    return refused(400, {"code": 400, "message": f"model '{name}' not found", "type": "invalid_request_error"})


def timings(counted: int) -> dict[str, object]:
    """Return what the last chunk has in any case: together, the first two are the prompt."""
    return {"timings": {"cache_n": 1, "prompt_n": counted - 1, "prompt_ms": 444.3, "predicted_n": 3}}


CHATS = Chats(
    models=(MODEL,),
    overflow=overflow,
    before=(":\n\n",),
    chunk={"system_fingerprint": "b9000-0c1e570"},
    last=timings,
)
FAULTS: dict[str, Fault] = {
    "overflow": overflow(9000),
    "loading": {"*": refused(503, LOADING)},
    "exhausted": refused(500, {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}),
    "out_of_memory": refused(500, {"code": 500, "message": "Compute error.", "type": "server_error"}),
    "error_in_stream": replace(CHATS, done=False).breaks_with(
        {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}
    ),
}


def count(asked: Asked) -> Reply:
    return json_reply({"object": "response.input_tokens", "input_tokens": words(rendered(asked.json["messages"]))})


OLDER = Build(
    model=MODEL,
    script={
        "GET /": html(),
        "GET /health": json_reply({"status": "ok"}),
        "GET /v1/health": json_reply({"status": "ok"}),
        "GET /v1/models": model_list(item(MODEL, "llamacpp", meta=META)),
        "GET /props": json_reply(
            {
                "default_generation_settings": {"n_ctx": WINDOW, "params": {"temperature": 0.8}},
                "total_slots": 1,
                "model_path": f"/models/{MODEL}",
                "chat_template": "{{ messages }}",
                "build_info": "b5000-aaaaaaa",
            }
        ),
        "GET /slots": json_reply([{"id": 0, "n_ctx": WINDOW, "is_processing": False}]),
        "POST /apply-template": lambda asked: json_reply({"prompt": rendered(asked.json["messages"])}),
        "POST /tokenize": lambda asked: json_reply({"tokens": tokens(words(asked.json["content"]))}),
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=json_reply(NOT_FOUND, 404),
    headers=HEADERS,
    faults=FAULTS,
    refusal=KEY_WANTED,
    is_open=only("GET /health", "GET /v1/health", "GET /v1/models"),
)
NAMED = {"name": MODEL, "model": MODEL, "capabilities": ["completion"], "details": {"format": "gguf"}}
SINGLE = replace(
    OLDER,
    script={
        **OLDER.script,
        "GET /v1/models": model_list(
            item(MODEL, "llamacpp", aliases=[], tags=[], meta={**META, "n_ctx": WINDOW, "ftype": "Q4_K - Medium"}),
            models=[NAMED],
        ),
        "POST /v1/chat/completions/input_tokens": count,
    },
    is_open=only("GET /health", "GET /v1/health"),
)
ROUTED = {
    # name: (state, what it takes, whether it runs)
    "qwen3-8b": ("loaded", ["text"], True),
    "gpt-oss-20b": ("unloaded", ["text"], False),
    "gemma-3-4b": ("sleeping", ["text", "image"], False),
    "devstral-24b": ("downloading", ["text"], False),
}


def routed(name: str) -> dict[str, object]:
    state, takes, runs = ROUTED[name]
    meta = {"meta": {**META, "n_ctx": WINDOW, "ftype": "Q4_K - Medium"}} if runs else {}
    about = {"input_modalities": takes, "output_modalities": ["text"]}
    return item(name, "llamacpp", status={"value": state}, architecture=about, source="cache", **meta)


ROUTER = replace(
    SINGLE,
    model="qwen3-8b",
    script={
        **SINGLE.script,
        "GET /v1/models": model_list(*map(routed, ROUTED)),
        "GET /models": model_list(*map(routed, ROUTED)),
        "GET /props": json_reply({"role": "router", "default_generation_settings": {"n_ctx": 0}, "total_slots": 0}),
        "POST /models/load": json_reply({"success": True}),
        "POST /models/unload": json_reply({"success": True}),
        "POST /v1/chat/completions": replace(CHATS, models=tuple(ROUTED), unnamed=unknown(""), unknown=unknown),
    },
    faults={
        **{name: fault for name, fault in FAULTS.items() if name != "loading"},  # it is well at once
        "unknown_model": unknown("nope"),
    },
)
SURFACE = Surface(
    name="llamacpp",
    builds={"single": SINGLE, "older": OLDER, "router": ROUTER},
    never=(
        "GET /props?model=*",
        "GET /slots?model=*",
        "GET /metrics?model=*",
        "GET /models?reload=*",
        "GET /v1/models?reload=*",
    ),
)
"""The router loads the model that a query names, and reads its disk again."""
