"""The cases that tests run through: every architecture with every boundary and fully connected, kept small."""

import functools

import numpy as np
import pytest
from keras import ops

from moments_dnns._backend import compiled
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.core import InitialState, Rescaling
from moments_dnns.layers.measurement import LogMoments
from moments_dnns.layers.state import State
from moments_dnns.simulation.blocks import Block
from moments_dnns.simulation.network import build_network, num_seeds

# name -> (kernel_size, boundary)
GEOMETRIES = {
    "periodic": (3, "periodic"),
    "periodic_one_sided": (3, "periodic_one_sided"),
    "symmetric": (3, "symmetric"),
    "zero_padding": (3, "zero_padding"),
    "fully_connected": (1, "periodic"),
}
# Feedforward networks with one-sided kernels are periodic ones, displaced: see test_checks.
CASES = [
    (architecture, geometry)
    for architecture in ("vanilla", "bn_ff", "bn_res")
    for geometry in GEOMETRIES
    if architecture == "bn_res" or geometry != "periodic_one_sided"
]
BATCH_NORM_CASES = [case for case in CASES if case[0] != "vanilla"]
VANILLA_CASES = [case for case in CASES if case[0] == "vanilla"]

# Every layer with every boundary is compared with the oracle on every backend; of the networks, one of each kind.
ON_EVERY_BACKEND = {("vanilla", "periodic"), ("bn_ff", "fully_connected"), ("bn_res", "symmetric")}

WIDTH, BATCH, SIDE, LAYERS = 8, 6, 8, 3


def through(cases):
    """Parametrize a test with cases, those of `ON_EVERY_BACKEND` on every backend."""
    marked = [pytest.param(*case, marks=pytest.mark.backend if case in ON_EVERY_BACKEND else ()) for case in cases]
    return pytest.mark.parametrize(("architecture", "geometry"), marked)


def make_experiment(architecture, geometry, **changes):
    kernel_size, boundary = GEOMETRIES[geometry]
    parameters = {
        "total_depth": LAYERS,
        "num_channels": WIDTH,
        "batch_size": BATCH,
        "num_realizations": 1,
        "num_computations": LAYERS,
        "boundary": boundary,
        **changes,
    }
    return Experiment(architecture, kernel_size=kernel_size, **parameters)


def image_shape(experiment):
    return (1, 1, SIDE * SIDE * 3) if experiment.fully_connected else (SIDE, SIDE, 3)


def draw_inputs(experiment, seed=0):
    """Images (correlated in space, standardized channel by channel), noise, and a seed for every kernel."""
    generator = np.random.default_rng(seed)
    images, noise = generator.normal(size=(2, experiment.batch_size, *image_shape(experiment)))
    images = images + np.roll(images, 1, axis=1) + 0.5 * np.roll(images, 1, axis=-1)
    images = (images - images.mean(axis=(0, 1, 2))) / images.std(axis=(0, 1, 2))
    seeds = generator.integers(0, 2**31, (num_seeds(experiment), 2))
    return images.astype("float32"), noise.astype("float32"), seeds.astype("int32")


network = functools.cache(lambda experiment: build_network(experiment, image_shape(experiment)))


def realize(experiment, images, noise, seeds):
    """The logarithms of moments of one realization by array name, one entry per measured layer."""
    table = network(experiment).predict_on_batch([images, noise, seeds])
    return dict(zip(experiment.array_names, table.T, strict=True))


def draw_network_kernels(experiment, seed=0):
    """The first convolution's kernel, and a list of kernels for each layer."""
    side, shape = experiment.kernel_size, image_shape(experiment)
    first = np.random.default_rng(seed).normal(size=(side, side, shape[-1], experiment.num_channels))
    return [
        (first / np.sqrt(side**2 * shape[-1])).astype("float32"),
        *(draw_kernels(experiment, (seed, layer)) for layer in range(experiment.total_depth)),
    ]


def propagate(experiment, images, noise, kernels):
    """What `realize` returns, from kernels instead of seeds, layer by layer."""
    first = Convolution(
        experiment.num_channels,
        experiment.kernel_size,
        boundary=experiment.boundary,
        strides=1 if experiment.fully_connected else 2,
    )
    state = Rescaling()(first(InitialState()(images, noise), kernel=kernels[0]))
    rows, layer = [], layer_of(experiment)
    for own in kernels[1:]:
        state, moments = layer(state, own)
        rows.append(ops.convert_to_numpy(moments))
    return dict(zip(experiment.array_names, np.transpose(rows), strict=True))


@functools.cache
def layer_of(experiment):
    """A layer, compiled, as a function of its state and kernels: the next state, and its `block_moments`."""
    block = Block(experiment)

    def layer(state, kernels):
        states = block(State(*state), kernels=kernels)
        return states[-1], block_moments(experiment, states)

    return compiled(layer)


def block_moments(experiment, states):
    """The logarithms of the moments at all places of a block, in the order of `experiment.array_names`."""
    return ops.concatenate(
        [
            LogMoments(experiment.moments_at(place))(state)
            for place, state in zip(experiment.structure.places, states, strict=True)
        ]
    )


def draw_state(experiment, seed=0):
    """A state that nothing in a network is special to: means, scales and logarithms all over the place."""
    generator = np.random.default_rng(seed)
    side = 1 if experiment.fully_connected else SIDE // 2
    channels = experiment.num_channels
    signal, noise = generator.normal(size=(2, experiment.batch_size, side, side, channels))
    signal = signal * generator.uniform(0.2, 2, channels) + 0.3 * generator.normal(size=channels)
    return make_state(signal, noise * generator.uniform(0.5, 2, channels), 0.7, -1.2)


def draw_kernels(experiment, seed=0):
    """Kernels for one layer between layers of equal width."""
    channels, side = experiment.num_channels, experiment.kernel_size
    kernels = np.random.default_rng(seed).normal(size=(experiment.kernels_per_layer, side, side, channels, channels))
    return list((kernels * np.sqrt(2 / (side**2 * channels))).astype("float32"))


def make_state(signal, noise, log_signal=0.0, log_noise=0.0):
    return State(*(ops.convert_to_tensor(np.asarray(x, "float32")) for x in (signal, noise, log_signal, log_noise)))


def true(state):
    """The true signal and noise of a state, in float64."""
    signal, noise, log_signal, log_noise = (np.asarray(ops.convert_to_numpy(x), np.float64) for x in state)
    return signal * np.exp(log_signal / 2), noise * np.exp(log_noise / 2)


def assert_close(actual, expected, tolerance):
    """Compare arrays relative to the largest expected magnitude."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def assert_states_close(actual, expected, tolerance_signal=1e-5, tolerance_noise=1e-5):
    """Compare the true signal and noise of a state with those of the oracle."""
    for found, wanted, tolerance in zip(true(actual), expected, (tolerance_signal, tolerance_noise), strict=True):
        assert_close(found, wanted, tolerance)
