"""Moments: the arrays of an experiment with what they are; a mapping, or a form of xarray or pandas."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.descriptions.base import AnyDescription, Description
from moments_dnns.moments import array_name, measured_name, split_name

from .provenance import pruned_in_words
from .sources import Source, num_rows, overlap

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class Moments(Mapping[str, np.ndarray], Generic[AnyDescription]):
    """The moments of an experiment: a read-only mapping from names to read-only arrays.

    Iterating lists what was measured: the raw names `<moment>_<loc>`, `depth` and `res_depth`. Indexing, and `in`, know
    beside them what follows from them: `log_chi_<loc>`, `chi_<loc>`, `mu2_noise_<loc>`, and `log_<moment>_<loc>` of the
    moments of the signal. The values are float64. Moments of deep networks may leave its range too: their logarithms
    are what is kept, from which values follow, so that chi is finite wherever its logarithm is.

    Args:
        arrays: Raw arrays of shape (realizations, num_computations), or logarithms `log_<moment>_<loc>` of them.
            `depth` and `res_depth` follow from the description, and are added where `depth` is not among them.
        experiment: The description, of an experiment or of a model; there may be fewer realizations than its
            `num_realizations`.
        sources: Which realizations the rows are, in order; by default the first ones of `experiment.seed`.
        provenance: How the numbers came about: versions, device, times.

    Raises:
        TypeError: If the description is none.
        ValueError: If the arrays do not fit to each other, to the sources, or to the description.

    Example:

    >>> from moments_dnns import Experiment
    >>> experiment = Experiment("vanilla", 4, 1, 16, 8, 3, num_computations=2)
    >>> moments = Moments({"log_mu2_noise_loc1": np.zeros((3, 2)), "mu2_signal_loc1": np.full((3, 2), 4.0)}, experiment)
    >>> moments["chi_loc1"][0], moments["depth"], list(moments)
    (array([0.5, 0.5]), array([2, 4]), ['log_mu2_noise_loc1', 'mu2_signal_loc1', 'depth', 'res_depth'])

    Reference: section 3 of arXiv 1811.03087.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        experiment: AnyDescription,
        sources: Sequence[Source] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(experiment, Description):
            raise TypeError(refusal("experiment must be an Experiment or a Characterization.", experiment=experiment))
        described = experiment.described
        names = [*arrays.keys()] if "depth" in arrays.keys() else [*arrays.keys(), *described]
        self.arrays: Mapping[str, np.ndarray] = {
            name: _read_only(described[name] if name in described else np.asarray(arrays[name], np.float64))
            for name in names
        }
        self.experiment = experiment
        lengths = (len(array) for name, array in self.arrays.items() if name not in described and array.ndim)
        self.sources = (
            (Source(experiment.seed, 0, next(lengths, 0)),)
            if sources is None
            else tuple(Source(*source) for source in sources)
        )
        self.provenance = dict(provenance or {})
        self._check(arrays)

    def _check(self, given: Mapping[str, Any]) -> None:
        if self.num_realizations > self.experiment.num_realizations or overlap(self.sources):
            raise ValueError(
                refusal(
                    "sources must be different realizations, at most num_realizations of them.",
                    sources=self.sources,
                    num_realizations=self.experiment.num_realizations,
                )
            )
        expected, described = (self.num_realizations, self.experiment.num_computations), self.experiment.described
        for name, array in self.arrays.items():
            if name not in described and array.shape != expected:
                raise ValueError(
                    refusal(
                        f"{name} must have the shape {expected} of (realizations, num_computations).", shape=array.shape
                    )
                )
            if name in described and name in given.keys() and not np.array_equal(array, given[name]):
                raise ValueError(refusal(f"{name} must agree with the experiment.", **{name: given[name]}))
        if len(set(self)) < len(self.arrays):
            raise ValueError(refusal("expected values or logarithms of a moment, not both.", arrays=list(self.arrays)))

    @property
    def num_realizations(self) -> int:
        """How many realizations are there."""
        return num_rows(self.sources)

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self.experiment.described:  # even where pruning left the array out
            return _read_only(self.experiment.described[name])
        try:
            return _read_only(self.experiment.derive(self.arrays, str(name)))
        except KeyError as error:
            pruned = pruned_in_words(self.provenance)
            raise KeyError(f"{error.args[0]}{pruned}") from None

    def __contains__(self, name: object) -> bool:
        # Tried on no realization at all, which costs nothing.
        nothing = {stored: array[:0] for stored, array in self.arrays.items() if array.ndim == 2}
        try:
            self.experiment.derive(nothing, str(name))
        except KeyError:
            return name in self.experiment.described
        return True

    def __iter__(self) -> Iterator[str]:
        return map(measured_name, self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Moments):
            return False
        if (self.experiment, self.sources, set(self)) != (other.experiment, other.sources, set(other)):
            return False
        # As they are kept, if both are: two logarithms may differ where the values have left float64's range.
        names = self.arrays if set(self.arrays) == set(other.arrays) else self
        measured = [name for name in names if name not in self.experiment.described]
        return all(np.array_equal(self[name], other[name], equal_nan=True) for name in measured)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Moments({', '.join(f'{key}={value!r}' for key, value in self.summary.items())})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{key}</th><td>{html.escape(str(value))}</td></tr>" for key, value in self.summary.items()
        )
        return f"<table>{rows}</table>"

    @property
    def summary(self) -> dict[str, Any]:
        """What it is, in a few words each."""
        pruned = {key: value for key, value in self.provenance.items() if key == "pruned_for"}
        return {
            **{name: getattr(self.experiment, name) for name in self.experiment.shown},
            "realizations": f"{self.num_realizations} of {self.experiment.num_realizations}",
            "arrays": len(self),
            **pruned,
        }

    def to_xarray(self) -> xr.Dataset:
        """Return a dataset with the dimensions `realization` and `depth`, and `place` for what is at every place.

        Returns:
            A variable `<moment>` with the dimensions (place, realization, depth) for every moment that is there at
            all places, and `<moment>_<loc>` with (realization, depth) for every other array; `seed` is a coordinate,
            the description an attribute, in JSON.

        Raises:
            ImportError: If xarray is not installed.
        """
        try:
            import xarray as xr
        except ImportError as error:
            raise ImportError("to_xarray needs xarray: pip install xarray") from error

        places, columns = self.experiment.places, self.experiment.columns
        variables: dict[str, Any] = {}
        for name, array in self._raw().items():
            moment, _ = split_name(name)
            everywhere = [array_name(moment, place) for place in places]
            if len(places) == 1 or not set(everywhere) <= set(self):
                variables[name] = (("realization", columns), array)
            elif name == everywhere[0]:
                stacked = np.stack([self[at_place] for at_place in everywhere])
                variables[moment] = (("place", "realization", columns), stacked)
        seed, realization = self._indices()
        coordinates = {
            **({"place": list(places)} if len(places) > 1 else {}),
            "realization": realization,
            columns: self[columns],
            "seed": ("realization", seed),
        }
        return xr.Dataset(variables, coordinates, {"experiment": self.experiment.to_json()})

    def to_dataframe(self) -> pd.DataFrame:
        """Return a tidy table: one row per value, and what it is in the columns beside it.

        Returns:
            A table with the columns seed, realization, depth, place, moment, value; place and moment are categories.

        Raises:
            ImportError: If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_dataframe needs pandas: pip install pandas") from error

        columns, raw = self.experiment.columns, self._raw()
        depth = self[columns]
        seed, realization = self._indices()
        moments, places = zip(*map(split_name, raw), strict=True)
        size = len(seed) * len(depth)
        return pd.DataFrame(
            {
                "seed": np.tile(np.repeat(seed, len(depth)), len(raw)),
                "realization": np.tile(np.repeat(realization, len(depth)), len(raw)),
                columns: np.tile(depth, len(raw) * len(seed)),
                **({"place": pd.Categorical(np.repeat(places, size))} if any(places) else {}),
                "moment": pd.Categorical(np.repeat(moments, size)),
                "value": np.concatenate([array.ravel() for array in raw.values()]),
            }
        )

    def _raw(self) -> dict[str, np.ndarray]:
        return {name: self[name] for name in self if name not in self.experiment.described}

    def _indices(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the seed and the index of every realization."""
        seeds = [np.full(source.stop - source.start, source.seed) for source in self.sources]
        return np.concatenate(seeds), np.concatenate([np.arange(source.start, source.stop) for source in self.sources])


def _read_only(array: np.ndarray) -> np.ndarray:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
