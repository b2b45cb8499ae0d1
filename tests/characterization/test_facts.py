"""Facts on layers, and the causes that real models have."""

import warnings

import keras
import numpy as np
import pytest

from moments_dnns import characterize, diagnose, load_experiment
from moments_dnns.analysis.verdicts import DEAD, WELL_BEHAVED
from moments_dnns.characterization.kernels import kernels_of

layers = keras.layers
pytestmark = pytest.mark.backend


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


FANS = [
    (layers.Dense(8), (None, 4), [(4, 8)]),
    (layers.Conv2D(8, 3), (None, 9, 9, 4), [(36, 72)]),
    (layers.Conv2D(8, 3, groups=2), (None, 9, 9, 4), [(18, 36)]),
    (layers.DepthwiseConv2D(3, depth_multiplier=2), (None, 9, 9, 4), [(9, 18)]),
    (layers.SeparableConv2D(8, 3), (None, 9, 9, 4), [(9, 9), (4, 8)]),
    (layers.Conv2DTranspose(8, 4, strides=2), (None, 9, 9, 4), [(16, 128)]),
    (layers.EinsumDense("abc,cde->abde", (None, 2, 5)), (None, 7, 4), [(4, 10)]),
    (layers.EinsumDense("abcd,cde->abe", (None, 6)), (None, 7, 2, 5), [(10, 6)]),
    (layers.EinsumDense("...c,cd->...d", (3,)), (None, 7, 4), [(4, 3)]),
    (layers.Activation("relu"), (None, 4), []),
]


@pytest.mark.parametrize(("layer", "shape", "expected"), FANS)
def test_fans_are_those_of_the_products(layer, shape, expected):
    layer = type(layer).from_config(layer.get_config())
    layer.build(shape)
    assert [(kernel.fan_in, kernel.fan_out) for kernel in kernels_of(layer)] == expected


@pytest.mark.parametrize(("layer", "shape", "expected"), FANS[:5])
def test_kernels_of_variance_one_over_fan_in_keep_the_mean_square(layer, shape, expected):
    layer = type(layer).from_config(layer.get_config())
    layer.build(shape)
    squares = []
    for seed in range(40):
        for number, kernel in enumerate(kernels_of(layer)):
            kernel.variable.assign(normal(*kernel.variable.shape, seed=(seed, number)) / np.sqrt(kernel.fan_in))
        outputs = np.asarray(keras.ops.convert_to_numpy(layer(normal(16, *shape[1:], seed=(seed, 9)))))
        squares.append(np.square(outputs).mean())
    assert np.mean(squares) == pytest.approx(1, abs=4.5 * np.std(squares) / np.sqrt(len(squares)))
    assert np.std(squares) < 0.8  # which is 13 % of a mean


def zero_branches():
    inputs = x = keras.Input((16,))
    for i in range(4):
        hidden = layers.Dense(16, "relu", name=f"up{i}")(x)
        x = layers.Add(name=f"add{i}")([x, layers.Dense(16, kernel_initializer="zeros", name=f"down{i}")(hidden)])
    return keras.Model(inputs, layers.Dense(4, kernel_initializer="zeros", name="head")(x))


def zero_gamma():
    inputs = x = keras.Input((16,))
    for i in range(3):
        branch = layers.Dense(16, name=f"dense{i}")(x)
        x = layers.Add()([x, layers.BatchNormalization(gamma_initializer="zeros", name=f"norm{i}")(branch)])
    return keras.Model(inputs, x)


def dying():
    bias = keras.initializers.Constant(-20.0)
    made = [layers.Dense(16, "relu", name="alive"), layers.Dense(16, "relu", bias_initializer=bias, name="dying")]
    return keras.Sequential([keras.Input((16,)), *made, layers.Dense(16, name="after"), layers.Dense(4, name="last")])


def depthwise():
    made = [layers.DepthwiseConv2D(3, name="depthwise"), layers.BatchNormalization(name="norm")]
    return keras.Sequential([keras.Input((8, 8, 64)), *made])


def sharing():
    initializer = keras.initializers.GlorotUniform()
    made = [layers.Dense(16, kernel_initializer=initializer, name=name) for name in ("one", "other")]
    return keras.Sequential([keras.Input((16,)), *made])


def glorot():
    return keras.Sequential([keras.Input((16,)), *(layers.Dense(64, "relu", name=f"dense{i}") for i in range(8))])


def one_feature():
    return keras.Sequential([keras.Input((16, 1)), layers.LayerNormalization(name="norm"), layers.Conv1D(4, 3)])


# The model, its inputs, what is said of it, and its verdict.
MODELS = {
    "zero branches": (
        zero_branches, (32, 16), ["down0 and 4 more: off at initialisation, its kernel is zero"], WELL_BEHAVED,
    ),
    "zero gamma": (zero_gamma, (32, 16), ["norm0 and 2 more: off at initialisation, its gamma is zero"], WELL_BEHAVED),
    "dying": (dying, (32, 16), ["dying: from here on nothing varies, in 100% of the realizations"], DEAD),
    "depthwise": (depthwise, (8, 8, 8, 64), ["depthwise: glorot_uniform miscounts the inputs of its kernel"], None),
    "sharing": (sharing, (32, 16), ["other: has the weights of one"], None),
    "glorot": (glorot, (32, 16), ["dense0 and 7 more: the signal shrinks by"], None),
    "one feature": (
        one_feature, (8, 16, 1), ["norm: from here on nothing varies", "norm: normalizes over one feature"], DEAD,
    ),
    "small batch": (lambda: keras.Sequential([keras.Input((16,)), layers.BatchNormalization(name="norm")]), (9, 16),
                    ["norm: statistics over 9 points amplify the noise by 1.2 dB"], None),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_real_models_have_their_causes(name):
    make, shape, expected, verdict = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what shares a seed, and of constant signals
        diagnosis = diagnose(characterize(make(), normal(*shape), num_realizations=5, verbose=False))
    found = [str(cause) for cause in diagnosis.causes]
    assert len(found) == len(expected), found
    for each, words in zip(found, expected, strict=True):
        assert each.startswith(words), each
    if verdict:
        assert diagnosis.verdicts == (verdict,)
        assert diagnosis.trainable == (verdict == WELL_BEHAVED)


def test_facts_are_saved_with_the_moments():
    made = characterize(
        depthwise(), normal(8, 8, 8, 64), num_realizations=4, name_experiment="kept", verbose=False
    )  # fmt: skip
    assert diagnose(load_experiment("kept")).causes == diagnose(made).causes != ()
    facts = made.provenance["layer_facts"]["depthwise"]
    assert facts["gain"] == pytest.approx(
        2 * 9 / (64 * 9 + 9), rel=0.2
    )  # Keras counts 64 times 9 inputs, and 9 outputs
    assert facts["expected_gain"] == pytest.approx(1)


def test_units_that_never_fire_are_counted():
    bias = np.where(np.arange(32) < 20, -50.0, 50.0)
    dense = layers.Dense(
        32, "relu", name="dense", bias_initializer=lambda shape, dtype=None: keras.ops.cast(bias, dtype)
    )
    model = keras.Sequential([keras.Input((16,)), dense, layers.Dense(4)])
    moments = characterize(model, normal(32, 16), num_realizations=4, verbose=False)
    assert moments.provenance["layer_facts"]["dense"]["dead"] == pytest.approx(20 / 32, abs=1e-3)
    assert any("62% of the units" in str(cause) for cause in diagnose(moments).causes)
