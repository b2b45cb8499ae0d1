"""The counterpart of the store for experiments that are not saved."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .descriptions import Description
from .provenance import begin, end
from .record import Source
from .results import Moments


class Memory:
    """Where the realizations of an experiment without a name are kept; the counterpart of a store on disk."""

    def __init__(self, experiment: Description, provenance: dict[str, Any]):
        self.experiment = experiment
        self.provenance = begin(provenance)
        self.begun = time.monotonic()
        shape = (experiment.num_realizations, experiment.num_computations)
        self.arrays = {name: np.full(shape, np.nan) for name in experiment.array_names}
        self.committed: set[int] = set()

    @property
    def missing(self) -> list[int]:
        """Indices of the realizations that were not committed yet."""
        return [index for index in range(self.experiment.num_realizations) if index not in self.committed]

    def commit(self, realizations: Sequence[int], arrays: dict[str, np.ndarray]) -> None:
        """Keep the rows of some realizations."""
        for name, rows in arrays.items():
            self.arrays[name][list(realizations)] = rows
        self.committed.update(realizations)
        self.note(**end(self.begun))

    def note(self, **notes: Any) -> None:
        """Add to the provenance."""
        self.provenance |= notes

    def moments(self) -> Moments:
        """Return what was kept: the first realizations, all of them unless a tolerance was reached."""
        count = len(self.committed)
        return Moments(
            {name: rows[:count] for name, rows in self.arrays.items()},
            self.experiment,
            [Source(self.experiment.seed, 0, count)],
            self.provenance,
        )
