"""Moments and the effective rank against the oracle, on spectra and scales that break careless formulas."""

import math

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import ops

from moments_dnns.layers.measurement import LogMoments, effective_rank
from moments_dnns.moments import MOMENTS
from tests.support import oracle
from tests.support.cases import make_state, true

pytestmark = pytest.mark.backend

GAPS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7]


def features_with(eigenvalues, points, channels, seed=0):
    """Centred features whose covariance has these eigenvalues, up to a factor."""
    generator = np.random.default_rng(seed)
    left = generator.normal(size=(points, len(eigenvalues)))
    left, _ = np.linalg.qr(left - left.mean(axis=0))
    right, _ = np.linalg.qr(generator.normal(size=(channels, len(eigenvalues))))
    return (left * np.sqrt(eigenvalues) @ right.T).astype("float32")


def rank_of(features):
    return float(effective_rank(features))


SPECTRA = {
    "flat": np.ones(60),
    "one direction": [1.0],
    "halving": 0.5 ** np.arange(20),
    "slow": 1 / np.arange(1, 60),
    **{f"two at the top, gap {gap}": np.r_[1, 1 - gap, np.full(50, 0.3)] for gap in GAPS},
    **{f"all but one below the top, gap {gap}": np.r_[1, np.full(59, 1 - gap)] for gap in GAPS},
    **{f"a ladder of gaps {gap}": 1 - gap * np.linspace(0, 1, 60) for gap in GAPS},
    **{f"near one, {rest}": np.r_[1, np.full(59, rest / 59)] for rest in GAPS},
}


@pytest.mark.parametrize("shape", [(300, 64), (64, 300), (61, 60)], ids=["points", "channels", "square"])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_effective_rank_of_hard_spectra(spectrum, shape):
    features = features_with(SPECTRA[spectrum], *shape)
    expected = np.sum(SPECTRA[spectrum]) / np.max(SPECTRA[spectrum])
    assert oracle.effective_rank(features) == pytest.approx(expected, rel=1e-5)
    assert rank_of(features) == pytest.approx(oracle.effective_rank(features), rel=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
@pytest.mark.parametrize("shape", [(300, 64), (64, 300)])
def test_effective_rank_at_any_scale(shape, scale):
    features = np.random.default_rng(0).normal(size=shape) * scale
    assert rank_of(features.astype("float32")) == pytest.approx(oracle.effective_rank(features), rel=1e-5)


@pytest.mark.parametrize("mean", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("shape", [(300, 64), (64, 300)])
def test_effective_rank_of_a_small_variation_around_a_large_mean(shape, mean):
    features = (np.random.default_rng(0).normal(size=shape) + mean).astype("float32")
    assert rank_of(features) == pytest.approx(oracle.effective_rank(features), rel=1e-4)


def test_effective_rank_with_an_outlier_and_with_a_loud_channel():
    features = np.random.default_rng(0).normal(size=(2, 300, 64)).astype("float32")
    features[0, 0] *= 1e4
    features[1, :, 0] *= 1e4
    for x in features:
        assert rank_of(x) == pytest.approx(oracle.effective_rank(x), rel=1e-5)


def test_effective_rank_counts_every_axis_but_the_last_as_points():
    features = np.random.default_rng(0).normal(size=(5, 4, 3, 7)).astype("float32")
    assert rank_of(features) == pytest.approx(rank_of(features.reshape(60, 7)), rel=1e-6)


@pytest.mark.parametrize(
    "features",
    [np.zeros((5, 3)), np.full((5, 3), 0.1), np.full((300, 64), 1e20), np.arange(3.0)[None]],
    ids=["zero", "constant", "large", "single point"],
)
def test_effective_rank_without_variance_is_zero(features):
    assert rank_of(features.astype("float32")) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("at", [(0, 0), (3, 1)])
def test_effective_rank_of_what_is_not_a_number_is_not_a_number(at, bad):
    features = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    features[at] = bad
    assert math.isnan(rank_of(features))


@settings(max_examples=60)
@given(
    shape=st.sampled_from([(2, 1), (2, 9), (3, 3), (20, 6), (6, 20)]),
    seed=st.integers(0, 2**32 - 1),
    exponents=st.lists(st.integers(-12, 12), min_size=20, max_size=20),
    scale=st.integers(-15, 15),
    mean=st.floats(-10, 10),
)
def test_bounds_of_the_effective_rank(shape, seed, exponents, scale, mean):
    points, channels = shape
    features = np.random.default_rng(seed).normal(size=shape) * 2.0 ** np.array(exponents[:channels]) + mean
    features = (features * 10.0**scale).astype("float32")
    # float32 may round a small variation around a large mean to nothing.
    assume(np.ptp(features, axis=0).any())
    rank = rank_of(features)
    assert 1 <= rank <= min(channels, points - 1) * (1 + 1e-5)
    assert rank == pytest.approx(oracle.effective_rank(features), rel=1e-4)


# --- moments -------------------------------------------------------------------------------------------------------

TOLERANCES = {name: 1e-5 if moment.of == "signal" and moment.power else 1e-4 for name, moment in MOMENTS.items()}


def moments_of(state, names=tuple(MOMENTS)):
    return dict(zip(names, np.asarray(LogMoments(names)(state), np.float64), strict=True))


def assert_moments_right(state):
    expected = oracle.moments(true(state))
    for name, logarithm in moments_of(state).items():
        expected_logarithm = expected[name] if name.startswith("log") else np.log(expected[name])
        # The logarithm's own rounding counts too, where it is large.
        tolerance = TOLERANCES[name] + 1e-7 * abs(expected_logarithm)
        assert logarithm == pytest.approx(expected_logarithm, rel=0, abs=tolerance), name


@pytest.mark.parametrize("shape", [(6, 4, 4, 8), (6, 1, 1, 8), (2, 1, 1, 1), (3, 5, 4, 2)])
@pytest.mark.parametrize("logs", [(0.0, 0.0), (1.3, -0.8), (-90.0, 140.0)])
def test_moments(shape, logs):
    generator = np.random.default_rng(0)
    signal = generator.normal(size=shape) * generator.uniform(0.1, 3, shape[-1]) + generator.normal(size=shape[-1])
    assert_moments_right(make_state(signal, generator.normal(size=shape) + 0.7, *logs))


def test_moments_of_a_small_variation_around_a_large_mean():
    generator = np.random.default_rng(0)
    signal = generator.normal(size=(6, 4, 4, 8)) * 1e-3 + 10
    assert_moments_right(make_state(signal, generator.normal(size=signal.shape)))


def test_moments_of_hand_computed_numbers():
    """Channels (1, 3) and (-2, -2), noise (1, 1) and (3, -3), with scales 4 and 9 divided out of the squares."""
    signal = np.array([[1.0, -2.0], [3.0, -2.0]]).reshape(2, 1, 1, 2)
    noise = np.array([[1.0, 3.0], [1.0, -3.0]]).reshape(2, 1, 1, 2)
    moments = moments_of(make_state(signal, noise, math.log(4), math.log(9)))
    expected = {
        "nu1_abs_signal": 2 * 2,
        "nu2_signal": 4 * 4.5,
        "mu2_signal": 4 * 0.5,
        "mu4_signal": 16 * 0.5,
        "log_mu2_noise": 9 * 5,
        "reff_signal": 1,
        "reff_noise": 1,
    }
    assert {name: round(math.exp(moment), 3) for name, moment in moments.items()} == expected


def test_moments_of_nothing_are_zero_and_never_not_a_number():
    zeros = np.zeros((2, 3, 3, 2))
    assert set(moments_of(make_state(zeros, zeros)).values()) == {-math.inf}


def test_moments_of_what_is_not_a_number_are_not_numbers():
    x = np.ones((2, 3, 3, 2))
    x[1, 1, 1, 1] = math.nan
    assert all(map(math.isnan, moments_of(make_state(x, x)).values()))


def test_moments_keep_the_order_of_their_names():
    state = make_state(*np.random.default_rng(0).normal(size=(2, 2, 3, 3, 2)))
    names = list(reversed(MOMENTS))
    assert moments_of(state, names) == moments_of(state)


def test_unknown_moments_are_refused():
    with pytest.raises(ValueError, match=r"moments must be one of 'nu1_abs_signal', .* Received: moments='mu3'"):
        LogMoments(["mu3"])


def test_effective_rank_where_the_batch_size_is_left_open():
    features = keras.Input((1, 1, 7))
    state = (features, features, ops.array(0.0), ops.array(0.0))
    model = keras.Model(features, LogMoments(["reff_signal", "reff_noise"])(state))
    x = np.random.default_rng(0).normal(size=(4, 1, 1, 7)).astype("float32")
    np.testing.assert_allclose(np.exp(model(x)), [oracle.effective_rank(x)] * 2, rtol=1e-4)
