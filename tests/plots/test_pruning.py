"""Pruning: what is kept is what the figure draws, and nothing is lost that could not be."""

import numpy as np
import pytest

from moments_dnns.moments import kept_name, stored_name
from moments_dnns.plots.figures import FIGURES
from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results.experiments import load_experiment, save_experiment
from moments_dnns.results.sources import Source
from tests.support.synthetic import complete, describe, folder_bytes, is_genuine, run


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
    assert {path.stem for path in (npy_folder / "demo").iterdir()} == {*map(kept_name, pruned), "experiment"}
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
        ("no_figure", {}, ", ".join(map(repr, FIGURES))),
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
