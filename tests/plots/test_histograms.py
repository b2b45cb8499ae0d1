"""Histograms: densities, legends, and several experiments."""

from itertools import pairwise

import numpy as np
import pytest

from moments_dnns.plots import experiments as plotting
from moments_dnns.plots.experiments import plot_figure
from tests.support.figures import at, draw, legend
from tests.support.published import arrays

ALL = arrays("vanilla_histo")


def test_histograms_are_densities_at_every_depth():
    moments = arrays("vanilla_histo", num_realizations=500)
    figure = plotting.plot_vanilla_histo(moments)
    logs = [np.log(moments["nu2_signal_loc3"]), moments["log_mu2_noise_loc3"]]
    for axes, samples, letter in zip(figure.axes, logs, ("(a)", "(b)"), strict=True):
        assert letter in [text.get_text() for text in axes.texts]
        assert r"\ln" in axes.get_xlabel()
        assert legend(axes) == ["$l=50$", "$l=100$", "$l=150$", "$l=200$"]
        outlines = [patch for patch in axes.patches if not patch.get_fill()]
        for sample, patch in zip(samples.T, outlines, strict=True):
            heights, edges, _ = patch.get_data()
            np.testing.assert_allclose(heights, np.histogram(sample, edges, density=True)[0])
            assert edges[0] == samples.min()
            assert edges[-1] == samples.max()


def test_legend_of_many_depths_names_a_few_of_them():
    figure = plot_figure("vanilla_histo", arrays("vanilla_histo", num_computations=100))
    assert len([patch for patch in figure.axes[0].patches if not patch.get_fill()]) == 100
    assert legend(figure.axes[0]) == [f"$l={depth}$" for depth in (2, 42, 82, 120, 160, 200)]
    draw(figure)


def side_by_side(axes):
    """The outlines of upright histograms with the depths that they stand at, experiment by experiment."""
    ticks = dict(zip(axes.get_xticks(), (text.get_text() for text in axes.get_xticklabels()), strict=True))
    outlines = [patch for patch in axes.patches if not patch.get_fill()]
    return [(ticks[min(ticks, key=lambda tick: abs(tick - one.get_data().baseline - 0.5))], one) for one in outlines]


def test_histograms_of_several_experiments_stand_side_by_side():
    few = at(arrays("vanilla_histo"), 1, 3)
    figure = plot_figure("vanilla_histo", {"all": arrays("vanilla_histo"), "few": few})
    draw(figure)
    (named,) = figure.legends
    assert [text.get_text() for text in named.get_texts()] == ["all", "few"]
    outlines = side_by_side(figure.axes[0])
    assert [depth for depth, _ in outlines] == ["50", "100", "150", "200", "100", "200"]
    # The same experiment has the same colour, and none covers another one.
    colors = [outline.get_edgecolor() for _, outline in outlines]
    assert [colors.index(color) for color in colors] == [0, 0, 0, 0, 4, 4]
    ends = sorted((one.get_data().baseline, one.get_data().values.max()) for _, one in outlines)
    assert all(end < start for (_, end), (start, _) in pairwise(ends))
    assert "$l$" in figure.axes[0].get_xlabel()
    assert r"\ln" in figure.axes[0].get_ylabel()


def test_an_upright_histogram_is_the_density_but_for_its_scale():
    moments = arrays("vanilla_histo", num_realizations=500)
    figure = plot_figure("vanilla_histo", {"one": moments, "other": moments})
    for (_, outline), sample in zip(
        side_by_side(figure.axes[0])[:4], np.log(moments["nu2_signal_loc3"]).T, strict=True
    ):
        values, edges, start = outline.get_data()
        heights = np.histogram(sample, edges, density=True)[0]
        np.testing.assert_allclose((values - start) / (values - start).max(), heights / heights.max())
        assert edges[0] <= sample.min()
        assert edges[-1] >= sample.max()


def test_experiments_at_many_depths_stand_side_by_side_at_a_few():
    many = arrays("vanilla_histo", num_computations=100)
    figure = plot_figure("vanilla_histo", {"one": many, "other": many})
    expected = ["2", "42", "82", "120", "160", "200"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == expected
    assert len(side_by_side(figure.axes[0])) == 12


def test_what_has_no_finite_number_has_no_histogram():
    lost = {name: np.full_like(array, np.nan) if np.ndim(array) == 2 else array for name, array in ALL.items()}
    with pytest.warns(UserWarning, match="leaves out"):
        figure = plot_figure("vanilla_histo", {"all": ALL, "lost": lost})
    assert len(side_by_side(figure.axes[0])) == 4
