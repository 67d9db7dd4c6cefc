"""How things are said: the same words in the card, in `%llm_why`, in the tables and in a terminal.

`labextension/src/wording.ts` says the figures again in the page; `labextension/tests/words.json` holds what both must
say. Words of servers that go into these are to be made inert before they are shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from jupyter_llmroute.core.catalog import GUESSED, Catalog, ModelInfo
from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.events import Attempt, AttemptStarted
from jupyter_llmroute.core.fallback import Level
from jupyter_llmroute.core.lean import Lean
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.task import Task

CUT_SHORT = "length"
"""The finish reason of an answer that reached its limit of tokens, in every dialect."""

CUT_WORDS = "the answer was cut: it reached its limit of tokens"

FIX = "Fix this error."
"""What is asked where the user writes `%%route --fix` and nothing else."""

LOADING = "loading"
"""Why nothing comes of a model that is not in memory; also the reason of the core's `Waiting`."""

REASONS: Mapping[str, str] = {"checking": "comparing the model's file with the locked one"}
"""Reasons of the core's `Waiting` that want more words than one."""

PRODUCTS: Mapping[str, str] = {
    "docker": "Docker Model Runner",
    "embedded": "llama.cpp, built in",
    "gpt4all": "GPT4All",
    "jan": "Jan",
    "koboldcpp": "KoboldCpp",
    "lemonade": "Lemonade",
    "litellm": "LiteLLM",
    "llama_swap": "llama-swap",
    "llamacpp": "llama.cpp",
    "lmstudio": "LM Studio",
    "localai": "LocalAI",
    "mlx_lm": "mlx-lm",
    "ollama": "Ollama",
    "openai": "openai-compatible",
    "openwebui": "Open WebUI",
    "ray_serve": "Ray Serve LLM",
    "sglang": "SGLang",
    "textgen": "text-generation-webui",
    "vllm": "vLLM",
}
"""What the products call themselves, by dialect; a dialect that is not here is called by its own name."""

_BORNE_OUT = "; borne out by "


def plural(number: int, noun: str) -> str:
    """Return a number of things: "1 token", "2,104 tokens"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def and_more(number: int) -> str:
    """Return how many more there are, "and 3,136 more", or nothing."""
    return f"and {number:,} more" if number > 0 else ""


def percent(share: float) -> str:
    """Return a share from 0 to 1 in hundredths; what is nearly certain is not called certain."""
    return f"{share * 100:.0f} %" if share == 1 else f"{min(99, round(share * 100))} %"


def seconds(value: float) -> str:
    """Return a measured time with the digits that matter.

    Examples
    --------
    >>> seconds(0.306), seconds(14.92), seconds(3725)
    ('0.31 s', '14.9 s', '62 min 5 s')
    """
    if value < 10:
        return f"{value:.2f} s"
    return f"{value:.1f} s" if value < 100 else f"{round(value) // 60:,} min {round(value) % 60} s"


def rate(tokens_per_second: float) -> str:
    """Return a speed with the digits that matter."""
    return f"{tokens_per_second:,.{1 if tokens_per_second < 10 else 0}f} tokens/s"


def who(model: str | None, service: str) -> str:
    """Return what names a model on a server, or a whole server."""
    return f"{model} on {service}" if model else service


def sent(tokens: int, *, is_exact: bool, window: int | None = None, is_assumed: bool = False) -> str:
    """Return how much was sent, of how much may be.

    Examples
    --------
    >>> sent(42, is_exact=False), sent(2104, is_exact=True, window=8192)
    ('about 42 tokens sent', '2,104 of 8,192 tokens sent')
    """
    about = "" if is_exact else "about "
    if window is None:
        return f"{about}{plural(tokens, 'token')} sent"
    return f"{about}{tokens:,} of {'an assumed ' if is_assumed else ''}{plural(window, 'token')} sent"


def failure(attempt: Attempt) -> str:
    """Return what went wrong, without the names of model and server, which stand before it wherever it is shown."""
    named = who(attempt.model, attempt.service)
    return attempt.error.removeprefix(f"{named}: ").removeprefix(f"{named} ")


def waiting(elapsed_s: float, *, reason: str | None, is_cold: bool) -> str | None:
    """Return why nothing comes yet, and for how long; `None` where nothing is known to be in the way."""
    if reason is None and not is_cold:
        return None
    words = REASONS.get(reason, reason) if reason else f"not in memory yet, {LOADING}"
    return f"{words}, {elapsed_s:.0f} s"


def fell_back(attempts: Sequence[Attempt], started: AttemptStarted | None) -> str | None:
    """Return how far a question had to fall back, and because of whom; `None` where the first one asked answers."""
    if not attempts or started is None or started.number <= attempts[-1].number:
        return None
    first = attempts[0]
    wanted = who(first.model, first.service)
    is_same = (first.model, first.service) == (started.model, started.service)
    silent = f"{wanted} did not answer before" if is_same else f"{wanted}, which was wanted first, did not answer"
    match started.level:
        case Level.REDUCED_CONTEXT:
            return f"{started.level}: the question goes without cells and earlier answers; {silent}"
        case Level.SMALLEST_MODEL:
            return f"{started.level}: the question alone goes to the one that needs least memory; {silent}"
        case Level.FALLBACK_MODELS:
            return f"{started.level}: {silent}"
        case _:
            return f"{plural(len(attempts), 'attempt')} failed before this one; {silent}"


def points(candidate: Candidate) -> str:
    """Return the score of a candidate, and the seconds that it is expected to take."""
    return f"{max(0.0, candidate.score):.0f} points, about {candidate.expected_s:.0f} s"


def task(name: str, confidence: float, evidence: Sequence[str], rival: str | None) -> str:
    """Return a task, how sure it is, which one is nearly as likely, and what it was seen by."""
    return f"{name} ({': '.join((how_sure(confidence, rival), *(['; '.join(evidence)] if evidence else [])))})"


def how_sure(confidence: float, rival: str | None) -> str:
    """Return the probability of a task, and which other one is nearly as probable.

    Examples
    --------
    >>> how_sure(0.41, "reasoning")
    '41 %, reasoning nearly as likely'
    """
    return percent(confidence) + (f", {rival} nearly as likely" if rival else "")


def lean(learnt: Lean) -> str:
    """Return what a user's corrections of tasks have taught."""
    if not any(learnt.towards.values()):
        return "You named no task yet: every question is told by what it says."
    towards = ", ".join(f"{task} {value:+.2f}" for task, value in learnt.towards.items())
    times = plural(learnt.corrections, "correction")
    return f"{times}; added to each task, in log-odds: {towards}. --forget-corrections takes it back."


def shares(what: Classification) -> str:
    """Return how much a question is taken to be of each task, the most first."""
    ordered = sorted(what.scores.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {percent(share)}" for name, share in ordered)


def window(model: ServedModel) -> str:
    """Return the window that a model is served with, what may be asked for, and what it was trained for.

    Examples
    --------
    >>> window(ServedModel(id="m", context_window=8192, window_limit=40960, trained_window=40960))
    '8,192, up to 40,960 on request'
    """
    if model.context_window is None and model.window_limit is None:
        trained = f", trained for {model.trained_window:,}" if model.trained_window else ""
        return f"unknown{trained}"
    served = model.context_window or model.window_limit or 0
    limit = model.window_limit or served
    words = f"{served:,}{' (assumed)' if model.window_is_assumed else ''}"
    words += f", up to {limit:,} on request" if limit > served else ""
    return words + (f", trained for {model.trained_window:,}" if (model.trained_window or 0) > limit else "")


def parameters(number: int | None) -> str:
    """Return a number of parameters as names of models have it; nothing where nobody tells it."""
    if not number:
        return ""
    return f"{number / 1e9:.1f}B" if number >= 1e9 else f"{number / 1e6:.0f}M"


def file_size(size_bytes: int) -> str:
    """Return the size of a model's file; nothing of one that is too small to hold a model."""
    if size_bytes < 1e6:
        return ""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def origin(source: str) -> str:
    """Return a score's source as it is shown beside the score."""
    return "guessed from its size" if source == GUESSED else source


def publications(catalog: Catalog, sources: Sequence[str]) -> Iterator[str]:
    """Yield, for each key in the sources of scores, what it stands for: title, figures, address."""
    keys = dict.fromkeys(part.partition(":")[0] for source in sources for part in re.split(_BORNE_OUT, source))
    for key in keys:
        if told := catalog.sources.get(key):
            address = f", {told.address}" if told.address else ""
            yield f"{key}: {told.title} ({told.figures}){address}"


def ratings(info: ModelInfo) -> Iterator[tuple[Task, str]]:
    """Yield each task with the model's score for it, and where that comes from."""
    for each in Task:
        source = info.sources.get(each)
        yield each, f"{info.scores[each]:.0f} of 100" + (f" ({origin(source)})" if source else "")
