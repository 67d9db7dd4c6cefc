import os
from pathlib import Path

import pytest

from jupyter_llmroute.core.embedded.rendezvous import Rendezvous, state_folder, try_lock


@pytest.fixture
def meeting(tmp_path):
    made = Rendezvous.of(Path("models/My model [1].gguf"), tmp_path / "state")
    made.open()
    return made


def test_one_file_has_one_name_however_it_is_written(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "models")
    names = {
        Rendezvous.of(path, tmp_path).name
        for path in (
            tmp_path / "models" / "a.gguf",
            tmp_path / "link" / "a.gguf",
            Path(os.path.relpath(tmp_path / "models" / "a.gguf")),
        )
    }
    assert len(names) == 1
    assert names != {Rendezvous.of(tmp_path / "a.gguf", tmp_path).name}


def test_any_name_of_a_model_makes_a_name_of_a_file(tmp_path):
    name = Rendezvous.of(Path("ü" * 80 + " [*?].gguf"), tmp_path).name
    assert name.isascii()
    assert len(name) < 80
    assert not set(name) & set("[]*?/\\ ")


def test_the_state_folder_is_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    assert state_folder().parent == tmp_path / "state"
    monkeypatch.delenv("LLMROUTE_HOME")
    assert "jupyter-llmroute" in state_folder().parts


def test_a_lock_is_held_once(tmp_path):
    first = try_lock(tmp_path / "x.lock")
    assert first is not None
    assert try_lock(tmp_path / "x.lock") is None
    first.release()
    assert try_lock(tmp_path / "x.lock") is not None


def test_alive_is_who_holds_the_lock(meeting):
    assert not meeting.is_alive()
    held = try_lock(meeting.alive)
    assert meeting.is_alive()
    held.release()
    assert not meeting.is_alive()


def test_the_lease_of_one_who_lives_holds_and_those_of_the_dead_go(meeting):
    meeting.lease("dead").touch()
    Rendezvous(meeting.folder, "other").lease("somebody").touch()
    assert not meeting.is_held()
    held = try_lock(meeting.lease("living"))
    assert meeting.is_held()
    meeting.sweep()
    assert {path.name for path in (meeting.folder / "leases").iterdir()} == {
        meeting.lease("living").name,
        "other.somebody.lock",
    }
    held.release()
    assert not meeting.is_held()


def test_looking_at_leases_is_not_asking(meeting):
    meeting.asked.touch()
    os.utime(meeting.asked, (1, 1))
    held = try_lock(meeting.lease("living"))
    assert meeting.is_held()
    assert meeting.asked.stat().st_mtime == 1
    held.release()


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_the_folders_are_closed_to_others(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    Rendezvous(state, "x").open()
    assert [folder.stat().st_mode & 0o777 for folder in (state, state / "leases")] == [0o700, 0o700]
