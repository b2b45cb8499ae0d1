"""Gradients beside noise: adjoint to it at every cut, those of finite differences, and with the rates of theory."""

import functools
import json

import attrs
import keras
import numpy as np
import pytest
from keras import layers, ops

from moments_dnns import _seeds, load_experiment
from moments_dnns import characterize as characterize_verbosely
from moments_dnns.characterization.inputs import feed
from moments_dnns.characterization.measurement import Measurement, untouched
from moments_dnns.characterization.noise import drawn_cotangents, drawn_noise
from moments_dnns.characterization.tracing import Place
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.layers.derivative import jvp_and_vjp

backend = pytest.mark.backend

characterize = functools.partial(characterize_verbosely, verbose=False)

SETTINGS = {
    "noise": "normal",
    "num_realizations": 1,
    "reinitialize": True,
    "layers": "*",
    "depth": 0,
    "seed": 0,
    "compute_reff_signal": False,
    "compute_reff_noise": False,
    "ranks": "activations",
    "statistics": "constant",
    "gradients": True,
    "tokens": False,
}


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def residual():
    x = inputs = keras.Input((6, 6, 2), name="image")
    x = start = layers.Conv2D(4, 3, padding="same", name="first")(x)
    for name in ("one", "two"):
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.Conv2D(4, 3, padding="same", name=f"{name}_conv")(x)
    x = layers.Add(name="sum")([x, start])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(3, activation="tanh", name="last")(x)), images(5, 6, 6, 2)


def attention():
    x = inputs = keras.Input((5, 8), name="sequence")
    x = layers.Dense(8, name="first")(layers.LayerNormalization(name="norm")(x))
    y = layers.MultiHeadAttention(2, 4, name="heads")(x, x)
    return keras.Model(inputs, layers.Add(name="sum")([x, y])), images(3, 5, 8)


def tokens():
    x = inputs = keras.Input((4,), dtype="int32", name="ids")
    x = layers.LSTM(3, return_sequences=True, name="lstm")(layers.Embedding(9, 4, name="embed")(x))
    return keras.Model(inputs, layers.Flatten(name="flat")(x)), np.random.default_rng(0).integers(9, size=(3, 4))


MODELS = {"residual": residual, "attention": attention, "tokens": tokens}


def passed(make, **changes):
    """The description of a model, its tensors in one pass, and the cotangents of its outputs."""
    model, inputs = make()
    with untouched(model):
        measurement = Measurement.prepare(model, feed(model, inputs), **SETTINGS | changes)
        forward, seed = measurement.forward, _seeds.of_realization(0, 0)
        noises = drawn_noise(measurement.noise, forward.path, forward.net.fed, seed)
        cotangents = drawn_cotangents(forward.outputs, seed)
        arguments = (measurement.values.values(seed), forward.net.fed.arrays, noises, cotangents)
        tensors = forward.derivatives(*keras.tree.map_structure(ops.convert_to_tensor, arguments))
    _, noises, gradients = keras.tree.map_structure(
        lambda tensor: np.asarray(ops.convert_to_numpy(tensor), np.float64), tuple(tensors)
    )
    return measurement.description, noises, gradients, cotangents


def cuts(parents):
    """The positions that all paths from the first to the last pass."""
    edges = [(parent, child) for child, above in enumerate(parents) for parent in above]
    return [place for place in range(len(parents)) if not any(above < place < below for above, below in edges)]


@pytest.mark.parametrize("statistics", ["constant", "differentiated"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=backend if name != "tokens" else ()) for name in MODELS])
def test_noise_and_gradient_are_adjoint_at_every_cut(name, statistics):
    # <g, J dx> = <J^T g, dx>: the product of both is the same wherever a tensor separates inputs from outputs.
    description, noises, gradients, cotangents = passed(MODELS[name], statistics=statistics)
    places = cuts(description.parents)
    assert len(places) > 2
    assert {0, len(description.layers) - 1} <= set(places)
    products = [np.sum(noises[place] * gradients[place]) for place in places]
    scale = [np.linalg.norm(noises[place]) * np.linalg.norm(gradients[place]) for place in places]
    expected = np.sum(noises[-1] * cotangents[0])
    # Round-off of float32, relative to the products of norms, of which the sum is a small part.
    np.testing.assert_allclose((np.array(products) - expected) / scale, 0, atol=3e-6)
    np.testing.assert_allclose(gradients[-1], cotangents[0], rtol=1e-6)
    # Across an addition both branches count; what each has of the gradient is that of the sum.
    if name != "tokens":
        layer = description.layers.index("sum")
        branch = max(description.parents[layer])
        np.testing.assert_allclose(gradients[branch], gradients[layer], rtol=1e-6)


def test_gradients_are_those_of_finite_differences():
    model = keras.Sequential(
        [
            keras.Input((3,), name="x"),
            layers.Dense(5, activation="tanh", dtype="float64", name="one"),
            layers.Dense(4, activation="softplus", dtype="float64", name="two"),
        ]
    )
    x = images(6, 3)
    moments = characterize(model, x, reinitialize=False, gradients=True)
    with untouched(model):
        measurement = Measurement.prepare(model, feed(model, x), **SETTINGS | {"reinitialize": False})
    (u,) = drawn_cotangents(measurement.forward.outputs, _seeds.of_realization(0, 0))
    one, two = ([np.asarray(ops.convert_to_numpy(w)) for w in layer.weights] for layer in model.layers)

    def last(hidden):
        return np.sum(u * np.log1p(np.exp(hidden @ two[0] + two[1])))

    def first(x):
        return last(np.tanh(x @ one[0] + one[1]))

    def gradient(function, x, step=1e-5):
        steps = step * np.eye(x.size).reshape(-1, *x.shape)
        return np.array([(function(x + each) - function(x - each)) / (2 * step) for each in steps])

    hidden = np.tanh(x.astype(float) @ one[0] + one[1])
    expected = [gradient(first, x.astype(float)), gradient(last, hidden), u]
    # float32 between the layers, and differences with an error of step squared.
    np.testing.assert_allclose(moments["mu2_gradient"][0], [np.mean(np.square(g)) for g in expected], rtol=1e-5)
    norms = [np.sqrt(np.sum(np.square(g)) / 6) for g in expected]
    np.testing.assert_allclose(moments["gradient"][0], norms, rtol=1e-5)
    np.testing.assert_allclose(moments["log_gradient"][0], np.log(norms), atol=1e-5)
    growth = [np.log(norms[0] / norms[1]), np.log(norms[1] / norms[2]), 0]
    np.testing.assert_allclose(moments["log_gradient_growth"][0], growth, atol=1e-5)


def test_the_growth_of_a_gradient_counts_all_that_is_computed_from_a_tensor():
    description = Characterization(
        "net",
        ("x", "branch", "sum"),
        ((), (0,), (0, 1)),
        1,
        (8, 2),
        "array-0",
        gradients=True,
        shapes=((2,), (3,), (2,)),
    )
    assert description.children == ((1, 2), (2,), ())
    arrays = {"log_mu2_gradient": np.log([[4.0, 1.0, 1.0]])}
    growth = np.exp(2 * description.derive(arrays, "log_gradient_growth")[0])
    # Squared norms: 8 at x, 3 and 2 of the two that come from it.
    np.testing.assert_allclose(growth, [8 / 5, 3 / 2, 1])


@backend
def test_gradients_leave_all_else_as_it_is():
    model, inputs = residual()
    without, beside = (characterize(model, inputs, gradients=gradients) for gradients in (False, True))
    assert not any("gradient" in name for name in without)
    assert "log_gradient" not in without
    assert "log_gradient" in beside
    for name in without:
        if name not in ("layer", "depth"):
            np.testing.assert_allclose(beside[name], without[name], rtol=1e-5, atol=1e-5)
    taken = beside.experiment.is_taken("reff_gradient")
    np.testing.assert_array_equal(np.isfinite(beside["reff_gradient"][0]), taken)
    assert np.exp(2 * beside["log_gradient"][0, -1]) == pytest.approx(
        np.mean(np.sum(_cotangent(5, 3) ** 2, 1)), rel=1e-5
    )


def _cotangents(*shapes):
    outputs = [Place("output", 0, 0, shape, None, True, 0) for shape in shapes]
    return [each.astype(float) for each in drawn_cotangents(outputs, _seeds.of_realization(0, 0))]


def _cotangent(*shape):
    return _cotangents(shape)[0]


@pytest.mark.parametrize("factor", [0.06, 16.0])
def test_gradients_beyond_the_range_of_float32_are_exact(factor):
    def steeper(x):
        # The value of x, and a derivative of the factor.
        return factor * x - ops.stop_gradient((factor - 1) * x)

    model = keras.Sequential([keras.Input((4,), name="x")])
    for depth in range(40):
        model.add(layers.Lambda(steeper, name=f"d{depth}"))
    moments = characterize(model, images(6, 4), gradients=True)
    # 48 decades in all, of which float32 has 38 in either direction.
    steps = np.arange(40, -1, -1) * np.log(factor)
    difference = moments["log_gradient"][0] - moments["log_gradient"][0, -1]
    np.testing.assert_allclose(difference, steps, atol=1e-4)
    np.testing.assert_allclose(moments["log_gradient_growth"][0, :-1], np.log(factor), atol=1e-5)
    noise = (moments["log_mu2_noise"][0] - moments["log_mu2_noise"][0, 0]) / 2
    np.testing.assert_allclose(noise, steps[::-1], atol=1e-4)


# Growth of the square per layer for a batch of 8: with statistics differentiated eq. 25 of arXiv 1902.08129, which is
# of gradients, and (B - 2) / (B - 3) of linear networks; with constant ones that of the noise.
RATES = {("relu", "differentiated"): 1.788190, ("linear", "differentiated"): 6 / 5, ("relu", "constant"): 2.133717}


@pytest.mark.parametrize(("activation", "statistics"), RATES)
def test_gradients_grow_by_the_rates_of_batch_normalization(activation, statistics):
    batch, width, depth = 8, 512, 14
    x = inputs = keras.Input((width,))
    for layer in range(depth):
        x = layers.Dense(width, use_bias=False, kernel_initializer="lecun_normal", name=f"dense{layer}")(x)
        x = layers.BatchNormalization(epsilon=1e-9, name=f"bn{layer}")(x)
        x = layers.Activation(activation, name=f"act{layer}")(x)
    options = {"gradients": True, "statistics": statistics, "num_realizations": 6, "layers": "act*"}
    moments = characterize(keras.Model(inputs, x), images(batch, width), **options)
    # From the second layer on, when the batch has forgotten its inputs, to the third from the end.
    squares = 2 * moments["log_gradient"][:, 3:-2]
    rates = np.exp((squares[:, 0] - squares[:, -1]) / (squares.shape[1] - 1))
    # A mean over nine layers fluctuates by about 4 % at this width, that over six realizations by 1.5 %.
    assert rates.mean() == pytest.approx(RATES[activation, statistics], rel=0.03)


def test_several_outputs_all_have_a_cotangent():
    inputs = keras.Input((3,))
    one, two = layers.Dense(2, name="one")(inputs), layers.Dense(4, name="two")(inputs)
    both = characterize(keras.Model(inputs, [one, two]), images(5, 3), gradients=True)
    squares = dict(zip(both["layer"], np.exp(both["log_mu2_gradient"][0]), strict=True))
    assert squares["one"] == pytest.approx(np.mean(_cotangent(5, 2) ** 2), rel=1e-5)
    # Numbers of their own, which are drawn after those of the first.
    assert squares["two"] == pytest.approx(np.mean(_cotangents((5, 2), (5, 4))[1] ** 2), rel=1e-5)


def test_gradients_are_saved_and_earlier_descriptions_load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, inputs = residual()
    moments = characterize(model, inputs, gradients=True, name_experiment="net")
    assert load_experiment("net") == moments
    with pytest.raises(FileExistsError, match="gradients"):
        characterize(model, inputs, name_experiment="net")
    fields = json.loads(characterize(model, inputs).experiment.to_json())
    for name in ("statistics", "gradients", "tokens", "shapes", "attention"):
        fields.pop(name)
    assert Characterization.from_fields(fields) == characterize(model, inputs).experiment


def test_what_does_not_fit_is_refused():
    model, inputs = residual()
    with pytest.raises(ValueError, match="statistics must be one of"):
        characterize(model, inputs, statistics="running")
    with pytest.raises(TypeError, match="gradients"):
        characterize(model, inputs, gradients=1)
    described = characterize(model, inputs).experiment
    with pytest.raises(ValueError, match="expected shapes of all layers"):
        attrs.evolve(described, gradients=True)


@backend
def test_arguments_without_tangents_have_gradients_too():
    x, y, dx, u = (ops.convert_to_tensor(np.array(value, "float32")) for value in ([1.0, 2], [3.0, 4], [1.0, 0], 2.0))
    result = jvp_and_vjp(lambda x, y: [x * y, ops.sum(x * x * y)], [x, y], [dx], [u])
    outputs, tangents, gradients = keras.tree.map_structure(lambda each: np.asarray(ops.convert_to_numpy(each)), result)
    np.testing.assert_allclose(outputs[0], [3, 8])
    np.testing.assert_allclose(tangents[0], [3, 0])
    np.testing.assert_allclose([outputs[1], tangents[1]], [19, 6])
    np.testing.assert_allclose(gradients, [[12, 32], [2, 8]])
