"""Layers among other layers: configurations, and models that somebody writes by hand, saves and loads."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns import layers
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.layers.activation import Activation
from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.core import Add, InitialState, Rescaling
from moments_dnns.layers.measurement import LogMoments
from moments_dnns.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
)
from moments_dnns.layers.pooling import AveragePooling, MaxPooling
from moments_dnns.layers.propagate import Propagate
from moments_dnns.layers.token_mixing import TokenMixing
from moments_dnns.simulation.blocks import Block
from moments_dnns.simulation.network import Propagation
from tests.support import oracle

pytestmark = pytest.mark.backend

EXPERIMENT = Experiment(
    "bn_res",
    4,
    3,
    5,
    2,
    1,
    boundary="symmetric",
    epsilon=0.25,
    res_depth=3,
    num_computations=2,
    compute_reff_noise=False,
)
LAYERS = {
    type(layer).__name__: layer
    for layer in [
        InitialState(),
        Convolution(4, 3, 2, "zero_padding", 1.5),
        TokenMixing(1.5, bias_variance=0.5),
        BatchNormalization(0.25),
        LayerNormalization(0.25),
        GroupNormalization(5, 0.25),
        InstanceNormalization(0.25),
        RMSNormalization(0.25),
        AveragePooling(3),
        MaxPooling(3),
        Propagate(keras.layers.BatchNormalization(), moving_statistics=True),
        Activation(),
        Add(),
        Rescaling(),
        LogMoments(["mu4_signal", "log_mu2_noise", "reff_noise"]),
        Block(EXPERIMENT),
        Propagation(EXPERIMENT),
    ]
}

# How a layer is called with the state of a hand-written model, where that is not `layer(state)`.
CALLS = {
    "InitialState": lambda layer, state, seeds: layer(state.signal, state.noise),
    "Convolution": lambda layer, state, seeds: layer(state, seed=seeds[0]),
    "TokenMixing": lambda layer, state, seeds: layer(state, seed=seeds[0]),
    "Add": lambda layer, state, seeds: layer([state, state]),
    "Block": lambda layer, state, seeds: layer(state, seeds=ops.slice(seeds, (1, 0), (3, 2))),
}
saving = pytest.mark.filterwarnings(
    # Keras on JAX, with NumPy 2, in load_model itself.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def hand_written_model(layer):
    images, noise = keras.Input((6, 6, 5), name="images"), keras.Input((6, 6, 5), name="noise")
    seeds = keras.Input(batch_shape=(4, 2), dtype="int32", name="seeds")
    call = CALLS.get(type(layer).__name__, lambda layer, state, seeds: layer(state))
    outputs = call(layer, InitialState()(images, noise), seeds)
    return keras.Model([images, noise, seeds], keras.tree.flatten(outputs))


@saving
@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"Propagation"}))
def test_in_a_model_written_by_hand(name, tmp_path):
    model = hand_written_model(type(LAYERS[name]).from_config(LAYERS[name].get_config()))
    lines = []
    model.summary(line_length=200, print_fn=lines.append)
    assert name in "".join(lines)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = [
        *np.random.default_rng(1).normal(size=(2, 4, 6, 6, 5)).astype("float32"),
        np.arange(8, dtype="int32").reshape(4, 2),
    ]
    outputs = model(inputs)
    assert any(np.any(np.asarray(output)) for output in outputs)
    for output, again in zip(outputs, loaded(inputs), strict=True):
        assert np.array_equal(output, again)


@saving
@pytest.mark.parametrize("moving_statistics", [False, True])
def test_a_lifted_layer_is_saved_with_its_weights(moving_statistics, tmp_path):
    """Batch normalization, which is built by us where it takes the statistics of the batch."""
    model = hand_written_model(Propagate(keras.layers.BatchNormalization(), moving_statistics))
    for number, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, 2.0 + number))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [float(np.mean(weight.value)) for weight in loaded.weights] == [2.0, 3.0, 4.0, 5.0]


def test_the_face_makes_all_layers_known_to_keras():
    """In a process of its own, since this one knows them already."""
    names = sorted(set(LAYERS) - {"Block", "Propagation"})
    script = (
        "import keras, moments_dnns.layers\n"
        f"print([name for name in {names} if not keras.saving.get_registered_object(f'moments_dnns>{{name}}')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_one_hand_written_model_serves_every_batch_size():
    images, noise = keras.Input((6, 6, 5)), keras.Input((6, 6, 5))
    generator = np.random.default_rng(0)
    kernels = [generator.normal(size=shape).astype("float32") for shape in [(3, 3, 5, 7), (2, 2, 7, 7)]]
    start = Convolution(7, 3, strides=2)(InitialState()(images, noise), kernel=kernels[0])
    start = BatchNormalization(0.0)(start)
    state = Rescaling()(Add()([start, Convolution(7, 2)(Activation()(start), kernel=kernels[1])]))
    model = keras.Model([images, noise], LogMoments(["mu4_signal", "log_mu2_noise"])(state))
    for batch_size in (2, 9):
        inputs = list(generator.normal(size=(2, batch_size, 6, 6, 5)).astype("float32"))
        start = oracle.batch_norm(oracle.convolution(inputs, kernels[0], strides=2), 0.0)
        expected = oracle.moments(oracle.add(start, oracle.convolution(oracle.relu(start), kernels[1])))
        np.testing.assert_allclose(
            model.predict_on_batch(inputs), [np.log(expected["mu4_signal"]), expected["log_mu2_noise"]], atol=1e-5
        )


@pytest.mark.parametrize("name", LAYERS)
def test_configuration(name):
    layer = LAYERS[name]
    assert keras.saving.get_registered_name(type(layer)) == f"moments_dnns>{name}"
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


def test_every_layer_is_tried():
    shown = [getattr(layers, name) for name in layers.__all__]
    assert {each.__name__ for each in shown if isinstance(each, type) and issubclass(each, keras.layers.Layer)} <= {
        *LAYERS
    }


def test_configurations_hold_every_argument():
    assert (
        LAYERS["Convolution"].get_config().items()
        >= {"num_channels": 4, "kernel_size": 3, "strides": 2, "boundary": "zero_padding", "gain": 1.5}.items()
    )
    assert (
        LAYERS["TokenMixing"].get_config().items()
        >= {"gain": 1.5, "kernel_initializer": "gaussian", "bias_variance": 0.5}.items()
    )
    assert LAYERS["BatchNormalization"].get_config()["epsilon"] == 0.25
    assert (LAYERS["GroupNormalization"].get_config()["groups"], LAYERS["MaxPooling"].get_config()["strides"]) == (5, 3)
    assert LAYERS["Propagate"].get_config()["moving_statistics"] is True
    assert list(LAYERS["LogMoments"].get_config()["moments"]) == ["mu4_signal", "log_mu2_noise", "reff_noise"]
    assert Experiment(**LAYERS["Block"].get_config()["experiment"]) == EXPERIMENT
