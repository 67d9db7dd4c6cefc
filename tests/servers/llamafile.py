"""llamafile: an early llama.cpp in one file, under its own name or llama.cpp's.

Facts: the 2025 build's own answers to `/v1/models` and `/health`; the rest is llama.cpp's of that time.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import json_reply
from . import llamacpp
from .surface import Surface, item, model_list

MODEL = "Qwen3-8B-Q4_K_M.gguf"
CHATS = replace(llamacpp.CHATS, models=(MODEL,), reasoning="<think>", before=(), chunk={})
USUAL = replace(
    llamacpp.OLDER,
    model=MODEL,
    script={
        **llamacpp.OLDER.script,
        "GET /v1/models": model_list(item(MODEL, "llamafile")),
        "GET /props": json_reply({"default_generation_settings": {"n_ctx": 8192}, "total_slots": 1}),
        "POST /v1/chat/completions": CHATS,
    },
    headers={"Server": "llamafile/0.9.3"},
)
SURFACE = Surface(name="llamafile", port=8080, builds={"usual": USUAL})
