"""The summary of one experiment: its moments at all places as panels, and its parameters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np

from .figures import Curve, Drawing, Panel
from .moments import MOMENTS, derive, stored_name
from .validation import refusal

# What is drawn, in order, with its symbol: the moments, and what follows from them.
SYMBOLS = {
    **{
        name: moment.symbol.format(r"\mathbf{x}^l" if moment.of == "signal" else r"\mathrm{d}\mathbf{x}^l")
        for name, moment in MOMENTS.items()
        if not moment.logarithm
    },
    "mu2_noise": r"\mu_2(\mathrm{d}\mathbf{x}^l)",
    "chi": r"\chi^l",
}
PLACES = tuple(f"loc{i}" for i in range(1, 100))

LINE = 90  # characters
NOTHING = np.empty(0)  # stands for arrays of which only the names matter


def summary_drawing(moments: Mapping[str, Any]) -> Drawing:
    """Return a panel for each moment, with a curve for each place where it was taken.

    Args:
        moments: Mapping from names `<moment>_<loc>` to arrays.

    Raises:
        TypeError: If it is not a mapping.
        ValueError: If it holds no moment at all.

    Example:

    >>> moments = {"mu2_signal_loc1": np.ones((1, 1)), "log_mu2_noise_loc1": np.ones((1, 1)), "depth": [1]}
    >>> [panel.curves[0].over for panel in summary_drawing(moments).panels]
    ['mu2_signal_loc1', 'mu2_noise_loc1', 'chi_loc1']
    """
    if not isinstance(moments, Mapping):
        raise TypeError(refusal("moments must be a mapping from names to arrays.", moments=type(moments).__name__))
    panels = []
    for name, symbol in SYMBOLS.items():
        places = [place for place in PLACES if _is_there(moments.keys(), f"{name}_{place}")]
        curves = tuple(Curve(rf"\mathrm{{{place}}}", f"{name}_{place}") for place in places)
        if curves:
            panels.append(Panel(f"${symbol}$", curves, log=True))
    if not panels:
        raise ValueError(
            refusal("expected moments named <moment>_<loc>; plot_layers draws those of models.", moments=list(moments))
        )
    return Drawing(tuple(panels))


def _is_there(names: Iterable[str], name: str) -> bool:
    try:
        derive(dict.fromkeys(names, NOTHING), stored_name(name))
    except KeyError:
        return False
    return True


def parameters(moments: Mapping[str, Any]) -> str:
    """Return the parameters of an experiment in a few lines; of a plain mapping, the shape of its arrays.

    Example:

    >>> parameters({"nu2_signal_loc1": np.ones((5, 3)), "depth": [1, 2, 3]})
    '5 realizations at 3 depths'
    """
    experiment = getattr(moments, "experiment", None)
    if experiment is None:
        rows, columns = next(np.shape(array) for array in moments.values() if np.ndim(array) == 2)
        return f"{rows} realizations at {columns} depths"
    fields = attrs.asdict(experiment, recurse=False) | {"num_realizations": moments.num_realizations}  # type: ignore[attr-defined]
    return textwrap.fill(", ".join(f"{name}={value}" for name, value in fields.items()), LINE)
