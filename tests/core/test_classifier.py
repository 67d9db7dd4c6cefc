import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core import weights as weights_module
from jupyter_llmroute.core.classifier import TASKS, Classification, classify, classify_text
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.cues import cues
from jupyter_llmroute.core.reading import HEAD, TAIL, read
from jupyter_llmroute.core.request import CellRef, Request, Turn
from jupyter_llmroute.core.task import Task

CASES_FILE = Path(__file__).parents[1] / "data" / "classifier_cases.tsv"
DATA = Path(weights_module.__file__).parent / "data"

FUNCTION = "def area(r):\n    return 3.14 * r ** 2\n"
TRACEBACK = """Traceback (most recent call last):
  File "cell.py", line 3, in <module>
    frame["price"].mean()
KeyError: 'price'
"""
LOG = """2025-03-01 10:00:01 INFO starting
2025-03-01 10:00:02 ERROR connection refused
2025-03-01 10:00:03 INFO retrying
"""
DIFF = """diff --git a/shop.py b/shop.py
--- a/shop.py
+++ b/shop.py
@@ -1,2 +1,2 @@
-total = 0
+total = 1
"""

CASES = {
    Task.CODING: [
        "write a function that removes the vowels of a string",
        "fix it",
        "please fix this:\n\n" + FUNCTION,
        "How do I join two dataframes on the index in pandas?",
        "rename the variable x to width",
        "can you add a retry to the download function?",
        "optimise this loop\n\n" + FUNCTION,
        "plot the sales per month as a bar chart",
        "convert this script to Rust",
        "write unit tests for the parser",
        TRACEBACK,
        FUNCTION,
        "Schreibe eine Funktion, die eine Liste umdreht",
        "Wie kann ich in Python eine Datei lesen?",
        "Écris un script qui renomme les fichiers",
        "¿Cómo puedo leer un archivo CSV en Python?",
        "Corrija o erro neste código",
        "Напиши функцию для сортировки списка",
        "用 Python 编写一个函数",
        "このコードを修正してください",
    ],
    Task.REASONING: [
        "what is the difference between a thread and a process?",
        "Why do compilers use an intermediate language?",
        "Explain the quicksort algorithm",
        "should we use Kafka or RabbitMQ?",
        "Compare REST and gRPC for a small team",
        "make a plan for moving the shop to the cloud",
        "Was ist der Unterschied zwischen Liste und Tupel?",
        "Pourquoi les index sont-ils utiles ?",
        "¿Qué es la recursión?",
        "Faça um plano de migração do banco",
        "Что такое замыкание?",
        "什么是多态？",
        "オブジェクト指向とは何ですか？",
    ],
    Task.ANALYSIS: [
        "what is wrong with this code?\n\n" + FUNCTION,
        "Review this pull request for security issues",
        "Why does this loop never end?\n\n" + FUNCTION,
        "where is the timeout configured in this project?",
        "Is this correct?\n\n" + FUNCTION,
        "find the root cause of the failing job in these logs\n" + LOG,
        "Was ist falsch an diesem Code?\n\n" + FUNCTION,
        "Analysez les vulnérabilités de ce module",
        "Revisa este código en busca de errores",
        "Найди ошибки в этом коде",
        "检查这段代码有什么问题",
        DIFF,
    ],
    Task.DOCUMENTATION: [
        "add docstrings to all public methods",
        "explain this function\n\n" + FUNCTION,
        "What does this function do?\n\n" + FUNCTION,
        "update the README with the new option",
        "write a changelog entry for the last release",
        "Document this class",
        "summarize the changes for the PR description",
        "Erkläre diesen Code\n\n" + FUNCTION,
        "Ajoute des commentaires à ce fichier",
        "Explica este código línea por línea",
        "Atualize a documentação do projeto",
        "Объясни этот код",
        "解释这段代码",
        "このコードを説明してください",
    ],
}


@pytest.mark.parametrize(("task", "text"), [(task, text) for task, texts in CASES.items() for text in texts])
def test_border_of_the_labels(task: Task, text: str):
    found = classify_text(text)
    assert found.task is task, found


@pytest.mark.parametrize(
    ("needed", "text"),
    [
        (True, "where is `load_rows` used in #codebase?"),
        (True, "rename the session class across the repository"),
        (True, "which modules of this project depend on shop.py?"),
        (True, "@workspace how are refunds processed?"),
        (False, "how do I rename the columns of a dataframe?"),
        (False, "write a Python function that rounds to tens"),
        (False, "what is a monad?"),
        (False, TRACEBACK),
        (False, ""),
    ],
)
def test_need_of_symbols(needed: bool, text: str):
    assert classify_text(text).needs_symbols is needed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("please write a small function", 'asks to: "write … function"'),
        ("How do I sort by two keys?", 'question: "How do I"'),
        (TRACEBACK, "a bare traceback"),
        (FUNCTION, "code and nothing else"),
        ("", "nothing that tells; a guess"),
    ],
)
def test_evidence_quotes_what_was_found(text: str, told: str):
    assert told in classify_text(text).evidence


def test_nothing_found_is_a_guess_of_low_confidence():
    assert classify_text("hm").confidence < 0.5


def test_prose_is_parted_from_what_was_pasted():
    reading = read(f"Look:\n```python\nx = 1\n```\n{LOG}{TRACEBACK}Why?")
    assert reading.prose == ("Look:", "Why?")
    assert reading.pasted["log"] == 3
    assert reading.pasted["traceback"] >= 3


def test_words_inside_a_fence_ask_for_nothing():
    assert classify_text("explain this code\n```\nwrite a function that fixes bugs\n```").task is Task.DOCUMENTATION


def test_task_named_by_the_user_wins():
    question = "where is `load_rows` used in #codebase?"
    found = classify(Request(question=question, task=Task.CODING), context=None)
    assert (found.task, found.confidence, found.evidence) == (Task.CODING, 1.0, ("named by the user",))
    assert found.scores[Task.CODING] == 1
    assert found.needs_symbols


def test_request_without_a_task_is_read():
    question = "add a docstring to this function"
    assert classify(Request(question=question), context=None) == classify_text(question)


def test_result_survives_json():
    found = classify_text("explain this function")
    assert Classification.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("shares", "rival"),
    [
        ((0.4, 0.3, 0.2, 0.1), Task.REASONING),
        ((0.5, 0.3, 0.1, 0.1), None),
        ((0.35, 0.3, 0.01, 0.34), Task.DOCUMENTATION),
    ],
)
def test_close_tasks_are_called_close(shares: tuple[float, ...], rival: Task | None):
    scores = dict(zip(TASKS, shares, strict=True))
    found = Classification(task=Task.CODING, confidence=shares[0], scores=scores, evidence=("x",), needs_symbols=False)
    assert found.rival is rival


def after(question: str, *earlier: str) -> Classification:
    turns = tuple(Turn(number=n, question=text, answer="") for n, text in enumerate(earlier, start=1))
    request = Request(question=question, turns=turns)
    return classify(request, Context(request=request))


QUESTIONS = {
    Task.CODING: "write a function that joins the two tables",
    Task.DOCUMENTATION: "write a README for this project",
    Task.REASONING: "what is the difference between a thread and a process?",
    Task.ANALYSIS: "review this pull request for security issues",
}


@pytest.mark.parametrize("task", QUESTIONS)
@pytest.mark.parametrize("question", ["and in polars?", "shorter", "yes", "again", "もっと短く", "more", "…"])
def test_short_continuation_has_the_task_of_the_question_before(task: Task, question: str):
    found = after(question, QUESTIONS[task])
    assert found.task is task, found
    assert found.evidence[0] == f"goes on from a question of {task}"
    assert sum(found.scores.values()) == pytest.approx(1)


def test_continuations_of_continuations_have_the_task_of_the_first():
    assert after("shorter", QUESTIONS[Task.DOCUMENTATION], "and in German?", "again").task is Task.DOCUMENTATION


@pytest.mark.parametrize(
    ("question", "task"),
    [
        ("now write unit tests for it", Task.CODING),
        ("what is a semaphore?", Task.REASONING),
        ("now review the code for security issues and tell me what is wrong with it", Task.ANALYSIS),
        ("then update the README and the changelog", Task.DOCUMENTATION),
    ],
)
@pytest.mark.parametrize("earlier", QUESTIONS.values())
def test_question_that_decides_for_itself_keeps_its_task(question: str, task: Task, earlier: str):
    assert after(question, earlier).task is task


def test_continuation_of_nothing_is_read_alone():
    assert after("and in polars?") == classify_text("and in polars?")


@pytest.mark.parametrize(
    ("question", "task"),
    [("fix it", Task.CODING), ("why?", Task.ANALYSIS), ("why does this fail?", Task.ANALYSIS), ("help", Task.CODING)],
)
def test_cell_that_failed_is_read_along_with_a_short_question(question: str, task: Task):
    request = Request(question=question, cells=(CellRef(number=3, source="frame.mean()", output=TRACEBACK),))
    found = classify(request, Context(request=request))
    assert found.task is task, found


def test_cell_is_read_along_with_a_question_that_points():
    request = Request(question="explain this", cells=(CellRef(number=3, source=FUNCTION),))
    assert classify(request, Context(request=request)).task is Task.DOCUMENTATION


@pytest.mark.parametrize("question", ["what is a monad?", "write a function that sorts", "compare Rust and Go " * 9])
def test_cell_is_not_read_along_with_other_questions(question: str):
    request = Request(question=question, cells=(CellRef(number=3, source=FUNCTION, output=TRACEBACK),))
    assert classify(request, Context(request=request)) == classify_text(question)


# What the weights get wrong of our own cases; a change that mends one takes it out of here, none may come in unseen.
WRONG = 20


def test_cases_of_our_own():
    rows = (line.split("\t", 1) for line in CASES_FILE.read_text("utf-8").splitlines())
    wrong = [(task, text) for task, text in rows if classify_text(text.replace("\\n", "\n")).task is not Task(task)]
    assert len(wrong) <= WRONG, wrong


def test_weights_are_read_at_the_first_use_only():
    code = (
        "import sys, jupyter_llmroute.core.classifier as c; from jupyter_llmroute.core.weights import weights as w;"
        "from jupyter_llmroute.core.cues import cues; assert not w.cache_info().currsize;"
        "assert not cues.cache_info().currsize; assert 'numpy' not in sys.modules; c.classify_text('hi');"
        "assert w.cache_info().currsize == 1; assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_classifier_is_small_enough_for_the_wheel():
    assert sum(path.stat().st_size for path in DATA.glob("c*") if path.stem in ("classifier", "cues")) < 5_000_000


CUES = sorted({*cues().whole, *cues().beginnings, *cues().phrases, *cues().script})
ASKING = st.lists(
    st.sampled_from([*CUES, "this", "@a.py", "`x`", "?", ".", "1", "# ", "\n", "```\n", FUNCTION]), max_size=30
)
SURROGATES = st.text(st.characters(categories=["Cs", "Ll", "Po", "Zs"]), max_size=40)


def holds(text: str):
    found = classify_text(text)
    assert math.isclose(sum(found.scores.values()), 1)
    assert set(found.scores) == set(Task)
    assert found.confidence == max(found.scores.values()) == found.scores[found.task]
    assert 1 <= len(found.evidence) <= 4
    assert all(0 < len(line) <= 60 for line in found.evidence)
    assert classify_text(text) == found
    found.model_dump_json()


@given(st.one_of(st.text(), SURROGATES, ASKING.map(" ".join)))
@settings(deadline=None)
def test_any_text_gives_probabilities_and_evidence(text: str):
    holds(text)


@pytest.mark.parametrize(
    "unit", ["a", " ", "(", "`", "a.", "a_", "x = \n", "#", "\t ", "'", "写", "@a", "1 ", "\n", "e\u0301"]
)
def test_a_megabyte_is_read_at_its_ends(unit: str):
    holds(unit * (1_000_000 // len(unit)))
    assert sum(map(len, read(unit * (1_000_000 // len(unit))).prose)) <= HEAD + TAIL


@pytest.mark.parametrize(
    "text", ["# 1\n" * 5, "# _\n2\n3\n4\n5", "``", "` `", "@@", "a/", "```", "\ud800\udfff", "\x00", "İ̇"]
)
def test_odd_texts(text: str):
    holds(text)


def test_request_after_a_long_paste_is_seen():
    assert classify_text("x = compute(1)\n" * 5000 + "\nWrite a docstring for this.").task is Task.DOCUMENTATION


def test_the_task_that_a_user_named_is_inherited():
    turn = Turn(number=1, question="tell me the history of monads", answer="", task=Task.DOCUMENTATION)
    request = Request(question="shorter", turns=(turn,))
    assert classify(request, Context(request=request)).task is Task.DOCUMENTATION


def test_the_need_of_symbols_is_inherited():
    assert after("and `save_rows`?", "where is `load_rows` used in this project?").needs_symbols


@pytest.mark.parametrize(("cell", "is_of_turn"), [(7, False), (3, True)])
def test_a_cell_that_failed_since_the_last_turn_is_what_is_asked_about(cell: int, is_of_turn: bool):
    failed = CellRef(number=cell, source="frame", output=TRACEBACK)
    turn = Turn(number=5, question="write a README for this project", answer="", task=Task.DOCUMENTATION)
    request = Request(question="why?", cells=(failed,), turns=(turn,))
    found = classify(request, Context(request=request))
    assert ("goes on from a question of documentation" in found.evidence) is is_of_turn
    assert (found.task is Task.DOCUMENTATION) is is_of_turn
