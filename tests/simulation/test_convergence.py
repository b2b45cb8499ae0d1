"""Ending a run at a tolerance: the statistics, and that order does not matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns.simulation.convergence import Convergence, RunningMean

SEEDED = np.random.default_rng(0)
SAMPLES = {
    "nu2_signal_loc1": SEEDED.lognormal(size=(40, 3)),
    "mu2_signal_loc1": SEEDED.lognormal(size=(40, 3)),
    "log_mu2_noise_loc1": SEEDED.normal(5.0, 0.2, size=(40, 3)),
}


def rows(order):
    return [{k: {name: array[k] for name, array in SAMPLES.items()}} for k in order]


def end(order, tolerance, chunk_size):
    convergence = Convergence(tolerance, chunk_size)
    counted = [k for row in rows(order) for k in convergence.take(row)]
    return counted, convergence.reached


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.floats(-1e6, 1e6))
def test_statistics_are_those_of_all_samples_at_once(sizes, offset):
    samples = np.random.default_rng(sum(sizes)).normal(offset, 1.0, size=(sum(sizes), 2))
    first, *others = np.split(samples, np.cumsum(sizes)[:-1])
    running = RunningMean.of(first)
    for other in others:
        running = running.updated(other)
    # Rounding of samples near the offset, which is relative to it.
    rounding = 1e-12 * max(1.0, abs(offset))
    np.testing.assert_allclose(running.mean, samples.mean(axis=0), atol=rounding)
    if len(samples) > 1:
        expected = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
        np.testing.assert_allclose(running.standard_error, expected, rtol=1e-6, atol=rounding)


def test_one_sample_tells_nothing():
    assert np.isinf(RunningMean.of(np.ones((1, 2))).standard_error).all()


def first_end(tolerance, chunk_size):
    """Return the end of the run by the definition of the tolerance, from all samples at once."""
    for count in range(chunk_size, 41, chunk_size):
        part = {name: array[:count] for name, array in SAMPLES.items()}
        part["log_chi"] = (part["log_mu2_noise_loc1"] - np.log(part["mu2_signal_loc1"])) / 2
        errors = {name: array.std(axis=0, ddof=1) / np.sqrt(count) for name, array in part.items()}
        units = {name: 1.0 if "log" in name else array.mean(axis=0) for name, array in part.items()}
        if all((errors[name] < tolerance * units[name]).all() for name in part):
            return count
    return None


@pytest.mark.parametrize(("tolerance", "chunk_size"), [(0.5, 2), (0.3, 5), (0.25, 8), (0.2, 4)])
def test_a_run_ends_where_all_standard_errors_are_below_the_tolerance(tolerance, chunk_size):
    expected = first_end(tolerance, chunk_size)
    assert expected is not None
    assert end(range(40), tolerance, chunk_size) == (list(range(expected)), True)


@given(st.permutations(range(40)))
def test_the_end_of_a_run_does_not_depend_on_the_order(order):
    counted, reached = end(order, 0.3, 5)
    assert (counted, reached) == end(range(40), 0.3, 5)


def test_a_tolerance_that_is_not_reached_counts_all():
    assert end(range(40), 1e-6, 8) == (list(range(40)), False)


def test_without_tolerance_everything_counts_at_once_in_any_order():
    assert end([5, 3, 9], 0.0, 2) == ([5, 3, 9], False)


def test_chi_counts_too():
    # Every moment alone is known exactly enough, ln chi is not: it is what the noise varies by.
    convergence = Convergence(0.01, 2)
    signal = {"mu2_signal_loc1": np.ones(1)}
    for k in range(4):
        convergence.take({k: {**signal, "log_mu2_noise_loc1": np.array([1000.0 * (k % 2)])}})
    assert not convergence.reached


def test_dead_networks_never_converge():
    convergence = Convergence(1e9, 2)
    for k in range(4):
        convergence.take({k: {"log_mu2_noise_loc1": np.array([-np.inf])}})
    assert not convergence.reached
