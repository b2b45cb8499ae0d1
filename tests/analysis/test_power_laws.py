"""The power law of residual networks: its fit against least squares, its intervals against trials."""

import numpy as np
import pytest

from moments_dnns.analysis.power_laws import bootstrap_power_law, power_law

HUGE = 5000.0  # exp(5000) has no float64

DEPTH = np.arange(5.0, 501, 5)


def law_of(chi, growth, res_depth=2, shift=0.0):
    """The power law of one realization whose sensitivity grows by `growth` in a layer."""
    logs = np.atleast_2d(np.log(chi)) + shift
    return power_law(DEPTH, logs, np.zeros_like(logs), np.broadcast_to(np.log(growth), logs.shape), res_depth)


@pytest.mark.parametrize("res_depth", [1, 2, 5])
@pytest.mark.parametrize("growth", [1.01, 1.2035])
def test_exact_power_law_is_found(growth, res_depth):
    tau = (growth ** (2 * res_depth) - 1) / 2
    law = law_of(3 * DEPTH**tau, growth, res_depth)
    np.testing.assert_allclose((law.tau, np.exp(law.log_c)), (tau, 3), rtol=1e-10)


def test_published_exponent():
    law = law_of(DEPTH, 1.2035)
    assert round(law.tau, 3) == 0.549


def test_constant_is_that_of_linear_least_squares():
    chi = DEPTH**0.5 * (1 + 0.3 * np.sin(DEPTH))
    law = law_of(chi, 1.2)
    (expected,), *_ = np.linalg.lstsq(DEPTH[:, None] ** law.tau, chi)
    np.testing.assert_allclose(np.exp(law.log_c), expected, rtol=1e-10)
    np.testing.assert_allclose(law_of(chi, 1.2, shift=HUGE).log_c, np.log(expected) + HUGE, rtol=1e-12)


def test_growth_is_the_depth_average_of_the_ratio_of_means():
    rng = np.random.default_rng(0)
    first, last = rng.uniform(1, 2, (2, 7, 100))
    law = power_law(DEPTH, np.log(first), np.log(first), np.log(last), 2)
    growth = np.mean(last.mean(axis=0) / first.mean(axis=0))
    np.testing.assert_allclose(law.tau, (growth**4 - 1) / 2, rtol=1e-12)


def test_dead_realizations_leave_the_power_law_alone():
    rng = np.random.default_rng(0)
    chi, first, last = np.log(rng.uniform(1, 2, (3, 5, 100)))
    kept = power_law(DEPTH, chi[1:], first[1:], last[1:], 2)
    chi[0], last[0] = np.nan, np.nan  # `first` is still there: its mean must not count this realization either
    assert power_law(DEPTH, chi, first, last, 2) == kept


def test_no_power_law_where_there_is_nothing_to_fit():
    nothing = np.full((3, 100), np.nan)
    law = power_law(DEPTH, nothing, nothing, nothing, 2)
    assert np.isnan(law.tau)
    assert not np.isfinite(law.log_c)
    assert law_of(DEPTH, 1e10, res_depth=50).tau == np.inf


FEW_DEPTHS = np.arange(1, 21) * 10.0


def draw_realizations(rng, number=40, exponent=0.55):
    """ln chi on a power law with noise of its own in every realization, and a growth of the layers that suits it."""
    chi = exponent * np.log(FEW_DEPTHS) + 0.1 * rng.normal(size=(number, 1)) + 0.05 * rng.normal(size=(number, 20))
    first = chi + 0.01 * rng.normal(size=chi.shape)
    return chi, first, first + np.log(2 * exponent + 1) / 4 + 0.02 * rng.normal(size=(number, 1))


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = np.zeros(2)
    for trial in range(100):
        chi, first, last = draw_realizations(np.random.default_rng(trial))
        found = bootstrap_power_law(FEW_DEPTHS, chi, first, last, 2, num_resamples=200, seed=trial)
        held += [each.lower <= 0.55 <= each.upper for each in found]
        assert found.tau.value == power_law(FEW_DEPTHS, chi, first, last, 2).tau
        assert found.tau.lower < found.tau.value < found.tau.upper
    # 95 of 100, with a standard error of 2.2; percentile intervals of 40 realizations are a little short.
    assert (held >= 86).all()
    assert (held < 100).any()


def test_intervals_depend_on_the_seed_alone():
    arrays = (FEW_DEPTHS, *draw_realizations(np.random.default_rng(0)), 2)
    assert bootstrap_power_law(*arrays, seed=1) == bootstrap_power_law(*arrays, seed=1)
    assert bootstrap_power_law(*arrays, seed=1) != bootstrap_power_law(*arrays, seed=2)


def test_the_slope_is_that_of_the_deeper_half():
    chi = np.tile(0.5 * np.log(np.maximum(FEW_DEPTHS, 100)), (2, 1))
    found = bootstrap_power_law(FEW_DEPTHS, chi, chi, chi, 2)
    assert found.slope.value == pytest.approx(0.5)
    # Where one depth is in the deeper half, the one before it counts too.
    found = bootstrap_power_law(np.array([1.0, 10.0]), chi[:, [8, 19]], chi[:, :2], chi[:, :2], 2)
    assert found.slope.value == pytest.approx(np.log(2) / 2 / np.log(10))


def test_sensitivities_beyond_float64_are_no_problem():
    chi, first, last = (each + 5000 for each in draw_realizations(np.random.default_rng(0)))
    found = bootstrap_power_law(FEW_DEPTHS, chi, first, last, 2)
    assert found.slope.value == pytest.approx(0.55, abs=0.05)
    assert found.tau.is_bounded


FINE = {"depth": FEW_DEPTHS, **dict.fromkeys(("log_chi", "log_chi_first", "log_chi_last"), np.zeros((3, 20)))}


REFUSED = [
    ({"depth": FEW_DEPTHS[:4]}, "one shape"),
    ({"log_chi": np.zeros(20)}, "one shape"),
    ({"log_chi_last": np.zeros((3, 19))}, "one shape"),
    ({"log_chi": np.full((3, 20), np.nan)}, "finite"),
    ({"res_depth": 0}, "res_depth"),
    ({"num_resamples": 0}, "num_resamples"),
    ({"seed": -1}, "seed"),
    ({name: array[:1] for name, array in FINE.items() if name != "depth"}, "at least 2 realizations"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_bad_arrays_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received: "):
        bootstrap_power_law(**{**FINE, "res_depth": 2, **changes})
