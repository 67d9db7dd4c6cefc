"""The terminal's commands for the audit log and for the models' digests."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import stat
from pathlib import Path

import pytest

from jupyter_llmroute import audit_cli, lock_cli
from jupyter_llmroute.core.audit.journal import AuditWarning
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.record import Ended, Fingerprint, Kept, Origin, Security, Verdict, Who
from jupyter_llmroute.core.errors import LLMRouteError

HOSTILE = "=cmd|' /C calc'!A0\x1b[31m\n\u202e<script>"
ENDED = Ended(
    question="q1",
    verdict=Verdict.COMPLETE,
    who=Who(service="desk", model=HOSTILE, digest="sha256:aa"),
    response=Fingerprint.of("the words", b"salt", Kept.TEXT),
    completion_tokens=12,
    elapsed_s=1.5,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLMROUTE_SETTINGS", str(Path(__file__).parent / "data" / "embedded-only.yaml"))
    return tmp_path / "home"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log" / "audit.jsonl"
    origin = Origin(session="s", user="ann", notebook="plan.ipynb")
    AuditLog(path, origin).append([Security(event="external addresses allowed"), ENDED])
    return path


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser(prog="jupyter-llmroute")
    commands = parser.add_subparsers(required=True)
    audit_cli.register(commands)
    models = commands.add_parser("models")
    models.set_defaults(run=lambda options: 7)
    lock_cli.register(models)
    options = parser.parse_args(argv)
    status: int = options.run(options)
    return status


def test_a_whole_log_says_so_and_gives_an_anchor(log: Path, capsys: pytest.CaptureFixture[str]):
    assert run("audit", "verify", "--log", str(log)) == 0
    whole, anchor = capsys.readouterr().out.splitlines()
    assert whole == "whole: 3 records in 1 file, none changed, removed, moved or cut off"
    assert run("audit", "verify", "--log", str(log), "--anchor", anchor.split()[-1]) == 0
    assert run("audit", "verify", "--log", str(log), "--anchor", "2:" + "0" * 64) == 1
    assert "record 2 of the anchor has another hash" in capsys.readouterr().out


def test_a_changed_log_says_where_and_fails(log: Path, capsys: pytest.CaptureFixture[str]):
    log.write_bytes(log.read_bytes().replace(b"ann", b"bob", 1))
    assert run("audit", "verify", "--log", str(log)) == 1
    out = capsys.readouterr().out
    assert "audit.jsonl, line 1: its hash is that of another text: it was changed" in out
    assert "NOT whole" in out
    assert run("audit", "verify", "--json", "--log", str(log)) == 1
    assert json.loads(capsys.readouterr().out)["is_whole"] is False


@pytest.mark.parametrize("anchor", ["x", "1", "1:ab", "-1:" + "0" * 64])
def test_an_anchor_that_does_not_read_is_named(anchor: str, log: Path):
    with pytest.raises(LLMRouteError, match="wants N:HASH"):
        run("audit", "verify", "--log", str(log), f"--anchor={anchor}")


def test_the_newest_records_are_shown_inert(log: Path, capsys: pytest.CaptureFixture[str]):
    assert run("audit", "tail", "--log", str(log), "-n", "2") == 0
    security, ended = capsys.readouterr().out.splitlines()
    assert security.split()[-3:] == ["external", "addresses", "allowed"]
    assert "complete; =cmd" in ended
    assert ended.endswith("12 tokens in 1.5 s")
    assert "\x1b" not in ended
    assert "\u202e" not in ended
    assert "the words" not in ended


def test_an_export_has_no_words_unless_asked(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for more, is_there in ((), False), (("--with-text",), True):
        for form in ("jsonl", "csv"):
            assert run("audit", "export", "--log", str(log), "--format", form, *more) == 0
            assert ("the words" in capsys.readouterr().out) is is_there
    target = tmp_path / "out.jsonl"
    assert run("audit", "export", "--log", str(log), "-o", str(target)) == 0
    assert [json.loads(line)["kind"] for line in target.read_text().splitlines()] == ["opened", "security", "ended"]
    if os.name == "posix":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(LLMRouteError, match="name a new file"):
        run("audit", "export", "--log", str(log), "-o", str(target))


def test_a_table_holds_nothing_that_a_spreadsheet_would_compute(log: Path, capsys: pytest.CaptureFixture[str]):
    run("audit", "export", "--log", str(log), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[-1]["model"] == "'" + HOSTILE
    assert (rows[-1]["completion_tokens"], rows[-1]["digest"]) == ("12", "sha256:aa")


def test_a_log_without_decisions_has_nothing_to_replay(log: Path, capsys: pytest.CaptureFixture[str]):
    assert run("audit", "replay", "--log", str(log)) == 0
    assert capsys.readouterr().out == "0 decisions came out the same, bit for bit; 0 did not\n"


READERS = [
    ("tail",),
    ("tail", "--json", "-n", "1"),
    ("export",),
    ("export", "--format", "csv"),
    ("export", "-o", "out.jsonl"),
    ("replay",),
]


@pytest.mark.parametrize("words", READERS)
def test_records_that_do_not_read_are_told(
    words: tuple[str, ...],
    log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    whole = log.read_bytes()
    for old, count, told in (
        (b"external", 1, "1 record does not read: see jupyter-llmroute audit verify\n"),
        (b"ann", 3, "3 records do not read: see jupyter-llmroute audit verify\n"),
    ):
        log.write_bytes(whole.replace(old, b"#" * len(old)))
        assert whole.count(old) == count
        assert run("audit", *words, "--log", str(log)) == 1
        (tmp_path / "out.jsonl").unlink(missing_ok=True)
        err = capsys.readouterr().err
        assert err == told
    log.write_bytes(whole + b'{"n":4')
    assert run("audit", *words, "--log", str(log)) == 0
    assert capsys.readouterr().err == "", "half a line at the end is what a writer leaves that dies"


def test_no_log_is_said(tmp_path: Path):
    with pytest.raises(LLMRouteError, match="There is no audit log"):
        run("audit", "verify")


# --- models ---


@pytest.fixture
def model(home: Path, tiny_model: Path) -> Path:
    (home / "models").mkdir(parents=True)
    target = home / "models" / "tiny.gguf"
    target.write_bytes(tiny_model.read_bytes())
    return target


def test_models_alone_is_the_command_that_it_was():
    assert run("models") == 7


def test_models_are_locked_verified_and_a_changed_one_is_reported(model: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(LLMRouteError, match="No models were locked yet"):
        run("models", "verify")
    assert run("models", "lock") == 0
    assert "Locked: 1 model in " in capsys.readouterr().out
    assert run("models", "verify") == 0
    assert "None is another than the one that was locked." in capsys.readouterr().out
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    assert run("models", "verify") == 1
    assert "1 changed" in capsys.readouterr().out
    run("audit", "tail")
    assert "model changed: tiny on embedded" in capsys.readouterr().out


def test_models_are_locked_without_a_log_where_none_is_required(
    model: Path, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LLMROUTE_SECURITY__AUDIT_LOG_PATH", str(model / "audit.jsonl"))
    with pytest.raises(LLMRouteError, match="audit log"):
        run("models", "lock")
    monkeypatch.setenv("LLMROUTE_SECURITY__AUDIT_REQUIRED", "false")
    with pytest.warns(AuditWarning, match="Answers go on without audit"):
        assert run("models", "lock") == 0


def test_a_lock_file_that_was_changed_since_is_reported(model: Path, home: Path, capsys: pytest.CaptureFixture[str]):
    run("models", "lock")
    file = home / "models.lock"
    file.write_text(file.read_text().replace('"version": 1', '"version":  1'))
    assert run("models", "verify") == 1
    assert "The lock file is not the one that was written" in capsys.readouterr().out
