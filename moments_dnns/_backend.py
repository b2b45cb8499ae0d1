"""Keras' backend: its choice, its devices, its precision. Importing this module starts no backend."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ._validation import refusal

# Held while a network computes. TensorFlow and PyTorch have one precision for all threads, so that threads take turns
# on an accelerator. On PyTorch they take turns on a CPU too: its forward derivatives belong to the whole process.
_LOCK = threading.RLock()


def accelerators() -> list[str]:
    """Return the names of the accelerators that Keras' backend sees, such as `"gpu:0"`.

    Example:

    >>> any(device.startswith("cpu") for device in accelerators())
    False
    """
    return [device for device in devices() if not device.startswith("cpu")]


def devices() -> list[str]:
    """Return the names of all devices that Keras' backend sees."""
    import keras

    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        return [str(keras.ops.zeros(()).device)]
    devices: list[str] = keras.distribution.list_devices()
    return devices


def uses_xla() -> bool:
    """Return whether models are to be compiled by XLA: always with JAX, with TensorFlow on accelerators only.

    On a CPU, TensorFlow's graphs run at the machine's peak, which XLA misses by a wide margin there.
    """
    import keras

    return keras.backend.backend() == "jax" or (keras.backend.backend() == "tensorflow" and bool(accelerators()))


def product_precision(precision: str) -> AbstractContextManager[Any]:
    """Return a context in which products of matrices and convolutions have a precision.

    TF32, the format of NVIDIA's tensor cores, rounds the factors to 10 bits and adds up in float32, at several times
    the speed. Without an accelerator nothing is set; on PyTorch, threads take turns within the context. The backend's
    own setting is restored at the end.

    Args:
        precision: `"float32"`, which keeps all digits, or `"tf32"`.

    Returns:
        The context.

    Example:

    >>> import keras
    >>> with product_precision("float32"):
    ...     keras.ops.matmul(np.ones((1, 2)), np.ones((2, 1))).shape[0]
    1
    """
    import keras

    backend = keras.backend.backend()
    if not accelerators():
        return _LOCK if backend == "torch" else nullcontext()
    return PRECISION_CONTEXTS[backend](importlib.import_module(backend), precision == "tf32")


def _jax(jax: Any, tf32: bool) -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = jax.default_matmul_precision("tensorfloat32" if tf32 else "float32")
    return context


@contextmanager
def _tensorflow(tensorflow: Any, tf32: bool) -> Iterator[None]:
    config = tensorflow.config.experimental
    with _LOCK:
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(tf32)
        try:
            yield
        finally:
            config.enable_tensor_float_32_execution(before)


@contextmanager
def _torch(torch: Any, tf32: bool) -> Iterator[None]:
    with _LOCK, torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=tf32):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


@contextmanager
def few_optimizations() -> Iterator[None]:
    """Let TensorFlow leave shared functions of a graph as they are, in functions that are called within a context.

    Its optimizer would make one of each call of a shared function, which takes longer than all the rest of a first call
    and changes no number. A user's own options come back at the end.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    optimizer = importlib.import_module("tensorflow").config.optimizer
    name = "function_optimization"
    with _LOCK:
        before = optimizer.get_experimental_options().get(name)
        optimizer.set_experimental_options({name: False})
        try:
            yield
        finally:
            optimizer.set_experimental_options({name: before})


# For each backend, a function of its library and of whether to use TF32.
PRECISION_CONTEXTS: dict[str, Callable[[Any, bool], AbstractContextManager[Any]]] = {
    "jax": _jax,
    "tensorflow": _tensorflow,
    "torch": _torch,
}


def check_installed() -> None:
    """Refuse to start Keras on a backend that is not installed; Keras itself would name a missing module only.

    Raises:
        ModuleNotFoundError: If Keras is not running yet, and the backend that it would start is not installed.
    """
    if "keras" in sys.modules:
        return
    chosen = chosen_backend()
    installed = [backend for backend in PRECISION_CONTEXTS if importlib.util.find_spec(backend)]
    if chosen in installed or chosen not in PRECISION_CONTEXTS:  # Keras knows other names, and refuses wrong ones
        return
    choices = " or ".join(f"KERAS_BACKEND={backend}" for backend in installed)
    instead = f", or set {choices}, which is installed" if installed else ""
    raise ModuleNotFoundError(
        refusal(
            f"Keras needs its backend: pip install 'moments_dnns[{chosen}]'{instead}.",
            KERAS_BACKEND=os.environ.get("KERAS_BACKEND"),
        ),
        name=chosen,
    )


def _configured() -> str:
    """Return the backend in Keras' own configuration file, which the environment variable overrides."""
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((folder / "keras.json").read_text())["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def use_backend(backend: str) -> None:
    """Start Keras on a backend, or check that it runs on that one if it is imported already.

    Args:
        backend: `"tensorflow"`, `"jax"` or `"torch"`.

    Raises:
        RuntimeError: If Keras runs on another one.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
    # TensorFlow and JAX take all of a GPU's memory otherwise. The variables are read when the first GPU is used.
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


@contextmanager
def without_greetings() -> Iterator[None]:
    """Hold back what is written to the file descriptor of standard error, and write it if there is an error after all.

    While it is imported, TensorFlow greets whatever its log level is. Python's own `sys.stderr` is not enough to stop
    it. Where the user asked for all its messages (`TF_CPP_MIN_LOG_LEVEL=0`), nothing is held back.

    Example:

    >>> with without_greetings():
    ...     _ = os.write(2, b"Hello")
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def chosen_backend() -> str:
    """Return the backend on which Keras runs, or would if it started now, without starting it."""
    keras = sys.modules.get("keras")
    return str(keras.backend.backend()) if keras else os.environ.get("KERAS_BACKEND") or _configured()


def compiled(function: Callable[..., Any], within: bool = False) -> Callable[..., Any]:
    """Return a function of tensors as the backend compiles it: a graph, by XLA where models are.

    Args:
        function: The function.
        within: Whether it is called within another one that is compiled. TensorFlow then optimizes it by itself, once
            for all calls with the same shapes, which takes a fraction of the time.

    Example:

    >>> import keras
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
