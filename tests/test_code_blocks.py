"""Code in answers, told from what is around it, and the cells that it makes: small texts, hostile ones, long ones."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from jupyter_llmroute.code_blocks import Block, choose, code_blocks, code_of, language_of
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.delivery import own_cell
from jupyter_llmroute.forms import markdown_of, plain_of
from jupyter_llmroute.inert import UNSEEN
from jupyter_llmroute.next_cell import MOST_CHARS, Cell, Reader, next_cell
from jupyter_llmroute.response import Response, State

BLOCKS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    # what it is: (answer, [(language, code)])
    "nothing": ("No code here, `x = 1` aside.", []),
    "one": ("Do:\n```python\nx = 1\n```\nDone.", [("python", "x = 1")]),
    "several": ("```python\na\n```\nand\n```bash\nls\n```", [("python", "a"), ("bash", "ls")]),
    "tildes": ("~~~python\nx = '```'\n```\n~~~", [("python", "x = '```'\n```")]),
    "a longer fence": ("````python\nx = '''\n```\n'''\n````", [("python", "x = '''\n```\n'''")]),
    "a longer end": ("```python\nx\n`````\nmore", [("python", "x")]),
    "a shorter end is code": ("````python\nx\n```\n````", [("python", "x\n```")]),
    "an end with words is code": ("```python\nx\n``` no\n```", [("python", "x\n``` no")]),
    "a fence within a docstring": (
        '```python\ndef f():\n    """\n    ```\n    f()\n    ```\n    """\n```\n',
        [("python", 'def f():\n    """\n    ```\n    f()\n    ```\n    """')],
    ),
    "not closed": ("```python\nx = 1\ny =", [("python", "x = 1\ny =")]),
    "inline": ("```not a fence``` and ``` this ```", []),
    "tildes may hold backticks": ("~~~py `a`\nx\n~~~", [("python", "x")]),
    "in a list": ("1. So:\n\n   ```python\n   if x:\n       y\n   ```\n2. Then", [("python", "if x:\n    y")]),
    "behind its mark": ("- ```python\n  x = 1\n  ```\n- next", [("python", "x = 1")]),
    "deep in a list": ("1. a\n    - b\n\n        ```sh\n        ls\n        ```", [("sh", "ls")]),
    "in a list, code at the edge": (
        "1. So:\n   ```python\ndef f():\n    return 1\n   ```\n",
        [("python", "def f():\n    return 1")],
    ),
    "with tabs": ("- a\n\n\t```python\n\tif x:\n\t\ty\n\t```", [("python", "if x:\n    y")]),
    "quoted": ("> ```python\n> x = 1\n>\n> y = 2\n> ```\nmore", [("python", "x = 1\n\ny = 2")]),
    "quoted, not closed": ("> ```python\n> x = 1\nmore\n```bash\nls\n```", [("python", "x = 1"), ("bash", "ls")]),
    "line ends of Windows": ("```python\r\nx = 1\r\ny = 2\r\n```\r\n", [("python", "x = 1\ny = 2")]),
    "empty": ("```python\n```\n```python\n\n\n```\n```python\nx\n```", [("python", "x")]),
    "all of it wrapped in Markdown": (
        "````markdown\nSo:\n```python\nx = 1\n```\n````",
        [("python", "x = 1")],
    ),
    "wrapped in fences of the same length": ("```markdown\n```python\nx = 1\n```\nmore\n```", [("python", "x = 1")]),
    "Markdown itself": ("```md\n# Title\n```", [("markdown", "# Title")]),
    "a session": ("```pycon\n>>> for i in x:\n...     i\n...\n1\n>>> y\n```", [("python", "for i in x:\n    i\n\ny")]),
    "an ellipsis is no session": ("```python\n...\nx = 1\n```", [("python", "...\nx = 1")]),
    "a shell session": ("```console\n$ ls\na  b\n$ pwd\n```", [("bash", "ls\npwd")]),
    "no language, a program": ("```\nimport os\n```", [("python", "import os")]),
    "no language, words": ("```\nls -l\n```\n```\n42\n```\n~~~\nN: t\n~~~", [("", "ls -l"), ("", "42"), ("", "N: t")]),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_found_with_their_language(name: str) -> None:
    answer, expected = BLOCKS[name]
    assert [(block.language, block.text) for block in code_blocks(answer)] == expected


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ("python", "python"),
        ("Python3", "python"),
        (" py", "python"),
        ("python {.line}", "python"),
        ("{.python .numberLines}", "python"),
        ("{python}", "python"),
        ("{python, echo=FALSE}", "python"),
        ("{code-cell} ipython3", "python"),
        ("python:app.py", "python"),
        ('python title="a b"', "python"),
        ("python,ignore", "python"),
        ("C++", "c++"),
        ("c#", "c#"),
        ("objective-c", "objective-c"),
        ("js", "javascript"),
        ("Zsh", "bash"),
        ("", ""),
        ("{}", ""),
        ("<img src=x>", ""),
    ],
)
def test_a_language_is_read_from_an_info_string(info: str, language: str) -> None:
    assert language_of(info) == language


def test_a_block_that_is_not_closed_says_so() -> None:
    assert [block.is_closed for block in code_blocks("```python\nx\n```\n```python\ny")] == [True, False]


@given(st.text(alphabet="`~ \n>-1.pyx\t=", max_size=200))
def test_any_text_gives_blocks_of_its_own_lines(text: str) -> None:
    words = set(text.split())
    for block in code_blocks(text):
        assert block.text.strip()
        # Marks of quotations and lists go; nothing is made up.
        assert all(any(word in told for told in words) for word in block.text.split())


@given(st.lists(st.text(alphabet="ab`~ \n#'\"", min_size=1).filter(lambda t: t.strip(" \n") == t), max_size=4))
def test_what_is_fenced_safely_comes_back(codes: list[str]) -> None:
    answer = "\n\n".join(f"{'`' * 300}text\n{code}\n{'`' * 300}" for code in codes)
    assert [block.text for block in code_blocks(answer)] == codes


LONG = {
    "one block": "```python\n" + "x = 1\n" * 170_000 + "```",
    "fences": "```\n" * 100_000,
    "fences of two kinds within each other": "```md\n~~~md\n" * 50_000,
    "quotations": "> ```\n" * 50_000,
    "marks": "> " * 200_000 + "\n" + "- " * 200_000,
    "one run": "`" * 1_000_000,
    "empty lines": "```python\n" + "\n" * 500_000 + "```",
}


@pytest.mark.parametrize("name", LONG)
def test_long_and_odd_answers_are_read_in_one_go(name: str) -> None:
    assert len(code_blocks(LONG[name])) <= 50_000


@pytest.mark.parametrize(
    ("text", "count"),
    [("print(1)", 1), ("\nimport os\nos.getcwd()\n", 1), ("Yes", 0), ("It is so.", 0), ("42", 0), ("", 0)],
)
def test_an_answer_without_fences_is_code_where_it_is_a_program(text: str, count: int) -> None:
    assert len(code_of(text)) == count


def blocks(*told: tuple[str, str]) -> list[Block]:
    return [Block(language=language, text=text) for language, text in told]


@pytest.mark.parametrize(
    ("told", "language", "code", "others"),
    [
        ([("python", "a"), ("python", "b")], "python", "a\n\nb", 0),
        ([("bash", "pip"), ("python", "a"), ("text", "1"), ("python", "b")], "python", "a\n\nb", 2),
        ([("text", "1"), ("sql", "a"), ("bash", "b"), ("sql", "c")], "sql", "a\n\nc", 2),
        ([("", "?"), ("rust", "a")], "rust", "a", 1),
        ([("text", "a")], "text", "a", 0),
    ],
)
def test_blocks_of_one_language_are_chosen_and_joined(
    told: list[tuple[str, str]], language: str, code: str, others: int
) -> None:
    chosen = choose(blocks(*told))
    assert chosen is not None
    assert (chosen.code.language, chosen.code.text, len(chosen.others)) == (language, code, others)


# -- what is shown -----------------------------------------------------------------------------------------------------


MIXED = "Words.\n\n```python\nx = 1\n```\n\nMore.\n\n```bash\nls\n```"


@pytest.mark.parametrize(
    ("text", "form", "markdown", "plain"),
    [
        (MIXED, Format.MARKDOWN, MIXED, MIXED),
        (MIXED, Format.CODE, "```python\nx = 1\n```\n\n```bash\nls\n```", "x = 1\n\nls"),
        ("No code.", Format.CODE, "No code.", "No code."),
        ("print(1)", Format.CODE, "```python\nprint(1)\n```", "print(1)"),
        ('{"a": 1}', Format.JSON, '```json\n{"a": 1}\n```', '{"a": 1}'),
        ('```json\n{"a": 1}\n```', Format.JSON, '```json\n{"a": 1}\n```', '```json\n{"a": 1}\n```'),
        ("*a*\n  b", Format.TEXT, "```text\n*a*\n  b\n```", "*a*\n  b"),
        ("a\n```\nb", Format.TEXT, "````text\na\n```\nb\n````", "a\n```\nb"),
        ("", Format.TEXT, "", ""),
    ],
)
def test_an_answer_is_shown_in_the_form_that_was_wanted(text: str, form: Format, markdown: str, plain: str) -> None:
    assert markdown_of(text, form) == markdown
    assert plain_of(text, form) == plain


def test_words_before_code_are_not_shown_while_it_may_still_come() -> None:
    assert markdown_of("Here it", Format.CODE, is_over=False) == ""
    assert plain_of("Here:\n```python\nx =", Format.CODE, is_over=False) == "x ="


@pytest.mark.parametrize("form", Format)
def test_no_form_makes_an_answer_live(form: Format) -> None:
    hostile = "<script>x()</script>\n```html\n<img src=x onerror=y()>\n```\n~~~\n<b>\n"
    shown = markdown_of(hostile, form)
    fences = [line for line in shown.split("\n") if line.startswith(("~~~", "```"))]
    assert "<script" not in shown or fences
    assert markdown_of(shown, Format.MARKDOWN) == shown


# -- the cell ----------------------------------------------------------------------------------------------------------


READER = Reader({"bash", "html", "latex", "javascript"}.__contains__, TransformerManager().transform_cell)


def cell(text: str, asked: str = "", **more: Any) -> Cell:
    fields = {"question": "q", "state": State.COMPLETE, "text": text, **more}
    return next_cell(Response(**fields), READER, asked)


ASKED = "%%route --to replace\nwhy -->?\n  so"
CELLS: dict[str, tuple[str, str, str]] = {
    # what it is: (answer, cell that asked, cell to be)
    "Python": ("```python\nx = 1\n```", "", "x = 1"),
    "under its question": ("```py\nx = 1\n```", ASKED, "# %%route --to replace\n# why -->?\n#   so\nx = 1"),
    "magics of lines": ("```python\n%matplotlib inline\nls = !ls\n!pwd\n```", "", "%matplotlib inline\nls = !ls\n!pwd"),
    "a cell magic stays first": ("```python\n%%time\nx()\n```", "%route q", "%%time\n# %route q\nx()"),
    "a cell magic of another language": ("```python\n%%html\n<b>\n```", "q", "%%html\n<!-- q -->\n<b>"),
    "await": ("```python\nawait f()\n```", "", "await f()"),
    "indented as a whole": ("```python\n    x = 1\n    y = 2\n```", "q", "# q\nx = 1\ny = 2"),
    "bash": ("```sh\nls\n```", "a\nb", "%%bash\n# a\n# b\nls"),
    "html": ("```html\n<p>\n```", "a-->\n b", "%%html\n<!-- a-- > -->\n<!--  b -->\n<p>"),
    "latex": ("```tex\n\\alpha\n```", "q", "%%latex\n% q\n\\alpha"),
    "javascript": ("```js\nf()\n```", "q", "%%javascript\n// q\nf()"),
    "no magic": (
        "```rust\nfn main() {}\n```",
        "",
        "# No cell magic here runs rust: it is as it came, as comments.\n# fn main() {}",
    ),
    "no sql unless an extension has it": (
        "```sql\nselect 1\n```",
        "",
        "# No cell magic here runs sql: it is as it came, as comments.\n# select 1",
    ),
    "no language": ("```\nls -la\n```", "", "# Its language is not named: it is as it came, as comments.\n# ls -la"),
    "no Python": (
        "```python\nx = = 1\n```",
        "q",
        "# q\n# It does not parse as Python (line 1: invalid syntax). It is as it came.\nx = = 1",
    ),
    "unseen characters": (
        "```python\nx = 'a\u202eb\x1b'\n```",
        "",
        f"# 2 characters that cannot be seen became {UNSEEN} here.\nx = 'a{UNSEEN}b{UNSEEN}'",
    ),
    "half a character": (
        "```python\nx = '\ud800'\n```",
        "",
        f"# 1 character that cannot be seen became {UNSEEN} here.\nx = '{UNSEEN}'",
    ),
    "three kinds of line ends in the question": ("```py\nx\n```", "a\r\nb\rc\u2028d", f"# a\n# b\n# c{UNSEEN}d\nx"),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_an_answers_code_makes_a_cell(name: str) -> None:
    answer, asked, expected = CELLS[name]
    made = cell(answer, asked)
    assert made.text == expected
    made.text.encode()
    assert made.what.startswith("The answer's code")


def test_what_is_wrong_and_what_is_left_is_said_beside_the_cell_too() -> None:
    made = cell("```python\nx = = 1\n```\n```bash\nls\n```\n```bash\npwd\n```\n```\n1\n```")
    assert made.what == "The answer's code (python, 1 line)"
    assert made.notes == (
        "It does not parse as Python (line 1: invalid syntax). It is as it came.",
        "Left in the answer: 2 blocks of bash, 1 block of no language.",
    )


@pytest.mark.parametrize(
    ("text", "more", "why"),
    [
        ("No code.", {}, "The answer holds no code"),
        ("```python\nx", {"state": State.INTERRUPTED}, "The answer is not complete (interrupted)"),
        ("```python\nx\n```", {"state": State.FAILED}, "The answer is not complete (failed)"),
        ("```python\n" + "x = 1\n" * 175_000 + "```", {}, "The code has 1,049,999 characters, more than the 200,000"),
        ("no", {"format": Format.JSON}, "The answer is not JSON"),
        ('{"a": 1e999}', {"format": Format.JSON}, "The answer's JSON cannot be written in Python"),
    ],
)
def test_no_cell_is_written_where_there_is_nothing_to_write(text: str, more: dict[str, Any], why: str) -> None:
    made = cell(text, "question", **more)
    assert made.text == ""
    assert made.what.startswith(why)


def test_a_cut_answer_is_a_cell_that_says_so() -> None:
    made = cell("```python\nx = 1\n", finish_reason="length")
    assert made.text == "# The answer was cut off at its length limit: this may not be all of the code.\nx = 1"


def test_many_magics_are_not_checked_for_minutes() -> None:
    made = cell("```python\n" + "!ls\n" * 40_000 + "```")
    assert made.text.startswith("# It has too many magics to check")


@pytest.mark.parametrize("code", ["x = '\\d'", "x is 1", "assert (x, 'y')"])
def test_a_warning_of_the_code_is_not_shown_before_it_is_run(code: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cell(f"```python\n{code}\n```").text == code


@given(st.text(alphabet=st.characters(codec=None), max_size=60), st.text(max_size=60))
def test_whatever_is_asked_stays_a_comment(asked: str, word: str) -> None:
    made = cell("```python\nlast = 1\n```", asked + "\n" + word)
    tree = ast.parse(made.text)
    assert len(tree.body) == 1
    made.text.encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1, null, true, 2.5, "é\\n"]}', "{'a': [1, None, True, 2.5, 'é\\n']}"),
        ('```json\n{"a": "\\ud800"}\n```', "{'a': '\\ud800'}"),
    ],
)
def test_json_becomes_an_expression_of_python(text: str, expected: str) -> None:
    made = cell(text, "q", format=Format.JSON)
    assert made.text == f"# q\n{expected}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("So: {}", "Expecting value: line 1 column 1 (char 0)"),
        ('{"a": NaN}', "NaN is no value of JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        ("9" * 5000, "Exceeds the limit"),
        ("", "Expecting value"),
        ("```json\n{}\n```\n```json\n{}\n```", "Expecting value"),
    ],
)
def test_what_is_no_json_says_where(text: str, why: str) -> None:
    response = Response(question="q", text=text, state=State.COMPLETE)
    with pytest.raises(UserError, match="is not JSON") as told:
        _ = response.data
    assert why in str(told.value)


def test_a_response_gives_its_code_and_its_data() -> None:
    response = Response(question="q", text="So:\n```python\na\n```\n```python\nb\n```", state=State.COMPLETE)
    assert response.code == "a\n\nb"
    assert [block.text for block in response.blocks] == ["a", "b"]
    assert Response(question="q", text='\n[1, {"a": null}] ', state=State.COMPLETE).data == [1, {"a": None}]
    assert Response(question="q", text="words", state=State.COMPLETE).code == ""


@pytest.mark.parametrize(
    ("raw", "line", "cell", "is_own"),
    [
        ("%%route --to replace\nwhy?\n", "--to replace", "why?\n", True),
        ("\n%%time\n%%route --to replace\nwhy?", "--to replace", "why?", True),
        ("# a remark\n\n%route --to replace why?", "--to replace why?", None, True),
        ("route --to replace why?", "--to replace why?", None, True),
        ("x = 1\n%route --to replace why?", "--to replace why?", None, False),
        ("for i in x:\n    get_ipython().run_cell_magic('route', '--to replace', i)", "--to replace", "why?", False),
        ("an_earlier_cell()", "--to replace why?", None, False),
    ],
)
def test_only_a_cell_that_holds_nothing_but_the_question_is_replaced(
    raw: str, line: str, cell: str | None, is_own: bool
) -> None:
    if is_own:
        assert own_cell(raw, line, cell) == raw
    else:
        with pytest.raises(UserError, match="holds more than the question"):
            own_cell(raw, line, cell)


def test_a_long_cell_is_not_written() -> None:
    assert cell("```python\n" + "#" * MOST_CHARS + "\n```").text != ""
    assert cell("```python\n#" + "#" * MOST_CHARS + "\n```").text == ""
