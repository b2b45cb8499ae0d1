"""Architectures of all kinds: units, transitions and networks against the oracle, and from a run to its figure."""

import attrs
import numpy as np
import pytest
from keras import ops

from moments_dnns import load_experiment, plot_architecture, prune_experiment, run_experiment
from moments_dnns.descriptions.architecture import Architecture
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.steps import Step, widths
from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.token_mixing import TokenMixing
from moments_dnns.layers.weights import draw_bias
from moments_dnns.moments import from_logarithms, split_name
from moments_dnns.simulation.blocks import Block, Transition
from moments_dnns.simulation.network import build_network, num_seeds
from tests.support import oracle
from tests.support.cases import assert_close, block_moments, draw_inputs, draw_state, make_experiment, network, true
from tests.support.units import UNITS, make_unit

backend = pytest.mark.backend


def drawn_by(layers, steps, base, seeds, points):
    """The kernels and biases that layers draw from their seeds, in order."""
    seeds, inputs = iter(seeds), base
    for layer, outputs in zip(layers, widths(steps, base)[1:], strict=True):
        if isinstance(layer, TokenMixing):
            layer, channels = Convolution(points, 1, **layer.options), points
        else:
            channels = inputs
        if isinstance(layer, Convolution):
            seed = next(seeds)
            bias = draw_bias(layer.num_channels, seed, layer.bias_variance) if layer.bias_variance else 0.0
            yield ops.convert_to_numpy(layer.draw_kernel(seed, channels)), np.asarray(ops.convert_to_numpy(bias))
        inputs = outputs


def options_of(experiment):
    return {name: getattr(experiment, name) for name in ("epsilon", "activation", "boundary", "statistics")}


def unit_by_oracle(experiment, state, seeds, stage=0):
    block = Block(experiment, stage)
    layers = [layer for repeat in block.steps for layer in repeat] + block.after
    steps, points = experiment.structure.layer_steps(experiment.res_depth), int(np.prod(state[0].shape[1:3]))
    base = experiment.structure.channels(experiment.num_channels)[stage]
    repeats = experiment.structure.num_repeats(experiment.res_depth)
    drawn = drawn_by(layers, steps, base, seeds, points)
    return oracle.unit(experiment.structure, state, drawn, repeats, **options_of(experiment))


def draw_seeds(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**31, (count, 2)).astype("int32")


# One of each structure on every backend; every step by itself is tested elsewhere.
EVERYWHERE = ("post-activation", "mixer", "biased")


@pytest.mark.parametrize("name", [pytest.param(name, marks=backend) if name in EVERYWHERE else name for name in UNITS])
def test_one_unit_against_the_oracle(name):
    """The oracle differentiates numerically, to 1e-8; ten layers of float32 are the rest."""
    experiment = make_unit(name)
    state, seeds = draw_state(experiment), draw_seeds(experiment.kernels_per_layer)
    states, expected = Block(experiment)(state, seeds=seeds), unit_by_oracle(experiment, true(state), seeds)
    assert len(states) == len(expected) == len(experiment.structure.places)
    for one, other in zip(states, expected, strict=True):
        assert_close(true(one)[0], other[0], 5e-5)
        assert_close(true(one)[1], other[1], 3e-4)
    found = from_logarithms(experiment.array_names, ops.convert_to_numpy(block_moments(experiment, states)))
    places = dict(zip(experiment.structure.places, map(oracle.moments, expected), strict=True))
    for array, value in found.items():
        moment, place = split_name(array)
        assert value == pytest.approx(places[place][moment], rel=1e-3, abs=1e-3), array
    assert {split_name(array)[1] for array in found if "reff" in array} == set(experiment.structure.activated_places)


@backend
@pytest.mark.parametrize("pool", ["average_pool", "max_pool"])
def test_transitions_against_the_oracle(pool):
    row = Architecture(["conv"], stages=2, transition=[Step("conv", width=2, strides=2), Step(pool, strides=2)])
    experiment = make_experiment(row, "periodic", total_depth=4, num_computations=4, bias_variance=0.2)
    state, seeds = draw_state(experiment), draw_seeds(1)
    layer = Transition(experiment, 0)
    drawn, expected = drawn_by(layer.steps, row.transition, 8, seeds, None), true(state)
    for step in row.transition:
        expected = oracle.step(step, expected, drawn, **options_of(experiment))
    found = layer(state, seeds=seeds)
    assert tuple(found.signal.shape) == (6, 1, 1, 16)
    assert_close(true(found)[0], expected[0], 1e-5)
    assert_close(true(found)[1], expected[1], 1e-5)


STAGED = Architecture(
    ["conv", "activation"], stages=2, transition=[Step("conv", kernel_size=3, width=2), Step("average_pool", strides=2)]
)


@backend
def test_a_network_in_stages_against_the_oracle():
    """Two layers of 4 x 4 points and 8 channels, then two of 2 x 2 points and 16 channels."""
    experiment = Experiment(STAGED, 4, 2, 8, 6, 1, num_computations=2, bias_variance=0.1, activation="silu")
    images, noise, seeds = draw_inputs(experiment)
    assert len(seeds) == num_seeds(experiment) == 1 + 4 + 1
    first = ops.convert_to_numpy(Convolution(8, 2, gain=1.0).draw_kernel(seeds[0], 3))
    state, expected = oracle.convolution((images, noise), first, "periodic", 2), []
    for stage, own in enumerate([seeds[1:3], seeds[3:5]]):
        if stage:
            layer = Transition(experiment, 0)
            drawn = drawn_by(layer.steps, STAGED.transition, 8, seeds[5:], None)
            for step in STAGED.transition:
                state = oracle.step(step, state, drawn, **options_of(experiment))
        for seed in own:
            places = unit_by_oracle(experiment, state, [seed], stage)
            state = places[-1]
        expected.append([oracle.moments(place) for place in places])
    table = network(experiment).predict_on_batch([images, noise, seeds])
    for row, moments in zip(table, expected, strict=True):
        found = from_logarithms(experiment.array_names, row)
        for array, value in found.items():
            moment, place = split_name(array)
            assert value == pytest.approx(moments[int(place[3:]) - 1][moment], rel=1e-3, abs=1e-3), array


def test_a_branch_of_no_weight_leaves_the_identity():
    row = Architecture(["conv", "activation"], residual=True, residual_scale=0.0)
    experiment = make_experiment(row, "periodic")
    state = draw_state(experiment)
    states = Block(experiment)(state, seeds=draw_seeds(2))
    for one, other in zip(true(states[-1]), true(state), strict=True):
        assert_close(one, other, 1e-6)


@backend
@pytest.mark.parametrize(
    ("initializer", "message"),
    [
        ("identity", "can only be used for 2D matrices"),
        ("delta_orthogonal", r"input channels that are at most the output channels\. Received: inputs=8, outputs=4"),
    ],
)
def test_kernels_that_an_initializer_cannot_draw_are_refused_in_its_own_words(initializer, message):
    row = Architecture([Step("conv", width=0.5), "conv"])
    with pytest.raises(ValueError, match=message) as refused:
        build_network(make_experiment(row, "periodic", kernel_initializer=initializer), (8, 8, 3))
    assert "Exception encountered" not in str(refused.value)


def test_an_architecture_is_run_saved_continued_drawn_and_pruned(tmp_path):
    row = Architecture(["layer_norm", "activation", Step("conv", width=1)], residual=True, residual_scale=0.5)
    settings = {"dataset": "photo", "num_computations": 2, "verbose": False, "name_experiment": "own"}
    settings |= {"activation": "gelu", "res_depth": 1, "compute_reff_noise": False}
    run_experiment(row, 2, 1, 8, 4, 2, **settings)
    moments = run_experiment(row, 2, 1, 8, 4, 3, **settings)
    assert moments == load_experiment("own")
    assert moments.num_realizations == 3
    assert len(plot_architecture(moments, path=tmp_path / "own.png").axes) == 4
    with pytest.raises(FileExistsError, match="residual_scale|architecture"):
        run_experiment(attrs.evolve(row, residual_scale=1.0), 2, 1, 8, 4, 3, **settings)
    assert prune_experiment("architecture", "own") > 0
    pruned = load_experiment("own")
    assert "log_chi_loc5" in pruned
    assert "mu4_signal_loc1" not in pruned
    assert len(plot_architecture({"one": pruned, "other": moments}).axes) == 4
    assert prune_experiment("architecture", "own") == 0
