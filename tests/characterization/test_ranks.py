"""Where effective ranks of a model are taken, and what comes of those that are not."""

import importlib

import keras
import numpy as np
import pytest
from keras import layers, ops

from moments_dnns import characterize, diagnose, layer_summary, plot_layers
from moments_dnns._backend import few_optimizations
from moments_dnns.characterization.ranks import is_activation

backend = pytest.mark.backend


def model():
    inputs = keras.Input((8, 8, 3), name="x")
    x = layers.Conv2D(6, 3, activation="relu", name="bent")(inputs)
    x = layers.Conv2D(6, 3, name="linear")(x)
    x = layers.BatchNormalization(name="bn")(x)
    return keras.Model(inputs, layers.Dense(3, name="last")(ops.tanh(x)), name="net")


def images():
    return np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype("float32")


def ranked(moments):
    return [str(name) for name, rank in zip(moments["layer"], moments["reff_noise"][0], strict=True) if rank > 0]


@backend
def test_ranks_are_taken_behind_activations_and_are_those_of_all():
    some, every = (characterize(model(), images(), ranks=ranks) for ranks in ("activations", "*"))
    assert ranked(some) == ["bent", "tanh"]
    assert ranked(every) == ["x", "bent", "linear", "bn", "tanh", "last"]
    for name in some.experiment.array_names:
        taken = some.experiment.is_taken(name)
        np.testing.assert_allclose(some[name][:, taken], every[name][:, taken], rtol=1e-5, err_msg=name)
        assert np.isnan(some[name][:, ~taken]).all(), name


def test_patterns_choose():
    assert ranked(characterize(model(), images(), ranks=["lin*", "x"])) == ["x", "linear"]
    with pytest.raises(ValueError, match=r"expected 'activations', or patterns of .* Received: ranks=\['relu'\]"):
        characterize(model(), images(), ranks=["bn", "relu"])
    with pytest.raises(TypeError, match="ranks must be a pattern of names, or several. Received: ranks=True"):
        characterize(model(), images(), ranks=True)


def test_what_is_not_taken_is_no_problem_to_anybody():
    """Warnings are errors: neither the run nor the figure warns of what was not asked for."""
    moments = characterize(model(), images(), num_realizations=4)
    assert layer_summary(moments).count(" -") >= 1
    assert diagnose(moments).rank is not None
    lines = plot_layers(moments).axes[-1].lines
    drawn = [np.flatnonzero(np.isfinite(line.get_ydata())) + 1 for line in lines if len(line.get_ydata()) == 6]
    # From the first of the two activations to the second, over the layers between them.
    assert [points.tolist() for points in drawn] == [[2, 3, 4, 5]] * 2
    nowhere = characterize(model(), images(), layers="linear")
    assert ranked(nowhere) == []
    assert diagnose(nowhere).rank is None
    assert len(plot_layers(nowhere).axes) == 4


def test_ranks_belong_to_what_is_saved():
    before = characterize(model(), images(), name_experiment="net", ranks="*")
    with pytest.raises(FileExistsError, match=r"layers with effective ranks \('6 of them' and '2 of them'\)"):
        characterize(model(), images(), name_experiment="net")
    more = characterize(model(), images(), num_realizations=2, name_experiment="net", ranks="*")
    np.testing.assert_array_equal(more["chi"][:1], before["chi"])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (layers.Activation("gelu"), True),
        (layers.LeakyReLU(), True),
        (layers.Dense(2, "swish"), True),
        (layers.Dense(2), False),
        (layers.Activation("linear"), False),
        (layers.BatchNormalization(), False),
        (None, False),
    ],
)
def test_activations(part, expected):
    assert is_activation(part) is expected


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's optimizer")
def test_tensorflow_s_options_come_back():
    optimizer = importlib.import_module("tensorflow").config.optimizer
    before = optimizer.get_experimental_options()
    with few_optimizations():
        assert optimizer.get_experimental_options() == {**before, "function_optimization": False}
    assert optimizer.get_experimental_options() == before
    optimizer.set_experimental_options({"function_optimization": True})
    with few_optimizations():
        pass
    assert optimizer.get_experimental_options() == {**before, "function_optimization": True}
    optimizer.set_experimental_options({"function_optimization": before.get("function_optimization")})
