"""The words behind `%llm_config`: `KEY` names a setting, `KEY=VALUE` sets it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.provenance import Key
from jupyter_llmroute.setting_types import annotation_of, is_list, is_text

ROUTE = "route"
"""The section of the options of `%%route`."""

_ASSIGNMENT = re.compile(r"([\w.-]+)=(.*)", re.DOTALL)
_NOTHING = frozenset(("", "null", "~"))
_CLOSERS = {"[": "]", "{": "}"}


def joined(words: Iterable[str]) -> Iterator[str]:
    """Yield words, and as one those of a value that goes on behind a blank."""
    whole = ""
    for word in words:
        whole = f"{whole} {word}" if whole else word
        if not _is_open(_unquoted(whole).partition("=")[2]):
            yield _unquoted(whole)
            whole = ""
    if whole:
        yield whole


def _is_open(text: str) -> bool:
    is_quoted = text[:1] in ("'", '"') and (len(text) == 1 or text[-1] != text[0])
    return is_quoted or any(text.count(opener) > text.count(closer) for opener, closer in _CLOSERS.items())


def read(word: str) -> tuple[Key, str | None]:
    """Return the key that a word names, and the text of the value that it sets."""
    found = _ASSIGNMENT.fullmatch(word)
    name, text = (found[1], found[2]) if found else (word, None)
    first, *rest = name.split(".")
    if first == ROUTE:
        rest = [part.replace("-", "_") for part in rest]
    return (first, *rest), text


def value_of(key: Key, text: str) -> Any:
    """Return what a text stands for: what is text in the end is taken as it is written, the rest as in YAML."""
    plain, annotation = _unquoted(text), None if key[0] == ROUTE else annotation_of(key)
    if (key[0] == ROUTE and len(key) == 2) or is_text(annotation):
        return None if plain in _NOTHING else plain
    import yaml

    try:
        value = yaml.safe_load(plain)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SettingsError(f"The value of {'.'.join(key)!r} is not YAML: write it as in the settings file.") from None
    if is_list(annotation) and not isinstance(value, list):
        return [part.strip() for part in plain.split(",") if part.strip()] if value is not None else []
    return value


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
