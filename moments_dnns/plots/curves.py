"""Curves over depth with their bands, on linear axes and on logarithmic ones.

All values are natural logarithms, which may be beyond the range of float64 as numbers. Logarithmic axes are therefore
linear axes of log10, whose ticks are labelled as powers of ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from moments_dnns.analysis.statistics import Band, log_band, log_quantile

from .specs import Curve, Panel, ShownExperiment
from .style import DASHES, looks
from .ticks import STEPS, LogFormat, LogTicks

# From a natural logarithm to the position on an axis, by whether the axis is logarithmic.
VIEWS: dict[bool, Callable[[Any], Any]] = {False: np.exp, True: partial(np.multiply, math.log10(math.e))}

MARKERS_PER_CURVE = 8

ROUND_OFF = 1e-9  # of logarithms

SHARE_OUTSIDE = 0.1  # of the depths at which a mean may leave its band by chance

LEAST_SPAN = 1e-6  # of an axis, relative to its values: smaller differences are round-off


@attrs.frozen(eq=False)
class DrawnCurve:
    """One curve of one experiment.

    Args:
        experiment: The experiment.
        curve: The curve.
        logs: Natural logarithms of its values, of shape (num_realizations, num_computations).
        look: Its colour, marker and dashes, as options of Matplotlib.
    """

    experiment: ShownExperiment
    curve: Curve
    logs: np.ndarray
    look: dict[str, Any]
    band: Band = attrs.field(init=False, default=attrs.Factory(lambda self: log_band(self.logs), takes_self=True))

    @property
    def mean_leaves_band(self) -> bool:
        """Whether the mean is outside the 16th to 84th percentile, because a few realizations decide it."""
        mean, lower, upper = self.band
        return bool(((mean < lower - ROUND_OFF) | (mean > upper + ROUND_OFF)).mean() > SHARE_OUTSIDE)

    @property
    def log_median(self) -> np.ndarray:
        """The natural logarithm of the median over realizations."""
        return log_quantile(self.logs, 0.5)


def drawn_curves(panel: Panel, experiments: Sequence[ShownExperiment]) -> Iterator[DrawnCurve]:
    """Yield the curves of a panel, experiment by experiment.

    In a figure of one experiment, colours distinguish curves; in one of several, colours distinguish experiments and
    dashes curves.
    """
    alone = experiments[0].label is None
    for i, experiment in enumerate(experiments):
        for j, curve in enumerate(panel.curves):
            look = (
                looks(len(panel.curves))[j]
                if alone
                else {**looks(len(experiments))[i], "linestyle": DASHES[j % len(DASHES)]}
            )
            yield DrawnCurve(experiment, curve, curve.logs(experiment.data), look)


def draw_curve(axes: Axes, drawn: DrawnCurve, *, log: bool, median: bool, offset: float) -> Line2D:
    """Draw a curve with its band and return its line.

    Args:
        axes: The axes to draw on.
        drawn: The curve.
        log: Whether the axis of values is logarithmic.
        median: Whether the line is the median over realizations, instead of the mean.
        offset: Position of the first marker, from 0 to 1 of the distance of markers; it differs from curve to curve, so
            that no marker hides another one.
    """
    depth, band, color, view = drawn.experiment.data["depth"], drawn.band, drawn.look["color"], VIEWS[log]
    # Bands of several experiments lie over one another.
    face = (color, 0.25 if drawn.experiment.label is None else 0.15)
    axes.fill_between(depth, view(band.lower), view(band.upper), facecolor=face, edgecolor=(color, 0.4), linewidth=0.6)
    distance = math.ceil(len(depth) / MARKERS_PER_CURVE)
    centre = drawn.log_median if median else band.mean
    (line,) = axes.plot(depth, view(centre), markevery=(int(offset * distance), distance), **drawn.look)
    return line


def set_axes(axes: Axes, depths: Sequence[float], *, log: bool) -> None:
    """Set the limits and ticks of axes over depth."""
    first, last = min(depths), max(depths)
    margin = 0.02 * (last - first) or 0.5
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=STEPS, integer=True, min_n_ticks=1))
    low, high = axes.get_ylim()
    if high - low < (least := LEAST_SPAN * max(abs(low), abs(high), 1)):
        axes.set_ylim(low - least, high + least)
    if log:
        axes.yaxis.set_major_locator(LogTicks())
        axes.yaxis.set_minor_locator(LogTicks(minor=True))
        axes.yaxis.set_major_formatter(LogFormat())
