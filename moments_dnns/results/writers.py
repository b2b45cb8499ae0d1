"""Where a run puts its realizations: on the disk, where what is committed is never lost, or in memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from moments_dnns._validation import boolean, refusal
from moments_dnns.descriptions.base import Description

from .files import read_array, sync_folder, write_array, write_padded, write_rows
from .folders import experiment_folder
from .moments import Moments
from .provenance import begin, combine, end
from .record import Record, Source, indices, joined, told
from .transactions import RECORD_FILE, read_experiment, read_record, settle, write_record, writing


class Store:
    """An experiment that is being run, of which this process is the only writer. See `open_store`.

    The arrays have their full size from the beginning, row k for realization k, filled with NaN. A commit writes rows
    that do not count yet and makes them durable; then it replaces `experiment.json`, which says which rows count. So
    the folder is consistent at any instant, and memory does not grow with the number of realizations.

    Args:
        folder: The folder of the experiment, with arrays of full size.
        experiment: What is asked for; the folder may hold more realizations of it.
        record: What will be committed next, without new realizations.
    """

    def __init__(self, folder: Path, experiment: Description, record: Record):
        self._folder, self._experiment, self._record = folder, experiment, record
        self._begun = time.monotonic()

    @property
    def missing(self) -> list[int]:
        """Indices of the realizations that are asked for and not committed yet, in order."""
        committed = set(indices(self._record.sources))
        return [index for index in range(self._experiment.num_realizations) if index not in committed]

    def commit(self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray]) -> None:
        """Make realizations part of the experiment: durably, and all of them or none.

        Args:
            realizations: Their indices, all of them missing until now.
            arrays: Arrays of shape (len(realizations), num_computations) for every raw name.

        Raises:
            TypeError, ValueError: If the indices, names, types or shapes are not those.
            OSError: If the disk fails or is full; what was committed before remains.
        """
        indices = self._checked(realizations, arrays)
        for name, values in arrays.items():
            write_rows(self._record.path(self._folder, name), indices, np.asarray(values, np.float64))
        record = attrs.evolve(
            self._record,
            sources=_including(self._record.sources, self._experiment.seed, indices),
            provenance={
                **self._record.provenance,
                **end(self._begun),
            },
        )
        write_record(self._folder, record)
        # With the first commit of a new experiment its arrays come to their places, and one it replaces goes.
        if not self._record.sources:
            settle(self._folder)
        self._record = record

    def note(self, **notes: Any) -> None:
        """Add to the provenance that the next commit writes."""
        self._record = attrs.evolve(self._record, provenance={**self._record.provenance, **notes})

    def moments(self) -> Moments:
        """Return what is committed of the realizations that are asked for."""
        sources = tuple(
            Source(seed, start, min(stop, self._experiment.num_realizations))
            for seed, start, stop in self._record.sources
            if start < self._experiment.num_realizations
        )
        record = attrs.evolve(self._record, sources=sources)
        arrays = {
            name: read_array(
                record.path(self._folder, name), "<f8", (None, self._experiment.num_computations), record.rows
            )
            for name in self._experiment.array_names
        }
        return Moments(arrays, self._experiment, sources, self._record.provenance)

    def _checked(self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray]) -> list[int]:
        indices = np.asarray(realizations)
        if indices.ndim != 1 or not indices.size or indices.dtype.kind not in "iu":
            raise TypeError(refusal("realizations must be indices, at least one.", realizations=realizations))
        if len(set(indices.tolist())) < len(indices) or not set(indices.tolist()) <= set(self.missing):
            raise ValueError(
                refusal("realizations must be different ones that are missing.", realizations=realizations)
            )
        if set(arrays) != set(self._experiment.array_names):
            raise ValueError(refusal(f"arrays must be {', '.join(self._experiment.array_names)}.", arrays=list(arrays)))
        expected = (len(indices), self._experiment.num_computations)
        for name, values in arrays.items():
            if np.shape(values) != expected or not np.can_cast(np.asarray(values).dtype, np.float64):
                raise ValueError(
                    refusal(
                        f"{name} must hold real numbers in the shape {expected}.",
                        shape=np.shape(values),
                        dtype=str(np.asarray(values).dtype),
                    )
                )
        return [int(index) for index in indices]


@contextmanager
def open_store(
    name: str, experiment: Description, provenance: Mapping[str, Any], overwrite: bool = False
) -> Iterator[Store]:
    """Open the store of an experiment for the only writer: a new one, or one that is continued or extended.

    Fewer realizations than are there give the first ones, and leave the others. An experiment exists from its first
    commit on; one that is overwritten goes with the first commit of the new one.

    Args:
        name: The folder below `npy/`; ASCII letters, digits, `_` and `-`.
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
        OSError: If the disk is too small for the arrays.

    Example:

    >>> import contextlib, tempfile
    >>> from moments_dnns import Experiment
    >>> experiment = Experiment("vanilla", 2, 1, 16, 8, 3, num_computations=2)
    >>> with contextlib.chdir(tempfile.mkdtemp()), open_store("demo", experiment, {"device": "CPU"}) as store:
    ...     store.commit([1], {name: np.ones((1, 2)) for name in experiment.array_names})
    ...     store.missing
    [0, 2]
    """
    boolean("overwrite", overwrite)
    try:
        json.dumps(provenance)
    except (TypeError, ValueError) as error:
        raise TypeError(refusal(f"provenance must be JSON: {error}.", provenance=provenance)) from error
    record = Record(
        experiment,
        (*experiment.array_names, *experiment.described),
        (),
        True,
        begin(provenance),
    )
    with writing(name) as folder:
        if (folder / RECORD_FILE).exists() and not overwrite:
            record = _continued(read_record(folder), record, name)
            _extend(folder, record)
        else:
            _allocate(folder, record)
        yield Store(folder, experiment, record)


def check_writable(name: str, experiment: Description, overwrite: bool) -> None:
    """Refuse a name that `open_store` would refuse, before any work starts.

    Raises:
        TypeError, ValueError: If the name is refused.
        FileExistsError: If there is an experiment of that name with another description, one that was pruned, or
            one that was merged.
        CorruptExperimentError: If the experiment that is there is damaged.
    """
    folder = experiment_folder(name)
    if (folder / RECORD_FILE).exists() and not overwrite:
        _continued(
            read_record(folder),
            Record(experiment, (*experiment.array_names, *experiment.described), (), True, {}),
            name,
        )


def _continued(found: Record, asked: Record, name: str) -> Record:
    differences = found.differences(asked)
    if not found.in_place:
        differences["sources"] = (list(map(tuple, found.sources)), f"seed {asked.experiment.seed}")
    if differences:
        raise FileExistsError(
            refusal(
                "expected a new name, overwrite=True, or the description of the experiment that is there; what is "
                f"there and what is asked for differ in {told(differences)}.",
                name=name,
            )
        )
    most = max(found.experiment.num_realizations, asked.experiment.num_realizations)
    return attrs.evolve(
        found,
        experiment=attrs.evolve(found.experiment, num_realizations=most),
        provenance=combine([asked.provenance, found.provenance]),
    )


def _allocate(folder: Path, record: Record) -> None:
    nothing = np.empty((0, record.experiment.num_computations))
    for name in record.experiment.array_names:
        write_padded(record.staged(folder, name), record.experiment.num_realizations, nothing)
    for name, array in record.experiment.described.items():
        write_array(record.staged(folder, name), array)
    sync_folder(folder)


def _extend(folder: Path, record: Record) -> None:
    read_experiment(folder)  # what is damaged is told now
    # The record on the disk holds for the longer arrays too, so that each can be replaced by itself.
    for name in record.experiment.array_names:
        path, longer = folder / f"{name}.npy", folder / f"{name}.npy.longer"
        held = read_array(path, "<f8", (None, record.experiment.num_computations))
        if len(held) < record.experiment.num_realizations:
            write_padded(longer, record.experiment.num_realizations, held)
            os.replace(longer, path)
    sync_folder(folder)


def _including(sources: Sequence[Source], seed: int, indices: Sequence[int]) -> tuple[Source, ...]:
    return joined(sorted((*sources, *(Source(seed, index, index + 1) for index in indices))))


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
