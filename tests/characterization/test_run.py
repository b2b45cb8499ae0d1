"""Any Keras model: against the built-in networks, against finite differences, and every kind of model there is."""

import functools
import signal
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from moments_dnns import load_experiment
from moments_dnns.characterization.measurement import Measurement
from moments_dnns.characterization.run import characterize as characterize_verbosely
from moments_dnns.characterization.weights import weights
from moments_dnns.layers.core import InitialState
from moments_dnns.layers.propagate import Propagate
from tests.support.cases import draw_inputs, draw_network_kernels, make_experiment, propagate, true

# Every kind of test on every backend, but not every test: XLA takes seconds to compile each model.
backend = pytest.mark.backend

SHAPE = (6, 8, 8, 3)

characterize = functools.partial(characterize_verbosely, verbose=False)


def drawn(model, seed=0):
    """The weights that a model gets in a realization, in its own order."""
    values = weights(model, model.variables, True).values(np.random.SeedSequence(seed))
    return [np.asarray(ops.convert_to_numpy(value)) for value in values]


def images(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def image_input(shape=SHAPE):
    return keras.Input(shape[1:], name="image")


# --- the models that are characterized -----------------------------------------------------------------------------


def conv(filters=4, **options):
    return layers.Conv2D(filters, 3, padding="same", **options)


def branched():
    x = start = conv(name="first")(image_input())
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Activation("tanh", name="act")(x)
    x = conv(name="second")(x)
    x = layers.Add(name="sum")([x, start])
    x = layers.Concatenate(name="joined")([x, 2.0 * start])
    return keras.Model(image_input_of(start), layers.GlobalAveragePooling2D(name="pool")(x))


def image_input_of(tensor):
    """The symbolic input from which a tensor is computed."""
    node = tensor._keras_history.operation._inbound_nodes[0]
    return node.input_tensors[0]


def nested():
    inner = keras.Sequential([image_input(), conv(name="inner_conv"), layers.ReLU(name="inner_relu")], name="inner")
    inputs = image_input()
    return keras.Model(inputs, conv(name="last")(inner(inputs)))


def shared():
    layer, inputs = conv(3, name="twice", activation="softplus"), image_input()
    return keras.Model(inputs, layer(layer(inputs)))


def sequential():
    return keras.Sequential(
        [
            image_input(),
            layers.Rescaling(0.5, name="scale"),
            conv(16, name="conv"),
            layers.LayerNormalization(name="ln"),
            layers.Dropout(0.5, name="drop"),
            layers.MaxPooling2D(2, name="max"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Flatten(name="flat"),
            layers.Dense(5, activation="gelu", name="dense"),
        ]
    )


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one, self.two = conv(name="one"), layers.Dense(3, name="two")

    def call(self, inputs):
        x = ops.tanh(self.one(inputs))
        return self.two(ops.mean(x, axis=(1, 2)))

    def get_config(self):
        return {"name": self.name}


def subclassed():
    model = Subclassed(name="subclassed")
    model(images())
    return model


def two_inputs():
    image, vector = image_input(), keras.Input((4,), name="vector")
    x = layers.GlobalAveragePooling2D(name="pool")(conv(name="conv")(image))
    return keras.Model([vector, image], layers.Multiply(name="gate")([x, layers.Dense(4, name="weights")(vector)]))


MODELS = {
    "branched": (branched, ["first", "bn", "act", "second", "sum", "multiply", "joined", "pool"]),
    "nested": (nested, ["inner/inner_conv", "inner/inner_relu", "last"]),
    "shared": (shared, ["twice", "twice@2"]),
    "sequential": (sequential, ["scale", "conv", "ln", "drop", "max", "depthwise", "flat", "dense"]),
    "subclassed": (subclassed, ["one", "tanh", "mean", "two"]),
}


def seeded(model):
    """The model with kernels of variance 1 / fan_in from a seed, so that tests see the same numbers every time."""
    rng = np.random.default_rng(7)
    for weight in model.weights:
        if len(weight.shape) > 1:
            weight.assign(rng.normal(size=weight.shape) / np.sqrt(np.prod(weight.shape[:-1])))
    return model


def without_numbers(names):
    """Names without the count that Keras appends to those it makes up itself."""
    return [name.rpartition("_")[0] if name.rpartition("_")[2].isdigit() else name for name in names]


@functools.cache
def characterized(name):
    """A model above and its moments, with its weights kept, so that they can be compared with what it computes."""
    model = seeded(MODELS[name][0]())
    return model, characterize(model, images(), noise=images(1), reinitialize=False)


@pytest.mark.parametrize("name", MODELS)
def test_the_layers_are_listed_in_order(name):
    assert without_numbers(characterized(name)[1]["layer"])[1:] == MODELS[name][1]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=backend if name in ("branched", "subclassed") else ()) for name in MODELS]
)
def test_the_last_layer_agrees_with_finite_differences_of_the_model(name):
    # Central differences in float32: an error of about (round-off 1e-7 / step 1e-3) + step squared, with much room, as
    # layer normalization over four channels is steep where these are close to each other.
    model, moments = characterized(name)
    step = 1e-3
    outputs = [np.asarray(ops.convert_to_numpy(model(images() + sign * step * images(1)))) for sign in (-1, 0, 1)]
    noise = (outputs[2].astype(float) - outputs[0]) / (2 * step)
    signal = outputs[1].astype(float)
    centred = signal - signal.mean(tuple(range(signal.ndim - 1)))
    expected = {
        "nu1_abs_signal": np.abs(signal).mean(),
        "nu2_signal": (signal**2).mean(),
        "mu2_signal": (centred**2).mean(),
        "mu4_signal": (centred**4).mean(),
    }
    for moment, value in expected.items():
        assert moments[moment][0, -1] == pytest.approx(value, rel=1e-4), moment
    # Max pooling and rectifiers have corners, across which a difference is no derivative.
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(np.log((noise**2).mean()), abs=2e-2)
    assert moments["chi"][0, -1] == pytest.approx(np.sqrt((noise**2).mean() / (centred**2).mean()), rel=1e-2)


def test_chi_agrees_with_the_full_jacobian():
    # A linear network has the Jacobian of its columns: every basis vector once, exact but for rounding.
    shape = (2, 4, 4, 1)
    model = keras.Sequential([image_input(shape), conv(3, name="a"), layers.AveragePooling2D(2, name="b")])
    noise = images(3, shape)
    moments = characterize(model, images(2, shape), noise=noise, reinitialize=False)
    basis = np.eye(16, dtype="float32").reshape(16, 4, 4, 1)
    zero = ops.convert_to_numpy(model(np.zeros((1, 4, 4, 1), "float32")))
    jacobian = (ops.convert_to_numpy(model(basis)) - zero).reshape(16, -1)
    expected = noise.reshape(2, 16) @ jacobian
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(np.log((expected**2).mean()), abs=1e-5)


# --- against the built-in architectures ----------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="tests")
class Given(keras.initializers.Initializer):
    """An initializer that returns the kernel it was given."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __call__(self, shape, dtype=None):
        return ops.convert_to_tensor(np.array(self.kernel, "float32"))

    def get_config(self):
        return {"kernel": self.kernel}


def as_keras_model(experiment, kernels):
    """The network of a vanilla or bn_ff experiment with zero padding, written in Keras, with these kernels."""

    def convolution(x, kernel, strides, name):
        side = kernel.shape[0]
        x = layers.ZeroPadding2D(((side - 1) // 2, side // 2), name=f"pad_{name}")(x)
        given = Given(kernel.tolist())
        return layers.Conv2D(
            kernel.shape[-1], side, strides, use_bias=False, kernel_initializer=given, name=f"conv_{name}"
        )(x)

    x = inputs = image_input()
    x = convolution(x, kernels[0], 2, "0")
    for layer, (kernel,) in enumerate(kernels[1:], 1):
        x = convolution(x, kernel, 1, str(layer))
        if experiment.architecture == "bn_ff":
            x = layers.BatchNormalization(epsilon=experiment.epsilon, name=f"bn_{layer}")(x)
        x = layers.ReLU(name=f"relu_{layer}")(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("architecture", ["vanilla", pytest.param("bn_ff", marks=backend)])
def test_built_in_networks_written_in_keras_give_the_same_moments(architecture):
    # The same float32 operations in another order, through three layers.
    experiment = make_experiment(architecture, "zero_padding")
    signal, noise, _ = draw_inputs(experiment)
    kernels = draw_network_kernels(experiment)
    ours = propagate(experiment, signal, noise, kernels)
    theirs = characterize(as_keras_model(experiment, kernels), signal, noise=noise)
    steps = ["conv", "bn", "relu"] if architecture == "bn_ff" else ["conv", "relu"]
    for place, step in enumerate(steps, 2):
        for moment in ("nu1_abs_signal", "nu2_signal", "mu2_signal", "mu4_signal", "log_mu2_noise"):
            columns = [theirs["layer"].tolist().index(f"{step}_{layer}") for layer in (1, 2, 3)]
            logs = theirs[moment][0, columns]
            logs = logs if moment == "log_mu2_noise" else np.log(logs)
            np.testing.assert_allclose(logs, ours[f"{moment}_loc{place}"], atol=2e-5)
    last = theirs["layer"].tolist().index("relu_3")
    for rank in ("reff_signal", "reff_noise"):
        assert np.log(theirs[rank][0, last]) == pytest.approx(ours[f"{rank}_loc{len(steps) + 1}"][-1], abs=1e-4)


# --- branches, scales and growth -----------------------------------------------------------------------------------


def test_branches_of_any_scale_meet_at_their_true_scales():
    # One branch multiplies the noise by 1e30, as float32's squares could not; the sum is that branch but for rounding.
    x = inputs = image_input()
    for i in range(3):
        x = layers.Rescaling(1e10, name=f"times_{i}")(x)
    x = layers.Rescaling(1e-30, name="back")(x)
    total = layers.Add(name="sum")([x, inputs])
    moments = characterize(keras.Model(inputs, total), images(), noise=images(1))
    expected = np.log(4 * np.mean(images(1).astype(float) ** 2))
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(expected, abs=1e-5)
    assert moments["log_mu2_noise"][0, -3] == pytest.approx(60 * np.log(10) + expected - np.log(4), abs=1e-3)


def test_growth_is_that_of_chi_over_the_inputs_of_a_layer():
    moments = characterized("branched")[1]
    names = without_numbers(moments["layer"])
    first, second, added = (names.index(name) for name in ("first", "second", "sum"))
    log_chi = moments["log_chi"][0]
    np.testing.assert_allclose(moments["log_growth"][0, first], log_chi[first] - log_chi[0])
    noise = np.exp(moments["log_mu2_noise"][0, [second, first]]).sum()
    signal = moments["mu2_signal"][0, [second, first]].sum()
    np.testing.assert_allclose(moments["log_growth"][0, added], log_chi[added] - np.log(noise / signal) / 2)
    assert moments["log_growth"][0, 0] == 0


def test_a_pattern_measures_some_layers_and_changes_none_of_them():
    model, everything = characterized("branched")
    some = characterize(model, images(), noise=images(1), reinitialize=False, layers=["first", "s*"])
    assert some["layer"].tolist() == ["image", "first", "second", "sum"]
    columns = [everything["layer"].tolist().index(name) for name in some["layer"]]
    np.testing.assert_allclose(some["log_chi"], everything["log_chi"][:, columns], atol=1e-5)
    assert some.experiment.parents == ((), (0,), (1,), (1, 2))


# --- weights and seeds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sequential, subclassed, branched])
def test_weights_are_drawn_afresh_and_the_model_is_left_alone(make):
    model = make()
    before = model.get_weights()
    moments = characterize(model, images(), noise=images(1), num_realizations=3)
    assert len(set(moments["log_chi"][:, -1])) == 3
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@backend
def test_realizations_depend_on_seed_and_index_alone():
    model = nested()
    two = characterize(model, images(), num_realizations=2, seed=5)
    three = characterize(model, images(), num_realizations=3, seed=5)
    other = characterize(model, images(), num_realizations=1, seed=6)
    np.testing.assert_array_equal(two["log_chi"], three["log_chi"][:2])
    assert not np.array_equal(two["log_chi"][:1], other["log_chi"])


@backend
def test_layers_of_one_shape_and_initializer_get_different_weights():
    model = keras.Sequential([image_input(), *(conv(3, name=f"conv{i}", use_bias=False) for i in range(2))])
    one, other = drawn(model)
    assert np.abs(one - other).max() > 0.01
    # Glorot's uniform law: the variance is 2 / (fan_in + fan_out), known to sqrt(0.8 / 162) at 162 draws.
    assert np.concatenate([one, other]).var() == pytest.approx(2 / 54, rel=4 * np.sqrt(0.8 / 162))


def test_layers_that_nested_models_share_stay_one():
    layer = layers.Dense(3, name="shared")
    one, other = (keras.Sequential([image_input(), layer], name=name) for name in ("one", "other"))
    inputs = image_input()
    model = keras.Model(inputs, other(one(inputs)))
    assert len(drawn(model)) == len(model.weights) == 2


def test_what_a_layer_was_adapted_to_is_kept():
    layer, inputs = layers.Normalization(name="adapted"), image_input()
    layer.adapt(7 * images() + 3)
    moments = characterize(keras.Model(inputs, layer(inputs)), 7 * images() + 3)
    assert moments["nu2_signal"][0, 1] == pytest.approx(1, abs=1e-5)


def test_lambdas_are_copied():
    inputs = image_input()
    model = keras.Model(inputs, layers.Lambda(lambda x: 3 * x, name="triple")(conv(name="conv")(inputs)))
    moments = characterize(model, images(), noise=images(1))
    assert moments["log_mu2_noise"][0, 2] - moments["log_mu2_noise"][0, 1] == pytest.approx(2 * np.log(3), abs=1e-5)
    assert moments["log_growth"][0, 2] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("changed", ["factor", "order", "weights"])
def test_other_networks_do_not_continue_a_result(changed):
    def make(other):
        inputs = keras.Input(SHAPE[1:], name="image")
        x, y = conv(3, name="conv")(inputs), layers.Rescaling(2.0 if changed == "factor" and other else 1.0)(inputs)
        branches = [y, x] if changed == "order" and other else [x, y]
        return seeded(keras.Model(inputs, layers.Subtract(name="difference")(branches), name="net"))

    one, other = make(False), make(True)
    if changed == "weights":
        other.set_weights([2 * weight for weight in other.get_weights()])
    kept = changed == "weights"
    characterize(one, images(), name_experiment="net", reinitialize=not kept)
    with pytest.raises(FileExistsError, match="settings or weights of layers"):
        characterize(other, images(), name_experiment="net", reinitialize=not kept, num_realizations=2)


def test_functions_keep_their_names_from_one_model_to_the_next():
    for _ in range(2):
        inputs = keras.Input(SHAPE[1:])
        model = keras.Model(inputs, ops.relu(ops.relu(conv(name="conv")(inputs)) * 2), name="net")
        moments = characterize(model, images(), name_experiment="net")
    assert moments["layer"].tolist() == ["input", "conv", "relu", "multiply", "relu@2"]


def test_images_are_resized_and_half_precision_is_propagated():
    inputs = image_input()
    x = layers.UpSampling2D(2, interpolation="bilinear", name="up")(conv(name="conv")(inputs))
    x = layers.Conv2D(4, 3, dtype="mixed_float16", name="half")(x)
    model = seeded(keras.Model(inputs, x))
    moments = characterize(model, images(), noise=images(1), reinitialize=False)
    up = keras.Model(inputs, model.get_layer("up").output)
    expected = ops.convert_to_numpy(up(images(1))) - ops.convert_to_numpy(up(np.zeros(SHAPE, "float32")))
    assert moments["log_mu2_noise"][0, 2] == pytest.approx(np.log(np.mean(expected**2)), abs=1e-5)
    # Half precision rounds to 11 bits.
    float32 = seeded(keras.models.clone_model(model))
    assert moments["chi"][0, 3] == pytest.approx(
        characterize(float32, images(), noise=images(1), reinitialize=False)["chi"][0, 3], rel=1e-2
    )


def test_one_number_for_each_image_is_one_channel():
    inputs = image_input()
    number = ops.mean(conv(name="conv")(inputs), axis=(1, 2, 3))
    moments = characterize(keras.Model(inputs, number), images(), noise=images(1))
    assert np.isfinite(moments["chi"]).all()


def test_attention_gets_a_seed_for_every_kernel():
    inputs = image_input()
    x = layers.Reshape((64, 3), name="points")(inputs)
    x = layers.MultiHeadAttention(2, 3, use_bias=False, name="attention")(x, x)
    query, key, value, _ = (weight for weight in drawn(keras.Model(inputs, x)) if weight.ndim > 1)
    assert query.shape == key.shape == value.shape
    assert min(np.abs(query - key).max(), np.abs(key - value).max()) > 0.01
    moments = characterize(keras.Model(inputs, x), images(), noise=images(1))
    assert np.isfinite(moments["log_chi"]).all()


@backend
def test_trained_batch_normalization_takes_its_stored_statistics():
    model = keras.Sequential([image_input(), layers.BatchNormalization(epsilon=0.0, name="bn")])
    model.layers[0].moving_variance.assign([4.0, 4.0, 4.0])
    moments = characterize(model, images(), noise=images(1), reinitialize=False)
    assert moments["log_mu2_noise"][0, 1] - moments["log_mu2_noise"][0, 0] == pytest.approx(-np.log(4), abs=1e-5)
    fresh = characterize(model, images(), noise=images(1))
    assert fresh["mu2_signal"][0, 1] == pytest.approx(1, abs=1e-5)


def test_inputs_that_are_no_images_have_no_noise():
    model = two_inputs()
    vector = np.random.default_rng(2).normal(size=(6, 4))
    moments = characterize(model, {"image": images(), "vector": vector}, noise=images(1), reinitialize=False)
    assert moments["layer"].tolist() == ["image", "conv", "pool", "gate"]
    weights = {layer.name: layer for layer in model.layers}
    gate = ops.convert_to_numpy(weights["weights"](vector.astype("float32")))
    noise = ops.convert_to_numpy(weights["conv"](images(1))).mean((1, 2)) - ops.convert_to_numpy(weights["conv"].bias)
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(np.log(np.mean((noise * gate) ** 2)), abs=1e-4)


# --- saving --------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded_and_extended():
    model = nested()
    two = characterize(model, images(), num_realizations=2, name_experiment="net")
    assert load_experiment("net") == two
    three = characterize(model, images(), num_realizations=3, name_experiment="net")
    assert three.num_realizations == 3
    np.testing.assert_array_equal(three["chi"][:2], two["chi"])
    assert load_experiment("net")["layer"].tolist() == three["layer"].tolist()
    with pytest.raises(FileExistsError, match="seed"):
        characterize(model, images(), seed=1, name_experiment="net")
    with pytest.raises(FileExistsError, match="images"):
        characterize(model, images(9), name_experiment="net")


def test_tables_have_the_layers():
    moments = characterized("sequential")[1]
    table = moments.to_dataframe()
    assert set(table.columns) == {"seed", "realization", "layer", "moment", "value"}
    row = table[(table.layer == "conv") & (table.moment == "nu2_signal")]
    assert row.value.item() == moments["nu2_signal"][0, 2]
    dataset = moments.to_xarray()
    assert dataset["mu2_signal"].dims == ("realization", "layer")
    assert float(dataset["mu2_signal"].sel(layer="dense")[0]) == moments["mu2_signal"][0, -1]


# --- Propagate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dense(5, activation="tanh"),
        lambda: layers.Conv2D(4, 3),
        lambda: layers.LayerNormalization(),
        lambda: layers.GroupNormalization(3),
        lambda: layers.PReLU(alpha_initializer="ones"),
        lambda: layers.Softmax(),
    ],
    ids=["dense", "conv", "layer_norm", "group_norm", "prelu", "softmax"],
)
def test_propagate_agrees_with_finite_differences(make):
    layer = make()
    state = Propagate(layer)(InitialState()(images(), images(1)))
    signal, noise = true(state)
    step = 1e-3
    low, middle, high = (
        ops.convert_to_numpy(layer(images() + sign * step * images(1))).astype(float) for sign in (-1, 0, 1)
    )
    np.testing.assert_allclose(signal, middle, atol=1e-5 * np.abs(middle).max())
    # Differences err by about step squared times the third derivative.
    np.testing.assert_allclose(noise, (high - low) / (2 * step), atol=5e-3 * np.abs(noise).max())


@backend
def test_propagate_merges_states_and_survives_saving(tmp_path):
    inputs, noise = keras.Input(SHAPE[1:]), keras.Input(SHAPE[1:])
    state = InitialState()(inputs, noise)
    one = Propagate(layers.Dense(3, name="inner"))(state)
    total = Propagate(layers.Add())([one, state])
    model = keras.Model([inputs, noise], [total.signal, total.noise, total.log_noise])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(
        model.predict_on_batch([images(), images(1)]), loaded.predict_on_batch([images(), images(1)]), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


# --- what is refused -----------------------------------------------------------------------------------------------


def embedding():
    x = layers.Embedding(10, 4, name="lookup")(image_input())
    return keras.Model(image_input_of(x), x)


def rounding():
    x = image_input()
    return keras.Model(x, ops.cast(x, "int32"))


def integers():
    return keras.Sequential([keras.Input((8,), dtype="int32"), layers.Embedding(10, 4)])


class Opaque(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(np.asarray(ops.convert_to_numpy(inputs)))


def opaque():
    model = Opaque(name="opaque")
    model(images())
    return model


class Block(layers.Layer):
    """Batch normalization that Keras does not show."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside = layers.BatchNormalization()

    def call(self, x):
        return self.inside(x)


def hidden_batch_norm():
    x = image_input()
    return keras.Model(x, Block(name="block")(x))


@keras.saving.register_keras_serializable(package="tests")
def without_seed(shape, dtype=None):
    return ops.convert_to_tensor(np.random.default_rng().normal(size=shape).astype(dtype))


def unseeded():
    x = image_input()
    return keras.Model(x, conv(name="conv", kernel_initializer=without_seed)(x))


REFUSED = {
    "no model": (lambda: layers.Dense(3), {}, TypeError, "model must be a keras.Model"),
    "unbuilt": (lambda: keras.Sequential([layers.Dense(3)]), {}, ValueError, "built model"),
    "unbuilt subclass": (lambda: Subclassed(), {}, ValueError, "built model"),
    "another number of axes": (
        lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3)]),
        {},
        ValueError,
        r"shape \(batch, 4\)",
    ),
    "integers": (integers, {}, TypeError, "must hold integers"),
    "embedding": (embedding, {}, ValueError, "'lookup' looks up integers"),
    "no derivative": (rounding, {}, ValueError, "has a derivative"),
    "opaque": (opaque, {}, ValueError, "look into|built model"),
    "one image alone": (nested, {"inputs": images(shape=(1, 8, 8, 3))}, ValueError, "at least two"),
    "another shape": (nested, {"inputs": images(shape=(2, 8, 8, 1))}, ValueError, r"shape \(batch, 8, 8, 3\)"),
    "no numbers": (nested, {"inputs": "cifar10"}, TypeError, "array of real numbers"),
    "constant": (nested, {"inputs": np.ones(SHAPE)}, ValueError, "not all the same"),
    "infinite": (nested, {"inputs": np.full(SHAPE, np.inf)}, ValueError, "finite"),
    "zero noise": (nested, {"noise": np.zeros(SHAPE)}, ValueError, "noise must be"),
    "noise of another kind": (nested, {"noise": "uniform"}, TypeError, "noise must be"),
    "no such layer": (nested, {"layers": "conv9"}, ValueError, "inner/inner_conv"),
    "layers that are no pattern": (nested, {"layers": 5}, TypeError, "layers must be a pattern"),
    "no patterns": (nested, {"layers": []}, TypeError, "layers must be a pattern"),
    "a list for several inputs": (two_inputs, {"inputs": images()}, ValueError, "mapping with an array for each"),
    "numbers for integers": (
        lambda: keras.Model([x := image_input(), keras.Input((), dtype="int32", name="label")], x),
        {"inputs": {"image": images(), "label": np.zeros(6)}},
        TypeError,
        "label must hold integers",
    ),
    "an initializer without a seed": (unseeded, {}, ValueError, "drawn without a seed"),
    "a scalar": (lambda: keras.Model(x := image_input(), ops.mean(x)), {}, ValueError, "batch axis"),
    "no realizations": (nested, {"num_realizations": 0}, ValueError, "num_realizations"),
    "a negative seed": (nested, {"seed": -1}, ValueError, "seed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_by_name_and_nothing_is_written(case, npy_folder):
    make, changes, error, message = REFUSED[case]
    arguments = {"inputs": images(), "name_experiment": "net", **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = make()
    with pytest.raises(error, match="(?s)" + message + ".*Received: "):
        characterize(model, **arguments)
    assert not (npy_folder / "net").exists()


def test_a_noise_that_dies_is_reported_with_its_layer():
    model = keras.Sequential([image_input(), layers.Rescaling(1.0, name="ok"), layers.Rescaling(0.0, name="dead")])
    with pytest.warns(RuntimeWarning, match="realization 0: log_mu2_noise is -inf at layer dead"):
        characterize(model, images(), noise=images(1))


def test_sigterm_saves_what_is_finished(monkeypatch):
    """The signal comes with the third realization; two are committed, and the same call goes on from there."""
    stream = Measurement.stream

    def until_the_third(self, realizations):
        for chunk in stream(self, realizations):
            if chunk.realizations == (2,):
                signal.raise_signal(signal.SIGTERM)
            yield chunk

    monkeypatch.setattr(Measurement, "stream", until_the_third)
    settings = {"num_realizations": 4, "name_experiment": "net"}
    with pytest.raises(KeyboardInterrupt, match="2 of 4 realizations are saved in .*net; the same command goes on"):
        characterize(nested(), images(), **settings)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
