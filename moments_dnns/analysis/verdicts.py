"""Verdicts on a network: their words, their thresholds with the reasons, and how they follow from its measures.

Everything is decided by whole intervals: a number is on one side of a threshold, on the other, or undecided.
`docs/diagnosis.md` has the derivations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from .arrays import FEWEST_DEPTHS, LEAST_SPAN, MeasuredMoments
from .measures import Growth, Measures, Rank
from .statistics import FEWEST_REALIZATIONS

EXPLODING = "exploding sensitivity"
ONE_DIMENSIONAL = "one-dimensional signal"
OUTLIERS = "collapse onto few outliers"
WELL_BEHAVED = "well-behaved"
UNDECIDED = "not enough depth or realizations to tell"

# Residual networks follow powers (δ^(2 res_depth) - 1) / 2 of depth, with δ = 1.2 as published: 0.55 for branches of
# two layers, 1.65 for branches of four. An explosion must be faster: at this exponent, 12 dB for a doubling of depth.
LARGEST_POWER = 2.0

# Less than 7 % for a doubling of depth.
BOUNDED_POWER = 0.1

# In a single direction lie more than two thirds of the variance. Batch norm ends at 2 or more, vanilla nets at 1.
ONE_DIMENSION = 1.5

# A rank that falls faster than this power of depth, 13 % for a doubling, is still on its way somewhere.
FALLING_POWER = -0.2

# If a fraction p of the points has all of the variance, the kurtosis is about 1 / p: fewer than one point in ten. A
# Gaussian signal has 3.
OUTLIER_KURTOSIS = 10.0

# The network has made the outliers, rather than the images, if it has at least doubled the kurtosis.
KURTOSIS_GROWTH = math.log(2)

# k outliers span at most k directions: more than a quarter of the variance lies in one.
OUTLIER_RANK = 4.0


def growth_law(growth: Growth | None) -> str:
    """Return how chi grows: `"exponential"`, `"power law"`, `"bounded"`, or `"undecided"`."""
    if growth is None:
        return "undecided"
    if growth.exponent.side(BOUNDED_POWER) < 0:
        return "bounded"
    if growth.excess.side(0) < 0:
        return "power law"
    explodes = growth.excess.side(0) > 0 and growth.exponent.side(LARGEST_POWER) > 0
    return "exponential" if explodes else "undecided"


def verdicts(measures: Measures) -> tuple[str, ...]:
    """Return the pathologies that measures show; where there are none, `WELL_BEHAVED` or `UNDECIDED`."""
    if pathologies := tuple(verdict for verdict, side in _sides(measures).items() if side > 0):
        return pathologies
    is_tame = growth_law(measures.growth) in ("power law", "bounded")
    is_open = 0 in _sides(measures).values() or _may_fall(measures.rank)
    return (WELL_BEHAVED if is_tame and not is_open else UNDECIDED,)


def missing(measured: MeasuredMoments, measures: Measures, num_finite: int) -> Iterator[str]:
    """Yield what more is needed to decide, in words.

    Args:
        measured: What was measured.
        measures: The measures that were taken of it.
        num_finite: How many realizations were not left out.
    """
    if num_finite < FEWEST_REALIZATIONS:
        yield f"{FEWEST_REALIZATIONS} realizations whose numbers are finite, received {num_finite}"
    if measured.last("log_chi") is None:
        yield "the sensitivity, which was not measured"
    elif not measured.is_deep:
        yield f"{FEWEST_DEPTHS} depths, the last of them {LEAST_SPAN:g} times that after a third of them"
    elif measures.growth and growth_law(measures.growth) == "undecided":
        yield (
            "depth: χ grows exponentially, but not by enough yet to call it an explosion"
            if measures.growth.excess.side(0) > 0
            else "depth or realizations: χ may follow a power of depth or an exponential"
        )
    if measures.rank is None:
        yield "the effective rank of the signal, which was not measured"
    for verdict, side in _sides(measures).items():
        if side == 0:
            yield f"depth or realizations: {verdict} is neither found nor excluded"
    if _may_fall(measures.rank):
        yield "depth or realizations: the effective rank may go on falling"


def _sides(measures: Measures) -> dict[str, int]:
    """Return 1 for each pathology that all of its signs show, -1 if one of them excludes it, 0 if it is open."""
    rank, kurtosis = measures.rank, measures.kurtosis
    sides = {EXPLODING: 1 if growth_law(measures.growth) == "exponential" else -1}
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
    """Return whether the rank, where it is not near 1 yet, may go on falling."""
    if rank is None or rank.exponent is None:
        return False
    return rank.at_end.side(ONE_DIMENSION) >= 0 and rank.exponent.lower < FALLING_POWER
