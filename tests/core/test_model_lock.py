"""Digests of models: read from files, told by servers, locked, and compared."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from jupyter_llmroute.core.embedded.gguf import Header
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.file_digests import BLOCK_BYTES, digests, of_file
from jupyter_llmroute.core.lock_file import (
    LockedModel,
    ModelLock,
    ModelLockError,
    key,
    lock_digest,
    lock_path,
    put_aside,
    read_lock,
    write_lock,
)
from jupyter_llmroute.core.model_lock import Change, compare, lock, verify
from jupyter_llmroute.core.sections import EmbeddedSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def file(folder: Path, name: str = "tiny.gguf", content: bytes = b"weights") -> Header:
    target = folder / name
    target.write_bytes(content)
    facts: dict[str, Any] = dict.fromkeys(("trained_window", "quantisation", "parameters", "licence"))
    return Header(path=target, name=target.stem, architecture="llama", size_bytes=7, has_chat_template=True, **facts)


def server(digest: str | None = "sha256:aa", name: str = "ollama", model: str = "qwen3:8b") -> Endpoint:
    models = (ServedModel(id=model, digest=digest, size_bytes=5),)
    return Endpoint(name=name, provider="ollama", base_url="http://127.0.0.1:11434", models=models)


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


async def test_what_was_locked_is_the_same_when_nothing_changed(tmp_path: Path):
    header = file(tmp_path)
    after, compared = await lock([server()], [header])
    assert after.models[key("embedded", "tiny")].digest == sha256(b"weights")
    assert {each.change for each in compared} == {Change.NEW}
    assert read_lock() == after
    assert {each.change for each in await verify([server()], [header])} == {Change.SAME}
    assert lock_path().parent == tmp_path / "home"
    assert len(lock_digest()) == 64


CHANGES: dict[str, tuple[LockedModel | None, bool, Change]] = {
    "the same": (LockedModel(digest="sha256:AA"), True, Change.SAME),
    "the same without its kind": (LockedModel(digest="aa"), True, Change.SAME),
    "another digest": (LockedModel(digest="sha256:bb"), True, Change.CHANGED),
    "no digest any more": (None, True, Change.CHANGED),
    "gone": (None, False, Change.GONE),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_locked_model_is_compared(name: str):
    now, is_there, change = CHANGES[name]
    found = {key("ollama", "m"): now} if is_there else {}
    (told,) = compare(ModelLock(models={key("ollama", "m"): LockedModel(digest="sha256:aa")}), found)
    assert (told.service, told.model, told.change) == ("ollama", "m", change)
    assert told.is_wrong is (change is Change.CHANGED)


def test_a_model_that_was_never_locked_is_told_apart_from_one_without_digest():
    found = {key("a", "new"): LockedModel(digest="x"), key("a", "mute"): None}
    assert [each.change for each in compare(ModelLock(), found)] == [Change.NEW, Change.UNKNOWN]


def test_digests_of_files_that_were_read_are_known_without_reading(home: Path, tiny_model: Path):
    (home / "models").mkdir(parents=True)
    target = home / "models" / "tiny.gguf"
    target.write_bytes(tiny_model.read_bytes())
    known = digests(EmbeddedSettings())
    assert known("embedded", "tiny") is None
    read = of_file(target)
    assert known("embedded", "tiny") == read.digest
    assert known("ollama", "tiny") is None
    target.write_bytes(b"GGUF")
    assert known("embedded", "tiny") is None


async def test_another_file_of_the_same_name_is_found(tmp_path: Path):
    await lock([], [file(tmp_path)])
    (told,) = await verify([], [file(tmp_path, content=b"others!")], is_thorough=False)
    assert told.is_wrong
    assert told.found == sha256(b"others!")


async def test_a_file_is_read_once_until_it_looks_changed(tmp_path: Path):
    header, read = file(tmp_path), list[Path]()

    def note(path: Path, done: int, size: int) -> None:
        read.append(path)

    for _ in range(3):
        of_file(header.path, progress=note)
    assert len(read) == 1
    of_file(header.path, is_thorough=True, progress=note)
    assert len(read) == 2
    os.utime(header.path, ns=(1, 1))
    of_file(header.path, progress=note)
    assert len(read) == 3


@pytest.mark.skipif(os.name != "posix", reason="the time of a file's last change, as POSIX has it")
def test_a_file_that_was_swapped_with_size_and_time_set_back_is_read_again(tmp_path: Path):
    header = file(tmp_path)
    before = header.path.stat()
    assert of_file(header.path).digest == sha256(b"weights")
    header.path.write_bytes(b"others!")
    os.utime(header.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert of_file(header.path).digest == sha256(b"others!")


def test_progress_is_told_for_each_block_of_a_large_file(tmp_path: Path):
    header, told = file(tmp_path, content=b"x" * (2 * BLOCK_BYTES + 1)), list[tuple[int, int]]()
    of_file(header.path, progress=lambda path, done, size: told.append((done, size)))
    size = 2 * BLOCK_BYTES + 1
    assert told == [(BLOCK_BYTES, size), (2 * BLOCK_BYTES, size), (size, size)]


async def test_other_work_goes_on_while_a_file_is_read(tmp_path: Path):
    loop, seen = asyncio.get_running_loop(), asyncio.Event()
    # The reading ends only once the loop has run in between.
    wait = lambda *_: asyncio.run_coroutine_threadsafe(seen.wait(), loop).result(60)  # noqa: E731
    loop.call_soon(seen.set)
    after, _ = await lock([], [file(tmp_path)], progress=wait)
    assert after.models


def test_a_split_model_is_all_its_files(tmp_path: Path):
    for number in (1, 2):
        file(tmp_path, f"big-0000{number}-of-00002.gguf", b"%d" % number)
    file(tmp_path, "bigger-00001-of-00002.gguf", b"another")
    first = tmp_path / "big-00001-of-00002.gguf"
    before = of_file(first)
    assert before.files == ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf")
    file(tmp_path, "big-00002-of-00002.gguf", b"x")
    assert of_file(first).digest != before.digest


async def test_what_was_locked_of_others_is_kept():
    await lock([server(name="a")])
    after, _ = await lock([server(name="b")])
    assert set(after.models) == {key("a", "qwen3:8b"), key("b", "qwen3:8b")}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version":2}', b"[" * 100_000, b"\xff"])
async def test_a_lock_file_that_does_not_read_is_an_error_and_not_an_empty_one(content: bytes, tmp_path: Path):
    target = tmp_path / "models.lock"
    target.write_bytes(content)
    with pytest.raises(ModelLockError, match="does not read"):
        await verify([], path=target)
    assert put_aside(target) == tmp_path / "models.lock.broken"
    assert (tmp_path / "models.lock.broken").read_bytes() == content
    assert [each.change for each in (await lock([server()], path=target))[1]] == [Change.NEW]
    assert put_aside(target) is None


REASONS = {
    "{\n  version: 1}": "line 2 column 3",
    '{"version": 2}': r"version: Input should be 1",
    '{"models": {"m": {}}}': r"models\.m\.digest: Field required",
}


@pytest.mark.parametrize("content", REASONS)
def test_the_place_and_the_reason_are_told_of_a_lock_file_that_does_not_read(content: str, tmp_path: Path):
    (tmp_path / "models.lock").write_text(content)
    with pytest.raises(ModelLockError, match=REASONS[content]):
        read_lock(tmp_path / "models.lock")


def test_a_file_that_is_gone_is_an_error(tmp_path: Path):
    with pytest.raises(ModelLockError, match="cannot be read"):
        of_file(tmp_path / "gone.gguf")


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_the_lock_file_is_the_owners_alone_and_reads_the_same_each_time(tmp_path: Path):
    found = ModelLock(models={key("ö", "m\ud800"): LockedModel(digest="x")})
    digest = write_lock(found, tmp_path / "models.lock")
    assert stat.S_IMODE((tmp_path / "models.lock").stat().st_mode) == 0o600
    assert digest == lock_digest(tmp_path / "models.lock") == write_lock(found, tmp_path / "models.lock")


async def test_nothing_is_compared_where_nothing_was_locked():
    assert await verify([server()]) == ()
