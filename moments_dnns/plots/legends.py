"""Legends that fit: as many columns as there is room for, and figures that are higher for what stands above panels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

LABELS = 0.75  # width of the ticks and the label of an axis, in inches

LINE = 0.23  # height of a line of text, in inches


def fitting_legend(parent: Axes | Figure, handles: Sequence[Artist], *, width: float, **where: Any) -> Legend:
    """Add a legend with the most columns that fit, and equally long ones.

    Args:
        parent: The axes or the figure.
        handles: The entries.
        width: The width that there is, in inches.
        **where: Options of `matplotlib.legend.Legend`, such as its place.

    Returns:
        The legend; of one column if not even that fits.

    Example:

    >>> from matplotlib.lines import Line2D
    >>> entries = [Line2D([], [], label=f"a name of some length {i}") for i in range(4)]
    >>> len(fitting_legend(Figure((6, 2)), entries, width=5.0).get_texts())
    4
    """
    number = len(handles)
    # Each number of rows once, with the fewest columns that it needs.
    choices = sorted({math.ceil(number / rows) for rows in range(1, number + 1)}, reverse=True)
    for columns in choices:
        legend = parent.legend(handles=handles, ncols=columns, **where)
        if legend.get_window_extent().width <= width * legend.figure.dpi or columns == 1:
            break
        legend.remove()
    return legend


def legend_height(legend: Legend) -> float:
    """Return the height of a legend in inches."""
    return float(legend.get_window_extent().height / legend.figure.dpi)


def panel_width(axes: Axes) -> float:
    """Return the width of a panel in inches, without its ticks and labels."""
    spec, figure = axes.get_subplotspec(), axes.get_figure(root=True)
    if spec is None or figure is None:
        return math.inf
    return float(figure.get_figwidth() / spec.get_gridspec().ncols - LABELS)


def room_above(all_axes: Sequence[Axes]) -> float:
    """Return the height in inches of the legends above panels, beyond a line of each row of panels."""
    extra: dict[int, float] = {}
    for axes in all_axes:
        spec, legend = axes.get_subplotspec(), axes.get_legend()
        if spec is not None and legend is not None:
            row = spec.rowspan.start
            extra[row] = max(extra.get(row, 0.0), legend_height(legend) - LINE)
    return sum(extra.values())
