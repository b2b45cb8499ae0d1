"""Panels: curves with bands over depth, and histograms, of one experiment or of several over one another.

Every value is drawn from its natural logarithm. Logarithmic axes are plain axes of log10 with ticks that read as
powers of ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from moments_dnns.analysis.power_laws import PowerLaw, bootstrap_power_law, power_law
from moments_dnns.analysis.statistics import Band, bin_edges, density, log_band, log_mean
from moments_dnns.theory.closed_forms import activation_growth

from .specs import Curve, Drawing, Panel
from .theory_overlay import Overlay
from .ticks import STEPS, LogFormat, LogTicks, number

# Colours of Okabe and Ito whose luminances differ as well, so that they stay apart in print without colour.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#E69F00", "marker": "s"},
    {"color": "#000000", "marker": "^"},
)


SEQUENCE = "viridis"  # its luminance grows evenly: an order can be read without colour


MARKERS = "os^Dv<P>X"


DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))


# How a natural logarithm is drawn: on a linear axis, and on a logarithmic one.
VIEWS: dict[bool, Callable[[Any], Any]] = {False: np.exp, True: partial(np.multiply, math.log10(math.e))}


MARKERS_PER_CURVE = 8


DEPTHS_IN_LEGEND = 6


# Lines of theory lie above the measured ones, thin enough to leave these visible.
EXACT: dict[str, Any] = {"color": "black", "linestyle": (0, (1, 1.2)), "linewidth": 1.3, "marker": "", "zorder": 4}


RELATION: dict[str, Any] = {**EXACT, "linestyle": (0, (5, 1.5, 1, 1.5)), "linewidth": 1.0}


LEAST_DENSITY = 1e-3  # of a law, relative to its largest: tails below it would leave the histograms no room


LARGEST_LINEAR = math.log(1e4)  # beyond this, an axis is logarithmic whatever its row says


LEAST_SPAN = 1e-6  # of an axis: what is smaller is round-off


class Shown(NamedTuple):
    """An experiment in a picture.

    Args:
        label: Its name in the legend; None where it is alone.
        data: Logarithms of arrays, `depth` and perhaps `res_depth`, as `plots.arrays.read` returns them.
        overlay: What theory says of it, where that is drawn too.
    """

    label: str | None
    data: Mapping[str, Any]
    overlay: Overlay | None = None


class Drawn(NamedTuple):
    """One curve of one experiment, its band, and how it looks."""

    shown: Shown
    curve: Curve
    band: Band
    look: dict[str, Any]


def draw(figure: Figure, drawing: Drawing, experiments: Sequence[Shown]) -> None:
    """Draw all panels of a drawing, and above them the legend of experiments, where these have labels."""
    rows = math.ceil(len(drawing.panels) / 2)
    every = figure.subplots(rows, 2, squeeze=False).flat
    draw_panels(figure, every, drawing, experiments)
    for axes in every[len(drawing.panels) :]:
        axes.set_axis_off()


def draw_panels(figure: Figure, every: Iterable[Axes], drawing: Drawing, experiments: Sequence[Shown]) -> None:
    """Draw the panels of a drawing on the axes of a figure, in order, with the legend of experiments."""
    for letter, panel, axes in zip("abcdefgh", drawing.panels, every, strict=False):
        axes.annotate(f"({letter})", (0, 1), (-34, 7), xycoords="axes fraction", textcoords="offset points")
        handles = DRAW[panel.kind](axes, panel, experiments)
        labels = (drawing.depth, panel.label) if panel.kind == "curves" else (panel.label, "density")
        axes.set(xlabel=labels[0], ylabel=labels[1])
        if not any(np.isfinite(curve.logs(shown.data)).any() for curve in panel.curves for shown in experiments):
            axes.text(0.5, 0.75, "nothing finite to draw", transform=axes.transAxes, ha="center", va="center")
        if len(handles) > 1 or (handles and experiments[0].label):  # above the axes, where no data can be
            columns = _columns(len(handles), 2 if panel.power_law else 3)
            axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=columns)
    if theory := _theory_handles(drawing, experiments):
        figure.legend(handles=theory, loc="outside lower center")
    if experiments[0].label:
        histograms = drawing.panels[0].kind == "histogram"
        names = _labels(experiments, histograms)
        figure.legend(handles=names, loc="outside upper center", ncols=_columns(len(names), 4))


def _columns(entries: int, most: int) -> int:
    """Return how many columns, at most, give a legend rows of one length."""
    return math.ceil(entries / math.ceil(entries / most))


def looks(count: int) -> list[dict[str, Any]]:
    """Return colours and markers for so many curves, apart in grey too; from four on they show an order.

    Example:

    >>> [look["marker"] for look in looks(5)]
    ['o', 's', '^', 'D', 'v']
    """
    if count <= len(LOOKS):
        return list(LOOKS[:count])
    colors = matplotlib.colormaps[SEQUENCE](np.linspace(0, 0.9, count))
    return [{"color": tuple(color), "marker": MARKERS[i % len(MARKERS)]} for i, color in enumerate(colors)]


def _labels(experiments: Sequence[Shown], histograms: bool) -> list[Line2D]:
    styles = [{"color": "0.2", "linestyle": dash} for dash in DASHES] if histograms else looks(len(experiments))
    return [Line2D([], [], label=shown.label, **style) for shown, style in zip(experiments, styles, strict=False)]


def _drawn(panel: Panel, experiments: Sequence[Shown]) -> Iterator[Drawn]:
    """Yield all curves: alone, an experiment has a colour for each; among others, one colour and dashes for each."""
    alone = experiments[0].label is None
    for i, shown in enumerate(experiments):
        for j, curve in enumerate(panel.curves):
            look = (
                looks(len(panel.curves))[j]
                if alone
                else {**looks(len(experiments))[i], "linestyle": DASHES[j % len(DASHES)]}
            )
            yield Drawn(shown, curve, log_band(curve.logs(shown.data)), look)


def _draw_curves(axes: Axes, panel: Panel, experiments: Sequence[Shown]) -> list[Artist]:
    every = list(_drawn(panel, experiments))
    log = panel.log or bool((np.concatenate([end for drawn in every for end in drawn.band]) > LARGEST_LINEAR).any())
    if panel.reference:
        axes.axhline(VIEWS[log](0.0), color="0.4", linewidth=0.7, linestyle=(0, (5, 3)), zorder=1)
    handles: list[Artist] = []
    for i, drawn in enumerate(every):
        line = _draw_curve(axes, drawn, VIEWS[log], place=i / len(every))
        if drawn.shown.label is None:
            line.set_label(f"${drawn.curve.label}$")
            handles.append(line)
    if experiments[0].label and len(panel.curves) > 1:
        handles += [
            Line2D([], [], color="0.2", linestyle=dash, label=f"${curve.label}$")
            for curve, dash in zip(panel.curves, cycle(DASHES), strict=False)
        ]
    for drawn in every:
        _draw_theory(axes, drawn, VIEWS[log])
    if panel.power_law:
        for drawn in every[:: len(panel.curves)]:
            handles += _draw_power_law(axes, panel.power_law, drawn, log)
    _set_axes(axes, [depth for shown in experiments for depth in shown.data["depth"]], log)
    return handles


def _draw_curve(axes: Axes, drawn: Drawn, view: Callable[[Any], Any], place: float) -> Line2D:
    depth, band, color = drawn.shown.data["depth"], drawn.band, drawn.look["color"]
    axes.fill_between(
        depth, view(band.lower), view(band.upper), facecolor=(color, 0.25), edgecolor=(color, 0.4), linewidth=0.6
    )
    # Markers of different curves stand at different depths, so that none is hidden.
    every = math.ceil(len(depth) / MARKERS_PER_CURVE)
    (line,) = axes.plot(depth, view(band.mean), markevery=(int(place * every), every), **drawn.look)
    return line


def _draw_theory(axes: Axes, drawn: Drawn, view: Callable[[Any], Any]) -> None:
    """Draw a curve of infinite width, and what follows for it from another moment that was measured."""
    overlay, curve, data = drawn.shown.overlay, drawn.curve, drawn.shown.data
    if overlay is None:
        return
    if overlay.exact is not None:
        look = EXACT if drawn.shown.label is None else {**EXACT, "color": drawn.look["color"]}
        axes.plot(overlay.exact["depth"], view(log_band(curve.logs(overlay.exact)).mean), **look)
    if curve.relation and curve.relation in data:
        growth = activation_growth(np.exp(np.minimum(log_mean(data[curve.relation]), 0)))
        axes.plot(data["depth"], view(np.log(growth)), **RELATION)


def _theory_handles(drawing: Drawing, experiments: Sequence[Shown]) -> list[Line2D]:
    """Return what the legend below a figure says of the lines of theory that are in it."""
    overlays = [shown.overlay for shown in experiments if shown.overlay is not None]
    batches = [len(next(iter(each.exact.values()))) for each in overlays if each.exact is not None]
    related = any(curve.relation for panel in drawing.panels for curve in panel.curves)
    said = {
        f"infinite width: exact, mean over {max(batches, default=0)} of the batches": (EXACT, bool(batches)),
        r"$(1-\nu_1^2/2)^{-1/2}$ of the measured $\nu_1$: asymptotic": (RELATION, bool(overlays) and related),
        "one image: exact": (EXACT, any(each.densities for each in overlays)),
    }
    return [Line2D([], [], label=words, **look) for words, (look, drawn) in said.items() if drawn]


def _set_axes(axes: Axes, depths: Sequence[float], log: bool) -> None:
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


def _draw_power_law(axes: Axes, ends: tuple[str, str], drawn: Drawn, log: bool) -> list[Artist]:
    data, (first, last) = drawn.shown.data, ends
    law = power_law(data["depth"], data[drawn.curve.over], data[first], data[last], data["res_depth"])
    if not (math.isfinite(law.tau) and math.isfinite(law.log_c)):
        return []
    depth, alone = data["depth"], drawn.shown.label is None
    smooth = np.linspace(depth[0], depth[-1], 200)
    line = Line2D(
        smooth,
        VIEWS[log](law.log_c + law.tau * np.log(smooth)),
        label=_power_law_label(law, drawn.shown.label, _interval(drawn, first, last)),
        color="black" if alone else drawn.look["color"],
        linestyle="--" if alone else ":",
    )
    # The limits of a logarithmic axis belong to the data: a fit that fails may fall by any number of decades.
    (axes.add_artist if log else axes.add_line)(line)
    return [line]


def _interval(drawn: Drawn, first: str, last: str) -> str:
    """Return the confidence interval of tau in words, where theory is asked for and there are realizations enough."""
    data = drawn.shown.data
    logs = [data[name] for name in (drawn.curve.over, first, last)]
    alone = drawn.shown.label is None  # of several, a legend has no room for it
    if (
        drawn.shown.overlay is None
        or not alone
        or len(logs[0]) < 2
        or not all(np.isfinite(each).all() for each in logs)
    ):
        return ""
    tau = bootstrap_power_law(data["depth"], logs[0], logs[1], logs[2], data["res_depth"]).tau
    return f" [{tau.lower:#.3g}, {tau.upper:#.3g}]"


def _power_law_label(law: PowerLaw, label: str | None, interval: str) -> str:
    if label is not None:
        return rf"$\tau={law.tau:#.3g}$"
    c = number(law.log_c / math.log(10), plain=abs(law.log_c) < LARGEST_LINEAR, digits=3)
    return rf"$c\,l^\tau$: $\tau={law.tau:#.3g}$" + (interval or f", $c={c}$")


def _draw_histogram(axes: Axes, panel: Panel, experiments: Sequence[Shown]) -> list[Artist]:
    """Colours tell depths, dashes tell experiments."""
    depths = np.unique(np.concatenate([shown.data["depth"] for shown in experiments]))
    colors = dict(zip(depths, matplotlib.colormaps[SEQUENCE](np.linspace(0, 0.85, len(depths))), strict=True))
    named = depths[np.unique(np.linspace(0, len(depths) - 1, DEPTHS_IN_LEGEND).round()).astype(int)]
    handles: dict[float, Artist] = {}
    for shown, dash in zip(experiments, DASHES, strict=False):
        samples = panel.curves[0].logs(shown.data)
        edges = bin_edges(samples)
        for depth, sample in zip(shown.data["depth"], samples.T, strict=True):
            heights, color = density(sample, edges), colors[depth]
            axes.stairs(heights, edges, fill=True, color=color, alpha=min(0.2, 1 / len(depths) / len(experiments)))
            outline = axes.stairs(heights, edges, color=color, linewidth=1.2, linestyle=dash)
            if depth in named and depth not in handles:
                outline.set_label(f"$l={depth:g}$")
                handles[depth] = outline
        laws = shown.overlay.densities.get(panel.curves[0].over, ()) if shown.overlay else ()
        for depth, law in zip(shown.data["depth"], laws, strict=False):
            seen = law.density > LEAST_DENSITY * law.density.max()
            axes.plot(law.grid[seen], law.density[seen], **{**EXACT, "color": colors[depth]})
    axes.set_ylim(bottom=0)
    return [handles[depth] for depth in named]


DRAW: dict[str, Callable[[Axes, Panel, Sequence[Shown]], list[Artist]]] = {
    "curves": _draw_curves,
    "histogram": _draw_histogram,
}
