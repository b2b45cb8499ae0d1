"""Models of every kind that a forward pass on copies got wrong, refused or could not run: each with its right value."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from moments_dnns.characterization.run import characterize as characterize_verbosely
from tests.support.models import normal, sequential

characterize = functools.partial(characterize_verbosely, verbose=False)
backend = pytest.mark.backend


def numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor)).astype(float)


def mean_square(tensor):
    return np.mean(numpy(tensor) ** 2)


def difference(model, data, noise, step=1e-3):
    """The logarithm of the mean square of the noise behind a model, by central differences."""
    low, high = (numpy(model(data + sign * step * noise)) for sign in (-1, 1))
    return np.log(mean_square((high - low) / (2 * step)))


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_many_concatenations_keep_their_shapes():
    x = inputs = keras.Input((4, 4, 2))
    for number in range(36):
        x = layers.Concatenate(name=f"cat{number}")([x[..., :4], layers.Conv2D(2, 1)(x)])
    moments = characterize(keras.Model(inputs, x), normal(2, 4, 4, 2), layers="cat*", compute_reff_noise=False)
    assert moments["chi"].shape == (1, 37)
    assert np.isfinite(moments["chi"]).all()


# --- masks -----------------------------------------------------------------------------------------------------------


def masked_data():
    data = normal(6, 4, 4, 3)
    data[:, 2:] = 0
    return data


@backend
@pytest.mark.parametrize(
    "make",
    [
        lambda x: layers.MultiHeadAttention(2, 4)(x, x),
        layers.LSTM(4),
        layers.GlobalAveragePooling1D(),
        layers.BatchNormalization(epsilon=0.0),
    ],
    ids=["attention", "lstm", "pooling", "batch_norm"],
)
def test_masks_ride_on(make):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, make(layers.Masking(0.0)(layers.Reshape((16, 3))(inputs))))
    data, noise = masked_data(), normal(6, 4, 4, 3, seed=1) * (masked_data() != 0)
    moments = characterize(model, data, noise=noise, reinitialize=False)
    assert moments["nu2_signal"][0, -1] == pytest.approx(mean_square(model(data)), rel=1e-3)
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(difference(model, data, noise), abs=0.02)


def test_batch_normalization_takes_masked_statistics():
    image, tokens = keras.Input((8, 8, 3), name="image"), keras.Input((6,), dtype="int32", name="tokens")
    sequence = layers.RepeatVector(6)(layers.Dense(3)(layers.Flatten()(image)))
    rows = ops.cast(tokens, "float32")[:, :, None]
    model = keras.Model(
        [image, tokens], layers.BatchNormalization(name="bn")(sequence + 9 * rows, mask=ops.less(tokens, 2))
    )
    data = [normal(16, 8, 8, 3), np.tile([0, 1, 0, 1, 5, 5], (16, 1))]
    moments = characterize(model, dict(zip(("image", "tokens"), data, strict=True)))
    assert moments["nu2_signal"][0, -1] == pytest.approx(mean_square(model(data, training=True)), rel=0.2)
    own = characterize(model, data, reinitialize=False)
    assert own["nu2_signal"][0, -1] == pytest.approx(mean_square(model(data)), rel=1e-4)


# --- what batch normalization does -----------------------------------------------------------------------------------


def test_batch_normalization_in_a_side_branch_takes_the_statistics_of_the_batch():
    image, vector = keras.Input((8, 8, 3), name="image"), keras.Input((5,), name="vector")
    side = layers.BatchNormalization(name="side")(layers.Dense(8, kernel_initializer="he_normal")(vector))
    main = layers.BatchNormalization(name="bn")(layers.Conv2D(8, 3)(image))
    model = keras.Model([image, vector], layers.Add(name="sum")([main, layers.Reshape((1, 1, 8))(side)]))
    for noise in ("normal", ["image"]):
        data = {"image": normal(16, 8, 8, 3), "vector": 100 * normal(16, 5)}
        assert characterize(model, data, noise=noise)["nu2_signal"][0, -1] == pytest.approx(2, abs=0.2)


class Frozen(layers.BatchNormalization):
    """Batch normalization of detection models, which never takes the statistics of the batch."""

    def call(self, x, training=None, mask=None):
        return super().call(x, training=False)


@pytest.mark.parametrize(
    "make", [lambda: Frozen(name="bn"), lambda: layers.BatchNormalization(trainable=False, name="bn")]
)
def test_frozen_batch_normalization_takes_stored_statistics(make):
    model = sequential(
        keras.Input((8, 8, 3)), layers.Rescaling(3.0), layers.Conv2D(8, 3, kernel_initializer="he_normal"), make()
    )
    conv, bn = characterize(model, normal(8, 8, 8, 3))["nu2_signal"][0, -2:]
    assert bn == pytest.approx(conv / (1 + 1e-3), rel=1e-4)  # stored mean 0, variance 1, epsilon 1e-3


@backend
def test_batch_normalization_within_time_distributed():
    model = sequential(
        keras.Input((8, 8, 4)), layers.Reshape((8, 32)), layers.TimeDistributed(layers.BatchNormalization())
    )
    with pytest.warns(UserWarning, match=r"few points: time_distributed\w*/batch_normalization\w* \(4\)"):  # of a step
        moments = characterize(model, normal(4, 8, 8, 4))
    assert moments["nu2_signal"][0, -1] == pytest.approx(1, abs=0.05)


# --- fresh weights ---------------------------------------------------------------------------------------------------


class Scaled(layers.Layer):
    def __init__(self, factor=0.5, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x


def test_layers_without_get_config_keep_their_names():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, Scaled(0.3, name="mine")(inputs))
    for fresh in (False, True, True):
        moments = characterize(model, normal(4, 8, 8, 3), reinitialize=fresh, layers="mine")
        assert moments["layer"].tolist() == ["input", "mine"]


class Tied(layers.Layer):
    """A decoder with the kernel of an encoder."""

    def __init__(self, other, **kwargs):
        super().__init__(**kwargs)
        self.other = other

    def build(self, shape):
        self.built = True

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.other.kernel))


@backend
def test_tied_weights_stay_tied():
    inputs = keras.Input((8, 8, 16))
    encoder = layers.Dense(16, use_bias=False, kernel_initializer="orthogonal", name="encoder")
    decoded = Tied(encoder, name="decoder")(encoder(inputs))
    model = keras.Model(inputs, layers.Subtract(name="difference")([decoded, inputs]))
    # E'E = 1 for any orthogonal E.
    assert characterize(model, normal(4, 8, 8, 16), layers=["encoder", "decoder"])["nu2_signal"][0, 2] == pytest.approx(
        np.mean(normal(4, 8, 8, 16).astype(float) ** 2), rel=1e-5
    )


def test_weights_in_the_closure_of_a_lambda_are_drawn():
    inner = layers.Dense(16)
    inner.build((None, 3))
    model = sequential(keras.Input((8, 8, 3)), layers.Lambda(lambda x: inner(x), name="outer"))
    moments = characterize(model, normal(4, 8, 8, 3), num_realizations=4, layers="outer")
    assert np.unique(moments["nu2_signal"][:, 1]).size == 4


class Cut(layers.Layer):
    """Patches, by a layer whose `get_config` makes no copy: its constructor takes no name."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def call(self, x):
        return ops.reshape(ops.image.extract_patches(x, size=self.size), (-1, 16, 3 * self.size**2))

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def test_layers_that_cannot_be_copied_are_measured():
    model = sequential(keras.Input((24, 24, 3)), Cut(6), layers.Dense(8))
    moments = characterize(model, normal(4, 24, 24, 3), num_realizations=2)
    assert np.unique(moments["nu2_signal"][:, -1]).size == 2


def test_initializers_that_only_a_layer_knows_are_used():
    class Gated(layers.Layer):
        def build(self, shape):
            self.gate = self.add_weight(shape=(shape[-1],), initializer=keras.initializers.RandomNormal(3.0, 0.1))

        def call(self, x):
            return x * self.gate

    model = sequential(keras.Input((64,)), Gated())
    model.layers[0].gate.assign(np.zeros(64))
    moments = characterize(model, normal(64, 64), num_realizations=2)
    # The mean of 64 squares of N(3, 0.1), times 4096 squares of N(0, 1).
    np.testing.assert_allclose(moments["nu2_signal"][:, 1], 9, rtol=0.2)
    assert np.unique(moments["nu2_signal"][:, 1]).size == 2


@pytest.mark.parametrize("instance", [False, True], ids=["equal seeds", "one instance"])
def test_equal_initializers_stay_equal(instance):
    one = keras.initializers.HeNormal(seed=7)
    kernels = [one if instance else keras.initializers.HeNormal(seed=7) for _ in range(2)]
    inputs = keras.Input((8, 8, 8))
    branches = [layers.Conv2D(8, 1, kernel_initializer=kernel)(inputs) for kernel in kernels]
    model = keras.Model(inputs, layers.Concatenate(name="both")(branches))
    for fresh in (False, True):
        moments = characterize(model, normal(4, 8, 8, 8), reinitialize=fresh)
        names = moments["layer"].tolist()
        assert moments["nu2_signal"][0, 1] == moments["nu2_signal"][0, 2], names


# --- state -----------------------------------------------------------------------------------------------------------


class Noisy(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(7)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.generator)


class Halved(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(3,), initializer="ones")

    def call(self, x):
        self.factor.assign(self.factor * 0.5)
        return x * self.factor


@backend
def test_layers_with_a_state_stay_as_they_were_and_follow_the_seed():
    model = sequential(keras.Input((8, 8, 3)), layers.Conv2D(4, 3), Noisy())
    before = [numpy(variable) for variable in model.variables]
    one, two = (characterize(model, normal(4, 8, 8, 3), reinitialize=False, num_realizations=k) for k in (1, 3))
    np.testing.assert_array_equal(one["log_chi"], two["log_chi"][:1])
    assert np.unique(two["nu2_signal"][:, -1]).size == 3
    assert (
        characterize(model, normal(4, 8, 8, 3), reinitialize=False, seed=1)["log_chi"][0, -1] != one["log_chi"][0, -1]
    )
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, numpy(variable))


def test_weights_that_a_call_changes_are_put_back():
    model = sequential(keras.Input((8, 8, 3)), Halved())
    moments = characterize(model, normal(4, 8, 8, 3), reinitialize=False, num_realizations=3)
    np.testing.assert_array_equal(model.get_weights()[0], 1)
    np.testing.assert_allclose(moments["nu2_signal"][:, 1], moments["nu2_signal"][:, 0] / 4, rtol=1e-5)


# --- integers, booleans and zero derivatives on the way --------------------------------------------------------------

WITHOUT_DERIVATIVE = {
    "stop_gradient": (lambda z: z + ops.stop_gradient(0.5 * z), lambda z: z),
    "where": (lambda z: ops.where(z > 0, z, 0.1 * z), None),
    "top_k": (lambda z: ops.top_k(z, 2)[0], None),
    "zeros_like": (lambda z: z + ops.zeros_like(z), None),
    "one_hot": (lambda z: z * ops.one_hot(ops.argmax(z, -1), 4), None),
    "round": (lambda z: z + ops.round(z), lambda z: z),
    "floor": (lambda z: 2 * z - ops.floor(z), lambda z: 2 * z),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=backend) for name in WITHOUT_DERIVATIVE])
def test_what_has_no_derivative_is_a_constant_for_the_noise(name):
    function, without = WITHOUT_DERIVATIVE[name]
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, function(inputs))
    data, noise = normal(4, 8, 8, 4), normal(4, 8, 8, 4, seed=1)
    moments = characterize(model, data, noise=noise, layers=moments_of_last(model))
    assert moments["nu2_signal"][0, -1] == pytest.approx(mean_square(model(data)), rel=1e-4)
    # A step so small that it crosses next to no border; noise is rounded at 1e-7 / 1e-4.
    expected = difference(without or model, data, noise, 1e-4)
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(expected, abs=0.02)


def moments_of_last(model):
    """The name of the function whose output is that of a model: what lies before it may have no noise at all."""
    name = model.outputs[0]._keras_history.operation.name
    return [(name.rpartition("_")[0] if name.rpartition("_")[2].isdigit() else name) + "*"]


# --- inputs ----------------------------------------------------------------------------------------------------------


def test_inputs_of_any_kind_are_taken():
    vector = sequential(keras.Input((100,)), layers.Dense(3))
    assert characterize(vector, normal(8, 100))["layer"].tolist()[0] == "input"
    image, other = keras.Input((8, 8, 3), name="x"), keras.Input((4,), name="t")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    model = keras.Model([image, other], layers.Dense(4)(other) + pooled)
    assert characterize(model, [normal(4, 8, 8, 3), normal(4, 4)])["layer"].tolist()[:2] == ["x", "t"]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    scaled = sequential(
        keras.Input((8, 8, 3), dtype="uint8"), layers.Rescaling(1 / 255, name="scale"), layers.Flatten()
    )
    moments = characterize(scaled, pixels, reinitialize=False)
    assert moments["layer"].tolist()[0] == "scale"
    assert moments["nu2_signal"][0, 0] == pytest.approx(np.mean((pixels / 255) ** 2), rel=1e-5)


def test_an_input_that_reaches_nothing_is_refused():
    one, other = keras.Input((4,), name="one"), keras.Input((4,), name="other")
    model = keras.Model([one, other], layers.Dense(3)(one))
    with pytest.raises(ValueError, match=r"from which layers compute.*Received: noise='other'"):
        characterize(model, [normal(8, 4), normal(8, 4)], noise=["other"])


# --- loops -----------------------------------------------------------------------------------------------------------


@backend
@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LSTM(6),
        lambda: layers.GRU(6, return_sequences=True),
        lambda: layers.SimpleRNN(6),
        lambda: layers.Bidirectional(layers.LSTM(3)),
        lambda: layers.LSTM(6, unroll=True),
    ],
    ids=["lstm", "gru", "simple", "bidirectional", "unrolled"],
)
def test_loops_have_a_derivative(make):
    model = sequential(keras.Input((8, 8)), make())
    data, noise = normal(4, 8, 8), normal(4, 8, 8, seed=1)
    moments = characterize(model, data, noise=noise, reinitialize=False)
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(difference(model, data, noise), abs=0.01)


# --- names of classes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "interpolation",
    [*(pytest.param(name, marks=backend) for name in ("bilinear", "nearest", "bicubic")), "lanczos3"],
)
def test_interpolations_have_a_derivative_wherever_they_are_called(interpolation):
    class Resize(layers.Layer):
        def call(self, x):
            return ops.square(ops.image.resize(x, (4, 4), interpolation=interpolation))

    model = sequential(keras.Input((8, 8, 3)), Resize())
    data, noise = normal(4, 8, 8, 3) + 1, normal(4, 8, 8, 3, seed=1)
    moments = characterize(model, data, noise=noise)
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(difference(model, data, noise), abs=0.01)


# --- precision of the process ----------------------------------------------------------------------------------------


def test_a_process_in_float64():
    keras.config.set_floatx("float64")
    try:
        model = sequential(keras.Input((8, 8, 3)), layers.Conv2D(8, 3))
        data = normal(4, 8, 8, 3).astype("float64")
        moments = characterize(model, data, reinitialize=False)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    assert moments["nu2_signal"][0, -1] == pytest.approx(mean_square(model(data)), rel=1e-5)


@backend
def test_a_process_with_a_mixed_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = sequential(keras.Input((8, 8, 3)), layers.Conv2D(8, 3))
        moments = characterize(model, normal(4, 8, 8, 3), reinitialize=False)
        right = mean_square(ops.cast(model(normal(4, 8, 8, 3)), "float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert moments["nu2_signal"][0, -1] == pytest.approx(right, rel=1e-3)


# --- names -----------------------------------------------------------------------------------------------------------


def test_functions_are_numbered_in_the_order_in_which_they_were_written():
    inputs = keras.Input((4, 4), name="x")
    first = ops.sum(inputs, axis=1)  # Keras runs it last, as nothing depends on it
    second = layers.Dense(4, name="dense")(ops.sum(inputs * 2, axis=1))
    moments = characterize(keras.Model(inputs, [first, second]), normal(8, 4, 4), reinitialize=False)
    column = moments["layer"].tolist().index("sum")
    assert moments["nu2_signal"][0, column] == pytest.approx(np.mean(normal(8, 4, 4).sum(1) ** 2), rel=1e-5)
