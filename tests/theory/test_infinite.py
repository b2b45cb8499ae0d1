"""Infinitely wide networks: closed forms, identities, and one layer against brute force."""

import importlib
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from moments_dnns import ARCHITECTURES
from moments_dnns.moments import split_name
from moments_dnns.theory import batch_norm, closed_forms
from moments_dnns.theory.gram import MOST_POINTS, Grams, centred, effective_rank, rectified
from moments_dnns.theory.infinite import infinite_width
from tests.support import wide

BATCHES = (4, 5, 8, 64)


@pytest.mark.parametrize("batch", BATCHES)
def test_an_exchangeable_batch_has_the_closed_forms(batch):
    theory = infinite_width("bn_ff", 3 * np.eye(batch), 40)
    for layer in (0, -1):
        growth = theory["chi_loc3"][layer] / theory["chi_loc2"][layer]
        assert growth == pytest.approx(closed_forms.batch_norm_growth(batch), rel=1e-11)
        assert theory["mu4_signal_loc3"][layer] == pytest.approx(closed_forms.batch_norm_mu4(batch), rel=1e-11)
        assert theory["nu1_abs_signal_loc3"][layer] == pytest.approx(closed_forms.batch_norm_nu1(batch), rel=1e-11)
        assert theory["mu2_signal_loc3"][layer] == pytest.approx(1, rel=1e-11)
        assert theory["reff_noise_loc4"][layer] == pytest.approx(batch - 1, rel=1e-11)
    np.testing.assert_allclose(
        np.diff(theory["log_chi_loc4"]), np.log(closed_forms.feedforward_growth(batch)), rtol=1e-10
    )


def test_every_batch_becomes_exchangeable():
    theory = infinite_width("bn_ff", wide.draw_grams(12)[0], 40)
    assert np.diff(theory["log_chi_loc4"])[-1] == pytest.approx(np.log(closed_forms.feedforward_growth(12)), abs=1e-6)
    assert theory["nu1_abs_signal_loc3"][-1] == pytest.approx(closed_forms.batch_norm_nu1(12), abs=1e-6)
    assert abs(theory["nu1_abs_signal_loc3"][0] - closed_forms.batch_norm_nu1(12)) > 1e-3


def test_large_batches_have_the_known_limits():
    theory = infinite_width("bn_ff", np.eye(512), 1)
    growth = theory["chi_loc4"] ** 2 / theory["chi_loc1"] ** 2
    assert growth[0] == pytest.approx(np.pi / (np.pi - 1), rel=0.01)
    assert closed_forms.feedforward_growth(10**7) ** 2 == pytest.approx(np.pi / (np.pi - 1), rel=1e-6)
    assert closed_forms.batch_norm_nu1(10**7) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-6)


def test_vanilla_sensitivity_rises_linearly():
    batch, norm = 5, 4.0
    gram = norm * (0.7 * np.eye(batch) + 0.3)
    chi = infinite_width("vanilla", gram, 3000)["chi_loc3"]
    # The next term of 1 / sqrt(1 - c) is of order ln l, so the slope has an error of order 1 / l.
    assert chi[-1] - chi[-2] == pytest.approx(closed_forms.vanilla_slope(norm, batch), rel=0.005)
    assert chi[-1] / 3000 == pytest.approx(closed_forms.vanilla_slope(norm, batch), rel=0.01)


def test_the_relation_of_the_activation_is_a_tight_bound():
    theory = infinite_width("bn_ff", wide.draw_grams(8)[0], 10)
    growth = theory["chi_loc4"] / theory["chi_loc3"]
    relation = closed_forms.activation_growth(theory["nu1_abs_signal_loc3"])
    assert (relation < growth).all()
    np.testing.assert_allclose(relation, growth, rtol=5e-3)


@pytest.mark.parametrize(
    ("rates", "epsilon", "power"),
    [
        (np.array([2.0, 1.0, 0.5]), 0.0, 0.0),
        (np.geomspace(1, 1e-6, 9), 0.0, 0.0),
        (np.geomspace(1, 1e-6, 9), 0.01, 0.5),
        (np.array([1.0]), 0.1, 0.0),
        (np.ones(63), 0.0, 0.5),
        (np.ones(2000), 1e-3, 0.5),
    ],
)
def test_quadrature_is_that_of_an_adaptive_rule(rates, epsilon, power):
    weights, nodes = batch_norm.quadrature(rates, epsilon)

    def integrand(u):
        return np.exp((1 - power) * u - epsilon * np.exp(u) - np.log1p(rates * np.exp(u)).sum() / 2)

    ends = np.linspace(-80, 120, 41)
    expected = sum(quad(integrand, *pair, epsabs=0, epsrel=1e-12)[0] for pair in pairwise(ends))
    assert weights @ nodes**-power == pytest.approx(expected, rel=1e-11)


def test_chunks_of_nodes_change_nothing(monkeypatch):
    grams = Grams(*wide.draw_grams(6))
    expected = batch_norm.normalized(grams, 0.1)
    monkeypatch.setattr(batch_norm, "ENTRIES_AT_ONCE", 5 * 36)
    found = batch_norm.normalized(grams, 0.1)
    for one, other in zip(found.rectified, expected.rectified, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_noise_where_there_is_no_signal_passes_all_but_the_activation():
    gram = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    theory = infinite_width("vanilla", gram, 1)
    assert theory["mu2_noise_loc2"][0] == pytest.approx(2)
    assert theory["mu2_noise_loc3"][0] == pytest.approx(2 / 3)
    # Q = 2 g^2 / 3 with a normal g: E 1 / (Q + 1 / 3) = 3 E 1 / (2 g^2 + 1).
    found = batch_norm.normalized(Grams(gram, np.eye(3), 0 * gram), 1 / 3)
    expected = quad(lambda g: 3 / (2 * g**2 + 1) * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi), -40, 40, points=[0])[0]
    assert found.moments["mu2_noise"] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(np.diag(found.rectified.noise), np.array([0.5, 0.5, 0]) * expected, rtol=1e-9)


def test_noise_that_is_the_centred_signal_stays_it():
    gram = centred(wide.draw_grams(6)[0])
    after = batch_norm.normalized(Grams(gram, gram, gram), 0.2).rectified
    np.testing.assert_allclose(after.noise, after.signal, rtol=1e-12)
    np.testing.assert_allclose(after.cross, after.signal, rtol=1e-12)


def test_points_that_agree_or_vanish_are_no_special_case():
    gram = np.diag([1.0, 2.0, 0.0, 1.0])
    gram[0, 3] = gram[3, 0] = 1.0  # the same image twice
    after = rectified(Grams(gram, np.ones((4, 4)), 0.5 * gram))
    assert after.signal[0, 3] == pytest.approx(0.5)
    assert after.noise[0, 3] == pytest.approx(0.5)
    assert not after.noise[2].any()
    assert not after.signal[2].any()
    theory = infinite_width("bn_ff", gram, 5, epsilon=1e-3)
    assert all(np.isfinite(theory[name]).all() for name in theory)


GEOMETRIES = [(1, "periodic", 1), (3, "periodic", 3), (3, "symmetric", 3), (3, "zero_padding", 3), (2, "periodic", 2)]


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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_layer_begins_where_the_last_one_ended(architecture):
    gram, noise, cross = wide.draw_grams(6)
    theory = infinite_width(architecture, gram, 5, noise_gram=noise, cross_gram=cross, epsilon=1e-3)
    last = ARCHITECTURES[architecture].places[-1]
    shared = {moment for moment, place in map(split_name, theory) if place == last} - {"reff_signal", "reff_noise"}
    assert {"nu1_abs_signal", "nu2_signal", "mu2_signal", "log_mu2_noise", "log_chi"} <= shared
    for moment in shared:
        np.testing.assert_allclose(theory[f"{moment}_loc1"][1:], theory[f"{moment}_{last}"][:-1], rtol=1e-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
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


@pytest.mark.parametrize("epsilon", [None, 0.0, 0.4], ids=["no batch norm", "0", "0.4"])
def test_second_moments_are_those_of_brute_force(epsilon):
    grams, found = Grams(*wide.draw_grams(5)), []
    expected = rectified(grams) if epsilon is None else batch_norm.normalized(grams, epsilon).rectified
    for repeat in range(16):
        state = wide.draw_start(np.random.default_rng((3, repeat)), *grams, 50_000)
        x, dx = wide.relu(state if epsilon is None else wide.batch_norm(state, epsilon))
        found.append(np.array([x @ x.T, dx @ dx.T, x @ dx.T]) / 50_000)
    error = np.std(found, axis=0, ddof=1) / 4
    scores = (np.mean(found, axis=0) - np.array(expected)) / error
    # 65 different entries, with errors from 16 repeats.
    assert np.abs(scores).max() < 5.5
    assert 0.6 < scores.std() < 1.5
    asymmetry = np.abs(expected.cross - expected.cross.T) / error[2]
    assert asymmetry.max() > 20  # a transposed matrix would be noticed


REPEATS, CHANNELS = 12, 16_000


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
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


def test_the_rank_of_a_gram_matrix_is_that_of_the_covariance():
    features = np.random.default_rng(0).normal(size=(7, 40)) * np.geomspace(1, 0.1, 40)
    assert effective_rank(features @ features.T) == pytest.approx(wide.effective_rank(features), rel=1e-12)


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


PAGE = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_]+\.[a-z_]+)`", PAGE.partition("```")[0]))))
def test_functions_that_the_page_names_are_there(name):
    module, _, function = name.partition(".")
    assert callable(getattr(importlib.import_module(f"moments_dnns.{module}"), function))


def test_the_example_of_the_page_runs():
    (example,) = re.findall("```python\n(.*?)```", PAGE, re.DOTALL)
    scope = {}
    exec(compile(example, "theory.md", "exec"), scope)
    assert scope["theory"]["chi_loc4"].shape == (4, 10)


def test_few_images_need_epsilon():
    assert np.isfinite(infinite_width("bn_ff", np.eye(3), 3, epsilon=1e-3)["log_chi_loc4"]).all()
    theory = infinite_width("bn_ff", np.eye(2), 1, epsilon=1e-12)
    assert theory["nu1_abs_signal_loc3"][0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (closed_forms.batch_norm_growth, 3),
        (closed_forms.feedforward_growth, 3),
        (closed_forms.batch_norm_mu4, 1),
        (closed_forms.batch_norm_nu1, 0),
        (closed_forms.activation_growth, 1.1),
        (closed_forms.activation_growth, -0.1),
        (closed_forms.vanilla_slope, 0.0),
    ],
)
def test_closed_forms_refuse_what_has_none(function, value):
    with pytest.raises(ValueError, match="Received: "):
        function(value)
