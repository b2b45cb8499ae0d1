"""Where a run puts its realizations: on the disk, where what is committed is never lost, or in memory."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic

import attrs
import numpy as np

from moments_dnns._validation import boolean, refusal
from moments_dnns.descriptions.base import AnyDescription, Description
from moments_dnns.moments import derive, measured_name

from .allocation import allocate, check_room, continued, grow, new_record, num_missing
from .files import read_array, write_rows
from .folders import experiment_folder
from .moments import Moments
from .provenance import begin, end
from .record import Record
from .sources import Source, indices, joined, num_rows
from .transactions import RECORD_FILE, read_experiment, read_record, settle, write_record, writing


class Writer(ABC, Generic[AnyDescription]):
    """What a run writes to: it knows which realizations are missing, and keeps those that are committed.

    `open_writer` opens one. A new kind needs `_write` and `_read` only.

    Args:
        experiment: What is asked for; there may be more realizations of it already.
        record: What will be committed next, without new realizations.
    """

    def __init__(self, experiment: AnyDescription, record: Record):
        self._experiment, self._record = experiment, record
        self._begun = time.monotonic()

    @abstractmethod
    def _write(self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray], record: Record) -> None:
        """Keep the arrays of some realizations, as the record has them that comes with them."""

    @abstractmethod
    def _read(self, name: str, row_ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Return an array's rows in some ranges (start, stop), one after the other."""

    @property
    def missing(self) -> list[int]:
        """Indices of the realizations that are asked for and not committed yet, in order."""
        committed = set(indices(self._record.sources))
        return [index for index in range(self._experiment.num_realizations) if index not in committed]

    def commit(self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray]) -> None:
        """Make realizations part of the experiment: durably on a disk, and all of them or none.

        Args:
            realizations: Their indices, all of them missing until now.
            arrays: Arrays of shape (len(realizations), num_computations) for every measured moment: its values, or its
                logarithms under the name under which they are kept.

        Raises:
            TypeError, ValueError: If the indices, names, types or shapes are not those.
            OSError: If the disk fails or is full; what was committed before remains.
        """
        committed = self._checked(realizations, arrays)
        kept = {name: np.asarray(derive(arrays, name), np.float64) for name in self._record.measured}
        added = (Source(self._experiment.seed, index, index + 1) for index in committed)
        record = attrs.evolve(
            self._record,
            sources=joined(sorted((*self._record.sources, *added))),
            provenance={**self._record.provenance, **end(self._begun)},
        ).with_rows(kept, committed)
        self._write(committed, kept, record)
        self._record = record

    def note(self, **notes: Any) -> None:
        """Add to the provenance that the next commit writes."""
        self._record = attrs.evolve(self._record, provenance={**self._record.provenance, **notes})

    def moments(self) -> Moments[AnyDescription]:
        """Return what is committed of the realizations that are asked for."""
        asked = self._experiment.num_realizations
        sources = tuple(
            Source(seed, start, min(stop, asked)) for seed, start, stop in self._record.sources if start < asked
        )
        row_ranges = attrs.evolve(self._record, sources=sources).row_ranges
        arrays = {name: self._read(name, row_ranges) for name in self._record.measured}
        return Moments(arrays, self._experiment, sources, self._record.provenance)

    def _checked(self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray]) -> list[int]:
        indices = np.asarray(realizations)
        if indices.ndim != 1 or not indices.size or indices.dtype.kind not in "iu":
            raise TypeError(refusal("realizations must be indices, at least one.", realizations=realizations))
        if len(set(indices.tolist())) < len(indices) or not set(indices.tolist()) <= set(self.missing):
            raise ValueError(
                refusal("realizations must be different ones that are missing.", realizations=realizations)
            )
        if sorted(map(measured_name, arrays)) != sorted(self._experiment.array_names):
            raise ValueError(refusal(f"arrays must be {', '.join(self._experiment.array_names)}.", arrays=list(arrays)))
        expected = (len(indices), self._experiment.num_computations)
        for name, values in arrays.items():
            shape, dtype = np.shape(values), np.asarray(values).dtype
            if shape != expected or not np.can_cast(dtype, np.float64):
                raise ValueError(
                    refusal(f"{name} must hold real numbers in the shape {expected}.", shape=shape, dtype=str(dtype))
                )
        return [int(index) for index in indices]


class DiskWriter(Writer[AnyDescription]):
    """The writer of an experiment with a name: its folder holds one whole state at any instant, see `transactions`.

    Args:
        experiment: What is asked for.
        record: What will be committed next, without new realizations.
        folder: The folder of the experiment, to which this process is the only writer.
    """

    def __init__(self, experiment: AnyDescription, record: Record, folder: Path):
        super().__init__(experiment, record)
        self._folder = folder

    def _write(self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray], record: Record) -> None:
        grow(self._folder, record, max(realizations) + 1)
        for name, values in arrays.items():
            write_rows(record.path(self._folder, name), realizations, values)
        write_record(self._folder, record)
        # With the first commit of a new experiment its arrays come to their places, and one it replaces goes.
        if not self._record.sources:
            settle(self._folder)

    def _read(self, name: str, row_ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        shape = (None, self._experiment.num_computations)
        return read_array(self._record.path(self._folder, name), "<f8", shape, row_ranges)


class MemoryWriter(Writer[AnyDescription]):
    """The writer of an experiment without a name, which nobody but the caller keeps.

    Args:
        experiment: What is asked for.
        record: What will be committed next, without new realizations.
    """

    def __init__(self, experiment: AnyDescription, record: Record):
        super().__init__(experiment, record)
        shape = (experiment.num_realizations, experiment.num_computations)
        self._arrays = {name: np.full(shape, np.nan) for name in record.measured}

    def _write(self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray], record: Record) -> None:
        for name, values in arrays.items():
            self._arrays[name][list(realizations)] = values

    def _read(self, name: str, row_ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        parts = [self._arrays[name][start:stop] for start, stop in row_ranges] or [self._arrays[name][:0]]
        # A complete run has one part, of which a copy would take the memory twice.
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@contextmanager
def open_writer(
    name: str | None, experiment: AnyDescription, provenance: Mapping[str, Any], overwrite: bool = False
) -> Iterator[Writer[AnyDescription]]:
    """Open the writer of an experiment: of a new one, or of one that is continued or extended.

    Fewer realizations than are there give the first ones, and leave the others. An experiment exists from its first
    commit on; one that is overwritten goes with the first commit of the new one.

    Args:
        name: The folder below `npy/`, of ASCII letters, digits, `_` and `-`, to which this process is the only writer
            until the context ends; None keeps the realizations in memory.
        experiment: The description.
        provenance: What the run knows of its origin, as JSON; where `dataset_sha256` is among it, the images of a
            continued experiment must be the same.
        overwrite: Whether an experiment of that name is replaced, a damaged one too.

    Raises:
        TypeError, ValueError: If an argument is refused.
        FileExistsError: If there is an experiment of that name with another description, one that was pruned, or
            one that was merged; the message says in what it differs.
        CorruptExperimentError: If the experiment that is there is damaged.
        BlockingIOError: If another process writes to it now.
        MemoryError: If the arrays do not fit in memory.
        OSError: If the disk is too small for the arrays.

    Example:

    >>> from moments_dnns import Experiment
    >>> experiment = Experiment("vanilla", 2, 1, 16, 8, 3, num_computations=2)
    >>> with open_writer(None, experiment, {"device": "CPU"}) as writer:
    ...     writer.commit([1], {name: np.ones((1, 2)) for name in experiment.array_names})
    ...     writer.missing, writer.moments().sources
    ([0, 2], (Source(seed=0, start=1, stop=2),))
    """
    boolean("overwrite", overwrite)
    try:
        json.dumps(provenance)
    except (TypeError, ValueError) as error:
        raise TypeError(refusal(f"provenance must be JSON: {error}.", provenance=provenance)) from error
    record = new_record(experiment, begin(provenance))
    if name is None:
        check_room(experiment, None)
        yield MemoryWriter(experiment, record)
        return
    with writing(name) as folder:
        if (folder / RECORD_FILE).exists() and not overwrite:
            present, arrays = read_experiment(folder)  # refuses what is damaged
            record = continued(present, record, name)
            if record.checksums is None:
                record = record.with_rows(arrays, record.row_numbers)
            check_room(experiment, folder, num_rows(record.sources))
        else:
            check_room(experiment, folder)
            allocate(folder, record)
        yield DiskWriter(experiment, record, folder)


def check_writable(name: str | None, experiment: Description, overwrite: bool) -> int:
    """Refuse a name that `open_writer` would refuse, before any work starts; None is never refused.

    Returns:
        How many realizations are missing.

    Raises:
        TypeError, ValueError: If the name is refused.
        FileExistsError: If there is an experiment of that name with another description, one that was pruned, or
            one that was merged.
        CorruptExperimentError: If the experiment that is there is damaged.
    """
    if name is None:
        return experiment.num_realizations
    folder = experiment_folder(name)
    if overwrite or not (folder / RECORD_FILE).exists():
        return experiment.num_realizations
    present = read_record(folder)
    continued(present, new_record(experiment, {}), name)
    return num_missing(present, experiment)
