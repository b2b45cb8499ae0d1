"""Moments along training: those of the model at each step, without any change of its training."""

import csv
import functools

import keras
import numpy as np
import pytest
from keras import layers

from moments_dnns import MomentsHistory, MomentsLogger, plot_training
from moments_dnns import characterize as characterize_verbosely

backend = pytest.mark.backend

characterize = functools.partial(characterize_verbosely, verbose=False)

INPUTS = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
TARGETS = INPUTS[:, :2] ** 2


def made():
    """A model with everything that draws or remembers: dropout, batch normalization, noise."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6,), name="x"),
            layers.Dense(8, name="one"),
            layers.BatchNormalization(name="bn"),
            layers.Activation("relu", name="act"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(2, name="two"),
        ],
        name="net",
    )
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    return model


def fitted(*callbacks, epochs=2, **options):
    model = made()
    history = model.fit(INPUTS, TARGETS, batch_size=8, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)
    return model, history.history


@backend
def test_training_is_to_the_last_bit_what_it_is_without():
    logger = MomentsLogger(INPUTS[:8], every=1, gradients=True, num_realizations=2)
    (plain, losses), (logged, same) = fitted(), fitted(logger)
    assert losses == same
    for one, other in zip(plain.variables, logged.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert logger.history.steps == tuple(range(7))
    # The weights that a model is measured with are those of its step.
    assert logger.history.at(6) == characterize(
        logged, INPUTS[:8], reinitialize=False, gradients=True, num_realizations=2
    )
    assert np.ptp(logger.history["log_chi"][:, 0, -1]) > 1e-3


@backend
def test_the_first_step_is_the_model_before_training():
    options = {"num_realizations": 2, "seed": 5, "layers": ["one", "act"], "ranks": "*"}
    logger = MomentsLogger(INPUTS, **options)
    fitted(logger)
    assert logger.history.steps == (0, 3, 6)
    assert logger.history.at(0) == characterize(made(), INPUTS, reinitialize=False, **options)
    assert logger.history.at(0) != logger.history.at(3)
    assert logger.history["layer"].tolist() == ["x", "one", "act"]
    assert logger.history["chi"].shape == (3, 2, 3)
    np.testing.assert_array_equal(logger.history["chi"][1], logger.history.at(3)["chi"])


@pytest.mark.parametrize(
    ("every", "epochs", "batches", "steps"),
    [(2, 2, None, (0, 2, 4, 6)), (4, 2, None, (0, 4, 6)), (100, 1, None, (0, 3)), (2, 2, 3, (0, 3, 6))],
)
def test_steps_are_batches_of_an_interval(every, epochs, batches, steps):
    logger = MomentsLogger(INPUTS, every=every, layers="one", compute_reff_signal=False, compute_reff_noise=False)
    model = made()
    if batches:
        model.compile("sgd", "mse", steps_per_execution=batches)
    model.fit(INPUTS, TARGETS, batch_size=8, epochs=epochs, verbose=0, callbacks=[logger])
    assert logger.history.steps == steps


def test_a_second_fit_goes_on(tmp_path):
    logger = MomentsLogger(INPUTS, path=tmp_path / "new" / "moments.csv", layers="two")
    model = made()
    for _ in range(2):
        model.fit(INPUTS, TARGETS, batch_size=12, verbose=0, callbacks=[logger])
    assert logger.history.steps == (0, 2, 4)
    with (tmp_path / "new" / "moments.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["step"], line["layer"]) for line in lines] == [(str(s), n) for s in (0, 2, 4) for n in ("x", "two")]
    read = np.array([float(line["log_chi"]) for line in lines]).reshape(3, 1, 2)
    np.testing.assert_array_equal(read, logger.history["log_chi"])
    assert "log_mu2_noise" in lines[0]


def test_tensorboard_has_the_means(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logger = MomentsLogger(INPUTS, log_dir=tmp_path, gradients=True, num_realizations=2)
    fitted(logger)
    events = accumulator.EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    tags = events.Tags()["tensors"]
    assert "log_chi/bn" in tags
    assert "log_gradient/two" in tags
    assert "reff_signal/bn" not in tags
    scalars = [(event.step, event.tensor_proto.float_val[0]) for event in events.Tensors("log_chi/bn")]
    layer = logger.history["layer"].tolist().index("bn")
    assert [step for step, _ in scalars] == [0, 3, 6]
    np.testing.assert_allclose(
        [value for _, value in scalars], logger.history["log_chi"][:, :, layer].mean(1), rtol=1e-6
    )


def test_tables_have_steps():
    logger = MomentsLogger(INPUTS, layers="one")
    fitted(logger, epochs=1)
    table, dataset = logger.history.to_dataframe(), logger.history.to_xarray()
    assert table.columns[0] == "step"
    chosen = table[(table.step == 3) & (table.layer == "one") & (table.moment == "mu2_signal")]
    assert chosen.value.tolist() == [logger.history["mu2_signal"][1, 0, 1]]
    np.testing.assert_array_equal(dataset["mu2_signal"].transpose("step", ...), logger.history["mu2_signal"])
    assert dataset.step.values.tolist() == [0, 3]
    assert set(logger.history) == set(logger.history.at(0))
    assert "chi" in logger.history


def test_the_figure_draws_steps_over_one_another():
    logger = MomentsLogger(INPUTS, every=1, ranks="*", gradients=True)
    fitted(logger)
    figure = plot_training(logger.history, count=3)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["step 0", "step 3", "step 6"]
    curves = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_xdata()) == 6]
    for curve, step in zip(curves, (0, 3, 6), strict=True):
        np.testing.assert_allclose(10**curve, logger.history.at(step)["chi"][0], rtol=1e-9)
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == logger.history["layer"].tolist()
    assert len(figure.axes) == 5
    with pytest.raises(TypeError, match="MomentsLogger"):
        plot_training(logger.history.at(0))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "every"),
        ({"every": "batch"}, TypeError, "every"),
        ({"reinitialize": True}, TypeError, "expected options of noise"),
        ({"name_experiment": "net"}, TypeError, "expected options of noise"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        MomentsLogger(INPUTS, **options)


def test_histories_are_checked():
    one = characterize(made(), INPUTS, layers="one")
    with pytest.raises(ValueError, match="increasing steps"):
        MomentsHistory([3, 2], [one, one])
    with pytest.raises(ValueError, match="same layers"):
        MomentsHistory([2, 3], [one, characterize(made(), INPUTS, layers="two")])
    with pytest.raises(ValueError, match="one of the steps 2"):
        MomentsHistory([2], [one]).at(1)
    with pytest.raises(ValueError, match="fitted with this callback"):
        _ = MomentsLogger(INPUTS).history
