"""Which project a notebook belongs to, and what is the project's own."""

import os
import sys
from pathlib import Path

import pytest

from jupyter_llmroute.core.code.project import (
    find_root,
    installed_module,
    is_inside,
    module_names,
    python_files,
    relative,
    source_folders,
)
from jupyter_llmroute.core.errors import SettingsError

from .shop_project import make

links = pytest.mark.skipif(sys.platform == "win32", reason="links need a right that few have there")


def put(root: Path, *names: str, text: str = "") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("mark", [".git/HEAD", ".git", "pyproject.toml", "setup.py", "setup.cfg", "llmroute.yaml"])
def test_the_nearest_marked_folder_upwards_is_the_project(tmp_path: Path, mark: str) -> None:
    put(tmp_path, f"home/outer/{mark}", f"home/outer/inner/{mark}", "home/outer/inner/notebooks/a.ipynb")
    root = find_root(tmp_path / "home/outer/inner/notebooks", home=tmp_path / "home")
    assert root == (tmp_path / "home/outer/inner").resolve()


def test_a_settings_file_beside_the_notebook_makes_no_project_inside_a_project(tmp_path: Path) -> None:
    put(tmp_path, "shop/pyproject.toml", "shop/notebooks/llmroute.yaml")
    assert find_root(tmp_path / "shop/notebooks", home=tmp_path / "home") == (tmp_path / "shop").resolve()


@pytest.mark.parametrize("where", ["home", "", "home/notebooks"])
def test_the_home_folder_and_what_it_lies_in_are_no_project_by_accident(tmp_path: Path, where: str) -> None:
    put(tmp_path, "home/.git/HEAD", "pyproject.toml", "home/notebooks/a.ipynb")
    assert find_root(tmp_path / where, home=tmp_path / "home") is None


def test_a_folder_without_a_mark_belongs_to_no_project(tmp_path: Path) -> None:
    put(tmp_path, "home/a/b.ipynb")
    assert find_root(tmp_path / "home/a", home=tmp_path / "home") is None


def test_the_set_folder_is_taken_though_it_is_the_home(tmp_path: Path) -> None:
    assert find_root(tmp_path / "else", tmp_path, home=tmp_path) == tmp_path.resolve()


@pytest.mark.parametrize("name", ["not there", "a.txt", os.sep, "a\0b"])
def test_a_set_folder_that_cannot_be_one_is_said(tmp_path: Path, name: str) -> None:
    put(tmp_path, "a.txt")
    with pytest.raises(SettingsError, match=r"serena\.workspace"):
        find_root(tmp_path, tmp_path / name)


def test_only_the_projects_own_python_files_are_listed(tmp_path: Path) -> None:
    assert list(python_files(make(tmp_path))) == [
        "conftest.py",
        "setup.py",
        "sitecustomize.py",
        "src/shop/__init__.py",
        "src/shop/broken.py",
        "src/shop/orders.py",
        "src/shop/uses.py",
        "tests/test_orders.py",
        "usercustomize.py",
    ]


def test_a_package_may_be_called_build(tmp_path: Path) -> None:
    put(tmp_path, "pip/build/__init__.py", "build/lib/a.py")
    assert list(python_files(tmp_path)) == ["pip/build/__init__.py"]


def test_where_there_are_too_many_files_the_deepest_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a/b/deep.py", "a/mid.py", "top.py", text="x = 1\n")
    assert list(python_files(tmp_path, max_files=2)) == ["a/mid.py", "top.py"]
    assert list(python_files(tmp_path, max_bytes=7)) == ["top.py"]


def test_a_file_that_is_too_long_is_left_out_alone(tmp_path: Path) -> None:
    put(tmp_path, "long.py", text="x" * 100)
    put(tmp_path, "short.py")
    assert list(python_files(tmp_path, max_file_bytes=99)) == ["short.py"]


@links
def test_a_link_is_followed_only_inside_the_root(tmp_path: Path) -> None:
    put(tmp_path, "root/real.py", "out.py")
    os.symlink("real.py", tmp_path / "root/in.py")
    os.symlink(tmp_path / "out.py", tmp_path / "root/out.py")
    os.symlink(tmp_path / "root", tmp_path / "root/loop")
    os.symlink("self.py", tmp_path / "root/self.py")
    assert list(python_files(tmp_path / "root")) == ["in.py", "real.py"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/a.py", "src/a.py"),
        ("./src/../a.py", "a.py"),
        ("", "."),
        ("../a.py", None),
        ("src/../../a.py", None),
        ("/etc/passwd", None),
        ("a\0b", None),
        ("half \ud83d.py", None),
    ],
)
def test_what_lies_outside_the_root_has_no_name_in_it(tmp_path: Path, path: str, expected: str | None) -> None:
    assert relative(tmp_path, path) == expected
    assert is_inside(tmp_path, path) is (expected is not None)


@links
def test_a_path_through_a_link_lies_where_the_link_leads(tmp_path: Path) -> None:
    put(tmp_path, "out/a.py")
    (tmp_path / "root").mkdir()
    os.symlink(tmp_path / "out", tmp_path / "root/link")
    assert not is_inside(tmp_path / "root", "link/a.py")


def test_what_can_be_imported_is_told_for_both_layouts(tmp_path: Path) -> None:
    put(tmp_path, "flat/__init__.py", "single.py", "space/inner.py", "docs/index.md", "not-a-name/a.py", "setup.py")
    put(tmp_path, "src/deep/__init__.py", "src/alone.pyi", ".hidden/a.py", "conftest.py")
    assert module_names(tmp_path) == {"flat", "single", "space", "deep", "alone"}


def test_modules_beside_the_notebook_can_be_imported_too(tmp_path: Path) -> None:
    put(tmp_path, "notebooks/plots.py")
    assert module_names(tmp_path, [tmp_path / "notebooks"]) >= {"plots"}


@pytest.mark.parametrize(
    "text",
    [
        '[tool.setuptools.packages.find]\nwhere = ["lib"]',
        '[tool.setuptools.package-dir]\n"" = "lib"',
        '[[tool.poetry.packages]]\ninclude = "a"\nfrom = "lib"',
        '[tool.hatch.build.targets.wheel]\npackages = ["lib/a"]',
    ],
)
def test_the_folder_of_packages_is_read_from_pyproject(tmp_path: Path, text: str) -> None:
    put(tmp_path, "lib/a/__init__.py")
    put(tmp_path, "pyproject.toml", text=text)
    assert "a" in module_names(tmp_path)
    assert tmp_path / "lib" in source_folders(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "tool = 3",
        '[tool.setuptools]\npackage-dir = 3\npackages = "x"',
        '[tool.hatch]\nbuild = ["a"]',
        '[tool.setuptools.packages.find]\nwhere = ["../out", "/", "missing", 3]',
        "x = " + "[" * 5000,
    ],
)
def test_a_strange_pyproject_names_no_folder(tmp_path: Path, text: str) -> None:
    put(tmp_path, "root/a.py", "out/b.py")
    put(tmp_path, "root/pyproject.toml", text=text)
    assert source_folders(tmp_path / "root") == (tmp_path / "root",)


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("/env/lib/numpy/linalg/_linalg.py", "numpy.linalg._linalg"),
        ("/env/lib/numpy/__init__.pyi", "numpy"),
        ("/elsewhere/one.py", "one"),
    ],
)
def test_an_installed_file_is_named_by_its_module(path: str, module: str) -> None:
    assert installed_module(Path(path), ["", "/env", "/env/lib"]) == module
