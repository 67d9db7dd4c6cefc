"""The file: what is written reads, what does not read is said and left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core import cassette_file
from jupyter_llmroute.core.cassette_file import CassetteError, CassetteFile, Tape, laid_out, parse
from jupyter_llmroute.core.recording import Recording, happened
from jupyter_llmroute.core.sent import Sent

from .tapes import answer


def tape(*questions: str) -> Tape:
    events = happened([(3, event) for event in answer("Hel", "lo\n", "you")])
    return Tape(recordings=tuple(Recording(sent=Sent(question=each), events=events) for each in questions))


def more(question: str):
    return lambda old: old.model_copy(update={"recordings": (*old.recordings, *tape(question).recordings)})


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(texts, max_size=4), texts)
def test_what_is_written_reads_as_the_same(questions, value):
    told = tape(*questions)
    told = told.model_copy(
        update={"recordings": (*told.recordings, Recording(sent=Sent(), value={value: [value, 1.5]}))}
    )
    assert parse(laid_out(told).encode(), "x") == told


def test_a_text_stands_in_lines_and_signs_that_do_not_show_as_numbers():
    written = laid_out(tape("one\ntwo\u202e\u200b three\x1b"))
    assert '"one\\n",\n' in written
    assert "two\\u202e\\u200b three\\u001b" in written
    assert '"text": [ "Hello\\n", "you" ], "pieces": "3+3 3+3 3+3"' in " ".join(written.split())


def test_one_more_recording_changes_no_other_line():
    before, after = laid_out(tape("a", "b")).splitlines(), laid_out(tape("a", "b", "c")).splitlines()
    assert after[: len(before) - 3] == before[:-3]


WRONG = {
    "nothing": (b"", "no recordings that read"),
    "no JSON": (b"version: 1", "no recordings that read"),
    "another JSON": (b'{"cells": []}', "no recordings that read"),
    "a list": (b"[]", "no recordings that read"),
    "no text": (b"\xff\xfe\x00", "no recordings that read"),
    "a merge that was not finished": (b'{\n<<<<<<< HEAD\n"version": 1', "merge that was not finished"),
    "a newer version": (b'{"version": 2, "tracks": []}', "newer jupyter-llmroute (format 2, and this one reads 1)"),
    "no version of ours": (b'{"version": 0, "recordings": []}', "version"),
    "an unknown field": (b'{"version": 1, "recordings": [], "run": "x"}', "run: Extra inputs are not permitted"),
    "no events": (
        b'{"version": 1, "recordings": [{"sent": {}, "events": [{"kind": "run"}]}]}',
        "recordings.0.events.0",
    ),
    "deep": (b'{"version": 1, "recordings": ' + b"[" * 100_000, "no recordings that read"),
    "a number without end": (b'{"version": 1, "recordings": [{"sent": {}, "value": 1e999}]}', "without end"),
    "no number": (b'{"version": 1, "recordings": [{"sent": {}, "value": NaN}]}', "no recordings that read"),
    "a long number": (b'{"version": 1, "recordings": [{"sent": {}, "value": ' + b"9" * 9000 + b"}]}", "no recordings"),
    "half a character": (b'{"version": 1, "recordings": [{"sent": {"question": "\\ud83d"}}]}', "no recordings"),
    "too many": (b'{"version": 1, "recordings": [' + b"0," * 10_000 + b"0]}", "more than 10,000 recordings"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_read_is_said_and_never_written_over(name, tmp_path):
    data, words = WRONG[name]
    path = tmp_path / "n.cassette.json"
    path.write_bytes(data)
    file = CassetteFile(path)
    for attempt in (file.read, lambda: file.update(more("x"))):
        with pytest.raises(CassetteError, match=r"n\.cassette\.json") as caught:
            attempt()
        assert words in str(caught.value)
        assert len(str(caught.value)) < 1000
    assert path.read_bytes() == data
    assert os.listdir(tmp_path) == ["n.cassette.json"]


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "n.cassette.json"
    with path.open("wb") as file:
        file.truncate(cassette_file.MAX_FILE_BYTES * 100)  # a hole: it takes no place on the disk
    with pytest.raises(CassetteError, match="larger than 64 MiB"):
        CassetteFile(path).read()


def test_a_folder_or_nothing_is_said_too(tmp_path):
    assert CassetteFile(tmp_path / "missing").read() == Tape()
    with pytest.raises(CassetteError, match="cannot be read"):
        CassetteFile(tmp_path).read()
    with pytest.raises(CassetteError, match="its folder is not there"):
        CassetteFile(tmp_path / "missing" / "n").check_writable()
    with pytest.raises(CassetteError, match="cannot be recorded"):
        CassetteFile(tmp_path / "missing" / "n").update(more("x"))


def test_what_another_kernel_wrote_is_seen_and_kept(tmp_path):
    one, two = CassetteFile(tmp_path / "n"), CassetteFile(tmp_path / "n")
    assert one.read() == Tape()
    two.update(more("two"))
    one.update(more("one"))
    assert [recording.sent.question for recording in two.read().recordings] == ["two", "one"]
    assert os.listdir(tmp_path) == ["n"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such permissions")
def test_a_new_file_is_the_users_own_and_an_old_one_stays_as_open_as_it_was(tmp_path):
    file = CassetteFile(tmp_path / "n")
    file.update(more("x"))
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.path.chmod(0o644)
    file.update(more("y"))
    assert file.path.stat().st_mode & 0o777 == 0o644


WRITES = """
import sys
from pathlib import Path
from jupyter_llmroute.core.cassette_file import CassetteFile
from jupyter_llmroute.core.recording import Recording
from jupyter_llmroute.core.sent import Sent
file = CassetteFile(Path(sys.argv[1]))
for number in range(15):
    one = Recording(sent=Sent(question=f"{sys.argv[2]} {number}"))
    file.update(lambda old: old.model_copy(update={"recordings": (*old.recordings, one)}))
"""


def test_kernels_that_write_at_once_lose_nothing(tmp_path):
    path = tmp_path / "n"
    root = Path(cassette_file.__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "LLMROUTE_HOME": str(tmp_path / "home")}
    writers = [subprocess.Popen([sys.executable, "-c", WRITES, str(path), name], env=env) for name in "abc"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    found = {recording.sent.question for recording in CassetteFile(path).read().recordings}
    assert found == {f"{name} {number}" for name in "abc" for number in range(15)}
    assert json.loads(path.read_bytes())["version"] == 1
