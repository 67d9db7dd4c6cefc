"""KoboldCpp 1.117 and 1.76: paths are known by their ends, prompts are cut without a word.

Facts: `koboldcpp.py`, and what a real 1.76 answered.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Due, Reply, html, json_reply, sse, text_reply
from .surface import TEXT, WINDOW, Build, Chats, Surface, event, item, model_list, rendered, tokens, words

MODEL = "koboldcpp/qwen3-8b-q4_k_m"
CORS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache, no-store"}
DIGEST = "b5dc5e784f2a3ee1582373093acf69a2f4e2ac1710b253a001712b86a61f88bb"
FAKE_USAGE = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}
"""What 1.76 says of any answer that is no stream."""


def missing(sentence: str) -> Due:
    return lambda asked: text_reply(f"{sentence}<br>Current path: {asked.path}", 404, "text/html")


def detail(status: int, message: str, kind: str) -> Reply:
    return json_reply({"detail": {"msg": message, "type": kind}}, status)


def imitated(*names: str) -> Reply:
    """Return the list that imitates Ollama's: of one size and one digest, whatever the model is."""
    family = {"parent_model": "", "format": "gguf", "family": "koboldcpp", "families": ["koboldcpp"]}
    return json_reply(
        {
            "models": [
                {
                    "name": names[0],
                    "model": name,
                    "modified_at": "2024-07-19T15:26:55.6122841+08:00",
                    "expires_at": "2055-06-04T19:06:25.5433636+08:00",
                    "size": 394998579,
                    "size_vram": 394998579,
                    "digest": DIGEST,
                    "details": {**family, "parameter_size": "128M", "quantization_level": "Q4_0"},
                }
                for name in names
            ]
        }
    )


def count(asked: Asked) -> Reply:
    counted = words(asked.json["prompt"])
    return json_reply({"value": counted, "ids": tokens(counted)})


def count_chat(asked: Asked) -> Reply:
    """Count a text or a chat, as newer builds do."""
    prompt = asked.json.get("prompt") or rendered(asked.json.get("messages", ()))
    return json_reply({"value": words(prompt), "ids": tokens(words(prompt)), "prompt": prompt})


def generate(asked: Asked) -> Reply:
    counted = min(words(asked.json["prompt"]), WINDOW)
    made = {"text": "".join(TEXT), "finish_reason": "stop", "prompt_tokens": counted, "completion_tokens": 2}
    return json_reply({"results": [made]})


def native(text: str, finish: str | None = None) -> str:
    return event({"token": text, "finish_reason": finish}, name="message")


CHATS = Chats(models=(MODEL,), reasoning="reasoning_content", chunk={"system_fingerprint": "koboldcpp"})
OLD_CHATS = Chats(
    models=(MODEL,),
    reasoning="<think>",
    usage=False,
    unfinished="null",
    usage_of=lambda counted: FAKE_USAGE,
    chunk={"id": "koboldcpp"},
)
BUSY = detail(503, "Server is busy; please try again later.", "service_unavailable")
PROTECTED = "koboldcpp/protected-model"
OLD_ABOUT = {"result": "KoboldCpp", "version": "1.76", "protected": False, "txt2img": False, "vision": False}
ABOUT = {
    "result": "KoboldCpp",
    "version": "1.117.1",
    "protected": False,
    "llm": True,
    "txt2img": False,
    "vision": False,
    "audio": False,
    "transcribe": False,
    "multiplayer": False,
    "websearch": False,
    "tts": False,
    "embeddings": False,
    "savedata": False,
    "admin": 0,
}


def without_the_password(asked: Asked) -> Reply:
    if asked.path.endswith("/api/v1/model"):
        return json_reply({"result": PROTECTED})
    return detail(401, "Authentication key is missing or invalid.", "unauthorized")


OPEN = (
    "/api/extra/version",
    "/api/extra/true_max_context_length",
    "/v1/models",
    "/api/v1/info/version",
    "/api/tags",
    "/api/ps",
    "/api/version",
    "/props",
    "/.well-known/serviceinfo",
)
"""The ends of what is answered without the password."""
OLDER = Build(
    model=MODEL,
    script={
        "GET /": html(),
        "GET */api/extra/version": json_reply(OLD_ABOUT),
        "GET */api/v1/model": json_reply({"result": MODEL}),
        "GET */api/v1/info/version": json_reply({"result": "1.2.5"}),
        "GET */api/v1/config/max_context_length": json_reply({"value": WINDOW}),
        "GET */api/extra/true_max_context_length": json_reply({"value": WINDOW}),
        "GET */api/extra/perf": json_reply({"last_input_count": 0, "last_token_count": 0, "queue": 0, "idle": 1}),
        # By its end: also what LM Studio has at /api/v1/models.
        "GET */v1/models": model_list(item(MODEL, "koboldcpp", permission=[], root="koboldcpp")),
        "GET */api/tags": imitated("koboldcpp"),
        "POST */api/extra/tokencount": count,
        "POST */api/extra/abort": json_reply({"success": "true", "done": "true"}),
        "POST */api/v1/generate": generate,
        "POST */api/extra/generate/stream": sse(native(TEXT[0]), native(TEXT[1]), native("", "stop")),
        "POST */v1/chat/completions": OLD_CHATS,
    },
    otherwise=missing("Error: HTTP Server is running, but this endpoint does not exist. Please check the URL."),
    headers={"Server": "ConcedoLlamaForKoboldServer", **CORS},
    chat="POST */v1/chat/completions",
    faults={
        "busy": BUSY,
        "bad_input": detail(500, "Error parsing input.", "bad_input"),
        "error_in_stream": sse(
            event({"choices": [{"index": 0, "finish_reason": "null", "delta": {"content": TEXT[0]}}]}),
            event({"choices": [{"index": 0, "finish_reason": "error", "delta": {}}]}),
            event("[DONE]"),
        ),
        # Nothing counts: the stream has no usage, other answers have a fake one.
        "silent_cut": OLD_CHATS.cut_to(64),
        "null": json_reply(None),
    },
    locked={"GET */api/extra/version": json_reply(OLD_ABOUT | {"protected": True})},
    refusal=without_the_password,
    is_open=lambda line: line.partition("?")[0].startswith("GET ") and line.partition("?")[0].endswith(OPEN),
)
NEWER = replace(
    OLDER,
    script={
        **OLDER.script,
        "GET */api/extra/version": json_reply(ABOUT),
        "GET */v1/models": model_list(
            item(MODEL, "koboldcpp", status={"value": "loaded"}, permission=[], root="koboldcpp")
        ),
        "GET */.well-known/serviceinfo": json_reply(
            {"version": "0.2", "software": {"name": "KoboldCpp", "version": "1.117.1"}}
        ),
        "GET */api/tags": imitated(MODEL, f"{MODEL}:latest"),
        "GET */api/ps": imitated(MODEL, f"{MODEL}:latest"),
        "GET */api/version": json_reply({"version": "0.7.0"}),
        "GET /ping": json_reply({"status": "healthy"}),
        "GET /props": json_reply(
            {
                "chat_template": "{{ messages }}",
                "id": 0,
                "id_task": -1,
                "total_slots": 1,
                "modalities": {"vision": False, "audio": False},
                "model_path": MODEL,
                "n_ctx": WINDOW,
                "default_generation_settings": {"n_ctx": WINDOW},
            }
        ),
        "GET /slots": json_reply(
            {"error": {"code": 501, "message": "This server does not support slots endpoint."}}, 501
        ),
        "POST */api/extra/tokencount": count_chat,
        "POST */v1/chat/completions": CHATS,
    },
    otherwise=missing(
        "Error: KoboldCpp HTTP Server is running, but this endpoint does not exist. Please check the URL and METHOD."
    ),
    headers={"Server": "KoboldCppServer", **CORS},
    faults={**OLDER.faults, "silent_cut": CHATS.cut_to(64)},
    locked={"GET */api/extra/version": json_reply(ABOUT | {"protected": True})},
)
SURFACE = Surface(name="koboldcpp", port=5001, builds={"1.117": NEWER, "1.76": OLDER}, never=("POST *abort",))
