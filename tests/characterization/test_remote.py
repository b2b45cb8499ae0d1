"""Workers that measure a model: the same numbers as this process gives with as many threads, or a clear refusal."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from moments_dnns import characterize, load_experiment

IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 3))


@keras.saving.register_keras_serializable("of_a_test")
class Halved(keras.layers.Layer):
    def call(self, x):
        return 0.5 * x


def make():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, activation="relu", name="convolution"),
            Halved(name="own"),
            keras.layers.Lambda(lambda x: 2 * x, name="function"),
            keras.layers.Dropout(0.5, name="dropout"),
            keras.layers.Dense(4, name="dense"),
        ]
    )


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.mark.parametrize("reinitialize", [True, False])
def test_workers_give_the_numbers_of_this_process(model, reinitialize):
    settings = {"num_realizations": 4, "reinitialize": reinitialize, "verbose": False}
    here = characterize(model, IMAGES, **settings)
    before = [np.array(weight) for weight in model.get_weights()]
    assert characterize(model, IMAGES, **settings, workers=2, name_experiment="there") == here
    assert load_experiment("there") == here
    for weight, same in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)


def test_an_executor_continues_what_this_process_began(model):
    whole = characterize(model, IMAGES, num_realizations=4, verbose=False)
    characterize(model, IMAGES, num_realizations=1, verbose=False, name_experiment="begun")
    with ThreadPoolExecutor(1) as executor:
        settings = {"num_realizations": 4, "executor": executor, "verbose": False, "name_experiment": "begun"}
        assert characterize(model, IMAGES, **settings) == whole


def test_a_batch_of_a_generator_is_sent(model):
    batches = (IMAGES + k for k in range(3))
    with ThreadPoolExecutor(1) as executor:
        there = characterize(model, batches, executor=executor, verbose=False)
    assert there == characterize(model, IMAGES, verbose=False)
    np.testing.assert_array_equal(next(batches), IMAGES + 1)  # one batch was taken


def test_a_model_that_cannot_be_saved_is_refused():
    class Nameless(keras.layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, x):
            return self.function(x)

        def get_config(self):
            raise NotImplementedError("no settings")

    model = keras.Sequential([keras.Input((8, 8, 3)), Nameless(keras.ops.tanh)])
    assert characterize(model, IMAGES, verbose=False).num_realizations == 1
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="leave workers out.*Received: model="):
        characterize(model, IMAGES, executor=executor, verbose=False)


def test_workers_and_an_executor_are_not_taken_together(model):
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="not both"):
        characterize(model, IMAGES, executor=executor, workers=2, verbose=False)
