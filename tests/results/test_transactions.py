"""The commit protocol as a reader sees it; `test_crash` stops writers at every step of it."""

from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results import transactions
from moments_dnns.results.experiments import load_experiment, save_experiment
from tests.support.synthetic import complete, describe, finish, is_genuine


def test_foreign_files_do_not_count(npy_folder):
    saved = complete(describe())
    save_experiment(saved, "demo")
    prune_experiment("bn_ff", "demo")
    pruned = load_experiment("demo")
    for foreign in ("nu2_signal_loc1.npy", "notes.txt", "weights.npy", "nu2_signal_loc1.npy.0123456789abcdef"):
        (npy_folder / "demo" / foreign).write_bytes(b"foreign")
    assert load_experiment("demo") == pruned


def test_a_reader_never_sees_a_mixture(monkeypatch):
    finish("demo", describe())
    read, interventions = (
        transactions._read,
        iter(
            [
                lambda: finish("demo", describe(seed=1), overwrite=True),
                lambda: prune_experiment("bn_ff", "demo"),
            ]
        ),
    )

    def read_while_somebody_writes(folder, record, name):
        array = read(folder, record, name)
        if name == "nu2_signal_loc2":
            next(interventions, lambda: None)()
        return array

    monkeypatch.setattr(transactions, "_read", read_while_somebody_writes)
    moments = load_experiment("demo")
    assert moments.experiment.seed == 1
    assert moments.provenance["pruned_for"] == "bn_ff"
    assert is_genuine(moments)
