"""What the digits of a result depend on beside its description: backend, device, threads within an operation."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from ._backend import PRECISION_CONTEXTS, accelerators, devices, use_backend
from ._validation import refusal


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
    value = os.environ.get(THREADS.get(backend, ""), "")
    return int(value) if value.isdecimal() else 0


def worker_threads(backend: str) -> int:
    """Return the number of threads within an operation of a worker: one, unless the environment asks for more.

    One realization on each core is faster than one on all of them, and its digits do not depend on the machine.
    """
    return _chosen_threads(backend) or 1


def computes_as_workers() -> bool:
    """Return whether realizations have the same digits in this process as in a worker: the same number of threads.

    The backend is started to know it only where it may be so.
    """
    if "keras" not in sys.modules and num_cores() > 1 and not any(map(_chosen_threads, THREADS)):
        return False
    import keras

    backend = keras.backend.backend()
    return backend in THREADS and num_threads() in (None, worker_threads(backend))


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
        "devices": devices(),
        "dtype": keras.config.floatx(),
        "threads": num_threads(),
        **drawn,
    }
