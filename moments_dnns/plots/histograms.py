"""Histograms over realizations: those of one experiment over one another, those of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch

from moments_dnns.analysis.statistics import bin_edges, density
from moments_dnns.theory.finite import Density

from .specs import Panel, ShownExperiment
from .style import SEQUENCE, looks
from .theory_lines import EXACT

MOST_NAMED = 6  # depths in a legend, and depths at which experiments are side by side

MOST_SIDE_BY_SIDE = 6  # experiments

LEAST_DENSITY = 1e-3  # of a law, relative to its maximum: lower tails would be much wider than the histograms

WIDTH = 0.9  # of the largest histogram side by side, in distances from one to the next


def draw_histograms(axes: Axes, panel: Panel, experiments: Sequence[ShownExperiment]) -> list[StepPatch]:
    """Draw densities of ln x at each depth and return the entries of the legend.

    Those of one experiment are over one another, with a colour for each depth. Those of several are side by side at
    each depth, with a colour for each experiment.

    Args:
        axes: The axes to draw on.
        panel: A panel of kind `"histogram"`.
        experiments: The experiments, at most `MOST_SIDE_BY_SIDE`.
    """
    if experiments[0].label is None:
        return _over_one_another(axes, panel, experiments[0])
    _side_by_side(axes, panel, experiments)
    return []


def _over_one_another(axes: Axes, panel: Panel, experiment: ShownExperiment) -> list[StepPatch]:
    samples, depths = panel.curves[0].logs(experiment.data), experiment.data["depth"]
    edges, named, handles = bin_edges(samples), _evenly(depths), []
    colors = SEQUENCE(np.linspace(0, 1, len(depths)))
    for depth, sample, color in zip(depths, samples.T, colors, strict=True):
        heights = density(sample, edges)
        axes.stairs(heights, edges, fill=True, color=color, alpha=min(0.2, 1 / len(depths)))
        outline = axes.stairs(heights, edges, color=color, linewidth=1.2)
        if depth in named:
            outline.set_label(f"$l={depth:g}$")
            handles.append(outline)
    for law, color in zip(_laws(panel, experiment), colors, strict=False):
        visible = law.density > LEAST_DENSITY * law.density.max()
        axes.plot(law.grid[visible], law.density[visible], **{**EXACT, "color": color})
    axes.set_ylim(bottom=0)
    return handles


def _side_by_side(axes: Axes, panel: Panel, experiments: Sequence[ShownExperiment]) -> None:
    """Draw densities from bottom to top, each relative to its own maximum."""
    number, depths = len(experiments), _evenly(np.unique(np.concatenate([each.data["depth"] for each in experiments])))
    positions = {depth: i * (number + 1) for i, depth in enumerate(depths)}
    for i, (experiment, look) in enumerate(zip(experiments, looks(number), strict=True)):
        samples, laws = panel.curves[0].logs(experiment.data), _laws(panel, experiment)
        edges = bin_edges(samples)
        for j, depth in enumerate(experiment.data["depth"]):
            if depth in positions:
                _upright(
                    axes, density(samples[:, j], edges), edges, positions[depth] + i, look["color"], laws[j : j + 1]
                )
    axes.set_xlim(-1, max(positions.values()) + number + 1)
    axes.set_xticks([start + number / 2 for start in positions.values()], [f"{depth:g}" for depth in positions])
    axes.tick_params(axis="x", length=0)


def _upright(
    axes: Axes, heights: np.ndarray, edges: np.ndarray, start: float, color: Any, laws: Sequence[Density]
) -> None:
    """Draw a histogram and its law, if there is one, from bottom to top, with its foot at `start`."""
    filled = np.flatnonzero(heights)
    if not filled.size:
        return
    scale, bins = WIDTH / heights.max(), slice(filled[0], filled[-1] + 1)
    heights, edges = start + scale * heights[bins], edges[bins.start : bins.stop + 1]
    axes.stairs(heights, edges, baseline=start, orientation="horizontal", fill=True, color=color, alpha=0.35)
    axes.stairs(heights, edges, baseline=start, orientation="horizontal", color=color, linewidth=1.0)
    for law in laws:
        visible = law.density > LEAST_DENSITY * law.density.max()
        axes.plot(start + scale * law.density[visible], law.grid[visible], **EXACT)


def _evenly(depths: np.ndarray) -> np.ndarray:
    """Return at most `MOST_NAMED` of the depths, evenly among them, the first and the last included."""
    return depths[np.unique(np.linspace(0, len(depths) - 1, MOST_NAMED).round()).astype(int)]


def _laws(panel: Panel, experiment: ShownExperiment) -> Sequence[Density]:
    return experiment.overlay.densities.get(panel.curves[0].over, ()) if experiment.overlay else ()
