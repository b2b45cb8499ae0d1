"""The summary of an experiment."""

from pathlib import Path

import numpy as np
import pytest

from moments_dnns import Experiment, load_experiment
from moments_dnns.plots import experiments as plotting
from moments_dnns.plots.summary import parameters
from tests.support.figures import draw
from tests.support.published import arrays
from tests.support.synthetic import complete, describe


def test_summary_shows_every_moment_at_every_place(tmp_path):
    moments = complete(describe(num_realizations=6))
    figure = plotting.plot_summary(moments, path=tmp_path / "summary.png")
    assert (tmp_path / "summary.png").stat().st_size > 10_000
    symbols = [axes.get_ylabel() for axes in figure.axes if axes.axison]
    assert len(symbols) == len(set(symbols)) == 8
    count = {"eff": 1}
    for axes in figure.axes:
        places = next((number for word, number in count.items() if word in axes.get_ylabel()), 4)
        assert len(axes.collections) == places
    mean = figure.axes[1].lines[2].get_ydata()
    np.testing.assert_allclose(mean, np.log10(moments["nu2_signal_loc3"].mean(axis=0)))
    title = figure.get_suptitle()
    assert "architecture=bn_ff, " in title
    assert "num_realizations=6" in title
    assert "seed" not in title
    assert max(map(len, title.splitlines())) <= 90
    assert figure.get_supxlabel()


VERDICTS = {
    "vanilla_histo": "not enough depth or realizations to tell",
    "vanilla": "one-dimensional signal (effective rank 1.03)",
    "bn_ff": "exploding sensitivity (1.28 [1.27, 1.28] dB per layer), collapse onto few outliers",
    "bn_res": "well-behaved (χ as depth to the power 0.5",
}


@pytest.mark.parametrize("type_plot", VERDICTS)
def test_summary_of_pruned_and_plain_arrays(type_plot):
    figure = plotting.plot_summary(arrays(type_plot))
    draw(figure)
    assert figure.get_suptitle() == f"20 realizations at {4 if type_plot == 'vanilla_histo' else 100} depths"
    assert VERDICTS[type_plot] in figure.get_supxlabel()


@pytest.mark.parametrize("moments", [{}, {"depth": [1, 2]}, [1, 2]])
def test_summary_of_nothing_is_refused(moments):
    with pytest.raises((TypeError, ValueError), match="Received: moments="):
        plotting.plot_summary(moments)


REQUIRED = ("architecture", "total_depth", "kernel_size", "num_channels", "batch_size", "num_realizations")


def test_summary_says_what_differs_from_the_defaults():
    required = dict(zip(REQUIRED, ("vanilla", 200, 1, 8, 4, 6), strict=True))
    said = [f"{name}={value}" for name, value in required.items()]
    assert parameters(complete(Experiment(**required))).replace("\n", " ").split(", ") == said
    changed = {"dataset": "photo", "epsilon": 0.0, "num_computations": 4, "seed": 3, "gain": 1.5}
    text = parameters(complete(Experiment(**required, **changed)))
    said += [f"{name}={value}" for name, value in changed.items()]
    assert text.replace("\n", " ").split(", ") == said


@pytest.mark.parametrize("name", ["figure_2", "figure_3"])
def test_panels_keep_their_size_below_the_parameters(name, monkeypatch):
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(Path(__file__).parents[2] / "npy"))
    figure = plotting.plot_summary(load_experiment(name))
    draw(figure)
    for axes in figure.axes:
        if axes.axison:
            box = axes.get_window_extent()
            assert box.height > 0.5 * box.width
