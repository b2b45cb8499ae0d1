"""`assert_well_behaved`: what passes, what raises, and what is refused."""

import keras
import numpy as np
import pytest

from moments_dnns import PathologyError, assert_well_behaved, diagnose
from moments_dnns.analysis.verdicts import EXPLODING, ONE_DIMENSIONAL, WELL_BEHAVED
from tests.support.networks import exponential, network, power

layers = keras.layers
IMAGES = np.random.default_rng(0).normal(size=(16, 12))


def chain(*made):
    return keras.Sequential([keras.Input((12,)), *made])


def collapsed(log_chi):
    return network(log_chi, reff_signal_loc4=1.01)


def test_moments_that_are_well_behaved_pass():
    moments = network(power(0.5))
    assert assert_well_behaved(moments) == diagnose(moments)


@pytest.mark.parametrize(
    ("moments", "words"),
    [
        (network(exponential(0.2)), "exploding sensitivity\n.*trainable: no"),
        (collapsed(power(0.5)), "one-dimensional signal\n.*trainable: yes"),
        (network(power(0.5), num_realizations=2), "not enough.*missing: 4 realizations"),
    ],
)
def test_others_raise_with_what_is_known(moments, words):
    with pytest.raises(PathologyError, match=f"(?s){words}") as raised:
        assert_well_behaved(moments)
    assert isinstance(raised.value, AssertionError)
    assert raised.value.diagnosis == diagnose(moments)
    assert str(raised.value) == str(diagnose(moments))


def test_verdicts_can_be_allowed():
    assert assert_well_behaved(collapsed(power(0.5)), allow=ONE_DIMENSIONAL).verdicts == (ONE_DIMENSIONAL,)
    assert assert_well_behaved(network(exponential(0.2)), allow=[EXPLODING]).verdicts == (EXPLODING,)
    with pytest.raises(PathologyError):
        assert_well_behaved(collapsed(exponential(0.2)), allow=ONE_DIMENSIONAL)


@pytest.mark.backend
def test_models_are_measured_first():
    good = chain(layers.Dense(64, "gelu", kernel_initializer="he_normal"), layers.Dense(32))
    diagnosis = assert_well_behaved(good, IMAGES, num_realizations=5, verbose=False)
    assert (diagnosis.verdicts, diagnosis.num_realizations) == ((WELL_BEHAVED,), 5)
    bias = keras.initializers.Constant(-30.0)
    dead = chain(layers.Dense(16, "relu", bias_initializer=bias, name="dead"), layers.Dense(8), layers.Dense(8))
    with (
        pytest.warns(RuntimeWarning, match="log_mu2_noise is -inf at layer dead"),
        pytest.raises(PathologyError, match=r"(?s)dead signal.*cause: dead: from here on"),
    ):
        assert_well_behaved(dead, IMAGES, verbose=False)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((network(power(0.5)), IMAGES), {}, TypeError, "belong to a model"),
        ((network(power(0.5)),), {"seed": 1}, TypeError, "belong to a model.*seed"),
        ((network(power(0.5)),), {"allow": "well-behaved"}, ValueError, "allow must be one of"),
        (([1.0],), {}, TypeError, "mapping"),
        ((keras.Sequential([keras.Input((3,)), layers.ReLU()]),), {}, TypeError, "expected inputs for the model"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        assert_well_behaved(*arguments, **options)
