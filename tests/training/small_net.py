"""A net with one hidden layer over sparse features, in numpy: trained by Adam with much of its input dropped."""

from typing import NamedTuple

import numpy as np

from .sparse_logistic import Array, Matrix, softmax

DROPPED, HIDDEN_DROPPED = 0.6, 0.1
"""Share of a text's features, and of the hidden units, that are left out at each step."""
BATCH = 128
RATE = 0.003
START = 0.005
"""Spread of the weights of features before anything is learnt; what is seen seldom keeps it."""
SHRINK = 1e-4


class Net(NamedTuple):
    """What was learnt."""

    into: Array
    """By feature and hidden unit."""
    bias: Array
    out: Array
    """By hidden unit and task."""
    out_bias: Array

    def sums(self, matrix: Matrix) -> Array:
        """Return a sum for each text and task."""
        return np.maximum(matrix.times(self.into) + self.bias, 0) @ self.out + self.out_bias


def train(matrix: Matrix, wanted: Array, weights: Array, hidden: int, rounds: int, seed: int = 0) -> Net:
    """Learn from texts; the same result for the same seed.

    Parameters
    ----------
    matrix
        Texts by features.
    wanted
        What share of a text's label each task has.
    weights
        How much a text counts; 1 on average.
    hidden
        Units of the hidden layer.
    rounds
        How often each text is seen.
    seed
        Of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    features, tasks = len(matrix.names), wanted.shape[1]
    parts = [
        rng.normal(0, START, (features, hidden)),
        np.zeros(hidden),
        rng.normal(0, hidden**-0.5, (hidden, tasks)),
        np.zeros(tasks),
    ]
    parts = [part.astype(np.float32) for part in parts]
    means, squares = [np.zeros_like(part) for part in parts], [np.zeros_like(part) for part in parts]
    step = 0
    for turn in range(rounds):
        rate = RATE * (1 - turn / rounds)
        order = rng.permutation(len(weights))
        for start in range(0, len(order), BATCH):
            step += 1
            batch = order[start : start + BATCH]
            slopes = _slopes(Net(*parts), matrix.rows(batch), wanted[batch], weights[batch], rng)
            for part, slope, mean, square in zip(parts, slopes, means, squares, strict=True):
                mean += 0.1 * (slope - mean)
                square += 0.001 * (slope * slope - square)
                part -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
                if part.ndim == 2:
                    part -= rate * SHRINK * part
    return Net(*(part.astype(float) for part in parts))


def _slopes(net: Net, batch: Matrix, wanted: Array, weights: Array, rng: np.random.Generator) -> list[Array]:
    batch.values = (batch.values * (rng.random(len(batch.values)) > DROPPED) / (1 - DROPPED)).astype(np.float32)
    before = batch.times(net.into) + net.bias
    kept = (rng.random(before.shape) > HIDDEN_DROPPED) / (1 - HIDDEN_DROPPED)
    middle = np.maximum(before, 0) * kept
    excess = (softmax(middle @ net.out + net.out_bias) - wanted) * weights[:, None] / len(weights)
    back = (excess @ net.out.T) * kept * (before > 0)
    return [batch.turned().times(back), back.sum(axis=0), middle.T @ excess, excess.sum(axis=0)]
