"""Which models a user means by the name that they write."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.likeness import Likeness, Names, likeness, meant

CATALOG = Catalog.load()

LIKE = {
    # name: (asked, the model's id, the catalog's name for it, how like they are)
    "the very name": ("qwen2.5:7b", "qwen2.5:7b", "qwen2.5-7b", Likeness.SAME_NAME),
    "in another case": ("QWEN2.5:7B", "qwen2.5:7b", "qwen2.5-7b", Likeness.SAME_NAME),
    "the words of the name": ("qwen2.5-7b-instruct", "qwen2.5:7b", "qwen2.5-7b", Likeness.SAME_WORDS),
    "the words of another hub's name": ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5:7b", "qwen2.5-7b", Likeness.SAME_WORDS),
    "the words of the catalog's name": ("phi-4", "phi4:14b", "phi-4", Likeness.SAME_WORDS),
    "some of the words": ("qwen2.5", "qwen2.5-coder:7b", "qwen2.5-coder-7b", Likeness.SOME_WORDS),
    "more words than it has": ("qwen2.5-coder-7b", "qwen2.5:7b", "qwen2.5-7b", Likeness.NONE),
    "part of a word": ("cod", "qwen2.5-coder:7b", "qwen2.5-coder-7b", Likeness.NONE),
    "another size": ("qwen2.5:14b", "qwen2.5:7b", "qwen2.5-7b", Likeness.NONE),
    "only words of the catalog's name": ("distill", "deepseek-r1:70b", "deepseek-r1-distill-70b", Likeness.NONE),
}


@pytest.mark.parametrize(("asked", "model_id", "known_as", "like"), LIKE.values(), ids=LIKE)
def test_likeness(asked: str, model_id: str, known_as: str, like: Likeness):
    assert likeness(asked, model_id, known_as) is like


@pytest.mark.parametrize(("asked", "model_id"), [("", "m"), ("instruct", "m-instruct"), ("latest", "m:latest")])
def test_words_that_name_nothing_mean_no_model(asked: str, model_id: str):
    assert likeness(asked, model_id, model_id) is Likeness.NONE
    assert meant(asked, [(model_id, model_id)]) == frozenset()


NEAREST = {
    # asked: (served, meant)
    "llama3:8b-instruct-q8_0": (["llama3:8b-instruct-q4_0", "llama3:8b-instruct-q8_0"], ["llama3:8b-instruct-q8_0"]),
    "LLAMA3:8B-instruct-Q8_0": (["llama3:8b-instruct-q4_0", "llama3:8b-instruct-q8_0"], ["llama3:8b-instruct-q8_0"]),
    "llama3:8b": (["llama3:8b-q4_0", "llama3:8b-q8_0", "llama3:70b"], ["llama3:8b-q4_0", "llama3:8b-q8_0"]),
    "qwen2.5:7b": (["qwen2.5-coder:7b", "qwen2.5:7b"], ["qwen2.5:7b"]),
    "qwen2.5-7b-instruct": (["qwen2.5-coder:7b", "qwen2.5:7b"], ["qwen2.5:7b"]),
    "qwen3": (["qwen3-coder:30b", "qwen3:latest", "qwen3:8b"], ["qwen3:latest"]),
    "qwen": (["qwen3-coder:30b", "qwen3:8b", "phi4:14b"], ["qwen3-coder:30b", "qwen3:8b"]),
    "phi-4": (["phi4-mini:4b", "phi4:14b"], ["phi4:14b"]),
    "deepseek-r1-distill-70b": (["deepseek-r1:70b", "deepseek-r1:8b"], ["deepseek-r1:70b"]),
    "deepseek-r1": (["deepseek-r1:70b", "deepseek-r1:8b"], ["deepseek-r1:70b", "deepseek-r1:8b"]),
}


@pytest.mark.parametrize("asked", NEAREST)
def test_the_models_whose_names_are_nearest_are_meant_and_no_other(asked: str):
    served, expected = NEAREST[asked]
    names = [(model_id, CATALOG.describe(ServedModel(id=model_id)).id) for model_id in served]
    assert sorted(model_id for model_id, _ in meant(asked, names)) == sorted(expected)


NAMES = [
    (name, name.replace(":", "-"))
    for name in ("qwen2.5:7b", "qwen2.5-coder:7b", "qwen2.5:7b-q8_0", "phi4:14b", "instruct", "", "QWEN2.5:7b")
]
ASKED = st.sampled_from([name for names in NAMES for name in names] + ["qwen2.5", "7b", "coder", "nothing", ":", "-"])


@given(ASKED, st.lists(st.sampled_from(NAMES), max_size=6))
def test_the_models_that_are_meant_are_the_most_alike_whatever_their_order(asked: str, models: list[Names]):
    found = meant(asked, models)
    assert found <= set(models)
    assert len({likeness(asked, *names) for names in found}) <= 1
    left = {likeness(asked, *names) for names in models if names not in found}
    assert all(likeness(asked, *names) < other or other is Likeness.NONE for names in found for other in left)
    assert bool(found) is any(likeness(asked, *names) is not Likeness.NONE for names in models)
    assert all(meant(asked, shuffled) == found for shuffled in itertools.islice(itertools.permutations(models), 6))


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_compared(asked: str, model_id: str):
    assert likeness(asked, model_id, model_id) in Likeness
    assert likeness(asked, asked, model_id) is Likeness.SAME_NAME
