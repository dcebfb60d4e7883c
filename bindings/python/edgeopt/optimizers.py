"""Optimizers, with the formulas and defaults of Keras. A learning rate is a number or one of `edgeopt.schedules`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Union

from . import schedules

Rate = Union[
    float, schedules.Constant, schedules.Step, schedules.Exponential, schedules.Cosine, schedules.Polynomial
]


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """What all have in common. `weight_decay` times the learning rate of each parameter decays at every step, but of
    those whose names fit a pattern of `no_decay`. Gradients are clipped by at most one of value (each element), norm
    (each parameter) and global norm (all together). `averaging` is the share of the old moving average of the
    parameters, which evaluation and export then use; 0: none is kept."""

    learning_rate: Rate = 0.001
    weight_decay: float | None = None
    no_decay: Sequence[str] = ()
    clip_value: float = 0.0
    clip_norm: float = 0.0
    clip_global_norm: float = 0.0
    averaging: float = 0.0


@dataclasses.dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent."""

    learning_rate: Rate = 0.01
    momentum: float = 0.0
    nesterov: bool = False


@dataclasses.dataclass(frozen=True)
class Adam(Optimizer):
    """Kingma and Ba, 2015."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7


@dataclasses.dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weight decay is 0.004 by default (Loshchilov and Hutter, 2019)."""


@dataclasses.dataclass(frozen=True)
class RMSprop(Optimizer):
    """Tieleman and Hinton, 2012."""

    momentum: float = 0.0
    rho: float = 0.9
    epsilon: float = 1e-7


NUMBERS: dict[type[Any], int] = {SGD: 0, Adam: 1, AdamW: 2, RMSprop: 3}
NAMES = {kind.__name__.lower(): kind for kind in NUMBERS}
