"""The networks of `trainability`: fully connected, of many kinds and depths, as values and as Keras models."""

from __future__ import annotations

from typing import Any

import attrs
import keras

SIDE = 16  # pixels, of the grey images

HE = 2.0  # variance of weights times fan_in; in layers of one width it is 1 for Glorot and LeCun

EPSILON = 1e-3  # of normalizations

# Inputs to outputs of a unit, by the kind of network: d is the dense layer, n the normalization, a the activation, s
# the factor of branches. The first dense layer of a residual network brings the images to its width.
KINDS = {
    "plain": "a(n(d(x)))",
    "pre": "x + s d(a(n(x)))",
    "post": "a(x + s n(d(x)))",
    "trunk": "n(x + s a(d(x)))",
}


@attrs.frozen
class Network:
    """A fully connected network: units of a dense layer, a normalization and an activation.

    Args:
        depth: Number of units.
        kind: What a unit computes, one of `KINDS`.
        activation: Name of a Keras activation.
        normalization: `"batch"`, `"layer"` or `""`, without scale and shift.
        gain: Variance of the weights times fan_in.
        bias: Variance of the biases.
        scale: Factor of every branch.
        learned: Whether the factor is learned.
        width: Channels of every layer.
        batch: Images in a batch.

    Example:

    >>> Network(20, normalization="batch", gain=1.0).name
    'depth 20, normalization batch, gain 1'
    """

    depth: int
    kind: str = "plain"
    activation: str = "relu"
    normalization: str = ""
    gain: float = HE
    bias: float = 0.0
    scale: float = 1.0
    learned: bool = False
    width: int = 64
    batch: int = 64

    @property
    def name(self) -> str:
        """The depth, and what differs from the defaults."""
        changed = (field.name for field in attrs.fields(Network) if getattr(self, field.name) != field.default)
        return ", ".join(f"{name} {_word(getattr(self, name))}" for name in changed)

    @property
    def num_deep(self) -> int:
        """The number of dense layers behind the first."""
        return self.depth - (self.kind == "plain")


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _deep(*depths: int, **options: Any) -> list[Network]:
    return [Network(depth, **options) for depth in depths]


BATCH, LAYER = {"normalization": "batch"}, {"normalization": "layer"}

FAMILIES: dict[str, list[Network]] = {
    "batch norm": [
        *_deep(4, 10, 20, 30, 40, 50, 100, **BATCH),
        *_deep(4, 8, 14, 20, batch=8, **BATCH),
        *_deep(15, 40, width=32, **BATCH),
        *_deep(15, 40, width=128, **BATCH),
        *_deep(20, 50, activation="tanh", **BATCH),
        *_deep(20, 50, activation="gelu", **BATCH),
        *_deep(50, 100, activation="linear", **BATCH),
    ],
    "layer norm": _deep(10, 30, 80, **LAYER),
    "vanilla": [
        *_deep(4, 10, 20, 50, 100, 200),
        *_deep(10, 50, gain=1.0),
    ],
    "ordered": [
        *_deep(5, 10, 20, 40, gain=1.0, bias=1.0),
        *_deep(2, 4, 8, 20, gain=1.0, activation="sigmoid"),
        *_deep(5, 10, 20, 40, gain=0.8, bias=0.2, activation="tanh"),
    ],
    "tanh": [
        *_deep(20, 60, gain=1.0, activation="tanh"),
        *_deep(4, 8, 16, 30, gain=4.0, activation="tanh"),
        *_deep(3, 6, 12, 20, gain=16.0, activation="tanh"),
    ],
    "residual": [
        *_deep(20, 50, 100, kind="pre", **BATCH),
        *_deep(20, 50, kind="pre"),
        *_deep(30, 80, kind="pre", scale=0.1),
        *_deep(30, 80, kind="pre", scale=0.0, learned=True),
        *_deep(40, kind="pre", **LAYER),
        *_deep(20, 50, kind="post", **BATCH),
        *_deep(10, 30, 60, kind="trunk", **BATCH),
    ],
}

NETWORKS = [network for family in FAMILIES.values() for network in family]


class Factor(keras.layers.Layer):
    """Multiplies by a number that is learned."""

    def __init__(self, initial: float, **options: Any) -> None:
        super().__init__(**options)
        self.initial = initial

    def build(self, shape: Any) -> None:
        """Make the number."""
        initializer = keras.initializers.Constant(self.initial)
        self.factor = self.add_weight(shape=(), initializer=initializer, name="factor")

    def call(self, x: Any) -> Any:
        """Return the product."""
        return x * self.factor


def keras_model(network: Network) -> keras.Model:
    """Return a network as a Keras model, without a last layer; the output of unit k is that of the layer `unit<k>`.

    Example:

    >>> model = keras_model(Network(2))
    >>> model.output_shape, model.count_params()
    ((None, 64), 20608)
    """
    layers = keras.layers
    normalizations = {"batch": layers.BatchNormalization, "layer": layers.LayerNormalization}

    def d(x: Any) -> Any:
        kernel = keras.initializers.VarianceScaling(network.gain, "fan_in", "untruncated_normal")
        bias = keras.initializers.RandomNormal(0, network.bias**0.5) if network.bias else "zeros"
        return layers.Dense(network.width, kernel_initializer=kernel, bias_initializer=bias)(x)

    def n(x: Any, **options: Any) -> Any:
        if not network.normalization:
            return x
        return normalizations[network.normalization](epsilon=EPSILON, center=False, scale=False, **options)(x)

    def a(x: Any, **options: Any) -> Any:
        return layers.Activation(network.activation, **options)(x)

    def s(x: Any) -> Any:
        return Factor(network.scale)(x) if network.learned else layers.Rescaling(network.scale)(x)

    units = {
        "plain": lambda x, name: a(n(d(x)), name=name),
        "pre": lambda x, name: layers.Add(name=name)([x, s(d(a(n(x))))]),
        "post": lambda x, name: a(layers.Add()([x, s(n(d(x)))]), name=name),
        "trunk": lambda x, name: n(layers.Add()([x, s(a(d(x)))]), name=name),
    }
    inputs = keras.Input((SIDE**2,), name="input")
    x = inputs if network.kind == "plain" else d(inputs)
    for number in range(network.depth):
        x = units[network.kind](x, f"unit{number}")
    return keras.Model(inputs, x)
