"""Learning rates that change with the step: `optimizers.SGD(schedules.Cosine(0.1, steps=1000, warmup=100))`.

Warm-up steps rise evenly from 0; the schedule begins after them.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    rate: float
    warmup: int = 0


@dataclasses.dataclass(frozen=True)
class Step:
    """Times `factor` after every `steps`."""

    rate: float
    steps: int
    factor: float = 0.1
    warmup: int = 0


@dataclasses.dataclass(frozen=True)
class Exponential:
    """Times `factor` within every `steps`, smoothly."""

    rate: float
    steps: int
    factor: float = 0.1
    warmup: int = 0


@dataclasses.dataclass(frozen=True)
class Cosine:
    """Half a cosine to `end_rate` within `steps`."""

    rate: float
    steps: int
    end_rate: float = 0.0
    warmup: int = 0


@dataclasses.dataclass(frozen=True)
class Polynomial:
    """(1 - step / steps)^power on the way to `end_rate`."""

    rate: float
    steps: int
    end_rate: float = 0.0
    power: float = 1.0
    warmup: int = 0


NUMBERS = {Constant: 0, Step: 1, Cosine: 2, Polynomial: 3, Exponential: 4}
