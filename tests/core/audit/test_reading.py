"""Reading a log from its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_llmroute.core.audit.reading import BLOCK_BYTES, newest, records
from jupyter_llmroute.core.audit.record import Security

from .logs import log, path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log over several files, with parts longer than what is read at once, and half a line at its end."""
    where = tmp_path_factory.mktemp("log")
    writer = log(where, max_bytes=8000)
    for number in range(60):
        text = "".join(map(str, range(number * 100_000, number * 100_000 + 60_000))) if number == 30 else str(number)
        writer.append([Security(event=f"e{number}", detail="\u2028x" * number)], {f"{number % 3:064x}": text})
    with path(where).open("ab") as file:
        file.write(b'{"n":1000,"kind":"security"')
    return where


@pytest.mark.parametrize("wanted", [0, 1, 2, 7, 50, 1000])
def test_the_newest_records_are_those_at_the_end_of_all(folder: Path, wanted: int) -> None:
    every = list(records(path(folder)))
    assert newest(path(folder), wanted) == every[len(every) - min(wanted, len(every)) :]


def test_lines_may_be_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    log(tmp_path).append([Security(event=f"e{number}") for number in range(9000)])
    assert path(tmp_path).stat().st_size > 3 * BLOCK_BYTES
    assert newest(path(tmp_path), 9000) == list(records(path(tmp_path)))[-9000:]


def test_no_more_is_read_than_is_allowed(folder: Path) -> None:
    few = newest(path(folder), 1000, most_bytes=5000)
    every = list(records(path(folder)))
    assert 0 < len(few) < 20
    assert few == every[-len(few) :]
    assert newest(path(folder), 5, most_bytes=0) == []
