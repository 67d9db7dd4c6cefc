"""What IPython's own configuration says, in `ipython_config.py` or by `%config`."""

from __future__ import annotations

from traitlets import Dict, List, Unicode
from traitlets.config import Configurable


class LLMRoute(Configurable):  # type: ignore[misc]  # traitlets' classes are untyped here
    """Settings, and names of magics.

    `c.LLMRoute.settings = {"context": {"max_cells": 12}}` and `c.RouteMagics.settings` are the same; where both are
    said, the latter holds.
    """

    settings = Dict(
        help="Settings by section, as in the settings file, or by names with dots: {'context.max_cells': 12}. They win "
        "over file and environment; %llm_config wins over them."
    ).tag(config=True)
    aliases = List(
        Unicode(), default_value=["ask"], help="Further names of %%route. One that is some other magic's stays so."
    ).tag(config=True)

    @property
    def settings_place(self) -> str:
        """How the user said `settings`."""
        for name in ("RouteMagics", "LLMRoute"):
            if self.config.get(name, {}).get("settings") == self.settings:
                return f"c.{name}.settings"
        return "%config RouteMagics.settings"
