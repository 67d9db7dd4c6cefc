"""Settings in a real shell: who said them, setting some for a session, traitlets, and options that hold on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_llmroute.core.audit.reading import records

from .scripted import HANG, Scripted, delta, llamacpp, says, sse
from .test_magics import Terminal, last_question

KEY = "sk-do-not-show-1234"


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))
    terminal = Terminal(tmp_path, monkeypatch, capsys)
    yield terminal
    terminal.shell.run_line_magic("unload_ext", "jupyter_llmroute")
    terminal.shell.history_manager.end_session()
    terminal.shell.restore_sys_module_state()


@pytest.fixture
def server() -> Iterator[Scripted]:
    with llamacpp(says("yes")) as server:
        yield server


def row(printed: str, setting: str) -> str:
    """Return the line of a setting, with single blanks."""
    return " ".join(next(line for line in printed.splitlines() if line.startswith(f"{setting} ")).split())


def test_every_setting_is_shown_with_who_said_it(
    terminal: Terminal, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMROUTE_LIMITS__ATTEMPTS", "4")
    monkeypatch.setenv("LLMROUTE_CONTEXT", '{"max_turns": 3}')
    terminal.shell.config.LLMRoute.settings = {"limits.patience_s": 7}
    terminal.uses(server)
    terminal.run("%llm_config context.max_cells=12")
    _, shown = terminal.run("%llm_config")
    path = tmp_path / "llmroute.yaml"
    assert [row(shown, name) for name in SHOWN] == [told.format(path=path) for told in SHOWN.values()]
    first_default = next(n for n, line in enumerate(shown.splitlines()) if line.endswith(" default"))
    assert all(line.endswith(" default") for line in shown.strip().splitlines()[first_default:-2])
    assert server.chats == []


def test_switching_the_audit_log_off_is_the_last_that_it_holds(
    terminal: Terminal, server: Scripted, tmp_path: Path
) -> None:
    terminal.uses(server)
    log = tmp_path / "log" / "audit.jsonl"
    terminal.run(f"%llm_config security.audit_log_path={log} security.audit_enabled=true")
    terminal.run("%%route\nhello")
    terminal.run("%llm_config security.audit_enabled=false")
    terminal.run("%%route\nhello")
    assert [body.get("event", body["kind"]) for body in records(log)][-2:] == ["ended", "audit switched off"]


SHOWN = {
    "limits.connect_s": "limits.connect_s 5 default",
    "embedded.enabled": "embedded.enabled false file {path}",
    "services.custom_endpoints.0.name": "services.custom_endpoints.0.name s0 file {path}",
    "services.custom_endpoints.0.timeout": "services.custom_endpoints.0.timeout 30000 default",
    "limits.attempts": "limits.attempts 4 variable LLMROUTE_LIMITS__ATTEMPTS",
    "context.max_turns": "context.max_turns 3 variable LLMROUTE_CONTEXT",
    "limits.patience_s": "limits.patience_s 7 traitlets c.LLMRoute.settings",
    "context.max_cells": "context.max_cells 12 this session (%llm_config)",
    "models.excluded": "models.excluded none default",
    "models.memory_gb": "models.memory_gb unset default",
    "route.model": "route.model unset default",
}


def test_one_setting_is_explained(terminal: Terminal, server: Scripted) -> None:
    terminal.uses(server)
    _, shown = terminal.run("%llm_config context.max_cells")
    head, line = shown.strip().splitlines()
    assert head.split("  ")[0] == "setting"
    assert "what it means" in head
    assert " ".join(line.split()).startswith("context.max_cells 8 default 8 earlier cells that go along")
    assert "file " in terminal.run("%llm_config embedded.enabled")[1]
    assert "llmroute.yaml: embedded.enabled" in terminal.run("%llm_config embedded.enabled")[1]
    assert len(terminal.run("%llm_config limits")[1].strip().splitlines()) == 10


def test_what_is_set_holds_from_the_next_question_on_and_the_conversation_is_kept(terminal: Terminal) -> None:
    with llamacpp([says("forty-two"), says("eighty-four"), says("one")]) as server:
        terminal.uses(server)
        terminal.run("speed = 3")
        terminal.run("%%route\nwhat is speed?")
        error, shown = terminal.run("%llm_config context.max_cells=0 limits.attempts=2")
        assert error is None
        assert row(shown, "limits.attempts").startswith("limits.attempts 2 6 this session (%llm_config) 6 attempts for")
        terminal.run("other = speed")
        terminal.run("%%route\nand other?")
        contents = [message["content"] for message in server.chats[-1].json["messages"]]
        assert contents[-2:] == ["forty-two", "and other?"]
        terminal.run("%llm_config --reset context.max_cells")
        terminal.run("third = other")
        terminal.run("%%route\nand third?")
        assert "third = other" in last_question(server)


VALUES = {
    "models.excluded=a,b": "models.excluded a, b",
    "models.excluded=[a, 'b c']": "models.excluded a, b c",
    "models.memory_gb=null": "models.memory_gb unset",
    "discovery.default_ports=off": "discovery.default_ports false",
    "limits={attempts: 2, scan_s: 1.25}": "limits.scan_s 1.25",
    'services.ollama.endpoint="http://127.0.0.1:9"': "services.ollama.endpoint http://127.0.0.1:9",
    "services.sglang.timeout=1": "services.sglang.timeout 1",
    "task_routing.coding.primary_models=[phi-4]": "task_routing.coding.primary_models phi-4",
    "route.cells=3,5-7": "route.cells 3,5-7",
    "route.max-tokens=5": "route.max_tokens 5",
    "route.model='phi 4'": "route.model phi 4",
    "environment=air-gapped": "environment air-gapped",
    "version=1": "version 1",
    "callers={curl: {task: reasoning}}": "callers",
}


@pytest.mark.parametrize("assignment", VALUES)
def test_values_are_written_as_in_the_file(terminal: Terminal, server: Scripted, assignment: str) -> None:
    terminal.uses(server)
    error, shown = terminal.run(f"%llm_config {assignment}")
    assert error is None
    told = VALUES[assignment]
    assert row(shown, told.split(" ", maxsplit=1)[0]).startswith(told + " ")


REFUSED = {
    "context.max_cell=3": "no setting 'context.max_cell'. The nearest: 'context.max_cells', ",
    "max_cells": "no setting 'max_cells'. The nearest: 'context.max_cells', ",
    "route.tempratur=1": "no setting 'route.tempratur'. The nearest: 'route.temperature'",
    "task_routing.poetry.min_context=1": "The nearest: 'task_routing.coding.min_context'",
    "limits.attempts.x=3": "no setting 'limits.attempts.x'. The nearest: 'limits.attempts'",
    "route.model.x=3": "no setting 'route.model.x'",
    "=": "no setting '='",
    "limits.attempts=0": "attempts: Input should be greater than or equal to 1, not 0 (this session (%llm_config))",
    "context.max_cells=many": "context.max_cells: Input should be a valid integer",
    "route.task=poetry": "route.task: invalid choice: 'poetry'",
    "route.no_context=perhaps": "route.no_context wants true or false, not 'perhaps'",
    "route.timeout=0": "route.timeout: wants seconds, above 0 and at most 86400, not '0'",
    "route=3": "route: Input should be a valid dictionary",
    "services.custom_endpoints.0.priority=3": "is a list, and set as a whole: write services.custom_endpoints=[…]",
    "services.custom_endpoints=[{name: x, endpoint: 'http://127.0.0.1:9', api_style: lama}]": "is no known dialect",
    "models.catalog=[{id: x, scores: 3}]": "The catalog's entry 'x' does not read",
    "limits.attempts=[": "is not YAML",
    "environment=air-gapped security.allow_external=true": "contradict each other",
    f"services.ollama.endpoint=http://me:{KEY}@127.0.0.1": "must not hold a name or a password",
    f"services.ollama.apikey={KEY}": "no setting 'services.ollama.apikey'. The nearest: 'services.ollama.api_key'",
    "--reset limits.attempts=3": "'limits.attempts' without a value, or leave --reset out",
    "--reset limits.atempts": "The nearest: 'limits.attempts'",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_is_named_and_changes_nothing(terminal: Terminal, server: Scripted, words: str) -> None:
    terminal.uses(server)
    before = terminal.run("%llm_config")[1]
    error, printed = terminal.run(f"%llm_config {words}")
    assert error is not None
    assert REFUSED[words] in printed
    assert "Traceback" not in printed
    assert KEY not in printed
    assert terminal.run("%llm_config")[1] == before


def test_what_was_set_is_taken_back(terminal: Terminal, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMROUTE_LIMITS__ATTEMPTS", "4")
    terminal.uses(server)
    before = terminal.run("%llm_config")[1]
    terminal.run("%llm_config limits.attempts=2 limits.scan_s=1 route.seed=3")
    _, shown = terminal.run("%llm_config --reset limits.attempts")
    assert row(shown, "limits.attempts").startswith("limits.attempts 4 2 variable LLMROUTE_LIMITS__ATTEMPTS 6 ")
    assert "limits.attempts was not set in this session." in terminal.run("%llm_config --reset limits.attempts")[1]
    _, shown = terminal.run("%llm_config --reset")
    assert [line.split()[0] for line in shown.strip().splitlines()] == ["setting", "limits.scan_s", "route.seed"]
    assert terminal.run("%llm_config")[1] == before
    assert terminal.run("%llm_config --reset")[1].strip() == "This session has set nothing."


def test_a_key_is_masked_wherever_it_comes_from(
    terminal: Terminal, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMROUTE_SERVICES__JAN__API_KEY", KEY)
    terminal.uses(server)
    _, shown = terminal.run(f"%llm_config services.ollama.api_key={KEY}")
    assert row(shown, "services.ollama.api_key").startswith("services.ollama.api_key [masked] unset this session")
    assert "stays in the notebook" in shown
    for line in ("%llm_config", "%llm_config services", "%llm_config services.jan.api_key"):
        shown += terminal.run(line)[1]
    assert row(shown, "services.jan.api_key").startswith("services.jan.api_key [masked] variable LLMROUTE_")
    assert KEY not in shown


def test_a_key_is_masked_in_a_line_that_does_not_read(terminal: Terminal, server: Scripted) -> None:
    terminal.uses(server)
    error, printed = terminal.run(f'%llm_config services.ollama.api_key={KEY} "')
    assert error is not None
    assert KEY not in printed


def asked(server: Scripted) -> dict[str, Any]:
    return dict(server.chats[-1].json)


def test_options_hold_on_and_a_calls_own_win(terminal: Terminal, server: Scripted) -> None:
    terminal.uses(server)
    terminal.run("speed = 3")
    terminal.run("%llm_config route.temperature=0.5 route.max_tokens=7 route.no_context=true route.output=kept")
    assert terminal.run("%%route\nwhat is speed?")[0] is None
    assert (asked(server)["temperature"], asked(server)["max_tokens"]) == (0.5, 7)
    assert last_question(server) == "what is speed?"
    assert terminal.shell.user_ns["kept"].text == "yes"
    terminal.run("%route --temperature 1.5 --max-tokens 9 what is speed?")
    assert (asked(server)["temperature"], asked(server)["max_tokens"]) == (1.5, 9)
    terminal.run("%llm_config --reset route")
    terminal.run("%route and now?")
    assert "temperature" not in asked(server)
    assert "speed = 3" in last_question(server)


@pytest.mark.parametrize("source", ["file", "variable", "traitlets"])
def test_options_come_from_everywhere(
    terminal: Terminal, server: Scripted, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "variable":
        monkeypatch.setenv("LLMROUTE_ROUTE__MAX_TOKENS", "6")
    if source == "traitlets":
        terminal.shell.config.RouteMagics.settings = {"route": {"max-tokens": 6}}
    terminal.uses(server)
    if source == "file":
        path = tmp_path / "llmroute.yaml"
        path.write_text(path.read_text() + "route: {max-tokens: 6}\n")
    assert terminal.run("%route hi")[0] is None
    assert asked(server)["max_tokens"] == 6
    assert f" {source} " in row(terminal.run("%llm_config")[1], "route.max_tokens")


def test_a_bad_option_of_the_file_is_named_with_the_file(terminal: Terminal, server: Scripted, tmp_path: Path) -> None:
    terminal.uses(server)
    path = tmp_path / "llmroute.yaml"
    text = path.read_text()
    for said, told in (("{modle: x}", "no setting 'route.modle'"), ("{seed: x}", "route.seed: invalid int value")):
        path.write_text(f"{text}route: {said}\n")
        error, printed = terminal.run("%route hi")
        assert type(error).__name__ == "SettingsError"
        assert told in printed
        assert f"file {path}" in printed
        terminal.shell.run_line_magic("reload_ext", "jupyter_llmroute")
    assert server.chats == []


def test_traitlets_say_what_the_file_may_say_and_the_nearer_class_wins(terminal: Terminal, server: Scripted) -> None:
    terminal.shell.config.LLMRoute.settings = {"limits": {"attempts": 2}}
    terminal.uses(server)
    assert "limits.attempts 2 traitlets c.LLMRoute.settings" in row(terminal.run("%llm_config")[1], "limits.attempts")
    terminal.run("%config RouteMagics.settings = {'limits.attempts': 3}")
    told = row(terminal.run("%llm_config")[1], "limits.attempts")
    assert "limits.attempts 3 traitlets " in told
    assert "RouteMagics.settings" in told
    terminal.run("%config RouteMagics.settings = {'limts.attempts': 3}")
    error, printed = terminal.run("%route hi")
    assert type(error).__name__ == "SettingsError"
    assert "limts: Extra inputs are not permitted (traitlets " in printed


QUESTIONS = ["%%ask\nwhy {x}?", "%ask why {x}?", "%%ask --seed 3\nwhy {x}?", "%%time\n%%ask\nwhy {x}?"]


@pytest.mark.parametrize("cell", QUESTIONS)
def test_ask_is_another_name(terminal: Terminal, server: Scripted, cell: str) -> None:
    terminal.uses(server)
    terminal.shell.push({"x": 1})
    assert terminal.run(cell)[0] is None
    assert last_question(server).strip() == "why {x}?"


def test_cells_of_an_alias_are_turns_and_no_context(terminal: Terminal) -> None:
    with llamacpp([says("one"), says("two")]) as server:
        terminal.shell.config.LLMRoute.aliases = ["ask", "llm"]
        terminal.uses(server)
        terminal.run("%%llm\nfirst?")
        terminal.run("%ask second?")
        contents = [message["content"] for message in server.chats[-1].json["messages"]]
        assert contents[1:] == ["first?", "one", "second?"]


def test_a_magic_of_the_users_is_never_replaced(terminal: Terminal, server: Scripted) -> None:
    def ask(line: str, cell: str | None = None) -> str:
        return "the user's"

    terminal.shell.register_magic_function(ask, "line_cell", "ask")
    terminal.uses(server)
    assert "the user's" in terminal.run("%ask why")[1]
    assert "the user's" in terminal.run("%%ask\nwhy")[1]
    terminal.shell.run_line_magic("unload_ext", "jupyter_llmroute")
    assert terminal.shell.find_line_magic("ask") is ask
    assert server.chats == []


@pytest.mark.parametrize("aliases", [[], ["other"]])
def test_aliases_are_chosen_and_leave_with_the_extension(
    terminal: Terminal, server: Scripted, aliases: list[str]
) -> None:
    terminal.shell.config.LLMRoute.aliases = aliases
    terminal.uses(server)
    assert terminal.shell.find_line_magic("ask") is None
    assert [name for name in aliases if terminal.shell.find_cell_magic(name) is None] == []
    terminal.shell.run_line_magic("unload_ext", "jupyter_llmroute")
    assert [name for name in ("route", *aliases) if terminal.shell.find_cell_magic(name)] == []


def test_an_alias_that_is_no_name_is_said_and_passed_over(terminal: Terminal, server: Scripted) -> None:
    terminal.shell.config.LLMRoute.aliases = ["a b"]
    with pytest.warns(UserWarning, match="An alias of %route is one word, not 'a b'"):
        terminal.uses(server)


def test_a_timeout_ends_the_whole_chain_and_says_so(terminal: Terminal) -> None:
    with llamacpp(sse(HANG)) as silent, llamacpp(says("never in time")) as other:
        terminal.uses(silent, other)
        terminal.run("%llm_services")
        error, printed = terminal.run("%route --timeout 1 hi")
        assert type(error).__name__ == "RouteFailed"
        assert "m on s0 took longer than a question may (--timeout 1)" in printed
        assert other.chats == []


def test_a_timeout_in_the_middle_keeps_what_had_come(terminal: Terminal) -> None:
    with llamacpp(sse(delta("begun"), HANG)) as server:
        terminal.uses(server)
        terminal.run("%llm_services")
        error, printed = terminal.run("%route --timeout 3 -o kept hi")
        assert type(error).__name__ == "TimedOut"
        assert "took longer than a question may (--timeout 3)" in printed
        assert terminal.shell.user_ns["kept"].text == "begun"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "86401", "soon"])
def test_a_timeout_is_bounded(terminal: Terminal, server: Scripted, seconds: str) -> None:
    terminal.uses(server)
    error, printed = terminal.run(f"%%route --timeout={seconds}\nhi")
    assert error is not None
    assert f"--timeout: wants seconds, above 0 and at most 86400, not '{seconds}'" in printed
    assert server.chats == []


def test_an_answer_is_explained_below_itself(terminal: Terminal, server: Scripted) -> None:
    terminal.uses(server)
    _, printed = terminal.run("%route --explain fix this: KeyError")
    answer, why = printed.index("yes"), printed.index("Wanted first: m on s0, ")
    assert answer < why
    assert "m on s0 (primary): complete, " in printed[why:]
    assert "Wanted first" not in terminal.run("%route hi")[1]
    assert "Wanted first" in terminal.run("%route --dry-run --explain hi")[1]


def test_a_failure_is_explained_too(terminal: Terminal) -> None:
    with llamacpp(sse(delta("half an ans"))) as server:
        terminal.uses(server)
        error, printed = terminal.run("%route -e hi")
        assert type(error).__name__ == "BrokenStream"
        assert "Wanted first: m on s0, " in printed


def test_short_names_stand_for_the_long_ones(terminal: Terminal, server: Scripted) -> None:
    terminal.uses(server)
    terminal.run("one = 1")
    terminal.run("two = 2")
    terminal.run("%route -c 1 -v two what?")
    assert "one = 1" in last_question(server)
    assert "two = 2" not in last_question(server)
    assert "two" in last_question(server)
    assert "would ask m on s0" in terminal.run("%route -n what?")[1]
