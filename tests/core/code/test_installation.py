"""Where Serena is looked for, in which order, and what a failed installation leaves: nothing."""

import os
import sys
from pathlib import Path

import pytest

from jupyter_llmroute.core.code.installation import (
    VARIABLE,
    FoundBy,
    Made,
    check,
    find,
    find_ty,
    install,
    is_current,
    own_folder,
    own_programs,
)
from jupyter_llmroute.core.errors import CodeUnavailable, UserError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="programs are made as scripts")


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """A data folder of its own."""
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "data"))


def program(path: Path, script: str = "true") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)
    return path


def made_environment(requirements: tuple[str, ...] = ("serena-agent==2.1.0", "ty==0.0.105")) -> Path:
    environment = own_folder() / "environment"
    for name in ("serena", "ty"):
        program(environment / "bin" / name, f"echo {name.capitalize()} 2.1.0")
    (environment / "made.json").write_text(Made(requirements=requirements, python="3").model_dump_json(), "utf-8")
    return environment / "bin"


def test_the_setting_comes_first_then_the_variable_then_the_path_then_ours(tmp_path):
    named, variable, on_path = (program(tmp_path / name / "serena") for name in ("setting", "variable", "path"))
    own = made_environment()
    environ = {VARIABLE: str(variable), "PATH": str(on_path.parent)}
    order = [
        (named, environ, named, FoundBy.SETTING),
        (None, environ, variable, FoundBy.VARIABLE),
        (None, {"PATH": str(on_path.parent)}, on_path, FoundBy.PATH),
        (None, {"PATH": str(tmp_path)}, own / "serena", FoundBy.OWN),
    ]
    for setting, variables, path, found_by in order:
        found = find(setting, environ=variables)
        assert (found.serena, found.found_by) == (path, found_by)
        assert found.ty == own / "ty"


def test_what_is_nowhere_is_not_installed(tmp_path):
    assert find(environ={"PATH": str(tmp_path)}) is None
    assert find_ty(environ={"PATH": str(tmp_path)}) is None
    assert own_programs() is None
    assert not is_current()


@pytest.mark.parametrize("kind", ["missing", "folder", "text"])
def test_a_name_that_is_no_program_is_said(tmp_path, kind):
    path = tmp_path / "serena"
    if kind == "folder":
        path.mkdir()
    if kind == "text":
        path.write_text("no program", "utf-8")
    for setting, environ in ((path, {}), (None, {VARIABLE: str(path)})):
        with pytest.raises(CodeUnavailable, match="is no program"):
            find(setting, environ={"PATH": "", **environ})


def test_ty_is_looked_for_beside_serena_also_behind_a_link_then_in_ours_then_on_the_path(tmp_path):
    serena = program(tmp_path / "pipx" / "serena")
    link = tmp_path / "bin" / "serena"
    link.parent.mkdir()
    link.symlink_to(serena)
    on_path = program(tmp_path / "path" / "ty")
    environ = {"PATH": str(on_path.parent)}
    assert find_ty(link, environ=environ) == on_path
    own = made_environment()
    assert find_ty(link, environ=environ) == own / "ty"
    beside = program(tmp_path / "pipx" / "ty")
    assert find_ty(link, environ=environ) == beside


@pytest.mark.parametrize("record", [None, "{broken", "{}"])
def test_an_environment_that_is_not_whole_is_none(record):
    folder = made_environment().parent
    (folder / "made.json").unlink()
    if record is not None:
        (folder / "made.json").write_text(record, "utf-8")
    assert own_programs() is None


def test_an_environment_of_older_versions_is_used_and_told(tmp_path):
    made_environment(("serena-agent==2.0.0", "ty==0.0.99"))
    assert own_programs() is not None
    assert not is_current()
    made_environment()
    assert is_current()


@pytest.mark.parametrize("has", [[], ["unrelated-1.0-py3-none-any.whl"]])
def test_wheels_that_are_not_there_leave_nothing_half_made(tmp_path, has):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in has:
        (wheels / name).write_bytes(b"")
    lines: list[str] = []
    with pytest.raises(UserError, match="has no wheels" if not has else "serena-agent"):
        install(wheels, lines.append)
    assert not (own_folder() / "environment").exists()
    assert bool(lines) is bool(has)


def test_a_check_runs_both_and_believes_neither(tmp_path):
    made_environment()
    assert [remark.is_well for remark in check(find(environ={"PATH": str(tmp_path)}))] == [True, True]
    broken = find(program(tmp_path / "serena", "echo trouble; exit 3"), environ=os.environ)
    remark, _ = check(broken)
    assert (remark.is_well, remark.said) == (False, "trouble")
    missing = broken.model_copy(update={"serena": tmp_path / "gone", "ty": None})
    assert [remark.is_well for remark in check(missing)] == [False, False]
