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

from moments_dnns.analysis.statistics import Band, log_band

from .specs import Curve, Panel, ShownExperiment
from .style import DASHES, looks
from .ticks import STEPS, LogFormat, LogTicks

# From a natural logarithm to the position on an axis, by whether the axis is logarithmic.
VIEWS: dict[bool, Callable[[Any], Any]] = {False: np.exp, True: partial(np.multiply, math.log10(math.e))}

MARKERS_PER_CURVE = 8

LEAST_SPAN = 1e-6  # of an axis, relative to its values: smaller differences are round-off


@attrs.frozen(eq=False)
class DrawnCurve:
    """One curve of one experiment.

    Args:
        experiment: The experiment.
        curve: The curve.
        band: Natural logarithms of its mean and percentiles, from `log_band`.
        look: Its colour, marker and dashes, as options of Matplotlib.
    """

    experiment: ShownExperiment
    curve: Curve
    band: Band
    look: dict[str, Any]


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
            yield DrawnCurve(experiment, curve, log_band(curve.logs(experiment.data)), look)


def draw_curve(axes: Axes, drawn: DrawnCurve, *, log: bool, offset: float) -> Line2D:
    """Draw a curve with its band and return its line.

    Args:
        axes: The axes to draw on.
        drawn: The curve.
        log: Whether the axis of values is logarithmic.
        offset: Position of the first marker, from 0 to 1 of the distance of markers; it differs from curve to curve, so
            that no marker hides another one.
    """
    depth, band, color, view = drawn.experiment.data["depth"], drawn.band, drawn.look["color"], VIEWS[log]
    axes.fill_between(
        depth, view(band.lower), view(band.upper), facecolor=(color, 0.25), edgecolor=(color, 0.4), linewidth=0.6
    )
    distance = math.ceil(len(depth) / MARKERS_PER_CURVE)
    (line,) = axes.plot(depth, view(band.mean), markevery=(int(offset * distance), distance), **drawn.look)
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
