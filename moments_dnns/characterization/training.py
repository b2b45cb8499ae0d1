"""MomentsLogger: the moments of a model while it trains, at an interval, without a change of its training."""

from __future__ import annotations

import csv
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import keras
import numpy as np

from moments_dnns._device import describe_device
from moments_dnns._validation import refusal, warn, whole
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.execution.chunks import joined
from moments_dnns.results.history import MomentsHistory
from moments_dnns.results.moments import Moments

from .inputs import feed, first_batch
from .measurement import Measurement, untouched
from .run import characterize

# The interval that is one epoch, whatever its number of batches.
EPOCH = "epoch"

# What of `characterize` does not concern a model that trains.
OF_THE_RUN = ("reinitialize",)

# What is written beside the moments that are measured.
DERIVED = ("log_chi", "log_growth")


class MomentsLogger(keras.callbacks.Callback):
    """A callback that takes the moments behind every layer of a model while it trains.

    The first are those before any training, the last those at its end. The model's own weights are measured, as
    `characterize(model, inputs, reinitialize=False)` does, and batch normalization takes its moving statistics. The
    training is to the last bit what it is without the callback. What measures is compiled once, when training begins.

    Args:
        inputs: What goes into the model at every measurement, as for `characterize`.
        every: `"epoch"`, or the number of batches from one measurement to the next.
        path: File to which a line for each layer and realization is added at every measurement, as comma-separated
            values with a header; an earlier file is replaced.
        log_dir: Folder of TensorBoard, to which means over realizations are written as scalars `<moment>/<layer>`.
        **options: Arguments of `characterize`: `noise`, `num_realizations`, `layers`, `depth`, `seed`, `ranks`,
            `statistics`, `gradients`, `tokens`, `compute_reff_signal`, `compute_reff_noise`.

    Raises:
        TypeError, ValueError: If an argument is refused.
        ImportError: If there is a `log_dir` and TensorBoard is not installed.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> logger = MomentsLogger(x[:16])
    >>> _ = model.fit(x, x[:, :1], epochs=2, batch_size=16, verbose=0, callbacks=[logger])
    >>> logger.history.steps, logger.history["chi"].shape
    ((0, 4, 8), (3, 1, 3))

    Reference: section 3 of arXiv 1811.03087, for the moments.
    """

    def __init__(
        self,
        inputs: Any,
        *,
        every: int | str = EPOCH,
        path: str | Path | None = None,
        log_dir: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.every = every if every == EPOCH else whole(1)("every", every)
        self.path = None if path is None else Path(path)
        self._board = None if log_dir is None else _board(log_dir)
        self._inputs = first_batch(inputs)
        self._arguments = arguments_of(options)
        self._steps: list[int] = []
        self._moments: list[Moments[Characterization]] = []
        self._step = self._start = 0  # batches so far, and at the beginning of the epoch
        self._epoch = 0
        self._measurement: Measurement | None = None

    @property
    def history(self) -> MomentsHistory:
        """What was measured so far.

        Raises:
            ValueError: If nothing was.
        """
        if not self._steps:
            raise ValueError(refusal("expected a model that was fitted with this callback.", callback=self))
        return MomentsHistory(self._steps, self._moments)

    def on_train_begin(self, logs: Any = None) -> None:
        """Prepare the model, and measure it before it trains."""
        with untouched(self.model):
            self._measurement = Measurement.prepare(self.model, feed(self.model, self._inputs), **self._arguments)
        self._measure()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note where the epoch begins."""
        self._epoch, self._start = epoch, self._step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Measure the model if it is time."""
        before, self._step = self._step, self._start + batch + 1
        # Several batches may come at once, with steps_per_execution.
        if self.every != EPOCH and self._step // int(self.every) > before // int(self.every):
            self._measure()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure the model if it is time."""
        if self.every == EPOCH:
            self._measure()

    def on_train_end(self, logs: Any = None) -> None:
        """Measure the model that training leaves."""
        self._measure()

    def _measure(self) -> None:
        if self._step in self._steps or self._measurement is None:
            return
        model = self.model  # which brings the state of training back to it on JAX
        with untouched(model):
            measurement = self._measurement
            chunk = joined(list(measurement.stream(range(measurement.description.num_realizations))))
            description = measurement.described(model)
        for problem in chunk.problems:
            warn(f"step {self._step}: {problem}", RuntimeWarning)
        device = describe_device(keras.backend.backend(), any_policy=True)
        moments = Moments(chunk.arrays, description, provenance={**device, "step": self._step})
        if self.path is not None:
            self._write(self.path, moments)
        if self._board is not None:
            for tag, value in _scalars(moments):
                self._board.add_scalar(tag, value, self._step)
            self._board.flush()
        self._steps.append(self._step)
        self._moments.append(moments)

    def _write(self, path: Path, moments: Moments[Characterization]) -> None:
        is_first = not self._steps
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if is_first else "a", newline="") as file:
            _add_lines(file, {"step": self._step, "epoch": self._epoch}, moments, header=is_first)


def arguments_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Measurement.prepare`: those that are given, and the defaults of `characterize`."""
    prepared = inspect.signature(Measurement.prepare).parameters.values()
    names = [each.name for each in prepared if each.kind is each.KEYWORD_ONLY]
    known = [name for name in names if name not in OF_THE_RUN]
    if unknown := [name for name in options if name not in known]:
        raise TypeError(refusal(f"expected options of {', '.join(known)}.", options=unknown))
    defaults = inspect.signature(characterize).parameters
    return {**{name: defaults[name].default for name in names}, **options, "reinitialize": False}


def _names(moments: Moments[Characterization]) -> list[str]:
    gradient = ("log_gradient", "log_gradient_growth") if moments.experiment.gradients else ()
    return [*moments.experiment.array_names, *DERIVED, *gradient]


def _add_lines(file: TextIO, common: Mapping[str, int], moments: Moments[Characterization], header: bool) -> None:
    names = _names(moments)
    arrays = [moments[name] for name in names]
    lines = csv.writer(file)
    if header:
        lines.writerow([*common, "realization", "layer", *names])
    for realization in range(moments.num_realizations):
        for column, layer in enumerate(moments["layer"]):
            lines.writerow([*common.values(), realization, layer, *(array[realization, column] for array in arrays)])


def _scalars(moments: Moments[Characterization]) -> Iterator[tuple[str, float]]:
    """Yield names and means over realizations, without those that are not taken."""
    for name in _names(moments):
        means = moments[name].mean(axis=0)
        for layer, mean in zip(moments["layer"], means, strict=True):
            if not np.isnan(mean):
                yield f"{name}/{layer}", float(mean)


def _board(log_dir: str | Path) -> Any:
    try:
        summary = importlib.import_module("tensorboard.summary")
    except ImportError as error:
        raise ImportError("log_dir needs TensorBoard: pip install tensorboard") from error
    return summary.Writer(summary.DirectoryOutput(str(log_dir)))
