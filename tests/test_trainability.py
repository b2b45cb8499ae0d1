"""The benchmark of trainability: the network that is trained is the one that is diagnosed, and both agree."""

import json
import math

import attrs
import keras
import numpy as np
import pytest

pytest.importorskip("jax")

from benchmarks import agreement, trainability, training
from benchmarks.networks import KINDS, NETWORKS, Network, keras_model
from moments_dnns.analysis.verdicts import LEAST_VARIATION, MOST_DEPTH_SCALES

BATCH, LAYER = {"normalization": "batch"}, {"normalization": "layer"}


@pytest.fixture(scope="module")
def given():
    return trainability.task(None)


@pytest.mark.backend
@pytest.mark.parametrize(
    "network",
    [
        *(Network(3, kind, activation="gelu", scale=0.5, bias=0.3, **BATCH) for kind in KINDS),
        Network(3, activation="tanh", **LAYER),
        Network(3, activation="sigmoid"),
        Network(3, "pre", scale=0.3, learned=True),
    ],
    ids=lambda network: network.name,
)
def test_what_is_trained_is_what_is_diagnosed(network, given):
    weights, model = training.weights(network, 1), keras_model(network)
    kernels = iter([weights["first"], *weights["deep"]])
    biases = iter([weights["first_bias"], *weights["deep_bias"]])
    for variable in model.weights:
        if variable.name in ("kernel", "bias"):
            variable.assign(next(kernels if variable.name == "kernel" else biases))
    images = given.images[: network.batch]
    expected = keras.ops.convert_to_numpy(model(images, training=True))
    np.testing.assert_allclose(training.features(network, weights, images), expected, rtol=1e-4, atol=2e-5)
    assert next(kernels, None) is None


def test_initial_weights_have_the_variances_of_the_network():
    network = Network(30, gain=1.5, bias=0.25)
    weights = training.weights(network, 0)
    assert weights["deep"].var() * network.width == pytest.approx(1.5, rel=0.02)
    assert weights["first"].var() * 256 == pytest.approx(1.5, rel=0.05)
    assert weights["deep_bias"].var() == pytest.approx(0.25, rel=0.1)
    assert not weights["last"].any()


def test_a_step_of_adam_is_that_of_the_paper():
    """After its first step every weight has moved by the learning rate, against its gradient."""
    moved, mean, square = training.adam(np.ones(2), (np.zeros(2), np.zeros(2)), np.array([3.0, -1e-3]), 0.1, 1)
    np.testing.assert_allclose(moved, [0.9, 1.1], rtol=2e-4)
    np.testing.assert_allclose(mean, [0.3, -1e-4], rtol=1e-6)
    np.testing.assert_allclose(square, [9e-3, 1e-9], rtol=1e-5)


# Far on both sides of every limit.
CLEAR = {
    Network(4, **BATCH): True,
    Network(8, "pre", **BATCH): True,
    Network(60, **BATCH): False,
    Network(12, activation="sigmoid", gain=1.0): False,
}


@pytest.mark.parametrize(
    "network",
    [pytest.param(each, marks=pytest.mark.backend if each.depth < 60 else (), id=each.name) for each in CLEAR],
)
def test_verdicts_agree_with_training(network, given):
    reached = training.losses(network, given, steps=160)
    row = {"name": network.name, "losses": reached, "moments": trainability.moments_of(network, given.images)}
    found = agreement.outcome(json.loads(json.dumps(row, default=np.ndarray.tolist)), decides=True)
    assert found.trains == CLEAR[network]
    assert found.agrees


def test_there_are_enough_networks_of_all_kinds():
    assert len(NETWORKS) == len({network.name for network in NETWORKS}) >= 60
    depths = [network.depth for network in NETWORKS]
    assert min(depths) <= 4
    assert max(depths) == 200
    for field in attrs.fields(Network):
        assert len({getattr(network, field.name) for network in NETWORKS}) > 1, field.name
    assert {network.kind for network in NETWORKS} == set(KINDS)
    assert len(training.RATES) >= 5
    assert max(training.RATES) / min(training.RATES) == pytest.approx(1e3)


def test_what_is_in_the_file_is_not_run_again(tmp_path, monkeypatch, given):
    run = []
    reached = np.array([[1.0, np.nan], [0.5, 0.5]])
    monkeypatch.setattr(training, "losses", lambda network, _: run.append(network) or reached)
    monkeypatch.setattr(trainability, "moments_of", lambda *_: {})
    path = tmp_path / "runs.jsonl"
    trainability.run(NETWORKS[:2], path, None)
    trainability.run(NETWORKS[:3], path, None)
    assert run == NETWORKS[:3]
    assert [row["name"] for row in trainability.rows(path)] == [network.name for network in NETWORKS[:3]]
    assert trainability.rows(path)[0]["losses"] == [[1.0, None], [0.5, 0.5]]


def test_a_network_that_does_not_learn_is_trained_for_longer(tmp_path, monkeypatch, given):
    run = []
    losses = {training.STEPS: np.array([[2.0, 2.0]]), training.MORE_STEPS: np.array([[0.7, 0.7]])}
    monkeypatch.setattr(training, "losses", lambda network, _, steps=training.STEPS: run.append(steps) or losses[steps])
    monkeypatch.setattr(trainability, "moments_of", lambda *_: {})
    trainability.run(NETWORKS[:1], tmp_path / "runs.jsonl", None)
    assert run == [training.STEPS, training.MORE_STEPS]
    assert trainability.rows(tmp_path / "runs.jsonl")[0]["losses"] == [[0.7, 0.7]]


def test_images_of_a_file_are_taken(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (300, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(300) % 10)
    given = trainability.task(tmp_path / "x.npz")
    assert given.images.shape == (256, 256)
    np.testing.assert_allclose(given.images.std(axis=0), 1, rtol=1e-5)
    grey = images[:256].mean(axis=-1)
    assert np.corrcoef(given.images[:, 0], grey[:, :2, :2].mean(axis=(1, 2)))[0, 1] == pytest.approx(1)
    np.savez(tmp_path / "y.npz", images=images)
    with pytest.raises(ValueError, match="images and labels.*Received"):
        trainability.task(tmp_path / "y.npz")


def made(scales, variation, loss, decides=True, name="net"):
    """An outcome of a network with a known diagnosis."""
    log_chi = np.array([[0.0, scales / 2]] * 4)
    moments = {
        "layer": ["input", "unit0"],
        "log_mu2_noise": 2 * log_chi + variation,
        "log_mu2_signal": np.full((4, 2), variation),
        "log_nu2_signal": np.zeros((4, 2)),
        "reff_signal": np.full((4, 2), 5.0),
    }
    return agreement.outcome({"name": name, "losses": [[loss, loss], [9.0, None]], "moments": moments}, decides)


FOUND = [
    *(made(scales, 0.0, 0.1 if scales < 15 else 2.3, i % 2 == 0) for i, scales in enumerate((2, 9, 14, 18, 30))),
    *(made(1.0, -share, 0.2 if share < 8 else 2.3, i % 2 == 0) for i, share in enumerate((3, 7, 14, 20))),
]


def test_outcomes_are_those_of_the_best_rate():
    one = made(20.0, -1.0, 0.5)
    assert (one.loss, one.trains, one.agrees) == (0.5, True, False)
    assert made(20.0, -1.0, 2.0).agrees
    assert one.diagnosis.depth_scales.value == pytest.approx(20)
    assert one.diagnosis.variation.value == pytest.approx(-1)


def test_areas_are_shares_of_pairs_in_order():
    scores, trains = np.array([1.0, 2.0, 2.0, 4.0, 5.0]), np.array([True, True, False, True, False])
    pairs = [(bad > good) + (bad == good) / 2 for bad in scores[~trains] for good in scores[trains]]
    assert agreement.roc(scores, trains)[2] == pytest.approx(np.mean(pairs))


def test_limits_are_found_where_networks_part():
    limits, leasts, share = agreement.best_limits(FOUND)
    assert share == 1
    assert limits == (14.5, 18.0)
    assert leasts == (-14.0, -7.5)
    assert limits[0] <= MOST_DEPTH_SCALES <= limits[1]
    assert leasts[0] <= LEAST_VARIATION <= leasts[1]


def test_tables_count_every_network_once():
    table = agreement.agreement(FOUND)
    counts = np.array([[int(cell) for cell in line.split("|")[2:-1]] for line in table.splitlines()[2:]])
    assert counts.sum() == len(FOUND)
    assert counts[0].tolist() == [3, 0, 2, 0]
    text = "\n".join(agreement.summary(FOUND))
    assert "100% of the testing half" in text
    assert "all limits | 1.000" in text
    assert "disagreements" not in text
    assert "| odd | not trainable | 20.0 | -1.0 | 0.50 |" in "\n".join(
        agreement.summary([*FOUND, made(20.0, -1.0, 0.5, name="odd")])
    )


def test_the_figure_has_every_network_and_every_predictor():
    losses, curves = agreement.draw(FOUND).axes
    points = [line for line in losses.get_lines() if line.get_marker() not in ("None", "")]
    assert sum(len(line.get_xdata()) for line in points) == len(FOUND)
    assert len(curves.get_lines()) == len(agreement.SCORES)
    assert max(losses.get_lines()[0].get_ydata()) <= math.log(10)
