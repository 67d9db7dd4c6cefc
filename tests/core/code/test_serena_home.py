"""The private home: what is written there, who has it, and how Serena is started in it."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_llmroute.core.code.installation import FoundBy, Installed
from jupyter_llmroute.core.code.serena_home import (
    BACKEND,
    EDIT_TOOLS,
    READ_TOOLS,
    SerenaHome,
    Session,
    edit_lock,
    homes_folder,
    parsed,
    sessions,
    version_known,
)
from jupyter_llmroute.core.errors import CodeUnavailable

INSTALLED = Installed(serena=Path("/opt/serena/bin/serena"), ty=Path("/opt/serena/bin/ty"), found_by=FoundBy.PATH)
NEVER = {
    "execute_shell_command",
    "serena_repl",
    "create_text_file",
    "activate_project",
    "query_project",
    "write_memory",
    "onboarding",
    "open_dashboard",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "mon café project"
    root.mkdir()
    return root


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    return tmp_path / "homes"


def read(home: SerenaHome, name: str) -> dict[str, object]:
    return json.loads((home.folder / name).read_text("utf-8"))


@pytest.mark.parametrize(
    ("version", "edits", "tools"),
    [
        ("2.1.0", False, READ_TOOLS.keys()),
        ("2.1.0", True, READ_TOOLS.keys() | EDIT_TOOLS.keys()),
        ("1.7.0", False, READ_TOOLS.keys()),
        ("3.0.0rc1", True, READ_TOOLS.keys() | EDIT_TOOLS.keys()),
    ],
)
def test_nothing_is_trusted_and_each_tool_is_named(project, homes, version, edits, tools):
    home = SerenaHome.take(project, edits=edits, homes=homes)
    home.prepare(INSTALLED, version)
    config = read(home, "home/serena_config.yml")
    assert config["trusted_project_path_patterns"] == []
    assert set(config["fixed_tools"]) == tools
    assert NEVER.isdisjoint(config["fixed_tools"])
    assert config["project_serena_folder_location"] == str(home.folder / "project" / ".serena")
    assert config["ls_specific_settings"] == {BACKEND: {"ls_path": str(INSTALLED.ty)}}
    assert not any(config[name] for name in ("web_dashboard", "web_dashboard_open_on_launch", "gui_log_window"))
    assert config["token_count_estimator"] == "CHAR_COUNT"
    own = read(home, "project/.serena/project.yml")
    assert (own["read_only"], own["language_servers"]) == (not edits, [BACKEND])
    assert read(home, "home/context.yml")["single_project"] is True
    home.release()


def test_what_serena_wrote_there_is_written_over(project, homes):
    home = SerenaHome.take(project, edits=False, homes=homes)
    home.prepare(INSTALLED, "2.1.0")
    before = read(home, "home/serena_config.yml")
    (home.folder / "home/serena_config.yml").write_text("trusted_project_path_patterns: ['**']", "utf-8")
    home.prepare(INSTALLED, "2.1.0")
    assert read(home, "home/serena_config.yml") == before
    home.release()


def test_nothing_is_written_into_the_project_and_nobody_else_may_read(project, homes):
    home = SerenaHome.take(project, edits=True, homes=homes)
    home.prepare(INSTALLED, "2.1.0")
    assert not list(project.iterdir())
    if sys.platform != "win32":
        assert stat.S_IMODE(home.folder.parent.stat().st_mode) == 0o700
        files = [path for path in home.folder.rglob("*") if path.is_file()]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    home.release()


def test_old_logs_are_removed(project, homes):
    home = SerenaHome.take(project, edits=False, homes=homes)
    for day in range(10, 20):
        (home.folder / "home" / "logs" / f"2026-01-{day}").mkdir(parents=True)
    home.prepare(INSTALLED, "2.1.0")
    assert sorted(path.name[-2:] for path in (home.folder / "home" / "logs").iterdir()) == [
        "15",
        "16",
        "17",
        "18",
        "19",
    ]
    home.release()


@pytest.mark.parametrize(
    ("version", "interface"),
    [("1.7.0", []), ("2.0.0", ["--agent-interface", "tools"]), ("2.1.0", ["--agent-interface"])],
)
def test_it_is_started_as_its_version_wants(project, homes, version, interface):
    home = SerenaHome.take(project, edits=False, homes=homes)
    command = home.command(INSTALLED, version)
    assert command[:4] == [str(INSTALLED.serena), "start-mcp-server", "--project", str(project)]
    assert ("--agent-interface" in command) is bool(interface)
    assert command[command.index("--transport") + 1] == "stdio"
    assert command[command.index("--enable-web-dashboard") + 1] == "False"
    home.release()


def test_it_gets_the_environment_that_it_needs_and_no_more(project, homes):
    home = SerenaHome.take(project, edits=False, homes=homes)
    mine = {"PATH": f"/a{os.pathsep}/b", "HOME": "/h", "OPENAI_API_KEY": "x", "PYTHONPATH": "/p", "LANG": "C"}
    environment = home.environment(Path("/env"), mine)
    programs = str(Path("/env", "Scripts" if sys.platform == "win32" else "bin"))
    assert environment["PATH"].split(os.pathsep) == [programs, "/a", "/b"]
    assert environment["VIRTUAL_ENV"] == str(Path("/env"))
    assert environment["SERENA_USAGE_REPORTING"] == "false"
    assert environment["SERENA_HOME"] == str(home.folder / "home")
    assert {"OPENAI_API_KEY", "PYTHONPATH"}.isdisjoint(environment)
    home.release()


@pytest.mark.parametrize(
    ("installed", "version", "reason"),
    [(INSTALLED, "1.6.2", "too old"), (INSTALLED.model_copy(update={"ty": None}), "2.1.0", "'ty'")],
)
def test_what_cannot_work_is_said_before_it_is_started(project, homes, installed, version, reason):
    home = SerenaHome.take(project, edits=False, homes=homes)
    with pytest.raises(CodeUnavailable, match=reason):
        home.prepare(installed, version)
    home.release()


def test_two_kernels_of_one_project_have_a_home_each(project, homes):
    first = SerenaHome.take(project, edits=False, homes=homes)
    second = SerenaHome.take(project, edits=False, homes=homes)
    editing = SerenaHome.take(project, edits=True, homes=homes)
    other = SerenaHome.take(homes, edits=False, homes=homes)
    assert len({home.folder for home in (first, second, editing, other)}) == 4
    assert first.folder.parent == second.folder.parent == editing.folder.parent != other.folder.parent
    first.release()
    again = SerenaHome.take(project / ".." / project.name, edits=False, homes=homes)
    assert again.folder == first.folder
    assert edit_lock(project, homes).parent == first.folder.parent
    for home in (second, editing, other, again):
        home.release()


def test_what_runs_is_told_from_what_has_run(project, homes):
    living, dead = (SerenaHome.take(project, edits=edits, homes=homes) for edits in (False, True))
    session = Session(project=project, edits=False, owner=1, pid=os.getpid(), version="2.1.0", started_at=3.0)
    for home in (living, dead):
        home.write_record(session)
    dead._lock.release()  # as the end of its process does
    assert list(sessions(homes)) == [(living.folder, session)]
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    living.write_record(session.model_copy(update={"pid": gone.pid}))
    assert list(sessions(homes)) == []  # its lock is held by a process that the owner forked
    living.restart.touch()
    living.release()
    assert list(sessions(homes)) == []
    assert not living.restart.exists()


def test_a_mark_for_somebody_who_is_gone_is_not_for_the_next(project, homes):
    home = SerenaHome.take(project, edits=False, homes=homes)
    home.restart.touch()
    home._lock.release()  # as the end of its process does
    home = SerenaHome.take(project, edits=False, homes=homes)
    assert not home.restart.exists()
    home.release()


def test_a_folder_that_cannot_be_made_is_said(project, tmp_path):
    (tmp_path / "homes").write_text("a file", "utf-8")
    with pytest.raises(CodeUnavailable, match="LLMROUTE_HOME"):
        SerenaHome.take(project, edits=False, homes=tmp_path / "homes")


@pytest.mark.parametrize(
    ("version", "number"), [("2.1.0", (2, 1, 0)), ("1.7", (1, 7)), ("2.1.0rc1", (2, 1, 0)), ("2.10.3.dev4", (2, 10, 3))]
)
def test_a_version_is_compared_by_its_numbers(version, number):
    assert parsed(version) == number


def test_the_version_is_asked_for_once_until_the_program_is_another(fake_serena, homes):
    fake = fake_serena(version="1.7.0")
    assert version_known(fake.executable, homes) == "1.7.0"
    stamp = fake.executable.stat().st_mtime_ns
    fake.executable.write_text("#!/bin/sh\necho Serena 9.9.9-dev\n", "utf-8")
    os.utime(fake.executable, ns=(stamp, stamp))
    assert version_known(fake.executable, homes) == "1.7.0"
    os.utime(fake.executable, ns=(stamp + 1, stamp + 1))
    assert version_known(fake.executable, homes) == "9.9.9"
    fake.executable.unlink()
    with pytest.raises(CodeUnavailable, match="is gone"):
        version_known(fake.executable, homes)


@pytest.mark.parametrize("script", ["exit 1", "echo Another 1.0", "echo Serena", "true", "echo Serena x"])
def test_another_program_of_that_name_is_none(fake_serena, homes, script):
    fake = fake_serena()
    fake.executable.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    with pytest.raises(CodeUnavailable, match="is not Serena"):
        version_known(fake.executable, homes)


def test_homes_are_in_the_users_own_state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    assert tmp_path in homes_folder().parents
