"""Drawing: the only module that imports Matplotlib. What is drawn is said in `figures`, in what way is said here.

Every value is drawn from its natural logarithm. Logarithmic axes are plain axes of log10 with ticks that read as
powers of ten, because a sensitivity of 10^868 is a fair number to draw and has no float64.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .analysis import PowerLaw, bin_edges, density, log_band, power_law
from .figures import FIGURES, Drawing, Panel, read
from .validation import refusal

STYLE: dict[str, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 11,
    "axes.labelsize": 12,
    "legend.fontsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.linewidth": 0.7,
    "axes.formatter.useoffset": False,
    "axes.xmargin": 0.02,
    "axes.ymargin": 0.06,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "legend.handletextpad": 0.5,
    "legend.borderaxespad": 0.2,
    "legend.borderpad": 0.2,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "figure.dpi": 120,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
}
# Colours of Okabe and Ito whose luminances differ as well, so that they stay apart in print without colour.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#E69F00", "marker": "s"},
    {"color": "#000000", "marker": "^"},
)
# How a natural logarithm is drawn: on a linear axis, and on a logarithmic one.
VIEWS: dict[bool, Callable[[Any], Any]] = {False: np.exp, True: partial(np.multiply, math.log10(math.e))}
DEPTHS = "viridis"  # its luminance grows evenly: the order of depths can be read without colour
SUFFIXES = (".pdf", ".png", ".svg")
MARKERS_PER_CURVE = 8
DEPTHS_IN_LEGEND = 6
LARGEST_LINEAR = math.log(1e4)  # beyond this, an axis is logarithmic whatever its row says
STEPS = (1, 2, 2.5, 5, 10)  # of ticks
LEAST_SPAN = 1e-6  # of an axis: what is smaller is round-off


class PaperFigure(Figure):
    """A Matplotlib figure that is always saved in our style, and that notebooks show without pyplot."""

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """Save as `matplotlib.figure.Figure.savefig` does, at 300 dpi and with TrueType fonts."""
        with style.context(STYLE):
            super().savefig(*args, **kwargs)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=self.dpi)
        return picture.getvalue()


def plot_vanilla_histo(moments: Mapping[str, Any], *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw figure 2: how the log-moments of vanilla nets spread over realizations, at each measured depth.

    Panels: densities of (a) ln nu2_signal_loc3, (b) ln mu2_noise_loc3.

    Args:
        moments: `Moments`, or any mapping from names to arrays of shape (num_realizations, num_computations), pruned
            or not, with `depth` of shape (num_computations,).
        path: Where to save the figure too: a file name in .pdf, .png or .svg.

    Returns:
        The Matplotlib figure, unknown to pyplot.

    Raises:
        TypeError: If `moments` is not a mapping, or an array does not hold real numbers.
        ValueError: If arrays are missing, shapes do not match, or the suffix of `path` is another.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> logs = np.cumsum(rng.normal(-0.01, 0.14, (200, 4)), axis=1)
    >>> arrays = {"nu2_signal_loc3": np.exp(logs), "log_mu2_noise_loc3": logs, "depth": [50, 100, 150, 200]}
    >>> len(plot_vanilla_histo(arrays).axes)
    2

    Reference: figure 2 of arXiv 1811.03087.
    """
    return plot_figure("vanilla_histo", moments, path=path)


def plot_vanilla(moments: Mapping[str, Any], *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw figure 3: vanilla nets over depth.

    Panels: (a) growth of the sensitivity in a layer, chi_loc3 / chi_loc1, (b) reff_signal_loc3. Curves are means over
    realizations, bands hold the 16th to 84th percentile.

    Args, returns and raises: as `plot_vanilla_histo`.

    Example:

    >>> ones = np.ones((5, 3))
    >>> plot_vanilla({"chi_loc1": ones, "chi_loc3": 1.1 * ones, "reff_signal_loc3": 2 * ones, "depth": [2, 4, 6]})
    <PaperFigure size 816x300 with 2 Axes>

    Reference: figure 3 of arXiv 1811.03087.
    """
    return plot_figure("vanilla", moments, path=path)


def plot_bn_ff(moments: Mapping[str, Any], *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw figure 4: batch-normalized feedforward nets over depth.

    Panels: (a) growth of the sensitivity in batch norm, chi_loc3 / chi_loc1, in the activation, chi_loc4 / chi_loc3,
    and in the layer, (b) chi_loc4, (c) reff_noise_loc4 and reff_signal_loc4, (d) mu4_signal_loc3 and
    nu1_abs_signal_loc3. Curves are means over realizations, bands hold the 16th to 84th percentile.

    Args, returns and raises: as `plot_vanilla_histo`.

    Example:

    >>> arrays = {name: np.ones((5, 3)) for name in FIGURES["bn_ff"].needs}
    >>> len(plot_bn_ff(arrays | {"depth": [2, 4, 6]}).axes)
    4

    Reference: figure 4 of arXiv 1811.03087.
    """
    return plot_figure("bn_ff", moments, path=path)


def plot_bn_res(moments: Mapping[str, Any], *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw figure 5: batch-normalized residual nets over depth, with the power law of their sensitivity.

    Panels: (a) growth of the sensitivity in the first layer of a unit's branch: in batch norm, chi_loc2 / chi_loc1, in
    activation and convolution, chi_loc4 / chi_loc2, and in the layer, (b) chi_loc5 and c l^tau (see
    `analysis.power_law`), (c) reff_noise_loc3 and reff_signal_loc3, (d) mu4_signal_loc2 and nu1_abs_signal_loc2.
    Curves are means over realizations, bands hold the 16th to 84th percentile.

    Args, returns and raises: as `plot_vanilla_histo`; `moments` has `res_depth` too.

    Example:

    >>> arrays = {name: np.ones((5, 3)) for name in FIGURES["bn_res"].needs}
    >>> len(plot_bn_res(arrays | {"depth": [5, 10, 15], "res_depth": 2}).axes)
    4

    Reference: figure 5 of arXiv 1811.03087.
    """
    return plot_figure("bn_res", moments, path=path)


def plot_figure(type_plot: str, moments: Mapping[str, Any], *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the figure of that name in `FIGURES`; the functions above say what it shows and takes.

    Example:

    >>> plot_figure("vanilla", {}, path="figures/vanilla.doc")
    Traceback (most recent call last):
    ValueError: path must end in .pdf, .png, .svg. Received: path='figures/vanilla.doc'
    """
    if path is not None and Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(refusal(f"path must end in {', '.join(SUFFIXES)}.", path=path))
    data = read(type_plot, moments)
    with style.context(["default", STYLE]):
        figure = _draw(FIGURES[type_plot], data)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    return figure


def _draw(drawing: Drawing, data: Mapping[str, Any]) -> Figure:
    rows = math.ceil(len(drawing.panels) / 2)
    figure = PaperFigure(figsize=(6.8, 2.5 * rows), layout="constrained")
    for letter, panel, axes in zip("abcdefgh", drawing.panels, figure.subplots(rows, 2).flat, strict=False):
        axes.annotate(f"({letter})", (0, 1), (-34, 7), xycoords="axes fraction", textcoords="offset points")
        DRAW[panel.kind](axes, panel, data)
        labels = (drawing.depth, panel.label) if panel.kind == "curves" else (panel.label, "density")
        axes.set(xlabel=labels[0], ylabel=labels[1])
        if not any(np.isfinite(curve.logs(data)).any() for curve in panel.curves):
            axes.text(0.5, 0.75, "nothing finite to draw", transform=axes.transAxes, ha="center", va="center")
        entries = len(axes.get_legend_handles_labels()[1])
        if entries > 1:  # above the axes, where no data can be; in rows of one length
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=math.ceil(entries / math.ceil(entries / 3)))
    return figure


def _draw_curves(axes: Axes, panel: Panel, data: Mapping[str, Any]) -> None:
    depth = data["depth"]
    bands = [log_band(curve.logs(data)) for curve in panel.curves]
    log = panel.log or bool((np.array(bands) > LARGEST_LINEAR).any())
    view = VIEWS[log]
    every = math.ceil(len(depth) / MARKERS_PER_CURVE)
    if panel.reference:
        axes.axhline(view(0.0), color="0.4", linewidth=0.7, linestyle=(0, (5, 3)), zorder=1)
    for i, (curve, band, look) in enumerate(zip(panel.curves, bands, cycle(LOOKS), strict=False)):
        axes.fill_between(
            depth,
            view(band.lower),
            view(band.upper),
            facecolor=(look["color"], 0.25),
            edgecolor=(look["color"], 0.4),
            linewidth=0.6,
        )
        # Markers of different curves stand at different depths, so that none is hidden.
        axes.plot(depth, view(band.mean), label=f"${curve.label}$", markevery=(i * every // len(bands), every), **look)
    if panel.power_law:
        first, last = panel.power_law
        law = power_law(depth, data[panel.curves[0].over], data[first], data[last], data["res_depth"])
        _draw_power_law(axes, depth, law, log)
    margin = 0.02 * (depth[-1] - depth[0]) or 0.5
    axes.set_xlim(depth[0] - margin, depth[-1] + margin)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=STEPS, integer=True, min_n_ticks=1))
    low, high = axes.get_ylim()
    if high - low < (least := LEAST_SPAN * max(abs(low), abs(high), 1)):
        axes.set_ylim(low - least, high + least)
    if log:
        axes.yaxis.set_major_locator(LogTicks())
        axes.yaxis.set_minor_locator(LogTicks(minor=True))
        axes.yaxis.set_major_formatter(LogFormat())


def _draw_power_law(axes: Axes, depth: np.ndarray, law: PowerLaw, log: bool) -> None:
    if math.isfinite(law.tau) and math.isfinite(law.log_c):
        smooth = np.linspace(depth[0], depth[-1], 200)
        c = _number(law.log_c / math.log(10), plain=abs(law.log_c) < LARGEST_LINEAR, digits=3)
        label = rf"$c\,l^\tau$: $\tau={law.tau:#.3g}$, $c={c}$"
        fit = VIEWS[log](law.log_c + law.tau * np.log(smooth))
        # The limits of a logarithmic axis belong to the data: a fit that fails may fall by any number of decades.
        (axes.add_artist if log else axes.add_line)(Line2D(smooth, fit, label=label, color="black", linestyle="--"))


def _draw_histogram(axes: Axes, panel: Panel, data: Mapping[str, Any]) -> None:
    depth, samples = data["depth"], panel.curves[0].logs(data)
    edges = bin_edges(samples)
    named = np.unique(np.linspace(0, len(depth) - 1, DEPTHS_IN_LEGEND).round())
    colors = matplotlib.colormaps[DEPTHS](np.linspace(0, 0.85, len(depth)))
    for i, color in enumerate(colors):
        heights = density(samples[:, i], edges)
        axes.stairs(heights, edges, fill=True, color=color, alpha=min(0.2, 1 / len(depth)))
        axes.stairs(heights, edges, color=color, linewidth=1.2, label=f"$l={depth[i]:g}$" if i in named else None)
    axes.set_ylim(bottom=0)


DRAW = {"curves": _draw_curves, "histogram": _draw_histogram}


class LogTicks(ticker.Locator):
    """Ticks of an axis of log10: powers of ten, or on a short axis round numbers.

    Args:
        minor: Whether to mark 2 to 9 times the powers of ten, where they fit, instead.

    Example:

    >>> [round(10 ** tick) for tick in LogTicks().tick_values(0, 2)]
    [1, 2, 5, 10, 20, 50, 100]
    """

    def __init__(self, minor: bool = False) -> None:
        self.minor = minor

    def __call__(self) -> Any:
        """Return the ticks of the axis as it is."""
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return the ticks between two ends of the axis."""
        low, high = sorted((vmin, vmax))
        span, decade = high - low, math.floor(low)
        factors = range(2, 10) if self.minor else (1, 2, 5)
        if span > (5 if self.minor else 2.2):
            ticks: Any = [] if self.minor else ticker.MaxNLocator(5, integer=True).tick_values(low, high)
        elif self.minor or span > 0.8:
            ticks = [power + math.log10(factor) for power in range(decade, math.ceil(high) + 1) for factor in factors]
        else:
            ends = 10 ** (low - decade), 10 ** (high - decade)
            ticks = [decade + math.log10(x) for x in ticker.MaxNLocator(5, steps=STEPS).tick_values(*ends) if x > 0]
        return [float(tick) for tick in ticks if low <= tick <= high]


class LogFormat(ticker.Formatter):
    """Text of ticks of an axis of log10: plain numbers where all are near 1, powers of ten elsewhere."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the text of a tick."""
        ends = self.axis.get_view_interval()  # type: ignore[union-attr]
        return f"${_number(x, plain=max(map(abs, ends)) < 4)}$"


def _number(log10: float, *, plain: bool, digits: int = 9) -> str:
    r"""Return mathtext of 10^log10.

    >>> print(_number(math.log10(20), plain=True), _number(math.log10(2e100), plain=False))
    20 2\times10^{100}
    """
    exponent = 0 if plain else math.floor(log10 + 1e-9)
    mantissa = f"{10 ** (log10 - exponent):.{digits}g}"
    if plain:
        return mantissa
    return rf"10^{{{exponent}}}" if mantissa == "1" else rf"{mantissa}\times10^{{{exponent}}}"
