"""Markdown from a model shows what it says and does nothing: judged on the HTML that real renderers make of it."""

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import mistune
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from jupyter_llmroute.inert import _holds_live, _prose, inert_line, inert_markdown, plain_line

PLUGINS = ["strikethrough", "table", "url", "task_lists", "def_list", "footnotes"]
RENDERERS = {
    "CommonMark": mistune.create_markdown(escape=False),
    "GFM and more": mistune.create_markdown(escape=False, plugins=PLUGINS),
    "nbconvert, mathematics cut out": markdown2html_mistune,
}
AS_TREE = mistune.create_markdown(renderer=None, plugins=["table"])

HARMLESS = set("p em strong a code pre ul ol li h1 h2 h3 h4 h5 h6 blockquote hr br table thead tbody tr th td".split())
HARMLESS |= set("del div span input dl dt dd sup section".split())
ATTRIBUTES = {"href", "title", "class", "id", "style", "start", "type", "checked", "disabled"}
TARGET = re.compile(r"(https?://|ftp://|mailto:|#)", re.IGNORECASE)
ALIGNMENT = re.compile(r"text-align: ?(left|right|center);?")


class Live(HTMLParser):
    """Collects what a page would run, load or open by itself: each tag and attribute that no renderer makes alone."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"<{tag}>"] * (tag not in HARMLESS)
        for name, value in attrs:
            known = name in ATTRIBUTES and (name != "style" or ALIGNMENT.fullmatch(value or ""))
            if not known or (name == "href" and not TARGET.match(value or "")):
                self.found.append(f"{name}={value}")

    handle_startendtag = handle_starttag

    def handle_comment(self, data: str) -> None:
        self.found.append("comment")

    handle_decl = handle_pi = unknown_decl = handle_comment


def live(markdown: str) -> dict[str, list[str]]:
    found = {name: Live(str(render(markdown))).found for name, render in RENDERERS.items()}
    return {name: signs for name, signs in found.items() if signs}


IMG = "<img src=x onerror=alert(1)>"

PAYLOADS = [
    # HTML
    IMG,
    "<script>alert(1)</script>",
    "text <b onmouseover=alert(1)>x</b>",
    "<svg onload=alert(1)>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data='http://a.example/'></object>",
    "<embed src='http://a.example/'>",
    "<style>body{display:none}</style>",
    "<link rel=stylesheet href=//a.example>",
    "<meta http-equiv=refresh content='0;url=http://a.example'>",
    "<base href='http://a.example/'>",
    "<form action='http://a.example'><button>go</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<video><source onerror=alert(1)></video>",
    "<a href='javascript:alert(1)'>x</a>",
    "<p style='position:fixed;inset:0'>x</p>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<IMG SRC=x\nONERROR=alert(1)>",
    "<!-- x -->",
    "<?php x ?>",
    "<!DOCTYPE html>",
    f"- item\n\n  {IMG}",
    f"> {IMG}",
    f"| a |\n|---|\n| {IMG} |",
    f"# {IMG}",
    f"**{IMG}**",
    f"[{IMG}](http://a.example)",
    f"\\\\{IMG}",
    f"{IMG}\u2028",
    # links and images
    "![x](http://a.example/track.png)",
    "![x][i]\n\n[i]: http://a.example/track.png",
    "[![x](http://a.example/i.png)](http://a.example)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x]( <javascript:alert(1)> )",
    "[x](<javascript:alert(1)> 'title')",
    "[x](vbscript:x)",
    "[x](data:text/html,x)",
    "[x](file:///etc/passwd)",
    "[x](/local/path)",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "[x]\n\n[x]:\n  javascript:alert(1)",
    "<javascript:alert(1)>",
    # code that is none
    f"`a\n\n{IMG}`",
    f"\\`{IMG}`",
    f"``a` {IMG}",
    f"| a | b |\n|---|---|\n| `x | {IMG}` |",
    f"| p | q |\n|---|---|\n| p `q | r` y `{IMG}` z |",
    f"http://a.example/`x {IMG}`",
    f"    ```\n{IMG}\n    ```",
    f"- ```\n  a\n  ```\n  {IMG}\n  ```",
    f"1. a\n   ```\n      ```\n   {IMG}\n   ```",
    f"- a\n     ```\n  ```\n  {IMG}\n  ```",
    f"> ```\n{IMG}\n> ```",
    f"```a`b\n{IMG}\n```",
    f"a|b\n-|-\n~~~|x\n{IMG}\n~~~",
    # mathematics that swallows the beginning of code
    f"a $ `$ {IMG}`",
    f"$$\n\n```\n$$\n\n{IMG}\n```",
    f"`$$` is\n\n```\n$$\n\n{IMG}\n```",
    f"\\begin{{a}}\n```\n\\end{{a}}\n\n{IMG}\n```",
    f"\\\\[\n```\n\\\\]\n\n{IMG}\n```",
    f"$\\begin{{a}}$\n```\n\\end{{a}}\n\n{IMG}\n```",
    # blocks that are run
    f"```mermaid\n{IMG}\n```",
    f"~~~ mermaid x\n{IMG}\n~~~",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payload_is_inert(payload: str):
    assert live(payload), "worth trying: somebody renders it live"
    assert live(inert_markdown(payload)) == {}
    assert live(inert_markdown(f"before\n{payload}\nafter")) == {}


TRICKS = {
    "JupyterLab puts a formula into an address": ('http://a.b/$" onmouseover="alert(1)$', 'http://a.b/&#36;" '),
    "… into a link": ('[x](http://a.b/$" onmouseover="alert(1)$)', r"[x]\("),
    "… into a title": ('[x](http://a.example "$" onmouseover="alert(1)$")', r"[x]\("),
    "… into the language of code": (' ```x$" onmouseover="alert(1)$\n y\n ```', "~~~\ny\n~~~"),
    "… and lets it swallow a fence": (f"$5\n```\necho $ {IMG}", "&#36;5\n\n~~~\necho $ "),
    "MathJax makes links": (r"$\href{javascript:alert(1)}{x}$", "$\\\N{WORD JOINER}href{"),
    "… of what the page shows": (r"\(\href {javascript:alert(1)}{x}\)", "\\\N{WORD JOINER}href {"),
    "… spelt with an entity": (r"$&#92;href{javascript:alert(1)}{x}$", "$& #92;href{"),
    "a line that reads backwards": ("\u202egnp.exe", "\ufffdgnp.exe"),
    "a line end that only some renderers know": (f"```\n\u2028```\n{IMG}\n```", "~~~\n\ufffd```\n<img"),
}  # fmt: skip


@pytest.mark.parametrize(("payload", "inert"), TRICKS.values(), ids=TRICKS)
def test_trick_of_a_viewer_that_is_not_here(payload: str, inert: str):
    shown = inert_markdown(payload)
    assert inert in shown
    assert live(shown) == {}


PIECES = st.sampled_from(
    [*"`<>![]()|~ \n\\$\"'{}#*_:&x",
     *"\n\n|```|````|~~~|``|    |- |1. |> |: |\t|$$|\\\\[|\\\\]|](|![|]:|[a]|[^1]".split("|"),
     *"\\begin{a} \\end{a} @@0@@ \r mermaid javascript:x http://a.b/ www.a.b/ <u> </u> onerror=x".split(" "),
     "a|b\n-|-\n", "<a href=javascript:x>", "<!-- x -->", IMG, IMG]
)  # fmt: skip
LINES = st.tuples(
    st.sampled_from(["", "", " ", "   ", "    ", "\t", "- ", "1. ", "> ", "- - ", "  - ", ": ", "- [ ] "]),
    st.sampled_from(
        ["```", "```", "~~~", "````", "```py", "~~~ x`y", "``` a|b", "~~~```", "$$", "text", "", "`", IMG, IMG]
    ),
    st.sampled_from(["", "", "`", "$", f" {IMG}", f"`{IMG}`", f"``{IMG}``"]),
).map("".join)
ADVERSARIAL = st.one_of(
    st.lists(PIECES, max_size=30).map("".join), st.lists(LINES, min_size=2, max_size=10).map("\n".join)
)


@given(ADVERSARIAL)
@settings(deadline=None, max_examples=400)
def test_nothing_is_live(text: str):
    assert live(inert_markdown(text)) == {}


UNCHANGED = [
    "# Title\n\nA **bold** word, _another_, ~~gone~~.\n\n- one\n- two\n  1. deep\n\n> quoted\n\n---\n",
    "| a | b |\n|---|--:|\n| 1 | `x` |",
    "[docs](https://example.org/a_(b)?c=d&e=f#g), <3, a < b, 1<2, https://example.org, [up](#top), [me](mailto:a@b.c)",
    'He said "x[1] (sic)!" & left; C:\\data\\new, \\* no list, 100 %',
    "Inline $a^2 + b_1 \\le \\frac{a}{b}$ and\n\n$$\n\\begin{aligned} x &= 1 \\end{aligned}\n$$\n",
    "Run `pip install x`, then ``a ` b`` and `x`.",
    "```python\nfor i in range(3):\n    print(i, i < 2)\n```\n",
    "- a\n\n  ```py\n  x = 1\n  ```\n\n- b\n    ```\n    y\n    ```",
    "~~~\na\n~~~",
    "```py\nstill being wri",
    "",
    "\n\n",
    "Ünïcödé 漢字 👩‍👩‍👧 \u00a0",
]


@pytest.mark.parametrize("text", UNCHANGED)
def test_what_is_harmless_stays_as_it_is(text: str):
    assert inert_markdown(text) == text


CHANGED = {
    "a tag": ("a <b>c</b>", "a &lt;b>c&lt;/b>"),
    "an image": ("![x](http://a.b)", r"\!\[x](http://a.b)"),
    "a title": ('[x](http://a.b "t")', r'[x]\(http://a.b "t")'),
    "a definition": ("[x]: http://a.b", r"[x]\: http://a.b"),
    "prices": ("$5 and $6, or $7", "&#36;5 and &#36;6, or &#36;7"),
    "a comparison in a formula": ("$a<b$", "$a< b$"),
    "a new line in a formula": ("$$a \\\\[2pt] b$$", "$$a \\\\ [2pt] b$$"),
    "an open brace": ("$a{$", "&#36;a{&#36;"),
    "an open environment": ("$\\begin{a}$", "&#36;\\begin&#123;a}&#36;"),
    "a formula over paragraphs": ("$$\n\n$$", "&#36;&#36;\n\n&#36;&#36;"),
    "live code within a line": ("`<b>` ok", "<code>&#60;b&#62;</code> ok"),
    "live code": ("a\n```html\n<b>\n```\nc", "a\n\n~~~html\n<b>\n~~~\n\nc"),
    "live code, still being written": ("```html\n<b>", "~~~html\n<b>\n~~~"),
    "live code in a list": ("1. a\n   ```sh\n   echo $x\n   ```\n2. b", "1. a\n\n~~~sh\necho $x\n~~~\n\n2. b"),
    "live code with tildes": ("```\n<b>\n~~~~\n```", "~~~~~\n<b>\n~~~~\n~~~~~"),
    "live code beside the mark of its item": ("- ```sh\n  echo $x\n  ```", "-\n\n~~~sh\necho $x\n~~~"),
    "live code that ends with its item": ("- ```\n  $x\ntext", "-\n\n~~~\n$x\n~~~\n\ntext"),
    "live code that shows a fence": ("```\n<b>\n    ```\ny\n```", "~~~\n<b>\n    ```\ny\n~~~"),
    "a fence that only some renderers close": ("```\n<b>\n```~\nc", "~~~\n<b>\n~~~\n\nc"),
    "entities": ("&#92;a &bsol;b &lt;", "&amp;#92;a &amp;bsol;b &lt;"),
    "a diagram": ("```mermaid\na\n```", "~~~\na\n~~~"),
    "line ends": ("a\r\nb\rc", "a\nb\nc"),
}


@pytest.mark.parametrize(("text", "inert"), CHANGED.values(), ids=CHANGED)
def test_what_is_not_harmless_becomes_text(text: str, inert: str):
    assert inert_markdown(text) == inert


def blocks_of_code(markdown: str) -> Iterator[str]:
    return (str(block["raw"]) for block in AS_TREE(markdown) if block["type"] == "block_code")


CODES = st.lists(
    st.sampled_from(["<b>", "$x", "`", "```", "~~~", "![a](b)", "    x", "\\begin{a}", "$$", "", "- ", ": a", "x"]),
    min_size=1,
).map("\n".join)


@given(CODES, st.sampled_from(["", "text\n", "- item\n", "a | b\n--|--\n", "$5 "]))
@settings(deadline=None)
def test_code_of_a_fence_at_the_left_edge_is_shown_as_it_is(code: str, before: str):
    block = f"````py\n{code}\n````"
    assert list(blocks_of_code(inert_markdown(f"{before}\n{block}\n\nafter"))) == [f"{code}\n"]


@given(st.text(alphabet="<b>$&|\\[]()!*_ x\"'#~:/.@{}", min_size=1).filter(str.strip), st.sampled_from(["`", "``"]))
@settings(deadline=None)
def test_code_within_a_line_is_shown_as_it_is(code: str, ticks: str):
    html = str(RENDERERS["CommonMark"](inert_markdown(f"say {ticks}{code}{ticks} now")))
    [shown] = re.findall("<code>(.*)</code>", html, re.DOTALL)
    stripped = code[1:-1] if code[0] == code[-1] == " " else code
    assert mistune.util.unescape(shown) == stripped


ODD = st.text(alphabet="`<>![]()|~ \n\\$\"'{}#*_&x\u202e", max_size=40)


@given(st.one_of(ODD, ADVERSARIAL.filter(lambda text: not re.search("http|www", text))))
@settings(deadline=None)
def test_a_name_has_no_markup_and_reads_as_it_is(name: str):
    line = inert_line(name)
    assert "\n" not in line
    for renderer, render in RENDERERS.items():
        html = str(render(f"name {line}"))
        assert re.fullmatch(r"<p>[^<]*</p>\s*", html), renderer
    shown = mistune.util.unescape(str(RENDERERS["CommonMark"](f"name {line} end"))[3:-5])
    assert shown.replace("\N{WORD JOINER}", "") == f"name {plain_line(name)} end"


def test_a_name_is_cut_with_a_mark():
    assert plain_line("x" * 300, 10) == "x" * 9 + "…"
    assert plain_line("a\nb\tc\x00") == "a b c\ufffd"
    assert inert_line("$" * 300, 3) == "&#36;&#36;…"


@pytest.mark.parametrize("address", ["https://evil.example/p", "HTTP://1.2.3.4", "www.evil.example", "a@evil.example"])
def test_no_address_becomes_a_link_by_itself(address: str) -> None:
    line = inert_line(f"runs at '{address}')")
    assert address not in line
    assert address in html.unescape(line)


def test_a_name_makes_no_link_of_mathjax():
    assert inert_line(r"$\href{javascript:x}{y}$").startswith("&#36;&#92;\N{WORD JOINER}href")


@pytest.mark.parametrize(
    "unit",
    ["`", "` `` ", "[", "](", "](http://(", "![", "$", "$a", "${", "$$\n", "\\begin{a}", "\\\\[", "<a", "&#", "\\href ",
     "```\n", "~~~\n<a\n", "- ", "1. ", "- ```\n<", "> ", "\t", " ", "\n", "\\", '"'],
)  # fmt: skip
def test_a_megabyte_comes_to_its_end(unit: str):
    inert_markdown(unit * (1_000_000 // len(unit)))


@given(st.lists(st.one_of(ODD, ADVERSARIAL), max_size=4))
def test_what_is_said_to_hold_nothing_live_is_not_changed_line_by_line_either(texts: list[str]) -> None:
    lines = "\n".join(texts).split("\n")
    assert _holds_live("\n".join(lines)) or [_prose(line) for line in lines] == lines
