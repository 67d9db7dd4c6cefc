"""What the name of a served model says, and which other names mean the same."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.naming import (
    DEFAULT_BITS,
    LONGEST,
    Size,
    bits_per_weight,
    identity,
    quantisation,
    same_model,
    size,
    words,
)

SAME = [
    "Qwen/Qwen2.5-Coder-32B-Instruct-GGUF qwen2.5-coder:32b-instruct-q4_K_M qwen2.5-coder-32b-instruct.Q8_0.gguf "
    "qwen2.5-coder:32b qwen2.5-coder-32b-instruct@q4_k_m mlx-community/Qwen2.5-Coder-32B-Instruct-4bit "
    "Qwen/Qwen2.5-Coder-32B-Instruct-AWQ Qwen2.5-Coder-32B-Instruct-Q4_K_M-00001-of-00002.gguf "
    "unsloth/Qwen2.5-Coder-32B-Instruct-bnb-4bit Qwen_Qwen2.5-Coder-32B-Instruct-IQ2_XXS.gguf "
    "hf.co/bartowski/Qwen2.5-Coder-32B-Instruct-GGUF:Q5_K_S qwen2.5-coder-32b-instruct:2",
    "qwen2.5-coder:32b-base Qwen/Qwen2.5-Coder-32B-Base qwen2.5-coder-32b-base.Q4_0.gguf",
    "qwen2.5:32b Qwen/Qwen2.5-32B-Instruct-FP8",
    "qwen2.5:7b qwen2.5-7b-instruct",
    "qwen2.5-math:7b",
    "qwen2:7b qwen2-7b-instruct",
    "qwen3:30b-a3b Qwen/Qwen3-30B-A3B-GGUF",
    "qwen3:30b-a3b-instruct-2507-q4_K_M Qwen3-30B-A3B-Instruct-2507-UD-Q4_K_XL.gguf",
    "qwen3:30b-a3b-thinking-2507 Qwen/Qwen3-30B-A3B-Thinking-2507-FP8",
    "llama3:8b meta-llama/Meta-Llama-3-8B-Instruct",
    "llama3:8b-text llama-3-8b-base.gguf",
    "llama3.1:8b Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
    "llama3.1:70b",
    "llama3.3:70b",
    "mistral:7b-instruct-v0.2 mistralai/Mistral-7B-Instruct-v0.2",
    "mistral:7b-instruct-v0.3 TheBloke_Mistral-7B-Instruct-v0.3-GPTQ",
    "mistral-small:24b-instruct-2501 mistralai/Mistral-Small-24B-Instruct-2501",
    "deepseek-r1:671b",
    "deepseek-r1:8b",
    "DeepSeek-R1-Distill-Llama-8B DeepSeek-R1-Distill-Llama-8B-Q8_0.gguf",
    "DeepSeek-R1-Distill-Qwen-7B",
    "deepseek-r1-0528-qwen3-8b DeepSeek-R1-0528-Qwen3-8B-Q4_K_M.gguf",
    "deepseek-v3 deepseek-ai/DeepSeek-V3",
    "deepseek-v3-0324",
    "deepseek-v3.1",
    "gemma3:27b google/gemma-3-27b-it google/gemma-3-27b-it-qat-q4_0-gguf",
    "gemma-3-27b-pt",
    "gemma3n:e4b google/gemma-3n-E4B-it",
    "gemma3:4b",
    "mixtral:8x7b mistralai/Mixtral-8x7B-Instruct",
    "mixtral:8x22b",
    "llama3.2-vision:11b Llama-3.2-11B-Vision-Instruct",
    "phi-3-mini-4k-instruct",
    "phi-3-mini-128k-instruct",
    "nvidia/Llama-3_3-Nemotron-Super-49B Llama-3.3-Nemotron-Super-49B",
    "gpt-oss:20b openai/gpt-oss-20b gpt-oss-20b-MXFP4.gguf",
    "gpt-oss:120b-cloud",
    "qwq:32b",
    "QwQ-32B-Preview",
    "m:7b",
    "m-mini:7b",
]
GROUPS = [group.split() for group in SAME]


@pytest.mark.parametrize("group", [g for g in GROUPS if len(g) > 1], ids=lambda group: group[0])
def test_all_names_of_one_model_are_one(group: list[str]):
    assert len({identity(name) for name in group}) == 1


def test_names_of_different_models_are_different():
    identities = [identity(group[0]) for group in GROUPS]
    assert len(set(identities)) == len(GROUPS)


def served(name: str, **facts) -> ServedModel:
    return ServedModel(id=name, **facts)


Q4, Q8 = {"quantisation": "Q4_K_M"}, {"quantisation": "Q8_0"}
PAIRS = {
    "one name": (served("qwen2.5:7b"), served("Qwen2.5-7B-Instruct"), True),
    "another line": (served("qwen2.5:7b"), served("qwen2.5-coder:7b"), False),
    "another size": (served("qwen2.5:7b"), served("qwen2.5:14b"), False),
    "one digest, other names": (served("mine", digest="sha256:AB"), served("yours", digest="sha256:ab"), True),
    "one name, other digests": (
        served("qwen2.5:7b", digest="sha256:a"), served("qwen2.5:7b", digest="sha256:b"), False),
    "digests of other kinds, one name": (
        served("qwen2.5:7b", digest="sha256:a"), served("qwen2.5:7b", digest="manifest:b"), True),
    "one digest only, one name": (served("qwen2.5:7b", digest="sha256:a"), served("qwen2.5:7b"), True),
    "digests without a kind": (served("m", digest="a"), served("n", digest="a"), True),
    "latest, and one size told": (
        served("deepseek-r1:latest", parameters=8_200_000_000), served("deepseek-r1:latest", parameters=8_000_000_000),
        True),
    "latest, and other sizes told": (
        served("deepseek-r1:latest", parameters=8_200_000_000), served("deepseek-r1", parameters=671_000_000_000),
        False),
    "latest, and one of them tells": (
        served("deepseek-r1:latest", parameters=8_200_000_000), served("deepseek-r1"), False),
    "the very same name, and nobody tells": (served("phi-4"), served("phi-4"), True),
    "a name without a size, and nobody tells": (served("phi-4"), served("phi4:latest"), False),
    "files of one size": (
        served("phi-4", size_bytes=9_000_000_000, **Q4), served("phi4:latest", size_bytes=9_100_000_000, **Q4), True),
    "files of other sizes": (
        served("phi-4", size_bytes=9_000_000_000, **Q4), served("phi4:latest", size_bytes=2_000_000_000, **Q4), False),
    "files of other quantisations tell nothing": (
        served("phi-4", size_bytes=9_000_000_000, **Q4), served("phi4:latest", size_bytes=9_000_000_000, **Q8), False),
    "a size in one name, told beside the other": (
        served("mistral:7b"), served("mistral:latest", parameters=7_200_000_000), True),
    "a size in one name, another told beside the other": (
        served("llama3.1:70b"), served("llama3.1:latest", parameters=8_000_000_000), False),
    "a size in one name, none beside the other": (served("mistral:7b"), served("mistral:latest"), False),
    "one name, but the servers tell other sizes": (
        served("m:7b", parameters=7_000_000_000), served("m:7b", parameters=500_000_000), False),
    "a size and no name": (served("7b"), served("8b", parameters=7_000_000_000), False),
    "nothing": (served(""), served(""), True),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other", "same"), PAIRS.values(), ids=PAIRS)
def test_same_model(one: ServedModel, other: ServedModel, same: bool):
    assert same_model(one, other) is same
    assert same_model(other, one) is same


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("qwen3:30b-a3b", Size(total=30e9, active=3e9)),
        ("mixtral:8x22b", Size(total=176e9, active=44e9)),
        ("smollm2:135m", Size(total=135e6)),
        ("qwen2.5-0.5b-instruct-q8_0.gguf", Size(total=0.5e9)),
        ("gemma-3n-e4b-it", Size(total=4e9)),
        ("Qwen2.5-7B-Instruct-1M", Size(total=7e9)),
        ("phi4:latest", None),
        ("phi-3-mini-128k", None),
        ("qwen2.5-coder-4bit", None),
        ("m-0b", None),
        ("m-99999b", None),
        ("3billion", None),
    ],
)
def test_size(name: str, found: Size | None):
    assert size(name) == found


@pytest.mark.parametrize(
    ("name", "found", "bits"),
    [
        ("qwen2.5:7b-instruct-q4_K_M", "q4_k_m", 4.89),
        ("Meta-Llama-3.1-8B-Instruct-IQ2_XXS.gguf", "iq2_xxs", 2.38),
        ("Qwen3-Coder-30B-A3B-Instruct-UD-Q4_K_XL.gguf", "ud-q4_k_xl", 4.89),
        ("SmolLM2-135M-Instruct.Q8_0.gguf", "q8_0", 8.5),
        ("qwen2.5-coder-32b-instruct@q5_k_s", "q5_k_s", 5.57),
        ("phi4:14b-fp16", "fp16", 16),
        ("m-7b-bf16", "bf16", 16),
        ("Qwen/Qwen3-32B-FP8", "fp8", 8),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "awq", 4.5),
        ("TheBloke/CodeLlama-34B-Instruct-GPTQ", "gptq", 4.5),
        ("gpt-oss-20b-MXFP4.gguf", "mxfp4", 4.25),
        ("nvidia/Llama-3.1-8B-Instruct-NVFP4", "nvfp4", 4.5),
        ("mlx-community/Qwen3-8B-4bit", "4bit", 4.5),
        ("mlx-community/Qwen3-8B-8bit", "8bit", 8.5),
        ("unsloth/gemma-3-27b-it-bnb-4bit", "bnb-4bit", 4.5),
        ("RedHatAI/Llama-3.1-8B-Instruct-quantized.w4a16", "w4a16", 4.25),
        ("turboderp/Llama-3.1-8B-exl2-4.65bpw", "4.65bpw", 4.65),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "gptq", 4.5),
        ("bartowski/x-7b-TQ1_0.gguf", "tq1_0", 1.69),
        ("Qwen/Qwen2.5-7B-Instruct", None, None),
        ("phi4:latest", None, None),
        ("x-GGUF", None, None),
        ("", None, None),
    ],
)
def test_quantisation(name: str, found: str | None, bits: float | None):
    assert quantisation(name) == found
    assert (found and bits_per_weight(found)) == bits


def test_more_bits_by_name_are_more_bits():
    order = ["iq1_s", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs", "iq3_xs", "iq3_s", "iq3_m", "iq4_xs", "iq4_nl"]
    for named in (order, "q2_k q3_k_s q3_k_m q3_k_l q4_k_s q4_k_m q5_k_s q5_k_m q6_k q8_0 f16 f32".split()):
        bits = [bits_per_weight(name) for name in named]
        assert bits == sorted(set(bits))
    assert bits_per_weight("Q4_K_M") == DEFAULT_BITS


@pytest.mark.parametrize("name", ["", "mixed", "q", "q7_k", "w4", "99bit" * 100, "x" * 100_000, "0bpw", "٤bit"])
def test_a_quantisation_that_says_nothing_has_no_bits(name: str):
    assert not bits_per_weight(name)


NAMES = [
    name
    for row in Path(__file__).with_name("served_names.txt").read_text("utf-8").splitlines()
    if not row.startswith("#")
    for name in row.partition(": ")[2].split()
]


@pytest.mark.parametrize("end", ["", ":latest", ".gguf"])
@pytest.mark.parametrize("name", [name for name in NAMES if not re.search(r"\\|:\d+$", name)])
def test_publisher_case_and_quantisation_do_not_matter(name: str, end: str):
    """Not of paths, nor of a second copy in memory, whose number ends the name."""
    for dressed in (f"hub.example/someone/{name}{end}", name.upper() + end, f"{name}-q8_0{end}"):
        assert words(dressed) == words(name)
        assert identity(dressed) == identity(name)


@given(st.text(), st.text())
@settings(deadline=None)
def test_any_two_names_can_be_compared(one: str, other: str):
    assert isinstance(identity(one), str)
    assert same_model(served(one), served(other)) == same_model(served(other), served(one))
    assert same_model(served(one), served(one))
    assert quantisation(one) is None or bits_per_weight(quantisation(one))


@pytest.mark.parametrize("letters", ["a", "9", "-q4", ":q4", "8x7b", "\x00", "/"])
def test_a_name_that_is_too_long_is_like_no_other(letters: str):
    long = letters * 100_000
    assert identity(long) == long
    assert len(words(long)) <= LONGEST
    assert not same_model(served(long), served(long + letters))


def test_one_name_is_not_two_models():
    for one, other in itertools.combinations(["qwen2.5", "qwen2.5-coder", "qwen2", "qwen", "coder"], 2):
        assert identity(one) != identity(other)
