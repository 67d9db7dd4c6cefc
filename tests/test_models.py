"""The models as a table: equal ones in one row, the best first, and why some cannot be asked."""

import pytest

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.naming import same_model
from jupyter_llmroute.core.route import RejectionReason
from jupyter_llmroute.core.selector import RANKED
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.models import NOT_ASKED, grouped, offers, table
from jupyter_llmroute.services import NOTHING_FOUND
from jupyter_llmroute.wording import points

from .shown import CODER, DESK, DOWN, ENEMY, QWEN, STUDIO, dangers, decision, server


def rows(*endpoints: Endpoint, task: Task | None = None, scores: bool = False, **more: object) -> list[dict[str, str]]:
    made = table(decision(*endpoints, task=task, **more), task, scores=scores)
    return [dict(zip(made.columns, row, strict=True)) for row in made.rows]


def test_a_model_of_several_servers_is_one_row() -> None:
    found = {row["model"]: row for row in rows(DESK, STUDIO, DOWN)}
    assert list(found) == ["qwen2.5-coder:7b", "qwen3:8b", "gpt-oss:120b-cloud", "nomic-embed-text"]
    assert found["qwen3:8b"] == {
        "model": "qwen3:8b",
        "servers": "desk, studio as Qwen/Qwen3-8B-GGUF",
        "family": "qwen3",
        "size": "8.2B",
        "file": "5.2 GB",
        "quantisation": "Q4_K_M on desk; Q8_0 on studio",
        "window": "8,192, up to 40,960 on request on desk; 16,384 on studio",
        "in memory": "no on desk; yes on studio",
        "can": "thinking, tools",
        NOT_ASKED: "",
    }
    assert found["qwen2.5-coder:7b"]["window"] == "4,096 (assumed), trained for 32,768"


def test_rows_are_those_that_comparing_all_with_all_gives() -> None:
    many = [DESK, STUDIO] + [
        server(f"s{n}", *(ServedModel(id=name, digest=digest) for name, digest in names))
        for n, names in enumerate(
            (
                (("deepseek-r1:latest", "sha256:aa"), ("phi4", None)),
                (("some-name", "sha256:AA"), ("phi-4", None), ("phi4:14b", None)),
                (("qwen3:8b", "sha256:bb"), ("qwen3:latest", "sha256:bb"), ("", None), ("x" * 500, None)),
            )
        )
    ]
    groups = grouped(offers(decision(*many)))
    for group in groups:
        assert all(same_model(group[0].model, offer.model) for offer in group)
    firsts = [group[0].model for group in groups]
    assert not [(a.id, b.id) for n, a in enumerate(firsts) for b in firsts[:n] if same_model(a, b)]


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((None, None), ""),
        ((5_225_388_164, None), "5.2 GB"),
        ((5_225_388_164, 4_700_000_000), "4.7 GB to 5.2 GB"),
        ((94_000_000, 94_000_001), "94 MB"),
        ((384, None), ""),
    ],
)
def test_the_sizes_of_its_files_are_told(sizes: tuple[int | None, ...], said: str) -> None:
    models = (ServedModel(id="qwen3:8b", digest="sha256:aa", size_bytes=size) for size in sizes)
    (row,) = rows(*(server(f"s{number}", model) for number, model in enumerate(models)))
    assert row["file"] == said


@pytest.mark.parametrize(
    ("model", "more", "reason", "said"),
    [
        ("gpt-oss:120b-cloud", {}, RejectionReason.POLICY, "runs elsewhere (ollama.com)"),
        ("nomic-embed-text", {}, RejectionReason.NOT_A_CHAT_MODEL, "it makes embeddings"),
        (
            "qwen3:8b",
            {"snapshot": {"excluded": ("qwen3",)}},
            RejectionReason.EXCLUDED,
            "excluded in the settings (models.excluded)",
        ),
        (
            "qwen3:8b",
            {"snapshot": {"memory_bytes": 4_000_000_000}},
            RejectionReason.MEMORY,
            "needs about 6 GB of memory, and this machine has 4 GB for models (models.memory_gb)",
        ),
    ],
)
def test_why_it_cannot_be_asked_is_said_as_in_the_decision(
    model: str, more: dict[str, object], reason: RejectionReason, said: str
) -> None:
    (row,) = (row for row in rows(DESK, **more) if row["model"] == model)
    (rejection,) = (r for r in decision(DESK, **more).route.rejections if r.model == model)  # type: ignore[arg-type]
    assert (row[NOT_ASKED], rejection.detail, rejection.reason) == (said, said, reason)


def test_a_model_that_one_of_its_servers_may_not_give_says_which() -> None:
    elsewhere = server("far", QWEN.model_copy(update={"remote": "a sign"}))
    (row,) = rows(server("near", QWEN), elsewhere)
    assert (row["servers"], row[NOT_ASKED]) == ("near, far", "runs elsewhere (a sign) on far")


def test_a_whole_server_that_is_not_asked_says_so_of_each_model() -> None:
    down = DOWN.model_copy(update={"models": (CODER,)})
    (row,) = rows(down)
    assert row[NOT_ASKED] == "it refused the connection"


def test_for_a_task_the_best_stand_first_in_the_order_of_the_route() -> None:
    ranked = rows(DESK, STUDIO, task=Task.CODING)
    route = decision(DESK, STUDIO, task=Task.CODING).route
    best = {same: next(c for c in route.candidates if same_model(c.model, same)) for same in (QWEN, CODER)}
    in_order = sorted(best, key=lambda model: route.candidates.index(best[model]))
    assert [row["model"] for row in ranked[:2]] == [model.id for model in in_order]
    assert [row["for coding"] for row in ranked] == [*(points(best[model]) for model in in_order), "", ""]


def test_those_that_nobody_ranked_are_said_to_be_below() -> None:
    many = server("desk", *(ServedModel(id=f"name{'x' * n}q-7b") for n in range(20)))
    ranked = [row["for coding"] for row in rows(many, task=Task.CODING)]
    assert [" points, about " in said for said in ranked] == [True] * RANKED + [False] * (20 - RANKED)
    assert set(ranked[RANKED:]) == {f"below the first {RANKED}"}


def test_scores_are_shown_with_their_sources() -> None:
    unknown = server("desk", CODER, ServedModel(id="a-model-of-mine-3b"))
    made = table(decision(unknown), scores=True)
    assert made.columns == ("model", "servers", NOT_ASKED, *(str(task) for task in Task))
    mine, coder = made.rows
    assert set(mine[3:]) == {"52 (guessed from its size)"}
    assert coder[3].startswith("79 (aider-edit: Aider code editing ")
    assert any(
        note.startswith("aider-edit: Aider: code editing leaderboard") and "https://" in note for note in made.notes
    )


def test_without_a_server_it_says_what_to_do() -> None:
    assert table(decision()).text() == NOTHING_FOUND


@pytest.mark.parametrize("scores", [False, True])
def test_hostile_names_come_out_inert(scores: bool) -> None:
    made = table(decision(ENEMY, task=Task.CODING), Task.CODING, scores=scores)
    assert dangers(made.markdown()) == []
    assert len([line for line in made.markdown().split("\n") if line.startswith("|")]) == 2 + len(made.rows) == 4
    assert "\u202e" not in made.text()
