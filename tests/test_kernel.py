"""`%%route` in a real kernel, answered by the real embedded server."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient

from jupyter_llmroute.core.embedded import Running
from jupyter_llmroute.core.state import StateFile
from jupyter_llmroute.view import ANSWER_MIME

# Without chance and surroundings the model goes on for more than 900 tokens: it is never done before the interrupt.
STORY = "%%route --no-context --temperature 0\nTell me a very long story about a lighthouse keeper and her cat."


@dataclass
class Ran:
    """What came of a cell."""

    status: str = ""
    bundles: list[dict[str, Any]] = field(default_factory=list)
    display_ids: set[str] = field(default_factory=set)
    streams: str = ""
    error: list[str] | None = None

    @property
    def last(self) -> dict[str, Any]:
        return self.bundles[-1]


@dataclass
class Kernel:
    manager: KernelManager
    client: BlockingKernelClient

    def run(self, code: str, interrupt_when: Callable[[dict[str, Any]], bool] | None = None) -> Ran:
        ran, interrupted = Ran(), False

        def hook(message: dict[str, Any]) -> None:
            nonlocal interrupted
            kind, content = message["header"]["msg_type"], message["content"]
            if kind in ("display_data", "update_display_data"):
                ran.bundles.append(content["data"])
                ran.display_ids.add(content["transient"].get("display_id", ""))
            elif kind == "execute_result":
                ran.bundles.append(content["data"])
            elif kind == "stream":
                ran.streams += content["text"]
            elif kind == "error":
                ran.error = content["traceback"]
            if interrupt_when and not interrupted and ran.bundles and interrupt_when(ran.last):
                interrupted = True
                self.manager.interrupt_kernel()

        reply = self.client.execute_interactive(code, timeout=120, output_hook=hook)
        ran.status = reply["content"]["status"]
        return ran

    def run_cell(self, code: str, cell: str, deleted: Sequence[str] = ()) -> Ran:
        """Run a cell of a notebook, as JupyterLab does: it tells the cell's id, and those that were deleted."""
        session, shell = self.client.session, self.client.shell_channel
        message = session.msg(
            "execute_request", {"code": code, "silent": False, "store_history": True, "stop_on_error": False}
        )
        message["metadata"] = {"cellId": cell, "deletedCells": list(deleted)}
        shell.send(message)
        ran, is_idle = Ran(), False
        while not is_idle:
            heard = self.client.get_iopub_msg(timeout=120)
            if heard["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                is_idle = heard["content"].get("execution_state") == "idle"
                ran.bundles += [heard["content"]["data"]] if heard["msg_type"] == "display_data" else []
        return ran

    def value(self, expression: str) -> Any:
        """What an expression is in the kernel, for values that `repr` writes out in full."""
        return eval(self.run(f"print(repr(({expression})))").streams)


@pytest.fixture(scope="module")
def kernel_env(embedded: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("jupyter")
    settings = Path(__file__).parent / "data" / "embedded-only.yaml"
    own = {name: str(base / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    return {**os.environ, **own, "LLMROUTE_SETTINGS": str(settings)}


@pytest.fixture(scope="module")
def kernel(kernel_env: dict[str, str]) -> Iterator[Kernel]:
    manager, client = start_new_kernel(kernel_name="python3", env=kernel_env)
    kernel = Kernel(manager, client)
    kernel.run("%load_ext jupyter_llmroute")
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_the_answer_grows_in_one_output_under_its_card(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%route --max-tokens 60 --temperature 0\nWrite a Python function that returns the factorial of n."
    )
    texts = [bundle["text/plain"] for bundle in ran.bundles]
    assert ran.status == "ok"
    assert len(ran.display_ids) == 1
    assert len(set(texts)) > 3  # it was seen to grow
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert "def factorial" in texts[-1]
    assert texts[-1] == kernel.value("_route.text")
    facts = ran.last[ANSWER_MIME]
    assert (facts["state"], facts["task"]["name"], facts["service"]) == ("complete", "coding", "embedded")
    assert facts["prompt_tokens_exact"]
    assert facts["completion_tokens"] == 60
    assert ran.last["text/markdown"].startswith("> **coding**")


def test_an_interrupt_keeps_every_character_and_stops_the_server(kernel: Kernel, embedded: Running) -> None:
    ran = kernel.run(STORY, lambda bundle: len(bundle["text/plain"]) > 60)
    assert ran.status == "error"
    assert ran.error == ["Stopped; what had come is kept."]
    assert ran.last[ANSWER_MIME]["state"] == "interrupted"
    assert ran.last["text/plain"] == kernel.value("_route.text")
    assert len(kernel.value("_route.text")) > 60
    slots = httpx.get(
        embedded.url + "/slots", headers={"authorization": f"Bearer {embedded.key.get_secret_value()}"}, trust_env=False
    )
    assert [slot["is_processing"] for slot in slots.json()] == [False]


CORPUS = [
    "What is {x} in f'{x!r:>{width}}' and {{literal}}?",
    "Explain $HOME, ${PATH}, $x^2$ and $$\\sum_{i=1}^n i$$",
    "Why does r'\\d+\\n' match? \\alpha \\\\ \\",
    '{"json": [1, {"a": null}], "quote": "\\""}',
    "%timeit x\n!ls {files}\n%%bash",
    "  leading and trailing blanks  \n\n\ttabs\n",
    "naïve café 数据 🦉 \u202edirection",
    "'unbalanced \"quotes ` and # hash ; and ? marks??",
]


@pytest.mark.parametrize("question", CORPUS)
def test_the_cell_is_sent_character_for_character(kernel: Kernel, question: str) -> None:
    kernel.run("x, width, files = 1, 2, 3\nsent = []")
    kernel.run(f"%%route --no-context --max-tokens 1\n{question}")
    # A cell magic's body ends with its line: IPython adds the line end where there is none.
    assert kernel.value("_route.question").removesuffix("\n") == question.removesuffix("\n")


def test_cells_are_followed_by_their_ids(kernel: Kernel) -> None:
    """Of a cell that ran again the newest run counts, and a deleted one is gone, as soon as the page tells."""

    def sent(cell: str, *deleted: str) -> str:
        return str(kernel.run_cell("%llm_context what is tide_height?", cell, deleted).last["text/plain"])

    kernel.run_cell("tide_height = 1", "first")
    kernel.run_cell("tide_height = 2", "second")
    number = kernel.value("len(In) - 2")
    assert f"In[{number}]" in sent("asks")
    kernel.run_cell("tide_height = 3", "second")
    again = kernel.value("len(In) - 2")
    told = sent("asks")
    assert f"In[{again}]" in told
    assert f"In[{number}]" not in told
    told = sent("asks", "second")
    assert f"In[{again}]" not in told
    assert f"In[{number - 1}]" in told
    assert f"In[{number - 1}]" not in sent("asks", "first")


LINES = ["what's the {x} of $HOME \\n?", "why?", 'is "a  b" two blanks?', "-1 is what?"]


@pytest.mark.parametrize("question", LINES)
def test_the_line_is_sent_character_for_character(kernel: Kernel, question: str) -> None:
    ran = kernel.run(f"%route --no-context --max-tokens 1 {question}")
    assert ran.status == "ok"
    assert kernel.value("_route.question") == question


def test_earlier_cells_go_along_and_questions_become_turns(kernel: Kernel) -> None:
    kernel.run("speed_of_light = 299_792_458\nspeed_of_light")
    ran = kernel.run("%%route --max-tokens 5\nWhat is speed_of_light?")
    cell = kernel.value("len(In) - 3")  # the cell before the question
    assert f"In[{cell}]" in ran.last[ANSWER_MIME]["context"]
    alone = kernel.run("%%route --max-tokens 5 --no-context\nWhat is speed_of_light?")
    assert alone.last[ANSWER_MIME]["context"] == []
    assert alone.last[ANSWER_MIME]["prompt_tokens"] < ran.last[ANSWER_MIME]["prompt_tokens"]


def test_the_response_goes_into_a_variable_also_when_it_was_stopped(kernel: Kernel) -> None:
    kernel.run("%%route -o answer --max-tokens 5\nhello")
    assert kernel.value("answer.state.value, answer is _route") == ("complete", True)
    kernel.run(STORY.replace("%%route", "%%route -o stopped"), lambda bundle: len(bundle["text/plain"]) > 20)
    assert kernel.value("stopped.state.value") == "interrupted"


MISTAKES = {
    "%%route -m no-such-model\nhi": "No server has a model 'no-such-model'. Models there are: SmolLM2",
    "%%route -s no-such-server\nhi": "There is no server named 'no-such-server'. Known servers: embedded.",
    "%%route --task poetry\nhi": "invalid choice: 'poetry'",
    "%%route --temperature 9\nhi": "--temperature 9.0: Input should be less than or equal to 2",
    "%%route --no-such-option\nhi": "unrecognized arguments: --no-such-option",
    "%%route -o 1x\nhi": "-o wants the name of a variable, not '1x'.",
    "%%route\n  \n": "There is no question",
    "%route": "There is no question",
}


@pytest.mark.parametrize("cell", MISTAKES)
def test_a_mistake_is_one_short_message(kernel: Kernel, cell: str) -> None:
    ran = kernel.run(cell)
    said = "\n".join(ran.error or []) if "UsageError" not in ran.streams else ran.streams
    assert ran.status == "error"
    assert MISTAKES[cell] in said
    assert len(said.strip().splitlines()) == 1
    assert ran.bundles == []


def test_help_reads_well(kernel: Kernel) -> None:
    reply = kernel.client.execute("%%route?", reply=True, timeout=60)
    (page,) = (payload["data"]["text/plain"] for payload in reply["content"]["payload"])
    for shown in ("Ask the local model that suits the question", "--max-tokens", "end the answer after so many tokens"):
        assert shown in page


def test_dry_run_asks_nobody(kernel: Kernel) -> None:
    before = kernel.value("id(_route)")
    ran = kernel.run("%%route --dry-run\nexplain this function")
    assert "would ask SmolLM2-135M-Instruct.Q4_1 on embedded" in ran.last["text/plain"]
    assert kernel.value("id(_route)") == before


WIDGET = "application/vnd.jupyter.widget-view+json"
TABLES = {
    "%llm_services": "| embedded | llama.cpp, built in | this machine |",
    "%llm_models": "| SmolLM2-135M-Instruct.Q4\\_1 | embedded |",
    "%llm_models coding": " points, about ",
    "%llm_models --task documentation": "| for documentation |",
    "%llm_models --scores": "| documentation |",
    "%llm_models --find smollm": "SmolLM2",
}


@pytest.mark.parametrize("line", TABLES)
def test_servers_and_models_are_tables_with_controls_of_their_own(kernel: Kernel, line: str) -> None:
    controls, table = kernel.run(line).bundles
    assert set(controls) == {WIDGET, "text/plain"}
    assert set(table) == {"text/markdown", "text/plain"}
    assert TABLES[line] in table["text/markdown"]
    assert "SmolLM2-135M-Instruct.Q4_1" in table["text/plain"]
    (alone,) = kernel.run(f"{line} --text").bundles
    assert alone["text/markdown"].split("\n")[:2] == table["text/markdown"].split("\n")[:2]


def test_the_last_decision_is_explained_in_the_words_of_the_card(kernel: Kernel) -> None:
    card = kernel.run("%%route --max-tokens 5\nfix this: KeyError").last[ANSWER_MIME]
    (why,) = kernel.run("%llm_why").bundles
    assert set(why) == {"text/markdown", "text/plain"}
    plain = why["text/plain"].split("\n")
    assert plain[0] == "fix this: KeyError"
    for reason in card["reasons"]:
        assert f"  {reason}" in plain
    assert "SmolLM2-135M-Instruct.Q4_1 on embedded (primary): complete, " in why["text/plain"]
    assert "measured: Run here, on the embedded server" in why["text/plain"]


def test_what_is_known_of_servers_is_kept_in_the_sessions_own_home(kernel: Kernel, embedded_home: Path) -> None:
    kernel.run("%%route --max-tokens 5\nhello")
    kernel.run("%unload_ext jupyter_llmroute\n%load_ext jupyter_llmroute")
    path = StateFile.of_user().path
    assert embedded_home in path.parents
    assert path.is_file()


def test_the_last_question_is_asked_again(kernel: Kernel) -> None:
    kernel.run("%%route --max-tokens 5\nonce more")
    ran = kernel.run("%llm_retry -m smollm2")
    assert ran.last[ANSWER_MIME]["state"] == "complete"
    assert kernel.value("_route.question").strip() == "once more"
    shown = kernel.run("%llm_retry").bundles
    assert WIDGET in shown[0]
    assert shown[0]["text/plain"].startswith("Ask again: %llm_retry -m MODEL, or -t TASK.\nSmolLM2-135M")
    assert shown[1:] == [{"text/plain": ""}]  # the place for the answer, outside the widget


def test_unloading_takes_everything_back(kernel: Kernel) -> None:
    kernel.run("%unload_ext jupyter_llmroute")
    assert "UsageError" in kernel.run("%route hi").streams
    kernel.run("%load_ext jupyter_llmroute")
    assert kernel.run("%route --max-tokens 1 hi").status == "ok"


def test_saved_output_shows_without_a_kernel(kernel_env: dict[str, str], tmp_path: Path) -> None:
    from nbconvert import HTMLExporter, MarkdownExporter

    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("%load_ext jupyter_llmroute"),
            nbformat.v4.new_code_cell("%%route --max-tokens 40 --temperature 0\nWrite a Python function factorial(n)."),
        ]
    )
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env=kernel_env)
    (output,) = notebook.cells[1].outputs
    assert set(output.data) == {ANSWER_MIME, "text/markdown", "text/plain"}
    assert output.data[ANSWER_MIME]["state"] == "complete"
    for exporter in (MarkdownExporter(), HTMLExporter()):
        exported, _ = exporter.from_notebook_node(notebook)
        assert "SmolLM2" in exported
        assert "factorial" in exported.split("SmolLM2")[-1]
