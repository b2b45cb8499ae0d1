"""The door to saved experiments and its command line."""

import subprocess
import sys
from pathlib import Path

import pytest

import manage_experiments
import moments_dnns
from manage_experiments import main
from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results.experiments import list_experiments, load_experiment, save_experiment
from tests.support.synthetic import complete, describe, run


@pytest.fixture
def experiments():
    """Two experiments that can be merged, and one that is not finished."""
    for seed in range(2):
        save_experiment(complete(describe(seed=seed)), f"seed{seed}")
    next(run("unfinished", describe(10, architecture="vanilla")))


@pytest.mark.parametrize("name", [name for name in manage_experiments.__all__ if name != "main"])
def test_the_door_opens_on_the_package(name):
    assert getattr(manage_experiments, name) is getattr(moments_dnns, name)


@pytest.mark.usefixtures("experiments")
def test_list_shows_what_there_is(capsys, npy_folder):
    prune_experiment("bn_ff", "seed0")
    assert main(["list"]) == 0
    header, *table = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [word for word in header if word] == [
        "name",
        "architecture",
        "depth",
        "width",
        "realizations",
        "pruned for",
        "size",
    ]
    shown = [[cell.strip() for cell in row if cell] for row in table]
    assert [row[:6] for row in shown] == [
        ["seed0", "bn_ff", "4", "16", "6 of 6", "bn_ff"],
        ["seed1", "bn_ff", "4", "16", "6 of 6", "-"],
        ["unfinished", "vanilla", "4", "16", "2 of 10", "-"],
    ]
    size = sum(path.stat().st_size for path in (npy_folder / "seed1").iterdir())
    assert shown[1][6] == f"{size / 1000:.4g} kB"


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
    freed = capsys.readouterr().out
    assert freed.startswith("freed ")
    assert freed.endswith(" kB\n")
    assert load_experiment("seed0").provenance["pruned_for"] == "bn_ff"
    assert main(["prune", figure, "seed0"]) == 0
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


@pytest.mark.usefixtures("experiments")
@pytest.mark.parametrize(
    "arguments",
    [
        ["delete", "seed2"],
        ["delete", "../seed0"],
        ["prune", "vanilla", "seed0"],
        ["prune", "bn_ff", "seed2"],
        ["merge", "seed0", "unfinished", "--name_merged", "both"],
        ["merge", "seed0", "--name_merged", "both"],
        ["merge", "seed0", "seed1", "--name_merged", "unfinished"],
        ["merge", "seed0", "seed0", "--name_merged", "both"],
    ],
)
def test_errors_are_told_in_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("manage_experiments.py: error: ")
    assert "Received: " in told.err
    assert told.err.count("\n") == 1
    assert list_experiments() == ["seed0", "seed1", "unfinished"]


@pytest.mark.usefixtures("experiments")
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["destroy", "seed0"],
        ["delete"],
        ["delete", "seed0", "seed1"],
        ["prune", "no_figure", "seed0"],
        ["prune", "seed0", "bn_ff"],
        ["merge", "seed0", "seed1"],
        ["merge", "seed0", "seed1", "--name", "both"],
        ["delete", "seed0", "--force"],
        ["list", "seed0"],
    ],
)
def test_a_misspelt_command_stops_before_anything_is_done(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err
    assert list_experiments() == ["seed0", "seed1", "unfinished"]


@pytest.mark.parametrize("command", [[], ["list"], ["prune"], ["merge"], ["delete"]])
def test_help_explains(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: manage_experiments.py")
    assert "None" not in shown
    assert "SUPPRESS" not in shown


def test_the_door_is_a_script():
    script = Path(manage_experiments.__file__)
    done = subprocess.run([sys.executable, script, "delete", "nothing"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
