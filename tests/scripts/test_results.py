"""The results that ship: what is run, what is kept, and what is said of it."""

import re

import attrs
import numpy as np
import pytest

from moments_dnns import Experiment, Moments, load_experiment, save_experiment
from moments_dnns.analysis.published import Comparison
from moments_dnns.moments import stored_name
from moments_dnns.plots.experiments import plot_figure
from moments_dnns.plots.figures import FIGURES
from scripts import experiments, results, results_page

# What the page of the science says of each: kernel, width, batch, depth, realizations, and what else differs.
PAPER = {
    "fully_connected_2": (1, 128, 1024, 200, 10_000, {}),
    "fully_connected_3": (1, 512, 64, 200, 200, {}),
    "fully_connected_4": (1, 512, 64, 200, 200, {}),
    "fully_connected_4_batch_128": (1, 512, 128, 200, 200, {}),
    "fully_connected_4_batch_256": (1, 512, 256, 200, 200, {}),
    "fully_connected_4_batch_512": (1, 512, 512, 200, 200, {}),
    "fully_connected_5": (1, 512, 64, 500, 200, {}),
    "figure_2": (3, 128, 1024, 200, 10_000, {}),
    "figure_2_narrow": (3, 32, 1024, 200, 10_000, {}),
    "figure_2_wide": (3, 512, 1024, 200, 10_000, {}),
    "figure_3": (3, 512, 64, 200, 1_000, {}),
    "figure_3_symmetric": (3, 512, 64, 200, 1_000, {"boundary": "symmetric"}),
    "figure_3_zero_padding": (3, 512, 64, 200, 1_000, {"boundary": "zero_padding"}),
    "figure_4": (3, 512, 64, 200, 1_000, {}),
    "figure_4_zero_padding": (3, 512, 64, 200, 1_000, {"boundary": "zero_padding"}),
    "figure_4_mnist": (3, 512, 64, 200, 1_000, {"dataset": "mnist"}),
    "figure_4_epsilon_0": (3, 512, 64, 200, 1_000, {"epsilon": 0.0}),
    "figure_5": (3, 512, 64, 500, 1_000, {}),
    "figure_5_narrow": (3, 128, 64, 500, 1_000, {}),
    "figure_5_one_sided": (3, 512, 64, 500, 1_000, {"boundary": "periodic_one_sided"}),
}


@pytest.mark.parametrize("name", experiments.RESULTS)
def test_every_result_has_the_settings_of_the_paper(name):
    kernel_size, width, batch_size, depth, realizations, others = PAPER[name]
    experiment = Experiment(**experiments.settings_of(name, "paper", "cifar10"))
    histogram = "_2" in name and "batch" not in name
    expected = {
        "architecture": {"2": "vanilla", "3": "vanilla", "4": "bn_ff", "5": "bn_res"}[re.search(r"\d", name)[0]],
        "kernel_size": kernel_size, "num_channels": width, "batch_size": batch_size, "total_depth": depth,
        "num_realizations": realizations, "num_computations": 4 if histogram else 100, "boundary": "periodic",
        "dataset": "cifar10", "epsilon": 1e-3, "res_depth": 2, "seed": 0, **others,
    }  # fmt: skip
    assert {key: getattr(experiment, key) for key in expected} == expected
    taken = {stored_name(array) for array in experiment.array_names}
    derived = {name for name in FIGURES[experiments.RESULTS[name].type_plot].needs if "chi" not in name}
    assert {stored_name(array) for array in derived - {"depth", "res_depth"}} <= taken
    assert experiments.is_paper(name, experiment)
    assert experiments.is_paper(name, attrs.evolve(experiment, dataset="photo", seed=3))
    assert not experiments.is_paper(name, attrs.evolve(experiment, num_channels=8))


def test_names_tell_the_size():
    assert experiments.saved_name("figure_4", "paper") == "figure_4"
    assert experiments.saved_name("figure_4", "cpu") == "figure_4_cpu"
    assert experiments.saved_name("fully_connected_4", "cpu") == "fully_connected_4"
    assert experiments.saved_name("fully_connected_4", "quick") == "fully_connected_4_quick"


def test_ctrl_c_says_that_what_was_finished_is_saved(monkeypatch, capsys):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "run_experiment", interrupted)
    assert results.main(["--dataset", "photo", "--names", "figure_4"]) == 130
    assert capsys.readouterr().err.startswith("results.py: interrupted: what was finished is saved")


def test_results_are_run_pruned_and_not_run_again(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(results, "DOCUMENT", tmp_path / "results.md")
    names = ["--names", "fully_connected_4", "figure_3_symmetric"]
    assert results.main(["--size", "quick", "--dataset", "photo", "--no_verbose", *names]) == 0
    for folder, type_plot in [("fully_connected_4_quick", "bn_ff"), ("figure_3_symmetric_quick", "vanilla")]:
        moments = load_experiment(folder)
        assert moments.num_realizations == 4
        assert set(moments) == {stored_name(name) for name in FIGURES[type_plot].needs}
    assert "2 of 20 experiments to finish" in capsys.readouterr().out
    monkeypatch.setattr(results, "run_experiment", lambda **_: pytest.fail("ran again"))
    assert results.main(["--size", "quick", "--dataset", "photo", "--no_verbose", *names]) == 0
    assert not (tmp_path / "results.md").exists()  # tiny versions are not worth telling
    monkeypatch.setitem(experiments.QUICK, "num_realizations", 6)  # what is pruned cannot be continued
    assert results.main(["--size", "quick", "--dataset", "photo", "--no_verbose", *names]) == 0
    assert "fully_connected_4_quick: has 4 of 6 realizations and is pruned" in capsys.readouterr().out


def test_fewer_realizations_are_run_and_told(monkeypatch, capsys):
    given = []
    monkeypatch.setattr(results, "run_experiment", lambda **settings: given.append(settings["num_realizations"]))
    monkeypatch.setattr(results, "prune_experiment", lambda *_: None)
    options = ["--size", "quick", "--dataset", "photo", "--names", "fully_connected_4", "--realizations", "2"]
    assert results.main(options) == 0
    assert given == [2]


def test_datasets_that_cannot_be_had_are_told_and_left_out(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(results, "DOCUMENT", tmp_path / "results.md")

    def load_images(dataset):
        raise ConnectionError(f"{dataset} is not at hand")

    monkeypatch.setattr(results, "load_images", load_images)
    monkeypatch.setattr(results, "run_experiment", lambda **_: pytest.fail("ran"))
    assert results.main(["--size", "quick", "--names", "figure_4_mnist"]) == 0
    told = capsys.readouterr().out
    assert "cifar10 is not at hand" in told
    assert "mnist is not at hand" in told
    assert "0 of 20 experiments to finish, on photo images" in told


def test_the_document_compares_what_is_saved():
    settings = {**experiments.settings_of("fully_connected_4", "paper", "photo"), "num_realizations": 2}
    experiment = Experiment(**settings)
    ones = {name: np.ones((2, 100)) for name in experiment.array_names}
    ones["log_mu2_noise_loc4"] = 2 * np.array([[2.1], [2.3]]) * np.ones((2, 100))
    save_experiment(Moments(ones, experiment), "fully_connected_4")
    text = results_page.document()
    assert "| `fully_connected_4` | 2 | 1 | 512 | 64 | 200 | crops of one photograph | 0 | paper |" in text
    # Ours 2.1 and 2.3; published 2.183, deviation 0.037 over 200 realizations.
    z = (2.2 - 2.183) / np.hypot(0.1, 0.037 / np.sqrt(200))
    assert f"| ln χ | 10 | 2.2 | 0.1 | 2.183 | 0.0026 | {z:.1f} |" in text
    assert text.count("\n## ") == 1
    assert "within 2 σ" not in text  # on other images than the paper's


def test_the_document_counts_what_agrees_at_the_size_and_on_the_images_of_the_paper():
    rows = [Comparison("χ", depth, 1.0, 1.0, 1.0 - z, 0.0, z) for depth, z in enumerate((-0.5, 2.5, 3.5, -7.0))]
    header, _, first = results_page.agreement({"one": rows})
    assert "within 2 σ | within 3 σ | within 4 σ" in header
    assert first == "| `one` | 4 | 1 | 2 | 3 | -7.0 | χ, 3 |"


def test_the_document_that_ships_is_that_of_the_results_that_ship(monkeypatch):
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(results_page.DOCUMENT.parents[1] / "npy"))
    assert results_page.DOCUMENT.read_text() == results_page.document()


def test_results_that_ship_are_complete_and_draw(monkeypatch):
    folder = results_page.DOCUMENT.parents[1] / "npy"
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(folder))
    shipped = dict(experiments.saved_results())
    assert set(experiments.RESULTS) - set(shipped) <= {"figure_2_wide"}  # twenty minutes a realization on two cores
    for name, saved in shipped.items():
        assert results.is_finished(saved), saved
        assert plot_figure(experiments.RESULTS[name].type_plot, load_experiment(saved)).axes
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 40e6
