"""Makes a tiny model with random weights: a real file for a real server, instant, and its answers are noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, KV_HEADS = 64, 2, 4, 2
SIZES = {
    "block_count": LAYERS,
    "embedding_length": WIDTH,
    "feed_forward_length": 3 * WIDTH,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "rope.dimension_count": WIDTH // HEADS,
}


def write_tiny_model(donor: Path, target: Path, seed: int = 1) -> None:
    """Write `target` with the tokenizer and the chat template of `donor`, a GGUF file of the llama family.

    The same seed gives the same file, and the same answers at temperature 0.
    """
    reader = gguf.GGUFReader(donor)
    writer = gguf.GGUFWriter(target, "llama")
    changed: dict[str, Any] = {f"llama.{key}": size for key, size in SIZES.items()}
    changed |= {"general.name": f"tiny-{seed}", "general.file_type": int(gguf.LlamaFileType.MOSTLY_F16)}
    left_out = {"general.architecture", "llama.attention.key_length", "llama.attention.value_length"}
    for key, field in reader.fields.items():
        if key in left_out or key.startswith("GGUF."):
            continue
        if field.types[0] is gguf.GGUFValueType.ARRAY:
            writer.add_array(key, field.contents())
        else:
            writer.add_key_value(key, changed.get(key, field.contents()), field.types[0])
    _add_tensors(writer, len(reader.fields["tokenizer.ggml.tokens"].data), np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tensors(writer: gguf.GGUFWriter, vocabulary: int, rng: np.random.Generator) -> None:
    kv_width = WIDTH // HEADS * KV_HEADS
    block = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (kv_width, WIDTH),
        "attn_v": (kv_width, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (3 * WIDTH, WIDTH),
        "ffn_up": (3 * WIDTH, WIDTH),
        "ffn_down": (WIDTH, 3 * WIDTH),
    }
    shapes = {f"blk.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in block.items()}
    norms = ["output_norm", *(f"blk.{layer}.{name}" for layer in range(LAYERS) for name in ("attn_norm", "ffn_norm"))]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    # A spread of the output far above the rest's keeps one token ahead of the others: answers do not hang on rounding.
    spreads = {"token_embd": ((vocabulary, WIDTH), 0.05), "output": ((vocabulary, WIDTH), 0.5)}
    for name, (shape, spread) in ({name: (shape, 0.05) for name, shape in shapes.items()} | spreads).items():
        writer.add_tensor(f"{name}.weight", rng.normal(0, spread, shape).astype(np.float16))
