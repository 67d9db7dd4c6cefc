"""What is learnt from labelled texts: a net over features, linear models over phrases and of the need of symbols."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jupyter_llmroute.core.features import features
from jupyter_llmroute.core.phrases import phrases
from jupyter_llmroute.core.reading import read

from .records import LABELS, Record, folds, source
from .small_net import Net, train
from .sparse_logistic import Matrix, fit

FOLDS = 8
STRENGTH = 0.1
"""The smaller, the nearer to zero the linear weights are held."""
HIDDEN, ROUNDS = 16, 8
"""Units of the net, and how often it sees each text."""
VOICE = 1.0
"""Scale of the words: the greater, the more they may say."""
RARE = 0.8
"""Scale of the phrases, likewise."""
WRITTEN, BY_CATEGORY = 0.5, 0.1
"""Weight of a written request, and of a prompt whose label follows from its category, beside one that was found."""
SECOND = 0.3
"""Share of the second label, where a record has one."""
CROWD, CROWDED = 20, 0.3
"""Beyond so many records of one source each counts less."""
EVEN = 0.5
"""0: labels count as they come; 1: all labels together count alike."""


def describe(text: str) -> dict[str, float]:
    """Return the features of a text with how much each counts, as the classifier does."""
    found = features(read(text), text)
    share = VOICE * 4 / math.sqrt(max(16.0, len(found.words) / 4))
    return {**dict.fromkeys(found.words, share), **dict.fromkeys(found.structure, 1.0)}


class Phrases:
    """Texts by their phrases: those that fewer texts have count for more, and the more a text has the less each."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.matrix = Matrix([dict.fromkeys(phrases(text), 1.0) for text in texts])
        seen = np.bincount(self.matrix.columns, minlength=len(self.matrix.names))
        self.rarity = RARE * (np.log((1 + len(texts)) / (1 + seen)) + 1)
        self._weigh(self.matrix)

    def like(self, texts: Sequence[str]) -> Matrix:
        """Return other texts by the same phrases."""
        matrix = self.matrix.like([dict.fromkeys(phrases(text), 1.0) for text in texts])
        self._weigh(matrix)
        return matrix

    def _weigh(self, matrix: Matrix) -> None:
        known = np.diff(matrix.starts)
        matrix.values = self.rarity[matrix.columns] * np.repeat(np.maximum(4, known) ** -0.5, known)


class Learnt(NamedTuple):
    """A net over features and a linear model over phrases, whose sums are added."""

    net: Net
    said: np.ndarray
    """By phrase and task."""
    said_bias: np.ndarray

    def sums(self, matrix: Matrix, said: Matrix) -> np.ndarray:
        """Return a sum for each text and task."""
        return self.net.sums(matrix) + said.times(self.said) + self.said_bias


class Data:
    """Texts with their features, labels, weights and folds; the records that are measured on come first."""

    def __init__(self, records: Sequence[Record], written: Sequence[Record], by_category: Sequence[Record]) -> None:
        self.records = records
        everything = [*records, *written, *by_category]
        self.matrix = Matrix([describe(record["text"]) for record in everything])
        self.phrases = Phrases([record["text"] for record in everything])
        self.labels = np.array([LABELS.index(record["label"]) for record in everything])
        self.wanted = np.eye(len(LABELS))[self.labels]
        for row, record in enumerate(records):
            if second := record.get("alt"):
                self.wanted[row] *= 1 - SECOND
                self.wanted[row, LABELS.index(second)] += SECOND
        sizes = Counter(map(source, records))
        crowds = [(max(CROWD, sizes[source(record)]) / CROWD) ** -CROWDED for record in records]
        self.weights = np.array([*crowds, *[WRITTEN] * len(written), *[BY_CATEGORY] * len(by_category)])
        self.folds = np.array([*folds(records, FOLDS), *[-1] * (len(everything) - len(records))])

    def learn(self, rows: np.ndarray, seed: int = 0) -> Learnt:
        """Learn from some rows."""
        wanted, weights = self.wanted[rows], self.even(rows)
        net = train(self.matrix.rows(rows), wanted, weights, HIDDEN, ROUNDS, seed)
        return Learnt(net, *fit(self.phrases.matrix.rows(rows), wanted, weights, STRENGTH))

    def evidence(self) -> np.ndarray:
        """Learn what each feature says outright for each task."""
        rows = np.arange(len(self.labels))
        return fit(self.matrix, self.wanted, self.even(rows), STRENGTH)[0]

    def even(self, rows: np.ndarray) -> np.ndarray:
        """Return the weights of some rows, those of rare labels raised; 1 on average."""
        weights = self.weights[rows]
        mass = weights @ self.wanted[rows]
        weights = weights * (self.wanted[rows] @ (mass.sum() / len(LABELS) / mass) ** EVEN)
        return np.asarray(weights / weights.mean())

    def held_out_sums(self) -> np.ndarray:
        """Return what each record scores where its source was not learnt from."""
        sums = np.zeros((len(self.records), len(LABELS)))
        for fold in range(FOLDS):
            held_out = np.flatnonzero(self.folds == fold)
            learnt = self.learn(np.flatnonzero(self.folds != fold))
            sums[held_out] = learnt.sums(self.matrix.rows(held_out), self.phrases.matrix.rows(held_out))
        return sums


class Needs(NamedTuple):
    """A linear model of the need of code intelligence."""

    matrix: Matrix
    weights: np.ndarray
    """By feature."""
    bias: float

    def sums(self, texts: Sequence[str]) -> np.ndarray:
        """Return a sum for each text, above 0 where code intelligence is wanted."""
        return self.matrix.like([describe(text) for text in texts]).times(self.weights[:, None])[:, 0] + self.bias


def learn_needs(texts: Sequence[tuple[str, bool, float]]) -> Needs:
    """Learn from texts, whether each needs code intelligence, and how much each counts."""
    matrix = Matrix([describe(text) for text, _, _ in texts])
    wanted = np.array([[1.0, 0.0] if needed else [0.0, 1.0] for _, needed, _ in texts])
    counts = np.array([count for _, _, count in texts])
    learnt, bias = fit(matrix, wanted, counts / counts.mean(), STRENGTH)
    return Needs(matrix, learnt[:, 0] - learnt[:, 1], float(bias[0] - bias[1]))
