"""Statistics on logarithms against the same statistics on plain numbers, and against exact identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from moments_dnns.analysis.statistics import Estimate, bin_edges, density, estimate, log_band, log_mean, log_quantile

logarithms = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.floats(-5, 5))


HUGE = 5000.0  # exp(5000) has no float64


@given(logarithms)
def test_band_is_that_of_the_plain_numbers(logs):
    band = log_band(logs)
    np.testing.assert_allclose(np.exp(band.mean), np.exp(logs).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(np.exp(band.lower), np.percentile(np.exp(logs), 16, axis=0), rtol=1e-11)
    np.testing.assert_allclose(np.exp(band.upper), np.percentile(np.exp(logs), 84, axis=0), rtol=1e-11)


@given(logarithms, st.sampled_from([-HUGE, HUGE]))
def test_scale_shifts_the_band_beyond_float64(logs, shift):
    for plain, shifted in zip(log_band(logs), log_band(logs + shift), strict=True):
        np.testing.assert_allclose(shifted, plain + shift, atol=1e-9)


@given(logarithms, st.data())
def test_nan_is_left_out(logs, data):
    lost = data.draw(arrays(np.bool_, len(logs)))
    logs[lost, 0] = np.nan
    rest = log_band(logs[~lost, :1]) if not lost.all() else (np.nan,) * 3
    for whole, part in zip(log_band(logs), rest, strict=True):
        np.testing.assert_allclose(whole[:1], part, rtol=1e-12, atol=1e-12)
        assert np.isfinite(whole[1:]).all()


@given(st.floats(-HUGE, HUGE), st.integers(1, 1000))
def test_identical_realizations_have_no_width(value, number):
    for end in log_band(np.full((number, 1), value)):
        assert end[0] == value


def test_mean_of_far_apart_realizations():
    np.testing.assert_allclose(log_mean(np.array([[HUGE], [0.0], [-HUGE]])), HUGE - np.log(3))
    # Of two, the quantile is w e^0 + (1 - w) e^5000, of which only the second counts.
    np.testing.assert_allclose(log_quantile(np.array([[0.0], [HUGE]]), 0.16), HUGE + np.log(0.16))
    assert log_quantile(np.array([[0.0], [HUGE]]), 0.0) == 0
    assert log_quantile(np.array([[0.0], [HUGE]]), 1.0) == HUGE


@given(logarithms, st.data())
def test_counted_realizations_are_those_that_are_repeated(logs, data):
    counts = data.draw(arrays(np.int64, (3, len(logs)), elements=st.integers(0, 4)))
    counts[counts.sum(axis=1) == 0, 0] = 1
    logs[data.draw(arrays(np.bool_, logs.shape))] = np.nan
    for row, means in zip(counts, log_mean(logs, counts), strict=True):
        repeated = np.repeat(logs, row, axis=0)
        np.testing.assert_allclose(means, log_mean(repeated), rtol=1e-12, atol=1e-12)


def test_bins_of_a_normal_sample_are_those_of_freedman_and_diaconis():
    samples = np.random.default_rng(0).normal(size=(10_000, 1))
    width = 2 * np.subtract(*np.percentile(samples, (75, 25))) / 10_000 ** (1 / 3)
    np.testing.assert_allclose(np.diff(bin_edges(samples)), width, rtol=0.02)


def test_bins_resolve_the_typical_depth():
    samples = np.random.default_rng(0).normal(size=(10_000, 3)) * [1, 2, 4] + [0, -5, -10]
    width = 2 * np.subtract(*np.percentile(samples[:, 1], (75, 25))) / 10_000 ** (1 / 3)
    np.testing.assert_allclose(np.diff(bin_edges(samples)), width, rtol=0.02)


@given(
    arrays(
        np.float64,
        array_shapes(min_dims=2, max_dims=2, max_side=10),
        elements=st.floats(-1e3, 1e3) | st.just(np.nan) | st.just(0.25),
    )
)
def test_bins_hold_every_sample_and_densities_integrate_to_one(samples):
    edges = bin_edges(samples)
    assert 1 <= len(edges) - 1 <= 200
    assert (np.diff(edges) > 0).all()
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0], rtol=1e-6)
    for sample in samples.T:
        total = np.sum(density(sample, edges) * np.diff(edges))
        np.testing.assert_allclose(total, float(np.isfinite(sample).any()), rtol=1e-9)


@pytest.mark.parametrize("samples", [[[7.0]], [[7.0, 7.0]] * 5, [[7.0], [np.nan]], [[7.0], [np.nextafter(7, 8)]]])
def test_samples_without_spread_get_one_filled_bin(samples):
    edges = bin_edges(np.array(samples))
    assert density(np.array(samples)[:, 0], edges).tolist() == [0, 1, 0]
    np.testing.assert_allclose(edges, [5.5, 6.5, 7.5, 8.5])


def test_density_counts():
    sample = np.array([0.0, 0.5, 1.5, 1.6, 3.9, 4.0, np.nan])
    np.testing.assert_allclose(density(sample, np.array([0.0, 1.0, 2.0, 4.0])), [2 / 6, 2 / 6, 1 / 6])


@pytest.mark.parametrize("num_realizations", [4, 10, 50])
def test_intervals_hold_the_mean_as_often_as_they_say(num_realizations):
    samples = np.random.default_rng(0).normal(3, 2, (4000, num_realizations))
    found = [estimate(row) for row in samples]
    held = np.mean([each.lower < 3 < each.upper for each in found])
    assert abs(held - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)  # four standard errors


def test_intervals_have_sides():
    assert [Estimate(2, 1, 3).side(threshold) for threshold in (0.5, 2.5, 3.5)] == [1, 0, -1]
    assert str(Estimate(2, 1, 3).times(10)) == "20 [10, 30]"
    alone = estimate(np.array([2.0]))
    assert (alone.side(0), alone.is_bounded, alone.to_dict()) == (0, False, {"value": 2, "lower": None, "upper": None})
