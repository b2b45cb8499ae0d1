"""`rescale`: what becomes of every kind of layer, what is reported, and what stays as it was."""

import math

import keras
import numpy as np
import pytest

from moments_dnns import characterize, rescale
from moments_dnns.characterization.branches import branch_ends
from moments_dnns.characterization.inputs import feed
from moments_dnns.characterization.network import network
from moments_dnns.characterization.tracing import trace

layers = keras.layers
pytestmark = pytest.mark.backend


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def weights(model):
    return [np.array(weight) for weight in model.get_weights()]


def chain(*made, shape):
    return keras.Sequential([keras.Input(shape), *made])


# Layers with a kernel, and what goes into them.
KINDS = {
    "dense": (lambda: [layers.Dense(8, name="x", kernel_initializer="he_normal")], (64, 12)),
    "dense with bias": (lambda: [layers.Dense(8, name="x", bias_initializer="random_normal")], (64, 12)),
    "convolution": (lambda: [layers.Conv2D(6, 3, name="x", padding="same")], (8, 8, 8, 3)),
    "grouped": (lambda: [layers.Conv1D(6, 3, groups=3, name="x")], (8, 8, 3)),
    "depthwise": (lambda: [layers.DepthwiseConv2D(3, name="x")], (8, 8, 8, 3)),
    "separable": (lambda: [layers.SeparableConv2D(6, 3, name="x")], (8, 8, 8, 3)),
    "transposed": (lambda: [layers.Conv2DTranspose(6, 3, strides=2, name="x")], (8, 8, 8, 3)),
    "einsum": (lambda: [layers.EinsumDense("abc,cde->abde", (None, 2, 5), name="x")], (8, 6, 4)),
    "after others": (
        lambda: [layers.Dense(8, "gelu"), layers.LayerNormalization(), layers.Dense(8), layers.Dense(8, name="x")],
        (64, 12),
    ),
}


def behind(model, inputs, name):
    """Return what a layer without activation returns."""
    until = keras.Model(model.inputs[0], model.get_layer(name).output)
    return np.asarray(keras.ops.convert_to_numpy(until(inputs)), np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_gets_mean_square_one(kind):
    make, shape = KINDS[kind]
    model, inputs = chain(*make(), shape=shape[1:]), 3 * normal(*shape)
    before = behind(model, inputs, "x")
    changes = rescale(model, inputs, tolerance=1e-3)
    assert np.square(behind(model, inputs, "x")).mean() == pytest.approx(1, abs=2e-3)
    assert changes[-1].layer == "x"
    if kind != "after others":
        assert changes[-1].before == pytest.approx(np.square(before).mean(), rel=1e-4)
    assert rescale(model, inputs, tolerance=1e-3) == ()


def test_a_dry_run_changes_nothing_and_tells_the_same():
    model, inputs = (
        chain(layers.Dense(8, "relu"), layers.Dense(8, "tanh"), layers.Dense(3), shape=(12,)),
        normal(64, 12),
    )
    before = weights(model)
    told = rescale(model, inputs, dry_run=True)
    assert all(np.array_equal(one, other) for one, other in zip(before, weights(model), strict=True))
    assert rescale(model, inputs) == told
    assert [change.weight for change in told] == ["kernel"] * 3
    for change, one, other in zip(told, before[::2], weights(model)[::2], strict=True):
        np.testing.assert_allclose(other, change.factor * one, rtol=1e-6)
    # Nothing but kernels.
    assert all(np.array_equal(one, other) for one, other in zip(before[1::2], weights(model)[1::2], strict=True))


def test_recurrent_layers_multiply_their_inputs():
    model, inputs = chain(layers.LSTM(5, name="lstm"), shape=(7, 4)), normal(8, 7, 4)
    (change,) = rescale(model, inputs)
    kernel = np.asarray(keras.ops.convert_to_numpy(model.get_layer("lstm").cell.kernel))
    assert np.square(inputs @ kernel).mean() == pytest.approx(1, abs=0.02)
    assert (change.layer, change.target) == ("lstm", 1.0)


def test_what_is_zero_stays_zero_and_other_things_stay():
    head = layers.Dense(3, kernel_initializer="zeros")
    model = chain(layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.5), head, shape=(12,))
    model.compile("adam", "mse")
    before = weights(model)
    changes = rescale(model, normal(64, 12))
    assert [change.layer for change in changes] == [model.layers[0].name]
    assert not weights(model)[-2].any()
    assert all(np.array_equal(one, other) for one, other in zip(before[1:], weights(model)[1:], strict=True))


def test_the_variance_is_another_choice():
    model, inputs = chain(layers.Dense(8, "relu"), layers.Dense(8, name="x"), shape=(12,)), normal(64, 12)
    rescale(model, inputs, moment="mu2", tolerance=1e-3)
    assert behind(model, inputs, "x").var(axis=0).mean() == pytest.approx(1, abs=2e-3)
    assert np.square(behind(model, inputs, "x")).mean() > 1.02


def residual(num_blocks=9, normalized=False, operator=False):
    inputs = x = keras.Input((64,))
    for i in range(num_blocks):
        branch = layers.Dense(64, name=f"down{i}")(layers.Dense(64, "relu", name=f"up{i}")(x))
        branch = layers.BatchNormalization(name=f"norm{i}")(branch) if normalized else branch
        x = x + branch if operator else layers.Add()([x, branch])
    return keras.Model(inputs, x)


@pytest.mark.parametrize("operator", [False, True])
def test_branches_share_the_growth(operator):
    """L branches of variance 1 / L add up to the variance of what they are added to."""
    model, inputs = residual(operator=operator), normal(256, 64)
    changes = {change.layer: change for change in rescale(model, inputs, branches="depth", tolerance=1e-3)}
    for i in range(9):
        assert changes[f"down{i}"].target == pytest.approx(1 / 9)
        assert f"up{i}" not in changes or changes[f"up{i}"].target == 1
    grown = np.square(keras.ops.convert_to_numpy(model(inputs))).mean() / np.square(inputs).mean()
    assert grown == pytest.approx(2, rel=0.15)
    assert rescale(model, inputs, branches="depth", tolerance=1e-3) == ()


def test_a_normalization_at_the_end_of_a_branch_has_the_scale():
    model = residual(4, normalized=True)
    changes = {change.layer: change for change in rescale(model, normal(256, 64), branches="depth")}
    for i in range(4):
        assert (changes[f"norm{i}"].weight, changes[f"norm{i}"].target) == ("gamma", 0.25)
        assert changes[f"norm{i}"].factor == pytest.approx(0.5, rel=0.02)


def test_a_projection_is_no_branch():
    inputs = keras.Input((8,))
    short = layers.Dense(16, name="projection")(inputs)
    long = layers.Dense(16, name="down")(layers.Dense(16, "relu", name="up")(inputs))
    model = keras.Model(inputs, layers.Add()([long, short]))
    ends = branch_ends(trace(network(model, feed(model, normal(4, 8))), True))
    assert [layer.name for layer in ends] == ["down"]


def test_attention_is_rescaled_too():
    inputs = keras.Input((10, 16))
    attention = layers.MultiHeadAttention(4, 4, name="attention")
    model = keras.Model(inputs, layers.Add()([inputs, attention(inputs, inputs)]))
    changes = rescale(model, normal(8, 10, 16), branches="depth", tolerance=1e-3)
    assert {change.layer for change in changes} == {"query", "key", "value", "attention_output"}


def test_what_no_factor_helps_is_left_with_a_warning():
    layer = layers.Dense(8, name="biased", bias_initializer=keras.initializers.Constant(3.0))
    model = chain(layer, shape=(12,))
    before = weights(model)
    with pytest.warns(UserWarning, match="left as they are: biased"):
        assert rescale(model, normal(64, 12)) == ()
    assert np.array_equal(weights(model)[0], before[0])


def test_an_error_leaves_the_model_as_it_was():
    class Fails(layers.Layer):
        def call(self, x):
            if not isinstance(x, keras.KerasTensor) and not keras.src.backend.is_tensor(x):
                raise RuntimeError("no numbers")
            return x / self.missing if hasattr(self, "fails") else x

    last = Fails()
    model = chain(layers.Dense(8), last, shape=(12,))
    last.fails = True
    before = weights(model)
    with pytest.raises(AttributeError):
        rescale(model, normal(64, 12))
    assert np.array_equal(weights(model)[0], before[0])


def test_rescaled_models_keep_their_scale_when_they_are_measured():
    made = [layer for i in range(6) for layer in (layers.Dense(64, name=f"dense{i}"), layers.ReLU(name=f"relu{i}"))]
    model, images = chain(*made, shape=(64,)), normal(256, 64)
    rescale(model, images, tolerance=1e-3)
    moments = characterize(model, images, reinitialize=False, layers="dense*", verbose=False)
    np.testing.assert_allclose(moments["nu2_signal"][0, 1:], 1, atol=2e-3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"moment": "mu4"}, ValueError, "moment must be one of"),
        ({"branches": "none"}, ValueError, "branches must be one of"),
        ({"tolerance": 0}, ValueError, "tolerance must be above 0"),
        ({"dry_run": 1}, TypeError, "dry_run must be True or False"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        rescale(chain(layers.Dense(2), shape=(3,)), normal(4, 3), **options)
    with pytest.raises(TypeError, match="Received: model='Dense'"):
        rescale(layers.Dense(2), normal(4, 3))


def test_a_change_says_what_it_is():
    (change,) = rescale(chain(layers.Dense(8, name="x"), shape=(12,)), 3 * normal(64, 12))
    assert str(change).startswith("x: kernel times ")
    assert math.isclose(change.factor, math.sqrt(change.target / change.before), rel_tol=0.01)
