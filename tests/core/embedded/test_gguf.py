import itertools
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.embedded.gguf import QUANTISATIONS, read_header
from jupyter_llmroute.core.errors import NoModelFile

NAMES = itertools.count()
HUGE = 2**64 - 1
WITHIN = 2**40


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: str, *shape: int, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 1, offset)


def model(*keys: bytes, tensors: tuple[bytes, ...] = (), version: int = 3, tail: bytes = b"\0" * 64) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join((*keys, *tensors)) + tail


ARCHITECTURE = key("general.architecture", 8, text("llama"))
WINDOW = key("llama.context_length", 4, struct.pack("<I", 4096))
TEMPLATE = key("tokenizer.chat_template", 8, text("{{ messages }}"))
TOKENS = key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + text("a") + text("") + text("the"))
SCORES = key("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 3) + b"\0" * 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gguf")


def write(folder: Path, content: bytes, name: str | None = None) -> Path:
    path = folder / (name or f"{next(NAMES)}.gguf")
    path.write_bytes(content)
    return path


def test_the_demonstration_model(demo_model):
    header = read_header(demo_model)
    assert header.model_dump(exclude={"path"}) == {
        "name": "SmolLM2-135M-Instruct.Q4_1",
        "architecture": "llama",
        "trained_window": 8192,
        "size_bytes": 98_362_432,
        "quantisation": "Q4_1",
        "parameters": 134_515_008,
        "licence": "apache-2.0",
        "has_chat_template": True,
    }


def test_the_tiny_model(tiny_model):
    header = read_header(tiny_model)
    assert (header.name, header.quantisation, header.trained_window) == ("tiny", "F16", 8192)
    assert header.has_chat_template
    assert header.parameters == 6_390_080


@pytest.mark.parametrize("version", [2, 3])
def test_a_header_by_hand(folder, version):
    content = model(
        ARCHITECTURE, WINDOW, TOKENS, SCORES, TEMPLATE,
        key("general.file_type", 4, struct.pack("<I", 15)),
        key("general.license", 8, text("mit\x1b[31m\n")),
        tensors=(tensor("a", 4, 3), tensor("b", 5, offset=12)), version=version,
    )  # fmt: skip
    header = read_header(write(folder, content))
    assert (header.trained_window, header.quantisation, header.parameters) == (4096, "Q4_K_M", 17)
    assert header.licence == "mit[31m"
    assert header.has_chat_template


def test_what_is_not_said_is_none(folder):
    header = read_header(write(folder, model(ARCHITECTURE)))
    assert (header.trained_window, header.quantisation, header.parameters, header.licence) == (None,) * 4
    assert not header.has_chat_template


@pytest.mark.parametrize("window", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_a_window_beyond_belief_is_none(folder, window):
    assert (
        read_header(write(folder, model(ARCHITECTURE, key("llama.context_length", 4, window)))).trained_window is None
    )


def test_values_of_another_type_than_expected_are_none(folder):
    keys = (key(name, 8, text("x")) for name in ("llama.context_length", "general.file_type"))
    header = read_header(write(folder, model(ARCHITECTURE, *keys, key("general.license", 7, b"\1"))))
    assert (header.trained_window, header.quantisation, header.licence) == (None, None, None)


def test_a_long_template_is_skipped_and_noticed(folder):
    long = key("tokenizer.chat_template", 8, text("x" * 3_000_000))
    assert read_header(write(folder, model(ARCHITECTURE, long, WINDOW))).trained_window == 4096


def test_a_vocabulary_across_many_blocks(folder):
    words = b"".join(text("x" * (index % 61)) for index in range(60_000))
    tokens = key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 60_000) + words)
    assert read_header(write(folder, model(ARCHITECTURE, tokens, WINDOW))).trained_window == 4096


def test_a_part_of_a_split_model_does_not_tell_the_parameters(folder):
    content = model(ARCHITECTURE, key("split.count", 2, b"\3\0"), tensors=(tensor("a", 4),))
    assert read_header(write(folder, content)).parameters is None
    assert read_header(write(folder, model(ARCHITECTURE), "m-00001-of-00003.gguf")).parameters is None


def test_a_changed_file_is_read_again(folder):
    path = write(folder, model(ARCHITECTURE))
    assert read_header(path) is read_header(path)
    path.write_bytes(model(ARCHITECTURE, WINDOW))
    assert read_header(path).trained_window == 4096


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "ends within"),
        (b"PK\3\4" + b"\0" * 99, "begin with 'GGUF'"),
        (model(ARCHITECTURE, version=1), "version is 1"),
        (b"GGUF\0\0\0\3" + b"\0" * 99, "little-endian"),
        (model(WINDOW), "architecture"),
        (model(key("general.architecture", 4, b"\0\0\0\0")), "architecture"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE) + b"\0" * 99, "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0) + b"\0" * 99, "claims"),
        (model(struct.pack("<Q", HUGE) + b"general"), "claims"),
        (model(struct.pack("<Q", WITHIN) + b"general"), "claims"),
        (model(text("k" * 2000) + struct.pack("<II", 4, 0)), "keys is longer"),
        (model(key("general.architecture", 8, struct.pack("<Q", HUGE))), "claims"),
        (model(ARCHITECTURE, key("x", 99, b"")), "unknown type 99"),
        (model(ARCHITECTURE, key("x", 9, struct.pack("<IQ", 4, HUGE))), "claims"),
        (model(ARCHITECTURE, key("x", 9, struct.pack("<IQ", 8, HUGE))), "claims"),
        (model(ARCHITECTURE, key("x", 9, struct.pack("<IQQ", 8, 1, HUGE))), "ends within"),
        (model(ARCHITECTURE, key("x", 9, struct.pack("<IQQQ", 8, 2, WITHIN, 0))), "ends within"),
        (model(ARCHITECTURE, key("x", 9, struct.pack("<IQ", 9, 1))), "unknown type 9"),
        (model(ARCHITECTURE, tensors=(tensor("a", *[2] * 9),)), "9 dimensions"),
        (model(ARCHITECTURE, tensors=(tensor("a", HUGE, HUGE),)), "before its tensors"),
        (model(ARCHITECTURE, tensors=(tensor("a", 4, offset=WITHIN),)), "before its tensors"),
    ],
)
def test_a_broken_file_says_what_is_wrong_and_takes_no_memory(folder, content, words):
    path = write(folder, content)
    tracemalloc.start()
    try:
        with pytest.raises(NoModelFile, match=words) as caught:
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert repr(str(path)) in str(caught.value)


def test_a_missing_file_and_a_folder(folder):
    for path in (folder / "none.gguf", folder):
        with pytest.raises(NoModelFile, match="cannot be read"):
            read_header(path)


WHOLE = model(ARCHITECTURE, WINDOW, TOKENS, SCORES, TEMPLATE, tensors=(tensor("a", 4, 3),))


def reads_or_refuses(path: Path) -> None:
    with suppress(NoModelFile):
        assert read_header(path).path == path


@given(cut=st.integers(0, len(WHOLE)))
def test_cut_anywhere(folder, cut):
    reads_or_refuses(write(folder, WHOLE[:cut]))


@given(where=st.integers(0, len(WHOLE) - 1), what=st.binary(min_size=1, max_size=12))
def test_changed_anywhere(folder, where, what):
    reads_or_refuses(write(folder, WHOLE[:where] + what + WHOLE[where + len(what) :]))


@given(garbage=st.binary(max_size=300))
def test_garbage(folder, garbage):
    reads_or_refuses(write(folder, b"GGUF\3\0\0\0" + garbage))


def test_a_real_file_cut_short(folder, tiny_model):
    content = tiny_model.read_bytes()
    for length in (20, 1000, 900_000, len(content) // 2):
        with pytest.raises(NoModelFile):
            read_header(write(folder, content[:length]))


def test_quantisations_are_named_as_the_format_names_them():
    official = {kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType}
    assert {kind: official.get(kind, name) for kind, name in QUANTISATIONS.items()} == QUANTISATIONS
