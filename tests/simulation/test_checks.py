"""Checks 1 to 12 of the science, over architectures, boundaries and the fully connected case.

Moments are natural logarithms here: factors become shifts, relative errors differences. Batch normalization has
`epsilon=0`, for which the exact statements hold. Check 11 compares layers of a network: see test_network.
"""

import functools
import math

import attrs
import numpy as np
import pytest

from moments_dnns.descriptions.boundaries import BOUNDARIES
from moments_dnns.layers.activation import Activation
from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.core import Add, InitialState, Rescaling
from moments_dnns.moments import MOMENTS, split_name
from moments_dnns.simulation.blocks import Block
from tests.support.cases import (
    BATCH,
    BATCH_NORM_CASES,
    CASES,
    LAYERS,
    SIDE,
    VANILLA_CASES,
    WIDTH,
    assert_close,
    draw_inputs,
    draw_kernels,
    draw_network_kernels,
    draw_state,
    make_experiment,
    make_state,
    propagate,
    through,
    true,
)

every_case, every_vanilla_case, every_batch_norm_case = map(through, (CASES, VANILLA_CASES, BATCH_NORM_CASES))

# Rounding differs between the two runs of a check, and LAYERS layers amplify that.
SIGNAL, NOISE = 2e-5, 1e-4


@functools.cache
def setting(architecture, geometry):
    """An experiment, its images and noise, the kernels of all its layers, and the moments that these lead to."""
    experiment = make_experiment(architecture, geometry, epsilon=0.0)
    images, noise, _ = draw_inputs(experiment)
    kernels = draw_network_kernels(experiment)
    return experiment, images, noise, kernels, propagate(experiment, images, noise, kernels)


def of_noise(name):
    return MOMENTS[split_name(name)[0]].of == "noise"


def assert_shifted(moments, reference, shift=lambda moment: 0.0, names=None, slack=1.0):
    """Assert that every moment is the reference's plus `shift(name of the moment)`."""
    for name in reference if names is None else names:
        np.testing.assert_allclose(
            moments[name],
            reference[name] + shift(split_name(name)[0]),
            rtol=0,
            atol=(NOISE if of_noise(name) else SIGNAL) * slack,
            err_msg=name,
        )


def places_of_batch_norm(experiment):
    """The places after batch normalization in a layer, as far as the addition of the skip branch."""
    steps = [step.name for step in experiment.structure.steps]
    return experiment.structure.places[steps.index("batch_norm") + 1 : len(steps) + 1]


# --- 1, 2: the noise is linear, and the signal does not know of it ---------------------------------------------------


@every_case
@pytest.mark.parametrize("factor", [-3.7, 1e-30, 1e30])
def test_check_1_scaled_noise(architecture, geometry, factor):
    experiment, images, noise, kernels, reference = setting(architecture, geometry)
    moments = propagate(experiment, images, np.float32(factor) * noise, kernels)
    for name in reference:
        if not of_noise(name):
            assert np.array_equal(moments[name], reference[name]), name
    shift = {"log_mu2_noise": 2 * math.log(abs(factor))}
    assert_shifted(moments, reference, lambda moment: shift.get(moment, 0.0))


@every_case
def test_check_2_superposed_noises(architecture, geometry):
    experiment = make_experiment(architecture, geometry)
    state, kernels, block = draw_state(experiment), draw_kernels(experiment), Block(experiment)
    one, other = np.random.default_rng(1).normal(size=(2, *state.noise.shape)).astype("float32")
    noises = [one, other, one - np.float32(2.5) * other]
    runs = [block(make_state(state.signal, dx, state.log_signal), kernels=kernels) for dx in noises]
    for states in zip(*runs, strict=True):
        signals, noises = zip(*map(true, states), strict=True)
        assert np.array_equal(signals[0], signals[1])
        assert np.array_equal(signals[0], signals[2])
        assert_close(noises[2], noises[0] - 2.5 * noises[1], 1e-5)


@every_case
def test_check_2_the_signal_does_not_depend_on_the_noise(architecture, geometry):
    experiment, images, noise, kernels, reference = setting(architecture, geometry)
    moments = propagate(experiment, images, noise[::-1] ** 3, kernels)
    for name in reference:
        assert np.array_equal(moments[name], reference[name]) != of_noise(name), name


# --- 3: symmetries of the points -------------------------------------------------------------------------------------


@every_case
def test_check_3_permuted_batch(architecture, geometry):
    experiment, images, noise, kernels, reference = setting(architecture, geometry)
    order = np.random.default_rng(1).permutation(BATCH)
    assert_shifted(propagate(experiment, images[order], noise[order], kernels), reference)


@through([case for case in CASES if case[1] != "fully_connected"])
def test_check_3_rolled_space(architecture, geometry):
    """By multiples of the first stride; only periodic boundaries have that symmetry."""
    experiment, images, noise, kernels, reference = setting(architecture, geometry)
    rolled = propagate(experiment, *(np.roll(x, (2, -4), axis=(1, 2)) for x in (images, noise)), kernels)
    if BOUNDARIES[experiment.boundary].periodic:
        assert_shifted(rolled, reference)
    else:
        assert max(np.abs(rolled[name] - reference[name]).max() for name in reference) > 1e-2


@pytest.mark.parametrize("architecture", ["vanilla", "bn_ff", "bn_res"])
def test_displaced_kernels_change_residual_networks_only(architecture):
    """They displace the images of a feedforward network as a whole, but a branch against its skip connection.

    The stride of the first convolution lets no other displacement of the images pass than its own.
    """
    experiment, images, noise, kernels, _ = setting(architecture, "periodic")
    displaced = propagate(attrs.evolve(experiment, boundary="periodic_one_sided"), images, noise, kernels)
    expected = propagate(experiment, *(np.roll(x, (1, 1), axis=(1, 2)) for x in (images, noise)), kernels)
    if architecture == "bn_res":
        first_unit = [name for name in expected if split_name(name)[1] != "loc5"]
        for name in first_unit:
            np.testing.assert_allclose(displaced[name][0], expected[name][0], rtol=0, atol=NOISE, err_msg=name)
        assert np.abs(displaced["log_mu2_noise_loc5"] - expected["log_mu2_noise_loc5"]).min() > 1e-3
    else:
        assert_shifted(displaced, expected)


# --- 4, 5: vanilla networks are homogeneous ----------------------------------------------------------------------


@every_vanilla_case
@pytest.mark.parametrize("factor", [3.7, 1e-20, 1e20])
def test_check_4_scaled_signal(architecture, geometry, factor):
    """Hence chi, the noise over the signal, is divided by the factor."""
    experiment, images, noise, kernels, reference = setting(architecture, geometry)
    shift = {"nu1_abs_signal": 1, "nu2_signal": 2, "mu2_signal": 2, "mu4_signal": 4}
    assert_shifted(
        propagate(experiment, np.float32(factor) * images, noise, kernels),
        reference,
        lambda moment: shift.get(moment, 0) * math.log(factor),
        slack=1 if factor == 3.7 else 5,
    )


@every_vanilla_case
def test_check_5_euler_identity(architecture, geometry):
    """With the signal for a noise, the noise stays the signal, hence chi**2 = nu2 / mu2."""
    experiment, images, _, kernels, _ = setting(architecture, geometry)
    states = Block(experiment)(
        InitialState()(images[..., :1].repeat(WIDTH, -1), images[..., :1].repeat(WIDTH, -1)), kernels=kernels[1]
    )
    for signal, noise in map(true, states):
        assert_close(noise, signal, 1e-6)
    moments = propagate(experiment, images, images, kernels)
    for place in experiment.structure.places:
        np.testing.assert_allclose(moments[f"log_mu2_noise_{place}"], moments[f"nu2_signal_{place}"], atol=2e-6)


# --- 6: the noise is the tangent -----------------------------------------------------------------------------------

STEPS = {
    "rectifier": lambda experiment, state, kernel: Activation()(state),
    "convolution": lambda experiment, state, kernel: Convolution(
        WIDTH, experiment.kernel_size, boundary=experiment.boundary
    )(state, kernel=kernel),
    "strided convolution": lambda experiment, state, kernel: Convolution(
        WIDTH, experiment.kernel_size, 2, experiment.boundary
    )(state, kernel=kernel),
    "addition": lambda experiment, state, kernel: Add()([state, Activation()(state)]),
    "rescaling": lambda experiment, state, kernel: Rescaling()(state),
}


@every_vanilla_case
@pytest.mark.parametrize("step", STEPS)
def test_check_6_small_steps(architecture, geometry, step):
    """All steps are piecewise linear: away from the kinks a step of any size gives the tangent, up to rounding."""
    experiment = make_experiment(architecture, geometry)
    state, kernel = draw_state(experiment), draw_kernels(experiment)[0]
    signal, noise = np.asarray(state.signal), np.clip(np.asarray(state.noise), -1, 1)
    # The size of the step, and signals that are further from 0 than it.
    t = 2.0**-4
    signal = signal + np.sign(signal) * t
    start = STEPS[step](experiment, make_state(signal, noise), kernel)
    end = STEPS[step](experiment, make_state(signal + t * noise, noise), kernel)
    assert_close((true(end)[0] - true(start)[0]) / t, true(start)[1], 5e-5)


# --- 7, 8, 9, 10: batch normalization and the rectifier --------------------------------------------------------------


@every_batch_norm_case
@pytest.mark.parametrize("factor", [3.7, 1e-20, 1e20])
def test_check_7_scaled_images(architecture, geometry, factor):
    """Batch normalization takes the scale out; what is left of it is that the noise was not scaled along."""
    experiment, images, noise, kernels, reference = setting(architecture, geometry)
    moments = propagate(experiment, np.float32(factor) * images, noise, kernels)
    shift = {"log_mu2_noise": -2 * math.log(factor)}
    # The skip branch of a residual unit goes around batch normalization, with the scale.
    layers = slice(None, 1) if experiment.structure.residual else slice(None)
    after = [name for name in reference if split_name(name)[1] in places_of_batch_norm(experiment)]
    assert_shifted(
        {name: moments[name][layers] for name in after},
        {name: reference[name][layers] for name in after},
        lambda moment: shift.get(moment, 0.0),
    )


@every_batch_norm_case
def test_check_7_scaled_kernels(architecture, geometry):
    """The kernel before a batch normalization: of the first convolution, and one inside the last layer."""
    experiment, images, noise, kernels, reference = setting(architecture, geometry)
    residual = experiment.structure.residual
    first = propagate(experiment, images, noise, [np.float32(3.7) * kernels[0], *kernels[1:]])
    after = [name for name in reference if split_name(name)[1] in places_of_batch_norm(experiment)]
    layers = slice(None, 1) if residual else slice(None)
    assert_shifted({name: first[name][layers] for name in after}, {name: reference[name][layers] for name in after})
    inside = propagate(experiment, images, noise, [*kernels[:-1], [np.float32(3.7) * kernels[-1][0], *kernels[-1][1:]]])
    last = [
        name
        for name in reference
        if split_name(name)[1] in (experiment.structure.places[-1:] if residual else experiment.structure.places[2:])
    ]
    assert_shifted(inside, reference, names=last)


@every_batch_norm_case
def test_check_7_added_constants(architecture, geometry):
    """Only zero padding lets a constant be told from nothing; elsewhere it ends at the next batch normalization."""
    experiment, images, noise, kernels, reference = setting(architecture, geometry)
    constants = np.random.default_rng(1).normal(size=images.shape[-1]).astype("float32")
    moments = propagate(experiment, images + constants, noise, kernels)
    after = [name for name in reference if split_name(name)[1] in places_of_batch_norm(experiment)]
    if geometry == "zero_padding":
        assert max(np.abs(moments[name] - reference[name]).max() for name in after) > 1e-2
    else:
        assert_shifted(moments, reference, names=after)
        assert_shifted(moments, reference, names=[name for name in reference if of_noise(name)])


@every_batch_norm_case
@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 10.0])
def test_check_8_channels_after_batch_norm(architecture, geometry, epsilon):
    experiment = make_experiment(architecture, geometry, epsilon=epsilon)
    states = Block(experiment)(draw_state(experiment), kernels=draw_kernels(experiment))
    place = [step.name for step in experiment.structure.steps].index("batch_norm")
    (y, dy), (z, dz) = true(states[place]), true(states[place + 1])
    points = (0, 1, 2)
    variance = y.var(axis=points)
    np.testing.assert_allclose(z.mean(axis=points), 0, atol=1e-6)
    np.testing.assert_allclose(z.var(axis=points), variance / (variance + epsilon), rtol=1e-5)
    np.testing.assert_allclose((dz**2).mean(axis=points), (dy**2).mean(axis=points) / (variance + epsilon), rtol=1e-5)


@every_batch_norm_case
def test_check_9_the_rectifier_halves_what_is_centred(architecture, geometry):
    experiment, *_, moments = setting(architecture, geometry)
    after = experiment.structure.activated_places[0]
    before = experiment.structure.places[experiment.structure.places.index(after) - 1]
    np.testing.assert_allclose(
        moments[f"nu1_abs_signal_{after}"], moments[f"nu1_abs_signal_{before}"] - math.log(2), rtol=0, atol=1e-5
    )


@every_case
def test_check_10_flipped_kernel(architecture, geometry):
    """What a rectifier drops for a kernel it lets through for the opposite one, of the signal and of the noise."""
    experiment, images, noise, kernels, one = setting(architecture, geometry)
    # The last kernel before the first rectifier; a residual unit begins with that, hence the first convolution's.
    flipped = (
        [-kernels[0], *kernels[1:]] if experiment.structure.residual else [kernels[0], [-kernels[1][0]], *kernels[2:]]
    )
    other = propagate(experiment, images, noise, flipped)
    after = experiment.structure.activated_places[0]
    before = experiment.structure.places[experiment.structure.places.index(after) - 1]
    for moment in ("nu2_signal", "log_mu2_noise"):
        total = np.logaddexp(one[f"{moment}_{after}"][0], other[f"{moment}_{after}"][0])
        assert total == pytest.approx(one[f"{moment}_{before}"][0], rel=0, abs=1e-5)


# --- 12: bounds ------------------------------------------------------------------------------------------------------


@every_case
def test_check_12_bounds(architecture, geometry):
    experiment, *_, logarithms = setting(architecture, geometry)
    points = BATCH if experiment.fully_connected else BATCH * (SIDE // 2) ** 2
    moments = {name: np.exp(values) for name, values in logarithms.items()}
    rounding = 1e-5
    for of in ("signal", "noise"):
        ranks = moments[f"reff_{of}_{experiment.structure.activated_places[0]}"]
        assert len(ranks) == LAYERS
        assert ((ranks >= 1) & (ranks <= min(WIDTH, points - 1) * (1 + rounding))).all()
    if architecture != "vanilla":
        normalized = places_of_batch_norm(experiment)[0]
        nu1, mu4 = moments[f"nu1_abs_signal_{normalized}"], moments[f"mu4_signal_{normalized}"]
        assert ((math.sqrt(2 / points) * (1 - rounding) <= nu1) & (nu1 <= 1 + rounding)).all()
        assert ((1 - rounding <= mu4) & (mu4 <= points * (1 + rounding))).all()
        np.testing.assert_allclose(moments[f"mu2_signal_{normalized}"], 1, rtol=rounding)
