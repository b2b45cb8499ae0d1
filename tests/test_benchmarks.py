"""The benchmarks measure the right thing: the textbook equals the library, and what is counted is what is said."""

import re

import attrs
import numpy as np
import pytest

from benchmarks import bench, common, gpu, models, rates, scale, startup
from benchmarks.bench import SETTINGS, TINY, Best, row
from benchmarks.textbook import Textbook, effective_rank
from moments_dnns import Experiment
from moments_dnns.data import load_images
from moments_dnns.moments import derive, from_logarithms
from moments_dnns.simulation.realizations import Simulator
from tests.support.cases import CASES, draw_inputs, draw_network_kernels, make_experiment, propagate, through

SEEN = common.Measurement(2.0, (0.1, 0.5, 0.2), 2**30, {"nu2_signal_loc1": np.ones((3, 1))})


@through(CASES)
def test_textbook_equals_the_library_with_the_same_kernels(architecture, geometry):
    experiment = make_experiment(architecture, geometry, total_depth=2, num_computations=2)
    images, noise, _ = draw_inputs(experiment)
    kernels = draw_network_kernels(experiment)
    logarithms = propagate(experiment, images, noise, kernels)
    expected = from_logarithms(logarithms, np.transpose(list(logarithms.values())))
    textbook = Textbook(experiment, images)
    textbook.assign([kernels[0], *(kernel for layer in kernels[1:] for kernel in layer)])
    actual = textbook.propagate(images, noise)
    assert list(actual) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("architecture", "weights"),
    [
        pytest.param("bn_ff", "explicit", marks=pytest.mark.backend),
        pytest.param("bn_res", "gram", marks=pytest.mark.backend),
        ("vanilla", "gram"),
        ("bn_ff", "gram"),
    ],
)
def test_textbook_equals_the_library_in_law(architecture, weights):
    """Means and variances over realizations, of every moment's logarithm, within 4.5 standard errors."""
    experiment = Experiment(architecture, 3, 1, 24, 8, 1, dataset="photo", num_computations=1, weights=weights)
    images, samples = load_images("photo"), 100
    simulator, textbook = Simulator(experiment, images), Textbook(experiment, images.images)
    kept = simulator.run(range(samples)).arrays
    library = {name: derive(kept, name) for name in simulator.experiment.array_names}
    runs = [textbook.run(realization) for realization in range(samples)]
    for name in experiment.array_names:
        both = np.stack([library[name], [run[name] for run in runs]])
        logs = both if name.startswith("log") else np.log(both)
        deviations = logs - logs.mean(axis=1, keepdims=True)
        for values in (logs, deviations**2):
            means, errors = values.mean(axis=1), values.std(axis=1) / np.sqrt(samples)
            assert (np.abs(means[0] - means[1]) <= 4.5 * np.hypot(*errors) + 1e-5).all(), name


@pytest.mark.backend
def test_textbook_draws_other_networks_for_other_realizations():
    textbook = Textbook(Experiment("bn_ff", 2, 1, 8, 8, 1, num_computations=1), load_images("photo").images)
    one, again, other = (textbook.run(realization)["nu2_signal_loc2"] for realization in (0, 0, 1))
    assert one == again != other


@pytest.mark.backend
def test_textbook_takes_all_singular_values():
    assert float(effective_rank(np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]], "float32"))) == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("setting", "operations", "normals"),
    [
        # Signal and noise of 64 images: 2 x 64 rows, times 2 operations, kernel entries and layers.
        ("A", 2 * 128 * (3072 * 512 + 200 * 512**2), 3072 * 512 + 200 * 512**2 + 64 * 3072),
        ("E", 2 * 128 * 16**2 * 9 * (3 * 64 + 40 * 64**2), 9 * (3 * 64 + 40 * 64**2) + 64 * 3072),
    ],
)
def test_the_floor_counts_convolutions_and_normals(setting, operations, normals):
    assert rates.counts(SETTINGS[setting]) == (operations, normals)
    assert Best(2.0, 4.0, "").floor(SETTINGS[setting]) == pytest.approx(operations / 2 + normals / 4)


@pytest.mark.backend
@pytest.mark.parametrize("product", [rates.Product(32, 16, 8), rates.Product(2 * 8**2, 9 * 4, 4, size=3, side=8)])
def test_rates_are_measured(product, monkeypatch):
    monkeypatch.setattr(rates, "NUM_NORMALS", 1000)
    assert 1e3 < rates.product_rates([product])[product] < 1e15
    assert set(rates.normal_rates()) == {"NumPy", "Box and Muller in NumPy", "the backend"}


def test_a_measurement_is_whole():
    seen = common.measure(attrs.evolve(SETTINGS["A"], **TINY), 3)
    assert seen.finite
    assert {array.shape for array in seen.arrays.values()} == {(5, 2)}
    assert len(seen.seconds) == 3
    assert 0 < seen.median <= max(seen.seconds)
    assert seen.first_call > 0
    assert seen.peak_memory > 2**27


def test_what_is_infinite_is_seen():
    assert SEEN.finite
    assert not SEEN._replace(arrays={"nu2_signal_loc1": np.array([[1.0], [np.inf]])}).finite


def test_the_default_run_is_measured():
    assert 0 < common.measure_default(attrs.evolve(SETTINGS["A"], **TINY), 2) < 10


def test_first_answers_are_measured_on_every_backend(monkeypatch):
    seconds = {"tensorflow": 4.25, "jax": 2.0}
    monkeypatch.setattr(startup, "least_seconds", lambda *_, **variables: seconds[variables["KERAS_BACKEND"]])
    assert bench.first_answers(list(seconds)).endswith(": 4.25 s on tensorflow, 2.00 s on jax.")


def test_differences_of_precisions_are_told_in_standard_errors():
    experiment = Experiment("vanilla", 2, 1, 4, 4, 1, num_computations=1)
    generator = np.random.default_rng(0)
    one, other = ({name: generator.lognormal(size=(400, 1)) for name in experiment.array_names} for _ in range(2))
    # ln chi and mu4 at three places, two effective ranks at one.
    largest, count = gpu.largest_z(experiment, one, other)
    assert count == 8
    assert 0.3 < largest < 4
    shifted = {**other, "mu4_signal_loc2": other["mu4_signal_loc2"] * np.exp(1.0)}
    # Two means of 400 logarithms of deviation 1 differ by 1, hence by sqrt(200) standard errors.
    assert gpu.largest_z(experiment, one, shifted)[0] == pytest.approx(np.sqrt(200), abs=3)


def test_gpu_runs_anywhere_when_asked_to(capsys):
    assert gpu.main(["--anyway", "--figures", "3,4", "--repeats", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[:2] for line in lines if line.startswith(("| 3", "| 4"))] == [
        [f"| {figure}", precision] for figure in "34" for precision in ("float32", "tf32")
    ]
    # What is no NVIDIA GPU has one precision, so the same numbers came twice.
    assert [line for line in lines if "at most" in line] == [
        f"Figure {figure}: the means of the two precisions differ by at most 0.00 standard errors, among {count}."
        for figure, count in [("3", 14), ("4", 20)]
    ]


def test_a_row_says_what_was_seen():
    assert row("A", "jax", 0.12, SEEN, 0.1, 1.0) == [
        "A",
        "jax",
        "0.120",
        "0.200",
        "0.100 to 0.500",
        "2.00",
        "1.00",
        "0.100",
        "1.20",
        "1.00",
        "8.33",
    ]


def test_results_go_between_their_comments(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- a -->\nold\n<!-- /a -->\n<!-- b -->\n<!-- /b -->\n")
    common.write("a", r"new \1", path)
    common.write("b", "more", path)
    assert path.read_text() == "before\n<!-- a -->\nnew \\1\n<!-- /a -->\n<!-- b -->\nmore\n<!-- /b -->\n"
    with pytest.raises(ValueError, match="<!-- c -->"):
        common.write("c", "text", path)


def test_there_is_a_place_for_all_results():
    text = common.README.read_text()
    assert re.findall("<!-- (.*) -->", text) == [
        f"{slash}{section}" for section in ("bench", "models", "scale", "startup", "gpu") for slash in ("", "/")
    ]


def test_scale_draws_every_curve():
    points = [scale.Point(along, experiment, SEEN) for along, experiment in scale.experiments((100, 200), (16, 32))]
    assert [len(scale.row(point)) for point in points] == [len(scale.HEADER.split(" | "))] * 8
    depth_time, width_time, compiling, memory = scale.draw(points).axes
    assert [len(axes.get_lines()) for axes in (depth_time, width_time, compiling, memory)] == [6, 2, 3, 3]
    assert depth_time.get_lines()[0].get_xydata().tolist() == [[100, 0.2], [200, 0.2]]
    assert depth_time.get_lines()[1].get_ydata().tolist() == [0.1, 0.2]
    assert compiling.get_lines()[0].get_ydata().tolist() == [1.8, 1.8]


@pytest.mark.backend
def test_models_are_measured():
    seen = models.measure("small CNN", 1)
    assert seen.rows == 8
    assert min(seen.forward, seen.first_cpu) > 0
    assert seen.memory > 2**27
    assert 0 < seen.step < seen.first_cpu
    assert 0 < seen.logged < seen.first_cpu
    assert 0 < seen.gradients < seen.first_cpu
    assert len(models.row("small CNN", seen)) == len(models.HEADER.split(" | "))


def test_beginnings_are_measured(capsys):
    assert startup.main(["--repeats", "1"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0].removeprefix("| ") for row in rows] == list(startup.BEGINNINGS)
    assert all(0 < float(row[1]) < 60 for row in rows)


def test_the_settings_of_the_figures_cost_what_the_paper_spends():
    assert rates.counts(gpu.FIGURES["4"]).operations == pytest.approx(31e12, rel=0.01)
    assert rates.counts(gpu.FIGURES["5"]).operations == pytest.approx(5 * 31e12, rel=0.01)


@pytest.mark.backend
def test_without_an_accelerator_gpu_says_so(monkeypatch, capsys):
    monkeypatch.setattr("moments_dnns._backend.accelerators", list)
    assert gpu.main([]) == 2
    assert "sees no accelerator" in capsys.readouterr().err
