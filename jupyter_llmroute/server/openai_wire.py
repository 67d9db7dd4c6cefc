"""OpenAI's chat completions on the wire: what clients send, read; what they get, written. No I/O."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jupyter_llmroute.core.events import Completed, Usage
from jupyter_llmroute.core.message import Message, ToolCall
from jupyter_llmroute.core.request import Format, Request, Sampling
from jupyter_llmroute.server.gateway_names import LONGEST
from jupyter_llmroute.server.problems import INVALID, Kind
from jupyter_llmroute.server.shapes import MOST_CHARS, MOST_MESSAGES, GatewayFailure, GatewayProblem

PASSED = frozenset(
    "tools tool_choice parallel_tool_calls response_format stop top_p top_k min_p frequency_penalty presence_penalty "
    "repeat_penalty logit_bias reasoning_effort chat_template_kwargs".split()
)
"""Keys that reach the server as they are. No others: a gateway behind us may be told by a key to pass text on."""

OF_THE_CLIENTS_BOOKS = frozenset(
    "user store metadata service_tier prompt_cache_key prompt_cache_retention safety_identifier".split()
)
"""Keys that mean something to OpenAI's own service alone; they are read and go no further."""

ROLES: Mapping[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}

FINISHED = ("stop", "length", "tool_calls", "content_filter")

MOST_TOOLS_CHARS = 1_000_000

MOST = 1 << 63
"""Whole numbers that are as large can be sent to no server."""

REFUSED = Kind(400, INVALID)


class Problem(Exception):
    """A request that is refused; the message is for the client."""

    def __init__(self, message: str, kind: Kind = REFUSED, param: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.param = param


class _Sent(BaseModel):
    """What a client sends may have more keys than are read."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class _Function(_Sent):
    name: str = Field(max_length=300)
    arguments: str = Field("", max_length=MOST_CHARS)


class _Call(_Sent):
    id: str | None = Field(None, max_length=300)
    function: _Function


class _Part(_Sent):
    type: str
    text: str | None = Field(None, max_length=MOST_CHARS)
    refusal: str | None = Field(None, max_length=MOST_CHARS)


class _Message(_Sent):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=MOST_CHARS)] | tuple[_Part, ...] | None = None
    name: str | None = Field(None, max_length=300)
    tool_calls: tuple[_Call, ...] | None = Field(None, max_length=128)
    tool_call_id: str | None = Field(None, max_length=300)

    @field_validator("content")
    @classmethod
    def _only_text(cls, content: Any) -> Any:
        if isinstance(content, tuple) and any(part.type not in ("text", "refusal") for part in content):
            raise ValueError("only parts of text are taken, no images, sounds or files")
        return content

    def message(self) -> Message:
        """Return it as the core has it."""
        parts = self.content if isinstance(self.content, tuple) else ()
        text = self.content if isinstance(self.content, str) else "\n".join(p.text or p.refusal or "" for p in parts)
        calls = (
            ToolCall(index=at, id=call.id, name=call.function.name, arguments=call.function.arguments)
            for at, call in enumerate(self.tool_calls or ())
        )
        return Message(
            role=ROLES[self.role],
            content=text,
            name=self.name,
            tool_calls=tuple(calls),
            tool_call_id=self.tool_call_id,
        )


class _StreamOptions(_Sent):
    include_usage: bool = False


class ChatCompletion(BaseModel):
    """The body of a request for a chat completion."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    model: str = Field(min_length=1, max_length=LONGEST)
    """`auto`, `auto:` and a task, the id of a model, or `model@service`."""
    messages: tuple[_Message, ...] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, gt=0, lt=MOST)
    max_completion_tokens: int | None = Field(None, gt=0, lt=MOST)
    seed: int | None = Field(None, gt=-MOST, lt=MOST)
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None


class Wanted(NamedTuple):
    """A request, read."""

    model: str
    """Whom the client names, in its own words."""
    request: Request
    """What is asked, and nothing yet of whom."""
    is_stream: bool
    with_usage: bool
    """Whether the stream ends with the usage."""


def read(body: bytes) -> Wanted:
    """Read a request.

    Raises
    ------
    Problem
        It is not what OpenAI's reference has, or wishes for what no server here can be told.
    """
    try:
        sent = ChatCompletion.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = ".".join(map(str, found["loc"]))[:100]
        raise Problem(f"{param or 'The body'}: {found['msg'][:300]}", param=param or None) from None
    more = {key: value for key, value in (sent.model_extra or {}).items() if value is not None}
    if unknown := [key for key in more if key not in PASSED | OF_THE_CLIENTS_BOOKS]:
        kind = Kind(400, INVALID, "unknown_parameter")
        raise Problem(f"Unknown parameter: {unknown[0][:100]!r}.", kind, unknown[0][:100])
    passed = {key: value for key, value in more.items() if key in PASSED}
    wanted = _format(passed)
    if _chars(passed) > MOST_TOOLS_CHARS:
        raise Problem(f"The tools and the like have more than {MOST_TOOLS_CHARS:,} characters.", param="tools")
    messages = tuple(each.message() for each in sent.messages)
    request = Request(
        question=next((each.content for each in reversed(messages) if each.role == "user"), messages[-1].content),
        messages=messages,
        sampling=Sampling(
            temperature=sent.temperature, max_tokens=sent.max_completion_tokens or sent.max_tokens, seed=sent.seed
        ),
        format=wanted,
        passed=passed,
        with_code=False,
    )
    with_usage = bool(sent.stream_options and sent.stream_options.include_usage)
    return Wanted(sent.model, request, bool(sent.stream), with_usage)


def _chars(passed: Mapping[str, Any]) -> int:
    """Return how long the passed keys are; what no server can be sent would count as the failure of all that it is."""
    try:
        return len(json.dumps(passed, allow_nan=False))
    except ValueError:
        name = next(key for key, value in passed.items() if not _is_finite(value))
        raise Problem(f"{name}: a number that is none.", param=name) from None


def _is_finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _format(passed: dict[str, Any]) -> Format:
    """Take JSON mode and plain text out of what is passed: each dialect has its own way to hold a model to JSON."""
    told = passed.get("response_format")
    kind = told.get("type") if isinstance(told, Mapping) else None
    if told is not None and kind not in ("text", "json_object", "json_schema"):
        raise Problem("response_format.type: 'text', 'json_object' or 'json_schema'", param="response_format")
    if kind in ("text", "json_object"):
        del passed["response_format"]
    return Format.JSON if kind == "json_object" else Format.MARKDOWN


def failure(message: str, kind: Kind, param: str | None = None) -> GatewayFailure:
    """Return OpenAI's error object."""
    return GatewayFailure(error=GatewayProblem(message=message, type=kind.type, param=param, code=kind.code))


class Writer:
    """Writes one answer, whole or in pieces."""

    def __init__(self) -> None:
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = ""
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._head = ""

    def begin(self, model: str) -> None:
        """Take whose answer it is."""
        self._model = model
        told = {"id": self.id, "object": "chat.completion.chunk", "created": self._created, "model": model}
        self._head = json.dumps(told, ensure_ascii=False)[:-1]

    def first(self) -> str:
        """Return the piece that comes before all others."""
        return self._piece({"role": "assistant", "content": ""})

    def text(self, text: str) -> str:
        """Return a piece of the answer."""
        return self._piece({"content": text})

    def thoughts(self, text: str) -> str:
        """Return a piece of what the model thinks, where most servers have it."""
        return self._piece({"reasoning_content": text})

    def calls(self, calls: Iterable[ToolCall]) -> str:
        """Return a piece of what the model asks for."""
        return self._piece({"tool_calls": [self._call(call) for call in calls]})

    def _call(self, piece: ToolCall) -> dict[str, Any]:
        told: dict[str, Any] = {"index": piece.index}
        if piece.index not in self._calls:  # its first piece names it
            told |= {"id": piece.id or self._id_of(piece), "type": "function"}
        self._note(piece)
        name = {"name": piece.name} if piece.name is not None else {}
        return {**told, "function": {**name, "arguments": piece.arguments}}

    def last(self, completed: Completed, *, with_usage: bool) -> str:
        """Return the end of the answer."""
        end = self._piece({}, self._reason(completed))
        if with_usage:
            end += f'data: {self._head}, "choices": [], "usage": {json.dumps(_usage(completed.usage))}}}\n\n'
        return end + "data: [DONE]\n\n"

    def _piece(self, delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return f'data: {self._head}, "choices": [{json.dumps(choice, ensure_ascii=False)}]}}\n\n'

    def keep(self, *, text: str = "", thoughts: str = "", calls: Iterable[ToolCall] = ()) -> None:
        """Keep a piece for the whole answer."""
        self._text.append(text)
        self._thoughts.append(thoughts)
        for piece in calls:
            self._note(piece)

    def whole(self, completed: Completed) -> dict[str, Any]:
        """Return the answer in one."""
        calls = [call.body() for _, call in sorted(self._calls.items())]
        thoughts = "".join(self._thoughts)
        message = {
            "role": "assistant",
            "content": "".join(self._text) or (None if calls else ""),
            "refusal": None,
            **({"tool_calls": calls} if calls else {}),
            **({"reasoning_content": thoughts} if thoughts else {}),
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason(completed)}
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [choice],
            "usage": _usage(completed.usage),
        }

    def _note(self, piece: ToolCall) -> None:
        """Join a piece to its call."""
        known = self._calls.get(piece.index)
        self._calls[piece.index] = ToolCall(
            index=piece.index,
            id=known.id if known else piece.id or self._id_of(piece),
            name=(known.name if known else None) or piece.name,
            arguments=(known.arguments if known else "") + piece.arguments,
        )

    def _id_of(self, piece: ToolCall) -> str:
        return f"call_{self.id[-12:]}{piece.index}"

    def _reason(self, completed: Completed) -> str:
        told = completed.finish_reason
        if self._calls and told == "stop":  # Ollama, whose calls are part of an answer like any other
            return "tool_calls"
        return told if told in FINISHED else "stop"


def _usage(usage: Usage) -> dict[str, Any]:
    prompt, answer = usage.prompt_tokens or 0, usage.completion_tokens or 0
    cached = {"prompt_tokens_details": {"cached_tokens": usage.cached_tokens}} if usage.cached_tokens else {}
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer, **cached}
