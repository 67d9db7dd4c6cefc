"""Where Serena is, and how an environment of its own is made for it and for `ty`.

Serena is another program under another licence (GPL-3.0-or-later since version 2): it is never imported, is part of
none of our packages, and its pinned dependencies would downgrade those of a notebook. So it gets an environment in the
user's data folder, made with `python -m venv` and pip, which reads the user's own pip configuration for where packages
come from; or from a folder of wheels, where there is no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from jupyter_llmroute.core.errors import CodeUnavailable, UserError
from jupyter_llmroute.core.values import Value

SERENA_REQUIREMENT = "serena-agent==2.1.0"
"""The newest version whose answers are covered by recorded ones (`tests/data/serena`); 1.7.0 is read as well."""

TY_REQUIREMENT = "ty==0.0.105"
"""Of the 0.0 series any version may change its answers; this one is what the tests have run against."""

PYTHONS = ((3, 11), (3, 15))
"""Serena runs from the first version on, and before the second."""

VARIABLE = "LLMROUTE_SERENA__EXECUTABLE"
"""Environment variable that names Serena's executable."""

INSTALL = "jupyter-llmroute serena install"

Progress = Callable[[str], None]

_MISLEADING = frozenset({"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "PIP_PYTHON"})
"""Variables by which packages would land elsewhere, or come from elsewhere."""

_LAST_WORDS = 12
"""Lines of a failed command that are shown."""


class FoundBy(StrEnum):
    """What led to Serena."""

    SETTING = "setting"
    VARIABLE = "environment variable"
    PATH = "PATH"
    OWN = "own environment"


class Installed(Value):
    """Where Serena is."""

    serena: Path
    ty: Path | None
    """`None` where it is nowhere to be found; Serena cannot answer then."""
    found_by: FoundBy


class Made(Value):
    """The record of an environment that is whole."""

    requirements: tuple[str, ...]
    python: str


class Remark(Value):
    """One thing that was checked."""

    name: str
    is_well: bool
    said: str


def own_folder() -> Path:
    """Folder of our own environment: `serena` in the user's data folder, or in `LLMROUTE_HOME` where that is set."""
    if home := os.environ.get("LLMROUTE_HOME"):
        return Path(home).expanduser().absolute() / "serena"
    from platformdirs import user_data_path

    return user_data_path("jupyter-llmroute", appauthor=False) / "serena"


def find(setting: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Installed | None:
    """Find Serena by the setting, the environment variable, `PATH`, or in our own environment; nothing is run.

    Returns
    -------
    Installed or None
        `None` where it is not installed.

    Raises
    ------
    CodeUnavailable
        The setting or the variable names something that is no program.
    """
    for named, found_by in ((setting, FoundBy.SETTING), (environ.get(VARIABLE), FoundBy.VARIABLE)):
        if named:
            if not (path := _program(Path(named).expanduser())):
                raise CodeUnavailable(
                    f"The {found_by} for Serena names {str(named)!r}, which is no program: mend it, or take it away."
                )
            return Installed(serena=path, ty=find_ty(path, environ=environ), found_by=found_by)
    if on_path := shutil.which("serena", path=environ.get("PATH")):
        path = Path(on_path).absolute()
        return Installed(serena=path, ty=find_ty(path, environ=environ), found_by=FoundBy.PATH)
    if own := own_programs():
        return Installed(serena=own / _exe("serena"), ty=own / _exe("ty"), found_by=FoundBy.OWN)
    return None


def find_ty(serena: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Find `ty`: beside Serena, in our own environment, then on `PATH`, where it may be of any version."""
    beside = {serena.parent, serena.resolve().parent} if serena else set()
    for folder in (*sorted(beside), own_programs()):
        if folder and (path := _program(folder / _exe("ty"))):
            return path
    on_path = shutil.which("ty", path=environ.get("PATH"))
    return Path(on_path).absolute() if on_path else None


def own_programs() -> Path | None:
    """Folder of the programs in our own environment; `None` where that is not made, or not whole."""
    environment = _environment()
    return _programs(environment) if _made(environment) else None


def is_current() -> bool:
    """Whether our own environment is whole and holds the versions of today."""
    made = _made(_environment())
    return made is not None and made.requirements == (SERENA_REQUIREMENT, TY_REQUIREMENT)


def install(wheels: Path | None = None, progress: Progress = print) -> Installed:
    """Make our own environment, or make it anew; takes minutes, and about 200 MB.

    Parameters
    ----------
    wheels
        Folder that `prepare_wheels` filled; nothing is then asked of any network. `None` asks pip's usual index.
    progress
        Called with each line that the programs at work write.

    Raises
    ------
    UserError
        It cannot be made; what was half made is removed.
    """
    _check_python()
    if wheels is not None and not any(wheels.glob("*.whl")):
        raise UserError(
            f"The folder {str(wheels)!r} has no wheels: fill it on a connected machine with "
            f"`jupyter-llmroute serena wheels DIR`."
        )
    source = [] if wheels is None else ["--no-index", "--find-links", str(wheels.absolute())]
    environment = _environment()
    with _alone(environment.parent):
        shutil.rmtree(environment, ignore_errors=True)
        try:
            _make(environment, progress)
            pip = [str(_programs(environment) / _exe("python")), "-m", "pip", "--disable-pip-version-check"]
            _run([*pip, "install", "--no-input", *source, SERENA_REQUIREMENT, TY_REQUIREMENT], progress)
            _run([*pip, "check"], progress)
        except BaseException:
            shutil.rmtree(environment, ignore_errors=True)
            raise
        made = Made(requirements=(SERENA_REQUIREMENT, TY_REQUIREMENT), python=sys.version)
        (environment / "made.json").write_text(made.model_dump_json(), "utf-8")
    own = _programs(environment)
    return Installed(serena=own / _exe("serena"), ty=own / _exe("ty"), found_by=FoundBy.OWN)


def prepare_wheels(folder: Path, progress: Progress = print) -> tuple[Path, ...]:
    """Fill a folder with the wheels that `install` needs on a machine without a network.

    That machine must have the same operating system, processor and minor version of Python. What is published as source
    alone is built here.

    Returns
    -------
    tuple of Path
        The wheels, sorted.
    """
    _check_python()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        environment = Path(scratch) / "venv"  # the Python that runs us may have no pip
        _make(environment, progress)
        pip = [str(_programs(environment) / _exe("python")), "-m", "pip", "--disable-pip-version-check"]
        wanted = ["--wheel-dir", str(folder.absolute()), SERENA_REQUIREMENT, TY_REQUIREMENT]
        _run([*pip, "wheel", "--no-input", *wanted], progress)
    return tuple(sorted(folder.glob("*.whl")))


def check(installed: Installed) -> tuple[Remark, ...]:
    """Run both programs for their versions; takes some seconds."""
    remarks = [_version_of(installed.serena, "Serena")]
    if installed.ty:
        remarks.append(_version_of(installed.ty, "ty"))
    else:
        remarks.append(Remark(name="ty", is_well=False, said=f"nowhere to be found: {INSTALL}"))
    return tuple(remarks)


def version_of(serena: Path) -> str:
    """Ask Serena for its version, such as `2.1.0`; takes about three seconds.

    Raises
    ------
    CodeUnavailable
        It does not run, or is another program of that name.
    """
    remark = _version_of(serena, "Serena")
    name, _, number = remark.said.partition(" ")
    if not remark.is_well or name != "Serena" or not number[:1].isdigit():
        raise CodeUnavailable(
            f"{str(serena)!r} is not Serena, or does not run ({remark.said!r}): "
            f"name another in {VARIABLE}, or install it with `{INSTALL}`."
        )
    return number.split()[0].split("-")[0]


def _version_of(program: Path, name: str) -> Remark:
    with tempfile.TemporaryDirectory() as home:
        # A home of its own, or it would make the user's.
        environment = _environ() | {"SERENA_HOME": home, "SERENA_USAGE_REPORTING": "false"}
        try:
            done = subprocess.run(
                [program, "--version"],
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=120,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Remark(name=name, is_well=False, said=f"{str(program)!r} does not run: {error}")
    lines = done.stdout.decode(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return Remark(name=name, is_well=done.returncode == 0 and bool(said), said=said)


def _check_python() -> None:
    first, last = PYTHONS
    if not first <= sys.version_info[:2] < last:
        raise UserError(
            f"Serena does not run on this Python, {sys.version.split()[0]!r}: it wants one from 3.11 to 3.14. "
            f"Install it there by hand, and name its executable in {VARIABLE}."
        )


def _environment() -> Path:
    return own_folder() / "environment"


def _programs(environment: Path) -> Path:
    return environment / ("Scripts" if sys.platform == "win32" else "bin")


def _exe(name: str) -> str:
    return f"{name}.exe" if sys.platform == "win32" else name


def _program(path: Path) -> Path | None:
    found = shutil.which(str(path.absolute()))
    return Path(found) if found else None


def _made(environment: Path) -> Made | None:
    try:
        return Made.model_validate_json((environment / "made.json").read_bytes())
    except (OSError, ValidationError):
        return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / "install.lock", timeout=0):
            yield
    except Timeout:
        raise UserError(f"Somebody else installs into {str(folder)!r} now: wait for that.") from None
    except (OSError, NotImplementedError) as error:
        raise UserError(
            f"The folder {str(folder)!r} cannot be used ({error}): name another in LLMROUTE_HOME."
        ) from error


def _make(environment: Path, progress: Progress) -> None:
    progress(f"Making an environment in {environment}")
    _run([sys.executable, "-I", "-m", "venv", str(environment)], progress)


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _MISLEADING}


def _run(command: Sequence[str], progress: Progress) -> None:
    """Run to the end, showing each line."""
    last: list[str] = []
    with subprocess.Popen(
        command,
        env=_environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            progress(line.rstrip())
            last = [*last, line][-_LAST_WORDS:]
    if process.returncode:
        raise UserError(
            f"{' '.join(map(str, command[:4]))!r} … failed (exit code {process.returncode}): see what it said, "
            f"mend that, and install again.\n{''.join(last)}"
        )
