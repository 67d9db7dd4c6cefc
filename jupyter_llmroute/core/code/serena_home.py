"""`SerenaHome`: a private folder in which one Serena works on one project, and how it is started there.

Serena keeps its configuration, its logs with source code in them and its index of symbols below `SERENA_HOME`, and
would keep more in the project. Here everything lies in the user's own state folder, one home for each project, backend
and session at a time, and nothing in the project is read as a setting or written:

- `trusted_project_path_patterns` is written, and empty: where the key is missing, every project's commands are executed
- the folder that Serena has for a project is named, and made before the start: otherwise that in the project wins
- the tools are listed one by one; without a list there is one that runs commands, and one that runs Python
- dashboard, news, telemetry and counts of tokens that download tables are off
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from jupyter_llmroute.core.code.installation import INSTALL, Installed, version_of
from jupyter_llmroute.core.embedded.rendezvous import state_folder, try_lock
from jupyter_llmroute.core.errors import CodeUnavailable
from jupyter_llmroute.core.values import Value

BACKEND = "python_ty"
"""Of the language servers that Serena knows for Python: quickest to start, smallest, and it leaves notebooks alone."""

Version = tuple[int, ...]

OLDEST: Version = (1, 7)
"""The oldest version whose answers are read."""

AGENT_INTERFACE: Version = (2, 0)
"""From here on Serena offers its tools only if told to."""

READ_TOOLS: Mapping[str, Version] = {
    "find_symbol": OLDEST,
    "find_referencing_symbols": OLDEST,
    "find_implementations": OLDEST,
    "get_symbols_overview": OLDEST,
    "get_diagnostics_for_file": OLDEST,
    "get_diagnostics_for_symbol": OLDEST,
}
"""What questions need, each with the version that has it first; an unknown name would stop Serena."""

EDIT_TOOLS: Mapping[str, Version] = {
    "replace_symbol_body": OLDEST,
    "insert_after_symbol": OLDEST,
    "insert_before_symbol": OLDEST,
    "rename_symbol": OLDEST,
    "safe_delete_symbol": OLDEST,
}

TOOL_TIMEOUT_S = 240
"""Serena's limit for one call; the first about a whole large project takes a minute."""

MAX_ANSWER_CHARACTERS = 400_000
"""Above it Serena shortens an answer, or gives none."""

_KEPT_LOGS = 5
_MOST_AT_ONCE = 16

_PASSED_ON = ("HOME", "USERPROFILE", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "PATHEXT")
"""Of the environment that is ours; the rest is set, or is nobody's business."""


class Session(Value):
    """The record of a Serena that runs, for whoever looks from outside."""

    project: Path
    edits: bool
    """Whether it may change files."""
    owner: int
    """Process id of the kernel."""
    pid: int
    """Process id of Serena."""
    version: str
    started_at: float
    """Seconds since the epoch."""


class _Known(Value):
    """Versions of executables, each as it was when it was asked."""

    versions: Mapping[str, str] = {}


def homes_folder() -> Path:
    """Folder of all homes of this user on this machine."""
    return state_folder() / "serena"


def parsed(version: str) -> Version:
    """Return the numbers of a version such as `2.1.0`, or `2.1.0rc1`."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@dataclass
class SerenaHome:
    """One home, locked for us while we have it."""

    folder: Path
    project: Path
    """The project's root, resolved."""
    edits: bool
    """Whether files may be changed."""
    _lock: FileLock

    @classmethod
    def take(cls, project: Path, *, edits: bool, homes: Path | None = None) -> SerenaHome:
        """Take the first home of the project that nobody else has.

        Raises
        ------
        CodeUnavailable
            None can be made, or too many are in use.
        """
        root = project.resolve()
        of_project = (homes or homes_folder()) / _key(root)
        try:
            of_project.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number in range(_MOST_AT_ONCE):
                folder = of_project / f"{'edit' if edits else 'read'}-{number}"
                if lock := try_lock(folder.with_suffix(".lock")):
                    home = cls(folder, root, edits, lock)
                    home.restart.unlink(missing_ok=True)  # whoever was meant is gone
                    return home
        except (OSError, NotImplementedError) as error:
            raise CodeUnavailable(
                f"Serena has no folder of its own, {str(of_project)!r} cannot be used ({error}): "
                f"name a folder on a local disk in LLMROUTE_HOME."
            ) from error
        raise CodeUnavailable(
            f"{_MOST_AT_ONCE} sessions of Serena work on {str(root)!r} already: end a kernel that you do not need."
        )

    def release(self) -> None:
        """Let others have it."""
        for path in (self.record, self.restart):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        self._lock.release()

    @property
    def log(self) -> Path:
        """What Serena writes to stderr."""
        return self.folder.with_suffix(".log")

    @property
    def record(self) -> Path:
        """The `Session` that runs here."""
        return self.folder.with_suffix(".session")

    @property
    def restart(self) -> Path:
        """A mark: whoever owns the session is asked to start it anew."""
        return self.folder.with_suffix(".restart")

    def prepare(self, installed: Installed, version: str) -> None:
        """Write the configuration, as it has to be for this version; what Serena made of the last one is replaced.

        Raises
        ------
        CodeUnavailable
            It cannot be written, or the version is too old.
        """
        number = parsed(version)
        if number < OLDEST:
            raise CodeUnavailable(
                f"Serena {version!r} is too old, at least 1.7.0 is needed: install another with `{INSTALL}`."
            )
        if installed.ty is None:
            raise CodeUnavailable(f"Serena needs the type checker 'ty', which is nowhere to be found: `{INSTALL}`.")
        wanted = {**READ_TOOLS, **EDIT_TOOLS} if self.edits else READ_TOOLS
        tools = [tool for tool, since in wanted.items() if since <= number]
        try:
            self._write("home/serena_config.yml", _configuration(self._project_folder, installed.ty, tools, number))
            self._write("home/context.yml", _CONTEXT)
            self._write("project/.serena/project.yml", _project(self.project.name, number, edits=self.edits))
            self._prune_logs()
        except OSError as error:
            raise CodeUnavailable(
                f"Serena cannot be configured, {str(self.folder)!r} cannot be written ({error}): "
                f"name another folder in LLMROUTE_HOME."
            ) from error

    def command(self, installed: Installed, version: str) -> list[str]:
        """Return how Serena is started."""
        interface = ["--agent-interface", "tools"] if parsed(version) >= AGENT_INTERFACE else []
        return [
            str(installed.serena),
            "start-mcp-server",
            *("--project", str(self.project)),
            *("--context", str(self.folder / "home" / "context.yml")),
            *interface,
            *("--transport", "stdio"),
            *("--enable-web-dashboard", "False"),
            *("--open-web-dashboard", "False"),
            *("--enable-gui-log-window", "False"),
            *("--log-level", "WARNING"),
        ]

    def environment(self, prefix: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the environment of Serena's process.

        Parameters
        ----------
        prefix
            `sys.prefix` of the Python whose packages the project uses: imports are looked up there.
        environ
            Where the rest comes from.
        """
        programs = prefix / ("Scripts" if os.name == "nt" else "bin")
        path = os.pathsep.join(filter(None, (str(programs), environ.get("PATH", ""))))
        return {name: environ[name] for name in _PASSED_ON if name in environ} | {
            "PATH": path,
            "VIRTUAL_ENV": str(prefix),
            "SERENA_HOME": str(self.folder / "home"),
            "SERENA_USAGE_REPORTING": "false",
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "PYTHONSAFEPATH": "1",
        }

    def write_record(self, session: Session) -> None:
        """Tell others what runs here; not being able to is no reason not to run."""
        with suppress(OSError):
            self._write_bytes(self.record, session.model_dump_json().encode())

    @property
    def _project_folder(self) -> Path:
        return self.folder / "project" / ".serena"

    def _write(self, name: str, content: Mapping[str, object]) -> None:
        # JSON is YAML.
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_bytes(path, json.dumps(content, indent=1).encode())

    def _write_bytes(self, path: Path, content: bytes) -> None:
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)

    def _prune_logs(self) -> None:
        """Serena keeps a log of each day for ever."""
        days = sorted((self.folder / "home" / "logs").glob("*"))
        for day in days[:-_KEPT_LOGS]:
            shutil.rmtree(day, ignore_errors=True)


def sessions(homes: Path | None = None) -> Iterator[tuple[Path, Session]]:
    """Yield the sessions that run now, of all kernels of this user on this machine, each with its home's folder."""
    for record in sorted((homes or homes_folder()).glob("*/*.session")):
        if lock := try_lock(record.with_suffix(".lock")):
            lock.release()
            continue  # whoever wrote it is gone
        with suppress(OSError, ValidationError):
            session = Session.model_validate_json(record.read_bytes())
            if _lives(session.pid):
                yield record.with_suffix(""), session


def _lives(pid: int) -> bool:
    """Whether there is such a process: a child that a dead kernel forked still holds its locks."""
    if os.name == "nt":
        return True  # nothing is forked there, and a signal would end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def version_known(serena: Path, homes: Path | None = None) -> str:
    """Return the version of an executable, which is asked for it once only, until it is another; may take seconds.

    Raises
    ------
    CodeUnavailable
        It does not run, or is no Serena.
    """
    path = (homes or homes_folder()) / "versions.json"
    real = serena.resolve()
    try:
        key = f"{real}|{real.stat().st_mtime_ns}"
    except OSError as error:
        raise CodeUnavailable(f"{str(serena)!r} is gone ({error}): install it with `{INSTALL}`.") from error
    try:
        known = _Known.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        known = _Known()
    if key not in known.versions:
        # The stamp of a script that pip has made anew differs, also where its version is the same.
        others = {name: version for name, version in known.versions.items() if not name.startswith(f"{real}|")}
        known = _Known(versions={**others, key: version_of(serena)})
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}")
            fresh.write_text(known.model_dump_json(), "utf-8")
            fresh.replace(path)
    return known.versions[key]


def edit_lock(project: Path, homes: Path | None = None) -> Path:
    """Lock of whoever changes files of the project, in whatever session."""
    return (homes or homes_folder()) / _key(project.resolve()) / "edits.lock"


def _key(project: Path) -> str:
    """Name of a project's folder: its own, and a hash of where it is and of the backend."""
    digest = hashlib.sha256(os.fsencode(os.path.normcase(project)) + b"|" + BACKEND.encode()).hexdigest()[:16]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', project.name)[:40]}-{digest}"


_CONTEXT: Mapping[str, object] = {
    "description": "questions of a notebook",
    "prompt": None,
    "single_project": True,
    "structured_tool_output": False,
}
"""With one project, the tools that change to another are not there."""


def _configuration(project_folder: Path, ty: Path, tools: list[str], version: Version) -> dict[str, object]:
    interface = {"agent_interface": "tools"} if version >= AGENT_INTERFACE else {}
    return {
        "language_backend": "LSP",
        **interface,
        "gui_log_window": False,
        "web_dashboard": False,
        "web_dashboard_open_on_launch": False,
        "log_level": 30,
        "trace_lsp_communication": False,
        "tool_timeout": TOOL_TIMEOUT_S,
        "ls_specific_settings": {BACKEND: {"ls_path": str(ty)}},
        "ignored_paths": [],
        "excluded_tools": [],
        "included_optional_tools": [],
        "fixed_tools": tools,
        "base_modes": [],
        "default_modes": [],
        "default_max_tool_answer_chars": MAX_ANSWER_CHARACTERS,
        "token_count_estimator": "CHAR_COUNT",
        "symbol_info_budget": 10,
        "line_ending": "native",
        "trusted_project_path_patterns": [],
        "project_serena_folder_location": str(project_folder),
        "projects": [],
    }


def _project(name: str, version: Version, *, edits: bool) -> dict[str, object]:
    unset = {"agent_interface": None} if version >= AGENT_INTERFACE else {}
    return {
        "project_name": name or "project",
        "language_servers": [BACKEND],
        "language_backend": None,
        **unset,
        "encoding": "utf-8",
        "ignore_all_files_in_gitignore": True,
        "read_only": not edits,
    }
