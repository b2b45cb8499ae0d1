"""The summary of an experiment: its figure, with a panel for each measured moment, and its parameters as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.analysis.arrays import checked_mapping
from moments_dnns.moments import MOMENTS, derive, place_name, stored_name

from .figures import SYMBOLS
from .specs import Curve, Drawing, Panel

# The quantities that have a panel, in order, with their symbols: the moments, and those derived from them.
QUANTITIES = {
    **{name: moment.symbol.format(SYMBOLS[moment.of]) for name, moment in MOMENTS.items() if not moment.logarithm},
    "mu2_noise": rf"\mu_2({SYMBOLS['noise']})",
    "chi": r"\chi^l",
}

PLACES = tuple(map(place_name, range(1, 100)))

LINE_LENGTH = 90  # characters, of the parameters above the figure


def summary_drawing(moments: Mapping[str, Any]) -> Drawing:
    """Return the figure that `plot_summary` draws of an experiment: a curve for each moment at each of its places.

    Args:
        moments: Mapping from names `<moment>_<loc>` to arrays.

    Returns:
        `Drawing` with a panel for each moment.

    Raises:
        TypeError: If it is not a mapping.
        ValueError: If it holds no moment at all.

    Example:

    >>> moments = {"mu2_signal_loc1": np.ones((1, 1)), "log_mu2_noise_loc1": np.ones((1, 1)), "depth": [1]}
    >>> [panel.curves[0].over for panel in summary_drawing(moments).panels]
    ['mu2_signal_loc1', 'mu2_noise_loc1', 'chi_loc1']

    Reference: section 3 of arXiv 1811.03087.
    """
    names = checked_mapping(moments).keys()
    panels = []
    for quantity, symbol in QUANTITIES.items():
        places = [place for place in PLACES if _follows_from(names, f"{quantity}_{place}")]
        curves = tuple(Curve(rf"\mathrm{{{place}}}", f"{quantity}_{place}") for place in places)
        if curves:
            panels.append(Panel(f"${symbol}$", curves, log=True))
    if not panels:
        raise ValueError(
            refusal("expected moments named <moment>_<loc>; plot_layers draws those of models.", moments=list(moments))
        )
    return Drawing(tuple(panels))


def _follows_from(names: Iterable[str], name: str) -> bool:
    """Return whether an array is among those of some names, or can be derived from them."""
    try:
        derive(dict.fromkeys(names, np.empty(0)), stored_name(name))
    except KeyError:
        return False
    return True


def parameters(moments: Mapping[str, Any]) -> str:
    """Return the parameters of an experiment without a default, or that differ from it; of a mapping, its shape.

    Example:

    >>> parameters({"nu2_signal_loc1": np.ones((5, 3)), "depth": [1, 2, 3]})
    '5 realizations at 3 depths'
    """
    experiment = getattr(moments, "experiment", None)
    if experiment is None:
        realizations, depths = next(np.shape(array) for array in moments.values() if np.ndim(array) == 2)
        return f"{realizations} realizations at {depths} depths"
    values = attrs.asdict(experiment, recurse=False) | {"num_realizations": moments.num_realizations}  # type: ignore[attr-defined]
    required = {
        field.name: values[field.name] for field in attrs.fields(type(experiment)) if field.default is attrs.NOTHING
    }
    changed = experiment.differences(type(experiment)(**required))
    shown = {name: value for name, value in values.items() if name in required or name in changed}
    return textwrap.fill(", ".join(f"{name}={value}" for name, value in shown.items()), LINE_LENGTH)
