"""Keras' backend: which one, its devices, its precision. Importing this starts none."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ._validation import refusal

# TensorFlow and PyTorch have one setting for all threads, which thus take turns on an accelerator; on PyTorch anywhere,
# because forward derivatives belong to the whole process, and two threads would disturb each other's.
_TURN = threading.RLock()


def accelerators() -> list[str]:
    """Return the accelerators that Keras' backend sees.

    Example:

    >>> any(device.startswith("cpu") for device in accelerators())
    False
    """
    import keras

    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        device = str(keras.ops.zeros(()).device)
        return [] if device == "cpu" else [device]
    return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]


def uses_xla() -> bool:
    """Tell whether models are to be compiled by XLA: always with JAX, with TensorFlow on accelerators only.

    On a CPU, TensorFlow's graphs run at the machine's peak, which XLA misses by a wide margin there.
    """
    import keras

    return keras.backend.backend() == "jax" or (keras.backend.backend() == "tensorflow" and bool(accelerators()))


def product_precision(precision: str) -> AbstractContextManager[Any]:
    """Let products of matrices and convolutions keep all digits of float32, or use the TF32 of NVIDIA's tensor cores.

    TF32 rounds the factors to 10 bits and adds up in float32, at several times the speed. Without an accelerator
    nothing is set; on PyTorch, threads take turns within the context. What the backend was told before holds again
    afterwards.

    Args:
        precision: `"float32"` or `"tf32"`.

    Returns:
        Context within which that holds.

    Example:

    >>> with product_precision("float32"):
    ...     keras.ops.matmul(np.ones((1, 2)), np.ones((2, 1))).shape[0]
    1
    """
    import keras

    backend = keras.backend.backend()
    if not accelerators():
        return _TURN if backend == "torch" else nullcontext()
    return TOLD[backend](importlib.import_module(backend), precision == "tf32")


def _jax(jax: Any, tf32: bool) -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = jax.default_matmul_precision("tensorfloat32" if tf32 else "float32")
    return context


@contextmanager
def _tensorflow(tensorflow: Any, tf32: bool) -> Iterator[None]:
    config = tensorflow.config.experimental
    with _TURN:
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(tf32)
        try:
            yield
        finally:
            config.enable_tensor_float_32_execution(before)


@contextmanager
def _torch(torch: Any, tf32: bool) -> Iterator[None]:
    with _TURN, torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=tf32):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


TOLD: dict[str, Callable[[Any, bool], AbstractContextManager[Any]]] = {
    "jax": _jax,
    "tensorflow": _tensorflow,
    "torch": _torch,
}


def use_backend(backend: str) -> None:
    """Make Keras start on a backend, where it is not imported yet.

    Raises:
        RuntimeError: If it runs on another one.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
    # They are read when the first GPU is used, and leave what is not needed to other programs.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import keras

    if keras.backend.backend() != backend:
        raise RuntimeError(
            refusal(
                f"expected the coordinator's Keras backend {backend!r} on every worker.",
                backend=keras.backend.backend(),
            )
        )


def describe_device(backend: str, any_policy: bool = False) -> dict[str, Any]:
    """Return what the numbers depend on beside the description: backend, devices and precision.

    Args:
        backend: The backend that Keras is to run on.
        any_policy: Whether Keras' default policy may be any, as for layers that have policies of their own.

    Raises:
        ValueError: If Keras' default policy must be float32, and is not.
        RuntimeError: If Keras runs on another backend.
    """
    use_backend(backend)
    import keras

    if not any_policy and keras.config.dtype_policy().name != "float32":
        raise ValueError(
            refusal(
                "networks run in float32: expected Keras' default policy.",
                dtype_policy=keras.config.dtype_policy().name,
            )
        )
    # Keras lists no devices for PyTorch.
    devices = [str(keras.ops.zeros(()).device)] if backend == "torch" else keras.distribution.list_devices()
    return {"backend": backend, "devices": devices, "dtype": keras.config.floatx()}


def compiled(function: Callable[..., Any], within: bool = False) -> Callable[..., Any]:
    """Return a function of tensors as the backend compiles it: a graph, by XLA where models are.

    Args:
        function: The function.
        within: Whether it is called within another one that is compiled. TensorFlow then optimizes it by itself, once
            for all calls with the same shapes, which takes a fraction of the time.

    Example:

    >>> float(compiled(lambda x: x + 1)(keras.ops.ones(())))
    2.0
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        return importlib.import_module("jax").jit(function)
    if backend == "tensorflow":
        tensorflow = importlib.import_module("tensorflow")
        options = {"experimental_attributes": {"_noinline": True}} if within else {"jit_compile": uses_xla()}
        return tensorflow.function(function, autograph=False, **options)
    return function
