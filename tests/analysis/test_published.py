"""The paper's numbers, and how far others are from them."""

import numpy as np
import pytest

from moments_dnns.analysis.published import PUBLISHED, PublishedMean, compare
from moments_dnns.moments import stored_name
from moments_dnns.plots.figures import FIGURES
from tests.support.published import arrays

FIGURE_OF = {"vanilla": "vanilla", "bn_ff": "bn_ff", "bn_res": "bn_res", "fully connected bn_ff": "bn_ff"}


def test_means_are_compared_in_standard_errors():
    samples = np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    moments = {"a_loc1": samples, "b_loc1": np.full((3, 2), 2.0), "depth": [10, 30]}
    number = PublishedMean("a / b", "a_loc1", "b_loc1", {10: 1.0, 20: 7.0, 30: 2.5}, {10: 0.3}, 9)
    first, last = compare(moments, [number])
    # (1, 2, 6) / 2 has mean 1.5 and variance 1.75; the published error is 0.3 / sqrt(9).
    assert (first.symbol, first.depth, first.mean, first.published) == ("a / b", 10, 1.5, 1.0)
    assert first.error == pytest.approx(np.sqrt(1.75 / 3))
    assert first.z == pytest.approx(0.5 / np.sqrt(1.75 / 3 + 0.01))
    assert (last.depth, last.mean, last.error) == (30, 2.5, 0)
    assert np.isnan(last.z)


def test_one_realization_has_no_standard_error():
    with pytest.raises(ValueError, match="Received: num_realizations=1"):
        compare({"a_loc1": np.ones((1, 1)), "depth": [10]}, [PublishedMean("a", "a_loc1", None, {10: 1.0})])


@pytest.mark.parametrize("row", PUBLISHED)
def test_pruned_figures_can_be_compared(row):
    needs = {stored_name(name) for name in FIGURES[FIGURE_OF[row]].needs}
    for number in PUBLISHED[row]:
        assert {stored_name(name) for name in (number.over, number.under) if name} <= needs
    made_up = arrays(FIGURE_OF[row], num_realizations=400)
    found = compare(made_up, PUBLISHED[row])
    assert {entry.symbol for entry in found} == {number.symbol for number in PUBLISHED[row]}
    if row != "fully connected bn_ff":  # around whose means nothing was made up
        for entry in found:
            assert entry.mean == pytest.approx(entry.published, rel=0.1), entry
