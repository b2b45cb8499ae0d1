"""When a run may end: once the standard errors of all means over realizations are below a tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from moments_dnns.execution.collection import Row
from moments_dnns.moments import MOMENTS, derive, measured_name, split_name


class RunningMean(NamedTuple):
    """The mean of samples, which takes more of them, and its standard error.

    Args:
        num_samples: How many samples there were.
        mean: Their mean.
        deviation: The sum of their squared deviations from the mean.

    Example:

    >>> few = RunningMean.of(np.array([[1.0], [3.0]]))
    >>> few.updated(np.array([[5.0]])).standard_error.round(4)
    array([1.1547])

    Reference: equation 1.5 of Chan, Golub and LeVeque, The American Statistician 37 (1983).
    """

    num_samples: int
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, samples: np.ndarray) -> RunningMean:
        """Return the mean of samples of shape (count, ...)."""
        mean = samples.mean(axis=0)
        return cls(len(samples), mean, np.square(samples - mean).sum(axis=0))

    def updated(self, samples: np.ndarray) -> RunningMean:
        """Return the mean with more samples, by Chan's pairwise update: unlike sums of squares, it loses no digits."""
        more = RunningMean.of(samples)
        count = self.num_samples + more.num_samples
        shift, share = more.mean - self.mean, more.num_samples / count
        return RunningMean(
            count,
            self.mean + shift * share,
            self.deviation + more.deviation + np.square(shift) * (self.num_samples * share),
        )

    @property
    def standard_error(self) -> np.ndarray:
        """The standard error of the mean; infinite for a single sample, which tells nothing."""
        if self.num_samples < 2:
            return np.full_like(self.mean, np.inf)
        return np.sqrt(self.deviation / (self.num_samples - 1) / self.num_samples)


class Convergence:
    """Collect realizations as they come, until every mean is known to a tolerance.

    Means are those of ln chi and of every moment at every place and measured depth. Their standard errors count
    absolutely for logarithms and relative to the mean for the other moments. Realizations count in the order of their
    indices, whatever the order in which workers deliver them, so that the end of a run is reproducible.

    Args:
        tolerance: What all standard errors must be below; 0 is never reached, and then realizations count as they come.
        chunk_size: After how many realizations the errors are computed anew.

    Example:

    >>> convergence = Convergence(0.5, chunk_size=2)
    >>> rows = {k: {"nu2_signal_loc1": np.array([1.0 + k / 10])} for k in range(4)}
    >>> sorted(convergence.take({2: rows[2], 1: rows[1]})), sorted(convergence.take({0: rows[0]})), convergence.reached
    ([], [0, 1], True)
    """

    def __init__(self, tolerance: float, chunk_size: int):
        self.tolerance, self.chunk_size = tolerance, chunk_size
        self.reached = False
        self._means: dict[str, RunningMean] = {}
        self._units: dict[str, np.ndarray] = {}
        self._waiting: dict[int, Row] = {}
        self._latest: list[Row] = []
        self._next = 0

    def take(self, rows: Mapping[int, Row]) -> dict[int, Row]:
        """Take realizations, and return those that count from now on.

        With a tolerance, these are all up to the first index that is missing.

        Args:
            rows: For each index of a realization its arrays of shape (num_computations,), by name.
        """
        if not self.tolerance:
            return dict(rows)
        self._waiting |= rows
        counted = {}
        while not self.reached and self._next in self._waiting:
            counted[self._next] = row = self._waiting.pop(self._next)
            self._latest.append(row)
            self._next += 1
            if len(self._latest) == self.chunk_size:
                self._update()
        return counted

    def _update(self) -> None:
        samples = {name: np.stack([row[name] for row in self._latest]) for name in self._latest[0]}
        self._latest = []
        # A dead network has infinite logarithms: such means never converge, which is no error here.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            measured = [measured_name(name) for name in samples]
            of_chi = [name.replace("mu2_signal", "log_chi") for name in measured if "mu2_signal" in name]
            for name in (*measured, *of_chi):
                sample = derive(samples, name)
                # In units of the first means: squares of the moments of a narrow, deep network leave float64's range.
                unit = self._units.setdefault(name, _unit(name, sample.mean(axis=0)))
                known = self._means.get(name)
                self._means[name] = known.updated(sample / unit) if known else RunningMean.of(sample / unit)
            self.reached = all(
                bool((running.standard_error < self.tolerance * _unit(name, running.mean)).all())
                for name, running in self._means.items()
            )


def _unit(name: str, mean: np.ndarray) -> np.ndarray:
    moment = MOMENTS.get(split_name(name)[0])
    return np.ones_like(mean) if moment is None or moment.logarithm else np.where(mean == 0, 1.0, np.abs(mean))
