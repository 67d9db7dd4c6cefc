"""Changes taken back: exactly, in order, or not at all."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.edits.draft import propose
from jupyter_llmroute.core.edits.edit import Edit, RenameSymbol, ReplaceSymbol, WriteFile
from jupyter_llmroute.core.edits.guard import apply
from jupyter_llmroute.core.edits.journal import KEPT_CHANGES, Journal
from jupyter_llmroute.core.edits.undo import changes, undo
from jupyter_llmroute.core.errors import EditRefused

from .shop import NEW_TOTAL, Doing, all_bytes, make_shop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_shop(tmp_path / "shop")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def number(value: int) -> WriteFile:
    return WriteFile(file="n.py", text=f"n = {value}\n")


async def test_changes_are_taken_back_one_after_another(shop: Path, state: Path) -> None:
    seen = [all_bytes(shop)]
    for edit in (number(1), ReplaceSymbol(file="shop.py", symbol="Order.total", body=NEW_TOTAL), number(2)):
        await apply(await propose([edit], shop), state=state)
        seen.append(all_bytes(shop))
    assert [what for _, _, what in changes(shop, state=state)] == [
        ("write 'n.py'",),
        ("replace '/Order/total' in 'shop.py'",),
        ("write 'n.py'",),
    ]
    for before in reversed(seen[:-1]):
        await undo(shop, state=state)
        assert all_bytes(shop) == before
    with pytest.raises(EditRefused, match="There is no change"):
        await undo(shop, state=state)


async def test_a_change_that_was_changed_since_stays(shop: Path, state: Path) -> None:
    await apply(await propose([number(1), number(1).model_copy(update={"file": "m.py"})], shop), state=state)
    (shop / "n.py").write_text("mine = 1\n")
    before = all_bytes(shop)
    with pytest.raises(EditRefused, match=r"'n\.py' was changed since \d\d:\d\d:\d\d"):
        await undo(shop, state=state)
    assert all_bytes(shop) == before
    (shop / "n.py").write_text("n = 1\n")
    await undo(shop, state=state)
    assert not (shop / "n.py").exists()
    assert not (shop / "m.py").exists()


async def test_what_was_taken_back_by_hand_is_said_and_the_change_before_it_waits(shop: Path, state: Path) -> None:
    await apply(await propose([number(1)], shop), state=state)
    await apply(await propose([number(2)], shop), state=state)
    (shop / "n.py").write_text("n = 1\n")
    with pytest.raises(EditRefused, match=r"Change 2 of .* is taken back already"):
        await undo(shop, state=state)
    assert (shop / "n.py").read_text() == "n = 1\n"
    await undo(shop, state=state)
    assert not (shop / "n.py").exists()


async def test_a_file_that_was_removed_since_stays_away(shop: Path, state: Path) -> None:
    await apply(await propose([ReplaceSymbol(file="shop.py", symbol="Order.total", body=NEW_TOTAL)], shop), state=state)
    (shop / "shop.py").unlink()
    with pytest.raises(EditRefused, match="was changed since"):
        await undo(shop, state=state)
    assert not (shop / "shop.py").exists()


async def test_what_somebody_put_into_a_new_folder_stays(shop: Path, state: Path) -> None:
    await apply(await propose([WriteFile(file="a/b/c.py", text="x = 1\n")], shop), state=state)
    (shop / "a" / "mine.py").write_text("mine = 1\n")
    await undo(shop, state=state)
    assert all_bytes(shop / "a").keys() == {"mine.py"}


async def test_permissions_come_back(shop: Path, state: Path) -> None:
    (shop / "shop.py").chmod(0o750)
    edit = ReplaceSymbol(file="shop.py", symbol="Order.total", body=NEW_TOTAL)
    await apply(await propose([edit], shop), state=state)
    assert (shop / "shop.py").stat().st_mode & 0o777 == 0o750
    await undo(shop, state=state)
    assert (shop / "shop.py").stat().st_mode & 0o777 == 0o750


async def test_only_the_newest_are_kept(shop: Path, state: Path) -> None:
    for value in range(KEPT_CHANGES + 3):
        await apply(await propose([number(value)], shop), state=state)
    kept = [number for number, _, _ in changes(shop, state=state)]
    assert kept == list(range(4, KEPT_CHANGES + 4))


async def test_a_kept_change_that_does_not_read_is_none(shop: Path, state: Path) -> None:
    await apply(await propose([number(1)], shop), state=state)
    await apply(await propose([number(2)], shop), state=state)
    folder = Journal.of(shop, state).folder / "applied"
    (folder / "00000002.json").write_text('{"version": 1, "files": [{"file": "../../x"}]}')
    with pytest.raises(EditRefused, match="was changed since"):
        await undo(shop, state=state)


async def test_a_kept_change_that_leads_away_is_refused(shop: Path, state: Path, tmp_path: Path) -> None:
    await apply(await propose([number(1)], shop), state=state)
    path = Journal.of(shop, state).folder / "applied" / "00000001.json"
    path.write_text(path.read_text().replace('"n.py"', '"../n.py"'))
    (tmp_path / "n.py").write_text("n = 1\n")
    with pytest.raises(EditRefused, match="leads out"):
        await undo(shop, state=state)
    assert (tmp_path / "n.py").read_text() == "n = 1\n"


async def test_projects_do_not_know_each_others_changes(shop: Path, state: Path, tmp_path: Path) -> None:
    other = make_shop(tmp_path / "elsewhere" / "shop")
    await apply(await propose([number(1)], shop), state=state)
    with pytest.raises(EditRefused, match="There is no change"):
        await undo(other, state=state)


# --- properties ---

TEXTS = st.text(st.sampled_from(["a", " ", "\n", "\r", "\t", "é", "😀", "#", "\f", "\x85", "\u2028"]), max_size=12)
COMMENTS = TEXTS.map(lambda text: "".join(f"# {line}{end}" for line, end in _lines(text)))
ENDS = st.sampled_from(["\n", "\r\n"])


def _lines(text: str) -> list[tuple[str, str]]:
    parts = text.replace("\r\n", "\n").replace("\r", "\r\n").split("\n")
    return [(part.rstrip("\r"), "\r\n" if part.endswith("\r") else "\n") for part in parts]


@st.composite
def sources(draw: st.DrawFn) -> tuple[bytes, str]:
    """Return a file of Python in any encoding and with any line ends, and its encoding."""
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "latin-1"]))
    end = draw(ENDS)
    head = f"# -*- coding: latin-1 -*-{end}" if encoding == "latin-1" else ""
    before, after = draw(COMMENTS), draw(COMMENTS)
    last = draw(st.sampled_from(["f(1)", f"f(2){end}"]))
    text = f"{head}{before}def f(x):{end}    return x{draw(ENDS)}{after}{last}"
    return text.encode(encoding, "ignore"), encoding


@settings(max_examples=60)
@given(
    sources(),
    st.sampled_from(
        [
            ReplaceSymbol(file="a.py", symbol="f", body="def f(x):\n    return 1"),
            RenameSymbol(file="a.py", symbol="f", new_name="g"),
            WriteFile(file="a.py", text="# -*- coding: latin-1 -*-\nf = 1\n"),
            WriteFile(file="b/c.py", text="f = 1\n"),
        ]
    ),
)
def test_apply_and_undo_is_the_identity_on_bytes(source: tuple[bytes, str], edit: Edit) -> None:
    raw, encoding = source
    with tempfile.TemporaryDirectory() as folder:
        root, state = Path(folder, "root"), Path(folder, "state")
        root.mkdir()
        (root / "a.py").write_bytes(raw)
        before = all_bytes(root)
        proposal = asyncio.run(propose([edit], root))
        assert all_bytes(root) == before
        if proposal.is_empty:
            assert proposal.refused
            return
        asyncio.run(apply(proposal, state=state))
        after = (root / "a.py").read_bytes()
        if edit.kind == "replace":
            # All bytes around the definition are the same.
            assert after.replace(b"return 1", b"return x") == raw
        assert after.startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-sig")
        asyncio.run(undo(root, state=state))
        assert all_bytes(root) == before


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["shop.py", "uses.py", "tour.ipynb", "x/new.py", "crlf.py"]), st.binary(max_size=40)
    )
)
def test_whatever_an_editor_writes_the_files_are_as_shown_or_as_before(written: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, state = make_shop(Path(folder, "root")), Path(folder, "state")
        before = all_bytes(root)
        proposal = asyncio.run(propose([ReplaceSymbol(file="shop.py", symbol="Order.total", body=NEW_TOTAL)], root))

        def deed() -> None:
            for name, raw in written.items():
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_bytes(raw)

        with pytest.raises(EditRefused):
            asyncio.run(apply(proposal, Doing(deed), state=state))
        after = all_bytes(root)
        after.pop("x", None)
        assert after == before
