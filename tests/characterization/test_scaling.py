"""Sweeps of widths: the exponents of models for which they are known."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from moments_dnns import plot_sweep, sweep
from moments_dnns.analysis.widths import WidthSweep

INPUTS = np.random.default_rng(0).normal(size=(12, 6)).astype("float32")

WIDTHS = (16, 64, 256)


def made(width, last="lecun_normal"):
    """Two linear layers: the first keeps its scale for all widths, the second has kernels of its own."""
    options = {"use_bias": False}
    model = keras.Sequential(
        [
            keras.Input((6,), name="x"),
            layers.Dense(width, kernel_initializer="lecun_normal", name="hidden", **options),
            layers.Dense(3, kernel_initializer=last, name="last", **options),
        ],
        name="net",
    )
    model.get_layer("hidden").trainable = False
    return model


def test_kernels_that_do_not_know_the_width_scale_with_its_root():
    standard = sweep(made, WIDTHS[::-1], INPUTS, num_realizations=6, gradients=True)
    wild = sweep(lambda width: made(width, keras.initializers.RandomNormal(stddev=1.0)), WIDTHS, INPUTS, gradients=True)
    assert standard.widths == WIDTHS
    # Realizations of the narrowest models fluctuate by 1 / sqrt(16) of the scale.
    for found, expected in ((standard, 0), (wild, 0.5)):
        slopes = found.slopes("nu1_abs_signal")
        assert slopes["x"].value == pytest.approx(0, abs=1e-9)
        assert slopes["hidden"].value == pytest.approx(0, abs=0.1)
        assert slopes["last"].value == pytest.approx(expected, abs=0.12)
        assert slopes["last"].lower < expected < slopes["last"].upper
        # chi counts signal and noise alike; the squared norm of a gradient sums over the width.
        assert found.slopes("chi")["last"].value == pytest.approx(0, abs=0.1)
        assert found.slopes("gradient")["hidden"].value == pytest.approx(expected, abs=0.12)


def step(model):
    """Take one step of gradient descent of a loss that is linear in the outputs."""
    model.compile(keras.optimizers.SGD(100.0), lambda targets, outputs: ops.mean(outputs * targets))
    model.fit(INPUTS, np.ones((12, 3), "float32"), batch_size=12, shuffle=False, verbose=0)


def test_a_step_of_standard_training_grows_with_the_width():
    # The last kernel changes by h, the last layer by |h|^2, which is proportional to the width.
    found = sweep(made, WIDTHS, INPUTS, train=step, num_realizations=4, seed=3)
    assert found.slopes()["hidden"].value == pytest.approx(0, abs=0.1)
    assert found.slopes()["last"].value == pytest.approx(1, abs=0.1)
    again = sweep(made, WIDTHS[:2], INPUTS, train=step, num_realizations=1, seed=3)
    one, other = again.moments[0]["mu2_signal"], found.moments[0]["mu2_signal"][:1]
    np.testing.assert_allclose(one, other, rtol=1e-5)
    # Without a step, they are the models that are measured anyway.
    idle = sweep(made, WIDTHS[:2], INPUTS, train=lambda model: None, num_realizations=2)
    fresh = sweep(made, WIDTHS[:2], INPUTS, num_realizations=2)
    for one, other in zip(idle.moments, fresh.moments, strict=True):
        np.testing.assert_allclose(one["log_chi"], other["log_chi"], atol=1e-6)


def test_tables_and_figures_have_every_layer():
    found = sweep(made, WIDTHS[:2], INPUTS)
    lines = str(found).splitlines()
    assert lines[0] == "widths 16, 64, 4 realizations"
    assert lines[1].split() == ["layer", "slope", "of", "|x|", "slope", "of", "χ"]
    slope = found.slopes()["last"]
    assert lines[4].split()[:2] == ["last", f"{slope.value:+.2f}"]
    figure = plot_sweep(found)
    left, right = figure.axes[:2]
    means = found.moments[1]["nu1_abs_signal"].mean(axis=0)
    np.testing.assert_allclose([10 ** line.get_ydata()[1] for line in left.lines], means, rtol=1e-9)
    marks = [line for line in right.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(
        [line.get_ydata()[0] for line in marks], [each.value for each in found.slopes().values()]
    )
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["x", "hidden", "last"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="two different widths"):
        sweep(made, [16, 16], INPUTS)
    with pytest.raises(TypeError, match="expected options of"):
        sweep(made, WIDTHS, INPUTS, name_experiment="net")
    found = sweep(made, WIDTHS[:2], INPUTS, num_realizations=1)
    assert not found.slopes()["last"].is_bounded
    shorter = sweep(
        lambda width: keras.Sequential([keras.Input((6,)), layers.Dense(width)]), WIDTHS[:2], INPUTS, num_realizations=1
    )
    with pytest.raises(ValueError, match="same layers"):
        WidthSweep(WIDTHS[:2], (found.moments[0], shorter.moments[1]))
    with pytest.raises(TypeError, match="sweep"):
        plot_sweep(found.moments[0])
