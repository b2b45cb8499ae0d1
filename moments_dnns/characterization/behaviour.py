"""What a user should know of how a model is measured: layers that training would run in another way."""

from __future__ import annotations

import dis
from typing import Any

import keras

from moments_dnns import _keras_internals as internals
from moments_dnns._validation import warn

from .tracing import Trace

# What is documented: dropout is off, and batch normalization has a convention of its own. Or the same in training.
KNOWN = (
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
    keras.layers.Resizing,
    keras.layers.CenterCrop,
)

# Of so few points, statistics of the batch say little of the layer.
FEW_POINTS = 8


def tell_of_behaviour(traced: Trace) -> None:
    """Warn of layers that are measured in another way than a user may expect, by name."""
    called = {id(place.part): place.name for place in traced.places}
    parts = [part for part in traced.net.parts if id(part) in called]
    cases = {
        "layers that may behave in another way in training are measured as in inference": [
            called[id(part)] for part in parts if _differs_in_training(part)
        ],
        "rounding has no derivative, the noise of quantized layers is that of scales": [
            called[id(part)] for part in parts if getattr(part, "quantization_mode", None)
        ],
        "take more or larger inputs, batch normalization takes statistics over few points": [
            f"{name} ({points})" for name, points in traced.points.items() if points < FEW_POINTS
        ],
        "numbers without any axis have no channels and are not measured": traced.scalars,
        "layers that are called in loops and branches of tensors are part of the output, and not measured one by one": (
            traced.hidden
        ),
    }
    for message, names in cases.items():
        if names:
            warn(f"{message}: {', '.join(names)}")


def _differs_in_training(part: Any) -> bool:
    if isinstance(part, KNOWN) or not internals.takes_training(part):
        return False
    if isinstance(part, keras.layers.SpectralNormalization):
        return True
    if internals.sublayers(part) or internals.operations(part):  # which it may only tell of training
        return False
    function = part.function if isinstance(part, keras.layers.Lambda) else type(part).call
    code = getattr(function, "__code__", None)
    return code is not None and any(each.argval == "training" for each in dis.get_instructions(code))
