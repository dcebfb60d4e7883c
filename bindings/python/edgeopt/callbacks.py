"""What may look on while a model is trained."""

from __future__ import annotations

import csv
import os
import pathlib
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from ._trainer import Trainer

Logs = dict[str, float]


class Callback:
    """Called by `Trainer.fit`. Raising `StopTraining` ends it after the present step."""

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first step."""

    def on_step_end(self, trainer: Trainer, step: int, logs: Logs) -> None:
        """After each step: loss, accuracy where there is one, learning_rate, gradient_norm of that step."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Logs) -> None:
        """After each epoch: means of the epoch, val_loss and val_accuracy where there is validation data, seconds."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """At the end, however it came."""


class StopTraining(Exception):
    """Ends `Trainer.fit` without an error."""


class CSVLog(Callback):
    """One row for each epoch. The file is appended to where training is resumed."""

    def __init__(self, path: Union[str, "os.PathLike[str]"]):
        self._path = pathlib.Path(path)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Logs) -> None:
        row: dict[str, Any] = {"epoch": epoch, "step": trainer.steps, **logs}
        is_new = epoch == 0 or not self._path.exists()
        with self._path.open("w" if is_new else "a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)


class TensorBoard(Callback):
    """Event files for TensorBoard, through the `tensorboard` package, which must be installed."""

    def __init__(self, folder: Union[str, "os.PathLike[str]"], every: int = 10):
        from tensorboard.summary import Writer

        self._writer = Writer(str(folder))
        self._every = every

    def on_step_end(self, trainer: Trainer, step: int, logs: Logs) -> None:
        if step % self._every == 0:
            for name, value in logs.items():
                self._writer.add_scalar(f"step/{name}", value, step)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Logs) -> None:
        for name, value in logs.items():
            self._writer.add_scalar(f"epoch/{name}", value, epoch)
        self._writer.flush()

    def on_fit_end(self, trainer: Trainer) -> None:
        self._writer.flush()


class EarlyStopping(Callback):
    """Ends training when `monitor` has not fallen (or risen, with `mode` "max") for `patience` epochs."""

    def __init__(self, monitor: str = "val_loss", patience: int = 3, mode: str = "min"):
        self._monitor, self._patience, self._sign = monitor, patience, -1.0 if mode == "max" else 1.0
        self._best, self._waited = float("inf"), 0

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Logs) -> None:
        value = self._sign * logs[self._monitor]
        if value < self._best:
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited >= self._patience:
            raise StopTraining
