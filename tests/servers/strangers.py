"""Who else may answer: pages and applications, imitators, gateways without a mark, and those who want a key."""

from __future__ import annotations

from collections.abc import Mapping

from ..scripted import HANG, Asked, Due, Reply, html, json_reply, text_reply
from . import gpt4all, llamacpp, ollama
from .surface import Build, Chats, Surface, item, model_list

HTML = "text/html; charset=utf-8"
FLASK_404 = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
NGINX_404 = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<hr><center>nginx/1.27.0</center>\r\n"
FASTAPI_404 = json_reply({"detail": "Not Found"}, 404)
CALENDAR = {"openapi": "3.1.0", "info": {"title": "Calendar", "description": "January to December"}, "paths": {}}
UVICORN = {"Server": "uvicorn"}
CHATS = Chats(models=("m",), reasoning=None)


def stranger(
    name: str | None,
    script: dict[str, Due] | None = None,
    otherwise: Due = FASTAPI_404,
    *,
    port: int = 8080,
    headers: Mapping[str, str] | None = None,
) -> Surface:
    return Surface(
        name=name,
        port=port,
        builds={
            "usual": Build(
                model="m",
                script=script or {},
                otherwise=otherwise,
                headers=headers or {},
            )
        },
    )


def refusing(body: object, headers: Mapping[str, str] | None = None) -> Surface:
    """Return a server that wants a key for everything and says nothing else."""
    return stranger("openai", {}, json_reply(body, 401), headers=headers)


def hello(asked: Asked) -> Reply:
    return text_reply("Hello, World!", content_type=HTML)


GREETING, TAGS = text_reply("Ollama is running"), json_reply({"models": ollama.OLD_TAGS})
UNMARKED = model_list({"id": "m"})
STRANGERS: dict[str, Surface] = {
    # --- no server of models ---
    "single-page app": stranger(None, {}, html()),
    "page that nobody may see": stranger(None, {}, html(403)),
    "Flask": stranger(
        None,
        {"GET /": hello},
        text_reply(FLASK_404, 404, HTML),
        port=5000,
        headers={"Server": "Werkzeug/3.0.3 Python/3.12.4"},
    ),
    "nginx": stranger(None, {}, text_reply(NGINX_404, 404, "text/html"), headers={"Server": "nginx/1.27.0"}),
    "FastAPI": stranger(None, {"GET /openapi.json": json_reply(CALENDAR)}, port=8000, headers=UVICORN),
    "AirPlay": stranger(None, {}, Reply((), 403, "text/plain"), port=5000, headers={"Server": "AirTunes/860.7.1"}),
    "plain text": stranger(None, {}, text_reply("OK")),
    "nothing": stranger(None, {}, Reply((), 204)),
    "garbage": stranger(None, {}, text_reply('{"data": [{"id": "m", ', 200, "application/json")),
    "well, whatever it is asked": stranger(None, {}, json_reply({"status": "ok"})),
    "an empty object for everything": stranger(None, {}, json_reply({})),
    "null for everything": stranger(None, {}, json_reply(None)),
    "a list for everything": stranger(None, {}, json_reply([])),
    "errors with 200": stranger(None, {}, json_reply({"error": "no such endpoint"})),
    "redirects": stranger(None, {}, Reply((), 302, "text/html", {"Location": "/login"})),
    "half open": stranger(None, {}, Reply((HANG,))),
    "no HTTP": stranger(None, {}, Reply((b"SSH-2.0-OpenSSH_9.6\r\n",), is_http=False), port=22),
    "GPT4All, switched off": gpt4all.SWITCHED_OFF,
    # --- imitators ---
    "Ollama's greeting alone": stranger(None, {"GET /": GREETING}, port=11434),
    "Ollama's greeting and a page": stranger(None, {"GET /": GREETING}, html(), port=11434),
    "Ollama's greeting and more of a version": stranger(
        None,
        {"GET /": GREETING, "GET /api/version": json_reply({"version": "1", "build": 2}), "GET /api/tags": TAGS},
        port=11434,
    ),
    "Ollama's tags without its greeting": stranger(
        "openai",
        {"GET /api/version": json_reply({"version": "0.11.0"}), "GET /api/tags": TAGS, "GET /v1/models": UNMARKED},
        port=11434,
    ),
    "LM Studio's greeting for everything": stranger(None, {}, json_reply({"lmstudio": False}), port=1234),
    # --- models without a mark ---
    "no mark": stranger("openai", {"GET /v1/models": UNMARKED, "POST /v1/chat/completions": CHATS}, port=8000),
    "no models": stranger("openai", {"GET /v1/models": model_list()}, port=8000),
    "no models and a page": stranger("openai", {"GET /v1/models": model_list()}, html(), port=3000),
    "a gateway to several": stranger(
        "openai",
        {
            "GET /v1/models": model_list(
                item("vllm/qwen3-8b", "vllm"), item("local/qwen3-8b", "llamacpp"), item("swap/titles", "llama-swap")
            ),
            "POST /v1/chat/completions": CHATS,
        },
    ),
    "owners that are no names": stranger(
        "openai", {"GET /v1/models": model_list({"id": "m", "owned_by": ["vllm"], "max_model_len": {}})}, port=8000
    ),
    # As a real one answered.
    "llama-cpp-python": stranger(
        "openai",
        {"GET /v1/models": model_list({"id": "m", "object": "model", "owned_by": "me", "permissions": []})},
        port=8000,
        headers=UVICORN,
    ),
    "transformers serve": stranger(
        "openai",
        {"GET /health": json_reply({"status": "ok"}), "GET /v1/models": model_list(item("local/m", "local"))},
        port=8000,
        headers=UVICORN,
    ),
    # --- who want a key, in the shapes of products, and without another mark ---
    "a key, as vLLM": refusing({"error": "Unauthorized"}, UVICORN),
    "a key, as llama.cpp": refusing(
        {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}
    ),
    "a key, as Open WebUI": refusing({"detail": "Not authenticated"}, UVICORN),
    "a key, as text-generation-webui": refusing({"detail": "Unauthorized"}, UVICORN),
    "a key, as FastAPI": refusing({"detail": "Invalid authentication credentials"}, {"WWW-Authenticate": "Bearer"}),
    "a key, as llama.cpp with its header": Surface(
        name="llamacpp",
        builds={"usual": Build(model="m", script={}, otherwise=llamacpp.KEY_WANTED, headers=llamacpp.HEADERS)},
    ),
}
"""By what they are; the name that each must be given is in its `Surface`."""
