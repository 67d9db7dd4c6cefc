"""Record what a Serena says of the sample project: `python -m tests.code.record EXECUTABLE FILE.json`.

For when a new version is to be covered; the files are `tests/data/serena/answers_*.json`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from jupyter_llmroute.core.code.installation import FoundBy, Installed, find_ty
from jupyter_llmroute.core.code.jsonrpc import MCP, Connection
from jupyter_llmroute.core.code.mcp import ToolAnswer, ToolServer
from jupyter_llmroute.core.code.process import Child
from jupyter_llmroute.core.code.serena_home import SerenaHome, version_known
from jupyter_llmroute.core.code.serena_shapes import EVERYTHING

from .sample import write

MODELS, PRICING, REPORT, HALF, ETE = (f"shop/{name}.py" for name in ("models", "pricing", "report", "half", "été"))

CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("symbol", "find_symbol", {"name_path_pattern": "Order", "include_body": True}),
    ("method", "find_symbol", {"name_path_pattern": "Order/total", "relative_path": MODELS, "include_body": True}),
    ("property", "find_symbol", {"name_path_pattern": "Order/note", "relative_path": MODELS, "include_body": True}),
    ("constant", "find_symbol", {"name_path_pattern": "TAX_RATE", "include_body": True}),
    ("info", "find_symbol", {"name_path_pattern": "compute_total", "include_info": True}),
    ("info_class", "find_symbol", {"name_path_pattern": "Order", "relative_path": MODELS, "include_info": True}),
    ("accent", "find_symbol", {"name_path_pattern": "prix_d_été", "include_body": True}),
    ("half", "find_symbol", {"name_path_pattern": "finished", "relative_path": HALF, "include_body": True}),
    ("module_name", "find_symbol", {"name_path_pattern": "models"}),
    ("several", "find_symbol", {"name_path_pattern": "price", "relative_path": PRICING}),
    ("policy", "find_symbol", {"name_path_pattern": "Policy", "relative_path": PRICING}),
    ("none", "find_symbol", {"name_path_pattern": "no symbol has this name"}),
    ("everything", "find_symbol", {**EVERYTHING, "relative_path": MODELS, "depth": 2}),
    ("everything_half", "find_symbol", {**EVERYTHING, "relative_path": HALF, "depth": 2}),
    ("uses", "find_referencing_symbols", {"name_path": "compute_total", "relative_path": PRICING}),
    ("uses_of_method", "find_referencing_symbols", {"name_path": "Order/total", "relative_path": MODELS}),
    ("uses_of_class", "find_referencing_symbols", {"name_path": "Order", "relative_path": MODELS}),
    ("uses_none", "find_referencing_symbols", {"name_path": "CHEAPEST", "relative_path": PRICING}),
    ("uses_many", "find_referencing_symbols", {"name_path": "price", "relative_path": PRICING}),
    ("uses_base", "find_referencing_symbols", {"name_path": "Policy/price", "relative_path": PRICING}),
    ("uses_flat", "find_referencing_symbols", {"name_path": "FlatPolicy/price", "relative_path": PRICING}),
    ("uses_discount", "find_referencing_symbols", {"name_path": "DiscountPolicy/price", "relative_path": PRICING}),
    ("implementations", "find_implementations", {"name_path": "Policy", "relative_path": PRICING}),
    ("remarks", "get_diagnostics_for_file", {"relative_path": REPORT, "min_severity": 2}),
    ("remarks_all", "get_diagnostics_for_file", {"relative_path": REPORT, "min_severity": 4}),
    ("remarks_clean", "get_diagnostics_for_file", {"relative_path": PRICING, "min_severity": 2}),
    ("remarks_half", "get_diagnostics_for_file", {"relative_path": HALF, "min_severity": 2}),
    ("remarks_symbol", "get_diagnostics_for_symbol", {"name_path": "broken", "min_severity": 2}),
    ("too_long", "find_symbol", {"name_path_pattern": "Item", "include_body": True, "max_answer_chars": 20}),
    (
        "too_long_counted",
        "find_referencing_symbols",
        {"name_path": "compute_total", "relative_path": PRICING, "max_answer_chars": 300},
    ),
    ("missing_symbol", "find_referencing_symbols", {"name_path": "no_such", "relative_path": PRICING}),
    ("missing_file", "get_symbols_overview", {"relative_path": "shop/no_such.py"}),
    ("outside", "find_symbol", {"name_path_pattern": "Order", "relative_path": "../x.py"}),
    ("missing_parameter", "find_symbol", {}),
    ("unknown_tool", "no_such_tool", {}),
    ("delete_refused", "safe_delete_symbol", {"name_path_pattern": "compute_total", "relative_path": PRICING}),
    ("rename", "rename_symbol", {"name_path": "compute_total", "relative_path": PRICING, "new_name": "payable"}),
    ("replace", "replace_symbol_body", {"name_path": "payable", "relative_path": PRICING, "body": "payable = 1"}),
    ("insert_after", "insert_after_symbol", {"name_path": "payable", "relative_path": PRICING, "body": "more = 2"}),
    ("insert_before", "insert_before_symbol", {"name_path": "payable", "relative_path": PRICING, "body": "less = 2"}),
    ("delete", "safe_delete_symbol", {"name_path_pattern": "more", "relative_path": PRICING}),
)


def without_places(text: str, scratch: str) -> str:
    """Take this machine's paths out."""
    return re.sub(r"(info:   \d+\. )/(?!project)[^\\\"]*", r"\1/somewhere", text.replace(scratch, "/project"))


async def record(serena: Path, ty: Path, calls: tuple[tuple[str, str, dict[str, Any]], ...]) -> dict[str, Any]:
    """Ask everything, of one Serena with one language server."""
    with tempfile.TemporaryDirectory() as scratch:
        root = write(Path(scratch))
        home = SerenaHome.take(root, edits=True, homes=Path(scratch, "homes"))
        version = version_known(serena, Path(scratch, "homes"))
        installed = Installed(serena=serena, ty=ty, found_by=FoundBy.SETTING)
        home.prepare(installed, version)
        environment = home.environment(Path(sys.prefix))
        answers = {}
        async with Child(home.command(installed, version), environment=environment, folder=home.folder) as child:
            connection = Connection(child.stdout, child.stdin, MCP, name="Serena")
            server = ToolServer(connection, "Serena")
            await server.initialize(timeout_s=60)
            tools = sorted(await server.tools(timeout_s=10))
            for name, tool, arguments in calls:
                answer = await server.call(tool, arguments, timeout_s=300)
                answers[name] = {"tool": tool, "arguments": arguments, "result": _as_sent(answer, scratch)}
            connection.close()
        home.release()
    return {"version": version, "tools": tools, "answers": answers}


def _as_sent(answer: ToolAnswer, scratch: str) -> dict[str, Any]:
    text = without_places(answer.text, str(Path(scratch).resolve()))
    return {"content": [{"type": "text", "text": text}], "isError": answer.is_error}


async def everything(serena: Path, ty: Path) -> dict[str, Any]:
    """Record all of it, and what is said where the language server does not start."""
    recorded = await record(serena, ty, CALLS)
    # A program that is no language server.
    broken = await record(serena, Path(sys.executable), CALLS[:1])
    recorded["answers"]["backend_failed"] = broken["answers"]["symbol"]
    return recorded


def main(serena: Path, file: Path) -> None:
    ty = find_ty(serena)
    assert ty
    recorded = asyncio.run(everything(serena, ty))
    file.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
