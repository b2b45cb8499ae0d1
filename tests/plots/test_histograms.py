"""Histograms: densities, legends, and several experiments."""

import numpy as np

from moments_dnns.plots import experiments as plotting
from moments_dnns.plots.experiments import plot_figure
from tests.support.figures import at, draw, legend
from tests.support.published import arrays


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


def test_histograms_of_several_experiments():
    few = at(arrays("vanilla_histo"), 1, 3)
    figure = plot_figure("vanilla_histo", {"all": arrays("vanilla_histo"), "few": few})
    draw(figure)
    (named,) = figure.legends
    assert [text.get_text() for text in named.get_texts()] == ["all", "few"]
    outlines = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    assert len(outlines) == 6
    # The same depth has the same colour, the same experiment the same dashes.
    assert outlines[4].get_edgecolor() == outlines[1].get_edgecolor() != outlines[0].get_edgecolor()
    assert outlines[4].get_linestyle() == outlines[5].get_linestyle() != outlines[0].get_linestyle()
    assert legend(figure.axes[0]) == ["$l=50$", "$l=100$", "$l=150$", "$l=200$"]
