"""Everyday models: the last layer is the model's own output, its noise a finite difference, and nothing is changed."""

import functools
import gc
import os
import random
import signal
import threading
import time
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns.characterization.run import characterize as characterize_verbosely
from tests.support.models import EVERYDAY, Block, built, integers, normal, sequential

layers = keras.layers
characterize = functools.partial(characterize_verbosely, verbose=False)
backend = pytest.mark.backend
ON_EVERY_BACKEND = ("vectors", "lstm", "siamese", "transformer", "two arguments")


def numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor)).astype(float)


def noise_of(inputs):
    """A noise for every floating-point input, by its place; none where zeros are masked."""
    flat = keras.tree.flatten(inputs)
    return [
        normal(*array.shape, seed=100 + place) * (array != 0) if array.dtype.kind == "f" else np.zeros_like(array)
        for place, array in enumerate(flat)
    ]


def output(model, inputs, noises, step):
    """The last output of a model for inputs that are a step away along a noise."""
    flat = [
        array + (step * noise).astype(array.dtype)
        for array, noise in zip(keras.tree.flatten(inputs), noises, strict=True)
    ]
    moved = keras.tree.pack_sequence_as(inputs, flat)
    return numpy(keras.tree.flatten(model(*moved) if isinstance(moved, tuple) else model(moved))[-1])


def snapshot(model):
    """All that must stay as it was: values of variables and attributes of layers."""
    return [numpy(variable) for variable in model.variables], [
        {**vars(layer), "nodes": len(layer._inbound_nodes)} for layer in model._flatten_layers()
    ]


def assert_unchanged(model, before):
    values, attributes = before
    for value, variable in zip(values, model.variables, strict=True):
        np.testing.assert_array_equal(value, numpy(variable))
    for then, layer in zip(attributes, model._flatten_layers(), strict=True):
        now = {**vars(layer), "nodes": len(layer._inbound_nodes)}
        assert now.keys() == then.keys()
        assert all(now[name] is then[name] for name in then)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=backend if name in ON_EVERY_BACKEND else ()) for name in EVERYDAY]
)
def test_the_last_layer_agrees_with_the_model_and_with_finite_differences(name):
    model, inputs = EVERYDAY[name]()
    before = snapshot(model)
    noises = noise_of(inputs)
    floating = [noise for noise in noises if noise.dtype.kind == "f"]
    if len(floating) == 1:
        noise = floating[0]
    else:
        # Names of the inputs that have noise, in the order of flat inputs.
        trial = characterize(model, inputs, reinitialize=False, compute_reff_noise=False)
        named = [parents == () for parents in trial.experiment.parents].count(True)
        noise = dict(zip(trial["layer"][:named].tolist(), floating, strict=True))
    moments = characterize(model, inputs, noise=noise, reinitialize=False)
    assert_unchanged(model, before)
    # Central differences in float32: round-off 1e-7 / step 1e-3 and step squared, with room for corners of rectifiers.
    low, middle, high = (output(model, inputs, noises, step) for step in (-1e-3, 0, 1e-3))
    expected = np.mean(((high - low) / 2e-3) ** 2)
    assert moments["nu2_signal"][0, -1] == pytest.approx(np.mean(middle**2), rel=1e-4)
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(np.log(expected), abs=0.02)
    assert np.isfinite(moments["log_chi"]).all()


def test_blocks_are_opened_and_give_the_numbers_of_the_flat_network():
    block = Block(8, 2, name="block")
    x = keras.Input((10, 8), name="x")
    nested, data, noise = keras.Model(x, block(x)), normal(6, 10, 8), normal(6, 10, 8, seed=1)
    moments = characterize(nested, data, noise=noise, reinitialize=False)
    names = moments["layer"].tolist()
    assert names == [
        "x",
        *(f"block/{name}" for name in ("before", "attention/query", "attention/key", "attention/value")),
        *(f"block/{name}" for name in ("attention/attention_output", "attention", "between", "up", "down")),
        "block",
    ]
    normalized = block.before(x)
    attended = x + block.attention(normalized, normalized)
    flat = keras.Model(x, attended + block.down(block.up(block.between(attended))) * block.gamma)
    expected = characterize(flat, data, noise=noise, reinitialize=False)
    for name, theirs in {"block/before": "before", "block/up": "up", "block/down": "down", "block": "add@2"}.items():
        one, other = names.index(name), expected["layer"].tolist().index(theirs)
        for moment in moments:
            if moment not in ("depth", "layer"):
                np.testing.assert_array_equal(moments[moment][:, one], expected[moment][:, other], err_msg=moment)
    assert characterize(nested, data, depth=1)["layer"].tolist() == ["x", "block"]
    assert characterize(nested, data, layers="block/up")["layer"].tolist() == ["x", "block/up"]


def test_growth_of_a_block_is_taken_over_all_that_it_is_computed_from():
    x = keras.Input((10, 8), name="x")
    moments = characterize(keras.Model(x, Block(8, 2, name="block")(x)), normal(6, 10, 8))
    names, parents = moments["layer"].tolist(), moments.experiment.parents
    of = {name: [names[parent] for parent in above] for name, above in zip(names, parents, strict=True)}
    assert of["block/before"] == ["x"]
    assert of["block/attention/query"] == ["block/before"]
    assert of["block/between"] == ["x", "block/attention"]
    assert of["block"] == ["x", "block/attention", "block/down"]


def test_noise_of_tokens_begins_behind_the_embedding():
    model = sequential(
        keras.Input((7,), dtype="int32", name="tokens"),
        layers.Embedding(50, 8, mask_zero=True, name="lookup"),
        layers.LSTM(4, name="lstm"),
    )
    tokens = integers(50, 8, 7)
    moments = characterize(model, tokens, noise={"tokens": normal(8, 7, 8)}, reinitialize=False)
    assert moments["layer"].tolist() == ["lookup", "lstm"]
    assert moments.experiment.noise == "normal at lookup" or "lookup" in moments.experiment.noise
    vectors = numpy(model.get_layer("lookup")(tokens))
    mask = np.asarray(tokens != 0)

    def moved(step):
        return numpy(model.get_layer("lstm")((vectors + step * normal(8, 7, 8)).astype("float32"), mask=mask))

    expected = np.mean(((moved(1e-3) - moved(-1e-3)) / 2e-3) ** 2)
    assert moments["log_mu2_noise"][0, -1] == pytest.approx(np.log(expected), abs=0.02)
    assert moments["nu2_signal"][0, -1] == pytest.approx(np.mean(moved(0) ** 2), rel=1e-4)
    drawn = characterize(model, tokens, reinitialize=False)
    assert drawn.experiment.noise == "normal at lookup"
    assert drawn["log_mu2_noise"][0, 0] == pytest.approx(0, abs=0.3)  # 448 numbers N(0, 1): 4 sigma are 0.27


@pytest.mark.parametrize("interrupted", [KeyboardInterrupt, ValueError])
def test_an_interrupted_model_is_as_it_was(interrupted):
    class Stops(layers.Layer):
        def call(self, x):
            if stop:
                raise interrupted("stop")
            return x

    stop = False
    model = sequential(keras.Input((8,)), layers.Dense(8), layers.BatchNormalization(), Stops())
    before, state = snapshot(model), random.getstate()
    stop = True
    with pytest.raises(interrupted, match="stop"):
        characterize(model, normal(16, 8))
    assert_unchanged(model, before)
    assert random.getstate() == state


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals")
def test_ctrl_c_keeps_what_was_finished(npy_folder):
    model = sequential(keras.Input((8,)), layers.Dense(8, name="dense"))
    whole = characterize(model, normal(16, 8), num_realizations=3)

    def press():
        deadline = time.monotonic() + 300
        while not (npy_folder / "net" / "experiment.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Thread(target=press)
    waiting.start()
    with pytest.raises(KeyboardInterrupt):
        characterize(model, normal(16, 8), num_realizations=10**6, name_experiment="net")
    waiting.join()
    kept = characterize(model, normal(16, 8), num_realizations=3, name_experiment="net")
    np.testing.assert_array_equal(kept["log_chi"], whole["log_chi"])


def test_ranks_can_be_left_out_and_results_replaced():
    model = sequential(keras.Input((8,)), layers.Dense(8, name="dense"))
    moments = characterize(model, normal(16, 8), compute_reff_noise=False, name_experiment="net")
    assert "reff_signal" in moments
    assert "reff_noise" not in moments
    with pytest.raises(FileExistsError, match="compute_reff_noise"):
        characterize(model, normal(16, 8), name_experiment="net")
    assert "reff_noise" in characterize(model, normal(16, 8), name_experiment="net", overwrite=True)


def test_a_saved_run_continues_with_the_model_that_was_saved_and_loaded(tmp_path):
    model = sequential(
        keras.Input((8, 8, 3)),
        layers.Conv2D(4, 3, name="conv"),
        layers.BatchNormalization(name="bn"),
        layers.ReLU(name="r"),
    )
    one = characterize(model, normal(4, 8, 8, 3), name_experiment="net")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    two = characterize(loaded, normal(4, 8, 8, 3), name_experiment="net", num_realizations=2)
    np.testing.assert_array_equal(two["log_chi"][:1], one["log_chi"])
    assert two["layer"].tolist() == ["input", "conv", "bn", "r"]


WARNED = {
    "noise layers": (lambda: [layers.GaussianNoise(0.1, name="shaken")], "in training.*: shaken$"),
    "spectral normalization": (
        lambda: [layers.SpectralNormalization(layers.Dense(4), name="spectral")],
        "in training.*: spectral$",
    ),
    "few points": (lambda: [layers.BatchNormalization(name="bn")], r"few points: bn \(6\)"),
    "shared initializers": (
        lambda: [
            layers.Dense(8, kernel_initializer=shared, name=name)
            for shared in [keras.initializers.HeNormal()]
            for name in ("one", "two")
        ],
        "sequential.*/one/kernel, sequential.*/two/kernel are equal",
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_a_user_should_know_is_told_by_name(case):
    make, message = WARNED[case]
    with pytest.warns(UserWarning, match=message):
        characterize(sequential(keras.Input((8,)), *make()), normal(6, 8))


def test_inputs_without_use_are_named():
    one, other = keras.Input((4,), name="one"), keras.Input((4,), name="other")
    model = keras.Model([one, other], layers.Dense(3, name="dense")(one))
    with pytest.warns(UserWarning, match="nothing is computed from the inputs other"):
        moments = characterize(model, [normal(8, 4), normal(8, 4)])
    assert moments["layer"].tolist() == ["one", "dense"]


def test_noise_may_be_that_of_some_inputs():
    model, inputs = EVERYDAY["siamese"]()
    layer, noise = model.layers[2], normal(4, 8, 8, 3)
    one = characterize(model, inputs, noise={"one": noise, "other": None}, reinitialize=False)
    assert one["layer"].tolist() == ["one", layer.name, model.layers[-1].name]
    both = characterize(model, inputs, noise={"one": noise, "other": -noise}, reinitialize=False)
    # The difference of the layer at opposite noises: twice that at one of them.
    assert both["log_mu2_noise"][0, -1] == pytest.approx(one["log_mu2_noise"][0, -1] + np.log(4), abs=1e-5)
    assert characterize(model, inputs, noise=["other"])["layer"].tolist()[0] == "other"


def test_batches_come_from_what_yields_them():
    model = sequential(keras.Input((20,)), layers.Dense(3, name="dense"))
    data = normal(16, 20)
    expected = characterize(model, data)
    for batches in (iter([data]), iter([(data, np.zeros(16))])):
        np.testing.assert_array_equal(characterize(model, batches)["log_chi"], expected["log_chi"])


def test_many_models_in_one_process_give_what_each_gives_alone_and_are_freed():
    def make(width):
        x = inputs = keras.Input((6,), name="x")
        x = layers.Concatenate(name="cat")([x, layers.Dense(width, name="dense")(x)])
        return keras.Model(inputs, layers.Dense(3, name="last")(x))

    first = {width: characterize(make(width), normal(8, 6))["log_chi"] for width in (3, 5)}
    models = []
    for number in range(14):  # each width twice
        model = make(number % 7 + 1)
        models.append(weakref.ref(model))
        log_chi = characterize(model, normal(8, 6))["log_chi"]
        np.testing.assert_array_equal(log_chi, first.setdefault(number % 7 + 1, log_chi))
    del model
    gc.collect()
    # What a backend compiled for a model holds it until a later one takes the place.
    assert sum(model() is not None for model in models) <= 1


def test_hidden_batch_normalization_takes_the_statistics_of_the_batch():
    class Hidden(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inside = layers.BatchNormalization(epsilon=0.0, name="inside")

        def call(self, x):
            return self.inside(x)

    moments = characterize(sequential(keras.Input((8,)), Hidden(name="block")), 3 * normal(16, 8) + 1)
    assert moments["layer"].tolist() == ["input", "block/inside", "block"]
    np.testing.assert_allclose(moments["mu2_signal"][0, 1:], 1, atol=1e-5)
    unseen = built(WithBatchNormalization(), normal(16, 8))
    assert characterize(unseen, 5 * normal(16, 8))["nu2_signal"][0, -1] == pytest.approx(1, abs=1e-2)


class WithBatchNormalization(keras.Model):
    def __init__(self):
        super().__init__()
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, x, training=None):
        return self.norm(x, training=training)
