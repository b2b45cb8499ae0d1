"""Making a state, adding two, and rescaling one: against the oracle, and at scales that break careless code."""

import math

import numpy as np
import pytest
from keras import ops

from moments_dnns.layers.core import Add, InitialState, Rescaling
from tests.support import oracle
from tests.support.cases import assert_close, assert_states_close, make_state, true

pytestmark = pytest.mark.backend

generator = np.random.default_rng(0)


def random_state(shape=(4, 5, 5, 3), log_signal=0.0, log_noise=0.0):
    signal, noise = generator.normal(size=(2, *shape))
    return make_state(signal + 0.5 * generator.normal(size=shape[-1]), noise, log_signal, log_noise)


@pytest.mark.parametrize(
    "logs",
    [(0.0, 0.0, 0.0, 0.0), (3.0, -5.0, -1.0, 2.0), (200.0, 199.0, -200.0, -199.0), (200.0, -200.0, -200.0, 200.0)],
)
def test_add(logs):
    one, other = (
        random_state(log_signal=logs[0], log_noise=logs[1]),
        random_state(log_signal=logs[2], log_noise=logs[3]),
    )
    total = Add()([one, other])
    assert all(np.isfinite(x).all() for x in map(np.asarray, total))
    assert_states_close(total, oracle.add(true(one), true(other)))
    assert_states_close(Add()([other, one]), true(total), 0, 0)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-12, 1e12), (1e15, 1e-15)])
def test_rescaling(scales):
    state = random_state(log_signal=11.0, log_noise=-150.0)
    state = state._replace(signal=state.signal * scales[0], noise=state.noise * scales[1])
    rescaled = Rescaling()(state)
    assert_states_close(rescaled, true(state), 1e-5, 3e-5)
    for x in (rescaled.signal, rescaled.noise):
        assert float(ops.mean(ops.square(x))) == pytest.approx(1, rel=1e-5)


def test_rescaling_leaves_zeros():
    zeros = np.zeros((2, 1, 1, 3))
    for x in Rescaling()(make_state(zeros, zeros)):
        assert not np.any(np.asarray(x))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_initial_state(scale):
    images, noise = generator.normal(size=(2, 3, 4, 4, 2)).astype("float32")
    state = InitialState()(images * np.float32(scale), noise * np.float32(scale))
    for x, given, log in zip(state[:2], (images, noise), state[2:], strict=True):
        assert 0.1 < np.abs(np.asarray(x)).max() < 10
        assert_close(np.asarray(x) * np.exp(float(log) / 2 - math.log(scale)), given, 3e-5)


def test_initial_state_without_noise():
    images = np.ones((2, 4, 4, 3), "float32")
    state = InitialState()(images, 0 * images)
    assert not np.any(np.asarray(state.noise))
    assert float(state.log_noise) == 0
