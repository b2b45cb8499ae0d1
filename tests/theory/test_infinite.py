"""Infinitely wide networks: identities, and one layer against brute force."""

import numpy as np
import pytest

from moments_dnns import ARCHITECTURES
from moments_dnns.moments import split_name
from moments_dnns.theory import closed_forms
from moments_dnns.theory.gram import MOST_POINTS, effective_rank
from moments_dnns.theory.infinite import infinite_width
from tests.support import oracle, wide

GEOMETRIES = [
    (1, "periodic", 1),
    (3, "periodic", 3),
    (3, "periodic_one_sided", 3),
    (3, "symmetric", 3),
    (3, "zero_padding", 3),
    (2, "periodic", 2),
]


@pytest.mark.parametrize(("kernel_size", "boundary", "side"), GEOMETRIES)
def test_noise_that_is_the_signal_obeys_eulers_identity(kernel_size, boundary, side):
    gram = wide.draw_grams(2 * max(side, 2) ** 2)[0]
    theory = infinite_width(
        "vanilla",
        gram,
        30,
        kernel_size=kernel_size,
        boundary=boundary,
        spatial_size=side,
        noise_gram=gram,
        cross_gram=gram,
    )
    for place in ("loc1", "loc2", "loc3"):
        expected = np.log(theory[f"nu2_signal_{place}"] / theory[f"mu2_signal_{place}"]) / 2
        np.testing.assert_allclose(theory[f"log_chi_{place}"], expected, rtol=1e-8)
    # As no other noise does, it collapses with the signal.
    assert theory["reff_noise_loc3"] == pytest.approx(theory["reff_signal_loc3"], rel=1e-6)


@pytest.mark.parametrize(("kernel_size", "boundary", "side"), [case for case in GEOMETRIES if "zero" not in case[1]])
def test_vanilla_layers_conserve_squares(kernel_size, boundary, side):
    gram, noise, cross = wide.draw_grams(2 * max(side, 2) ** 2)
    theory = infinite_width(
        "vanilla",
        gram,
        20,
        kernel_size=kernel_size,
        boundary=boundary,
        spatial_size=side,
        noise_gram=noise,
        cross_gram=cross,
    )
    np.testing.assert_allclose(theory["nu2_signal_loc3"], np.diag(gram).mean(), rtol=1e-12)
    np.testing.assert_allclose(theory["mu2_noise_loc3"], np.diag(noise).mean(), rtol=1e-12)


@pytest.mark.parametrize("architecture", oracle.ARCHITECTURES)
def test_a_layer_begins_where_the_last_one_ended(architecture):
    gram, noise, cross = wide.draw_grams(6)
    theory = infinite_width(architecture, gram, 5, noise_gram=noise, cross_gram=cross, epsilon=1e-3)
    last = ARCHITECTURES[architecture].places[-1]
    shared = {moment for moment, place in map(split_name, theory) if place == last} - {"reff_signal", "reff_noise"}
    assert {"nu1_abs_signal", "nu2_signal", "mu2_signal", "log_mu2_noise", "log_chi"} <= shared
    for moment in shared:
        np.testing.assert_allclose(theory[f"{moment}_loc1"][1:], theory[f"{moment}_{last}"][:-1], rtol=1e-9)


@pytest.mark.parametrize("architecture", oracle.ARCHITECTURES)
def test_scales_and_order_change_what_they_should(architecture):
    gram, noise, cross = wide.draw_grams(6)
    theory = infinite_width(architecture, gram, 20, noise_gram=noise, cross_gram=cross)
    order = np.array([3, 0, 5, 1, 2, 4])
    pairs = np.ix_(order, order)
    # So small that squares of the entries are no floating-point numbers; a skip branch keeps the scale of its input.
    tiny = 1.0 if architecture == "bn_res" else 1e-170
    other = infinite_width(
        architecture, tiny * gram[pairs], 20, noise_gram=7 * noise[pairs], cross_gram=np.sqrt(7 * tiny) * cross[pairs]
    )
    for place in ARCHITECTURES[architecture].activated_places:
        np.testing.assert_allclose(other[f"reff_signal_{place}"], theory[f"reff_signal_{place}"], rtol=1e-9)
    last = ARCHITECTURES[architecture].places[-1]
    if architecture == "vanilla":
        shift = (np.log(7) - np.log(tiny)) / 2
        np.testing.assert_allclose(other["log_chi_loc3"], theory["log_chi_loc3"] + shift, rtol=1e-9)
        np.testing.assert_allclose(other["nu2_signal_loc3"], tiny * theory["nu2_signal_loc3"], rtol=1e-9)
    else:
        np.testing.assert_allclose(other[f"mu2_signal_{last}"], theory[f"mu2_signal_{last}"], rtol=1e-9)


def test_a_thousand_layers_stay_in_range():
    kept = {"kernel_size": 3, "spatial_size": 3}
    theory = infinite_width("vanilla", wide.draw_grams(18)[0], 1000, boundary="zero_padding", **kept)
    assert theory["log_mu2_noise_loc3"][-1] < -200  # what padding takes
    assert all(np.isfinite(theory[name]).all() for name in theory)
    assert (np.diff(theory["log_chi_loc3"])[10:] > 0).all()
    theory = infinite_width("bn_ff", np.eye(6), 1000)
    assert theory["log_chi_loc4"][-1] == pytest.approx(
        theory["log_chi_loc4"][0] + 999 * np.log(closed_forms.feedforward_growth(6)), rel=1e-9
    )
    theory = infinite_width("bn_res", np.eye(6), 1000, res_depth=1)
    assert all(np.isfinite(theory[name]).all() for name in theory)


def test_some_layers_are_those_of_all():
    gram, noise, cross = wide.draw_grams(6)
    called = []
    given = {"noise_gram": noise, "cross_gram": cross}
    every = infinite_width("bn_res", gram, 9, **given)
    some = infinite_width("bn_res", gram, 9, layers=[2, 3, 7], advance=lambda: called.append(1), **given)
    assert len(called) == 7
    assert some.keys() == every.keys()
    for name, array in some.items():
        np.testing.assert_array_equal(array, every[name][[1, 2, 6]])


REPEATS, CHANNELS = 12, 16_000


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
@pytest.mark.parametrize("architecture", oracle.ARCHITECTURES)
def test_one_layer_is_that_of_brute_force(architecture, epsilon, correlated):
    assert_brute_force(architecture, wide.draw_grams(6, correlated=correlated), epsilon=epsilon)


@pytest.mark.parametrize(
    ("architecture", "geometry"),
    [*(("bn_ff", geometry) for geometry in GEOMETRIES[1:]), ("vanilla", GEOMETRIES[3]), ("bn_res", GEOMETRIES[3])],
    ids=str,
)
def test_one_convolution_is_that_of_brute_force(architecture, geometry):
    kernel_size, boundary, side = geometry
    grams = wide.draw_grams(2 * side**2, seed=1)
    assert_brute_force(architecture, grams, kernel_size=kernel_size, boundary=boundary, side=side)


def assert_brute_force(architecture, grams, epsilon=0.0, **geometry):
    """Compare all moments at all places of one layer; the standard error is that over repeats."""
    side = geometry.pop("side", 1)
    theory = infinite_width(
        architecture,
        grams[0],
        1,
        noise_gram=grams[1],
        cross_gram=grams[2],
        epsilon=epsilon,
        res_depth=1,
        spatial_size=side,
        **geometry,
    )
    found, ranks = [], []
    for repeat in range(REPEATS):
        rng = np.random.default_rng((7, repeat))
        start = wide.draw_start(rng, *grams, CHANNELS)
        places = wide.layer(rng, architecture, start, epsilon, side=side, res_depth=1, **geometry)
        found.append([{name: value.mean() for name, value in wide.moments(state).items()} for state in places])
        (activated,) = ARCHITECTURES[architecture].activated_places
        ranks.append([effective_rank(x @ x.T / CHANNELS) for x in places[int(activated[3:]) - 1]])
    compared = 0
    for index in range(len(places)):
        for moment in found[0][0]:
            name = f"{moment}_loc{index + 1}"
            stored = name.replace("mu2_noise", "log_mu2_noise")
            if stored in theory:
                values = np.array([repeat[index][moment] for repeat in found])
                error = values.std(ddof=1) / np.sqrt(REPEATS)
                # 5 standard errors estimated from 12 repeats, and what a mean over channels that share a Gram matrix
                # with 1 / CHANNELS of noise is off by.
                assert abs(values.mean() - theory[name][0]) <= 5 * error + theory[name][0] * 3 / CHANNELS, name
                compared += 1
    assert compared >= 4 * len(places)
    for row, name in zip(np.transpose(ranks), ("reff_signal", "reff_noise"), strict=True):
        assert row.mean() == pytest.approx(theory[f"{name}_{activated}"][0], rel=0.03)


def test_what_is_not_exact_is_not_there():
    theory = infinite_width("bn_ff", np.eye(6), 3)
    assert {name for name in theory if name.startswith("mu4")} == {"mu4_signal_loc2", "mu4_signal_loc3"}
    theory = infinite_width("bn_res", np.eye(6), 3)
    places = {split_name(name)[1] for name in theory if name.startswith("mu4")}
    assert places == {"loc1", "loc2", "loc4", "loc5"}
    with pytest.raises(KeyError, match="mu4_signal_loc3"):
        theory["mu4_signal_loc3"]
    np.testing.assert_allclose(theory["chi_loc5"], np.exp(theory["log_chi_loc5"]))


ASYMMETRIC = np.eye(4) + np.eye(4, k=1)


REFUSED = [
    ({"architecture": "resnet"}, ValueError, "architecture must be one of"),
    ({"accuracy": "high"}, ValueError, "accuracy must be one of 'exact', 'figure'"),
    ({"layers": []}, ValueError, "layers must increase"),
    ({"layers": [2, 1]}, ValueError, "layers must increase"),
    ({"layers": [1, 3]}, ValueError, "up to total_depth=2"),
    ({"layers": [0.5]}, TypeError, "layers"),
    ({"total_depth": 0}, ValueError, "total_depth"),
    ({"total_depth": 2.5}, TypeError, "total_depth"),
    ({"epsilon": -1.0}, ValueError, "epsilon"),
    ({"boundary": "reflect"}, ValueError, "boundary"),
    ({"kernel_size": 3}, ValueError, "at most spatial_size"),
    ({"gram": np.eye(8), "kernel_size": 2, "spatial_size": 2, "boundary": "symmetric"}, ValueError, "odd"),
    ({"res_depth": 0}, ValueError, "res_depth"),
    ({"gram": np.ones(4)}, ValueError, "square matrix"),
    ({"gram": np.ones((4, 3))}, ValueError, "square matrix"),
    ({"gram": np.eye(1)}, ValueError, "square matrix"),
    ({"gram": np.eye(6), "spatial_size": 2}, ValueError, "square matrix"),
    ({"gram": np.zeros((MOST_POINTS + 1, MOST_POINTS + 1), bool)}, ValueError, "smaller batch"),
    ({"gram": ASYMMETRIC}, ValueError, "gram must be finite, symmetric"),
    ({"gram": -np.eye(4)}, ValueError, "negative eigenvalues"),
    ({"gram": np.eye(4) * np.nan}, ValueError, "finite"),
    ({"gram": np.ones((4, 4))}, ValueError, "must differ"),
    ({"gram": np.zeros((4, 4))}, ValueError, "not zero"),
    ({"noise_gram": np.eye(3)}, ValueError, "one shape"),
    ({"noise_gram": ASYMMETRIC}, ValueError, "noise_gram must be finite, symmetric"),
    ({"cross_gram": 2 * np.eye(4)}, ValueError, "joint Gram matrix"),
    ({"gram": np.eye(3)}, ValueError, "at least 3 directions"),
]


@pytest.mark.parametrize(("changes", "error", "message"), REFUSED)
def test_bad_arguments_are_refused(changes, error, message):
    with pytest.raises(error, match=f"(?s){message}.*Received: "):
        infinite_width(**{"architecture": "bn_ff", "gram": np.eye(4), "total_depth": 2, **changes})
