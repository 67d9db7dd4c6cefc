"""`Rendezvous`: the files through which the server of a model and the kernels that use it find each other.

Who lives is told by locks of the operating system, which end with their process however that ends:

=================  ==================================================================================
`….alive.lock`     held by the server for all its life, so there is never a second one for a model
`….starting.lock`  held while someone looks for, starts or stops the server, and by a server that leaves
`….json`           written by the server when it answers: address, key, process; removed when it leaves
`….kept`           exists while the server is to stay without any lease
`….log`            what llama.cpp says
`….asked`          touched when somebody is about to ask
`leases/…`         one for each user of the server, locked while it lives
=================  ==================================================================================
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from jupyter_llmroute.core.errors import SettingsError


def state_folder() -> Path:
    """Folder of this machine's rendezvous, the user's own; `LLMROUTE_HOME`, where it is set, moves it.

    A home folder may be shared by machines that cannot see each other's loopback: each has its own.
    """
    if home := os.environ.get("LLMROUTE_HOME"):
        state = Path(home).expanduser().absolute() / "state"
    else:
        from platformdirs import user_state_path

        state = user_state_path("jupyter-llmroute", appauthor=False)
    return state / (re.sub(r"[^\w-]", "_", platform.node()) or "local")


def try_lock(path: Path, *, timeout_s: float = 0) -> FileLock | None:
    """Lock the file `path`; `None` where somebody else holds it for longer than `timeout_s` seconds."""
    lock = FileLock(path, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=timeout_s, poll_interval=0.02)
    except Timeout:
        return None
    return lock


@dataclass(frozen=True)
class Rendezvous:
    """Where the server of one model is met."""

    folder: Path
    name: str
    """Stem of all its files: the model's name, and a hash of its path."""

    @classmethod
    def of(cls, model: Path, folder: Path) -> Rendezvous:
        """Rendezvous in `folder` for the model file `model`."""
        # The last part is not resolved: a model cache may keep each file under its hash, linked from its name.
        path = model.absolute().parent.resolve() / model.name
        digest = hashlib.sha256(os.fsencode(os.path.normcase(path))).hexdigest()[:16]
        return cls(folder, f"{re.sub(r'[^A-Za-z0-9._-]', '_', model.stem)[:60]}-{digest}")

    @property
    def alive(self) -> Path:
        """Lock of the server's life."""
        return self.folder / f"{self.name}.alive.lock"

    @property
    def starting(self) -> Path:
        """Lock of whoever looks for, starts or stops the server."""
        return self.folder / f"{self.name}.starting.lock"

    @property
    def record(self) -> Path:
        """What the server says of itself, its key included."""
        return self.folder / f"{self.name}.json"

    @property
    def kept(self) -> Path:
        """Mark that the server stays without leases."""
        return self.folder / f"{self.name}.kept"

    @property
    def log(self) -> Path:
        """What llama.cpp says."""
        return self.folder / f"{self.name}.log"

    @property
    def asked(self) -> Path:
        """Mark whose time is when somebody last was about to ask."""
        return self.folder / f"{self.name}.asked"

    def lease(self, holder: str) -> Path:
        """Lock of one user of the server."""
        return self.folder / "leases" / f"{self.name}.{holder}.lock"

    def open(self) -> None:
        """Make the folders, readable by their owner alone.

        Raises
        ------
        SettingsError
            They cannot be made, or belong to somebody else.
        """
        try:
            for folder in (self.folder, self.folder / "leases"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if folder.stat().st_mode & 0o077:
                    folder.chmod(0o700)
        except OSError as error:
            raise SettingsError(
                f"The state folder {str(self.folder)!r} cannot be made yours alone ({error.strerror}): "
                f"name a folder of your own in LLMROUTE_HOME."
            ) from error

    def is_alive(self) -> bool:
        """Whether the server's process lives; ask only while holding `starting`, or two who ask see each other."""
        if (lock := try_lock(self.alive)) is None:
            return True
        lock.release()
        return False

    def is_held(self) -> bool:
        """Whether somebody lives who has a lease."""
        return any(self._is_live(lease) for lease in self._leases())

    def sweep(self) -> None:
        """Remove the leases of the dead; call it only while holding `starting`, under which leases are made."""
        for lease in self._leases():
            if not self._is_live(lease):
                lease.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what a server leaves behind."""
        for path in (self.record, self.kept, self.asked):
            path.unlink(missing_ok=True)

    def _leases(self) -> Iterator[Path]:
        return (self.folder / "leases").glob(f"{self.name}.*.lock")

    def _is_live(self, lease: Path) -> bool:
        if (lock := try_lock(lease)) is None:
            return True
        lock.release()
        return False
