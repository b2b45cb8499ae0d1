"""The record: what is refused of it, and records of earlier schemas."""

import json
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns.descriptions.base import Description
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.results.experiments import list_experiments, load_experiment, save_experiment
from moments_dnns.results.files import CorruptExperimentError
from moments_dnns.results.record import DESCRIPTIONS, Record
from moments_dnns.results.transactions import read_record
from tests.support.harm import READING, WRITING, fuzz, link_outside, load_with, make_folder, make_pipe
from tests.support.synthetic import complete, describe, finish, is_genuine, rows

MODEL = Characterization("net", ("input", "dense"), ((), (0,)), 3, (8, 4, 4, 1), "array-0123")

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
    "unknown kind": {"kind": "theory"},
    "kind of another description": {"kind": "model"},
    "kind of another type": {"kind": ["experiment"]},
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
def test_a_damaged_record_is_named(change, npy_folder):
    save_experiment(complete(describe()), "demo")
    path = npy_folder / "demo" / "experiment.json"
    if isinstance(change, dict):
        change = json.dumps({**json.loads(path.read_text()), **change})
    path.write_bytes(change if isinstance(change, bytes) else change.encode())
    for act in (*READING.values(), WRITING["run"]):
        with pytest.raises(CorruptExperimentError, match=r"experiment\.json"):
            act("demo")
    save_experiment(complete(describe(seed=1)), "demo", overwrite=True)
    assert load_experiment("demo") == complete(describe(seed=1))


@pytest.mark.parametrize("field", ["schema", "kind", "experiment", "arrays", "sources", "in_place", "provenance"])
def test_a_record_without_a_field_is_refused(field, npy_folder):
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


LATER = {  # what a schema lacks, and what experiments had then
    1: {"weights": "explicit", "precision": "float32"},
    2: {"weights": "auto", "precision": "float32"},
    3: {"weights": "auto", "precision": "float32"},
    4: {"weights": "auto", "precision": "float32"},
}
RECORDS = Path(__file__).parents[1] / "support" / "records"  # as the library of every schema wrote them


def write_arrays(folder, record):
    """Write the arrays of a record beside it."""
    experiment = record.experiment
    for name, array in {**rows(experiment, range(experiment.num_realizations)), **experiment.described}.items():
        np.save(folder / f"{name}.npy", array)


@pytest.mark.parametrize("schema", LATER)
def test_records_of_earlier_schemas_load(schema, npy_folder):
    (npy_folder / "older").mkdir(parents=True)
    shutil.copy(RECORDS / f"schema_{schema}.json", npy_folder / "older" / "experiment.json")
    write_arrays(npy_folder / "older", read_record(npy_folder / "older"))
    moments = load_experiment("older")
    assert moments.experiment == describe(**LATER[schema])
    assert (moments.sources, moments.provenance) == (((0, 0, 6),), {"device": "CPU"})
    assert is_genuine(moments)


def test_a_record_of_a_model_of_the_schema_before_kinds_loads(npy_folder):
    (npy_folder / "older").mkdir(parents=True)
    shutil.copy(RECORDS / "schema_4_model.json", npy_folder / "older" / "experiment.json")
    write_arrays(npy_folder / "older", read_record(npy_folder / "older"))
    assert load_experiment("older").experiment == MODEL
    assert is_genuine(load_experiment("older"))


def test_an_earlier_record_is_written_anew_as_the_present_one(npy_folder):
    for path in RECORDS.iterdir():
        older = Record.from_json(path.read_text())
        newer = json.loads(older.to_json())
        assert newer["schema"] == 5
        assert newer["kind"] == ("model" if "model" in path.name else "experiment")
        assert Record.from_json(json.dumps(newer)) == older


def test_continuing_an_earlier_experiment_brings_its_record_up_to_date(npy_folder):
    (npy_folder / "older").mkdir(parents=True)
    shutil.copy(RECORDS / "schema_1.json", npy_folder / "older" / "experiment.json")
    write_arrays(npy_folder / "older", read_record(npy_folder / "older"))
    moments = finish("older", describe(8, **LATER[1]))
    assert moments.num_realizations == 8
    assert is_genuine(moments)
    assert json.loads((npy_folder / "older" / "experiment.json").read_text())["schema"] == 5


def test_every_file_that_ships_loads(monkeypatch):
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(Path(__file__).parents[2] / "npy"))
    for name in list_experiments():
        moments = load_experiment(name)
        assert isinstance(moments.experiment, DESCRIPTIONS["model" if name.startswith("model_") else "experiment"])
        assert all(len(array) == moments.num_realizations for array in moments.values() if array.ndim == 2)


def test_experiments_and_models_differ_in_their_kind():
    assert describe().differences(MODEL) == {"kind": ("experiment", "model")}
    assert MODEL.differences(describe()) == {"kind": ("model", "experiment")}


def test_a_description_must_be_complete():
    class Half(Description):
        """A description that does not say what its arrays are."""

    with pytest.raises(TypeError, match="abstract"):
        Half(1, 0)
