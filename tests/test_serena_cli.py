"""The terminal's commands about Serena, with a program in its place that knows its version."""

import argparse
import os
import sys
from pathlib import Path

import pytest

from jupyter_llmroute import serena_cli
from jupyter_llmroute.core.code.installation import VARIABLE
from jupyter_llmroute.core.code.serena_home import SerenaHome, Session
from jupyter_llmroute.core.errors import UserError

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="programs are made as scripts"),
]


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """A data folder of its own, and nothing of the user's on the way."""
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    serena_cli.register(parser.add_subparsers(required=True))
    options = parser.parse_args(["serena", *words])
    return options.run(options)


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """Serena and ty, named by the environment variable."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("serena", "ty"):
        (folder / name).write_text(f"#!/bin/sh\necho {name.capitalize()} 2.1.0\n", "utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(folder / "serena"))
    return folder


@pytest.fixture
def running(tmp_path):
    """A session that runs, as far as anybody can see."""
    project = tmp_path / "project"
    project.mkdir()
    home = SerenaHome.take(project, edits=False)
    home.write_record(
        Session(project=project, edits=False, owner=os.getpid(), pid=os.getpid(), version="2.1.0", started_at=0.0)
    )
    yield home
    home.release()


def test_what_is_not_installed_is_said_with_the_remedy(capsys):
    assert run("status") == 1
    assert (
        "not installed; jedi answers instead. To install it: jupyter-llmroute serena install" in capsys.readouterr().out
    )


def test_status_tells_where_it_is_and_what_runs(capsys, programs, running):
    assert run("status") == 0
    said = capsys.readouterr().out
    assert f"found by: setting\nserena: {programs / 'serena'}\nty: {programs / 'ty'}" in said
    assert "Serena: Serena 2.1.0" in said
    assert f"{running.project}: Serena 2.1.0 for questions, process {os.getpid()}, of process {os.getpid()}" in said


def test_a_program_that_does_not_work_is_told(capsys, programs):
    (programs / "serena").write_text("#!/bin/sh\necho trouble\nexit 1\n", "utf-8")
    assert run("status") == 1
    assert "Serena: trouble" in capsys.readouterr().out


def test_restart_asks_those_that_run(capsys, running):
    assert run("restart") == 0
    assert "asked to start anew" in capsys.readouterr().out
    assert running.restart.exists()


def test_restart_and_log_say_when_there_is_nothing(capsys):
    assert run("restart") == run("log") == 0
    said = capsys.readouterr().out
    assert "Nothing runs" in said
    assert "there is no log" in said


def test_the_log_is_shown_from_its_end(capsys, running):
    running.log.write_bytes(b"one\ntwo\nthr\xe9\n")
    running.log.with_suffix(".before.log").write_text("older", "utf-8")
    assert run("log", "-n", "2") == 0
    assert capsys.readouterr().out == f"== {running.log}\ntwo\nthr\N{REPLACEMENT CHARACTER}\n"


def test_an_installation_without_wheels_fails_at_once(tmp_path):
    with pytest.raises(UserError, match="has no wheels"):
        run("install", "--wheels", str(tmp_path))


@pytest.mark.parametrize("words", [(), ("wheels",), ("unknown",), ("log", "-n", "x")])
def test_wrong_usage_is_told(words):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
