"""Thumbs move the choice a little, visibly, and the same way again."""

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.audit.basis import Packer, put_together
from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.feedback import KEPT, MOST_POINTS, Feedback, Tally, Thumb, about
from jupyter_llmroute.core.history import History
from jupyter_llmroute.core.lean import Lean
from jupyter_llmroute.core.ledger import Ledger
from jupyter_llmroute.core.sections import Limits
from jupyter_llmroute.core.selector import Decision, replay
from jupyter_llmroute.core.state import State, StateFile
from jupyter_llmroute.core.task import Task

from ..shown import CODER, DESK, QWEN, STUDIO, decision, server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


TALLIES = {
    Tally(): ("", 0.0),
    Tally(up=1): ("liked once", 4 / 3),
    Tally(up=3): ("liked 3 times", 2.4),
    Tally(down=2): ("disliked twice", -2.0),
    Tally(up=3, down=1): ("liked 3 times and disliked once", 2.0),
    Tally(up=5, down=5): ("liked 5 times and disliked 5 times", 0.0),
}


@pytest.mark.parametrize(("tally", "told"), TALLIES.items(), ids=str)
def test_what_a_tally_says_and_weighs(tally: Tally, told: tuple[str, float]) -> None:
    assert (str(tally), pytest.approx(tally.points)) == told


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_number_of_thumbs_weighs_more_than_the_bound(up: int, down: int) -> None:
    tally = Tally(up=up, down=down)
    assert abs(tally.points) < MOST_POINTS
    assert tally.points == -Tally(up=down, down=up).points


THUMBS = st.lists(
    st.tuples(st.text(max_size=6), st.sampled_from(Task), st.sampled_from(Thumb), st.none() | st.sampled_from(Thumb)),
    max_size=30,
)


@given(THUMBS)
def test_any_feedback_reads_back_from_the_state_as_it_was(thumbs: list[Any]) -> None:
    state = State()
    for thumb in thumbs:
        state = state.with_thumb(*thumb)
    assert State.model_validate_json(state.model_dump_json(exclude_defaults=True)).feedback == state.feedback
    assert State().without_thumbs().feedback == Feedback()


def test_the_newest_are_kept() -> None:
    kept = Feedback()
    for number in range(KEPT + 50):
        kept = kept.rated("first" if number % 50 == 0 else f"m{number}", Task.CODING, Thumb.UP)
    assert len(kept.tallies) == KEPT
    assert kept.of("first", Task.CODING).up == (KEPT + 50) // 50
    assert about("m1", Task.CODING) not in kept.tallies


def test_another_word_on_the_same_answer_takes_the_place_of_the_first() -> None:
    kept = Feedback().rated("m", Task.CODING, Thumb.UP).rated("m", Task.CODING, Thumb.DOWN, Thumb.UP)
    assert kept.of("m", Task.CODING) == Tally(down=1)
    assert kept.of("m", Task.ANALYSIS) == Tally()


def name_of(made: Decision, model_id: str) -> str:
    return next(c.info.id for c in made.route.candidates if c.model.id == model_id)


def score(made: Decision, model_id: str) -> float:
    return next(c.score for c in made.route.candidates if c.model.id == model_id)


def rated(model: str, **times: int) -> History:
    return History(feedback=Feedback(tallies={about(model, Task.CODING): Tally(**times)}))


@pytest.mark.parametrize(("times", "words"), [({"up": 3}, "liked 3 times"), ({"down": 1}, "disliked once")])
def test_the_score_moves_by_the_points_and_the_reasons_say_so(times: dict[str, int], words: str) -> None:
    free = decision(DESK, STUDIO, task=Task.CODING)
    made = decision(DESK, STUDIO, task=Task.CODING, history=rated(name_of(free, QWEN.id), **times))
    assert score(made, QWEN.id) - score(free, QWEN.id) == pytest.approx(Tally(**times).points, abs=0.02)
    assert score(made, CODER.id) == score(free, CODER.id)
    told = [c.reasons for c in made.route.candidates if c.info.id == name_of(free, QWEN.id)]
    assert len(told) == 2, "the same model on both servers"
    assert all(f"{words} for coding" in reasons for reasons in told)
    assert replay(made) == made.route


def test_another_task_is_not_moved() -> None:
    free = decision(DESK, task=Task.ANALYSIS)
    made = decision(DESK, task=Task.ANALYSIS, history=rated(name_of(free, QWEN.id), up=9))
    assert made.route == free.route


def test_a_liked_model_is_found_where_the_search_would_have_ended_before_it() -> None:
    """Of many near equals only the best are looked at closely: a liked one may be below these without its thumbs."""
    models = [ServedModel(id=f"m{n}:{70 - n * 0.01:.2f}b", context_window=8192, loaded=True) for n in range(60)]
    many = server("many", *models)
    free = decision(many, task=Task.CODING)
    found = {c.model.id for c in free.route.candidates}
    outside = models[-1].id
    assert outside not in found
    made = decision(many, task=Task.CODING, history=rated(outside, up=50))
    assert made.route.candidates[0].model.id == outside
    assert replay(made) == made.route


def test_a_logged_decision_holds_the_thumbs_of_the_models_that_are_there_and_replays() -> None:
    free = decision(DESK, task=Task.CODING)
    history = rated(name_of(free, QWEN.id), up=3)
    more = {about(f"gone{n}", Task.CODING): Tally(up=1) for n in range(50)}
    history = history.model_copy(update={"feedback": Feedback(tallies={**history.feedback.tallies, **more})})
    made = decision(DESK, task=Task.CODING, history=history)
    basis = Packer().taken_apart(made)
    again = put_together(basis.pieces, basis.parts, made.route)
    assert replay(again) == made.route
    assert set(again.history.feedback.tallies) == {about(name_of(free, QWEN.id), Task.CODING)}


# --- kept ---


async def test_thumbs_are_shared_with_other_processes_and_only_the_user_may_read_them(tmp_path: Path) -> None:
    mine, other = Ledger(Limits(), StateFile(tmp_path)), Ledger(Limits(), StateFile(tmp_path))
    mine.note_thumb("m", Task.CODING, Thumb.UP)
    assert mine.history().feedback.of("m", Task.CODING) == Tally(up=1), "at once"
    await mine.aclose()
    other.note_thumb("m", Task.CODING, Thumb.UP)
    await other.aclose()
    assert (await mine.recall()).feedback.of("m", Task.CODING) == Tally(up=2)
    if sys.platform != "win32":
        assert stat.S_IMODE(os.stat(StateFile(tmp_path).path).st_mode) == 0o600
    mine.forget_thumbs()
    assert mine.history().feedback == Feedback()
    await mine.aclose()
    assert (await other.recall()).feedback == Feedback()


async def test_without_a_file_thumbs_hold_for_as_long_as_the_router() -> None:
    ledger = Ledger(Limits(), None)
    ledger.note_thumb("m", Task.CODING, Thumb.DOWN)
    ledger.note_thumb("m", Task.CODING, Thumb.UP, Thumb.DOWN)
    assert ledger.history().feedback.of("m", Task.CODING) == Tally(up=1)


LIKED = b'"feedback": {"tallies": {"coding m": {"up": 2}}}'
SPOILT = {
    "another version": (b'{"version": 2, "lean": {"corrections": 3}, %b}' % LIKED, 3, 2),
    "no lean that reads": (b'{"version": 2, "lean": 7, %b}' % LIKED, 0, 2),
    "no feedback that reads": (b'{"lean": {"corrections": 3}, %b}' % LIKED.replace(b"2", b"-2"), 3, 0),
    "nothing": (b"", 0, 0),
    "no mapping": (b"[1]", 0, 0),
    "nested without end": (b"[" * 100_000, 0, 0),
}


@pytest.mark.parametrize(("text", "corrections", "up"), SPOILT.values(), ids=SPOILT)
def test_what_was_taught_is_kept_from_a_state_that_does_not_read(
    tmp_path: Path, text: bytes, corrections: int, up: int
) -> None:
    file = StateFile(tmp_path)
    file.path.write_bytes(text)
    found = file.read()
    assert found.lean == Lean(corrections=corrections)
    assert found.feedback.of("m", Task.CODING).up == up


def test_a_word_that_is_taken_back_leaves_nothing() -> None:
    twice = Feedback().rated("m", Task.CODING, Thumb.UP).rated("m", Task.CODING, Thumb.UP)
    once = twice.rated("m", Task.CODING, None, Thumb.UP)
    assert once.of("m", Task.CODING) == Tally(up=1)
    assert once.rated("m", Task.CODING, None, Thumb.UP) == Feedback()
    assert Feedback().rated("m", Task.CODING, None) == Feedback()
