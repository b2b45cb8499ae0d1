"""Pools against the oracle, on sides that squares fill and on sides that they do not."""

import numpy as np
import pytest

from moments_dnns.descriptions.steps import Step
from moments_dnns.layers.pooling import AveragePooling, MaxPooling
from tests.support import oracle
from tests.support.cases import assert_states_close, make_state, true

pytestmark = pytest.mark.backend

LAYERS = {"average_pool": AveragePooling, "max_pool": MaxPooling}
OPTIONS = dict.fromkeys(("drawn", "epsilon", "activation", "boundary", "statistics"))
each_pool = pytest.mark.parametrize("name", LAYERS)


def random_state(shape=(3, 6, 7, 4)):
    return make_state(*np.random.default_rng(0).normal(size=(2, *shape)), 1.5, -2.5)


@each_pool
@pytest.mark.parametrize("strides", [1, 2, 3, 5])
def test_pools_are_those_of_the_oracle(name, strides):
    state = random_state()
    pooled = LAYERS[name](strides)(state)
    assert tuple(pooled.signal.shape) == (3, 6 // strides, 7 // strides, 4)
    # Averages of 25 numbers of float32; what is chosen is not computed, but for the scales.
    assert_states_close(pooled, oracle.step(Step(name, strides=strides), true(state), **OPTIONS), 2e-6, 2e-6)


@each_pool
def test_scales_stay(name):
    """Pools are homogeneous: the logarithms are not even rounded."""
    state = random_state()
    pooled = LAYERS[name](2)(state)
    assert [float(x) for x in pooled[2:]] == [float(x) for x in state[2:]] == [1.5, -2.5]


@each_pool
def test_refused(name):
    with pytest.raises(ValueError, match="strides must be an integer of at least 1. Received: strides=0"):
        LAYERS[name](0)
    with pytest.raises(ValueError, match="at most the sides 6 and 7. Received: strides=7"):
        LAYERS[name](7)(random_state())
