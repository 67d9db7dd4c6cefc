"""Dialects: how to recognise a server, list its models, and chat with it.

A provider is found by the entry points of `jupyter_llmroute.providers_v1`, the built-in ones too; a third party adds
one by naming a class there. One that does not load is named in a warning and does not stop the others.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Mapping
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol, runtime_checkable

import httpx
from pydantic import Field

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.message import ToolCall
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.prompt import Message
from jupyter_llmroute.core.request import Format, Sampling
from jupyter_llmroute.core.values import Value

GROUP = "jupyter_llmroute.providers_v1"


class Chat(Value):
    """What is sent to a model."""

    model: ServedModel
    messages: tuple[Message, ...]
    sampling: Sampling
    prompt_tokens: int
    """Estimated, or counted by the server where it was asked."""
    window: int | None = None
    """Tokens of the window to be served, for a server that can be told; `None` leaves it to the server."""
    room_tokens: int = 1024
    """Tokens of the window that the prompt leaves for the answer."""
    format: Format = Format.MARKDOWN
    """The form of the answer; a server that can is held to JSON where that is it."""
    passed: Mapping[str, Any] = Field(default_factory=dict)
    """Further keys of the OpenAI dialect's body; a dialect that cannot take one refuses the chat."""
    options: tuple[str, ...] = ()
    """The answer is to be one of these words, and nobody waits for a model to be loaded; empty: it is free."""

    @property
    def window_is_known(self) -> bool:
        """Whether there is a window that is certain, so that `room_tokens` is what remains of it."""
        return bool(self.window or self.model.context_window) and not self.model.window_is_assumed


class Counted(NamedTuple):
    """The tokens of a prompt, as a server counted them."""

    tokens: int
    is_exact: bool = True
    """Whether it counted the whole prompt; not where it counted the text, and the template was estimated."""


class Chunk(Value):
    """One piece of an answer, as it arrived; a field that is not set says nothing."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    answered_by: str | None = None
    usage: Usage | None = None
    likely: Mapping[str, float] | None = None
    """The likeliest tokens of one place with their log-probabilities, where a chat with options asked for them."""


@runtime_checkable
class Provider(Protocol):
    """One dialect."""

    name: str
    default_urls: tuple[str, ...]
    """Where such servers listen unless they are told otherwise."""
    named_urls: tuple[str, ...]
    """Where the user's own variables say that one listens: looked at instead, and shown even when nothing answers."""
    marks: tuple[str, ...]
    """Paths that `recognise` may ask for besides `/v1/models`. Who needs fewest is asked first."""
    cuts_silently: bool
    """Whether such a server may cut a prompt that is too long without a word: then its window is never left open."""

    async def recognise(self, probe: Probe) -> bool:
        """Whether the server behind `probe` says that it is one of this kind; its port says nothing."""

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return what the server serves, chat models and others.

        Raises
        ------
        PeerError
            The list cannot be had; `AuthenticationNeeded` where a key is wanted, `ModelLoading` while it loads.
        """

    def chat(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> AsyncGenerator[Chunk, None]:
        """Send a chat and give its answer as it comes. Closing the iterator ends the server's work.

        Raises
        ------
        PeerError
            As the server, or the connection to it, failed; before or after the first chunk.
        """


@runtime_checkable
class TokenCounter(Protocol):
    """A dialect whose servers count a prompt's tokens without answering it."""

    async def count(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> Counted | None:
        """Return the tokens of the prompt as the server counts them; `None` where it will not.

        Raises
        ------
        PeerError
            The connection failed.
        """


@runtime_checkable
class WindowChooser(Protocol):
    """A dialect whose requests say how large a window the server is to give them."""

    def window_for(self, model: ServedModel, needed_tokens: int) -> int | None:
        """Return the window to ask for, in tokens, for a prompt and its answer; `None` leaves it to the server."""


def load_providers() -> dict[str, Provider]:
    """Return every installed dialect by its name."""
    providers: dict[str, Provider] = {}
    for entry in entry_points(group=GROUP):
        try:
            provider = entry.load()()
            if not isinstance(provider, Provider):
                raise TypeError("it lacks a part of jupyter_llmroute.core.providers.Provider")
        except Exception as error:  # a third party's code: whatever it raises must not stop the rest
            warnings.warn(f"The provider {entry.name!r} ({entry.value}) does not load: {error!r}", stacklevel=2)
            continue
        providers[entry.name] = provider
    return providers
