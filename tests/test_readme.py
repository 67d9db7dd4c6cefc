"""What the README says is what the code does."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import yaml

from jupyter_llmroute.core.providers import load_providers
from jupyter_llmroute.core.settings import Settings

HERE = Path(__file__).parent
TEXT = (HERE.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_tables_are_current() -> None:
    assert runpy.run_path(str(HERE / "readme_tables.py"))["with_tables"](TEXT) == TEXT


@pytest.mark.parametrize("block", blocks("yaml"))
def test_settings_examples_load(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "llmroute.yaml"
    path.write_text(block)
    monkeypatch.setenv("LLMROUTE_SETTINGS", str(path))
    assert yaml.safe_load(block).keys() <= Settings.model_fields.keys()
    Settings.load()


def test_commands_exist() -> None:
    from jupyter_llmroute.cli import build_parser

    commands = [
        line.split("#")[0].rpartition("&& ")[2].split("<")[0]
        for block in blocks("bash")
        for line in block.splitlines()
        if "jupyter-llmroute " in line.split("#")[0].rpartition("&& ")[2]
    ]
    assert len(commands) >= 5
    for command in commands:
        assert build_parser().parse_args(shlex.split(command)[1:]).run


def test_every_server_is_in_the_table_with_its_ports() -> None:
    rows = {row[1].strip("` "): row[2] for line in TEXT.splitlines() if len(row := line.strip("|").split("|")) == 4}
    providers = load_providers()
    assert providers.keys() == rows.keys() & providers.keys()
    for name, provider in providers.items():
        assert re.findall(r"\d{4,5}", rows[name]) == [url.rpartition(":")[2] for url in provider.default_urls]


def test_linked_files_are_there() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)\s]+)\)", TEXT)
    assert links
    assert [link for link in links if not (HERE.parent / link).exists()] == []


def test_the_two_commands_of_a_fresh_machine_stand_first() -> None:
    first = blocks("bash")[0].split("\n")
    assert first[0] == 'python -m pip install ".[embedded]" && jupyter-llmroute demo'
    assert 'python -m pip install ".[test]" && python -m pytest' in TEXT
