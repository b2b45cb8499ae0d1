"""Lines of theory beside measured curves: infinite width, the growth that follows from nu1, and power laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from moments_dnns.analysis.power_laws import PowerLaw, bootstrap_power_law, power_law
from moments_dnns.analysis.statistics import log_band, log_mean
from moments_dnns.theory.closed_forms import activation_growth

from .curves import VIEWS, DrawnCurve
from .specs import Drawing, ShownExperiment
from .ticks import number

# Lines of theory are drawn over the measured ones, thin enough to leave these visible.
EXACT: dict[str, Any] = {"color": "black", "linestyle": (0, (1, 1.2)), "linewidth": 1.3, "marker": "", "zorder": 4}

AVERAGED: dict[str, Any] = {**EXACT, "linestyle": (0, (1, 2.4))}

RELATION: dict[str, Any] = {**EXACT, "linestyle": (0, (1, 1.2, 1, 1.2, 1, 5))}

FITTED: dict[str, Any] = {"linestyle": (0, (2.5, 1)), "linewidth": 1.0, "zorder": 4}

LARGEST_PLAIN = math.log(1e4)  # beyond it, a constant is written as a power of ten


def draw_theory(axes: Axes, drawn: DrawnCurve, *, log: bool) -> None:
    """Draw the curve of infinite width, and the growth in the activation that follows from the measured nu1."""
    overlay, curve, data = drawn.experiment.overlay, drawn.curve, drawn.experiment.data
    if overlay is None:
        return
    if overlay.infinite_width is not None:
        look = AVERAGED if overlay.averaged else EXACT
        look = look if drawn.experiment.label is None else {**look, "color": drawn.look["color"]}
        mean = log_band(curve.logs(overlay.infinite_width)).mean
        axes.plot(overlay.infinite_width["depth"], VIEWS[log](mean), **look)
    if curve.relation and curve.relation in data:
        growth = activation_growth(np.exp(np.minimum(log_mean(data[curve.relation]), 0)))
        axes.plot(data["depth"], VIEWS[log](np.log(growth)), **RELATION)


def theory_handles(drawing: Drawing, experiments: Sequence[ShownExperiment]) -> list[Line2D]:
    """Return the entries of the legend below a figure for the lines of theory in it."""
    overlays = [experiment.overlay for experiment in experiments if experiment.overlay is not None]
    batches: dict[bool, int] = {}
    for overlay in overlays:
        if overlay.infinite_width is not None:
            count = len(next(iter(overlay.infinite_width.values())))
            batches[overlay.averaged] = max(count, batches.get(overlay.averaged, 0))
    related = any(curve.relation for panel in drawing.panels for curve in panel.curves)
    entries = {
        f"infinite width: exact, mean over {batches.get(False)} of the batches": (EXACT, False in batches),
        f"infinite width: approximate, averaged over translations; batches: {batches.get(True)}": (
            AVERAGED,
            True in batches,
        ),
        r"$(1-\nu_1^2/2)^{-1/2}$ of the measured $\nu_1$: asymptotic": (RELATION, bool(overlays) and related),
        "one image: exact": (EXACT, any(overlay.densities for overlay in overlays)),
    }
    return [Line2D([], [], label=text, **look) for text, (look, is_drawn) in entries.items() if is_drawn]


def draw_power_law(axes: Axes, names: tuple[str, str], drawn: DrawnCurve, *, log: bool) -> list[Line2D]:
    """Draw the power law beside a curve and return its line in a list, which is empty if the fit is not finite.

    Args:
        axes: The axes to draw on.
        names: Names of the arrays of chi before and after a layer of the residual branch.
        drawn: The curve.
        log: Whether the axis of values is logarithmic.
    """
    data, alone = drawn.experiment.data, drawn.experiment.label is None
    depth, res_depth, logs = data["depth"], data["res_depth"], [data[name] for name in (drawn.curve.over, *names)]
    law = power_law(depth, logs[0], logs[1], logs[2], res_depth)
    if not (math.isfinite(law.tau) and math.isfinite(law.log_c)):
        return []
    # With several experiments, the legend has no room for intervals.
    interval = _interval(depth, logs, res_depth) if alone and drawn.experiment.overlay is not None else ""
    smooth = np.linspace(depth[0], depth[-1], 200)
    line = Line2D(
        smooth,
        VIEWS[log](law.log_c + law.tau * np.log(smooth)),
        label=_power_law_label(law, interval) if alone else rf"$\tau={law.tau:#.3g}$",
        color="black" if alone else drawn.look["color"],
        **FITTED,
    )
    # On a logarithmic axis the limits do not depend on the fit, which may span any number of decades if it is bad.
    (axes.add_artist if log else axes.add_line)(line)
    return [line]


def _interval(depth: np.ndarray, logs: Sequence[np.ndarray], res_depth: int) -> str:
    """Return the confidence interval of tau, as in `" [0.5, 0.6]"`, or `""` if there are too few realizations."""
    if len(logs[0]) < 2 or not all(np.isfinite(each).all() for each in logs):
        return ""
    tau = bootstrap_power_law(depth, logs[0], logs[1], logs[2], res_depth).tau
    return f" [{tau.lower:#.3g}, {tau.upper:#.3g}]"


def _power_law_label(law: PowerLaw, interval: str) -> str:
    c = number(law.log_c / math.log(10), plain=abs(law.log_c) < LARGEST_PLAIN, digits=3)
    return rf"$c\,l^\tau$: $\tau={law.tau:#.3g}$" + (interval or f", $c={c}$")
