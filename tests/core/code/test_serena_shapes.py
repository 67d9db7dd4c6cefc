"""Serena's answers, as both versions gave them, and what becomes of each."""

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_llmroute.core.code.finding import Ask, Finding, Source
from jupyter_llmroute.core.code.mcp import ToolAnswer
from jupyter_llmroute.core.code.serena_shapes import (
    AnswerTooLong,
    BackendFailed,
    ManySymbols,
    NoSuchSymbol,
    TooSlow,
    check_done,
    remarks,
    symbols,
    text_of,
    uses,
)
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused

DATA = Path(__file__).parents[2] / "data" / "serena"
VERSIONS = ["1_7_0", "2_1_0"]


@pytest.fixture(params=VERSIONS, scope="module")
def recorded(request: pytest.FixtureRequest) -> dict[str, ToolAnswer]:
    """What one version said."""
    content = json.loads((DATA / f"answers_{request.param}.json").read_text("utf-8"))
    return {name: ToolAnswer.model_validate(answer["result"]) for name, answer in content["answers"].items()}


def said(text: str, *, is_error: bool = False) -> ToolAnswer:
    return ToolAnswer.model_validate({"content": [{"type": "text", "text": text}], "isError": is_error})


def brief(found: tuple[Finding, ...]) -> list[tuple[Any, ...]]:
    return [(one.file, one.first_line, one.last_line, one.kind, one.name_path) for one in found]


MODELS, PRICING = "shop/models.py", "shop/pricing.py"
SYMBOLS = {
    "symbol": [(MODELS, 19, 39, "class", "Order")],
    "method": [(MODELS, 28, 30, "method", "Order/total")],
    "property": [(MODELS, 32, 35, "method", "Order/note[0]"), (MODELS, 37, 39, "method", "Order/note[1]")],
    "constant": [(MODELS, 4, 4, "constant", "TAX_RATE")],
    "accent": [("shop/été.py", 5, 7, "function", "prix_d_été")],
    "half": [("shop/half.py", 5, 6, "function", "finished")],
    "module_name": [],
    "none": [],
    "implementations": [
        (PRICING, 7, 11, "class", "Policy"),
        (PRICING, 14, 16, "class", "FlatPolicy"),
        (PRICING, 19, 23, "class", "DiscountPolicy"),
    ],
}
EVERYTHING = [
    (MODELS, 4, 4, "constant", "TAX_RATE"),
    (MODELS, 7, 16, "class", "Item"),
    (MODELS, 11, 11, "field", "Item/name"),
    (MODELS, 12, 12, "field", "Item/price"),
    (MODELS, 14, 16, "method", "Item/subtotal"),
    (MODELS, 19, 39, "class", "Order"),
    (MODELS, 23, 23, "field", "Order/items"),
    (MODELS, 25, 26, "method", "Order/add"),
    (MODELS, 28, 30, "method", "Order/total"),
    (MODELS, 32, 35, "method", "Order/note[0]"),
    (MODELS, 37, 39, "method", "Order/note[1]"),
]
USES = {
    "uses": [
        ("shop/__main__.py", 5, 5, "module", ""),
        (PRICING, 31, 31, "constant", "CHEAPEST"),
        ("shop/été.py", 7, 7, "function", "prix_d_été"),
    ],
    "uses_of_method": [
        ("shop/half.py", 6, 6, "function", "finished"),
        (PRICING, 16, 16, "method", "FlatPolicy/price"),
        (PRICING, 23, 23, "method", "DiscountPolicy/price"),
    ],
    "uses_none": [],
}
BROKEN = [
    ("shop/report.py", 8, 8, "error", "broken"),
    ("shop/report.py", 9, 9, "error", "broken"),
    ("shop/report.py", 10, 10, "error", "broken"),
]
REMARKS = {
    "remarks": [("shop/report.py", 2, 2, "error", ""), *BROKEN],
    "remarks_all": [
        ("shop/report.py", 2, 2, "error", ""),
        BROKEN[0],
        ("shop/report.py", 9, 9, "error", "broken"),
        ("shop/report.py", 9, 9, "hint", "broken"),
        BROKEN[2],
    ],
    "remarks_clean": [],
    "remarks_symbol": BROKEN,
    "remarks_half": [
        ("shop/half.py", 9, 9, "error", "unfinished"),
        ("shop/half.py", 9, 9, "error", "unfinished"),
        ("shop/half.py", 10, 10, "error", "unfinished"),
        ("shop/half.py", 10, 10, "error", "unfinished"),
    ],
}


@pytest.mark.parametrize("name", SYMBOLS)
def test_symbols_are_read_and_modules_are_none(recorded, name):
    assert brief(symbols(recorded[name], Ask.DEFINITION)) == SYMBOLS[name]


def test_a_file_is_read_with_all_that_is_in_it(recorded):
    assert brief(symbols(recorded["everything"], Ask.OVERVIEW, with_children=True)) == EVERYTHING


def test_a_body_is_the_source_and_documentation_is_plain(recorded):
    (method,) = symbols(recorded["method"], Ask.DEFINITION)
    assert method.body.split("\n")[0] == "def total(self) -> float:"
    assert (method.ask, method.source, method.info) == (Ask.DEFINITION, Source.SERENA, "")
    (function,) = symbols(recorded["info"], Ask.DOCUMENTATION)
    signature = "def compute_total(\n    order: Order,\n    policy: Policy | None = None\n) -> float"
    assert function.info == f"{signature}\n\nReturn what is to be paid."
    (klass,) = symbols(recorded["info_class"], Ask.DOCUMENTATION)
    assert klass.info == "<class 'Order'>\n\nWhat a customer wants."


@pytest.mark.parametrize("name", USES)
def test_uses_are_told_by_the_line_and_what_they_stand_in(recorded, name):
    assert brief(uses(recorded[name])) == USES[name]


def test_a_use_has_the_lines_around_it(recorded):
    first, _, last = uses(recorded["uses"])
    assert first.body == "compute_total(Order())"
    assert last.body == '    """Le prix."""\n    return compute_total(order)'


@pytest.mark.parametrize("name", REMARKS)
def test_remarks_are_told_by_line_and_severity(recorded, name):
    assert brief(remarks(recorded[name])) == REMARKS[name]


def test_a_remark_says_what_is_wrong_and_not_where_it_looked(recorded):
    first, second, *_ = remarks(recorded["remarks"])
    assert first.info == "Cannot resolve imported module `no_such_package` [import-not-found]"
    assert second.info == "Name `undefined_name` used when not defined [unresolved-reference]"


FAILURES = {
    "backend_failed": BackendFailed,
    "missing_symbol": NoSuchSymbol,
    "missing_file": NoSuchSymbol,
    "uses_many": ManySymbols,
    "outside": CodeUnavailable,
    "missing_parameter": CodeUnavailable,
    "unknown_tool": CodeUnavailable,
    "too_long": AnswerTooLong,
    "too_long_counted": AnswerTooLong,
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_has_its_kind_and_our_words_alone(recorded, name):
    with pytest.raises(FAILURES[name]) as failure:
        text_of(recorded[name])
    theirs = recorded[name].text
    message = str(failure.value)
    assert not any(part in message for part in ("/project", "IMPORTANT", "Stop", "Error executing", "Exception"))
    assert theirs[:60] not in message
    assert message.endswith((".", "`."))


def test_what_is_too_long_tells_at_least_how_much(recorded):
    with pytest.raises(AnswerTooLong, match="3 uses in 3 files") as failure:
        uses(recorded["too_long_counted"])
    assert failure.value.uses == {PRICING: 1, "shop/été.py": 1, "shop/__main__.py": 1}
    with pytest.raises(AnswerTooLong) as failure:
        symbols(recorded["too_long"], Ask.DEFINITION)
    assert failure.value.uses == {}


TOO_LONG = "The answer is too long (657 characters). You can adjust your query."


@pytest.mark.parametrize(
    "rest", ["", "\nShortened:\n{not json", '\nShortened:\n{"Class": ["A"]}', '\n{"a.py": "many"}', "\n[1]"]
)
def test_a_shortened_answer_is_no_answer(rest):
    with pytest.raises(AnswerTooLong) as failure:
        symbols(said(TOO_LONG + rest), Ask.OVERVIEW)
    assert failure.value.uses == {}


@pytest.mark.parametrize("name", ["rename", "replace", "insert_after", "insert_before", "delete"])
def test_a_change_that_was_made_is_one(recorded, name):
    check_done(recorded[name])


def test_what_is_still_used_is_not_removed(recorded):
    with pytest.raises(EditRefused, match=r"used in 'shop/__main__\.py:5, shop/pricing\.py:31, shop/été\.py:7'"):
        check_done(recorded["delete_refused"])


@pytest.mark.parametrize(
    ("text", "is_error", "error"),
    [
        ("Cannot delete, the symbol X is referenced", False, EditRefused),
        ("Cannot delete, the symbol X is referenced in: {broken", False, EditRefused),
        ("I did something else", False, CodeUnavailable),
        ("", False, CodeUnavailable),
        ("Error executing tool x: KeyError", True, CodeUnavailable),
    ],
)
def test_a_change_that_was_not_made_is_none(text, is_error, error):
    with pytest.raises(error):
        check_done(said(text, is_error=is_error))


@pytest.mark.parametrize("text", ["", "{}", "null", "[1]", '[{"name_path": "x"}]', "Some prose.", "[" * 100_000])
def test_an_answer_of_another_shape_is_none(text):
    with pytest.raises(CodeUnavailable):
        symbols(said(text), Ask.DEFINITION)


def test_a_limit_of_serenas_is_told_apart():
    with pytest.raises(TooSlow):
        text_of(said("Error executing tool find_symbol: Tool execution timed out after 235 seconds", is_error=True))


def test_a_name_that_occurs_twice_is_found_once_in_each_place(recorded):
    answer = json.loads(recorded["symbol"].text)
    assert len(symbols(said(json.dumps(answer * 3)), Ask.DEFINITION)) == 1
    answer[0]["relative_path"] = "shop\\models.py"
    assert symbols(said(json.dumps(answer)), Ask.DEFINITION)[0].file == MODELS
