"""Verdicts on a network: their names, their thresholds with the reasons, and how they follow from its measures.

A number is above a threshold, or below it, only if its whole confidence interval is; otherwise it is undecided.
`docs/diagnosis.md` has the derivations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from .arrays import MeasuredMoments
from .measures import Growth, Measures, Rank
from .statistics import FEWEST_REALIZATIONS

EXPLODING = "exploding sensitivity"
VANISHING = "vanishing sensitivity"
VANISHING_SIGNAL = "vanishing signal"
CONSTANT = "constant signal"
DEAD = "dead signal"
ONE_DIMENSIONAL = "one-dimensional signal"
OUTLIERS = "collapse onto few outliers"
WELL_BEHAVED = "well-behaved"
UNDECIDED = "not enough depth or realizations to tell"

# Verdicts with which networks do not train; the others are pathologies of the signal with which they may.
UNTRAINABLE = (EXPLODING, VANISHING, VANISHING_SIGNAL, CONSTANT, DEAD)

# All verdicts but the good one and the open one.
PATHOLOGIES = (*UNTRAINABLE, ONE_DIMENSIONAL, OUTLIERS)

# Batch-normalized networks train down to about this many depth scales, ln chi^2 = 16 (arXiv 1902.08129, section 5).
# Those of docs/diagnosis.md are told apart best by a limit between 15 and 17.
MOST_DEPTH_SCALES = 16.0

# ln mu2 below this is a signal with a standard deviation of less than 1e-4. The first step of Adam moves every bias by
# its learning rate, which is as large or larger, and drowns it; float16 ends at about the same size, at 6e-5.
LEAST_VARIANCE = 2 * math.log(1e-4)

# ln(mu2 / nu2) below this is a signal that hardly depends on the input. Where correlations of inputs converge as
# 1 - c = exp(-l / xi), networks train down to about 6 xi with plain gradient descent (arXiv 1611.01232); with Adam,
# those of docs/diagnosis.md are told apart best by a limit below -16. This is between both.
LEAST_VARIATION = -12.0

# A signal that nothing reaches in this share of the realizations.
DEAD_SHARE = 0.5

# Exponents of chi in depth above this are explosions: more than 12 dB for a doubling of depth. Residual networks have
# exponents (δ^(2 res_depth) - 1) / 2 with δ = 1.2 as published: 0.55 for branches of two layers, 1.65 for four.
LARGEST_POWER = 2.0

# Exponents of chi below this count as bounded: less than 7 % for a doubling of depth.
BOUNDED_POWER = 0.1

# Effective ranks below this are one-dimensional: one direction has more than two thirds of the variance. With batch
# normalization ranks end at 2 or more, in vanilla networks at 1.
ONE_DIMENSION = 1.5

# A rank with an exponent in depth below this, 13 % for a doubling, may go on falling.
FALLING_POWER = -0.2

# Kurtoses above this are outliers: if a fraction p of the points has all of the variance, the kurtosis is about 1 / p,
# so that these are fewer than one point in ten. A Gaussian signal has 3.
OUTLIER_KURTOSIS = 10.0

# The outliers come from the network rather than from the images if it has at least doubled the kurtosis.
KURTOSIS_GROWTH = math.log(2)

# k outliers span at most k directions. Below this rank, more than a quarter of the variance is in one direction.
OUTLIER_RANK = 4.0


def growth_law(growth: Growth | None) -> str:
    """Return the law of chi over depth: `"exponential"`, `"power law"`, `"bounded"`, or `"undecided"`."""
    if growth is None:
        return "undecided"
    if growth.exponent.side(BOUNDED_POWER) < 0:
        return "bounded"
    if growth.excess.side(0) < 0:
        return "power law"
    explodes = growth.excess.side(0) > 0 and growth.exponent.side(LARGEST_POWER) > 0
    return "exponential" if explodes else "undecided"


def verdicts(measures: Measures) -> tuple[str, ...]:
    """Return the pathologies that the measures show; if there are none, `WELL_BEHAVED` or `UNDECIDED`."""
    sides = _sides(measures)
    if pathologies := tuple(verdict for verdict, side in sides.items() if side > 0):
        return pathologies
    is_open = 0 in sides.values() or _may_fall(measures.rank)
    return (WELL_BEHAVED if EXPLODING in sides and not is_open else UNDECIDED,)


def trainable(measures: Measures) -> bool | None:
    """Return whether a network can be trained as far as its moments tell; None if they leave it open."""
    sides = {verdict: side for verdict, side in _sides(measures).items() if verdict in UNTRAINABLE}
    if any(side > 0 for side in sides.values()):
        return False
    return True if EXPLODING in sides and 0 not in sides.values() else None


def missing(measured: MeasuredMoments, measures: Measures, num_finite: int) -> Iterator[str]:
    """Yield what else would be needed to decide, in words.

    Args:
        measured: The measured moments.
        measures: The measures of these moments.
        num_finite: Number of realizations that are not left out.
    """
    if measures.silent >= DEAD_SHARE:
        return
    if num_finite < FEWEST_REALIZATIONS:
        yield f"{FEWEST_REALIZATIONS} realizations whose numbers are finite, received {num_finite}"
    if measured.last("log_chi") is None:
        yield "the sensitivity, which was not measured"
    if measures.rank is None:
        yield "the effective rank of the signal, which was not measured"
    for verdict, side in _sides(measures).items():
        if side == 0:
            yield f"depth or realizations: {verdict} is neither shown nor excluded"
    if _may_fall(measures.rank):
        yield "depth or realizations: the effective rank may go on falling"


def _sides(measures: Measures) -> dict[str, int]:
    """Return for each pathology 1 if all measures show it, -1 if one excludes it, 0 if it is undecided."""
    rank, kurtosis = measures.rank, measures.kurtosis
    sides = dict[str, int]()
    if measures.silent >= DEAD_SHARE:
        return {DEAD: 1}
    if scales := measures.depth_scales:
        sides[EXPLODING] = scales.side(MOST_DEPTH_SCALES)
        sides[VANISHING] = -scales.side(-MOST_DEPTH_SCALES)
    if measures.variance:
        sides[VANISHING_SIGNAL] = -measures.variance.side(LEAST_VARIANCE)
    if measures.variation:
        sides[CONSTANT] = -measures.variation.side(LEAST_VARIATION)
    if rank:
        sides[ONE_DIMENSIONAL] = -rank.at_end.side(ONE_DIMENSION)
    if rank and kurtosis:
        sides[OUTLIERS] = min(
            -rank.at_end.side(OUTLIER_RANK),
            kurtosis.at_end.side(OUTLIER_KURTOSIS),
            kurtosis.growth.side(KURTOSIS_GROWTH),
        )
    return sides


def _may_fall(rank: Rank | None) -> bool:
    """Return whether a rank that is not near 1 yet may go on falling."""
    if rank is None or rank.exponent is None:
        return False
    return rank.at_end.side(ONE_DIMENSION) >= 0 and rank.exponent.lower < FALLING_POWER
