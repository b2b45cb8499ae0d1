"""Gaussian weights, and outputs that are drawn without them: the same law, to the precision of float32."""

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns import Experiment, run_experiment
from moments_dnns.layers.weights import gaussian, gram_root, sample_product, uses_gram

backend = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
SEED = np.array([123, 456], "int32")


def draw(shape, seed=SEED, **options):
    return ops.convert_to_numpy(gaussian(shape, seed, **options)).astype("float64")


@backend
def test_numbers_are_standard_normal():
    count = 1_000_000
    x = draw((1000, 1000)).ravel()
    # Standard errors of mean, variance, skewness and kurtosis of normal samples; four of each are allowed.
    for value, expected, error in [
        (x.mean(), 0, 1),
        (x.var(), 1, np.sqrt(2)),
        ((x**3).mean(), 0, np.sqrt(15)),
        ((x**4).mean(), 3, np.sqrt(96)),
    ]:
        assert abs(value - expected) < 4 * error / np.sqrt(count)
    # Nothing is truncated: the share beyond 2, 3 and 4 sigma, with its binomial error.
    for sigma, share in [(2, 0.0455003), (3, 0.0026998), (4, 6.334e-5)]:
        assert abs((np.abs(x) > sigma).mean() - share) < 4 * np.sqrt(share / count)


@backend
def test_neighbours_and_halves_are_independent():
    # Both numbers of a pair come from the same uniforms, half the array apart.
    x = draw((2, 500_000))
    for one, other in [(x[0], x[1]), (x[0] ** 2, x[1] ** 2), (x[0, 1:], x[0, :-1])]:
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(one.size)


@backend
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 2, 3, 5), (7, 3)])
def test_shapes_variance_and_seeds(shape):
    x = draw(shape)
    assert x.shape == shape
    assert np.isfinite(x).all()
    np.testing.assert_allclose(draw(shape, variance=9.0), 3 * x, rtol=1e-5)
    np.testing.assert_array_equal(draw(shape), x)
    assert not np.array_equal(draw(shape, SEED + 1), x)


def features(kind):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((24, 200))
    return {
        "random": x,
        "collapsed onto a line": np.abs(x[:1]) * rng.random((24, 1)) + 1e-4 * x,
        "nearly equal": x[:1] + 1e-3 * x,
        "equal rows": np.repeat(x[:12], 2, axis=0),
        "zero rows": x * (np.arange(24) % 3 > 0)[:, None],
        "scales far apart": x * np.logspace(-12, 12, 24)[:, None],
        "rectified": np.maximum(x, 0),
    }[kind].astype("float32")


@backend
@pytest.mark.parametrize("kind", ["random", "collapsed onto a line", "nearly equal", "equal rows", "zero rows",
                                  "scales far apart", "rectified"])  # fmt: skip
def test_root_of_the_gram_matrix(kind):
    x = features(kind)
    root = ops.convert_to_numpy(gram_root(ops.convert_to_tensor(x))).astype("float64")
    gram = x.astype("float64") @ x.T.astype("float64")
    norms = np.sqrt(np.diag(gram))
    # Relative to the norms of both rows: some roundings of float32, 6e-8 each.
    assert (np.abs(root @ root.T - gram) <= 2e-6 * norms[:, None] * norms).all()
    # What is small stays precise beside what is large: differences of rows that are nearly equal.
    differences = np.diff(x.astype("float64"), axis=0)
    expected = np.sum(differences**2, axis=1)
    found = np.sum(np.diff(root, axis=0) ** 2, axis=1)
    error = 1e-6 * (norms[1:] + norms[:-1])
    np.testing.assert_array_less(np.abs(np.sqrt(found) - np.sqrt(expected)), error + 1e-6 * np.sqrt(expected) + 1e-30)


@backend
def test_products_have_the_law_of_explicit_weights():
    x = features("nearly equal")[:3] * np.array([[1.0], [2.0], [-1.0]], "float32")
    y = ops.convert_to_numpy(sample_product(ops.convert_to_tensor(x), 200_000, SEED, 0.5)).astype("float64")
    expected = 0.5 * x.astype("float64") @ x.T.astype("float64")
    # The columns are the samples; a product of two normals varies by at most sqrt(2) times their variances.
    scale = np.sqrt(np.diag(expected))
    assert (np.abs(y @ y.T / 200_000 - expected) < 4 * np.sqrt(2 / 200_000) * scale[:, None] * scale).all()
    columns = y[:, ::2] / scale[:, None], y[:, 1::2] / scale[:, None]
    assert (np.abs(columns[0] @ columns[1].T) / 100_000 < 4 / np.sqrt(100_000)).all()


@backend
@pytest.mark.parametrize(
    ("weights", "batch_size", "channels", "expected"),
    [("explicit", 2, 512, False), ("gram", 512, 16, True), ("auto", 64, 512, ON_TENSORFLOW), ("auto", 64, 511, False),
     ("auto", None, 512, False)],
)  # fmt: skip
def test_what_is_drawn(weights, batch_size, channels, expected):
    assert uses_gram(weights, batch_size, channels) is expected


def test_only_fully_connected_layers_have_a_gram_matrix():
    with pytest.raises(ValueError, match="Received: kernel_size=3"):
        Experiment("vanilla", 2, 3, 8, 4, 1, num_computations=2, weights="gram")


@pytest.mark.parametrize("architecture", ["vanilla", "bn_ff", pytest.param("bn_res", marks=backend)])
def test_networks_have_the_law_of_explicit_weights(architecture):
    count = 150
    settings = {
        "architecture": architecture, "total_depth": 32, "kernel_size": 1, "num_channels": 48, "batch_size": 6,
        "num_realizations": count, "num_computations": 4, "dataset": "photo", "verbose": False,
    }  # fmt: skip
    gram, explicit = run_experiment(**settings, weights="gram"), run_experiment(**settings, weights="explicit", seed=1)
    names = [*gram.experiment.array_names, *(f"log_chi_{place}" for place in gram.experiment.structure.places)]
    if architecture == "vanilla":
        assert gram["reff_signal_loc3"][:, -1].mean() < 1.2  # the signal has collapsed
    for name in names:
        one, other = gram[name], explicit[name]
        # The logarithm tames the heavy tails of moments, so that means are normal.
        if "log" not in name:
            one, other = np.log(one), np.log(other)
        error = np.sqrt((one.var(axis=0) + other.var(axis=0)) / count)
        # Some 400 comparisons, many of them the same number at two places: 4.5 sigma.
        assert (np.abs(one.mean(axis=0) - other.mean(axis=0)) <= 4.5 * error + 1e-6).all(), name
        # Their spread, between quartiles because of the tails, has a standard error of about 11 % each.
        spread = [np.subtract(*np.percentile(sample, (75, 25), axis=0)) for sample in (one, other)]
        assert ((spread[0] < 2 * spread[1] + 1e-6) & (spread[1] < 2 * spread[0] + 1e-6)).all(), name


@backend
def test_equal_images_stay_equal():
    images = np.random.default_rng(0).random((2, 3, 3, 8))
    images = np.concatenate([images, images])
    moments = run_experiment("vanilla", 4, 1, 64, 4, 3, dataset=images, num_computations=4, weights="gram",
                             verbose=False)  # fmt: skip
    # Two pairs of equal images differ along one direction only, to the precision of float32.
    np.testing.assert_allclose(moments["reff_signal_loc3"][:, 0], 1.0, atol=1e-5)
