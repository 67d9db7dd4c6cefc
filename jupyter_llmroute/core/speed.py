"""How fast a model on a server answers: learnt from its answers, and guessed from its size before the first one."""

from __future__ import annotations

import math
from typing import NamedTuple

from pydantic import Field

from jupyter_llmroute.core.values import Value

HALF_LIFE_ANSWERS = 4
"""An answer counts half as much as one that came so many later."""

PRIOR_WEIGHT = 0.25
"""What the guess counts for, beside answers of weight 1: after one answer, a fifth."""

OVERHEAD_TOKENS = 64
"""A prompt of no tokens would still take a server the time of about so many."""

LEAST, MOST = 1e-9, 1e9
"""What a clock or a server's count can say at all, in seconds or tokens; beyond, it is taken for these."""

_DECAY = 0.5 ** (1 / HALF_LIFE_ANSWERS)


class Average(Value):
    """The half-life average of a logarithm: twice as slow and twice as fast even out."""

    mean: float = Field(0.0, ge=-50, le=50)
    """A file may say anything: with these bounds no sum of averages is infinite or none."""
    weight: float = Field(0.0, ge=0, le=10)

    def with_value(self, value: float) -> Average:
        """Return the average with one more value; what is no finite number above 0 was not measured."""
        if not 0 < value < math.inf:
            return self
        kept, log = self.weight * _DECAY, math.log(min(max(value, LEAST), MOST))
        return Average(mean=(self.mean * kept + log) / (kept + 1), weight=kept + 1)

    def blended(self, prior: float) -> float:
        """Return what is to be expected: the learnt value, and as much of the guess as is not learnt yet."""
        whole = self.weight + PRIOR_WEIGHT
        return math.exp((self.mean * self.weight + math.log(prior) * PRIOR_WEIGHT) / whole)


class Expected(NamedTuple):
    """The seconds that an answer is expected to take."""

    load_s: float
    prompt_s: float
    answer_s: float
    queue_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.load_s + self.prompt_s + self.answer_s + self.queue_s


class Prior(NamedTuple):
    """How fast a model is, in seconds: as its size lets one guess, or as it was learnt."""

    load_s: float
    prompt_token_s: float
    token_s: float

    def expected(self, *, prompt_tokens: int, answer_tokens: int, is_loaded: bool) -> Expected:
        """Return what an answer is expected to take."""
        return Expected(
            load_s=0.0 if is_loaded else self.load_s,
            prompt_s=(prompt_tokens + OVERHEAD_TOKENS) * self.prompt_token_s,
            answer_s=answer_tokens * self.token_s,
        )


def prior(weights_bytes: float, active_bytes: float) -> Prior:
    """Guess the speed of a model: who serves a large one is taken to have the machine for it.

    Parameters
    ----------
    weights_bytes
        Of all its weights, which are read from the disk once, at about 1 GB/s.
    active_bytes
        Of the weights that one token passes through: writing a token reads them once, at about 400 GB/s of memory
        bandwidth; reading one of a prompt takes about a twentieth of that, because many are read at once.
    """
    token_s = 0.01 + active_bytes / 400e9
    return Prior(load_s=0.5 + weights_bytes / 1e9, prompt_token_s=token_s / 20, token_s=token_s)


class Speed(Value):
    """What was learnt of one model on one server."""

    first_token: Average = Average()
    """Seconds to the first token, the model being in memory."""
    prompt: Average = Average()
    """Tokens that the server read for it; those in its cache aside."""
    token: Average = Average()
    """Seconds a token."""
    load: Average = Average()
    """Seconds to the first token, the model not being in memory."""

    def with_answer(
        self, *, first_token_s: float, read_tokens: int, tokens_per_second: float | None, was_loaded: bool
    ) -> Speed:
        """Return what is known after one more answer.

        Parameters
        ----------
        first_token_s
            From sending to the first token.
        read_tokens
            Of the prompt, those that were not in the server's cache.
        tokens_per_second
            After the first; `None` where it could not be told.
        was_loaded
            Whether the model was in memory when it was asked.
        """
        waited = max(first_token_s, 1e-4)
        learnt = (
            {
                "first_token": self.first_token.with_value(waited),
                "prompt": self.prompt.with_value(read_tokens + OVERHEAD_TOKENS),
            }
            if was_loaded
            else {"load": self.load.with_value(waited)}
        )
        if tokens_per_second:
            learnt["token"] = self.token.with_value(1 / tokens_per_second)
        return self.model_copy(update=learnt)

    def learnt(self, guess: Prior) -> Prior:
        """Return what is to be expected in place of the guess, in the same terms."""
        tokens = math.exp(self.prompt.mean) if self.prompt.weight else OVERHEAD_TOKENS
        first_token_s = self.first_token.blended(tokens * guess.prompt_token_s)
        return Prior(
            load_s=self.load.blended(guess.load_s),
            prompt_token_s=first_token_s / tokens,
            token_s=self.token.blended(guess.token_s),
        )
