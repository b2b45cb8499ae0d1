"""What the moments of a network say of it: exploding, one-dimensional, collapsed, well-behaved, or too little to tell.

Thresholds and their reasons are the constants below; `docs/diagnosis.md` has the derivations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from moments_dnns.moments import DECIBELS

from .measures import FEWEST_DEPTHS, LEAST_SPAN, Growth, Measured, growth, kurtosis, rank
from .statistics import FEWEST_REALIZATIONS, Estimate

EXPLODING = "exploding sensitivity"


ONE_DIMENSIONAL = "one-dimensional signal"


OUTLIERS = "collapse onto few outliers"


WELL_BEHAVED = "well-behaved"


UNDECIDED = "not enough depth or realizations to tell"


Pair = tuple[Estimate | None, Estimate | None]


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


# The network has made them, rather than the images, if it has at least doubled the kurtosis.
KURTOSIS_GROWTH = math.log(2)


# k outliers span at most k directions: more than a quarter of the variance lies in one.
OUTLIER_RANK = 4.0


@attrs.frozen
class Diagnosis:
    """Verdicts on a network, and the numbers they follow from.

    Args:
        verdicts: What holds: `EXPLODING`, `ONE_DIMENSIONAL` and `OUTLIERS` may hold at once; otherwise `WELL_BEHAVED`
            or `UNDECIDED`.
        growth: How the sensitivity grows; None where it was not measured, or at too few depths.
        rank: Effective rank of the signal at the end; None where it was not measured.
        rank_exponent: d ln rank / d ln l over the second half; None as well for the layers of a model.
        kurtosis: mu4 / mu2^2 of the signal at the last normalized place; None where there is none.
        kurtosis_growth: ln of the kurtosis over that at the first normalized place or depth.
        num_realizations: How many there are.
        left_out: How many of them are left out somewhere, because numbers are zero, infinite or missing.
        num_depths: At how many depths, or layers, it was measured.
        unit: What one step of depth is.
        missing: What more is needed to tell, in words.
    """

    verdicts: tuple[str, ...]
    growth: Growth | None
    rank: Estimate | None
    rank_exponent: Estimate | None
    kurtosis: Estimate | None
    kurtosis_growth: Estimate | None
    num_realizations: int
    left_out: int
    num_depths: int
    unit: str
    missing: tuple[str, ...]

    @property
    def law(self) -> str:
        """How chi grows: `"exponential"`, `"power law"`, `"bounded"`, or `"undecided"`."""
        return _law(self.growth)

    @property
    def line(self) -> str:
        """The verdicts in one line, each with its number."""
        return ", ".join(verdict + NUMBERS[verdict](self) for verdict in self.verdicts)

    def __str__(self) -> str:
        return "\n".join((", ".join(self.verdicts), *self._said()))

    def _said(self) -> Iterator[str]:
        if self.growth:
            decibels = self.growth.rate.times(DECIBELS)
            yield f"ln χ over the second half: {self.growth.rate} per {self.unit}, {decibels} dB"
            yield f"χ over the second half: depth to the power {self.growth.exponent}"
            ends = f"{self.growth.exponent_middle} in the middle third, {self.growth.exponent_end} in the last"
            yield f"law of χ: {self.law}; power of depth {ends}"
        if self.rank:
            trend = f", as depth to the power {self.rank_exponent}" if self.rank_exponent else ""
            yield f"effective rank of the signal: {self.rank}{trend}"
        if self.kurtosis:
            yield f"kurtosis of the normalized signal: {self.kurtosis}"
        yield from (f"missing: {words}" for words in self.missing)
        left_out = f", left out {self.left_out} realizations" if self.left_out else ""
        noun = "realization" + "s" * (self.num_realizations != 1)
        yield f"{self.num_realizations} {noun} at {self.num_depths} depths{left_out}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold; the ends of intervals that are not there are None."""
        plain = attrs.asdict(self, recurse=False) | {"law": self.law, "line": self.line}
        if self.growth:
            numbers = attrs.asdict(self.growth, recurse=False) | {"decibels": self.growth.rate.times(DECIBELS)}
            plain["growth"] = {name: number.to_dict() for name, number in numbers.items()}
        return {
            name: value.to_dict() if isinstance(value, Estimate) else list(value) if isinstance(value, tuple) else value
            for name, value in plain.items()
        }


# What stands behind a verdict in the line.
NUMBERS: dict[str, Callable[[Diagnosis], str]] = {
    EXPLODING: lambda found: f" ({found.growth.rate.times(DECIBELS)} dB per {found.unit})" if found.growth else "",
    ONE_DIMENSIONAL: lambda found: f" (effective rank {found.rank.value:.3g})" if found.rank else "",
    OUTLIERS: lambda found: f" (kurtosis {found.kurtosis.value:.3g})" if found.kurtosis else "",
    WELL_BEHAVED: lambda found: f" (χ as depth to the power {found.growth.exponent})" if found.growth else "",
    UNDECIDED: lambda found: f" (χ as depth to the power {found.growth.exponent})" if found.growth else "",
}


def diagnose(moments: Mapping[str, Any]) -> Diagnosis:
    """Tell from its moments whether a network is pathological.

    - *Exploding sensitivity*: chi grows exponentially, and faster than depth to the power 2.
    - *One-dimensional signal*: the effective rank of the signal ends below 1.5.
    - *Collapse onto few outliers*: the kurtosis mu4 / mu2^2 at normalized places has doubled and is beyond 10, and the
      effective rank is below 4.
    - *Well-behaved*: none of these, and chi follows a power of depth or stays bounded, as far as measured.
    - *Not enough depth or realizations to tell*: everything else.

    Each holds only if the whole 95 % interval from the realizations is on its side of the threshold. Intervals are
    Student's, of estimates per realization; sensitivities are averaged as logarithms, so that they are those of a
    typical network.

    Args:
        moments: `Moments`, or any mapping from names `<moment>_<loc>` to arrays of shape (num_realizations,
            num_depths), pruned or not, with `depth` of shape (num_depths,). Or a characterized model: names without a
            place, arrays of shape (num_realizations, num_layers), and `layer`, the layers' names; depth then counts
            the measured layers, and the effective rank is the largest of the last third of them, because layers of
            few channels cannot have a large one.

    Returns:
        `Diagnosis`; printed, it says its verdicts and their numbers.

    Raises:
        TypeError: If `moments` is not a mapping, or an array does not hold real numbers.
        ValueError: If there are no moments, shapes do not match, or depth is missing or does not increase.

    Example:

    >>> depth, spread = np.arange(2, 202, 2), np.linspace(-0.1, 0.1, 5)[:, None]
    >>> found = diagnose({"log_chi_loc4": 0.2 * depth + spread, "depth": depth})
    >>> found.line, found.law
    ('exploding sensitivity (1.74 [1.74, 1.74] dB per layer)', 'exponential')
    >>> diagnose({"log_chi_loc5": 0.55 * np.log(depth) + spread, "depth": depth}).line
    'well-behaved (χ as depth to the power 0.55 [0.55, 0.55])'

    Reference: sections 4 to 6 of arXiv 1811.03087.
    """
    measured = Measured(moments)
    lost = np.zeros(measured.shape[0], bool)
    with np.errstate(all="ignore"):  # what is not finite is left out, and counted
        grown = growth(measured, lost)
        ranks, kurtoses = rank(measured, lost), kurtosis(measured, lost)
    num_lost = int(lost.sum())
    return Diagnosis(
        _verdicts(grown, ranks, kurtoses),
        grown,
        *ranks,
        *kurtoses,
        num_realizations=len(lost),
        left_out=num_lost,
        num_depths=len(measured.depth),
        unit=measured.unit,
        missing=tuple(_missing(measured, len(lost) - num_lost, grown, ranks, kurtoses)),
    )


def _law(grown: Growth | None) -> str:
    if grown is None:
        return "undecided"
    laws = {
        "bounded": grown.exponent.side(BOUNDED_POWER) < 0,
        "power law": grown.excess.side(0) < 0,
        "exponential": grown.excess.side(0) > 0 and grown.exponent.side(LARGEST_POWER) > 0,
    }
    return next((law for law, holds in laws.items() if holds), "undecided")


def _sides(grown: Growth | None, ranks: Pair, kurtoses: Pair) -> dict[str, tuple[int, ...]]:
    """Return for each pathology on which side of their thresholds its signs are: 1 for it, -1 against it, 0 open."""
    (at_end, _), (large, larger) = ranks, kurtoses
    sides: dict[str, tuple[int, ...]] = {EXPLODING: (int(_law(grown) == "exponential") or -1,)}
    if at_end:
        sides[ONE_DIMENSIONAL] = (-at_end.side(ONE_DIMENSION),)
    if at_end and large and larger:
        sides[OUTLIERS] = (-at_end.side(OUTLIER_RANK), large.side(OUTLIER_KURTOSIS), larger.side(KURTOSIS_GROWTH))
    return sides


def _open(sides: dict[str, tuple[int, ...]]) -> list[str]:
    return [verdict for verdict, signs in sides.items() if min(signs) == 0]


def _may_fall(ranks: Pair) -> bool:
    """Tell whether the rank may go on falling from where it is not yet near 1."""
    at_end, exponent = ranks
    if at_end is None or exponent is None:
        return False
    return at_end.side(ONE_DIMENSION) >= 0 and exponent.lower < FALLING_POWER


def _verdicts(grown: Growth | None, ranks: Pair, kurtoses: Pair) -> tuple[str, ...]:
    sides = _sides(grown, ranks, kurtoses)
    if pathologies := tuple(verdict for verdict, signs in sides.items() if min(signs) > 0):
        return pathologies
    tame = _law(grown) in ("power law", "bounded") and not _open(sides) and not _may_fall(ranks)
    return (WELL_BEHAVED if tame else UNDECIDED,)


def _missing(measured: Measured, finite: int, grown: Growth | None, ranks: Pair, kurtoses: Pair) -> Iterator[str]:
    if finite < FEWEST_REALIZATIONS:
        yield f"{FEWEST_REALIZATIONS} realizations whose numbers are finite, received {finite}"
    if measured.last("log_chi") is None:
        yield "the sensitivity, which was not measured"
    elif not measured.is_deep:
        yield f"{FEWEST_DEPTHS} depths, the last of them {LEAST_SPAN:g} times that after a third of them"
    elif grown and _law(grown) == "undecided":
        exponential = grown.excess.side(0) > 0
        yield (
            "depth: χ grows exponentially, but not by enough yet to call it an explosion"
            if exponential
            else "depth or realizations: χ may follow a power of depth or an exponential"
        )
    if ranks[0] is None:
        yield "the effective rank of the signal, which was not measured"
    for verdict in _open(_sides(grown, ranks, kurtoses)):
        yield f"depth or realizations: {verdict} is neither found nor excluded"
    if _may_fall(ranks):
        yield "depth or realizations: the effective rank may go on falling"
