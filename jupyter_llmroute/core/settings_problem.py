"""What is told of settings that do not read: which key, what was said, and where."""

from __future__ import annotations

import re

from pydantic import ValidationError

from jupyter_llmroute.core.provenance import DEFAULT, Layer, Source, nearest_origin
from jupyter_llmroute.core.settings_file import SettingsFile

_SECRET = re.compile(r"(?<!\[)key|token(?!s)|secret|password", re.IGNORECASE)
"""Of names that may stand before a secret, misspelt ones included."""


def explained(error: ValidationError, file: SettingsFile | None, layers: tuple[Layer, ...]) -> str:
    """Return the message of a validation that failed.

    Parameters
    ----------
    error
        What the validation found.
    file
        The settings file, where there is one.
    layers
        What was said, by whom; the one that wins last.
    """
    named = [str(layer.origin(())) for layer in layers if layer.source in (Source.TRAITLETS, Source.SESSION)]
    places = [*([f"the settings file {str(file.path)!r}"] if file else []), *named, "a variable LLMROUTE_…"]
    where = " or ".join(filter(None, (", ".join(places[:-1]), places[-1])))
    lines, all_are_found = [], True
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "settings"
        # Only a plain value is quoted, and never a secret: a whole section may hold one.
        quotable = isinstance(problem["input"], str | int | float) and not _SECRET.search(f"{key} {problem['msg']}")
        origin = nearest_origin(layers, tuple(map(str, problem["loc"])))
        all_are_found = all_are_found and origin != DEFAULT
        lines.append(
            f"  {key}: {problem['msg']}"
            + (f", not {problem['input']!r}" if quotable else "")
            + (f" ({origin})" if origin != DEFAULT else "")
        )
    head = "A setting does not read:" if all_are_found else f"A setting does not read, in {where}:"
    return "\n".join((head, *lines))
