"""Where a command of the terminal works: the settings that hold in this folder, and a router that obeys them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.settings import Settings


def settings() -> Settings:
    """Return the settings of a user who works in this folder."""
    from jupyter_llmroute.core.settings import Settings
    from jupyter_llmroute.own_folders import own_folders

    return Settings.load(project=Path.cwd(), own=own_folders())


def router(found: Settings | None = None) -> Router:
    """Return a router that shares what it sees, learns and writes down with the user's kernels.

    Parameters
    ----------
    found
        Its settings; default: those of this folder.
    """
    from jupyter_llmroute.core.audit.journal import Journal
    from jupyter_llmroute.core.file_digests import digests
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.state import StateFile

    found = found or settings()
    journal = Journal.of(found.security, digests=digests(found.embedded))
    return Router(found, state=StateFile.of_user(), journal=journal)
