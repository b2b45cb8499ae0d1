"""Backbones of keras_hub, where that is installed: the last layer against the model and against finite differences."""

import warnings

import keras
import pytest

from scripts import models

pytest.importorskip("keras_hub", exc_type=ImportError)

# One of each kind: an encoder and a decoder of text, and a vision transformer; `python -m scripts.models` tries more.
CHOSEN = ("Bert", "Llama", "ViT")


@pytest.mark.parametrize("name", CHOSEN)
def test_the_last_layer_agrees_with_the_backbone_and_with_finite_differences(name):
    make = dict(models.backbones())[f"keras_hub {name}"]
    keras.config.set_floatx("float64")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's
            tried = models.tried(name, make)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    # Two blocks of attention and a feed-forward part, each opened.
    assert tried.rows > 20
    # Moments are taken in float32, and so are some steps within these models, which leaves differences three digits.
    assert abs(tried.signal) < 1e-5
    assert abs(tried.noise) < 1e-2
    assert not tried.place
