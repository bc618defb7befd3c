"""The learning rate over a training, as pure functions of how far it has come.

One shape serves every purpose: a short linear warm-up, a plateau, and a cool-down that falls to zero along half a
cosine. ``cooldown`` is the share of the training that cools: 1 is the cosine schedule (Loshchilov and Hutter, 2017),
less is warm-up, stable, decay (Haegele et al., 2024).

Why successive halving uses the plateau: the state at the end of the plateau is *the same* whether the training was
to end soon or late, since neither the warm-up nor the plateau knows the end. So a checkpoint kept there can be
continued to any later end, and equals a training that was planned that long from the first step. Each rung still ends
with a cool-down, so its score is that of a finished network, and rungs are comparable. The price is that the cool-down
of a promoted rung is spent twice. A cosine to zero with a warm restart wastes nothing, but a restart first undoes
what the decay had gained, so networks that were promoted and networks that were not are no longer the same training.
"""

from __future__ import annotations

import math

__all__ = ["cosine", "warm"]


def warm(step: int, steps: float) -> float:
    """Return the factor of the linear warm-up at ``step`` (from 0) when the warm-up takes ``steps`` steps."""
    return min(1.0, (step + 1) / (steps + 1))


def cosine(progress: float, cooldown: float = 1.0) -> float:
    """Return the factor of the learning rate when the share ``progress`` of the training has passed.

    1 until the last ``cooldown`` share, then half a cosine down to 0 at ``progress`` 1.
    """
    if progress <= 1.0 - cooldown or cooldown <= 0.0:
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (progress - (1.0 - cooldown)) / cooldown)))
