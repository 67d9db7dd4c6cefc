import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.classifier import Classification, classify, classify_text
from jupyter_llmroute.core.reading import HEAD, TAIL, read
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.cues import cues
from jupyter_llmroute.core.task import Task

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
        ("", "nothing that tells; a guess by the words"),
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
