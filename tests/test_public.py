"""What the package shows, and what importing it does not do."""

import subprocess
import sys
from importlib.metadata import entry_points, version

import jupyter_llmroute
from jupyter_llmroute.core.providers import GROUP, load_providers

HOOKS = ("_jupyter_labextension_paths", "_jupyter_server_extension_points")


def test_all_names_exist_and_no_other_is_public() -> None:
    public = {name for name in vars(jupyter_llmroute) if not name.startswith("_")} - {"annotations", "Any"}
    submodules = {name for name in public if f"jupyter_llmroute.{name}" in sys.modules}
    assert public - submodules | {"__version__"} == set(jupyter_llmroute.__all__)


def test_version_is_that_of_the_distribution() -> None:
    assert jupyter_llmroute.__version__ == version("jupyter-llmroute")


def test_jupyter_finds_its_hooks() -> None:
    for hook in HOOKS:
        assert getattr(jupyter_llmroute, hook)()


DIALECTS = set(
    "docker gpt4all jan koboldcpp lemonade litellm llama_swap llamacpp llamafile lmstudio localai mlx_lm ollama openai "
    "openwebui ray_serve sglang textgen vllm".split()
)


def test_providers_come_in_by_entry_points() -> None:
    assert {entry.name for entry in entry_points(group=GROUP)} == DIALECTS
    assert {name: provider.name for name, provider in load_providers().items()} == {name: name for name in DIALECTS}


def test_the_script_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="jupyter-llmroute")
    assert script.value == "jupyter_llmroute.cli:main"


def test_import_opens_no_socket_and_reads_no_environment_and_no_file_of_its_own() -> None:
    code = """
import os, sys
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args)) if event.startswith(("socket.", "open")) else None)
class Watched(dict):
    def __getitem__(self, key):
        seen.append(("environ", key)); return super().__getitem__(key)
    def get(self, key, default=None):
        seen.append(("environ", key)); return super().get(key, default)
os.environ = Watched(os.environ)
import jupyter_llmroute
files = [args[0] for event, args in seen if event == "open" and not str(args[0]).endswith((".py", ".pyc"))]
jupyter = [name for name in sys.modules if name.split(".")[0] in ("IPython", "jupyter_core", "traitlets", "ipywidgets")]
print([event for event, _ in seen if event != "open"] + files + jupyter)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
