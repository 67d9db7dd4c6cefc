"""Every error that the router raises. A class says who can act.

LLMRouteError
├── UserError                 you: mend the call or the settings
│   ├── SettingsError             a settings file or variable does not read
│   ├── UnknownModel              the named model is on none of the servers
│   ├── UnknownService            no server has that name
│   ├── NoModelFile               the embedded backend has no GGUF file to run
│   └── MissingExtra              an optional package is not installed
├── PolicyRefusal             the rule: an address or a model that the policy forbids
├── CodeUnavailable           Serena, ty: code intelligence that is not there, or not yet; the question goes on without
├── EditRefused               the guard: a change of the project's files that was not made, or was taken back
├── PeerError                 the server: another one may do better
│   ├── Unreachable               refused, no route, no such name
│   ├── TimedOut                  silent for longer than a limit
│   ├── AuthenticationNeeded      it wants a key, or another one
│   ├── ModelNotFound             it does not have that model
│   ├── ModelLoading              alive, still reading the model
│   ├── ServerBusy                queue full, try later
│   ├── ContextOverflow           the prompt is longer than the served window
│   │   └── TruncatedContext          the server cut the prompt without a word: its answer is none
│   ├── OutOfMemory               the model does not fit
│   ├── BadRequest                it refuses something in the request; another may take it
│   ├── RefusedOption             it refuses an option of the user's: nobody else would take it either
│   ├── BrokenStream              the answer ended without its end
│   ├── EmptyAnswer               the answer ended without a word
│   └── ServerFailure             anything else it says
└── RouteFailed               nobody could answer; keeps every attempt
    └── TooLong                   the question alone fits no model's window

A message has three parts: what happened, the value, what to do now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_llmroute.core.events import Attempt


class LLMRouteError(Exception):
    """Base of all errors of this package; its text is meant to be shown as it is."""


class UserError(LLMRouteError):
    """The call or the settings must be mended; trying again as it is will fail again."""


class SettingsError(UserError):
    """A settings file, environment variable or argument does not read."""


class UnknownModel(UserError):
    """The model that was asked for by name is served by none of the known servers."""


class UnknownService(UserError):
    """The server that was asked for by name is not among the known ones."""


class CodeUnavailable(LLMRouteError):
    """Somebody who knows code cannot answer; the answer goes on without, and says so."""


class EditRefused(LLMRouteError):
    """A change of files was refused, or was made and taken back: every file is as it was, byte for byte."""


class NoModelFile(UserError):
    """The embedded backend has no GGUF file to run."""


class MissingExtra(UserError):
    """A package that this feature needs is not installed."""


class PolicyRefusal(LLMRouteError):
    """The policy forbids this address or this model; another candidate may be allowed."""

    may_fall_back = True


class PeerError(LLMRouteError):
    """A server failed; another candidate may be tried."""

    may_fall_back = True


class Unreachable(PeerError):
    """No connection: refused, no route, or the name does not resolve."""


class TimedOut(PeerError):
    """The server was silent for longer than one of the limits."""


class AuthenticationNeeded(PeerError):
    """The server wants a key, or does not accept the one it got."""


class ModelNotFound(PeerError):
    """The server does not have the model."""


class ModelLoading(PeerError):
    """The server is alive and still reads the model."""


class ServerBusy(PeerError):
    """The server's queue is full."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """Seconds to wait, as the server asks; `None` where it does not say."""


class ContextOverflow(PeerError):
    """The prompt is longer than the window that the server serves."""

    def __init__(self, message: str, *, prompt_tokens: int | None = None, context_window: int | None = None) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        """Tokens of the prompt as the server counted them; `None` where it did not say."""
        self.context_window = context_window
        """The served window in tokens; `None` where the server did not say."""


class TruncatedContext(ContextOverflow):
    """The server read less than what was sent, so its answer is not one to the whole question."""


class OutOfMemory(PeerError):
    """The model does not fit into the server's memory."""


class BadRequest(PeerError):
    """The server refuses something in the request, often what our own prompt does; another may take it.

    Such as a message of the system's, where its template has no place for one, or a field that it does not know.
    """


class RefusedOption(PeerError):
    """The server refuses an option that the user set, such as the temperature; no other would take it either."""

    may_fall_back = False


class BrokenStream(PeerError):
    """The answer stopped without its end: the connection was cut, or what came is not the protocol."""


class EmptyAnswer(PeerError):
    """The answer ended properly and held not one character."""


class ServerFailure(PeerError):
    """The server reports a failure of another kind."""


class RouteFailed(LLMRouteError):
    """No candidate could answer."""

    def __init__(self, message: str, attempts: tuple[Attempt, ...] = ()) -> None:
        super().__init__(message)
        self.attempts = attempts
        """What was tried, in order, each with its error; empty when no candidate was left to try."""


class TooLong(RouteFailed):
    """The question is longer than the window of every model that could answer; nobody was asked."""
