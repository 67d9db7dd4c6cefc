"""The pictures of the README, made where LLMROUTE_TEST_FILM names a folder; the servers in them are played here.

`route-NN-MS.png` are the frames of the screencast, each with its milliseconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page, expect

from ..scripted import USAGE, Fault, Reply, delta, llamacpp
from ..shown import NO_OTHERS
from .conftest import CODER, KERNEL_READY, TWO_SERVERS, WRITER, running_lab
from .test_lab import output, run_cell
from .test_pinned import pick, picks

MERGE = """\
import pandas as pd
orders = pd.DataFrame({"id": [1, 2, 3], "customer": ["Ada", "Ada", "Bo"]})
customers = pd.DataFrame({"customer": ["Ada", "Ada", "Bo"], "city": ["Oslo", "Rome", "Lima"]})
orders.merge(customers, on="customer")"""
QUESTION = "%%route\nWhy does the merge in the last cell duplicate rows?"
ANSWER = """\
`customers` has two rows for Ada (Oslo and Rome). A merge pairs each order with every row that matches, so both orders \
of Ada come out twice: 2 × 2 + 1 = 5 rows.

Keep one row for each customer before you merge:

```python
one_each = customers.drop_duplicates("customer")
orders.merge(one_each, on="customer", validate="many_to_one")
```

`validate` has pandas raise an error should a customer be there twice.
"""
HOLD_MS = 1800


class Paced:
    """The pieces of a reply, as slowly as a model of some size speaks; they can be sent again."""

    def __init__(self, text: str, model: str, pause_s: float) -> None:
        self._model = model
        self._words = [word + " " for word in text.split(" ")]
        self._pause_s = pause_s

    def __iter__(self) -> Iterator[bytes | Fault]:
        for word in self._words:
            time.sleep(self._pause_s)
            yield self._event(delta(word))
        counted = {"prompt_tokens": 318, "completion_tokens": len(self._words)}
        yield self._event(delta(finish="stop"))
        yield self._event({**USAGE, "usage": counted})
        yield b"data: [DONE]\n\n"

    def _event(self, item: dict[str, Any]) -> bytes:
        return f"data: {json.dumps({**item, 'model': self._model})}\n\n".encode()


def paced(model: str, pause_s: float) -> Reply:
    return Reply(Paced(ANSWER, model, pause_s), content_type="text/event-stream")  # type: ignore[arg-type]


def screenshot(page: Page, name: str) -> None:
    page.screenshot(path=Path(os.environ["LLMROUTE_TEST_FILM"]) / f"{name}.png")


class Film:
    """Frames, numbered."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._number = 0

    def frame(self, ms: int) -> None:
        self._number += 1
        screenshot(self._page, f"route-{self._number:02}-{ms}")

    def until_complete(self, cell: int) -> None:
        card = output(self._page, cell).locator(".jp-llmroute-card")
        expect(card).to_be_visible()
        while card.get_attribute("data-state") != "complete":
            output(self._page, cell).evaluate("(node) => node.scrollIntoView({ block: 'nearest' })")
            self.frame(140)
        output(self._page, cell).evaluate("(node) => node.scrollIntoView({ block: 'nearest' })")
        self.frame(HOLD_MS)


def test_pictures(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 1240, "height": 820})
    with (
        llamacpp(paced(CODER, 0.06), model=CODER) as coder,
        llamacpp(paced(WRITER, 0.04), model=WRITER) as writer,
    ):
        settings = tmp_path / "llmroute.yaml"
        settings.write_text(TWO_SERVERS.format(coder=coder.url, writer=writer.url, others=NO_OTHERS))
        with running_lab(tmp_path, settings) as lab:
            cells = [nbformat.v4.new_code_cell(source) for source in ("%load_ext jupyter_llmroute", MERGE, QUESTION)]
            kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
            notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
            nbformat.write(notebook, lab.root / "orders.ipynb")
            page.goto(f"{lab.url}/lab/tree/orders.ipynb?reset&token={lab.token}")
            page.wait_for_selector("#jupyterlab-splash", state="detached")
            page.evaluate(KERNEL_READY, 60_000)
            page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
            panel = picks(page)
            run_cell(page, 0)
            run_cell(page, 1)
            expect(output(page, 1)).to_contain_text("Lima")
            film = Film(page)
            film.frame(HOLD_MS)
            run_cell(page, 2)
            film.until_complete(2)
            analysis = panel.locator("[data-scope='analysis']")
            analysis.get_by_role("combobox").focus()
            film.frame(700)
            task = output(page, 2).locator(".jp-llmroute-task").inner_text().split()[0]
            here = output(page, 2).locator(".jp-llmroute-model").inner_text()
            other = f"{WRITER} on studio" if here.startswith(CODER) else f"{CODER} on desk"
            pick(panel, task.capitalize(), other)
            film.frame(HOLD_MS)
            run_cell(page, 2)
            film.until_complete(2)
            output(page, 2).locator(".jp-llmroute-summary").click()
            output(page, 2).evaluate("(node) => node.closest('.jp-Cell').scrollIntoView({ block: 'start' })")
            film.frame(2 * HOLD_MS)
            for theme, name in (("JupyterLab Light", "panel"), ("JupyterLab Dark", "panel_dark")):
                page.evaluate(
                    "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
                )
                page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
                panel.evaluate("(node) => node.scrollTo(0, 0)")
                screenshot(page, name)
