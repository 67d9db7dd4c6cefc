"""The settings file: where it lies, how it reads, and what a file that came with a project may say.

It is YAML, named `llmroute.yaml` or `local-llm-router.yaml`; `LLMROUTE_SETTINGS` names another one. A file that lies
beside a notebook or in a project came with that project: it may prefer models and name servers on this machine. What
opens the network, or has a file of its choice loaded, is the user's own to say; it is not taken, and a warning says so.

What a file can make us hold is bounded: 1 MiB of text, and 20,000 keys and values once all its references (`*name`) are
followed; a reference that leads to itself is refused.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import stat
import sys
import types
import typing
import warnings
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.provenance import Key
from jupyter_llmroute.core.values import Value

if TYPE_CHECKING:
    import yaml

FILE_NAMES = ("llmroute.yaml", "local-llm-router.yaml")
"""Names that are looked for, in this order, in each folder."""

MAX_FILE_BYTES = 1 << 20
"""A settings file above 1 MiB is refused unread."""

MOST_NODES = 20_000
"""Keys and values of a file, each counted as often as it is referred to."""

LONGEST_NUMBER = 100
"""Characters; YAML reads sexagesimal ones of any length, and takes its time."""

EXTERNAL = (
    "security.allow_external is on: text of this notebook may leave the allowed network, to any address; "
    "set it to false, and name the servers in security.allowed_hosts"
)
"""What is said wherever the setting is on: when settings are loaded, with each answer, and in the audit log."""

ONLY_THE_USER: tuple[Key, ...] = (
    ("security", "allow_external"),
    ("security", "allowed_hosts"),
    ("security", "allowed_cidrs"),
    ("security", "allowed_ports"),
    ("security", "ca_file"),
    *(("security", f"audit_{key}") for key in "enabled log_path required fsync max_mb keep_files".split()),
    ("security", "log_queries"),
    ("security", "log_responses"),
    ("security", "verify_checksums"),
    ("cassette", "*"),
    ("embedded", "model_path"),
    ("discovery", "hosts"),
    ("models", "memory_gb"),
    ("serena", "executable"),
    ("serena", "workspace"),
    *(
        (*where, key)
        for where in (("services", "*"), ("services", "custom_endpoints", "*"))
        for key in ("models_are_local", "context_window", "api_style", "models_path", "chat_path")
    ),
)
"""Keys that a file which came with a project may not set; `*` stands for any name or number.

Among them how a server is spoken to: who is taken for what it is not may pass text on without a sign.
"""

A_PROJECTS_OPTIONS = frozenset("model service task temperature max_tokens seed timeout no_context explain".split())
"""Options of `%%route` that such a file may set: none that attaches, keeps or replaces something of the user's."""


class SettingsWarning(UserWarning):
    """Something of a settings file is not taken."""


class SettingsFile(Value):
    """A settings file that was found."""

    path: Path
    is_own: bool
    """Whether the user put it where only they put files, or named it themselves."""


def find(project: Path | None, own: Iterable[Path]) -> SettingsFile | None:
    """Return the file that holds for the folder `project`; the user's `own` folders are looked through first.

    Raises
    ------
    SettingsError
        `LLMROUTE_SETTINGS` names a file that is not there.
    """
    if named := os.environ.get("LLMROUTE_SETTINGS"):
        path = Path(named).expanduser()
        if not path.is_file():
            raise SettingsError(f"LLMROUTE_SETTINGS names {named!r}, and there is no such file: mend or unset it.")
        return SettingsFile(path=path, is_own=True)
    folders = [(folder, True) for folder in own]
    if project:
        folders += [(project, False), (_project_root(project), False)]
    for folder, is_own in folders:
        for name in FILE_NAMES:
            if (path := folder / name).is_file():
                return SettingsFile(path=path, is_own=is_own)
    return None


def read(file: SettingsFile, sections: Collection[str]) -> dict[str, Any]:
    """Return what the file may say, by section.

    Parameters
    ----------
    file
        As `find` gave it.
    sections
        The keys that a file may have at its top.

    Raises
    ------
    SettingsError
        It is too large, not YAML, or has an unknown section.
    """
    if file.is_own and (who := other_writers(file.path)):
        warnings.warn(
            f"{file.path.name}: {who} may change this file, and with it who sees your text: "
            f"chmod go-w {str(file.path)!r}.",
            SettingsWarning,
            stacklevel=3,
        )
    data = _load(file.path)
    for key in data:
        if key not in sections:
            hint = _hint(key, sections)
            raise SettingsError(f"The settings file {str(file.path)!r} has an unknown section {key!r}: {hint}")
    if not file.is_own:
        remark = (
            "not taken from a file that came with the project: set it in your own settings file, "
            "or name this one in LLMROUTE_SETTINGS if you trust it"
        )
        data = _without(data, _is_the_users_to_say, file, remark)
    return data


def without_endpoints(data: dict[str, Any], names: Collection[str], file: SettingsFile) -> dict[str, Any]:
    """Return `data` without the endpoints of the services `names`: a key goes to no address that a project chose."""
    remark = "not taken from a file that came with the project: your key for this service would go there"
    wanted = tuple(("services", name, "endpoint") for name in names)
    return _without(data, lambda key, _: _matches(key, wanted), file, remark)


def _project_root(folder: Path) -> Path:
    """Return the nearest folder upwards that holds `.git` or `pyproject.toml`; `folder` itself when none does."""
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists() or (candidate / "pyproject.toml").exists():
            return candidate
    return folder


def _load(path: Path) -> dict[str, Any]:
    import yaml

    with path.open("rb") as opened:
        text = opened.read(MAX_FILE_BYTES + 1)
    if len(text) > MAX_FILE_BYTES:
        size = path.stat().st_size
        raise SettingsError(f"The settings file {str(path)!r} has {size} bytes; a settings file has at most 1 MiB.")
    try:
        data = _yaml(text.decode("utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        # Neither its text nor its traceback: both quote the file, which may hold a key.
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise SettingsError(f"The settings file {str(path)!r} is not YAML: {where}{error.problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise SettingsError(f"The settings file {str(path)!r} is not YAML in UTF-8: {error}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise SettingsError(f"The settings file {str(path)!r} holds {type(data).__name__} data, not keys and values.")
    return data


def _yaml(text: str) -> Any:
    """Read YAML; what it would grow to is counted before anything is made of it."""
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _count(node, {}, set())
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int], within: set[int]) -> int:
    """Return how many nodes a node grows to; `known` are those of before, `within` those that it stands in."""
    import yaml

    if id(node) in within:
        raise yaml.MarkedYAMLError(problem="a reference leads to itself", problem_mark=node.start_mark)
    if id(node) in known:
        return known[id(node)]
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [each for pair in node.value for each in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    elif node.tag.endswith((":int", ":float", ":timestamp")) and len(node.value) > LONGEST_NUMBER:
        raise yaml.MarkedYAMLError(
            problem=f"a number has more than {LONGEST_NUMBER} characters", problem_mark=node.start_mark
        )
    within.add(id(node))
    known[id(node)] = size = 1 + sum(_count(each, known, within) for each in below)
    within.remove(id(node))
    if size > MOST_NODES:
        raise yaml.MarkedYAMLError(
            problem=f"there are more than {MOST_NODES:,} keys and values, references counted",
            problem_mark=node.start_mark,
        )
    return size


def other_writers(path: Path) -> str:
    """Return who besides the user may write to a file, in words; empty for nobody, and where that cannot be told.

    The user's own group counts as the user: many systems give each user one, and let it write.
    """
    if sys.platform == "win32":
        return ""
    told = path.stat()
    if told.st_uid not in (os.getuid(), 0):
        return f"the user with the id {told.st_uid}"
    if told.st_mode & stat.S_IWOTH:
        return "everybody"
    return f"the group with the id {told.st_gid}" if told.st_mode & stat.S_IWGRP and told.st_gid != os.getgid() else ""


def did_you_mean(key: Key, settings: type[BaseModel]) -> str:
    """Return which key an unknown one may be meant to be, as a question; empty where none is like it.

    Parameters
    ----------
    key
        The unknown one, from the top.
    settings
        What describes the whole.
    """
    model: type[BaseModel] | None = settings
    for part in key[:-1]:
        if model is None:
            return ""
        field = model.model_fields.get(part)
        if field:
            model = _model_in(field.annotation)
        elif not part.isdecimal():
            extra = typing.get_type_hints(model).get("__pydantic_extra__") if model.model_config.get("extra") else None
            model = _model_in(extra) if extra else model
    like = difflib.get_close_matches(key[-1].lower(), model.model_fields if model else (), n=1)
    return f"did you mean {like[0]!r}?" if like else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a type holds: itself, the one of its items, or the one of its values."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for inner in typing.get_args(annotation) if (found := _model_in(inner))), None)


def _hint(key: str, known: Collection[str]) -> str:
    like = difflib.get_close_matches(key.lower(), known, n=1)
    return f"did you mean {like[0]!r}?" if like else f"known are {', '.join(known)}."


def _is_the_users_to_say(key: Key, value: Any) -> bool:
    if _matches(key, (("services", "custom_endpoints", "*"),)):
        return isinstance(value, dict) and "endpoint" in value and not _is_this_machine(value["endpoint"])
    if _matches(key, (("services", "*", "endpoint"),)):
        return not _is_this_machine(value)
    if _matches(key, (("route", "*"), ("callers", "*", "*"))):
        return key[-1].replace("-", "_") not in A_PROJECTS_OPTIONS
    return _matches(key, ONLY_THE_USER)


def _is_this_machine(endpoint: Any) -> bool:
    try:
        address = urlsplit(endpoint) if isinstance(endpoint, str) else None
        host = address.hostname if address and (address.port or True) else None  # asking for a bad port raises
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _without(
    data: dict[str, Any], is_refused: Callable[[Key, Any], bool], file: SettingsFile, remark: str
) -> dict[str, Any]:
    """Return `data` without what is refused; a warning names what that was, never its value."""
    refused: list[str] = []

    def keep(value: Any, key: Key) -> Any:
        if isinstance(value, dict):
            return {
                name: keep(inner, (*key, str(name)))
                for name, inner in value.items()
                if wanted(inner, (*key, str(name)))
            }
        if isinstance(value, list):
            numbered = [(inner, (*key, str(number))) for number, inner in enumerate(value)]
            return [keep(inner, where) for inner, where in numbered if wanted(inner, where)]
        return value

    def wanted(value: Any, key: Key) -> bool:
        if is_refused(key, value):
            refused.append(".".join(key))
            return False
        return True

    kept: dict[str, Any] = keep(data, ())
    if refused:
        warnings.warn(f"{file.path.name}: {', '.join(refused)}: {remark}.", SettingsWarning, stacklevel=4)
    return kept


def _matches(key: Key, patterns: Iterable[Key]) -> bool:
    return any(
        len(key) == len(pattern) and all(wanted in ("*", part) for part, wanted in zip(key, pattern, strict=True))
        for pattern in patterns
    )
