"""Where settings come from, which source wins, and what a file may say."""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.provenance import Layer, Source, merged, nested, origin, without
from jupyter_llmroute.core.sections import Limits, TaskRouting
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.settings_file import MAX_FILE_BYTES, SettingsWarning
from jupyter_llmroute.core.task import Task

KEY = "sk-do-not-show"

A_USERS_FILE = """
version: "1.0"
environment: "air-gapped"
services:
  ollama: {enabled: true, endpoint: "http://localhost:11434", priority: 1, timeout: 30000, max_retries: 3,
           api_style: ollama}
  lmstudio: {enabled: false, endpoint: "http://localhost:1234/v1", priority: 2, api_style: openai}
  jan: {endpoint: "http://localhost:1337/v1"}
  custom_endpoints:
    - {name: lab, endpoint: "http://10.0.0.5:8000", priority: 0, api_style: openai, api_key: sk-do-not-show,
       health_path: /health, models_path: /v1/models, chat_path: /v1/chat/completions}
task_routing:
  coding: {primary_models: [qwen2.5-coder-32b], fallback_models: [phi-4], min_context: 8192}
  analysis: {require_serena: false}
serena: {enabled: true, priority: always_first, workspace: "${WORKSPACE_ROOT}"}
context:
  compaction_threshold: 0.8
  compaction_target: 0.5
  preserve_recent_messages: 10
  preserve_recent_tool_calls: 5
  max_tool_output_tokens: 500
security:
  allow_external: false
  allowed_hosts: [localhost, 127.0.0.1, 10.1.0.0/16]
  allowed_cidrs: [10.0.0.0/8]
  audit_enabled: true
  audit_log_path: audit.jsonl
  log_queries: true
  log_responses: false
  verify_checksums: true
"""


@pytest.fixture(autouse=True)
def _no_variables_of_the_developers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LLMROUTE_SETTINGS", raising=False)
    monkeypatch.delenv("LLMROUTE_LIMITS__SCAN_S", raising=False)


def write(folder: Path, text: str, name: str = "llmroute.yaml") -> Path:
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


def load_own(folder: Path, text: str, **arguments: Any) -> Settings:
    write(folder, text)
    return Settings.load(own=[folder], **arguments)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_own(folder, text)
    return str(caught.value)


def test_defaults_are_those_of_the_documentation():
    settings = Settings.load()
    by_name = settings.services.by_name
    assert {name: service.priority for name, service in by_name.items()} == {"ollama": 1, "lmstudio": 2, "jan": 3}
    assert {(s.enabled, s.timeout, s.endpoint) for s in by_name.values()} == {(True, 30_000, None)}
    assert {task: routing.min_context for task, routing in settings.task_routing.items()} == {
        Task.CODING: 8192,
        Task.REASONING: 16384,
        Task.ANALYSIS: 16384,
        Task.DOCUMENTATION: 8192,
    }
    assert settings.security.allow_external is False
    # The last two are this machine as well, as Podman and Docker Model Runner call it from within a container.
    assert settings.security.allowed_hosts == (
        "localhost", "127.0.0.1", "host.docker.internal", "host.containers.internal", "model-runner.docker.internal",
    )  # fmt: skip
    assert settings.security.allowed_cidrs == ("192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12")
    assert settings.embedded.idle_timeout_s == 15 * 60


def test_a_file_in_the_old_format_loads_as_it_stands(tmp_path: Path):
    settings = load_own(tmp_path, A_USERS_FILE)
    by_name = settings.services.by_name
    assert settings.environment == "air-gapped"
    assert (by_name["ollama"].endpoint, by_name["ollama"].api_style) == ("http://localhost:11434", "ollama")
    assert by_name["lmstudio"].enabled is False
    assert settings.services.custom_endpoints[0].chat_path == "/v1/chat/completions"
    assert settings.services.custom_endpoints[0].api_key.get_secret_value() == KEY
    assert settings.task_routing[Task.CODING].primary_models == ("qwen2.5-coder-32b",)
    assert settings.security.allowed_hosts == ("localhost", "127.0.0.1", "10.1.0.0/16")
    assert (settings.context.compaction_threshold, settings.context.preserve_recent_tool_calls) == (0.8, 5)
    assert settings.security.audit_log_path == Path("audit.jsonl")


def test_what_a_file_says_of_one_service_or_task_leaves_its_other_defaults(tmp_path: Path):
    settings = load_own(
        tmp_path,
        """
        services: {jan: {endpoint: "http://127.0.0.1:9"}, mine: {endpoint: "http://127.0.0.1:8"}}
        task_routing: {analysis: {primary_models: [phi-4]}}
        """,
    )
    assert (settings.services.by_name["jan"].priority, settings.services.by_name["mine"].priority) == (3, 5)
    assert settings.task_routing[Task.ANALYSIS] == TaskRouting(
        primary_models=("phi-4",), min_context=16384, require_serena=True
    )
    assert settings.task_routing[Task.REASONING].min_context == 16384


FILE, VARIABLE, ARGUMENT = 11, 12, 13


@pytest.mark.parametrize(
    ("file", "variable", "argument", "wins"),
    [
        (None, None, None, Limits().attempts),
        (FILE, None, None, FILE),
        (FILE, VARIABLE, None, VARIABLE),
        (FILE, VARIABLE, ARGUMENT, ARGUMENT),
        (FILE, None, ARGUMENT, ARGUMENT),
        (None, VARIABLE, ARGUMENT, ARGUMENT),
    ],
)
def test_order_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file, variable, argument, wins: int):
    if file:
        write(tmp_path, f"limits: {{attempts: {file}, scan_s: 9}}")
    if variable:
        monkeypatch.setenv("LLMROUTE_LIMITS__ATTEMPTS", str(variable))
    arguments = {"limits": {"attempts": argument}} if argument else {}
    settings = Settings.load(own=[tmp_path], **arguments)
    assert settings.limits.attempts == wins
    assert settings.limits.scan_s == (9 if file else Limits().scan_s), "the rest of the section stays"
    if not file:
        assert Settings(**arguments) == settings


def test_who_said_it_is_known_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, """
        limits: {attempts: 11, scan_s: 9, breaker_s: 1}
        services: {custom_endpoints: [{name: a, endpoint: "http://127.0.0.1:1"}]}
        route: {max-tokens: 5}
        """)  # fmt: skip
    monkeypatch.setenv("LLMROUTE_LIMITS__SCAN_S", "8")
    monkeypatch.setenv("LLMROUTE_MODELS", '{"excluded": ["x"]}')
    session = Layer(source=Source.SESSION, data={"limits": {"breaker_s": 2}}, places={(): "(typed)"})
    traits = Layer(source=Source.TRAITLETS, data={"limits": {"breaker_s": 3, "rescan_s": 4}}, places={(): "c.X"})
    settings, layers = Settings.loaded(own=[tmp_path], layers=[traits, session])
    told = {
        "limits.attempts": (11, f"file {tmp_path / 'llmroute.yaml'}"),
        "limits.scan_s": (8, "variable LLMROUTE_LIMITS__SCAN_S"),
        "limits.breaker_s": (2, "this session (typed)"),
        "limits.rescan_s": (4, "traitlets c.X"),
        "limits.connect_s": (Limits().connect_s, "default"),
        "models.excluded": (("x",), "variable LLMROUTE_MODELS"),
    }
    for name, (value, said) in told.items():
        section, key = name.split(".")
        assert (getattr(getattr(settings, section), key), str(origin(layers, (section, key)))) == (value, said)
    assert origin(layers, ("route", "max_tokens")).source == Source.FILE
    assert settings.route == {"max_tokens": 5}
    of_a_list = ("services", "custom_endpoints", "0")
    assert [origin(layers, (*of_a_list, key)).source for key in ("name", "priority")] == [Source.FILE, Source.DEFAULT]


def test_a_list_hides_the_one_below_it():
    below = Layer(source=Source.FILE, data={"a": [{"x": 1, "y": 2}]})
    above = Layer(source=Source.SESSION, data={"a": [{"x": 3}]})
    assert origin([below, above], ("a", "0", "y")).source == Source.DEFAULT
    assert origin([below], ("a", "0", "y")).source == Source.FILE


def test_what_does_not_read_is_named_with_who_said_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMROUTE_LIMITS__ATTEMPTS", "many")
    path = write(tmp_path, "limits: {scan_s: soon}")
    session = Layer(source=Source.SESSION, data={"context": {"max_cells": -1, "nope": 3}})
    with pytest.raises(SettingsError) as caught:
        Settings.loaded(own=[tmp_path], layers=[session])
    told = str(caught.value)
    assert "not 'many' (variable LLMROUTE_LIMITS__ATTEMPTS)" in told
    assert f"not 'soon' (file {path})" in told
    assert "not -1 (this session)" in told
    assert "context.nope: Extra inputs are not permitted, not 3 (this session)" in told


def test_what_a_project_may_not_set_is_not_said_by_it(tmp_path: Path):
    write(tmp_path, "{security: {allow_external: true}, route: {vars: df, output: x, model: phi4, values: true}}")
    with pytest.warns(SettingsWarning, match=r"security.allow_external, route.vars, route.output, route.values: not "):
        settings, layers = Settings.loaded(project=tmp_path)
    assert settings.route == {"model": "phi4"}
    assert origin(layers, ("security", "allow_external")).source == Source.DEFAULT
    assert origin(layers, ("route", "model")).source == Source.FILE


def test_a_layer_does_not_show_its_keys():
    assert KEY not in repr(Layer(source=Source.SESSION, data={"services": {"jan": {"api_key": KEY}}}))


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (merged([{"a": {"x": 1}, "b": [1]}, {"a": {"y": 2}, "b": [2]}]), {"a": {"x": 1, "y": 2}, "b": [2]}),
        (merged([{"a": {"x": 1}}, {"a": None}]), {"a": None}),
        (nested({"a.x": 1, "a": {"y": 2}, "b": 3}), {"a": {"x": 1, "y": 2}, "b": 3}),
        (without({"a": {"x": 1, "y": 2}}, ("a", "x")), {"a": {"y": 2}}),
        (without({"a": {"x": 1}, "b": 2}, ("a", "x")), {"b": 2}),
        (without({"a": {"x": 1}, "b": 2}, ("a",)), {"b": 2}),
        (without({"a": 1}, ("a", "x")), {}),
        (without({"b": 2}, ("a", "x")), {"b": 2}),
    ],
)
def test_layers_are_laid_over_one_another(made: object, wanted: object):
    assert made == wanted


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("LLMROUTE_EMBEDDED__MODEL_PATH", "/models/a.gguf", lambda s: s.embedded.model_path.as_posix()),
        ("LLMROUTE_SERVICES__JAN__ENDPOINT", "http://10.0.0.2:1337", lambda s: s.services.by_name["jan"].endpoint),
        ("LLMROUTE_SECURITY__ALLOWED_HOSTS", '["gpu.lan"]', lambda s: list(s.security.allowed_hosts)),
        ("LLMROUTE_ENVIRONMENT", "air-gapped", lambda s: s.environment),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("LLM") else "",
)  # fmt: skip
def test_a_variable_reaches_into_a_section(monkeypatch: pytest.MonkeyPatch, name: str, text: str, read):
    monkeypatch.setenv(name, text)
    assert read(Settings.load()) in (text, ["gpu.lan"])


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMROUTE_LIMITS__ATTEMPTS", "")
    assert Settings.load() == Settings()


def test_variables_expand_in_a_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORKSPACE_ROOT", "/data")
    assert Settings(embedded={"model_path": "${WORKSPACE_ROOT}/m.gguf"}).embedded.model_path == Path("/data/m.gguf")


class TestWhereTheFileIs:
    """The user's own folders, then the notebook's folder, then its project's root."""

    @pytest.fixture
    def folders(self, tmp_path: Path) -> dict[str, Path]:
        found = {"own": tmp_path / "own", "root": tmp_path / "project", "notebook": tmp_path / "project" / "a" / "b"}
        for folder in found.values():
            folder.mkdir(parents=True)
        (found["root"] / ".git").mkdir()
        return found

    def version(self, folders: dict[str, Path]) -> object:
        return Settings.load(project=folders["notebook"], own=[folders["own"]]).version

    def test_nearest_to_the_user_wins(self, folders: dict[str, Path]):
        assert self.version(folders) is None
        for name in ("root", "notebook", "own"):
            write(folders[name], f"version: {name}")
            assert self.version(folders) == name

    def test_both_names_are_known_and_the_short_one_wins(self, folders: dict[str, Path]):
        write(folders["own"], "version: long", "local-llm-router.yaml")
        assert self.version(folders) == "long"
        write(folders["own"], "version: short")
        assert self.version(folders) == "short"

    def test_a_variable_names_one_and_that_is_the_users_own(
        self, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ):
        write(folders["own"], "version: own")
        named = write(folders["notebook"], "{version: named, security: {allow_external: true}}", "any name.yml")
        monkeypatch.setenv("LLMROUTE_SETTINGS", str(named))
        assert self.version(folders) == "named"

    def test_a_named_file_that_is_missing_is_an_error(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("LLMROUTE_SETTINGS", "/nowhere/llmroute.yaml")
        with pytest.raises(SettingsError, match=r"'/nowhere/llmroute\.yaml'.*mend or unset"):
            Settings.load()

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("security: {allow_external: true}", "security.allow_external"),
            ("security: {allowed_hosts: [evil.example]}", "security.allowed_hosts"),
            ("security: {allowed_cidrs: [0.0.0.0/0]}", "security.allowed_cidrs"),
            ("embedded: {model_path: /etc/passwd}", "embedded.model_path"),
            ("services: {ollama: {endpoint: 'http://10.6.6.6:11434'}}", "services.ollama.endpoint"),
            ("services: {ollama: {endpoint: 'http://127.0.0.1.evil.example'}}", "services.ollama.endpoint"),
            ("services: {custom_endpoints: [{name: x, endpoint: 'http://10.0.0.9'}]}", "services.custom_endpoints.0"),
        ],
    )
    @pytest.mark.parametrize("where", ["root", "notebook"])
    def test_a_project_opens_nothing(self, folders: dict[str, Path], where: str, text: str, key: str):
        write(folders[where], text)
        with pytest.warns(SettingsWarning, match=re.escape(key) + ": not taken from a file that came with the project"):
            settings = Settings.load(project=folders["notebook"], own=[folders["own"]])
        assert (settings.security, settings.embedded) == (Settings().security, Settings().embedded)
        assert settings.services.custom_endpoints == ()
        assert {service.endpoint for service in settings.services.by_name.values()} == {None}

    @pytest.mark.parametrize("text", ["Security: {allow_external: true}", "EMBEDDED: {model_path: /etc}"])
    @pytest.mark.parametrize("where", ["own", "root"])
    def test_sections_are_spelt_as_they_are(self, folders: dict[str, Path], where: str, text: str):
        write(folders[where], text)
        with pytest.raises(SettingsError, match=r"has an unknown section .* did you mean '(security|embedded)'"):
            self.version(folders)

    def test_the_users_key_goes_to_no_address_that_a_project_chose(
        self, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("LLMROUTE_SERVICES__OLLAMA__API_KEY", KEY)
        write(folders["root"], "services: {ollama: {endpoint: 'http://127.0.0.1:6666', priority: 7}}")
        with pytest.warns(SettingsWarning, match="your key for this service would go there"):
            settings = Settings.load(project=folders["notebook"])
        ollama = settings.services.by_name["ollama"]
        assert (ollama.endpoint, ollama.priority, ollama.api_key.get_secret_value()) == (None, 7, KEY)

    def test_a_project_may_name_servers_on_this_machine(self, folders: dict[str, Path]):
        write(folders["root"], "services: {custom_endpoints: [{name: x, endpoint: 'http://[::1]:9'}]}")
        settings = Settings.load(project=folders["notebook"])
        assert settings.services.custom_endpoints[0].endpoint == "http://[::1]:9"

    def test_a_project_may_point_at_servers_and_models(self, folders: dict[str, Path]):
        write(folders["root"], "{version: root, services: {ollama: {priority: 9}}, embedded: {threads: 2}}")
        assert self.version(folders) == "root"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limts: {attempts: 2}", "unknown section 'limts': did you mean 'limits'"),
        ("colour: 'red'", "unknown section 'colour': known are version, "),
        ("limits: {atempts: 2}", "limits.atempts: Extra inputs are not permitted, not 2"),
        ("limits: {attempts: 0}", "limits.attempts: Input should be greater than or equal to 1, not 0"),
        ("services: {ollama: {timeout: soon}}", "services.ollama.timeout: .*, not 'soon'"),
        ("services: {custom_endpoints: [{name: lab}]}", "services.custom_endpoints.0.endpoint: Field required"),
        ("task_routing: {poetry: {min_context: 1}}", "task_routing.poetry.*, not 'poetry'"),
        ("services: {ollama: {endpoint: 'http://me:pw@127.0.0.1'}}", "must not hold a name or a password"),
        ("services: {ollama: {endpoint: 'http://127.0.0.1:9?key=k'}}", "ends before '.' and '#'"),
        ("services: {ollama: {endpoint: 'ftp://127.0.0.1:9'}}", "begins with http:// or https://"),
        ("security: {allowed_cidrs: [banana]}", "security.allowed_cidrs: .*'banana' does not appear to be"),
        ("task_routing: 7", "task_routing: .*, not 7"),
        ("{environment: air-gapped, security: {allow_external: true}}", "contradict each other"),
        ("- a\n- b", "holds list data, not keys and values"),
        ("1: 2", "not keys and values"),
        ("a: [1, 2", "not YAML: line 1"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("version: 2001-99-99", "not YAML"),
        ("[" * 5000, "not YAML"),
    ],
    ids=lambda value: value[:40],
)
def test_what_does_not_read_is_named(tmp_path: Path, text: str, told: str):
    message = refusal(tmp_path, text)
    assert re.search(told, message), message
    assert "llmroute.yaml" in message


def test_an_empty_file_says_nothing(tmp_path: Path):
    assert load_own(tmp_path, "# nothing yet\n") == Settings()


def test_not_utf8(tmp_path: Path):
    (tmp_path / "llmroute.yaml").write_bytes(b"version: \xff")
    with pytest.raises(SettingsError, match="not YAML in UTF-8"):
        Settings.load(own=[tmp_path])


def test_too_large_is_refused_unread(tmp_path: Path):
    assert "at most 1 MiB" in refusal(tmp_path, "#" * (MAX_FILE_BYTES + 1))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("LLMROUTE_SERVICES", "nope", "services.*JSON"),
        ("LLMROUTE_LIMITS__ATTEMPTS", "many", "limits.attempts: .*, not 'many'"),
        ("LLMROUTE_LIMITS__ATEMPTS", "1", "limits.atempts: Extra"),
    ],
)
def test_a_variable_that_does_not_read_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str, told: str):
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError, match=told):
        Settings.load()


def test_an_unknown_variable_is_warned_of(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMROUTE_EMBEDED__ENABLED", "false")
    with pytest.warns(SettingsWarning, match="LLMROUTE_EMBEDED__ENABLED names no setting"):
        Settings.load()


def test_a_key_does_not_show_in_repr():
    settings = Settings(services={"ollama": {"api_key": KEY}})
    assert settings.services.by_name["ollama"].api_key.get_secret_value() == KEY
    assert KEY not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "text",
    [
        f"services: {{ollama: {{api_key: [{KEY}]}}}}",
        f"services: {{ollama: {{api_key: {{a: {KEY}}}}}}}",
        f"services: {{ollama: {{apikey: {KEY}}}}}",
        f"services: {{ollama: {{token: {KEY}}}}}",
        f"services: {{custom_endpoints: [{{name: lab, api_key: {KEY}}}]}}",
        f"services: {{custom_endpoints: {{name: lab, api_key: {KEY}}}}}",
        f"services: {{ollama: {{api_key: {KEY}, timeout: soon}}}}",
        f"{{environment: air-gapped, security: {{allow_external: true}}, services: {{jan: {{api_key: {KEY}}}}}}}",
        f"services: {{ollama: {{api_key: {KEY}]",
        f"api_key: '{KEY}",
    ],
)
def test_a_key_does_not_show_in_an_error(tmp_path: Path, text: str):
    write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        Settings.load(own=[tmp_path])
    shown: BaseException | None = caught.value
    while shown:
        assert KEY not in str(shown)
        shown = shown.__cause__
    assert caught.value.__cause__ or caught.value.__suppress_context__
