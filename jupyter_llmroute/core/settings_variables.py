"""The environment's variables: `LLMROUTE_SECTION__KEY` sets what the settings file calls `section.key`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection

from pydantic_settings import BaseSettings, EnvSettingsSource

from jupyter_llmroute.core.provenance import Key, Layer, Source
from jupyter_llmroute.core.settings_file import SettingsWarning

OTHER_VARIABLES = frozenset({"SETTINGS", "HOME"})
"""Of those that begin with `LLMROUTE_`, the ones that are no settings."""


def of_variables(settings: type[BaseSettings]) -> Layer:
    """Return what the environment says, and by which variables."""
    prefix = settings.model_config["env_prefix"]
    places: dict[Key, str] = {}
    for name, value in os.environ.items():
        if value and name.upper().startswith(prefix):
            places[tuple(name.lower()[len(prefix) :].split("__"))] = name
    return Layer(source=Source.VARIABLE, data=EnvSettingsSource(settings)(), places=places)


def warn_of_unknown_variables(sections: Collection[str]) -> None:
    """Warn of a misspelt variable: pydantic-settings passes over what it does not know."""
    known = {section.upper() for section in sections} | OTHER_VARIABLES
    for name in os.environ:
        if name.upper().startswith("LLMROUTE_"):
            section = name.upper().removeprefix("LLMROUTE_").partition("__")[0]
            if section not in known and not section.startswith("TEST_"):
                warnings.warn(
                    f"The variable {name} names no setting, and is passed over.", SettingsWarning, stacklevel=3
                )
