"""The embedded server as a provider: files are its models, and a process starts when one of them is asked."""

import shutil
import sys
from contextlib import closing

import pytest

from jupyter_llmroute.core.embedded import EmbeddedBackend
from jupyter_llmroute.core.endpoint import Health
from jupyter_llmroute.core.errors import ModelNotFound, ServerFailure
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.sections import EmbeddedSettings
from jupyter_llmroute.core.transport import open_client

from .asking import chat, recognises

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def folder(tmp_path, tiny_model, embedded_extra, embedded_home):
    """A folder of one model."""
    shutil.copyfile(tiny_model, tmp_path / "tiny.gguf")
    return tmp_path


def settings(folder, **more):
    return EmbeddedSettings(model_path=folder, threads=1, **more)


async def test_switched_off_it_is_not_there(folder):
    with closing(Embedded(settings(folder, enabled=False))) as provider:
        assert await provider.endpoints() == ()


async def test_a_file_is_a_model_with_both_windows(folder):
    with closing(Embedded(settings(folder, context_window=1024))) as provider:
        (endpoint,) = await provider.endpoints()
    (model,) = endpoint.models
    assert (endpoint.name, endpoint.provider, endpoint.health, endpoint.detail) == (
        "embedded",
        "embedded",
        Health.WELL,
        "",
    )
    assert (model.context_window, model.trained_window, model.loaded) == (1024, 8192, False)
    assert model.size_bytes == (folder / "tiny.gguf").stat().st_size


async def test_the_window_is_the_one_that_a_server_would_be_started_with(folder):
    with closing(Embedded(settings(folder, context_window=1000))) as provider:
        (endpoint,) = await provider.endpoints()
    assert endpoint.models[0].context_window == 768


async def test_the_served_window_is_never_above_the_trained_one(folder):
    with closing(Embedded(settings(folder, context_window=100_000))) as provider:
        (endpoint,) = await provider.endpoints()
    assert endpoint.models[0].context_window == 8192


async def test_not_installed_it_says_how_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with closing(Embedded(settings(folder))) as provider:
        (endpoint,) = await provider.endpoints()
    assert (endpoint.health, endpoint.models) == (Health.DOWN, ())
    assert endpoint.detail == 'not installed: pip install "jupyter-llmroute[embedded]"'


async def test_a_path_that_is_not_there_is_said(tmp_path, embedded_extra):
    with closing(Embedded(settings(tmp_path / "gone"))) as provider:
        (endpoint,) = await provider.endpoints()
    assert endpoint.health is Health.DOWN
    assert str(tmp_path / "gone") in endpoint.detail


async def test_without_a_model_it_says_how_to_get_one(tmp_path, monkeypatch, embedded_extra):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path))
    with closing(Embedded(EmbeddedSettings())) as provider:
        (endpoint,) = await provider.endpoints()
    assert endpoint.models == ()
    assert "jupyter-llmroute embedded fetch" in endpoint.detail


async def test_it_is_never_found_by_an_address(embedded, folder):
    with closing(Embedded(settings(folder))) as provider:
        assert not await recognises(provider, embedded.url)


async def test_models_are_those_of_its_endpoint(folder):
    with closing(Embedded(settings(folder))) as provider:
        (endpoint,) = await provider.endpoints()
        async with open_client(Policy()) as client:
            assert await provider.models(Probe(client, "http://127.0.0.1:1", timeout_s=1), endpoint) == endpoint.models


async def test_a_question_starts_the_server_and_is_answered(folder):
    given = settings(folder, context_window=512)
    with closing(Embedded(given)) as provider:
        (endpoint,) = await provider.endpoints()
        asked = chat("Hello?", endpoint.models[0], max_tokens=3, temperature=0)
        async with open_client(Policy()) as client:
            chunks = [chunk async for chunk in provider.chat(client, endpoint, asked)]
        (after,) = await provider.endpoints()
        with closing(Embedded(settings(folder, context_window=4096))) as other:
            (of_others,) = await other.endpoints()
        with EmbeddedBackend(given) as backend:
            (started,) = [running for running in backend.running() if running.path.parent == folder]
            await backend.stop(started.pid)
        (stopped,) = await provider.endpoints()
    usage = next(chunk.usage for chunk in chunks if chunk.usage)
    assert "".join(chunk.text for chunk in chunks)
    assert usage.completion_tokens == 3
    assert [each.models[0].loaded for each in (endpoint, after, stopped)] == [False, True, False]
    assert of_others.models[0].context_window == 512, "that of the server that runs"


async def test_two_files_of_one_name_are_two_models(folder):
    (folder / "deep").mkdir()
    shutil.copyfile(folder / "tiny.gguf", folder / "deep" / "tiny.gguf")
    with closing(Embedded(settings(folder))) as provider:
        (endpoint,) = await provider.endpoints()
    assert [model.id for model in endpoint.models] == ["deep/tiny.gguf", "tiny.gguf"]


@pytest.mark.parametrize("obstacle", ["no package", "no folder"])
async def test_a_server_that_cannot_be_had_is_a_failure_and_another_may_answer(folder, tmp_path, monkeypatch, obstacle):
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))
    with closing(Embedded(settings(folder))) as provider:
        (endpoint,) = await provider.endpoints()
        if obstacle == "no package":
            monkeypatch.setitem(sys.modules, "xllamacpp", None)
        else:
            (tmp_path / "home").write_text("in the way")
        async with open_client(Policy()) as client:
            with pytest.raises(ServerFailure, match=r"xllamacpp|state folder"):
                await anext(provider.chat(client, endpoint, chat("Hello?", endpoint.models[0])))


@pytest.mark.parametrize("gone", ["the file", "the folder"])
async def test_a_model_whose_file_went_away_is_not_found_and_another_server_may_answer(folder, tmp_path, gone):
    with closing(Embedded(settings(folder))) as provider:
        (endpoint,) = await provider.endpoints()
        if gone == "the file":
            (folder / "tiny.gguf").rename(folder / "other.gguf")
        else:
            shutil.rmtree(folder)
        async with open_client(Policy()) as client:
            with pytest.raises(ModelNotFound):
                await anext(provider.chat(client, endpoint, chat("Hello?", endpoint.models[0])))
