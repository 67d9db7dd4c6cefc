"""The doctor in the terminal and as a table: what it says, as what, and with which exit code."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import pytest

from jupyter_llmroute.core.audit.reading import records
from jupyter_llmroute.core.doctor import CHECKS, Finding, Report, Status
from jupyter_llmroute.doctor_cli import register
from jupyter_llmroute.doctor_table import as_json, as_text, bundle, table

from .scripted import llamacpp

REPORT = Report(
    findings=(
        Finding(check="proxies", status=Status.PASS, evidence="no variable names one"),
        Finding(check="open servers", status=Status.FAIL, evidence="<b>desk</b>\x1b[2J on :::1", remedy="set a key"),
    )
)


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    options = parser.parse_args(["doctor", *words])
    status: int = options.run(options)
    return status


def test_what_servers_say_comes_out_inert() -> None:
    text, shown = as_text(REPORT), bundle(REPORT)
    assert "\x1b" not in text + shown["text/plain"] + shown["text/markdown"]
    assert "<b>" not in shown["text/markdown"]
    assert text.splitlines()[-1] == table(REPORT).notes[0] == "2 checks: 1 pass, 0 warn, 1 fail"
    assert "      → set a key" in text.splitlines()
    assert json.loads(as_json(REPORT))["status"] == "fail"


@pytest.mark.parametrize(("security", "status"), [("{}", 0), ("{allow_external: true}", 1)])
def test_the_exit_code_says_whether_a_check_failed(
    security: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with llamacpp() as server:
        own = "services: {custom_endpoints: [{name: desk, endpoint: '" + server.url + "'}]}\n"
        path = tmp_path / "llmroute.yaml"
        path.write_text(
            own + f"security: {security}\nembedded: {{enabled: false}}\ndiscovery: {{default_ports: false}}"
        )
        path.chmod(0o600)
        monkeypatch.setenv("LLMROUTE_SETTINGS", str(path))
        monkeypatch.chdir(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that anything may leave is said when the settings are loaded
            code = run("--json")
        assert server.chats == [], "it has no model work"
    told = json.loads(capsys.readouterr().out)
    found = {finding["check"]: finding for finding in told["findings"]}
    assert [*found] == [name for name, _ in CHECKS]
    assert code == status == (told["status"] == "fail")
    assert found["outside addresses"]["status"] == ("fail" if status else "pass")
    assert "m on desk" in found["model checksums"]["evidence"] or "1 models" in found["model checksums"]["evidence"]


def test_an_audit_log_that_cannot_be_written_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "llmroute.yaml"
    log = tmp_path / "a file" / "audit.jsonl"
    log.parent.write_text("")
    path.write_text(
        f"security: {{audit_log_path: '{log}'}}\nembedded: {{enabled: false}}\ndiscovery: {{default_ports: false}}"
    )
    path.chmod(0o600)
    monkeypatch.setenv("LLMROUTE_SETTINGS", str(path))
    monkeypatch.chdir(tmp_path)
    assert run("--json") == 1
    found = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert found["audit log"]["status"] == "fail"
    assert "cannot be used" in found["audit log"]["evidence"]
    assert found["audit log"]["remedy"].endswith("security.audit_log_path")


@pytest.mark.parametrize(
    ("lock", "embedded", "status", "said"),
    [
        ("{", "{enabled: false}", 1, "does not read"),
        ('{"models": {}}', "{model_path: /nowhere/at/all.gguf}", 0, "not recorded"),
    ],
)
def test_a_lock_or_a_model_that_does_not_read_is_a_finding(
    lock: str,
    embedded: str,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    (tmp_path / "models.lock").write_text(lock)
    with llamacpp() as server:
        services = "services: {custom_endpoints: [{name: desk, endpoint: '" + server.url + "'}]}\n"
        path = tmp_path / "llmroute.yaml"
        path.write_text(services + f"embedded: {embedded}\ndiscovery: {{default_ports: false}}")
        path.chmod(0o600)
        monkeypatch.setenv("LLMROUTE_SETTINGS", str(path))
        monkeypatch.chdir(tmp_path)
        run("--json")
    found = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    checksums = found["model checksums"]
    assert (checksums["status"] == "fail") is bool(status)
    assert said in checksums["evidence"] or "no digest" in checksums["evidence"]


def test_what_the_doctor_is_refused_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, log = tmp_path / "llmroute.yaml", tmp_path / "log" / "audit.jsonl"
    services = "services: {custom_endpoints: [{name: desk, endpoint: 'http://192.0.2.7:8000'}]}\n"
    path.write_text(services + f"security: {{audit_log_path: '{log}'}}\nembedded: {{enabled: false}}")
    path.chmod(0o600)
    monkeypatch.setenv("LLMROUTE_SETTINGS", str(path))
    monkeypatch.chdir(tmp_path)
    run()
    assert [body["service"] for body in records(log) if body["kind"] == "refused"] == ["192.0.2.7"]
