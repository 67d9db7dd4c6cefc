"""Writing the log: by many at once, killed at any point, on full disks, with hostile contents, for its owner alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.audit import folder as folder_room
from jupyter_llmroute.core.audit.chain import Broken, Tip, canonical, link, read
from jupyter_llmroute.core.audit.folder import HEAD_BYTES, AuditError, Folder
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.reading import records
from jupyter_llmroute.core.audit.record import MOST_CHARS, Fingerprint, Kept, Origin, Security
from jupyter_llmroute.core.audit.verify import verify

from .logs import ORIGIN, bodies, event, events, kinds, log, path, put, repairs, taken

NOBODY = 65534
"""The user without rights, by custom."""

POSIX = pytest.mark.skipif(os.name != "posix", reason="rights and signals of POSIX")


# --- what is written ---


def test_a_record_says_when_who_and_what(tmp_path: Path):
    log(tmp_path).append([event("a"), event("b")])
    opened, first, second = bodies(path(tmp_path))
    assert [opened["n"], first["n"], second["n"]] == [1, 2, 3]
    assert (first["prev"], second["prev"]) == (opened["hash"], first["hash"])
    assert {name: first[name] for name in ORIGIN.model_dump()} == ORIGIN.model_dump()
    assert first["time"].endswith("+00:00")
    assert (first["kind"], first["event"]) == ("security", "a")
    assert verify(path(tmp_path)).is_whole


def test_several_logs_of_one_file_go_on_with_one_chain(tmp_path: Path):
    one, two = log(tmp_path), log(tmp_path)
    for name in "abcd":
        (one if name in "ac" else two).append([event(name)])
    assert events(tmp_path) == list("abcd")
    assert verify(path(tmp_path)).records == 5


HOSTILE = {
    "lines": 'x\n{"n":3,"prev":"","hash":"' + "0" * 64 + '"}\n\r\n\u2028',
    "half characters": "a\ud800b\udfff",
    "NUL and escapes": "\x00\x1b[31m\x07\u202e",
    "quotation marks": '","hash":"' + "f" * 64 + '"}\n',
    "nothing": "",
    "a megabyte": "é😀" * 500_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_words_stay_within_their_record(name: str, tmp_path: Path):
    text = HOSTILE[name]
    kept = Fingerprint.of(text, b"salt", Kept.TEXT)
    assert kept
    log(tmp_path).append([Security(event=text, detail=text)])
    log(tmp_path).append([event("after")])
    _, hostile, after = bodies(path(tmp_path))
    assert hostile["event"] == text[: len(hostile["event"])]
    assert after["event"] == "after"
    assert verify(path(tmp_path)).is_whole
    assert path(tmp_path).read_bytes().isascii()
    assert kept.text == text[:MOST_CHARS]


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=20) | st.integers() | st.none(), max_size=5))
def test_any_body_reads_back_as_it_was(body: dict[str, object]):
    body = {name: value for name, value in body.items() if name not in ("n", "prev", "hash")}
    line, tip = link(body, Tip(4, "a" * 64))
    found = read(line)
    assert (found.tip, found.prev) == (tip, "a" * 64)
    assert found.body == {**body, "n": 5, "prev": "a" * 64, "hash": tip.hash}


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b'{"a":1,"hash":"' + b"0" * 64 + b'"}\n', b"\xff\n"])
def test_what_is_no_record_is_told(line: bytes):
    with pytest.raises(Broken):
        read(line)


def test_equal_values_have_equal_texts_whatever_the_order_of_their_sets():
    names = [f"n{number}" for number in range(50)]
    assert canonical({"a": frozenset(names)}) == canonical({"a": frozenset(reversed(names))})


# --- secrets ---


SECRET = "sk-abcdefghij0123456789ABCDEF"


@pytest.mark.parametrize("kept", list(Kept))
def test_of_a_text_only_what_is_configured_is_kept_and_never_a_secret(kept: Kept, tmp_path: Path):
    found = Fingerprint.of(f"use {SECRET} here", b"salt", kept)
    written = found.model_dump_json() if found else ""
    assert SECRET not in written
    assert ("use " in written) is (kept is Kept.TEXT)
    assert ("hmac" in written) is (kept is not Kept.NOTHING)


def test_a_hash_can_be_checked_with_the_salt_alone(tmp_path: Path):
    one, other = log(tmp_path / "one"), log(tmp_path / "other")
    assert len(one.salt) == 32
    assert one.salt == log(tmp_path / "one").salt
    hashes = [Fingerprint.of("yes", salt, Kept.HASH) for salt in (one.salt, one.salt, other.salt)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_key_in_a_remark_is_masked_also_where_it_would_be_cut(tmp_path: Path):
    log(tmp_path).append([Security(event="x", detail="y" * 1_990 + " " + SECRET)])
    content = path(tmp_path).read_bytes()
    assert b"sk-" not in content


def test_a_key_across_the_end_of_a_text_that_is_cut_is_masked():
    kept = Fingerprint.of("y " * (MOST_CHARS // 2 - 5) + SECRET, b"salt", Kept.TEXT)
    assert kept
    assert kept.text
    assert "sk-" not in kept.text
    assert len(kept.text) <= MOST_CHARS


SETTINGS = {True: (Kept.HASH, Kept.TEXT), False: (Kept.NOTHING, Kept.HASH), "text": (Kept.TEXT, Kept.TEXT)}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_settings_of_queries_and_responses_are_read_as_documented(setting: bool | str):
    assert (Kept.of_queries(setting), Kept.of_responses(setting)) == SETTINGS[setting]


# --- rights ---


@POSIX
def test_only_the_owner_may_read_the_log(tmp_path: Path):
    log(tmp_path, max_bytes=1).append([event("a")])
    log(tmp_path, max_bytes=1).append([event("b")])
    assert stat.S_IMODE(path(tmp_path).parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path(tmp_path).parent.iterdir()}
    assert set(modes) >= {"audit.jsonl", "audit.000001.jsonl", "audit.head", "audit.salt"}
    assert set(modes.values()) == {0o600}


@POSIX
def test_a_file_that_was_opened_to_others_is_closed_again(tmp_path: Path):
    log(tmp_path).append([event("a")])
    path(tmp_path).chmod(0o644)
    log(tmp_path).append([event("b")])
    assert stat.S_IMODE(path(tmp_path).stat().st_mode) == 0o600


@POSIX
def test_a_folder_that_others_may_write_is_refused_and_left_as_it_is(tmp_path: Path):
    path(tmp_path).parent.mkdir()
    path(tmp_path).parent.chmod(0o777)
    with pytest.raises(AuditError, match=r"may be written by others \(mode 777\): chmod 700 it, or name"):
        log(tmp_path).append([event("a")])
    assert list(path(tmp_path).parent.iterdir()) == []
    assert stat.S_IMODE(path(tmp_path).parent.stat().st_mode) == 0o777


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "log").write_text("a file")
    with pytest.raises(AuditError, match=r"security\.audit_log_path"):
        log(tmp_path).append([event("a")])


@POSIX
def test_a_disk_that_takes_half_a_record_is_an_error_and_nothing_stays(tmp_path: Path):
    import resource

    log(tmp_path).append([event("a")])
    _, hard = soft = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path(tmp_path).stat().st_size + 100, hard))
    try:
        with pytest.raises(AuditError, match="File too large"):
            log(tmp_path).append([event("b")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft)
    log(tmp_path).append([event("c")])
    assert events(tmp_path) == ["a", "c"]
    assert verify(path(tmp_path)).is_whole


def make_folder(at: Path) -> None:
    at.mkdir()


def make_pipe(at: Path) -> None:
    os.mkfifo(at)


def make_socket(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(at.parent):  # a whole path may be too long for one
        made.bind(at.name)


def make_device(at: Path) -> None:
    at.symlink_to("/dev/null")  # one that can be read to its end, should it be opened after all


NO_FILES = {
    "a folder": make_folder,
    "a pipe": make_pipe,
    "a socket": make_socket,
    "a device": make_device,
}


@POSIX
@pytest.mark.parametrize("name", ["audit.jsonl", "audit.head", "audit.salt", "audit.lock"])
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_refused_before_it_is_opened(kind: str, name: str, tmp_path: Path):
    log(tmp_path).append([event("a")])
    at = path(tmp_path).with_name(name)
    at.unlink()
    NO_FILES[kind](at)
    told = re.escape(f"{str(at)!r} of the audit log is {kind}, and no file: name another place")
    for use in (
        lambda: log(tmp_path).append([event("b")]),
        lambda: log(tmp_path).salt,
        lambda: verify(path(tmp_path)),
        lambda: list(records(path(tmp_path))),
    ):
        with pytest.raises(AuditError, match=told):
            use()
    at.rmdir() if kind == "a folder" else at.unlink()
    log(tmp_path).append([event("c")])
    assert events(tmp_path)[-1] == "c"


@POSIX
@pytest.mark.parametrize("kind", NO_FILES)
def test_a_closed_file_that_is_none_is_refused(kind: str, tmp_path: Path):
    log(tmp_path).append([event("a")])
    at = path(tmp_path).with_name("audit.000001.jsonl")
    NO_FILES[kind](at)
    for use in (lambda: log(tmp_path).append([event("b")]), lambda: verify(path(tmp_path))):
        with pytest.raises(AuditError, match=f"is {kind}, and no file"):
            use()


@POSIX
def test_a_pipe_where_the_head_is_written_anew_holds_nobody_up(tmp_path: Path):
    path(tmp_path).parent.mkdir(mode=0o700)
    os.mkfifo(path(tmp_path).with_name("audit.head.new"))
    os.mkfifo(path(tmp_path).with_name("audit.salt.new"))
    log(tmp_path).append([event("a")])
    assert events(tmp_path) == ["a"]


def test_a_log_that_somebody_holds_is_an_error_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log(tmp_path).append([event("a")])
    monkeypatch.setattr(folder_room, "LOCK_S", 0.05)
    held = FileLock(path(tmp_path).with_name("audit.lock"))
    with held, pytest.raises(AuditError, match="is held by another process"):
        log(tmp_path).append([event("b")])
    log(tmp_path).append([event("c")])
    assert events(tmp_path) == ["a", "c"]


def test_after_one_wait_in_vain_no_record_waits_as_long_until_the_log_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one, failures = log(tmp_path), list[str]()
    one.append([event("a")])

    def write() -> None:
        try:
            one.append([event("b")])
        except AuditError as error:
            failures.append(str(error))

    with FileLock(path(tmp_path).with_name("audit.lock")):
        monkeypatch.setattr(folder_room, "LOCK_S", 0.05)
        write()
        monkeypatch.setattr(folder_room, "LOCK_S", 3600)
        others = [threading.Thread(target=write) for _ in range(3)]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join(20)
        assert ["still: see who" in told for told in failures] == [False, True, True, True]
    one.append([event("c")])
    assert events(tmp_path) == ["a", "c"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_where_no_file_can_be_made_that_is_said_without_a_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder_room, "LOCK_S", 0.05)  # a wait would be in vain, and told
    with pytest.raises(AuditError, match=r"'/proc/audit\.jsonl' cannot be created there \(No such file"):
        AuditLog(Path("/proc/audit.jsonl"), ORIGIN).append([event("a")])


def no_rights(folder: Path) -> None:
    log(folder).append([event("a")])
    path(folder).parent.chmod(0o500)


def no_rights_for_the_file(folder: Path) -> None:
    log(folder).append([event("a")])
    path(folder).chmod(0o400)


def a_file_for_a_folder(folder: Path) -> None:
    path(folder).parent.write_text("a file")


def open_to_others(folder: Path) -> None:
    path(folder).parent.mkdir()
    path(folder).parent.chmod(0o777)


def a_short_salt(folder: Path) -> None:
    log(folder).append([event("a")])
    path(folder).with_name("audit.salt").write_bytes(b"short")


def a_folder_for_the_log(folder: Path) -> None:
    path(folder).mkdir(mode=0o700, parents=True)


TROUBLES = {
    no_rights: ("cannot be created there (Permission denied)", "security.audit_log_path"),
    no_rights_for_the_file: ("cannot be written (Permission denied)", "mend its permissions"),
    a_file_for_a_folder: ("cannot be used (File exists)", "security.audit_log_path"),
    open_to_others: ("may be written by others", "chmod 700"),
    a_short_salt: ("has 5 bytes", "put the right one back"),
    a_folder_for_the_log: ("is a folder, and no file", "take it away"),
}


@pytest.fixture
def users_folder() -> Iterator[Path]:
    """A folder of a user's without special rights, who this process is while it is used: an administrator may write
    everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        is_administrator = os.geteuid() == 0
        if is_administrator:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            if is_administrator:
                os.seteuid(0)


@POSIX
@pytest.mark.parametrize("make", TROUBLES)
def test_what_stands_in_the_way_of_writing_is_found_before_anything_is_written(
    make: Callable[[Path], None], users_folder: Path
):
    make(users_folder)
    said, remedy = Folder(path(users_folder)).trouble().rsplit(": ", 1)
    assert TROUBLES[make][0] in said
    assert TROUBLES[make][1] in remedy
    path(users_folder).parent.chmod(0o700)


def test_of_a_log_that_can_be_written_there_is_no_trouble_and_nothing_is_added(tmp_path: Path):
    assert Folder(path(tmp_path)).trouble() == ""
    assert taken(tmp_path) == {}
    log(tmp_path).append([event("a")])
    before = taken(tmp_path)
    assert Folder(path(tmp_path)).trouble() == ""
    assert taken(tmp_path) == before


def test_a_salt_that_is_none_is_an_error(tmp_path: Path):
    log(tmp_path).append([event("a")])
    path(tmp_path).with_name("audit.salt").write_bytes(b"short")
    with pytest.raises(AuditError, match="5 bytes, not 32"):
        log(tmp_path).append([event("b")])


def test_a_lost_salt_is_drawn_anew_and_that_is_recorded(tmp_path: Path):
    log(tmp_path).append([event("a")])
    path(tmp_path).with_name("audit.salt").unlink()
    log(tmp_path).append([event("b")])
    assert repairs(tmp_path) == ["salt missing"]
    assert verify(path(tmp_path)).is_whole


# --- rotation ---


def test_a_full_file_is_closed_and_the_next_goes_on_with_the_chain(tmp_path: Path):
    for name in "abcdef":
        log(tmp_path, max_bytes=900).append([event(name)])
    report = verify(path(tmp_path))
    assert len(report.files) > 2
    assert report.files[-1] == "audit.jsonl"
    assert report.is_whole
    assert events(tmp_path) == list("abcdef")
    first = bodies(path(tmp_path))[0]
    assert (first["kind"], first["after"]) == ("opened", report.files[-2])


def test_of_more_files_than_are_kept_the_oldest_go_and_a_record_says_so(tmp_path: Path):
    for number in range(8):
        log(tmp_path, max_bytes=1, keep=2).append([event(str(number))])
    report = verify(path(tmp_path))
    assert report.is_whole
    assert report.files == ("audit.000006.jsonl", "audit.000007.jsonl", "audit.jsonl")
    assert events(tmp_path) == ["5", "6", "7"]
    assert "retired" in kinds(tmp_path)
    path(tmp_path).with_name("audit.000006.jsonl").unlink()
    assert not verify(path(tmp_path)).is_whole


@pytest.mark.parametrize("is_new", [False, True])
def test_parts_are_written_once_in_each_file_by_one_writer_and_by_many(is_new: bool, tmp_path: Path):
    one = log(tmp_path, max_bytes=1500)
    for name in "abcdefgh":
        (log(tmp_path, max_bytes=1500) if is_new else one).append([event(name)], {"d" * 64: '"part"'})
    assert len(Folder(path(tmp_path)).archives()) > 1
    for file in Folder(path(tmp_path)).archives():
        found = [body["kind"] for body in bodies(Folder(path(tmp_path)).archive(file))]
        assert found.count("part") == 1
        assert found.index("part") < found.index("security")


# --- what a dead writer leaves ---


def test_half_a_line_of_any_length_is_cut_off_and_that_is_recorded(tmp_path: Path):
    log(tmp_path).append([event("a")])
    before = taken(tmp_path)
    tip = read(before["audit.jsonl"].splitlines(keepends=True)[-1]).tip
    line, _ = link({"kind": "security", "event": "torn"}, tip)
    for length in range(1, len(line)):
        put(tmp_path, before | {"audit.jsonl": before["audit.jsonl"] + line[:length]})
        report = verify(path(tmp_path))
        assert report.is_whole, "nobody was told that it was written"
        assert "half a line" in report.notes[0]
        log(tmp_path).append([event("b")])
        assert (events(tmp_path), repairs(tmp_path)) == (["a", "b"], ["torn line"])
        assert verify(path(tmp_path)).is_whole


def test_a_whole_record_that_the_head_does_not_know_yet_is_kept(tmp_path: Path):
    log(tmp_path).append([event("a")])
    head = taken(tmp_path)["audit.head"]
    log(tmp_path).append([event("b")])
    put(tmp_path, taken(tmp_path) | {"audit.head": head})
    assert "1 records after the head" in verify(path(tmp_path)).notes[0]
    log(tmp_path).append([event("c")])
    assert (events(tmp_path), repairs(tmp_path)) == (["a", "b", "c"], [])
    assert verify(path(tmp_path)).is_whole


STEPS = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from jupyter_llmroute.core.audit import folder, log
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.reading import records
from jupyter_llmroute.core.audit.record import Origin, Security
from jupyter_llmroute.core.audit.verify import verify

ROOMS = {folder.__file__, log.__file__}
path = Path(sys.argv[2])

def write(name, acknowledged):
    writer = AuditLog(path, Origin(session="s", user="u"), max_bytes=1200, keep=3, is_forced=False)
    for part in "xy":
        writer.append([Security(event=f"{name}{part}")], {"d" * 64: '"part"'})
        os.write(acknowledged, f"{name}{part}\\n".encode())

def killed_at(step, name):
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        left = step
        def trace(frame, what, _):
            nonlocal left
            if frame.f_code.co_filename not in ROOMS:
                return None
            if what == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)
        write(name, writes)
        os._exit(0)
    os.close(writes)
    with open(reads) as told:
        names = told.read().split()
    _, status = os.waitpid(child, 0)
    return names, os.WIFSIGNALED(status)

acknowledged, step, kills = [], 0, 0
while True:
    names, was_killed = killed_at(step, f"k{step}")
    acknowledged = (acknowledged + names)[-4:]
    report = verify(path) if path.exists() else None
    assert report is None or report.is_whole, (step, report)
    found = [body["event"] for body in records(path) if body["kind"] == "security"]
    assert set(acknowledged) <= set(found), (step, acknowledged, found)
    assert len(found) == len(set(found)), (step, found)
    if not was_killed:
        break
    kills, step = kills + 1, step + 1
writer = AuditLog(path, Origin(session="s", user="u"))
writer.append([Security(event="end")])
assert verify(path).is_whole
print(kills)
"""


@POSIX
def test_a_writer_killed_at_any_line_of_its_code_loses_nothing_and_breaks_nothing(tmp_path: Path):
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", STEPS, root, str(path(tmp_path))], capture_output=True, text=True, timeout=150
    )
    assert done.stderr == ""
    assert int(done.stdout) > 100, "every line that two records take was a place to die at"


WRITER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.record import Origin, Security
log = AuditLog(Path(sys.argv[2]), Origin.here(), max_bytes=20_000)
for number in range(int(sys.argv[4])):
    log.append([Security(event=f"{sys.argv[3]}-{number}", detail="z" * 50)])
    os.write(1, f"{sys.argv[3]}-{number}\\n".encode())
"""


def start(folder: Path, name: str, records: int) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", WRITER, root, str(path(folder)), name, str(records)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_several_processes_write_one_chain_at_once(tmp_path: Path):
    writers = [start(tmp_path, name, 40) for name in "abc"]
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    report = verify(path(tmp_path))
    assert report.is_whole
    assert len(report.files) > 1
    found = events(tmp_path)
    assert len(found) == 120
    for name in "abc":
        assert [each for each in found if each.startswith(name)] == [f"{name}-{number}" for number in range(40)]


@POSIX
def test_processes_killed_in_the_middle_of_writing_lose_no_acknowledged_record(tmp_path: Path):
    acknowledged: set[str] = set()
    for turn in range(6):
        writers = [start(tmp_path, f"{turn}{name}", 100_000) for name in "ab"]
        for count, writer in enumerate(writers, start=3 * turn):
            assert writer.stdout
            lines = [writer.stdout.readline() for _ in range(count + 1)]
            os.kill(writer.pid, signal.SIGKILL)
            lines += writer.communicate(timeout=60)[0].splitlines()
            acknowledged |= {line.decode().strip() for line in lines}
        assert verify(path(tmp_path)).is_whole
        assert acknowledged <= set(events(tmp_path))
    assert len(acknowledged) >= sum(2 * 3 * turn + 3 for turn in range(6))


def test_threads_of_one_process_write_one_chain(tmp_path: Path):
    one = log(tmp_path)

    def write(name: str) -> None:
        for number in range(20):
            one.append([event(f"{name}{number}")])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events(tmp_path)) == 80
    assert verify(path(tmp_path)).is_whole


# --- what somebody else did ---


def test_the_chain_goes_on_from_the_head_where_records_were_taken_away(tmp_path: Path):
    for name in "abc":
        log(tmp_path).append([event(name)])
    lines = path(tmp_path).read_bytes().splitlines(keepends=True)
    path(tmp_path).write_bytes(b"".join(lines[:-1]))
    log(tmp_path).append([event("d")])
    assert repairs(tmp_path) == ["records missing"]
    report = verify(path(tmp_path))
    assert report.findings[0].what == "record 4 is missing before record 5"


def test_a_log_that_was_removed_leaves_its_gap(tmp_path: Path):
    for name in "abc":
        log(tmp_path).append([event(name)])
    path(tmp_path).unlink()
    assert "records 1 to 4 are missing" in verify(path(tmp_path)).findings[0].what
    log(tmp_path).append([event("d")])
    assert "records 1 to 4 are missing" in verify(path(tmp_path)).findings[0].what


@pytest.mark.parametrize("content", [None, b"", b"{}", b"x" * 2000])
def test_a_head_that_is_gone_or_broken_is_made_anew_and_stays_a_finding(content: bytes | None, tmp_path: Path):
    log(tmp_path, max_bytes=1).append([event("a")])
    log(tmp_path, max_bytes=1).append([event("b")])
    head = path(tmp_path).with_name("audit.head")
    head.unlink() if content is None else head.write_bytes(content)
    assert not verify(path(tmp_path)).is_whole
    log(tmp_path).append([event("c")])
    assert head.stat().st_size == HEAD_BYTES
    report = verify(path(tmp_path))
    assert [finding.what.partition("; ")[2] for finding in report.findings] == [
        "whether records before it were cut off, only an anchor can tell"
    ]
    assert events(tmp_path) == ["a", "b", "c"]


def test_lines_that_somebody_put_in_are_left_as_evidence(tmp_path: Path):
    log(tmp_path).append([event("a")])
    with path(tmp_path).open("ab") as file:
        file.write(b"forged\n")
    log(tmp_path).append([event("b")])
    assert repairs(tmp_path) == ["lines of no writer"]
    assert [finding.line for finding in verify(path(tmp_path)).findings] == [3]


def test_the_origin_of_this_process_names_the_calling_tool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIDER_SESSION", "1")
    here = Origin.here("plan.ipynb")
    assert (here.caller, here.notebook, here.pid) == ("aider", "plan.ipynb", os.getpid())
    assert here.session == Origin.here().session, "one for each process"
    assert json.loads(here.model_dump_json())["user"]
