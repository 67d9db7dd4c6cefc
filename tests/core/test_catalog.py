"""What is known of models, and which of them a server's name means."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.catalog import Catalog, guess, words
from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.task import Task

CATALOG = Catalog.load()
BY_ID = {info.id: info for info in CATALOG.model}

# id, family, trained window, GB at 4 bits, tier; coding, reasoning, analysis, documentation; specialises in
START = """
deepseek-v3             deepseek   128000  48 1  99 97 96 92  coding reasoning analysis
qwen2.5-coder-32b       qwen       131072  22 1  96 82 92 88  coding analysis
deepseek-coder-v2       deepseek   128000  48 1  95 88 92 80  coding analysis reasoning
codellama-70b           llama      100000  40 1  90 70 85 75  coding
codellama-34b           llama      100000  20 2  85 65 80 70  coding
qwen2.5-coder-14b       qwen       131072  10 2  82 60 75 70  coding
starcoder2-15b          starcoder   16384  10 2  80 50 70 60  coding
deepseek-coder-6.7b     deepseek    16384   5 3  75 50 65 55  coding
codellama-7b            llama       16384   5 3  70 45 60 50  coding
deepseek-r1             deepseek   128000 160 1  92 99 95 90  reasoning coding
deepseek-r1-distill-70b deepseek   128000  42 1  88 94 90 86  reasoning coding
qwen2.5-72b-instruct    qwen       131072  48 1  88 95 92 94  reasoning coding
llama-3.3-70b-instruct  llama      128000  42 1  85 92 88 90  reasoning coding
deepseek-r1-distill-32b deepseek   128000  22 2  82 90 85 82  reasoning coding
mistral-small-24b       mistral     32768  16 2  80 85 82 84  reasoning coding
qwen2.5-32b-instruct    qwen       131072  22 2  78 86 82 88  reasoning documentation
phi-4                   phi         16384  10 2  82 88 80 78  reasoning coding
deepseek-r1-distill-14b deepseek   128000  10 2  75 85 78 76  reasoning
llama-3.2-11b-vision    llama      128000   8 2  68 78 75 80  reasoning documentation
gemma-2-27b             gemma        8192  18 2  78 80 75 78  coding reasoning
deepseek-r1-distill-8b  deepseek   128000   6 3  68 78 70 68  reasoning
gemma-2-9b              gemma        8192   7 3  72 75 70 74  reasoning coding
llama-3.2-3b            llama      128000   3 3  55 65 58 65  reasoning
codellama-34b-instruct  llama      100000  20 2  80 70 88 75  analysis
mistral-nemo-12b        mistral    128000   8 2  65 70 65 82  documentation
mistral-7b              mistral     32768   5 3  55 60 55 72  documentation
phi-3-medium            phi        128000   8 2  72 75 68 70  coding reasoning
yi-34b                  yi         200000  20 2  72 82 75 80  reasoning documentation
command-r-plus          cohere     128000  48 1  70 85 78 88  reasoning documentation
wizardcoder-33b         wizard      16384  20 2  85 60 75 65  coding
magicoder-7b            magicoder   16384   5 3  78 50 65 55  coding
dolphin-mixtral-8x7b    dolphin     32768  28 2  75 78 72 75  coding reasoning
nous-hermes-2-mixtral   nous        32768  28 2  72 82 75 78  reasoning
solar-10.7b             solar        4096   7 3  60 72 65 75  reasoning documentation
"""
STARTED_WITH = [line.split() for line in START.strip().splitlines()]


@pytest.mark.parametrize("row", STARTED_WITH, ids=[row[0] for row in STARTED_WITH])
def test_every_model_that_the_project_began_with_is_there(row: list[str]):
    model_id, family, window, memory, tier, *scores = row[:9]
    info = BY_ID[model_id]
    assert (info.family, info.context_window, info.memory_gb, info.tier) == (
        family,
        int(window),
        int(memory),
        int(tier),
    )
    assert info.scores == dict(zip(Task, map(float, scores), strict=True))
    assert list(info.specialises_in) == row[9:]


@pytest.mark.parametrize("info", CATALOG.model, ids=lambda info: info.id)
def test_each_row_is_whole(info):
    assert set(info.scores) == set(Task)
    assert all(0 <= score <= 100 for score in info.scores.values())
    assert info.context_window >= 4096
    assert info.memory_gb > 0
    assert info.source in ("start", "measured", "placed")
    assert info.family == info.family.lower()


def test_no_two_rows_have_one_name():
    assert len(BY_ID) == len(CATALOG.model)
    shadowed = [(name, info.id) for info in CATALOG.model for name in (info.id, *info.aliases)
                if CATALOG.match(name) is not info]  # fmt: skip
    assert shadowed == []


@pytest.mark.parametrize("task", Task)
def test_lists_name_known_models_once(task: Task):
    listed = CATALOG.lists[task].primary + CATALOG.lists[task].fallback
    assert set(listed) <= BY_ID.keys()
    assert len(set(listed)) == len(listed) >= 5


NAMES = {
    "qwen2.5-coder-32b": [
        "qwen2.5-coder:32b",
        "QWEN2.5-Coder:32B",
        "qwen2.5-coder:32b-instruct-q4_K_M",
        "Qwen/Qwen2.5-Coder-32B-Instruct",
        "Qwen/Qwen2.5-Coder-32B-Instruct-GGUF",
        "hf.co/bartowski/Qwen2.5-Coder-32B-Instruct-GGUF:Q4_K_M",
        "Qwen2.5-Coder-32B-Instruct-Q4_K_M.gguf",
        "Qwen2.5-Coder-32B-Instruct-Q4_K_M-00001-of-00002.gguf",
        "qwen2.5-coder-32b-instruct@q4_k_m",
        "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit",
    ],
    "qwen2.5-coder-7b": ["qwen2.5-coder:7b", "qwen2.5-coder-7b-instruct"],
    "qwen2.5-72b-instruct": ["qwen2.5:72b", "Qwen/Qwen2.5-72B-Instruct-AWQ"],
    "qwen2.5-7b": ["qwen2.5:7b", "Qwen2.5-7B-Instruct"],
    "llama-3.3-70b-instruct": ["llama3.3:70b", "llama3.3:latest", "meta-llama/Llama-3.3-70B-Instruct"],
    "llama-3.1-8b": ["llama3.1:8b", "Meta-Llama-3.1-8B-Instruct-IQ2_XXS.gguf"],
    "llama-3.2-11b-vision": ["llama3.2-vision:11b", "meta-llama/Llama-3.2-11B-Vision-Instruct"],
    "codellama-34b": ["codellama:34b", "codellama/CodeLlama-34b-hf"],
    "codellama-34b-instruct": ["codellama:34b-instruct-q4_0", "codellama/CodeLlama-34b-Instruct-hf"],
    "deepseek-r1": ["deepseek-r1:671b", "deepseek-ai/DeepSeek-R1"],
    "deepseek-r1-distill-70b": ["deepseek-r1:70b", "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"],
    "deepseek-r1-distill-32b": ["deepseek-r1:32b", "DeepSeek-R1-Distill-Qwen-32B-Q8_0.gguf"],
    "gemma-2-27b": ["gemma2:27b", "google/gemma-2-27b-it"],
    "gemma-3-27b": ["gemma3:27b", "unsloth/gemma-3-27b-it-bnb-4bit"],
    "phi-4": ["phi4", "phi4:latest", "phi4:14b-fp16", "microsoft/phi-4"],
    "mistral-7b": ["mistral:latest", "mistral:7b", "mistralai/Mistral-7B-Instruct-v0.3"],
    "mistral-nemo-12b": ["mistral-nemo", "mistral-nemo:12b"],
    "nous-hermes-2-mixtral": ["nous-hermes2-mixtral:8x7b", "NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO"],
    "gpt-oss-20b": ["gpt-oss:20b", "openai/gpt-oss-20b"],
    "smollm2-135m": ["smollm2:135m", "SmolLM2-135M-Instruct.Q4_1.gguf"],
    None: [
        "qwen2.5-coder:3b",
        "qwen2.5-math:7b",
        "qwen3-coder:480b",
        "llama3:8b",
        "codellama:34b-python",
        "deepseek-coder-v2:16b",
        "mixtral:8x7b",
        "all-minilm",
        "my-own-model",
        "instruct",
        "",
    ],
}


@pytest.mark.parametrize(("model_id", "name"), [(m, name) for m, names in NAMES.items() for name in names])
def test_name_means(model_id: str | None, name: str):
    found = CATALOG.match(name)
    assert (found and found.id) == model_id


@pytest.mark.parametrize(
    ("name", "billions", "model_id"),
    [
        ("deepseek-r1:latest", 8.2, None),
        ("deepseek-r1:latest", 671, "deepseek-r1"),
        ("deepseek-r1:latest", None, "deepseek-r1"),
        ("deepseek-coder-v2:latest", 15.7, None),
        ("mistral:latest", 7.2, "mistral-7b"),
        ("smollm2:135m", 0.135, "smollm2-135m"),
    ],
)
def test_a_tag_that_holds_a_much_smaller_model_is_not_taken_at_its_word(name: str, billions, model_id: str | None):
    served = ServedModel(id=name, parameters=billions and int(billions * 1e9))
    info = CATALOG.describe(served)
    assert info.id == (model_id or name)
    assert (info.source == "size") == (model_id is None)


@pytest.mark.parametrize(
    ("served", "memory_gb"),
    [
        (ServedModel(id="new:7b"), 4.2),
        (ServedModel(id="new-8x7b"), 33.6),
        (ServedModel(id="new-500m"), 0.3),
        (ServedModel(id="new", parameters=7_000_000_000), 4.2),
        (ServedModel(id="new:70b", parameters=7_000_000_000), 4.2),
        (ServedModel(id="new", size_bytes=4_200_000_000), 4.2),
        (ServedModel(id="new"), None),
        (ServedModel(id="new", parameters=-1, size_bytes=-1), None),
        (ServedModel(id="new", parameters=10**400), None),
        (ServedModel(id="9" * 400 + "x7b"), None),
        (ServedModel(id="7x" + "9" * 400 + "b"), None),
        (ServedModel(id="9" * 5000 + "b"), None),
        (ServedModel(id="9" * 5000 + "x7b"), None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_unknown_model_is_placed_by_its_size(served: ServedModel, memory_gb: float | None):
    info = CATALOG.describe(served)
    assert (info.source, info.memory_gb, info.id) == ("size", memory_gb, served.id)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("qwen3-coder:480b", "qwen"),
        ("llama-guard3:8b", "llama"),
        ("hub/zephyr-7b-beta", "zephyr"),
        ("Meta-Nova-7B", "nova"),
        ("7b", "unknown"),
    ],
)
def test_family_of_an_unknown_model_is_its_first_word(name: str, family: str):
    assert guess(ServedModel(id=name)).family == family


def test_a_larger_unknown_model_is_thought_better():
    qualities = [guess(ServedModel(id=f"new:{size}")).scores[Task.REASONING] for size in ("500m", "3b", "32b", "400b")]
    assert qualities == sorted(set(qualities))


def test_a_coder_is_thought_better_at_code():
    coder, other = guess(ServedModel(id="new-coder:7b")), guess(ServedModel(id="new:7b"))
    assert coder.scores[Task.CODING] > other.scores[Task.CODING]
    assert coder.scores[Task.DOCUMENTATION] < other.scores[Task.DOCUMENTATION]


SERVED = st.builds(
    ServedModel,
    id=st.one_of(st.text(), st.from_regex(r"[a-z]{1,8}[-:]?\d{1,3}(x\d)?[bm](-instruct)?(-q4_K_M)?", fullmatch=True)),
    parameters=st.none() | st.integers(),
    size_bytes=st.none() | st.integers(),
)


@given(SERVED)
@settings(deadline=None)
def test_any_model_is_described(served: ServedModel):
    info = CATALOG.describe(served)
    assert set(info.scores) == set(Task)
    assert all(0 <= score <= 100 for score in info.scores.values())
    assert CATALOG.describe(served) == info


@given(st.sampled_from([name for names in NAMES.values() for name in names]), st.sampled_from(["", ":latest", ".gguf"]))
def test_publisher_case_and_quantisation_do_not_matter(name: str, end: str):
    for dressed in (f"hub.example/someone/{name}{end}", name.upper() + end, f"{name}-q8_0{end}"):
        assert words(dressed) == words(name)
