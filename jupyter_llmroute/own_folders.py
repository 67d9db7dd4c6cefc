"""Where this user's own configuration lies."""

from __future__ import annotations

from pathlib import Path


def own_folders() -> list[Path]:
    """Return the folders in which Jupyter keeps this user's own configuration."""
    from jupyter_core.paths import jupyter_config_dir

    return [Path(jupyter_config_dir())]
