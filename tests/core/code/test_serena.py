"""Serena from the first question to the last: over real pipes, with a fake that says what the real one said."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Source
from jupyter_llmroute.core.code.jsonrpc import CallRefused, CallTimedOut, PeerLost
from jupyter_llmroute.core.code.serena import Serena
from jupyter_llmroute.core.code.serena_home import edit_lock, sessions
from jupyter_llmroute.core.code.serena_life import Stage
from jupyter_llmroute.core.code.serena_shapes import BackendFailed, TooSlow
from jupyter_llmroute.core.embedded.rendezvous import try_lock
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused

from ...code.sample import contents, write

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="the fake is started by a script"),
]

READY_S = 60
MODELS, PRICING = "shop/models.py", "shop/pricing.py"
ORDER = CodeQuestion(ask=Ask.DEFINITION, name_path="Order/total", file=MODELS)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def project(tmp_path):
    return write(tmp_path / "projects")


@pytest.fixture
def make(project, tmp_path):
    """Make a Serena out of a fake."""

    def made(fake, **options):
        return Serena(project, executable=fake.executable, homes=tmp_path / "homes", **{"look_s": 0.01, **options})

    return made


async def until(serena: Serena, *stages: Stage) -> None:
    while serena.state.stage not in stages:
        await serena.changed()


def brief(found):
    return [(one.file, one.first_line, one.last_line, one.kind, one.name_path) for one in found]


ANSWERS = [
    (ORDER, [(MODELS, 28, 30, "method", "Order/total")]),
    (ORDER.model_copy(update={"name_path": "Order.total"}), [(MODELS, 28, 30, "method", "Order/total")]),
    (CodeQuestion(ask=Ask.DEFINITION, file=MODELS, line=29), [(MODELS, 28, 30, "method", "Order/total")]),
    (CodeQuestion(ask=Ask.DEFINITION, file="shop/half.py", line=6), [("shop/half.py", 5, 6, "function", "finished")]),
    (CodeQuestion(ask=Ask.DEFINITION, name_path="no_such"), []),
    (CodeQuestion(ask=Ask.DEFINITION, name_path="models"), []),
    (CodeQuestion(ask=Ask.DOCUMENTATION, name_path="compute_total"), [(PRICING, 26, 28, "function", "compute_total")]),
    (
        CodeQuestion(ask=Ask.REFERENCES, name_path="Order.total", file=MODELS),
        [
            ("shop/half.py", 6, 6, "function", "finished"),
            (PRICING, 16, 16, "method", "FlatPolicy/price"),
            (PRICING, 23, 23, "method", "DiscountPolicy/price"),
        ],
    ),
    (CodeQuestion(ask=Ask.REFERENCES, name_path="no_such", file=PRICING), []),
    (
        CodeQuestion(ask=Ask.REFERENCES, name_path="price", file=PRICING),
        [(PRICING, 28, 28, "function", "compute_total")],
    ),
    (
        CodeQuestion(ask=Ask.IMPLEMENTATIONS, name_path="Policy", file=PRICING),
        [(PRICING, 14, 16, "class", "FlatPolicy"), (PRICING, 19, 23, "class", "DiscountPolicy")],
    ),
    (
        CodeQuestion(ask=Ask.DIAGNOSTICS, name_path="broken"),
        [("shop/report.py", line, line, "error", "broken") for line in (8, 9, 10)],
    ),
    (CodeQuestion(ask=Ask.DIAGNOSTICS, file=PRICING), []),
]


@pytest.mark.parametrize("version", ["1.7.0", "2.1.0"])
async def test_each_question_has_its_answer_in_both_versions(make, fake_serena, version):
    async with make(fake_serena(version=version)) as serena:
        await serena.ready(READY_S)
        assert serena.state.version == version
        for question, answer in ANSWERS:
            found = await serena.find(question)
            assert brief(found) == answer, question
            assert {one.source for one in found} <= {Source.SERENA}
            assert {one.ask for one in found} <= {question.ask}
        overview = await serena.find(CodeQuestion(ask=Ask.OVERVIEW, file=MODELS))
        assert len(overview) == 11


async def test_a_body_has_the_indentation_that_it_has_in_the_file(make, fake_serena, project):
    async with make(fake_serena()) as serena:
        await serena.ready(READY_S)
        (found,) = await serena.find(ORDER)
        lines = (project / MODELS).read_text("utf-8").split("\n")
        assert found.body.split("\n") == lines[found.first_line - 1 : found.last_line]
        (project / MODELS).write_text("# another file now\n", "utf-8")
        (found,) = await serena.find(ORDER)
        assert found.body.startswith("def total(")


REFUSED = [
    ({"file": "analysis.ipynb"}, "py and .pyi files alone, not about 'analysis.ipynb'"),
    ({"file": "cell:1"}, "alone, not about 'cell:1'"),
    ({"file": "../secret.py", "name_path": "x"}, "There is no file"),
    ({"file": "link.py", "name_path": "x"}, "There is no file"),
    ({"file": "no_such.py", "name_path": "x"}, "There is no file"),
    ({"file": "a\x00b.py", "name_path": "x"}, "There is no file"),
    ({"ask": Ask.CALLERS, "name_path": "x"}, "cannot be asked for 'callers'"),
    ({"ask": Ask.DEFINITION}, "needs the name of a symbol"),
    ({"ask": Ask.DEFINITION, "file": MODELS}, "needs the name of a symbol"),
    ({"ask": Ask.DEFINITION, "file": MODELS, "line": 1}, "Line 1 of 'shop/models.py' is in no function or class"),
]


@pytest.mark.parametrize(("question", "reason"), REFUSED)
async def test_what_serena_would_read_wrongly_is_never_asked(make, fake_serena, project, question, reason):
    (project.parent / "secret.py").write_text("x = 1", "utf-8")
    (project / "link.py").symlink_to(project.parent / "secret.py")
    fake = fake_serena()
    async with make(fake) as serena:
        await serena.ready(READY_S)
        before = len(fake.calls())
        with pytest.raises(CodeUnavailable, match=reason):
            await serena.find(CodeQuestion(**{"ask": Ask.DIAGNOSTICS, **question}))
        assert len(fake.calls()) == before
        with pytest.raises(CodeUnavailable, match="There is no file"):
            await serena.find(ORDER.model_copy(update={"file": str(project / MODELS)}))


async def test_a_question_before_it_is_ready_is_refused_at_once_and_starts_it(make, fake_serena):
    async with make(fake_serena()) as serena:
        assert serena.state.stage is Stage.ASLEEP
        with pytest.raises(CodeUnavailable, match="is starting"):
            await serena.find(ORDER)
        await until(serena, Stage.READY)
        assert await serena.find(ORDER)
        assert serena.state.starts == 1


async def test_while_it_reads_the_project_it_says_so(make, fake_serena):
    async with make(fake_serena("never ready")) as serena:
        serena.start()
        await until(serena, Stage.INDEXING)
        with pytest.raises(CodeUnavailable, match="for the first time"):
            await serena.ready(0)
        with pytest.raises(CodeUnavailable, match="for the first time"):
            await serena.find(ORDER)


async def test_without_serena_the_remedy_is_said_each_time(project, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LLMROUTE_SERENA__EXECUTABLE", raising=False)
    async with Serena(project, homes=tmp_path / "homes") as serena:
        for ask in (serena.find(ORDER), serena.find(ORDER), serena.ready(READY_S)):
            with pytest.raises(CodeUnavailable, match="`jupyter-llmroute serena install`"):
                await ask
        assert serena.state.stage is Stage.NOT_INSTALLED


async def test_a_setting_that_names_nothing_is_said(project, tmp_path):
    async with Serena(project, executable=tmp_path / "no such", homes=tmp_path / "homes") as serena:
        with pytest.raises(CodeUnavailable, match="is no program"):
            await serena.find(ORDER)
        assert serena.state.stage is Stage.FAILED


@pytest.mark.parametrize(
    ("behaviour", "options", "reason"),
    [
        ("backend failed", {}, "language server did not start"),
        ("dies at start", {}, "its output ended"),
        ("another program", {}, "is not Serena"),
        ("", {"with_ty": False}, "needs the type checker 'ty'"),
    ],
)
async def test_a_start_that_fails_says_why_in_our_words(
    make, fake_serena, monkeypatch, tmp_path, behaviour, options, reason
):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    async with make(fake_serena(behaviour, **options)) as serena:
        with pytest.raises(CodeUnavailable, match=reason) as failure:
            await serena.ready(READY_S)
        assert "Stop, do not" not in str(failure.value)


FAILING_CALLS = [
    ("please be slow", 0.001, CallTimedOut),
    ("please refuse", 30, CallRefused),
    ("please answer strangely", 30, CodeUnavailable),
    ("please time out", 30, TooSlow),
]


@pytest.mark.parametrize(("name", "timeout_s", "error"), FAILING_CALLS)
async def test_a_call_that_fails_leaves_the_session_alive(make, fake_serena, name, timeout_s, error):
    async with make(fake_serena("talks")) as serena:
        await serena.ready(READY_S)
        question = CodeQuestion(ask=Ask.DEFINITION, name_path=name)
        with pytest.raises(error):
            await serena.find(question, timeout_s=timeout_s)
        assert await serena.find(ORDER)
        assert serena.state.starts == 1


async def test_once_it_is_ready_somebody_has_asked_for_uses_before(make, fake_serena, project):
    fake = fake_serena()
    async with make(fake) as serena:
        await serena.ready(READY_S)
        [asked] = fake.calls("find_referencing_symbols")
        text = (project / asked["relative_path"]).read_text("utf-8")
        assert f" {asked['name_path'].removeprefix('/')}" in text
        await serena.ready_to_edit(READY_S)
        assert len(fake.calls("find_referencing_symbols")) == 1, "a session for changes needs none"


async def test_a_project_without_symbols_has_nothing_to_ask_about(fake_serena, tmp_path):
    (tmp_path / "bare").mkdir()
    fake = fake_serena()
    async with Serena(tmp_path / "bare", executable=fake.executable, homes=tmp_path / "homes") as serena:
        await serena.ready(READY_S)
    assert fake.calls("find_referencing_symbols") == []


async def test_a_question_that_is_called_off_is_called_off_there_too(make, fake_serena):
    fake = fake_serena()
    async with make(fake) as serena:
        await serena.ready(READY_S)
        asking = asyncio.ensure_future(serena.find(CodeQuestion(ask=Ask.DEFINITION, name_path="please be slow")))
        while not any("slow" in str(call) for call in fake.calls()):
            await serena.find(ORDER)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await serena.find(ORDER)
        assert "notifications/cancelled" in {message.get("method") for message in fake.messages()}


@pytest.mark.parametrize("how", ["by itself", "killed"])
async def test_one_that_dies_is_started_anew(make, fake_serena, how):
    async with make(fake_serena()) as serena:
        await serena.ready(READY_S)
        if how == "killed":
            asking = asyncio.ensure_future(serena.find(CodeQuestion(ask=Ask.DEFINITION, name_path="please be slow")))
            await asyncio.sleep(0)
            os.kill(serena.state.pid, signal.SIGKILL)
        else:
            asking = asyncio.ensure_future(serena.find(CodeQuestion(ask=Ask.DEFINITION, name_path="please die")))
        with pytest.raises(PeerLost):
            await asking
        await until(serena, Stage.STARTING)
        await serena.ready(READY_S)
        assert await serena.find(ORDER)
        assert serena.state.starts == 2


async def test_many_questions_at_once_are_answered_each(make, fake_serena):
    async with make(fake_serena()) as serena:
        await serena.ready(READY_S)
        answers = await asyncio.gather(*(serena.find(question) for question, _ in ANSWERS))
        assert [brief(answer) for answer in answers] == [answer for _, answer in ANSWERS]


async def test_one_that_nobody_asks_ends_and_the_next_question_starts_it(make, fake_serena):
    async with make(fake_serena(), idle_s=0) as serena:
        await serena.ready(READY_S)
        process = psutil.Process(serena.state.pid)
        await until(serena, Stage.ASLEEP)
        assert not process.is_running()
        with pytest.raises(CodeUnavailable, match="is starting"):
            await serena.find(ORDER)
        await until(serena, Stage.READY)
        assert serena.state.starts == 2


async def test_it_is_started_anew_when_somebody_asks_from_outside(make, fake_serena, tmp_path):
    async with make(fake_serena()) as serena:
        await serena.ready(READY_S)
        ((home, session),) = sessions(tmp_path / "homes")
        assert (session.pid, session.owner, session.edits) == (serena.state.pid, os.getpid(), False)
        home.with_suffix(".restart").touch()
        await until(serena, Stage.STARTING)
        await until(serena, Stage.READY)
        assert serena.state.starts == 2
        await serena.restart()
        await until(serena, Stage.READY)
        assert serena.state.starts == 3


@pytest.mark.parametrize("behaviour", ["", "stays"])
async def test_closing_leaves_nothing(make, fake_serena, project, tmp_path, behaviour):
    before = contents(project)
    async with make(fake_serena(behaviour)) as serena:
        await serena.ready(READY_S)
        tree = [psutil.Process(serena.state.pid), *psutil.Process(serena.state.pid).children(recursive=True)]
    assert not any(process.is_running() for process in tree)
    assert not list(sessions(tmp_path / "homes"))
    assert contents(project) == before
    (log,) = (tmp_path / "homes").rglob("read-0.log")
    assert log.read_text("utf-8") == "something for the log\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_it_is_told_where_imports_are_and_nothing_of_ours(make, fake_serena, project, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    fake = fake_serena()
    async with make(fake, prefix=Path("/some/env")) as serena:
        await serena.ready(READY_S)
    started = fake.messages()[0]
    assert started["environment"]["PATH"].startswith(f"/some/env/bin{os.pathsep}")
    assert started["environment"]["VIRTUAL_ENV"] == "/some/env"
    assert "OPENAI_API_KEY" not in started["environment"]
    assert Path(started["folder"]) != project
    assert started["arguments"][:3] == ["start-mcp-server", "--project", str(project)]


EDITS = [
    ("replace_body", (PRICING, "payable", "payable = 1"), ["replace_symbol_body"]),
    ("insert_after", (PRICING, "payable", "more = 2"), ["insert_after_symbol"]),
    ("insert_before", (PRICING, "payable", "less = 2"), ["insert_before_symbol"]),
    ("rename", (PRICING, "compute_total", "payable"), ["find_referencing_symbols", "rename_symbol"]),
    ("safe_delete", (PRICING, "more"), ["safe_delete_symbol"]),
]


@pytest.mark.parametrize(("method", "arguments", "tools"), EDITS)
async def test_a_change_goes_to_a_session_of_its_own(make, fake_serena, tmp_path, method, arguments, tools):
    fake = fake_serena()
    async with make(fake) as serena:
        assert await getattr(serena, method)(*arguments) is None
        ((home, session),) = sessions(tmp_path / "homes")
        assert session.edits
        assert serena.state.stage is Stage.ASLEEP
    called = [message["params"]["name"] for message in fake.messages() if message.get("method") == "tools/call"]
    assert called == ["find_symbol", *tools]
    assert '"read_only": false' in (home / "project" / ".serena" / "project.yml").read_text("utf-8")


async def test_what_serena_refuses_to_change_is_refused(make, fake_serena):
    async with make(fake_serena()) as serena:
        with pytest.raises(EditRefused, match="still used"):
            await serena.safe_delete(PRICING, "compute_total")
        for file in ("", "analysis.ipynb", "../x.py"):
            with pytest.raises(CodeUnavailable):
                await serena.replace_body(file, "x", "y")


async def test_a_change_waits_for_that_of_another_kernel(make, fake_serena, project, tmp_path):
    fake = fake_serena()
    async with make(fake) as serena:
        path = edit_lock(project, tmp_path / "homes")
        path.parent.mkdir(parents=True)
        held = try_lock(path)
        changing = asyncio.ensure_future(serena.replace_body(*EDITS[0][1]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.shield(changing)
        assert not fake.asked.exists() or not fake.calls("replace_symbol_body")
        held.release()
        await changing
        assert len(fake.calls("replace_symbol_body")) == 1


async def test_a_change_that_is_called_off_writes_nothing_later(make, fake_serena, tmp_path):
    fake = fake_serena()
    async with make(fake) as serena:
        changing = asyncio.ensure_future(serena.safe_delete(PRICING, "please be slow"))
        while not fake.asked.exists() or not fake.calls("safe_delete_symbol"):
            await asyncio.wait({changing}, timeout=0.01)
        ((_, session),) = sessions(tmp_path / "homes")
        process = psutil.Process(session.pid)
        changing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await changing
        assert not process.is_running()
        await serena.safe_delete(PRICING, "more")


async def test_a_failed_backend_is_told_apart(make, fake_serena):
    async with make(fake_serena("backend failed")) as serena:
        serena.start()
        await until(serena, Stage.FAILED)
        assert "language server did not start" in serena.state.reason
        assert issubclass(BackendFailed, CodeUnavailable)
