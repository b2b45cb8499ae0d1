"""Keras models and their inputs from files, without running code that is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from moments_dnns._datasets import read_images
from moments_dnns._validation import cause, refusal

SUFFIX = ".keras"


def load_model(path: Path) -> keras.Model:
    """Return the model of a `.keras` file. Functions that are saved as code are refused.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or needs code to be run.
    """
    if not path.is_file():
        raise FileNotFoundError(refusal("expected an existing .keras file.", model=str(path)))
    if path.suffix != SUFFIX or not zipfile.is_zipfile(path):
        raise ValueError(refusal("expected a model that was saved as .keras.", model=str(path)))
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a file may hold anything
        raise ValueError(
            refusal(f"expected a model of layers that Keras knows, without code ({cause(error)}).", model=str(path))
        ) from error
    if not isinstance(model, keras.Model):
        raise ValueError(refusal("expected a model.", model=str(path), type=type(model).__name__))
    return model


def load_inputs(path: Path, batch: int) -> Any:
    """Return the first elements of the array of a file, or of several arrays by name.

    Args:
        path: A `.npy` file, or a `.npz` file. Where it has an array `images`, as data sets with labels do, that one.
        batch: How many elements are taken at most.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If NumPy cannot read it without pickle.
    """
    if path.is_file() and zipfile.is_zipfile(path):
        try:
            with np.load(path, allow_pickle=False) as loaded:
                if len(loaded.files) > 1:
                    arrays = {name: loaded[name][:batch] for name in loaded.files}
                    return arrays.get("images", arrays)
        except (ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                refusal(f"expected arrays that NumPy reads without pickle ({error}).", images=str(path))
            ) from error
    array = read_images(str(path))
    if not array.ndim:
        raise ValueError(refusal("expected an array with a batch axis.", images=str(path), shape=array.shape))
    return array[:batch]
