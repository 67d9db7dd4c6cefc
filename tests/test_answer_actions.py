"""Pins, thumbs and buttons in a real kernel, with a page that speaks the widgets' own messages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_llmroute.cell_writer import TARGET
from jupyter_llmroute.core.audit.reading import records
from jupyter_llmroute.core.feedback import Tally
from jupyter_llmroute.core.state import State
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.view import ANSWER_MIME

from .scripted import Scripted, llamacpp, says
from .shown import NO_OTHERS
from .widget_page import WIDGET, Page, page

CODE = "Here:\n\n```python\nprint(6 * 7)\n```\n"
CODER, WRITER = "qwen2.5-coder-7b", "phi-4"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Scripted, Scripted]]:
    with llamacpp(says(CODE), model=CODER) as coder, llamacpp(says("no code"), model=WRITER) as writer:
        yield coder, writer


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def kernel(servers: tuple[Scripted, Scripted], home: Path) -> Iterator[Page]:
    endpoints = ", ".join(f"{{name: s{n}, endpoint: '{server.url}'}}" for n, server in enumerate(servers))
    settings = home / "llmroute.yaml"
    settings.write_text(f"services: {{custom_endpoints: [{endpoints}], {NO_OTHERS}}}\nembedded: {{enabled: false}}\n")
    own = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    paths = {"LLMROUTE_SETTINGS": str(settings), "LLMROUTE_HOME": str(home), "JPY_SESSION_NAME": str(home / "a.ipynb")}
    with page({**os.environ, **own, **paths}) as shown:
        yield shown


@pytest.fixture(autouse=True)
def clean(kernel: Page, home: Path) -> None:
    pinned_in_file(home)
    kernel.run("%llm_pick --clear")
    kernel.run("%llm_rate --forget")
    kernel.outputs.clear()
    kernel.comms.clear()


def pinned_in_file(home: Path, **pins: Any) -> None:
    metadata = {"llmroute": {"pins": pins}}
    text = json.dumps({"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": metadata})
    (home / "a.ipynb").write_text(text)


def asked(kernel: Page, question: str = "write a function", options: str = "-t coding") -> dict[str, Any]:
    """Ask, and return the facts of the answer."""
    before = set(kernel.outputs)
    assert kernel.run(f"%%route {options}\n{question}") == ""
    (facts,) = (bundle[ANSWER_MIME] for name, bundle in kernel.outputs.items() if name not in before
                and ANSWER_MIME in bundle)  # fmt: skip
    return dict(facts)


# --- pins ---


def test_a_pin_of_the_saved_notebook_holds_from_the_next_question_on(kernel: Page, home: Path) -> None:
    assert asked(kernel)["model"] == CODER
    pinned_in_file(home, coding=f"{WRITER}@s1")
    facts = asked(kernel)
    assert facts["model"] == WRITER
    assert facts["reasons"][0] == "pinned for coding in this notebook"
    assert asked(kernel, options="-t coding -m coder")["model"] == CODER
    kernel.run("%llm_why")
    assert f"{WRITER}@s1: pinned for coding in this notebook" in kernel.text
    kernel.run("%llm_config")
    assert f"\n{WRITER}@s1: pinned for coding in this notebook\n" in kernel.bundles[-1]["text/plain"]


def test_a_pin_of_the_session_wins_over_that_of_the_notebook(kernel: Page, home: Path) -> None:
    pinned_in_file(home, coding=WRITER)
    kernel.run(f"%llm_pick {CODER}")
    assert asked(kernel)["reasons"][0] == "pinned for all tasks in this session"
    kernel.run("%llm_pick coding auto")
    assert not asked(kernel)["reasons"][0].startswith("pinned")
    kernel.run("%llm_pick --clear")
    assert asked(kernel)["model"] == WRITER


def test_a_pin_that_cannot_be_used_is_told_on_the_card(kernel: Page, home: Path) -> None:
    pinned_in_file(home, coding="gone@s1", poetry="m", any=7)
    facts = asked(kernel)
    assert facts["state"] == "complete"
    told = "\n".join(facts["remarks"])
    assert "gone@s1 is pinned for coding in this notebook and cannot answer: s1 has no such model." in told
    assert "'poetry' is no task" in told
    assert "what is said for any is no name of a model" in told


def test_the_picker_pins_what_is_chosen(kernel: Page) -> None:
    kernel.run("%llm_pick")
    controls, table = kernel.bundles
    assert set(controls) == {WIDGET, "text/plain"}
    assert controls["text/plain"] == ""
    assert "| coding |" in table["text/markdown"]
    assert f"coding         {CODER} on s0" in table["text/plain"]
    kernel.choose("coding", description="Task")
    kernel.choose(f"{WRITER} on s1", description="Model")
    kernel.click(description="Pin")
    assert f"{WRITER}@s1 in this session" in kernel.bundles[-1]["text/plain"]
    assert asked(kernel)["model"] == WRITER
    kernel.click(description="Close")
    assert kernel.rows == 0
    assert kernel.bundles[0] == {"text/plain": ""}


@pytest.mark.parametrize("line", ["%llm_pick --text", "%llm_pick coding --text", "%llm_pick analysis phi-4"])
def test_without_controls_it_is_a_table_alone(kernel: Page, line: str) -> None:
    kernel.run(line)
    (table,) = kernel.bundles
    assert set(table) == {"text/markdown", "text/plain"}


# --- the row ---


def tally(home: Path) -> Tally:
    (path,) = home.rglob("seen.state")
    return State.model_validate_json(path.read_text()).feedback.of(CODER, Task.CODING)


def test_the_row_is_only_there_where_it_is_wanted_and_only_under_the_last_answer(kernel: Page) -> None:
    asked(kernel)
    assert len(kernel.bundles) == 1
    asked(kernel, options="-t coding --actions")
    assert kernel.rows == 1
    row = next(bundle for bundle in kernel.bundles if WIDGET in bundle)
    assert row["text/plain"] == "", "a viewer without widgets sees what it saw before"
    asked(kernel, options="-t coding --actions")
    assert kernel.rows == 1


def test_a_setting_has_the_row_under_every_answer(kernel: Page) -> None:
    kernel.run("%llm_config route.actions=on")
    asked(kernel)
    kernel.run("%llm_config --reset route.actions")
    assert kernel.rows == 1


def test_thumbs_count_once_for_an_answer_and_move_the_next_choice(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(icon="thumbs-up")
    assert "liked once for coding: +1.3 points" in kernel.text
    assert kernel.states[kernel.widget("ButtonModel", icon="thumbs-up")]["button_style"] == "success"
    kernel.click(icon="thumbs-down")
    assert "disliked once for coding: -1.3 points" in kernel.text
    assert "disliked once for coding" in asked(kernel)["reasons"]


def test_a_second_press_and_a_magic_take_a_thumb_back(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(icon="thumbs-down")
    kernel.click(icon="thumbs-down")
    assert f"Taken back. {CODER}, not rated for coding: +0.0 points from now on." in kernel.text
    assert kernel.states[kernel.widget("ButtonModel", icon="thumbs-down")]["button_style"] == ""
    kernel.run("%llm_rate up")
    kernel.run("%llm_rate up")
    assert "liked once for coding: +1.3 points" in kernel.text
    kernel.run("%llm_rate none")
    kernel.run("%llm_rate")
    assert "No answer was rated yet" in kernel.bundles[-1]["text/plain"]
    assert not {"liked once for coding", "disliked once for coding"} & set(asked(kernel)["reasons"])


def style(kernel: Page, thumb: str) -> str:
    return str(kernel.states[kernel.widget("ButtonModel", icon=f"thumbs-{thumb}")]["button_style"])


def test_a_thumb_that_was_forgotten_takes_nothing_off_a_newer_answer(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(icon="thumbs-up")
    asked(kernel)
    kernel.run("%llm_rate --forget")
    assert style(kernel, "up") == ""
    kernel.run("%llm_rate up")
    kernel.click(icon="thumbs-up")
    assert "Counted." in kernel.bundles[2]["text/plain"]
    assert "liked twice for coding" in kernel.bundles[2]["text/plain"]
    assert style(kernel, "up") == "success"


def test_the_row_shows_what_the_magic_says_of_its_answer(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.run("%llm_rate down")
    assert (style(kernel, "up"), style(kernel, "down")) == ("", "danger")
    kernel.run("%llm_rate none")
    assert style(kernel, "down") == ""
    kernel.run("%llm_rate up")
    asked(kernel)
    kernel.run("%llm_rate down")
    assert (style(kernel, "up"), style(kernel, "down")) == ("success", ""), "that was another answer"


def test_where_nothing_was_said_nothing_is_taken_back(kernel: Page) -> None:
    asked(kernel)
    kernel.run("%llm_rate none")
    told = f"There was nothing to take back. {CODER}, not rated for coding: +0.0 points from now on."
    assert kernel.bundles[-1]["text/plain"] == told


def test_thumbs_are_kept_in_the_state_folder(kernel: Page, home: Path) -> None:
    asked(kernel)
    kernel.run("%llm_rate up")
    kernel.run("%unload_ext jupyter_llmroute\n%load_ext jupyter_llmroute")
    assert tally(home) == Tally(up=1)
    assert "liked once for coding" in asked(kernel)["reasons"]
    kernel.run("%llm_why")
    assert "+1.3 for your thumbs" in kernel.bundles[-1]["text/plain"]


def test_a_cell_below_is_written_by_the_page(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Insert below")
    ((comm, target, data),) = kernel.comms
    assert target == TARGET
    assert data == {"version": 1, "action": "below", "cell": "asks", "text": "print(6 * 7)", "expected": ""}
    assert "print(6 * 7)" in kernel.bundles[2]["text/plain"], "in case that the page cannot"
    kernel.answer(comm, {"done": True})
    assert kernel.bundles[2]["text/plain"] == "The code is in a cell now; it was not run."


def test_the_cell_that_asked_is_replaced_with_the_question_in_comments(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Replace")
    ((_, _, data),) = kernel.comms
    assert data["action"] == "replace"
    assert data["expected"] == "%%route -t coding --actions\nwrite a function"
    assert data["text"] == "# %%route -t coding --actions\n# write a function\nprint(6 * 7)"


def test_a_page_that_knows_no_such_comm_shows_the_code(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Insert below")
    kernel.close(kernel.comms[0][0])
    assert kernel.bundles[2]["text/plain"].startswith("No page has said that it wrote the cell. This would be in it:")
    assert kernel.bundles[2]["text/markdown"].endswith("```python\nprint(6 * 7)\n```")


def test_a_page_that_refuses_says_why(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Replace")
    kernel.answer(kernel.comms[0][0], {"done": False, "why": "the cell\nhas changed <b>"})
    assert "(the cell has changed <b>)" in kernel.bundles[2]["text/plain"]
    assert "<b>" not in kernel.bundles[2]["text/markdown"]


def test_the_answer_is_copied_by_the_page_and_no_cell_is_touched(kernel: Page, home: Path) -> None:
    before = len(edited(home))
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Copy")
    ((comm, target, data),) = kernel.comms
    assert target == TARGET
    assert data == {"version": 1, "action": "copy", "cell": "asks", "text": CODE, "expected": ""}
    assert CODE.strip() in kernel.bundles[2]["text/plain"], "in case that the page cannot"
    kernel.answer(comm, {"done": True})
    assert kernel.bundles[2]["text/plain"] == "The answer's text is on the clipboard."
    assert len(edited(home)) == before


def test_where_the_page_cannot_copy_the_text_is_there_to_be_selected(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Copy")
    kernel.close(kernel.comms[0][0])
    shown = kernel.bundles[2]
    assert shown["text/plain"].startswith("This page copies nothing from a button. This is the answer's text:")
    assert shown["text/markdown"].endswith(f"````markdown\n{CODE}\n````")
    kernel.click(description="Copy")
    kernel.answer(kernel.comms[1][0], {"done": False, "why": "not <b>now"})
    assert "from a button (not <b>now). This" in kernel.bundles[2]["text/plain"]
    assert "<b>" not in kernel.bundles[2]["text/markdown"].split("````")[0]


def edited(home: Path) -> list[dict[str, Any]]:
    """What the log holds of edits, each with a question that it knows."""
    (log,) = home.rglob("audit.jsonl")
    found = list(records(log))
    asked = {each["question"] for each in found if each["kind"] == "decided"}
    edits = [each for each in found if each["kind"] == "edited"]
    assert {each["question"] for each in edits} <= asked
    return edits


def test_what_a_button_does_to_cells_stands_in_the_audit_log(kernel: Page, home: Path) -> None:
    before = len(edited(home))
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Replace")
    kernel.answer(kernel.comms[0][0], {"done": False, "why": "it has changed"})
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Insert below")
    kernel.answer(kernel.comms[1][0], {"done": True})
    found = edited(home)[before:]
    assert [each["action"] for each in found] == [
        "replace the cell (button): agreed",
        "replace the cell (button): not written (it has changed)",
        "write a new cell below (button): agreed",
        "write a new cell below (button): written",
    ]
    assert found[0]["after"] == found[1]["after"] != found[2]["after"]


def test_what_an_option_does_to_cells_stands_in_the_audit_log_before(kernel: Page, home: Path) -> None:
    before = len(edited(home))
    for to in ("next", "replace"):
        asked(kernel, options=f"-t coding --to {to}")
    found = edited(home)[before:]
    assert [each["action"] for each in found] == [
        "write a new cell below (--to next)",
        "replace the cell (--to replace)",
    ]
    assert (found[0]["before"]["chars"], found[1]["before"]["chars"]) == (
        0,
        len("%%route -t coding --to replace\nwrite a function"),
    )


def test_an_answer_without_code_has_nothing_to_insert(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions -m phi-4")
    for words in ("Insert below", "Replace"):
        assert kernel.states[kernel.widget("ButtonModel", description=words)]["disabled"]


def test_another_model_is_asked_from_the_row(kernel: Page) -> None:
    asked(kernel, options="-t coding --actions")
    kernel.click(description="Retry…")
    kernel.choose(f"{WRITER} on s1", description="Ask")
    kernel.click(description="Retry")
    assert kernel.rows == 0
    assert kernel.bundles[1] == {"text/plain": f"Asked again: {WRITER} on s1"}
    assert kernel.bundles[3][ANSWER_MIME]["model"] == WRITER
