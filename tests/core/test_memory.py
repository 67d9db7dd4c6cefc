"""How much memory this machine has, or this container may take."""

import re
from pathlib import Path

import pytest

from jupyter_llmroute.core.memory import CGROUP_LIMITS, total_memory_bytes

MEMINFO = Path("/proc/meminfo")


def test_this_machine_tells():
    assert total_memory_bytes() > 64 << 20


@pytest.mark.skipif(not MEMINFO.exists(), reason="Linux tells it there")
def test_it_is_no_more_than_the_kernel_has():
    [told] = re.findall(r"^MemTotal: +(\d+) kB$", MEMINFO.read_text(), re.M)
    assert total_memory_bytes(()) == int(told) * 1024
    assert total_memory_bytes(CGROUP_LIMITS) <= int(told) * 1024


TOLD = {
    # what the file holds: the limit that it tells
    b"2147483648\n": 2 << 30,
    b"2147483648": 2 << 30,
    b" 4096 \n": 4096,
    b"max\n": None,
    b"9223372036854771712\n": None,
    b"9" * 10_000: None,
    b"": None,
    b"\n": None,
    b"0\n": None,
    b"-1\n": None,
    b"2147483648.5": None,
    b"2 GB": None,
    b"0x10": None,
    "²".encode(): None,
    b"\xff\xfe\x00": None,
}


@pytest.mark.parametrize(("text", "limit"), TOLD.items(), ids=[repr(text[:20]) for text in TOLD])
def test_the_limit_of_a_container(tmp_path: Path, text: bytes, limit: int | None):
    path = tmp_path / "memory.max"
    path.write_bytes(text)
    assert total_memory_bytes([path]) == (limit or total_memory_bytes(()))


def test_files_that_are_none_tell_nothing(tmp_path: Path):
    assert total_memory_bytes([tmp_path, tmp_path / "missing"]) == total_memory_bytes(())


def test_of_several_limits_the_least_counts(tmp_path: Path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, text in zip(paths, ("2000000", "max", "1000000"), strict=True):
        path.write_text(text)
    assert total_memory_bytes(paths) == total_memory_bytes(reversed(paths)) == 1_000_000
