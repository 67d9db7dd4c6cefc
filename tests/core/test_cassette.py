"""What is replayed, what is asked and recorded, and what is said where nothing was recorded."""

import asyncio
import json
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from jupyter_llmroute.core.audit.folder import AuditError
from jupyter_llmroute.core.cassette import (
    LONGEST_PAUSE_S,
    MOST_PAUSES_S,
    Asker,
    CassetteError,
    Mode,
    NoRecording,
    place,
)
from jupyter_llmroute.core.cassette_file import laid_out, parse
from jupyter_llmroute.core.errors import BrokenStream, LLMRouteError, UnknownModel
from jupyter_llmroute.core.events import TextDelta
from jupyter_llmroute.core.pins import Pin
from jupyter_llmroute.core.recording import Ended, Interrupted, written
from jupyter_llmroute.core.request import CellRef, Request
from jupyter_llmroute.core.sections import ContextSettings
from jupyter_llmroute.core.sent import command, sent_of
from jupyter_llmroute.view import RunView

from .tapes import Clock, answer, cassette, live, nobody, play, routed, started, text

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tour.cassette.json"


def replayed(events):
    """Return events as they come out of a recording."""
    return [written(event) for event in events]


async def test_a_replay_is_what_was_recorded_and_asks_nobody(path):
    came, _ = await play(cassette(path, Mode.ONCE), live(answer("Hel", "lo")))
    again, error = await play(cassette(path))
    assert error is None
    assert came == list(answer("Hel", "lo"))
    assert again == replayed(came)


async def test_a_replay_streams_as_the_answer_did_or_all_at_once(path):
    clock = Clock()
    await play(cassette(path, Mode.ONCE, clock), live(answer("a", "b", "c"), clock=clock, every_s=0.0304))
    paced, at_once = Clock(), Clock()
    await play(cassette(path, clock=paced))
    await play(cassette(path, clock=at_once, paced=False))
    assert len(paced.waits) == 7
    assert sum(paced.waits) == pytest.approx(7 * 0.0304, abs=0.001)
    assert at_once.waits == []


async def test_nobody_waits_for_a_replay_without_end(path):
    clock = Clock()
    await play(cassette(path, Mode.ONCE, clock), live(answer(*"x" * 200), clock=clock, every_s=100_000))
    patient = Clock()
    await play(cassette(path, clock=patient))
    assert max(patient.waits) <= LONGEST_PAUSE_S
    assert sum(patient.waits) <= MOST_PAUSES_S


async def test_what_goes_along_is_that_of_the_replaying_notebook(path):
    cells = (CellRef(number=1, source="df = 3"),)
    await play(cassette(path, Mode.ONCE), live(answer("yes")), question="what is df?", cells=cells)
    moved = (CellRef(number=8, source="# Prose", kind="markdown"), CellRef(number=8, source="df = 3"))
    (first, *_), error = await play(cassette(path), question="what is df?", cells=moved)
    assert error is None
    assert [item.ref for item in first.items] == ["text above In[8]", "In[8]"]


# --- modes ---

SAYS = {"live": live(answer("live")), "failing": live(answer()[:2], error=BrokenStream("m stopped."))}

MODES = [
    # mode, what was recorded by an earlier session, the question now, what comes, how many recordings there are then
    (Mode.NONE, "complete", "Why?", "old", 1),
    (Mode.NONE, "failed", "Why?", BrokenStream, 1),
    (Mode.NONE, "complete", "How?", NoRecording, 1),
    (Mode.NONE, None, "Why?", NoRecording, 0),
    (Mode.ONCE, "complete", "Why?", "old", 1),
    (Mode.ONCE, "failed", "Why?", "live", 1),
    (Mode.ONCE, "interrupted", "Why?", "live", 1),
    (Mode.NONE, "interrupted", "Why?", Interrupted, 1),
    (Mode.ONCE, "complete", "How?", NoRecording, 1),
    (Mode.ONCE, None, "Why?", "live", 1),
    (Mode.NEW_EPISODES, "complete", "Why?", "old", 1),
    (Mode.NEW_EPISODES, "failed", "Why?", "live", 1),
    (Mode.NEW_EPISODES, "complete", "How?", "live", 2),
    (Mode.NEW_EPISODES, None, "Why?", "live", 1),
    (Mode.ALL, "complete", "Why?", "live", 1),
    (Mode.ALL, "failed", "Why?", "live", 1),
    (Mode.ALL, "complete", "How?", "live", 2),
    (Mode.ALL, None, "Why?", "live", 1),
]


ENDS = {"complete": None, "failed": BrokenStream("m stopped."), "interrupted": asyncio.CancelledError()}


@pytest.mark.parametrize(("mode", "recorded", "question", "comes", "count"), MODES)
async def test_a_mode_says_what_is_replayed_and_what_is_recorded(path, mode, recorded, question, comes, count):
    if recorded:
        with suppress(asyncio.CancelledError):
            await play(cassette(path, Mode.ALL), live(answer("old"), error=ENDS[recorded]))
    now = cassette(path, mode)
    events, error = await play(now, live(answer("live")), question=question)
    assert (type(error) if error else text(events)) == comes
    assert len(now.file.read().recordings) == count


async def test_a_question_that_one_run_of_a_cell_asks_thrice_has_three_answers(path):
    first = cassette(path, Mode.ONCE)
    for said in "abc":
        await play(first, live(answer(said)), cell="x", number=3)
    again, without_ids = cassette(path), cassette(path)
    for number in (4, 9):  # it is run, and run again
        assert [text((await play(again, cell="x", number=number))[0]) for _ in range(3)] == ["a", "b", "c"]
    assert [text((await play(without_ids))[0]) for _ in range(4)] == ["a", "b", "c", "c"]


async def test_a_cell_that_is_run_again_while_recording_takes_the_place_of_its_answer(path):
    first = cassette(path, Mode.ALL)
    await play(first, live(answer("one")), cell="x", number=1)
    await play(first, live(answer("other")), cell="y", number=2)
    await play(first, live(answer("two")), cell="x", number=3)
    assert [text((await play(cassette(path), cell=cell, number=1))[0]) for cell in "xy"] == ["two", "other"]


async def test_what_is_recorded_new_is_replayed_when_the_cell_is_run_again(path):
    recordings = cassette(path, Mode.NEW_EPISODES)
    await play(recordings, live(answer("one")), cell="x", number=1)
    assert text((await play(recordings, cell="x", number=2))[0]) == "one"


async def test_a_question_may_have_a_mode_of_its_own(path):
    recordings = cassette(path, Mode.ONCE)
    for said, mode in (("one", None), ("two", Mode.ALL)):
        async with aclosing(recordings.stream(Request(question="Why?"), live(answer(said)), mode=mode)) as events:
            assert text([event async for event in events]) == said
    assert text((await play(cassette(path)))[0]) == "one"


# --- how an answer ends ---


async def test_an_answer_that_failed_fails_again_with_what_had_come(path):
    failing = live(answer("Hel")[:-1], error=BrokenStream("m on desk stopped."))
    came, first = await play(cassette(path, Mode.ONCE), failing)
    again, error = await play(cassette(path))
    assert again == replayed(came)
    assert (type(error), str(error)) == (type(first), str(first))


async def test_an_error_before_anybody_was_asked_is_kept_too(path):
    _, first = await play(cassette(path, Mode.ONCE), live(error=UnknownModel("No server has a model 'x'.")))
    _, error = await play(cassette(path))
    assert repr(error) == repr(first)


async def test_what_the_audit_log_did_not_take_is_no_recording(path):
    for mode in (Mode.ONCE, Mode.NEW_EPISODES, Mode.ALL):
        _, error = await play(cassette(path, mode), live(answer("x"), error=AuditError("The disc is full.")))
        assert isinstance(error, AuditError)
    assert not path.exists()


async def test_the_answer_of_another_pinned_model_is_not_replayed(path):
    recordings = cassette(path, Mode.ALL)
    for model in ("one", "other"):
        await play(recordings, live(answer(f"by {model}")), pins=(Pin(model=model),))
    again = cassette(path)
    for model in ("other", "one"):
        assert text((await play(again, pins=(Pin(model=model),)))[0]) == f"by {model}"
    _, error = await play(again)
    assert isinstance(error, NoRecording)
    assert "pin is not set here and 'one' there" in str(error)


async def test_a_mistake_of_the_program_is_no_recording(path):
    with pytest.raises(ZeroDivisionError):
        await play(cassette(path, Mode.ONCE), live(answer("x"), error=ZeroDivisionError()))
    assert not path.exists()


async def test_an_answer_that_its_reader_left_is_kept_as_interrupted(path):
    recordings = cassette(path, Mode.ONCE)
    async with aclosing(recordings.stream(Request(question="Why?"), live(answer("a", "b")))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert [recording.ended for recording in recordings.file.read().recordings] == [Ended.INTERRUPTED]
    again, error = await play(cassette(path))
    assert text(again) == "a"
    assert isinstance(error, Interrupted)


async def test_an_answer_that_was_cancelled_is_kept_as_interrupted(path):
    began = asyncio.Event()

    async def hangs():
        yield routed()
        yield started()
        yield TextDelta(text="Well")
        began.set()
        await asyncio.Event().wait()

    recordings = cassette(path, Mode.ONCE)
    asking = asyncio.create_task(play(recordings, hangs))
    await began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    again, error = await play(cassette(path))
    assert text(again) == "Well"
    assert isinstance(error, Interrupted)


async def test_what_cannot_be_recorded_is_not_asked(tmp_path):
    _, error = await play(cassette(tmp_path / "missing" / "n", Mode.ALL), nobody)
    assert isinstance(error, CassetteError)


async def test_a_file_that_does_not_read_ends_every_mode_and_stays_as_it_is(path):
    path.write_text("<<<<<<< HEAD\n")
    for mode in Mode:
        _, error = await play(cassette(path, mode), nobody)
        assert isinstance(error, CassetteError)
        assert "merge" in str(error)
    assert path.read_text() == "<<<<<<< HEAD\n"


# --- misses ---

ASKED = {"question": "why is df empty?", "cells": (CellRef(number=1, source="df = 3"),)}

MISSES = {
    "another question": (
        {**ASKED, "question": "why is df full?"},
        "There is no recording of the question 'why is df full?' in {path!r}. The nearest is the question 'why is df "
        "empty?': the question says 'why is df full?' here and 'why is df empty?' there. With a server, record it by "
        "mode 'new_episodes'.",
    ),
    "a changed cell": (
        {**ASKED, "cells": (CellRef(number=1, source="df = 4"),)},
        "There is no recording of the question 'why is df empty?' in {path!r}. The nearest is the question 'why is df "
        "empty?': In[1] was changed. With a server, record it by mode 'new_episodes'.",
    ),
    "another model": (
        {**ASKED, "model": "phi4"},
        "There is no recording of the question 'why is df empty?' in {path!r}. The nearest is the question 'why is df "
        "empty?': model is 'phi4' here and not set there. With a server, record it by mode 'new_episodes'.",
    ),
}


@pytest.mark.parametrize("name", MISSES)
async def test_a_miss_names_the_nearest_recording_and_the_difference(path, name):
    first = cassette(path, Mode.ALL)
    for question in ("write a poem about rain", ASKED["question"], "what else?"):
        await play(first, live(answer("x")), **{**ASKED, "question": question})
    asked, words = MISSES[name]
    _, error = await play(cassette(path), **asked)
    assert str(error) == words.format(path=str(path))


async def test_without_recordings_that_is_what_is_said(path):
    _, error = await play(cassette(path))
    assert str(error) == (
        f"There is no recording of the question 'Why?': {str(path)!r} is not there. With a server, record it by mode "
        f"'new_episodes'."
    )


async def test_settings_of_another_machine_change_nothing(path):
    cells = tuple(CellRef(number=number, source=f"df = f({number})") for number in range(1, 12))
    few = cassette(path, Mode.ONCE, context=ContextSettings(max_cells=2, max_cell_chars=50))
    await play(few, live(answer("x")), question="what is df?", cells=cells)
    assert text((await play(cassette(path), question="what is df?", cells=cells))[0]) == "x"


# --- values that are no answers ---

ROWS = TypeAdapter(tuple[tuple[str, int], ...])


async def never():
    raise AssertionError("somebody was asked")


async def test_a_value_is_kept_and_comes_back_as_what_it_was(path):
    shown = iter(((("a", 1),), (("a", 1), ("b", 2))))

    async def look():
        return next(shown)

    first = cassette(path, Mode.ONCE)
    came = [await first.kept(command("servers", refresh=True), ROWS, look) for _ in range(2)]
    again = cassette(path)
    assert [await again.kept(command("servers", refresh=True), ROWS, never, Asker("x", 7)) for _ in range(2)] == came
    with pytest.raises(NoRecording, match=r"of servers \(refresh False\).*refresh is False here and True there"):
        await again.kept(command("servers", refresh=False), ROWS, never)
    with pytest.raises(NoRecording, match="nor of anything like it"):
        await again.kept(command("models"), ROWS, never)


async def test_what_is_shown_of_a_question_is_kept_by_what_the_question_sends(path):
    async def look():
        return (("a", 1),)

    cells = tuple(CellRef(number=number, source=f"df = f({number})") for number in range(1, 12))
    request = Request(question="what is df?", cells=cells)
    few = cassette(path, Mode.ONCE, context=ContextSettings(max_cells=2))
    await few.kept(partial(sent_of, request, kind="context"), ROWS, look)
    again = cassette(path)
    assert await again.kept(partial(sent_of, request, kind="context"), ROWS, never) == (("a", 1),)
    with pytest.raises(NoRecording, match="of the question 'what is df"):
        await play_all(again, request)


async def play_all(recordings, request):
    return [event async for event in recordings.stream(request, nobody)]


async def test_a_value_that_is_none_is_said(path):
    async def look():
        return {"not": "rows"}

    await cassette(path, Mode.ONCE).kept(command("servers"), TypeAdapter(dict[str, str]), look)
    with pytest.raises(CassetteError, match="holds for servers what is none"):
        await cassette(path).kept(command("servers"), ROWS, never)


# --- where the file lies ---


def test_the_recordings_lie_beside_the_notebook(tmp_path):
    notebook, folder = tmp_path / "tour.v2.ipynb", tmp_path / "other"
    folder.mkdir()
    assert place(notebook) == tmp_path / "tour.v2.cassette.json"
    assert place(notebook, named=folder / "x.json") == folder / "x.json"
    with pytest.raises(CassetteError, match="there is no file"):
        place(None, folder=folder)
    (folder / "a.cassette.json").touch()
    assert place(None, folder=folder) == folder / "a.cassette.json"
    (folder / "b.cassette.json").touch()
    with pytest.raises(CassetteError, match="there are 2 files"):
        place(None, folder=folder)


# --- recordings of strangers ---


async def _recorded(path: Path) -> str:
    recordings = cassette(path, Mode.ALL)
    await play(recordings, live(answer("Hel", "lo\n", "you")))
    await play(recordings, live(answer("x")[:-1], error=BrokenStream("stopped")), question="How?")
    return laid_out(recordings.file.read())


async def _shown(data: bytes) -> None:
    """Read recordings, and replay and show every one that reads."""
    try:
        tape = parse(data, "x")
    except CassetteError:
        return
    parse(laid_out(tape).encode(), "x")
    for recording in tape.recordings:
        view = RunView(Request(question=recording.sent.question))
        for _, event in recording.timed():
            view.apply(event)
        if recording.failure:
            error = recording.failure.raised()
            assert isinstance(error, LLMRouteError)
            view.fail(error)
        json.dumps(view.bundle(), allow_nan=False)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _places(value, at=()):
    yield at
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from _places(part, (*at, name))


def _like(value):
    """Return what draws another value of the same type."""
    match value:
        case bool():
            return st.booleans()
        case int():
            return st.integers() | st.sampled_from([-1, 0, 2**63, 10**400])
        case float():
            return st.floats(allow_nan=False, allow_infinity=False)
        case str():
            return st.text(max_size=20) | st.sampled_from(
                ["", "\u202e", "<script>", "](javascript:x)", "none", "1+0 0+9"]
            )
        case _:
            return json_values


def _at(value, at):
    for name in at:
        value = value[name]
    return value


def _with(value, at, new):
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = _with(copy[at[0]], at[1:], new)
    return copy


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_recording_with_other_values_is_refused_or_shown(data, tmp_path_factory):
    whole = json.loads(_sample(tmp_path_factory))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(list(_places(whole))))
        whole = _with(whole, at, data.draw(json_values | _like(_at(whole, at)) | _like(_at(whole, at))))
    asyncio.run(_shown(json.dumps(whole).encode("utf-8", "replace")))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.floats(0, 1),
    cut=st.integers(0, 40),
    new=st.binary(max_size=12),
    again=st.floats(0, 1),
    many=st.integers(0, 3),
)
def test_a_recording_of_other_bytes_is_refused_or_shown(at, cut, new, again, many, tmp_path_factory):
    data = _sample(tmp_path_factory).encode()
    begin, place_of_copy = int(at * len(data)), int(again * len(data))
    mutated = data[:begin] + new + data[begin + cut :]
    mutated = mutated[:place_of_copy] + mutated[place_of_copy : place_of_copy + 50] * many + mutated[place_of_copy:]
    asyncio.run(_shown(mutated))


_SAMPLES: list[str] = []


def _sample(factory: pytest.TempPathFactory) -> str:
    if not _SAMPLES:
        _SAMPLES.append(asyncio.run(_recorded(factory.mktemp("sample") / "x.cassette.json")))
    return _SAMPLES[0]
