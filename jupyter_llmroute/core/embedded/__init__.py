"""The built-in llama.cpp server: a process of its own for each model, on this machine's loopback.

`model` finds GGUF files and fetches the demonstration model, `gguf` reads what a file says of itself, `process` finds
or starts the server of a model, `server` is that process, and `rendezvous` names the files through which they meet.
The names below are imported when they are first used: the server's process needs none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_llmroute.core.embedded.gguf import Header, read_header
    from jupyter_llmroute.core.embedded.model import DEMO, Demo, fetch_demo, find_models, models_folder
    from jupyter_llmroute.core.embedded.process import EmbeddedBackend, Running, is_installed

_HOMES = {
    "DEMO": "model",
    "Demo": "model",
    "EmbeddedBackend": "process",
    "Header": "gguf",
    "Running": "process",
    "fetch_demo": "model",
    "find_models": "model",
    "is_installed": "process",
    "models_folder": "model",
    "read_header": "gguf",
}

__all__ = [
    "DEMO",
    "Demo",
    "EmbeddedBackend",
    "Header",
    "Running",
    "fetch_demo",
    "find_models",
    "is_installed",
    "models_folder",
    "read_header",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
