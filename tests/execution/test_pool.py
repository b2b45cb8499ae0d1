"""Worker processes: threads and GPUs they get, functions they are sent, and how long they stay."""

import os
import subprocess
import sys
import textwrap
import time
from multiprocessing import get_context
from pathlib import Path

import keras
import numpy as np
import pytest

from moments_dnns import run_experiment
from moments_dnns._device import THREADS
from moments_dnns.execution import pool as pools
from moments_dnns.execution.pool import WORKER_MEMORY, default_workers, visible_gpus, worker_pool

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("visible", "expected"), [("", []), ("0", ["0"]), ("2,GPU-7", ["2", "GPU-7"])])
def test_visible_gpus_are_those_that_the_environment_allows(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == expected


@pytest.fixture
def light(monkeypatch):
    """Workers that compute nothing take half the time to start without the backend."""
    monkeypatch.setattr(pools, "chosen_backend", lambda: "numpy")


def environment():
    return {name: os.environ.get(name) for name in (*THREADS.values(), "CUDA_VISIBLE_DEVICES")}


@pytest.mark.usefixtures("light")
def test_workers_have_one_thread_and_share_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    with worker_pool(2) as pool:
        futures = [pool.submit(environment_of_two, tmp_path) for _ in range(2)]
        found = [future.result() for future in futures]
    assert {one[variable] for one in found for variable in THREADS.values()} == {"1"}
    assert {one["CUDA_VISIBLE_DEVICES"] for one in found} == {"4", "5"}


def environment_of_two(folder):
    """The environment of this process, once another one has asked for its own too."""
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 120
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    return environment()


QUIET = """
from moments_dnns import run_experiment
from moments_dnns._backend import without_greetings
import os
run_experiment("vanilla", 2, 1, 4, 4, 2, workers=2, dataset="photo", verbose=False)
os.write(2, b"spoken ")
try:
    with without_greetings():
        os.write(2, b"of an error")
        1 / 0
except ZeroDivisionError:
    os.write(2, b" after all")
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others do not greet")
def test_workers_do_not_greet_but_errors_are_seen():
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", QUIET]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert done.stderr == "spoken of an error after all"


SETTINGS = {"dataset": "photo", "num_computations": 2, "verbose": False}
SMALL = ("bn_ff", 4, 1, 8, 4)


def test_a_run_by_default_has_the_same_bits_on_any_number_of_cores(monkeypatch):
    """Networks as wide as these have other last digits with one thread than with two."""
    wide = ("bn_ff", 8, 1, 512, 64, 3)
    alone = run_experiment(*wide, **SETTINGS, workers=1)  # in this process
    monkeypatch.delenv(pools.WORKERS_VARIABLE)
    monkeypatch.setattr(pools, "num_cores", lambda: 2)
    assert run_experiment(*wide, **SETTINGS) == alone


@pytest.mark.usefixtures("light")
def test_processes_stay_for_the_next_call_and_go_after_errors():
    def identify():
        with worker_pool(1) as pool:
            return pool.submit(os.getpid).result()

    first = identify()
    assert first == identify() != os.getpid()
    with pytest.raises(ZeroDivisionError), worker_pool(1):
        raise ZeroDivisionError
    assert identify() != first


@pytest.mark.usefixtures("light")
def test_a_pool_with_work_left_does_not_stay():
    with worker_pool(1) as pool:
        pool.submit(time.sleep, 30)
    assert not pool.reusable
    with worker_pool(1) as other:
        assert other is not pool


@pytest.mark.usefixtures("light")
def test_processes_that_nobody_needs_end(monkeypatch):
    monkeypatch.setattr(pools, "SECONDS_TO_STAY", 0.2)
    with worker_pool(1) as pool:
        pid = pool.submit(os.getpid).result()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the process is still there")


def use_a_pool():
    with worker_pool(1) as pool:
        pool.submit(os.getpid).result()


def test_a_process_that_multiprocessing_started_ends_with_a_pool_that_waits():
    process = get_context("spawn").Process(target=use_a_pool)
    process.start()
    process.join(120)
    assert process.exitcode == 0


@pytest.mark.usefixtures("light")
def test_a_pool_is_made_anew_where_its_settings_change(monkeypatch):
    with worker_pool(1) as pool:
        pass
    monkeypatch.setenv(THREADS["tensorflow"], "2")
    with worker_pool(1) as other:
        assert other is not pool
        assert other.submit(environment).result()[THREADS["tensorflow"]] == "2"


@keras.saving.register_keras_serializable("of_a_notebook")
class Doubled(keras.initializers.VarianceScaling):
    def __call__(self, shape, dtype=None, **kwargs):
        return 2 * super().__call__(shape, dtype, **kwargs)


def test_functions_and_classes_of_a_notebook_travel_to_workers(monkeypatch):
    slope = 0.25
    own = {"activation": lambda x: keras.ops.maximum(slope * x, x), "kernel_initializer": Doubled()}
    for each in (Doubled, Doubled.__call__):
        monkeypatch.setattr(each, "__module__", "__main__")  # which is another module in a worker
    monkeypatch.setattr(sys.modules["__main__"], "Doubled", Doubled, raising=False)
    here = run_experiment(*SMALL, 2, **SETTINGS, **own, workers=1)
    assert run_experiment(*SMALL, 2, **SETTINGS, **own, workers=2) == here


def test_an_array_is_sent_once(monkeypatch):
    images = np.random.default_rng(0).integers(0, 255, (40, 4, 4, 3), "uint8")
    here = run_experiment(*SMALL, 2, **{**SETTINGS, "dataset": images}, workers=1)
    saved = []
    monkeypatch.setattr(np, "save", lambda path, array, save=np.save: (saved.append(path), save(path, array))[1])
    assert run_experiment(*SMALL, 2, **{**SETTINGS, "dataset": images}, workers=2) == here
    (path,) = saved
    assert not path.exists()


def test_a_network_that_cannot_be_built_fails_at_once():
    started = time.monotonic()
    with pytest.raises(ValueError, match="no such thing"):
        run_experiment(*SMALL, 2, **SETTINGS, activation=fail, workers=2)
    assert time.monotonic() - started < 120


def fail(x):
    raise ValueError("no such thing")


def test_nothing_is_started_where_nothing_is_missing(monkeypatch):
    run_experiment(*SMALL, 2, **SETTINGS, name_experiment="whole")
    monkeypatch.setattr(pools, "WorkerPool", lambda *_: pytest.fail("workers were started"))
    assert run_experiment(*SMALL, 2, **SETTINGS, name_experiment="whole", workers=2).num_realizations == 2


def test_a_script_needs_no_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            print("once")
            from moments_dnns import run_experiment
            moments = run_experiment("bn_ff", 4, 1, 8, 4, 3, dataset="photo", verbose=False, workers=2)
            print(moments.num_realizations, moments.provenance["threads"])
            """
        )
    )
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["once", "3", "1"]


@pytest.mark.parametrize(
    ("gpus", "chosen", "memory", "expected"),
    [
        ("", "", None, 8),
        ("", "3", None, 3),
        ("0,1", "", None, 2),
        ("", "", 5 * (WORKER_MEMORY + 1000), 5),
        ("", "", 1, 1),
    ],
)
def test_there_are_as_many_workers_as_cores_unless_memory_or_gpus_say_otherwise(
    gpus, chosen, memory, expected, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    monkeypatch.setenv(pools.WORKERS_VARIABLE, chosen)
    monkeypatch.setattr(pools, "num_cores", lambda: 8)
    monkeypatch.setattr(pools, "available_memory", lambda: memory)
    assert default_workers(1000) == expected
