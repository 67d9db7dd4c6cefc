"""What becomes of files: all of a proposal or nothing, whoever changes them, and whenever they die."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jupyter_llmroute.core.edits.draft import propose
from jupyter_llmroute.core.edits.edit import (
    DeleteSymbol,
    Edit,
    InsertSymbol,
    RenameSymbol,
    ReplaceSymbol,
    Side,
    WriteFile,
)
from jupyter_llmroute.core.edits.guard import apply, recover, recover_all
from jupyter_llmroute.core.edits.journal import Journal
from jupyter_llmroute.core.edits.proposal import Proposal
from jupyter_llmroute.core.edits.syntax_editor import SyntaxEditor
from jupyter_llmroute.core.edits.tree import MOST_BYTES
from jupyter_llmroute.core.edits.undo import undo
from jupyter_llmroute.core.edits.verification import NotAsShown
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused

from .shop import NEW_TOTAL, SHOP, Doing, all_bytes, make_shop, swap

pytestmark = pytest.mark.anyio

RENAME = RenameSymbol(file="shop.py", symbol="Order.total", new_name="grand_total")
REPLACE = ReplaceSymbol(file="shop.py", symbol="Order.total", body=NEW_TOTAL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_shop(tmp_path / "mon café" / "shop")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def nobody(file: str, name_path: str, new_name: str) -> dict[str, str]:
    raise CodeUnavailable("Nobody can tell.")


async def proposed(shop: Path, *edits: Edit, seen: bool = True) -> Proposal:
    proposal = await propose(edits, shop, preview=None if seen else nobody)
    assert [refusal.reason for refusal in proposal.refused] == []
    return proposal


# --- what is right is done ---


@pytest.mark.parametrize("by_editor", [True, False], ids=["by an editor", "as it was shown"])
@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (REPLACE, ["shop.py"]),
        (RENAME, ["shop.py", "uses.py"]),
        (InsertSymbol(file="shop.py", symbol="cheapest", side=Side.AFTER, body="def f():\n    pass"), ["shop.py"]),
        (
            InsertSymbol(file="shop.py", symbol="Order.count", side=Side.BEFORE, body="def f(self):\n  pass"),
            ["shop.py"],
        ),
        (DeleteSymbol(file="shop.py", symbol="cheapest"), ["shop.py"]),
        (ReplaceSymbol(file="crlf.py", symbol="f", body="def f():\n    return 2"), ["crlf.py"]),
        (ReplaceSymbol(file="latin.py", symbol="f", body="def f():\n    return 'né'"), ["latin.py"]),
        (RenameSymbol(file="emoji.py", symbol="tgt", new_name="goal"), ["emoji.py"]),
        (ReplaceSymbol(file="mixed.py", symbol="g", body="def g():\n    return 3"), ["mixed.py"]),
        (ReplaceSymbol(file="bom.py", symbol="f", body="def f():\n    return 3"), ["bom.py"]),
        (WriteFile(file="new/deep/er.py", text="x = 1\n"), ["new/deep/er.py"]),
        (WriteFile(file="broken.py", text="def f():\n    return 1\n"), ["broken.py"]),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_what_was_shown_is_what_is_there_and_undo_is_exact(
    shop: Path, state: Path, edit: Edit, names: list[str], by_editor: bool
) -> None:
    before = all_bytes(shop)
    proposal = await proposed(shop, edit)
    assert all_bytes(shop) == before, "a proposal writes nothing"
    applied = await apply(proposal, SyntaxEditor(shop) if by_editor else None, state=state)
    assert [change.file for change in applied.changes] == names
    for change in proposal.changes:
        assert (shop / change.file).read_bytes() == change.raw_after
    assert {name for name, was in all_bytes(shop).items() if before.get(name) != was and was[0] != "folder"} == {*names}
    back = await undo(shop, state=state)
    assert back.taken_back
    assert [change.file for change in back.changes] == names
    assert all_bytes(shop) == before


async def test_bytes_that_an_edit_is_not_about_stay(shop: Path, state: Path) -> None:
    edits = [
        ReplaceSymbol(file="crlf.py", symbol="f", body="def f():\n    return 2"),
        ReplaceSymbol(file="latin.py", symbol="f", body="def f():\n    return 'né'"),
        ReplaceSymbol(file="mixed.py", symbol="g", body="def g():\n    return 3"),
        ReplaceSymbol(file="bom.py", symbol="f", body="def f():\n    return 3"),
    ]
    await apply(await proposed(shop, *edits), SyntaxEditor(shop), state=state)
    assert (shop / "crlf.py").read_bytes() == b"def f():\r\n    return 2\r\n"
    assert (shop / "latin.py").read_bytes() == "# -*- coding: latin-1 -*-\ndef f():\n    return 'né'\n".encode(
        "latin-1"
    )
    assert (shop / "mixed.py").read_bytes() == b"def f():\r\n    return 1\n\n\ndef g():\r\n    return 3\n"
    assert (shop / "bom.py").read_bytes() == b"\xef\xbb\xbfdef f():\n    return 3\n"


async def test_an_editor_that_rewrites_line_ends_and_encoding_is_put_right(shop: Path, state: Path) -> None:
    edits = [
        ReplaceSymbol(file="crlf.py", symbol="f", body="def f():\n    return 2"),
        ReplaceSymbol(file="latin.py", symbol="f", body="def f():\n    return 'né'"),
    ]

    def deed() -> None:
        swap(shop / "crlf.py", "return 1", "return 2")
        if b"caf\xe9" in (shop / "latin.py").read_bytes():
            swap(shop / "latin.py", "café", "né", "latin-1")

    applied = await apply(await proposed(shop, *edits), Doing(deed), state=state)
    assert (shop / "crlf.py").read_bytes() == b"def f():\r\n    return 2\r\n"
    assert b"n\xe9" in (shop / "latin.py").read_bytes()
    assert len(applied.notes) == 2


async def test_an_editor_that_leaves_other_empty_lines_is_put_right(shop: Path, state: Path) -> None:
    edit = InsertSymbol(file="shop.py", symbol="cheapest", side=Side.AFTER, body="def f():\n    pass")
    proposal = await proposed(shop, edit)
    deed = Doing(lambda: (shop / "shop.py").write_text(SHOP + "\n\n\n\ndef f():\n    pass\n\n\n"))
    await apply(proposal, deed, state=state)
    assert (shop / "shop.py").read_bytes() == proposal.changes[0].raw_after


# --- harm is taken back ---


def garbled(shop: Path) -> None:
    """What an editor does that counts columns in another unit: the name is written beside its place."""
    path = shop / "emoji.py"
    path.write_bytes(path.read_bytes().replace(b"tgt():", b"goal():").replace(b", tgt", b", tgoal"))


def defined_alone(shop: Path) -> None:
    swap(shop / "shop.py", "def total", "def grand_total")


def half(shop: Path) -> None:
    defined_alone(shop)
    raise RuntimeError("the language server is gone")


def in_notebook(shop: Path) -> None:
    swap(shop / "shop.py", "def total", "def grand_total")
    swap(shop / "uses.py", "order.total", "order.grand_total")
    swap(shop / "tour.ipynb", "nbformat", "grand_totalmat")


def with_more(deed: Callable[[Path], object]) -> Callable[[Path], None]:
    def do(shop: Path) -> None:
        swap(shop / "shop.py", "def total", "def grand_total")
        swap(shop / "uses.py", "order.total", "order.grand_total")
        deed(shop)

    return do


def in_place_of_link(shop: Path) -> None:
    (shop / "linked.py").unlink()
    (shop / "linked.py").write_text("x = 1\n")


TGT = RenameSymbol(file="emoji.py", symbol="tgt", new_name="goal")

HARM: list[tuple[str, Edit, Callable[[Path], object], str]] = [
    ("a notebook's raw text is renamed in", RENAME, in_notebook, "notebook"),
    ("columns are counted in UTF-16", TGT, garbled, "more than the name"),
    ("only the definition is renamed", RENAME, defined_alone, "uses.py"),
    ("half of it is renamed and then it crashes", RENAME, half, "gone"),
    ("the body becomes garbage", REPLACE, lambda s: swap(s / "shop.py", "return sum(self", "OK OK("), "parse"),
    ("another body is written", REPLACE, lambda s: swap(s / "shop.py", "sum(self.prices)", "0"), "than was shown"),
    ("nothing happens", REPLACE, lambda s: None, "changed nothing"),
    ("a file is emptied", REPLACE, lambda s: (s / "shop.py").write_bytes(b""), "than was shown"),
    ("a file is removed", RENAME, with_more(lambda s: (s / "latin.py").unlink()), "latin.py"),
    ("a file is made", RENAME, with_more(lambda s: (s / "pyrefly.toml").write_bytes(b"")), "pyrefly.toml"),
    ("another Python file is changed", RENAME, with_more(lambda s: swap(s / "crlf.py", "1", "2")), "crlf.py"),
    ("settings are changed", RENAME, with_more(lambda s: swap(s / "pyproject.toml", "shop", "x")), "pyproject.toml"),
    ("more than the name is changed", RENAME, with_more(lambda s: swap(s / "uses.py", "prices", "p")), "uses.py"),
    ("a link out of the project is followed", RENAME, with_more(lambda s: swap(s / "linked.py", "1", "2")), "linked"),
    ("a linked folder is written into", RENAME, with_more(lambda s: swap(s / "lib" / "far.py", "1", "2")), "far.py"),
    ("a link is replaced by a file", RENAME, with_more(in_place_of_link), "link"),
]  # fmt: skip


@pytest.mark.parametrize("seen", [True, False], ids=["shown", "not shown"])
@pytest.mark.parametrize(("edit", "deed", "why"), [row[1:] for row in HARM], ids=[row[0] for row in HARM])
async def test_harm_is_taken_back_byte_for_byte(
    shop: Path, state: Path, edit: Edit, deed: Callable[[Path], object], why: str, seen: bool
) -> None:
    outside = shop.parent / "outside"
    outside.mkdir()
    for name in ("near.py", "far.py"):
        (outside / name).write_text("total = 1\n")
    (shop / "linked.py").symlink_to(outside / "near.py")
    (shop / "lib").symlink_to(outside)
    (shop / "loop.pyi").symlink_to("loop.pyi")
    (shop / "up").symlink_to("..")
    before = all_bytes(shop.parent)
    proposal = await proposed(shop, edit, seen=seen)
    with pytest.raises(EditRefused, match=why):
        await apply(proposal, Doing(lambda: deed(shop)), references=["uses.py"] if edit is RENAME else [], state=state)
    assert all_bytes(shop.parent) == before
    assert not Journal.of(shop, state).is_pending
    with pytest.raises(EditRefused, match="no change"):
        await undo(shop, state=state)


@pytest.mark.parametrize("seen", [True, False], ids=["shown", "not shown"])
async def test_other_files_whose_bytes_alone_were_rewritten_are_put_back(shop: Path, state: Path, seen: bool) -> None:
    before = all_bytes(shop)

    def deed() -> None:
        swap(shop / "shop.py", "def total", "def grand_total")
        swap(shop / "uses.py", "order.total", "order.grand_total")
        swap(shop / "latin.py", "", "", "latin-1")
        swap(shop / "crlf.py", "", "")

    applied = await apply(await proposed(shop, RENAME, seen=seen), Doing(deed), state=state)
    assert [change.file for change in applied.changes] == ["shop.py", "uses.py"]
    after = all_bytes(shop)
    assert {name for name in before if before[name] != after[name]} == {"shop.py", "uses.py"}
    assert len(applied.notes) == 2


async def test_a_rename_that_reaches_further_than_shown_is_taken_back_and_shown(shop: Path, state: Path) -> None:
    (shop / "late.py").write_text("def f(x):\n    return x.total()\n")
    before = all_bytes(shop)

    def deed() -> None:
        swap(shop / "shop.py", "def total", "def grand_total")
        swap(shop / "uses.py", "order.total", "order.grand_total")
        swap(shop / "late.py", "x.total", "x.grand_total")

    proposal = await proposed(shop, RENAME)
    assert "late.py" not in [change.file for change in proposal.changes]
    with pytest.raises(NotAsShown, match=r"late\.py") as caught:
        await apply(proposal, Doing(deed), state=state)
    assert all_bytes(shop) == before
    instead = caught.value.instead
    assert [change.file for change in instead.changes] == ["late.py", "shop.py", "uses.py"]
    await apply(instead, state=state)
    assert "x.grand_total()" in (shop / "late.py").read_text()
    assert "order.grand_total()" in (shop / "uses.py").read_text()


async def test_a_rename_that_nobody_could_show_is_applied_where_only_the_name_changes(shop: Path, state: Path) -> None:
    proposal = await proposed(shop, RENAME, seen=False)
    assert (proposal.changes, len(proposal.unseen)) == ((), 1)
    before = all_bytes(shop)
    applied = await apply(proposal, SyntaxEditor(shop), references=["uses.py"], state=state)
    assert [change.file for change in applied.changes] == ["shop.py", "uses.py"]
    assert "+    return order.grand_total()" in applied.diff
    await undo(shop, state=state)
    assert all_bytes(shop) == before


async def test_an_editor_that_is_never_done_is_stopped(shop: Path, state: Path) -> None:
    class Endless(Doing):
        async def replace_body(self, file: str, name_path: str, body: str) -> None:
            swap(shop / "shop.py", "sum", "max")
            await asyncio.Event().wait()

    before = all_bytes(shop)
    with pytest.raises(EditRefused, match="not done after"):
        await apply(await proposed(shop, REPLACE), Endless(lambda: None), state=state, limit_s=0.1)
    assert all_bytes(shop) == before


async def test_who_is_interrupted_finds_everything_as_it_was(shop: Path, state: Path) -> None:
    begun = asyncio.Event()

    class Slow(Doing):
        async def replace_body(self, file: str, name_path: str, body: str) -> None:
            swap(shop / "shop.py", "sum", "max")
            begun.set()
            await asyncio.Event().wait()

    before = all_bytes(shop)
    task = asyncio.create_task(apply(await proposed(shop, REPLACE), Slow(lambda: None), state=state))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all_bytes(shop) == before
    await apply(await proposed(shop, REPLACE), state=state)


async def test_an_environment_in_the_project_is_not_looked_into(shop: Path, state: Path) -> None:
    (shop / "env" / "lib").mkdir(parents=True)
    (shop / "env" / "pyvenv.cfg").write_text("home = /usr")

    def deed() -> None:
        swap(shop / "shop.py", "sum(self.prices)", "round(sum(self.prices), 2)")
        (shop / "env" / "lib" / "made.py").write_text("x = 1\n")

    await apply(await proposed(shop, REPLACE), Doing(deed), state=state)
    assert (shop / "env" / "lib" / "made.py").exists()


async def test_a_project_that_is_too_large_is_left_to_what_needs_no_watching(shop: Path, state: Path) -> None:
    with (shop / "large.ipynb").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(EditRefused, match="to watch over"):
        await apply(await proposed(shop, REPLACE), SyntaxEditor(shop), state=state)
    assert (shop / "shop.py").read_text() == SHOP
    await apply(await proposed(shop, REPLACE), state=state)
    assert "round(" in (shop / "shop.py").read_text()


# --- others write too ---


@pytest.mark.parametrize("by_editor", [True, False])
async def test_a_file_changed_between_proposal_and_apply_refuses_it(shop: Path, state: Path, by_editor: bool) -> None:
    proposal = await proposed(shop, REPLACE)
    (shop / "shop.py").write_text(SHOP + "# mine\n")
    before = all_bytes(shop)
    with pytest.raises(EditRefused, match="was changed since the proposal"):
        await apply(proposal, SyntaxEditor(shop) if by_editor else None, state=state)
    assert all_bytes(shop) == before


async def test_a_file_that_came_between_refuses_a_new_one(shop: Path, state: Path) -> None:
    proposal = await proposed(shop, WriteFile(file="new.py", text="x = 1\n"))
    (shop / "new.py").write_text("mine = 1\n")
    with pytest.raises(EditRefused, match="was changed since the proposal"):
        await apply(proposal, state=state)
    assert (shop / "new.py").read_text() == "mine = 1\n"


async def test_a_link_that_came_between_leads_nowhere(shop: Path, state: Path, tmp_path: Path) -> None:
    proposal = await proposed(shop, WriteFile(file="sub/new.py", text="x = 1\n"))
    (tmp_path / "away").mkdir()
    (shop / "sub").symlink_to(tmp_path / "away")
    with pytest.raises(EditRefused, match="out of the project"):
        await apply(proposal, state=state)
    assert list((tmp_path / "away").iterdir()) == []


async def test_what_somebody_else_wrote_meanwhile_is_kept_aside(shop: Path, state: Path) -> None:
    def deed() -> None:
        swap(shop / "shop.py", "sum", "max")
        (shop / "tour.ipynb").write_text("saved by somebody")

    with pytest.raises(EditRefused, match="is kept in") as caught:
        await apply(await proposed(shop, REPLACE), Doing(deed), state=state)
    aside = Path(str(caught.value).rsplit("is kept in ", 1)[1].rstrip(".").strip("'"))
    kept = all_bytes(aside)
    assert b"saved by somebody" in [raw for raw, _ in kept.values()]
    assert {mode for _, mode in kept.values()} == {0o600}


async def test_a_second_one_waits_and_is_then_refused(shop: Path, state: Path) -> None:
    first, second = await proposed(shop, REPLACE), await proposed(shop, RENAME)
    results = await asyncio.gather(apply(first, state=state), apply(second, state=state), return_exceptions=True)
    assert sum(isinstance(result, EditRefused) for result in results) == 1
    await undo(shop, state=state)
    assert (shop / "shop.py").read_text() == SHOP


RUN = """
import asyncio, sys
from pathlib import Path
from jupyter_llmroute.core.edits.answer_edits import read_edits
from jupyter_llmroute.core.edits.guard import apply
from jupyter_llmroute.core.edits.draft import propose
from jupyter_llmroute.core.errors import EditRefused
root, state, answer, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]

class Stuck:
    async def rename(self, file, name_path, new_name):
        for name in ("shop.py", "tour.ipynb"):
            path = root / name
            path.write_text(path.read_text().replace("total", "grand_total"))
        (root / ".llmroute-half").write_text("half")
        print("half", flush=True)
        sys.stdin.read()

async def main():
    proposal = await propose(read_edits(answer).edits, root)
    print("proposed", flush=True)
    sys.stdin.readline()
    try:
        await apply(proposal, Stuck() if how == "stuck" else None, state=state)
        print("applied", flush=True)
    except EditRefused as error:
        print("refused", error, flush=True)

asyncio.run(main())
"""


def started(shop: Path, state: Path, answer: str, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, str(shop), str(state), answer, how]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


ANSWER = "```edits\nrename shop.py Order.total to grand_total\n```"


@pytest.fixture
def killed(shop: Path, state: Path) -> Path:
    """A project in the middle of whose change a process was killed."""
    process = started(shop, state, ANSWER, "stuck")
    with process:
        assert said(process) == "proposed"
        tell(process)
        assert said(process) == "half"
        psutil.Process(process.pid).kill()
    return shop


async def test_what_a_killed_process_left_is_put_back_by_the_next(killed: Path, state: Path, tmp_path: Path) -> None:
    wanted = all_bytes(make_shop(tmp_path / "again"))
    assert all_bytes(killed) != wanted
    restored = await recover(killed, state=state)
    assert restored is not None
    assert {Path(name).name for name in restored.files} == {"shop.py", "tour.ipynb"}
    assert all_bytes(killed) == wanted
    assert await recover(killed, state=state) is None


async def test_the_next_start_puts_back_whatever_project_it_is_about(killed: Path, state: Path) -> None:
    assert len(await recover_all(state=state)) == 1
    assert (killed / "shop.py").read_text() == SHOP
    assert await recover_all(state=state) == ()


async def test_the_next_change_puts_back_first(killed: Path, state: Path) -> None:
    proposal = await proposed(killed, WriteFile(file="new.py", text="x = 1\n"))
    await apply(proposal, state=state)
    assert (killed / "shop.py").read_text() == SHOP
    assert (killed / "new.py").read_text() == "x = 1\n"


async def test_what_was_written_long_after_a_process_died_stays(killed: Path, state: Path) -> None:
    (killed / "shop.py").write_text("mine = 1\n")
    later = json.loads((Journal.of(killed, state).folder / "pending.json").read_text())["ends"] + 60
    os.utime(killed / "shop.py", (later, later))
    restored = await recover(killed, state=state)
    assert restored is not None
    assert [Path(name).name for name in restored.left] == ["shop.py"]
    assert (killed / "shop.py").read_text() == "mine = 1\n"
    assert "grand_total" not in (killed / "tour.ipynb").read_text()


async def test_a_snapshot_of_a_living_process_is_left_alone(shop: Path, state: Path) -> None:
    process = started(shop, state, ANSWER, "stuck")
    with process:
        try:
            assert said(process) == "proposed"
            tell(process)
            assert said(process) == "half"
            waiting = asyncio.create_task(recover(shop, state=state))
            done, _ = await asyncio.wait([waiting], timeout=0.3)
            assert not done
        finally:
            psutil.Process(process.pid).kill()
    assert await waiting is not None
    assert (shop / "shop.py").read_text() == SHOP


def test_of_two_processes_at_once_one_writes(shop: Path, state: Path) -> None:
    answers = [
        "```python file=shop.py symbol=Order.total\ndef total(self):\n    return 1\n```",
        "```python file=shop.py symbol=Order.total\ndef total(self):\n    return 2\n```",
    ]
    processes = [started(shop, state, answer, "as shown") for answer in answers]
    assert [said(process) for process in processes] == ["proposed", "proposed"]
    for process in processes:
        tell(process)
    results = sorted(said(process).split()[0] for process in processes)
    for process in processes:
        process.communicate()
    assert results == ["applied", "refused"]


# --- what is kept ---


async def test_what_is_kept_is_the_users_alone(shop: Path, state: Path) -> None:
    seen: list[int] = []
    folder = Journal.of(shop, state).folder

    def deed() -> None:
        seen.extend(path.stat().st_mode & 0o077 for path in (state, folder, *folder.rglob("*")))
        swap(shop / "shop.py", "sum(self.prices)", "round(sum(self.prices), 2)")

    await apply(await proposed(shop, REPLACE), Doing(deed), state=state)
    seen.extend(path.stat().st_mode & 0o077 for path in (state, folder, *folder.rglob("*")))
    assert len(seen) > 8
    assert not any(seen)
    assert not (folder / "pending.data").exists()


async def test_nothing_is_changed_where_nothing_can_be_kept(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = all_bytes(shop)
    with pytest.raises(EditRefused, match="LLMROUTE_HOME"):
        await apply(await proposed(shop, REPLACE), state=tmp_path / "file" / "state")
    assert all_bytes(shop) == before


async def test_an_empty_proposal_is_not_applied(shop: Path, state: Path) -> None:
    with pytest.raises(EditRefused, match="nothing to apply"):
        await apply(Proposal(root=shop), state=state)
