"""Models whose `call`, weights or batches are written in ways of their own: each against what it computes by itself."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from moments_dnns.characterization.failures import undifferentiable, untraceable
from moments_dnns.characterization.run import characterize as characterize_verbosely
from tests.support.models import built, normal, sequential

characterize = functools.partial(characterize_verbosely, verbose=False)
backend = pytest.mark.backend
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")


def numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor)).astype(float)


class ByKeywords(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.other = layers.Dense(4, name="one"), layers.Dense(4, name="other")

    def call(self, *, x, context):
        return self.one(x) * self.other(context)


class WithOption(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.other = layers.Dense(4, name="one"), layers.Dense(4, name="other")

    def call(self, x, context=None):
        return self.one(x) if context is None else self.one(x) * self.other(context)


class Batches:
    """Yields lists of inputs and targets, as a `DataLoader` of PyTorch does."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


Batches.__name__ = "DataLoader"


class FromPyTorch:
    """An array that must be detached and brought to the CPU first."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def cpu(self):
        return self.array


def of_keywords():
    model, inputs = ByKeywords(), {"x": normal(12, 5), "context": normal(12, 3, seed=1)}
    model(**inputs)
    return model, inputs, model(**inputs)


def of_option(kind):
    model, inputs = WithOption(), (normal(12, 5), normal(12, 3, seed=1))
    model(*inputs)
    given = {"tuple": inputs, "mapping": dict(zip(("x", "context"), inputs, strict=True)), "one": inputs[0]}[kind]
    return model, given, model(*inputs) if kind != "one" else model(inputs[0])


def called_once():
    model, data = sequential(layers.Dense(4), layers.Dense(2)), normal(12, 5)
    return model, data, built(model, data[:3])(data)


def iterated(make):
    model, data = sequential(keras.Input((5,)), layers.Dense(4)), normal(12, 5)
    return model, make(data), model(data)


# name -> a model, what goes into it, and what comes out
GIVEN = {
    "by keywords": of_keywords,
    "a tuple for optional arguments": lambda: of_option("tuple"),
    "a mapping for optional arguments": lambda: of_option("mapping"),
    "optional arguments left out": lambda: of_option("one"),
    "another batch size than that of the first call": called_once,
    "lists from a DataLoader": lambda: iterated(lambda data: Batches([data, np.zeros(12)])),
    "tensors of PyTorch": lambda: iterated(FromPyTorch),
}


@pytest.mark.parametrize("case", GIVEN)
def test_inputs_go_into_the_model_as_in_a_call_of_its_own(case):
    model, inputs, output = GIVEN[case]()
    moments = characterize(model, inputs, reinitialize=False, compute_reff_noise=False)
    assert moments["nu2_signal"][0, -1] == pytest.approx(np.mean(numpy(output) ** 2), rel=1e-5)


# --- weights that are made in constructors ---------------------------------------------------------------------------


class Codes(layers.Layer):
    """A weight of `__init__`, whose constructor takes no name and no type."""

    def __init__(self, width, function):
        super().__init__()
        self.width, self.function = width, function
        self.codes = self.add_weight(shape=(width,), initializer=keras.initializers.RandomNormal(0, 3.0), name="codes")

    def call(self, x):
        return self.function(x * self.codes)


class Token(keras.Model):
    def __init__(self):
        super().__init__()
        self.token = self.add_weight(shape=(400,), initializer=keras.initializers.RandomNormal(0, 3.0), name="token")
        self.scale = layers.Rescaling(2.0)

    def call(self, x):
        return self.scale(x * self.token)


@pytest.mark.parametrize(
    ("make", "scale"),
    [(lambda: sequential(keras.Input((400,)), Codes(400, ops.negative)), 3.0), (lambda: built(Token(), X400), 6.0)],
    ids=["layer", "model"],
)
def test_weights_of_constructors_are_drawn_by_their_initializers(make, scale):
    moments = characterize(make(), X400, num_realizations=2, compute_reff_noise=False, compute_reff_signal=False)
    one, other = np.sqrt(moments["nu2_signal"][:, -1] / moments["nu2_signal"][:, 0])
    assert one != other
    # The root mean square of 400 normal numbers, known to 1 / sqrt(800): 4 sigma are 14 %.
    np.testing.assert_allclose([one, other], scale, rtol=0.15)


X400 = normal(16, 400)


def test_states_that_a_recurrent_layer_keeps_begin_at_zero_in_fresh_networks():
    def make():
        keras.utils.set_random_seed(1)
        return sequential(
            keras.Input(batch_shape=(8, 5, 3)), layers.SimpleRNN(4, stateful=True, name="rnn"), layers.Dense(2)
        )

    fresh, used = make(), make()
    used(10 * normal(8, 5, 3))
    one, other = (characterize(model, normal(8, 5, 3)) for model in (fresh, used))
    np.testing.assert_array_equal(one["log_chi"], other["log_chi"])
    kept = characterize(used, normal(8, 5, 3), reinitialize=False)  # which go on where they are
    assert kept["nu2_signal"][0, -1] == pytest.approx(np.mean(numpy(used(normal(8, 5, 3))) ** 2), rel=1e-5)


# --- calls that TensorFlow compiles ----------------------------------------------------------------------------------


class Decides(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one, self.other = layers.Dense(5, name="one"), layers.Dense(5, name="other")

    def build(self, shape):
        self.one.build(shape)
        self.other.build(shape)

    def call(self, x):
        if ops.sum(x) > 0:
            return self.one(x)
        return ops.tanh(self.other(x))


class Deciding(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.block, self.last = layers.Rescaling(2.0, name="first"), Decides(name="block"), layers.Dense(3)

    def call(self, x):
        return self.last(self.block(self.first(x)))


@on_tensorflow
@pytest.mark.parametrize("sign", [-1, 1])
def test_python_conditions_on_tensors_run_on_tensorflow(sign):
    data, noise = sign * np.abs(normal(12, 5)), normal(12, 5, seed=1)
    model = built(Deciding(), data)
    with pytest.warns(UserWarning, match="loops and branches .*: block/one, block/other"):
        moments = characterize(model, data, noise=noise, reinitialize=False)
    assert moments["layer"].tolist()[:3] == ["input", "first", "block"]
    low, middle, high = (numpy(model(data + step * noise)) for step in (-1e-3, 0, 1e-3))
    assert moments["nu2_signal"][0, -1] == pytest.approx(np.mean(middle**2), rel=1e-5)
    expected = np.log(np.mean(((high - low) / 2e-3) ** 2))  # central differences in float32: 1e-7 / 1e-3
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(expected, abs=2e-3)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="which has AutoGraph")
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="which runs eagerly")
@backend
def test_python_conditions_on_tensors_are_refused_elsewhere():
    data = np.abs(normal(12, 5))
    with pytest.raises(ValueError, match=r"does not decide by values of tensors: keras.ops.cond.*Received: model="):
        characterize(built(Deciding(), data), data)


@on_tensorflow
def test_layers_within_a_call_that_is_compiled_by_itself_are_measured():
    import tensorflow

    class Compiled(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = layers.Dense(4, name="one"), layers.Dense(3, name="two")

        @tensorflow.function
        def call(self, x):
            return self.two(tensorflow.nn.relu(self.one(x)))

    data = normal(12, 5)
    model = built(Compiled(), data)
    moments = characterize(model, data, reinitialize=False)
    assert moments["layer"].tolist() == ["input", "one", "two"]
    assert moments["nu2_signal"][0, -1] == pytest.approx(np.mean(numpy(model(data)) ** 2), rel=1e-5)


def test_layers_that_are_the_same_in_training_are_not_named():
    model = sequential(keras.Input((8, 8, 3)), layers.Resizing(4, 4), layers.CenterCrop(2, 2), layers.RandomFlip())
    with pytest.warns(UserWarning, match=r"in training .*: random_flip\w*$"):
        moments = characterize(model, normal(6, 8, 8, 3))
    assert moments["nu2_signal"][0, -1] == moments["nu2_signal"][0, -2]  # nothing is flipped in inference


# --- the way out of errors -------------------------------------------------------------------------------------------


class Unbuilt(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)


def test_layers_that_are_not_built_are_named_as_the_cause():
    model = Unbuilt()
    with pytest.warns(UserWarning, match="unbuilt state"):
        model.build((None, 5))
    with pytest.raises(ValueError, match=r"expected a built model: call it once on a batch"):
        characterize(model, normal(6, 5))


SAYS = {
    "Using a symbolic `tf.Tensor` as a Python `bool` is not allowed": (untraceable, "keras.ops.cond"),
    "Attempted boolean conversion of traced array. TracerBoolConversionError": (untraceable, "keras.ops.cond"),
    "Cannot convert a symbolic tf.Tensor to a numpy array": (untraceable, "NumPy has none"),
    "You cannot add new elements of state": (untraceable, "call it once"),
    "TracerArrayConversionError": (untraceable, "lookups and hashing run on TensorFlow alone"),
    "shapes do not fit": (untraceable, "look into: made of layers"),
    "gradient registry has no entry for: Unique": (undifferentiable, "KERAS_BACKEND"),
    "can't apply forward-mode differentiation (jvp) to a custom_vjp function": (undifferentiable, "KERAS_BACKEND"),
    "Trying to use forward AD with x that does not support it": (undifferentiable, "KERAS_BACKEND"),
    "OOM when allocating tensor": (undifferentiable, "memory"),
}


@pytest.mark.parametrize("message", SAYS)
def test_errors_name_the_way_out(message):
    explain, way_out = SAYS[message]
    assert way_out in explain(ValueError(message))


def test_the_error_that_an_error_came_from_is_told():
    error = AttributeError("'str' object has no attribute '_error_repr'")
    error.__context__ = TypeError("Attempted boolean conversion of traced array: TracerBoolConversionError")
    assert "keras.ops.cond" in untraceable(error)
    assert "(TypeError: Attempted boolean conversion" in untraceable(error)


def test_another_backend_is_advised_only_where_it_helps():
    assert "KERAS_BACKEND" not in undifferentiable(ValueError("shapes do not fit"))
