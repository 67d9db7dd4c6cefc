"""Ray Serve LLM 2.60: a gateway to replicas of vLLM; what fails in a stream ends it without an error.

Facts: what a real one answered in front of an engine of a script.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply, json_reply, text_reply
from .surface import WINDOW, Build, Chats, Surface, item, model_list, refused, tokens, words
from .vllm import FASTAPI, NOT_FOUND

MODEL, OTHER = "qwen3-8b", "Qwen/Qwen3-32B"


def wrapped(status: int, message: str, kind: str, original: str = "") -> Reply:
    """Return an error as it passes them on: with the names of its own exceptions around."""
    around = f"Message: {message} (Request ID: 1), Internal exception: {kind} (Request ID: 1), original exception: "
    about = {"type": kind.rpartition(".")[2], "param": None, "code": status}
    return refused(status, {"message": around + original, **about})


HTTP_ERROR = "ray.llm._internal.serve.core.configs.openai_api_models.OpenAIHTTPException"
DIED = "The actor died unexpectedly before finishing this task.\n\tclass_name: ServeReplica:default:S0"


def overflow(counted: int, wanted: int = 0, window: int = WINDOW) -> Reply:
    message = (
        f"This model's maximum context length is {window} tokens. However, your request has {counted} input tokens."
    )
    return wrapped(400, message, HTTP_ERROR)


def unknown(name: str) -> Reply:
    detail = f'Got request for model "{name}". Could not find base model with ID "{name}".'
    return json_reply({"detail": detail}, 404)


def listed(name: str, window: int | None) -> dict[str, object]:
    metadata = {"model_id": name, "input_modality": "text", "max_request_context_length": window}
    entry = item(name, "organization-owner", permission=[], metadata=metadata)
    return {key: value for key, value in entry.items() if key != "created"}


def count(asked: Asked) -> Reply:
    """Count a text; it knows no chats here."""
    body = asked.json
    if "prompt" not in body:
        message = "Invalid request format: Field required at ('body', 'prompt')"
        return refused(400, {"message": message, "type": "missing", "param": body, "code": "invalid_parameter"})
    counted = words(body["prompt"])
    return json_reply({"count": counted, "max_model_len": WINDOW, "tokens": tokens(counted)})


UNNAMED = f"Model parameter is required when multiple models are configured. Available models: {[MODEL, OTHER]}"
CHATS = Chats(
    models=(MODEL, OTHER),
    reasoning="reasoning",
    unnamed=json_reply({"detail": UNNAMED}, 400),
    unknown=unknown,
    overflow=overflow,
)
USUAL = Build(
    model=MODEL,
    script={
        "GET /-/healthz": text_reply("success"),
        "GET /-/routes": json_reply({"/": "default"}),
        "GET /openapi.json": FASTAPI,
        "GET /v1/models": model_list(listed(MODEL, WINDOW), listed(OTHER, None)),
        "POST /tokenize": count,
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=NOT_FOUND,
    headers={"Server": "uvicorn", "X-Request-Id": "6d321ae8-82af-4716-9456-d33b7b3a5253"},
    faults={
        "overflow": overflow(9000),
        "unknown_model": unknown("nope"),
        "loading": {
            "GET /-/healthz": text_reply("Route table is not populated yet.", 503),
            "GET /-/routes": text_reply("Route table is not populated yet.", 503),
            "*": lambda asked: text_reply(
                f"Path '{asked.path}' not found. Ping http://.../-/routes for available routes.", 404
            ),
        },
        "busy": text_reply("Request dropped due to backpressure (num_queued_requests=1, max_queued_requests=1).", 503),
        "timed_out": text_reply("Request 6d321ae8 timed out after 1.0s.", 408),
        "replica_died": wrapped(500, "Internal Server Error", "InternalServerError", DIED),
        "error_in_stream": replace(CHATS, done=False).breaks_with(),
        "cut_upstream": CHATS.breaks_with("[DONE]"),
    },
)
SURFACE = Surface(name="ray_serve", port=8000, builds={"usual": USUAL})
