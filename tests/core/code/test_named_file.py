"""What `--file` names, and why it names none: each refusal says the cause that there is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from jupyter_llmroute.core.code.named_file import named_file
from jupyter_llmroute.core.code.plan import Meant
from jupyter_llmroute.core.code.project import MAX_FILE_BYTES
from jupyter_llmroute.core.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "mon café"
    (root / "src" / "more").mkdir(parents=True)
    (root / "notes").mkdir()
    for name, data in {
        "src/shop.py": b"a = 1\nb = 2\n",
        "src/types.pyi": b"a: int\n",
        "src/binary.py": b"a = 1\n\0\0",
        "src/picture.png": b"\x89PNG\0\0",
        "notes/plan.md": b"# Plan\n",
        "src/large.py": b"#" * (MAX_FILE_BYTES + 1),
    }.items():
        (root / name).write_bytes(data)
    (root.parent / "other.py").write_text("secret = 1\n")
    return root


@pytest.mark.parametrize(
    ("name", "file", "line"),
    [
        ("src/shop.py", "src/shop.py", None),
        ("src/shop.py:2", "src/shop.py", 2),
        ("../src/shop.py:1", "src/shop.py", 1),
        ("src/more/../shop.py", "src/shop.py", None),
        ("src/types.pyi", "src/types.pyi", None),
    ],
)
def test_a_file_is_named_from_the_root_or_as_the_notebook_sees_it(root: Path, name: str, file: str, line: int | None):
    assert named_file(root, root / "notes", name) == Meant(file=file, line=line)
    absolute = named_file(root, root / "notes", str(root / "src" / "shop.py"))
    assert absolute == Meant(file="src/shop.py")


REFUSED = [
    ("src/none.py", "there is no such file in the project", "name it from the project's root"),
    ("../other.py", "it lies outside the project", "copy what is needed"),
    ("/etc/passwd", "it lies outside the project", "copy what is needed"),
    ("../../../no/such.py", "it lies outside the project", "copy what is needed"),
    ("src", "it is a folder", "name a file in it"),
    ("", "it is a folder", "name a file in it"),
    ("src/binary.py", "it is binary", "Python's source"),
    ("src/picture.png", "it is binary", "Python's source"),
    ("notes/plan.md", "its name ends with '.md'", "put what is needed of it into the question"),
    ("src/large.py", "it is too large, 2.0 MiB where 2 MiB are looked into", "put what is needed"),
    ("a\0b.py", "null byte", "name it from the project's root"),
    ("src/shop.py:0", "the file has 3 lines", "name one of them"),
    ("src/shop.py:99999", "the file has 3 lines", "name one of them"),
    ("src/shop.py:\N{SUPERSCRIPT TWO}", "there is no such file", "src/shop.py:42"),
]


@pytest.mark.parametrize(("name", "what", "then"), REFUSED)
def test_a_refusal_names_its_cause_the_file_and_what_to_do(root: Path, name: str, what: str, then: str):
    with pytest.raises(UserError) as refused:
        named_file(root, root / "notes", name)
    said = str(refused.value)
    assert said.startswith(f"--file {name!r}: ")
    assert what in said
    assert then in said


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_what_links_lead_to_is_told(root: Path):
    (root / "out.py").symlink_to(root.parent / "other.py")
    (root / "lost.py").symlink_to(root / "gone.py")
    (root / "round.py").symlink_to(root / "round.py")
    (root / "beside").symlink_to(root.parent)
    (root / "same.py").symlink_to(root / "src" / "shop.py")
    outside = repr(str(root.parent / "other.py"))
    for name, what in {
        "out.py": f"a link leads out of the project {str(root)!r}, to {outside}",
        "beside/other.py": f"a link leads out of the project {str(root)!r}, to {outside}",
        "lost.py": "it is a link that leads to no file",
        "round.py": "it is a link that leads to no file",
    }.items():
        with pytest.raises(UserError) as refused:
            named_file(root, root / "notes", name)
        assert what in str(refused.value)
    assert named_file(root, root, "same.py") == Meant(file="src/shop.py")
    seen = root.parent / "seen"
    seen.symlink_to(root)
    assert named_file(root, seen / "notes", "../src/shop.py") == Meant(file="src/shop.py")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_a_pipe_is_not_waited_for(root: Path):
    os.mkfifo(root / "pipe.py")
    with pytest.raises(UserError, match="no regular file"):
        named_file(root, root, "pipe.py")
