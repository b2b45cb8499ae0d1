"""One block from a given state, whole networks layer by layer, and the smallest and deepest of them."""

import math

import keras
import numpy as np
import pytest

from moments_dnns.layers.convolution import Convolution
from moments_dnns.moments import MOMENTS, from_logarithms, split_name
from moments_dnns.simulation.blocks import Block
from moments_dnns.simulation.network import build_network, num_seeds
from tests.support import oracle
from tests.support.cases import (
    BATCH,
    CASES,
    GEOMETRIES,
    LAYERS,
    assert_close,
    block_moments,
    draw_inputs,
    draw_kernels,
    draw_state,
    image_shape,
    make_experiment,
    network,
    realize,
    true,
)

backend = pytest.mark.backend

TOLERANCES = {name: 1e-5 if moment.of == "signal" and moment.power else 1e-4 for name, moment in MOMENTS.items()}


def assert_moments_close(names, logarithms, expected, scale=1.0):
    """Compare with the oracle's moments by name, at `scale` times the tolerances of one block."""
    moments = from_logarithms(names, logarithms)
    assert list(moments) == list(expected)
    for name, value in expected.items():
        moment = split_name(name)[0]
        relative = not MOMENTS[moment].logarithm
        tolerance = TOLERANCES[moment] * scale
        assert moments[name] == pytest.approx(
            value, rel=tolerance if relative else 0, abs=0 if relative else tolerance
        ), name


# --- one block -----------------------------------------------------------------------------------------------------

BLOCKS = [(*case, 2) for case in CASES] + [("bn_res", geometry, depth) for geometry in GEOMETRIES for depth in (1, 3)]


@backend
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize(("architecture", "geometry", "res_depth"), BLOCKS)
def test_one_block_from_a_given_state(architecture, geometry, res_depth, epsilon):
    experiment = make_experiment(architecture, geometry, res_depth=res_depth, epsilon=epsilon)
    state, kernels = draw_state(experiment), draw_kernels(experiment)
    states = Block(experiment)(state, kernels=kernels)
    expected = oracle.layer(architecture, true(state), kernels, experiment.boundary, epsilon)
    assert len(states) == len(expected) == len(experiment.structure.places)
    for one, other in zip(states, expected, strict=True):
        assert_close(true(one)[0], other[0], 1e-5)
        assert_close(true(one)[1], other[1], 1e-4)
    logarithms = keras.ops.convert_to_numpy(block_moments(experiment, states))
    assert_moments_close(experiment.array_names, logarithms, oracle.layer_moments(architecture, expected))
    # The noise may grow exponentially in any network, the signal only where it is not normalized.
    rescaled = [states[-1].noise] if experiment.structure.normalized else [states[-1].signal, states[-1].noise]
    for x in rescaled:
        assert float(keras.ops.mean(keras.ops.square(x))) == pytest.approx(1, rel=1e-5)


# --- networks ------------------------------------------------------------------------------------------------------

# Each architecture and each geometry at least once: a compilation costs seconds.
NETWORKS = [
    ("vanilla", "periodic", {}),
    ("bn_ff", "zero_padding", {}),
    ("bn_res", "symmetric", {"res_depth": 3}),
    ("vanilla", "fully_connected", {"total_depth": 6, "num_computations": 2}),
    ("bn_ff", "fully_connected", {"compute_reff_signal": False}),
    ("bn_res", "fully_connected", {"total_depth": 4, "num_computations": 2, "compute_reff_noise": False}),
]
networks = pytest.mark.parametrize(("architecture", "geometry", "changes"), NETWORKS)
every_layer = pytest.mark.parametrize(
    ("architecture", "geometry", "changes"), [row for row in NETWORKS if "total_depth" not in row[2]]
)


def oracle_of_network(experiment, images, noise, seeds):
    """The moments at the measured layers, from the kernels that the seeds draw."""

    def draw(seed, input_channels, gain):
        layer = Convolution(experiment.num_channels, experiment.kernel_size, gain=gain)
        return np.asarray(layer.draw_kernel(seed, input_channels))

    first = draw(seeds[0], images.shape[-1], 1.0)
    state = oracle.convolution((images, noise), first, experiment.boundary, 1 if experiment.fully_connected else 2)
    per_layer = experiment.kernels_per_layer
    layers = []
    for index in range(experiment.total_depth):
        own = seeds[1 + index * per_layer :][:per_layer]
        kernels = [draw(seed, experiment.num_channels, 2.0) for seed in own]
        states = oracle.layer(experiment.architecture, state, kernels, experiment.boundary, experiment.epsilon)
        layers.append(oracle.layer_moments(experiment.architecture, states))
        state = states[-1]
    return [layers[depth - 1] for depth in experiment.depth]


@backend
@networks
def test_network(architecture, geometry, changes):
    """Rounding grows with depth, hence ten times the tolerances of one block."""
    experiment = make_experiment(architecture, geometry, **changes)
    inputs = draw_inputs(experiment)
    table = network(experiment).predict_on_batch(list(inputs))
    assert table.shape == (experiment.num_computations, len(experiment.array_names))
    for row, expected in zip(table, oracle_of_network(experiment, *inputs), strict=True):
        expected = {name: expected[name] for name in experiment.array_names}
        assert_moments_close(experiment.array_names, row, expected, scale=10)


@backend
@every_layer
def test_the_first_place_is_the_last_of_the_layer_before(architecture, geometry, changes):
    """Check 11."""
    experiment = make_experiment(architecture, geometry, **changes)
    moments = realize(experiment, *draw_inputs(experiment))
    for name in experiment.moments_at("loc1"):
        last = moments[f"{name}_{experiment.structure.places[-1]}"]
        np.testing.assert_allclose(moments[f"{name}_loc1"][1:], last[:-1], rtol=0, atol=2e-6)


@backend
@networks
def test_a_call_is_a_fresh_network_decided_by_its_inputs(architecture, geometry, changes):
    experiment = make_experiment(architecture, geometry, **changes)
    images, noise, seeds = draw_inputs(experiment)
    table = network(experiment).predict_on_batch([images, noise, seeds])
    others = network(experiment).predict_on_batch([images, noise, seeds[::-1].copy()])
    assert np.array_equal(network(experiment).predict_on_batch([images, noise, seeds]), table)
    assert (np.abs(others - table).max(axis=-1) > 1e-3).all()


@backend
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize(("architecture", "geometry", "changes"), NETWORKS[2:3])
def test_a_network_is_saved_and_loaded(architecture, geometry, changes, tmp_path):
    experiment = make_experiment(architecture, geometry, **changes)
    model, inputs = network(experiment), list(draw_inputs(experiment))
    lines = []
    model.summary(line_length=200, print_fn=lines.append)
    assert "Propagation" in "".join(lines)
    assert "Total params: 0" in "".join(lines)
    model.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert np.array_equal(loaded.predict_on_batch(inputs), model.predict_on_batch(inputs))


def test_seeds_are_one_for_each_kernel():
    assert num_seeds(make_experiment("vanilla", "periodic")) == 1 + LAYERS
    assert num_seeds(make_experiment("bn_res", "periodic", res_depth=3)) == 1 + 3 * LAYERS


def test_how_often_moments_are_taken_does_not_change_them():
    experiments = [
        make_experiment(
            "bn_res",
            "fully_connected",
            total_depth=6,
            num_computations=number,
            compute_reff_signal=False,
            compute_reff_noise=False,
        )
        for number in (6, 3, 1)
    ]
    every, some, one = (realize(experiment, *draw_inputs(experiments[0])) for experiment in experiments)
    for name, values in every.items():
        np.testing.assert_allclose(some[name], values[1::2], rtol=0, atol=1e-4)
        np.testing.assert_allclose(one[name], values[5:], rtol=0, atol=1e-4)


def test_the_ranks_asked_for_are_the_ranks_taken():
    ranks = {name for name in realize(*tiny("bn_ff", compute_reff_signal=True)) if name.startswith("reff")}
    assert ranks == {"reff_signal_loc4"}


# --- the smallest and the deepest ----------------------------------------------------------------------------------


def tiny(architecture, geometry="fully_connected", **changes):
    """An experiment of one layer, without effective ranks by default, and its inputs."""
    experiment = make_experiment(
        architecture,
        geometry,
        **{
            "total_depth": 1,
            "num_computations": 1,
            "compute_reff_signal": False,
            "compute_reff_noise": False,
            **changes,
        },
    )
    return experiment, *draw_inputs(experiment)


def test_a_deep_and_narrow_vanilla_network_stays_finite():
    experiment, *inputs = tiny("vanilla", "periodic", total_depth=600, num_channels=16, num_computations=6)
    moments = realize(experiment, *inputs)
    assert all(np.isfinite(values).all() for values in moments.values())
    # A float32 signal of this size would have underflowed.
    assert moments["nu2_signal_loc3"][-1] < -30


@pytest.mark.parametrize("architecture", ["vanilla", "bn_ff", "bn_res"])
def test_one_layer_of_width_one(architecture):
    experiment, *inputs = tiny(architecture, num_channels=1, epsilon=0.0, compute_reff_signal=True)
    moments = realize(experiment, *inputs)
    expected = oracle_of_network(experiment, *inputs)[0]
    assert moments[f"reff_signal_{experiment.structure.activated_places[0]}"] == pytest.approx([0], abs=1e-6)
    for name, values in moments.items():
        expected_logarithm = expected[name] if name.startswith("log") else np.log(expected[name])
        assert values == pytest.approx([expected_logarithm], abs=1e-4), name


@pytest.mark.parametrize("architecture", ["bn_ff", "bn_res"])
def test_a_batch_of_two_points_normalized_without_epsilon(architecture):
    """Two points of variance 1 are -1 and 1."""
    experiment, *inputs = tiny(architecture, batch_size=2, epsilon=0.0, total_depth=3, num_computations=3)
    moments = realize(experiment, *inputs)
    after = [step.name for step in experiment.structure.steps].index("batch_norm") + 2
    for moment in ("nu1_abs_signal", "nu2_signal", "mu2_signal", "mu4_signal"):
        np.testing.assert_allclose(moments[f"{moment}_loc{after}"], 0, atol=1e-5)
    assert all(np.isfinite(values).all() for values in moments.values())


@pytest.mark.parametrize(
    ("architecture", "epsilon"), [("vanilla", 0.0), ("bn_ff", 0.0), ("bn_ff", 1e-3), ("bn_res", 0.0), ("bn_res", 1e-3)]
)
def test_images_without_variation(architecture, epsilon):
    """Standardized, they are all zero: there is no signal, but the noise passes wherever it is linear."""
    experiment, images, noise, seeds = tiny(architecture, epsilon=epsilon, total_depth=2, num_computations=2)
    moments = realize(experiment, 0 * images, noise, seeds)
    for name, values in moments.items():
        assert not np.isnan(values).any()
        if "_signal" in name:
            assert (values == -math.inf).all()
    assert np.isfinite(moments["log_mu2_noise_loc1"][0])
    structure = experiment.structure
    assert (moments[f"log_mu2_noise_{structure.activated_places[0]}"] == -math.inf).all()
    # The skip branch carries the noise past the dead one.
    assert (
        np.isfinite(moments[f"log_mu2_noise_{experiment.structure.places[-1]}"]).all() == experiment.structure.residual
    )


def test_one_image_has_no_variance_to_normalize():
    experiment = make_experiment("bn_ff", "fully_connected", batch_size=1, epsilon=0.0)
    images, noise = np.random.default_rng(0).normal(size=(2, 1, *image_shape(experiment))).astype("float32")
    moments = realize(experiment, images, noise, np.arange(8, dtype="int32").reshape(-1, 2))
    assert not any(np.isnan(values).any() for values in moments.values())
    assert set(moments["mu2_signal_loc2"]) == set(moments["nu2_signal_loc3"]) == {-math.inf}


@backend
@pytest.mark.parametrize("architecture", ["vanilla", "bn_ff", "bn_res"])
def test_every_layer_of_a_network_is_built(architecture):
    """Where one is not, Keras on JAX runs the model a second time at every call, layer by layer."""
    experiment = make_experiment(architecture, "periodic")
    model = build_network(experiment, image_shape(experiment))
    assert [layer.name for layer in model._flatten_layers() if not layer.built] == []


def test_the_shapes_of_a_network():
    experiment = make_experiment("bn_ff", "periodic")
    model = build_network(experiment, image_shape(experiment))
    assert model.input_shape == [(BATCH, 8, 8, 3), (BATCH, 8, 8, 3), (1 + LAYERS, 2)]
    assert model.output_shape == (LAYERS, len(experiment.array_names))
