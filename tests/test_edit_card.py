"""Edits as outputs, and the buttons below them: what they show, and what a press does."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

from jupyter_llmroute.core.edits.applied import Applied
from jupyter_llmroute.core.edits.edit import RenameSymbol, WriteFile
from jupyter_llmroute.core.edits.proposal import FileChange, Proposal, Refusal
from jupyter_llmroute.core.edits.verification import NotAsShown
from jupyter_llmroute.core.errors import EditRefused
from jupyter_llmroute.edit_card import MOST_LINES, OPEN_LINES, bundle, headline
from jupyter_llmroute.edit_widget import DISCARDED, show_proposal

from .shown import HOSTILE, dangers

WIDGET = "application/vnd.jupyter.widget-view+json"
ROOT = Path("shop")


def change(before: str | None, after: str | None, file: str = "shop.py", *notes: str) -> FileChange:
    return FileChange(file=file, before=before, after=after, digest=None, raw_after=None, notes=notes)


def proposal(*changes: FileChange, refused: tuple[Refusal, ...] = ()) -> Proposal:
    return Proposal(root=ROOT, changes=changes, refused=refused)


PLAIN = proposal(change("a = 1\nb = 2\n", "a = 1\nb = 3\n"), change(None, "x = 1\n", "new.py", "A note."))
APPLIED = Applied(root=ROOT, changes=PLAIN.changes, number=3, at=0.0, notes=("Line ends were put right.",))


class Page(HTMLParser):
    """The tags, the attributes and the text of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self.text = ""
        self.outside: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if not {"pre", "code"} & set(self._open):
            self.outside.append(data)


def test_a_proposal_is_a_diff_and_says_that_nothing_is_done_yet() -> None:
    text = bundle(PLAIN)["text/plain"]
    assert text.startswith("# Proposed, not applied: 2 files (+2 −1).\n# A note.\n--- a/shop.py\n+++ b/shop.py\n@@")
    assert "\n-b = 2\n+b = 3\n--- /dev/null\n+++ b/new.py\n" in text


def test_what_was_applied_says_how_to_take_it_back() -> None:
    text = bundle(APPLIED)["text/plain"]
    assert text.startswith("# Applied: change 3, 2 files (+2 −1).\n# %llm_undo takes it back.\n# Line ends were")
    assert headline(APPLIED.model_copy(update={"taken_back": True})).startswith("Taken back: change 3")


def test_the_page_is_coloured_and_folds_what_is_long() -> None:
    page = Page(bundle(PLAIN)["text/html"])
    assert set(page.tags) == {"div", "strong", "pre", "details", "summary", "code", "span"}
    assert page.attributes == {"class", "style", "open"}
    assert "-b = 2+b = 3" in page.text
    assert sum("rgba(46,160,67" in value for value in page.values) == 2
    long = Page(bundle(proposal(change("", "x\n" * (OPEN_LINES + 1))))["text/html"])
    assert "open" not in long.attributes


def test_what_is_too_long_to_be_shown_is_said() -> None:
    shown = bundle(proposal(change("", "x\n" * (MOST_LINES + 100))))
    for text in shown.values():
        assert "103 lines more, which are not shown" in text


def test_refusals_are_said_with_their_reasons() -> None:
    refused = Refusal(edit=WriteFile(file="../x.py", text=""), reason="It leads out: nothing was changed.")
    text = bundle(proposal(refused=(refused,)))["text/plain"]
    assert text == "# Nothing would be changed.\n# Not done, write '../x.py': It leads out: nothing was changed."


def test_a_rename_that_cannot_be_shown_says_so() -> None:
    rename = RenameSymbol(file="shop.py", symbol="/f", new_name="g")
    text = bundle(Proposal(root=ROOT, steps=(rename,), unseen=(rename,)))["text/plain"]
    assert "only known once it is made" in text
    assert "rename '/f' of 'shop.py' to 'g'" in text


BAD = HOSTILE + "</pre></code><script>alert(1)</script>\x1b[31m\u2028x\u2066 &lt; $y$ \\(z\\)"


def test_hostile_texts_come_out_inert() -> None:
    edits = proposal(
        change(BAD, f"{BAD}\n{BAD}\n", BAD, BAD),
        refused=(Refusal(edit=WriteFile(file=BAD, text=BAD), reason=BAD),),
    )
    for shown in (edits, Applied(root=ROOT, changes=edits.changes, number=1, at=0.0, notes=(BAD,))):
        card = bundle(shown)
        page = Page(card["text/html"])
        assert set(page.tags) <= {"div", "strong", "pre", "details", "summary", "code", "span"}
        assert page.attributes <= {"class", "style", "open"}
        assert not any("$" in text or "\\(" in text or "https:" in text for text in page.outside)
        for text in card.values():
            assert not any(sign in text for sign in ("\u202e", "\u2066", "\x1b", "\u2028"))
        assert "<script" not in card["text/html"].lower()
        assert "cannot be seen" in card["text/plain"]


# --- the buttons ---


class Outputs:
    """The outputs of one cell, as a front end keeps them."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict[str, Any]] = {}

    def publish(self, data: dict[str, Any], metadata: Any = None, *, transient: Any = None, **_: Any) -> None:
        self.by_id[transient["display_id"]] = data

    @property
    def card(self) -> dict[str, Any]:
        return next(iter(self.by_id.values()))

    @property
    def buttons(self) -> tuple[Any, Any]:
        from ipywidgets.widgets.widget import _instances

        yes, no = _instances[list(self.by_id.values())[1][WIDGET]["model_id"]].children
        return yes, no

    @property
    def result(self) -> str:
        return str(list(self.by_id.values())[2]["text/plain"])

    @property
    def has_buttons(self) -> bool:
        return any(WIDGET in data for data in self.by_id.values())


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outputs]:
    from IPython.core.interactiveshell import InteractiveShell

    outputs = Outputs()
    shell = InteractiveShell.instance()
    monkeypatch.setattr(shell.display_pub, "publish", outputs.publish)
    yield outputs
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()
    ipywidgets.Widget.close_all()


def test_nothing_is_done_before_a_button_is_pressed(outputs: Outputs) -> None:
    asked: list[Proposal] = []

    def apply(shown: Proposal) -> Applied:
        asked.append(shown)
        return APPLIED

    show_proposal(PLAIN, apply)
    assert asked == []
    assert outputs.card == bundle(PLAIN)
    outputs.buttons[0].click()
    assert asked == [PLAIN]
    assert outputs.card == bundle(APPLIED)
    assert not outputs.has_buttons


def test_discard_changes_nothing_and_says_so(outputs: Outputs) -> None:
    dropped: list[bool] = []
    show_proposal(PLAIN, lambda _: pytest.fail("it was applied"), lambda: dropped.append(True))
    outputs.buttons[1].click()
    assert (outputs.result, dropped) == (DISCARDED, [True])
    assert outputs.card == bundle(PLAIN)
    assert not outputs.has_buttons


def test_why_it_was_refused_is_shown(outputs: Outputs) -> None:
    def apply(_: Proposal) -> Applied:
        raise EditRefused(f"'shop.py' was changed since: {HOSTILE}")

    show_proposal(PLAIN, apply)
    outputs.buttons[0].click()
    assert outputs.result.startswith("'shop.py' was changed since")
    assert all(dangers(data.get("text/markdown", "")) == [] for data in outputs.by_id.values())
    assert not outputs.has_buttons


def test_what_an_editor_would_do_otherwise_is_looked_at_first(outputs: Outputs) -> None:
    other = proposal(change("a = 1\n", "a = 2\n", "other.py"))
    asked: list[Proposal] = []

    def apply(shown: Proposal) -> Applied:
        asked.append(shown)
        if shown is PLAIN:
            raise NotAsShown("It reaches 'other.py' too.", other)
        return APPLIED

    show_proposal(PLAIN, apply)
    outputs.buttons[0].click()
    assert outputs.card == bundle(other)
    assert "other.py" in outputs.result
    outputs.buttons[0].click()
    assert asked == [PLAIN, other]
    assert not outputs.has_buttons


def test_a_proposal_that_changes_nothing_has_no_buttons(outputs: Outputs) -> None:
    show_proposal(proposal(), lambda _: pytest.fail("it was applied"))
    assert not outputs.has_buttons
