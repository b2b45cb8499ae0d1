"""Figures of experiments: small and dead data, and comparisons that are refused."""

import numpy as np
import pytest

from moments_dnns.plots import experiments as plotting
from moments_dnns.plots.experiments import plot_figure
from tests.support.figures import at, draw, each_figure, lines
from tests.support.published import arrays


@each_figure
@pytest.mark.parametrize("change", ["one realization", "one depth", "identical", "float32", "few depths"])
def test_small_and_plain_data_draw(type_plot, change):
    moments = arrays(type_plot, num_realizations=1 if change == "one realization" else 5)
    if change == "one depth":
        moments = at(moments, 0)
    elif change == "few depths":
        moments = at(moments, 0, 1, 2)
    elif change == "identical":
        moments |= {name: np.ones_like(array) for name, array in moments.items() if np.ndim(array) == 2}
    elif change == "float32":
        moments |= {name: array.astype(np.float32) for name, array in moments.items() if np.ndim(array) == 2}
    figure = plot_figure(type_plot, moments)
    draw(figure)
    for axes in figure.axes:
        assert all(np.isfinite(line.get_ydata()).all() for line in lines(axes).values())
        assert lines(axes) or sum(patch.get_data().values.max() for patch in axes.patches) > 0


@each_figure
def test_dead_realizations_leave_the_rest_drawn(type_plot):
    moments = arrays(type_plot)
    for name, array in moments.items():
        if np.ndim(array) == 2:
            array[3, array.shape[1] // 2 :] = -np.inf if name.startswith("log") else 0
            array[:, -1] = -np.inf if name.startswith("log") else 0
    with pytest.warns(UserWarning, match=f"{type_plot} leaves out.*20 of 20 realizations, between depths") as caught:
        figure = plot_figure(type_plot, moments)
    assert len(caught) == 1
    draw(figure)
    for axes in figure.axes:
        for line in lines(axes).values():
            assert np.isfinite(line.get_ydata()[:-1]).all()
        assert "nothing finite to draw" not in [text.get_text() for text in axes.texts]


@each_figure
def test_a_figure_of_the_dead_says_so(type_plot):
    moments = arrays(type_plot)
    dead = {
        name: array * 0 - (np.inf if name.startswith("log") else 0)
        for name, array in moments.items()
        if np.ndim(array) == 2
    }
    with pytest.warns(UserWarning, match=f"{type_plot} leaves out"):
        figure = plot_figure(type_plot, moments | dead)
    draw(figure)
    assert all("nothing finite to draw" in [text.get_text() for text in axes.texts] for axes in figure.axes)


def test_the_warning_points_at_the_caller():
    with pytest.warns(UserWarning, match="leaves out") as caught:
        plotting.plot_vanilla(arrays("vanilla") | {"reff_signal_loc3": np.zeros((20, 100))})
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("several", "message"),
    [
        ({"good": arrays("vanilla_histo"), "bad": {}}, r"vanilla_histo of 'bad' draws .*missing"),
        ({3: arrays("vanilla_histo")}, r"label must be a string"),
        ({f"{k}": arrays("vanilla_histo") for k in range(7)}, r"at most 6 experiments"),
        ({"a": arrays("vanilla_histo"), "nu2_signal_loc3": np.ones((2, 2))}, r"missing"),
    ],
)
def test_bad_comparisons_are_refused(several, message):
    with pytest.raises((TypeError, ValueError), match=message):
        plot_figure("vanilla_histo", several)
