"""The functions that draw experiments: figures 2 to 5 of the paper, any architecture, and a summary.

The content of the figures is in `figures`, `architectures` and `summary`; `panels` draws it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from moments_dnns._validation import boolean, one_of, refusal
from moments_dnns.analysis.diagnosis import diagnose
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.results.moments import Moments

from .architectures import OF_ARCHITECTURE, drawing_of
from .arrays import labelled, read_logarithms
from .docstrings import with_shared_docstring
from .figures import FIGURES
from .histograms import MOST_SIDE_BY_SIDE
from .legends import LINE
from .panels import draw
from .specs import Drawing, ShownExperiment
from .style import Path, check, save, styled
from .summary import LINE_LENGTH, parameters, summary_drawing
from .theory_overlay import overlay_of


@with_shared_docstring
def plot_vanilla_histo(
    moments: Mapping[str, Any], *, theory: bool = False, path: Path = None, use_tex: bool = False
) -> Figure:
    """Draw figure 2: the distribution of log-moments of vanilla nets over realizations, at each measured depth.

    Panels: densities of (a) ln nu2_signal_loc3, (b) ln mu2_noise_loc3.

    Args:
        moments: `Moments`, or any mapping from names to arrays of shape (num_realizations, num_computations), pruned or
            not, with `depth` of shape (num_computations,). Or up to 6 of these side by side: a mapping from their
            labels in the legend; colours then distinguish experiments, and at each depth the histograms, upright and
            each relative to its own maximum, stand in the order of the legend.
        theory: Whether the exact law of ln nu2 for one image is drawn too, as a dotted line, of `Moments` of fully
            connected networks; a warning names densities that have none.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> logs = np.cumsum(rng.normal(-0.01, 0.14, (200, 4)), axis=1)
    >>> arrays = {"nu2_signal_loc3": np.exp(logs), "log_mu2_noise_loc3": logs, "depth": [50, 100, 150, 200]}
    >>> len(plot_vanilla_histo(arrays).axes)
    2
    >>> wide = {**arrays, "nu2_signal_loc3": np.exp(logs / 2), "log_mu2_noise_loc3": logs / 2}
    >>> figure = plot_vanilla_histo({"128 channels": arrays, "512 channels": wide})

    Reference: figure 2 of arXiv 1811.03087.
    """
    return plot_figure("vanilla_histo", moments, theory=theory, path=path, use_tex=use_tex)


@with_shared_docstring
def plot_vanilla(
    moments: Mapping[str, Any], *, theory: bool = False, path: Path = None, use_tex: bool = False
) -> Figure:
    """Draw figure 3: vanilla nets over depth.

    Panels: (a) growth of the sensitivity in a layer, chi_loc3 / chi_loc1, (b) reff_signal_loc3. Curves are means over
    realizations, bands hold the 16th to 84th percentile.

    Example:

    >>> ones = np.ones((5, 3))
    >>> plot_vanilla({"chi_loc1": ones, "chi_loc3": 1.1 * ones, "reff_signal_loc3": 2 * ones, "depth": [2, 4, 6]})
    <PaperFigure size 816x300 with 2 Axes>

    Reference: figure 3 of arXiv 1811.03087.
    """
    return plot_figure("vanilla", moments, theory=theory, path=path, use_tex=use_tex)


@with_shared_docstring
def plot_bn_ff(moments: Mapping[str, Any], *, theory: bool = False, path: Path = None, use_tex: bool = False) -> Figure:
    """Draw figure 4: batch-normalized feedforward nets over depth.

    Panels: (a) growth of the sensitivity in batch norm, chi_loc3 / chi_loc1, in the activation, chi_loc4 / chi_loc3,
    and in the layer, (b) chi_loc4, (c) reff_noise_loc4 and reff_signal_loc4, (d) mu4_signal_loc3 and
    nu1_abs_signal_loc3. Curves are means over realizations, bands hold the 16th to 84th percentile.

    Example:

    >>> arrays = {name: np.ones((5, 3)) for name in FIGURES["bn_ff"].needs}
    >>> len(plot_bn_ff(arrays | {"depth": [2, 4, 6]}).axes)
    4

    Reference: figure 4 of arXiv 1811.03087.
    """
    return plot_figure("bn_ff", moments, theory=theory, path=path, use_tex=use_tex)


@with_shared_docstring
def plot_bn_res(
    moments: Mapping[str, Any], *, theory: bool = False, path: Path = None, use_tex: bool = False
) -> Figure:
    """Draw figure 5: batch-normalized residual nets over depth, with the power law of their sensitivity.

    Panels: (a) growth of the sensitivity in the first layer of a unit's branch: in batch norm, chi_loc2 / chi_loc1, in
    activation and convolution, chi_loc4 / chi_loc2, and in the layer, (b) chi_loc5 and c l^tau (see
    `analysis.power_law`), (c) reff_noise_loc3 and reff_signal_loc3, (d) mu4_signal_loc2 and nu1_abs_signal_loc2.
    Curves are means over realizations, bands hold the 16th to 84th percentile.

    Args:
        moments: `Moments`, or any mapping from names to arrays of shape (num_realizations, num_computations), pruned or
            not, with `depth` of shape (num_computations,) and the integer `res_depth`. Or several of these over one
            another: a mapping from their labels in the legend; colours then distinguish experiments, and dashes curves.
        theory: Whether theory is drawn too, as dotted lines, of `Moments` of an experiment: infinitely wide networks
            for the experiment's own batches, the growth in the activation that follows from the measured nu1, and the
            interval of the fitted exponent. The legend distinguishes exact, approximate and asymptotic theory; a
            warning names curves that have none.

    Example:

    >>> arrays = {name: np.ones((5, 3)) for name in FIGURES["bn_res"].needs}
    >>> len(plot_bn_res(arrays | {"depth": [5, 10, 15], "res_depth": 2}).axes)
    4

    Reference: figure 5 of arXiv 1811.03087.
    """
    return plot_figure("bn_res", moments, theory=theory, path=path, use_tex=use_tex)


@with_shared_docstring
def plot_summary(moments: Mapping[str, Any], *, path: Path = None, use_tex: bool = False) -> Figure:
    r"""Draw all moments of an experiment at all places over depth, with its parameters and the verdicts on it.

    Each moment has a panel, with a curve for each place at which it was taken; bands hold the 16th to 84th percentile.
    A panel in which a mean leaves its band shows medians instead, and says so. Above are the parameters that have no
    default or differ from it, below the verdicts of `diagnose`.

    Args:
        moments: `Moments` of one experiment, or any mapping from names to arrays of shape (num_realizations,
            num_computations), pruned or not, with `depth` of shape (num_computations,).

    Example:

    >>> arrays = {"nu2_signal_loc1": np.ones((5, 3)), "nu2_signal_loc2": np.ones((5, 3)), "depth": [2, 4, 6]}
    >>> [axes.get_ylabel() for axes in plot_summary(arrays).axes if axes.axison]
    ['$\\nu_2(\\mathbf{x}^l)$']

    Reference: sections 3 to 6 of arXiv 1811.03087.
    """
    check(path, use_tex)
    drawing = summary_drawing(moments)
    data = read_logarithms("summary", moments, drawing)
    with styled(use_tex):
        figure = draw(drawing, [ShownExperiment(None, data)], use_tex=use_tex)
        above, below = parameters(moments), textwrap.fill(diagnose(moments).line, LINE_LENGTH)
        figure.suptitle(above, fontsize=11)
        figure.supxlabel(below, fontsize=11)
        # The text takes nothing from the panels.
        figure.set_figheight(figure.get_figheight() + LINE * (above.count("\n") + below.count("\n") + 2))
    save(figure, path)
    return figure


@with_shared_docstring
def plot_architecture(
    moments: Mapping[str, Any], *, theory: bool = False, path: Path = None, use_tex: bool = False
) -> Figure:
    """Draw an experiment of any architecture over depth.

    Panels: (a) growth of the sensitivity in each step and in the whole layer, (b) chi after the layer, (c) effective
    ranks after the last activation, (d) mu4_signal and nu1_abs_signal after the last normalization (see
    `plots.drawing_of`). Curves are means over realizations, bands hold the 16th to 84th percentile.

    Args:
        moments: `Moments` of an experiment. Or several of one architecture over one another: a mapping from their
            labels in the legend; colours then distinguish experiments, and dashes curves.

    Raises:
        TypeError: If `moments` are not `Moments` of experiments, or a label is not a string.
        ValueError: If architectures differ, arrays are missing, a label is empty, the suffix of `path` is another, or
            LaTeX is asked for and not installed.

    Example:

    >>> from moments_dnns import Architecture, Experiment
    >>> experiment = Experiment(Architecture(["layer_norm", "conv", "activation"]), 2, 1, 4, 2, 1, num_computations=2)
    >>> moments = Moments({name: np.ones((1, 2)) for name in experiment.array_names}, experiment)
    >>> len(plot_architecture(moments).axes)
    4

    Reference: sections 3 to 6 of arXiv 1811.03087.
    """
    results = labelled(moments).values()
    if not all(isinstance(each, Moments) and isinstance(each.experiment, Experiment) for each in results):
        raise TypeError(
            refusal(
                "moments must be Moments of experiments, or a mapping from labels to these; plot_layers draws models.",
                moments=type(moments).__name__,
            )
        )
    architectures = {each.experiment.structure for each in results}
    if len(architectures) > 1:
        raise ValueError(
            refusal("expected experiments of one architecture.", architectures=list(map(str, architectures)))
        )
    ranks = [of for of in ("noise", "signal") if all(each.experiment.takes_ranks(of) for each in results)]
    return plot_figure(
        OF_ARCHITECTURE, moments, drawing_of(architectures.pop(), ranks), theory=theory, path=path, use_tex=use_tex
    )


@with_shared_docstring
def plot_figure(
    type_plot: str,
    moments: Mapping[str, Any],
    drawing: Drawing | None = None,
    *,
    theory: bool = False,
    path: Path = None,
    use_tex: bool = False,
) -> Figure:
    r"""Draw a figure by its name, or a drawing of one's own.

    Args:
        type_plot: A name of `FIGURES`, such as `"bn_ff"`; with a drawing, what the figure is called in messages.
        drawing: What is drawn, if that is not in `FIGURES`.

    Example:

    >>> from moments_dnns.plots import Curve, Drawing, Panel
    >>> ranks = Drawing((Panel("effective rank", (Curve(r"r_\mathrm{eff}", "reff_signal_loc3"),)),))
    >>> arrays = {"reff_signal_loc3": np.full((5, 3), 2.0), "depth": [2, 4, 6]}
    >>> [axes.get_ylabel() for axes in plot_figure("ranks", arrays, ranks).axes if axes.axison]
    ['effective rank']

    Reference: figures 2 to 5 of arXiv 1811.03087.
    """
    check(path, use_tex)
    boolean("theory", theory)
    drawing = drawing or FIGURES[one_of(FIGURES)("type_plot", type_plot)]
    results = labelled(moments)
    if len(results) > MOST_SIDE_BY_SIDE and drawing.panels[0].kind == "histogram":
        expected = f"expected at most {MOST_SIDE_BY_SIDE} experiments in histograms."
        raise ValueError(refusal(expected, moments=list(moments)))
    experiments = []
    for label, each in results.items():
        name = type_plot if label is None else f"{type_plot} of {label!r}"
        data = read_logarithms(name, each, drawing)
        experiments.append(ShownExperiment(label, data, overlay_of(name, drawing, each) if theory else None))
    with styled(use_tex):
        figure = draw(drawing, experiments, use_tex=use_tex)
    save(figure, path)
    return figure
