"""What the evaluation of the task classifier found, as text for a terminal."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from jupyter_llmroute.evaluation import BINS, TASKS, Judged, bins, figures, interval, of_task, share

_WIDTH = max(map(len, TASKS))


def report(judged: Sequence[Judged], *, by: str = "", errors: int = 0) -> str:
    """Return all figures as text.

    Parameters
    ----------
    judged
        What `judge` returned.
    by
        `"source"` or `"lang"`: the figures of each group too.
    errors
        So many wrong answers are shown, the surest first.
    """
    labelled = [each for each in judged if each.record.label]
    asked = [each for each in judged if each.record.needs_symbols is not None]
    parts = [
        *([_summary(labelled), _confusion(labelled), _calibration(labelled)] if labelled else []),
        *([_symbols(asked)] if asked else []),
        _latency(judged),
        *([_groups(labelled, by)] if by and labelled else []),
        *([_wrong(labelled, errors)] if errors and labelled else []),
    ]
    return "\n\n".join(parts)


def _summary(judged: Sequence[Judged]) -> str:
    found, (low, high) = figures(judged), interval(share(each.is_right for each in judged), len(judged))
    close = [each for each in judged if each.found.rival]
    right = f", of which the first is right in {share(each.is_right for each in close):.0%}" if close else ""
    return "\n".join(
        (
            f"requests           {found.requests}",
            f"accuracy           {found.strict:.3f}   95 % interval {low:.3f} to {high:.3f}",
            f"with second label  {found.lenient:.3f}",
            f"macro-F1           {found.macro_f1:.3f}",
            f"calibration error  {found.calibration_error:.3f}",
            f"two tasks close    {len(close) / len(judged):.0%}{right}",
        )
    )


def _confusion(judged: Sequence[Judged]) -> str:
    lines = [
        f"{'label, and answers:':{_WIDTH + 6}}" + "".join(f"{task:>15}" for task in TASKS) + "   recall precision    F1"
    ]
    for task in TASKS:
        answers = [each.found.task for each in judged if each.record.label is task]
        recall, precision, f1 = of_task(judged, task)
        counts = "".join(f"{answers.count(other):15}" for other in TASKS)
        lines.append(f"{task:{_WIDTH + 6}}{counts}{recall:9.3f}{precision:10.3f}{f1:6.3f}")
    return "\n".join(lines)


def _calibration(judged: Sequence[Judged]) -> str:
    lines = ["confidence       n  said  right"]
    for number, members in bins(judged).items():
        said = statistics.fmean(each.found.confidence for each in members)
        right = share(each.is_right for each in members)
        span = f"{number / BINS:.1f} to {(number + 1) / BINS:.1f}"
        lines.append(f"{span:12}{len(members):6}{said:6.2f}{right:7.2f}  {'#' * round(40 * right)}")
    return "\n".join(lines)


def _symbols(judged: Sequence[Judged]) -> str:
    needed = [each for each in judged if each.record.needs_symbols]
    taken = [each for each in judged if each.found.needs_symbols]
    both = sum(each.found.needs_symbols for each in needed)
    return (
        f"needs symbols      recall {both / max(1, len(needed)):.3f}, precision {both / max(1, len(taken)):.3f} "
        f"({len(judged)} requests, {len(needed)} need them)"
    )


def _latency(judged: Sequence[Judged]) -> str:
    took = [each.took_ms for each in judged]
    rank = statistics.quantiles(took, n=100, method="inclusive")[98] if len(took) > 1 else took[0]
    return f"latency            median {statistics.median(took):.2f} ms, p99 {rank:.2f} ms, longest {max(took):.2f} ms"


def _groups(judged: Sequence[Judged], by: str) -> str:
    groups: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        groups[_printable(getattr(each.record, by) or "unknown")].append(each)
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return "\n".join((f"by {by}", *(f"  {name[:50]:50} {figures(members)}" for name, members in ordered)))


def _wrong(judged: Sequence[Judged], count: int) -> str:
    wrong = sorted((each for each in judged if not each.is_right), key=lambda each: -each.found.confidence)
    return "\n".join(("wrong, the surest first", *_told(wrong[:count])))


def _told(wrong: Iterable[Judged]) -> Iterator[str]:
    for each in wrong:
        alt = f" (or {each.record.alt})" if each.record.alt else ""
        yield (
            f"  {_printable(str(each.record.id or '?'))}: {each.record.label}{alt}, not {each.found.task} "
            f"({each.found.confidence:.0%}: {_printable('; '.join(each.found.evidence))}): "
            f"{_printable(each.record.text[:200])}"
        )


def _printable(text: str) -> str:
    """Return text that a terminal shows as it is, in one line."""
    return text if text.isprintable() else repr(text)[1:-1]
