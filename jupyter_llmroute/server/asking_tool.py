"""The tool that asks through the gateway: its name stands in the audit log, and settings may hold options for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.request import Request, Sampling
from jupyter_llmroute.core.user_agent import tool_of

WHERE = {
    "model": ("model",),
    "service": ("service",),
    "task": ("task",),
    "temperature": ("sampling", "temperature"),
    "max_tokens": ("sampling", "max_tokens"),
    "seed": ("sampling", "seed"),
    "timeout": ("timeout_s",),
}
"""Options of `callers.TOOL` that mean something for a chat that the tool laid out itself → where a request has them."""

OF_A_MODEL = frozenset({"model", "service"})
"""What a request that names a model or a server itself takes nothing of."""


def by_tool(request: Request, user_agent: str, callers: Mapping[str, Mapping[str, Any]]) -> Request:
    """Return a request with the name of the tool that sends it, and what the settings say for that tool.

    Parameters
    ----------
    request
        As the tool put it: what it says itself holds.
    user_agent
        What it names itself by.
    callers
        Of the settings.

    Raises
    ------
    SettingsError
        They say for this tool what no request can have.
    """
    tool = tool_of(user_agent)
    given: dict[str, Any] = {"caller": tool}
    sampling: dict[str, Any] = {}
    for name, value in callers.get(tool, {}).items():
        if name not in WHERE or (name in OF_A_MODEL and (request.model or request.service)):
            continue
        *inside, last = WHERE[name]
        of, into = (request.sampling, sampling) if inside else (request, given)
        if getattr(of, last) is None:
            into[last] = value
    try:
        if sampling:
            given["sampling"] = Sampling(**request.sampling.model_dump(exclude_none=True), **sampling)
        return Request(**{name: getattr(request, name) for name in request.model_fields_set} | given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = next(option for option, place in WHERE.items() if place[-1] == problem["loc"][-1])
        raise SettingsError(f"callers.{tool}.{name}: {problem['msg']}, not {problem['input']!r}.") from None
