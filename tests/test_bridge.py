"""Blocking code runs async streams, and an interrupt loses nothing."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from jupyter_llmroute.bridge import BackgroundLoop, Stopped


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    background = BackgroundLoop()
    yield background
    background.close()


async def counting(count: int) -> AsyncGenerator[int, None]:
    for number in range(count):
        yield number


class Endless:
    """Gives `count` numbers, then waits for ever; notes that it was closed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.closed = threading.Event()

    async def stream(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.count):
                yield number
            await asyncio.Event().wait()
        finally:
            self.closed.set()


def test_hands_over_every_event_in_order_on_this_thread(loop: BackgroundLoop) -> None:
    got: list[int] = []
    threads = set()

    def take(events: list[int]) -> None:
        got.extend(events)
        threads.add(threading.current_thread())

    loop.drain(counting(1000), take)
    assert got == list(range(1000))
    assert threads == {threading.main_thread()}


def test_an_empty_stream_ends(loop: BackgroundLoop) -> None:
    got: list[int] = []
    loop.drain(counting(0), got.extend)
    assert got == []


def test_an_error_comes_after_the_events_before_it(loop: BackgroundLoop) -> None:
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("the stream's own")

    got: list[int] = []
    with pytest.raises(ValueError, match="the stream's own"):
        loop.drain(failing(), got.extend)
    assert got == [1]


def test_an_interrupt_closes_the_stream_and_keeps_what_had_come(loop: BackgroundLoop) -> None:
    endless = Endless(10)
    got: list[int] = []

    def take(events: list[int]) -> None:
        got.extend(events)
        if events and len(got) == 10:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        loop.drain(endless.stream(), take)
    assert got == list(range(10))
    assert endless.closed.is_set()


def test_an_interrupt_of_a_silent_stream_ends_it_too(loop: BackgroundLoop) -> None:
    endless = Endless(0)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Stopped):
        loop.drain(endless.stream(), lambda events: None)
    assert endless.closed.is_set()


def test_the_handler_of_before_is_put_back(loop: BackgroundLoop) -> None:
    before = signal.getsignal(signal.SIGINT)
    loop.drain(counting(3), lambda events: None)
    loop.run(asyncio.sleep(0))
    assert signal.getsignal(signal.SIGINT) is before


def test_works_off_the_main_thread_where_no_handler_can_be_set(loop: BackgroundLoop) -> None:
    got: list[int] = []
    worker = threading.Thread(target=loop.drain, args=(counting(5), got.extend))
    worker.start()
    worker.join()
    assert got == list(range(5))


def test_runs_a_coroutine_and_returns_its_result(loop: BackgroundLoop) -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert loop.run(answer()) == 42
    loop.close()
    assert loop.run(answer()) == 42  # a new loop after a close


def test_an_interrupt_cancels_a_coroutine(loop: BackgroundLoop) -> None:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Stopped):
        loop.run(asyncio.Event().wait())
