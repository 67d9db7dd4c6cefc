"""What a user's corrections teach: the lean itself, and its way through router and state file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.classifier import TASKS, classify_text
from jupyter_llmroute.core.evidence import OWN_CORRECTIONS
from jupyter_llmroute.core.lean import MOST, Lean
from jupyter_llmroute.core.state import StateFile
from jupyter_llmroute.core.task import Task

from ..scripted import llamacpp
from .test_router import ask, router

pytestmark = pytest.mark.anyio

BORDER = "what is this error about?"
PLAIN = "write a function that sorts a list of numbers"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def taught(text: str, right: Task, times: int) -> Lean:
    lean = Lean()
    for _ in range(times):
        lean = lean.corrected(classify_text(text, lean).scores, right)
    return lean


def test_corrections_turn_a_question_at_the_border_and_say_so():
    told = classify_text(BORDER)
    second = sorted(TASKS, key=lambda task: -told.scores[task])[1]
    lean = taught(BORDER, second, 20)
    now = classify_text(BORDER, lean)
    assert now.task is second
    assert now.evidence[0] == OWN_CORRECTIONS
    assert 0 < lean.corrections < 20  # once it is told rightly, naming it corrects nothing


def test_what_a_question_says_plainly_is_not_overruled():
    lean = taught(PLAIN, Task.DOCUMENTATION, 1000)
    assert classify_text(PLAIN, lean).task is Task.CODING


def test_naming_what_is_told_anyway_teaches_little():
    lean = taught(PLAIN, Task.CODING, 50)
    assert lean.corrections == 0
    assert max(map(abs, lean.towards.values())) < 0.5


@given(st.lists(st.tuples(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.sampled_from(TASKS)), max_size=60))
def test_a_lean_stays_within_its_bounds(named):
    lean = Lean()
    for shares, right in named:
        lean = lean.corrected(dict(zip(TASKS, shares, strict=True)), right)
        assert all(-MOST <= value <= MOST for value in lean.towards.values())
    assert lean.corrections <= len(named)


async def test_a_named_task_is_remembered_for_the_next_router(tmp_path: Path):
    with llamacpp() as server:
        async with router({"desk": server.url}, state=tmp_path) as asked:
            await ask(asked, "why?", task=Task.DOCUMENTATION)
        learnt = StateFile(tmp_path).read().lean
        assert learnt.towards[Task.DOCUMENTATION] > 0
        assert "why?" not in StateFile(tmp_path).path.read_text("utf-8")
        async with router({"desk": server.url}, state=tmp_path) as later:
            (routed, *_), _ = await ask(later, "why?")
    assert routed.classification.scores == classify_text("why?", learnt).scores


async def test_the_same_question_teaches_once(tmp_path: Path):
    with llamacpp() as server:
        async with router({"desk": server.url}, state=tmp_path) as asked:
            for _ in range(3):
                await ask(asked, "why?", task=Task.DOCUMENTATION)
    assert StateFile(tmp_path).read().lean == Lean().corrected(classify_text("why?").scores, Task.DOCUMENTATION)


async def test_what_cannot_be_written_holds_in_this_process(tmp_path: Path):
    folder = tmp_path / "no folder"
    folder.write_text("")
    with llamacpp() as server:
        async with router({"desk": server.url}, state=folder) as asked:
            await ask(asked, "why?", task=Task.DOCUMENTATION)
            (routed, *_), _ = await ask(asked, "why?")
    assert routed.classification.scores[Task.DOCUMENTATION] > classify_text("why?").scores[Task.DOCUMENTATION]


@pytest.mark.parametrize("broken", [{"version": 2}, {"looks": 5}, {"more": 1}])
def test_what_was_taught_outlives_a_state_that_does_not_read(tmp_path: Path, broken: dict):
    file = StateFile(tmp_path)
    file.update(lambda state: state.with_named_task({Task.CODING: 1.0, Task.ANALYSIS: 0.0}, Task.ANALYSIS))
    text = json.loads(file.path.read_text("utf-8"))
    file.path.write_text(json.dumps({**text, **broken}), "utf-8")
    assert StateFile(tmp_path).read().lean.corrections == 1


@pytest.mark.parametrize("towards", ['{"coding": 1e400}', '{"coding": NaN}', '{"coding": 7}', '{"poetry": 0.1}'])
def test_a_damaged_lean_is_none(tmp_path: Path, towards: str):
    file = StateFile(tmp_path)
    file.update(lambda state: state)
    file.path.write_text(f'{{"lean": {{"towards": {towards}}}}}', "utf-8")
    assert StateFile(tmp_path).read().lean == Lean()


async def test_a_dry_run_teaches_nothing(tmp_path: Path):
    from jupyter_llmroute.core.request import Request

    with llamacpp() as server:
        async with router({"desk": server.url}, state=tmp_path) as asked:
            await asked.decide(Request(question="why?", task=Task.DOCUMENTATION))
    assert StateFile(tmp_path).read().lean == Lean()


async def test_without_a_file_it_holds_as_long_as_the_router():
    with llamacpp() as server:
        async with router({"desk": server.url}) as asked:
            await ask(asked, "why?", task=Task.DOCUMENTATION)
            (routed, *_), _ = await ask(asked, "why?")
    assert routed.classification.scores[Task.DOCUMENTATION] > classify_text("why?").scores[Task.DOCUMENTATION]
