"""Running experiments: what realizations depend on, what is refused, what survives an interruption."""

import inspect
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import numpy as np
import pytest

from moments_dnns import (
    Experiment,
    Moments,
    list_experiments,
    load_experiment,
    merge_experiments,
    run_experiment,
    save_experiment,
)
from moments_dnns._backend import use_backend
from moments_dnns._device import describe_device
from moments_dnns.descriptions.boundaries import BOUNDARIES
from moments_dnns.descriptions.parameters import parameters_of
from moments_dnns.execution.options import RunOptions
from moments_dnns.simulation.realizations import Simulator, Work, compute
from tests.support.synthetic import TINY, heed_interrupts

ROOT = Path(__file__).parents[2]
SETTINGS = {**TINY, "num_realizations": 5, "verbose": False}
backend = pytest.mark.backend


def run(**changes):
    return run_experiment(**{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def reference():
    return run()


def test_signature_is_that_of_the_experiment_and_of_the_run_options():
    parameters = inspect.signature(run_experiment).parameters
    fields = parameters_of(Experiment, RunOptions)
    assert set(parameters) == set(fields)
    for described in (Experiment, RunOptions):
        names = [*parameters_of(described)]
        assert [name for name in parameters if name in names] == names
    for name, field in fields.items():
        default = inspect.Parameter.empty if field.default is attrs.NOTHING else field.default
        assert parameters[name].default == default
        assert type(parameters[name].default) is type(default)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"verbose": "x"}, TypeError),
        ({"overwrite": 1}, TypeError),
        ({"workers": 0}, ValueError),
        ({"chunk_size": 2.0}, TypeError),
        ({"tolerance": -1.0}, ValueError),
        ({"executor": "dask"}, ValueError),
        ({"name_experiment": "../x"}, ValueError),
        ({"name_experiment": 3}, TypeError),
    ],
)
def test_run_options_are_refused_before_any_work(changes, error, monkeypatch):
    monkeypatch.setattr("moments_dnns.simulation.run.load_images", lambda _: pytest.fail("images were loaded"))
    (received,) = changes
    with pytest.raises(error, match=f"Received: {received.removesuffix('_experiment')}="):
        run(**changes)


def test_an_executor_and_workers_are_not_taken_together():
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="not both.*workers=2"):
        run(executor=executor, workers=2)


@backend
def test_shapes_names_and_finiteness(reference):
    experiment = reference.experiment
    assert list(reference) == [*experiment.array_names, "depth", "res_depth"]
    assert reference["depth"].tolist() == [2, 4]
    for name in experiment.array_names:
        assert reference[name].shape == (5, 2)
        assert reference[name].dtype == np.float64
        assert np.isfinite(reference[name]).all()
    assert len(np.unique(reference["log_mu2_noise_loc4"])) == 10


@backend
def test_realizations_do_not_depend_on_their_number_and_repeat_to_the_bit(reference):
    assert run() == reference
    fewer = run(num_realizations=3)
    for name in reference.experiment.array_names:
        np.testing.assert_array_equal(fewer[name], reference[name][:3])


def work_of(moments):
    known = moments.provenance
    return Work(moments.experiment, "photo", known["dataset_sha256"], known["backend"], known["threads"], None)


@backend
def test_realizations_depend_on_their_index_alone(reference):
    chunk = compute(work_of(reference), [4, 1])
    for name, array in chunk.arrays.items():
        np.testing.assert_array_equal(array, reference.arrays[name][[4, 1]])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"total_depth": 8},
        {"epsilon": 0.1},
        {"num_channels": 9},
        {"batch_size": 5},
        {"kernel_size": 3},
        {"architecture": "bn_res"},
        {"architecture": "vanilla"},
    ],
)
def test_everything_described_changes_the_numbers(reference, change):
    assert not np.array_equal(run(**change)["mu2_signal_loc3"], reference["mu2_signal_loc3"])


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_boundaries_and_res_depth_run(boundary):
    moments = run(architecture="bn_res", kernel_size=3, boundary=boundary, res_depth=3, num_realizations=1)
    assert np.isfinite(moments["chi_loc5"]).all()


@pytest.mark.parametrize(
    "images",
    [
        np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8),
        np.random.default_rng(0).random((20, 6, 6, 2)),
    ],
)
def test_arrays_and_files_give_the_same_numbers(images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    of_array, of_file = run(dataset=images), run(dataset=str(tmp_path / "images.npy"))
    assert of_array.experiment.dataset.startswith("array-")
    np.testing.assert_array_equal(of_array["log_mu2_noise_loc4"], of_file["log_mu2_noise_loc4"])


def test_constant_channels_are_counted():
    images = np.random.default_rng(0).random((20, 6, 6))
    images[:, 0] = 0.5  # a border of 6 pixels
    assert run(dataset=images).provenance["num_constant_channels"] == 6


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"architecture": "bn"}, ValueError, "architecture='bn'"),
        ({"total_depth": 5}, ValueError, "num_computations=2, total_depth=5"),
        ({"num_realizations": 0}, ValueError, "num_realizations=0"),
        ({"batch_size": 10.0}, TypeError, "batch_size=10.0"),
        ({"batch_size": 10_001}, ValueError, "batch_size=10001"),
        ({"kernel_size": 17}, ValueError, "kernel_size=17"),
        ({"kernel_size": 2, "boundary": "symmetric"}, ValueError, "kernel_size=2"),
        ({"dataset": "imagenet"}, ValueError, "imagenet"),
        ({"dataset": np.ones((4, 5, 5, 1))}, ValueError, "dataset"),
        ({"batch_size": 1}, ValueError, "batch_size|batch"),
        ({"verbose": 1}, TypeError, "verbose=1"),
        ({"workers": 0}, ValueError, "workers=0"),
        ({"chunk_size": 0}, ValueError, "chunk_size=0"),
        ({"tolerance": -1.0}, ValueError, "tolerance=-1.0"),
        ({"executor": "threads"}, ValueError, "executor='threads'"),
        ({"name_experiment": "../x"}, ValueError, r"name='\.\./x'"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(change, error, message, npy_folder):
    with pytest.raises(error, match=message) as refused:
        run(**{"name_experiment": "refused", **change})
    assert "Received: " in str(refused.value)
    assert not (npy_folder / "refused").exists()
    assert not list_experiments() if npy_folder.exists() else True


def test_only_float32_is_accepted():
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        with pytest.raises(ValueError, match="dtype_policy='float16'"):
            run()
    finally:
        keras.config.set_dtype_policy(policy)


def test_another_backend_is_refused():
    import keras

    with pytest.raises(RuntimeError, match="every worker"):
        use_backend("numpy")
    with pytest.raises(RuntimeError, match="every worker"):
        describe_device("jax" if keras.backend.backend() == "tensorflow" else "tensorflow")


def test_nothing_is_printed_unless_asked_for(capfd):
    run(num_realizations=1)
    assert capfd.readouterr() == ("", "")
    run(num_realizations=2, verbose=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "2/2" in err
    assert "realization/s" in err or "s/realization" in err


def test_named_runs_are_saved_continued_and_extended(reference):
    assert run(name_experiment="named", num_realizations=2).num_realizations == 2
    extended = run(name_experiment="named")
    assert extended == reference == load_experiment("named")
    assert run(name_experiment="named") == reference


def test_a_finished_run_is_not_run_again(reference, monkeypatch):
    run(name_experiment="finished")
    monkeypatch.setattr(Simulator, "run", lambda *_: pytest.fail("ran again"))
    assert run(name_experiment="finished") == reference


def test_another_description_is_never_overwritten_silently(reference):
    run(name_experiment="kept")
    with pytest.raises(FileExistsError, match=r"seed \(0 and 1\)"):
        run(name_experiment="kept", seed=1)
    assert load_experiment("kept") == reference
    assert run(name_experiment="kept", seed=1, overwrite=True) == load_experiment("kept") == run(seed=1)


def interrupt_at(monkeypatch, at, error):
    realize = Simulator.realize

    def interrupted(self, realizations, arrays):
        if at in realizations:
            raise error
        return realize(self, realizations, arrays)

    monkeypatch.setattr(Simulator, "realize", interrupted)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("a cable was pulled")])
def test_what_was_finished_survives_an_interruption(reference, monkeypatch, error):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, error)
        with pytest.raises(type(error)):
            run(name_experiment="interrupted")
    assert load_experiment("interrupted").num_realizations == 3
    assert run(name_experiment="interrupted") == reference


def test_ctrl_c_in_a_terminal_keeps_what_was_finished(npy_folder, reference):
    settings = {**SETTINGS, "num_realizations": 100_000, "name-experiment": "demo"}
    del settings["verbose"]
    command = [
        sys.executable,
        "run_experiment.py",
        "--no_verbose",
        *(f"--{name}={value}" for name, value in settings.items()),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "MOMENTS_DNNS_NPY": str(npy_folder)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    try:
        deadline = time.monotonic() + 300
        while not (npy_folder / "demo" / "experiment.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    kept = load_experiment("demo")
    assert f"run_experiment.py: interrupted: {kept.num_realizations} of 100000 realizations are saved in" in errors
    assert kept.num_realizations > 0
    shared = min(kept.num_realizations, reference.num_realizations)
    np.testing.assert_array_equal(kept["log_mu2_noise_loc4"][:shared], reference["log_mu2_noise_loc4"][:shared])


@backend
def test_a_dead_network_is_reported_with_its_place():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        moments = run(architecture="vanilla", num_channels=1, total_depth=40, num_computations=40, num_realizations=2)
    assert np.isneginf(moments["log_mu2_noise_loc3"][:, -1]).all()
    assert (moments["nu2_signal_loc3"][:, -1] == 0).all()
    told = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
    assert len(told) == 2
    first = np.isneginf(moments["log_mu2_noise_loc3"][1]).argmax() + 1
    assert f"realization 1: log_mu2_noise_loc3 is -inf at layer {first}" in told[1]


@backend
def test_a_tolerance_ends_a_run_at_a_chunk(reference):
    ended = run(num_realizations=1000, chunk_size=4, tolerance=1.0)
    assert 4 <= ended.num_realizations < 1000
    assert ended.num_realizations % 4 == 0
    np.testing.assert_array_equal(ended["chi_loc4"][:4], reference["chi_loc4"][:4])


def test_a_tolerance_ends_continued_runs_where_it_ends_uninterrupted_ones():
    settings = {"num_realizations": 200, "chunk_size": 4, "tolerance": 0.4}
    whole = run(**settings)
    assert whole.num_realizations > 4
    run(**{**settings, "num_realizations": 3}, name_experiment="continued")
    assert run(**settings, name_experiment="continued")["chi_loc4"].tolist() == whole["chi_loc4"].tolist()


def test_a_file_that_changes_is_read_again(tmp_path):
    path, rng = tmp_path / "images.npy", np.random.default_rng(0)
    moments = []
    for images in (rng.random((20, 6, 6)), rng.random((20, 6, 6))):
        np.save(path, images)
        moments.append(run(dataset=str(path)))
        assert moments[-1]["log_mu2_noise_loc4"].tolist() == run(dataset=images)["log_mu2_noise_loc4"].tolist()
    assert moments[0].provenance["dataset_sha256"] != moments[1].provenance["dataset_sha256"]


def test_other_images_on_a_worker_are_refused(reference):
    other = attrs.evolve(work_of(reference), experiment=attrs.evolve(reference.experiment, seed=77), sha256="0" * 64)
    with pytest.raises(ValueError, match=r"coordinator's images.*Received: dataset='photo'"):
        compute(other, [0])


@backend
def test_a_worker_with_another_number_of_threads_is_refused(reference):
    threads = reference.provenance["threads"]
    with pytest.raises(
        RuntimeError, match=rf"expected {7 + (threads or 0)} on every worker.*Received: threads={threads}"
    ):
        compute(attrs.evolve(work_of(reference), threads=7 + (threads or 0)), [0])


@backend
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "numpy"}, r"backend \('numpy' and '\w+'\)"),
        ({"threads": 77}, r"threads \(77 and (\d+|None)\)"),
        ({"normals": "others"}, r"normals \('others' and '[\w ]+'\)"),
    ],
)
def test_realizations_of_other_backends_and_threads_are_never_mixed(reference, change, message):
    elsewhere = Moments(
        {name: reference[name] for name in reference.experiment.array_names},
        reference.experiment,
        provenance=reference.provenance | change,
    )
    save_experiment(elsewhere, "elsewhere")
    with pytest.raises(FileExistsError, match=f"not mixed.*differ in {message}.*Received: name='elsewhere'"):
        run(name_experiment="elsewhere", num_realizations=6)
    assert load_experiment("elsewhere") == elsewhere
    assert run(name_experiment="elsewhere") == elsewhere  # nothing is missing, so that nothing would be mixed
    run(name_experiment="seed1", seed=1)
    with pytest.warns(UserWarning, match=f"computed with different {message}"):
        merge_experiments(["elsewhere", "seed1"], "merged")


def test_runs_without_a_name_tell_how_they_came_about(reference):
    assert {"versions", "started", "ended", "wall_seconds", "backend", "devices", "dtype"} <= set(reference.provenance)


def test_bad_input_is_refused_before_a_backend_starts():
    code = """
import sys
from moments_dnns import run_experiment
try:
    run_experiment("bn_ff", 4, 1, 8, 4, 2, "../x", dataset="photo", num_computations=2)
except ValueError as error:
    print(error, "keras" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("Received: name='../x' False")


@backend
def test_one_network_serves_all_seeds(monkeypatch):
    """Building one for every seed took 15 to 20 MB each time."""
    built, build = [], Simulator.__init__
    monkeypatch.setattr(Simulator, "__init__", lambda self, *args: (built.append(args), build(self, *args))[1])
    moments = [run(epsilon=0.25, seed=seed) for seed in (5, 6, 5)]
    assert len(built) == 1
    assert moments[0] == moments[2] != moments[1]
    assert [each.experiment.seed for each in moments] == [5, 6, 5]


@pytest.mark.parametrize(
    "change", [{"num_channels": 10**12}, {"total_depth": 4 * 10**12}, {"kernel_size": 3, "num_channels": 10**7}]
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_networks_larger_than_memory_are_refused_before_a_backend_starts(change, elsewhere, monkeypatch, npy_folder):
    monkeypatch.setattr("moments_dnns.simulation.run.visible_gpus", lambda: ["0"] if elsewhere else [])
    monkeypatch.setattr("moments_dnns.simulation.run.open_writer", lambda *_: pytest.fail("it was begun"))
    if elsewhere and change.get("kernel_size"):
        change = change | {"num_channels": 10**8}
    with pytest.raises(MemoryError, match=r"at least [\d.]+ [TPE]B of memory.*Received: num_channels="):
        run(**change)


@backend
def test_chi_is_finite_wherever_its_logarithm_is():
    """A vanilla network with gain 1 halves its signal and its noise at every layer: values vanish at depth 1075."""
    with pytest.warns(RuntimeWarning, match="mu4_signal_loc1 is 0.0 at layer 600, its logarithm -8"):
        moments = run(
            architecture="vanilla", gain=1.0, total_depth=1200, num_computations=4, num_channels=64, batch_size=16,
            num_realizations=1, name_experiment="deep",
        )  # fmt: skip
    assert (moments["mu2_signal_loc3"][:, -1] == 0).all()
    assert (moments["log_mu2_signal_loc3"][:, -1] < -745).all()
    for each in (moments, load_experiment("deep")):
        assert np.isfinite(each["log_chi_loc3"]).all()
        np.testing.assert_array_equal(each["chi_loc3"], np.exp(each["log_chi_loc3"]))
        assert np.isfinite(each["chi_loc3"]).all()
    difference = moments["log_mu2_noise_loc3"] - moments["log_mu2_signal_loc3"]
    np.testing.assert_array_equal(moments["log_chi_loc3"], difference / 2)


@backend
def test_biases_that_drown_the_signal_are_warned_of():
    with pytest.warns(RuntimeWarning, match=r"realization 0: the signal does not vary at loc\d of layer \d"):
        run(architecture="vanilla", kernel_size=3, bias_variance=1e30, num_realizations=1)
