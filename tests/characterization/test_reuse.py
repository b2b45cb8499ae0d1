"""Second calls compile nothing, and no change of a model is missed."""

import gc
import importlib
import weakref

import keras
import numpy as np
import pytest

from moments_dnns import characterize
from moments_dnns.characterization import reuse

layers = keras.layers
pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="what TensorFlow compiled"),
]

SETTINGS = {"shift": 1.0}


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(reuse, "_kept", {})


class Scaled(layers.Layer):
    factor = 2.0

    def call(self, x):
        return keras.ops.tanh(self.factor * x) + SETTINGS["shift"] * x


class Noisy(layers.Layer):
    def call(self, x):
        return x + importlib.import_module("tensorflow").random.normal((8,))


class Outside(layers.Layer):
    def build(self, shape):
        self.outside = importlib.import_module("tensorflow").constant(np.ones(8, "float32"))

    def call(self, x):
        return x + self.outside


def model(*added):
    made = [layers.Dense(8, "relu", name="dense"), layers.BatchNormalization(name="norm"), Scaled(name="scaled")]
    return keras.Sequential([keras.Input((6,)), *made, *added], name="net")


def images(batch_size=9):
    return np.random.default_rng(0).normal(size=(batch_size, 6)).astype("float32")


def measured(net, **options):
    moments = characterize(net, options.pop("inputs", images()), verbose=False, **options)
    return {name: np.asarray(moments[name]) for name in moments if name != "layer"}


def test_the_same_computation_is_compiled_once():
    net = model()
    before = measured(net)
    (compiled,) = reuse._kept.values()
    for again in (net, model(), keras.models.clone_model(net)):
        moments = measured(again)
        assert [*reuse._kept.values()] == [compiled]
        for name, array in before.items():
            np.testing.assert_array_equal(moments[name], array, err_msg=name)


def set_factor(net):
    net.get_layer("scaled").factor = 3.0


def set_shift(net):
    SETTINGS["shift"] = 0.5


def set_epsilon(net):
    net.get_layer("norm").epsilon = 0.1


def set_activation(net):
    net.get_layer("dense").activation = keras.activations.gelu


def set_call(net):
    net.get_layer("scaled").call = lambda x: keras.ops.square(x)


CHANGES = {
    "an attribute of a layer": (set_factor, {}),
    "what a call reads elsewhere": (set_shift, {}),
    "a setting of a layer of Keras": (set_epsilon, {}),
    "a function": (set_activation, {}),
    "a call itself": (set_call, {}),
    "the batch": (None, {"inputs": images(8)}),
    "what is measured": (None, {"layers": "dense"}),
    "where ranks are taken": (None, {"ranks": "*"}),
    "statistics": (None, {"statistics": "differentiated"}),
    "gradients": (None, {"gradients": True}),
    "weights": (None, {"reinitialize": False}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_change_is_missed(change, monkeypatch):
    """Against what is compiled anew, to the bit."""
    monkeypatch.setitem(SETTINGS, "shift", 1.0)
    make_change, options = CHANGES[change]
    net = model()
    measured(net)
    if make_change:
        make_change(net)
    changed = measured(net, **options)
    assert len(reuse._kept) == 2
    reuse._kept.clear()
    anew = measured(net, **options)
    for name, array in anew.items():
        np.testing.assert_array_equal(changed[name], array, err_msg=name)


@pytest.mark.parametrize("layer", [Noisy, Outside])
def test_what_is_no_function_of_its_arguments_is_compiled_anew(layer):
    measured(model(layer()))
    assert not reuse._kept


def test_few_are_kept_and_no_model_is():
    net = model()
    measured(net)
    (first,) = reuse._kept
    there = weakref.ref(net)
    del net
    gc.collect()
    assert there() is None
    for batch_size in range(10, 10 + reuse.MOST_KEPT):
        measured(model(), inputs=images(batch_size))
    assert first not in reuse._kept
    assert len(reuse._kept) == reuse.MOST_KEPT
