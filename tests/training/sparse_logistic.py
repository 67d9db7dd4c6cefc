"""Multinomial logistic regression over sparse features, in numpy: a matrix, L-BFGS, the fit."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Array = np.ndarray

LEAST = 3
"""Texts that a feature must be seen in."""


class Matrix:
    """Texts by features; most of it is zero, so only the rest is kept."""

    def __init__(self, texts: Sequence[Mapping[str, float]], names: Sequence[str] | None = None) -> None:
        if names is None:
            counts = Counter(name for text in texts for name in text)
            names = sorted(name for name, count in counts.items() if count >= LEAST)
        self.names = names
        columns = {name: column for column, name in enumerate(names)}
        known = [sorted((columns[name], value) for name, value in text.items() if name in columns) for text in texts]
        self.starts = np.concatenate([[0], np.cumsum([len(row) for row in known])]).astype(np.int64)
        self.columns = np.array([column for row in known for column, _ in row], dtype=np.int64)
        self.values = np.array([value for row in known for _, value in row])

    def like(self, texts: Sequence[Mapping[str, float]]) -> "Matrix":
        """Return other texts by the same features."""
        return Matrix(texts, self.names)

    def rows(self, wanted: Array) -> "Matrix":
        """Return some of the texts."""
        part = object.__new__(Matrix)
        lengths = np.diff(self.starts)[wanted]
        part.names, part.starts = self.names, np.concatenate([[0], np.cumsum(lengths)])
        picked = np.repeat(self.starts[wanted] - part.starts[:-1], lengths) + np.arange(part.starts[-1])
        part.columns, part.values = self.columns[picked], self.values[picked]
        return part

    def times(self, weights: Array) -> Array:
        """Return the product with weights, by feature and task."""
        return _add_up(self.values[:, None] * weights[self.columns], self.starts)

    def turned(self) -> "Matrix":
        """Return features by texts."""
        order = np.argsort(self.columns, kind="stable")
        turned = object.__new__(Matrix)
        turned.names = []
        counts = np.bincount(self.columns, minlength=len(self.names))
        turned.starts = np.concatenate([[0], np.cumsum(counts)])
        turned.columns = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))[order]
        turned.values = self.values[order]
        return turned


def _add_up(products: Array, starts: Array) -> Array:
    """Add up each row's products; rows may be empty."""
    total = np.zeros((len(starts) - 1, products.shape[1]))
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        total[filled] = np.add.reduceat(products, starts[:-1][filled], axis=0)
    return total


def softmax(sums: Array) -> Array:
    """Return probabilities."""
    raised = np.exp(sums - sums.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def fit(matrix: Matrix, wanted: Array, weights: Array, strength: float, steps: int = 60) -> tuple[Array, Array]:
    """Return the weights by feature and task, and the bias.

    Parameters
    ----------
    matrix
        Texts by features.
    wanted
        What share of a text's label each task has.
    weights
        How much a text counts.
    strength
        How much the texts count against the weights' squares.
    """
    turned, (features, tasks) = matrix.turned(), (len(matrix.names), wanted.shape[1])

    def slope(point: Array) -> tuple[float, Array]:
        table, bias = point[:-1], point[-1]
        sums = matrix.times(table) + bias
        top = sums.max(axis=1, keepdims=True)
        spread = top[:, 0] + np.log(np.exp(sums - top).sum(axis=1))
        loss = strength * (weights * (spread - (wanted * sums).sum(axis=1))).sum() + 0.5 * (table**2).sum()
        excess = strength * weights[:, None] * (np.exp(sums - spread[:, None]) - wanted)
        return float(loss), np.vstack([turned.times(excess) + table, excess.sum(axis=0)])

    point = _descend(slope, np.zeros((features + 1, tasks)), steps)
    return point[:-1], point[-1]


def _descend(slope: Callable[[Array], tuple[float, Array]], point: Array, steps: int, memory: int = 8) -> Array:
    """Walk down by limited-memory BFGS (J. Nocedal, 1980), each step halved until it leads down."""
    loss, gradient = slope(point)
    moves: list[tuple[Array, Array, float]] = []
    for _ in range(steps):
        direction = _direction(gradient, moves)
        size, descent = (1.0 if moves else 1 / np.abs(gradient).sum()), float((gradient * direction).sum())
        while True:
            after = point + size * direction
            after_loss, after_gradient = slope(after)
            if after_loss <= loss + 1e-4 * size * descent or size < 1e-8:
                break
            size /= 2
        move, turn = after - point, after_gradient - gradient
        if (curve := float((move * turn).sum())) > 1e-12:
            moves = [*moves, (move, turn, curve)][-memory:]
        gained, point, loss, gradient = loss - after_loss, after, after_loss, after_gradient
        if gained < 1e-7 * abs(loss):
            break
    return point


def _direction(gradient: Array, moves: list[tuple[Array, Array, float]]) -> Array:
    direction, shares = -gradient, []
    for move, turn, curve in reversed(moves):
        share = float((move * direction).sum()) / curve
        direction = direction - share * turn
        shares.append(share)
    if moves:
        _, turn, curve = moves[-1]
        direction = direction * (curve / float((turn * turn).sum()))
    for (move, turn, curve), share in zip(moves, reversed(shares), strict=True):
        direction = direction + (share - float((turn * direction).sum()) / curve) * move
    return direction
