"""No hostile text does anything where there is only text, and no form of it is live for a renderer."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from jupyter_llmroute import services
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.edit_card import bundle as edits
from jupyter_llmroute.inert import inert_line, inert_markdown
from jupyter_llmroute.models import table as models
from jupyter_llmroute.terminal import TerminalScreen, decision_lines, failures, figures_line, head
from jupyter_llmroute.tracebacks import folded
from jupyter_llmroute.view import ANSWER_MIME
from jupyter_llmroute.why import as_markdown, as_text

from .hostile import Payload, answer, payloads, proposal, run, servers
from .shown import decision
from .test_inert import live

ALL = payloads()
EACH = pytest.mark.parametrize("payload", ALL, ids=[payload.name for payload in ALL])

CONTROL = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""What a terminal obeys, what turns the direction of what is read, and what nobody sees."""

OURS = "\\\N{WORD JOINER}"
"""By which Markdown for MathJax is made harmless."""


def unseen(text: str) -> list[str]:
    """Return what of it may not reach a terminal."""
    return [f"{ord(sign):x}" for sign in CONTROL.findall(text)]


def unseen_in_markdown(text: str) -> list[str]:
    """Return what of it nobody would see, and is none of ours."""
    return unseen(text.replace(OURS, "").replace("&#92;\N{WORD JOINER}", ""))


def test_the_corpus_is_whole() -> None:
    assert len(ALL) >= 60
    assert [name for name, number in Counter(payload.name for payload in ALL).items() if number > 1] == []
    assert all(payload.why and payload.text.strip() for payload in ALL)
    assert [payload.name for payload in ALL if "@" in re.sub("@@\\d@@|@import|@keyframes", "", payload.text)] == []
    assert [json.loads(p.text) for p in ALL if p.kind in ("facts", "metadata")]


@EACH
def test_an_answer_in_a_terminal(payload: Payload, capsys: pytest.CaptureFixture[str]) -> None:
    view = run(payload.text)
    TerminalScreen().update(view, final=True)
    shown = capsys.readouterr().out
    assert unseen(shown) == []
    assert unseen("\n".join((head(view), *failures(view), figures_line(view)))) == []


@EACH
@pytest.mark.parametrize("form", Format)
def test_an_answer_in_every_form(payload: Payload, form: Format) -> None:
    bundle = run(payload.text, form).bundle()
    assert unseen(bundle["text/plain"]) == unseen_in_markdown(bundle["text/markdown"]) == []
    assert unseen(json.dumps(bundle[ANSWER_MIME], ensure_ascii=False)) == []
    assert live(bundle["text/markdown"]) == {}


@EACH
def test_a_failed_answer(payload: Payload) -> None:
    assert live(answer(payload)["text/markdown"]) == {}


@EACH
def test_tables_of_servers_and_models(payload: Payload) -> None:
    enemies = servers([payload])
    for table in (services.table(enemies), models(decision(*enemies, task=Task.CODING), Task.CODING)):
        assert unseen(table.text()) == unseen_in_markdown(table.markdown()) == []
        assert live(table.markdown()) == {}
        assert len(table.text().split("\n")) == 1 + len(table.rows)


@EACH
def test_the_explanation(payload: Payload) -> None:
    decided, view = decision(*servers([payload])), run(payload.text)
    text, markdown = as_text(decided, view, shown=None), as_markdown(decided, view, shown=None)
    assert unseen(text) == unseen_in_markdown(markdown) == []
    assert live(markdown) == {}


@EACH
def test_a_dry_run_in_a_terminal(payload: Payload) -> None:
    view = run(payload.text)
    assert view._routed
    assert unseen("\n".join(decision_lines(view._routed, view.request))) == []


@EACH
def test_changes_of_files(payload: Payload) -> None:
    assert unseen(edits(proposal(payload))["text/plain"]) == unseen(edits(proposal(payload))["text/html"]) == []


@EACH
def test_an_error(payload: Payload) -> None:
    with pytest.raises(UserError) as caught, folded():
        raise UserError(payload.text)
    assert unseen("\n".join(caught.value._render_traceback_())) == []  # type: ignore[attr-defined]


@EACH
def test_a_name_within_prose(payload: Payload) -> None:
    line = inert_line(payload.text)
    assert unseen_in_markdown(line) == []
    assert live(f"| a | {line} |\n|---|---|\n| {line} | x |\n\n- {line}\n\n> {line}\n\n**{line}**") == {}


@EACH
def test_a_text_between_others(payload: Payload) -> None:
    assert live(inert_markdown(f"before\n{payload.text}\nafter `code` [x](http://a.example)")) == {}
