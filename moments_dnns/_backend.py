"""Keras' backend: its choice, its devices, its precision. Importing this module starts no backend."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
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
    return [device for device in _devices() if not device.startswith("cpu")]


def _devices() -> list[str]:
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


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# The variables that the backends read when they start: how many threads an operation on a CPU is split over.
THREADS = {"tensorflow": "TF_NUM_INTRAOP_THREADS", "jax": "PJRT_NPROC", "torch": "OMP_NUM_THREADS"}


def num_threads() -> int | None:
    """Return over how many threads Keras' backend splits the sums of an operation on a CPU: they decide last digits.

    On accelerators it is None.
    """
    import keras

    if accelerators():
        return None
    backend = keras.backend.backend()
    if backend == "torch":
        return int(importlib.import_module("torch").get_num_threads())
    if backend == "tensorflow":
        threading_options = importlib.import_module("tensorflow").config.threading
        if chosen := int(threading_options.get_intra_op_parallelism_threads()):
            return chosen
    return _chosen_threads(backend) or num_cores()


def _chosen_threads(backend: str) -> int:
    """Return the number of threads that the environment asks for, or 0."""
    value = os.environ.get(THREADS[backend], "")
    return int(value) if value.isdecimal() else 0


def worker_threads() -> dict[str, str]:
    """Return the environment of a worker: one thread within an operation, unless this process asks for more.

    One realization on each core is faster than one on all of them, and its digits do not depend on the machine.

    Example:

    >>> sorted(worker_threads())
    ['OMP_NUM_THREADS', 'PJRT_NPROC', 'TF_NUM_INTRAOP_THREADS']
    """
    return {variable: str(_chosen_threads(backend) or 1) for backend, variable in THREADS.items()}


def chosen_backend() -> str:
    """Return the backend on which Keras runs, or would if it started now, without starting it."""
    keras = sys.modules.get("keras")
    return str(keras.backend.backend()) if keras else os.environ.get("KERAS_BACKEND") or _configured()


def computes_as_workers() -> bool:
    """Return whether realizations have the same digits in this process as in a worker: the same number of threads.

    The backend is started to know it only where it may be so.
    """
    if "keras" not in sys.modules and num_cores() > 1 and not any(map(_chosen_threads, THREADS)):
        return False
    import keras

    backend = keras.backend.backend()
    return backend in THREADS and num_threads() in (None, int(worker_threads()[THREADS[backend]]))


def check_threads(threads: int | None) -> None:
    """Refuse another number of threads than that of the first worker.

    Raises:
        RuntimeError: If operations are split over another number of threads here.
    """
    if (here := num_threads()) != threads:
        raise RuntimeError(
            refusal(
                f"the last digits depend on the threads within an operation: expected {threads} on every worker "
                f"({', '.join(THREADS.values())}).",
                threads=here,
            )
        )


# How networks draw normal numbers, by backend; see `layers.weights.gaussian`.
BOX_MULLER = "Box and Muller"
NORMALS = {"jax": "inverse error function"}


def describe_device(backend: str, any_policy: bool = False) -> dict[str, Any]:
    """Return what the numbers of a result depend on beside its description.

    These are `backend`, `devices`, `dtype` and `threads`, and `normals`, of networks that draw their own.

    Args:
        backend: The backend that Keras is to run on.
        any_policy: Whether Keras' default policy may be any, and initializers draw, as for a model with layers of its
            own.

    Raises:
        ValueError: If networks cannot run on the backend, or Keras' default policy must be float32 and is not.
        RuntimeError: If Keras runs on another backend.
    """
    if backend not in PRECISION_CONTEXTS:
        raise ValueError(
            refusal(
                f"KERAS_BACKEND must be {', '.join(sorted(PRECISION_CONTEXTS))}: others compute no derivatives.",
                backend=backend,
            )
        )
    use_backend(backend)
    import keras

    if not any_policy and keras.config.dtype_policy().name != "float32":
        raise ValueError(
            refusal(
                "networks run in float32: expected Keras' default policy.",
                dtype_policy=keras.config.dtype_policy().name,
            )
        )
    drawn = {} if any_policy else {"normals": NORMALS.get(backend, BOX_MULLER)}
    return {
        "backend": backend,
        "devices": _devices(),
        "dtype": keras.config.floatx(),
        "threads": num_threads(),
        **drawn,
    }


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
