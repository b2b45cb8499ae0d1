"""The figure of a sweep of widths: moments over the width, and their slopes layer by layer."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from moments_dnns._validation import refusal
from moments_dnns.analysis.model_layers import evenly_spaced
from moments_dnns.analysis.statistics import log_mean
from moments_dnns.analysis.widths import COLUMNS, WidthSweep

from .curves import set_axes
from .docstrings import with_shared_docstring
from .models import name_layers
from .style import MARKERS, SEQUENCE, PaperFigure, Path, check, save, styled

MOST_CURVES = 6

SYMBOLS = {"nu1_abs_signal": r"\nu_1(|\mathbf{x}|)", "chi": r"\chi", "gradient": r"\|\nabla_{\mathbf{x}}\|"}


@with_shared_docstring
def plot_sweep(found: WidthSweep, *, path: Path = None, use_tex: bool = False) -> Figure:
    """Draw how the moments of a model scale with its width.

    Left: the mean magnitude of the signal, chi and, where it was measured, the norm of the gradient over the width, of
    some layers, as means over realizations. Right: the slopes of all layers with their 95 % intervals; at 0, nothing
    changes with the width.

    Args:
        found: What `sweep` returns.

    Raises:
        TypeError: If `found` is anything else.
        ValueError: If the suffix of `path` is another, or LaTeX is asked for and not installed.

    Example:

    >>> from moments_dnns import Moments
    >>> from moments_dnns.descriptions.characterization import Characterization
    >>> model = Characterization("net", ("x", "dense"), ((), (0,)), 4, (8, 2), "array-0123")
    >>> result = Moments({name: np.ones((4, 2)) for name in model.array_names}, model)
    >>> len(plot_sweep(WidthSweep((64, 256), (result, result))).axes)
    4

    Reference: arXiv 2203.03466, appendix D.1.
    """
    check(path, use_tex)
    if not isinstance(found, WidthSweep):
        raise TypeError(refusal("found must be that of sweep().", found=type(found).__name__))
    taken = [name for name in COLUMNS if name in found.moments[0]]
    names = [name.replace("_", r"\_") if use_tex else name for name in found.layers]
    curves = evenly_spaced(names, MOST_CURVES)
    colors = SEQUENCE(np.linspace(0, 1, len(curves)))
    widths = np.log10(found.widths)
    with styled(use_tex):
        figure = PaperFigure(figsize=(6.8, 2.1 * len(taken) + 1.2), layout="constrained", use_tex=use_tex)
        all_axes = figure.subplots(len(taken), 2, squeeze=False, sharex="col")
        for (left, right), name in zip(all_axes, taken, strict=True):
            means = log_mean(found.logarithms(name)) * math.log10(math.e)
            for layer, color, marker in zip(curves, colors, MARKERS, strict=False):
                left.plot(widths, means[layer], color=color, marker=marker, label=names[layer])
            set_axes(left, widths.tolist(), log=True)
            left.set_ylabel(f"${SYMBOLS[name]}$")
            right.set_ylabel(f"slope of ${SYMBOLS[name]}$")
            right.axhline(0, color="0.4", linewidth=0.7, linestyle=(0, (5, 3)), zorder=1)
            for layer, slope in enumerate(found.slopes(name).values()):
                ends = [[slope.value - slope.lower], [slope.upper - slope.value]] if slope.is_bounded else None
                right.errorbar([layer + 1], [slope.value], ends, color="#0072B2", marker="o", markersize=3, capsize=2)
        all_axes[-1, 0].set_xlabel("width")
        all_axes[-1, 0].set_xticks(widths, [str(width) for width in found.widths])
        all_axes[-1, 1].set_xlim(0.5, len(names) + 0.5)
        name_layers(all_axes[-1, 1], names)
        handles, labels = all_axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=math.ceil(len(labels) / 2))
    save(figure, path)
    return figure
