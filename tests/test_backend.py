"""Precision is what was asked for and only as long; groups of realizations are as good as single ones."""

import importlib
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns import Experiment
from moments_dnns._backend import accelerators, product_precision, uses_xla
from moments_dnns._device import describe_device
from moments_dnns.data import load_images
from moments_dnns.simulation import network as networks
from moments_dnns.simulation.network import grouped, realizations_per_call
from moments_dnns.simulation.realizations import Inputs, Simulator, drawn_ahead
from tests.support.cases import draw_inputs, make_experiment, network

pytestmark = pytest.mark.backend

BACKEND = keras.backend.backend()


def setting(library):
    """What a backend is told of TF32, in its own words."""
    if BACKEND == "jax":
        return library.config.jax_default_matmul_precision
    if BACKEND == "torch":
        return library.get_float32_matmul_precision(), library.backends.cudnn.allow_tf32
    return library.config.experimental.tensor_float_32_execution_enabled()


WORDS = {
    "jax": {"float32": "float32", "tf32": "tensorfloat32"},
    "tensorflow": {"float32": False, "tf32": True},
    "torch": {"float32": ("highest", False), "tf32": ("high", True)},
}


@pytest.fixture
def gpu(monkeypatch):
    """Let the library believe that there is an accelerator."""
    monkeypatch.setattr("moments_dnns._backend.accelerators", lambda: ["gpu:0"])


def test_backends_without_derivatives_are_refused():
    with pytest.raises(ValueError, match=r"must be jax, tensorflow, torch.*Received: backend='numpy'"):
        describe_device("numpy")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_precision_holds_within_its_context_and_after_errors_no_longer(precision):
    library = importlib.import_module(BACKEND)
    before, within = setting(library), []

    def fail():
        with product_precision(precision):
            within.append(setting(library))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert within == [WORDS[BACKEND][precision]]
    assert setting(library) == before


def test_without_an_accelerator_nothing_is_set():
    library = importlib.import_module(BACKEND)
    before = setting(library)
    for precision in WORDS[BACKEND]:
        with product_precision(precision):
            assert setting(library) == before


@pytest.mark.usefixtures("gpu")
def test_threads_take_turns_and_leave_what_was_set():
    library, wrong = importlib.import_module(BACKEND), []
    before = setting(library)

    def use(precision):
        with product_precision(precision):
            time.sleep(0.002)
            if setting(library) != WORDS[BACKEND][precision]:
                wrong.append(precision)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, ["tf32", "float32", "tf32"] * 10))
    assert not wrong
    assert setting(library) == before


@pytest.mark.usefixtures("gpu")
@pytest.mark.skipif(BACKEND != "jax", reason="only JAX writes the precision into its programs")
@pytest.mark.parametrize(("precision", "written"), [("float32", "HIGHEST"), ("tf32", "HIGH")])
def test_products_are_compiled_at_the_precision(precision, written):
    jax = importlib.import_module("jax")
    with product_precision(precision):
        program = str(jax.make_jaxpr(ops.matmul)(np.ones((2, 2), "float32"), np.ones((2, 2), "float32")))
    assert f"Precision.{written}\n" in program.replace(",", "\n").replace(")", "\n") or f"{written})" in program


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_realizations_run_at_the_precision_of_their_experiment(precision, monkeypatch):
    experiment = Experiment("vanilla", 2, 1, 4, 4, 1, num_computations=1, precision=precision)
    simulator, library = Simulator(experiment, load_images("photo")), importlib.import_module(BACKEND)
    seen, predict = [], simulator.network.predict_on_batch
    monkeypatch.setattr(
        simulator.network, "predict_on_batch", lambda inputs: (seen.append(setting(library)), predict(inputs))[1]
    )
    simulator.run([0])
    assert seen == [WORDS[BACKEND][precision]]


def test_a_cpu_is_no_accelerator():
    assert not accelerators()
    assert uses_xla() is (BACKEND == "jax")


# --- several realizations in one call ------------------------------------------------------------------------------


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch draws numbers for one seed at a time")
@pytest.mark.parametrize(("architecture", "weights"), [("vanilla", "gram"), ("bn_ff", "explicit"), ("bn_res", "gram")])
def test_grouped_realizations_equal_single_ones(architecture, weights):
    experiment = make_experiment(architecture, "fully_connected", weights=weights, num_channels=64)
    each = [draw_inputs(experiment, seed) for seed in range(3)]
    stacked = [np.stack(inputs) for inputs in zip(*each, strict=True)]
    together = grouped(network(experiment), 3)
    found = together.predict_on_batch(stacked)
    single = np.stack([network(experiment).predict_on_batch(list(inputs)) for inputs in each])
    # A standardised batch is singular: there, a QR decomposition goes on from the signals to the noises as it rounds.
    unique = [weights == "explicit" or BACKEND == "tensorflow" or "signal" in name for name in experiment.array_names]
    # Three layers of rounding in logarithms of order 1.
    np.testing.assert_allclose(found[..., unique], single[..., unique], rtol=0, atol=1e-4)
    # Neither the place in the group nor the others in it change a bit.
    other = together.predict_on_batch([inputs[[2, 2, 1]] for inputs in stacked])
    np.testing.assert_array_equal(other, found[[2, 2, 1]])


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch draws numbers for one seed at a time")
def test_results_do_not_depend_on_the_grouping(monkeypatch):
    monkeypatch.setattr(networks, "realizations_per_call", lambda experiment: 3)
    experiment = Experiment("bn_ff", 2, 1, 8, 4, 1, dataset="photo", num_computations=2)
    simulator = Simulator(experiment, load_images("photo"))
    chunks = list(simulator.stream([5, 0, 1, 2, 3, 4, 7]))
    assert [chunk.realizations for chunk in chunks] == [(5, 0, 1), (2, 3, 4), (7,)]
    rows = {k: chunk.arrays["log_mu2_noise_loc4"][i]
            for chunk in chunks for i, k in enumerate(chunk.realizations)}  # fmt: skip
    again = simulator.run(range(8))
    assert again.realizations == tuple(range(8))
    for k, row in rows.items():
        np.testing.assert_array_equal(row, again.arrays["log_mu2_noise_loc4"][k])


@pytest.mark.parametrize(
    ("kernel_size", "width", "batch_size", "expected"), [(1, 512, 64, 32), (1, 128, 1024, 8), (1, 8192, 512, 1),
                                                         (1, 8, 8, 64), (3, 512, 64, 1)]
)  # fmt: skip
def test_small_fully_connected_networks_fill_an_accelerator(kernel_size, width, batch_size, expected, monkeypatch):
    experiment = Experiment("bn_ff", 2, kernel_size, width, batch_size, 1, num_computations=1)
    assert realizations_per_call(experiment) == 1
    monkeypatch.setattr(networks, "accelerators", lambda: ["gpu:0"])
    assert realizations_per_call(experiment) == (1 if BACKEND == "torch" else expected)


def test_inputs_are_drawn_one_call_ahead_and_no_further():
    drawn = []
    second = threading.Event()

    def draw(group):
        drawn.append(group)
        if group == (3,):
            second.set()
        return Inputs([np.array(group)], 0)

    ahead = drawn_ahead(draw, [(1, 2), (3,), (4,)])
    group, inputs = next(ahead)
    assert (group, inputs.arrays[0].tolist()) == ((1, 2), [1, 2])
    assert second.wait(10)  # while the first is in use, on another thread
    ahead.close()
    assert drawn == [(1, 2), (3,)]
    assert [group for group, _ in drawn_ahead(draw, [(1, 2), (3,), (4,)])] == [(1, 2), (3,), (4,)]
    assert list(drawn_ahead(draw, [])) == []


def test_an_error_of_a_draw_ahead_comes_with_its_own_group():
    def draw(group):
        if group == (2,):
            raise OSError("no images")
        return Inputs([], 0)

    ahead = drawn_ahead(draw, [(1,), (2,), (3,)])
    assert next(ahead)[0] == (1,)
    with pytest.raises(OSError, match="no images"):
        next(ahead)


def test_the_stream_of_a_simulator_ends_its_draws():
    simulator = Simulator(Experiment("vanilla", 2, 1, 4, 4, 1, num_computations=1), load_images("photo"))
    before = threading.active_count()
    stream = simulator.stream([3, 1, 2])
    assert next(stream).realizations == (3,)
    stream.close()
    assert threading.active_count() == before


def test_gpu_memory_is_taken_as_it_is_needed():
    code = f"""
import os
from moments_dnns._backend import use_backend
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "true"
use_backend({BACKEND!r})
print(os.environ["TF_FORCE_GPU_ALLOW_GROWTH"], os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["true", "true"]  # the second is the user's own wish
