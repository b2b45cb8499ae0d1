"""Diagnosis of a network from its moments: exploding, one-dimensional, collapsed, well-behaved, or undecided.

`measures` computes the numbers, `verdicts` compares them with thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from moments_dnns.moments import DECIBELS

from .arrays import MeasuredMoments
from .causes import Cause, causes
from .measures import Growth, take_measures
from .statistics import Estimate
from .verdicts import (
    CONSTANT,
    DEAD,
    EXPLODING,
    MOST_DEPTH_SCALES,
    ONE_DIMENSIONAL,
    OUTLIERS,
    VANISHING,
    VANISHING_SIGNAL,
    growth_law,
    missing,
    trainable,
    verdicts,
)

# What is printed of `Diagnosis.trainable`.
ANSWERS = {True: "yes", False: "no", None: "not decided"}


@attrs.frozen
class Diagnosis:
    """Verdicts on a network, and the numbers they follow from.

    Args:
        verdicts: One or several of `EXPLODING`, `VANISHING`, `VANISHING_SIGNAL`, `CONSTANT`, `DEAD`, `ONE_DIMENSIONAL`
            and `OUTLIERS`; otherwise `WELL_BEHAVED` or `UNDECIDED`.
        trainable: Whether training can be expected to work: none of the first five holds. None if that is not decided.
        depth_scales: ln chi^2 at the end over that at the input, the depth in units of the network's own depth scale
            1 / ln(growth of chi^2 per layer); None if it was not measured.
        variance: ln mu2 of the signal at the end; None if it was not measured.
        variation: ln(mu2 / nu2) of the signal at the end, the share of its mean square that differs from input to
            input; None if it was not measured.
        growth: Growth of the sensitivity; None if it was not measured, or at too few depths.
        rank: Effective rank of the signal at the end; None if it was not measured.
        rank_exponent: d ln rank / d ln l over the second half; None for the layers of a model too.
        kurtosis: mu4 / mu2^2 of the signal at the last normalized place; None if there is none.
        kurtosis_growth: ln of the kurtosis over that at the first normalized depth.
        num_realizations: Number of realizations.
        left_out: Number of realizations that some estimate leaves out, because numbers are zero, infinite or missing.
        num_depths: Number of measured depths, or layers.
        unit: What one step of depth is: a layer, a residual unit, or a measured layer.
        missing: What else would be needed to decide, in words.
        causes: What the layers of a model do, one by one; nothing is known of experiments.
    """

    verdicts: tuple[str, ...]
    trainable: bool | None
    depth_scales: Estimate | None
    variance: Estimate | None
    variation: Estimate | None
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
    causes: tuple[Cause, ...] = ()

    @property
    def law(self) -> str:
        """The law of chi over depth: `"exponential"`, `"power law"`, `"bounded"`, or `"undecided"`."""
        return growth_law(self.growth)

    @property
    def line(self) -> str:
        """The verdicts in one line, each with its number."""
        return ", ".join(verdict + _number_behind(verdict, self) for verdict in self.verdicts)

    def __str__(self) -> str:
        return "\n".join((", ".join(self.verdicts), *self._number_lines()))

    def _number_lines(self) -> Iterator[str]:
        yield f"trainable: {ANSWERS[self.trainable]}"
        if self.verdicts == (DEAD,):
            yield from self._last_lines()
            return
        if self.depth_scales:
            limit = f"trainable up to {MOST_DEPTH_SCALES:g}"
            yield f"depth in depth scales, ln χ² at the end: {self.depth_scales}, {limit}"
        if self.variance:
            yield f"variance of the signal at the end: e^({self.variance})"
        if self.variation:
            yield f"share of the signal that differs from input to input: e^({self.variation})"
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
        yield from self._last_lines()

    def _last_lines(self) -> Iterator[str]:
        yield from (f"cause: {cause}" for cause in self.causes)
        yield from (f"missing: {words}" for words in self.missing)
        left_out = f", left out {self.left_out} realizations" if self.left_out else ""
        noun = "realization" + "s" * (self.num_realizations != 1)
        yield f"{self.num_realizations} {noun} at {self.num_depths} depths{left_out}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold, by name; missing ends of intervals are None."""
        plain = attrs.asdict(self, recurse=False) | {"law": self.law, "line": self.line}
        if self.growth:
            numbers = attrs.asdict(self.growth, recurse=False) | {"decibels": self.growth.rate.times(DECIBELS)}
            plain["growth"] = {name: number.to_dict() for name, number in numbers.items()}
        plain["causes"] = [attrs.asdict(cause) for cause in self.causes]
        return {
            name: value.to_dict() if isinstance(value, Estimate) else list(value) if isinstance(value, tuple) else value
            for name, value in plain.items()
        }


def _number_behind(verdict: str, diagnosis: Diagnosis) -> str:
    """Return the number that a verdict follows from, as in `" (kurtosis 12)"`, or `""` if it was not measured."""
    growth, rank, kurtosis = diagnosis.growth, diagnosis.rank, diagnosis.kurtosis
    if verdict == ONE_DIMENSIONAL:
        return f" (effective rank {rank.value:.3g})" if rank else ""
    if verdict == OUTLIERS:
        return f" (kurtosis {kurtosis.value:.3g})" if kurtosis else ""
    if verdict == VANISHING_SIGNAL:
        return f" (a variance of e^({diagnosis.variance}))"
    if verdict == CONSTANT:
        return f" (e^({diagnosis.variation}) of it differs)"
    scales = f" ({diagnosis.depth_scales} depth scales)" if diagnosis.depth_scales else ""
    if growth is None or verdict == VANISHING:
        return "" if verdict == DEAD else scales
    if verdict == EXPLODING:
        return f" ({growth.rate.times(DECIBELS)} dB per {diagnosis.unit})"
    return f" (χ as depth to the power {growth.exponent})"


def diagnose(moments: Mapping[str, Any]) -> Diagnosis:
    """Return verdicts on a network from its moments: whether it is pathological.

    - *Exploding sensitivity*: the network is deeper than 16 of its depth scales, ln chi^2 at the end is above 16.
    - *Vanishing sensitivity*: the same the other way, ln chi^2 is below -16.
    - *Vanishing signal*: its standard deviation ends below 1e-4.
    - *Constant signal*: what differs from input to input is less than exp(-12) of the signal.
    - *Dead signal*: nothing at all differs at the end, in at least half of the realizations.
    - *One-dimensional signal*: the effective rank of the signal ends below 1.5.
    - *Collapse onto few outliers*: the kurtosis mu4 / mu2^2 at normalized places has doubled and is beyond 10, and the
      effective rank is below 4.
    - *Well-behaved*: none of these.
    - *Not enough depth or realizations to tell*: everything else.

    With any of the first five a network does not train, and `trainable` is False; the others are pathologies of the
    signal with which it may.

    A verdict needs the whole 95 % interval of a number on one side of the threshold. Intervals are Student's, from one
    estimate per realization; sensitivities are averaged as logarithms, so that they are those of a typical network.

    Args:
        moments: `Moments`, or any mapping from names `<moment>_<loc>` to arrays of shape (num_realizations,
            num_depths), pruned or not, with `depth` of shape (num_depths,). Or a characterized model: names without a
            place, arrays of shape (num_realizations, num_layers), and `layer`, the layers' names; depth then counts
            the measured layers, and the effective rank is the largest of the last third of them, because layers of
            few channels cannot have a large one.

    Returns:
        `Diagnosis`; printing it shows the verdicts and the numbers behind them.

    Raises:
        TypeError: If `moments` is not a mapping, or an array does not hold real numbers.
        ValueError: If there are no moments, shapes do not match, or depth is missing or does not increase.

    Example:

    >>> depth, spread = np.arange(2, 202, 2), np.linspace(-0.1, 0.1, 5)[:, None]
    >>> diagnosis = diagnose({"log_chi_loc4": 0.2 * depth + spread, "depth": depth})
    >>> diagnosis.line, diagnosis.law
    ('exploding sensitivity (1.74 [1.74, 1.74] dB per layer)', 'exponential')
    >>> diagnose({"log_chi_loc5": 0.55 * np.log(depth) + spread, "depth": depth}).line
    'well-behaved (χ as depth to the power 0.55 [0.55, 0.55])'

    Reference: sections 4 to 6 of arXiv 1811.03087; arXiv 1611.01232 and 1902.08129 for depth scales.
    """
    measured = MeasuredMoments(moments)
    measures, left_out = take_measures(measured)
    rank, kurtosis, num_left_out = measures.rank, measures.kurtosis, int(left_out.sum())
    return Diagnosis(
        verdicts=verdicts(measures),
        trainable=trainable(measures),
        depth_scales=measures.depth_scales,
        variance=measures.variance,
        variation=measures.variation,
        growth=measures.growth,
        rank=rank.at_end if rank else None,
        rank_exponent=rank.exponent if rank else None,
        kurtosis=kurtosis.at_end if kurtosis else None,
        kurtosis_growth=kurtosis.growth if kurtosis else None,
        num_realizations=measured.num_realizations,
        left_out=num_left_out,
        num_depths=len(measured.depth),
        unit=measured.unit,
        missing=tuple(missing(measured, measures, measured.num_realizations - num_left_out)),
        causes=causes(moments),
    )
