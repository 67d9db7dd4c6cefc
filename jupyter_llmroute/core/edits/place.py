"""Where a file that an answer names lies: inside the project, or nowhere."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath

from jupyter_llmroute.core.errors import EditRefused
from jupyter_llmroute.core.settings_file import FILE_NAMES

CASSETTE = ".cassette.json"

MOST_CHARS = 300
"""Of a file's name."""

MOST_BYTES = 2 << 20
"""A file above 2 MiB is not changed: nobody reads such a diff."""

FOREIGN = {"__pycache__", "node_modules", "site-packages", "dist-packages"}
"""Folders of files that others made."""

SETTINGS = frozenset(FILE_NAMES)
"""Our own settings: what decides whom text may reach is nothing for an answer to write."""

_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}
"""Names that Windows keeps for itself, whatever follows a dot."""


def place(root: Path, file: str) -> Path:
    r"""Return the path of a file of the project, without links; it may not be there yet.

    Parameters
    ----------
    root
        Of the project.
    file
        Anything; a `\` is read as `/`.

    Raises
    ------
    EditRefused
        It leads out of the project, or is none that an answer may change.
    """
    home = root.resolve()
    parts = _parts(file)
    try:
        path = home.joinpath(*parts).resolve()
    except (OSError, RuntimeError) as error:
        raise _refused(file, f"cannot be found ({error})") from error
    if not path.is_relative_to(home) or path == home:
        raise _refused(file, "is a link that leads out of the project")
    _parts(path.relative_to(home).as_posix())
    for folder in path.parents:
        if folder == home:
            break
        if folder.is_file():
            raise _refused(file, "lies below a file")
        if (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").exists():
            raise _refused(file, "belongs to an environment of Python's")
    if path.name.lower() in SETTINGS or path.name.lower().endswith(CASSETTE):
        raise _refused(file, "belongs to this router, and no answer changes that")
    if path.suffix.lower() == ".ipynb":
        raise _refused(file, "is a notebook, and those are not changed from outside")
    _check(path, file)
    return path


def name_of(root: Path, path: Path) -> str:
    """Return the name of a place: relative to the project's root, with `/`."""
    return path.relative_to(root.resolve()).as_posix()


def _parts(file: str) -> tuple[str, ...]:
    name = file.replace("\\", "/")
    if not name.strip() or len(name) > MOST_CHARS or not name.isprintable():
        raise _refused(file, "is no name of a file")
    parts = PurePosixPath(name).parts
    if name.startswith(("/", "~")) or ":" in name:
        raise _refused(file, "is not relative to the project's root")
    if ".." in parts:
        raise _refused(file, "leads out of its folder")
    for part in parts:
        if part.startswith(".") or part in FOREIGN:
            raise _refused(file, f"lies in, or is, {part!r}, which is not changed")
        if part != part.strip() or part.endswith(".") or part.split(".")[0].lower() in _DEVICES:
            raise _refused(file, "has a name that not every system can keep")
    if not parts:
        raise _refused(file, "is no name of a file")
    return parts


def _check(path: Path, file: str) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(file, f"cannot be looked at ({error.strerror})") from error
    if not stat.S_ISREG(found.st_mode):
        raise _refused(file, "is not a file")
    if found.st_size > MOST_BYTES:
        raise _refused(file, f"is larger than {MOST_BYTES >> 20} MiB")
    if not found.st_mode & stat.S_IWUSR:
        raise _refused(file, "is read-only")


def _refused(file: str, why: str) -> EditRefused:
    shown = file if len(file) <= MOST_CHARS else file[:60] + "…"
    return EditRefused(f"{shown!r} {why}: nothing was changed. Have a text file inside the project named.")
