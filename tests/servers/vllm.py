"""vLLM: a newer build and one before 0.10 without a reasoning parser.

Facts: `vllm/entrypoints/openai/models/serving.py`, `chat_completion/protocol.py`, `engine/protocol.py`,
`middleware/authenticate.py`, `exception_handling/error_response.py`, `tokenize/protocol.py`, and what 0.32 answered.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply, json_reply, text_reply
from .surface import CREATED, WINDOW, Build, Chats, Surface, item, model_list, refused, rendered, tokens, words

MODEL = "Qwen/Qwen3-8B"
ADAPTER = "sql-lora"
FASTAPI = json_reply({"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}, "paths": {}})
"""What every FastAPI application says of itself unless it is told otherwise."""
NOT_FOUND = json_reply({"detail": "Not Found"}, 404)
EMPTY = Reply(())


def unknown(name: str) -> Reply:
    return refused(
        404,
        {
            "message": f"The model `{name}` does not exist. Valid aliases: {MODEL}.",
            "type": "NotFoundError",
            "param": "model",
            "code": 404,
        },
    )


def overflow(counted: int, wanted: int = 0, window: int = WINDOW) -> Reply:
    message = (
        f"You passed {counted} input tokens and requested {wanted} output tokens. However, the model's context length "
        f"is only {window} tokens, resulting in a maximum input length of {window - wanted} tokens."
    )
    if counted >= window:
        message = (
            f"This model's maximum context length is {window} tokens. However, your prompt contains at least {counted} "
            "input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the "
            f"input prompt. (parameter=input_tokens, value={counted})"
        )
    about = {"type": "BadRequestError", "param": "input_tokens", "code": 400}
    return refused(400, {"message": message, **about})


def flat(status: int, kind: str, message: str) -> Reply:
    """Return an error as builds before 0.10 wrote it."""
    return json_reply({"object": "error", "message": message, "type": kind, "param": None, "code": status}, status)


def overflow_flat(counted: int, wanted: int = 0, window: int = WINDOW) -> Reply:
    message = (
        f"This model's maximum context length is {window} tokens. However, you requested {counted + wanted} tokens "
        f"({counted} in the messages, {wanted} in the completion). Please reduce the length of the messages or "
        "completion."
    )
    return flat(400, "BadRequestError", message)


def unknown_flat(name: str) -> Reply:
    return flat(404, "NotFoundError", f"The model `{name}` does not exist.")


def count(asked: Asked) -> Reply:
    """Count a chat or a text."""
    body = asked.json
    counted = words(rendered(body["messages"]) if "messages" in body else body["prompt"])
    return json_reply({"count": counted, "max_model_len": WINDOW, "tokens": tokens(counted), "token_strs": None})


CHATS = Chats(
    models=(MODEL, ADAPTER),
    reasoning="reasoning",
    unknown=unknown,
    overflow=overflow,
    counts_output=True,
    chunk={"system_fingerprint": "vllm-0.32.0-81805a75"},
)
OLD_CHATS = replace(CHATS, reasoning="<think>", unknown=unknown_flat, overflow=overflow_flat, chunk={})
LISTED = item(
    MODEL,
    "vllm",
    root=MODEL,
    parent=None,
    max_model_len=WINDOW,
    permission=[{"id": "modelperm-1", "object": "model_permission", "created": CREATED, "allow_sampling": True}],
)
IN_STREAM = {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": None, "code": 500}
NEWER = Build(
    model=MODEL,
    script={
        "GET /health": EMPTY,
        "GET /ping": EMPTY,
        "GET /version": json_reply({"version": "0.32.0"}),
        "GET /load": json_reply({"server_load": 0}),
        "GET /metrics": text_reply("# HELP vllm:num_requests_running Running\nvllm:num_requests_running 0.0\n"),
        "GET /openapi.json": FASTAPI,
        # An adapter has a parent, and no window of its own.
        "GET /v1/models": model_list(LISTED, item(ADAPTER, "vllm", root="/loras/sql", parent=MODEL, permission=[])),
        "POST /tokenize": count,
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=NOT_FOUND,
    headers={"Server": "uvicorn"},
    faults={
        "overflow": overflow(9000),
        "overflow_with_output": overflow(8000, 1000),
        "unknown_model": unknown("nope"),
        "error_in_stream": CHATS.breaks_with({"error": IN_STREAM}, "[DONE]"),
        "dead": {
            "GET /health": Reply((), 503),
            "POST /v1/chat/completions": refused(500, IN_STREAM),
        },
    },
    refusal=json_reply({"error": "Unauthorized"}, 401),
    # Only these roots are guarded.
    is_open=lambda line: not line.partition(" ")[2].startswith(("/v1", "/v2", "/inference")),
)
OLDER = replace(
    NEWER,
    script={
        **NEWER.script,
        "GET /version": json_reply({"version": "0.9.2"}),
        "POST /v1/chat/completions": OLD_CHATS,
    },
    faults={
        "overflow": overflow_flat(9000),
        "unknown_model": unknown_flat("nope"),
        "error_in_stream": OLD_CHATS.breaks_with(
            {"object": "error", "message": "boom", "type": "InternalServerError", "param": None, "code": 500}, "[DONE]"
        ),
    },
)
SURFACE = Surface(name="vllm", port=8000, builds={"newer": NEWER, "older": OLDER})
