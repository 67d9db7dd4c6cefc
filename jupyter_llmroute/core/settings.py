"""`Settings` and its parts.

One order of sources: defaults < settings file < environment (`LLMROUTE_…`) < arguments, which in a notebook are
traitlets < what `%llm_config` set.

`settings_file` has the file: where it is looked for, and what one that came with a project may say.
"""

from __future__ import annotations

import ipaddress
import os
import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableVariable

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.provenance import DEFAULT, Key, Layer, Source, merged, nearest_origin
from jupyter_llmroute.core.settings_file import SettingsFile, SettingsWarning, find, read, without_endpoints
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

_SECRET = re.compile(r"(?<!\[)key|token(?!s)|secret|password", re.IGNORECASE)
"""Of names that may stand before a secret, misspelt ones included."""

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")

OTHER_VARIABLES = frozenset({"SETTINGS", "HOME"})
"""Of those that begin with `LLMROUTE_`, the ones that are no settings."""

FILE = "_file"
"""The argument of `Settings` that carries what the settings file says; `Settings.load` fills it."""


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


class ServiceSettings(Value):
    """One known server."""

    enabled: bool = Field(True, description="look for this server and use it")
    endpoint: str | None = Field(
        None, description="its base URL; unset: where such a server listens by default, on this machine"
    )
    priority: int = Field(
        5,
        description="lower is preferred where two servers are otherwise equal; by default 1 to 3 for `ollama`, "
        "`lmstudio` and `jan`, 0 for custom endpoints",
    )
    timeout: int = Field(30_000, gt=0, description="milliseconds of silence within an answer before it counts as dead")
    api_style: str | None = Field(
        None, description="dialect, such as `ollama`, `vllm` or `openai`; unset: found by asking"
    )
    api_key: SecretStr | None = Field(None, description="sent to `endpoint` alone, never in a scan")
    max_retries: int = Field(
        3, ge=0, description="how often the same model is asked again after a passing failure, when nobody else is left"
    )
    context_window: int | None = Field(
        None, ge=512, description="tokens that it serves, where it does not tell; unset: 4096 is assumed"
    )
    models_are_local: bool = Field(
        False, description="of a gateway: you vouch that what is behind it is inside the allowed network"
    )

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str | None) -> str | None:
        """Read `HOST:PORT` as what is meant. Addresses are shown and saved; a key is not."""
        if endpoint and "://" not in endpoint:
            endpoint = f"http://{endpoint}"
        if endpoint and "@" in endpoint.partition("://")[2].partition("/")[0]:
            raise ValueError("an address must not hold a name or a password: use api_key")
        return endpoint


class CustomEndpoint(ServiceSettings):
    """A server of the user's own, with its own paths where they differ."""

    name: str = Field(description="what you call it; custom endpoints take the settings of a service too")
    endpoint: str
    priority: int = 0
    health_path: str | None = Field(None, description="path that answers with a status below 400 when it is well")
    models_path: str | None = Field(None, description="path of the model list, from the endpoint")
    chat_path: str | None = Field(None, description="path of chat completions, from the endpoint")


def _known_services() -> dict[str, ServiceSettings]:
    return {name: ServiceSettings(priority=rank) for rank, name in enumerate(("ollama", "lmstudio", "jan"), start=1)}


class Services(Value):
    """Known servers by name, and custom ones."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, ServiceSettings]

    custom_endpoints: tuple[CustomEndpoint, ...] = Field(
        (), description="servers of your own, each with its `name` and its `endpoint`"
    )

    @property
    def by_name(self) -> dict[str, ServiceSettings]:
        """Settings of each known server; what the user does not mention of one has that server's default."""
        known = _known_services()
        given = {
            name: service
            if "priority" in service.model_fields_set or name not in known
            else service.model_copy(update={"priority": known[name].priority})
            for name, service in (self.__pydantic_extra__ or {}).items()
        }
        return known | given


class TaskRouting(Value):
    """The user's own order of models for one task."""

    primary_models: tuple[str, ...] = Field((), description="tried first, in this order")
    fallback_models: tuple[str, ...] = Field((), description="tried next, in this order")
    min_context: int = Field(
        8192, gt=0, description="models that serve fewer tokens lose 10 points; 16384 for reasoning and analysis"
    )
    require_serena: bool = Field(
        False, description="look into the project's code whatever the question's words are; true for analysis"
    )


def _default_task_routing() -> dict[Task, TaskRouting]:
    return {
        Task.CODING: TaskRouting(),
        Task.REASONING: TaskRouting(min_context=16384),
        Task.ANALYSIS: TaskRouting(min_context=16384, require_serena=True),
        Task.DOCUMENTATION: TaskRouting(),
    }


class ClassifierSettings(Value):
    """How the task of a question is told."""

    arbiter: bool = Field(
        False, description="where two tasks are nearly as likely, ask the smallest model in memory which of them it is"
    )
    arbiter_limit_s: float = Field(0.3, gt=0, le=10, description="seconds that it may take, connecting included")
    arbiter_worth: float | None = Field(
        None,
        ge=0.5,
        lt=1,
        description="how often it is right, as `tests/bench/arbiter.py` measures it; unset: 0.6, and models of less "
        "than a billion parameters are not asked",
    )


class EmbeddedSettings(Value):
    """The built-in llama.cpp server."""

    enabled: bool = Field(True, description="offer the embedded server's models")
    model_path: Path | None = Field(
        None, description="a GGUF file, or a folder of them; unset: the demonstration model"
    )
    context_window: int = Field(8192, ge=512, description="tokens served; never more than the model was trained for")
    threads: int | None = Field(None, ge=1, description="unset: one less than the cores")
    idle_timeout_s: float = Field(900, gt=0, description="seconds without a question after which the server stops")
    cache_reuse_tokens: int = Field(
        64, ge=0, description="pieces of so many tokens that only moved in a prompt are not read again; 0: all are"
    )

    @field_validator("model_path")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return path and Path(os.path.expandvars(path)).expanduser()


class ContextSettings(Value):
    """What of the notebook goes along with a question."""

    max_cells: int = Field(
        8, ge=0, description="earlier cells that go along, those first whose names the question needs, then the newest"
    )
    max_cell_chars: int = Field(4000, gt=0, description="a longer cell or output is cut in its middle, with a mark")
    max_turns: int = Field(1000, ge=0, description="earlier questions and answers that go along, newest first")
    reserve_tokens: int = Field(1024, gt=0, description="tokens of the window kept free for the answer")
    compaction_threshold: float = Field(
        0.8, gt=0, le=1, description="share of the prompt's room above which the conversation is shortened"
    )
    compaction_target: float = Field(0.5, gt=0, le=1, description="share to which it is shortened")
    preserve_recent_messages: int = Field(
        10, ge=0, description="newest questions and answers that are kept whole as long as that suffices"
    )
    preserve_recent_tool_calls: int = Field(5, ge=0, description="newest outputs of cells that are kept whole likewise")
    summaries: Literal["extract", "model"] = Field(
        "extract",
        description="what is kept of an earlier answer that no longer fits: its ends, or a sentence that a model is "
        "asked for",
    )
    max_tool_output_tokens: int = Field(
        500, gt=0, description="of a longer output, when the conversation is shortened, head and tail are kept"
    )


class Limits(Value):
    """Time limits, in seconds, and how many servers may be tried for one question."""

    connect_s: float = Field(5, gt=0, description="seconds to connect")
    first_token_s: float = Field(600, gt=0, description="seconds from sending to the first token, loading included")
    total_s: float = Field(1800, gt=0, description="seconds for one question, all attempts together")
    attempts: int = Field(6, ge=1, description="attempts for one question, retries included")
    patience_s: float = Field(
        30, gt=0, description="an answer that takes so long costs a model 12 points, three times as long 24"
    )
    breaker_failures: int = Field(
        3, ge=1, description="failures in a row after which a server is left alone for a while"
    )
    breaker_s: float = Field(30, gt=0, description="seconds of that while; it doubles each time, up to 10 minutes")
    scan_s: float = Field(1.5, gt=0, description="seconds to wait for each server when looking for them")
    rescan_s: float = Field(30, ge=0, description="seconds that a look around stays valid")


class DiscoverySettings(Value):
    """Where else servers are looked for."""

    default_ports: bool = Field(
        True, description="look at the default ports of all servers; `false`: only at what is named"
    )
    hosts: tuple[str, ...] = Field(
        (), description="other machines on whose default ports is looked too: names or addresses, without port"
    )
    host_machine: bool = Field(
        True, description="in WSL or in a container: look at the machine around it, where its name or address is known"
    )

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host) and not _is_address(host):
                raise ValueError("a host is a name or an address alone, without scheme, port or network")
        return hosts


class ModelSettings(Value):
    """What of the models may be used, and what the user knows about them."""

    excluded: tuple[str, ...] = Field((), description="names of models that are never asked")
    memory_gb: float | None = Field(
        None, gt=0, description="memory that models on this machine may take; unset: what the machine has"
    )
    catalog: tuple[dict[str, Any], ...] = Field(
        (), description="models to add to the catalog, or fields of known ones to override, each with its `id`"
    )


class CassetteSettings(Value):
    """Answers that are kept beside the notebook, and given again without any server."""

    mode: Literal["off", "none", "once", "new_episodes", "all"] = Field(
        "off",
        description="off: nothing is kept; none: what was kept is given, and nobody is asked; once: the same, unless "
        "nothing was kept yet; new_episodes: what was not kept is asked for; all: everything is",
    )
    file: Path | None = Field(None, description="where; unset: NOTEBOOK.cassette.json beside the notebook")
    paced: bool = Field(True, description="what was kept comes as slowly as it came then; `false`: at once")


class SecuritySettings(Value):
    """What may be reached."""

    allow_external: bool = Field(False, description="allow addresses outside the lists below")
    allowed_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "host.docker.internal", "host.containers.internal", "model-runner.docker.internal"),
        description="names and addresses that configured servers may have; CIDRs too",
    )
    allowed_cidrs: tuple[str, ...] = Field(
        ("192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12"), description="networks that configured servers may be in"
    )
    allowed_ports: tuple[int, ...] | None = Field(
        None, description="ports that servers on other machines may have, such as `[11434, 8000]`; unset: any"
    )
    ca_file: Path | None = Field(
        None, description="certificates (PEM) of the authorities that vouch for https servers; unset: the system's"
    )
    audit_enabled: bool = Field(True, description="write what happens to each question into the audit log")
    audit_log_path: Path | None = Field(
        None, description="where; unset, or where a path that is not absolute begins: the user's own state folder"
    )
    audit_required: bool = Field(
        True,
        description="a question fails when its records cannot be written; `false`: a warning, and lost ones counted",
    )
    audit_fsync: bool = Field(True, description="records are forced to the disk before an answer is shown")
    audit_max_mb: int = Field(64, gt=0, description="megabytes of a file of the log, after which the next is begun")
    audit_keep_files: int | None = Field(
        None, ge=0, description="closed files of the log that are kept, the newest; unset: all"
    )
    log_queries: bool | Literal["nothing", "hash", "text"] = Field(
        True, description="what the log keeps of questions; `true`: a salted hash, `false`: nothing"
    )
    log_responses: bool | Literal["nothing", "hash", "text"] = Field(
        False, description="what the log keeps of answers; `false`: a salted hash, `true`: the text, secrets masked"
    )
    verify_checksums: bool = Field(
        True, description="a model that is another than the one that was locked (`models lock`) is not asked"
    )

    @field_validator("ca_file", "audit_log_path")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return path and Path(os.path.expandvars(path)).expanduser()

    @field_validator("allowed_cidrs")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network, strict=False)
        return networks


class SerenaSettings(Value):
    """How the project's code is looked into."""

    enabled: bool = Field(True, description="look into the project's code where a question needs it")
    priority: Literal["always_first"] = Field(
        "always_first", description="read and kept: Serena is asked before a model"
    )
    workspace: str | None = Field(
        None, description="root of the project; unset: the nearest folder above the notebook that looks like one"
    )
    executable: str | None = Field(
        None, description="Serena's program; unset: that on the PATH, or of `jupyter-llmroute serena install`"
    )
    budget_s: float = Field(3.0, gt=0, le=60, description="seconds that a question waits for what is found in code")
    idle_s: float = Field(900.0, gt=0, description="seconds without a question after which Serena is ended")


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
    task_routing: dict[Task, TaskRouting] = Field(default_factory=_default_task_routing)
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
        merged: dict[Any, Any] = {task.value: routing.model_dump() for task, routing in _default_task_routing().items()}
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
        _warn_of_unknown_variables(cls.model_fields)
        told = layers
        try:
            told = (_of_variables(cls), *layers)
            data = read(file, tuple(cls.model_fields)) if file else {}
            if file:
                told = (Layer(source=Source.FILE, data=data, places={(): str(file.path)}), *told)
            if file and not file.is_own:
                keyed = [name for name, service in cls(**arguments).services.by_name.items() if service.api_key]
                data = without_endpoints(data, keyed, file)
                told = (told[0].model_copy(update={"data": data}), *told[1:])
            return Loaded(cls(**{**arguments, FILE: data}), told)
        except ValidationError as error:
            raise SettingsError(_explain(error, file, told)) from None
        except UnreadableVariable as error:
            raise SettingsError(f"A variable LLMROUTE_… does not read: {error}; it takes JSON.") from None


class Loaded(NamedTuple):
    """Settings, and where they come from."""

    settings: Settings
    layers: tuple[Layer, ...]
    """What was said, by whom; the one that wins last."""


def _of_variables(settings: type[Settings]) -> Layer:
    """Return what the environment says, and by which variables."""
    prefix = settings.model_config["env_prefix"]
    places: dict[Key, str] = {}
    for name, value in os.environ.items():
        if value and name.upper().startswith(prefix):
            places[tuple(name.lower()[len(prefix) :].split("__"))] = name
    return Layer(source=Source.VARIABLE, data=EnvSettingsSource(settings)(), places=places)


def _warn_of_unknown_variables(sections: Collection[str]) -> None:
    """Warn of a misspelt variable: pydantic-settings passes over what it does not know."""
    known = {section.upper() for section in sections} | OTHER_VARIABLES
    for name in os.environ:
        if name.upper().startswith("LLMROUTE_"):
            section = name.upper().removeprefix("LLMROUTE_").partition("__")[0]
            if section not in known and not section.startswith("TEST_"):
                warnings.warn(
                    f"The variable {name} names no setting, and is passed over.", SettingsWarning, stacklevel=3
                )


def _explain(error: ValidationError, file: SettingsFile | None, layers: tuple[Layer, ...]) -> str:
    named = [str(layer.origin(())) for layer in layers if layer.source in (Source.TRAITLETS, Source.SESSION)]
    places = [*([f"the settings file {str(file.path)!r}"] if file else []), *named, "a variable LLMROUTE_…"]
    where = " or ".join(filter(None, (", ".join(places[:-1]), places[-1])))
    lines, all_are_found = [], True
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "settings"
        # Only a plain value is quoted, and never a secret: a whole section may hold one.
        quotable = isinstance(problem["input"], str | int | float) and not _SECRET.search(f"{key} {problem['msg']}")
        origin = nearest_origin(layers, tuple(map(str, problem["loc"])))
        all_are_found = all_are_found and origin != DEFAULT
        lines.append(
            f"  {key}: {problem['msg']}"
            + (f", not {problem['input']!r}" if quotable else "")
            + (f" ({origin})" if origin != DEFAULT else "")
        )
    head = "A setting does not read:" if all_are_found else f"A setting does not read, in {where}:"
    return "\n".join((head, *lines))
