"""A notebook question goes to the right local model, and nothing leaves the allowed network.

In a notebook: ``%load_ext jupyter_llmroute``, then ``%%route`` above a question. In code:
``jupyter_llmroute.core.router.Router``. Importing this package reads no file and no environment, and opens no socket.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """Give an IPython shell the magics; what ``%load_ext jupyter_llmroute`` calls."""
    from jupyter_llmroute.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics back and close what they opened; what ``%unload_ext jupyter_llmroute`` calls."""
    from jupyter_llmroute.magics import unload

    unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "jupyter_llmroute.server"}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-llmroute"}]
