"""The terminal's commands, as a user runs them."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jupyter_llmroute.core.embedded import Running
from jupyter_llmroute.core.state import StateFile
from jupyter_llmroute.core.task import Task

from .shown import NO_OTHERS

MODEL = "SmolLM2-135M-Instruct.Q4_1"

HOME = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
"""Where the commands keep what they see, where no test of before has made a home with a model in it."""


def run(*argv: str, stdin: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `jupyter-llmroute` as its own process."""
    script = Path(sys.executable).with_name("jupyter-llmroute")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "jupyter_llmroute.cli"]
    settings = str(Path(__file__).parent / "data" / "embedded-only.yaml")
    home = os.environ.get("LLMROUTE_HOME", HOME.name)
    return subprocess.run(
        [*command, *argv],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "LLMROUTE_SETTINGS": settings, "LLMROUTE_HOME": home, **env},
    )


def test_classify_reads_and_writes_jsonl() -> None:
    records = [
        {"id": 1, "text": "fix this: KeyError"},
        {"id": "b", "text": "书写 docstring \ud800"},
        {"id": 3, "text": ""},
    ]
    done = run("classify", stdin="\n".join(map(json.dumps, records)) + "\n\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [answer["id"] for answer in answers] == [1, "b", 3]
    assert answers[0]["label"] == "coding"
    for answer in answers:
        assert set(answer) == {"id", "label", "confidence", "needs_symbols"}
        assert 0 <= answer["confidence"] <= 1
        assert isinstance(answer["needs_symbols"], bool)


@pytest.mark.parametrize("line", ["not json", '{"id": 1}', '{"id": 1, "text": 5}', "[1]"])
def test_classify_names_the_line_that_does_not_read(line: str) -> None:
    done = run("classify", stdin='{"id": 1, "text": "hi"}\n' + line)
    assert done.returncode == 1
    assert done.stderr.startswith("jupyter-llmroute: Line 2 is not JSON with a string under 'text'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["route why? --tsk coding", "models lock --al", "embedded stop now", "--verson"])
def test_an_unknown_option_is_refused_with_the_usage_of_its_command(words: str) -> None:
    done = run(*words.split())
    command = " ".join(word for word in words.partition("--")[0].split() if word not in {"why?", "now"})
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: jupyter-llmroute {command}".strip())
    assert "jupyter_llmroute" not in done.stderr


def test_services_lists_what_runs(embedded: Running) -> None:
    done = run("services")
    assert done.stdout.split()[:2] == ["server", "product"]
    assert MODEL in done.stdout


def test_models_are_listed_and_ranked_for_a_task(embedded: Running) -> None:
    assert run("models").stdout.split()[:2] == ["model", "servers"]
    ranked = run("models", "--task", "coding", "--scores").stdout
    assert "for coding" in ranked
    assert MODEL in ranked
    assert "measured: Run here, on the embedded server" in ranked
    assert run("models", "--find", "no such").stdout == "No row holds 'no such'.\n"


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--all",)])
def test_route_explains_its_decision_on_request(more: tuple[str, ...], embedded: Running) -> None:
    done = run("route", "fix this: KeyError", "--max-tokens", "5", "--why", *more)
    assert done.returncode == 0
    why = done.stdout.partition("fix this: KeyError\n\nTask\n")[2]
    assert f"Wanted first: {MODEL} on embedded, " in why
    assert "Where its ratings come from" in why
    assert ("What came of it" in why) is (more != ("--dry-run",))


def test_a_failure_is_explained_too(embedded: Running) -> None:
    done = run("route", "-m", "phi4", "hi", "--why")
    assert done.returncode == 1
    assert "No model can answer this" in done.stdout
    assert f"not asked for: {MODEL} on embedded: only phi4 was asked for" in done.stdout
    assert len(done.stderr.strip().splitlines()) == 1


def test_route_streams_the_answer_under_the_decision(embedded: Running) -> None:
    done = run(
        "route", "Write a Python function that returns the factorial of n.", "--max-tokens", "40", "--temperature", "0"
    )
    assert done.returncode == 0
    head, answer = done.stdout.split("\n\n", 1)
    assert head.splitlines()[0].startswith("task     coding")
    assert f"model    {MODEL} on embedded" in head
    assert "def factorial" in answer
    assert "tokens/s" in answer
    assert answer.strip().endswith("complete")


def test_route_reads_a_question_from_standard_input(embedded: Running) -> None:
    done = run("route", "-", "--dry-run", stdin="fix this: {x} $HOME")
    assert f"would ask {MODEL} on embedded" in done.stdout


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("route", "-m", "phi4", "hi"), "No server has a model 'phi4'. Models there are: SmolLM2"),
        (("route", "-s", "gpu", "hi"), "There is no server named 'gpu'. Known servers: embedded."),
        (("route", "--temperature", "9", "hi"), "temperature 9.0: Input should be less than or equal to 2"),
        (("embedded", "start", "nope"), "There is no model 'nope'"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(argv: tuple[str, ...], message: str, embedded: Running) -> None:
    done = run(*argv)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_settings_that_do_not_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("limits: {attempts: none}")
    done = run("services", LLMROUTE_SETTINGS=str(path))
    assert done.returncode == 1
    assert "limits.attempts" in done.stderr
    assert "bad.yaml" in done.stderr


def test_without_any_server_it_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    path.write_text(f"services: {{{NO_OTHERS}}}\nembedded: {{enabled: false}}")
    done = run("route", "hi", LLMROUTE_SETTINGS=str(path))
    assert done.returncode == 1
    assert "No model server was found on this machine. Start one" in done.stderr


def test_demo_and_embedded_commands(embedded: Running) -> None:
    done = run("demo", "--no-download")
    assert done.returncode == 0
    for shown in (
        "What runs on this machine",
        "task     coding",
        "def factorial",
        "is a demonstration model",
        "demo --lab",
    ):
        assert shown in done.stdout
    status = run("embedded", "status").stdout
    assert f"running: {MODEL} at {embedded.url}, process {embedded.pid}" in status
    assert embedded.key.get_secret_value() not in status + done.stdout


def test_is_a_subcommand_of_jupyter() -> None:
    done = subprocess.run([sys.executable, "-m", "jupyter", "llmroute", "--version"], capture_output=True, text=True)
    assert done.stdout.strip() == "0.1.0"


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    # Answers of some 200 KiB: more than a pipe holds, so the writer is still at it when the reader goes away.
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"id": 1, "text": "fix this: KeyError"}\n' * 3000)
    command = [sys.executable, "-m", "jupyter_llmroute.cli", "classify"]
    with (
        questions.open() as lines,
        subprocess.Popen(command, stdin=lines, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
    ):
        first = process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
    assert json.loads(first)["label"] == "coding"
    assert (process.returncode, complaint) == (0, "")


def test_corrections_are_shown_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    file = StateFile.of_user()
    file.update(lambda state: state.with_named_task({Task.CODING: 0.8, Task.REASONING: 0.2}, Task.REASONING))
    shown = run("classify", "--corrections").stdout
    assert shown.startswith("1 correction; added to each task, in log-odds: coding -0.12, reasoning +0.12.")
    assert run("classify", "--forget-corrections").stdout == "Forgotten: 1 correction.\n"
    assert not file.read().lean.towards
    assert "You named no task yet" in run("classify", "--corrections").stdout


def test_what_a_coding_tool_asks_takes_its_options_from_the_settings_and_is_told_in_the_log(
    embedded: Running, tmp_path: Path
) -> None:
    log = tmp_path / "log" / "audit.jsonl"
    path = tmp_path / "llmroute.yaml"
    path.write_text(
        f"services: {{{NO_OTHERS}}}\nroute: {{task: analysis, max-tokens: 3}}\n"
        "callers: {aider: {task: reasoning}}\n"
        f"security: {{audit_log_path: {json.dumps(str(log))}}}\n"
    )
    by_aider = {"LLMROUTE_SETTINGS": str(path), "AIDER_SESSION": "1"}
    done = run("route", "hello", **by_aider)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("task     reasoning")
    assert run("route", "hello", "--dry-run", "--task", "coding", **by_aider).stdout.startswith("task     coding")
    exported = run("audit", "export", "--log", str(log), **by_aider)
    asked = [json.loads(line) for line in exported.stdout.splitlines()]
    assert {body["caller"] for body in asked} == {"aider"}
    assert [body["kind"] for body in asked] == ["opened", "decided", "started", "ended"]
    assert run("audit", "verify", "--log", str(log)).returncode == 0
    assert run("audit", "replay", "--log", str(log)).returncode == 0


def test_the_doctor_tells_its_findings_as_json(embedded: Running) -> None:
    done = run("doctor", "--json")
    found = json.loads(done.stdout)
    assert (found["status"] == "fail") is (done.returncode == 1)
    told = {one["check"]: one for one in found["findings"]}
    assert told["audit log"]["status"] == "pass"
    assert "models lock" in told["model checksums"]["remedy"]
