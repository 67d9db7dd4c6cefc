"""What the browser tests run: the wheel as it was installed, where there is no node."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import NODE
from .test_lab import output, run_cell

WHERE = f"""
import shutil
from importlib.metadata import distribution
import jupyter_llmroute
print("imported from", jupyter_llmroute.__file__)
print("installed from", distribution("jupyter-llmroute").read_text("direct_url.json"))
print("found", [name for name in {NODE} if shutil.which(name)])
"""


def test_the_kernel_runs_the_installed_wheel_and_finds_no_node(
    page: Page, open_notebook: Callable[[str], Path]
) -> None:
    open_notebook("01_first_route.ipynb")
    run_cell(page, 1, WHERE)
    said = output(page, 1)
    expect(said).to_contain_text("found []")
    if os.environ.get("LLMROUTE_TEST_REQUIRE") != "all":
        pytest.skip("outside CI the tree may be installed as it is")
    expect(said).to_contain_text(f"imported from {sysconfig.get_path('purelib')}")
    expect(said).to_contain_text(".whl")
