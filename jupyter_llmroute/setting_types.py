"""The types of the settings, by their keys."""

from __future__ import annotations

from inspect import isclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from jupyter_llmroute.core.provenance import Key
from jupyter_llmroute.core.service_settings import Services, ServiceSettings
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.task import Task


def annotation_of(key: Key) -> Any:
    """Return the type of a setting or of a section; `None` where there is none of that name."""
    found: Any = Settings
    for name in key:
        found = _within(found, name)
    return found


def _within(kind: Any, name: str) -> Any:
    if isclass(kind) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(name)
        return field.annotation if field else ServiceSettings if kind is Services else None
    if is_list(kind):
        return get_args(kind)[0] if name.isdigit() else None
    if get_origin(kind) is dict:
        names, values = get_args(kind)
        return values if names is not Task or name in tuple(Task) else None
    return None


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def is_text(annotation: Any) -> bool:
    """Whether a setting of this type is text."""
    return any(part in (str, SecretStr, Path) for part in _parts(annotation))


def is_list(annotation: Any) -> bool:
    """Whether a setting of this type holds several values."""
    return get_origin(annotation) is tuple
