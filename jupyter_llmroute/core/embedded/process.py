"""`EmbeddedBackend`: finds the server of a model, starts it where there is none, stops it on request."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from filelock import FileLock
from pydantic import AwareDatetime, SecretStr, ValidationError

from jupyter_llmroute.core.embedded.failure import explain
from jupyter_llmroute.core.embedded.gguf import Header
from jupyter_llmroute.core.embedded.rendezvous import Rendezvous, state_folder, try_lock
from jupyter_llmroute.core.errors import MissingExtra, ServerFailure, SettingsError
from jupyter_llmroute.core.sections import EmbeddedSettings
from jupyter_llmroute.core.values import Value

T = TypeVar("T")

_LOOK_AGAIN_S = 0.05
_TERM_GRACE_S = 2.0
"""Seconds that a server has to leave before it is killed."""


class Running(Value):
    """A server that answers."""

    model: str
    """Name of the model in requests."""
    path: Path
    """The model's file."""
    url: str
    """Base URL, without `/v1`."""
    key: SecretStr
    pid: int
    context_window: int
    """Served window in tokens."""
    started_at: AwareDatetime


def is_installed() -> bool:
    """Whether the package that the embedded backend runs on is there; it is not imported."""
    return importlib.util.find_spec("xllamacpp") is not None


class EmbeddedBackend:
    """The embedded servers of this user on this machine, as one router sees and holds them.

    While it is open, the servers that it asked for stay until they are idle for long. When it is closed, or its
    process is gone in whatever way, servers that nobody else holds end after `grace_s`.

    Parameters
    ----------
    settings
        How a server is started; one that already runs is taken as it is.
    state
        Folder of the files through which servers and their users meet; `None` means `state_folder()`.
    grace_s
        Seconds that a started server outlives its last user, so that a restarted kernel finds it.

    Examples
    --------
    >>> async def answer_from_my_own_file(settings):
    ...     with EmbeddedBackend(settings) as backend:
    ...         running = await backend.ensure(find_models(settings)[0])
    ...         return running.url
    """

    def __init__(self, settings: EmbeddedSettings, state: Path | None = None, *, grace_s: float = 10.0) -> None:
        self._settings = settings
        self._folder = state_folder() if state is None else state
        self._grace_s = grace_s
        self._holder = uuid.uuid4().hex
        self._leases: dict[str, FileLock] = {}
        self._greeted: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the servers; they end where nobody else holds them."""
        for lease in self._leases.values():
            with suppress(OSError):
                os.unlink(lease.lock_file)
            lease.release()
        self._leases.clear()
        self._greeted.clear()

    async def ensure(self, header: Header, *, keep: bool = False) -> Running:
        """Find the server of this model, or start it, and hold it.

        Call it before each request: it tells the server that it is still wanted, and costs about a millisecond while
        the server runs. A start takes as long as reading the model; cancelling ends the process that it began.

        Parameters
        ----------
        header
            The model's file.
        keep
            Let the server stay after the last backend that holds it is closed, until it is idle for long.

        Raises
        ------
        MissingExtra
            The package `xllamacpp` is not installed, or does not load.
        OutOfMemory
            The model, or the window, does not fit.
        ServerFailure
            The server did not start for another reason, or does not answer.
        SettingsError
            The state folder cannot be used.
        """
        meeting = Rendezvous.of(header.path, self._folder)
        meeting.open()
        async with _only_one(meeting):
            self._hold(meeting)
            if keep:
                meeting.kept.touch(mode=0o600)
            return await self._find(meeting) or await self._start(meeting, header, keep=keep)

    def running(self) -> tuple[Running, ...]:
        """Servers that live now, whoever started them; what a dead one left behind is removed."""
        return tuple(running for running in map(_look, self._meetings()) if running)

    async def stop(self, pid: int | None = None) -> tuple[Running, ...]:
        """Stop the server with the process id `pid`, or all, at once and whoever uses them.

        Returns
        -------
        tuple of Running
            Those that were stopped; empty where there is none, or none with that id.
        """
        stopped = []
        for meeting in self._meetings():
            if (running := _look(meeting)) and pid in (None, running.pid):
                await _stop(meeting)
                stopped.append(running)
        return tuple(stopped)

    def _meetings(self) -> tuple[Rendezvous, ...]:
        return tuple(Rendezvous(self._folder, record.stem) for record in sorted(self._folder.glob("*.json")))

    def _hold(self, meeting: Rendezvous) -> None:
        """Have a lease, and say that we are about to ask."""
        meeting.asked.touch(mode=0o600)
        path = meeting.lease(self._holder)
        if meeting.name in self._leases and path.exists():
            return
        # The server tries each lease for a moment, to see who lives.
        if lease := try_lock(path, timeout_s=1):
            self._leases[meeting.name] = lease

    async def _find(self, meeting: Rendezvous) -> Running | None:
        while meeting.is_alive():
            if running := _read(meeting.record):
                if self._greeted.get(meeting.name) != running.pid:
                    if not await _is_well(running.url, running.key):
                        raise ServerFailure(
                            f"The embedded server of {running.model!r} (process {running.pid}) lives and does not "
                            f"answer: stop it with `jupyter-llmroute embedded stop`, then ask again."
                        )
                    self._greeted[meeting.name] = running.pid
                return running
            # Started by somebody who is gone, and still reading its model.
            await asyncio.sleep(_LOOK_AGAIN_S)
        return None

    async def _start(self, meeting: Rendezvous, header: Header, *, keep: bool) -> Running:
        if not is_installed():
            raise MissingExtra(
                "The embedded backend needs the package 'xllamacpp', which is not installed: "
                'pip install "jupyter-llmroute[embedded]"'
            )
        meeting.sweep()
        meeting.record.unlink(missing_ok=True)
        if not keep:
            meeting.kept.unlink(missing_ok=True)
        with ExitStack() as on_failure:
            # A future of the thread, not a task: a loop that ends cancels its tasks, and the process would stay.
            launching = asyncio.get_running_loop().run_in_executor(
                None, _launch, meeting, self._config(meeting, header)
            )
            on_failure.callback(_end, launching)
            try:
                child = await asyncio.shield(launching)
            except OSError as error:
                raise ServerFailure(f"No process could be started for {header.name!r} ({error}): try again.") from error
            said = await asyncio.to_thread(_first_words, child)
            if "url" not in said or (running := _read(meeting.record)) is None:
                code = await asyncio.to_thread(child.wait)
                raise explain(header.path, code, said.get("error"), meeting.log)
            on_failure.pop_all()
        self._greeted[meeting.name] = running.pid
        return running

    def _config(self, meeting: Rendezvous, header: Header) -> dict[str, object]:
        return {
            "model": str(header.path.absolute()),
            "alias": header.name,
            "trained_window": header.trained_window,
            "context_window": self._settings.context_window,
            "threads": self._settings.threads,
            "idle_timeout_s": self._settings.idle_timeout_s,
            "cache_reuse_tokens": self._settings.cache_reuse_tokens,
            "grace_s": self._grace_s,
            "key": secrets.token_urlsafe(32),
            "folder": str(meeting.folder),
            "name": meeting.name,
        }


@asynccontextmanager
async def _only_one(meeting: Rendezvous) -> AsyncIterator[None]:
    """Hold the lock under which servers are looked for, started and stopped."""
    try:
        lock = await _poll(lambda: try_lock(meeting.starting))
    except (OSError, NotImplementedError) as error:
        raise SettingsError(
            f"No file can be locked in the state folder {str(meeting.folder)!r} ({error}): "
            f"name a folder on a local disk in LLMROUTE_HOME."
        ) from error
    try:
        yield
    finally:
        lock.release()


async def _poll(ask: Callable[[], T | None]) -> T:
    """Ask until there is an answer."""
    # A file tells nobody that it changed. Not waited for in a thread: that could not be cancelled, and keeps its lock.
    while (answer := ask()) is None:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_AGAIN_S)
    return answer


def _read(record: Path) -> Running | None:
    try:
        return Running.model_validate_json(record.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        # Of another version of this package; its server leaves when its record is gone.
        record.unlink(missing_ok=True)
        return None


def _look(meeting: Rendezvous) -> Running | None:
    if (lock := try_lock(meeting.starting, timeout_s=0.2)) is None:
        return _read(meeting.record)
    try:
        if meeting.is_alive():
            return _read(meeting.record)
        meeting.record.unlink(missing_ok=True)
        return None
    finally:
        lock.release()


async def _is_well(url: str, key: SecretStr) -> bool:
    """Whether a server answers there and takes the key; `/health` would answer without one."""
    from jupyter_llmroute.core.errors import LLMRouteError
    from jupyter_llmroute.core.policy import Policy
    from jupyter_llmroute.core.transport import open_client, peer_errors

    headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
    async with open_client(Policy()) as client:  # loopback, and nothing else
        try:
            with peer_errors("the embedded server"):
                return (await client.get(f"{url}/v1/models", headers=headers, timeout=5)).status_code == 200
        except LLMRouteError:
            return False


def _launch(meeting: Rendezvous, config: dict[str, object]) -> subprocess.Popen[bytes]:
    """Start the server's process and hand it its configuration."""
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    with open(os.open(meeting.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600), "wb") as log:
        # -P: beside a notebook may lie a file named like a module.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "jupyter_llmroute.core.embedded.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # A failed check of ggml's would start a debugger on itself to print its stack.
            env=os.environ | {"GGML_NO_BACKTRACE": "1"},
            **apart,
        )
    # It outlives us or not; while we live it must not stay behind as a zombie.
    threading.Thread(target=child.wait, name=f"llmroute-embedded-{child.pid}", daemon=True).start()
    assert child.stdin is not None
    with suppress(OSError), child.stdin:
        child.stdin.write(json.dumps(config).encode() + b"\n")
    return child


def _end(launching: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    """End the process, as soon as there is one."""
    if not launching.done():
        launching.add_done_callback(_end)
    elif not launching.cancelled() and not launching.exception():
        child = launching.result()
        child.kill()
        assert child.stdout is not None
        # In a thread, and not one of a loop that may be ending: another may still read, until the process is gone.
        threading.Thread(target=child.stdout.close, daemon=True).start()


def _first_words(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for the one line that the server writes; empty where it ended without one."""
    assert child.stdout is not None
    with child.stdout:
        said: dict[str, Any] = json.loads(child.stdout.readline() or b"{}")
    return said


async def _stop(meeting: Rendezvous) -> None:
    async with _only_one(meeting):
        # Alive by its lock, which its process alone can hold: the record's process id is no reused one.
        if meeting.is_alive() and (running := _read(meeting.record)):
            for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
                with suppress(ProcessLookupError):
                    os.kill(running.pid, number)
                if await _is_gone(meeting):
                    break
        meeting.clear()


async def _is_gone(meeting: Rendezvous) -> bool:
    try:
        return await asyncio.wait_for(_poll(lambda: None if meeting.is_alive() else True), _TERM_GRACE_S)
    except TimeoutError:
        return False
