"""What jedi knows: where symbols are used, where imported names come from, what a rename would do."""

import io
import sys
import time
import tokenize
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.jedi_process import JediProcess, installed_folders
from jupyter_llmroute.core.code.project import PACKAGE, python_files
from jupyter_llmroute.core.code.static_code import StaticCode
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused

from .shop_project import FILES, HOSTILE, contents, has_run, make

pytestmark = pytest.mark.anyio


PATIENCE_S = 60


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of our own for what jedi keeps."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMROUTE_HOME", str(folder))
        yield folder


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[StaticCode]:
    async with StaticCode(make(tmp_path), limit_s=PATIENCE_S) as code:
        yield code


async def ask(code: StaticCode, what: Ask, name: str, file: str = "", line: int | None = None) -> list[Finding]:
    return list(await code.find(CodeQuestion(ask=what, name_path=name, file=file, line=line)))


async def test_the_uses_of_a_class_are_found_and_its_definition_is_none_of_them(shop: StaticCode) -> None:
    found = await ask(shop, Ask.REFERENCES, "Order")
    assert [(one.file, one.first_line, one.name_path, one.kind) for one in found] == [
        ("src/shop/uses.py", 1, "", "module"),
        ("src/shop/uses.py", 5, "bill", "function"),
        ("src/shop/uses.py", 9, "Rush", "class"),
        ("tests/test_orders.py", 1, "", "module"),
        ("tests/test_orders.py", 5, "test_total", "function"),
    ]
    assert {one.source for one in found} == {Source.JEDI}
    assert found[1].body == "def bill(lines):\n    order = Order(lines)\n    return order.total()"
    assert all("may be missing" in one.info for one in found)


async def test_a_method_is_told_from_others_of_its_name_and_what_is_not_known_is_counted(shop: StaticCode) -> None:
    found = await ask(shop, Ask.REFERENCES, "Order.total")
    assert [(one.file, one.first_line) for one in found] == [
        ("src/shop/uses.py", 6),
        ("src/shop/uses.py", 11),
        ("tests/test_orders.py", 5),
    ]
    assert {one.reserve for one in found} == {
        "it may be incomplete: one more place has the name, and what stands there is not known"
    }
    assert await ask(shop, Ask.REFERENCES, "Invoice.total") == []


async def test_uses_of_what_is_overridden_are_uses_of_what_overrides_it_too(shop: StaticCode) -> None:
    found = await ask(shop, Ask.REFERENCES, "Rush.total")
    assert ("src/shop/uses.py", 6) in [(one.file, one.first_line) for one in found]
    assert all("or of what it overrides" in one.info for one in found)


async def test_the_symbol_on_a_line_is_meant(shop: StaticCode) -> None:
    found = await ask(shop, Ask.REFERENCES, "", "src/shop/orders.py", 26)
    assert [(one.file, one.first_line) for one in found] == [("src/shop/orders.py", 23), ("src/shop/orders.py", 30)]


async def test_getter_and_setter_are_one(shop: StaticCode) -> None:
    for name in ("Order.discount", "discount[0]", "discount[1]"):
        assert len(await ask(shop, Ask.REFERENCES, name)) == 2
    told = await shop.jedi.rename_preview("src/shop/orders.py", "Order/discount", "reduction")
    assert {file: text.count("reduction") for file, text in told.items()} == {"src/shop/orders.py": 4}


async def test_a_name_that_nothing_defines_has_no_uses(shop: StaticCode) -> None:
    assert await ask(shop, Ask.REFERENCES, "Nothing") == []


@pytest.mark.parametrize(
    ("what", "name", "file", "expected"),
    [
        (Ask.DEFINITION, "json.dumps", "", (f"{PACKAGE}json", "dumps", "function")),
        (Ask.DOCUMENTATION, "json.JSONDecoder.decode", "", (f"{PACKAGE}json.decoder", "JSONDecoder/decode", "method")),
        (Ask.DOCUMENTATION, "len", "", (f"{PACKAGE}builtins", "len", "function")),
        (Ask.DOCUMENTATION, "time.sleep", "", (f"{PACKAGE}time", "sleep", "function")),
        (Ask.DOCUMENTATION, "lru_cache", "src/shop/orders.py", (f"{PACKAGE}functools", "lru_cache", "function")),
        (Ask.DEFINITION, "Order", "src/shop/uses.py", ("src/shop/orders.py", "Order", "class")),
    ],
)
async def test_an_imported_name_is_followed_to_where_it_comes_from(
    shop: StaticCode, what: Ask, name: str, file: str, expected: tuple[str, str, str]
) -> None:
    found = (await ask(shop, what, name, file))[0]
    assert (found.file, found.name_path.partition("[")[0], found.kind) == expected
    assert (found.body if what is Ask.DEFINITION else found.info) != ""
    assert found.source is Source.JEDI


@pytest.mark.parametrize("name", ["no_such_module.x", "json.nothing", "", "1 + 1"])
async def test_what_comes_from_nowhere_is_not_found(shop: StaticCode, name: str) -> None:
    assert await ask(shop, Ask.DOCUMENTATION, name) == []


async def test_what_the_project_defines_ast_tells_without_starting_jedi(tmp_path: Path) -> None:
    process = JediProcess()
    async with StaticCode(make(tmp_path), process, limit_s=PATIENCE_S) as code:
        [found] = await ask(code, Ask.DEFINITION, "Order")
        assert found.source is Source.AST
        assert process.pid is None


async def test_in_a_file_with_a_mistake_jedi_finds_what_ast_cannot(shop: StaticCode) -> None:
    [found] = await ask(shop, Ask.DEFINITION, "Half.whole", "src/shop/broken.py")
    assert (found.first_line, found.body.strip(), found.source) == (
        2,
        "def whole(self):\n        return 1",
        Source.JEDI,
    )


async def test_what_neither_knows_is_refused(shop: StaticCode) -> None:
    with pytest.raises(CodeUnavailable, match="install Serena"):
        await ask(shop, Ask.CALLERS, "Order")


async def test_nothing_of_the_project_is_run_or_written(tmp_path: Path) -> None:
    root = make(tmp_path)
    for name in ("json.py", "jedi/__init__.py", "parso.py", "orders_ext.py"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HOSTILE)
    (root / "src/shop/__init__.py").write_text("import orders_ext, json, conftest, no_such_thing\n")
    before = contents(root)
    async with StaticCode(
        root, JediProcess(sys_path=["", str(root), *sys.path]), sys_path=[str(root), *sys.path], limit_s=PATIENCE_S
    ) as code:
        assert await ask(code, Ask.REFERENCES, "Order")
        for name in ("shop.orders_ext", "conftest", "no_such_thing.x", "no_such_thing", "sitecustomize", "json.dumps"):
            await ask(code, Ask.DOCUMENTATION, name, "src/shop/__init__.py")
        await code.jedi.rename_preview("src/shop/orders.py", "Order", "Purchase")
    assert contents(root) == before
    assert not has_run(root)


async def test_only_the_interpreters_own_packages_can_be_imported(tmp_path: Path) -> None:
    folders = installed_folders(["", ".", str(tmp_path), *sys.path])
    assert any((Path(folder) / "jedi").is_dir() for folder in folders)
    assert not {"", ".", str(tmp_path), str(Path.cwd())} & set(folders)


RENAMED = [
    (
        "src/shop/orders.py",
        "Order",
        {"src/shop/orders.py": 1, "src/shop/uses.py": 3, "tests/test_orders.py": 2},
    ),
    ("src/shop/orders.py", "Order/total", {"src/shop/orders.py": 1, "src/shop/uses.py": 3, "tests/test_orders.py": 1}),
    ("src/shop/uses.py", "Rush/total", {"src/shop/orders.py": 1, "src/shop/uses.py": 3, "tests/test_orders.py": 1}),
    ("src/shop/orders.py", "Invoice/total", {"src/shop/orders.py": 1}),
    ("src/shop/orders.py", "RATE", {"src/shop/orders.py": 2}),
    ("src/shop/orders.py", "naïve_grüße", {"src/shop/orders.py": 1}),
]


@pytest.mark.parametrize(("file", "name", "expected"), RENAMED)
async def test_a_rename_changes_the_name_wherever_it_stands_and_nothing_else(
    shop: StaticCode, file: str, name: str, expected: dict[str, int]
) -> None:
    before = contents(shop.index.root)
    told = await shop.jedi.rename_preview(file, name, "ganz_neu")
    assert {changed: text.count("ganz_neu") for changed, text in told.items()} == expected
    own = name.rpartition("/")[2]
    assert {changed: text.replace("ganz_neu", own) for changed, text in told.items()} == {
        changed: FILES[changed] for changed in expected
    }
    assert contents(shop.index.root) == before


async def test_columns_are_counted_in_characters(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def tgt(): ...\nx = '😀é'; tgt(); y = '😀'; tgt()\n", "utf-8")
    async with StaticCode(tmp_path, limit_s=PATIENCE_S) as code:
        told = await code.jedi.rename_preview("a.py", "tgt", "target")
    assert told == {"a.py": "def target(): ...\nx = '😀é'; target(); y = '😀'; target()\n"}


@pytest.mark.parametrize(
    ("file", "name", "new_name", "said"),
    [
        ("src/shop/orders.py", "Order", "2fast", "no name in Python"),
        ("src/shop/orders.py", "Order", "class", "no name in Python"),
        ("src/shop/orders.py", "total", "sum_up", "means 3 symbols"),
        ("src/shop/orders.py", "Nothing", "Thing", "means 0 symbols"),
        ("listed.py", "Listed/append", "add", "overrides what is installed"),
    ],
)
async def test_a_rename_that_cannot_be_whole_is_refused(
    shop: StaticCode, file: str, name: str, new_name: str, said: str
) -> None:
    (shop.index.root / "listed.py").write_text("class Listed(list):\n    def append(self, one): ...\n")
    with pytest.raises(EditRefused, match=said):
        await shop.jedi.rename_preview(file, name, new_name)


async def test_the_process_ends_with_us_and_is_started_again(shop: StaticCode) -> None:
    process = shop.jedi._process
    await ask(shop, Ask.REFERENCES, "Order")
    first = process.pid
    assert first is not None
    psutil.Process(first).kill()
    assert len(await ask(shop, Ask.REFERENCES, "Order")) == 5
    second = process.pid
    assert second not in (None, first)
    await shop.close()
    assert not psutil.pid_exists(second or 0)
    assert len(await ask(shop, Ask.REFERENCES, "Order")) == 5


async def test_an_idle_process_ends_and_the_next_question_is_answered(tmp_path: Path) -> None:
    async with StaticCode(make(tmp_path), JediProcess(idle_s=0.001), limit_s=PATIENCE_S) as code:
        for _ in range(3):
            assert len(await ask(code, Ask.REFERENCES, "Order")) == 5


async def test_an_answer_that_takes_too_long_is_given_up_with_its_process(tmp_path: Path) -> None:
    async with JediProcess() as process:
        with pytest.raises(CodeUnavailable, match="refuses"):
            await process.ask("no_such_method", {}, limit_s=5)
        with pytest.raises(CodeUnavailable, match="within"):
            await process.ask("references", {}, limit_s=-1)
        assert process.pid is None


async def test_what_jedi_keeps_may_be_broken(shop: StaticCode, home: Path) -> None:
    assert len(await ask(shop, Ask.REFERENCES, "Order")) == 5
    await shop.close()
    kept = list((home / "cache/jedi").rglob("*.pkl"))
    for file in kept:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert len(await ask(shop, Ask.REFERENCES, "Order")) == 5
    assert kept


async def test_without_time_jedi_says_so(tmp_path: Path) -> None:
    async with StaticCode(make(tmp_path), limit_s=0.001) as code:
        with pytest.raises(CodeUnavailable, match="did not find out in time"):
            await ask(code, Ask.DOCUMENTATION, "json.dumps")
        with pytest.raises(CodeUnavailable, match="has not looked"):
            await ask(code, Ask.REFERENCES, "Order")
        told = await code.jedi.rename_preview("src/shop/orders.py", "Order", "Purchase")
        assert "src/shop/uses.py" in told, "a rename has the time that all the uses take"


async def test_who_has_to_answer_by_a_moment_answers_and_keeps_what_was_read(tmp_path: Path) -> None:
    async with StaticCode(make(tmp_path), process := JediProcess(), limit_s=PATIENCE_S) as code:
        code.jedi.start()
        started = process.pid
        with pytest.raises(CodeUnavailable, match="keeps what it has read"):
            await ask(code.until(0), Ask.REFERENCES, "Order")
        assert len(await ask(code.until(time.time() + PATIENCE_S), Ask.REFERENCES, "Order")) == 5
        assert len(await ask(code, Ask.REFERENCES, "Order")) == 5, "the others have all the time"
        assert process.pid == started is not None


async def test_without_jedi_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    async with StaticCode(make(tmp_path), JediProcess(sys_path=[str(tmp_path)])) as code:
        assert await ask(code, Ask.DEFINITION, "Order")
        with pytest.raises(CodeUnavailable, match="pip install jedi"):
            await ask(code, Ask.REFERENCES, "Order")


def tokens(root: Path, name: str) -> set[tuple[str, int]]:
    """Return the lines on which a name stands as one, by what the tokenizer says."""
    return {
        (file, token.start[0])
        for file in python_files(root)
        for token in tokenize.tokenize(io.BytesIO((root / file).read_bytes()).readline)
        if token.type == tokenize.NAME and token.string == name
    }


@pytest.mark.parametrize("name", ["HTTPAdapter", "CaseInsensitiveDict"])
async def test_nearly_all_uses_in_a_real_package_are_found(name: str) -> None:
    requests = pytest.importorskip("requests", reason="the package that is searched is not installed")
    root = Path(requests.__file__).parent
    async with StaticCode(root, limit_s=PATIENCE_S) as code:
        [definition] = await ask(code, Ask.DEFINITION, name)
        found = {(one.file, one.first_line) for one in await ask(code, Ask.REFERENCES, name)}
    truth = tokens(root, name) - {(definition.file, definition.first_line)}
    assert found <= truth
    assert len(found) >= 0.95 * len(truth) > 0
