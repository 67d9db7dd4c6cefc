"""Ollama: a newer build, an older one that cuts prompts whatever it is told, and both of its dialects.

Facts: `server/routes.go`, `server/prompt.go`, `api/types.go`, `middleware/openai.go`, `openai/openai.go`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..scripted import LAST_LINE, Asked, Due, Reply, json_reply, line, ndjson, text_reply
from .surface import TEXT, THOUGHT, Build, Chats, Surface, item, model_list, rendered, words

REMOTE = {"remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}


def tag(name: str, size: int, family: str, parameters: str, window: int, *can: str, **more: object) -> dict[str, Any]:
    """Return an entry of `/api/tags`, as a newer build has it."""
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-05-01T10:00:00Z",
        "size": size,
        "digest": f"{abs(size) * 2654435761 % (1 << 256):064x}",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": family,
            "families": [family],
            "parameter_size": parameters,
            "quantization_level": "Q4_K_M",
            "context_length": window,
            "embedding_length": 4096,
        },
        "capabilities": list(can),
        **more,
    }


TAGS = [
    tag("qwen3:8b", 5225388164, "qwen3", "8.2B", 40960, "completion", "tools", "thinking"),
    tag("llama3.2:3b", 2019393189, "llama", "3.2B", 131072, "completion", "tools"),
    tag("nomic-embed-text:latest", 274302450, "nomic-bert", "137M", 2048, "embedding"),
    tag("gpt-oss:120b-cloud", 384, "gptoss", "116.8B", 131072, "completion", "tools", "thinking", **REMOTE),
    # The same one under a name that the user gave it.
    tag("helper:latest", 384, "gptoss", "116.8B", 131072, "completion", "tools", "thinking", **REMOTE),
]


def as_older(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry as an older build has it: without what a model can, and its window."""
    details = {key: value for key, value in entry["details"].items() if not key.endswith("_length")}
    return {key: value for key, value in entry.items() if key != "capabilities"} | {"details": details}


OLD_TAGS = [as_older(entry) for entry in TAGS if "remote_host" not in entry]
OLD_TAGS += [as_older(tag("deepseek-r1:7b", 4683075271, "qwen2", "7.6B", 131072))]


def error(text: str, status: int, **more: object) -> Reply:
    return json_reply({"error": text, **more}, status)


def overflow(counted: int, window: int) -> Reply:
    """Return what the inner server refuses with, where cutting was forbidden."""
    return error(
        f"request ({counted} tokens) exceeds the available context size ({window} tokens), try increasing it", 400
    )


def answers(tags: list[dict[str, Any]], *, window: int, obeys: bool, most: int = 1 << 40) -> Due:
    """Return what answers a chat.

    Parameters
    ----------
    tags
        The models.
    window
        Tokens of the window that a model gets unless the request says `num_ctx`.
    obeys
        Whether `truncate` and `shift` are known.
    most
        Tokens of any prompt that are read.
    """
    known = {entry["name"]: entry for entry in tags}

    def answer(asked: Asked) -> Reply:
        body = asked.json
        name = body.get("model", "")
        if name not in known:
            return unknown(name) if obeys else unknown_to_older(name)
        entry = known[name]
        can = entry.get("capabilities", ["completion"])
        if "completion" not in can or entry["details"]["family"] == "nomic-bert":
            return error(f'"{name}" does not support chat', 400)
        if body.get("think") and "thinking" not in can:
            return error(f'"{name}" does not support thinking', 400)
        messages = body.get("messages") or []
        if not messages:
            return json_reply(line(model=name, done=True, done_reason="load"))
        counted = words(rendered(messages))
        served = (body.get("options") or {}).get("num_ctx") or window
        if counted >= served and obeys and body.get("truncate") is False:
            return overflow(counted, served)
        last = LAST_LINE | {"model": name, "prompt_eval_count": min(counted, served, most), "eval_count": 3}
        remote = {key: entry[key] for key in REMOTE if key in entry}
        spoken = [line(piece, model=name, **remote) for piece in TEXT]
        if "thinking" in can and body.get("think") is not False:
            spoken.insert(0, line(model=name, thinking=THOUGHT, **remote))
        if name.startswith("deepseek-r1") and not obeys:
            spoken = [line(piece, model=name) for piece in ("<thi", "nk>", THOUGHT, "</th", "ink>", *TEXT)]
        if body.get("stream") is False:
            text = "".join(each["message"]["content"] for each in spoken)
            return json_reply(last | {"message": {"role": "assistant", "content": text}} | remote)
        return ndjson(*spoken, last | remote)

    return answer


def unknown(name: str) -> Reply:
    return error(f"model '{name}' not found", 404)


def unknown_to_older(name: str) -> Reply:
    return error(f'model "{name}" not found, try pulling it first', 404)


def show(tags: list[dict[str, Any]]) -> Due:
    """Return what describes a model; a window of its Modelfile's stands in a line of text."""
    known = {entry["name"]: entry for entry in tags}

    def described(asked: Asked) -> Reply:
        name = asked.json.get("model") or asked.json.get("name", "")
        if name not in known:
            return unknown(name)
        entry = known[name]
        family, window = entry["details"]["family"], entry["details"].get("context_length", 131072)
        told = {key: entry[key] for key in ("capabilities", *REMOTE) if key in entry}
        return json_reply(
            {
                "details": entry["details"],
                "model_info": {"general.architecture": family, f"{family}.context_length": window},
                "parameters": 'stop                           "<|im_end|>"\nnum_ctx                        16384'
                if name == "llama3.2:3b"
                else "",
                "template": "{{ .Prompt }}",
                **told,
            }
        )

    return described


def running(entry: dict[str, Any], **more: object) -> dict[str, Any]:
    """Return an entry of `/api/ps`."""
    kept = {key: entry[key] for key in ("name", "model", "size", "digest", "details")}
    return kept | {"expires_at": "2026-05-01T10:05:00Z", "size_vram": entry["size"]} | more


CHATS = Chats(
    models=tuple(entry["name"] for entry in TAGS),
    window=4096,
    reasoning="reasoning",
    chunk={"system_fingerprint": "fp_ollama"},
    unknown=lambda name: json_reply(
        {
            "error": {
                "message": f"model '{name}' not found",
                "type": "not_found_error",
                "param": None,
                "code": None,
            }
        },
        404,
    ),
)
NEWER = Build(
    model=TAGS[0]["name"],
    script={
        "GET /": text_reply("Ollama is running"),
        "GET /api/version": json_reply({"version": "0.24.1"}),
        "GET /api/status": json_reply({"cloud": {"disabled": False, "source": "default"}}),
        "GET /api/tags": json_reply({"models": TAGS}),
        "GET /api/ps": json_reply({"models": [running(TAGS[0], context_length=4096)]}),
        "POST /api/show": show(TAGS),
        "POST /api/chat": answers(TAGS, window=4096, obeys=True),
        "GET /v1/models": model_list(*(item(entry["name"], "library") for entry in TAGS)),
        "POST /v1/chat/completions": CHATS,
    },
    otherwise=text_reply("404 page not found", 404, "text/plain"),
    chat="POST /api/chat",
    faults={
        "overflow": overflow(9000, 4096),
        "unknown_model": unknown("nope"),
        "busy": error("server busy, please try again.  maximum pending requests exceeded", 503),
        "out_of_memory": error("model requires more system memory (9.1 GiB) than is available (7.0 GiB)", 500),
        "error_in_stream": ndjson(line(TEXT[0]), {"error": "an error was encountered while running the model"}),
        "no_end": ndjson(line(TEXT[0])),
        # A model of the cloud's, without an account.
        "signed_out": error("unauthorized", 401, signin_url="https://ollama.com/connect"),
        # Its guard against foreign host names.
        "foreign_host": {"*": Reply((), 403)},
        # As it does unless it is told not to: the oldest messages go.
        "silent_cut": answers(TAGS, window=4096, obeys=False, most=64),
    },
)
OLDER = replace(
    NEWER,
    script={
        **{each: due for each, due in NEWER.script.items() if each != "GET /api/status"},
        "GET /api/version": json_reply({"version": "0.5.4"}),
        "GET /api/tags": json_reply({"models": OLD_TAGS}),
        "GET /api/ps": json_reply({"models": [running(OLD_TAGS[0])]}),
        "POST /api/show": show(OLD_TAGS),
        "POST /api/chat": answers(OLD_TAGS, window=2048, obeys=False),
        "GET /v1/models": model_list(*(item(entry["name"], "library") for entry in OLD_TAGS)),
        "POST /v1/chat/completions": replace(CHATS, window=2048, reasoning=None),
    },
    faults={
        **{name: due for name, due in NEWER.faults.items() if name not in ("overflow", "signed_out")},
        "unknown_model": unknown_to_older("nope"),
        "silent_cut": answers(OLD_TAGS, window=2048, obeys=False, most=64),
        # The whole prompt was in its cache: then nothing is said of it.
        "uncounted": ndjson(
            line(TEXT[0]), {key: value for key, value in LAST_LINE.items() if key != "prompt_eval_count"}
        ),
    },
)
SURFACE = Surface(name="ollama", port=11434, builds={"newer": NEWER, "older": OLDER})
