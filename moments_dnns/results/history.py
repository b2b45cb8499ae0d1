"""MomentsHistory: the moments of one model at several steps of its training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.descriptions.characterization import Characterization

from .moments import Moments

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class MomentsHistory(Mapping[str, np.ndarray]):
    """The moments of a model along its training: a read-only mapping from names to arrays, with steps in front.

    Args:
        steps: After how many batches each result was measured, increasing.
        moments: The results of `characterize`, of the same layers and moments.

    Raises:
        ValueError: If they do not fit to each other.

    Example:

    >>> model = Characterization("net", ("image", "dense"), ((), (0,)), 1, (8, 4, 4, 1), "array-0123")
    >>> result = Moments({name: np.ones((1, 2)) for name in model.array_names}, model)
    >>> history = MomentsHistory([0, 100], [result, result])
    >>> history["mu2_signal"].shape, history.at(100) == result
    ((2, 1, 2), True)
    """

    def __init__(self, steps: Sequence[int], moments: Sequence[Moments[Characterization]]) -> None:
        self.steps = tuple(int(step) for step in steps)
        self.moments = tuple(moments)
        kinds = {(each.experiment.layers, tuple(each), each.num_realizations) for each in self.moments}
        if len(self.steps) != len(self.moments) or list(self.steps) != sorted(set(self.steps)) or len(kinds) != 1:
            raise ValueError(
                refusal("expected increasing steps, and results of the same layers and moments.", steps=self.steps)
            )

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self.moments[0].experiment.described:
            return self.moments[0][name]
        stacked = np.stack([each[name] for each in self.moments])
        stacked.flags.writeable = False
        return stacked

    def __contains__(self, name: object) -> bool:
        return name in self.moments[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self.moments[0])

    def __len__(self) -> int:
        return len(self.moments[0])

    def __repr__(self) -> str:
        first = self.moments[0]
        return f"MomentsHistory(model={first.experiment.model!r}, steps={list(self.steps)}, arrays={len(first)})"

    def at(self, step: int) -> Moments[Characterization]:
        """Return the result at a step.

        Raises:
            ValueError: If nothing was measured there.
        """
        if step not in self.steps:
            raise ValueError(refusal(f"expected one of the steps {', '.join(map(str, self.steps))}.", step=step))
        return self.moments[self.steps.index(step)]

    def to_xarray(self) -> xr.Dataset:
        """Return a dataset with the dimensions `step`, `realization` and `layer`; see `Moments.to_xarray`.

        Raises:
            ImportError: If xarray is not installed.
        """
        datasets = [each.to_xarray() for each in self.moments]
        import xarray as xr

        return xr.concat(datasets, xr.Variable("step", list(self.steps)), combine_attrs="drop")

    def to_dataframe(self) -> pd.DataFrame:
        """Return a tidy table, that of `Moments.to_dataframe` with a column `step` in front.

        Raises:
            ImportError: If pandas is not installed.
        """
        tables = [each.to_dataframe() for each in self.moments]
        for step, table in zip(self.steps, tables, strict=True):
            table.insert(0, "step", step)
        import pandas as pd

        return pd.concat(tables, ignore_index=True)
