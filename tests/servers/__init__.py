"""Scripted servers of every product that is known, and of strangers: what each says, over a real socket.

    with PRODUCTS["ollama"].open("older", fault="silent_cut") as server:
        ...  # server.url, server.lines, server.spoilt

Each product has a file of its own, and a `Surface` in it.
"""

from __future__ import annotations

from . import koboldcpp, llamacpp, lmstudio, ollama, vllm
from .surface import KEY, TEXT, THOUGHT, WINDOW, Build, Chats, Surface, item, model_list, rendered, words

PRODUCTS: dict[str, Surface] = {
    "ollama": ollama.SURFACE,
    "lmstudio": lmstudio.SURFACE,
    "vllm": vllm.SURFACE,
    "llamacpp": llamacpp.SURFACE,
    "koboldcpp": koboldcpp.SURFACE,
}
"""By the name that each must be recognised as."""
BUILDS = [(name, build) for name, surface in PRODUCTS.items() for build in surface.builds]
"""Every build of every product."""
FAULTS = [(name, build, fault) for name, build in BUILDS for fault in PRODUCTS[name].faults(build)]
"""Every fault that any of them can show."""
__all__ = [
    "BUILDS",
    "FAULTS",
    "KEY",
    "PRODUCTS",
    "TEXT",
    "THOUGHT",
    "WINDOW",
    "Build",
    "Chats",
    "Surface",
    "item",
    "model_list",
    "rendered",
    "words",
]
