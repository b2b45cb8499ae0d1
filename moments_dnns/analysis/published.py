"""The published numbers of arXiv 1811.03087, and their comparison with measured ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.moments import derive


@attrs.frozen
class PublishedMean:
    """Published means of a quantity over realizations, at several depths.

    Args:
        symbol: The quantity, as plain text.
        over: Name of its array.
        under: Name of the array by which it is divided, realization by realization, if it is a ratio.
        means: The published mean at each depth.
        deviations: The published standard deviation over realizations at each depth, where it is known.
        num_realizations: Number of published realizations.
    """

    symbol: str
    over: str
    under: str | None
    means: Mapping[int, float]
    deviations: Mapping[int, float] = attrs.field(factory=dict)
    num_realizations: int = 1_000


@attrs.frozen
class Comparison:
    """A measured mean beside the published one.

    Args:
        symbol: The quantity, as plain text.
        depth: The layer or residual unit.
        mean: The measured mean over realizations.
        error: Its standard error.
        published: The published mean.
        published_error: Its standard error, 0 where that is not known.
        z: The difference of the means in units of its standard error, which includes the published one where that is
            known.
    """

    symbol: str
    depth: int
    mean: float
    error: float
    published: float
    published_error: float
    z: float


def _by_depth(depths: Sequence[int], *means: float) -> dict[int, float]:
    return dict(zip(depths, means, strict=True))


# The depths of the tables below: layers of feedforward networks, units of residual ones.
LAYERS = (2, 10, 20, 50, 100, 200)
UNITS = (5, 25, 50, 125, 250, 500)
FULLY_CONNECTED_LAYERS = (10, 20, 50, 100, 200)

# By network: the convolutional ones of figures 3 to 5, and the fully connected one of figure 4.
PUBLISHED: dict[str, tuple[PublishedMean, ...]] = {
    "vanilla": (
        PublishedMean("δχ", "chi_loc3", "chi_loc1", _by_depth(LAYERS, 1.131, 1.039, 1.020, 1.006, 1.004, 1.003)),
        PublishedMean("χ", "chi_loc3", None, _by_depth(LAYERS, 1.373, 2.237, 2.915, 3.946, 4.864, 6.687)),
        PublishedMean(
            "r_eff(x)", "reff_signal_loc3", None, _by_depth(LAYERS, 2.945, 2.678, 1.864, 1.246, 1.079, 1.027)
        ),
    ),
    "bn_ff": (
        PublishedMean("δ_BN χ", "chi_loc3", "chi_loc1", _by_depth(LAYERS, 1.073, 1.004, 1.007, 1.072, 1.130, 1.142)),
        PublishedMean("δ_φ χ", "chi_loc4", "chi_loc3", _by_depth(LAYERS, 1.199, 1.196, 1.186, 1.092, 1.028, 1.019)),
        PublishedMean("χ", "chi_loc4", None, _by_depth(LAYERS, 1.989, 9.053, 55.1, 8053, 1.66e7, 5.84e13)),
        PublishedMean(
            "r_eff(dx)", "reff_noise_loc4", None, _by_depth(LAYERS, 140.5, 312.0, 309.6, 268.4, 224.6, 210.2)
        ),
        PublishedMean("r_eff(x)", "reff_signal_loc4", None, _by_depth(LAYERS, 5.97, 14.41, 10.47, 2.88, 2.12, 2.04)),
        PublishedMean("μ4(z)", "mu4_signal_loc3", None, _by_depth(LAYERS, 3.61, 3.92, 5.24, 40.4, 96.7, 122.6)),
        PublishedMean(
            "ν1(|z|)", "nu1_abs_signal_loc3", None, _by_depth(LAYERS, 0.780, 0.775, 0.760, 0.562, 0.328, 0.262)
        ),
    ),
    "bn_res": (
        PublishedMean("δχ", "chi_loc4", "chi_loc1", _by_depth(UNITS, 1.259, 1.210, 1.206, 1.203, 1.202, 1.201)),
        PublishedMean("χ", "chi_loc5", None, _by_depth(UNITS, 3.119, 6.762, 9.705, 15.81, 22.95, 33.32)),
        PublishedMean("r_eff(dx)", "reff_noise_loc3", None, _by_depth(UNITS, 265.3, 337.5, 346.3, 351.4, 352.9, 353.5)),
        PublishedMean("r_eff(x)", "reff_signal_loc3", None, _by_depth(UNITS, 7.01, 15.47, 16.69, 16.75, 16.32, 15.65)),
        PublishedMean("μ4(z)", "mu4_signal_loc2", None, _by_depth(UNITS, 3.510, 3.615, 3.659, 3.741, 3.829, 3.946)),
    ),
    "fully connected bn_ff": (
        PublishedMean(
            "ln χ",
            "log_chi_loc4",
            None,
            _by_depth(FULLY_CONNECTED_LAYERS, 2.183, 4.249, 10.447, 20.777, 41.418),
            _by_depth(FULLY_CONNECTED_LAYERS, 0.037, 0.050, 0.079, 0.123, 0.188),
            200,
        ),
        PublishedMean(
            "ν1(|z|)",
            "nu1_abs_signal_loc3",
            None,
            _by_depth(FULLY_CONNECTED_LAYERS, 0.7856, 0.7847, 0.7820, 0.7803, 0.7795),
            _by_depth(FULLY_CONNECTED_LAYERS, 0.0037, 0.0047, 0.0060, 0.0064, 0.0064),
            200,
        ),
    ),
}


def compare(moments: Mapping[str, Any], published: Sequence[PublishedMean]) -> list[Comparison]:
    """Return measured means beside published ones, at the depths that both have.

    Formula: `z = (mean - published) / sqrt(error^2 + deviation^2 / num_realizations)`, with the standard error of the
    measured mean, and the published deviation where it is known.

    Args:
        moments: Mapping from names to arrays of shape (num_realizations, num_computations), at least two realizations,
            and `depth`.
        published: The published means, such as `PUBLISHED["bn_ff"]`.

    Returns:
        One `Comparison` for each quantity and depth.

    Raises:
        KeyError: If an array is missing.
        ValueError: If there is a single realization, which has no standard error.

    Example:

    >>> moments = {"log_chi_loc4": np.array([[2.1], [2.2]]), "depth": [10]}
    >>> (entry,) = compare(moments, PUBLISHED["fully connected bn_ff"][:1])
    >>> entry.depth, round(entry.mean, 3), entry.published, round(entry.z, 2)
    (10, 2.15, 2.183, -0.66)

    Reference: figures 3 to 5 of arXiv 1811.03087.
    """
    return [comparison for mean in published for comparison in _compare_one(moments, mean)]


def _compare_one(moments: Mapping[str, Any], published: PublishedMean) -> Iterator[Comparison]:
    samples = np.asarray(derive(moments, published.over))
    if len(samples) < 2:
        raise ValueError(refusal("expected at least two realizations.", num_realizations=len(samples)))
    if published.under is not None:
        samples = samples / derive(moments, published.under)
    for sample, depth in zip(samples.T, np.asarray(moments["depth"]).tolist(), strict=True):
        if depth in published.means:
            mean, theirs = float(sample.mean()), published.means[depth]
            error = float(sample.std(ddof=1) / np.sqrt(len(sample)))
            their_error = published.deviations.get(depth, 0.0) / np.sqrt(published.num_realizations)
            with np.errstate(divide="ignore", invalid="ignore"):  # the standard error of equal samples is 0
                z = float(np.divide(mean - theirs, np.hypot(error, their_error)))
            yield Comparison(published.symbol, depth, mean, error, theirs, float(their_error), z)
