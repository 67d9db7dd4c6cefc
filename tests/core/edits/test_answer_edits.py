"""What is read of an answer as edits, in the ways in which small models write; nothing is looked up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.edits.answer_edits import INSTRUCTIONS, MOST_CHARS, MOST_EDITS, read_edits
from jupyter_llmroute.core.edits.edit import (
    DeleteSymbol,
    Edit,
    Hunk,
    InsertSymbol,
    PatchFile,
    RenameSymbol,
    ReplaceSymbol,
    Side,
    WriteFile,
)

NEW = WriteFile(file="src/shop.py", text="x = 1\n")
TOTAL = ReplaceSymbol(file="src/shop.py", symbol="Order.total", body="def total(self):\n    return 1")
BODY = "def total(self):\n    return 1"
RENAME = RenameSymbol(file="src/shop.py", symbol="Order.total", new_name="grand_total")
LINE = PatchFile(file="src/shop.py", hunks=(Hunk(line=1, old=("a", "b"), new=("a", "c")),))
ANYWHERE = PatchFile(file="src/shop.py", hunks=(Hunk(old=("a",), new=("b",)),))

HABITS: list[tuple[str, str, Edit]] = [
    ("as it is asked for", f"```python file=src/shop.py symbol=Order.total\n{BODY}\n```", TOTAL),
    ("in quotation marks", f'```python file="src/shop.py" symbol=\'Order.total\'\n{BODY}\n```', TOTAL),
    ("with spaces and a comma", f"```python file = src/shop.py, symbol = Order.total\n{BODY}\n```", TOTAL),
    ("in braces", f"```python {{file=src/shop.py symbol=Order.total}}\n{BODY}\n```", TOTAL),
    ("with a colon", f"```python file: src/shop.py symbol: Order.total\n{BODY}\n```", TOTAL),
    ("by other keys", f"```python filename=src/shop.py method=Order.total\n{BODY}\n```", TOTAL),
    ("joined by two colons", f"```python file=src/shop.py::Order.total\n{BODY}\n```", TOTAL),
    ("in tildes", f"~~~python file=src/shop.py symbol=Order.total\n{BODY}\n~~~", TOTAL),
    ("in one comment", f"```python\n# file=src/shop.py symbol=Order.total\n{BODY}\n```", TOTAL),
    ("in two comments", f"```python\n# File: src/shop.py\n# Symbol: Order.total\n{BODY}\n```", TOTAL),
    ("the symbol in a comment", f"```python file=src/shop.py\n# symbol: Order.total\n{BODY}\n```", TOTAL),
    ("in a block without a language", f"```\n# file: src/shop.py, symbol: Order.total\n{BODY}\n```", TOTAL),
    ("in an answer that is wrapped", f"```md\nSo:\n```py file=src/shop.py symbol=Order.total\n{BODY}\n```\n```", TOTAL),
    ("in a list", "1. First:\n   ```python file=src/shop.py\n   x = 1\n   ```\n2. Then", NEW),
    ("the path alone in the first comment", "```python\n# src/shop.py\nx = 1\n```", NEW),
    ("the path behind the language", "```python src/shop.py\nx = 1\n```", NEW),
    ("the path behind a colon", "```python:src/shop.py\nx = 1\n```", NEW),
    ("the path in place of the language", "```src/shop.py\nx = 1\n```", NEW),
    ("the path as a title", '```python title="src/shop.py"\nx = 1\n```', NEW),
    ("the path in bold above", "**src/shop.py**\n\n```python\nx = 1\n```", NEW),
    ("the path as code above", "`src/shop.py`:\n```python\nx = 1\n```", NEW),
    ("the path as a heading above", "### File: `src/shop.py`\n\n```python\nx = 1\n```", NEW),
    ("with Windows' line ends", "```python file=src/shop.py\r\nx = 1\r\n```\r\n", NEW),
    ("with empty lines around", "```python file=src/shop.py\n\n\nx = 1\n\n\n```", NEW),
    ("something new below", f"```python file=src/shop.py after=Order.count\n{BODY}\n```",
     InsertSymbol(file="src/shop.py", symbol="Order.count", side=Side.AFTER, body=BODY)),
    ("something new above", f"```python file=src/shop.py insert_before=Order.count\n{BODY}\n```",
     InsertSymbol(file="src/shop.py", symbol="Order.count", side=Side.BEFORE, body=BODY)),
    ("a rename as it is asked for", "```edits\nrename src/shop.py Order.total to grand_total\n```", RENAME),
    ("a rename with marks", "```edits\n- Rename `src/shop.py` `Order.total` -> `grand_total`.\n```", RENAME),
    ("a rename joined", "```edits\nrename src/shop.py:Order.total to grand_total\n```", RENAME),
    ("a rename in a plain block", "```\nrename src/shop.py Order.total to grand_total\n```", RENAME),
    ("a rename in a shell's block", "```bash\nrename src/shop.py Order.total to grand_total\n```", RENAME),
    ("a rename without a block", "So:\nrename src/shop.py Order.total to grand_total\nDone.", RENAME),
    ("something goes", "```edits\ndelete src/shop.py Order.old\n```",
     DeleteSymbol(file="src/shop.py", symbol="Order.old")),
    ("a diff", "```diff\n--- a/src/shop.py\n+++ b/src/shop.py\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n```", LINE),
    ("a diff of git's", "```diff\ndiff --git a/src/shop.py b/src/shop.py\nindex 1..2 100644\n--- a/src/shop.py\n"
     "+++ b/src/shop.py\n@@ -1,2 +1,2 @@ def f():\n a\n-b\n+c\n\\ No newline at end of file\n```", LINE),
    ("a diff with wrong counts", "```diff\n--- src/shop.py\n+++ src/shop.py\n@@ -1,9 +1 @@\n a\n-b\n+c\n\n```", LINE),
    ("a diff that names its file beside", "```diff file=src/shop.py\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n```", LINE),
    ("a diff without numbers", "```diff\n--- src/shop.py\n+++ src/shop.py\n@@ ... @@\n-a\n+b\n```", ANYWHERE),
    ("a diff without a place", "```diff\n--- src/shop.py\t2024\n+++ src/shop.py\t2025\n-a\n+b\n```", ANYWHERE),
    ("a diff without its language", "```\n--- a/src/shop.py\n+++ b/src/shop.py\n@@ @@\n-a\n+b\n```", ANYWHERE),
    ("search and replace", "```python\n# src/shop.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```", ANYWHERE),
    ("search and replace below the name", "src/shop.py\n```\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```",
     ANYWHERE),
    ("Markdown with blocks in it", "```markdown file=README.md\n# A\n```python\nx\n```\nB\n```",
     WriteFile(file="README.md", text="# A\n```python\nx\n```\nB\n")),
    ("a path that leads away stays what it is", "```python file=../../etc/x.py\nx = 1\n```",
     WriteFile(file="../../etc/x.py", text="x = 1\n")),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "edit"), [row[1:] for row in HABITS], ids=[row[0] for row in HABITS])
def test_what_models_write_is_read(answer: str, edit: Edit) -> None:
    assert read_edits(answer).edits == (edit,)
    assert read_edits(answer).problems == ()
    assert read_edits(f"Sure! Here it is:\n\n{answer}\n\nHope that helps.").edits == (edit,)


NO_EDITS = [
    ("no code", "You could rename src/shop.py Order.total to x, or not."),
    ("an example", "```python\nprint(1)\n```"),
    ("an example with a comment", "```python\n# compute the total\nx = 1\n```"),
    ("a module in a comment", "```python\n# os.path\nx = 1\n```"),
    ("what a program says", "`src/shop.py`\n```text\n3\n```"),
    ("how to run it", "**src/shop.py**\n```bash\npython src/shop.py\n```"),
    ("a title", '```python title="An example"\nx = 1\n```'),
    ("an empty answer", ""),
    ("a word that only looks like it", "```\nremove the old one\n```"),
]


@pytest.mark.parametrize("answer", [row[1] for row in NO_EDITS], ids=[row[0] for row in NO_EDITS])
def test_an_example_is_no_edit(answer: str) -> None:
    read = read_edits(answer)
    assert (read.edits, read.problems) == ((), ())


PROBLEMS = [
    ("a block without an end", "```python file=src/shop.py\nx = 1", "no end"),
    ("a diff without an end", "```diff\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a", "no end"),
    ("an empty block", "```python file=src/shop.py\n\n```", "is empty"),
    ("a symbol without a file", "```python symbol=Order.total\ndef total(): 1\n```", "names no file"),
    ("a line that is no edit", "```edits\nmake it better\n```", "is no edit"),
    ("a diff without a file", "```diff\n@@ -1 +1 @@\n-a\n+b\n```", "names no file"),
    ("a diff that changes nothing", "```diff\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n a\n```", "has 0 changes"),
    ("a diff that deletes", "```diff\n--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n```", "not deleted"),
    ("half a search", "```python file=x.py\n<<<<<<< SEARCH\na\n=======\nb\n```", "no end"),
    ("a name of control characters", "```python file='x\x00\x1b.py'\nx = 1\n```", "nobody can read"),
    ("a name without end", f"```python file={'a/' * 500}b.py\nx = 1\n```", "nobody can read"),
    ("an answer without end", "x" * (MOST_CHARS + 1), "characters"),
]


@pytest.mark.parametrize(("answer", "problem"), [row[1:] for row in PROBLEMS], ids=[row[0] for row in PROBLEMS])
def test_what_looked_like_an_edit_is_said(answer: str, problem: str) -> None:
    read = read_edits(answer)
    assert read.edits == ()
    assert len(read.problems) == 1
    assert problem in read.problems[0]


def test_of_very_many_edits_the_first_are_read() -> None:
    answer = "".join(f"```python file=f{number}.py\nx = 1\n```\n" for number in range(MOST_EDITS + 5))
    read = read_edits(answer)
    assert [edit.file for edit in read.edits] == [f"f{number}.py" for number in range(MOST_EDITS)]
    assert len(read.problems) == 1


def test_several_files_of_one_diff_are_several_edits() -> None:
    parts = "".join(f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-a\n+b\n" for name in ("one.py", "two.py"))
    assert [edit.file for edit in read_edits(f"```diff\n{parts}```").edits] == ["one.py", "two.py"]


def test_the_instructions_are_read_as_what_they_ask_for() -> None:
    kinds = [edit.kind for edit in read_edits(INSTRUCTIONS).edits]
    assert kinds == ["replace", "insert", "write", "rename"]
    assert read_edits(INSTRUCTIONS).problems == ()


HOSTILE = [
    "`" * 900_000,
    "```\n" * 200_000,
    "```python " + 'file="' * 100_000,
    "```python " + "a/" * 400_000 + "\n```",
    "```markdown\n" * 80_000,
    "```diff\n" + "@@ " * 300_000 + "\n```",
    "```diff\n" + "@@\n-a\n+b\n" * 80_000 + "```",
    "```python\n# " + " " * 500_000 + "x\n```",
    "**" * 400_000 + "\n```\nx\n```",
    "<<<<<<< SEARCH\n=======\n" * 40_000,
    "rename " + "a.py " * 190_000,
]


@pytest.mark.parametrize("answer", HOSTILE, ids=[answer[:12].strip() for answer in HOSTILE])
def test_hostile_answers_are_read_in_one_pass(answer: str) -> None:
    assert len(read_edits(answer).edits) <= MOST_EDITS


PIECES = st.sampled_from(
    ["```", "````", "~~~", "\n", " ", "file=", "symbol=", "a.py", "python", "diff", "edits", "@@", "-a", "+b", "--- a/",
     "+++ b/", "rename ", " to ", "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "# ", "x = 1", "\\", "\0", "\ud800"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_answer_is_read_and_always_in_the_same_way(answer: str) -> None:
    assert read_edits(answer) == read_edits(answer)
