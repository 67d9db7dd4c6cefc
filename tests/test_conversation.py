"""The conversation of a session: by cells, shown item by item, saved and loaded; and what a user names to go along."""

import json
from pathlib import Path

import pytest
from IPython.core.error import UsageError

from jupyter_llmroute.conversation import Conversation
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.request import Turn

from .scripted import Scripted, llamacpp, says
from .test_magics import Terminal, terminal

__all__ = ["terminal"]


def turn(number: int, cell: str = "", question: str = "q", answer: str = "a") -> Turn:
    return Turn(number=number, cell=cell, question=question, answer=answer)


def of(*turns: Turn) -> Conversation:
    conversation = Conversation()
    for each in turns:
        conversation.add(each)
    return conversation


def numbers(conversation: Conversation, asking: str = "", number: int = 99, deleted: frozenset[str] = frozenset()):
    return [turn.number for turn in conversation.turns(asking=asking, number=number, deleted=deleted)]


def test_a_cell_that_runs_again_replaces_what_it_asked_before():
    conversation = of(turn(1, "a"), turn(2, "b"), turn(3, "c"))
    assert numbers(conversation, asking="b", number=4) == [1, 3]
    conversation.add(turn(4, "b"))
    assert numbers(conversation) == [1, 3, 4]


def test_until_it_is_answered_the_old_turn_is_kept():
    conversation = of(turn(1, "a"), turn(2, "b"))
    assert numbers(conversation, asking="a", number=3) == [2]
    assert numbers(conversation, asking="c", number=4) == [1, 2]


def test_deleted_cells_leave_and_come_back_when_that_is_undone():
    conversation = of(turn(1, "a"), turn(2, "b"))
    assert numbers(conversation, deleted=frozenset("a")) == [2]
    assert numbers(conversation) == [1, 2]


def test_what_was_taken_from_a_deleted_cell_leaves_the_turns_of_others():
    items = (ContextItem(ref="In[1]", text="x", cell="x"), ContextItem(ref="In[2]", text="y", cell="y"))
    conversation = of(turn(3, "a").model_copy(update={"items": items}))
    [told] = conversation.turns(asking="", number=9, deleted=frozenset("x"))
    assert [item.ref for item in told.items] == ["In[2]"]


def test_two_questions_of_one_run_are_two_turns():
    conversation = of(turn(1, "a", "first?"), turn(1, "a", "second?"))
    assert numbers(conversation, asking="a", number=1) == [1, 1]
    conversation.add(turn(1, "a", "first?", "better"))
    assert [turn.answer for turn in conversation.turns(asking="", number=9)] == ["better", "a"]


def test_cells_without_an_id_replace_nothing():
    assert numbers(of(turn(1), turn(2), turn(3)), asking="", number=3) == [1, 2, 3]


def test_what_is_saved_is_loaded_whole(tmp_path: Path):
    item = ContextItem(ref="In[1]", text="x = 1", output="1", output_ref="Out[1]")
    saved = of(turn(5, "a").model_copy(update={"items": (item,)}), turn(6, "b", "数据 \u202e?"))
    assert saved.save(tmp_path / "talk.json") == 2
    loaded = Conversation()
    assert loaded.load(tmp_path / "talk.json") == 2
    [first, second] = loaded.turns(asking="a", number=9)
    [told] = first.items
    assert (told.ref, told.text, told.output) == ("earlier In[1]", "Of an earlier session, x = 1", "1")
    assert second.question == "数据 \u202e?"
    assert loaded.save(tmp_path / "again.json") == 2
    again = Conversation()
    again.load(tmp_path / "again.json")
    assert again.turns(asking="", number=9) == (first, second)


def test_a_file_is_never_overwritten(tmp_path: Path):
    path = tmp_path / "talk.json"
    path.write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        of(turn(1)).save(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"version": 2, "turns": []}', '{"version": 1, "turns": [{}]}', "[" * 9999]
)
def test_another_file_is_not_loaded(tmp_path: Path, text: str):
    path = tmp_path / "talk.json"
    path.write_text(text)
    conversation = of(turn(1))
    with pytest.raises(UserError, match="holds no conversation"):
        conversation.load(path)
    assert numbers(conversation) == [1]


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"none\.json"):
        Conversation().load(tmp_path / "none.json")


# --- in a shell ---


@pytest.fixture
def server():
    with llamacpp(says("forty-two", prompt_tokens=2000)) as server:
        yield server


def sent(server: Scripted) -> str:
    return str(server.chats[-1].json["messages"][-1]["content"])


def test_what_would_be_sent_is_shown_and_nobody_is_asked(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("rate = 3")
    terminal.run("other = 4")
    terminal.run("%%route\nwhat is `rate`?")
    _, printed = terminal.run("%llm_context what is rate times 2?")
    assert len(server.chats) == 1
    lines = printed.splitlines()
    assert lines[0].split() == ["what", "tokens", "why", "sent"]
    assert any("In[" in line and "defines `rate`" in line and "with an earlier question" in line for line in lines)
    assert any("answered earlier" in line for line in lines)
    (question,) = (number for number, line in enumerate(lines) if "as you wrote it" in line)
    assert any("tokens of a window of" in line for line in lines[question:])


def test_cells_that_are_not_needed_are_said_to_stay_behind(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    for number in range(20):
        terminal.run(f"x{number} = {number}")
    printed = terminal.run("%llm_context what is `x3`?")[1]
    assert "cells that the question does not need" in printed
    assert "defines `x3`" in printed


def test_reset_begins_anew(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("%route first?")
    assert "Forgotten: 1 earlier question" in terminal.run("%llm_context reset")[1]
    terminal.run("%route second?")
    assert [message["role"] for message in server.chats[-1].json["messages"]] == ["system", "user"]


def test_a_conversation_goes_on_in_another_session(terminal: Terminal, server: Scripted, tmp_path: Path):
    terminal.uses(server)
    terminal.run("%route first?")
    assert "1 question" in terminal.run(f"%llm_context save {tmp_path / 'talk.json'}")[1]
    terminal.run("%llm_context reset")
    terminal.run(f"%llm_context load {tmp_path / 'talk.json'}")
    terminal.run("%route second?")
    assert [message["content"] for message in server.chats[-1].json["messages"]][1:] == [
        "first?",
        "forty-two",
        "second?",
    ]
    assert json.loads((tmp_path / "talk.json").read_text("utf-8"))["version"] == 1


def test_variables_that_the_user_names_are_described_and_no_others(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("prices = {'apple': 1.5, 'pear': 2}\nsecret_token = 'abc'\nlimit = 12345")
    terminal.run("%%route --cells none\nwhat is in @prices? write to me@limit.org")
    assert "prices: dict, 2 entries" in sent(server)
    assert "12345" not in sent(server)
    assert "1.5" not in sent(server)
    terminal.run("%%route --cells none --vars limit --values\nand this?")
    assert "12345" in sent(server)


def test_a_variable_that_is_missing_is_named(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    error, printed = terminal.run("%%route --vars prices,nothing_here\nhi")
    assert isinstance(error, UserError)
    assert "there is no variable 'prices'" in printed
    assert not server.chats


def test_cells_are_chosen_by_their_numbers(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    for number in range(1, 6):
        terminal.run(f"x{number} = {number}00")
    first = terminal.shell.execution_count - 5
    terminal.run(f"%%route --cells {first},{first + 2}-{first + 3}\nwhat is `x5`?")
    assert [f"x{number} = {number}00" in sent(server) for number in range(1, 6)] == [True, False, True, True, False]
    error, printed = terminal.run("%%route --cells 777\nhi")
    assert isinstance(error, UserError)
    assert "there is no cell 777" in printed


def test_the_last_error_is_asked_about_with_its_cell_and_what_defines_its_names(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("def ratio(a, b):\n    return a / b")
    terminal.run("unrelated = 1")
    terminal.run("ratio(1, 0)")
    error, _ = terminal.run("%%route --fix")
    assert error is None
    question = sent(server)
    assert question.endswith("\nFix this error.")
    assert "ZeroDivisionError" in question
    assert "return a / b" in question
    assert terminal.shell.user_ns["_route"].task == "coding"


def test_cells_that_are_kept_out_of_the_history_are_known_all_the_same(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    for cell in ("rate = 0", "1 / rate", "%%route --fix", "%%route\nand rate?"):
        terminal.shell.run_cell(cell, store_history=False)
    question = server.chats[0].json["messages"][-1]["content"]
    assert "ZeroDivisionError" in question
    assert "rate = 0" in question
    assert [message["role"] for message in server.chats[1].json["messages"]][1:] == ["user", "assistant", "user"]


@pytest.mark.parametrize("cell", ["%%ask --fix", "\n%%route --fix", "%%route -t coding --fix\n\n"])
def test_the_question_about_an_error_may_be_left_out(terminal: Terminal, server: Scripted, cell: str):
    terminal.uses(server)
    terminal.run("1 / 0")
    error, _ = terminal.run(cell)
    assert error is None
    assert "ZeroDivisionError" in sent(server)


def test_what_an_error_was_raised_from_goes_along(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run(
        "def read(rate):\n    try:\n        1 / rate\n    except Exception as e:\n        raise ValueError(1) from e"
    )
    terminal.run("read(0)")
    terminal.run("%%route --fix")
    told = sent(server)
    assert told.index("ZeroDivisionError") < told.index("direct cause") < told.index("ValueError: 1")
    assert "1 / rate" in told


def test_a_conversation_is_saved_under_a_name_with_blanks(terminal: Terminal, server: Scripted, tmp_path: Path):
    terminal.uses(server)
    terminal.run("%%route\nfirst?")
    for name, form in (("my talk.json", "{}"), ("your talk.json", "'{}'")):
        path = tmp_path / name
        terminal.run(f"%llm_context save {form.format(path)}")
        assert path.exists()
    assert isinstance(terminal.run("%llm_context save")[0], UsageError)
    assert "1 question," in terminal.run(f"%llm_context load {tmp_path / 'my talk.json'}")[1]


@pytest.mark.parametrize(
    ("question", "is_attached"),
    [
        ("@df\nwhat is in column 2?", True),
        ("describe\n@df", True),
        ("@lru_cache(1)\ndef f(x): return g(x)\ncompare @df with f(x)", True),
        ("@df\ndef f(): ...", False),
        ("@other.df\n@df\nclass A: ...", False),
    ],
)
def test_a_mark_is_a_decorator_only_above_what_it_decorates(
    terminal: Terminal, server: Scripted, question: str, is_attached: bool
):
    terminal.uses(server)
    terminal.run("df = [1, 2]")
    terminal.run(f"%%route --cells none\n{question}")
    assert ("df: " in sent(server)) == is_attached


def test_without_an_error_there_is_nothing_to_fix(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("x = 1")
    error, printed = terminal.run("%%route --fix")
    assert isinstance(error, UserError)
    assert "no cell has failed" in printed


def test_a_question_is_wanted_without_fix(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    error, _ = terminal.run("%%route --values")
    assert isinstance(error, UsageError)


def test_what_a_cell_prints_goes_along(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("print('rows:', 1204)")
    terminal.run("%%route\nwhat did the last cell print?")
    assert "rows: 1204" in sent(server)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("what is in @nothing?", "@nothing: there is no variable of that name"),
        ("what does @property do, and @rate?", ""),
        ("mail me@there.org, or\n@cached\ndef f(): ...", ""),
    ],
)
def test_a_name_that_is_marked_and_is_not_there_is_said(
    terminal: Terminal, server: Scripted, question: str, expected: str
):
    terminal.uses(server)
    terminal.run("rate = 3")
    error, printed = terminal.run(f"%%route\n{question}")
    assert error is None
    assert ("note     @" in printed) == bool(expected)
    assert expected in printed


def test_a_question_mark_at_the_end_is_no_call_for_help(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("rate = 3")
    assert "defines `rate`" in terminal.run("%llm_context what is rate?")[1]


def test_a_traceback_keeps_the_frames_of_the_users_cells(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("import json, traceback\ndef read(text):\n    return json.loads(text)")
    terminal.run("def all_of(texts):\n    return [read(text) for text in texts]")
    terminal.run("all_of(['1', '{'])")
    terminal.run("%%route --fix")
    question = sent(server)
    for line in ("all_of(['1', '{'])", "return [read(text) for text in texts]", "return json.loads(text)"):
        assert question.count(line) >= 1
    assert "JSONDecodeError" in question
    assert "IPython" not in question


def test_an_endless_recursion_is_told_shortly(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    # The interpreter's own limit is ten times as deep, over which IPython's traceback takes half a minute.
    deep = 'if n > 100: raise RecursionError("maximum recursion depth exceeded")'
    terminal.run(f"def down(n):\n    {deep}\n    return down(n + 1)")
    terminal.run("down(0)")
    terminal.run("%%route --fix")
    assert "RecursionError" in sent(server)
    assert len(sent(server)) < 4000


LONG_ANSWER = "The rate is what it is. " * 120


def test_what_no_longer_fits_is_summarised_by_a_model_where_the_user_wants_that(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LLMROUTE_CONTEXT__SUMMARIES", "model")
    replies = [says(LONG_ANSWER, prompt_tokens=9000)] * 2 + [says("In short: three.", prompt_tokens=9000)] * 9
    with llamacpp(replies, window=2048) as server:
        terminal.uses(server)
        for question in ("first?", "second?", "third?"):
            error, _ = terminal.run(f"%route {question}")
            assert error is None
        asked = [chat.json["messages"][-1]["content"] for chat in server.chats if not chat.is_stray]
        assert asked[-1].endswith("third?")
        assert any(text.startswith("Say in one sentence") for text in asked)
        assert '"first?" - "In short: three."' in asked[-1]


def test_by_default_no_model_is_asked_for_summaries(terminal: Terminal):
    with llamacpp(says(LONG_ANSWER, prompt_tokens=9000), window=2048) as server:
        terminal.uses(server)
        for question in ("first?", "second?", "third?", "fourth?"):
            terminal.run(f"%route {question}")
        answered = [chat for chat in server.chats if not chat.is_stray]  # others are only counted
        assert len(answered) == 4
        told = "".join(message["content"] for message in answered[-1].json["messages"][1:])
        assert '"first?" - "The rate is' in told


def test_a_failed_answer_is_no_turn(terminal: Terminal):
    with llamacpp([says("cut", prompt_tokens=10), says("whole", prompt_tokens=9000)]) as server:
        terminal.uses(server)
        terminal.run("text = '''" + "word " * 600 + "'''")
        terminal.run("%%route\nhow many words are in `text`?")
        terminal.run("%%route --no-context\nand now?")
        terminal.run("%%route --cells none\nand then?")
        contents = [message["content"] for message in server.chats[-1].json["messages"]]
        assert "cut" not in contents


def test_looking_at_the_context_does_not_move_the_question(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("%route first?")
    terminal.run("%llm_context and what else?")
    terminal.run("%llm_retry -m m")
    terminal.run("%route second?")
    contents = [message["content"] for message in server.chats[-1].json["messages"]][1:]
    assert contents == ["first?", "forty-two", "second?"]


def test_a_decorator_in_pasted_code_names_no_variable(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("cached = {'limit': 12345}")
    terminal.run("%%route --cells none\nwhat does this do?\n@cached\ndef f(): pass\n```\n@cached\n```")
    assert "cached: dict" not in sent(server)


def test_half_a_character_in_an_output_does_not_stop_a_question(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("class Odd:\n    def __repr__(self): return 'a\\ud800b'\nodd = Odd()\nodd")
    error, _ = terminal.run("%%route\nwhat is `odd`?")
    assert error is None
    assert "a\\ud800b" in sent(server)


def test_fix_always_brings_the_error(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("x = 1")
    terminal.run("1 / 0")
    terminal.run("%%route --fix --cells none")
    assert "ZeroDivisionError" in sent(server)


def test_options_and_braces_reach_what_is_shown(terminal: Terminal, server: Scripted):
    terminal.uses(server)
    terminal.run("x = 5")
    printed = terminal.run("%llm_context --cells none what is {x} in f'{x}'?")[1]
    assert "what is {x} in f'{x}'?" in printed
    assert "In[1]" not in printed.split("question:")[0]
