"""The command line: every command, every spelling, and every kind of error in one line."""

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import attrs
import numpy as np
import pytest

import manage_experiments
import moments_dnns
import plots
import run_experiment as run_door
from moments_dnns import _cli, commands, diagnose, list_experiments, load_experiment, prune_experiment, save_experiment
from moments_dnns.commands import main
from moments_dnns.descriptions.parameters import parameters_of
from moments_dnns.execution.options import RunOptions
from moments_dnns.plots.figures import FIGURES
from moments_dnns.results.interruption import Terminated
from tests.support.synthetic import complete, describe, run

ROOT = Path(__file__).parents[1]
DOORS = {"run_experiment": run_door, "manage_experiments": manage_experiments, "plots": plots}
REQUIRED = {"total_depth": 4, "kernel_size": 1, "num_channels": 8, "batch_size": 4, "num_realizations": 2}
RUN = ["run", "--architecture", "bn_ff", *(f"--{name}={value}" for name, value in REQUIRED.items())]
MAINS = {"moments-dnns": main, **{f"{name}.py": door.main for name, door in DOORS.items()}}


@pytest.fixture
def experiments(tmp_path, monkeypatch):
    """Two experiments that can be merged, and one that is not finished, seen from an empty folder."""
    for seed in range(2):
        save_experiment(complete(describe(seed=seed)), f"seed{seed}")
    next(run("unfinished", describe(10, architecture="vanilla")))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def received(monkeypatch):
    """What `run_experiment` is called with, by the command line."""
    calls = []
    monkeypatch.setattr("moments_dnns.simulation.run.run_experiment", lambda **options: calls.append(options))
    return calls


# Doors


@pytest.mark.parametrize(
    ("door", "name"), [(door, name) for door in DOORS for name in DOORS[door].__all__ if name != "main"]
)
def test_doors_open_on_the_package(door, name):
    assert getattr(DOORS[door], name) is getattr(moments_dnns, name)


def test_the_door_of_plots_opens_on_all_figures():
    assert {*plots.__all__} == {"main", *(name for name in moments_dnns.__all__ if name.startswith("plot_"))}


def test_doors_have_nothing_else():
    with pytest.raises(AttributeError, match="no_such_function"):
        plots.no_such_function  # noqa: B018


@pytest.mark.parametrize("command", [["run_experiment.py"], ["-m", "moments_dnns", "run"]])
def test_doors_are_scripts(command):
    done = subprocess.run(
        [sys.executable, *command, *RUN[1:], "--num_computations=2", "--dataset=missing.npy"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "missing.npy" in done.stderr


def test_the_installed_script_is_this_one():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["moments-dnns"].partition(":")
    assert getattr(importlib.import_module(module), name) is main


# Running


def test_run_takes_every_parameter_that_can_be_written_in_a_line():
    fields = parameters_of(moments_dnns.Experiment, RunOptions)
    options = inspect.signature(commands.run).parameters
    assert [*options] == [name for name in fields if name != "executor"]
    for name, option in options.items():
        default = fields[name].default
        assert option.default == (inspect.Parameter.empty if default is attrs.NOTHING else default)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--res_depth", "3"], {"res_depth": 3}),
        (["--res-depth=3"], {"res_depth": 3}),
        (["--boundary", "zero_padding"], {"boundary": "zero_padding"}),
        (["--bias-variance", "1e-2"], {"bias_variance": 0.01}),
        (["--no_verbose"], {"verbose": False}),
        (["--no-verbose"], {"verbose": False}),
        (["--no_compute_reff_signal", "--no-compute-reff-noise"],
         {"compute_reff_signal": False, "compute_reff_noise": False}),
        (["--overwrite"], {"overwrite": True}),
        (["--name-experiment", "night"], {"name_experiment": "night"}),
        (["--dataset", "my images/x.npy", "--workers", "4"], {"dataset": "my images/x.npy", "workers": 4}),
    ],
)  # fmt: skip
def test_run_hands_over_what_is_written(words, expected, received):
    for main_of, before in ((main, RUN), (run_door.main, RUN[1:])):
        assert main_of([*before, *words]) == 0
        assert received.pop() == {"architecture": "bn_ff", **REQUIRED, **expected}


@pytest.mark.backend
def test_run_does_what_the_function_does(capsys):
    settings = {"dataset": "photo", "num_computations": 2, "name_experiment": "mine"}
    assert main([*RUN, *(f"--{name}={value}" for name, value in settings.items()), "--no_verbose"]) == 0
    assert "bn_ff" in capsys.readouterr().out
    expected = moments_dnns.run_experiment("bn_ff", **REQUIRED, **{**settings, "name_experiment": None}, verbose=False)
    assert load_experiment("mine") == expected


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interrupt_says_what_was_saved(error, code, monkeypatch, capsys):
    def interrupted(*_):
        raise error

    monkeypatch.setattr("moments_dnns.simulation.run.collect", interrupted)
    words = ["--dataset", "photo", "--num_computations", "2", "--name_experiment", "new"]
    assert main([*RUN, *words]) == code
    told = "moments-dnns: interrupted before the first realizations were saved\n"
    assert capsys.readouterr().err == told


# Figures, verdicts, and saved experiments


@pytest.mark.usefixtures("experiments")
@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["bn_ff", "seed0"], "figures/seed0_bn_ff.png"),
        (["bn-ff", "seed0"], "figures/seed0_bn_ff.png"),
        (["bn_ff", "seed0", "--path", "new/x.pdf"], "new/x.pdf"),
        (["--path=x.svg", "bn_ff", "seed0"], "x.svg"),
        (["bn_ff", "seed0", "seed1"], "figures/seed0_seed1_bn_ff.png"),
        (["architecture", "seed0"], "figures/seed0_architecture.png"),
        (["summary", "seed0"], "figures/seed0_summary.png"),
    ],
)
def test_plot_draws(arguments, path, capsys):
    for main_of, before in ((main, ["plot"]), (plots.main, [])):
        Path(path).unlink(missing_ok=True)
        assert main_of([*before, *arguments]) == 0
        assert Path(path).stat().st_size > 1000
        assert capsys.readouterr().out == f"{path}\n"


@pytest.mark.usefixtures("experiments")
@pytest.mark.parametrize("switch", ["--theory", "--use_tex", "--use-tex"])
def test_plot_hands_over_its_switches(switch, monkeypatch):
    seen = {}
    monkeypatch.setattr("moments_dnns.plots.experiments.plot_figure", lambda *_, **options: seen.update(options))
    assert plots.main(["bn_ff", "seed0", switch]) == 0
    assert {name for name, value in seen.items() if value is True} == {switch[2:].replace("-", "_")}


@pytest.mark.usefixtures("experiments")
def test_diagnose_tells_the_verdicts(capsys):
    expected = diagnose(load_experiment("seed0"))
    assert main(["diagnose", "seed0"]) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    assert main(["diagnose", "seed0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected.to_dict()


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Models in files, and what goes into them, seen from an empty folder."""
    import keras

    layers, bias = keras.layers, keras.initializers.Constant(-30.0)
    made = {
        "good": [layers.Dense(32, "gelu", kernel_initializer="he_normal"), layers.Dense(16)],
        "dead": [layers.Dense(8, "relu", bias_initializer=bias, name="dying"), layers.Dense(8), layers.Dense(8)],
        "code": [layers.Lambda(lambda x: x + 1)],
    }
    monkeypatch.chdir(tmp_path)
    for name, parts in made.items():
        keras.Sequential([keras.Input((6,)), *parts]).save(f"{name}.keras")
    images = np.random.default_rng(0).normal(size=(100, 6))
    np.save("x.npy", images)
    np.savez("x.npz", images=images, labels=np.arange(100))
    np.savez("one.npz", anything=images)
    Path("text.keras").write_text("no model")
    Path("broken.npz").write_bytes(Path("x.npz").read_bytes()[:200])


@pytest.mark.backend
@pytest.mark.usefixtures("models")
@pytest.mark.filterwarnings("ignore:realization .* log_mu2_noise is -inf:RuntimeWarning")
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["good.keras", "--images", "x.npz"], 0, "trainable: yes"),
        (["good.keras", "--images", "x.npy", "--batch_size", "16"], 0, "8 realizations at 3 depths"),
        (["good.keras", "--images", "one.npz", "--num-realizations", "5"], 0, "5 realizations at 3 depths"),
        (["dead.keras", "--images", "x.npz"], 3, "cause: dying: from here on nothing varies"),
        (["good.keras", "--images", "x.npz", "--num_realizations", "1"], 4, "missing: 4 realizations"),
    ],
)
def test_diagnose_of_a_file_says_whether_it_can_be_trained(words, code, told, capsys):
    assert main(["diagnose", *words]) == code
    assert told in capsys.readouterr().out


@pytest.mark.backend
@pytest.mark.usefixtures("models")
@pytest.mark.filterwarnings("ignore:realization .* log_mu2_noise is -inf:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:layers leaves out what is zero:UserWarning")
def test_diagnose_writes_a_report_and_json(capsys):
    assert main(["diagnose", "dead.keras", "--images", "x.npz", "--json", "--report", "new/report.html"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["verdicts"] == ["dead signal"]
    assert found["causes"][0]["layer"] == "dying"
    assert "dying" in Path("new/report.html").read_text(encoding="utf-8")


@pytest.mark.backend
@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("missing.keras --images x.npz", "expected an existing .keras file"),
        ("text.keras --images x.npz", "expected a model that was saved as .keras"),
        ("code.keras --images x.npz", "without code"),
        ("good.keras", "--images belongs to a model"),
        ("seed0 --images x.npz", "--images belongs to a model"),
        ("good.keras --images missing.npy", "missing.npy"),
        ("good.keras --images broken.npz", "broken.npz"),
        ("good.keras --images x.npz --batch_size 1", "Received: batch_size=1"),
        ("good.keras --images x.npz --num_realizations 0", "Received: num_realizations=0"),
        ("good.keras --images x.npz --report x.pdf", "path must end in .html"),
    ],
)
def test_diagnose_of_a_file_refuses_in_one_line(line, told, capsys):
    assert main(["diagnose", *line.split()]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert told in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.usefixtures("experiments")
def test_list_shows_what_there_is(capsys, npy_folder):
    prune_experiment("bn_ff", "seed0")
    assert main(["list"]) == 0
    header, *table = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert header == ["name", "architecture", "depth", "width", "realizations", "pruned for", "size"]
    assert [row[:6] for row in table] == [
        ["seed0", "bn_ff", "4", "16", "6 of 6", "bn_ff"],
        ["seed1", "bn_ff", "4", "16", "6 of 6", "-"],
        ["unfinished", "vanilla", "4", "16", "2 of 10", "-"],
    ]
    size = sum(path.stat().st_size for path in (npy_folder / "seed1").iterdir())
    assert table[1][6] == f"{size / 1000:.4g} kB"


@pytest.mark.usefixtures("experiments")
def test_list_shows_damaged_experiments_too(capsys, npy_folder):
    (npy_folder / "seed0" / "experiment.json").write_text("{")
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "damaged" in lines[1]
    assert "experiment.json" in lines[1]


def test_list_of_nothing(capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out == "no experiments\n"


@pytest.mark.usefixtures("experiments")
@pytest.mark.parametrize("figure", ["bn_ff", "bn-ff"])
def test_prune(figure, capsys):
    assert main(["prune", figure, "seed0"]) == 0
    assert re.fullmatch(r"freed [\d.]+ kB\n", capsys.readouterr().out)
    assert load_experiment("seed0").provenance["pruned_for"] == "bn_ff"
    assert manage_experiments.main(["prune", figure, "seed0"]) == 0
    assert capsys.readouterr().out == "freed 0 B\n"


@pytest.mark.usefixtures("experiments")
@pytest.mark.parametrize("option", ["--name_merged", "--name-merged"])
def test_merge(option, capsys):
    assert main(["merge", "seed0", "seed1", option, "both"]) == 0
    assert "bn_ff" in capsys.readouterr().out
    assert load_experiment("both").num_realizations == 12


@pytest.mark.usefixtures("experiments")
def test_delete(capsys):
    assert main(["delete", "seed0"]) == 0
    assert capsys.readouterr().out.startswith("freed ")
    assert list_experiments() == ["seed1", "unfinished"]


# Errors


def through_doors(line):
    """Return the same line of `moments-dnns` as the doors take it."""
    command, *words = line.split() or ["list"]
    doors = {"run": ("run_experiment.py", words), "plot": ("plots.py", words)}
    doors |= dict.fromkeys(("list", "prune", "merge", "delete"), ("manage_experiments.py", line.split()))
    return [doors[command]] if command in doors else []


@pytest.mark.usefixtures("experiments")
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("delete seed2", "Received: name='seed2'"),
        ("delete ../seed0", "Received: name='../seed0'"),
        ("prune vanilla seed0", "Received: name='seed0'"),
        ("prune bn_ff seed2", "Received: name='seed2'"),
        ("diagnose seed2", "Received: name='seed2'"),
        ("merge seed0 unfinished --name_merged both", "Received: names="),
        ("merge seed0 --name_merged both", "Received: names="),
        ("merge seed0 seed1 --name_merged unfinished", "Received: name='unfinished'"),
        ("merge seed0 seed0 --name_merged both", "Received: names="),
        ("plot bn_ff other", "Received: name='other'"),
        ("plot bn_res seed0", "bn_res draws"),
        ("plot bn_ff seed0 --path x.doc", "path must end in"),
        ("plot summary seed0 seed1", "expected moments named"),
        ("plot summary seed0 --theory", "Received: type_plot='summary'"),
        (" ".join([*RUN, "--num_computations", "100"]), "num_computations must divide total_depth"),
        (" ".join(RUN) + " --num_computations 2 --dataset photo --name_experiment seed0", "seed0"),
        (" ".join(RUN) + " --num_computations 2 --gain -1", "Received: gain=-1.0"),
        (" ".join(RUN) + " --num_computations 2 --name_experiment ../x", "Received: name='../x'"),
        # Words that are not understood, and what was meant.
        ("", "expected a command: "),
        ("destroy seed0", 'Unknown command "destroy"'),
        ("delet seed0", 'Did you mean "delete"?'),
        ("delete", "requires an argument"),
        ("delete seed0 seed1", "seed1"),
        ("delete seed0 --force", "Unknown option: --force"),
        ("list seed0", "seed0"),
        ("prune no_figure seed0", '"no_figure"'),
        ("prune layers seed0", '"layers"'),
        ("prune seed0 bn_ff", '"seed0"'),
        ("merge seed0 seed1", "--name_merged"),
        ("merge seed0 seed1 --name both", "--name_merged"),
        ("plot bn_ff", "NAMES"),
        ("plot bn_f seed0", 'Did you mean "bn_ff"?'),
        ("plot bn_ff seed0 --pathh x.png", "Did you mean --path?"),
        ("plot bn_ff seed0 --pat x.png", "Did you mean --path?"),
        ("run --architecture bn_ff", "--total_depth"),
        (" ".join(RUN) + " --activatoin relu", "Did you mean --activation?"),
        (" ".join(RUN) + " --seed 3.7", "expected an integer, received '3.7'"),
        (" ".join(RUN) + " --gain x", "expected a number, received 'x'"),
        (" ".join(RUN) + " --boundary periodical", 'Did you mean "periodic"?'),
        (" ".join(RUN) + " --no_overwrite", "Unknown option: --no_overwrite"),
        (" ".join(RUN) + " --executor dask", "Unknown option: --executor"),
        (" ".join(RUN) + " --seed 1 --seed 2", "--seed specified multiple times"),
    ],
)
def test_errors_are_one_line(line, told, capsys):
    before = load_experiment("seed0")
    for name, words in [("moments-dnns", line.split()), *through_doors(line)]:
        assert MAINS[name](words) == 2
        shown = capsys.readouterr()
        assert not shown.out
        assert shown.err.startswith(f"{name}: error: ")
        assert told in shown.err
        assert shown.err.count("\n") == 1
    assert list_experiments() == ["seed0", "seed1", "unfinished"]
    assert load_experiment("seed0") == before
    assert not any(Path.cwd().iterdir())


class ResourceExhaustedError(Exception):
    """As TensorFlow's: no RuntimeError, and the message comes after the places."""


GRAPH = """Graph execution error:

Detected at node convolution_1/uniform defined at (most recent call last):
  File "x.py", line 1, in <module>

OOM when allocating tensor with shape[2,4500000000000]
 [[{{node convolution_1/uniform}}]]"""
MEMORY = "the network needs more memory than there is: take fewer channels or a smaller batch"
BACKEND = "KERAS_BACKEND must name a backend that is installed: tensorflow, jax or torch"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TypeError("gain must be a number. Received: gain='x'"), "gain must be a number. Received: gain='x'"),
        (KeyError("no such key"), "no such key"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (RuntimeError("a worker failed\nagain"), "a worker failed"),
        (MemoryError(), f"MemoryError: {MEMORY}"),
        (ResourceExhaustedError(GRAPH), "ResourceExhaustedError: OOM when allocating tensor with shape"
         f"[2,4500000000000]: {MEMORY}"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 216 bytes."),
         f"RESOURCE_EXHAUSTED: Out of memory allocating 216 bytes.: {MEMORY}"),
        (ModuleNotFoundError("No module named 'torch'"), f"No module named 'torch': {BACKEND}"),
        (ValueError("Unable to import backend : jaxx"), f"Unable to import backend : jaxx: {BACKEND}"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (RuntimeError(), "RuntimeError"),
    ],
    ids=repr,
)  # fmt: skip
def test_errors_of_every_kind_are_one_line(error, told, monkeypatch, capsys):
    def fails(**_):
        raise error

    monkeypatch.setattr("moments_dnns.simulation.run.run_experiment", fails)
    assert main(RUN) == 2
    assert capsys.readouterr().err == f"moments-dnns: error: {told}\n"


def test_a_backend_that_is_not_there_is_one_line():
    command = [sys.executable, "-m", "moments_dnns", *RUN, "--num_computations=2", "--dataset=photo", "--no_verbose"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "jaxx"}
    )
    assert done.returncode == 2
    assert done.stderr == f"moments-dnns: error: Unable to import backend : jaxx: {BACKEND}\n"


@pytest.mark.usefixtures("experiments")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("output", "code", "told"),
    [
        ("a pipe that nobody reads", 1, ""),
        ("/dev/full", 2, "moments-dnns: error: [Errno 28] No space left on device\n"),
    ],
)
def test_output_that_cannot_be_written(output, code, told, unbuffered):
    if output == "/dev/full":
        writer = os.open(output, os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    command = [sys.executable, "-m", "moments_dnns", "list"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, told)


def test_letters_that_the_output_cannot_hold_are_escaped():
    script = """
from moments_dnns import _cli

def say() -> None:
    "Say."
    print("chi is \u03c7")

_cli.call(_cli.application("say", say), [])
"""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=ROOT, env=environment)
    assert done.stdout == b"chi is \\u03c7\n"


def test_the_development_mode_shows_where_an_error_comes_from():
    command = [sys.executable, "-X", "dev", "-m", "moments_dnns", "delete", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


# Help


COMMANDS = [("moments-dnns", [command]) for command in commands.COMMANDS] + [
    ("moments-dnns", []),
    ("run_experiment.py", []),
    ("plots.py", []),
    *(("manage_experiments.py", words) for words in ([], ["list"], ["prune"], ["merge"], ["delete"])),
]


@pytest.mark.parametrize(("name", "words"), COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_fits_a_terminal(name, words, flag, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert MAINS[name]([*words, flag]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(" ".join(["Usage:", name, *words]))
    assert max(map(len, shown.splitlines())) <= 80
    assert "None" not in shown
    assert "`" not in shown


def test_help_explains_all_options_of_run_in_groups(capsys):
    assert run_door.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"─ (\w+) ─", shown) == ["Commands", "Network", "Data", "Numbers", "Run"]
    options = [f"--{name}" for name in inspect.signature(commands.run).parameters]
    switched = [f"--no_{name}" for name in ("compute_reff_signal", "compute_reff_noise", "verbose")]
    flags = ["--help", "--version"]
    assert sorted(set(re.findall(r"--\w+", shown))) == sorted([*options, *switched, *flags])


def test_help_explains_figures(capsys):
    assert plots.main(["--help"]) == 0
    shown = " ".join(re.sub("│", "", capsys.readouterr().out).split())
    texts = (".pdf, .png or .svg", "default: figures/NAME_TYPE_PLOT.png")
    options = ("TYPE_PLOT", "NAMES", "--path", "--theory", "--use_tex")
    for words in (*FIGURES, "architecture", "layers", "summary", *options, *texts):
        assert words in shown


@pytest.mark.parametrize("name", MAINS)
def test_version(name, capsys):
    assert MAINS[name](["--version"]) == 0
    assert capsys.readouterr().out == f"moments_dnns {moments_dnns.__version__}\n"


@pytest.mark.parametrize("door", [*DOORS, "moments_dnns.commands"])
def test_help_starts_neither_a_backend_nor_matplotlib(door):
    code = f"""
import sys
from {door} import main
main(["--help"]), main(["--version"])
print({{name.partition(".")[0] for name in sys.modules}} & {{"keras", "tensorflow", "jax", "torch", "matplotlib"}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(shell, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["--install-completion", "--shell", shell, "--output", str(tmp_path / "completion")]) == 0
    assert "moments-dnns" in (tmp_path / "completion").read_text()


def test_numbers_are_taken_as_they_are_written():
    seen = []

    def count(*, number: _cli.Integer = 1, on: _cli.Switch = False) -> None:
        """Count."""
        seen.append((number, on))

    app = _cli.application("count", count)
    assert [_cli.call(app, words) for words in (["--number", "3"], ["--number=1e3"], ["--on"], ["--no_on"])] == [
        0,
        2,
        0,
        2,
    ]
    assert seen == [(3, False), (1, True)]
