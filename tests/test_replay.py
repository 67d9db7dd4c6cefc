"""Recorded against a server, replayed without one: the same events, the same text, the same outputs byte for byte."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import NoReturn

import nbformat
import pytest

import jupyter_llmroute
from jupyter_llmroute.core.cassette import Cassette, Mode
from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.recording import written
from jupyter_llmroute.core.request import CellRef, Format, Request, Turn
from jupyter_llmroute.view import RunView

from .core.test_router import router
from .scripted import CUT, LOADING, OVERFLOW, delta, json_reply, llamacpp, ollama, ollama_says, says, sse

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


LONG = "".join(f"Line {number}: é, 漢字, \N{GRINNING FACE}, `{{x!r}}` and $HOME\n" for number in range(40))
THOUGHT = {"role": "assistant", "content": None, "reasoning_content": "Hm.\n"}

WORLDS = {
    # the servers, by name, in the order of preference
    "an answer": [llamacpp(says("Hel", "lo"))],
    "an answer of another dialect": [ollama(ollama_says("Hel", "lo"))],
    "a long one in small pieces": [llamacpp(says(*(LONG[at : at + 7] for at in range(0, len(LONG), 7))))],
    "thoughts": [llamacpp(sse(delta(**THOUGHT), delta("So"), delta(finish="stop"), "data: [DONE]\n\n"))],
    "cut at its limit": [llamacpp(says("Hel", finish="length"))],
    "a model that is loading": [llamacpp([json_reply(LOADING, 503), says("Hello")])],
    "another server answers": [llamacpp(json_reply({"error": {"message": "no"}}, 500)), llamacpp(says("Hi"))],
    "the question alone": [llamacpp([json_reply(OVERFLOW, 400), says("Hi")])],
    "a server that breaks off": [llamacpp(sse(delta("Hel"), CUT))],
    "nobody answers": [llamacpp(json_reply({"error": {"message": "no"}}, 500))],
    "no server": [],
    "markup": [llamacpp(says("<script>alert(1)</script>", "\n![x](http://203.0.113.1/x)"))],
}

REQUEST = Request(
    question="Why is df empty?\nIt has a column {x}.",
    number=5,
    cells=(CellRef(number=1, source="df = load()", output="<Frame at 0x7f12ab34cd>"), CellRef(number=2, source="df")),
    turns=(Turn(number=3, question="What is df?", answer="A frame."),),
)


async def run(request: Request, recordings: Cassette, live) -> tuple[list[str], list, Exception | None]:
    """Return how each output looked in turn, the events, and the error at the end."""
    view, shown, came = RunView(request), [], []
    error: Exception | None = None
    try:
        async with aclosing(recordings.stream(request, live)) as events:
            async for event in events:
                came.append(written(event))
                view.apply(event)
                shown.append(json.dumps(view.bundle()))
    except LLMRouteError as failure:
        error = failure
        view.fail(failure)
    shown.append(json.dumps([view.bundle(), view.response().model_dump(mode="json")]))
    return shown, came, error


def nobody() -> NoReturn:
    raise AssertionError("somebody was asked")


@pytest.mark.parametrize("wanted", [Format.MARKDOWN, Format.CODE])
@pytest.mark.parametrize("world", WORLDS)
async def test_what_was_recorded_is_shown_again_without_any_server(world, wanted, tmp_path):
    path, request = tmp_path / "n.cassette.json", REQUEST.model_copy(update={"format": wanted})
    with ExitStack() as running:
        servers = {f"desk{number}": running.enter_context(_fresh(each)) for number, each in enumerate(WORLDS[world])}
        urls = {name: server.url for name, server in servers.items()}
        async with router(urls) as asked:
            first = await run(request, Cassette(path, Mode.ONCE), lambda: asked.stream(request))
    again = await run(request, Cassette(path, Mode.NONE, paced=False), nobody)
    assert first[0] == again[0]
    assert first[1] == again[1]
    assert (type(first[2]), str(first[2])) == (type(again[2]), str(again[2]))


def _fresh(server):
    """Return a server that was not started yet, with the same script."""
    return type(server)({line: list(due) for line, due in server.script.items()}, headers=server._headers)


KEYS = {
    "a key": "sk-proj-4f9Kq2LmZx81TnB7Vw03",
    "a token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "a cloud's": "AKIA2E0A8F3B244C9986",
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6y",
    "a password": "correct-horse-7-battery",
}


@pytest.mark.parametrize("name", KEYS)
async def test_no_secret_is_written_wherever_it_stood(name, tmp_path):
    key, path = KEYS[name], tmp_path / "n.cassette.json"
    told = f"password={key}\n" if name == "a password" else f"{key}\n"
    request = Request(
        question=f"why is this refused?\n{told}",
        number=2,
        cells=(CellRef(number=1, source=f"password = {key!r}", output=f"password={key}"),),
        turns=(Turn(number=1, question=told, answer=told),),
    )
    pieces = [told[at : at + 3] for at in range(0, len(told), 3)]
    refuses = json_reply({"error": {"message": f"Authorization: Bearer {key} is refused"}}, 400)
    thinks = sse(
        *(delta(reasoning_content=piece) for piece in pieces),
        *map(delta, pieces),
        delta(finish="stop"),
        "data: [DONE]\n\n",
    )
    with llamacpp(refuses) as one, llamacpp(thinks) as two:
        async with router({"one": one.url, "two": two.url}, key=key) as asked:
            _, _, error = await run(request, Cassette(path, Mode.ONCE), lambda: asked.stream(request))
        assert error is None
    data = path.read_text()
    assert key not in data
    assert "[masked]" in data
    renewed = request.model_copy(update={"question": request.question.replace(key, f"{key[:-3]}9Z7")})
    assert (await run(renewed, Cassette(path, Mode.NONE, paced=False), nobody))[2] is None


# --- a notebook, by nbval, in a process that reaches nothing ---

REFUSES = """
import os, sys
REACHES = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
def refuse(event, args):
    # Client and kernel speak by a library that has sockets of its own: of these no hook hears.
    if event in REACHES:
        os.close(os.open(os.environ["REACHED"], os.O_WRONLY | os.O_CREAT))
        raise PermissionError(f"{event} {args[1:]!r}")
    if event == "socket.__new__":
        os.close(os.open(os.environ["HOOKED"], os.O_WRONLY | os.O_CREAT))
sys.addaudithook(refuse)
"""
"""For `sitecustomize`: a process that tries to reach anybody, loopback included, fails."""

ASKING = """\
from pathlib import Path
from IPython.display import display
from jupyter_llmroute.core.cassette import Cassette, Mode, place
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.view import RunView

recordings = Cassette(place(None), Mode.ONCE)

async def ask(question):
    request, router = Request(question=question), Router(Settings.load(project=Path.cwd()))
    view = RunView(request)
    async for event in recordings.stream(request, lambda: router.stream(request)):
        view.apply(event)
    display(view.bundle(), raw=True)
"""

RUNS = """\
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def _ran(*command: str, cwd: Path, home: Path, **variables: str) -> str:
    """Run Python as a user of another machine does, and return what it printed."""
    home.mkdir(exist_ok=True)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(home), str(Path(jupyter_llmroute.__file__).parents[1]))),
        "LLMROUTE_HOME": str(home),
        "IPYTHONDIR": str(home),
        **variables,
    }
    done = subprocess.run([sys.executable, *command], env=env, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def _outputs(path: Path) -> list[str]:
    return [json.dumps(cell.outputs) for cell in nbformat.read(path, as_version=4).cells]


@pytest.mark.skipif(sys.platform == "win32", reason="a kernel's loop connects to itself there")
def test_a_notebook_with_its_recordings_runs_again_where_nothing_can_be_reached(tmp_path):
    here, there, hooked, reached = (tmp_path / name for name in ("here", "there", "hooked", "reached"))
    here.mkdir()
    questions = ['await ask("Write a function that returns n!")', 'await ask("And what does it cost?")']
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (ASKING, *questions)])
    nbformat.write(notebook, here / "n.ipynb")
    (here / "n.cassette.json").write_text('{"version": 1, "recordings": []}')
    with llamacpp([says("def f(n):\n", "    ..."), says("It is ", "O(n).")]) as server:
        settings = {
            "services": {"custom_endpoints": [{"name": "desk", "endpoint": server.url}]},
            "discovery": {"default_ports": False},
            "embedded": {"enabled": False},
        }
        (tmp_path / "llmroute.yaml").write_text(json.dumps(settings))
        own = {"LLMROUTE_SETTINGS": str(tmp_path / "llmroute.yaml")}
        _ran("-c", RUNS, "n.ipynb", "n.ipynb", cwd=here, home=tmp_path / "home", **own)
    assert len(server.chats) == 2
    assert server.url in (here / "n.cassette.json").read_text()
    here.rename(there)  # and the server is gone, the settings are, and what was learnt of it
    home = tmp_path / "strange"
    home.mkdir()
    (home / "sitecustomize.py").write_text(REFUSES)
    alone = {"HOOKED": str(hooked), "REACHED": str(reached), "LLMROUTE_SETTINGS": ""}
    nbval = ("-m", "pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "n.ipynb")
    assert "3 passed" in _ran(*nbval, cwd=there, home=home, **alone)
    _ran("-c", RUNS, "n.ipynb", "again.ipynb", cwd=there, home=home, **alone)
    assert _outputs(there / "again.ipynb") == _outputs(there / "n.ipynb")
    assert hooked.exists()
    assert not reached.exists()
