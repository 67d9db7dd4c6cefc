"""What a question is found again by, and what is said where it is not."""

import pytest

from jupyter_llmroute.core.attachment import Attachment
from jupyter_llmroute.core.pins import Origin, Pin
from jupyter_llmroute.core.request import CellRef, Format, Request, Sampling, Turn
from jupyter_llmroute.core.sections import ContextSettings
from jupyter_llmroute.core.sent import Sent, command, differences, nearest, rules_of, sent_of
from jupyter_llmroute.core.task import Task

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


CELL = CellRef(number=1, source="df = load()", output="<Frame at 0x7f31c0de10>")
TURN = Turn(number=2, question="What is df?", answer="A frame.")
ASKED = Request(question="why is df empty?", number=3, cells=(CELL,), turns=(TURN,))


def cell(**changed: object) -> tuple[CellRef, ...]:
    return (CELL.model_copy(update=changed),)


SAME = {
    "the very same": {},
    "another count of the asking cell": {"number": 30, "cell": "ab12"},
    "the cell was run again": {"cells": cell(number=7, id="cd34")},
    "another address in memory": {"cells": cell(output="<Frame at 0x55aa77ee00>")},
    "prose above a cell": {"cells": (CellRef(number=1, source="# Load", kind="markdown"), CELL)},
    "a cell that does not go along": {
        "cells": (*(CellRef(number=n, source=f"x{n} = {n}") for n in range(-40, 0)), CELL),
        "chosen_cells": frozenset({1}),
    },
    "the turn was asked in another cell": {"turns": (TURN.model_copy(update={"number": 9, "cell": "x"}),)},
    "how long it may take": {"timeout_s": 5.0},
    "a line end behind the question": {"question": "why is df empty?\n"},
    "the cell that loads the extension": {"cells": (CellRef(number=0, source="%load_ext jupyter_llmroute"), CELL)},
    "a pin that pins nobody": {"pins": (Pin(model="auto"), Pin(model="phi4", origin=Origin.NOTEBOOK))},
    "a remark": {"remarks": ("@q is not there.",)},
}


@pytest.mark.parametrize("name", SAME)
async def test_what_sends_the_same_is_found_again(name):
    there = await sent_of(ASKED)
    assert (await sent_of(ASKED.model_copy(update=SAME[name]))).is_like(there)


async def test_what_a_cell_printed_counts_only_where_it_is_known():
    there, unknown = await sent_of(ASKED), await sent_of(ASKED.model_copy(update={"cells": cell(output="")}))
    assert unknown.is_like(there)
    assert not there.is_like(unknown)


M = Pin(model="m")
CODING, ANALYSIS = (Pin(model="m", task=task) for task in (Task.CODING, Task.ANALYSIS))
PINS = {
    # what is changed of a question, the one time and the other, and whether another model may be asked then
    "the same for all tasks": ({"pins": (M,)}, {"pins": tuple(Pin(model="m", task=task) for task in Task)}, False),
    "who pins": ({"pins": (M,)}, {"pins": (Pin(model="m", origin=Origin.NOTEBOOK),)}, False),
    "one that never wins": ({"pins": (M,)}, {"pins": (M, Pin(model="x"))}, False),
    "of another task": ({"task": Task.CODING}, {"task": Task.CODING, "pins": (ANALYSIS,)}, False),
    "beneath a model that is named": ({"model": "a"}, {"model": "a", "pins": (M,)}, False),
    "another model": ({"pins": (M,)}, {"pins": (Pin(model="n"),)}, True),
    "another task": ({"pins": (CODING,)}, {"pins": (ANALYSIS,)}, True),
    "for one task more": ({"pins": (CODING,)}, {"pins": (CODING, Pin(model="n"))}, True),
}


@pytest.mark.parametrize("name", PINS)
async def test_pins_count_where_another_model_may_be_asked_by_them(name):
    one, other, counts = PINS[name]
    keys = {(await sent_of(ASKED.model_copy(update=changed))).key for changed in (one, other)}
    assert len(keys) == 1 + counts


PATH = "File /tmp/ipykernel_{}/{}.py, line 1"


async def test_names_of_a_kernels_own_files_do_not_count():
    one, two = (
        ASKED.model_copy(update={"cells": cell(error=PATH.format(*numbers) + f" in Cell In[{numbers[0]}]")})
        for numbers in ((31, 77), (45, 99))
    )
    assert (await sent_of(one)).key == (await sent_of(two)).key


OTHER = {
    "question": (
        {"question": "why is df full?"},
        "the question says 'why is df full?' here and 'why is df empty?' there",
    ),
    "blanks": ({"question": "why is  df empty?"}, "the question has other blanks or line ends"),
    "model": ({"model": "phi4"}, "model is 'phi4' here and not set there"),
    "service": ({"service": "desk"}, "service is 'desk' here and not set there"),
    "task": ({"task": Task.CODING}, "task is 'coding' here and not set there"),
    "format": ({"format": Format.JSON}, "format is 'json' here and not set there"),
    "pin": ({"pins": (Pin(model="phi4"),)}, "pin is 'phi4' here and not set there"),
    "pin of a task": (
        {"pins": (Pin(model="phi4", task=Task.CODING),)},
        "pin for coding is 'phi4' here and not set there",
    ),
    "temperature": ({"sampling": Sampling(temperature=0.5)}, "temperature is 0.5 here and not set there"),
    "length": ({"sampling": Sampling(max_tokens=9)}, "max tokens is 9 here and not set there"),
    "seed": ({"sampling": Sampling(seed=0)}, "seed is 0 here and not set there"),
    "source of a cell": ({"cells": cell(source="df = save()")}, "In[1] was changed"),
    "output of a cell": ({"cells": cell(output="3")}, "Out[1] was changed"),
    "a cell more": (
        {"cells": (CELL, CellRef(number=2, source="df = df[:0]"))},
        "In[2] goes along here and not there",
    ),
    "an attachment": (
        {"attachments": (Attachment(name="df", kind="Frame", text="df: a Frame"),)},
        "df goes along here and not there",
    ),
    "another answer before": (
        {"turns": (TURN.model_copy(update={"answer": "A table."}),)},
        "the answer to In[2] was changed",
    ),
    "no turn before": (
        {"turns": ()},
        "the question of In[2] went along there and not here",
    ),
}


@pytest.mark.parametrize("name", OTHER)
async def test_what_sends_something_else_is_not_found_and_the_difference_is_said(name):
    changed, words = OTHER[name]
    here, there = await sent_of(ASKED.model_copy(update=changed)), await sent_of(ASKED)
    assert not here.is_like(there)
    assert words in differences(here, there)


async def test_the_order_in_which_parameters_were_written_does_not_count():
    one = Sent(question="Why?", parameters={"model": "m", "seed": 1})
    two = Sent(question="Why?", parameters={"seed": 1, "model": "m"})
    assert one.key == two.key
    assert differences(one, two) == []


async def test_of_many_differences_the_first_are_said_and_the_others_counted():
    there = Sent(question="Why?")
    here = Sent(question="Why?", parameters={f"p{n}": n for n in range(10)})
    said = differences(here, there)
    assert len(said) == 7
    assert said[-1] == "4 more"


async def test_the_nearest_is_the_one_that_differs_least_and_is_of_the_same_kind():
    why = await sent_of(ASKED)
    asked = await sent_of(ASKED.model_copy(update={"question": "write a poem"}))
    pinned = await sent_of(ASKED.model_copy(update={"model": "phi4"}))
    other = await sent_of(ASKED, kind="context")
    assert nearest(why, [other, asked, pinned]) == pinned
    assert nearest(await command("services")({}), [asked, pinned]) is None


async def test_cells_are_chosen_by_the_rules_of_the_recording():
    many = ASKED.model_copy(update={"cells": tuple(CellRef(number=n, source=f"df = f({n})") for n in range(1, 30))})
    few = rules_of(ContextSettings(max_cells=2))
    assert few == {"max_cells": 2}
    assert rules_of(ContextSettings()) == {}
    assert len((await sent_of(many, few)).along) < len((await sent_of(many)).along)


SECRET = "sk-proj-4f9Kq2LmZx81TnB7Vw03"


async def test_what_was_sent_is_kept_without_secrets_and_a_new_key_changes_nothing():
    def asks(key: str) -> Request:
        return Request(
            question=f"why does it refuse {key}?", cells=(CellRef(number=1, source=f"client = open(api_key={key!r})"),)
        )

    one, two = await sent_of(asks(SECRET)), await sent_of(asks(SECRET[::-1].replace("8", "5") + "9"))
    assert SECRET not in one.model_dump_json()
    assert one.question == "why does it refuse [masked]?"
    assert one.along == two.along
