"""Files that would exhaust memory, time or the disk are refused before anything is allocated or written."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest

from moments_dnns import _resources
from moments_dnns.results import allocation
from moments_dnns.results.experiments import load_experiment, save_experiment
from moments_dnns.results.record import LARGEST_RECORD, Record
from moments_dnns.results.transactions import RECORD_FILE
from moments_dnns.results.writers import open_writer
from tests.support.synthetic import complete, describe, finish, is_genuine, rows, run

ROOT = Path(__file__).parents[2]


def edit(folder, **changes):
    """Change fields of a record of schema 4, which has no checksum that would refuse that by itself."""
    record = json.loads((folder / RECORD_FILE).read_text()) | {"schema": 4}
    for key in ("kind", "checksum", "checksums"):
        record.pop(key, None)
    experiment = {**record["experiment"], **changes.pop("experiment", {})}
    record = {**record, **changes, "experiment": experiment}
    (folder / RECORD_FILE).write_text(json.dumps({key: value for key, value in record.items() if value is not None}))


def sparse(path, shape):
    """Make a file of zeros that is as large as it says, and takes no room on the disk."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        os.truncate(path, file.tell() + 8 * int(np.prod(shape)))


def many_depths(folder):
    edit(folder, experiment={"total_depth": 2**31 - 1, "num_computations": 2**31 - 1})


def no_token(folder):
    edit(folder, token=None)


def many_realizations(folder):
    edit(
        folder,
        experiment={"num_realizations": 2**40},
        sources=[{"seed": 0, "start": 0, "stop": 2**40}],
    )


def huge_array(folder):
    many = 2**33
    edit(folder, experiment={"num_realizations": many}, sources=[{"seed": 0, "start": 0, "stop": many}])
    for path in folder.glob("*_loc*.npy"):
        sparse(path, (many, 2))


def huge_depth(folder):
    many_depths(folder)
    with open(folder / "depth.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<i8", "fortran_order": False, "shape": (2**31 - 1,)})
        file.truncate(file.tell() + 8 * (2**31 - 1))


def huge_record(folder):
    os.truncate(folder / RECORD_FILE, 2**40)


def repeated_key(folder):
    path = folder / RECORD_FILE
    path.write_text(path.read_text().replace('"in_place": true', '"in_place": true, "in_place": true'))


def nested(folder):
    path = folder / RECORD_FILE
    path.write_text(path.read_text().replace('"provenance": {', '"provenance": {"a": ' + "[" * 10**6 + ""))


def many_small_sources(folder):
    edit(
        folder,
        experiment={"num_realizations": 10**6},
        sources=[{"seed": 0, "start": 2 * k, "stop": 2 * k + 1} for k in range(50_000)],
    )


HARMS = {
    each.__name__: each
    for each in (
        many_depths, no_token, many_realizations, huge_array, huge_depth, huge_record, repeated_key, nested,
        many_small_sources,
    )
}  # fmt: skip

LOAD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
from moments_dnns import load_experiment
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_experiment("demo")
    print("loaded")
except Exception as error:
    print(type(error).__name__, str(error)[:300])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_no_folder_takes_much_time_or_memory(harm, npy_folder):
    """In a process of its own, that must end in time and within a quarter of a GB."""
    save_experiment(complete(describe()), "demo")
    harm(npy_folder / "demo")
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        capture_output=True, text=True, check=True, timeout=60, cwd=ROOT,
        env={**os.environ, "MOMENTS_DNNS_NPY": str(npy_folder), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    outcome, kilobytes = done.stdout.strip().splitlines()
    assert outcome.startswith(("CorruptExperimentError", "MemoryError")), outcome
    assert str(npy_folder / "demo") in outcome
    assert int(kilobytes) < 250_000


def test_a_record_that_could_not_be_read_is_not_written():
    provenance = {"notes": "x" * LARGEST_RECORD}
    with (
        pytest.raises(ValueError, match="expected a record of at most"),
        open_writer("demo", describe(), provenance) as writer,
    ):
        writer.commit([0], rows(describe(), [0]))


def test_a_repeated_key_is_refused_whatever_it_holds():
    content = Record(describe(), ("depth",), (), in_place=True, provenance={}, checksums={}).to_json()
    assert Record.from_json(content).experiment == describe()
    with pytest.raises(ValueError, match="different keys"):
        Record.from_json(content.replace('"in_place": true', '"in_place": true, "in_place": true'))


# The disk and the memory of a run


@pytest.mark.parametrize("name", ["demo", None])
def test_more_realizations_than_fit_are_refused_before_anything_is_written(name, npy_folder):
    with (
        pytest.raises((OSError, MemoryError), match=r"22 arrays of 1000000000000 realizations take.*TB.*Received"),
        open_writer(name, describe(10**12), {}),
    ):
        pytest.fail("it was opened")
    assert not npy_folder.exists() or [path.name for path in npy_folder.iterdir()] == [".locks"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_disk_too_small_is_told_with_what_it_would_take(exists, npy_folder, monkeypatch):
    if exists:
        finish("demo", describe(6))
    monkeypatch.setattr(_resources.shutil, "disk_usage", lambda _: Free(1_000_000))
    with pytest.raises(OSError, match=r"No space left on device: the 22 arrays of 4000 realizations take 1\.40\d MB"):
        finish("demo", describe(4000))
    assert not exists or load_experiment("demo") == complete(describe(6))


@attrs.frozen
class Free:
    free: int


def test_files_grow_as_they_fill(npy_folder, monkeypatch):
    monkeypatch.setattr(allocation, "SMALLEST", 8 * 2 * 4)
    sizes = []
    for _ in run("demo", describe(40), chunk=1):
        sizes.append(len(np.load(npy_folder / "demo" / "log_nu2_signal_loc1.npy")))
        assert is_genuine(load_experiment("demo"))
    assert sorted(set(sizes)) == [4, 8, 16, 32, 40]
    assert all(size >= count for count, size in enumerate(sizes, 1))
    assert load_experiment("demo") == complete(describe(40))


def test_files_grow_to_whatever_row_is_written_first(npy_folder, monkeypatch):
    monkeypatch.setattr(allocation, "SMALLEST", 8 * 2 * 4)
    assert finish("demo", describe(40), backwards=True) == complete(describe(40))
    next(run("other", describe(40), backwards=True))
    assert load_experiment("other").sources == ((0, 38, 40),)


def test_a_disk_that_fills_while_files_grow_loses_nothing(monkeypatch):
    monkeypatch.setattr(allocation, "SMALLEST", 8 * 2 * 4)
    runs = run("demo", describe(40), chunk=1)
    next(runs)
    with monkeypatch.context() as patch:
        patch.setattr(_resources.shutil, "disk_usage", lambda _: Free(100))
        with pytest.raises(OSError, match="No space left on device: 5 realizations or more take"):
            list(runs)
    assert load_experiment("demo").num_realizations == 4
    assert finish("demo", describe(40)) == complete(describe(40))


def test_memory_is_that_of_the_machine_or_of_the_group_whichever_is_less(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:   50 kB\n")
    monkeypatch.setattr(_resources, "MEMORY_OF_THE_MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(_resources, "MEMORY_OF_THE_GROUP", tmp_path)
    assert _resources.available_memory() == 50 * 1024
    for name, content in {"max": "30000", "current": "20000", "stat": "anon 5\ninactive_file 1000\n"}.items():
        (tmp_path / f"memory.{name}").write_text(content)
    assert _resources.available_memory() == 11_000
    (tmp_path / "memory.max").write_text("max\n")
    assert _resources.available_memory() == 50 * 1024
    (tmp_path / "meminfo").unlink()
    assert _resources.available_memory() is None
    _resources.check_memory(10**18, "the arrays", "take fewer")


def test_the_limit_of_file_sizes_counts(npy_folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(OSError, match="File too large: the 22 arrays of 4000"):
            finish("demo", describe(4000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
