"""The only way from blocking code to async code.

A cell runs on the kernel's main thread while the kernel's own loop is on the same thread, so nothing can be awaited
there. All async work lives on one daemon thread with one loop; the calling thread takes events from a queue and
does every display itself, so that each goes to the cell that asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import wait
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

TICK_S = 0.05
"""Seconds between two looks at the queue; also what keeps a wait interruptible on Windows."""

GRACE_S = 0.25
"""Seconds to wait for a stopped stream to close its connection; it goes on closing when they are over."""


CLOSING_S = 5.0
"""Seconds that a closed loop has to end what still runs on it."""


class Stopped(KeyboardInterrupt):
    """The user stopped the stream; it ends "Run All" as any error does."""


class BackgroundLoop:
    """One event loop on a daemon thread, started when it is first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and return its result; the first interrupt cancels it.

        Raises
        ------
        Stopped
            The user interrupted.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        with _interrupts(future.cancel) as interrupted:
            while not future.done():
                wait([future], timeout=TICK_S)
        if interrupted.is_set():
            raise Stopped("Stopped.")
        return future.result()

    def drain(self, stream: AsyncGenerator[T, None], on_events: Callable[[list[T]], None]) -> None:
        """Run `stream` on the loop; hand its events to `on_events` on this thread, all that wait at once.

        `on_events` is called at least once a tick, with an empty list where nothing came. The first interrupt closes
        the stream: what had come is handed over, then `Stopped` is raised. A second one raises at once.

        Raises
        ------
        Stopped
            The user interrupted.
        Exception
            What the stream raised, after the events before it were handed over.
        """
        inbox: queue.SimpleQueue[T | _End] = queue.SimpleQueue()

        async def feed() -> None:
            try:
                async with contextlib.aclosing(stream) as events:
                    async for event in events:
                        inbox.put(event)
            finally:
                inbox.put(_END)

        future = asyncio.run_coroutine_threadsafe(feed(), self._running())
        with _interrupts(future.cancel) as interrupted:
            try:
                _hand_over(inbox, on_events, interrupted)
            except BaseException:
                future.cancel()
                raise
        if interrupted.is_set():
            raise Stopped("Stopped; what had come is kept.")
        future.result()

    def close(self) -> None:
        """End what still runs and stop the loop; a later call starts a new one."""
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CLOSING_S)
            self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name="llmroute", daemon=True)
            self._thread.start()
        return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped; cancel what is left on it, and close it."""
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel_all())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _cancel_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


class _End:
    """Marks the end of a stream in its queue."""


_END = _End()


def _hand_over(
    inbox: queue.SimpleQueue[T | _End], on_events: Callable[[list[T]], None], interrupted: threading.Event
) -> None:
    give_up_at: float | None = None
    while give_up_at is None or time.monotonic() < give_up_at:
        events, ended = _take_all(inbox)
        on_events(events)
        if ended:
            return
        if interrupted.is_set() and give_up_at is None:
            give_up_at = time.monotonic() + GRACE_S


def _take_all(inbox: queue.SimpleQueue[T | _End]) -> tuple[list[T], bool]:
    """Wait up to a tick for an event, and take whatever else is there; say whether the stream ended."""
    events: list[T] = []
    with contextlib.suppress(queue.Empty):
        item = inbox.get(timeout=TICK_S)
        while not isinstance(item, _End):
            events.append(item)
            item = inbox.get_nowait()
        return events, True
    return events, False


@contextlib.contextmanager
def _interrupts(cancel: Callable[[], object]) -> Iterator[threading.Event]:
    """While open, the first Ctrl-C or kernel interrupt calls `cancel`; a second one raises at once.

    Only the main thread may set handlers; elsewhere, as in a subshell, this leaves them alone.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise Stopped("Stopped at once; what had come is kept.")
        interrupted.set()
        cancel()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
