"""Tables are found in, sorted and cut, and stay tables."""

import pytest

from jupyter_llmroute.table import Table

SIZES = Table(
    columns=("model", "window", "note"),
    rows=(("b", "8,192", ""), ("a", "unknown", ""), ("c", "131,072 (assumed)", ""), ("d", "", "")),
    notes=("a | note",),
    nothing="none",
)


@pytest.mark.parametrize(
    ("cells", "ordered"),
    [
        (["8,192", "unknown", "131,072 (assumed)", ""], ["131,072 (assumed)", "8,192", "unknown", ""]),
        (["135M", "8.2B", "1T", "70B", "512K"], ["1T", "70B", "8.2B", "135M", "512K"]),
        (["74 points", "9 points", "b", "A"], ["74 points", "9 points", "A", "b"]),
        ([".", ",", "5 GB", "12.5 GB"], ["12.5 GB", "5 GB", ",", "."]),
    ],
)
def test_numbers_come_before_words_and_the_largest_first(cells: list[str], ordered: list[str]) -> None:
    made = Table(columns=("x",), rows=tuple((cell,) for cell in cells), nothing="")
    assert [row[0] for row in made.sorted_by("x").rows] == ordered


def test_rows_are_found_by_all_words_in_whatever_case() -> None:
    assert [row[0] for row in SIZES.found("ASSUMED 131").rows] == ["c"]
    assert SIZES.found("").rows == SIZES.rows
    assert (
        SIZES.found("<b>").markdown() == "No row holds &#39;&#60;b>&#39;." or "<b>" not in SIZES.found("<b>").markdown()
    )
    assert SIZES.found("zzz").text() == "No row holds 'zzz'."


def test_a_long_table_says_how_many_rows_it_hides() -> None:
    assert SIZES.text(3).split("\n")[-2:] == ["and 1 more: see them with --all", "a | note"]
    assert "and 1 more" in SIZES.markdown(3)
    assert "more" not in SIZES.text(None)


def test_a_column_without_a_word_is_left_out_and_a_cell_stays_a_cell() -> None:
    assert SIZES.markdown(None).split("\n")[:2] == ["| model | window |", "| --- | --- |"]
    pipes = Table(columns=("x", "y"), rows=(("a|b", "c\nd"),), nothing="")
    assert pipes.markdown().split("\n")[2] == "| a\\|b | c d |"


def test_nothing_to_show_is_said_in_a_sentence() -> None:
    assert Table(columns=("x",), rows=(), nothing="There is *nothing*.").markdown() == "There is \\*nothing\\*."
