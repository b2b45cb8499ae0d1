"""What a user should know of how a model is measured: layers that training would run in another way."""

from __future__ import annotations

import dis
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from moments_dnns import _keras_internals as internals
from moments_dnns._validation import warn

from .route import Route
from .tracing import Trace

# What is documented: dropout is off, and batch normalization has a convention of its own.
KNOWN = (
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
)

# Of so few points, statistics of the batch say little of the layer.
FEW_POINTS = 8


def tell_of_behaviour(parts: Sequence[Any], traced: Trace, path: Route, batch_statistics: bool) -> None:
    """Warn of layers that are measured in another way than a user may expect, by name."""
    places = {place.name: place for place in traced.places}
    called = {id(place.part): name for name, place in places.items()}
    differing = [called[id(part)] for part in parts if id(part) in called and _differs_in_training(part)]
    if differing:
        warn(f"layers that may behave in another way in training are measured as in inference: {', '.join(differing)}")
    rounded = [called[id(part)] for part in parts if id(part) in called and getattr(part, "quantization_mode", None)]
    if rounded:
        warn(f"rounding has no derivative, the noise of quantized layers is that of scales: {', '.join(rounded)}")
    few = [
        f"{name} ({points})"
        for name, place in places.items()
        if batch_statistics and isinstance(place.part, keras.layers.BatchNormalization) and place.part.trainable
        if (points := int(np.prod(place.shape)) // place.shape[place.part.axis]) < FEW_POINTS
    ]
    if few:
        warn(f"batch normalization takes statistics over few points: {', '.join(few)}; take more or larger inputs")
    if traced.scalars:
        warn(f"numbers without any axis have no channels and are not measured: {', '.join(traced.scalars)}")


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
