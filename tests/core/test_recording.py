"""Events in, a recording, the same events out; and nothing that must not be written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jupyter_llmroute.core import errors
from jupyter_llmroute.core.errors import BrokenStream, LLMRouteError, RouteFailed, ServerBusy, UnknownModel
from jupyter_llmroute.core.events import Attempt, AttemptFailed, ReasoningDelta, TextDelta, Waiting
from jupyter_llmroute.core.recording import KEPT_REJECTIONS, Failure, Passage, happened
from jupyter_llmroute.core.route import RejectionReason

from .tapes import answer, completed, routed, started

KEY = "sk-proj-4f9Kq2LmZx81TnB7Vw03"


def again(passage: Passage) -> Passage:
    return Passage.model_validate_json(passage.model_dump_json())


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(st.integers(0, 10**6), words.filter(bool)), min_size=1, max_size=20))
def test_a_text_comes_out_in_the_pieces_in_which_it_came(came):
    passage = again(Passage.of("text", came))
    if passage.text == "".join(piece for _, piece in came):  # what looks like a secret is masked
        assert [(wait, event.text) for wait, event in passage.timed()] == came


@given(st.lists(st.tuples(st.integers(0, 99), words), max_size=12), st.integers(0, 12), st.integers(1, 9))
def test_a_secret_that_comes_in_pieces_is_not_written_and_no_other_text_is_lost(came, place, size):
    keyed = [*came[:place], *((1, KEY[at : at + size]) for at in range(0, len(KEY), size)), *came[place:]]
    keyed = [*keyed[:place], (1, " "), *keyed[place:]]
    passage = again(Passage.of("text", keyed))
    assert KEY not in passage.text
    assert "".join(event.text for _, event in passage.timed()) == passage.text
    assert sum(wait for wait, _ in passage.timed()) <= sum(wait for wait, _ in keyed)


def test_around_a_secret_the_pieces_stay_as_they_came():
    came = [(5, "Use "), (7, "this: "), (1, KEY[:4]), (2, KEY[4:]), (3, " here"), (4, ".")]
    assert list(Passage.of("text", came).timed()) == [
        (5, TextDelta(text="Use ")),
        (7, TextDelta(text="this: ")),
        (6, TextDelta(text="[masked] here")),
        (4, TextDelta(text=".")),
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("mended", ["mend", "ed"]),
        ("much longer than it was", ["much", " longer than it was"]),
        ("cut", ["cut"]),
        ("", []),
    ],
)
def test_a_text_that_was_changed_by_hand_is_replayed_whole(text, pieces):
    passage = Passage.model_validate({"kind": "text", "text": text, "pieces": "1+4 2+2"})
    assert [event.text for _, event in passage.timed()] == pieces


@pytest.mark.parametrize("pieces", ["1", "1+2 ", " 1+2", "-1+2", "1+2,3+4", "1+٢", "1+9999999999"])
def test_pieces_that_are_none_do_not_read(pieces):
    with pytest.raises(ValidationError):
        Passage.model_validate({"kind": "text", "text": "x", "pieces": pieces})


def test_a_text_stands_line_by_line():
    data = Passage.of("text", [(0, "a\nb\n"), (1, "c")]).model_dump(mode="json")
    assert data == {"kind": "text", "text": ["a\n", "b\n", "c"], "pieces": "0+4 1+1"}


def test_thoughts_waits_and_failures_keep_their_places():
    failed = AttemptFailed(attempt=Attempt(number=1, service="desk", model="m", error="busy"))
    events = [
        routed(rejections=0).model_copy(
            update={"route": routed(rejections=0).route.model_copy(update={"smallest": None})}
        ),
        started(),
        Waiting(reason="loading", elapsed_s=1.5),
        ReasoningDelta(text="Hm"),
        failed,
        started(2),
        ReasoningDelta(text="Hm"),
        TextDelta(text="So"),
        ReasoningDelta(text="…"),
        TextDelta(text=" it is."),
        completed(),
    ]
    timed = [(number, event) for number, event in enumerate(events)]
    found = [pair for one in happened(timed) for pair in _timed(one)]
    assert found[1:] == timed[1:]
    assert found[0][1].route.candidates[0].endpoint.models == ()


def _timed(one):
    return list(one.timed()) if isinstance(one, Passage) else [(one.after_ms, one.event)]


def test_a_decision_is_written_without_keys_and_without_what_no_view_shows():
    event = routed(rejections=500, key="k3y-of-mine-1", url="http://ann:pw1@llm.lan:8000")
    (found,) = happened([(0, event)])
    route = found.event.route
    assert "k3y-of-mine" not in found.model_dump_json()
    assert route.candidates[0].endpoint.base_url == "http://llm.lan:8000"
    assert route.candidates[0].endpoint.api_key is None
    assert len(route.rejections) == KEPT_REJECTIONS
    assert len(route.rejections) + route.unranked == 500
    assert {rejection.reason for rejection in route.rejections} == {RejectionReason.MEMORY}


FAILURES = [
    UnknownModel("No server has a model 'x'."),
    BrokenStream("m on desk stopped."),
    ServerBusy("busy", retry_after_s=3),
    RouteFailed("Nobody.", (Attempt(number=1, service="desk", model="m", error="busy"),)),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_an_error_is_raised_again_as_what_it_was(error):
    raised = Failure.model_validate_json(Failure.of(error).model_dump_json()).raised()
    assert (type(raised), str(raised)) == (type(error), str(error))
    assert getattr(raised, "attempts", None) == getattr(error, "attempts", None)


@pytest.mark.parametrize("name", ["SystemExit", "TYPE_CHECKING", "annotations", "__class__", "", "Attempt", "os"])
def test_an_error_of_no_class_of_ours_is_one_that_nobody_could_answer(name):
    raised = Failure(error=name, message="x").raised()
    assert type(raised) is RouteFailed


def test_every_error_of_ours_can_be_raised_by_its_name():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LLMRouteError)]
    assert [type(Failure(error=kind.__name__, message="x").raised()) for kind in kinds] == kinds


@pytest.mark.parametrize("address", ["http://gw.lab/llm/q8Zk2Lw9Tn4Vb7XcRt5Yp1", "http://gw.lab/v1?key=q8Zk2Lw9"])
def test_a_decision_is_written_without_the_key_in_an_address_of_a_server(address):
    (one,) = happened([(0, routed(url=address))])
    assert "q8Zk" not in one.model_dump_json()
    assert one.event.route.candidates[0].endpoint.base_url.startswith("http://gw.lab/")


def test_an_error_is_written_without_secrets():
    assert KEY not in Failure.of(BrokenStream(f"refused {KEY} of http://ann@desk/")).model_dump_json()


def test_an_answer_in_pieces_is_one_passage():
    kinds = [getattr(one, "kind", "happening") for one in happened([(0, event) for event in answer("a", "b", "c")])]
    assert kinds == ["happening", "happening", "reasoning", "text", "happening"]
