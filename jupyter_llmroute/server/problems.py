"""What our errors are in HTTP, and in OpenAI's words: one table for the panel and for the gateway."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from jupyter_llmroute.core import errors

INVALID = "invalid_request_error"
DENIED = "permission_error"
LIMITED = "rate_limit_error"
FAILED = "api_error"


class Kind(NamedTuple):
    """A status, and OpenAI's `type` and `code`."""

    status: int
    type: str
    code: str | None = None


KINDS: dict[type[Exception], Kind] = {
    errors.UnknownModel: Kind(404, INVALID, "model_not_found"),
    errors.UnknownService: Kind(404, INVALID, "service_not_found"),
    errors.SettingsError: Kind(503, FAILED, "settings_error"),
    errors.UserError: Kind(400, INVALID),
    errors.PolicyRefusal: Kind(403, DENIED, "policy_refusal"),
    errors.Unreachable: Kind(502, FAILED, "upstream_unreachable"),
    errors.TimedOut: Kind(504, FAILED, "timeout"),
    # The client's own key is right: what is wrong is the one of the settings.
    errors.AuthenticationNeeded: Kind(502, FAILED, "upstream_wants_key"),
    errors.ModelNotFound: Kind(404, INVALID, "model_not_found"),
    errors.ModelLoading: Kind(503, FAILED, "model_loading"),
    errors.ServerBusy: Kind(429, LIMITED, "server_busy"),
    errors.ContextOverflow: Kind(400, INVALID, "context_length_exceeded"),
    errors.OutOfMemory: Kind(503, FAILED, "out_of_memory"),
    errors.BadRequest: Kind(400, INVALID, "upstream_refused"),
    errors.RefusedOption: Kind(400, INVALID, "upstream_refused"),
    errors.BrokenStream: Kind(502, FAILED, "broken_stream"),
    errors.EmptyAnswer: Kind(502, FAILED, "empty_answer"),
    errors.PeerError: Kind(502, FAILED, "upstream_failed"),
    errors.TooLong: Kind(400, INVALID, "context_length_exceeded"),
    errors.RouteFailed: Kind(503, FAILED, "no_model"),
    errors.LLMRouteError: Kind(500, FAILED),
}
"""By class; of one that is not here, the nearest above it."""


def kind_of(error: BaseException) -> Kind:
    """Return what an error is.

    Where several were asked and all failed alike, it is their failure.

    Examples
    --------
    >>> kind_of(errors.TruncatedContext("cut")).code
    'context_length_exceeded'
    """
    if isinstance(error, errors.RouteFailed) and (common := _common(each.failure for each in error.attempts)):
        return _of_class(common)
    return _of_class(type(error))


def _common(failures: Iterable[str]) -> type[BaseException] | None:
    names = set(failures)
    if len(names) > 1:
        return errors.PeerError
    found = getattr(errors, names.pop(), None) if names else None
    return found if isinstance(found, type) and issubclass(found, errors.LLMRouteError) else None


def _of_class(error: type[BaseException]) -> Kind:
    return next((KINDS[each] for each in error.__mro__ if each in KINDS), Kind(500, FAILED))
