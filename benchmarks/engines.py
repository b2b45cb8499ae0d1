"""What differs from backend to backend: how a function is compiled, the generator, and the device's name."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any


class TensorFlow:
    """TensorFlow: functions become graphs, normals come from a counter and a seed."""

    def __init__(self) -> None:
        import tensorflow

        self.tf = tensorflow

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of tensors as the backend compiles it."""
        return self.tf.function(function, autograph=False)

    def normals(self, number: int) -> Callable[[], Any]:
        """Return a function that draws so many normals in float32."""
        draw, seed = self.compiled(lambda seed: self.tf.random.stateless_normal((number,), seed)), [1, 2]
        return lambda: draw(self.tf.constant(seed))

    def device(self) -> str:
        """Return the name of the first accelerator, or else of the processor."""
        gpus = self.tf.config.list_physical_devices("GPU")
        details = self.tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
        return str(details.get("device_name", platform.processor()))


class Jax:
    """JAX: functions are compiled by XLA, normals come from a key."""

    def __init__(self) -> None:
        import jax

        self.jax = jax

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of tensors as the backend compiles it."""
        return self.jax.jit(function)

    def normals(self, number: int) -> Callable[[], Any]:
        """Return a function that draws so many normals in float32."""
        draw, key = self.compiled(lambda key: self.jax.random.normal(key, (number,))), self.jax.random.key(0)
        return lambda: draw(key)

    def device(self) -> str:
        """Return the name of the first device."""
        return str(self.jax.devices()[0].device_kind)


class Torch:
    """PyTorch: functions run as they are written."""

    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.on = "cuda" if torch.cuda.is_available() else "cpu"

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of tensors as it is."""
        return function

    def normals(self, number: int) -> Callable[[], Any]:
        """Return a function that draws so many normals in float32."""
        return lambda: self.torch.randn(number, device=self.on)

    def device(self) -> str:
        """Return the name of the first accelerator, or else of the processor."""
        return self.torch.cuda.get_device_name() if self.on == "cuda" else platform.processor()


def engine() -> TensorFlow | Jax | Torch:
    """Return the engine of Keras' backend."""
    import keras

    engines: dict[str, type[TensorFlow | Jax | Torch]] = {"tensorflow": TensorFlow, "jax": Jax, "torch": Torch}
    return engines[keras.backend.backend()]()
