"""What holds for all tests: quiet libraries, no window, and nothing written outside tmp_path."""

import os

# All three are read when the libraries are imported, hence before any test module is.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["MPLBACKEND"] = "Agg"

import pytest
from hypothesis import settings

# Machines are shared, so that time says nothing; a verdict of CI must be repeatable.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def npy_folder(tmp_path, monkeypatch):
    """Send every experiment that a test saves to a folder of its own, and return that folder."""
    folder = tmp_path / "npy"
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(folder))
    return folder
