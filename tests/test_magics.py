"""The magics in a real shell of a terminal, asked of a server that plays a script: what is sent, and what is shown."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_llmroute.bridge import Stopped
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.magics import RouteMagics
from jupyter_llmroute.notebook import STOPPED
from jupyter_llmroute.options import FORMATS, TASKS, split_options

from .scripted import HANG, LOADING, Scripted, delta, json_reply, llamacpp, says, sse
from .shown import NO_OTHERS

SETTINGS = """
services: {{custom_endpoints: [{endpoints}], {others}}}
embedded: {{enabled: false}}
"""


class Terminal:
    """A shell, its servers' settings, and what it printed."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._patch, self._capsys = folder, patch, capsys
        self.shell = InteractiveShell()

    def uses(self, *servers: Scripted | str) -> None:
        """Name the servers, best first, and load the extension anew."""
        urls = [server if isinstance(server, str) else server.url for server in servers]
        endpoints = ", ".join(f"{{name: s{n}, endpoint: '{url}', priority: {n}}}" for n, url in enumerate(urls))
        path = self._folder / "llmroute.yaml"
        path.write_text(SETTINGS.format(endpoints=endpoints, others=NO_OTHERS))
        self._patch.setenv("LLMROUTE_SETTINGS", str(path))
        self.shell.run_line_magic("load_ext", "jupyter_llmroute")

    def run(self, cell: str) -> tuple[BaseException | None, str]:
        """Run a cell as a user does; return what it raised, and what it printed."""
        self._capsys.readouterr()
        result = self.shell.run_cell(cell, store_history=True)
        printed = self._capsys.readouterr()
        return result.error_before_exec or result.error_in_exec, printed.out + printed.err


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))
    # Here lies no project, whose code would go along or not, as fast as it is looked into.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    terminal = Terminal(tmp_path, monkeypatch, capsys)
    yield terminal
    terminal.shell.run_line_magic("unload_ext", "jupyter_llmroute")
    # IPython keeps them in the class, so that the next shell of this process has them too.
    getattr(terminal.shell.history_manager, "outputs", {}).clear()
    terminal.shell.history_manager.end_session()
    terminal.shell.restore_sys_module_state()


def last_question(server: Scripted) -> str:
    return str(server.chats[-1].json["messages"][-1]["content"])


AS_WRITTEN = [
    "What is {x} in f'{x!r:>{width}}' and {{literal}}?",
    "$HOME, ${PATH}, $x^2$ and $$\\sum_{i=1}^n i$$, \\alpha \\\\ \\",
    '{"json": [1, {"a": null}], "quote": "\\""}',
    "%timeit x\n!ls {files}\n%%bash",
    "  leading and trailing blanks  \n\n\ttabs",
    "empty lines at the end\n\n\n",
    ">>> x = 1\nwhat does this print?\n>>> y",
    "In [1]: x = 1\nOut[1]: 5",
    "    indented\n    as it was pasted",
    "'unbalanced \"quotes ` and # hash ; and ? marks??",
    "naïve café 数据 🦉 \u202edirection\r\nand line ends",
]


@pytest.mark.parametrize("question", AS_WRITTEN)
@pytest.mark.parametrize("above", ["%%route", "%%route --no-context --seed 3", "\n\n%%route"])
def test_a_cell_arrives_character_for_character(terminal: Terminal, above: str, question: str) -> None:
    with llamacpp(says("yes")) as server:
        terminal.uses(server)
        terminal.shell.push({"x": 1, "width": 2, "files": 3})
        error, _ = terminal.run(f"{above}\n{question}")
        assert error is None
        assert last_question(server) == question


@pytest.mark.parametrize(
    "question", ["what's the {x} of $HOME \\n?", "why?", 'is "a  b" two?', "-1 is what?", "a -m b"]
)
@pytest.mark.parametrize("options", ["", "--no-context ", "--seed=3 ", "-- ", '-m "m" '])
def test_a_line_arrives_character_for_character(terminal: Terminal, options: str, question: str) -> None:
    with llamacpp(says("yes")) as server:
        terminal.uses(server)
        error, _ = terminal.run(f"%route {options}{question}")
        assert error is None
        assert last_question(server) == question


def test_under_another_magic_it_works_too(terminal: Terminal) -> None:
    with llamacpp(says("yes")) as server:
        terminal.uses(server)
        assert terminal.run("%%time\n%%route --no-context\nhello {x}")[0] is None
        assert last_question(server).strip() == "hello {x}"


def test_deltas_go_to_standard_output_once_each_under_the_decision(terminal: Terminal) -> None:
    with llamacpp(says("Hello ", "wor", "ld")) as server:
        terminal.uses(server)
        error, printed = terminal.run("%%route\nfix this: KeyError")
        head, answer, figures = printed.split("\n\n")
        assert error is None
        assert head.splitlines()[0].startswith("task     coding")
        assert " on s0" in head
        assert answer == "Hello world"
        assert figures.strip().endswith("complete")
        assert terminal.shell.user_ns["_route"].text == "Hello world"


def test_what_a_terminal_would_obey_is_not_printed(terminal: Terminal) -> None:
    with llamacpp(says("a\x1b]52;c;aGk=\x07b", "\x1b[2J\x9b", "c")) as server:
        terminal.uses(server)
        _, printed = terminal.run("%%route\nhi")
        assert not set("\x1b\x07\x9b") & set(printed)
        assert terminal.shell.user_ns["_route"].text == "a\x1b]52;c;aGk=\x07b\x1b[2J\x9bc"


def test_earlier_cells_and_answers_go_along_and_are_sent_once(terminal: Terminal) -> None:
    with llamacpp(says("forty-two")) as server:
        terminal.uses(server)
        terminal.run("speed = 299792458\nspeed")
        terminal.run("%%route\nwhat is it?")
        terminal.run("%%route\nand twice that?")
        first, second = ([message["content"] for message in chat.json["messages"]] for chat in server.chats)
        assert "speed = 299792458\nspeed" in first[-1]
        assert "Out[" in first[-1]
        assert first[-1].endswith("\nwhat is it?")
        assert second == [*first, "forty-two", "and twice that?"]
        terminal.run("%%route --no-context\nalone")
        assert [message["role"] for message in server.chats[-1].json["messages"]] == ["system", "user"]
        assert server.chats[-1].json["messages"][-1]["content"] == "alone"


def test_two_questions_of_one_cell_are_two_turns_and_a_retry_replaces_its_own(terminal: Terminal) -> None:
    with llamacpp([says("one"), says("two"), says("better two"), says("three")]) as server:
        terminal.uses(server)
        terminal.run("%route first?\n%route second?")
        model = server.chats[-1].json["model"]
        terminal.run(f"%llm_retry -m {model}")
        terminal.run("%route third?")
        contents = [message["content"] for message in server.chats[-1].json["messages"]][1:]
        assert contents == ["first?", "one", "second?", "better two", "third?"]


def test_where_nothing_can_be_clicked_a_retry_names_the_models_and_how_to_ask_them(terminal: Terminal) -> None:
    with llamacpp(says("one"), model="phi-4") as one, llamacpp(says("two"), model="qwen2.5-coder-7b") as other:
        terminal.uses(one, other)
        terminal.run("%route first?")
        error, printed = terminal.run("%llm_retry")
        assert error is None
        assert printed.startswith("Ask again: %llm_retry -m MODEL, or -t TASK.\n")
        assert "phi-4 on s0, " in printed
        assert "qwen2.5-coder-7b on s1, " in printed


def test_a_shell_without_widgets_needs_no_package_for_them(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as where it is not installed
    with llamacpp(says("one")) as server:
        terminal.uses(server)
        terminal.run("%route first?")
        error, printed = terminal.run("%llm_retry")
        assert error is None
        assert printed.startswith("Ask again: ")


@pytest.mark.parametrize("line", ["%llm_pick", "%llm_pick coding", "%llm_models"])
def test_where_nobody_can_answer_a_table_is_made_of_one_look(terminal: Terminal, line: str) -> None:
    with Scripted({}) as server:
        terminal.uses(server)
        assert terminal.run(line)[0] is None
        assert server.lines.count("GET /v1/models") == 1


def test_a_cell_that_has_just_failed_is_what_a_short_question_is_about(terminal: Terminal) -> None:
    with llamacpp(says("one")) as server:
        terminal.uses(server)
        terminal.run("%route write a README for this project")
        terminal.run("def ratio(a, b):\n    return a / b\nratio(1, 0)")
        terminal.run("%route why?")
        prompt = "".join(message["content"] for message in server.chats[-1].json["messages"])
        assert "ZeroDivisionError: division by zero" in prompt
        decision = terminal.shell.magics_manager.registry["RouteMagics"].session.last_decision
        assert decision.classification.task != "documentation"
        assert not any("goes on from" in told for told in decision.classification.evidence)


def test_a_task_is_corrected_by_asking_again(terminal: Terminal) -> None:
    with llamacpp([says("one"), says("two"), says("three")]) as server:
        terminal.uses(server)
        terminal.run("%route explain this function")
        assert terminal.shell.user_ns["_route"].task == "documentation"
        terminal.run("%llm_retry -t analysis")
        assert terminal.shell.user_ns["_route"].task == "analysis"
        assert "named by the user" in terminal.run("%llm_why")[1]
        question = server.chats[-1].json["messages"][1:]
        assert question == [{"role": "user", "content": "explain this function"}]


def test_the_next_server_answers_when_the_first_fails_before_its_first_word(terminal: Terminal) -> None:
    with llamacpp(json_reply({"error": {"message": "server busy"}}, 503)) as busy, llamacpp(says("here")) as other:
        terminal.uses(busy, other)
        error, printed = terminal.run("%%route\nhi")
        response = terminal.shell.user_ns["_route"]
        assert error is None
        # Busy may be over a moment later: it is asked once more.
        assert (response.service, response.text, [a.service for a in response.attempts]) == ("s1", "here", ["s0", "s0"])
        assert "failed   " in printed
        assert "instead  2 attempts failed before this one; m on s0, which was wanted first, did not answer" in printed


def test_a_server_that_breaks_off_leaves_what_had_come(terminal: Terminal) -> None:
    with llamacpp(sse(delta("half an ans"))) as server:
        terminal.uses(server)
        error, printed = terminal.run("%%route -o kept\nhi")
        assert type(error).__name__ == "BrokenStream"
        assert terminal.shell.user_ns["kept"].text == "half an ans"
        assert "half an ans" in printed
        assert "Traceback" not in printed


def test_the_next_server_starts_over_where_that_is_wanted(terminal: Terminal) -> None:
    with llamacpp(sse(delta("```python\nhalf = "))) as breaks, llamacpp(says("a whole answer")) as other:
        terminal.uses(breaks, other)
        error, printed = terminal.run("%%route --start-over\nhi")
        response = terminal.shell.user_ns["_route"]
        assert error is None
        assert (response.text, response.service) == ("a whole answer", "s1")
        assert set(response.abandoned) == {"```python\nhalf = "}
        assert printed.index("half = ") < printed.index("failed   m on s0") < printed.index("a whole answer")
        terminal.run("%%route\nand then?")
        assert "half" not in str(other.chats[-1].json["messages"])


def test_an_interrupt_keeps_what_had_come_and_tells_the_server(terminal: Terminal) -> None:
    with llamacpp([sse(delta("begun"), HANG), says("so")]) as server:
        terminal.uses(server)
        chat = server.arrival("POST /v1/chat/completions")
        chat.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGINT))
        error, printed = terminal.run("%%route -o kept\nhi")
        assert isinstance(error, Stopped)
        assert terminal.shell.user_ns["kept"].state == "interrupted"
        # The reply hangs: it is over when the client has left, be it before the first piece was written or after.
        assert server.chats[0].is_abandoned.exception(timeout=30) is None
        assert "Traceback" not in printed
        had_come = terminal.shell.user_ns["kept"].text
        terminal.run("%%route\nand then?")
        told = [message["content"] for message in server.chats[1].json["messages"] if message["role"] == "assistant"]
        assert told == ([f"{had_come}\n\n{STOPPED}"] if had_come else [])


CODE = "So:\n\n```python\nx = {1}\n```\n\n```bash\nls\n```\nThat is it."
TO_CELLS = {
    # cell: (what the next prompt holds, how much of the answer is shown)
    "%%route --to next\nq?": ("x = {1}", CODE),
    "%route --to next -f code q?": ("x = {1}", "x = {1}\n\nls"),
    "%%route --to=replace --format=code -o kept\nq {a}\n\n b": (
        "# %%route --to=replace --format=code -o kept\n# q {a}\n#\n#  b\nx = {1}",
        "x = {1}\n\nls",
    ),
    "# mine\n%route --to replace what's {q}?": ("# # mine\n# %route --to replace what's {q}?\nx = {1}", CODE),
    "%%time\n%%route --to replace\nq": ("# %%time\n# %%route --to replace\n# q\nx = {1}", CODE),
}


@pytest.mark.parametrize("cell", TO_CELLS)
def test_code_is_written_into_a_cell_and_never_run(terminal: Terminal, cell: str) -> None:
    expected, shown = TO_CELLS[cell]
    with llamacpp(says(*CODE)) as server:
        terminal.uses(server)
        error, printed = terminal.run(cell)
        assert error is None
        assert terminal.shell.rl_next_input == expected
        assert shown in printed
        assert ("That is it." in printed) == (shown == CODE)
        assert "The answer's code (python, 1 line) is at the next prompt; it was not run." in printed
        assert "Left in the answer: 1 block of bash." in printed
        assert "x" not in terminal.shell.user_ns
        response = terminal.shell.user_ns["_route"]
        assert (response.text, response.code) == (CODE, "x = {1}")


HOSTILE_CODE = "%run -i evil.py\n!touch evil\nprint('```')\n\x1b[2J\u202e%%bash\nget_ipython().system('touch evil')"


@pytest.mark.parametrize("mark", ["python", "bash", "", "python\n%%bash"])
def test_hostile_code_is_only_written(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    answer = f"~~~{mark}\n{HOSTILE_CODE}\n~~~"
    with llamacpp(says(answer)) as server:
        terminal.uses(server)
        monkeypatch.chdir(tmp_path)
        error, printed = terminal.run("%%route --to replace -f code\nhelp me")
        written = terminal.shell.rl_next_input
        assert error is None
        assert not (tmp_path / "evil").exists()
        assert not set("\x1b\u202e") & set(written)
        assert "2 characters that cannot be seen" in printed


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("There is none.", "The answer holds no code: no cell was written."),
        ("```python\n" + "y = 2\n" * 180_000 + "```", "more than the 200,000 that are put into a cell"),
    ],
)
def test_without_code_no_cell_is_written_and_that_is_said(terminal: Terminal, answer: str, said: str) -> None:
    with llamacpp(says(answer)) as server:
        terminal.uses(server)
        error, printed = terminal.run("%%route --to next -f code\nhi")
        assert error is None
        assert said in printed
        assert answer[:60] in printed or "y = 2" in printed
        assert not hasattr(terminal.shell, "rl_next_input")


def test_what_was_stopped_or_broke_is_kept_and_written_nowhere(terminal: Terminal) -> None:
    begun = delta("```python\nx = 1\n```\n and")
    with llamacpp(sse(begun, HANG)) as hangs, llamacpp(sse(begun)) as breaks:
        terminal.uses(breaks)
        error, printed = terminal.run("%%route --to next\nhi")
        assert type(error).__name__ == "BrokenStream"
        assert "The answer is not complete (failed): no cell was written." in printed
        terminal.shell.run_line_magic("unload_ext", "jupyter_llmroute")
        terminal.uses(hangs)
        hangs.arrival("POST /v1/chat/completions").add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGINT))
        error, printed = terminal.run("%%route --to replace\nhi")
        assert isinstance(error, Stopped)
        assert "The answer is not complete (interrupted): no cell was written." in printed
        assert not hasattr(terminal.shell, "rl_next_input")


def test_json_is_asked_for_checked_and_read(terminal: Terminal) -> None:
    with llamacpp([says('{"a": ', "null}"), says("Sure: {}"), says("so")]) as server:
        terminal.uses(server)
        error, printed = terminal.run("%%route -f json --to next -o first\nlist them")
        assert error is None
        assert terminal.shell.user_ns["first"].data == {"a": None}
        assert terminal.shell.rl_next_input == "{'a': None}"
        assert "not JSON" not in printed
        asked = server.chats[0].json
        assert asked["response_format"] == {"type": "json_object"}
        assert asked["messages"][-1]["content"].startswith("Answer with one JSON object")
        assert last_question(server).endswith("\nlist them")
        error, printed = terminal.run("%route -f json again")
        assert error is None
        assert "Sure: {}" in printed
        assert "The answer is not JSON: Expecting value: line 1 column 1 (char 0)." in printed
        model = server.chats[-1].json["model"]
        assert "The answer is not JSON" in terminal.run(f"%llm_retry -m {model}")[1]
        assert server.chats[-1].json["response_format"] == {"type": "json_object"}
        # What was sent stays what was sent.
        terminal.run("%route and in words?")
        messages = server.chats[-1].json["messages"]
        assert messages[: len(asked["messages"])] == asked["messages"]
        assert messages[-1]["content"] == "and in words?"
        assert "response_format" not in server.chats[-1].json


def test_the_formats_of_the_option_are_those_there_are() -> None:
    assert set(FORMATS) == set(Format)
    assert set(TASKS) == set(Task)


USAGE = {
    "x = 1\n%route --to replace why": "this one holds more than the question",
    "%route --to below why": "invalid choice: 'below'",
    "%route -f xml why": "invalid choice: 'xml'",
    "%route -f text --to next why": "leave one of them out",
    "%route --tempurature 0.5 why": "There is no option '--tempurature'",
    "%route -q why": "There is no option '-q'",
    '%route -m "phi 4 why?': "do not read",
    '%%route -m "phi\nhi': "do not read",
    "%%route -o class\nhi": "-o wants the name of a variable, not 'class'.",
    "%%route why not here\nhi": "unrecognized arguments: why not here",
    "%route --max-tokens 0 hi": "--max-tokens 0: Input should be greater than 0.",
    "%llm_retry": "There is no question to ask again yet",
    "%llm_services --nope": "unrecognized arguments: --nope",
    "%llm_models poetry": "invalid choice: 'poetry'",
    "%llm_models --task poetry": "invalid choice: 'poetry'",
    "%llm_why now": "unrecognized arguments: now",
}


@pytest.mark.parametrize("cell", USAGE)
def test_a_mistake_is_one_line_and_asks_nobody(terminal: Terminal, cell: str) -> None:
    with llamacpp(says("never")) as server:
        terminal.uses(server)
        error, printed = terminal.run(cell)
        assert error is not None
        assert USAGE[cell] in printed
        assert len(printed.strip().splitlines()) == 1
        assert server.chats == []


@pytest.mark.parametrize("cell", ["%%route\nhi", "%llm_services", "%llm_models", "%route --dry-run hi"])
def test_settings_that_do_not_read_are_a_short_message(
    terminal: Terminal, cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("limits: {attempts: none}")
    monkeypatch.setenv("LLMROUTE_SETTINGS", str(path))
    terminal.shell.run_line_magic("load_ext", "jupyter_llmroute")
    error, printed = terminal.run(cell)
    assert type(error).__name__ == "SettingsError"
    assert "limits.attempts" in printed
    assert "Traceback" not in printed


def test_a_server_that_is_down_is_named_with_what_to_do(terminal: Terminal) -> None:
    with llamacpp(says("x")) as gone:
        pass
    terminal.uses(gone.url)
    error, printed = terminal.run("%%route\nhi")
    assert type(error).__name__ == "RouteFailed"
    assert "s0" in printed
    assert "refused the connection: is the server running?" in printed
    assert len(printed.strip().splitlines()) == 1


def test_a_server_without_models_is_said_so(terminal: Terminal) -> None:
    with Scripted({"GET /v1/models": json_reply({"object": "list", "data": []})}) as empty:
        terminal.uses(empty)
        error, printed = terminal.run("%%route\nhi")
        assert type(error).__name__ == "RouteFailed"
        assert "it serves no model yet" in printed


def test_services_and_models_are_tables(terminal: Terminal) -> None:
    with llamacpp(model="qwen3-8b") as one, llamacpp(model="Qwen/Qwen3-8B", window=4096) as other:
        terminal.uses(one, other)
        _, services = terminal.run("%llm_services")
        head, *rows = services.strip().splitlines()
        assert head.split() == ["server", "product", "address", "state", "models", "in", "memory", "window", "priority"]
        told = [["s0", "llama.cpp", one.url, "well"], ["s1", "llama.cpp", other.url, "well"]]
        assert [row.split()[:4] for row in rows] == told
        _, models = terminal.run("%llm_models --cached")
        assert "qwen3-8b  s0, s1 as Qwen/Qwen3-8B" in models
        assert "8,192, trained for 32,768 on s0; 4,096, trained for 32,768 on s1" in models
        assert len(models.strip().splitlines()) == 2
        for named in ("coding", "--task coding"):
            _, ranked = terminal.run(f"%llm_models {named} --cached")
            assert "for coding" in ranked
            assert " points, about " in ranked
        _, scored = terminal.run("%llm_models --scores --cached")
        assert "documentation" in scored
        assert "placed: An opinion" in scored
        assert terminal.run("%llm_models --find 'no such'")[1].strip() == "No row holds 'no such'."
        assert one.chats == other.chats == []


def test_a_server_that_loads_its_model_is_waited_for_and_said_to_load(terminal: Terminal) -> None:
    with llamacpp([json_reply(LOADING, 503), says("here")]) as server:
        terminal.uses(server)
        error, printed = terminal.run("%%route\nhi")
        assert error is None
        assert "waiting  loading, 0 s\n" in printed
        assert terminal.shell.user_ns["_route"].attempts == ()


def test_why_explains_the_last_question_and_not_a_table_made_since(terminal: Terminal) -> None:
    with llamacpp(json_reply({"error": {"message": "server busy"}}, 503)) as busy, llamacpp(says("here")) as other:
        terminal.uses(busy, other)
        assert "Nothing was decided yet" in terminal.run("%llm_why")[1]
        terminal.run("%%route\nfix this: KeyError")
        terminal.run("%llm_models coding")
        _, why = terminal.run("%llm_why")
        for said in (
            "fix this: KeyError\n",
            "  coding (",
            "Wanted first: m on s0, ",
            "m on s0 (primary): ServerBusy: ",
            " → asked again\n",
            " → then m on s1\n",
            "m on s1 (primary): complete, ",
            "2 attempts failed before this one; m on s0, which was wanted first, did not answer",
        ):
            assert said in why
        terminal.run("%route --dry-run write a docstring for this function")
        _, why = terminal.run("%llm_why")
        assert "documentation (" in why
        assert "What came of it" not in why


def test_what_was_learnt_is_kept_for_the_next_session(terminal: Terminal) -> None:
    with llamacpp(says("one", " two")) as server:
        terminal.uses(server)
        terminal.run("%%route\nhi")
        terminal.shell.run_line_magic("unload_ext", "jupyter_llmroute")
        terminal.uses(server)
        terminal.run("%route --dry-run hi")
        assert "Known from earlier answers\n  m on s0: first token " in terminal.run("%llm_why")[1]


@pytest.mark.parametrize(
    ("line", "head", "question"),
    [
        ("why?", "", "why?"),
        ("-m phi4 why  {x}?", "-m phi4", "why  {x}?"),
        ("--model=phi4 --dry-run why", "--model=phi4 --dry-run", "why"),
        ("-m 'phi 4' why", "-m 'phi 4'", "why"),
        ("-- --model is what?", "", "--model is what?"),
        ("-m", "-m", ""),
        ("why -m phi4", "", "why -m phi4"),
    ],
)
def test_options_are_split_from_the_question(line: str, head: str, question: str) -> None:
    assert split_options(line, RouteMagics.route.parser) == (head, question)


def test_a_pinned_model_answers_and_takes_the_others_place_back(terminal: Terminal) -> None:
    with llamacpp(says("one"), model="qwen2.5-coder-7b") as coder, llamacpp(says("two"), model="phi-4") as other:
        terminal.uses(coder, other)
        printed = terminal.run("%llm_pick coding phi-4@s1")[1]
        assert "phi-4@s1 is pinned for coding in this session, until its kernel ends." in printed
        assert "coding         phi-4@s1 in this session  phi-4 on s1, " in printed
        printed = terminal.run("%route -t coding write a function")[1]
        assert "why      pinned for coding in this session; rated" in printed
        terminal.run("%llm_pick coding --clear")
        assert "model    qwen2.5-coder-7b on s0" in terminal.run("%llm_retry -t coding")[1]
        assert len(other.chats) == 1
        assert terminal.run("%llm_pick poetry phi-4")[0] is not None
        terminal.run("%llm_config route.model=phi-4")
        assert "route.model is set to phi-4, and wins over every pin" in terminal.run("%llm_pick qwen")[1]


def test_a_rating_is_told_counted_and_forgotten(terminal: Terminal) -> None:
    with llamacpp(says("one"), model="qwen2.5-coder-7b") as coder:
        terminal.uses(coder)
        error, _ = terminal.run("%llm_rate up")
        assert "There is no answer to rate yet" in str(error)
        terminal.run("%route -t coding write a function")
        assert "liked once for coding: +1.3 points" in terminal.run("%llm_rate up")[1]
        assert "liked once for coding: +1.3 points" in terminal.run("%llm_rate up")[1]
        assert "disliked once for coding: -1.3 points" in terminal.run("%llm_rate down")[1]
        assert "disliked once for coding" in terminal.run("%route -t coding write another")[1]
        assert "disliked once" not in terminal.run("%route -t analysis what is wrong here")[1]
        assert "qwen2.5-coder-7b  coding  disliked once  -1.3 points" in terminal.run("%llm_rate")[1]
        assert "Forgotten: 1 rating." in terminal.run("%llm_rate --forget")[1]
        assert "No answer was rated yet" in terminal.run("%llm_rate")[1]


def test_the_doctor_goes_through_its_checklist_and_has_no_model_work(terminal: Terminal) -> None:
    with llamacpp() as server:
        terminal.uses(server)
        error, printed = terminal.run("%llm_doctor")
        assert error is None
        assert "audit log" in printed
        assert " checks: " in printed.splitlines()[-1]
        assert server.chats == []
