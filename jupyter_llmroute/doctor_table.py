"""What the doctor found, as a table: one row a check."""

from __future__ import annotations

from typing import Any

from jupyter_llmroute.core.doctor import Report, Status
from jupyter_llmroute.inert import plain_line
from jupyter_llmroute.table import LONGEST, Table
from jupyter_llmroute.wording import plural

COLUMNS = ("check", "result", "found", "what to do")


def table(report: Report) -> Table:
    """Return one row a check, in the order of the checklist, and the sum of it below."""
    rows = tuple((each.check, each.status.value, each.evidence, each.remedy) for each in report.findings)
    counts = {status: sum(each.status is status for each in report.findings) for status in Status}
    said = f"{plural(len(rows), 'check')}: " + ", ".join(f"{counts[status]} {status.value}" for status in Status)
    return Table(columns=COLUMNS, rows=rows, notes=(said,), nothing="Nothing was checked.")


def bundle(report: Report) -> dict[str, Any]:
    """Return the table as a mime bundle: Markdown, and the same in plain text."""
    return table(report).bundle(shown=None)


def as_json(report: Report) -> str:
    """Return it as JSON: `status` of all, and `findings`."""
    import json

    return json.dumps({"status": report.status.value, **report.model_dump(mode="json")}, indent=2, ensure_ascii=False)


def as_text(report: Report) -> str:
    """Return it for a terminal: a line for each check, and what to do below it."""
    lines = []
    for each in table(report).rows:
        check, result, found, remedy = each
        lines.append(f"{result.upper():4}  {check}: {plain_line(found, LONGEST)}")
        lines += [f"      → {plain_line(remedy, LONGEST)}"] if remedy else []
    return "\n".join((*lines, "", *table(report).notes))
