"""Annotated shapes are what functions of tensors take and return: eager, symbolic, compiled and differentiated."""

import keras
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from keras import ops

from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.layers.activation import Activation
from moments_dnns.layers.convolution import Convolution, pad
from moments_dnns.layers.core import Add, InitialState, Rescaling
from moments_dnns.layers.linear import add_bias
from moments_dnns.layers.measurement import LogMoments, effective_rank
from moments_dnns.layers.normalization import BatchNormalization, GroupNormalization, LayerNormalization
from moments_dnns.layers.pooling import AveragePooling, MaxPooling
from moments_dnns.layers.propagate import Propagate
from moments_dnns.layers.state import State, centred, mean_over_points
from moments_dnns.layers.token_mixing import TokenMixing
from moments_dnns.layers.weights import draw_bias, draw_kernel, gaussian, gram_root, sample_product
from moments_dnns.simulation.blocks import Block

backend = pytest.mark.backend

SEED = np.array([1, 2], "int32")
IMAGES = np.ones((2, 4, 4, 6), "float32")
STATE = State(IMAGES, IMAGES, np.float32(0), np.float32(0))
EXPERIMENT = Experiment("vanilla", 2, 1, 6, 2, 1, num_computations=1)

BAD_STATES = {
    "noise of another shape": STATE._replace(noise=IMAGES[:1]),
    "scale for each image": STATE._replace(log_signal=np.zeros(2, "float32")),
    "integers": STATE._replace(signal=IMAGES.astype("int32"), noise=IMAGES.astype("int32")),
    "three tensors": STATE[:3],
}
ON_STATES = {
    "Activation": Activation("tanh").call,
    "Add": lambda state: Add().call([STATE, state]),
    "BatchNormalization": BatchNormalization().call,
    "LayerNormalization": LayerNormalization().call,
    "GroupNormalization": GroupNormalization(2).call,
    "AveragePooling": AveragePooling(2).call,
    "MaxPooling": MaxPooling(2).call,
    "Rescaling": Rescaling().call,
    "LogMoments": LogMoments().call,
    "Convolution": lambda state: Convolution(6, 1).call(state, seed=SEED),
    "TokenMixing": lambda state: TokenMixing().call(state, seed=SEED),
    "Block": lambda state: Block(EXPERIMENT).call(state, seeds=SEED[None]),
}


@backend
@pytest.mark.parametrize("layer", ON_STATES.values(), ids=ON_STATES)
def test_states_are_taken_and_so_are_plain_tuples(layer):
    layer(STATE)
    layer(tuple(STATE))


@pytest.mark.parametrize("layer", ON_STATES.values(), ids=ON_STATES)
@pytest.mark.parametrize("state", BAD_STATES.values(), ids=BAD_STATES)
def test_what_is_no_state_is_refused(layer, state):
    with pytest.raises(TypeCheckError):
        layer(state)


# What is called -> arguments of right shapes, and arguments of which one has a wrong shape or type.
X = np.ones((3, 4), "float32")
ON_TENSORS = {
    "InitialState": (InitialState().call, (IMAGES, IMAGES), (IMAGES, IMAGES[..., :1])),
    "pad": (pad, (IMAGES, 3, "periodic"), (IMAGES[0], 3, "periodic")),
    "kernel": (Convolution(6, 1).call, (STATE, None, IMAGES[:1, :1, 0, None].repeat(6, 2)), (STATE, None, X)),
    "points": (
        TokenMixing().call,
        (STATE, None, np.ones((1, 1, 16, 16), "float32")),
        (STATE, None, np.ones((1, 1, 16, 8), "float32")),
    ),
    "seed": (Convolution(6, 1).call, (STATE, SEED), (STATE, SEED[:1])),
    "type of a seed": (Convolution(6, 1).call, (STATE, SEED), (STATE, SEED.astype("float32"))),
    "seeds": (Block(EXPERIMENT).call, (STATE, SEED[None]), (STATE, SEED)),
    "add_bias": (add_bias, (STATE, IMAGES[0, 0, 0]), (STATE, IMAGES[0, 0])),
    "gaussian": (gaussian, ((2, 3), SEED), ((2, 3), X)),
    "draw_kernel": (draw_kernel, ((1, 1, 2, 3), SEED, 2.0), ((1, 2, 3), SEED, 2.0)),
    "draw_bias": (draw_bias, (3, SEED, 1.0), (3, SEED[None], 1.0)),
    "gram_root": (gram_root, (X,), (X[0],)),
    "sample_product": (sample_product, (X, 5, SEED, 1.0), (IMAGES, 5, SEED, 1.0)),
    "centred": (centred, (X,), (X[0, 0],)),
    "mean_over_points": (mean_over_points, (IMAGES,), (X.astype("int32"),)),
    "effective_rank": (effective_rank, (X,), (np.float32(1),)),
}


@backend
@pytest.mark.parametrize(("function", "right", "wrong"), ON_TENSORS.values(), ids=ON_TENSORS)
def test_tensors_of_other_shapes_are_refused(function, right, wrong):
    function(*right)
    with pytest.raises(TypeCheckError):
        function(*wrong)


@backend
def test_results_of_other_shapes_are_refused():
    with pytest.raises(TypeCheckError, match=r"return value of moments_dnns\.layers\.weights\.draw_kernel"):
        draw_kernel((1, 1, 2, 3), SEED, 2.0, lambda shape, dtype: ops.ones((2,)))


def symbolic(images, noise):
    inputs = [keras.Input(batch_shape=each.shape) for each in (images, noise)]
    return InitialState().call(*inputs)


def compiled(images, noise):
    inputs = [keras.Input(batch_shape=each.shape) for each in (images, noise)]

    class Inner(keras.layers.Layer):
        def call(self, images, noise):
            return InitialState().call(images, noise).signal

        def compute_output_shape(self, images_shape, noise_shape):
            return images_shape

    return keras.Model(inputs, Inner()(*inputs)).predict_on_batch([images, noise])


def differentiated(images, noise):
    noise = ops.convert_to_tensor(noise)
    primals = (ops.convert_to_tensor(images),)
    return ops.jvp(lambda images: InitialState().call(images, noise).signal, primals, primals)


@backend
@pytest.mark.parametrize("way", [symbolic, compiled, differentiated])
def test_symbolic_compiled_and_differentiated_tensors_are_checked_too(way):
    way(IMAGES, IMAGES)
    # Keras hands on errors of a compiled layer as its own.
    with pytest.raises(Exception, match="Type-check error"):
        way(IMAGES, IMAGES[:1])


@backend
def test_layers_that_wrap_others_take_states_of_any_shape():
    state = State(X, X, np.float32(0), np.float32(0))
    assert tuple(Propagate(keras.layers.Dense(5))(state).noise.shape) == (3, 5)
