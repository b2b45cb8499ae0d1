"""The power law beside a curve."""

import re
import warnings

import numpy as np
import pytest

from moments_dnns.plots.experiments import plot_figure
from moments_dnns.plots.style import looks
from tests.support.figures import draw, legend, widened
from tests.support.published import arrays, plain


def test_power_law_and_its_exponent():
    moments = arrays("bn_res", num_realizations=200)
    axes = plot_figure("bn_res", moments).axes[1]
    (label,) = (text for text in legend(axes) if "tau" in text)
    assert re.fullmatch(r"\$c\\,l\^\\tau\$: \$\\tau=0\.5\d\d\$, \$c=1\.\d+\$", label)
    tau = float(re.search(r"tau=([\d.]+)", label).group(1))
    (line,) = (line for line in axes.lines if "tau" in line.get_label())
    depth, fit = line.get_data()
    assert (depth[0], depth[-1]) == (5, 500)
    np.testing.assert_allclose(fit / fit[0], (depth / 5) ** tau, rtol=5e-3)
    mean = plain(moments, "chi_loc5").mean(axis=0)
    np.testing.assert_allclose(np.interp(moments["depth"][20:], depth, fit), mean[20:], rtol=0.05)


def test_a_failing_power_law_leaves_the_axis_to_the_data():
    moments = arrays("bn_res")
    moments |= {name: 40 * array for name, array in moments.items() if name.startswith("log_chi")}
    figure = plot_figure("bn_res", moments)
    draw(figure)
    low, high = figure.axes[1].get_ylim()
    assert 10 < low < high < 100
    assert "tau" in legend(figure.axes[1])[1]


@pytest.mark.parametrize("growth", [np.nan, 1e9])
def test_no_power_law_without_an_exponent(growth):
    moments = arrays("bn_res") | {"log_chi_loc4": np.full((20, 100), growth)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = plot_figure("bn_res", moments)
    draw(figure)
    assert not any("tau" in line.get_label() for line in figure.axes[1].lines)


def test_every_experiment_has_its_power_law():
    figure = plot_figure("bn_res", {"one": arrays("bn_res"), "other": widened("bn_res", 2)})
    exponents = legend(figure.axes[1])
    assert len(exponents) == 2
    assert all(re.fullmatch(r"\$\\tau=0\.\d+\$", text) for text in exponents)
    fits = [line for line in figure.axes[1].lines if "tau" in line.get_label()]
    assert [line.get_color() for line in fits] == [look["color"] for look in looks(2)]
