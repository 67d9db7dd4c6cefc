"""Any single change of a log is found: of a byte, a line, an end, a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.audit import verify as verify_room
from jupyter_llmroute.core.audit.chain import Tip, link, read
from jupyter_llmroute.core.audit.folder import AuditError, Folder, Head
from jupyter_llmroute.core.audit.verify import MOST_FINDINGS, verify

from .logs import event, log, path, put, taken

ARCHIVE, ACTIVE, HEAD = "audit.000001.jsonl", "audit.jsonl", "audit.head"
LINES = {ARCHIVE: 5, ACTIVE: 5}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A log of two files, with five records each."""
    folder = tmp_path_factory.mktemp("whole")
    for name in "abcd":
        log(folder).append([event(name)])
    for name in "efgh":
        log(folder, max_bytes=1 if name == "e" else 1 << 20).append([event(name)])
    files = taken(folder)
    assert {name: files[name].count(b"\n") for name in LINES} == LINES
    assert verify(path(folder)).is_whole
    return files


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changed")


def is_found(scratch: Path, files: dict[str, bytes]) -> bool:
    return not verify(put(scratch, files)).is_whole


places = st.sampled_from([ARCHIVE, ACTIVE, HEAD])
lines = st.tuples(st.sampled_from(list(LINES)), st.integers(0, 4))


@settings(max_examples=300)
@given(name=places, at=st.integers(0), flip=st.integers(1, 255))
def test_a_changed_byte_is_found(name: str, at: int, flip: int, whole: dict[str, bytes], scratch: Path):
    content = bytearray(whole[name])
    content[at % len(content)] ^= flip
    assert is_found(scratch, whole | {name: bytes(content)})


@given(name=places, at=st.integers(0), more=st.binary(min_size=1, max_size=8))
def test_bytes_that_are_put_in_are_found(name: str, at: int, more: bytes, whole: dict[str, bytes], scratch: Path):
    content = whole[name]
    at %= len(content)  # not behind all: there it is what a dead writer leaves
    changed = content[:at] + more + content[at:]
    if changed != content:
        assert is_found(scratch, whole | {name: changed})


@given(name=places, start=st.integers(0), length=st.integers(1, 2000))
def test_bytes_that_are_taken_out_are_found(name: str, start: int, length: int, whole: dict[str, bytes], scratch: Path):
    content = whole[name]
    start %= len(content)
    assert is_found(scratch, whole | {name: content[:start] + content[start + length :]})


@given(line=lines)
def test_a_removed_line_is_found(line: tuple[str, int], whole: dict[str, bytes], scratch: Path):
    name, number = line
    kept = whole[name].splitlines(keepends=True)
    del kept[number]
    assert is_found(scratch, whole | {name: b"".join(kept)})


@given(one=lines, other=lines)
def test_two_lines_that_change_places_are_found(
    one: tuple[str, int], other: tuple[str, int], whole: dict[str, bytes], scratch: Path
):
    if one == other:
        return
    files = {name: whole[name].splitlines(keepends=True) for name in LINES}
    files[one[0]][one[1]], files[other[0]][other[1]] = files[other[0]][other[1]], files[one[0]][one[1]]
    assert is_found(scratch, whole | {name: b"".join(kept) for name, kept in files.items()})


@given(one=lines, to=lines)
def test_a_line_that_stands_twice_is_found(
    one: tuple[str, int], to: tuple[str, int], whole: dict[str, bytes], scratch: Path
):
    files = {name: whole[name].splitlines(keepends=True) for name in LINES}
    files[to[0]].insert(to[1], files[one[0]][one[1]])
    assert is_found(scratch, whole | {name: b"".join(kept) for name, kept in files.items()})


@given(name=places, length=st.integers(0))
def test_a_cut_end_is_found(name: str, length: int, whole: dict[str, bytes], scratch: Path):
    content = whole[name]
    assert is_found(scratch, whole | {name: content[: length % len(content)]})


@pytest.mark.parametrize("name", [ARCHIVE, ACTIVE, HEAD])
def test_a_missing_file_is_found(name: str, whole: dict[str, bytes], scratch: Path):
    assert is_found(scratch, {other: content for other, content in whole.items() if other != name})


@given(line=lines)
def test_a_record_written_anew_with_a_right_hash_of_its_own_is_found(
    line: tuple[str, int], whole: dict[str, bytes], scratch: Path
):
    name, number = line
    kept = whole[name].splitlines(keepends=True)
    old = read(kept[number])
    kept[number], _ = link({**old.body, "event": "forged"}, Tip(old.tip.number - 1, old.prev))
    assert is_found(scratch, whole | {name: b"".join(kept)})


# --- what only an anchor finds ---


def test_who_writes_log_and_head_anew_is_found_by_an_anchor_alone(
    whole: dict[str, bytes], scratch: Path, tmp_path: Path
):
    report = verify(put(scratch, whole))
    anchor = {report.count: report.last}
    for name in "ABCDEFGH":
        log(tmp_path).append([event(name)])
    assert verify(path(tmp_path)).is_whole, "a log of its own, and nothing in it says otherwise"
    found = verify(path(tmp_path), anchor)
    assert [finding.what for finding in found.findings] == [f"record {report.count} of the anchor is not there"]
    assert verify(put(scratch, whole), anchor).is_whole


def test_an_end_that_was_cut_off_together_with_the_head_is_found_by_an_anchor_alone(tmp_path: Path):
    for name in "abc":
        log(tmp_path).append([event(name)])
    report = verify(path(tmp_path))
    kept = path(tmp_path).read_bytes().splitlines(keepends=True)[:-1]
    path(tmp_path).write_bytes(b"".join(kept))
    tip = read(kept[-1]).tip
    Folder(path(tmp_path)).write_head(Head(count=tip.number, last=tip.hash, archived=0, size=len(b"".join(kept))))
    assert verify(path(tmp_path)).is_whole
    assert not verify(path(tmp_path), {report.count: report.last}).is_whole


# --- what is said ---


def test_findings_name_file_line_and_what(whole: dict[str, bytes], scratch: Path):
    kept = whole[ARCHIVE].splitlines(keepends=True)
    kept[2] = kept[2].replace(b"ann", b"bob")
    report = verify(put(scratch, whole | {ARCHIVE: b"".join(kept)}))
    assert [(finding.file, finding.line, finding.what) for finding in report.findings] == [
        (ARCHIVE, 3, "its hash is that of another text: it was changed"),
        (ARCHIVE, 4, "record 3 is missing before record 4"),
    ]
    assert report.records == 8


def test_findings_without_number_are_counted_and_not_all_told(whole: dict[str, bytes], scratch: Path):
    report = verify(put(scratch, whole | {ACTIVE: b"x\n" * 1000}))
    assert len(report.findings) == MOST_FINDINGS
    assert report.found == 1001


def test_no_log_is_an_error(tmp_path: Path):
    with pytest.raises(AuditError, match="There is no audit log"):
        verify(path(tmp_path))


def test_a_look_leaves_the_log_as_it_is(whole: dict[str, bytes], scratch: Path):
    torn = whole | {ACTIVE: whole[ACTIVE] + b'{"n":'}
    verify(put(scratch, torn))
    assert taken(scratch) == torn


def test_a_line_longer_than_any_record_is_a_finding_also_where_others_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log(tmp_path).append([event("a")])
    with path(tmp_path).open("ab") as file:
        file.write(b"x" * 3_000 + b"\n")
    log(tmp_path).append([event("b")])
    monkeypatch.setattr(verify_room, "MAX_LINE_BYTES", 1_000)
    assert [finding.line for finding in verify(path(tmp_path)).findings] == [3]
    log(tmp_path).append([event("c")])
    assert [finding.line for finding in verify(path(tmp_path)).findings] == [3]


def test_of_a_line_longer_than_any_record_the_beginning_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify_room, "MAX_LINE_BYTES", 4)
    (tmp_path / "file").write_bytes(b"123456789\n12\n\n1234567")
    with (tmp_path / "file").open("rb") as file:
        found = [tuple(line) for line in verify_room.lines(file)]
    assert found == [(1, b"1234", 10, True), (2, b"12\n", 3, True), (3, b"\n", 1, True), (4, b"1234", 7, False)]


def test_a_file_is_read_as_far_as_it_goes_when_its_reading_begins(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"1\n2\n")
    with (tmp_path / "file").open("rb") as file:
        found = verify_room.lines(file)
        numbers = [next(found).number]
        with (tmp_path / "file").open("ab") as more:
            more.write(b"3\n")
        assert numbers + [line.number for line in found] == [1, 2]
