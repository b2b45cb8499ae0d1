"""The summary of one experiment: its moments at all places as panels, its parameters and what they say in words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from .analysis import log_mean
from .figures import Curve, Drawing, Panel
from .moments import MOMENTS, derive, split_name, stored_name
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

# A power of depth beyond this one is called an explosion: residual networks of the paper have 0.55, feedforward ones
# with batch normalization about 3 at depth 20 and 25 at depth 200, in proportion to depth.
LARGEST_EXPONENT = 2.0
# Below this effective rank, less than half of the variance lies outside of a single direction.
LEAST_RANK = 2.0


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
        places = [place for place in PLACES if _is_there(moments, f"{name}_{place}")]
        curves = tuple(Curve(rf"\mathrm{{{place}}}", f"{name}_{place}") for place in places)
        if curves:
            panels.append(Panel(f"${symbol}$", curves, log=True))
    if not panels:
        raise ValueError(refusal("expected moments named <moment>_<loc>.", moments=list(moments)))
    return Drawing(tuple(panels))


def _is_there(moments: Mapping[str, Any], name: str) -> bool:
    try:
        derive(moments, stored_name(name))
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


def verdict(data: Mapping[str, Any]) -> str:
    """Return in words how the sensitivity grew over the second half of the depths, and what is left of the signal.

    The exponent is d ln chi / d ln l between the middle and the end. Where chi is a power of depth it is that power, at
    any depth; where chi grows exponentially it is in proportion to depth. Both are of means over realizations.

    Args:
        data: Logarithms of arrays by name, and `depth`, as `reading.read` returns them.

    Example:

    >>> depth = np.arange(1.0, 101)
    >>> print(verdict({"chi_loc4": 0.16 * depth[None], "depth": depth}))
    exploding sensitivity: χ grows by 1.39 dB per layer at the end, as depth to the power 11.5
    >>> print(verdict({"chi_loc5": 0.5 * np.log(depth[None]), "reff_signal_loc3": np.log(np.full((1, 100), 15)),
    ...                "depth": depth}))
    χ grows as depth to the power 0.50;
    the signal keeps an effective rank of 15.0
    """
    said = [_growth(data), _rank(data)]
    return ";\n".join(words for words in said if words) or "nothing is said of the sensitivity or the effective rank"


def _last(data: Mapping[str, Any], moment: str) -> np.ndarray | None:
    """Return ln of the mean over realizations, at the last place where there is one."""
    names = [name for name in data if split_name(name)[0] == moment]
    # loc10 comes after loc9.
    return log_mean(data[max(names, key=lambda name: (len(name), name))]) if names else None


def _growth(data: Mapping[str, Any]) -> str:
    log_chi, depth = _last(data, "chi"), data["depth"]
    if log_chi is None or len(depth) < 4:
        return ""
    middle = len(depth) // 2 - 1
    grown, layers = log_chi[-1] - log_chi[middle], depth[-1] - depth[middle]
    exponent = grown / math.log(depth[-1] / depth[middle])
    if not math.isfinite(exponent):
        return "the sensitivity cannot be followed to the end"
    if exponent > LARGEST_EXPONENT:
        decibels = 20 / math.log(10) * grown / layers
        return (
            f"exploding sensitivity: χ grows by {decibels:.2f} dB per layer at the end, as depth to the power "
            f"{exponent:.1f}"
        )
    return f"χ grows as depth to the power {exponent:.2f}"


def _rank(data: Mapping[str, Any]) -> str:
    log_rank = _last(data, "reff_signal")
    if log_rank is None:
        return ""
    rank = math.exp(log_rank[-1])
    if rank < LEAST_RANK:
        return f"one-dimensional signal: an effective rank of {rank:.2f}"
    return f"the signal keeps an effective rank of {rank:.1f}"
