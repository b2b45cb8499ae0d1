"""Folders of experiments that are being run: arrays that have a row for every realization from the beginning.

Row k is for realization k, and NaN until it is there. So a commit writes rows in place, memory does not grow with the
number of realizations, and a disk that is too small is noticed before anything is computed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.descriptions.base import Description

from .files import read_array, sync_folder, write_array, write_padded
from .provenance import combine
from .record import Record, in_words
from .transactions import read_experiment


def new_record(experiment: Description, provenance: Mapping[str, Any]) -> Record:
    """Return the record of an experiment of which nothing is committed yet."""
    arrays = (*experiment.array_names, *experiment.described)
    return Record(experiment, arrays, sources=(), in_place=True, provenance=dict(provenance))


def continued(present: Record, asked: Record, name: str) -> Record:
    """Return the record of an experiment that is continued, or extended to more realizations.

    Args:
        present: The record that is there.
        asked: The record of what is asked for.
        name: The name of the experiment.

    Raises:
        FileExistsError: If they differ in more than their realizations, or what is there was merged.
    """
    differences = present.differences(asked)
    if not present.in_place:
        differences["sources"] = (list(map(tuple, present.sources)), f"seed {asked.experiment.seed}")
    if differences:
        raise FileExistsError(
            refusal(
                "expected a new name, overwrite=True, or the description of the experiment that is there; what is "
                f"there and what is asked for differ in {in_words(differences)}.",
                name=name,
            )
        )
    most = max(present.experiment.num_realizations, asked.experiment.num_realizations)
    return attrs.evolve(
        present,
        experiment=attrs.evolve(present.experiment, num_realizations=most),
        provenance=combine([asked.provenance, present.provenance]),
    )


def allocate(folder: Path, record: Record) -> None:
    """Write the arrays of a new experiment, which wait for its first commit.

    Raises:
        OSError: If the disk is too small.
    """
    nothing = np.empty((0, record.experiment.num_computations))
    for name in record.experiment.array_names:
        write_padded(record.staged(folder, name), record.experiment.num_realizations, nothing)
    for name, array in record.experiment.described.items():
        write_array(record.staged(folder, name), array)
    sync_folder(folder)


def extend(folder: Path, record: Record) -> None:
    """Make the arrays of an experiment longer, where a record has more realizations.

    Raises:
        CorruptExperimentError: If the experiment is damaged.
        OSError: If the disk is too small.
    """
    read_experiment(folder)  # refuses what is damaged
    # The record on the disk holds for the longer arrays too, so that each can be replaced by itself.
    for name in record.experiment.array_names:
        path, longer = folder / f"{name}.npy", folder / f"{name}.npy.longer"
        rows = read_array(path, "<f8", (None, record.experiment.num_computations))
        if len(rows) < record.experiment.num_realizations:
            write_padded(longer, record.experiment.num_realizations, rows)
            os.replace(longer, path)
    sync_folder(folder)
