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


def test_operations_of_a_graph_are_listed_once_in_their_order():
    names = [operation.name.rstrip("_0123456789") for operation in internals.operations(branching_model())]
    assert sorted(names) == ["dense", "greater", "relu", "where"]
    assert names.index("relu") < names.index("dense") < names.index("greater") < names.index("where")
    sequential = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="inner")])
    assert [operation.name for operation in internals.operations(sequential)] == ["inner"]


def test_constants_of_a_graph_are_all_but_tensors():
    inputs = keras.Input((4,))
    assert set(internals.constants(keras.Model(inputs, ops.clip(inputs, -1.0, 2.0) * 3.0))) == {-1.0, 2.0, 3.0}


@pytest.mark.backend
def test_batch_normalization_takes_its_statistics_from_the_method_that_can_be_replaced():
    layer = keras.layers.BatchNormalization(epsilon=0.0)
    layer.build((None, 4))
    vars(layer)[internals.BATCH_STATISTICS] = lambda x, mask: (ops.zeros(4), 4 * ops.ones(4))
    np.testing.assert_allclose(numbers(layer(INPUTS, training=True)), INPUTS / 2, atol=1e-6)


@pytest.mark.backend
def test_a_stand_in_is_built_and_the_layer_stays_as_it_was():
    cell = keras.layers.LSTMCell(3)
    cell.build((None, 4))
    before, added = dict(vars(cell)), {}
    internals.rebuilt(
        cell, dict(vars(cell)), lambda name, shape, initializer, **_: added.setdefault(name, initializer(shape))
    )
    assert vars(cell) == before
    assert list(added) == ["kernel", "recurrent_kernel", "bias"]
    np.testing.assert_array_equal(numbers(added["bias"]), numbers(cell.bias))  # the forget gate begins with ones


@pytest.mark.backend
def test_functions_without_a_seed_draw_from_the_generator_of_the_context():
    before = keras.random.normal((2,))
    with internals.own_globals(keras.random.SeedGenerator(3)):
        one = keras.random.normal((2,))
    np.testing.assert_array_equal(numbers(one), numbers(keras.random.normal((2,), seed=keras.random.SeedGenerator(3))))
    assert np.any(numbers(keras.random.normal((2,))) != numbers(before))
    name = keras.layers.Dense(2).name
    with internals.own_globals(keras.random.SeedGenerator(3)):
        keras.layers.Dense(2)
    assert int(keras.layers.Dense(2).name.rpartition("_")[2]) == int(name.rpartition("_")[2] or 0) + 1


def test_layers_inside_layers_are_listed_however_deep():
    norm = keras.layers.BatchNormalization()
    inner = keras.Sequential([keras.layers.Dense(2), keras.layers.TimeDistributed(norm)])
    wrapped = keras.layers.Bidirectional(keras.layers.GRU(2))
    assert norm in internals.layers_within(keras.Sequential([inner]))
    assert {"GRU", "GRUCell"} <= {type(layer).__name__ for layer in internals.layers_within(wrapped)}
    assert internals.layers_within(norm) == []
