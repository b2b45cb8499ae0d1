"""How far verdicts at initialisation agree with training: tables, receiver operating characteristics, a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moments_dnns import diagnose
from moments_dnns.analysis import CONSTANT, VANISHING_SIGNAL, Diagnosis
from moments_dnns.analysis.verdicts import LEAST_VARIANCE, LEAST_VARIATION, MOST_DEPTH_SCALES
from moments_dnns.plots.style import DASHES, LOOKS, PaperFigure, styled

from .common import table

# A network trains if it learns half of what there is to learn of ten classes, decided before anything was run.
LEARNED = math.log(10) / 2

ANSWERS = {True: "trainable", False: "not trainable", None: "not decided"}


@attrs.frozen(eq=False)
class Outcome:
    """A network, its diagnosis at initialisation, and the loss that it reached.

    Args:
        name: The network.
        diagnosis: What `diagnose` says of its moments.
        loss: The mean over seeds at the best learning rate.
        decides: Whether it is of the half that decides thresholds; the other half tests them.
    """

    name: str
    diagnosis: Diagnosis
    loss: float
    decides: bool

    @property
    def trains(self) -> bool:
        """Whether training has succeeded."""
        return self.loss < LEARNED

    @property
    def agrees(self) -> bool:
        """Whether the verdict has foretold that."""
        return self.diagnosis.trainable is self.trains


def outcome(row: Mapping[str, Any], decides: bool) -> Outcome:
    """Return the outcome of a line of the file of results."""
    layer = row["moments"]["layer"]
    arrays = {name: np.array(values, np.float64) for name, values in row["moments"].items() if name != "layer"}
    losses = np.array(row["losses"], np.float64)
    return Outcome(row["name"], diagnose({**arrays, "layer": layer}), best_loss(losses), decides)


def best_loss(losses: np.ndarray) -> float:
    """Return the mean over seeds at the best learning rate.

    Args:
        losses: (rates, seeds); not finite where training has diverged.

    Example:

    >>> best_loss(np.array([[0.5, 1.5], [0.1, np.nan]]))
    1.0
    """
    means = np.where(np.isfinite(losses).all(axis=1), losses.mean(axis=1), math.inf)
    return float(means.min())


def outcomes(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Outcome]:
    """Return the outcomes in the order of the networks, of which every other one decides."""
    of_name = {row["name"]: row for row in rows}
    return [outcome(of_name[name], index % 2 == 0) for index, name in enumerate(names) if name in of_name]


# What might tell beforehand whether a network trains: the larger, the worse.
SCORES: dict[str, Callable[[Diagnosis], float]] = {
    "ln χ²": lambda found: abs(_value(found.depth_scales)),
    "variation": lambda found: -_value(found.variation),
    "effective rank": lambda found: -_value(found.rank),
    "all limits": lambda found: max(
        abs(_value(found.depth_scales)) / MOST_DEPTH_SCALES,
        _value(found.variance) / LEAST_VARIANCE,
        _value(found.variation) / LEAST_VARIATION,
    ),
}


def _value(estimate: Any) -> float:
    return estimate.value if estimate else math.nan


def roc(scores: np.ndarray, trains: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return false alarms and hits of all thresholds, as shares, and the area below the curve.

    Args:
        scores: The larger, the worse.
        trains: Whether training has succeeded.

    Example:

    >>> roc(np.array([1.0, 2.0, 3.0]), np.array([True, False, False]))[2]
    1.0
    """
    thresholds = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    alarms = scores >= thresholds[:, None]
    false, hits = alarms[:, trains].mean(axis=1), alarms[:, ~trains].mean(axis=1)
    return false, hits, float(np.trapezoid(hits, false))


def best_limits(deciding: Sequence[Outcome]) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Return the ranges of both limits at which most networks of the deciding half are told apart, and their share.

    The limit of the variance is given: it follows from the optimizer.
    """
    scales, shares = (np.array([SCORES[name](each.diagnosis) for each in deciding]) for name in ("ln χ²", "variation"))
    trains = np.array([each.trains for each in deciding])
    large = np.array([_value(each.diagnosis.variance) > LEAST_VARIANCE for each in deciding])
    grid = [
        (limit, least, ((scales < limit) & (shares < least) & large == trains).mean())
        for limit in np.arange(2, 40, 0.5)
        for least in np.arange(1, 40, 0.5)
    ]
    best = max(share for _, _, share in grid)
    limits, leasts = zip(*((limit, least) for limit, least, share in grid if share == best), strict=True)
    return (min(limits), max(limits)), (-max(leasts), -min(leasts)), best


def agreement(found: Sequence[Outcome]) -> str:
    """Return the table of verdicts against training, of both halves."""

    def count(half: bool, answer: bool | None, trained: bool) -> str:
        chosen = [each for each in found if each.decides == half and each.diagnosis.trainable is answer]
        return str(sum(each.trains == trained for each in chosen))

    rows = [
        [ANSWERS[answer], *(count(half, answer, trained) for half in (True, False) for trained in (True, False))]
        for answer in (True, False, None)
    ]
    header = "verdict | trained (deciding half) | did not | trained (testing half) | did not"
    return table(header, rows)


def summary(found: Sequence[Outcome]) -> Iterator[str]:
    """Yield what was found, in Markdown."""
    halves = {half: [each for each in found if each.decides == half] for half in (True, False)}
    shares = {half: np.mean([each.agrees for each in of_half]) for half, of_half in halves.items()}
    (low, high), (least, most), best = best_limits(halves[True])
    yield agreement(found)
    yield (
        f"{len(found)} networks. The deciding half is told apart best, {best:.0%}, by limits of ln χ² between "
        f"{low:g} and {high:g} and of ln(μ₂/ν₂) between {least:g} and {most:g}; the library has {MOST_DEPTH_SCALES:g} "
        f"and {LEAST_VARIATION:g}. With these the verdicts agree with training for {shares[True]:.0%} of the deciding "
        f"half and {shares[False]:.0%} of the testing half."
    )
    trains = np.array([each.trains for each in found])
    areas = [
        [name, f"{roc(np.array([score(each.diagnosis) for each in found]), trains)[2]:.3f}"]
        for name, score in SCORES.items()
    ]
    yield table("predictor | area below the ROC", areas)
    wrong = [
        [each.name, ANSWERS[each.diagnosis.trainable], f"{_value(each.diagnosis.depth_scales):.1f}",
         f"{_value(each.diagnosis.variation):.1f}", f"{each.loss:.2f}"]
        for each in found if not each.agrees
    ]  # fmt: skip
    if wrong:
        yield "The disagreements:"
        yield table("network | verdict | ln χ² | ln(μ₂/ν₂) | loss", wrong)


def draw(found: Sequence[Outcome]) -> Figure:
    """Draw the losses over ln chi^2, and the receiver operating characteristics."""
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2, "fontsize": 10, "columnspacing": 1.0}
    with styled(use_tex=False):
        figure = PaperFigure(figsize=(6.8, 3.3), layout="constrained")
        losses, curves = figure.subplots(1, 2)
        draw_losses(losses, found)
        losses.legend(**above)
        trains = np.array([each.trains for each in found])
        looks = zip(("#0072B2", "#E69F00", "#000000", "0.55"), DASHES, strict=False)
        for (name, score), (color, dash) in zip(SCORES.items(), looks, strict=True):
            false, hits, area = roc(np.array([score(each.diagnosis) for each in found]), trains)
            curves.plot(false, hits, color=color, linestyle=dash, label=f"{name} ({area:.2f})")
        curves.set(xlabel="alarms for networks that train", ylabel="alarms for those that do not")
        curves.legend(**above)
    return figure


def draw_losses(axes: Axes, found: Sequence[Outcome]) -> None:
    """Draw a point for each network, the limit of ln chi^2, and the loss that counts as trained."""
    lost = np.array([bool({CONSTANT, VANISHING_SIGNAL} & {*each.diagnosis.verdicts}) for each in found])
    scales = np.array([SCORES["ln χ²"](each.diagnosis) for each in found])
    reached = np.array([min(each.loss, math.log(10)) for each in found])
    for marks, label, look in ((~lost, "signal varies", LOOKS[0]), (lost, "constant or vanishing", LOOKS[1])):
        axes.plot(scales[marks], reached[marks], linestyle="none", markersize=4, label=label, **look)
    axes.axvline(MOST_DEPTH_SCALES, color="0.4", linewidth=0.8, linestyle=(0, (5, 3)))
    axes.axhline(LEARNED, color="0.4", linewidth=0.8, linestyle=(0, (1, 1.5)))
    axes.set(xlabel=r"$|\ln\,\chi^2|$ at initialisation", ylabel="loss reached", xlim=(-2, 1.05 * scales.max()))
