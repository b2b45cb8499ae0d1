"""Theory beside measured curves: what is drawn, what the legend says, and what is not reached."""

import attrs
import numpy as np
import pytest

from moments_dnns import Architecture, Experiment, Moments
from moments_dnns.analysis.power_laws import bootstrap_power_law
from moments_dnns.analysis.statistics import log_mean
from moments_dnns.data import load_images
from moments_dnns.plots import theory_overlay
from moments_dnns.plots.experiments import plot_architecture, plot_bn_ff, plot_bn_res, plot_vanilla, plot_vanilla_histo
from moments_dnns.plots.figures import FIGURES
from moments_dnns.plots.theory_lines import AVERAGED, EXACT, RELATION
from moments_dnns.plots.theory_overlay import MOST_BATCHES
from moments_dnns.theory import closed_forms
from moments_dnns.theory.finite import log_norm_density
from moments_dnns.theory.predictions import predict_experiment

PLOTS = {"vanilla": plot_vanilla, "bn_ff": plot_bn_ff, "bn_res": plot_bn_res}


def measured(architecture, **changes):
    """Arrays of a small, fully connected experiment, of which only the spread is made up."""
    experiment = Experiment(
        **{
            "architecture": architecture,
            "total_depth": 8,
            "kernel_size": 1,
            "num_channels": 64,
            "batch_size": 8,
            "num_realizations": 5,
            "dataset": "photo",
            "num_computations": 4,
            **changes,
        }
    )
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(0.5, 0.8, (5, 4)) for name in experiment.array_names}
    return Moments(arrays, experiment)


def lines_like(axes, look):
    """The curves of theory in a panel, told by their dashes."""
    plain = [line for line in axes.lines if line.get_linestyle() != "-"]
    return [
        line.get_ydata()
        for line in plain
        if line._unscaled_dash_pattern[1] == look["linestyle"][1] and len(line.get_xdata()) == 4
    ]


@pytest.mark.parametrize("architecture", PLOTS)
def test_curves_of_infinite_width_are_those_of_its_own_batches(architecture):
    moments = measured(architecture)
    figure = PLOTS[architecture](moments, theory=True)
    theory = predict_experiment(moments.experiment, load_images("photo"), range(MOST_BATCHES), accuracy="figure")
    curve = FIGURES[architecture].panels[0].curves[0]
    over, under = (theory[f"log_{name}"] for name in (curve.over, curve.under))
    np.testing.assert_allclose(lines_like(figure.axes[0], EXACT)[0], np.exp(log_mean(over - under)), rtol=1e-12)
    # One line beside every curve of every panel.
    panels = [axes for axes in figure.axes if axes.axison]
    bands = [len(axes.collections) for axes in panels]
    assert [len(lines_like(axes, EXACT)) for axes in panels] == bands
    said = [text.get_text() for text in figure.legends[-1].get_texts()]
    assert said[0] == "infinite width: exact, mean over 4 of the batches"


@pytest.mark.parametrize(("architecture", "place"), [("bn_ff", "loc3"), ("bn_res", "loc2")])
def test_the_relation_is_that_of_the_measured_nu1(architecture, place):
    moments = measured(architecture)
    figure = PLOTS[architecture](moments, theory=True)
    (line,) = lines_like(figure.axes[0], RELATION)
    nu1 = moments[f"nu1_abs_signal_{place}"].mean(axis=0)
    np.testing.assert_allclose(line, closed_forms.activation_growth(nu1), rtol=1e-12)
    assert "asymptotic" in figure.legends[-1].get_texts()[1].get_text()


def test_the_exponent_has_its_interval():
    moments = measured("bn_res")
    figure = plot_bn_res(moments, theory=True)
    logs = [np.log(moments[f"chi_{place}"]) for place in ("loc5", "loc1", "loc4")]
    tau = bootstrap_power_law(moments["depth"], *logs, 2).tau
    words = figure.axes[1].get_legend().get_texts()[-1].get_text()
    assert f"[{tau.lower:#.3g}, {tau.upper:#.3g}]" in words
    assert "[" not in plot_bn_res(moments).axes[1].get_legend().get_texts()[-1].get_text()


def test_histograms_have_the_law_of_one_image_beside_the_signal_only():
    moments = measured("vanilla")
    figure = plot_vanilla_histo(moments, theory=True)
    laws = figure.axes[0].lines
    assert len(laws) == 4
    assert not figure.axes[1].lines
    law = log_norm_density(64, 8, first_convolution=True)
    np.testing.assert_allclose(laws[-1].get_ydata().max(), law.density.max())
    assert [text.get_text() for text in figure.legends[-1].get_texts()] == ["one image: exact"]


def test_realizations_of_another_seed_take_its_batches():
    moments = measured("vanilla")
    merged = Moments(
        moments.arrays, attrs.evolve(moments.experiment, seed=9), [(3, 1, 4), (4, 0, 2)], moments.provenance
    )
    (line,) = lines_like(plot_vanilla(merged, theory=True).axes[0], EXACT)
    theory = predict_experiment(
        attrs.evolve(moments.experiment, seed=3), load_images("photo"), [1, 2, 3], accuracy="figure"
    )
    np.testing.assert_allclose(line, np.exp(log_mean(theory["log_chi_loc3"] - theory["log_chi_loc1"])), rtol=1e-12)


def test_several_experiments_have_a_curve_each():
    both = {"narrow": measured("vanilla"), "other": measured("vanilla", seed=1)}
    assert len(lines_like(plot_vanilla(both, theory=True).axes[0], EXACT)) == 2


def test_any_architecture_whose_steps_are_known_has_its_curves():
    scaled = Architecture(["activation", "conv"], residual=True, residual_scale=0.5)
    figure = plot_architecture(measured(scaled), theory=True)
    assert len(lines_like(figure.axes[1], EXACT)) == 1


@pytest.mark.parametrize(("batch_size", "number"), [(64, 4), (128, 4), (256, 1), (440, 1)])
def test_the_number_of_batches_is_what_a_figure_can_wait_for(batch_size, number):
    experiment = measured("bn_ff", total_depth=200, num_channels=512, batch_size=batch_size).experiment
    assert theory_overlay.affordable(experiment, load_images("photo")) == ("none", number)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch_size": 8, "total_depth": 8}, ("none", 1)),
        ({"batch_size": 16, "total_depth": 8}, ("translations", 4)),
        ({"batch_size": 64, "total_depth": 200}, ("translations", 1)),
        ({"batch_size": 64, "total_depth": 200, "boundary": "periodic_one_sided"}, ("translations", 1)),
    ],
)
def test_too_many_pixels_are_averaged_over_translations(changes, expected):
    experiment = measured("bn_ff", kernel_size=3, **changes).experiment
    assert theory_overlay.affordable(experiment, load_images("photo")) == expected


def test_a_figure_says_that_its_theory_is_averaged(tmp_path, monkeypatch):
    small = load_images("photo").images[:40, ::4, ::4]
    np.save(tmp_path / "small.npy", small)
    monkeypatch.chdir(tmp_path)
    moments = measured("bn_ff", kernel_size=3, dataset="small.npy")
    theory = predict_experiment(moments.experiment, load_images("small.npy"), range(4), symmetry="translations")
    monkeypatch.setattr(theory_overlay, "MOST_WORK", 1.0)
    figure = plot_bn_ff(moments, theory=True)
    (line,) = lines_like(figure.axes[1], AVERAGED)
    np.testing.assert_allclose(10**line, np.exp(log_mean(theory["log_chi_loc4"])), rtol=1e-4)
    words = [text.get_text() for text in figure.legends[-1].get_texts()]
    assert words[0] == "infinite width: approximate, averaged over translations; batches: 4"
    assert not any("infinite width: exact" in each for each in words)
    assert not lines_like(figure.axes[1], EXACT)


UNREACHED = {
    "too many points": (
        plot_bn_ff,
        {"kernel_size": 3, "batch_size": 64, "boundary": "zero_padding"},
        "a batch of 8 would do",
    ),
    "too many translations": (plot_bn_ff, {"kernel_size": 3, "batch_size": 512}, "a batch of 256 would do"),
    "another activation": (plot_bn_ff, {"activation": "tanh"}, "activation='tanh'"),
    "images that are gone": (plot_bn_ff, {"dataset": "gone.npy"}, "gone.npy"),
    "convolutional histograms": (plot_vanilla_histo, {"kernel_size": 3, "architecture": "vanilla"}, "fully connected"),
}


@pytest.mark.parametrize("case", UNREACHED)
def test_what_theory_does_not_reach_is_said(case):
    plot, changes, message = UNREACHED[case]
    with pytest.warns(UserWarning, match=message) as caught:
        figure = plot(measured(**{"architecture": "bn_ff", **changes}), theory=True)
    assert caught[0].filename == __file__
    assert not lines_like(figure.axes[0], EXACT)


def test_moments_without_an_experiment_are_refused():
    with pytest.raises(ValueError, match=r"theory=True needs Moments.*Received: moments='dict'"):
        plot_vanilla(dict(measured("vanilla")), theory=True)


def test_theory_is_true_or_false():
    with pytest.raises(TypeError, match=r"theory must be True or False\. Received: theory=1"):
        plot_vanilla(measured("vanilla"), theory=1)
