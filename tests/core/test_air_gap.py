"""Downloads past the policy, where there is no way out."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from jupyter_llmroute import cli
from jupyter_llmroute.core.air_gap import refuse_download
from jupyter_llmroute.core.errors import PolicyRefusal

GAPS: dict[str, tuple[str | None, dict[str, str], bool]] = {
    "no air gap": (None, {}, True),
    "an air gap": ("air-gapped", {}, False),
    "a folder and no index": ("air-gapped", {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "HERE"}, True),
    "a folder, and an index too": ("air-gapped", {"PIP_FIND_LINKS": "HERE"}, False),
    "an index switched on": ("air-gapped", {"PIP_NO_INDEX": "false", "PIP_FIND_LINKS": "HERE"}, False),
    "no index, and an address": ("air-gapped", {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "http://192.0.2.7/"}, False),
}


@pytest.mark.parametrize("name", GAPS)
def test_a_download_is_refused_where_there_is_no_way_out(name: str, tmp_path: Path) -> None:
    environment, environ, is_allowed = GAPS[name]
    environ = {key: value.replace("HERE", str(tmp_path)) for key, value in environ.items()}
    refused = pytest.raises(PolicyRefusal, match=r"the model is not downloaded.* bring it")
    with nullcontext() if is_allowed else refused:
        refuse_download("the model", "bring it", environment, environ)


@pytest.mark.parametrize("words", [["embedded", "fetch"], ["serena", "install"], ["serena", "wheels", "there"]])
def test_the_commands_that_download_refuse(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLMROUTE_ENVIRONMENT", "air-gapped")
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) != 0
    assert "is not downloaded" in capsys.readouterr().err
    assert not (tmp_path / "there").exists()
