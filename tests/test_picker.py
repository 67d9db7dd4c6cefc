"""Who would answer each task, and what was pinned and rated: as tables of hostile names too."""

from __future__ import annotations

import pytest

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.feedback import Feedback, Thumb
from jupyter_llmroute.core.pins import MOST_CHARS, Origin, Pins, read
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.delivery import whole_question
from jupyter_llmroute.picker import NOBODY, picked, table
from jupyter_llmroute.rating import table as ratings
from jupyter_llmroute.session_pins import SessionPins, told

from .shown import CODER, DESK, ENEMY, HOSTILE, QWEN, STUDIO, dangers, decision

MEANT = {
    ("coding", "phi4"): (True, Task.CODING, "phi4"),
    ("Coding", None): (True, Task.CODING, None),
    ("any", "phi4"): (True, None, "phi4"),
    ("phi4", None): (True, None, "phi4"),
    (None, None): (False, None, None),
}


@pytest.mark.parametrize(("words", "meant"), MEANT.items(), ids=str)
def test_what_the_words_mean(words: tuple[str | None, str | None], meant: object) -> None:
    assert picked(*words) == meant


def test_the_first_of_two_words_is_a_task() -> None:
    with pytest.raises(UserError, match="'phi4' is no task: %llm_pick takes one of coding, reasoning"):
        picked("phi4", "coding")


def test_pins_of_the_session_come_before_those_of_the_notebook_and_tasks_before_all() -> None:
    pins = SessionPins()
    pins.put(None, " phi4 ")
    pins.put(Task.CODING, "qwen3:8b@desk")
    held = pins.held(read({"coding": "m", "any": "n", "poetry": "p"}))
    assert [(pin.model, pin.task, pin.origin) for pin in held.pins] == [
        ("qwen3:8b@desk", Task.CODING, Origin.SESSION),
        ("phi4", None, Origin.SESSION),
        ("m", Task.CODING, Origin.NOTEBOOK),
        ("n", None, Origin.NOTEBOOK),
    ]
    assert len(held.remarks) == 1
    assert told(held.pins)[1] == "phi4: pinned for all tasks in this session"
    assert (pins.clear(Task.CODING), pins.clear(Task.CODING), pins.clear(None)) == (1, 0, 1)
    pins.put(Task.ANALYSIS, "a")
    assert pins.clear(of_all=True) == 1
    assert pins.held() == Pins()


@pytest.mark.parametrize("model", ["", " ", "a\nb", "a\u202eb", "a" * (MOST_CHARS + 1)])
def test_what_cannot_be_a_name_is_not_pinned(model: str) -> None:
    with pytest.raises(UserError, match="is no name of a model"):
        SessionPins().put(None, model)


def test_each_task_has_its_row() -> None:
    pins = read({"coding": "qwen3:8b@desk", "analysis": "gone"}).pins
    decisions = {task: decision(DESK, STUDIO, task=task, pins=pins) for task in Task}
    shown = table(decisions, pins, ["said"])
    by_task = {row[0]: row[1:] for row in shown.rows}
    assert list(by_task) == [*Task]
    assert by_task["coding"][0] == "qwen3:8b@desk in this notebook"
    assert by_task["coding"][1].startswith("qwen3:8b on desk, ")
    assert by_task["reasoning"][0] == ""
    assert shown.notes[0] == "said"
    assert shown.notes[1].startswith("gone is pinned for analysis in this notebook and cannot answer")
    assert CODER.id in by_task["coding"][2]


def test_of_one_task_every_model_that_can_answer_has_its_row() -> None:
    shown = table({Task.CODING: decision(DESK, STUDIO, task=Task.CODING)}, ())
    assert {row[:2] for row in shown.rows} == {(CODER.id, "desk"), (QWEN.id, "desk"), ("Qwen/Qwen3-8B-GGUF", "studio")}


def test_where_nobody_can_answer_it_says_so() -> None:
    decisions = {task: decision(task=task) for task in Task}
    assert {row[2] for row in table(decisions, ()).rows} == {NOBODY}
    assert table({Task.CODING: decisions[Task.CODING]}, ()).text() == NOBODY


def test_hostile_names_come_out_inert() -> None:
    pins = SessionPins()
    pins.put(None, HOSTILE.splitlines()[0])
    decisions = {task: decision(ENEMY, task=task, pins=pins.held().pins) for task in Task}
    for shown in (table(decisions, pins.held().pins), table({Task.CODING: decisions[Task.CODING]}, ())):
        assert dangers(shown.markdown()) == []
    feedback = Feedback().rated(HOSTILE, Task.CODING, Thumb.UP)
    assert dangers(ratings(feedback).markdown()) == []


def test_the_newest_rating_stands_first() -> None:
    feedback = Feedback().rated("a", Task.CODING, Thumb.UP).rated("b", Task.ANALYSIS, Thumb.DOWN)
    assert ratings(feedback).rows == (
        ("b", "analysis", "disliked once", "-1.3 points"),
        ("a", "coding", "liked once", "+1.3 points"),
    )
    assert ratings(Feedback()).text().startswith("No answer was rated yet")


WHOLE = {
    "%%route\nwhy?": True,
    "\n%%route -t coding\nwhy?\nand how?": True,
    "%route why?": True,
    "# a comment\n%route why?\n": True,
    "x = 1\n%route why?": False,
    "x = 1": False,
    "": False,
}


@pytest.mark.parametrize(("raw", "is_whole"), WHOLE.items(), ids=repr)
def test_a_cell_that_holds_more_than_the_question_is_not_replaced(raw: str, is_whole: bool) -> None:
    assert whole_question(raw) == (raw if is_whole else "")
