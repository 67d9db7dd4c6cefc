"""`Settings`: everything that can be set, and how it is read.

One order of sources: defaults < settings file < environment (`LLMROUTE_…`) < arguments, which in a notebook are
traitlets < what `%llm_config` set.

`sections` and `service_settings` have the parts; `settings_file` has the file: where it is looked for, and what one
that came with a project may say; `settings_variables` has the environment; `settings_problem` tells what does not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.provenance import Layer, Source, merged
from jupyter_llmroute.core.sections import (
    CassetteSettings,
    ClassifierSettings,
    ContextSettings,
    DiscoverySettings,
    EmbeddedSettings,
    Limits,
    ModelSettings,
    SecuritySettings,
    SerenaSettings,
    TaskRouting,
    default_task_routing,
)
from jupyter_llmroute.core.service_settings import Services
from jupyter_llmroute.core.settings_file import find, read, without_endpoints
from jupyter_llmroute.core.settings_problem import explained
from jupyter_llmroute.core.settings_variables import of_variables, warn_of_unknown_variables
from jupyter_llmroute.core.task import Task

FILE = "_file"
"""The argument of `Settings` that carries what the settings file says; `Settings.load` fills it."""


class Settings(BaseSettings):
    """Everything that can be set, as it holds for one router.

    Examples
    --------
    >>> Settings(limits={"attempts": 1}).limits.attempts
    1
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="LLMROUTE_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        hide_input_in_errors=True,  # it may be a key
    )

    version: str | int | float | None = Field(None, description="of the file's format; read and kept")
    environment: str | None = Field(None, description="`air-gapped` refuses to combine with `security.allow_external`")
    services: Services = Services()
    task_routing: dict[Task, TaskRouting] = Field(default_factory=default_task_routing)
    serena: SerenaSettings = SerenaSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    context: ContextSettings = ContextSettings()
    limits: Limits = Limits()
    discovery: DiscoverySettings = DiscoverySettings()
    models: ModelSettings = ModelSettings()
    security: SecuritySettings = SecuritySettings()
    cassette: CassetteSettings = CassetteSettings()
    route: dict[str, str | int | float | bool | None] = Field(
        default_factory=dict,
        description="options of `%%route` that hold where a question does not say otherwise, such as "
        "`{model: phi4, temperature: 0.2}`; of `jupyter-llmroute route` too, where it has them",
    )
    callers: dict[str, dict[str, str | int | float | bool | None]] = Field(
        default_factory=dict,
        description="the same, for what a coding tool asks, by its name as `doctor` and the audit log tell it: "
        "`{aider: {task: coding}}`",
    )

    @field_validator("route")
    @classmethod
    def _spell_with_underscores(cls, options: dict[str, Any]) -> dict[str, Any]:
        return {name.replace("-", "_"): value for name, value in options.items()}

    @field_validator("callers")
    @classmethod
    def _spell_callers_with_underscores(cls, callers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: cls._spell_with_underscores(options) for name, options in callers.items()}

    def options_for(self, caller: str | None) -> dict[str, str | int | float | bool | None]:
        """Return the options that hold where a question does not say otherwise.

        Parameters
        ----------
        caller
            The coding tool that asks; `None`: nobody knows.
        """
        return self.route | self.callers.get(caller or "", {})

    @field_validator("task_routing", mode="before")
    @classmethod
    def _keep_defaults_of_unnamed(cls, given: Any) -> Any:
        """Lay what the user says of a task over that task's defaults."""
        if not isinstance(given, Mapping):
            return given
        merged: dict[Any, Any] = {task.value: routing.model_dump() for task, routing in default_task_routing().items()}
        for task, routing in given.items():
            laid = routing.model_dump() if isinstance(routing, TaskRouting) else routing
            merged[str(task)] = merged.get(str(task), {}) | laid if isinstance(laid, Mapping) else laid
        return merged

    @model_validator(mode="after")
    def _air_gap_is_closed(self) -> Settings:
        if self.environment == "air-gapped" and self.security.allow_external:
            raise ValueError("environment 'air-gapped' and security.allow_external true contradict each other")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the one that wins first."""
        arguments = dict(init_settings())
        file = InitSettingsSource(settings_cls, init_kwargs=arguments.pop(FILE, {}))
        return InitSettingsSource(settings_cls, init_kwargs=arguments), env_settings, file

    @classmethod
    def load(cls, *, project: Path | None = None, own: Iterable[Path] = (), **arguments: Any) -> Settings:
        """Read the settings of a user who works in the folder `project`.

        Parameters
        ----------
        project
            The notebook's folder; it and the root of its project are looked through. `None` looks at neither.
        own
            The user's own configuration folders, looked through first.
        arguments
            Sections or parts of them, as dictionaries; they win over file and environment.

        Raises
        ------
        SettingsError
            A file or a variable does not read; the message names the key and the file.
        """
        layers = [Layer(source=Source.ARGUMENT, data=arguments)] if arguments else []
        return cls.loaded(project=project, own=own, layers=layers).settings

    @classmethod
    def loaded(cls, *, project: Path | None = None, own: Iterable[Path] = (), layers: Iterable[Layer] = ()) -> Loaded:
        """Read the settings, and tell where each comes from.

        Parameters
        ----------
        project, own
            As of `load`.
        layers
            What wins over file and environment, the one that wins over the others last.

        Raises
        ------
        SettingsError
            Something does not read; the message names the key and where it is said.
        """
        file, layers = find(project, own), tuple(layers)
        arguments = merged(layer.data for layer in layers)
        warn_of_unknown_variables(cls.model_fields)
        told = layers
        try:
            told = (of_variables(cls), *layers)
            data = read(file, tuple(cls.model_fields)) if file else {}
            if file:
                told = (Layer(source=Source.FILE, data=data, places={(): str(file.path)}), *told)
            if file and not file.is_own:
                keyed = [name for name, service in cls(**arguments).services.by_name.items() if service.api_key]
                data = without_endpoints(data, keyed, file)
                told = (told[0].model_copy(update={"data": data}), *told[1:])
            return Loaded(cls(**{**arguments, FILE: data}), told)
        except ValidationError as error:
            raise SettingsError(explained(error, file, told)) from None
        except UnreadableVariable as error:
            raise SettingsError(f"A variable LLMROUTE_… does not read: {error}; it takes JSON.") from None


class Loaded(NamedTuple):
    """Settings, and where they come from."""

    settings: Settings
    layers: tuple[Layer, ...]
    """What was said, by whom; the one that wins last."""
