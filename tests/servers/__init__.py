"""Scripted servers of every product that is known, and of strangers: what each says, over a real socket.

    with PRODUCTS["ollama"].open("older", fault="silent_cut") as server:
        ...  # server.url, server.lines, server.spoilt

Each product has a file of its own, and a `Surface` in it.
"""

from __future__ import annotations

from . import (
    docker_model_runner,
    gpt4all,
    jan,
    koboldcpp,
    lemonade,
    litellm,
    llama_swap,
    llamacpp,
    llamafile,
    lmstudio,
    localai,
    mlx_lm,
    ollama,
    openwebui,
    ray_serve,
    sglang,
    textgen,
    vllm,
)
from .strangers import STRANGERS
from .surface import KEY, TEXT, THOUGHT, WINDOW, Build, Chats, Surface, item, model_list, rendered, words

PRODUCTS: dict[str, Surface] = {
    "ollama": ollama.SURFACE,
    "lmstudio": lmstudio.SURFACE,
    "jan": jan.SURFACE,
    "openwebui": openwebui.SURFACE,
    "localai": localai.SURFACE,
    "vllm": vllm.SURFACE,
    "llamacpp": llamacpp.SURFACE,
    "koboldcpp": koboldcpp.SURFACE,
    "gpt4all": gpt4all.SURFACE,
    "textgen": textgen.SURFACE,
    "sglang": sglang.SURFACE,
    "mlx_lm": mlx_lm.SURFACE,
    "lemonade": lemonade.SURFACE,
    "docker": docker_model_runner.SURFACE,
    "llama_swap": llama_swap.SURFACE,
    "llamafile": llamafile.SURFACE,
    "litellm": litellm.SURFACE,
    "ray_serve": ray_serve.SURFACE,
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
    "STRANGERS",
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
