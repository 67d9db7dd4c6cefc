"""text-generation-webui: one model, prompts cut without a word, CRLF in its streams.

Facts: `modules/api/script.py`, `modules/api/completions.py`, `modules/api/tokens.py`, `modules/api/errors.py`.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import CUT, Asked, Reply, json_reply
from .surface import Build, Chats, Surface, item, model_list, refused, rendered, tokens, words
from .vllm import FASTAPI, NOT_FOUND

MODEL = "Qwen3-8B-Q4_K_M.gguf"


def count(asked: Asked) -> Reply:
    return json_reply({"length": words(asked.json["text"])})


def encode(asked: Asked) -> Reply:
    counted = words(asked.json["text"])
    return json_reply({"tokens": tokens(counted), "length": counted})


def prompt(asked: Asked) -> Reply:
    return json_reply({"prompt": rendered(asked.json["messages"])})


CHATS = Chats(models=(MODEL,), before=(": ping - 2026-05-01 10:00:00+00:00\r\n\r\n",), eol="\r\n")
LOADED = Build(
    model=MODEL,
    script={
        "GET /v1/internal/health": json_reply({"status": "ok"}),
        "GET /v1/internal/model/info": json_reply({"model_name": MODEL, "lora_names": [], "loader": "llama.cpp"}),
        "GET /v1/internal/model/list": json_reply({"model_names": [MODEL, "gemma-3-4b"]}),
        "GET /v1/models": model_list(item(MODEL, "user") | {"created": 0}),
        "GET /openapi.json": FASTAPI,
        "POST /v1/internal/token-count": count,
        "POST /v1/internal/encode": encode,
        "POST /v1/internal/chat-prompt": prompt,
        "POST /v1/internal/stop-generation": json_reply("OK"),
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=NOT_FOUND,
    headers={"Server": "uvicorn", "Access-Control-Allow-Origin": "*"},
    faults={
        "silent_cut": CHATS.cut_to(64),
        # What goes wrong in a stream ends it, and says nothing.
        "error_in_stream": CHATS.breaks_with(CUT),
        "bad_input": json_reply({"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, 422),
        "failed": refused(
            500, {"message": "OpenAIError: no model is loaded", "type": "server_error", "param": None, "code": None}
        ),
        "foreign_host": {"*": json_reply({"detail": "Invalid host header"}, 400)},
    },
    refusal=json_reply({"detail": "Unauthorized"}, 401),
    is_open=lambda line: "/v1/" not in line,
)
EMPTY = replace(
    LOADED,
    script={
        **LOADED.script,
        "GET /v1/internal/model/info": json_reply({"model_name": "None", "lora_names": [], "loader": None}),
        "GET /v1/models": model_list(),
    },
)
SURFACE = Surface(name="textgen", port=5000, builds={"loaded": LOADED, "empty": EMPTY})
