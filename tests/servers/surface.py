"""What a scripted product is: its builds, the faults each can show, and what a scan must never ask there.

Tokens are words: a message costs its words and four more (`rendered`), whichever endpoint counts them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..scripted import Asked, Due, Reply, Scripted, json_reply, sse
from ..scripted import Fault as Broken

KEY = "s3cret"
"""What a server that wants a key is content with."""
WINDOW = 8192
"""The window that the scripted servers serve, unless a product's own default is documented."""
CREATED = 1_795_400_460
TEXT = ("Hel", "lo")
"""The pieces of every answer."""
THOUGHT = "hm"
"""What a reasoning model thinks first."""
WORK = ("POST */chat", "POST *completions", "POST *generate*", "POST *load", "POST *stop*", "POST *shutdown")
"""Lines that make a model work, load or stop, at whatever product."""

Fault = Due | Sequence[Due] | Mapping[str, Due]
"""What is due for a chat, or what is due for several lines; `*` among them is due for all others."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """One build of a product, or one way to run it."""

    model: str
    """One that chats."""
    script: Mapping[str, Due]
    otherwise: Due
    """What is said to a request for what is not there."""
    headers: Mapping[str, str] = field(default_factory=dict)
    chat: str = "POST /v1/chat/completions"
    faults: Mapping[str, Fault] = field(default_factory=dict)
    """By name: overflow, unknown_model, loading, busy, error_in_stream, silent_cut, and the product's own."""
    locked: Mapping[str, Due] = field(default_factory=dict)
    """What is due instead where a key is wanted, with it and without."""
    refusal: Due | None = None
    """What is said without the key where one is wanted; `None` where the product has no keys."""
    key: str = ""
    """What it wants as it is installed."""
    is_open: Callable[[str], bool] = lambda line: False
    """Whether a line needs no key where one is wanted."""


@dataclass(frozen=True, kw_only=True)
class Surface:
    """One product, or a stranger."""

    name: str | None
    """The provider that it must be recognised as; `openai` for a list of models without a mark, `None` for no server of
    models."""
    builds: Mapping[str, Build]
    """The first one is the usual one."""
    port: int = 8080
    never: tuple[str, ...] = ()
    """Lines that a scan must never ask there, besides `WORK`."""

    def faults(self, build: str = "") -> list[str]:
        """Return the faults that the build can show."""
        staged = self.build(build)
        return [*staged.faults, *(["wants_key"] if staged.refusal else [])]

    def open(
        self,
        build: str = "",
        *,
        fault: str = "",
        key: str = "",
        chat: Due | Sequence[Due] | None = None,
        script: Mapping[str, Due | Sequence[Due]] | None = None,
    ) -> Scripted:
        """Return the server, ready to be entered.

        Parameters
        ----------
        build
            Which one of `builds`; the usual one unless given.
        fault
            One of `faults`. With `wants_key`, the key is `KEY`.
        key
            The key to want.
        chat
            What is due for a chat instead.
        script
            What is due for other lines instead.
        """
        staged = self.build(build)
        wanted = key or staged.key or (KEY if fault == "wants_key" else "")
        lines: dict[str, Due | Sequence[Due]] = dict(staged.script)
        if fault and fault != "wants_key":
            due = staged.faults[fault]
            changed = due if isinstance(due, Mapping) else {staged.chat: due}
            lines = {**changed} if "*" in changed else {**lines, **changed}
        if wanted:
            lines |= staged.locked
        if chat is not None:
            lines[staged.chat] = chat
        return Scripted(
            lines | dict(script or {}),
            otherwise=staged.otherwise,
            headers=staged.headers,
            guard=_guard(staged, wanted) if wanted else None,
            never=(*WORK, *self.never),
        )

    def build(self, name: str = "") -> Build:
        return self.builds[name or next(iter(self.builds))]


def _guard(build: Build, key: str) -> Callable[[Asked], Reply | None]:
    refusal = build.refusal
    if refusal is None:
        raise ValueError("this product knows no keys")

    def guard(asked: Asked) -> Reply | None:
        given = {asked.headers.get(name) for name in ("authorization", "x-api-key", "x-litellm-api-key")}
        if build.is_open(asked.line) or given & {key, f"Bearer {key}"}:
            return None
        return refusal if isinstance(refusal, Reply) else refusal(asked)

    return guard


def only(*lines: str) -> Callable[[str], bool]:
    """Return what is true of these lines."""
    return lambda line: line.partition("?")[0] in lines


def all_but(*lines: str) -> Callable[[str], bool]:
    """Return what is true of all lines but these."""
    return lambda line: line.partition("?")[0] not in lines


def words(text: object) -> int:
    return len(str(text or "").split())


def rendered(messages: Iterable[Mapping[str, Any]]) -> str:
    """Return the prompt that the template makes of a chat."""
    return "".join(f"<|im_start|> {each['role']} : {each['content']} <|im_end|>\n" for each in messages)


def tokens(count: int) -> list[int]:
    return list(range(count))


def model_list(*items: Mapping[str, object], **more: object) -> Reply:
    """Return an OpenAI model list."""
    return json_reply({"object": "list", "data": items, **more})


def item(name: str, owner: str | None = None, /, **more: object) -> dict[str, object]:
    """Return an entry of it."""
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        **({} if owner is None else {"owned_by": owner}),
        **more,
    }


def refused(status: int, error: object) -> Reply:
    """Return a refusal as most products write it."""
    return json_reply({"error": error}, status)


@dataclass(frozen=True, kw_only=True)
class Chats:
    """Chat completions as one product streams them; what makes an answer of a request."""

    models: tuple[str, ...]
    """The first one answers where the request names none, or one that is not known and nobody minds."""
    window: int | None = WINDOW
    reasoning: str | None = "reasoning_content"
    """The field of its thoughts; `<think>` where they stand within the text; `None` where there are none."""
    unnamed: Reply | None = None
    """The refusal of a request that names no model; `None` where the first one answers."""
    unknown: Callable[[str], Reply] | None = None
    """Makes the refusal of a model that is not known; `None` where another one answers."""
    overflow: Callable[[int, int, int], Reply] | None = None
    """Makes the refusal of a prompt that is too long, of its tokens, of those asked for and of the window; `None` where
    it is cut without a word."""
    counts_output: bool = False
    """Whether the tokens that were asked for must fit the window too."""
    usage: bool = True
    """Whether a stream has usage where it was asked for."""
    usage_stands_alone: bool = True
    """Whether the chunk with the usage has no choices."""
    unfinished: str | None = None
    """The finish reason of what is not the end."""
    says_null: bool = True
    """Whether what is not the end has a finish reason at all."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those of an answer alone."""
    before: tuple[str, ...] = ()
    """Comments before the first event."""
    eol: str = "\n"
    done: bool = True
    """Whether `[DONE]` ends the stream."""
    chunk: Mapping[str, object] = field(default_factory=dict)
    """What else every chunk has."""
    last: Callable[[int], Mapping[str, object]] = lambda prompt_tokens: {}
    """Makes what else the last chunk has."""
    usage_of: Callable[[int], Mapping[str, object]] = lambda prompt_tokens: {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": 3,
        "total_tokens": prompt_tokens + 3,
    }

    def __call__(self, asked: Asked) -> Reply:
        body = asked.json
        if self.unnamed and not body.get("model"):
            return self.unnamed
        name = body.get("model") or self.models[0]
        if name not in self.models:
            if self.unknown:
                return self.unknown(name)
            name = self.models[0]
        counted, wanted = words(rendered(body.get("messages", ()))), body.get("max_tokens") or 0
        if self.window and counted + wanted * self.counts_output >= self.window:
            if self.overflow:
                return self.overflow(counted, wanted, self.window)
            counted = min(counted, self.window)
        if not body.get("stream"):
            return json_reply(self._whole(name, counted))._replace(headers=self.headers)
        wants_usage = (body.get("stream_options") or {}).get("include_usage")
        return self._stream(name, counted, wants_usage=bool(wants_usage))

    def cut_to(self, prompt_tokens: int) -> Due:
        """Return what answers any prompt, of which it read no more tokens than these."""
        return lambda asked: (
            self._stream(self.models[0], prompt_tokens, wants_usage=True)
            if asked.json.get("stream")
            else json_reply(self._whole(self.models[0], prompt_tokens))
        )

    def breaks_with(self, *events: dict[str, Any] | str | Broken) -> Reply:
        """Return a stream that fails after its first word: with these events, and without a finish reason."""
        return self._events([self._chunk(self.models[0], {"content": TEXT[0]}), *events])

    def _whole(self, name: str, counted: int) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": "".join(TEXT)}
        if self.reasoning == "<think>":
            message["content"] = f"<think>{THOUGHT}</think>{''.join(TEXT)}"
        elif self.reasoning:
            message[self.reasoning] = THOUGHT
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": CREATED,
            "model": name,
            **self.chunk,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": self.usage_of(counted),
            **self.last(counted),
        }

    def _stream(self, name: str, counted: int, *, wants_usage: bool) -> Reply:
        chunks = [self._chunk(name, delta) for delta in self._deltas()]
        chunks.append(self._chunk(name, {}, "stop"))
        if wants_usage and self.usage:
            alone: dict[str, str] | None = None if self.usage_stands_alone else {}
            chunks.append(self._chunk(name, alone) | {"usage": self.usage_of(counted)})
        chunks[-1] |= self.last(counted)
        return self._events([*chunks, *(["[DONE]"] if self.done else [])])

    def _deltas(self) -> Iterable[dict[str, str]]:
        yield {"role": "assistant", "content": ""}
        if self.reasoning == "<think>":
            # As tokens come: a tag in two pieces.
            yield from ({"content": piece} for piece in ("<thi", "nk>", THOUGHT, "</th", "ink>"))
        elif self.reasoning:
            yield {self.reasoning: THOUGHT}
        yield from ({"content": piece} for piece in TEXT)

    def _chunk(self, name: str, delta: Mapping[str, object] | None, finish: str | None = None) -> dict[str, object]:
        ending = {"finish_reason": finish or self.unfinished} if finish or self.says_null else {}
        choice = {"index": 0, "delta": delta, **ending}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": name,
            **self.chunk,
            "choices": [] if delta is None else [choice],
        }

    def _events(self, events: Iterable[dict[str, Any] | str | Broken]) -> Reply:
        written = (event(each, self.eol) if isinstance(each, dict | str) else each for each in events)
        return sse(*self.before, *written)._replace(headers=self.headers)


def event(data: Mapping[str, object] | str, eol: str = "\n", name: str = "") -> str:
    """Return one event of a stream."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{f'event: {name}{eol}' if name else ''}data: {text}{eol}{eol}"
