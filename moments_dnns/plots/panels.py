"""The panels of a figure with their labels and legends, for one experiment or several over one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .curves import VIEWS, draw_curve, drawn_curves, set_axes
from .histograms import draw_histograms
from .legends import fitting_legend, legend_height, panel_width, room_above
from .specs import Drawing, Panel, ShownExperiment
from .style import DASHES, PaperFigure, looks
from .theory_lines import draw_power_law, draw_theory, theory_handles

LARGEST_LINEAR = math.log(1e4)  # an axis with larger values is logarithmic, whatever `Panel.log` is


def draw(drawing: Drawing, experiments: Sequence[ShownExperiment], *, use_tex: bool) -> PaperFigure:
    """Return a figure with the panels of a drawing, two in each row, and its legends."""
    rows = math.ceil(len(drawing.panels) / 2)
    figure = PaperFigure(figsize=(6.8, 2.5 * rows), layout="constrained", use_tex=use_tex)
    all_axes = figure.subplots(rows, 2, squeeze=False).flat
    draw_panels(figure, all_axes, drawing, experiments)
    for axes in all_axes[len(drawing.panels) :]:
        axes.set_axis_off()
    return figure


def draw_panels(
    figure: Figure, all_axes: Iterable[Axes], drawing: Drawing, experiments: Sequence[ShownExperiment]
) -> None:
    """Draw the panels of a figure on its axes, in order, and the legends of theory and of experiments with labels.

    The figure becomes higher by what the legends take, so that the panels keep their size.
    """
    all_axes, several = list(all_axes), experiments[0].label is not None
    for letter, panel, axes in zip("abcdefgh", drawing.panels, all_axes, strict=False):
        axes.annotate(f"({letter})", (0, 1), (-34, 7), xycoords="axes fraction", textcoords="offset points")
        handles = DRAW[panel.kind](axes, panel, experiments)
        if panel.kind == "curves" or several:
            axes.set(xlabel=drawing.depth, ylabel=axes.get_ylabel() or panel.label)
        else:
            axes.set(xlabel=panel.label, ylabel="density")
        if not any(np.isfinite(curve.logs(each.data)).any() for curve in panel.curves for each in experiments):
            axes.text(0.5, 0.75, "nothing finite to draw", transform=axes.transAxes, ha="center", va="center")
        if len(handles) > 1 or (handles and several):  # above the axes, where it hides no data
            fitting_legend(axes, handles, width=panel_width(axes), loc="lower right", bbox_to_anchor=(1, 1))
    legends = []
    if theory := theory_handles(drawing, experiments):
        legends.append(fitting_legend(figure, theory, width=figure.get_figwidth(), loc="outside lower center"))
    if several:
        names = [
            Line2D([], [], label=each.label, **look)
            for each, look in zip(experiments, looks(len(experiments)), strict=True)
        ]
        legends.append(fitting_legend(figure, names, width=figure.get_figwidth(), loc="outside upper center"))
    figure.set_figheight(figure.get_figheight() + room_above(all_axes) + sum(map(legend_height, legends)))


def _draw_curves(axes: Axes, panel: Panel, experiments: Sequence[ShownExperiment]) -> list[Artist]:
    """Draw the curves of a panel and return the entries of its legend."""
    curves = list(drawn_curves(panel, experiments))
    median = not panel.power_law and any(drawn.mean_leaves_band for drawn in curves)
    if median:
        axes.set_ylabel(f"{panel.label}, median")
    log = panel.log or bool((np.concatenate([end for drawn in curves for end in drawn.band]) > LARGEST_LINEAR).any())
    if panel.reference:
        axes.axhline(VIEWS[log](0.0), color="0.4", linewidth=0.7, linestyle=(0, (5, 3)), zorder=1)
    handles: list[Artist] = []
    for i, drawn in enumerate(curves):
        line = draw_curve(axes, drawn, log=log, median=median, offset=i / len(curves))
        if drawn.experiment.label is None:
            line.set_label(f"${drawn.curve.label}$")
            handles.append(line)
    if experiments[0].label and len(panel.curves) > 1:
        handles += [
            Line2D([], [], color="0.2", linestyle=dash, label=f"${curve.label}$")
            for curve, dash in zip(panel.curves, cycle(DASHES), strict=False)
        ]
    for drawn in curves:
        draw_theory(axes, drawn, log=log)
    if panel.power_law:
        for drawn in curves[:: len(panel.curves)]:
            handles += draw_power_law(axes, panel.power_law, drawn, log=log)
    set_axes(axes, [depth for each in experiments for depth in each.data["depth"]], log=log)
    return handles


# The functions that draw a panel, by its kind; they return the entries of its legend.
DRAW: dict[str, Callable[[Axes, Panel, Sequence[ShownExperiment]], Sequence[Artist]]] = {
    "curves": _draw_curves,
    "histogram": draw_histograms,
}
