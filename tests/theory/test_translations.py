"""Averages over translations: equal to the exact theory where translations change nothing, near to it where they do."""

import attrs
import numpy as np
import pytest

from moments_dnns import Experiment
from moments_dnns.data import load_images
from moments_dnns.theory import first_convolution
from moments_dnns.theory.features import Features
from moments_dnns.theory.gram import MOST_POINTS, centred, effective_rank
from moments_dnns.theory.infinite import infinite_width
from moments_dnns.theory.predictions import predict, predict_experiment
from moments_dnns.theory.translations import blocks, multiplicities, transposed
from tests.support import oracle

IMAGES = 4


def shifted(images, rows, columns):
    return np.roll(images, (-rows, -columns), axis=(1, 2))


def draw_features(side, number=5, *, invariant, seed=0):
    """A signal with a mean and a noise that is correlated with it, with smooth images as features.

    Translations change nothing if all translations of each feature are there.
    """
    rng = np.random.default_rng(seed)
    x, dx = rng.normal(size=(2, IMAGES, side, side, number)).cumsum(axis=2)
    both = []
    for images in (0.3 + x, dx + 0.5 * x):
        every = [shifted(images, *np.divmod(step, side)) / side for step in range(side**2)] if invariant else [images]
        both.append(np.concatenate(every, axis=-1).reshape(IMAGES, side**2, -1))
    return Features(*both)


def averaged(gram, side):
    """The mean of a matrix over all translations, as rows of the first pixel of each image."""
    by_pixel = gram.reshape(IMAGES, side, side, IMAGES, side, side)
    steps = [divmod(step, side) for step in range(side**2)]
    moved = [np.roll(by_pixel[:, row, column], (-row, -column), axis=(2, 3)) for row, column in steps]
    return np.mean(moved, axis=0).reshape(IMAGES, -1)


def expanded(rows, side):
    """The matrix over all points, entry by entry."""
    pixels = side**2
    gram = np.empty((IMAGES * pixels, IMAGES * pixels))
    for a in range(IMAGES * pixels):
        for b in range(IMAGES * pixels):
            row, column = (np.array(divmod(b % pixels, side)) - np.array(divmod(a % pixels, side))) % side
            gram[a, b] = rows[a // pixels, b // pixels * pixels + row * side + column]
    return gram


@pytest.mark.parametrize("side", [1, 3, 4])
def test_rows_of_one_pixel_are_all_of_a_matrix(side):
    grams = draw_features(side, invariant=True).grams()
    for gram in grams:
        rows = averaged(gram, side)
        np.testing.assert_allclose(rows, gram[:: side**2], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(expanded(rows, side), gram, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(expanded(transposed(rows), side), gram.T, rtol=1e-12, atol=1e-13)
    rows, gram = averaged(grams.signal, side), grams.signal
    np.testing.assert_allclose(expanded(centred(rows), side), centred(gram), rtol=1e-9, atol=1e-12)
    assert effective_rank(rows) == pytest.approx(effective_rank(gram), rel=1e-11)
    values = np.repeat(np.linalg.eigvalsh(blocks(rows)), multiplicities(side**2), axis=0)
    np.testing.assert_allclose(np.sort(values.ravel()), np.linalg.eigvalsh(gram), atol=1e-12 * values.max())


@pytest.mark.parametrize("side", [3, 4])
def test_averages_of_features_are_those_of_their_matrices(side):
    features = draw_features(side, invariant=False)
    for rows, gram in zip(features.averaged_grams(), features.grams(), strict=True):
        np.testing.assert_allclose(rows, averaged(gram, side), rtol=1e-11, atol=1e-12)
        assert np.abs(expanded(rows, side) - gram).max() > 0.1 * gram.max()


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
@pytest.mark.parametrize("architecture", oracle.ARCHITECTURES)
@pytest.mark.parametrize(("side", "kernel_size"), [(4, 3), (3, 2), (1, 1)])
def test_what_translations_do_not_change_is_exact(architecture, epsilon, side, kernel_size):
    features = draw_features(side, invariant=True)
    settings = {"kernel_size": kernel_size, "spatial_size": side, "epsilon": epsilon}
    signal, noise, cross = features.grams()
    exact = infinite_width(architecture, signal, 5, noise_gram=noise, cross_gram=cross, **settings)
    assert np.abs(cross).max() > 0.1 * np.abs(signal).max()
    signal, noise, cross = features.averaged_grams()
    rows = infinite_width(architecture, signal, 5, noise_gram=noise, cross_gram=cross, **settings)
    from_features = infinite_width(architecture, features, 5, **settings)
    assert exact.keys() == rows.keys() == from_features.keys()
    for name, expected in exact.items():
        np.testing.assert_allclose(rows[name], expected, rtol=1e-9, atol=1e-10, err_msg=name)
        np.testing.assert_allclose(from_features[name], expected, rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("architecture", ["vanilla", "bn_ff", "bn_res"])
def test_displaced_kernels_leave_averages_over_translations_as_they_are(architecture):
    features = draw_features(4, invariant=False)
    settings = {"kernel_size": 3, "spatial_size": 4, "epsilon": 0.1}
    centred, displaced = (
        infinite_width(architecture, features, 5, boundary=boundary, **settings)
        for boundary in ("periodic", "periodic_one_sided")
    )
    for name, expected in centred.items():
        np.testing.assert_allclose(displaced[name], expected, rtol=1e-12, err_msg=name)


def test_displaced_kernels_change_residual_networks_before_the_average():
    signal, noise, cross = draw_features(4, invariant=False).grams()
    settings = {"kernel_size": 3, "spatial_size": 4, "epsilon": 0.1, "noise_gram": noise, "cross_gram": cross}
    more = {}
    for architecture, name in (("bn_ff", "reff_noise_loc4"), ("bn_res", "reff_noise_loc3")):
        centred, displaced = (
            infinite_width(architecture, signal, 5, boundary=boundary, **settings)[name][-1]
            for boundary in ("periodic", "periodic_one_sided")
        )
        more[architecture] = displaced - centred
    assert abs(more["bn_ff"]) < 1e-9
    assert more["bn_res"] > 0.05


def test_one_sided_kernels_displace_the_images_of_which_averages_are_taken():
    one_sided = attrs.evolve(REAL, boundary="periodic_one_sided")
    batch = np.random.default_rng(0).normal(size=(2, REAL.batch_size, 8, 8, 3))
    displaced = predict(one_sided, *batch, symmetry="translations")
    # The stride of the first convolution lets no other displacement pass than that of its kernel.
    expected = predict(REAL, *(np.roll(x, (1, 1), axis=(1, 2)) for x in batch), symmetry="translations")
    as_they_are = predict(REAL, *batch, symmetry="translations")
    for name, values in expected.items():
        np.testing.assert_allclose(displaced[name], values, rtol=1e-9, err_msg=name)
    assert abs(as_they_are["chi_loc4"][0] / expected["chi_loc4"][0] - 1) > 1e-6


@pytest.mark.parametrize(("architecture", "places"), [("vanilla", 2), ("bn_ff", 3), ("bn_res", 2)])
def test_nothing_is_averaged_before_the_first_relu(architecture, places):
    features = draw_features(4, invariant=False)
    settings = {"kernel_size": 3, "spatial_size": 4, "epsilon": 0.1}
    signal, noise, cross = features.grams()
    exact = infinite_width(architecture, signal, 1, noise_gram=noise, cross_gram=cross, **settings)
    approximate = infinite_width(architecture, features, 1, **settings)
    before = [name for name in exact if int(name[-1]) <= places]
    assert len(before) == 6 * places
    for name in before:
        np.testing.assert_allclose(approximate[name], exact[name], rtol=1e-9, atol=1e-10, err_msg=name)
    after = f"log_chi_loc{places + 1}"
    assert 1e-4 < abs(approximate[after][0] - exact[after][0]) < 0.1


SMALL = load_images(load_images("photo").images.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4))[:200])
REAL = Experiment("bn_ff", 20, 3, 8, 8, 2, dataset=SMALL.label, num_computations=20)


def test_errors_on_real_images_are_those_of_the_page():
    # 4 x 4 pixels, 8 images (docs/theory.md): the growth of chi is that of the exact theory from layer 5 on.
    exact = predict_experiment(REAL, SMALL, [0], symmetry="none")
    approximate = predict_experiment(REAL, SMALL, [0], symmetry="translations")
    error = (approximate["log_chi_loc4"] - exact["log_chi_loc4"])[0]
    assert 1e-5 < np.abs(error).max() < 5e-3
    assert np.abs(np.diff(error))[5:].max() < 2e-4
    np.testing.assert_allclose(approximate["nu1_abs_signal_loc3"], exact["nu1_abs_signal_loc3"], rtol=1e-3)
    np.testing.assert_allclose(approximate["mu4_signal_loc3"], exact["mu4_signal_loc3"], rtol=5e-3)
    for name in ("reff_signal_loc4", "reff_noise_loc4"):
        np.testing.assert_allclose(approximate[name][0, 4:], exact[name][0, 4:], rtol=0.02)


def test_too_many_points_are_averaged_with_a_warning(monkeypatch):
    expected = predict_experiment(REAL, SMALL, symmetry="translations")
    monkeypatch.setattr(first_convolution, "MOST_POINTS", 127)
    with pytest.warns(UserWarning, match="averaged over translations") as caught:
        found = predict_experiment(REAL, SMALL)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
    batch = np.random.default_rng(0).normal(size=(2, 8, 8, 8, 3))
    with pytest.warns(UserWarning, match="approximate"):
        found = predict(REAL, *batch)
    np.testing.assert_array_equal(found["chi_loc4"], predict(REAL, *batch, symmetry="translations")["chi_loc4"])


REFUSED = {
    "a name": ({}, {"symmetry": "shifts"}, "symmetry must be one of 'auto', 'none', 'translations'"),
    "padding": ({"boundary": "zero_padding"}, {"symmetry": "translations"}, "where its boundary is periodic"),
    "reflections": ({"boundary": "symmetric"}, {"symmetry": "translations"}, "where its boundary is periodic"),
    "no averages": ({"batch_size": 300}, {"symmetry": "none"}, "Layers of 16 pixels need a batch_size of at most 256"),
    "too many": ({"batch_size": 1025}, {}, "images times the side of a layer. .* at most 1024"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_averaged_is_refused(case):
    changes, options, message = REFUSED[case]
    experiment = attrs.evolve(REAL, **changes)
    with pytest.raises(ValueError, match=f"{message}.*Received: "):
        predict(experiment, *np.zeros((2, experiment.batch_size, 8, 8, 3)), **options)


FEATURES = draw_features(4, invariant=True)
ROWS = FEATURES.averaged_grams().signal
ASYMMETRIC = ROWS + np.eye(1, 64, 17)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gram": ROWS, "boundary": "symmetric"}, "unless its boundary is periodic"),
        ({"gram": FEATURES, "boundary": "zero_padding"}, "unless its boundary is periodic"),
        ({"gram": FEATURES, "noise_gram": ROWS}, "Features have their own noise"),
        ({"gram": ROWS[:2]}, "rows of one pixel"),
        ({"gram": ROWS, "spatial_size": 2}, "rows of one pixel"),
        ({"gram": np.zeros((2048, MOST_POINTS * 4), bool), "spatial_size": 2}, "smaller batch"),
        ({"gram": ASYMMETRIC}, "gram must be finite, symmetric"),
        ({"gram": -ROWS}, "negative eigenvalues"),
        ({"gram": ROWS, "cross_gram": 9 * ROWS}, "joint Gram matrix"),
        ({"gram": np.ones_like(ROWS)}, "must differ"),
        ({"gram": ROWS, "noise_gram": np.eye(64)}, "one shape"),
    ],
)
def test_bad_rows_are_refused(changes, message):
    given = {"architecture": "bn_ff", "total_depth": 2, "spatial_size": 4, **changes}
    with pytest.raises(ValueError, match=f"(?s){message}.*Received: "):
        infinite_width(**given)
