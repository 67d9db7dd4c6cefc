"""What Ollama tells of its models: `/api/tags`, `/api/ps` and `/api/show`, read. Answers in, models out, no I/O.

Facts: server/routes.go and api/types.go of ollama/ollama.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import ValidationError

from jupyter_llmroute.core.endpoint import ServedModel, Size, size
from jupyter_llmroute.core.probe import Answer
from jupyter_llmroute.core.providers.signs import cloud_sign, parameters
from jupyter_llmroute.core.values import Answered

_Entry = TypeVar("_Entry", bound=Answered)

WANTED_WINDOW = 8192
"""Tokens to ask for when a model is not in memory yet and brings no wish of its own: Ollama's own default is 4096 on
most machines."""

WINDOWS = (8192, 16384, 32768, 65536, 131072, 262144)
"""What is asked for when more is needed. Few sizes, because each change of size loads the model again."""

EMBEDDING_FAMILY = "bert"
"""Builds that list no capabilities tell an embedding model by a family such as `nomic-bert` alone."""

CAPABILITIES = frozenset({"tools", "vision", "thinking", "insert"})
"""Ollama's words that are ours too."""

_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,12})\s*$", re.MULTILINE)


class Details(Answered):
    """What `/api/tags` tells of a model's file."""

    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None
    context_length: Size = None


class Listed(Answered):
    """One entry of `/api/tags`; older builds leave out the window, and what a model can."""

    name: str
    size: int | None = None
    digest: str | None = None
    details: Details | None = None
    capabilities: tuple[str, ...] | None = None
    remote_host: str | None = None
    remote_model: str | None = None

    @property
    def lacks(self) -> bool:
        """Whether `/api/show` may tell more."""
        return self.capabilities is None or self.details is None or self.details.context_length is None


class Running(Answered):
    """One entry of `/api/ps`."""

    name: str
    context_length: Size = None
    """The window that was really allocated."""


class Shown(Answered):
    """What `/api/show` tells of one model."""

    capabilities: tuple[str, ...] | None = None
    model_info: dict[str, Any] | None = None
    parameters: str | None = None
    """Those of the Modelfile, as text: a name and a value in each line."""
    remote_host: str | None = None
    remote_model: str | None = None

    @property
    def trained_window(self) -> int | None:
        """What the model was trained for; the name of the field has the architecture's in it."""
        info = self.model_info or {}
        return size(info.get(f"{info.get('general.architecture')}.context_length"))

    @property
    def wanted_window(self) -> int | None:
        """What the Modelfile asks for."""
        found = _NUM_CTX.findall(self.parameters or "")
        return size(int(found[-1])) if found else None


def entries(answer: Answer, kind: type[_Entry]) -> list[_Entry]:
    """Return the entries of a list of models; none where the answer is no such list."""
    body = answer.json if answer.status == 200 else None
    items = body.get("models") if isinstance(body, dict) else None
    found = []
    for item in items if isinstance(items, list) else ():
        try:
            found.append(kind.model_validate(item))
        except ValidationError:
            continue  # one odd entry must not hide the others
    return found


def shown(answer: Answer) -> Shown:
    """Return what `/api/show` answered; nothing where it did not."""
    try:
        return Shown.model_validate(answer.json if answer.status == 200 else {})
    except ValidationError:
        return Shown()


def served(item: Listed, running: Running | None, known: Shown) -> ServedModel:
    """Put together what the three lists tell of one model."""
    details = item.details or Details()
    capabilities = known.capabilities if item.capabilities is None else item.capabilities
    trained = details.context_length or known.trained_window
    wanted = known.wanted_window or WANTED_WINDOW
    allocated = running.context_length if running else None
    return ServedModel(
        id=item.name,
        context_window=allocated or min(wanted, trained or wanted),
        window_limit=trained,
        trained_window=trained,
        size_bytes=item.size,
        parameters=parameters(details.parameter_size),
        quantisation=details.quantization_level,
        family=details.family,
        digest=item.digest,
        capabilities=CAPABILITIES.intersection(capabilities or ()),
        loaded=running is not None,
        chat="completion" in capabilities if capabilities else EMBEDDING_FAMILY not in (details.family or ""),
        remote=remote_sign(item) or remote_sign(known),
    )


def remote_sign(told: Listed | Shown) -> str | None:
    """Return the sign that a model runs on another machine."""
    if told.remote_host or told.remote_model:
        return f"remote host {told.remote_host or told.remote_model!r}"
    return cloud_sign(told.name) if isinstance(told, Listed) else None


def served_window(needed_tokens: int, allocated: int | None, trained: int | None) -> int:
    """Return the window to ask for: the one there is if it suffices, else the next of `WINDOWS` that does.

    Parameters
    ----------
    needed_tokens
        Of prompt and answer together.
    allocated
        Tokens of the window that the model has in memory, or gets anyway.
    trained
        What is never exceeded, in tokens; `None` where that is not known.

    Examples
    --------
    >>> served_window(3000, 4096, 40960), served_window(9000, 4096, 40960), served_window(39000, 4096, 40960)
    (4096, 16384, 40960)
    """
    if allocated and allocated >= needed_tokens:
        return allocated
    holding = next((window for window in WINDOWS if window >= needed_tokens), WINDOWS[-1])
    return max(min(holding, trained or holding), allocated or 0)
