"""The training script: the same data gives the same bytes, and what it writes the package reads."""

import json
from pathlib import Path

import numpy as np
import pytest

from jupyter_llmroute.core.features import features
from jupyter_llmroute.core.phrases import phrases
from jupyter_llmroute.core.reading import read
from jupyter_llmroute.core.weights import unpack

from .train_classifier import write
from .training.model import Data, Learnt, describe, learn_needs
from .training.records import FOLDER, LABELS, folds, load, source
from .training.written import draw, patterns

FEW = 150
SHARE_ALIKE = ("CC-BY-SA", "GPL", "ODbL")


@pytest.fixture(scope="module")
def records():
    return load([FOLDER])


@pytest.fixture(scope="module")
def data(records):
    written = [text._asdict() for text in draw(FOLDER / "written_en3.txt", 1)]
    return Data(records[:FEW], written, [])


NEEDS = [("where is `load` used in this project?", True, 1.0), ("where can I read about it?", False, 1.0)] * 3


def test_same_data_gives_the_same_bytes(data: Data, tmp_path: Path):
    for name in ("one", "other"):
        write(tmp_path / name, data, 1.2, learn_needs(NEEDS))
    for file in ("classifier.bin", "classifier.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_what_is_written_says_what_was_learnt(data: Data, tmp_path: Path):
    write(tmp_path, data, 1.2, learn_needs(NEEDS))
    about = json.loads((tmp_path / "classifier.json").read_text("utf-8"))
    written = unpack((tmp_path / "classifier.bin").read_bytes(), about)
    learnt: Learnt = data.learn(np.arange(len(data.labels)))
    texts = [record["text"] for record in data.records]
    sums = learnt.sums(data.matrix.like([describe(text) for text in texts]), data.phrases.like(texts))
    for text, expected in zip(texts, sums, strict=True):
        found = features(read(text), text)
        assert written.answer(found.structure, found.words, phrases(text)).tasks == pytest.approx(expected, abs=0.35)


def test_a_source_lies_in_one_fold(records):
    where = {(source(record), fold) for record, fold in zip(records, folds(records, 8), strict=True)}
    assert len(where) == len({name for name, _ in where})


def test_no_record_is_share_alike(records):
    assert not [record["id"] for record in records if any(mark in record["licence"] for mark in SHARE_ALIKE)]


def test_every_record_names_its_source_and_licence(records):
    assert all(record["source"] and record["licence"] and record["label"] in LABELS for record in records)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("written_*.txt")), ids=lambda path: path.stem)
def test_patterns_close_their_brackets(path: Path):
    for pattern in patterns(path):
        assert pattern.text.count("[") == pattern.text.count("]"), pattern.text


@pytest.mark.parametrize("path", sorted(set(FOLDER.glob("written_*.txt")) - {FOLDER / "written_words.txt"}))
def test_drawn_texts_have_no_slots_left(path: Path):
    texts = draw(path, 3)
    assert texts == draw(path, 3)
    assert not [text for text in texts if any(f"<{slot}>" in text.text for slot in ("lib", "ident", "mod", "code"))]
