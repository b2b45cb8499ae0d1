"""Histograms: densities over realizations at every depth, of one experiment or of several over one another."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch

from moments_dnns.analysis.statistics import bin_edges, density

from .specs import Panel, ShownExperiment
from .style import DASHES, SEQUENCE
from .theory_lines import EXACT

DEPTHS_IN_LEGEND = 6

LEAST_DENSITY = 1e-3  # of a law, relative to its maximum: lower tails would be much wider than the histograms


def draw_histograms(axes: Axes, panel: Panel, experiments: Sequence[ShownExperiment]) -> list[StepPatch]:
    """Draw densities of ln x, with a colour for each depth and dashes for each experiment, and return legend entries.

    Args:
        axes: The axes to draw on.
        panel: A panel of kind `"histogram"`.
        experiments: The experiments, at most as many as `DASHES`.
    """
    depths = np.unique(np.concatenate([experiment.data["depth"] for experiment in experiments]))
    colors = dict(zip(depths, matplotlib.colormaps[SEQUENCE](np.linspace(0, 0.85, len(depths))), strict=True))
    named = depths[np.unique(np.linspace(0, len(depths) - 1, DEPTHS_IN_LEGEND).round()).astype(int)]
    handles: dict[float, StepPatch] = {}
    for experiment, dash in zip(experiments, DASHES, strict=False):
        samples = panel.curves[0].logs(experiment.data)
        edges = bin_edges(samples)
        for depth, sample in zip(experiment.data["depth"], samples.T, strict=True):
            heights, color = density(sample, edges), colors[depth]
            axes.stairs(heights, edges, fill=True, color=color, alpha=min(0.2, 1 / len(depths) / len(experiments)))
            outline = axes.stairs(heights, edges, color=color, linewidth=1.2, linestyle=dash)
            if depth in named and depth not in handles:
                outline.set_label(f"$l={depth:g}$")
                handles[depth] = outline
        laws = experiment.overlay.densities.get(panel.curves[0].over, ()) if experiment.overlay else ()
        for depth, law in zip(experiment.data["depth"], laws, strict=False):
            visible = law.density > LEAST_DENSITY * law.density.max()
            axes.plot(law.grid[visible], law.density[visible], **{**EXACT, "color": colors[depth]})
    axes.set_ylim(bottom=0)
    return [handles[depth] for depth in named]
