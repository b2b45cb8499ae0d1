"""Ticks of logarithmic axes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns.plots.experiments import plot_figure
from moments_dnns.plots.ticks import LogTicks
from tests.support.figures import draw
from tests.support.published import arrays


@given(st.floats(-1000, 1000), st.floats(1e-3, 2000))
def test_logarithmic_axes_have_a_few_ticks_on_round_numbers(low, span):
    ticks = LogTicks().tick_values(low, low + span)
    assert 1 <= len(ticks) <= 9
    assert all(low <= tick <= low + span for tick in ticks)
    for tick in ticks:
        digits = f"{10 ** (tick - np.floor(tick + 1e-12)):.4f}".rstrip("0")
        assert len(digits) <= (2 if span > 2.2 else 6)


def test_minor_ticks_tell_a_logarithmic_axis():
    ticks = LogTicks(minor=True).tick_values(0, 2)
    np.testing.assert_allclose(10 ** np.array(ticks), [*range(2, 10), *range(20, 100, 10)])
    assert LogTicks(minor=True).tick_values(0, 300) == []


def test_labels_of_ticks():
    moments = arrays("bn_ff")
    figure = plot_figure("bn_ff", moments)
    draw(figure)
    texts = [[text.get_text() for text in axes.get_yticklabels()] for axes in figure.axes]
    assert {"$10^{4}$", "$10^{8}$"} <= set(texts[1])
    assert {"$1$", "$10$", "$100$"} <= set(texts[2])
