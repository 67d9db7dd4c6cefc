"""The Jupyter server extension. It registers; its handlers have an issue of their own, and none is there yet."""

from __future__ import annotations

from typing import Any


def _load_jupyter_server_extension(server: Any) -> None:
    """Say that the extension is there; called by the Jupyter server."""
    from jupyter_llmroute import __version__

    server.log.info("jupyter_llmroute %s is installed", __version__)
