"""What is asked about code: few questions, by words and task."""

import pytest

from jupyter_llmroute.core.code.finding import Ask
from jupyter_llmroute.core.code.plan import MOST_DEFINITIONS, MOST_QUESTIONS, Meant, plan
from jupyter_llmroute.core.task import Task

TOTAL = Meant(name_path="Order/total", file="shop.py")
FILE = Meant(file="shop.py")
LINE = Meant(file="shop.py", line=3)


@pytest.mark.parametrize(
    ("question", "task", "meant", "expected"),
    [
        ("what is it?", Task.CODING, [TOTAL], "definition"),
        ("who calls it?", Task.CODING, [TOTAL], "definition references"),
        ("rename it to sum", Task.CODING, [TOTAL], "definition references"),
        ("where is it used", Task.REASONING, [TOTAL], "definition references"),
        ("which classes implement it?", Task.CODING, [TOTAL], "definition implementations"),
        ("what type does it return?", Task.REASONING, [TOTAL], "definition documentation"),
        ("what is it?", Task.DOCUMENTATION, [TOTAL], "definition documentation"),
        ("what is it?", Task.ANALYSIS, [TOTAL], "definition references"),
        ("who calls it?", Task.ANALYSIS, [TOTAL], "definition references"),
        ("who calls shop.errors.fail?", Task.ANALYSIS, [TOTAL], "definition references"),
        ("who calls `errors`?", Task.ANALYSIS, [TOTAL], "definition references"),
        ("what types does it take?", Task.ANALYSIS, [TOTAL], "definition documentation references"),
        ("are the types right?", Task.ANALYSIS, [FILE], "overview diagnostics"),
        ("any type errors?", Task.ANALYSIS, [TOTAL], "definition documentation diagnostics references"),
        ("review this", Task.ANALYSIS, [FILE], "overview diagnostics"),
        ("welche Fehler hat es?", Task.ANALYSIS, [FILE], "overview diagnostics"),
        ("any mistakes?", Task.CODING, [TOTAL], "definition diagnostics"),
        ("any mistakes?", Task.CODING, [Meant(name_path="total")], "definition"),
        ("what is in there?", Task.CODING, [FILE], "overview"),
        ("any bugs?", Task.CODING, [FILE], "overview diagnostics"),
        ("who uses this?", Task.CODING, [LINE], "definition references"),
        ("who uses them?", Task.CODING, [TOTAL, LINE, FILE], "definition definition overview references"),
        ("who uses this?", Task.CODING, [], ""),
    ],
)
def test_what_is_asked(question: str, task: Task, meant: list[Meant], expected: str):
    assert " ".join(asked.ask.value for asked in plan(question, task, meant)) == expected


def test_it_is_bounded_and_asks_nothing_twice():
    many = [Meant(name_path=f"f{number}", file="a.py") for number in range(20)]
    asked = plan("who uses, implements and documents them, and what is wrong?", Task.ANALYSIS, many)
    assert len(asked) == len(set(asked)) <= MOST_QUESTIONS
    assert [one.ask for one in asked].count(Ask.DEFINITION) == MOST_DEFINITIONS
    assert plan("?", Task.CODING, [TOTAL, TOTAL]) == plan("?", Task.CODING, [TOTAL])
