"""What holds for all tests and examples: quiet libraries, no window, and nothing written outside tmp_path."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import Any

from moments_dnns._device import THREADS

# What is imported stays: looking for garbage among it takes a third of the time that it takes to collect the tests.
gc.disable()

# They are read when the libraries are imported, hence before any test module is.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["MPLBACKEND"] = "Agg"
# Where operations use one thread, one worker is this process: tests may look into it, and start no others.
os.environ.setdefault("MOMENTS_DNNS_WORKERS", "1")
for variable in THREADS.values():
    os.environ.setdefault(variable, "1")
# JAX compiles nearly everything once here: optimizing that takes longer than it saves. Numbers are those of the same
# operations, and `tests/support/known_arrays` are compared with what was compiled in full.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Tests run side by side: threads of NumPy would wait for each other, ten times as long as they work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import keras
import numpy as np
import pytest
from hypothesis import settings

from tests.support.shapes import check_shapes

# A shell starts what runs in its background without Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before any module with annotated tensors is imported.
check_shapes()

# Machines are shared, so that time says nothing; a verdict of CI must be repeatable.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


def pytest_collection_finish() -> None:
    """Look for garbage again."""
    gc.enable()


@pytest.fixture(autouse=True)
def npy_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Send every experiment that a test saves to a folder of its own, and return that folder."""
    folder = tmp_path / "npy"
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(folder))
    return folder


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Start every test from the same seeds: weights of models that have none of their own are the same in each run."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def names_of_examples(doctest_namespace: dict[str, Any]) -> None:
    """Let examples in docstrings use NumPy under its usual name."""
    doctest_namespace["np"] = np
