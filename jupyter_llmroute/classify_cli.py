"""The terminal's classifier: `jupyter-llmroute classify`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, TextIO


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command `classify` to those of the program."""
    classify = commands.add_parser(
        "classify",
        help="name the task of each question",
        description="Read JSONL {id, text} on standard input, write JSONL {id, label, confidence, needs_symbols}; "
        "or, of a file of labelled requests, tell how many are told rightly.",
    )
    instead = classify.add_mutually_exclusive_group()
    instead.add_argument(
        "--evaluate",
        metavar="FILE",
        type=Path,
        help="compare with the labels of FILE: JSONL {text, label, [alt], [needs_symbols], [source], [lang]}",
    )
    instead.add_argument("--corrections", action="store_true", help="show what the tasks that you named have taught")
    instead.add_argument("--forget-corrections", action="store_true", help="forget it")
    classify.add_argument("--by", choices=["source", "lang"], help="with --evaluate: each group's figures too")
    classify.add_argument(
        "--errors", type=_count, default=0, metavar="N", help="with --evaluate: show N wrong answers, the surest first"
    )
    classify.set_defaults(run=_classify)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wants a number from 0 on, not {text!r}")
    return int(text)


def _classify(options: argparse.Namespace, source: TextIO | None = None) -> int:
    from jupyter_llmroute.core.classifier import classify_text
    from jupyter_llmroute.core.errors import UserError

    if (options.by or options.errors) and not options.evaluate:
        raise UserError("--by and --errors belong to --evaluate: name the file of labelled requests with it.")
    if options.evaluate:
        return _evaluate(options)
    if options.corrections or options.forget_corrections:
        return _corrections(options)
    # JSONL is UTF-8 whatever the terminal's encoding; a lone surrogate within a text must not stop the others.
    lines = source or open(sys.stdin.fileno(), encoding="utf-8-sig", errors="surrogateescape", closefd=False)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            found = classify_text(record["text"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"Line {number} is not JSON with a string under 'text': {line[:80]!r} ({error})."
            ) from error
        answer = {
            "id": record.get("id"),
            "label": found.task.value,
            "confidence": round(found.confidence, 4),
            "needs_symbols": found.needs_symbols,
        }
        print(json.dumps(answer))
    return 0


def _corrections(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.errors import UserError
    from jupyter_llmroute.core.lean import Lean
    from jupyter_llmroute.core.state import StateFile
    from jupyter_llmroute.wording import lean, plural

    file = StateFile.of_user()
    if options.forget_corrections:
        had = file.read().lean.corrections
        file.update(lambda state: state.model_copy(update={"lean": Lean()}))
        if file.read().lean != Lean():
            raise UserError(
                f"{str(file.path)!r} could not be written, so nothing is forgotten: see who may write there."
            )
        print(f"Forgotten: {plural(had, 'correction')}.")
        return 0
    print(lean(file.read().lean))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from jupyter_llmroute.evaluation import judge, read
    from jupyter_llmroute.scorecard import report

    print(report(judge(read(options.evaluate)), by=options.by or "", errors=options.errors))
    return 0
