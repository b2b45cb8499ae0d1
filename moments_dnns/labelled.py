"""Labelled forms of results: xarray and pandas, which are asked for only when they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .experiment import Experiment
from .moments import split_name
from .record import DESCRIBED, Source

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def to_xarray(arrays: Mapping[str, np.ndarray], experiment: Experiment, sources: Sequence[Source]) -> xr.Dataset:
    """Return a dataset with the dimensions `realization` and `depth`, and `place` for what is taken at every place.

    Args:
        arrays: Raw arrays of shape (realizations, num_computations) by name.
        experiment: The description, which is kept as an attribute, in JSON.
        sources: Which realizations the rows are.

    Returns:
        A variable `<moment>` with the dimensions (place, realization, depth) for every moment that is there at all
        places, and `<moment>_<loc>` with (realization, depth) for every other array; `seed` is a coordinate.

    Raises:
        ImportError: If xarray is not installed.
    """
    try:
        import xarray as xr
    except ImportError as error:
        raise ImportError("to_xarray needs xarray: pip install xarray") from error

    raw = {name: array for name, array in arrays.items() if name not in DESCRIBED}
    moments = dict.fromkeys(split_name(name)[0] for name in raw)
    places = experiment.row.places
    variables: dict[str, Any] = {}
    for moment in moments:
        at = {name: array for name, array in raw.items() if split_name(name)[0] == moment}
        if all(f"{moment}_{place}" in at for place in places):
            stacked = np.stack([at[f"{moment}_{place}"] for place in places])
            variables[moment] = (("place", "realization", "depth"), stacked)
        else:
            variables |= {name: (("realization", "depth"), array) for name, array in at.items()}
    seed, realization = _indices(sources)
    coordinates = {"place": list(places), "realization": realization, "depth": arrays["depth"],
                   "seed": ("realization", seed)}
    return xr.Dataset(variables, coordinates, {"experiment": experiment.to_json()})


def to_dataframe(arrays: Mapping[str, np.ndarray], sources: Sequence[Source]) -> pd.DataFrame:
    """Return a tidy table: one row per value, and what it is in the columns beside it.

    Args:
        arrays: Raw arrays of shape (realizations, num_computations) by name, and `depth`.
        sources: Which realizations the rows are.

    Returns:
        A table with the columns seed, realization, depth, place, moment, value; place and moment are categories.

    Raises:
        ImportError: If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_dataframe needs pandas: pip install pandas") from error

    raw = {split_name(name): array for name, array in arrays.items() if name not in DESCRIBED}
    depth = arrays["depth"]
    seed, realization = _indices(sources)
    size = len(seed) * len(depth)
    return pd.DataFrame({
        "seed": np.tile(np.repeat(seed, len(depth)), len(raw)),
        "realization": np.tile(np.repeat(realization, len(depth)), len(raw)),
        "depth": np.tile(depth, len(raw) * len(seed)),
        "place": pd.Categorical(np.repeat([place for _, place in raw], size)),
        "moment": pd.Categorical(np.repeat([moment for moment, _ in raw], size)),
        "value": np.concatenate([array.ravel() for array in raw.values()]),
    })


def _indices(sources: Sequence[Source]) -> tuple[np.ndarray, np.ndarray]:
    """Return the seed and the index of every row."""
    seeds = [np.full(source.stop - source.start, source.seed) for source in sources]
    return np.concatenate(seeds), np.concatenate([np.arange(source.start, source.stop) for source in sources])
