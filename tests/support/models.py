"""Everyday Keras models of every kind, as constructors, and what goes into them."""

import keras
import numpy as np
from keras import layers, ops


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def integers(high, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, high, shape)


def sequential(*parts):
    return keras.Sequential(list(parts))


class Block(layers.Layer):
    """A transformer block written as a layer, without `get_config`, with a weight of its own."""

    def __init__(self, width, heads, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(heads, width // heads, name="attention")
        self.before, self.between = (layers.LayerNormalization(name=name) for name in ("before", "between"))
        self.up, self.down = layers.Dense(2 * width, "gelu", name="up"), layers.Dense(width, name="down")

    def build(self, shape):
        self.attention.build(shape, shape)
        self.before.build(shape)
        self.between.build(shape)
        self.up.build(shape)
        self.down.build((*shape[:-1], 2 * shape[-1]))
        self.gamma = self.add_weight(shape=(shape[-1],), initializer=keras.initializers.Constant(0.5), name="gamma")

    def call(self, x):
        normalized = self.before(x)
        x = x + self.attention(normalized, normalized)
        return x + self.down(self.up(self.between(x))) * self.gamma


class TwoArguments(keras.Model):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.one, self.other, self.last = layers.Dense(width), layers.Dense(width), layers.Dense(2, name="last")

    def call(self, x, y, training=None):
        hidden = ops.tanh(self.one(x)) * self.other(y)
        return {"hidden": hidden, "out": self.last(hidden if not training else 0 * hidden)}


class OneMapping(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one, self.other = layers.Dense(8, name="one"), layers.Dense(8, name="other")

    def call(self, inputs):
        return self.one(inputs["u"]) + self.other(inputs["v"])


class OwnWeight(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(8, name="dense")

    def build(self, shape):
        self.dense.build(shape)
        self.own = self.add_weight(shape=(8, 4), initializer="he_normal", name="own")

    def call(self, x):
        return ops.matmul(self.dense(x), ops.softplus(self.own))


class Residual(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one, self.two = layers.Dense(8, "relu", name="one"), layers.Dense(8, name="two")

    def call(self, x):
        return x + self.two(self.one(x))


def built(model, *inputs):
    model(*inputs)
    return model


def compiled():
    model = sequential(keras.Input((20,)), layers.Dense(16, "relu"), layers.Dense(3))
    model.compile("adam", "mse")
    model.fit(normal(32, 20), normal(32, 3), verbose=0)
    return model


def states():
    inputs = keras.Input((7, 5))
    _, *state = layers.LSTM(8, return_state=True, name="encoder")(inputs)
    return keras.Model(inputs, layers.LSTM(8, name="decoder")(inputs, initial_state=state))


def siamese():
    one, other, layer = keras.Input((8, 8, 3), name="one"), keras.Input((8, 8, 3), name="other"), layers.Conv2D(4, 3)
    return keras.Model([one, other], layers.Subtract()([layer(one), layer(other)]))


def conditioned():
    inputs = {"x": keras.Input((5,), name="x"), "t": keras.Input((), dtype="int32", name="t")}
    return keras.Model(inputs, layers.Dense(3)(inputs["x"]) + layers.Embedding(4, 3)(inputs["t"]))


def u_net():
    inputs = keras.Input((16, 16, 3))
    down = layers.Conv2D(8, 3, padding="same", activation="softplus")(inputs)
    low = layers.Conv2D(8, 3, padding="same", activation="swish")(layers.AveragePooling2D(2)(down))
    up = layers.UpSampling2D(interpolation="bilinear")(low)
    return keras.Model(inputs, layers.Conv2DTranspose(3, 3, padding="same")(layers.Concatenate()([up, down])))


def transformer():
    x = inputs = keras.Input((10, 8))
    for number in range(2):
        x = Block(8, 2, name=f"block{number}")(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def masked():
    inputs = keras.Input((16, 3))
    x = layers.Masking(0.0)(inputs)
    x = layers.MultiHeadAttention(2, 4)(x, x)
    return keras.Model(inputs, layers.LSTM(4)(x))


def rematerialized():
    with keras.RematScope("full"):
        return sequential(keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="tanh"), layers.Flatten())


def padded(*shape):
    array = normal(*shape)
    array[:, 12:] = 0
    return array


# name -> the model and its inputs
EVERYDAY = {
    "vectors": lambda: (sequential(keras.Input((20,)), layers.Dense(16, "relu"), layers.Dense(3)), normal(32, 20)),
    "compiled": lambda: (compiled(), normal(32, 20)),
    "lstm": lambda: (
        sequential(keras.Input((7, 5)), layers.LSTM(8, return_sequences=True), layers.LSTM(4)),
        normal(8, 7, 5),
    ),
    "recurrent": lambda: (
        sequential(
            keras.Input((7, 5)), layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.SimpleRNN(3)
        ),
        normal(8, 7, 5),
    ),
    "states": lambda: (states(), normal(8, 7, 5)),
    "volumes": lambda: (
        sequential(keras.Input((6, 6, 6, 2)), layers.Conv3D(4, 3), layers.MaxPooling3D(), layers.Flatten()),
        normal(4, 6, 6, 6, 2),
    ),
    "video": lambda: (sequential(keras.Input((3, 8, 8, 2)), layers.ConvLSTM2D(4, 3)), normal(4, 3, 8, 8, 2)),
    "sequences": lambda: (
        sequential(keras.Input((16, 4)), layers.Conv1D(8, 3, padding="causal"), layers.GlobalMaxPooling1D()),
        normal(8, 16, 4),
    ),
    "siamese": lambda: (siamese(), [normal(4, 8, 8, 3), normal(4, 8, 8, 3, seed=1)]),
    "conditioned": lambda: (conditioned(), {"x": normal(8, 5), "t": integers(4, 8)}),
    "u_net": lambda: (u_net(), normal(4, 16, 16, 3)),
    "transformer": lambda: (transformer(), normal(6, 10, 8)),
    "masked": lambda: (masked(), padded(6, 16, 3)),
    "two arguments": lambda: (
        built(TwoArguments(8), normal(16, 5), normal(16, 3, seed=1)),
        (normal(16, 5), normal(16, 3, seed=1)),
    ),
    "one mapping": lambda: (
        built(OneMapping(), {"u": normal(16, 5), "v": normal(16, 3)}),
        {"u": normal(16, 5), "v": normal(16, 3)},
    ),
    "own weight": lambda: (built(OwnWeight(), normal(16, 5)), normal(16, 5)),
    "nested subclasses": lambda: (
        keras.Model(x := keras.Input((8,)), Residual(name="two")(Residual(name="one")(x))),
        normal(16, 8),
    ),
    "time distributed": lambda: (
        sequential(
            keras.Input((3, 8, 8, 2)),
            layers.TimeDistributed(sequential(keras.Input((8, 8, 2)), layers.Conv2D(3, 3), layers.Flatten())),
        ),
        normal(6, 3, 8, 8, 2),
    ),
    "rematerialized": lambda: (rematerialized(), normal(4, 8, 8, 3)),
    "regularized": lambda: (
        sequential(keras.Input((20,)), layers.Dense(8, "tanh", activity_regularizer="l2", kernel_regularizer="l2")),
        normal(16, 20),
    ),
    "channels first": lambda: (
        sequential(keras.Input((3, 8, 8)), layers.Flatten("channels_first"), layers.Dense(4)),
        normal(4, 3, 8, 8),
    ),
}
