"""Measures of networks, by an independent fit, and what each of them leaves out."""

import numpy as np
import pytest

from moments_dnns.analysis.arrays import MeasuredMoments
from moments_dnns.analysis.measures import growth, kurtosis, rank, take_measures

DEPTH = np.arange(1.0, 25)
RNG = np.random.default_rng(0)
ARRAYS = {
    "log_chi_loc4": 0.1 * DEPTH + RNG.normal(0, 0.1, (6, 24)),
    "reff_signal_loc4": RNG.uniform(5, 9, (6, 24)),
    "mu4_signal_loc3": RNG.uniform(3, 4, (6, 24)),
}


def measured(**changes):
    return MeasuredMoments({**{name: array.copy() for name, array in ARRAYS.items()}, **changes, "depth": DEPTH})


def test_slopes_are_those_of_polynomial_fits():
    (of_growth, _), (of_rank, _) = growth(measured()), rank(measured())
    log_chi, ranks, log_depth = ARRAYS["log_chi_loc4"], ARRAYS["reff_signal_loc4"], np.log(DEPTH)
    cases = [
        (of_growth.rate, log_chi, DEPTH, slice(12, 24)),
        (of_growth.exponent, log_chi, log_depth, slice(12, 24)),
        (of_growth.exponent_middle, log_chi, log_depth, slice(8, 16)),
        (of_growth.exponent_end, log_chi, log_depth, slice(16, 24)),
        (of_rank.exponent, np.log(ranks), log_depth, slice(12, 24)),
    ]
    for estimate, values, position, part in cases:
        expected = np.mean([np.polyfit(position[part], value[part], 1)[0] for value in values])
        assert estimate.value == pytest.approx(expected, rel=1e-9)


# Where a number that is not finite lies: name, realization, depth, and the measures that look there.
SPOILT = [
    ("log_chi_loc4", 1, 20, {growth}),
    ("log_chi_loc4", 1, 3, set()),  # before the middle third
    ("reff_signal_loc4", 2, 23, {rank}),
    ("reff_signal_loc4", 2, 5, set()),  # before the second half
    ("mu4_signal_loc3", 3, 0, {kurtosis}),
    ("mu4_signal_loc3", 3, 10, set()),  # between the ends
]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("name", "realization", "depth", "affected"), SPOILT)
def test_realizations_are_left_out_where_a_measure_looks(name, realization, depth, affected, bad):
    array = ARRAYS[name].copy()
    array[realization, depth] = bad
    others = np.delete(np.arange(6), realization)
    rest = MeasuredMoments({key: value[others] for key, value in ARRAYS.items()} | {"depth": DEPTH})
    for measure in (growth, rank, kurtosis):
        value, left_out = measure(measured(**{name: array}))
        assert left_out.tolist() == [measure in affected and index == realization for index in range(6)]
        assert value == measure(rest if measure in affected else measured())[0]


def test_what_any_measure_leaves_out_is_left_out_of_all():
    spoilt = {}
    for name, realization, depth, _ in SPOILT:
        spoilt.setdefault(name, ARRAYS[name].copy())[realization, depth] = np.nan
    measures, left_out = take_measures(measured(**spoilt))
    assert left_out.tolist() == [False, True, True, True, False, False]
    assert (measures.growth, measures.rank, measures.kurtosis) == tuple(
        measure(measured(**spoilt))[0] for measure in (growth, rank, kurtosis)
    )


def test_what_was_not_measured_leaves_nobody_out():
    measures, left_out = take_measures(MeasuredMoments({"nu2_signal_loc1": np.full((3, 24), np.nan), "depth": DEPTH}))
    assert (measures.growth, measures.rank, measures.kurtosis) == (None, None, None)
    assert left_out.tolist() == [False] * 3
