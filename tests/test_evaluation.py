"""The evaluation of the classifier: its figures against ones worked out by hand, and its command."""

import json
from pathlib import Path

import pytest

from jupyter_llmroute.core.classifier import TASKS, Classification
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.evaluation import Judged, Labelled, figures, interval, judge, of_task, read
from jupyter_llmroute.scorecard import report

from .test_cli import run

CODING, REASONING, ANALYSIS, DOCUMENTATION = TASKS


def judged(label: Task, answer: Task, confidence: float = 0.75, alt: Task | None = None, text: str = "x") -> Judged:
    rest = (1 - confidence) / 3
    found = Classification(
        task=answer,
        confidence=confidence,
        scores={task: confidence if task is answer else rest for task in TASKS},
        evidence=("because",),
        needs_symbols=False,
    )
    return Judged(Labelled(id="1", text=text, label=label, alt=alt), found, 1.0)


FOUR = [
    judged(CODING, CODING, 0.95),
    judged(CODING, ANALYSIS, 0.55, alt=ANALYSIS),
    judged(REASONING, REASONING, 0.55),
    judged(ANALYSIS, CODING, 0.95),
]


def test_figures_are_those_worked_out_by_hand():
    found = figures(FOUR)
    assert (found.requests, found.strict, found.lenient) == (4, 0.5, 0.75)
    # F1: coding 2*1/(2+2), reasoning 1, analysis 0, documentation 0
    assert found.macro_f1 == pytest.approx((0.5 + 1) / 4)
    # two bins of two: said 0.95, right 0.5; said 0.55, right 0.5
    assert found.calibration_error == pytest.approx(0.45 / 2 + 0.05 / 2)


def test_recall_and_precision_of_a_task():
    assert of_task(FOUR, CODING) == (0.5, 0.5, 0.5)
    assert of_task(FOUR, DOCUMENTATION) == (0, 0, 0)


def test_interval_is_wilsons():
    assert interval(0.5, 100) == pytest.approx((0.404, 0.596), abs=0.001)
    assert interval(1.0, 10) == pytest.approx((0.722, 1.0), abs=0.001)


def test_report_shows_each_wrong_answer_in_one_line_that_a_terminal_can_show():
    text = report([*FOUR, judged(CODING, REASONING, 0.99, text="two\nlines \x1b[31m")], errors=1)
    assert "1: coding, not reasoning (99%: because): two\\nlines \\x1b[31m" in text.splitlines()[-1]
    assert "\x1b" not in text


def test_a_classifier_that_answers_by_the_label_has_no_errors():
    texts = ["write a function that sorts", "what is a monad?"]
    answers = judge([Labelled(text=text, label=CODING) for text in texts])
    assert [each.found.task for each in answers] == [CODING, REASONING]


def write(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def test_command_prints_all_figures(tmp_path: Path):
    file = write(
        tmp_path / "mine.jsonl",
        {"id": "a", "text": "fix this: KeyError", "label": "coding", "source": "ours", "lang": "en"},
        {"id": "b", "text": "what is a monad?", "label": "coding", "alt": "reasoning", "source": "ours"},
        {"id": "c", "text": "who calls `load` in this project?", "needs_symbols": True},
    )
    done = run("classify", "--evaluate", str(file), "--by", "source", "--errors", "5")
    assert done.returncode == 0, done.stderr
    for told in (
        "requests           2",
        "accuracy           0.500",
        "with second label  1.000",
        "recall 1.000, precision 1.000 (1 requests, 1 need them)",
        "latency            median",
        "by source\n  ours",
        "b: coding (or reasoning), not reasoning",
    ):
        assert told in done.stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"text": "hi", "label": "poetry"}', "Line 1 of"),
        ("nonsense", "Line 1 of"),
        ('{"label": "coding"}', "'text'"),
        ('{"text": "hi"}', "nothing to compare"),
        ("", "nothing to compare"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, text: str, told: str):
    path = tmp_path / "mine.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=told):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path):
    done = run("classify", "--evaluate", str(tmp_path / "none.jsonl"))
    assert done.returncode == 1
    assert "none.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
