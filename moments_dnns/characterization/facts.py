"""What causes are made of: facts on the layers of a model that its moments do not tell.

They are gathered once, from the weights of the first realization, and kept in the provenance, so that `analysis` names
causes also where a result was saved and loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from moments_dnns import _keras_internals as internals
from moments_dnns.analysis.layer_facts import FACTS

from .forward import Forward
from .kernels import kernels_of
from .network import name_of_class
from .tracing import Place
from .weights import Weights, is_unseeded

# Normalizations whose epsilon is added to a variance of the channels of a batch.
NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)

# Fewer weights do not tell their variance.
FEWEST_WEIGHTS = 64


def layer_facts(forward: Forward, weights: Weights, values: Sequence[Any]) -> dict[str, Any]:
    """Return the facts on the measured layers of a model, by name, as JSON holds them.

    Args:
        forward: The pass through the model, which runs once.
        weights: Its variables, with their initializers.
        values: Their values in the first realization.

    Returns:
        `{"layer_facts": {layer: facts}}`, with the layers of which something is to be said; `analysis.layer_facts`
        has a table of the facts.
    """
    known = {id(variable): value for variable, value in zip(weights.variables, values, strict=True)}
    returned = forward.returned(values, [ops.convert_to_tensor(array) for array in forward.net.fed.arrays])
    facts, users = dict[str, dict[str, Any]](), dict[Any, str]()
    for place in forward.path.places:
        part, activation, zeros = place.part, _activation(place.part), _zero_factor(place.part, known)
        # Only where something follows from it: eager operations of all places would take as long as the pass.
        is_asked = activation == "relu" or zeros
        constant = _share_of_constant_channels(returned[place.call][place.output]) if is_asked else 0.0
        own = {
            **_of_kernels(place, weights, known, users),
            **_of_normalization(part, place.shape, forward.batch_statistics),
            "activation": activation,
            "silent": zeros if constant == 1 else "",
            "dead": constant if activation == "relu" else 0.0,
        }
        facts[place.name] = {name: value for name, value in own.items() if value}
    unknown = {name for each in facts.values() for name in each} - set(FACTS)
    if unknown:  # a fact that nobody reads
        raise KeyError(", ".join(sorted(unknown)))
    return {"layer_facts": {name: each for name, each in facts.items() if each}}


def _of_kernels(place: Place, weights: Weights, known: dict[int, Any], users: dict[Any, str]) -> dict[str, Any]:
    """Return the initializer of a layer's last kernel, its variance times fan-in, and what that should be.

    Args:
        place: The output of the layer.
        weights: The variables, with their initializers.
        known: The values of variables, by identity.
        users: The first layer that uses an initializer for a shape, to which this one is added.
    """
    facts: dict[str, Any] = {}
    for kernel in kernels_of(place.part):
        value = known.get(id(kernel.variable), kernel.variable.value)
        numbers = np.asarray(ops.convert_to_numpy(ops.cast(value, "float32")), np.float64)
        facts["kernel"] = kernel.variable.name
        facts["gain"] = float(np.mean(np.square(numbers)) * kernel.fan_in)
        _, initializer = weights.initializers.get(id(kernel.variable), (None, None))
        if isinstance(initializer, keras.initializers.VarianceScaling) and numbers.size >= FEWEST_WEIGHTS:
            facts["initializer"] = name_of_class(initializer)
            fans = {"fan_in": kernel.fan_in, "fan_out": kernel.fan_out}
            fan = fans.get(initializer.mode, (kernel.fan_in + kernel.fan_out) / 2)
            facts["expected_gain"] = float(initializer.scale * kernel.fan_in / fan)
        first = users.setdefault((id(initializer), tuple(kernel.variable.shape)), place.name)
        if is_unseeded(initializer) and first != place.name:
            facts["shared"] = first
    return facts


def _of_normalization(part: Any, shape: tuple[int, ...], batch_statistics: bool) -> dict[str, Any]:
    """Return the epsilon of a normalization, and over how many numbers it takes its statistics."""
    if not isinstance(part, NORMALIZATIONS):
        return {}
    axes = part.axis if isinstance(part.axis, list | tuple) else [part.axis]
    if isinstance(part, keras.layers.BatchNormalization):
        if not (batch_statistics and part.trainable):
            return {}
        return {"epsilon": float(part.epsilon), "points": int(np.prod(shape) // shape[part.axis])}
    if isinstance(part, keras.layers.LayerNormalization):
        return {"features": int(np.prod([shape[axis] for axis in axes]))}
    groups = shape[part.axis] if part.groups == -1 else part.groups
    return {"features": int(np.prod(shape[1:]) // groups)}


def _activation(part: Any) -> str:
    """Return the name of a layer's activation, `""` for none and for the identity."""
    function = part if isinstance(part, keras.layers.ReLU) else getattr(part, "activation", None)
    name = getattr(function, "__name__", "relu" if isinstance(part, keras.layers.ReLU) else "")
    return "" if name == "linear" else str(name)


def _zero_factor(part: Any, known: dict[int, Any]) -> str:
    """Return the name of a weight of zeros other than a bias, or `""`."""
    for variable in internals.own_variables(part):
        if variable.name in ("beta", "bias") or not variable.trainable:
            continue
        if not np.any(ops.convert_to_numpy(known.get(id(variable), variable.value))):
            return str(variable.name)
    return ""


def _share_of_constant_channels(output: Any) -> float:
    """Return the share of channels that are the same at all points of the batch."""
    numbers = ops.reshape(output, (-1, output.shape[-1]))
    constant = ops.all(numbers == numbers[:1], axis=0)
    return round(float(ops.mean(ops.cast(constant, "float32"))), 3)
