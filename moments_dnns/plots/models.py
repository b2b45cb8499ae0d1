"""The function that draws a characterized model: its layers from left to right, with names and shaded blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moments_dnns._validation import refusal, whole
from moments_dnns.analysis.diagnosis import diagnose
from moments_dnns.analysis.model_layers import blocks, evenly_spaced, layer_arrays
from moments_dnns.results.history import MomentsHistory
from moments_dnns.results.moments import Moments

from .arrays import labelled, read_logarithms
from .docstrings import with_shared_docstring
from .figures import MODEL_LAYERS, MODEL_PANELS
from .panels import draw_panels
from .specs import Drawing, ShownExperiment
from .style import PaperFigure, Path, check, save, styled

# Arrays of some layers only, with the moments that tell of which.
OF_SOME_LAYERS = {
    "reff_signal": "reff_signal",
    "reff_noise": "reff_noise",
    "reff_tokens": "reff_tokens",
    "token_distance": "cosine_tokens",
}

MOST_NAMES = 40  # of layers that are legible below a figure of this width


@with_shared_docstring
def plot_layers(moments: Moments | Mapping[str, Moments], *, path: Path = None, use_tex: bool = False) -> Figure:
    """Draw the moments along the layers of a characterized model.

    Panels: (a) chi, (b) its growth, chi after a layer over chi of its inputs taken together, (c) the distribution of
    the signal, mu4 / mu2^2 and nu1 / sqrt(nu2), which are 3 and 0.80 for a Gaussian, (d) effective ranks of noise and
    signal, joined from one layer of which they were taken to the next. Where all have them, there are panels of the
    norm of gradients, and of the tokens of a sequence: their effective rank, and 1 minus the cosine of two. Curves are
    means over realizations, bands hold the 16th to 84th percentile. Every other block is shaded.
    The verdicts of `diagnose` are below.

    Args:
        moments: The result of `characterize`. Or several of these over one another: a mapping from their labels in the
            legend; layers are then counted instead of named.

    Raises:
        TypeError: If `moments` are not those of a model, or a label is not a string.
        ValueError: If a label is empty, the suffix of `path` is another, or LaTeX is asked for and not installed.

    Example:

    >>> from moments_dnns import Moments
    >>> from moments_dnns.descriptions.characterization import Characterization
    >>> model = Characterization("net", ("image", "dense"), ((), (0,)), 1, (8, 4, 4, 1), "array-0123")
    >>> figure = plot_layers(Moments({name: np.ones((1, 2)) for name in model.array_names}, model))
    >>> [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    ['image', 'dense']

    Reference: section 3 of arXiv 1811.03087.
    """
    check(path, use_tex)
    results = labelled(moments)
    if None not in results:
        return _drawn(results, None, "", path, use_tex)
    alone = results[None]
    layer_arrays(alone)  # refuses what is no model
    return _drawn(results, [str(name) for name in alone["layer"]], diagnose(alone).line, path, use_tex)


@with_shared_docstring
def plot_training(history: MomentsHistory, *, count: int = 6, path: Path = None, use_tex: bool = False) -> Figure:
    """Draw the moments along the layers of a model at several steps of its training, in the panels of `plot_layers`.

    Args:
        history: What a `MomentsLogger` has measured.
        count: Largest number of steps, evenly spaced among those that were measured, the first and the last among them.

    Raises:
        TypeError: If `history` is anything else.
        ValueError: If `count` is less than 2, the suffix of `path` is another, or LaTeX is asked for and not installed.

    Example:

    >>> from moments_dnns import Moments
    >>> from moments_dnns.descriptions.characterization import Characterization
    >>> model = Characterization("net", ("image", "dense"), ((), (0,)), 1, (8, 4, 4, 1), "array-0123")
    >>> result = Moments({name: np.ones((1, 2)) for name in model.array_names}, model)
    >>> figure = plot_training(MomentsHistory([0, 100], [result, result]))
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['step 0', 'step 100']

    Reference: section 3 of arXiv 1811.03087, for the moments.
    """
    check(path, use_tex)
    if not isinstance(history, MomentsHistory):
        raise TypeError(refusal("history must be that of a MomentsLogger.", history=type(history).__name__))
    shown = evenly_spaced(history.steps, whole(2)("count", count))
    results: dict[str | None, Moments] = {f"step {history.steps[each]}": history.moments[each] for each in shown}
    return _drawn(results, [str(name) for name in history["layer"]], "", path, use_tex)


def _drawn(
    results: Mapping[str | None, Moments], names: Sequence[str] | None, line: str, path: Path, use_tex: bool
) -> Figure:
    """Return the figure of results, with the names of layers where these are the same, and a line below."""
    arrays = {label: layer_arrays(each) for label, each in results.items()}
    added = [panel for name, panel in MODEL_PANELS.items() if all(name in each for each in arrays.values())]
    drawing = Drawing((*MODEL_LAYERS.panels, *added), MODEL_LAYERS.depth)
    shown = [ShownExperiment(label, _logarithms(each, arrays[label], drawing)) for label, each in results.items()]
    with styled(use_tex):
        rows = len(drawing.panels)
        figure = PaperFigure(figsize=(6.8, 1.75 * rows + 0.8), layout="constrained", use_tex=use_tex)
        all_axes = figure.subplots(rows, 1, sharex=True)
        draw_panels(figure, all_axes, drawing, shown)
        for axes in all_axes:
            axes.label_outer()
        if names is not None:
            _shade_blocks(all_axes, names)
            name_layers(all_axes[-1], [name.replace("_", r"\_") if use_tex else name for name in names])
        if line:
            figure.supxlabel(line, fontsize=11)
    save(figure, path)
    return figure


def _logarithms(moments: Moments, arrays: dict[str, np.ndarray], drawing: Drawing) -> dict[str, Any]:
    """Return what `read_logarithms` does, with what some layers have on the line between them.

    Before the first of these and behind the last they are NaN, without a warning.
    """
    joined, outside = dict(arrays), dict[str, np.ndarray]()
    for name in arrays.keys() & OF_SOME_LAYERS.keys():
        taken = np.flatnonzero(moments.experiment.is_taken(OF_SOME_LAYERS[name]))
        layers = np.arange(arrays[name].shape[1])
        ends = (taken[0], taken[-1]) if taken.size else (1, 0)
        outside[name] = (layers < ends[0]) | (layers > ends[1])
        rows = [np.interp(layers, taken, row[taken]) if taken.size else np.ones(len(layers)) for row in arrays[name]]
        joined[name] = np.stack(rows)
    logarithms = read_logarithms("layers", joined, drawing)
    outside = {name: columns for name, columns in outside.items() if name in logarithms}
    return logarithms | {name: np.where(columns, np.nan, logarithms[name]) for name, columns in outside.items()}


def _shade_blocks(all_axes: Sequence[Axes], names: Sequence[str]) -> None:
    for _, start, length in list(blocks(names))[::2]:
        for axes in all_axes:
            axes.axvspan(start + 0.5, start + length + 0.5, color="0.93", zorder=0, linewidth=0)


def name_layers(axes: Axes, names: Sequence[str]) -> None:
    """Label the axis of depth with the names of layers: with all, or with evenly spaced ones, the last among them."""
    step = math.ceil(len(names) / MOST_NAMES)
    named = np.arange(len(names) - 1, -1, -step)[::-1]
    axes.set_xticks(named + 1, [names[layer] for layer in named], rotation=90, fontsize=6)
