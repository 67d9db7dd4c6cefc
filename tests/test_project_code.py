"""The project's code in a shell: options, what goes along, changes that are offered, applied and taken back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from jupyter_llmroute.core.audit.folder import AuditError
from jupyter_llmroute.core.audit.reading import records
from jupyter_llmroute.core.errors import EditRefused, UserError

from .core.code.test_code_source import CART, ORDERS, project
from .scripted import llamacpp, says
from .test_magics import Terminal, terminal

__all__ = ["project", "terminal"]

ANSWER = """Here:

```python file=src/shop/orders.py symbol=Order.total
def total(self):
    return sum(self.prices) / max(1, self.count)
```

```edits
rename src/shop/cart.py checkout to pay
```
"""
CHANGED = ORDERS.replace(
    '        """The sum of all prices."""\n        return sum(self.prices) / self.count\n',
    "        return sum(self.prices) / max(1, self.count)\n",
)


@pytest.fixture(autouse=True)
def in_project(project: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("LLMROUTE_SERENA__ENABLED", "false")


def sources(project: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (project / "src" / "shop").glob("*.py")}


def files(project: Path) -> dict[Path, bytes]:
    """All files beside which an answer could write, but for IPython's and ours."""
    own = [project.parent / name for name in ("ipython", "home", "llmroute.yaml")]
    found = (path for path in project.parent.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in found if not any(path.is_relative_to(folder) for folder in own)}


def test_what_a_symbol_is_goes_along(terminal: Terminal):
    with llamacpp(says("so", prompt_tokens=900)) as server:
        terminal.uses(server)
        error, printed = terminal.run("%%route --symbol Order.total\nwhat is it?")
        assert error is None
        assert "return sum(self.prices) / self.count" in server.chats[0].json["messages"][-1]["content"]
        assert "note     Code of mon café: ast 1" in printed


@pytest.mark.parametrize("option", ["--no-serena", "--no-context"])
def test_what_the_user_keeps_out_stays_out(terminal: Terminal, option: str):
    with llamacpp(says("so", prompt_tokens=900)) as server:
        terminal.uses(server)
        terminal.run(f"%%route {option}\nwho calls Order.total?")
        assert "def total" not in server.chats[0].json["messages"][-1]["content"]


def test_changes_are_offered_applied_and_taken_back(terminal: Terminal, project: Path):
    before = sources(project)
    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        terminal.uses(server)
        error, printed = terminal.run("%%route --apply\nmake Order.total safe, rename checkout to pay")
        assert error is None
        assert "code block that names the file" in server.chats[0].json["messages"][-1]["content"]
        assert "+def pay(path):" in printed
        assert sources(project) == before, "nothing is written without consent"
        terminal.run("%llm_apply")
        after = sources(project)
        assert after["cart.py"] == CART.replace("checkout", "pay")
        assert after["orders.py"] == CHANGED
        assert isinstance(terminal.run("%llm_apply")[0], UserError)
        terminal.run("%llm_undo")
        assert sources(project) == before
        assert isinstance(terminal.run("%llm_undo")[0], EditRefused)


def edits(project: Path) -> list[dict[str, Any]]:
    """What the audit log holds of files that were to be changed."""
    (log,) = (project.parent / "home").rglob("audit.jsonl")
    return [each for each in records(log) if each["kind"] == "edited"]


def test_what_becomes_of_files_stands_in_the_audit_log(terminal: Terminal, project: Path):
    orders = project / "src" / "shop" / "orders.py"
    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        terminal.uses(server)
        terminal.run("%%route --apply\nmake Order.total safe and rename checkout to pay")
    orders.write_text(orders.read_text() + "# mine\n")
    assert isinstance(terminal.run("%llm_apply")[0], EditRefused)
    orders.write_text(ORDERS)
    assert terminal.run("%llm_apply")[0] is None
    assert terminal.run("%llm_undo")[0] is None
    assert isinstance(terminal.run("%llm_undo")[0], EditRefused)
    found = edits(project)
    of_orders = [each for each in found if each["target"] in (str(orders), str(project))]
    assert [each["action"].split(" (")[0].split(" `")[0][:11] for each in of_orders] == [
        "agreed",
        "not changed",
        "agreed",
        of_orders[3]["action"][:11],
        "agreed to t",
        "taken back",
        "agreed to t",
        "not taken b",
    ]
    assert of_orders[3]["before"]["chars"] == len(ORDERS)
    assert all(each["question"] for each in of_orders[:4])


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of a file's size")
def test_a_change_is_shown_also_where_the_log_takes_no_more(terminal: Terminal, project: Path):
    import resource

    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        terminal.uses(server)
        for undo in ("%llm_apply", "%llm_undo", ""):
            terminal.run("%%route --apply\nmake Order.total safe and rename checkout to pay")
            terminal.run(undo)
    (log,) = (project.parent / "home").rglob("audit.jsonl")
    agreed = sum(len(line) + 1 for line in log.read_bytes().splitlines() if b'"action":"agreed"' in line)
    before, limits = sources(project), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + agreed * 3 // 2, limits[1]))
    try:
        error, printed = terminal.run("%llm_apply")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert isinstance(error, AuditError)
    assert sources(project) != before
    assert "Applied: change" in printed
    assert edits(project)[-1]["action"] == "agreed"


def test_what_is_agreed_to_beforehand_is_applied_at_once(terminal: Terminal, project: Path):
    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        terminal.uses(server)
        _, printed = terminal.run("%%route --apply --yes\nmake Order.total safe, rename checkout to pay")
        assert "Applied: change 1" in printed
        assert sources(project)["orders.py"] == CHANGED


def test_whole_files_and_diffs_are_offered_too(terminal: Terminal, project: Path):
    whole = "```python file=src/shop/new.py\nLIMIT = 3\n```\n"
    diff = "```diff\n--- a/src/shop/cart.py\n+++ b/src/shop/cart.py\n@@ -4,3 +4,3 @@\n def checkout(path):\n"
    diff += "-    order: Order = load(path)\n+    order = load(path)\n     return order.total()\n```\n"
    with llamacpp([says(whole, prompt_tokens=900), says(diff, prompt_tokens=900)]) as server:
        terminal.uses(server)
        terminal.run("%%route --apply --yes\nadd a limit")
        assert (project / "src" / "shop" / "new.py").read_text() == "LIMIT = 3\n"
        terminal.run("%%route --apply --yes\nno annotation")
        assert "    order = load(path)\n" in sources(project)["cart.py"]


@pytest.mark.parametrize("options", ["--apply", "--apply --yes"])
def test_what_is_asked_again_is_offered_again_and_agreed_to_by_nobody_yet(
    terminal: Terminal, project: Path, options: str
):
    other = "```python file=src/shop/new.py\nLIMIT = 3\n```\n"
    with llamacpp([says("I would not.", prompt_tokens=900), says(other, prompt_tokens=900)]) as server:
        terminal.uses(server)
        terminal.run(f"%%route {options}\nadd a limit")
        before = sources(project)
        error, printed = terminal.run("%llm_retry -t coding")
        assert error is None
        assert "+LIMIT = 3" in printed
        assert sources(project) == before
        terminal.run("%llm_apply")
        assert sources(project)["new.py"] == "LIMIT = 3\n"


def test_asked_again_without_apply_it_offers_nothing(terminal: Terminal):
    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        terminal.uses(server)
        terminal.run("%%route\nmake Order.total safe")
        _, printed = terminal.run("%llm_retry -t coding")
        assert "Proposed" not in printed
        assert isinstance(terminal.run("%llm_apply")[0], UserError)


def test_where_a_renamed_word_stays_is_said(terminal: Terminal, project: Path):
    (project / "notebooks" / "use.ipynb").write_text('{"cells": [{"source": "Order.total"}]}')
    (project / "src" / "shop" / "cart.py").write_text(CART + "\n\nTEXT = 'total'\n")
    answer = "```edits\nrename src/shop/orders.py Order.total to mean\n```\n"
    with llamacpp(says(answer, prompt_tokens=900)) as server:
        terminal.uses(server)
        _, printed = terminal.run("%%route --apply\nrename it")
    assert "The word 'total' stays as it is in notebooks/use.ipynb, src/shop/cart.py:9" in printed


def test_the_project_is_that_of_the_session_whatever_cells_change_to(terminal: Terminal):
    with llamacpp(says("so", prompt_tokens=900)) as server:
        terminal.uses(server)
        terminal.run("import os; os.chdir('/')")
        terminal.run("%%route --symbol Order.total\nwhat is it?")
        assert "return sum(self.prices)" in server.chats[0].json["messages"][-1]["content"]


def test_an_old_offer_is_not_applied_in_place_of_a_new_one(terminal: Terminal, project: Path):
    before = sources(project)
    with llamacpp([says(ANSWER, prompt_tokens=900), says("I would not.", prompt_tokens=900)]) as server:
        terminal.uses(server)
        terminal.run("%%route --apply\nmake Order.total safe, rename checkout to pay")
        terminal.run("%%route --apply\nor better not?")
        assert isinstance(terminal.run("%llm_apply")[0], UserError)
    assert sources(project) == before


def test_what_is_to_be_changed_goes_along(terminal: Terminal):
    with llamacpp(says("I would not.", prompt_tokens=900)) as server:
        terminal.uses(server)
        terminal.run("%%route --apply\nmake Order.total safe")
        assert "return sum(self.prices) / self.count" in server.chats[0].json["messages"][-1]["content"]
        assert isinstance(terminal.run("%%route --no-serena --symbol Order\nhi")[0], UsageError)
        terminal.run("%%route --no-context --symbol Order.total\nwhat is it?")
        assert "return sum(self.prices) / self.count" in server.chats[-1].json["messages"][-1]["content"]


def test_without_apply_nothing_is_offered(terminal: Terminal, project: Path):
    before = sources(project)
    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        terminal.uses(server)
        _, printed = terminal.run("%%route\nmake Order.total safe")
        assert "Proposed" not in printed
        assert isinstance(terminal.run("%llm_apply")[0], UserError)
        assert isinstance(terminal.run("%%route --yes\nhi")[0], UsageError)
    assert sources(project) == before


def test_an_answer_that_stopped_in_the_middle_is_not_offered(terminal: Terminal, project: Path):
    from .scripted import CUT, delta, sse

    with llamacpp([sse(delta(ANSWER), CUT)]) as server:
        terminal.uses(server)
        _, printed = terminal.run("%%route --apply --yes\nmake Order.total safe")
        assert "Proposed" not in printed
        assert "Applied" not in printed


@pytest.mark.parametrize(
    "file", ["../other.py", "/tmp/x.py", "a.ipynb", ".git/config", "src/shop/none/../../../../x.py"]
)
def test_a_hostile_answer_changes_nothing(terminal: Terminal, project: Path, file: str):
    before = files(project)
    answer = f"```python file={file}\nx = 1\n```\n"
    with llamacpp(says(answer, prompt_tokens=900)) as server:
        terminal.uses(server)
        terminal.run("%%route --apply --yes\nchange it")
    assert files(project) == before


def test_a_symbol_of_no_project_is_refused_with_what_to_do(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "alone").mkdir()
    monkeypatch.chdir(tmp_path / "alone")
    with llamacpp(says("so", prompt_tokens=900)) as server:
        terminal.uses(server)
        (tmp_path / "llmroute.yaml").rename(tmp_path / "mine.yaml")
        monkeypatch.setenv("LLMROUTE_SETTINGS", str(tmp_path / "mine.yaml"))
        error, printed = terminal.run("%%route --symbol Order\nwhat is it?")
        assert isinstance(error, UserError)
        assert "belongs to no project" in printed


def test_serena_is_shown(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    with llamacpp(says("so", prompt_tokens=900)) as server:
        terminal.uses(server)
        assert "switched off" in terminal.run("%llm_serena")[1]
        monkeypatch.setenv("LLMROUTE_SERENA__ENABLED", "true")
        terminal.run("%reload_ext jupyter_llmroute")
        assert "mon café" in terminal.run("%llm_serena")[1]
