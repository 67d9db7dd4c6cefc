"""`Header`: what a GGUF file says of itself, read without loading the model.

Layout (versions 2 and 3, little-endian): magic, version, number of tensors, number of keys, the keys with their
values, the tensors' names and shapes. The file is untrusted: each length in it is checked against the bytes that
are left before anything is read by it.
"""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from jupyter_llmroute.core.errors import NoModelFile
from jupyter_llmroute.core.values import Value

SPLIT_PART = re.compile(r"-(?P<part>\d{5})-of-\d{5}$")
"""End of the stem of one file of a model that was split; llama.cpp is given the first and finds the others by name."""

QUANTISATIONS: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
"""Names of `general.file_type`, as llama.cpp numbers them."""

_BLOCK_BYTES = 1 << 20
_MAX_TEXT_BYTES = 1024
"""Longest key, and longest text that is kept; a longer one is skipped."""
_MAX_ITEMS = {"keys": 10_000, "tensors": 1_000_000, "texts": 20_000_000}
"""Far above what any model has: a file made to be slow to read is refused instead."""
_MAX_DIMENSIONS = 8
_WANTED = ("general.architecture", "general.file_type", "general.license", "split.count", "tokenizer.chat_template")
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
"""Value types of fixed size, by their number in the file."""


class Header(Value):
    """What a GGUF file says of its model."""

    path: Path
    name: str
    """The file's name without its suffix; also the name that the embedded server gives the model. Where several files
    of one folder tree would have the same, `find_models` names them by their paths in it."""
    architecture: str
    trained_window: int | None
    """Tokens that the model was trained to look at."""
    size_bytes: int
    """Of this file; a split model's other parts are not counted."""
    quantisation: str | None
    parameters: int | None
    """Numbers in the file's tensors; `None` for a part of a split model."""
    licence: str | None
    """As the file names it; nobody checked it."""
    has_chat_template: bool


class _Broken(Exception):
    """The bytes are not what the layout promises."""


def read_header(path: Path) -> Header:
    """Read the header of the GGUF file `path`; a file that has not changed since is not read again.

    Raises
    ------
    NoModelFile
        It is not there, cannot be read, or is not a whole GGUF file of version 2 or 3.
    """
    try:
        stat = path.stat()
        return _read(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise NoModelFile(
            f"The model file {str(path)!r} cannot be read ({error.strerror}): name another in embedded.model_path."
        ) from error
    except _Broken as error:
        raise NoModelFile(
            f"{str(path)!r} is not a usable GGUF file: {error}. Copy or download it again, or name another file."
        ) from error


@lru_cache(maxsize=256)
def _read(path: Path, size_bytes: int, _changed_ns: int) -> Header:
    with path.open("rb") as file:
        return _read_from(_Reader(file, size_bytes), path)


def _read_from(reader: _Reader, path: Path) -> Header:
    if reader.take(4) != b"GGUF":
        raise _Broken("it does not begin with 'GGUF'")
    if (version := reader.number("<I")) not in (2, 3):
        raise _Broken(f"its version is {version!r}, and 2 and 3 are known (little-endian)")
    tensors = reader.count("tensors", item_bytes=24)
    keys = reader.count("keys", item_bytes=13)
    values = _read_values(reader, keys)
    split = SPLIT_PART.search(path.stem) or values.get("split.count", 0) not in (0, 1)
    parameters = _count_parameters(reader, tensors)
    architecture, file_type = values.get("general.architecture"), values.get("general.file_type")
    if not isinstance(architecture, str):
        raise _Broken("it does not name an architecture")
    return Header(
        path=path,
        name=path.stem,
        architecture=architecture,
        trained_window=_positive(values.get(f"{architecture}.context_length")),
        size_bytes=reader.size_bytes,
        quantisation=QUANTISATIONS.get(file_type) if isinstance(file_type, int) else None,
        parameters=None if split else parameters or None,
        licence=_text(values.get("general.license")),
        has_chat_template="tokenizer.chat_template" in values,
    )


def _read_values(reader: _Reader, keys: int) -> dict[str, object]:
    """Wanted values by key; of arrays and long texts only that they are there."""
    values: dict[str, object] = {}
    for _ in range(keys):
        key = reader.text()
        if key is None:
            raise _Broken(f"one of its keys is longer than {_MAX_TEXT_BYTES} bytes")
        value = _read_value(reader, key)
        if key in _WANTED or key.endswith(".context_length"):
            values[key] = value
    return values


def _read_value(reader: _Reader, key: str) -> object:
    kind = int(reader.number("<I"))
    if kind in _NUMBERS:
        return reader.number(_NUMBERS[kind])
    if kind == _STRING:
        return reader.text()
    if kind == _ARRAY:
        reader.skip_array()
        return None
    raise _Broken(f"the value of {key[:80]!r} has the unknown type {kind!r}")


def _count_parameters(reader: _Reader, tensors: int) -> int:
    total = end = 0
    for _ in range(tensors):
        reader.text()
        if (dimensions := reader.number("<I")) > _MAX_DIMENSIONS:
            raise _Broken(f"a tensor has {dimensions!r} dimensions")
        numbers = math.prod(int(reader.number("<Q")) for _ in range(int(dimensions)))
        reader.skip(4)
        # No type takes less than a bit: what a type takes exactly is llama.cpp's to know.
        end = max(end, int(reader.number("<Q")) + numbers // 8)
        total += numbers
    if end > reader.left or total > 8 * reader.left:
        raise _Broken("it ends before its tensors do")
    return total


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and 0 < value < 1 << 31 else None


def _text(value: object) -> str | None:
    """`value` fit to be shown: one short line of printable characters."""
    if not isinstance(value, str):
        return None
    return "".join(char for char in value if char.isprintable())[:200] or None


class _Reader:
    """Reads forward through a file in blocks, never past its end."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._file = file
        self._block = b""
        self._block_start = 0
        self._position = 0
        """Within the block; may lie behind its end after a skip."""

    @property
    def left(self) -> int:
        return self.size_bytes - self._block_start - self._position

    def _need(self, length: int) -> None:
        """Have `length` bytes from here on in the block."""
        if self._position + length <= len(self._block):
            return
        if length > self.left:
            raise _Broken("it ends within its header")
        self._block_start += self._position
        self._position = 0
        self._file.seek(self._block_start)
        self._block = self._file.read(max(length, _BLOCK_BYTES))
        if len(self._block) < length:
            raise _Broken("it became shorter while it was read")

    def take(self, length: int) -> bytes:
        self._need(length)
        start, self._position = self._position, self._position + length
        return self._block[start : self._position]

    def skip(self, length: int) -> None:
        if length > self.left:
            raise _Broken("it ends within its header")
        self._position += length

    def number(self, form: str) -> int | float:
        number: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return number

    def count(self, items: str, *, item_bytes: int) -> int:
        """Read how many `items` follow, each of them at least `item_bytes` long."""
        count = int(self.number("<Q"))
        if count * item_bytes > self.left or count > _MAX_ITEMS.get(items, count):
            raise _Broken(f"it claims {count!r} {items}, more than it can hold")
        return count

    def text(self) -> str | None:
        """Read a text; `None` for one that is too long to be kept."""
        length = self.count("bytes", item_bytes=1)
        if length <= _MAX_TEXT_BYTES:
            return self.take(length).decode("utf-8", errors="replace")
        self.skip(length)
        return None

    def skip_array(self) -> None:
        kind = int(self.number("<I"))
        if kind in _NUMBERS:
            item_bytes = struct.calcsize(_NUMBERS[kind])
            self.skip(item_bytes * self.count("numbers", item_bytes=item_bytes))
        elif kind == _STRING:
            self._skip_texts(self.count("texts", item_bytes=8))
        else:
            raise _Broken(f"an array holds values of the unknown type {kind!r}")

    def _skip_texts(self, count: int) -> None:
        # A vocabulary has some 100,000 texts: the loop goes through the block alone and leaves it for the next one.
        length_of = struct.Struct("<Q").unpack_from
        while count:
            self._need(8)
            block, position, last = self._block, self._position, len(self._block) - 8
            while count and position <= last:
                position += 8 + length_of(block, position)[0]
                count -= 1
            self._position = position
            if self.left < 0:
                raise _Broken("it ends within its header")
