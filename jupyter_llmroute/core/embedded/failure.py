"""`explain`: why a server did not start, from its exit code, its words and its log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from jupyter_llmroute.core.errors import LLMRouteError, MissingExtra, OutOfMemory, ServerFailure

_PREFIX = re.compile(r"^[\d.]+ [A-Z] (?:\S+ +)?\S+: ")
"""Time, level and function before llama.cpp's words."""

_TELLING = re.compile(r"^[\d.]+ E |GGML_ASSERT|what\(\): ")

_CAUSES: Final[tuple[tuple[str, type[LLMRouteError], str], ...]] = (
    (
        r"insufficient memory|failed to allocate|unable to allocate|bad_alloc|MemoryError|exit code -9\b",
        OutOfMemory,
        "free memory, choose a smaller model, or set a smaller embedded.context_window.",
    ),
    (
        r"ImportError|ModuleNotFoundError|No module named|DLL load failed|cannot open shared object",
        MissingExtra,
        'install it again: pip install --force-reinstall "jupyter-llmroute[embedded]"',
    ),
    (
        r"exit code (-4|3221225501)\b",
        ServerFailure,
        "this processor lacks instructions that xllamacpp was built for, so use another local server.",
    ),
    (r"", ServerFailure, "choose another model file; the log {log!r} may say more."),
)
"""Words or exit code, the error they stand for, and what to do. -9: killed, on Linux mostly for want of memory;
-4 and 3221225501: illegal instruction, on POSIX and on Windows."""


def explain(model: Path, code: int, said: str | None, log: Path) -> LLMRouteError:
    """Make the error of a start that failed.

    Parameters
    ----------
    model
        The file that was to be served.
    code
        Exit code of the server's process, negative for a signal.
    said
        The server's own words; `None` where it ended without any.
    log
        File that its stderr went to.
    """
    ending = said or f"exit code {code}"
    reason = _telling_line(log) or ending
    kind, advice = next((kind, advice) for words, kind, advice in _CAUSES if re.search(words, f"{reason} {ending}"))
    return kind(f"The embedded server could not start with {str(model)!r} ({reason}): {advice.format(log=str(log))}")


def _telling_line(log: Path) -> str:
    """Pick the first error of the log, which those after it follow from; without one, the last line."""
    lines = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    line = next(filter(_TELLING.search, lines), lines[-1] if lines else "")
    return "".join(char for char in _PREFIX.sub("", line).strip() if char.isprintable())[:300]
