"""Verdicts on networks whose law is known and on borderline cases, and what must not matter for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns import diagnose
from moments_dnns.analysis.verdicts import (
    CONSTANT,
    EXPLODING,
    ONE_DIMENSIONAL,
    OUTLIERS,
    UNDECIDED,
    VANISHING,
    VANISHING_SIGNAL,
    WELL_BEHAVED,
)
from tests.support.networks import BORDERLINE, CASES, DEPTH, SHORT, exponential, network, power, wandering


def test_numbers_of_an_exponential():
    found = diagnose(network(exponential(0.2), spread=0))
    assert found.verdicts == (EXPLODING,)
    assert found.law == "exponential"
    assert found.growth.rate.value == pytest.approx(0.2)
    assert found.to_dict()["growth"]["decibels"]["value"] == pytest.approx(20 * np.log10(np.exp(0.2)))
    # ln chi = rate l has the exponent rate l, over a third of the depths about that at its middle.
    assert found.growth.exponent_middle.value == pytest.approx(0.2 * 100, rel=0.04)
    assert found.growth.exponent_end.value == pytest.approx(0.2 * 168, rel=0.04)
    assert found.growth.excess.value > 0


@pytest.mark.parametrize("exponent", [0.55, 1.65, 3.0])
def test_numbers_of_a_power_law(exponent):
    found = diagnose(network(power(exponent), spread=0))
    # From depth 2 to 200, chi^2 grows by 100^(2 exponent): a power of 3 is beyond 16 depth scales, as an explosion is.
    assert found.depth_scales.value == pytest.approx(2 * exponent * np.log(100))
    assert found.verdicts == ((EXPLODING,) if exponent > 16 / np.log(1e4) else (WELL_BEHAVED,))
    assert found.trainable == (found.verdicts == (WELL_BEHAVED,))
    assert found.law == "power law"
    for name in ("exponent", "exponent_middle", "exponent_end"):
        assert getattr(found.growth, name).value == pytest.approx(exponent)
    assert found.growth.excess.value < 0
    assert f"depth to the power {exponent:g}" in str(found)


@pytest.mark.parametrize(
    "log_chi", [lambda depth: 0 * depth, lambda depth: -np.log(depth), lambda depth: 2 - 2 / depth]
)
def test_bounded_sensitivity_is_well_behaved(log_chi):
    found = diagnose(network(log_chi))
    assert (found.verdicts, found.law) == ((WELL_BEHAVED,), "bounded")


def test_nothing_overflows():
    found = diagnose(network(exponential(50.0)))  # chi = exp(10,000)
    assert found.verdicts == (EXPLODING,)
    assert found.growth.rate.value == pytest.approx(50, rel=1e-3)


FALLEN = {"mu4_signal_loc3": np.geomspace(3, 100, 100), "reff_signal_loc4": np.linspace(30, 2, 100)}


RANKS = [
    # effective rank over depth, kurtosis over depth, verdicts beside a power law
    (np.full(100, 15.0), np.full(100, 3.5), (WELL_BEHAVED,)),
    (1 + 20 / DEPTH**1.5, np.full(100, 3.5), (ONE_DIMENSIONAL,)),
    (2.1 - 0.1 * DEPTH / 200, np.geomspace(3, 100, 100), (OUTLIERS,)),
    (1 + 20 / DEPTH**1.5, np.geomspace(3, 100, 100), (ONE_DIMENSIONAL, OUTLIERS)),
    (np.full(100, 15.0), np.geomspace(3, 100, 100), (WELL_BEHAVED,)),  # heavy tails in many directions
    (np.full(100, 2.1), np.full(100, 50.0), (WELL_BEHAVED,)),  # outliers that the images brought
    (60 / DEPTH**0.6, np.full(100, 3.5), (UNDECIDED,)),  # 2.5 at the end, and falling
]


@pytest.mark.parametrize(("ranks", "kurtosis", "verdicts"), RANKS)
def test_signals(ranks, kurtosis, verdicts):
    signal = {"reff_signal_loc4": ranks, "mu4_signal_loc3": kurtosis}
    assert diagnose(network(power(0.5), **signal)).verdicts == verdicts
    exploding = tuple(verdict for verdict in verdicts if verdict not in (WELL_BEHAVED, UNDECIDED))
    assert diagnose(network(exponential(0.2), **signal)).verdicts == (EXPLODING, *exploding)


@pytest.mark.parametrize(
    ("log_chi", "depth", "verdict"),
    [
        # 16 depth scales, whatever the law and the number of depths.
        (exponential(0.2), np.arange(1.0, 38), WELL_BEHAVED),
        (exponential(0.2), np.arange(1.0, 46), EXPLODING),
        (exponential(-0.2), np.arange(1.0, 38), WELL_BEHAVED),
        (exponential(-0.2), np.arange(1.0, 46), VANISHING),
        (exponential(2.0), np.array([1.0, 2.0]), WELL_BEHAVED),
        (exponential(9.0), np.array([1.0, 2.0]), EXPLODING),
        (power(1.5), DEPTH, WELL_BEHAVED),
        (power(2.5), DEPTH, EXPLODING),
    ],
)
def test_the_depth_counts_in_units_of_the_network(log_chi, depth, verdict):
    found = diagnose(network(log_chi, depth, spread=0.001))
    assert found.verdicts == (verdict,)
    assert found.trainable == (verdict == WELL_BEHAVED)
    assert found.depth_scales.value == pytest.approx(2 * (log_chi(depth[-1]) - log_chi(depth[0])), abs=0.01)


@pytest.mark.parametrize(("share", "verdict"), [(1e-5, WELL_BEHAVED), (3e-6, CONSTANT)])
def test_a_signal_that_does_not_depend_on_the_input(share, verdict):
    """nu2 = mean^2 + mu2, at the place of the end."""
    moments = network(power(0.5), nu2_signal_loc4=4.0, mu2_signal_loc4=np.geomspace(2, 4 * share, 100))
    found = diagnose(moments)
    assert (found.verdicts, found.trainable) == ((verdict,), verdict == WELL_BEHAVED)
    assert found.variation.value == pytest.approx(np.log(share))


@pytest.mark.parametrize(("deviation", "verdict"), [(2e-4, WELL_BEHAVED), (5e-5, VANISHING_SIGNAL)])
def test_a_signal_that_is_drowned_by_the_first_step_of_training(deviation, verdict):
    found = diagnose(network(power(0.5), mu2_signal_loc4=np.geomspace(1, deviation**2, 100)))
    assert (found.verdicts, found.trainable) == ((verdict,), verdict == WELL_BEHAVED)
    assert np.exp(found.variance.value / 2) == pytest.approx(deviation)


def test_outliers_are_looked_for_where_the_signal_is_normalized():
    signal = {"reff_signal_loc4": 2.1, "mu4_signal_loc2": np.geomspace(3, 100, 100), "mu2_signal_loc2": 4.0}
    assert diagnose(network(power(0.5), **signal)).kurtosis is None
    signal |= {"mu4_signal_loc3": np.geomspace(3, 90, 100) * 0.95**2, "mu2_signal_loc3": 0.95}
    found = diagnose(network(power(0.5), **signal))
    assert found.kurtosis.value == pytest.approx(90)
    assert found.kurtosis_growth.value == pytest.approx(np.log(30))
    assert found.verdicts == (OUTLIERS,)


@pytest.mark.parametrize(("moments", "missing"), BORDERLINE)
def test_borderline_networks_are_not_decided(moments, missing):
    found = diagnose(moments)
    assert found.verdicts == (UNDECIDED,)
    assert any(any(words in said for words in missing.split("|")) for said in found.missing), found.missing
    assert UNDECIDED in str(found)


def test_more_realizations_decide():
    few, many = (diagnose(wandering(exponential(0.05), DEPTH, number, 0.3)) for number in (4, 200))
    assert few.verdicts == (UNDECIDED,)
    assert few.trainable is None
    assert many.verdicts == (EXPLODING,)
    assert many.law == "exponential"


@pytest.mark.parametrize("num_realizations", [4, 10, 40])
def test_power_laws_are_rarely_called_exponential(num_realizations):
    """Of 400 networks that follow a power, with noise as strong as the growth, 2.5 % may go wrong by the interval."""
    wrong = sum(
        diagnose(wandering(power(2.5), SHORT, num_realizations, 0.3, seed)).law == "exponential" for seed in range(400)
    )
    assert wrong <= 0.025 * 400 + 3 * np.sqrt(0.025 * 0.975 * 400)


@given(st.sampled_from(range(len(CASES))), st.floats(-300, 300))
def test_the_scale_of_chi_does_not_matter(case, log_scale):
    moments = CASES[case]
    scaled = {name: array + log_scale if "log_chi" in name else array for name, array in moments.items()}
    before, after = diagnose(moments), diagnose(scaled)
    assert before.verdicts == after.verdicts
    assert before.law == after.law
    assert before.growth.rate.value == pytest.approx(after.growth.rate.value, abs=1e-10)


@given(st.sampled_from(range(len(CASES))), st.randoms(use_true_random=False))
def test_the_order_of_realizations_does_not_matter(case, random):
    moments = CASES[case]
    order = list(range(len(moments["log_chi_loc4" if "log_chi_loc4" in moments else "log_chi_loc3"])))
    random.shuffle(order)
    shuffled = {name: array[order] if np.ndim(array) == 2 else array for name, array in moments.items()}
    assert diagnose(moments) == diagnose(shuffled)


def test_names_of_the_same_numbers_do_not_matter():
    log_chi = network(power(0.5))["log_chi_loc4"]
    signal = np.random.default_rng(1).uniform(0.5, 2, log_chi.shape)
    noise = 2 * log_chi + np.log(signal)
    found = [
        diagnose({**each, "depth": DEPTH})
        for each in (
            {"chi_loc4": np.exp(log_chi)},
            {"log_mu2_noise_loc4": noise, "mu2_signal_loc4": signal},
            {"mu2_noise_loc4": np.exp(noise), "mu2_signal_loc4": signal},
        )
    ]
    expected = diagnose({"log_chi_loc4": log_chi, "depth": DEPTH}).growth.exponent
    assert [each.growth.exponent.value for each in found] == pytest.approx([expected.value] * 3)
    assert [each.growth.exponent.upper for each in found] == pytest.approx([expected.upper] * 3)
