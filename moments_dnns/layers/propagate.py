"""Any Keras layer as a layer that maps states, by its exact derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from moments_dnns._keras_internals import layers_within
from moments_dnns._validation import boolean, cause, refusal

from .core import Rescaling
from .derivative import jvp
from .state import State, Tensor, register


def lift(function: Callable[..., Any], states: Sequence[State], name: str) -> list[State]:
    """Return the states after a function of tensors, by its derivative.

    Formula: `y = f(x)`, `dy = f'(x) dx`, with `f'(x) dx` summed over the inputs. The noises are brought to the largest
    of their scales first, so that they can be added; the noise of each output is divided by its root mean square.

    Args:
        function: Maps the true signals to a tensor, or to a structure of tensors.
        states: The states of its inputs.
        name: Its name in messages.

    Returns:
        The state of every output, in the order of the flattened structure, with `log_signal` 0.

    Raises:
        ValueError: If an output has no derivative.

    Example:

    >>> state = State(*(ops.convert_to_tensor(np.float32(x)) for x in ([[3.0]], [[1.0]], 0.0, 0.0)))
    >>> lifted = lift(ops.square, [state], "square")[0]
    >>> round(float(lifted.noise[0, 0] * ops.exp(lifted.log_noise / 2)), 4)
    6.0
    """
    log_noise = states[0].log_noise
    for state in states[1:]:
        log_noise = ops.maximum(log_noise, state.log_noise)
    signals = [_true_signal(state) for state in states]
    noises = [state.noise * ops.exp((state.log_noise - log_noise) / 2) for state in states]

    def flat(*inputs: Tensor) -> list[Tensor]:
        outputs = keras.tree.flatten(function(*inputs))
        dtypes = [keras.backend.standardize_dtype(output.dtype) for output in outputs]
        if not all(map(keras.backend.is_float_dtype, dtypes)):
            raise TypeError(f"an output of type {', '.join(dtypes)}")
        return [ops.cast(output, "float32") for output in outputs]

    try:
        outputs, tangents = jvp(flat, signals, noises)
    except Exception as error:
        raise ValueError(
            refusal(f"expected layers with a derivative, but {name!r} has none here ({cause(error)}).", layer=name)
        ) from error
    return [_rescaled(output, tangent, log_noise) for output, tangent in zip(outputs, tangents, strict=True)]


def _true_signal(state: State) -> Float[Tensor, "..."]:
    return state.signal * ops.exp(state.log_signal / 2)


def _rescaled(signal: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], log_noise: Float[Tensor, ""]) -> State:
    """Return the state of a true signal and a noise, which is divided by its root mean square."""
    noise, log_noise = Rescaling.rescaled(noise, log_noise)
    return State(signal, noise, ops.zeros_like(log_noise), log_noise)


def normalize_with_batch(layer: keras.layers.BatchNormalization, state: State) -> State:
    """Return the state after Keras' batch normalization, with the batch's own statistics, constant for the noise.

    Formula: `z = gamma (y - m) / sqrt(v + epsilon) + beta`, `dz = gamma dy / sqrt(v + epsilon)`, with mean m and
    variance v over all axes but the layer's.

    Args:
        layer: The layer, with its gamma, beta and epsilon.
        state: The state of its input.

    Returns:
        The state of its output.

    Example:

    >>> layer = keras.layers.BatchNormalization(epsilon=0.0)
    >>> layer.build((2, 1))
    >>> state = State(*(ops.convert_to_tensor(np.float32(x)) for x in ([[1.0], [5.0]], [[2.0], [2.0]], 0.0, 0.0)))
    >>> normalized = normalize_with_batch(layer, state)
    >>> np.round(ops.convert_to_numpy(normalized.signal), 4).ravel().tolist(), round(float(normalized.log_noise), 4)
    ([-1.0, 1.0], 0.0)

    Reference: equations 4 and 5, section 2 of arXiv 1811.03087.
    """
    signal = _true_signal(state)
    axis = layer.axis % len(signal.shape)
    axes = [i for i in range(len(signal.shape)) if i != axis]
    signal = signal - ops.mean(signal, axis=axes, keepdims=True)
    factor = ops.rsqrt(ops.mean(ops.square(signal), axis=axes, keepdims=True) + layer.epsilon)
    shape = [signal.shape[axis] if i == axis else 1 for i in range(len(signal.shape))]
    if layer.scale:
        factor = factor * ops.reshape(ops.cast(layer.gamma, "float32"), shape)
    noise, signal = state.noise * factor, signal * factor
    if layer.center:
        signal = signal + ops.reshape(ops.cast(layer.beta, "float32"), shape)
    return _rescaled(signal, noise, state.log_noise)


@register
class Propagate(keras.layers.Wrapper):
    """Apply any Keras layer to a state, so that it can be used among the layers of this library.

    Formula: `y = f(x)`, `dy = f'(x) dx`, exact by automatic differentiation; at a corner of the function, the
    derivative is the backend's (0 for a ReLU at 0). Dropout is off. The layer keeps its weights from call to call.

    Args:
        layer: The Keras layer.
        moving_statistics: Whether batch normalization uses the moving averages of mean and variance that training has
            stored. By default it uses those of the batch, as constants for the noise.

    Call arguments:
        states: A state; a list of states for a layer that takes a list.

    Returns:
        The state of the layer's output; a list of them where it has several.

    Raises:
        ValueError: If the layer has no derivative.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.ones((2, 8, 8, 3), "float32")
    >>> state = Propagate(keras.layers.Conv2D(4, 3, activation="tanh"))(InitialState()(images, images))
    >>> tuple(state.noise.shape)
    (2, 6, 6, 4)

    Reference: equation 3, section 2 of arXiv 1811.03087, for the noise as a tangent.
    """

    def __init__(self, layer: keras.layers.Layer, moving_statistics: bool = False, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.moving_statistics = boolean("moving_statistics", moving_statistics)

    def build(self, *shapes: Any, **named_shapes: Any) -> None:
        """Do nothing, unlike `Wrapper.build`: the wrapped layer builds itself when it is called."""

    def call(self, states: Any) -> Any:
        """Return the state, or the states, of the outputs."""
        several = isinstance(states[0], tuple | list)
        inputs = [State(*state) for state in states] if several else [State(*states)]

        def function(*signals: Tensor) -> Any:
            return self.layer(list(signals) if several else signals[0])

        outputs = propagate(self.layer, function, inputs, self.moving_statistics, self.layer.name)
        return outputs[0] if len(outputs) == 1 else outputs

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), "moving_statistics": self.moving_statistics}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Propagate:
        """Return the layer of a configuration; older ones have `statistics="batch"` or `"stored"`."""
        config = dict(config)
        if "statistics" in config:
            config["moving_statistics"] = config.pop("statistics") == "stored"
        layer: Propagate = super().from_config(config, custom_objects)
        return layer


def propagate(
    layer: Any, function: Callable[..., Any], states: Sequence[State], moving_statistics: bool, name: str
) -> list[State]:
    """Return the states after a call of a layer: by `lift`, but for batch normalization and interpolations.

    Args:
        layer: The layer, or the function of Keras that is called.
        function: The call, as a function of the true signals alone.
        states: The states of its inputs.
        moving_statistics: As in `Propagate`.
        name: The name of the layer in messages.

    Returns:
        The states of its outputs.

    Raises:
        ValueError: If the layer has no derivative, or hides a batch normalization that needs the batch's statistics.
    """
    if not moving_statistics and isinstance(layer, keras.layers.BatchNormalization):
        if not layer.built:
            # Keras saves this shape with the layer, and JAX has dimensions of its own where the batch size is open.
            layer.build([size if isinstance(size, int) else None for size in states[0].signal.shape])
        return [normalize_with_batch(layer, states[0])]
    if not moving_statistics and any(isinstance(part, keras.layers.BatchNormalization) for part in _parts(layer)):
        raise ValueError(
            refusal(
                f"expected batch normalization among the layers of models, but {name!r} holds one inside: make it a "
                "keras.Model, or take stored statistics (reinitialize=False).",
                layer=name,
            )
        )
    return lift(function, states, name)


def _parts(layer: Any) -> list[Any]:
    """Return all layers inside a layer; none inside a function."""
    return layers_within(layer) if isinstance(layer, keras.layers.Layer) else []
