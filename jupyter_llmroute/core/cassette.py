"""Record and replay: answers are kept beside a notebook, which runs again with them, without any server.

What is kept are the events of an answer, the decision among them, and not what went over the wire. So a replay looks
for no server, counts no tokens and measures no times: the outputs are those of the recording, byte for byte, whatever
the machine and whatever its settings. What is shown of servers besides answers, such as their table, is kept in the
same way by its value, before it is made into text or Markdown: it comes out as inert as what a server says now.

| mode           | recorded             | not recorded                                      |
| -------------- | -------------------- | ------------------------------------------------- |
| `none`         | replayed             | an error, which names the nearest recording       |
| `once`         | replayed if complete | asked and recorded if the file had nothing at all |
| `new_episodes` | replayed if complete | asked and recorded                                |
| `all`          | asked and replaced   | asked and recorded                                |

What was interrupted, or failed, is asked for again by `once` too: only `none` may ask nobody. An answer that the audit
log did not take is none, and is not recorded.

The same question, asked several times by one run of a cell, has several recordings: they are replayed in their order,
and from the first one when the cell is run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from jupyter_llmroute.core.audit.folder import AuditError
from jupyter_llmroute.core.cassette_file import SUFFIX, CassetteError, CassetteFile, Tape
from jupyter_llmroute.core.errors import LLMRouteError, UserError
from jupyter_llmroute.core.events import Event, Routed
from jupyter_llmroute.core.recording import Ended, Failure, Interrupted, Recording, Timed, happened
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.scrubbing import cleaned
from jupyter_llmroute.core.sections import ContextSettings
from jupyter_llmroute.core.sent import Sent, SentBy, differences, gathered, nearest, rules_of, sent_of

T = TypeVar("T")

_Rules = tuple[tuple[str, int], ...]

LONGEST_PAUSE_S = 30.0
"""A replay waits no longer for what comes next, however long it took then."""

MOST_PAUSES_S = 1800.0
"""All waits of one replay together."""


class Mode(StrEnum):
    """When recordings are replayed, and when something is recorded."""

    NONE = "none"
    ONCE = "once"
    NEW_EPISODES = "new_episodes"
    ALL = "all"


class NoRecording(UserError):
    """Nothing that was recorded answers this question."""


class Asker(NamedTuple):
    """The run of a cell that asks."""

    cell: str = ""
    """Its id, where the notebook tells it."""
    number: int = 0
    """Its execution count."""


NOBODY = Asker()


class _Found(NamedTuple):
    """Where what is asked stands among the recordings of it."""

    sent: Sent
    recordings: tuple[Recording, ...]
    """Those of this question, in their order: of this very cell if there are any."""
    number: int
    """How often this run has asked it before."""

    @property
    def due(self) -> Recording | None:
        """The one whose turn it is."""
        return self.recordings[self.number] if self.number < len(self.recordings) else None


def place(notebook: Path | None, *, named: Path | None = None, folder: Path | None = None) -> Path:
    """Return the file of a notebook's recordings.

    Parameters
    ----------
    notebook
        The notebook's file; `None` where nobody tells it, as where tests run it.
    named
        What the user names instead.
    folder
        Where the kernel works, `None` for the current one: without a notebook, the only file of recordings there.

    Raises
    ------
    CassetteError
        Nobody tells the notebook, and there is not just one file that could be its.
    """
    if named is not None:
        return named.expanduser()
    if notebook is not None:
        return notebook.with_suffix(SUFFIX)
    found = sorted((folder or Path()).glob(f"*{SUFFIX}"))
    if len(found) == 1:
        return found[0]
    told = f"there are {len(found)} files *{SUFFIX}" if found else f"there is no file *{SUFFIX}"
    raise CassetteError(
        f"Nobody tells which notebook this is, and in {str((folder or Path()).absolute())!r} {told}: "
        f"name the file in cassette.file (LLMROUTE_CASSETTE__FILE, or --cassette at a terminal)."
    )


class Cassette:
    """The recordings of one notebook.

    Parameters
    ----------
    path
        Their file; see `place`.
    mode
        When they are replayed, and when something is recorded.
    paced
        Whether a replay comes as slowly as the answer did; otherwise all at once.
    context
        By what settings the cells are chosen that go along with a question that is recorded.
    clock
        Seconds, always on.
    sleep
        What waits for so many seconds.

    Examples
    --------
    >>> async def ask(question: str, router: Router, cassette: Cassette) -> str:
    ...     request = Request(question=question)
    ...     events = cassette.stream(request, lambda: router.stream(request))
    ...     return "".join([event.text async for event in events if event.kind == "text_delta"])
    """

    def __init__(
        self,
        path: Path,
        mode: Mode = Mode.ONCE,
        *,
        paced: bool = True,
        context: ContextSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.mode = mode
        self.file = CassetteFile(path)
        self.paced = paced
        self.rules = rules_of(context or ContextSettings())
        self._clock = clock
        self._sleep = sleep
        self._asked: Counter[tuple[str, Asker | None]] = Counter()
        self._was_empty: bool | None = None
        """Whether the file held nothing when it was first looked at."""

    @property
    def replays_at_once(self) -> bool:
        """Whether all answers are replayed, and none is waited for: who shows them may show them whole."""
        return self.mode is Mode.NONE and not self.paced

    async def stream(
        self, request: Request, live: Callable[[], AsyncGenerator[Event, None]], *, mode: Mode | None = None
    ) -> AsyncGenerator[Event, None]:
        """Answer a request: from the recordings, or by `live`, whose events are recorded then.

        Parameters
        ----------
        request
            What is asked.
        live
            Asks it.
        mode
            For this question alone; `None` takes the cassette's.

        Yields
        ------
        Event
            As `Router.stream` does.

        Raises
        ------
        NoRecording
            It is to be replayed, and was not recorded.
        CassetteError
            The file does not read, or cannot be written.
        Interrupted
            The answer was interrupted when it was recorded.
        LLMRouteError
            What ended the answer, now or then.
        """
        asker = Asker(request.cell, request.number)
        found = await self._find(partial(sent_of, request), asker)
        recording = self._replayed(found, mode or self.mode)
        if recording is None:
            self.file.check_writable()
        events = self._replay(recording, request) if recording else self._record(found, asker, live())
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    async def kept(
        self,
        sent_by: SentBy,
        form: TypeAdapter[T],
        live: Callable[[], Awaitable[T]],
        asker: Asker = NOBODY,
        *,
        mode: Mode | None = None,
    ) -> T:
        """Return a value that is shown and is no answer: from the recordings, or by `live`, recorded then.

        Parameters
        ----------
        sent_by
            What is asked for: of `sent.command`, or `partial(sent_of, request, kind="…")`.
        form
            What the value is: it is written as JSON, and checked when it is read.
        live
            Makes it.
        asker
            Who asks.
        mode
            For this once; `None` takes the cassette's.

        Raises
        ------
        NoRecording
            It is to be replayed, and was not recorded.
        CassetteError
            The file does not read, or cannot be written.
        """
        found = await self._find(sent_by, asker)
        if recording := self._replayed(found, mode or self.mode):
            try:
                return form.validate_python(recording.value)
            except ValidationError as error:
                problem = error.errors(include_input=False, include_context=False, include_url=False)[0]["msg"]
                raise CassetteError(
                    f"{str(self.file.path)!r} holds for {found.sent.kind} what is none ({problem}): record it anew."
                ) from None
        self.file.check_writable()
        value = await live()
        shown = cleaned(form.dump_python(value, mode="json"))
        await self._write(found, Recording(sent=found.sent, cell=asker.cell, value=shown))
        return value

    async def _find(self, sent_by: SentBy, asker: Asker) -> _Found:
        """Return where a question stands; it counts as asked."""
        tape = await asyncio.to_thread(self.file.read)
        self._was_empty = not tape.recordings if self._was_empty is None else self._was_empty
        under: dict[_Rules, Sent] = {}
        for rules in map(_rules, tape.recordings):
            if rules not in under:
                under[rules] = await sent_by(dict(rules))
        ours = await sent_by(self.rules)
        same = [recording for recording in tape.recordings if under[_rules(recording)].is_like(recording.sent)]
        recordings, is_own = _of_cell(same, asker)
        run, anybody = (ours.key, asker if asker.cell else None), (ours.key, None)
        number = self._asked[run if is_own or not same else anybody]
        self._asked.update({run, anybody})
        return _Found(ours, recordings, number)

    def _replayed(self, found: _Found, mode: Mode) -> Recording | None:
        """Return the recording to replay; `None` where the question is to be asked."""
        due = found.due
        if mode is Mode.ALL:
            return None
        if mode is Mode.NEW_EPISODES or (mode is Mode.ONCE and self._was_empty):
            return due if due and due.ended is Ended.COMPLETE else None
        if not found.recordings:
            raise NoRecording(self._missed(found.sent))
        recording = due or found.recordings[-1]
        return recording if mode is Mode.NONE or recording.ended is Ended.COMPLETE else None

    def _missed(self, sent: Sent) -> str:
        path, what = str(self.file.path), _what(sent)
        remedy = f"With a server, record it by mode {Mode.NEW_EPISODES.value!r}."
        tape = self.file.read()
        if not tape.recordings:
            there = "holds no recordings" if self.file.path.exists() else "is not there"
            return f"There is no recording of {what}: {path!r} {there}. {remedy}"
        near = nearest(sent, (recording.sent for recording in tape.recordings))
        if near is None:
            return f"There is no recording of {what} in {path!r}, nor of anything like it. {remedy}"
        differing = "; ".join(differences(sent, near)) or "cells are chosen by other rules"
        return f"There is no recording of {what} in {path!r}. The nearest is {_what(near)}: {differing}. {remedy}"

    async def _replay(self, recording: Recording, request: Request) -> AsyncGenerator[Event, None]:
        left_s = MOST_PAUSES_S
        items = await gathered(request, recording.sent.rules)
        for wait_ms, event in recording.timed():
            pause_s = min(wait_ms / 1000, LONGEST_PAUSE_S, left_s)
            if self.paced and pause_s > 0:
                left_s -= pause_s
                await self._sleep(pause_s)
            yield event.model_copy(update={"items": items}) if isinstance(event, Routed) else event
        if recording.failure:
            raise recording.failure.raised()
        if recording.ended is Ended.INTERRUPTED:
            raise Interrupted("The answer was interrupted when it was recorded; what had come is kept.")

    async def _record(
        self, found: _Found, asker: Asker, live: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[Event, None]:
        came: list[Timed] = []
        last = self._clock()
        ended, failure = Ended.INTERRUPTED, None
        is_ours = True
        try:
            async with contextlib.aclosing(live) as events:
                async for event in events:
                    now = self._clock()
                    # Rounded from the first on, so that many short waits stay as long as they were.
                    wait_ms = max(0, round((now - last) * 1000))
                    last += wait_ms / 1000
                    came.append((wait_ms, event))
                    yield event
            ended = Ended.COMPLETE
        except AuditError:
            is_ours = False  # whoever must be recorded and cannot be gives no answer
            raise
        except LLMRouteError as error:
            ended, failure = Ended.FAILED, Failure.of(error)
            raise
        except Exception:
            is_ours = False  # a mistake of the program, which is nobody's answer
            raise
        finally:
            if is_ours and (came or failure):
                await self._write(
                    found,
                    Recording(sent=found.sent, cell=asker.cell, ended=ended, failure=failure, events=happened(came)),
                )

    async def _write(self, found: _Found, recording: Recording) -> None:
        """Write a recording, in the place of the one whose turn it was."""

        def change(tape: Tape) -> Tape:
            old = found.due
            if old in tape.recordings:
                at = tape.recordings.index(old)
                return tape.model_copy(
                    update={"recordings": (*tape.recordings[:at], recording, *tape.recordings[at + 1 :])}
                )
            return tape.model_copy(update={"recordings": (*tape.recordings, recording)})

        # The answer may have been interrupted: it is written all the same.
        await asyncio.shield(asyncio.to_thread(self.file.update, change))


def _rules(recording: Recording) -> _Rules:
    return tuple(sorted(recording.sent.rules.items()))


def _of_cell(same: list[Recording], asker: Asker) -> tuple[tuple[Recording, ...], bool]:
    """Return the recordings of the cell that asks, if it is known to have any; otherwise all."""
    own = tuple(recording for recording in same if asker.cell and recording.cell == asker.cell)
    return (own, True) if own else (tuple(same), False)


def _what(sent: Sent) -> str:
    if sent.kind != "answer":
        pinned = ", ".join(f"{name} {value!r}" for name, value in sent.parameters.items())
        return f"{sent.kind}{f' ({pinned})' if pinned else ''}" + (f" for {_quoted(sent)}" if sent.question else "")
    return f"the question {_quoted(sent)}"


def _quoted(sent: Sent) -> str:
    text = " ".join(sent.question.split())
    return repr(text if len(text) <= 80 else f"{text[:79]}…")
