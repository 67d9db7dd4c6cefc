"""A tree is made of a text, whatever other threads do."""

import ast
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from jupyter_llmroute.core.parsing import tree_of


def test_many_threads_get_the_trees_of_their_texts():
    texts = [f"x = {'-' * depth}{depth}\n" * 20 for depth in range(1, 60)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            trees = [*threads.map(tree_of, texts * 4)]
    finally:
        sys.setswitchinterval(usual)
    assert [ast.unparse(tree) for tree in trees] == [ast.unparse(ast.parse(text)) for text in texts * 4]


@pytest.mark.parametrize(("text", "error"), [("x = ", SyntaxError), ("\0", (SyntaxError, ValueError))])
def test_a_text_that_is_none_is_refused_as_usual(text: str, error: type[Exception]):
    with pytest.raises(error):
        tree_of(text)
