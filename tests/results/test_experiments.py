"""Moments as a mapping; saving, loading, pruning, merging and deleting; names and files that mean harm."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moments_dnns.moments import derive, stored_name
from moments_dnns.plots.figures import FIGURES
from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results.experiments import (
    delete_experiment,
    list_experiments,
    load_experiment,
    merge_experiments,
    save_experiment,
)
from moments_dnns.results.files import CorruptExperimentError
from moments_dnns.results.moments import Moments
from moments_dnns.results.record import Source
from tests.support.synthetic import complete, describe, is_genuine, rows, run

HOSTILE_NAMES = [
    "",
    ".",
    "..",
    "...",
    "../x",
    "x/../y",
    "/tmp/x",
    "a/b",
    "a\\b",
    "a.b",
    ".hidden",
    "-x",
    "x\n",
    "x\0",
    "a b",
    "é",
    "con",
    "NUL",
    "Com1",
    "lpt9",
    "x" * 101,
    "~",
    "$HOME",
    "*",
    "x:y",
    "experiment.json",
]
BY_NAME = [
    load_experiment,
    delete_experiment,
    lambda name: prune_experiment("bn_ff", name),
    lambda name: save_experiment(complete(describe()), name),
    lambda name: merge_experiments([name, name], "merged"),
    lambda name: next(run(name, describe())),
]


# Moments


def test_moments_are_a_mapping_of_what_is_stored():
    experiment = describe()
    moments = complete(experiment)
    assert list(moments) == [*experiment.array_names, "depth", "res_depth"]
    assert len(moments) == len(experiment.array_names) + 2
    assert moments["depth"].tolist() == [2, 4]
    assert moments["res_depth"] == 2
    assert moments.num_realizations == 6
    assert moments.sources == (Source(0, 0, 6),)


@pytest.mark.parametrize("name", ["chi_loc3", "log_chi_loc3", "mu2_noise_loc1"])
def test_moments_derive_what_follows(name):
    moments = complete(describe())
    assert name in moments
    assert name not in list(moments)
    np.testing.assert_array_equal(moments[name], derive(rows(describe(), range(6)), name))


@pytest.mark.parametrize("name", ["chi_loc9", "chi", "reff_signal_loc1", "nonsense", "", 3, None])
def test_moments_lack_the_rest(name):
    moments = complete(describe())
    assert name not in moments
    with pytest.raises(KeyError, match="Received"):
        moments[name]


@pytest.mark.parametrize("name", ["nu2_signal_loc1", "chi_loc1", "depth", "res_depth"])
def test_moments_are_read_only(name):
    moments = complete(describe())
    with pytest.raises(ValueError, match="read-only"):
        moments[name][...] = 0
    with pytest.raises(TypeError):
        moments[name] = 0


def test_moments_are_equal_where_all_of_them_is():
    moments = complete(describe())
    assert moments == complete(describe())
    assert moments != complete(describe(seed=1))
    arrays = {name: array.copy() for name, array in moments.arrays.items()}
    arrays["nu2_signal_loc1"][0, 0] += 1e-9
    assert moments != Moments(arrays, describe())
    assert moments != dict(moments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nu2_signal_loc1": np.ones((6, 3))}, "shape"),
        ({"nu2_signal_loc1": np.ones((5, 2))}, "shape"),
        ({"nu2_signal_loc1": np.float64(1)}, "shape"),
        ({"depth": np.array([1, 2])}, "depth must agree"),
        ({"depth": np.array([2, 4]), "res_depth": np.array(3)}, "res_depth must agree"),
    ],
)
def test_moments_refuse_arrays_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=rf"{message}.*Received"):
        Moments({**rows(describe(), range(6)), **change}, describe())


@pytest.mark.parametrize("sources", [[(0, 0, 5)], [(0, 0, 4), (0, 3, 5)], [(0, 0, 7)]])
def test_moments_refuse_sources_that_do_not_fit(sources):
    with pytest.raises(ValueError, match="Received"):
        Moments(rows(describe(), range(6)), describe(), sources)


def test_moments_say_what_they_are():
    moments = complete(describe(10, architecture="vanilla", boundary="zero_padding"), {"pruned_for": "<vanilla>"})
    for text in (repr(moments), moments._repr_html_()):
        assert all(word in text for word in ("vanilla", "zero_padding", "photo", "16", "10"))
    assert "&lt;vanilla&gt;" in moments._repr_html_()


def test_moments_become_a_labelled_dataset():
    pytest.importorskip("xarray")
    experiment = describe(5)
    moments = Moments(rows(experiment, range(5)), experiment, [(0, 0, 3), (7, 1, 3)])
    dataset = moments.to_xarray()
    assert dataset["nu2_signal"].dims == ("place", "realization", "depth")
    np.testing.assert_array_equal(dataset["nu2_signal"].sel(place="loc3"), moments["nu2_signal_loc3"])
    np.testing.assert_array_equal(dataset["reff_noise_loc4"].sel(depth=4), moments["reff_noise_loc4"][:, 1])
    assert dataset["seed"].values.tolist() == [0, 0, 0, 7, 7]
    assert dataset["realization"].values.tolist() == [0, 1, 2, 1, 2]
    assert dataset.attrs["experiment"] == experiment.to_json()
    stored = sum(array.size for name, array in moments.items() if name in experiment.array_names)
    assert sum(variable.size for variable in dataset.data_vars.values()) == stored


def test_moments_become_a_tidy_table():
    pytest.importorskip("pandas")
    experiment = describe(5)
    moments = Moments(rows(experiment, range(5)), experiment, [(0, 0, 3), (7, 1, 3)])
    table = moments.to_dataframe()
    assert list(table.columns) == ["seed", "realization", "depth", "place", "moment", "value"]
    assert len(table) == 10 * len(experiment.array_names)
    row = table.query("seed == 7 and realization == 2 and depth == 4 and place == 'loc2' and moment == 'mu4_signal'")
    assert row["value"].tolist() == [moments["mu4_signal_loc2"][4, 1]]


@pytest.mark.parametrize(("method", "library"), [("to_xarray", "xarray"), ("to_dataframe", "pandas")])
def test_labelled_forms_say_what_they_need(method, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"pip install {library}"):
        getattr(complete(describe()), method)()


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
    for name, array in saved.items():
        plain = np.load(npy_folder / "demo" / f"{name}.npy", allow_pickle=False)
        np.testing.assert_array_equal(plain, array)
        assert plain.dtype == array.dtype
    assert {path.stem for path in (npy_folder / "demo").iterdir()} == {*saved, "experiment"}


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
    np.save(npy_folder / "demo" / "nu2_signal_loc3.npy", np.ones(3))
    for write in BY_NAME[3], BY_NAME[5]:
        with pytest.raises(FileExistsError, match=r"holds no experiment\.json"):
            write("demo")
    assert np.load(npy_folder / "demo" / "nu2_signal_loc3.npy").tolist() == [1, 1, 1]


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
    for act in (*BY_NAME[:3], BY_NAME[4]):
        with pytest.raises(FileNotFoundError, match=r"which has: none\. Received: name='demmo'"):
            act("demmo")
    save_experiment(complete(describe()), "demo")
    save_experiment(complete(describe()), "another")
    with pytest.raises(FileNotFoundError, match=r"which has: another, demo\. Received: name='demmo'"):
        load_experiment("demmo")


def test_experiments_are_listed(npy_folder):
    assert list_experiments() == []
    for name in ("b", "a"):
        save_experiment(complete(describe()), name)
    (npy_folder / "no_experiment").mkdir()
    # What nobody could load by name is not listed.
    shutil.copytree(npy_folder / "a", npy_folder / "copy of a")
    (npy_folder / "link").symlink_to(npy_folder / "a", target_is_directory=True)
    assert list_experiments() == ["a", "b"]


def test_the_nearest_npy_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("MOMENTS_DNNS_NPY")
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    if not any((parent / "npy").is_dir() for parent in tmp_path.parents):
        save_experiment(complete(describe()), "here")
        assert (tmp_path / "notebooks" / "deep" / "npy" / "here").is_dir()
    (tmp_path / "notebooks" / "npy").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    save_experiment(complete(describe()), "near")
    assert (tmp_path / "notebooks" / "npy" / "near").is_dir()


def test_loading_needs_no_backend(npy_folder):
    save_experiment(complete(describe()), "demo")
    code = (
        "import sys; from moments_dnns import *; from moments_dnns.results.writers import open_writer\n"
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


# Prune, merge, delete


@pytest.mark.parametrize("architecture", ["vanilla", "bn_ff", "bn_res"])
def test_pruning_keeps_what_the_figure_draws(architecture, npy_folder):
    saved = complete(describe(architecture=architecture))
    save_experiment(saved, "demo")
    before = folder_bytes(npy_folder / "demo")
    freed = prune_experiment(architecture, "demo")
    assert freed == before - folder_bytes(npy_folder / "demo") > 0
    pruned = load_experiment("demo")
    needs = FIGURES[architecture].needs
    assert set(pruned) == {stored_name(name) for name in needs}
    assert {path.stem for path in (npy_folder / "demo").iterdir()} == {*pruned, "experiment"}
    assert all(np.array_equal(pruned[name], saved[name]) for name in needs)
    assert pruned.provenance["pruned_for"] == architecture
    assert prune_experiment(architecture, "demo") == 0
    assert load_experiment("demo") == pruned


def test_pruning_keeps_the_realizations_of_an_unfinished_run():
    next(run("demo", describe(), backwards=True))
    prune_experiment("bn_ff", "demo")
    assert load_experiment("demo").sources == (Source(0, 4, 6),)
    assert is_genuine(load_experiment("demo"))


@pytest.mark.parametrize(
    ("type_plot", "parameters", "message"),
    [
        ("bn_res", {}, "reff_signal_loc3"),
        ("bn_ff", {"compute_reff_signal": False}, "lacks: reff_signal_loc4. Received: name='demo'"),
        ("no_figure", {}, "'vanilla_histo', 'vanilla', 'bn_ff', 'bn_res'"),
    ],
)
def test_pruning_refuses_a_figure_that_it_could_not_draw(type_plot, parameters, message):
    saved = complete(describe(**parameters))
    save_experiment(saved, "demo")
    with pytest.raises(ValueError, match=message):
        prune_experiment(type_plot, "demo")
    assert load_experiment("demo") == saved


def test_pruning_again_for_another_figure():
    save_experiment(complete(describe(architecture="vanilla")), "demo")
    prune_experiment("vanilla", "demo")
    with pytest.raises(ValueError, match="lacks: nu2_signal_loc3, log_mu2_noise_loc3"):
        prune_experiment("vanilla_histo", "demo")


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
    with pytest.raises(FileExistsError, match="Received: name='seed0'"):
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


def folder_bytes(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


# Hostile names and files


@pytest.mark.parametrize("act", BY_NAME)
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_refused(act, name, tmp_path):
    with pytest.raises(ValueError, match=r"the name of an experiment must be.*Received: name="):
        act(name)
    assert not any(path for path in tmp_path.rglob("*") if path.name not in ("npy", ".locks"))


@pytest.mark.parametrize("act", BY_NAME)
@pytest.mark.parametrize("name", [None, 3, b"demo", Path("demo"), ["demo"]])
def test_names_are_strings(act, name):
    with pytest.raises(TypeError, match="Received: name="):
        act(name)


@given(st.text(max_size=120))
def test_no_name_leads_out_of_the_folder(name):
    from moments_dnns.results.folders import experiment_folder, npy_folder

    try:
        folder = experiment_folder(name)
    except ValueError:
        return
    assert os.path.dirname(os.path.normpath(folder)) == str(npy_folder())
    assert os.path.basename(folder) == name


@pytest.mark.parametrize("act", BY_NAME)
def test_links_are_refused(act, npy_folder, tmp_path):
    save_experiment(complete(describe()), "demo")
    (npy_folder / "demo").rename(tmp_path / "outside")
    (npy_folder / "demo").symlink_to(tmp_path / "outside", target_is_directory=True)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "outside").iterdir())
    with pytest.raises(ValueError, match="is a link"):
        act("demo")
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "outside").iterdir()) == before


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0" * 16)


def link_outside(path):
    outside = path.parents[2] / "outside.npy"
    path.rename(outside)
    path.symlink_to(outside)


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


def make_folder(path):
    path.unlink()
    path.mkdir()


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def save_pickle(path):
    np.save(path, np.array([[Evil()] * 2] * 6), allow_pickle=True)


def save_zip(path):
    np.savez(path.with_suffix(".npz"), np.load(path))
    path.with_suffix(".npz").rename(path)


ARRAY_DAMAGES = {
    "truncated": truncate,
    "too long": lengthen,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not an array"),
    "missing": Path.unlink,
    "a link": link_outside,
    "a pipe": make_pipe,
    "a folder": make_folder,
    "a pickle": save_pickle,
    "wrong shape": lambda path: np.save(path, np.load(path)[..., None]),
    "wrong type": lambda path: np.save(path, np.load(path).astype("f4")),
    "wrong byte order": lambda path: np.save(path, np.load(path).astype(">f8")),
    "complex": lambda path: np.save(path, np.load(path) * 1j),
    "too few rows": lambda path: np.save(path, np.load(path)[:1]),
    "a zip": save_zip,
}


@pytest.mark.parametrize("damage", ARRAY_DAMAGES.values(), ids=ARRAY_DAMAGES)
@pytest.mark.parametrize("array", ["nu2_signal_loc3", "depth"])
def test_a_damaged_array_is_told_by_its_name(damage, array, npy_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_experiment(complete(describe()), "demo")
    damage(npy_folder / "demo" / f"{array}.npy")
    for act in BY_NAME[0], BY_NAME[2]:
        with pytest.raises(CorruptExperimentError, match=f"{array}.npy"):
            act("demo")
    assert not (tmp_path / "executed").exists()


def test_a_depth_that_contradicts_the_description_is_told(npy_folder):
    save_experiment(complete(describe()), "demo")
    np.save(npy_folder / "demo" / "depth.npy", np.array([1, 2]))
    with pytest.raises(CorruptExperimentError, match=r"depth\.npy does not agree"):
        load_experiment("demo")


def test_foreign_files_do_not_count(npy_folder):
    saved = complete(describe())
    save_experiment(saved, "demo")
    prune_experiment("bn_ff", "demo")
    pruned = load_experiment("demo")
    for foreign in ("nu2_signal_loc1.npy", "notes.txt", "weights.npy", "nu2_signal_loc1.npy.0123456789abcdef"):
        (npy_folder / "demo" / foreign).write_bytes(b"foreign")
    assert load_experiment("demo") == pruned


RECORD_DAMAGES = {
    "not JSON": "{",
    "a list": "[]",
    "null": "null",
    "empty": "",
    "deep": "[" * 100_000,
    "not UTF-8": b"\xff\xfe\xff",
    "unknown field": {"spam": 1},
    "schema of the future": {"schema": 99},
    "schema of another type": {"schema": None},
    "no arrays": {"arrays": []},
    "unknown array": {"arrays": ["depth", "weights_loc1"]},
    "array outside": {"arrays": ["depth", "../nu2_signal_loc1"]},
    "arrays not a list": {"arrays": 3},
    "array twice": {"arrays": ["depth", "depth"]},
    "arrays of lists": {"arrays": [[]]},
    "sources not a list": {"sources": 3},
    "source without stop": {"sources": [{"seed": 0, "start": 0}]},
    "negative source": {"sources": [{"seed": 0, "start": -1, "stop": 2}]},
    "empty source": {"sources": [{"seed": 0, "start": 2, "stop": 2}]},
    "source of text": {"sources": [{"seed": 0, "start": "0", "stop": "2"}]},
    "source of truth": {"sources": [{"seed": 0, "start": False, "stop": True}]},
    "too many realizations": {"sources": [{"seed": 0, "start": 0, "stop": 7}]},
    "overlapping sources": {"sources": [{"seed": 0, "start": 0, "stop": 3}, {"seed": 0, "start": 2, "stop": 4}]},
    "another seed in place": {"sources": [{"seed": 1, "start": 0, "stop": 3}]},
    "in_place not a truth": {"in_place": 1},
    "provenance not an object": {"provenance": []},
    "earlier not a list": {"provenance": {"earlier": 1}},
    "earlier not objects": {"provenance": {"earlier": [1]}},
    "token outside": {"token": "../../evil"},
    "token not text": {"token": 1},
    "experiment not an object": {"experiment": 3},
    "another experiment": {"experiment": {}},
    "wrong parameter": {"experiment": {**attrs.asdict(describe()), "num_channels": "wide"}},
    "unhashable parameter": {"experiment": {**attrs.asdict(describe()), "architecture": []}},
    "more depths than fit in memory": {
        "experiment": {**attrs.asdict(describe()), "total_depth": 10**14, "num_computations": 10**14}
    },
    "depths beyond integers": {"experiment": {**attrs.asdict(describe()), "total_depth": 10**30}},
}


@pytest.mark.parametrize("change", RECORD_DAMAGES.values(), ids=RECORD_DAMAGES)
def test_a_damaged_record_is_told_by_its_name(change, npy_folder):
    save_experiment(complete(describe()), "demo")
    path = npy_folder / "demo" / "experiment.json"
    if isinstance(change, dict):
        change = json.dumps({**json.loads(path.read_text()), **change})
    path.write_bytes(change if isinstance(change, bytes) else change.encode())
    for act in (BY_NAME[0], BY_NAME[2], BY_NAME[5]):
        with pytest.raises(CorruptExperimentError, match=r"experiment\.json"):
            act("demo")
    save_experiment(complete(describe(seed=1)), "demo", overwrite=True)
    assert load_experiment("demo") == complete(describe(seed=1))


@pytest.mark.parametrize("field", ["schema", "experiment", "arrays", "sources", "in_place", "provenance"])
def test_a_record_without_a_field_is_told(field, npy_folder):
    save_experiment(complete(describe()), "demo")
    path = npy_folder / "demo" / "experiment.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != field}))
    with pytest.raises(CorruptExperimentError, match=r"experiment\.json"):
        load_experiment("demo")


@pytest.mark.parametrize("make", [make_pipe, make_folder, link_outside])
def test_a_record_must_be_a_plain_file(make, npy_folder):
    save_experiment(complete(describe()), "demo")
    make(npy_folder / "demo" / "experiment.json")
    with pytest.raises(CorruptExperimentError, match=r"experiment\.json is not a plain file"):
        load_experiment("demo")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from([10**30, "depth"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def load_with(npy_folder, file, change):
    """Load an experiment with changed bytes in a file, and let pass the documented errors only."""
    path = npy_folder / "demo" / file
    if not path.exists():
        save_experiment(complete(describe()), "demo")
    content = path.read_bytes()
    path.write_bytes(change(content))
    with contextlib.suppress(CorruptExperimentError):
        moments = load_experiment("demo")
        assert all(moments[array].dtype in ("f8", "i8") for array in moments)
        repr(moments)
    path.write_bytes(content)


fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzz
@given(st.data())
def test_any_field_of_the_record_may_hold_anything(npy_folder, data):
    def change(content):
        place = record = json.loads(content)
        while place:
            key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
                place[key] = data.draw(JSON)
                break
            place = place[key]
        return json.dumps(record).encode()

    load_with(npy_folder, "experiment.json", change)


@fuzz
@given(
    file=st.sampled_from(["experiment.json", "nu2_signal_loc1.npy", "depth.npy", "res_depth.npy"]),
    start=st.integers(0, 300),
    length=st.integers(0, 80),
    patch=st.binary(max_size=80),
)
def test_any_bytes_may_be_anywhere(npy_folder, file, start, length, patch):
    load_with(npy_folder, file, lambda content: content[:start] + patch + content[start + length :])


@fuzz
@given(
    st.sampled_from(["'descr'", "'fortran_order'", "'shape'", "'<f8'", "False", "(6, 2)", "6", "2", "{", "}", ","]),
    st.sampled_from(
        [
            "",
            "0",
            "-6",
            "10**9",
            "9" * 4400,
            "True",
            "(",
            ")",
            "()",
            "(2, 6)",
            "'|O'",
            "'<U9'",
            "[" * 99,
            "\\",
            "'",
            "\n",
            "\0",
            "None",
            "__import__('os').mkdir('executed')",
            "12",
            "6L",
            "1e400",
        ]
    ),
)
def test_any_header_may_be_there(npy_folder, old, new):
    def change(content):
        header = content[10:128].decode().strip().replace(old, new, 1)
        length = -(-(len(header) + 11) // 64) * 64 - 10
        return content[:8] + length.to_bytes(2, "little") + header.ljust(length - 1).encode() + b"\n" + content[128:]

    load_with(npy_folder, "nu2_signal_loc1.npy", change)
    assert not Path("executed").exists()


IN_4 = {
    "activation": "relu",
    "gain": 2.0,
    "kernel_initializer": "gaussian",
    "bias_variance": 0.0,
    "statistics": "constant",
}
LATER = {
    1: {"weights": "explicit", "precision": "float32", **IN_4},
    2: {"precision": "float32", **IN_4},
    3: IN_4,
}


@pytest.mark.parametrize("schema", LATER)
def test_folders_of_earlier_schemas_still_load(schema, npy_folder):
    save_experiment(complete(describe()), "older")
    path = npy_folder / "older" / "experiment.json"
    content = json.loads(path.read_text())
    assert content.pop("schema") == 4
    for name in LATER[schema]:
        del content["experiment"][name]
    path.write_text(json.dumps({**content, "schema": schema}))
    moments = load_experiment("older")
    assert moments.experiment == attrs.evolve(describe(), **LATER[schema])
    assert is_genuine(moments)
