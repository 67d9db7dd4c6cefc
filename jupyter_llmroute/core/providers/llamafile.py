"""llamafile: a model and an early llama.cpp in one file.

Facts: the 2025 build of Mozilla-Ocho/llamafile. It cuts a prompt that is too long, as llama.cpp's server of that time
did (examples/server/server.cpp, "input truncated"). One that says it is llama.cpp is taken for it.
"""

from __future__ import annotations

from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers.llamacpp import LlamaCpp
from jupyter_llmroute.core.providers.signs import owners


class Llamafile(LlamaCpp):
    """One model a server."""

    name = "llamafile"
    default_urls = ("http://127.0.0.1:8080",)
    named_urls = ()
    marks = ()
    cuts_silently = True

    async def recognise(self, probe: Probe) -> bool:
        """Whether it owns the models of its list."""
        return owners(await probe.get(self.models_path)) == {self.name}
