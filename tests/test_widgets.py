"""The controls of a table: what each does to the output beside it. No browser: the handlers are called as one does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import ipywidgets
import pytest

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.pins import Pins
from jupyter_llmroute.core.selector import Decision
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.picker import Picker
from jupyter_llmroute.picker_widget import show_picker
from jupyter_llmroute.table import Table
from jupyter_llmroute.widgets import AS_IT_IS, show_table

from .shown import CODER, DESK, HOSTILE, dangers, decision

WIDGET = "application/vnd.jupyter.widget-view+json"


def rows(*names: str) -> Table:
    return Table(columns=("model", "window"), rows=tuple((name, str(len(name))) for name in names), nothing="no models")


class Page:
    """The outputs of one cell, as a front end keeps them."""

    def __init__(self) -> None:
        self.outputs: dict[str, dict[str, Any]] = {}

    def publish(self, data: dict[str, Any], metadata: Any = None, *, transient: Any = None, **_: Any) -> None:
        self.outputs[transient["display_id"]] = data

    @property
    def controls(self) -> dict[str, Any]:
        return next(iter(self.outputs.values()))

    @property
    def table(self) -> dict[str, Any]:
        return list(self.outputs.values())[-1]

    @property
    def names(self) -> list[str]:
        return [line.split()[0] for line in self.table["text/plain"].split("\n")[1:]]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    from IPython.core.interactiveshell import InteractiveShell

    page = Page()
    shell = InteractiveShell.instance()
    monkeypatch.setattr(shell.display_pub, "publish", page.publish)
    yield page
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()
    ipywidgets.Widget.close_all()


def controls(page: Page) -> tuple[Any, Any, Any, Any]:
    from ipywidgets.widgets.widget import _instances

    box = _instances[page.controls[WIDGET]["model_id"]]
    finder, order, refresh, close = box.children
    return finder, order, refresh, close


def test_the_table_is_an_output_of_its_own_that_needs_no_widget(page: Page) -> None:
    show_table(rows("a", "bb"), lambda: rows(), shown=None)
    assert set(page.controls) == {WIDGET, "text/plain"}
    assert page.controls["text/plain"] == ""
    assert set(page.table) == {"text/markdown", "text/plain"}
    assert page.names == ["a", "bb"]


def test_rows_are_found_and_sorted(page: Page) -> None:
    show_table(rows("abc", "b", "ac"), lambda: rows(), shown=None)
    finder, order, *_ = controls(page)
    order.value = "window"
    assert page.names == ["abc", "ac", "b"]
    finder.value = "C"
    assert page.names == ["abc", "ac"]
    finder.value = "zzz"
    assert page.table["text/plain"] == "No row holds 'zzz'."
    finder.value, order.value = "", AS_IT_IS
    assert page.names == ["abc", "b", "ac"]


def test_refresh_looks_again_and_keeps_what_is_looked_for(page: Page) -> None:
    show_table(rows("old"), lambda: rows("new", "else"), shown=None, find="ne")
    finder, _, refresh, _ = controls(page)
    assert finder.value == "ne"
    assert page.table["text/plain"] == "No row holds 'ne'."
    refresh.click()
    assert page.names == ["new"]
    assert not refresh.disabled


def test_what_goes_wrong_while_looking_is_shown_where_the_table_was(page: Page) -> None:
    def fails() -> Table:
        raise SettingsError(f"limits.attempts: {HOSTILE}")

    show_table(rows("old"), fails, shown=None)
    _, order, refresh, _ = controls(page)
    refresh.click()
    assert page.table["text/plain"].startswith("limits.attempts: ")
    assert dangers(page.table["text/markdown"]) == []
    assert not refresh.disabled
    order.value = "model"
    assert page.names == ["old"]


def test_close_takes_the_controls_away_and_leaves_the_table(page: Page) -> None:
    show_table(rows("a"), lambda: rows(), shown=None)
    *_, close = controls(page)
    close.click()
    assert page.controls == {"text/plain": ""}
    assert page.names == ["a"]


def test_hostile_names_come_out_inert(page: Page) -> None:
    show_table(rows(HOSTILE), lambda: rows(HOSTILE), shown=None)
    finder, *_ = controls(page)
    finder.value = HOSTILE[:8]
    assert dangers(page.table["text/markdown"]) == []
    finder.value = "<img src=x>"
    assert dangers(page.table["text/markdown"]) == []


class Surveyed:
    """A session that notes what decisions are asked of it."""

    def __init__(self) -> None:
        self.surveys: list[tuple[list[Task], bool]] = []

    def held_pins(self) -> Pins:
        return Pins()

    def survey(self, tasks: Iterable[Task], *, refresh: bool = False) -> dict[Task, Decision]:
        self.surveys.append(([*tasks], refresh))
        return {task: decision(DESK, task=task) for task in tasks}


def test_the_picker_makes_its_table_and_its_list_of_the_same_decisions(page: Page) -> None:
    session: Any = Surveyed()
    show_picker(Picker(session))
    tasks, models, *_ = controls(page)
    assert all(f"\n{task} " in page.table["text/plain"] for task in Task)
    tasks.value = "coding"
    assert f"\n{CODER.id} " in page.table["text/plain"]
    assert any(label.startswith(f"{CODER.id} on desk, ") for label, _ in models.options)
    assert session.surveys == [([*Task], True), ([Task.CODING], False)]
