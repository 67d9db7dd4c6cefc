"""Downloads, where the settings say that there is no way out: pip asks a package index past the policy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jupyter_llmroute.core.errors import PolicyRefusal

AIR_GAPPED = "air-gapped"

_OFF = {"", "0", "false", "no", "off"}


def refuse_download(what: str, instead: str, environment: str | None, environ: Mapping[str, str] = os.environ) -> None:
    """Do nothing where pip may be asked for a download.

    Parameters
    ----------
    what
        Is to be downloaded.
    instead
        What to do where it may not be.
    environment
        The setting of that name.
    environ
        Variables; with `PIP_NO_INDEX`, and a folder in `PIP_FIND_LINKS`, pip asks nobody.

    Raises
    ------
    PolicyRefusal
        The environment is air-gapped, and pip would ask a package index.
    """
    asks_nobody = (
        environ.get("PIP_NO_INDEX", "").lower() not in _OFF and Path(environ.get("PIP_FIND_LINKS", "")).is_dir()
    )
    if environment == AIR_GAPPED and not asks_nobody:
        raise PolicyRefusal(
            f"{what} is not downloaded, for the settings say environment: {AIR_GAPPED!r}, and pip would ask a package "
            f"index, which no policy of this package judges: {instead}, or set PIP_NO_INDEX=1 and PIP_FIND_LINKS to a "
            f"folder of wheels."
        )
