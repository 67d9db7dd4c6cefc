"""The terminal's commands for the audit log: `jupyter-llmroute audit verify | tail | export | replay`."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from jupyter_llmroute import workplace

if TYPE_CHECKING:
    from jupyter_llmroute.core.audit.verify import Report

TAIL = 20

LONGEST = 300
"""Characters of a line of `tail`."""

COLUMNS = {
    "n": "n",
    "time": "time",
    "kind": "kind",
    "user": "user",
    "notebook": "notebook",
    "caller": "caller",
    "caller_by": "caller_by",
    "session": "session",
    "pid": "pid",
    "question": "question",
    "task": "task",
    "attempt": "attempt",
    "service": "who.service",
    "model": "who.model",
    "digest": "who.digest",
    "verdict": "verdict",
    "finish_reason": "finish_reason",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "time_to_first_token_s": "time_to_first_token_s",
    "elapsed_s": "elapsed_s",
    "question_hmac": "text.hmac",
    "prompt_hmac": "prompt.hmac",
    "response_hmac": "response.hmac",
    "question_text": "text.text",
    "response_text": "response.text",
    "failure": "failure",
    "hash": "hash",
}
"""Of an export to CSV: column → where its value stands in a record. What a record says in words comes last."""

TEXTS = frozenset({"question_text", "response_text"})

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Begins what a spreadsheet would compute; the names that servers give their models may be anything."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `audit` and its actions."""
    audit = subparsers.add_parser("audit", help="check, read, export and replay the audit log")
    actions = audit.add_subparsers(required=True, metavar="ACTION")

    verify = _action(actions, "verify", "find every record that was changed, removed, moved or cut off")
    verify.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="N:HASH",
        help="number and hash of a record, as an earlier verify told them and as you kept them elsewhere",
    )
    verify.add_argument("--json", action="store_true", help="write the report as JSON")
    verify.set_defaults(run=_verify)

    tail = _action(actions, "tail", "show the newest records")
    tail.add_argument("-n", "--records", type=_count, default=TAIL, metavar="N", help=f"so many; default: {TAIL}")
    tail.add_argument("--json", action="store_true", help="write whole records, a line of JSON each")
    tail.set_defaults(run=_tail)

    export = _action(actions, "export", "write all records for other programs; hashes in place of words")
    export.add_argument("--format", choices=["jsonl", "csv"], default="jsonl")
    export.add_argument("--with-text", action="store_true", help="with the words, where the log has them")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="a new file; default: standard output")
    export.set_defaults(run=_export)

    replay = _action(actions, "replay", "take each decision once more, and compare")
    replay.add_argument("--all", action="store_true", help="show those that are the same too")
    replay.set_defaults(run=_replay)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, told: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=told)
    action.add_argument("--log", type=Path, metavar="FILE", help="the log; default: the one of your settings")
    return action


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wants a number from 0 on, not {text!r}")
    return int(text)


def _path(options: argparse.Namespace) -> Path:
    from jupyter_llmroute.core.audit.folder import path_of

    if options.log:
        return Path(options.log)
    return path_of(workplace.settings().security)


def _verify(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.audit.verify import verify

    report = verify(_path(options), dict(map(_anchor, options.anchor)))
    if options.json:
        print(json.dumps({**report.model_dump(), "is_whole": report.is_whole}))
    else:
        print("\n".join(_report_lines(report)))
    return 0 if report.is_whole else 1


def _anchor(text: str) -> tuple[int, str]:
    from jupyter_llmroute.core.errors import UserError

    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise UserError(f"--anchor {text!r}: wants N:HASH, such as audit verify prints it.")
    return int(number), digest.lower()


def _report_lines(report: Report) -> Iterator[str]:
    from jupyter_llmroute.inert import plain_line
    from jupyter_llmroute.wording import plural

    for finding in report.findings:
        where = finding.file if finding.line is None else f"{finding.file}, line {finding.line}"
        yield plain_line(f"{where}: {finding.what}", LONGEST)
    if more := report.found - len(report.findings):
        yield f"and {more} more"
    for note in report.notes:
        yield plain_line(f"note: {note}", LONGEST)
    kept = f"{plural(report.records, 'record')} in {plural(len(report.files), 'file')}"
    if report.is_whole:
        yield f"whole: {kept}, none changed, removed, moved or cut off"
    else:
        yield f"NOT whole: {plural(report.found, 'finding')}; {kept} are in their place"
    yield f"anchor to keep elsewhere: {report.count}:{report.last}"


class _Damage:
    """Counts the records that do not read."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1

    def told(self) -> int:
        """Say so where there are any, and return the exit code."""
        from jupyter_llmroute.wording import plural

        if not self.count:
            return 0
        does = "does" if self.count == 1 else "do"
        print(f"{plural(self.count, 'record')} {does} not read: see jupyter-llmroute audit verify", file=sys.stderr)
        return 1


def _tail(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.audit.reading import records, told
    from jupyter_llmroute.inert import plain_line

    damage = _Damage()
    for body in deque(records(_path(options), damage), maxlen=options.records):
        if options.json:
            print(json.dumps(body))
        else:
            time = str(body.get("time", ""))[:19].replace("T", " ")
            print(plain_line(f"{body['n']:>6}  {time}  {body.get('kind', ''):9} {told(body)}", LONGEST))
    return damage.told()


def _export(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.errors import UserError

    if options.output is None:
        return _write(options, sys.stdout)
    try:
        with open(options.output, "x", encoding="utf-8", newline="", opener=_private) as file:
            return _write(options, file)
    except OSError as error:
        raise UserError(f"{str(options.output)!r} cannot be written ({error.strerror}): name a new file.") from error


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)


def _write(options: argparse.Namespace, file: TextIO) -> int:
    from jupyter_llmroute.core.audit.reading import records, told, without_text

    damage = _Damage()
    found = (body if options.with_text else without_text(body) for body in records(_path(options), damage))
    if options.format == "jsonl":
        for body in found:
            file.write(json.dumps({key: value for key, value in body.items() if key != "basis"}) + "\n")
        return damage.told()
    columns = {name: at for name, at in COLUMNS.items() if options.with_text or name not in TEXTS}
    table = csv.writer(file, lineterminator="\n")
    table.writerow([*columns, "told"])
    for body in found:
        table.writerow([*(_cell(_at(body, at)) for at in columns.values()), _cell(told(body))])
    return damage.told()


def _at(body: Mapping[str, Any], path: str) -> Any:
    found: Any = body
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _cell(value: Any) -> str:
    # Half characters can be read and not written.
    text = "" if value is None else str(value).encode("utf-8", "replace").decode()
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _replay(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.audit.replay import replay_log
    from jupyter_llmroute.inert import plain_line
    from jupyter_llmroute.wording import plural

    damage, same, other = _Damage(), 0, 0
    for each in replay_log(_path(options), damage):
        same, other = same + each.is_same, other + (not each.is_same)
        if options.all or not each.is_same:
            came_of_it = "the same" if each.is_same else each.difference
            print(plain_line(f"record {each.record}  {each.time[:19]}  {each.chosen}: {came_of_it}", LONGEST))
    print(f"{plural(same, 'decision')} came out the same, bit for bit; {other} did not")
    return damage.told() or (1 if other else 0)
