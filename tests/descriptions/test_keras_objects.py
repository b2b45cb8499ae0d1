"""Activations and initializers as text: there and back, canonical, and the same names as Keras has."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from keras import ops

from moments_dnns import Experiment
from moments_dnns.descriptions.keras_objects import (
    ACTIVATIONS,
    INITIALIZERS,
    is_local,
    resolve,
    specification,
    specified,
)
from moments_dnns.layers.weights import DeltaOrthogonal

ROOT = Path(__file__).parents[2]


def module_level(x):
    return ops.square(x)


def test_names_are_those_of_keras():
    from keras.src import activations, initializers

    # glu halves the channels; the base class, and windows of Fourier transforms, draw no kernels.
    assert set(ACTIVATIONS) == set(activations.ALL_OBJECTS_DICT) - {"glu"}
    known = {name for name in initializers.ALL_OBJECTS_DICT if name.islower()} - {"initializer", "stft"}
    assert set(INITIALIZERS) == known | {"gaussian", "delta_orthogonal"}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("activation", "tanh", "tanh"),
        ("activation", keras.activations.gelu, "gelu"),
        ("activation", module_level, f"{__name__}:module_level"),
        (
            "activation",
            keras.layers.LeakyReLU(0.25, name="any"),
            '{"class_name":"LeakyReLU","config":{"negative_slope":0.25},"module":"keras.layers","registered_name":null}',
        ),
        (
            "kernel_initializer",
            keras.initializers.Orthogonal(1.5, seed=3),
            '{"class_name":"Orthogonal","config":{"gain":1.5},"module":"keras.initializers","registered_name":null}',
        ),
    ],
)
def test_there_and_back(kind, value, text):
    assert specification(kind, value) == text == specification(kind, text)
    found = resolve(kind, text)
    if hasattr(value, "get_config"):
        assert type(found) is type(value)
        assert specification(kind, found) == text
    elif callable(value):
        assert found is value


def test_json_is_canonical():
    text = specification("kernel_initializer", DeltaOrthogonal(2.0))
    shuffled = json.dumps(dict(reversed(json.loads(text).items())), indent=1)
    assert specified("kernel_initializer")("kernel_initializer", shuffled) == text
    assert resolve("kernel_initializer", text).gain == 2.0


def scaled(scale):
    return lambda x: ops.sin(scale * x)


def test_functions_of_this_process_are_told_apart_by_what_they_compute():
    one, same, other = (specification("activation", scaled(scale)) for scale in (1.0, 1.0, 2.0))
    assert one == same != other
    assert is_local(one)
    assert not is_local("relu")
    assert specification("activation", lambda x: ops.sin(x)) != specification("activation", lambda x: ops.cos(x))
    assert float(resolve("activation", other)(0.25)) == pytest.approx(0.479426)


def test_a_description_of_a_function_outlives_its_process():
    experiment = Experiment("vanilla", 2, 1, 4, 4, 1, num_computations=1, activation="mine-0123456789ab")
    assert Experiment.from_json(experiment.to_json()) == experiment
    with pytest.raises(ValueError, match="not known in this process"):
        resolve("activation", experiment.activation)


def test_wrong_names_are_refused_before_a_backend_starts():
    code = """
import sys
from moments_dnns import run_experiment
for bad in ({"activation": "rel"}, {"kernel_initializer": "he"}, {"statistics": "none"}, {"bias_variance": -1}):
    try:
        run_experiment("bn_ff", 4, 1, 8, 4, 2, dataset="photo", num_computations=2, **bad)
    except ValueError as error:
        print(str(error).rpartition("Received: ")[2], "keras" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "activation='rel' False",
        "kernel_initializer='he' False",
        "statistics='none' False",
        "bias_variance=-1 False",
    ]
