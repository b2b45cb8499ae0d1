"""The measures for a diagnosis: depth scales, variance, variation, growth, rank, kurtosis, with intervals.

Each measure uses the realizations whose numbers are finite at the depths it uses. The functions also return a Boolean
array of shape (num_realizations,) that marks the others, which are left out.
"""

from __future__ import annotations

import attrs
import numpy as np

from .arrays import MeasuredMoments
from .statistics import Estimate, estimate, slopes

# A signal is taken as normalized where mu2 differs from 1 by less than this in all realizations.
NORMALIZED = 0.1


@attrs.frozen
class Growth:
    """How ln chi grows with the depth l.

    Args:
        rate: d ln chi / dl over the second half of the depths.
        exponent: d ln chi / d ln l over the second half: the power of depth, where there is one.
        exponent_middle: The same over the middle third.
        exponent_end: The same over the last third. For a power law it is that of the middle third; for an exponential
            it is larger, in proportion to depth.
        excess: `exponent_end` minus the mean of its values for a power law and for an exponential: negative for a power
            law, positive for an exponential.
    """

    rate: Estimate
    exponent: Estimate
    exponent_middle: Estimate
    exponent_end: Estimate
    excess: Estimate


@attrs.frozen
class Rank:
    """The effective rank of the signal.

    Args:
        at_end: At the last depth; for the layers of a model, the largest in the last third.
        exponent: d ln rank / d ln l over the second half of the depths; None for the layers of a model, and for a
            single depth.
    """

    at_end: Estimate
    exponent: Estimate | None


@attrs.frozen
class Kurtosis:
    """The kurtosis mu4 / mu2^2 of the normalized signal.

    Args:
        at_end: At the last depth at which the signal is normalized.
        growth: ln of its ratio to that at the first normalized depth.
    """

    at_end: Estimate
    growth: Estimate


@attrs.frozen
class Measures:
    """All measures of a network; None for those that were not measured, or at too few depths.

    Args:
        depth_scales: ln chi^2 at the end over that at the input: how many depth scales xi = 1 / ln(growth of chi^2 per
            layer) the network is deep.
        variance: ln mu2 of the signal at the end.
        variation: ln(mu2 / nu2) of the signal at the end, the share of its mean square that differs from input to
            input.
        silent: In which share of the realizations nothing varies at the end.
        growth: The growth of the sensitivity over depth.
        rank: The effective rank of the signal.
        kurtosis: The kurtosis of the normalized signal.
    """

    depth_scales: Estimate | None
    variance: Estimate | None
    variation: Estimate | None
    silent: float
    growth: Growth | None
    rank: Rank | None
    kurtosis: Kurtosis | None


def take_measures(measured: MeasuredMoments) -> tuple[Measures, np.ndarray]:
    """Return all measures, and which realizations at least one of them leaves out.

    Example:

    >>> moments = {"reff_signal_loc3": np.array([[8.0, 4.0], [8.0, np.nan]]), "depth": [5, 10]}
    >>> measures, left_out = take_measures(MeasuredMoments(moments))
    >>> measures.rank.at_end.value, measures.growth, left_out.tolist()
    (4.0, None, [False, True])
    """
    with np.errstate(all="ignore"):  # numbers that are not finite are left out, and counted
        taken = [take(measured) for take in (depth_scales, variance, variation, growth, rank, kurtosis)]
    (scales, size, share, of_growth, of_rank, of_kurtosis), left_out = zip(*taken, strict=True)
    measures = Measures(scales, size, share, measured.silent, of_growth, of_rank, of_kurtosis)
    return measures, np.logical_or.reduce(left_out)


def depth_scales(measured: MeasuredMoments) -> tuple[Estimate | None, np.ndarray]:
    """Return ln chi^2 at the end over that at the input, None if not measured, and the realizations left out.

    Per layer chi^2 grows by exp(1 / xi), so that this is the depth in units of the depth scale xi. The inputs of
    experiments have chi = 1; elsewhere the first depth or layer stands for the input.

    Example:

    >>> twenty = {"log_chi_loc4": 0.2 * np.arange(1, 21) + np.zeros((4, 1)), "depth": np.arange(1, 21)}
    >>> round(depth_scales(MeasuredMoments(twenty))[0].value, 6)
    7.6

    Reference: arXiv 1611.01232, 1902.08129.
    """
    log_chi = measured.last("log_chi")
    if log_chi is None:
        return None, _none_left_out(measured)
    gained = 2 * (log_chi[:, -1] - (0 if measured.is_standardised else log_chi[:, 0]))
    return _of_finite(gained)


def variance(measured: MeasuredMoments) -> tuple[Estimate | None, np.ndarray]:
    """Return ln mu2 of the signal at the end, None if not measured, and the realizations left out.

    For the layers of a model it is the largest in the last third: a softmax always has a small variance.

    Example:

    >>> moments = {"mu2_signal_loc3": np.full((4, 2), 1e-6), "depth": [1, 2]}
    >>> float(np.exp(variance(MeasuredMoments(moments))[0].value).round(9))
    1e-06
    """
    mu2 = measured.last("log_mu2_signal")
    return (None, _none_left_out(measured)) if mu2 is None else _of_finite(_at_end(measured, mu2))


def variation(measured: MeasuredMoments) -> tuple[Estimate | None, np.ndarray]:
    """Return ln(mu2 / nu2) of the signal at the end, None if not measured, and the realizations left out.

    For the layers of a model it is the largest in the last third: a softmax is always nearly constant.

    Example:

    >>> moments = {"mu2_signal_loc3": np.full((4, 2), 1.0), "nu2_signal_loc3": np.full((4, 2), 4.0), "depth": [1, 2]}
    >>> round(float(np.exp(variation(MeasuredMoments(moments))[0].value)), 6)
    0.25
    """
    for place in reversed(measured.places):
        mu2, nu2 = measured.at("log_mu2_signal", place), measured.at("log_nu2_signal", place)
        if mu2 is not None and nu2 is not None:
            return _of_finite(_at_end(measured, mu2 - nu2))
    return None, _none_left_out(measured)


def _at_end(measured: MeasuredMoments, values: np.ndarray) -> np.ndarray:
    """Return the values at the last depth; for the layers of a model, the largest of the last third."""
    first = 2 * values.shape[1] // 3 if measured.is_model else -1
    return np.asarray(np.fmax.reduce(values[:, first:], axis=1))


def _of_finite(values: np.ndarray) -> tuple[Estimate | None, np.ndarray]:
    """Return the estimate from the values that are finite, None if none is, and marks of the others."""
    left_out = ~np.isfinite(values)
    return (None if left_out.all() else estimate(values[~left_out])), left_out


def growth(measured: MeasuredMoments) -> tuple[Growth | None, np.ndarray]:
    """Return the growth of the sensitivity, None if there are too few depths or none, and the realizations left out.

    Example:

    >>> depth = np.array([1.0, 2, 4, 8, 16, 32])
    >>> power_law = {"log_chi_loc1": 0.5 * np.log(depth) + np.zeros((4, 1)), "depth": depth}
    >>> measure, left_out = growth(MeasuredMoments(power_law))
    >>> round(measure.exponent_middle.value, 6), round(measure.exponent_end.value, 6), measure.excess.upper < 0
    (0.5, 0.5, True)
    >>> left_out.tolist()
    [False, False, False, False]
    """
    log_chi, depth = measured.last("log_chi"), measured.depth
    number = len(depth)
    if log_chi is None or not measured.is_deep:
        return None, _none_left_out(measured)
    middle, end, half = slice(number // 3, 2 * number // 3), slice(2 * number // 3, None), slice(number // 2, None)
    # Depths before the middle third are not used.
    left_out = ~np.isfinite(log_chi[:, middle.start :]).all(axis=1)
    kept = log_chi[~left_out]
    if not len(kept):
        return None, left_out
    log_depth = np.log(depth)
    in_middle, in_end = (slopes(kept[:, third], log_depth[third]) for third in (middle, end))
    # The ratio of both exponents for chi = exp(l); each is about the depth there.
    exponential_ratio = np.divide(*(slopes(depth[None, third], log_depth[third])[0] for third in (end, middle)))
    measure = Growth(
        rate=estimate(slopes(kept[:, half], depth[half])),
        exponent=estimate(slopes(kept[:, half], log_depth[half])),
        exponent_middle=estimate(in_middle),
        exponent_end=estimate(in_end),
        excess=estimate(in_end - (1 + exponential_ratio) / 2 * in_middle),
    )
    return measure, left_out


def rank(measured: MeasuredMoments) -> tuple[Rank | None, np.ndarray]:
    """Return the effective rank of the signal at the end, None if not measured, and the realizations left out.

    For the layers of a model it is the largest in the last third, since layers of few channels cannot have a large one,
    and there is no trend.

    Example:

    >>> depth = np.array([1.0, 2, 4, 8, 16, 32])
    >>> ranks = {"reff_signal_loc3": 64 / depth + np.zeros((4, 1)), "depth": depth}
    >>> measure, _ = rank(MeasuredMoments(ranks))
    >>> measure.at_end.value, round(measure.exponent.value, 6)
    (2.0, -1.0)
    """
    ranks = measured.last("reff_signal")
    if ranks is None:
        return None, _none_left_out(measured)
    return _rank_of_layers(ranks) if measured.is_model else _rank_over_depth(ranks, measured)


def _rank_of_layers(ranks: np.ndarray) -> tuple[Rank | None, np.ndarray]:
    tail = ranks[:, 2 * ranks.shape[1] // 3 :]
    # A layer of one channel has no rank in any realization: this must not leave all realizations out.
    tail = tail[:, np.isfinite(tail).any(axis=0)]
    left_out = ~np.isfinite(tail).all(axis=1)
    kept = tail[~left_out]
    return (Rank(estimate(kept[:, kept.mean(axis=0).argmax()]), None) if kept.size else None), left_out


def _rank_over_depth(ranks: np.ndarray, measured: MeasuredMoments) -> tuple[Rank | None, np.ndarray]:
    half = slice(len(measured.depth) // 2 if measured.is_deep else -1, None)
    left_out = ~np.isfinite(ranks[:, half]).all(axis=1)
    kept = ranks[~left_out, half]
    if not len(kept):
        return None, left_out
    several = kept.shape[1] > 1
    exponent = estimate(slopes(np.log(kept), np.log(measured.depth[half]))) if several else None
    return Rank(estimate(kept[:, -1]), exponent), left_out


def kurtosis(measured: MeasuredMoments) -> tuple[Kurtosis | None, np.ndarray]:
    """Return the kurtosis of the signal at the last normalized place, None if none is, and the realizations left out.

    Only after a normalization do all channels have the same scale; elsewhere mu4 / mu2^2 is large if the variances of
    channels differ. A place is normalized if mu2 is 1, or if pruning has kept mu4 without mu2. There is no kurtosis if
    no place near the end is normalized.

    Example:

    >>> mu4 = np.array([3.0, 30.0]) + np.zeros((4, 1))
    >>> measure, _ = kurtosis(MeasuredMoments({"mu4_signal_loc3": mu4, "depth": [10, 20]}))
    >>> measure.at_end.value, round(measure.growth.value / np.log(10), 6).item()
    (30.0, 1.0)
    """
    left_out = _none_left_out(measured)
    for place in reversed(measured.places):
        mu4, mu2 = measured.at("mu4_signal", place), measured.at("mu2_signal", place)
        if mu4 is None:
            continue
        mu2 = np.ones_like(mu4) if mu2 is None else mu2
        normalized = np.flatnonzero(((np.abs(mu2 - 1) < NORMALIZED) | ~np.isfinite(mu2)).all(axis=0))
        if len(normalized) and normalized[-1] >= 2 * len(measured.depth) // 3:
            ends = np.stack([mu4[:, i] / mu2[:, i] ** 2 for i in normalized[[0, -1]]], axis=1)
            bad = ~np.isfinite(ends).all(axis=1)
            left_out |= bad
            if not bad.all():
                first, last = ends[~bad].T
                return Kurtosis(estimate(last), estimate(np.log(last / first))), left_out
    return None, left_out


def _none_left_out(measured: MeasuredMoments) -> np.ndarray:
    """Return marks that leave no realization out."""
    return np.zeros(measured.num_realizations, bool)
