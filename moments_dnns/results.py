"""Moments: what an experiment gives, a mapping from names to arrays; and the experiments that were saved."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from . import labelled
from .experiment import Experiment
from .figures import FIGURES
from .folders import experiment_folder, locked, npy_folder
from .generations import RECORD_FILE, is_own, num_bytes, publish, read_experiment, remove, writing
from .moments import derive, stored_name
from .provenance import combine
from .record import DESCRIBED, Record, Source, described, is_array_name, joined, num_rows, overlap, told
from .validation import boolean, one_of, refusal

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class Moments(Mapping[str, np.ndarray]):
    """The moments of an experiment: a read-only mapping from names to read-only arrays.

    Iterating lists what is stored: the raw names `<moment>_<loc>`, `depth` and `res_depth`. Indexing, and `in`, know
    beside them what follows from them: `log_chi_<loc>`, `chi_<loc>`, `mu2_noise_<loc>`. The values are float64: the
    moments of narrow and deep networks leave the range of float32.

    Args:
        arrays: Raw arrays of shape (realizations, num_computations). `depth` and `res_depth` follow from the
            description, and are added where `depth` is not among them.
        experiment: The description; there may be fewer realizations than its `num_realizations`.
        sources: Which realizations the rows are, in order; by default the first ones of `experiment.seed`.
        provenance: How the numbers came about: versions, device, times.

    Raises:
        ValueError: If the arrays do not fit to each other, to the sources, or to the description.

    Example:

    >>> experiment = Experiment("vanilla", 4, 1, 16, 8, 3, num_computations=2)
    >>> moments = Moments({"log_mu2_noise_loc1": np.zeros((3, 2)), "mu2_signal_loc1": np.full((3, 2), 4.0)}, experiment)
    >>> moments["chi_loc1"][0], moments["depth"], list(moments)
    (array([0.5, 0.5]), array([2, 4]), ['log_mu2_noise_loc1', 'mu2_signal_loc1', 'depth', 'res_depth'])

    Reference: section 3 of arXiv 1811.03087.
    """

    def __init__(self, arrays: Mapping[str, Any], experiment: Experiment,
                 sources: Sequence[Source] | None = None, provenance: Mapping[str, Any] | None = None) -> None:
        names = [*arrays.keys()] if "depth" in arrays.keys() else [*arrays.keys(), *DESCRIBED]
        self.arrays: Mapping[str, np.ndarray] = {name: _read_only(
            described(experiment, name) if name in DESCRIBED else np.asarray(arrays[name], np.float64))
            for name in names}
        self.experiment = experiment
        lengths = (len(array) for name, array in self.arrays.items() if name not in DESCRIBED and array.ndim)
        self.sources = (Source(experiment.seed, 0, next(lengths, 0)),) if sources is None else tuple(
            Source(*source) for source in sources)
        self.provenance = dict(provenance or {})
        self._check(arrays)

    def _check(self, given: Mapping[str, Any]) -> None:
        if self.num_realizations > self.experiment.num_realizations or overlap(self.sources):
            raise ValueError(refusal("sources must be different realizations, at most num_realizations of them.",
                                     sources=self.sources, num_realizations=self.experiment.num_realizations))
        expected = (self.num_realizations, self.experiment.num_computations)
        for name, array in self.arrays.items():
            if name not in DESCRIBED and array.shape != expected:
                raise ValueError(refusal(f"{name} must have the shape {expected} of (realizations, num_computations).",
                                         shape=array.shape))
            if name in DESCRIBED and name in given.keys() and not np.array_equal(array, given[name]):
                raise ValueError(refusal(f"{name} must agree with the experiment.", **{name: given[name]}))

    @property
    def num_realizations(self) -> int:
        """How many realizations are there."""
        return num_rows(self.sources)

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "res_depth":  # part of the description, even where pruning left the array out
            return _read_only(described(self.experiment, name))
        return _read_only(derive(self.arrays, str(name)))

    def __contains__(self, name: object) -> bool:
        # Tried on no realization at all, which costs nothing.
        nothing = {stored: array[:0] for stored, array in self.arrays.items() if array.ndim}
        try:
            derive(nothing, str(name))
        except KeyError:
            return name == "res_depth"
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moments) and (
            (self.experiment, self.sources, set(self)) == (other.experiment, other.sources, set(other))
            and all(np.array_equal(self[name], other[name], equal_nan=True) for name in self))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Moments({', '.join(f'{key}={value!r}' for key, value in self.summary.items())})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{key}</th><td>{html.escape(str(value))}</td></tr>"
                       for key, value in self.summary.items())
        return f"<table>{rows}</table>"

    @property
    def summary(self) -> dict[str, Any]:
        """What it is, in a few words each."""
        shown = ("architecture", "total_depth", "kernel_size", "num_channels", "batch_size", "boundary", "dataset")
        return {**{name: getattr(self.experiment, name) for name in shown},
                "realizations": self.num_realizations, "of": self.experiment.num_realizations,
                "arrays": len(self), "pruned_for": self.provenance.get("pruned_for")}

    def to_xarray(self) -> xr.Dataset:
        """Return an `xarray.Dataset`: see `labelled.to_xarray`."""
        return labelled.to_xarray(self.arrays, self.experiment, self.sources)

    def to_dataframe(self) -> pd.DataFrame:
        """Return a tidy `pandas.DataFrame`: see `labelled.to_dataframe`."""
        return labelled.to_dataframe(self.arrays, self.sources)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def list_experiments() -> list[str]:
    """Return the names of the experiments that are saved, in alphabetical order."""
    return sorted(path.parent.name for path in npy_folder().glob(f"*/{RECORD_FILE}"))


def load_experiment(name: str) -> Moments:
    """Load a saved experiment, or what an interrupted or running one has committed.

    Args:
        name: Its folder below `npy/`.

    Returns:
        Moments, with the committed realizations in the order of their indices.

    Raises:
        TypeError, ValueError: If the name is refused.
        FileNotFoundError: If there is no such experiment; the message lists those there are.
        CorruptExperimentError: If a file is missing, damaged or foreign; the message names it.
    """
    try:
        record, arrays = read_experiment(experiment_folder(name))
    except FileNotFoundError as error:
        raise _unknown(name) from error
    return Moments(arrays, record.experiment, record.sources, record.provenance)


def save_experiment(moments: Moments, name: str, overwrite: bool = False) -> None:
    """Save moments under a name.

    Args:
        moments: What `run_experiment`, `load_experiment` or `merge_experiments` returned.
        name: The folder below `npy/`; ASCII letters, digits, `_` and `-`.
        overwrite: Whether an experiment of that name is replaced.

    Raises:
        TypeError, ValueError: If an argument is refused.
        FileExistsError: If there is an experiment of that name and `overwrite` is False.
        BlockingIOError: If another process writes to it now.
    """
    boolean("overwrite", overwrite)
    if not isinstance(moments, Moments):
        raise TypeError(refusal("moments must be Moments.", moments=type(moments).__name__))
    unknown = [array for array in moments if not is_array_name(array)]
    if unknown or not moments.num_realizations:
        raise ValueError(refusal("moments must have realizations, and arrays named <moment>_<loc> only.",
                                 realizations=moments.num_realizations, unknown=unknown))
    with writing(name) as folder:
        if (folder / RECORD_FILE).exists() and not overwrite:
            raise FileExistsError(refusal("expected a new name, or overwrite=True.", name=name))
        publish(folder, _record(moments), moments.arrays)


def prune_experiment(type_plot: str, name: str) -> int:
    """Keep only the arrays that a figure draws, chi as its logarithm. A pruned experiment cannot be continued.

    Args:
        type_plot: The figure: `"vanilla_histo"`, `"vanilla"`, `"bn_ff"` or `"bn_res"`.
        name: The experiment.

    Returns:
        The number of bytes that were freed on the disk; 0 if it was pruned for this figure before.

    Raises:
        TypeError, ValueError: If an argument is refused, or the experiment lacks arrays that the figure draws.
        FileNotFoundError, CorruptExperimentError: As for `load_experiment`.
        BlockingIOError: If another process writes to it now.
    """
    needs = FIGURES[one_of(FIGURES)("type_plot", type_plot)].needs
    kept = list(dict.fromkeys(stored_name(array) for array in needs))
    _existing(name)
    with writing(name) as folder:
        moments = load_experiment(name)
        missing = [array for array in kept if array not in moments]
        if missing:
            raise ValueError(refusal(f"{type_plot} draws arrays that the experiment lacks: {', '.join(missing)}.",
                                     name=name))
        if set(kept) == set(moments):
            return 0
        before = num_bytes(folder)
        pruned = Moments({array: moments[array] for array in kept}, moments.experiment, moments.sources,
                         {**moments.provenance, "pruned_for": type_plot})
        publish(folder, _record(pruned), pruned.arrays)
        return before - num_bytes(folder)


def merge_experiments(names: Sequence[str], name_merged: str) -> Moments:
    """Merge experiments that differ in their seeds and realizations only, and save the result.

    Args:
        names: Two or more experiments, all of them pruned for the same figure or none of them pruned.
        name_merged: A new name.

    Returns:
        Moments with the realizations of all, one experiment after the other.

    Raises:
        TypeError, ValueError: If an argument is refused, the descriptions differ, or a realization is there twice.
        FileExistsError: If there is an experiment of the new name.
        FileNotFoundError, CorruptExperimentError: As for `load_experiment`.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(refusal("names must be a list of names of experiments.", names=names))
    if len(names) < 2:
        raise ValueError(refusal("names must be at least two experiments.", names=names))
    parts = [load_experiment(name) for name in names]
    for name, part in zip(names[1:], parts[1:], strict=True):
        differences = _record(parts[0]).differences(_record(part))
        differences.pop("seed", None)
        if differences:
            raise ValueError(refusal(f"experiments that are merged may differ in their seeds only, but {names[0]} and "
                                     f"{name} differ in {told(differences)}.", names=names))
    sources = joined(source for part in parts for source in part.sources)
    if twice := overlap(sources):
        raise ValueError(refusal(f"experiments that are merged must not share realizations, but some of {twice} are "
                                 "there twice.", names=names))
    arrays = {array: np.concatenate([part[array] for part in parts])
              for array in parts[0] if array not in DESCRIBED}
    arrays |= {array: parts[0][array] for array in parts[0] if array in DESCRIBED}
    merged = Moments(arrays, attrs.evolve(parts[0].experiment, num_realizations=num_rows(sources)), sources,
                     combine(part.provenance for part in parts))
    save_experiment(merged, name_merged)
    return merged


def delete_experiment(name: str) -> int:
    """Delete a saved experiment, damaged ones too.

    Args:
        name: Its folder below `npy/`; never a path.

    Returns:
        The number of bytes that were freed on the disk.

    Raises:
        TypeError, ValueError: If the name is refused.
        FileNotFoundError: If there is no such experiment.
        FileExistsError: If there are files in its folder that are not the experiment's.
        BlockingIOError: If another process writes to it now.
    """
    folder = experiment_folder(name)
    if not folder.exists():
        raise _unknown(name)
    with locked(name):
        if foreign := [path.name for path in folder.iterdir() if not is_own(path)]:
            raise FileExistsError(refusal(f"expected only files of the experiment in {folder}, found "
                                          f"{', '.join(foreign)}.", name=name))
        freed = num_bytes(folder)
        remove(folder)
    return freed


def _unknown(name: str) -> FileNotFoundError:
    return FileNotFoundError(refusal(f"expected the name of an experiment in {npy_folder()}, which has: "
                                     f"{', '.join(list_experiments()) or 'none'}.", name=name))


def _existing(name: str) -> Path:
    folder = experiment_folder(name)
    if not (folder / RECORD_FILE).exists():
        raise _unknown(name)
    return folder


def _record(moments: Moments) -> Record:
    in_place = moments.sources == (Source(moments.experiment.seed, 0, moments.num_realizations),)
    return Record(moments.experiment, tuple(moments), moments.sources, in_place, moments.provenance)

