"""What the library uses of Keras beyond its public interface: a new Keras that breaks it fails here, by name."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns import _keras_internals as internals

SEED = np.array([1, 2], "int32")
INPUTS = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")


def numbers(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


def branching_model():
    """Return a model with a branch, a layer that is called twice, and named arguments, and its nodes' names."""
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(4, name="dense")
    branch = dense(ops.relu(inputs))
    outputs = ops.where(ops.greater(branch, 0), x1=branch, x2=dense(branch))
    return keras.Model(inputs, outputs)


@pytest.mark.backend
def test_random_functions_take_a_tensor_as_seed_by_next_alone():
    def draw(seed):
        return keras.random.uniform((3,), seed=internals.TensorSeed(seed))

    # Inside a compiled function the seed is no number yet.
    model = keras.Model(inputs := keras.Input(batch_shape=(2,), dtype="int32"), keras.layers.Lambda(draw, (3,))(inputs))
    drawn = numbers(draw(SEED))
    np.testing.assert_array_equal(numbers(draw(SEED)), drawn)
    np.testing.assert_array_equal(model.predict_on_batch(SEED), drawn)
    assert np.all(numbers(draw(SEED + 1)) != drawn)


@pytest.mark.backend
def test_random_functions_ask_a_generator_for_next_alone():
    asked = set()

    class Watched(internals.TensorSeed):
        def __getattribute__(self, name):
            asked.add(name)
            return super().__getattribute__(name)

    seed = Watched(SEED)
    asked.clear()
    keras.random.normal((3,), seed=seed)
    assert asked - {"__class__", "seed"} == {"next"}
    # Its own variable would be a state of every layer that draws.
    assert not hasattr(seed, "state")


# Every initializer that Keras exports under a name of a class, with what it cannot do without.
RANDOM = [
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Orthogonal",
    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
]  # fmt: skip
CONSTANT = ["Constant", "Identity", "Ones", "Zeros"]


@pytest.mark.backend
@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("seed", [7, internals.TensorSeed], ids=["integer", "tensor"])
def test_initializers_draw_from_the_seed_that_is_set(name, seed):
    own = getattr(keras.initializers, name)(seed=3)
    first, again, other = (
        numbers(internals.seeded(own, seed(SEED + k) if callable(seed) else seed + k)((4, 4))) for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    assert own.seed == 3


@pytest.mark.parametrize("name", CONSTANT)
def test_initializers_that_draw_nothing_have_no_seed(name):
    constant = getattr(keras.initializers, name)()
    assert internals.seeded(constant, 7) is constant


def test_all_initializers_are_looked_at():
    exported = {
        name
        for name, each in vars(keras.initializers).items()
        if inspect.isclass(each) and each.__name__ == name and name not in ("Initializer", "STFT")
    }
    assert exported == {*RANDOM, *CONSTANT}


@pytest.mark.backend
def test_variables_know_their_initializers_in_a_stateless_scope():
    with keras.StatelessScope():
        layer = keras.layers.Dense(3, kernel_initializer="he_normal", bias_initializer="ones")
        layer.build((None, 4))
        known = [type(internals.initializer_of(variable)).__name__ for variable in layer.variables]
    assert known == ["HeNormal", "Ones"]
    assert [internals.initializer_of(variable) for variable in layer.variables] == [None, None]
    assert internals.initializer_of(keras.Variable(np.ones(2, "float32"))) is None


def test_functional_models_and_no_others_hold_a_graph():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    assert internals.is_functional(branching_model())
    assert not internals.is_functional(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    assert not internals.is_functional(Subclassed())


@pytest.mark.backend
def test_nodes_in_their_order_with_filled_arguments_compute_the_model():
    model = branching_model()
    tensors = {id(model.inputs[0]): ops.convert_to_tensor(INPUTS)}
    names = []
    for node in internals.nodes(model):
        names.append(node.operation.name.rstrip("_0123456789"))
        assert {id(tensor) for tensor in node.input_tensors} <= tensors.keys()
        args, kwargs = internals.filled(node.arguments, tensors)
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        tensors |= {id(symbolic): value for symbolic, value in zip(node.outputs, outputs, strict=True)}
    assert sorted(names) == ["dense", "dense", "greater", "relu", "where"]
    np.testing.assert_array_equal(numbers(tensors[id(model.outputs[0])]), numbers(model(INPUTS)))


def test_named_arguments_of_nodes_are_filled_by_name():
    node = list(internals.nodes(branching_model()))[-1]
    positional, named = internals.filled(node.arguments, {id(tensor): id(tensor) for tensor in node.input_tensors})
    assert sorted([*positional, *named.values()]) == sorted(id(tensor) for tensor in node.input_tensors)


def test_layers_inside_layers_are_listed_however_deep():
    norm = keras.layers.BatchNormalization()
    inner = keras.Sequential([keras.layers.Dense(2), keras.layers.TimeDistributed(norm)])
    wrapped = keras.layers.Bidirectional(keras.layers.GRU(2))
    assert norm in internals.layers_within(keras.Sequential([inner]))
    assert {"GRU", "GRUCell"} <= {type(layer).__name__ for layer in internals.layers_within(wrapped)}
    assert internals.layers_within(norm) == []


@pytest.mark.backend
@pytest.mark.parametrize("output_shape", [None, (2,), lambda shape: (shape[0], 2)], ids=["none", "tuple", "function"])
def test_copies_of_lambda_layers_compute_the_same(output_shape):
    layer = keras.layers.Lambda(lambda x, k: k * x[:, :2], output_shape, arguments={"k": 3.0}, name="triple")
    copied = internals.copied_lambda(layer)
    assert (copied is not layer, copied.name) == (True, "triple")
    assert copied.compute_output_shape((5, 4)) == (5, 2)
    np.testing.assert_array_equal(numbers(copied(INPUTS)), 3 * INPUTS[:, :2])
