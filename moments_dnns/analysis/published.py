"""The numbers of arXiv 1811.03087, and how far others are from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.moments import derive


class Number(NamedTuple):
    """A published mean over realizations, at some depths.

    Args:
        symbol: Plain text.
        over: Name of the array.
        under: Name of the array by which it is divided, realization by realization, if it is a ratio.
        means: The published mean at each depth.
        deviations: The published standard deviation over `num_realizations` at each depth, where it is known.
        num_realizations: How many realizations were published.
    """

    symbol: str
    over: str
    under: str | None
    means: Mapping[int, float]
    deviations: Mapping[int, float] = {}
    num_realizations: int = 1_000


class Compared(NamedTuple):
    """Ours beside a published mean.

    Args:
        symbol: What is compared.
        depth: Where.
        mean: Our mean over realizations.
        error: Its standard error.
        published: The published mean.
        z: The difference in its standard errors, ours and the published one where that is known.
    """

    symbol: str
    depth: int
    mean: float
    error: float
    published: float
    z: float


LAYERS, UNITS, DEEP = (2, 10, 20, 50, 100, 200), (5, 25, 50, 125, 250, 500), (10, 20, 50, 100, 200)


def _at(depths: Sequence[int], *values: float) -> dict[int, float]:
    return dict(zip(depths, values, strict=True))


# By type of plot: convolutional networks of figures 3 to 5, and the fully connected ones of figure 4.
PUBLISHED: dict[str, tuple[Number, ...]] = {
    "vanilla": (
        Number("δχ", "chi_loc3", "chi_loc1", _at(LAYERS, 1.131, 1.039, 1.020, 1.006, 1.004, 1.003)),
        Number("χ", "chi_loc3", None, _at(LAYERS, 1.373, 2.237, 2.915, 3.946, 4.864, 6.687)),
        Number("r_eff(x)", "reff_signal_loc3", None, _at(LAYERS, 2.945, 2.678, 1.864, 1.246, 1.079, 1.027)),
    ),
    "bn_ff": (
        Number("δ_BN χ", "chi_loc3", "chi_loc1", _at(LAYERS, 1.073, 1.004, 1.007, 1.072, 1.130, 1.142)),
        Number("δ_φ χ", "chi_loc4", "chi_loc3", _at(LAYERS, 1.199, 1.196, 1.186, 1.092, 1.028, 1.019)),
        Number("χ", "chi_loc4", None, _at(LAYERS, 1.989, 9.053, 55.1, 8053, 1.66e7, 5.84e13)),
        Number("r_eff(dx)", "reff_noise_loc4", None, _at(LAYERS, 140.5, 312.0, 309.6, 268.4, 224.6, 210.2)),
        Number("r_eff(x)", "reff_signal_loc4", None, _at(LAYERS, 5.97, 14.41, 10.47, 2.88, 2.12, 2.04)),
        Number("μ4(z)", "mu4_signal_loc3", None, _at(LAYERS, 3.61, 3.92, 5.24, 40.4, 96.7, 122.6)),
        Number("ν1(|z|)", "nu1_abs_signal_loc3", None, _at(LAYERS, 0.780, 0.775, 0.760, 0.562, 0.328, 0.262)),
    ),
    "bn_res": (
        Number("δχ", "chi_loc4", "chi_loc1", _at(UNITS, 1.259, 1.210, 1.206, 1.203, 1.202, 1.201)),
        Number("χ", "chi_loc5", None, _at(UNITS, 3.119, 6.762, 9.705, 15.81, 22.95, 33.32)),
        Number("r_eff(dx)", "reff_noise_loc3", None, _at(UNITS, 265.3, 337.5, 346.3, 351.4, 352.9, 353.5)),
        Number("r_eff(x)", "reff_signal_loc3", None, _at(UNITS, 7.01, 15.47, 16.69, 16.75, 16.32, 15.65)),
        Number("μ4(z)", "mu4_signal_loc2", None, _at(UNITS, 3.510, 3.615, 3.659, 3.741, 3.829, 3.946)),
    ),
    "fully connected bn_ff": (
        Number(
            "ln χ",
            "log_chi_loc4",
            None,
            _at(DEEP, 2.183, 4.249, 10.447, 20.777, 41.418),
            _at(DEEP, 0.037, 0.050, 0.079, 0.123, 0.188),
            200,
        ),
        Number(
            "ν1(|z|)",
            "nu1_abs_signal_loc3",
            None,
            _at(DEEP, 0.7856, 0.7847, 0.7820, 0.7803, 0.7795),
            _at(DEEP, 0.0037, 0.0047, 0.0060, 0.0064, 0.0064),
            200,
        ),
    ),
}


def compare(moments: Mapping[str, Any], numbers: Sequence[Number]) -> list[Compared]:
    """Return ours beside published means, at the depths that both measured.

    Args:
        moments: Mapping from names to arrays of shape (num_realizations, num_computations), at least two realizations,
            and `depth`.
        numbers: What was published, such as a row of `PUBLISHED`.

    Returns:
        One entry for each quantity and depth.

    Raises:
        KeyError: If an array is missing.
        ValueError: If there is one realization only, which has no standard error.

    Example:

    >>> moments = {"log_chi_loc4": np.array([[2.1], [2.2]]), "depth": [10]}
    >>> (entry,) = compare(moments, PUBLISHED["fully connected bn_ff"][:1])
    >>> entry.depth, round(entry.mean, 3), entry.published, round(entry.z, 2)
    (10, 2.15, 2.183, -0.66)

    Reference: figures 3 to 5 of arXiv 1811.03087.
    """
    found = []
    for number in numbers:
        samples = np.asarray(derive(moments, number.over))
        if len(samples) < 2:
            raise ValueError(refusal("expected at least two realizations.", num_realizations=len(samples)))
        if number.under is not None:
            samples = samples / derive(moments, number.under)
        for sample, depth in zip(samples.T, np.asarray(moments["depth"]).tolist(), strict=True):
            if depth in number.means:
                error = float(sample.std(ddof=1) / np.sqrt(len(sample)))
                theirs = number.deviations.get(depth, 0.0) / np.sqrt(number.num_realizations)
                difference = float(sample.mean()) - number.means[depth]
                with np.errstate(divide="ignore", invalid="ignore"):  # equal samples have no error
                    z = float(np.divide(difference, np.hypot(error, theirs)))
                found.append(Compared(number.symbol, depth, float(sample.mean()), error, number.means[depth], z))
    return found
