"""Settings files that mean harm: what they grow to is bounded, and the error names the file and the line."""

from __future__ import annotations

import os
import sys
import tracemalloc
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.settings_file import (
    MAX_FILE_BYTES,
    SettingsFile,
    SettingsWarning,
    did_you_mean,
    other_writers,
    read,
)

MIB = 1 << 20
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


def load(folder: Path, text: str | bytes, *, is_own: bool = True) -> dict[str, object]:
    path = folder / "llmroute.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(SettingsFile(path=path, is_own=is_own), ("a", "limits", "context"))


@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a billion laughs", LAUGHS, "more than 20,000 keys and values"),
        ("a billion merges", MERGES, "more than 20,000 keys and values"),
        ("many values", "a: [" + "1," * 21_000 + "]", "more than 20,000 keys and values"),
        ("a list in itself", "a: &a [*a]", "line 1: a reference leads to itself"),
        ("keys in themselves", "a: &a\n  b: {c: *a}", "line 1: a reference leads to itself"),
        ("a merge of itself", "a: &a {<<: *a}", "a reference leads to itself"),
        ("very deep", "a: " + "[" * 2_000 + "]" * 2_000, "is not YAML"),
        ("a number of base 60", "a: 1" + ":1" * 200_000, "a number has more than 100 characters"),
        ("a fraction of base 60", "a: 1" + ":1" * 500 + ".5", "a number has more than 100 characters"),
        ("digits", "a: " + "9" * 100_000, "a number has more than 100 characters"),
        ("a hexadecimal number", "a: 0x" + "f" * 100_000, "a number has more than 100 characters"),
        ("an object of Python's", "a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("an impossible date", "a: 2001-99-99", "is not YAML"),
        ("more than 1 MiB", "# " + "x" * MAX_FILE_BYTES, "at most 1 MiB"),
        ("no UTF-8", b"a: \xff", "UTF-8"),
        ("a NUL", "a: \x00", "is not YAML"),
        ("two documents", "a: 1\n---\na: 2", "is not YAML"),
        ("a list for a key", "? [a]\n: 1", "is not YAML"),
    ],
)  # fmt: skip
def test_a_bomb_is_refused(tmp_path: Path, is_own: bool, name: str, text: str | bytes, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        load(tmp_path, text, is_own=is_own)
    assert "llmroute.yaml" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("bomb", [LAUGHS, MERGES])
def test_a_bomb_takes_no_memory(tmp_path: Path, bomb: str) -> None:
    tracemalloc.start()
    with pytest.raises(SettingsError):
        load(tmp_path, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB


def test_references_as_people_use_them_are_taken(tmp_path: Path) -> None:
    text = "limits: &few {attempts: 2}\ncontext:\n  <<: *few\n  max_cells: 3\na: [*few, *few]"
    assert load(tmp_path, text)["context"] == {"attempts": 2, "max_cells": 3}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such permissions on Windows")
@pytest.mark.parametrize(
    ("mode", "said"), [(0o600, ""), (0o644, ""), (0o664, ""), (0o602, "everybody"), (0o666, "everybody")]
)
def test_who_else_may_write_is_warned_of(tmp_path: Path, mode: int, said: str) -> None:
    path = tmp_path / "llmroute.yaml"
    path.write_text("limits: {attempts: 2}")
    os.chown(path, -1, os.getgid())
    path.chmod(mode)
    assert other_writers(path) == said
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(SettingsFile(path=path, is_own=True), ("limits",))
    assert [(w.category, f"{said} may change this file" in str(w.message)) for w in caught] == (
        [(SettingsWarning, True)] if said else []
    )


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        (("limits", "atempts"), "did you mean 'attempts'?"),
        (("securty",), "did you mean 'security'?"),
        (("security", "allow_extern"), "did you mean 'allow_external'?"),
        (("services", "custom_endpoints", "0", "endpont"), "did you mean 'endpoint'?"),
        (("services", "ollama", "endpont"), "did you mean 'endpoint'?"),
        (("task_routing", "coding", "primary_model"), "did you mean 'primary_models'?"),
        (("limits", "nothing like it"), ""),
        (("version", "x"), ""),
    ],
)
def test_an_unknown_key_has_a_suggestion(key: tuple[str, ...], hint: str) -> None:
    assert did_you_mean(key, Settings) == hint


def keyed(items: list[str]) -> str:
    return "&a {" + ", ".join(f"k{number}: {item}" for number, item in enumerate(items)) + "}"


NODES = st.recursive(
    st.sampled_from(["x", "1", "*a", "*b", "null", "!!int 0x1", "0x" + "f" * 120, "1:1:1", "~", "'é'"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=3).map(keyed),
        st.lists(inner, max_size=3).map(lambda items: "&b {<<: [" + ", ".join(items) + "]}"),
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.one_of(NODES.map(lambda node: f"a: {node}"), st.text(max_size=60), st.binary(max_size=60)))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_reads_or_is_refused(tmp_path: Path, text: str | bytes) -> None:
    try:
        load(tmp_path, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    except SettingsError:
        pass
