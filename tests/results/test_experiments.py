"""Saved experiments: save, load, list, merge, keep some arrays, delete."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results.experiments import (
    delete_experiment,
    keep_arrays,
    list_experiments,
    load_experiment,
    merge_experiments,
    save_experiment,
)
from moments_dnns.results.moments import Moments
from moments_dnns.results.sources import Source
from tests.support.harm import BY_NAME, READING, WRITING
from tests.support.synthetic import complete, describe, folder_bytes, is_genuine, rows

# Save, load, list


@pytest.mark.parametrize("architecture", ["vanilla", "bn_ff", "bn_res"])
def test_what_is_saved_is_loaded(architecture, npy_folder):
    saved = complete(describe(architecture=architecture), {"device": "CPU"})
    save_experiment(saved, "demo")
    loaded = load_experiment("demo")
    assert loaded == saved
    assert loaded.provenance == saved.provenance
    with pytest.raises(ValueError, match="read-only"):
        loaded["depth"][0] = 0
    for name, array in saved.arrays.items():
        plain = np.load(npy_folder / "demo" / f"{name}.npy", allow_pickle=False)
        np.testing.assert_array_equal(plain, array)
        assert plain.dtype == array.dtype
    assert {path.stem for path in (npy_folder / "demo").iterdir()} == {*saved.arrays, "experiment"}


def test_saving_keeps_sources():
    experiment = describe(6)
    saved = Moments(rows(experiment, [0, 1, 2, 4, 5]), experiment, [(0, 0, 3), (0, 4, 6)])
    save_experiment(saved, "demo")
    assert load_experiment("demo") == saved
    assert is_genuine(load_experiment("demo"))


def test_saving_never_overwrites_silently():
    save_experiment(complete(describe()), "demo")
    with pytest.raises(FileExistsError, match=r"overwrite=True.*Received: name='demo'"):
        save_experiment(complete(describe(seed=1)), "demo")
    assert load_experiment("demo") == complete(describe())
    save_experiment(complete(describe(seed=1, architecture="vanilla")), "demo", overwrite=True)
    assert load_experiment("demo") == complete(describe(seed=1, architecture="vanilla"))


def test_saving_leaves_arrays_made_elsewhere_alone(npy_folder):
    (npy_folder / "demo").mkdir(parents=True)
    np.save(npy_folder / "demo" / "log_nu2_signal_loc3.npy", np.ones(3))
    for write in WRITING.values():
        with pytest.raises(FileExistsError, match=r"holds no experiment\.json"):
            write("demo")
    assert np.load(npy_folder / "demo" / "log_nu2_signal_loc3.npy").tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("moments", "error"),
    [
        ({"nu2_signal_loc1": np.ones((6, 2))}, TypeError),
        (Moments({}, describe()), ValueError),
        (Moments({"../evil": np.ones((6, 2))}, describe()), ValueError),
        (Moments({"weights_loc1": np.ones((6, 2))}, describe()), ValueError),
    ],
)
def test_saving_refuses_what_is_not_a_result(moments, error, npy_folder):
    with pytest.raises(error, match="Received"):
        save_experiment(moments, "demo")
    assert not npy_folder.exists()


def test_an_unknown_name_is_answered_with_those_there_are():
    for act in (*READING.values(), BY_NAME["delete"]):
        with pytest.raises(FileNotFoundError, match=r"which has: none\. Received: name='demmo'"):
            act("demmo")
    save_experiment(complete(describe()), "demo")
    save_experiment(complete(describe()), "another")
    with pytest.raises(FileNotFoundError, match=r"which has: another, demo\. Received: name='demmo'"):
        load_experiment("demmo")


def test_an_unknown_name_among_many_is_answered_with_the_nearest(npy_folder):
    save_experiment(complete(describe()), "figure_4")
    for k in range(500):
        shutil.copytree(npy_folder / "figure_4", npy_folder / f"other{k}")
    with pytest.raises(FileNotFoundError, match=r"has: 501 of them, the nearest: figure_4\b.*name='figure4'") as caught:
        load_experiment("figure4")
    assert len(str(caught.value)) < 1000


def test_experiments_are_listed(npy_folder):
    assert list_experiments() == []
    for name in ("b", "a"):
        save_experiment(complete(describe()), name)
    (npy_folder / "no_experiment").mkdir()
    # What nobody could load by name is not listed.
    shutil.copytree(npy_folder / "a", npy_folder / "copy of a")
    (npy_folder / "link").symlink_to(npy_folder / "a", target_is_directory=True)
    assert list_experiments() == ["a", "b"]


def test_loading_needs_no_backend(npy_folder):
    save_experiment(complete(describe()), "demo")
    code = (
        "import sys; from moments_dnns import load_experiment, prune_experiment\n"
        "from moments_dnns.results.writers import open_writer\n"
        "load_experiment('demo')['chi_loc4']; prune_experiment('bn_ff', 'demo'); load_experiment('demo')\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "MOMENTS_DNNS_NPY": str(npy_folder)},
    )
    assert not {"keras", "tensorflow", "jax", "torch", "matplotlib", "xarray", "pandas"} & set(done.stdout.split())


# Merge, keep, delete


def test_merging_puts_realizations_together():
    for seed in (2, 0):
        save_experiment(complete(describe(3, seed=seed), {"device": f"GPU {seed}"}), f"seed{seed}")
    save_experiment(Moments(rows(describe(5), [3, 4]), describe(5), [(0, 3, 5)], {"device": "CPU"}), "tail")
    merged = merge_experiments(["seed2", "seed0", "tail"], "all")
    assert merged.sources == (Source(2, 0, 3), Source(0, 0, 5))
    assert merged.experiment == describe(8, seed=2)
    assert is_genuine(merged)
    assert load_experiment("all") == merged
    assert [merged.provenance["device"], *(run["device"] for run in merged.provenance["earlier"])] == [
        "GPU 2",
        "GPU 0",
        "CPU",
    ]
    assert list_experiments() == ["all", "seed0", "seed2", "tail"]


def test_merging_pruned_with_pruned():
    for seed in range(2):
        save_experiment(complete(describe(seed=seed)), f"seed{seed}")
    prune_experiment("bn_ff", "seed0")
    with pytest.raises(ValueError, match="differ in arrays"):
        merge_experiments(["seed0", "seed1"], "all")
    prune_experiment("bn_ff", "seed1")
    merged = merge_experiments(["seed0", "seed1"], "all")
    assert is_genuine(merged)
    assert merged.provenance["pruned_for"] == "bn_ff"
    assert set(merged) == set(load_experiment("seed0"))


@pytest.mark.parametrize(
    ("other", "provenance", "message"),
    [
        ({"seed": 1, "architecture": "vanilla"}, {}, "architecture"),
        ({"seed": 1, "epsilon": 0.0, "boundary": "symmetric"}, {}, r"boundary \('periodic' and 'symmetric'\), epsilon"),
        ({"seed": 0}, {}, "there twice"),
        ({"seed": 1}, {"dataset_sha256": "2"}, r"dataset_sha256 \('1' and '2'\)"),
    ],
)
def test_merging_refuses_what_does_not_belong_together(other, provenance, message):
    save_experiment(complete(describe(), {"dataset_sha256": "1"}), "one")
    save_experiment(complete(describe(**other), provenance), "other")
    with pytest.raises(ValueError, match=f"{message}.*Received: names="):
        merge_experiments(["one", "other"], "all")
    assert list_experiments() == ["one", "other"]


@pytest.mark.parametrize(
    ("names", "error"),
    [("ab", TypeError), (None, TypeError), ([], ValueError), (["one"], ValueError), (["one", "one"], ValueError)],
)
def test_merging_refuses_wrong_names(names, error):
    save_experiment(complete(describe()), "one")
    with pytest.raises(error, match="Received"):
        merge_experiments(names, "all")


def test_merging_never_overwrites():
    for seed in range(2):
        save_experiment(complete(describe(seed=seed)), f"seed{seed}")
    with pytest.raises(FileExistsError, match="needs a new name. Received: name='seed0'"):
        merge_experiments(["seed0", "seed1"], "seed0")


def test_deleting(npy_folder):
    save_experiment(complete(describe()), "demo")
    save_experiment(complete(describe()), "other")
    size = folder_bytes(npy_folder / "demo")
    assert delete_experiment("demo") == size
    assert list_experiments() == ["other"]
    assert {path.name for path in npy_folder.iterdir()} == {"other", ".locks"}
    with pytest.raises(FileNotFoundError, match="Received"):
        delete_experiment("demo")


def test_deleting_refuses_to_take_foreign_files_along(npy_folder):
    save_experiment(complete(describe()), "demo")
    (npy_folder / "demo" / "notes.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"notes\.txt.*Received: name='demo'"):
        delete_experiment("demo")
    assert load_experiment("demo") == complete(describe())
    (npy_folder / "demo" / "notes.txt").unlink()
    delete_experiment("demo")


def test_deleting_works_on_what_is_damaged(npy_folder):
    save_experiment(complete(describe()), "demo")
    (npy_folder / "demo" / "experiment.json").write_text("{")
    delete_experiment("demo")
    assert list_experiments() == []


@pytest.mark.parametrize("pruned_for", [None, "a paper"])
def test_keeping_arrays_keeps_these_alone(pruned_for, npy_folder):
    saved = complete(describe(), {"device": "CPU"})
    save_experiment(saved, "demo")
    before = folder_bytes(npy_folder / "demo")
    freed = keep_arrays("demo", ["chi_loc3", "nu2_signal_loc1", "nu2_signal_loc1"], pruned_for)
    assert freed == before - folder_bytes(npy_folder / "demo") > 0
    kept = load_experiment("demo")
    assert list(kept) == ["log_chi_loc3", "nu2_signal_loc1", "depth"]
    assert {path.stem for path in (npy_folder / "demo").iterdir()} == {*kept.arrays, "experiment"}
    for name in ("chi_loc3", "nu2_signal_loc1"):
        np.testing.assert_array_equal(kept[name], saved[name])
    assert kept.provenance == {"device": "CPU", "pruned_for": pruned_for or "log_chi_loc3, nu2_signal_loc1, depth"}
    assert keep_arrays("demo", ["chi_loc3", "nu2_signal_loc1"]) == 0
    assert load_experiment("demo") == kept
    # log_chi alone does not give its parts back.
    with pytest.raises(ValueError, match=r"lacks: log_mu2_noise_loc3\. Received: name='demo'"):
        keep_arrays("demo", ["mu2_noise_loc3"])


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ("chi_loc3", TypeError, "arrays must be names of arrays. Received: arrays='chi_loc3'"),
        ([3], TypeError, "arrays must be names"),
        (["chi_loc9"], ValueError, "lacks: log_chi_loc9. Received: name='demo'"),
        (["../nu2_signal_loc1"], ValueError, "lacks: ../nu2_signal_loc1"),
    ],
)
def test_keeping_refuses_what_is_no_array(arrays, error, message):
    saved = complete(describe())
    save_experiment(saved, "demo")
    with pytest.raises(error, match=message):
        keep_arrays("demo", arrays)
    assert load_experiment("demo") == saved


def test_growth_of_a_model_is_kept_by_what_it_follows_from():
    """It is derived from two arrays and the order of layers, and has no array of its own."""
    model = Characterization("net", ("input", "dense"), ((), (0,)), 2, (8, 4, 4, 1), "array-0123")
    saved = complete(model)
    save_experiment(saved, "model")
    with pytest.raises(ValueError, match="lacks: log_growth"):
        keep_arrays("model", ["log_growth"])
    assert keep_arrays("model", ["log_mu2_noise", "mu2_signal"]) > 0
    np.testing.assert_array_equal(load_experiment("model")["log_growth"], saved["log_growth"])
