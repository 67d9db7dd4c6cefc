"""The process that serves one model: `python -m jupyter_llmroute.core.embedded.server`.

It reads one line of JSON from stdin (never arguments or environment: the key in it is secret, and others can read
those), writes one line of JSON to stdout when it answers or cannot, and from then on listens to files alone (see
`rendezvous`). It ends when nobody holds a lease, when nobody asked anything for long, when its record is gone, and on
SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from jupyter_llmroute.core.embedded.rendezvous import Rendezvous, try_lock

WINDOW_STEP = 256
"""llama.cpp rounds a window up to a multiple of this; rounding down first keeps what we say true (tokens)."""

_COUNTERS = ("prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_total", "n_decode_total")
_BUSY = ("requests_processing", "requests_deferred")


def main() -> int:
    """Serve until it is time to leave; return the exit code of a start that failed."""
    config = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever else writes to stdout or reads stdin must meet the log or nothing, not the starter's pipe.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    meeting = Rendezvous(Path(config["folder"]), config["name"])
    alive = try_lock(meeting.alive, timeout_s=5)
    if alive is None:
        return _say(answer, {"error": "another server already serves this file"}, code=4)
    try:
        server = _open_server(config)
    except (ImportError, RuntimeError, MemoryError) as error:
        return _say(answer, {"error": str(error)}, code=3)
    record = {
        "model": config["alias"],
        "path": config["model"],
        "url": server.listening_address,
        "key": config["key"],
        "pid": os.getpid(),
        "context_window": served_window(config["context_window"], config["trained_window"]),
        "started_at": datetime.now(UTC).isoformat(),
    }
    # Now that all is imported: a process that stays should not hold on to the folder it was started in.
    os.chdir(meeting.folder)
    signal.signal(signal.SIGTERM, lambda *_: _leave(meeting))
    _write_private(meeting.record, json.dumps(record))
    _say(answer, {"url": record["url"], "pid": record["pid"]})
    _stay(meeting, server.handle_metrics, config["idle_timeout_s"], config["grace_s"])


def _say(answer: Any, message: Mapping[str, object], code: int = 0) -> int:
    with suppress(BrokenPipeError), answer:
        answer.write(json.dumps(message) + "\n")
    return code


def _open_server(config: Mapping[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.model_alias = {config["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["key"]]
    # Both are needed: without the second, any web page's origin is answered as allowed.
    params.cors_origins = ""
    params.cors_origins_explicit = True
    params.ui = False
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.n_ctx = served_window(config["context_window"], config["trained_window"])
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"] or max(1, _cores() - 1)
    params.cache_ram_mib = 256
    # Where a turn has left the middle of a conversation, what stands behind it is moved up and not read again.
    params.n_cache_reuse = config["cache_reuse_tokens"]
    # Fitting to a GPU's memory reads the model twice (0.5 s of a start of 1 s), and there may be no GPU to fit it to.
    cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    params.fit_params = any(device["type"] != cpu for device in xllamacpp.get_device_info())
    # Warnings and errors: a line or more for each request would let the log grow for as long as the server lives.
    params.verbosity = 2
    return xllamacpp.Server(params)


def served_window(wanted: int, trained: int | None) -> int:
    """Return the window that a server is started with, in tokens: what is wanted, and at most the trained one.

    Examples
    --------
    >>> served_window(8192, 2048), served_window(1000, None)
    (2048, 768)
    """
    return max(WINDOW_STEP, min(wanted, trained or wanted) // WINDOW_STEP * WINDOW_STEP)


def _cores() -> int:
    """Cores that this process may use; threads beyond them wait for each other by spinning."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        # A container's quota (cgroup v2): "<microseconds> <per period>", or "max ...".
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, int(quota) // int(period))
    return cores


def _write_private(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _leave(meeting: Rendezvous) -> NoReturn:
    with suppress(OSError):
        meeting.clear()
    # Not by ending the server object: it waits for streams that are still read.
    os._exit(0)


class Watch:
    """What was last seen of users and activity, and whether it is time to leave; `now` is in seconds."""

    def __init__(self, idle_timeout_s: float, grace_s: float, now: float) -> None:
        self._idle_timeout_s = idle_timeout_s
        self._grace_s = grace_s
        self._held_at = self._active_at = now
        self._asked_ns = 0
        self._counters = ""

    def see_users(self, is_held: bool, asked_ns: int, now: float) -> None:
        """Note whether somebody holds the server, and when somebody last was about to ask (only whether it changed)."""
        if is_held:
            self._held_at = now
        if asked_ns != self._asked_ns:
            self._active_at = now
        self._asked_ns = asked_ns

    def see_metrics(self, text: str, now: float) -> None:
        """Note what llama.cpp did since the last look, and whether it works right now."""
        counters, is_busy = parse_metrics(text)
        if is_busy or counters != self._counters:
            self._active_at = now
        self._counters = counters

    def is_over(self, now: float) -> bool:
        """Whether nobody holds the server any more, or nobody asked for long."""
        return now - self._held_at > self._grace_s or now - self._active_at > self._idle_timeout_s


def _stay(meeting: Rendezvous, read_metrics: Callable[[], str], idle_timeout_s: float, grace_s: float) -> NoReturn:
    """Look around about once a second, and leave when it is time; llama.cpp is asked less often."""
    watch = Watch(idle_timeout_s, grace_s, time.monotonic())
    ask_next = 0.0

    def look(ask: bool) -> None:
        with suppress(FileNotFoundError):
            asked_ns = meeting.asked.stat().st_mtime_ns
            watch.see_users(meeting.is_held() or meeting.kept.exists(), asked_ns, time.monotonic())
        if ask:
            watch.see_metrics(read_metrics(), time.monotonic())

    while meeting.record.exists():
        time.sleep(max(0.02, min(1.0, idle_timeout_s / 20, grace_s or 1.0)))
        if ask := time.monotonic() >= ask_next:
            ask_next = time.monotonic() + idle_timeout_s / 20
        look(ask)
        if watch.is_over(time.monotonic()) and (lock := try_lock(meeting.starting)):
            # Nobody can be about to ask now: who comes later waits for this lock and then finds no server.
            look(ask=True)
            if watch.is_over(time.monotonic()):
                _leave(meeting)
            lock.release()
    _leave(meeting)


def parse_metrics(text: str) -> tuple[str, bool]:
    """Read llama.cpp's metrics: what changes with each request, and whether one runs or waits now."""
    values = dict(
        line.removeprefix("llamacpp:").rsplit(" ", 1) for line in text.splitlines() if line.startswith("llamacpp:")
    )
    counters = " ".join(values.get(name, "") for name in _COUNTERS)
    return counters, any(float(values.get(name, 0)) > 0 for name in _BUSY)


if __name__ == "__main__":
    # Not sys.exit: a server that failed half-way may hang in its own end.
    os._exit(main())
