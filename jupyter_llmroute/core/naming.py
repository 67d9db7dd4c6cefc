"""What the name of a served model says: its words, its size, its quantisation, and which other names mean the same.

Servers spell one model in many ways: `qwen2.5-coder:32b-instruct-q4_K_M`, `Qwen/Qwen2.5-Coder-32B-Instruct-GGUF`,
`qwen2.5-coder-32b-instruct@q8_0`. A name is compared by its words, never by substrings: `qwen2.5-coder` is not
`qwen2.5`.
"""

from __future__ import annotations

import functools
import re
from enum import Enum, auto

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.values import Value

LONGEST = 300
"""Characters of a name that are read, from its end; no model has more, and a server may say anything."""

ALIKE = 0.15
"""Two sizes that differ by no more than this share are the same size, told with or without embeddings and rounding."""

_PUBLISHERS = (
    "ai21labs allenai bartowski casperhansen cohereforai coherelabs deepseek-ai google huggingfacetb ibm-granite "
    "lmstudio-community lonestriker maziyarpanahi meta meta-llama microsoft mistralai mlx-community moonshotai "
    "mradermacher neuralmagic nousresearch nvidia openai qwen redhatai thebloke thudm tiiuae turboderp unsloth zai-org"
).split()
_PUBLISHER = re.compile(rf"(?:{'|'.join(map(re.escape, _PUBLISHERS))})_(?=[a-z])")
"""Before an underscore where a server flattens `publisher/model`: `mistralai_Mistral-Nemo`, `TheBloke_CodeLlama`."""

_PACKED = re.compile(
    r"[.\-_:@]"
    r"((?:ud-)?i?q\d\w*|tq[12]_0|w\d{1,2}a\d{1,2}|(?:f|fp|bf)(?:16|32)|fp8|mxfp[468]|nvfp4|nf4|fp4|int[348]|awq|gptq"
    r"|hqq|aqlm|marlin|(?:bnb-)?\d{1,2}-?bits?|\d{1,2}(?:\.\d{1,2})?bpw"
    r"|(?:exl[23]|mlx|mlc|gguf|ggml|qat|dwq|imat(?:rix)?|i1|h[68]|\d{2,3}g|dynamic|quantized|\d{1,5}-of-\d{1,5}))"
    r"(?=$|[.\-_:@])"
)
"""How the weights are packed; what is left says which model it is."""

_WORD = re.compile(r"\d+x\d+(?:\.\d+)?b|[ae]?\d+(?:\.\d+)?[bm](?![a-z0-9])|\d+k(?![a-z0-9])|[a-z]+|\d+(?:\.\d+)*", re.A)
_SIZE = re.compile(r"(?:(\d{1,3})x|e)?(\d{1,4}(?:\.\d{1,3})?)([bm])", re.A)  # no model has more digits than that
_ACTIVE = re.compile(r"a(\d{1,4}(?:\.\d{1,3})?)([bm])", re.A)
_WINDOW = re.compile(r"\d+k|1m", re.A)
_EDITION = re.compile(r"cloud|20\d\d|2[3-9](?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])|0[1-9]", re.A)
_PATH = re.compile(r"[/\\]")
_INSTANCE = re.compile(r":\d{1,2}$", re.A)
_UNTUNED = re.compile(r":((?:[^:]*-)?)text\b")
_PART = re.compile(r"(?<![\d.])(\d)_(\d)(?!\d)", re.A)
_FIRST_VERSIONS = frozenset("0.1 0.2 0.3 1.0".split())

NOISE = frozenset("instruct chat it gguf latest hf meta text model main".split())
"""Words that do not tell a model from others."""

_SAME_WORD = {"pt": "base", "pretrained": "base"}

BITS_PER_WEIGHT = {
    "iq1_s": 2.0, "iq1_m": 2.15, "iq2_xxs": 2.38, "iq2_xs": 2.59, "iq2_s": 2.74, "iq2_m": 2.93, "iq3_xxs": 3.25,
    "iq3_xs": 3.5, "iq3_s": 3.66, "iq3_m": 3.76, "iq4_xs": 4.46, "iq4_nl": 4.68, "q2_k_s": 2.97, "q2_k": 3.16,
    "q3_k_s": 3.64, "q3_k_m": 3.91, "q3_k_l": 4.3, "q4_k_s": 4.67, "q4_k_m": 4.89, "q5_k_s": 5.57, "q5_k_m": 5.7,
    "q6_k": 6.56, "q8_0": 8.5,
    "tq1_0": 1.69, "tq2_0": 2.06, "q4_0": 4.5, "q4_1": 5.0, "q5_0": 5.5, "q5_1": 6.0,
    "f32": 32.0, "f16": 16.0, "bf16": 16.0, "fp32": 32.0, "fp16": 16.0, "fp8": 8.0,
    "mxfp4": 4.25, "nvfp4": 4.5, "mxfp6": 6.25, "mxfp8": 8.25, "fp4": 4.5, "nf4": 4.5, "int3": 3.5, "int4": 4.5,
    "int8": 8.25, "awq": 4.5, "gptq": 4.5, "hqq": 4.5, "aqlm": 2.3, "marlin": 4.5,
}  # fmt: skip
"""Bits a weight takes, its share of the scales with it.

The first block is measured on Llama 3.1 8B, in the README of llama.cpp's `tools/quantize` (there is no row for
`q3_k_m`: the same README's earlier table, Llama 2 7B). The others follow from their block layouts: 32 weights with one
or two 16-bit numbers (`q4_0` … `q5_1`), with one of 8 bits (`mxfp4`), 16 with one of 8 bits (`nvfp4`), 64 or 128 with a
16-bit scale and zero (`awq`, `gptq`, mlx's and bitsandbytes' 4 bits, as if nearly all weights were packed).
"""

DEFAULT_BITS = BITS_PER_WEIGHT["q4_k_m"]
"""Of a model whose quantisation nobody tells: what Ollama and LM Studio fetch where nothing else is asked."""

_BITS_BY_DIGIT = {"1": 2.0, "2": 3.16, "3": 3.91, "4": 4.89, "5": 5.7, "6": 6.56, "8": 8.5}
_SOME_BITS = re.compile(r"i?q(\d)\w*|(?:bnb-)?(\d{1,2})-?bits?|w(\d{1,2})a\d+|(\d{1,2}(?:\.\d{1,2})?)bpw", re.A)


class Size(Value):
    """Numbers of parameters as a name tells them."""

    total: float
    active: float | None = None
    """Of a mixture of experts, those that one token passes through."""


def words(name: str) -> frozenset[str]:
    """Return the words of a model's name that tell it from others: family, generation, line, size.

    The publisher's prefix, the quantisation and words such as "instruct" do not.

    Examples
    --------
    >>> words("Qwen/Qwen2.5-Coder-32B-Instruct-GGUF") == words("qwen2.5-coder:32b-instruct-q4_K_M")
    True
    >>> words("qwen2.5:32b") == words("qwen2.5-coder:32b")
    False
    """
    return _telling(name[-LONGEST:])


def identity(name: str) -> str:
    """Return what is equal for all names of one model and different for others: to be compared, not to be shown.

    "base" tells a model from its namesake, "instruct" does not: what is served to be asked is tuned for it, said or
    not. A name of more than `LONGEST` characters is like no other.

    Examples
    --------
    >>> identity("Qwen/Qwen2.5-Coder-32B-Instruct-GGUF") == identity("qwen2.5-coder-32b-instruct.Q8_0.gguf")
    True
    >>> identity("qwen2.5-coder:32b-base") == identity("qwen2.5-coder:32b")
    False
    """
    return _identity(name) if len(name) <= LONGEST else name


def in_order(name: str) -> tuple[str, ...]:
    """Return the words of a name as they stand, without publisher and quantisation."""
    return _read(name[-LONGEST:])


def size(name: str) -> Size | None:
    """Return the numbers of parameters that a name tells; `None` where it tells none.

    Examples
    --------
    >>> size("qwen3:30b-a3b"), size("mixtral:8x7b").total, size("phi4:latest")
    (Size(total=30000000000.0, active=3000000000.0), 56000000000.0, None)
    """
    return _size(name[-LONGEST:])


def without_size(found: frozenset[str]) -> frozenset[str]:
    """Return the words of a name that are no number of parameters."""
    return frozenset(word for word in found if _role(word) not in (Role.SIZE, Role.ACTIVE))


def without_window(found: frozenset[str]) -> frozenset[str]:
    """Return the words of a name that are no number of tokens, such as "128k"."""
    return frozenset(word for word in found if _role(word) is not Role.WINDOW)


def without_active(found: frozenset[str]) -> frozenset[str]:
    """Return the words of a name but for the number of active parameters, which servers often leave out."""
    return frozenset(word for word in found if _role(word) is not Role.ACTIVE)


def without_edition(found: frozenset[str]) -> frozenset[str]:
    """Return the words of a name that are no date ("2407", "08-2024"), no first version ("v0.1") and not "cloud".

    For what is known of no edition by itself; editions that differ have rows of their own.
    """
    rest = frozenset(word for word in found if _role(word) is not Role.EDITION)
    return rest - _FIRST_VERSIONS - {"v"} if "v" in rest and rest & _FIRST_VERSIONS else rest


def quantisation(name: str) -> str | None:
    """Return how a name says that the weights are packed, such as `"q4_k_m"`; `None` where it does not.

    Examples
    --------
    >>> quantisation("Qwen2.5-Coder-32B-Instruct-Q4_K_M.gguf"), quantisation("phi4")
    ('q4_k_m', None)
    """
    packed = _PACKED.findall(name[-LONGEST:].lower())
    return next((found for found in packed if bits_per_weight(found)), None)


def bits_per_weight(quantisation: str) -> float | None:
    """Return the bits that a weight takes under a quantisation of that name; `None` for a name that says nothing.

    Examples
    --------
    >>> bits_per_weight("Q4_K_M"), bits_per_weight("Q4_K_XL"), bits_per_weight("4bit"), bits_per_weight("mixed")
    (4.89, 4.89, 4.5, None)
    """
    name = quantisation[:LONGEST].lower().removeprefix("ud-")
    if bits := BITS_PER_WEIGHT.get(name):
        return bits
    if not (found := _SOME_BITS.fullmatch(name)):
        return None
    by_digit, whole, weights, exact = found.groups()
    if by_digit:
        return _BITS_BY_DIGIT.get(by_digit)
    return float(exact) if exact else float(whole or weights) + (0.5 if whole else 0.25)


def same_model(a: ServedModel, b: ServedModel) -> bool:
    """Return whether two servers offer the same model: by digest where both tell one, else by name and size.

    A digest says of which kind it is before a colon, such as "sha256:"; two of different kinds say nothing. A name
    without a size (`deepseek-r1:latest`) is not enough: then the sizes that the servers tell must agree.
    """
    if a.digest and b.digest and _kind(a.digest) == _kind(b.digest):
        return a.digest.lower() == b.digest.lower()
    if identity(a.id) == identity(b.id):
        return _agree(a, b) is not False if size(a.id) else _agree(a, b) or (a.id == b.id and _agree(a, b) is None)
    one, other = words(a.id), words(b.id)
    # One name tells the size and the other does not: the size that is told beside it may.
    half_told = (size(a.id) is None) != (size(b.id) is None) and without_size(one) == without_size(other) != frozenset()
    return half_told and bool(_agree(a, b))


def _kind(digest: str) -> str:
    return digest.partition(":")[0].lower() if ":" in digest else ""


def _agree(a: ServedModel, b: ServedModel) -> bool | None:
    """Return whether two servers tell the same size, `None` where they do not tell."""
    told = [model.parameters or ((found := size(model.id)) and found.total) for model in (a, b)]
    if not all(told):
        told = [model.size_bytes for model in (a, b)] if a.quantisation == b.quantisation else []
    if not told or not all(told):
        return None
    small, large = sorted(float(number or 0) for number in told)
    return small >= large * (1 - ALIKE)


class Role(Enum):
    """What a word of a name may be besides a name."""

    SIZE = auto()
    ACTIVE = auto()
    WINDOW = auto()
    EDITION = auto()


@functools.lru_cache(maxsize=8192)
def _role(word: str) -> Role | None:
    return next((role for role, means in _ROLES.items() if means.fullmatch(word)), None)


_ROLES = {Role.ACTIVE: _ACTIVE, Role.WINDOW: _WINDOW, Role.SIZE: _SIZE, Role.EDITION: _EDITION}


@functools.lru_cache(maxsize=8192)
def _telling(name: str) -> frozenset[str]:
    return frozenset(_read(name)) - NOISE


@functools.lru_cache(maxsize=8192)
def _identity(name: str) -> str:
    return " ".join(sorted(_telling(name))) or name.lower()


@functools.lru_cache(maxsize=8192)
def _read(name: str) -> tuple[str, ...]:
    name = _PATH.split(name.lower().rstrip("/\\"))[-1]
    name = name.removeprefix("models--").rpartition("--")[2] if name.startswith("models--") else name
    name = _INSTANCE.sub("", name)  # LM Studio's second instance of a model: "qwen3-8b:2"
    name = _UNTUNED.sub(r":\1base", name)  # Ollama's tags call untuned models "text"
    while (shorter := _PACKED.sub("", name)) != name:
        name = shorter
    name = _PUBLISHER.sub("", name, count=1) if _PUBLISHER.match(name) else name
    name = _PART.sub(r"\1.\2", name)  # Llama-3_3-Nemotron
    return tuple(_SAME_WORD.get(word, word) for word in _WORD.findall(name))


@functools.lru_cache(maxsize=8192)
def _size(name: str) -> Size | None:
    read = _read(name)
    total = next((found for word in read if (found := _SIZE.fullmatch(word))), None)
    if total is None:
        return None
    times, number, unit = total.groups()
    active = next((found for word in read if (found := _ACTIVE.fullmatch(word))), None)
    if not (one := _number(number, unit)):
        return None
    if times:  # "8x7b": two of the experts work on a token, in all mixtures that are named so
        return Size(total=int(times) * one, active=2 * one)
    return Size(total=one, active=_number(*active.groups()) if active else None)


def _number(number: str, unit: str) -> float:
    return float(number) * (1e9 if unit == "b" else 1e6)
