"""What edits would make of files, and why some are refused; nothing is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_llmroute.core.edits.answer_edits import read_edits
from jupyter_llmroute.core.edits.draft import propose
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
from jupyter_llmroute.core.edits.guard import apply
from jupyter_llmroute.core.edits.proposal import Proposal

from .shop import NEW_TOTAL, SHOP, all_bytes, make_shop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_shop(tmp_path / "mon café" / "shop")


def text_of(proposal: Proposal, file: str = "shop.py") -> str:
    assert [refusal.reason for refusal in proposal.refused] == []
    return next(change.after or "" for change in proposal.changes if change.file == file)


def total(body: str) -> ReplaceSymbol:
    return ReplaceSymbol(file="shop.py", symbol="Order.total", body=body)


OLD_TOTAL = "    def total(self):\n        return sum(self.prices)\n"
NEW_IN_FILE = "    def total(self):\n        return round(sum(self.prices), 2)\n"

BODIES = [
    ("at the left edge", NEW_TOTAL),
    ("indented as in the file", NEW_IN_FILE),
    ("cut out from its first letter on", NEW_IN_FILE.strip()),
    ("within its class", f"class Order:\n{NEW_IN_FILE}"),
    ("with empty lines around", f"\n\n{NEW_TOTAL}\n\n"),
    ("with eight blanks", "\n".join("        " + line for line in NEW_TOTAL.split("\n"))),
]


@pytest.mark.parametrize("body", [row[1] for row in BODIES], ids=[row[0] for row in BODIES])
async def test_a_method_fits_however_it_is_indented(shop: Path, body: str) -> None:
    proposal = await propose([total(body)], shop)
    assert text_of(proposal) == SHOP.replace(OLD_TOTAL, NEW_IN_FILE)


@pytest.mark.parametrize(
    "symbol", ["Order.total", "Order/total", "/Order/total", "total", "shop.Order.total", "`Order.total()`"]
)
async def test_a_symbol_is_found_as_models_name_it(shop: Path, symbol: str) -> None:
    proposal = await propose([ReplaceSymbol(file="shop.py", symbol=symbol, body=NEW_TOTAL)], shop)
    assert text_of(proposal) == SHOP.replace(OLD_TOTAL, NEW_IN_FILE)
    assert proposal.steps[0].kind == "replace"
    assert proposal.steps[0].symbol == "/Order/total"


async def test_strings_of_several_lines_stay_what_they_say(shop: Path) -> None:
    body = 'def total(self):\n    text = """a\nb\n  c"""\n    return text'
    text = text_of(await propose([total(body)], shop))
    assert '        text = """a\nb\n  c"""\n        return text\n' in text


async def test_a_decorator_that_goes_is_said(shop: Path) -> None:
    body = "def count(self):\n    return 3"
    proposal = await propose([ReplaceSymbol(file="shop.py", symbol="Order.count", body=body)], shop)
    assert "@property" not in text_of(proposal)
    assert proposal.changes[0].notes == ("The decorator @property of Order/count goes away.",)


async def test_of_a_getter_and_a_setter_one_is_meant(tmp_path: Path) -> None:
    text = "class A:\n  @property\n  def x(self):\n    return 1\n\n  @x.setter\n  def x(self, y):\n    pass\n"
    (tmp_path / "a.py").write_text(text)
    body = "@x.setter\ndef x(self, y):\n    print(y)"
    ambiguous = await propose([ReplaceSymbol(file="a.py", symbol="A.x", body=body)], tmp_path)
    assert "A/x[0] (line 2), A/x[1] (line 6)" in ambiguous.refused[0].reason
    second = await propose([ReplaceSymbol(file="a.py", symbol="A.x[1]", body=body)], tmp_path)
    assert text_of(second, "a.py") == text.replace("pass", "print(y)")


@pytest.mark.parametrize(
    ("symbol", "body", "old", "new"),
    [
        ("LIMIT", "LIMIT = 3", "LIMIT = (\n    2\n)  # why\n", "LIMIT = 3  # why\n"),
        ("f", "def f(): return 2", "def f(): return 1\n", "def f(): return 2\n"),
        ("b", "b = 3", "a = 1; b = 2; c = 3\n", "a = 1; b = 3; c = 3\n"),
        ("é", "é = 'ü'", "x = '😀'; é = 1\n", "x = '😀'; é = 'ü'\n"),
        ("g", "async def g(): 1", "if 1:\n  @d\n  async def g():\n    2\n", "if 1:\n  async def g(): 1\n"),
        ("C", "class C:\n\tx = 2", "class C:\n\tx = 1\n", "class C:\n\tx = 2\n"),
    ],
)  # fmt: skip
async def test_any_definition_is_replaced_and_nothing_beside_it(
    tmp_path: Path, symbol: str, body: str, old: str, new: str
) -> None:
    (tmp_path / "a.py").write_text(f"# first\n{old}# last", "utf-8")
    proposal = await propose([ReplaceSymbol(file="a.py", symbol=symbol, body=body)], tmp_path)
    assert text_of(proposal, "a.py") == f"# first\n{new}# last"


@pytest.mark.parametrize(
    ("symbol", "side", "body", "expected"),
    [
        ("cheapest", Side.AFTER, "def f():\n    pass", SHOP + "\n\ndef f():\n    pass\n"),
        ("cheapest", Side.BEFORE, "def f():\n    pass", SHOP.replace("def cheap", "def f():\n    pass\n\n\ndef cheap")),
        ("Order.total", Side.AFTER, "def f(self): 1", SHOP.replace(OLD_TOTAL, OLD_TOTAL + "\n    def f(self): 1\n")),
        ("Order.count", Side.BEFORE, "x = 1", SHOP.replace("    @prop", "    x = 1\n\n    @prop")),
    ],
)  # fmt: skip
async def test_something_new_stands_apart_as_is_usual(
    shop: Path, symbol: str, side: Side, body: str, expected: str
) -> None:
    proposal = await propose([InsertSymbol(file="shop.py", symbol=symbol, side=side, body=body)], shop)
    assert text_of(proposal) == expected


async def test_a_patch_is_applied_where_its_old_lines_stand(shop: Path) -> None:
    head, old, new = "    def total(self):", "        return sum(self.prices)   ", "        return 0"
    hunks = (
        Hunk(line=90, old=(head, old), new=(head, new)),
        Hunk(line=1, old=("def cheapest(order):",), new=("def cheapest(order):", "    # the first")),
    )
    text = text_of(await propose([PatchFile(file="shop.py", hunks=hunks)], shop))
    assert text == SHOP.replace("sum(self.prices)", "0").replace("(order):\n", "(order):\n    # the first\n")


async def test_a_new_file_may_come_as_a_diff(shop: Path) -> None:
    answer = "```diff\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1,2 @@\n+x = 1\n+y = 2\n```"
    proposal = await propose(read_edits(answer).edits, shop)
    assert text_of(proposal, "new.py") == "x = 1\ny = 2\n"
    assert "--- /dev/null\n+++ b/new.py\n" in proposal.diff


async def test_a_file_with_only_the_changed_functions_keeps_the_others(shop: Path) -> None:
    proposal = await propose([WriteFile(file="shop.py", text="def cheapest(order):\n    return 0\n")], shop)
    assert text_of(proposal) == SHOP.replace("min(order.prices)", "0")
    assert [step.kind for step in proposal.steps] == ["replace"]


async def test_a_whole_file_may_drop_what_it_had_and_that_is_said(shop: Path) -> None:
    proposal = await propose([WriteFile(file="shop.py", text="def other():\n    return 0\n")], shop)
    assert text_of(proposal) == "def other():\n    return 0\n"
    assert proposal.changes[0].notes == ("Of shop.py go away: Order, cheapest.",)


async def test_a_rename_is_shown_in_every_file_and_other_uses_of_the_word_are_said(shop: Path) -> None:
    (shop / "text.py").write_text("print('total')\n")
    proposal = await propose([RenameSymbol(file="shop.py", symbol="Order.total", new_name="grand_total")], shop)
    assert text_of(proposal) == SHOP.replace("def total", "def grand_total")
    assert "order.grand_total()" in text_of(proposal, "uses.py")
    assert "text.py" in proposal.changes[0].notes[0]


async def test_several_edits_of_one_file_are_one_change(shop: Path) -> None:
    edits = [
        total(NEW_TOTAL.replace("total", "grand_total")).model_copy(update={"symbol": "Order.grand_total"}),
        RenameSymbol(file="shop.py", symbol="Order.total", new_name="grand_total"),
        PatchFile(file="shop.py", hunks=(Hunk(old=('"""A shop."""',), new=('"""The shop."""',)),)),
    ]
    proposal = await propose(edits, shop)
    assert [change.file for change in proposal.changes] == ["shop.py", "uses.py"]
    assert "def grand_total(self):\n        return round" in text_of(proposal)
    assert text_of(proposal).startswith('"""The shop."""')
    assert all(change.written for change in proposal.changes)
    assert proposal.steps == ()


async def test_a_proposal_is_the_same_every_time_and_writes_nothing(shop: Path) -> None:
    before = all_bytes(shop.parent)
    edits = [total(NEW_TOTAL), WriteFile(file="a/b.py", text="x = 1\n"), WriteFile(file="broken.py", text="y = 1\n")]
    first, second = await propose(edits, shop), await propose(edits, shop)
    assert first == second
    assert all_bytes(shop.parent) == before


# --- what is refused ---


def write(file: str, text: str = "x = 1\n") -> WriteFile:
    return WriteFile(file=file, text=text)


REFUSED: list[tuple[Edit, str]] = [
    (write("/etc/passwd"), "not relative"),
    (write("../outside.py"), "leads out"),
    (write("a/../../outside.py"), "leads out"),
    (write("..\\outside.py"), "leads out"),
    (write("C:\\x.py"), "not relative"),
    (write("C:x.py"), "not relative"),
    (write("\\\\server\\share\\x.py"), "not relative"),
    (write("//server/share/x.py"), "not relative"),
    (write("~/x.py"), "not relative"),
    (write("shop.py:stream"), "not relative"),
    (write("x\0.py"), "no name"),
    (write("x\n.py"), "no name"),
    (write(""), "no name"),
    (write("."), "no name"),
    (write("a" * 400 + ".py"), "no name"),
    (write(".git/hooks/pre-commit"), "'.git'"),
    (write(".github/workflows/x.yml"), "'.github'"),
    (write("a/.env"), "'.env'"),
    (write("node_modules/x.js"), "node_modules"),
    (write("venv/lib/x.py"), "environment"),
    (write("nul.py"), "not every system"),
    (write("a /x.py"), "not every system"),
    (write("out/x.py"), "link that leads out"),
    (write("out.py"), "link that leads out"),
    (write("dangling.py"), "link that leads out"),
    (write("loop.py"), "loop.py"),
    (write("into_git/x.py"), "'.git'"),
    (write("shop.py/x.py"), "below a file"),
    (write("folder"), "is not a file"),
    (write("pipe"), "is not a file"),
    (write("tour.ipynb"), "notebook"),
    (write("new.ipynb"), "notebook"),
    (write("llmroute.yaml"), "belongs to this router"),
    (write("tour.cassette.json"), "belongs to this router"),
    (write("data.bin"), "read as text"),
    (write("utf16.txt"), "read as text"),
    (write("readonly.py"), "read-only"),
    (write("shop.py", SHOP), "stay as it is"),
    (write("shop.py", SHOP + "def (:\n"), "would not parse (line 20"),
    (write("shop.py", "class Order:\n    # ... existing code ...\n    pass\n"), "leaves code out"),
    (write("latin.py", "# -*- coding: latin-1 -*-\nx = '😀'\n"), "has no '😀'"),
    (write("latin.py", "def f():\n    return 'é'\n"), "encoding"),
    (write("shop.py", "# -*- coding: latin-1 -*-\nx = 'é'\n"), "encoding"),
    (write("shop.py", "# -*- coding: no-such -*-\nx = 1\n"), "encoding"),
    (write("new.py", "x = '\ud800'\n"), "would not parse"),
    (write("new.txt", "\ud800\n"), "has no '\\ud800'"),
    (total("def other(self):\n    pass"), "does not define it"),
    (total("return 1 +"), "does not parse"),
    (total("def total(self):\n    # ... rest of the code\n    return 1"), "leaves code out"),
    (total("import os\n\ndef total(self):\n    return os.sep"), "begins with 'import os'"),
    (total("class Order:\n    def total(self): ...\n    def other(self): ..."), "holds more of the class"),
    (ReplaceSymbol(file="shop.py", symbol="Order.nope", body="def nope(): 1"), "defines no 'Order.nope'"),
    (ReplaceSymbol(file="shop.py", symbol="Cart.total", body="def total(): 1"), "defines no 'Cart.total'"),
    (ReplaceSymbol(file="none.py", symbol="f", body="def f(): 1"), "is not there"),
    (ReplaceSymbol(file="broken.py", symbol="f", body="def f(): 1"), "does not parse (line 1"),
    (ReplaceSymbol(file="pyproject.toml", symbol="f", body="def f(): 1"), "is not Python"),
    (DeleteSymbol(file="shop.py", symbol="Order.total"), "may use 'Order/total' elsewhere"),
    (RenameSymbol(file="shop.py", symbol="Order.total", new_name="count"), "there already"),
    (RenameSymbol(file="shop.py", symbol="Order.total", new_name="1x"), "no name in Python"),
    (RenameSymbol(file="shop.py", symbol="Order.total", new_name="class"), "no name in Python"),
    (RenameSymbol(file="shop.py", symbol="Order.__init__", new_name="x"), "Python itself"),
    (PatchFile(file="shop.py", hunks=(Hunk(old=("nowhere",), new=("x",)),)), "do not stand there"),
    (PatchFile(file="shop.py", hunks=(Hunk(old=("",), new=("x", "")),)), "no line"),
    (PatchFile(file="mixed.py", hunks=(Hunk(old=("twice = 1",), new=("x = 1",)),)), "at 2 places"),
    (PatchFile(file="none.py", hunks=(Hunk(old=("a",), new=("b",)),)), "do not stand there"),
]


@pytest.fixture
def odd_shop(shop: Path) -> Path:
    outside = shop.parent / "outside"
    outside.mkdir()
    (outside / "x.py").write_text("y = 1\n")
    (shop / "out").symlink_to(outside)
    (shop / "out.py").symlink_to(outside / "x.py")
    (shop / "dangling.py").symlink_to(outside / "none.py")
    (shop / "loop.py").symlink_to("loop.py")
    (shop / ".git").mkdir()
    (shop / "into_git").symlink_to(".git")
    (shop / "folder").mkdir()
    (shop / "venv" / "lib").mkdir(parents=True)
    (shop / "venv" / "pyvenv.cfg").write_text("")
    os.mkfifo(shop / "pipe")
    (shop / "utf16.txt").write_bytes("x".encode("utf-16"))
    (shop / "readonly.py").write_text("x = 2\n")
    (shop / "readonly.py").chmod(0o444)
    (shop / "mixed.py").write_text("twice = 1\ntwice = 1\n")
    return shop


@pytest.mark.skipif(os.name == "nt", reason="it needs links and pipes")
@pytest.mark.parametrize(("edit", "reason"), REFUSED, ids=[f"{edit.file[:20]!r} {why}" for edit, why in REFUSED])
async def test_what_cannot_be_is_refused_in_words(odd_shop: Path, edit: Edit, reason: str) -> None:
    proposal = await propose([edit], odd_shop)
    assert (proposal.changes, proposal.steps) == ((), ())
    assert len(proposal.refused) == 1
    said = proposal.refused[0].reason
    assert reason in said
    assert "nothing was changed" in said
    assert len(said) < 600


async def test_what_is_used_is_not_deleted(shop: Path) -> None:
    proposal = await propose([DeleteSymbol(file="shop.py", symbol="Order.total")], shop)
    assert "is used (uses.py:6)" in proposal.refused[0].reason


@pytest.mark.parametrize(
    ("before", "is_refused"),
    [
        (DeleteSymbol(file="uses.py", symbol="pay"), False),
        (ReplaceSymbol(file="uses.py", symbol="pay", body="def pay(prices):\n    return sum(prices)"), False),
        (ReplaceSymbol(file="uses.py", symbol="pay", body="def pay(x):\n    return x.total()"), True),
        (ReplaceSymbol(file="shop.py", symbol="cheapest", body="def cheapest(order):\n    return 1"), True),
    ],
)
async def test_what_an_answer_takes_all_uses_of_away_can_be_deleted(shop: Path, before: Edit, is_refused: bool) -> None:
    proposal = await propose([before, DeleteSymbol(file="shop.py", symbol="Order.total")], shop)
    assert bool(proposal.refused) is is_refused
    if not is_refused:
        await apply(proposal, state=shop.parent / "state")
        assert "def total" not in (shop / "shop.py").read_text()


async def test_a_refused_edit_leaves_the_others(odd_shop: Path) -> None:
    proposal = await propose([write("../x.py"), total(NEW_TOTAL), write("tour.ipynb")], odd_shop)
    assert [change.file for change in proposal.changes] == ["shop.py"]
    assert [refusal.edit.file for refusal in proposal.refused] == ["../x.py", "tour.ipynb"]


async def test_a_link_within_the_project_is_the_file_it_leads_to(shop: Path) -> None:
    (shop / "alias.py").symlink_to("shop.py")
    proposal = await propose([total(NEW_TOTAL).model_copy(update={"file": "alias.py"})], shop)
    assert [change.file for change in proposal.changes] == ["shop.py"]
