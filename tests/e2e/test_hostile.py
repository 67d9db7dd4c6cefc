"""Hostile texts in a real browser, through every view: they run nothing, fetch nothing, and cover nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import mistune
import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat import v4
from playwright.sync_api import Browser, Error, Page, expect

from jupyter_llmroute import services
from jupyter_llmroute.core.edits.proposal import Proposal
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.edit_card import bundle as edits
from jupyter_llmroute.models import table as models
from jupyter_llmroute.tracebacks import folded
from jupyter_llmroute.view import ANSWER_MIME
from jupyter_llmroute.why import bundle as why

from ..hostile import Bundle, Canary, Payload, answer, canary, forged, payloads, proposal, run, servers
from ..scripted import TAG, nobody, ollama, ollama_says
from ..shown import NO_OTHERS, decision
from .conftest import KERNEL_READY
from .test_lab import output

if TYPE_CHECKING:
    from .conftest import Lab

AT_ONCE = 40
"""Outputs of one cell: JupyterLab folds more than fifty."""

TRAP = """
  window.hits = [];
  Object.defineProperty(window, 'hacked', { set: (number) => window.top.hits.push(number) });
"""
"""Runs in every page and frame before anything else there."""

PROVOKE = """async () => {
  const found = [], ran = [];
  const say = (what, one) => found.push(`${what}: ${one.outerHTML.slice(0, 160)}`);
  window.jupyterapp?.commands.commandExecuted.connect((_, args) => ran.push(args.id));
  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a');
    if (link && ['http:', 'https:', 'mailto:', 'file:'].includes(link.protocol)) event.preventDefault();
  }, true);
  const ALIVE = 'script,iframe,frame,frameset,object,embed,applet,portal,img,image,picture,source,audio,video,track,' +
    'link,meta,base,form,style,svg,math,textarea,select,button,marquee,area,input:not([type=checkbox]),dialog';
  const LOADS = ['src', 'srcset', 'srcdoc', 'ping', 'background', 'poster', 'action', 'formaction', 'data',
    'xlink:href'];
  const OF_A_PAGE = /^(jp|lm|p|m)-(?!RenderedText)/;
  const OURS = '.jupyter-widgets, .jp-llmroute-head > button, .jp-llmroute-code-bar[role="group"]';
  const EVENTS = ['pointerover', 'mouseover', 'mouseenter', 'mousemove', 'focus', 'focusin', 'toggle', 'error', 'load',
    'animationstart', 'start', 'begin', 'contextmenu'];
  // JupyterLab itself makes links of such addresses in plain text and code, which browsers do not follow, and of
  // paths in errors, which it opens.
  const isReadable = (one) => one.closest('.jp-llmroute-answer') === null
    && (one.getAttribute('href') === one.textContent
    ? /^(data|file):/.test(one.textContent)
    : !one.getAttribute('href') && one.closest('[data-mime-type="application/vnd.jupyter.stderr"]') !== null);
  // Markdown is drawn, and formulas are set, some time after their output is there: wait until nothing more comes.
  for (let quiet = 0, last = -1; quiet < 20; ) {
    await new Promise((done) => setTimeout(done, 50));
    const now = document.getElementsByTagName('*').length;
    quiet = now === last ? quiet + 1 : 0;
    last = now;
  }
  const all = [...document.querySelectorAll('.jp-OutputArea-output')];
  for (const output of all) {
    const around = output.getBoundingClientRect();
    for (const one of output.querySelectorAll('*')) {
      const isControl = one.closest(OURS) !== null;
      const isFormula = one.closest('mjx-container') !== null;
      const isText = one.parentElement.closest('.jp-RenderedHTMLCommon, .jp-RenderedText') !== null;
      if (!isControl && !isFormula && one.matches(ALIVE)) say('element', one);
      for (const { name, value } of one.attributes) {
        if (name.startsWith('on') || LOADS.includes(name) || name.includes('commandlinker')) say(name, one);
        if (name === 'style' && /url|expression|@import|position: *fixed/i.test(value)) say(name, one);
        if (isText && !/^H[1-6]$/.test(one.tagName) && (name === 'id' || name === 'name')) say(name, one);
      }
      const odd = [...one.classList].filter((name) => OF_A_PAGE.test(name) && !ALLOWED.includes(name));
      if (isText && !isControl && odd.length > 0) say('class', one);
      const href = one.getAttribute('href');
      if (href !== null && !isReadable(one) && !/^(https?:|mailto:|#)/i.test(href)) say('link', one);
      if (isFormula || (one.classList.length === 0 && !one.hasAttribute('style'))) continue;
      const { position } = getComputedStyle(one);
      if (position === 'fixed') say('position', one);
      if (position === 'absolute' && isText) {
        const place = one.getBoundingClientRect();
        const isWithin = place.right <= around.right + 2 && place.left >= around.left - 2
          && place.top >= around.top - 2 && place.bottom <= around.bottom + 2;
        if (!isWithin) say('position', one);
      }
    }
  }
  // Afterwards, as each event may have the page laid out anew; what has no attributes has no handlers either.
  const touched = all.flatMap((output) => [...output.querySelectorAll('*')]).filter((one) =>
    one.closest(OURS) === null && !isReadable(one)
    && [...one.attributes].some(({ name }) => name !== 'class' && name !== 'style'));
  for (const one of touched) {
    for (const kind of EVENTS) one.dispatchEvent(new Event(kind));
    one.click?.();
  }
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  if (location.protocol !== 'file:') await fetch(location.origin + '/api', { cache: 'no-store' });
  return [...new Set(found), ...window.hits.map((number) => `ran: payload ${number}`),
    ...ran.map((id) => `command: ${id}`)];
}""".replace("ALLOWED", json.dumps(["jp-InternalAnchorLink"]))
"""Touch and click everything within the outputs, and return what of it is not dead.

What a click on a plain link leads to is another page's affair, and a button of ours is no text's.
"""

Watched = tuple[Page, list[str]]


@pytest.fixture(scope="module")
def bird() -> Iterator[Canary]:
    with canary() as opened:
        yield opened


@pytest.fixture(scope="module")
def enemies(bird: Canary) -> list[Payload]:
    return payloads(bird.host)


@pytest.fixture
def watched(page: Page, lab: Lab) -> Watched:
    """The page, and what went beyond it: dialogs, further pages, requests to others than its own server."""
    seen: list[str] = []
    page.context.add_init_script(TRAP)
    page.on("dialog", lambda dialog: (seen.append(f"dialog: {dialog.type} {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda other: seen.append(f"popup: {other.url}"))
    own = urlsplit(lab.url).netloc
    page.context.on("request", lambda one: seen.append(f"request: {one.url}") if _is_foreign(one.url, own) else None)
    return page, seen


def _is_foreign(url: str, own: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss", "ftp") and parts.netloc != own


def outputs(enemies: list[Payload]) -> dict[str, list[dict[str, Any]]]:
    """Return the outputs to be shown, by what they are."""
    made = [answer(one) for one in enemies]
    bundles = {
        "answers": made,
        "answers without the extension": [_without(one, ANSWER_MIME) for one in made],
        "answers as text": [_without(one, ANSWER_MIME, "text/markdown") for one in made],
        "edits": [edits(proposal(one)) for one in enemies],
        "explanations": [why(decision(*servers([one])), run(one.text), shown=None) for one in enemies],
        "tables": [
            services.bundle(servers(enemies)),
            models(decision(*servers(enemies), task=Task.CODING), Task.CODING).bundle(None),
        ],
        "forged": [forged(one) for one in enemies],
    }
    metadata = {one.number: one.forged for one in enemies if one.kind == "metadata"}
    return {
        name: [{"data": data, "metadata": metadata.get(number, {})} for number, data in enumerate(shown, 1)]
        for name, shown in bundles.items()
    }


def _together(enemies: list[Payload]) -> Proposal:
    """Return one proposal of all; the longest come last, since long ones are cut."""
    each = [proposal(one) for one in sorted(enemies, key=lambda one: len(one.text))]
    changes = tuple(change for one in each for change in one.changes)
    return Proposal(
        root=each[0].root, changes=changes, refused=tuple(refused for one in each for refused in one.refused)
    )


def _without(bundle: Bundle, *forms: str) -> Bundle:
    return {form: value for form, value in bundle.items() if form not in forms}


def errors(enemies: list[Payload]) -> Iterator[nbformat.NotebookNode]:
    """Yield the output of an error for each."""
    for one in enemies:
        try:
            with folded():
                raise UserError(one.text)
        except UserError as error:
            traceback = error._render_traceback_()  # type: ignore[attr-defined]
            yield v4.new_output("error", ename="UserError", evalue=one.text, traceback=traceback)


def notebook_of(shown: dict[str, list[dict[str, Any]]], enemies: list[Payload]) -> nbformat.NotebookNode:
    """Return a notebook as it would be saved, and as somebody may forge it."""
    cells = [
        v4.new_code_cell(f"# {name}", outputs=[v4.new_output("display_data", **one) for one in few])
        for name, several in shown.items()
        for few in _in_parts(several)
    ]
    cells += [v4.new_code_cell("# errors", outputs=list(few)) for few in _in_parts([*errors(enemies)])]
    notebook = v4.new_notebook(cells=cells)
    for one in enemies:
        if one.kind == "metadata":
            notebook.metadata.update(one.forged)
            for cell in cells:
                cell.metadata["trusted"] = True
    return notebook


def _in_parts(several: list[Any]) -> list[list[Any]]:
    return [several[start : start + AT_ONCE] for start in range(0, len(several), AT_ONCE)]


def verdict(watched: Watched, bird: Canary) -> list[str]:
    """Return all that a page did which it should not."""
    page, seen = watched
    try:
        found: list[str] = page.evaluate(PROVOKE)
    except Error as error:
        found = [f"the page is another by now: {error}"]
    return [*found, *seen, *(f"visit: {visit}" for visit in bird.visits)]


def test_the_proof_sees_what_is_alive(browser: Browser, enemies: list[Payload]) -> None:
    """Without our care the same checks find most of the corpus guilty, each by its number or its name."""
    with canary() as bird:
        live = payloads(bird.host)
        context = browser.new_context()
        context.add_init_script(TRAP)
        page = context.new_page()
        said: list[str] = []
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.set_content("<body>")
        page.evaluate(
            """(all) => Promise.all(all.map((html) => new Promise((done) => {
              const frame = document.createElement('iframe');
              frame.onload = done;
              frame.srcdoc = `<div class="jp-OutputArea-output"><div class="jp-RenderedHTMLCommon">${html}`;
              document.body.append(frame);
            })))""",
            [str(mistune.html(one.text)) for one in live if one.kind not in ("size", "nesting", "frame")],
        )
        at_once = [one.number for one in live if one.name in ("script", "svg-script", "handler-toggle")]
        page.wait_for_function("(wanted) => wanted.every((one) => window.hits.includes(one))", arg=at_once)
        ran = {*map(str, page.evaluate("() => window.hits")), *said}
        context.close()
    visited = {name for visit in bird.visits for name in visit.split(" ")[1:2]}
    guilty = {one.name for one in live if str(one.number) in ran or f"/{one.name}" in visited}
    assert {"img-onerror", "image", "image-reference", "beacon-media", "css-url"} <= guilty
    assert len(guilty) >= 20, sorted(guilty)


def test_a_reopened_notebook_is_dead(watched: Watched, lab: Lab, bird: Canary, enemies: list[Payload]) -> None:
    page, _ = watched
    saved = lab.root / "hostile-reopened.ipynb"
    shown = outputs(enemies)
    del shown["answers without the extension"]  # trusted or not, the same Markdown
    nbformat.write(notebook_of(shown, enemies), saved)
    page.goto(f"{lab.url}/lab/tree/{saved.name}?reset&token={lab.token}")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    expect(page.locator(".jp-CodeCell").last.locator(".jp-OutputArea-output").last).to_be_attached()
    assert page.locator(".jp-llmroute-card").count() >= 2 * len(enemies) - 2
    assert verdict(watched, bird) == []


SHOW = "for one in shown[{name!r}][{start}:{stop}]: display(one['data'], metadata=one['metadata'], raw=True)"


def test_a_live_answer_is_dead(watched: Watched, lab: Lab, bird: Canary, enemies: list[Payload]) -> None:
    page, _ = watched
    made = outputs(enemies)
    shown = {name: made[name] for name in ("answers", "answers without the extension")}
    # Our renderer trusts no text, in a trusted notebook neither: what is of this page's own kind is enough.
    own = [
        number for number, one in enumerate(enemies) if one.kind in ("script", "command", "class", "facts", "metadata")
    ]
    shown["forged"] = [made["forged"][number] for number in own]
    (lab.root / "hostile.json").write_text(json.dumps(shown))
    sources = [
        "import json; shown = json.load(open('hostile.json'))",
        *(
            SHOW.format(name=name, start=start, stop=start + AT_ONCE)
            for name, several in shown.items()
            for start in range(0, len(several), AT_ONCE)
        ),
        "print('all is shown')",
    ]
    saved = lab.root / "hostile-live.ipynb"
    _open(page, lab, saved, sources)
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    expect(output(page, len(sources) - 1)).to_contain_text("all is shown")
    assert verdict(watched, bird) == []


def _open(page: Page, lab: Lab, saved: Path, sources: list[str]) -> None:
    """Write a notebook of these cells, open it, and wait until its kernel answers."""
    cells = [v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), saved)
    page.goto(f"{lab.url}/lab/tree/{saved.name}?reset&token={lab.token}")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    page.evaluate(KERNEL_READY, 60_000)


WIDGETS = """\
from pathlib import Path
from jupyter_llmroute import services
from jupyter_llmroute.core.edits.proposal import Proposal
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.errors import EditRefused
from jupyter_llmroute.edit_widget import show_proposal
from jupyter_llmroute.widgets import show_table
told = json.loads(Path("hostile-values.json").read_text())
table = services.table([Endpoint.model_validate(one) for one in told["servers"]])
show_table(table, lambda: table, shown=None, find="")
def refuse(proposal):
    raise EditRefused(" ".join(told["texts"])[:900])
show_proposal(Proposal.model_validate(told["proposal"]), refuse)
"""


def test_magics_and_widgets_are_dead(
    watched: Watched, lab: Lab, bird: Canary, enemies: list[Payload], tmp_path: Path
) -> None:
    page, _ = watched
    tags = [
        {**TAG, "name": one.text, "model": one.text, "details": {**TAG["details"], "family": one.text}}
        for one in enemies
    ]
    said = [one.text + "\n\n" for one in sorted(enemies, key=lambda one: one.kind in ("size", "nesting", "fence"))]
    values = {
        "servers": [one.model_dump(mode="json") for one in servers(enemies)],
        "proposal": _together(enemies).model_dump(mode="json"),
        "texts": [one.text for one in enemies if len(one.text) < 200],
    }
    (lab.root / "hostile-values.json").write_text(json.dumps(values))
    with ollama(ollama_says(*said), tags=tags) as server, nobody() as gone:
        named = [{"name": one.text, "endpoint": gone} for one in enemies]
        named.append({"name": "desk", "endpoint": server.url, "api_style": "ollama"})
        settings = tmp_path / "llmroute.yaml"
        settings.write_text(
            f"services: {{custom_endpoints: {json.dumps(named)}, {NO_OTHERS}}}\nembedded: {{enabled: false}}\n"
        )
        sources = [
            f"%env LLMROUTE_SETTINGS={settings}\n%load_ext jupyter_llmroute\nimport json",
            "%llm_services",
            "%llm_models --all",
            "%%route --no-context\nwhat is hostile?",
            "%llm_why --all",
            "%llm_retry",
            WIDGETS,
            "print('all is shown')",
        ]
        saved = lab.root / "hostile-magics.ipynb"
        _open(page, lab, saved, sources)
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        expect(output(page, len(sources) - 1)).to_contain_text("all is shown")
        expect(output(page, 3).locator(".jp-llmroute-card")).to_have_attribute("data-state", "complete")
        expect(output(page, 5).get_by_role("button", name="Retry")).to_be_visible()
        expect(output(page, 6).get_by_role("button", name="Refresh")).to_be_visible()
        output(page, 6).get_by_role("button", name="Apply").click()
        expect(output(page, 6).get_by_role("button", name="Apply")).to_have_count(0)
        assert verdict(watched, bird) == []


def test_an_exported_page_is_dead(watched: Watched, bird: Canary, enemies: list[Payload], tmp_path: Path) -> None:
    page, _ = watched
    shown = {name: outputs(enemies)[name] for name in ("answers", "answers as text", "edits", "tables")}
    exporter = HTMLExporter(mathjax_url="", require_js_url="", mermaid_js_url="", jquery_url="", widget_renderer_url="")
    html, _ = exporter.from_notebook_node(notebook_of(shown, [one for one in enemies if one.kind != "metadata"]))
    exported = tmp_path / "exported.html"
    exported.write_text(html, "utf-8")
    page.goto(exported.as_uri())
    assert page.locator(".jp-OutputArea-output").count() >= 4 * len(enemies)
    assert verdict(watched, bird) == []
