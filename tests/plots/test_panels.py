"""Panels, by the data and the text in them: curves, bands, axes and legends."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest

from moments_dnns.plots import experiments as plotting
from moments_dnns.plots.experiments import plot_figure
from moments_dnns.plots.style import DASHES, looks
from moments_dnns.plots.theory_lines import EXACT, FITTED, RELATION
from tests.support.figures import CURVES, draw, each_figure, legend, lines, widened
from tests.support.published import arrays, plain


@pytest.mark.parametrize("type_plot", CURVES)
def test_curves_and_bands_are_those_of_the_page(type_plot):
    moments = arrays(type_plot)
    figure = getattr(plotting, f"plot_{type_plot}")(moments)
    assert len(figure.axes) == len(CURVES[type_plot])
    for axes, (letter, log, curves) in zip(figure.axes, CURVES[type_plot], strict=True):
        assert letter in [text.get_text() for text in axes.texts]
        assert "$l$" in axes.get_xlabel()
        assert "$" in axes.get_ylabel()
        assert [label for label in lines(axes) if "tau" not in label] == list(curves)
        for (label, names), band in zip(curves.items(), axes.collections, strict=True):
            values = plain(moments, names[0]) / (plain(moments, names[1]) if len(names) == 2 else 1)
            expected = np.array([values.mean(axis=0), *np.percentile(values, (16, 84), axis=0)])
            drawn = np.log10(expected) if log else expected
            np.testing.assert_array_equal(lines(axes)[label].get_xdata(), moments["depth"])
            np.testing.assert_allclose(lines(axes)[label].get_ydata(), drawn[0], rtol=1e-9, atol=1e-12)
            corners = {tuple(corner) for corner in band.get_paths()[0].vertices.round(9)}
            assert {(x, y) for end in drawn[1:] for x, y in zip(moments["depth"], end.round(9), strict=True)} <= corners


@pytest.mark.parametrize("type_plot", CURVES)
def test_reference_at_one_in_growth_and_rank(type_plot):
    for axes in plot_figure(type_plot, arrays(type_plot)).axes:
        is_reference = "chi$ in" in axes.get_ylabel() or "delta" in axes.get_ylabel() or "eff" in axes.get_ylabel()
        dashed = [line for line in axes.lines if line.is_dashed() and "tau" not in line.get_label()]
        assert len(dashed) == is_reference
        for line in dashed:
            one = 0 if "eff" in axes.get_ylabel() and type_plot != "vanilla" else 1
            assert list(line.get_ydata()) == [one, one]
            assert line.get_linewidth() < 1


def test_chi_beyond_float64():
    moments = arrays("bn_ff", num_realizations=30)
    rng = np.random.default_rng(1)
    log_chi = np.linspace(0, 2000, 100) + rng.normal(0, 1, (30, 100))
    shift = log_chi - moments["log_chi_loc4"]
    moments |= {name: array + shift for name, array in moments.items() if name.startswith("log_chi")}
    figure = plot_figure("bn_ff", moments)
    mean = lines(figure.axes[1])[r"$\chi^l$"].get_ydata()
    top = log_chi.max(axis=0)
    np.testing.assert_allclose(mean, (top + np.log(np.exp(log_chi - top).mean(axis=0))) / np.log(10), rtol=1e-12)
    assert mean[-1] > 860
    draw(figure)
    assert "$10^{800}$" in [text.get_text() for text in figure.axes[1].get_yticklabels()]


def test_a_linear_axis_becomes_logarithmic_before_it_overflows():
    moments = arrays("vanilla") | {"log_chi_loc3": np.full((20, 100), 800.0), "log_chi_loc1": np.zeros((20, 100))}
    figure = plot_figure("vanilla", moments)
    np.testing.assert_allclose(lines(figure.axes[0])[r"$\delta\chi^l$"].get_ydata(), 800 / np.log(10))
    draw(figure)


@each_figure
def test_axes_show_all_of_the_data_and_legends_hide_none(type_plot):
    figure = plot_figure(type_plot, arrays(type_plot))
    draw(figure)
    for axes in figure.axes:
        low, high = axes.get_ylim()
        first, last = axes.get_xlim()
        points = [line.get_xydata() for line in lines(axes).values()]
        points += [path.vertices for band in axes.collections for path in band.get_paths()]
        points += [np.column_stack([patch.get_data().edges[1:], patch.get_data().values]) for patch in axes.patches]
        for x, y in np.concatenate(points):
            assert first <= x <= last
            assert low <= y <= high
        if axes.get_legend():
            assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1
            assert axes.get_legend().get_window_extent().x0 > axes.texts[0].get_window_extent().x1


@pytest.mark.parametrize("type_plot", CURVES)
@pytest.mark.parametrize("number", [1, 2, 5])
def test_experiments_are_drawn_over_one_another(type_plot, number):
    experiments = {f"factor {k}": widened(type_plot, k) for k in range(1, number + 1)}
    figure = plot_figure(type_plot, experiments)
    draw(figure)
    (named,) = figure.legends
    assert [text.get_text() for text in named.get_texts()] == list(experiments)
    assert len({(line.get_color(), line.get_marker()) for line in named.get_lines()}) == number
    for axes, (_, log, curves) in zip(figure.axes, CURVES[type_plot], strict=True):
        drawn = [line for line in axes.lines if line.get_marker() in {look["marker"] for look in looks(number)}]
        pairs = [(moments, names) for moments in experiments.values() for names in curves.values()]
        for line, (moments, names) in zip(drawn, pairs, strict=True):
            values = plain(moments, names[0]) / (plain(moments, names[1]) if len(names) == 2 else 1)
            expected = values.mean(axis=0)
            np.testing.assert_array_equal(line.get_xdata(), moments["depth"])
            np.testing.assert_allclose(line.get_ydata(), np.log10(expected) if log else expected, rtol=1e-9, atol=1e-12)
        assert len(axes.collections) == len(pairs)
        # Colours tell experiments, dashes tell curves.
        assert len({line.get_color() for line in drawn}) == number
        if len(curves) > 1:
            assert legend(axes)[: len(curves)] == list(curves)
        if axes.get_legend():
            assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1
            assert axes.get_legend().get_window_extent().x0 > axes.texts[0].get_window_extent().x1
    assert named.get_window_extent().y0 > max(axes.get_tightbbox().y1 for axes in figure.axes)


@cache
def heights_alone():
    """The heights of the panels of one experiment, which has no legend of experiments."""
    figure = plot_figure("bn_res", arrays("bn_res"))
    draw(figure)
    return [axes.get_window_extent().height for axes in figure.axes]


@pytest.mark.parametrize("number", [4, 5, 6])
@pytest.mark.parametrize("name", ["{}", "a batch of {} images", "a name that takes up a good half of the figure, {}"])
def test_legends_stay_within_the_figure_and_take_nothing_from_the_panels(number, name):
    experiments = {name.format(k): widened("bn_res", k) for k in range(1, number + 1)}
    figure = plot_figure("bn_res", experiments)
    draw(figure)
    width, height = figure.bbox.width, figure.bbox.height
    for legend_of in (*figure.legends, *(axes.get_legend() for axes in figure.axes)):
        box = legend_of.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
        assert box.y1 <= height
    for axes, alone in zip(figure.axes, heights_alone(), strict=True):
        assert axes.get_window_extent().height > 0.9 * alone


def skewed(outlier):
    """Moments of figure 3 whose effective rank is large in a tenth of the realizations."""
    moments = arrays("vanilla")
    moments["reff_signal_loc3"] = moments["reff_signal_loc3"].copy()
    moments["reff_signal_loc3"][:2] *= outlier
    return moments


def test_a_panel_whose_mean_leaves_its_band_shows_medians_and_says_so():
    moments = skewed(1e6)
    growth, ranks = plot_figure("vanilla", moments).axes
    assert ranks.get_ylabel() == r"$r_\mathrm{eff}(\mathbf{x}^l)$, median"
    shown = lines(ranks)[r"$r_\mathrm{eff}(\mathbf{x}^l)$"].get_ydata()
    np.testing.assert_allclose(10**shown, np.median(moments["reff_signal_loc3"], axis=0))
    assert "median" not in growth.get_ylabel()


def test_a_panel_shows_one_kind_of_average():
    several = plot_figure("vanilla", {"plain": arrays("vanilla"), "skewed": skewed(1e6)}).axes[1]
    plain_line = several.lines[1].get_ydata()
    np.testing.assert_allclose(10**plain_line, np.median(arrays("vanilla")["reff_signal_loc3"], axis=0))
    assert "median" not in plot_figure("vanilla", skewed(1.01)).axes[1].get_ylabel()


def test_one_odd_depth_among_many_does_not_make_it_a_median():
    moments = skewed(1.0)
    moments["reff_signal_loc3"][0, 50] *= 1e6
    assert "median" not in plot_figure("vanilla", moments).axes[1].get_ylabel()


def test_no_two_kinds_of_lines_look_alike():
    patterns = [*DASHES, EXACT["linestyle"], RELATION["linestyle"], FITTED["linestyle"]]
    lengths = [np.cumsum((100, 0) if dash == "-" else dash[1]) for dash in patterns]
    # As what is inked along 30 points of a line.
    inked = [[int(np.searchsorted(ends, x % ends[-1], "right") % 2 == 0) for x in range(30)] for ends in lengths]
    differences = [np.not_equal(a, b).sum() for a, b in combinations(inked, 2)]
    assert min(differences) >= 5
    dots = [max(dash[1][::2]) <= 1 for dash in patterns[1:]]
    assert dots == [False] * (len(DASHES) - 1) + [True, True, False]
