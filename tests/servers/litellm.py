"""LiteLLM proxy 1.106: a gateway that wants a key, hides where its models run, and mends broken streams.

Facts: what a real one answered in front of two llama.cpp servers. Asked for its health, it asks every model.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply, json_reply, text_reply
from .surface import KEY, WINDOW, Build, Chats, Surface, all_but, item, model_list, refused, rendered, words
from .vllm import NOT_FOUND

MODEL, OTHER, CLOUD = "qwen3-8b", "llama3.2", "gpt-4o-mini"
PAGE = "\n    <!DOCTYPE html>\n    <html>\n    <head>\n    <title>LiteLLM API - Swagger UI</title>\n    </head>"
CONFIG = {
    "server_root_path": "",
    "proxy_base_url": None,
    "auto_redirect_to_sso": False,
    "admin_ui_disabled": False,
    "sso_configured": False,
}


def error(status: int, message: str, kind: str) -> Reply:
    """Return an error as it writes all of them; the code is a string."""
    return refused(status, {"message": message, "type": kind, "param": None, "code": str(status)})


def passed_on(status: int, kind: str, message: str, type_: str) -> Reply:
    """Return what it makes of an error of the server behind it."""
    more = f"\n\nLiteLLM: model group '{MODEL}' failed with the error above. No fallback was attempted."
    return error(status, f"litellm.{kind}: {kind}: OpenAIException - {message}{more}", type_)


def overflow(counted: int, wanted: int = 0, window: int = WINDOW) -> Reply:
    message = (
        "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - "
        f"request ({counted} tokens) exceeds the available context size ({window} tokens), try increasing it\n"
        f"model={MODEL}. context_window_fallbacks=None. fallbacks=None."
    )
    return error(400, message, "invalid_request_error")


def unknown(name: str) -> Reply:
    message = (
        f"/chat/completions: Invalid model name passed in model={name}. Call `/v1/models` to view available models for "
        "your key."
    )
    return error(400, message, "invalid_request_error")


def without_the_key(asked: Asked) -> Reply:
    if "authorization" in asked.headers:
        return error(400, "No connected db.", "no_db_connection")
    about = {"type": "auth_error", "param": "None", "code": "401"}
    return refused(401, {"message": "Authentication Error, No api key passed in.", **about})


def count(asked: Asked) -> Reply:
    """Count with a vocabulary of its own, which need not be the model's."""
    counted = words(rendered(asked.json["messages"]))
    about = {"model_used": MODEL, "tokenizer_type": "openai_tokenizer", "count_source": "local_estimate"}
    return json_reply({"total_tokens": counted, "request_model": MODEL, **about, "error": False})


def listed(name: str, **more: object) -> dict[str, object]:
    """Return an entry of its list: of one owner and one date, wherever the model runs."""
    return item(name, "openai", **more) | {"created": 1677610602}


CHATS = Chats(
    models=(MODEL, OTHER, CLOUD),
    unknown=unknown,
    overflow=overflow,
    chunk={"system_fingerprint": "b0-unknown"},
    usage_stands_alone=False,
    says_null=False,
    unnamed=unknown("None"),
    headers={
        "x-litellm-version": "1.106.2",
        "x-litellm-model-group": MODEL,
        "x-litellm-model-api-base": "http://127.0.0.1:8080/v1",
        "llm_provider-server": "llama.cpp",
    },
)
DEPLOYED = json_reply(
    {
        "data": [
            {
                "model_name": name,
                "litellm_params": {"model": f"openai/{name}", **where},
                "model_info": {"id": name, "db_model": False, "max_input_tokens": None},
            }
            for name, where in (
                (MODEL, {"api_base": "http://127.0.0.1:8080/v1"}),
                (OTHER, {"api_base": "http://127.0.0.1:8081/v1"}),
                (CLOUD, {}),
            )
        ]
    }
)
OPEN = Build(
    model=MODEL,
    script={
        "GET /": text_reply(PAGE, content_type="text/html; charset=utf-8"),
        "GET /health/liveliness": json_reply("I'm alive!"),
        "GET /health/liveness": json_reply("I'm alive!"),
        "GET /health/readiness": json_reply({"status": "healthy", "db": "Not connected"}),
        "GET /health": json_reply({"healthy_endpoints": [], "unhealthy_endpoints": []}),
        "GET /openapi.json": json_reply({"openapi": "3.1.0", "info": {"title": "LiteLLM API"}, "paths": {}}),
        "GET /.well-known/litellm-ui-config": json_reply(CONFIG),
        "GET /litellm/.well-known/litellm-ui-config": json_reply(CONFIG),
        # What its price list knows has a window there, which may not be the one that is served.
        "GET /v1/models": model_list(
            listed(MODEL),
            listed(OTHER),
            listed(CLOUD, mode="chat", max_input_tokens=128000, max_output_tokens=16384),
        ),
        "GET /model/info": DEPLOYED,
        "GET /v1/model/info": DEPLOYED,
        "POST /utils/token_counter": count,
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=NOT_FOUND,
    headers={"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff"},
    faults={
        "overflow": overflow(9000),
        "unknown_model": unknown("nope"),
        "loading": passed_on(503, "ServiceUnavailableError", "Loading model", "internal_server_error"),
        "busy": passed_on(429, "RateLimitError", "slow down", "throttling_error")._replace(
            headers={"llm_provider-retry-after": "7"}
        ),
        "full": error(503, "Worker at capacity", "overloaded_error")._replace(headers={"retry-after": "1"}),
        "upstream_died": passed_on(500, "InternalServerError", "Connection error.", "internal_server_error"),
        "error_in_stream": replace(CHATS, done=False).breaks_with(
            {
                "error": {
                    "message": "litellm.APIConnectionError: APIConnectionError: OpenAIException - Compute error.",
                    "type": None,
                    "param": None,
                    "code": "500",
                }
            }
        ),
        # The server behind it ended its stream early: it adds a finish reason, and a count of its own.
        "mended": CHATS.cut_to(9),
    },
    refusal=without_the_key,
    is_open=all_but(
        "GET /v1/models",
        "GET /models",
        "GET /model/info",
        "GET /v1/model/info",
        "GET /health",
        "POST /utils/token_counter",
        "POST /v1/chat/completions",
    ),
)
KEYED = replace(OPEN, key=KEY)
BROKEN = replace(KEYED, refusal=text_reply("Internal Server Error", 500))
"""As it is installed without a database's package: a missing key is an error within."""
SURFACE = Surface(
    name="litellm",
    port=4000,
    builds={"keyed": KEYED, "open": OPEN, "without_prisma": BROKEN},
    never=("GET /health", "GET /health/drain", "GET /health/services*"),
)
