"""Keras layers that map states: batch normalization by the batch or by moving averages, and saved configurations."""

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns.layers.propagate import Propagate
from tests.support.cases import assert_close, make_state, true

pytestmark = pytest.mark.backend

MEAN, VARIANCE = np.array([0.5, -1.0, 2.0]), np.array([4.0, 0.25, 1.0])


def random_state():
    signal, noise = np.random.default_rng(0).normal(size=(2, 6, 2, 2, 3))
    return make_state(signal + 1, noise, 1.5, -2.5)


def trained(propagate):
    """Return a layer around batch normalization after moving averages were stored in it."""
    if not propagate.layer.built:
        propagate.layer.build((None, 2, 2, 3))
    propagate.layer.moving_mean.assign(MEAN)
    propagate.layer.moving_variance.assign(VARIANCE)
    return propagate


def make(**options):
    norm = keras.layers.BatchNormalization(epsilon=0.0, center=False, scale=False, name="norm")
    return trained(Propagate(norm, **options))


# The convention for the statistics -> mean and variance over (batch, height, width), in float64.
CONVENTIONS = {
    False: lambda signal: (signal.mean(axis=(0, 1, 2)), signal.var(axis=(0, 1, 2))),
    True: lambda signal: (MEAN, VARIANCE),
}


@pytest.mark.parametrize("moving_statistics", CONVENTIONS)
def test_statistics_of_batch_normalization_are_constants_for_the_noise(moving_statistics):
    """Ten operations of float32, each of which rounds to 6e-8."""
    state = random_state()
    signal, noise = true(state)
    mean, variance = CONVENTIONS[moving_statistics](signal)
    lifted = true(make(moving_statistics=moving_statistics)(state))
    assert_close(lifted[0], (signal - mean) / np.sqrt(variance), 2e-6)
    assert_close(lifted[1], noise / np.sqrt(variance), 2e-6)


def test_the_statistics_of_the_batch_are_the_default():
    assert make().get_config()["moving_statistics"] is False


def test_moving_statistics_is_true_or_false():
    with pytest.raises(TypeError, match="must be True or False. Received: moving_statistics='stored'"):
        make(moving_statistics="stored")


# As it was saved when the argument was called `statistics`, without what Keras adds at its defaults.
SAVED = {
    "module": "moments_dnns.lifting",
    "class_name": "Propagate",
    "config": {
        "name": "lifted",
        "trainable": True,
        "layer": {
            "module": "keras.layers",
            "class_name": "BatchNormalization",
            "config": {"name": "norm", "epsilon": 0.0, "center": False, "scale": False},
            "registered_name": None,
        },
    },
    "registered_name": "moments_dnns>Propagate",
}


@pytest.mark.parametrize(("statistics", "moving_statistics"), [("batch", False), ("stored", True), (None, False)])
def test_older_configurations_are_loaded(statistics, moving_statistics):
    older = {} if statistics is None else {"statistics": statistics}
    saved = {**SAVED, "config": {**SAVED["config"], **older}}
    loaded = trained(keras.saving.deserialize_keras_object(saved))
    assert (loaded.name, loaded.moving_statistics) == ("lifted", moving_statistics)
    assert "statistics" not in loaded.get_config()
    state, same = random_state(), make(moving_statistics=moving_statistics)
    for one, other in zip(loaded(state), same(state), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loaded))
    assert again.get_config() == loaded.get_config()


def test_a_saved_configuration_is_not_changed_by_loading_it():
    config = {**SAVED["config"], "statistics": "stored"}
    before = dict(config)
    Propagate.from_config(config)
    assert config == before
