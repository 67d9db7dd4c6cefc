"""`Child`: a program that we start, that dies with us, and takes along what it started itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Self, cast

from jupyter_llmroute.core.errors import CodeUnavailable

LOG_BYTES = 1 << 20
"""What is kept of the words of one program, and once more of those before."""

_GRACE_S = 2.0
"""Seconds that a program has to leave after the end of its input, and again after it was asked to."""

_LAST_WORDS_S = 1.0
"""Seconds for what it wrote last; somebody else may hold that pipe open."""


class Child:
    """A running program with pipes for input and output.

    It has a session of its own, so an interrupt of ours does not reach it. When we are gone, in whatever way, it is
    ended: on Linux by a signal of the kernel's, on Windows by a job object, elsewhere by a process between us that
    looks after it. On Linux the signal comes when the *thread* ends that started it.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        All of it; nothing of ours is added.
    folder
        Where it runs.
    log
        File for what it writes to stderr, readable by its owner alone; `None` throws it away.

    Raises
    ------
    CodeUnavailable
        It cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        try:
            self._process = subprocess.Popen(
                _tied(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if log else subprocess.DEVNULL,
                env=environment,
                cwd=folder,
                **_apart(),
            )
        except OSError as error:
            raise CodeUnavailable(
                f"{command[0]!r} cannot be started ({error}): see whether it is there, and may be run."
            ) from error
        self._job = _job(self._process.pid)
        self._unused = {self._process.stdin, self._process.stdout}
        self._logging: threading.Thread | None = None
        if log and self._process.stderr:
            self._logging = threading.Thread(target=_keep, args=(self._process.stderr, log), daemon=True)
            self._logging.start()
        threading.Thread(target=self._wait, name=f"llmroute-child-{self.pid}", daemon=True).start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def stdin(self) -> BinaryIO:
        """Pipe into it; whoever asks for it has to close it."""
        return self._taken(self._process.stdin)

    @property
    def stdout(self) -> BinaryIO:
        """Pipe out of it; whoever asks for it has to close it."""
        return self._taken(self._process.stdout)

    @property
    def pid(self) -> int:
        """Process id; also that of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """As `subprocess` has it; `None` while it runs."""
        return self._process.returncode

    async def ended(self) -> None:
        """Wait until it has ended by itself or otherwise."""
        await self._ended.wait()

    async def close(self, grace_s: float = _GRACE_S) -> None:
        """End it: by the end of its input, which whoever holds `stdin` gives; then by asking, then at once.

        Parameters
        ----------
        grace_s
            Seconds for each of the two kind ways.
        """
        try:
            if not await self._leaves(grace_s):
                self._signal(signal.SIGTERM)
                await self._leaves(grace_s)
        finally:
            self.kill()
            while self._unused:
                self._taken(self._unused.pop()).close()
        await self._ended.wait()

    def kill(self) -> None:
        """End it and all of its group at once."""
        if self._job is not None and sys.platform == "win32":
            from jupyter_llmroute.core.code.windows_job import end

            end(self._job)
            self._job = None
        if self._process.returncode is None:
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def _taken(self, pipe: IO[bytes] | None) -> BinaryIO:
        self._unused.discard(pipe)
        return cast(BinaryIO, pipe)

    async def _leaves(self, within_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._ended.wait()
        return self._ended.is_set()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._process.terminate()
            else:
                os.killpg(self.pid, number)

    def _wait(self) -> None:
        if sys.platform != "win32":
            if hasattr(os, "waitid"):
                # Not yet reaped, so the number of its group is still its own: what it left behind goes along.
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            else:
                self._process.wait()
            self._signal(signal.SIGKILL)
        self._process.wait()
        if self._logging:
            self._logging.join(_LAST_WORDS_S)
        with suppress(RuntimeError):  # the loop may have ended before
            self._loop.call_soon_threadsafe(self._ended.set)


def _tied(command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` tied to us."""
    if sys.platform == "win32":
        return list(command)
    # -I and -S: nothing of the user's environment or site is read in between.
    tied = Path(__file__).with_name("tied.py")
    return [sys.executable, "-I", "-S", str(tied), str(os.getpid()), *command]


def _apart() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _job(pid: int) -> int | None:
    if sys.platform == "win32":
        from jupyter_llmroute.core.code.windows_job import tie

        return tie(pid)
    return None


def _keep(stream: Any, log: Path) -> None:
    """Write down what comes, in two files of bounded size: this one, and the one before."""
    with stream, suppress(OSError):
        written = 0
        file = _private(log)
        try:
            while chunk := stream.read1(1 << 16):
                if written > LOG_BYTES:
                    file.close()
                    log.replace(log.with_suffix(".before.log"))
                    file, written = _private(log), 0
                file.write(chunk)
                written += len(chunk)
        finally:
            file.close()
            while stream.read1(1 << 16):  # a full disk must not stop the program
                pass


def _private(log: Path) -> BinaryIO:
    return open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0)
