"""Architectures as data: what follows from them, blocks and networks against the oracle, and what is refused."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from moments_dnns import load_experiment, plot_architecture, prune_experiment, run_experiment
from moments_dnns.descriptions.architecture import ARCHITECTURES, Architecture
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.steps import KINDS, REQUIRED, Step, widths
from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.token_mixing import TokenMixing
from moments_dnns.moments import from_logarithms, split_name
from moments_dnns.plots.architectures import drawing_of
from moments_dnns.results.record import Record
from moments_dnns.simulation.blocks import Block, Transition
from moments_dnns.simulation.network import build_network, num_seeds
from tests.support import oracle
from tests.support.cases import assert_close, block_moments, draw_inputs, draw_state, make_experiment, network, true

backend = pytest.mark.backend

BN_CONV = ("batch_norm", "activation", "conv")
# name -> (architecture, what else the experiment has): small, and each with something of its own.
UNITS = {
    "pre-activation": (Architecture(BN_CONV * 2, residual=True), {"res_depth": 1}),
    "post-activation": (Architecture(["conv", "batch_norm"], residual=True, after=["activation"]), {}),
    "scaled": (Architecture(["conv", "activation", "conv"], residual=True, residual_scale=0.3), {"activation": "tanh"}),
    "bottleneck": (
        Architecture(
            [*BN_CONV[:2], Step("dense", width=0.25), *BN_CONV[:2], Step("conv", width=0.25), *BN_CONV[:2], "dense"],
            residual=True,
        ),
        {"res_depth": 2, "statistics": "differentiated"},
    ),
    "wide": (Architecture([Step("conv", kernel_size=1, width=2), "activation", "conv"]), {"activation": "silu"}),
    "layer_norm": (Architecture(["conv", "layer_norm", "activation"]), {"bias_variance": 0.3}),
    "rms_norm": (Architecture(["rms_norm", "conv", "activation"]), {"activation": "softplus"}),
    "group_norm": (Architecture(["conv", Step("group_norm", groups=2), "activation"]), {"epsilon": 0.1}),
    "instance_norm": (Architecture(["conv", "instance_norm", "activation"]), {"kernel_initializer": "he_normal"}),
    "mixer": (
        Architecture(["layer_norm", "token_mixing", "layer_norm", Step("dense", width=2), "activation", "dense"], True),
        {"bias_variance": 0.2, "res_depth": 1},
    ),
    "biased": (Architecture(["conv", "activation"]), {"bias_variance": 0.05, "gain": 1.7, "activation": "tanh"}),
    "softmax": (Architecture(["conv", "activation"]), {"activation": "softmax"}),
}


def make_unit(name, **changes):
    architecture, settings = UNITS[name]
    return make_experiment(architecture, "periodic", **{"res_depth": 1, **settings, **changes})


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
            bias = layer.draw_bias(seed) if layer.bias_variance else 0.0
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
    found = from_logarithms(experiment.array_names, block_moments(experiment, states))
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


# --- what follows from a description -------------------------------------------------------------------------------


def test_places_and_names():
    row = UNITS["post-activation"][0]
    assert row.places == tuple(f"loc{i}" for i in range(1, 6))
    assert row.activated_places == ("loc5",)
    experiment = make_unit("bottleneck")
    assert experiment.structure.places[-1] == "loc11"
    assert experiment.array_names[-1] == "log_mu2_noise_loc11"
    assert experiment.structure.kernels_per_layer(2) == 6
    assert widths(experiment.structure.steps, 8)[3] == 2


@pytest.mark.parametrize(("name", "row"), ARCHITECTURES.items())
def test_a_row_of_the_table_goes_by_its_name(name, row):
    settings = {"total_depth": 4, "kernel_size": 3, "num_channels": 8, "batch_size": 4, "num_realizations": 1}
    one, other = (Experiment(each, num_computations=2, **settings) for each in (name, attrs.evolve(row)))
    assert one == other
    assert other.architecture == name
    growth = drawing_of(row).panels[0].curves
    assert len(growth) == len(row.steps) + 1
    assert (growth[-1].under, growth[-1].over) == ("chi_loc1", f"chi_{row.places[-1]}")


@pytest.mark.parametrize("name", UNITS)
def test_a_drawing_asks_for_what_an_experiment_has(name):
    experiment = make_unit(name, num_realizations=2)
    needs = drawing_of(experiment.structure).needs
    moments = {array: np.ones((2, 3)) for array in experiment.array_names}
    known = {*moments, *(f"chi_{place}" for place in experiment.structure.places), "depth"}
    assert set(needs) <= known
    assert len({curve.label for curve in drawing_of(experiment.structure).panels[0].curves}) == len(
        drawing_of(experiment.structure).panels[0].curves
    )


options = {
    "kernel_size": st.sampled_from([1, 3]),
    "width": st.sampled_from([0.25, 0.5, 1, 2.0]),
    "groups": st.sampled_from([1, 2, 4]),
}
kinds = st.sampled_from([name for name in KINDS if not name.endswith("_pool")])


@st.composite
def steps(draw):
    name = draw(kinds)
    known = [option for option in KINDS[name].options if option in options]
    chosen = {option: draw(options[option]) for option in known if option == REQUIRED.get(name) or draw(st.booleans())}
    return Step(name, **chosen)


@st.composite
def architectures(draw):
    residual = draw(st.booleans())
    parts = {"steps": draw(st.lists(steps(), min_size=1, max_size=6)), "residual": residual}
    if residual:
        parts |= {
            "residual_scale": draw(st.sampled_from([0.0, 0.5, 1.0])),
            "after": draw(st.lists(steps(), max_size=2)),
        }
    if draw(st.booleans()):
        parts |= {"stages": 2, "transition": [Step("max_pool", strides=2), *draw(st.lists(steps(), max_size=2))]}
    for name in ("steps", "after"):
        if any("width" in step.kind.options for step in parts.get(name, [])):
            parts[name] = [*parts[name], Step("dense")]
    return Architecture(**parts)


@given(architectures())
def test_a_description_survives_json(row):
    experiment = Experiment(row, 4, 3, 16, 8, 2, num_computations=2, activation="tanh", bias_variance=0.5)
    assert Experiment.from_json(experiment.to_json()) == experiment
    assert hash(Experiment.from_json(experiment.to_json())) == hash(experiment)
    record = Record(experiment, ("nu2_signal_loc1", "depth"), (), True, {})
    assert Record.from_json(record.to_json()).experiment == experiment
    assert eval(repr(row), {"Architecture": Architecture, "Step": Step}) == row
    # Names of arrays are unique and belong to a place.
    assert len(set(experiment.array_names)) == len(experiment.array_names)
    assert {split_name(array)[1] for array in experiment.array_names} == set(row.places)
    assert len(row.layer_steps(2)) == len(row.steps) * row.num_repeats(2) + len(row.after)


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


# --- what is refused -----------------------------------------------------------------------------------------------

CONV = ("conv", "activation")


def described(architecture, **changes):
    return Experiment(architecture, **{
        "total_depth": 4, "kernel_size": 3, "num_channels": 8, "batch_size": 4, "num_realizations": 1,
        "num_computations": 2, **changes,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Architecture("conv"), TypeError, "sequences of steps: names or Steps. Received: steps='conv'"),
        (lambda: Architecture([3]), TypeError, "sequences of steps: names or Steps. Received: steps=3"),
        (lambda: Architecture([]), ValueError, "steps must be 1 to 90 in all. Received: steps=0"),
        (lambda: Architecture(["activation"] * 91), ValueError, "steps must be 1 to 90 in all. Received: steps=91"),
        (
            lambda: Architecture(["convolution"]),
            ValueError,
            "name must be one of 'conv'.* name='convolution'",
        ),
        (lambda: Architecture(CONV, residual=1), TypeError, "residual must be True or False"),
        (lambda: Architecture(CONV, residual_scale=0.5), ValueError, "need residual=True.* residual_scale=0.5"),
        (lambda: Architecture(CONV, True, -1.0), ValueError, "residual_scale must be a finite number of at least 0"),
        (lambda: Architecture(CONV, after=CONV), ValueError, "residual_scale and after need residual=True"),
        (lambda: Architecture(CONV, stages=2), ValueError, "stages and transition need each other. Received: stages=2"),
        (lambda: Architecture(CONV, transition=CONV), ValueError, "stages and transition need each other"),
        (lambda: Architecture([Step("conv", strides=2)]), ValueError, "must return the shape it took: strides belong"),
        (lambda: Architecture([Step("max_pool", strides=2)]), ValueError, "must return the shape it took"),
        (lambda: Architecture([Step("conv", width=2)]), ValueError, "the last width of steps must be 1.* width=2.0"),
        (lambda: Step("activation", width=2), ValueError, "'activation' takes no options. Received: width=2.0"),
        (lambda: Step("dense", kernel_size=3), ValueError, "'dense' takes width. Received: kernel_size=3"),
        (lambda: Step("group_norm"), ValueError, "'group_norm' needs groups"),
        (lambda: Step("conv", width=0), ValueError, "width must be above 0. Received: width=0"),
        (lambda: Step("conv", kernel_size=1.5), TypeError, "kernel_size must be an integer"),
        (lambda: described("bn"), ValueError, "architecture must be one of 'vanilla', 'bn_ff', 'bn_res'"),
        (lambda: described(3), TypeError, "architecture must be one of"),
        (
            lambda: described(Architecture([Step("conv", width=0.3), "conv"])),
            ValueError,
            "a whole number of channels in a layer of 8. Received: width=0.3",
        ),
        (
            lambda: described(Architecture(["conv", Step("group_norm", groups=3)])),
            ValueError,
            "groups must divide the 8 channels of the signal. Received: groups=3",
        ),
        (
            lambda: described(Architecture(["conv", "instance_norm"]), kernel_size=1),
            ValueError,
            "one point in space: expected kernel_size above 1. Received: kernel_size=1, step='instance_norm'",
        ),
        (
            lambda: described(Architecture(CONV, stages=3, transition=["dense"])),
            ValueError,
            "stages must divide num_computations. Received: stages=3, num_computations=2",
        ),
        (
            lambda: described(Architecture([Step("conv", kernel_size=2)]), boundary="symmetric"),
            ValueError,
            "needs odd kernels",
        ),
        (
            lambda: described(Architecture(CONV, stages=2, transition=[Step("max_pool", strides=4)])).check_images(
                (10, 16, 16, 3)
            ),
            ValueError,
            "kernel_size must be at most 2, the smallest side of the layers for images of 16 x 16",
        ),
        (
            lambda: described(Architecture(["dense"]), kernel_size=17).check_images((10, 16, 16, 3)),
            ValueError,
            "kernel_size must be at most 16",
        ),
        (lambda: described("vanilla", kernel_initializer="he_normal", gain=1.0), ValueError, "a gain of their own"),
        (lambda: described("vanilla", gain=-1), ValueError, "gain must be a finite number of at least 0"),
        (
            lambda: plot_architecture({"chi_loc1": np.ones((1, 1))}),
            TypeError,
            "must be Moments of experiments, or a mapping from labels",
        ),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message) as refused:
        make()
    assert "Received: " in str(refused.value)
