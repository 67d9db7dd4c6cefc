"""GPT4All: no stream, and no key in a request that it does not know.

Facts: `gpt4all-chat/src/server.cpp`.
"""

from __future__ import annotations

from dataclasses import replace

from ..scripted import Asked, Reply
from .surface import Build, Chats, Surface, item, model_list, refused

MODEL, OTHER = "Llama 3 8B Instruct", "Reasoner v1"
KNOWN = {"model", "messages", "max_tokens", "temperature", "top_p", "min_p"}
TOLERATED = {"stream": False, "n": 1, "user": None}
"""Keys that are let pass with this value, or with any where it says nothing."""
MAX_TOKENS = 16
"""Of an answer, unless the request says how many."""
EMPTY = Reply((), 500, "text/plain")


def invalid(message: str) -> Reply:
    return refused(400, {"message": message, "type": "invalid_request_error", "param": None, "code": None})


def fault_of(body: dict[str, object]) -> str | None:
    """Return what is wrong with a request; what is null is as if it were not there."""
    for key, value in body.items():
        if value is None or key in KNOWN:
            continue
        if key not in TOLERATED:
            return f"Unrecognized request argument supplied: {key}"
        if key == "stream" and value is not False:
            return "'stream' is not supported"
    temperature = body.get("temperature")
    if isinstance(temperature, int | float) and not 0 <= temperature <= 2:
        return f"{temperature} is not between 0 and 2 - 'temperature'"
    messages = body.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        if odd := set(message) - {"role", "content"}:
            return f"Unrecognized request argument supplied: 'messages.{number}.{min(odd)}'"
        if message.get("role") not in ("system", "user", "assistant"):
            return f"'{message.get('role')}' is not one of ['system', 'user', 'assistant'] - 'messages.{number}.role'"
        if not isinstance(message.get("content"), str):
            return f"the content of message {number} is not a string"
    return None if messages else "'messages' is a required property"


CHATS = Chats(
    models=(MODEL, OTHER), reasoning=None, overflow=lambda *_: EMPTY, window=2048, chunk={"id": "placeholder"}
)


def answer(asked: Asked) -> Reply:
    body = asked.json
    if fault := fault_of(body):
        return invalid(fault)
    whole = CHATS(asked)
    if whole.status == 200 and (body.get("max_tokens") or MAX_TOKENS) < 3:
        return Reply([piece.replace(b'"stop"', b'"length"') for piece in whole.pieces if isinstance(piece, bytes)])
    return whole


ONLY_POST = {"message": "Only POST requests are accepted.", "type": "invalid_request_error"}
ON = Build(
    model=MODEL,
    script={
        "GET /v1/models": model_list(
            *(
                item(name, "humanity", root=name, parent=None, permissions=[]) | {"created": 0}
                for name in (MODEL, OTHER)
            )
        ),
        "GET /v1/chat/completions": refused(405, {**ONLY_POST, "param": None, "code": "method_not_supported"}),
        "POST /v1/chat/completions": answer,
    },
    otherwise=Reply((), 404, "application/x-empty"),
    headers={"Access-Control-Allow-Origin": "*"},
    faults={
        # All that goes wrong within, a prompt that is too long too.
        "overflow": EMPTY,
        "stream": invalid("'stream' is not supported"),
    },
)
OFF = replace(ON, script={}, otherwise=Reply((), 401, "application/x-empty"), faults={})
"""It listens, and its setting is off."""
SURFACE = Surface(name="gpt4all", port=4891, builds={"on": ON})
SWITCHED_OFF = Surface(name=None, port=4891, builds={"off": OFF})
