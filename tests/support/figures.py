"""What the tests of figures share: the curves of the page of the science, and looking into figures."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from moments_dnns.plots.figures import FIGURES
from tests.support.published import arrays

# (letter, axis is logarithmic, {label: names}): a ratio of arrays, or an array. Written from the page of the science.
CURVES = {
    "vanilla": [
        ("(a)", False, {r"$\delta\chi^l$": ("chi_loc3", "chi_loc1")}),
        ("(b)", False, {r"$r_\mathrm{eff}(\mathbf{x}^l)$": ("reff_signal_loc3",)}),
    ],
    "bn_ff": [
        (
            "(a)",
            False,
            {
                r"$\delta_\mathrm{BN}\,\chi^l$": ("chi_loc3", "chi_loc1"),
                r"$\delta_\phi\,\chi^l$": ("chi_loc4", "chi_loc3"),
                r"$\delta\chi^l$": ("chi_loc4", "chi_loc1"),
            },
        ),
        ("(b)", True, {r"$\chi^l$": ("chi_loc4",)}),
        (
            "(c)",
            True,
            {
                r"$r_\mathrm{eff}(\mathrm{d}\mathbf{x}^l)$": ("reff_noise_loc4",),
                r"$r_\mathrm{eff}(\mathbf{x}^l)$": ("reff_signal_loc4",),
            },
        ),
        (
            "(d)",
            True,
            {r"$\mu_4(\mathbf{z}^l)$": ("mu4_signal_loc3",), r"$\nu_1(|\mathbf{z}^l|)$": ("nu1_abs_signal_loc3",)},
        ),
    ],
    "bn_res": [
        (
            "(a)",
            False,
            {
                r"$\delta_\mathrm{BN}\,\chi^{l,1}$": ("chi_loc2", "chi_loc1"),
                r"$\delta_\phi\,\chi^{l,1}$": ("chi_loc4", "chi_loc2"),
                r"$\delta\chi^{l,1}$": ("chi_loc4", "chi_loc1"),
            },
        ),
        ("(b)", False, {r"$\chi^l$": ("chi_loc5",)}),
        (
            "(c)",
            True,
            {
                r"$r_\mathrm{eff}(\mathrm{d}\mathbf{x}^{l,1})$": ("reff_noise_loc3",),
                r"$r_\mathrm{eff}(\mathbf{x}^{l,1})$": ("reff_signal_loc3",),
            },
        ),
        (
            "(d)",
            False,
            {
                r"$\mu_4(\mathbf{z}^{l,1})$": ("mu4_signal_loc2",),
                r"$\nu_1(|\mathbf{z}^{l,1}|)$": ("nu1_abs_signal_loc2",),
            },
        ),
    ],
}


each_figure = pytest.mark.parametrize("type_plot", FIGURES)


def lines(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label().startswith("$")}


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def at(moments, *columns):
    """Return the moments at some of the depths."""
    return {name: array[..., list(columns)] if np.ndim(array) else array for name, array in moments.items()}


def draw(figure):
    """Render, which is when layout, ticks and mathtext can fail, and return the bytes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=40)
    return picture.getvalue()


def luminance(color):
    return np.array(to_rgb(color)) @ [0.2126, 0.7152, 0.0722]


def widened(type_plot, factor):
    """Other moments of a figure, half as deep: all curves are `factor` times as high."""
    moments = at(arrays(type_plot), *range(0, len(arrays(type_plot)["depth"]), 2))
    for name, array in moments.items():
        if np.ndim(array) == 2:
            moments[name] = array + np.log(factor) if name.startswith("log") else array * factor
    return moments
