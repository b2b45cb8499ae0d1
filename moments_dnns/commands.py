"""The command line `moments-dnns`: a function for each command, whose signature and docstring give its options.

Commands import what they need when they are called, so that `--help` answers at once.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Group, Parameter

from moments_dnns import _cli
from moments_dnns._cli import Switch
from moments_dnns._resources import size
from moments_dnns._validation import refusal, whole
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.parameters import first_sentence, parameters_of
from moments_dnns.execution.options import RunOptions
from moments_dnns.plots.architectures import OF_ARCHITECTURE
from moments_dnns.plots.figures import FIGURES

# The figures of `plot` beside `FIGURES` and that of any architecture.
LAYERS = "layers"
SUMMARY = "summary"

# The columns of `list`.
HEADER = ("name", "architecture", "depth", "width", "realizations", "pruned for", "size")

# Exit codes of `diagnose` for a model of a file, by whether it can be trained; 1 and 2 are those of `_cli`.
EXIT_CODES = {True: 0, False: 3, None: 4}

# Types of options, by the types of the fields that they set. A field of any other type has no option.
OPTION_TYPES: dict[str, Any] = {
    "bool": bool,
    "float": _cli.Number,
    "int": _cli.Integer,
    "int | None": _cli.Integer | None,
    "str": str,
    "str | Architecture": str,
    "str | None": str | None,
}


def _figure(*others: str) -> Any:
    # cyclopts takes the names of an Enum with dashes too.
    return Parameter(choices=Enum("Figure", [(name, name) for name in (*FIGURES, OF_ARCHITECTURE, *others)]))


def _with_options_of(*classes: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes the fields of `attrs` classes the options of a function with `**options`."""

    def option(group: Group, field: attrs.Attribute[Any]) -> inspect.Parameter:
        parameter = Parameter(
            help=first_sentence(field.metadata["meaning"]).replace("`", "").replace('"', ""),
            choices=field.metadata["choices"],
            show_choices=False,  # the help explains them
            group=group,
        )
        return inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is attrs.NOTHING else field.default,
            annotation=Annotated[Switch if field.default is False else OPTION_TYPES[str(field.type)], parameter],
        )

    fields = [field for field in parameters_of(*classes).values() if str(field.type) in OPTION_TYPES]
    names = dict.fromkeys(field.metadata["group"] for field in fields)
    groups = {name: Group(name.capitalize(), sort_key=position) for position, name in enumerate(names)}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        options = [option(groups[field.metadata["group"]], field) for field in fields]
        command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        return command

    return decorate


@_with_options_of(Experiment, RunOptions)
def run(**options: Any) -> None:
    """Propagate signal and noise through random networks and save their moments.

    In Python, help(moments_dnns.run_experiment) says more about every option.
    """
    from moments_dnns.simulation.run import run_experiment

    print(run_experiment(**options))


def plot(
    type_plot: Annotated[str, _figure(LAYERS, SUMMARY)],
    names: list[str],
    /,
    *,
    path: Path | None = None,
    theory: Switch = False,
    use_tex: Switch = False,
) -> None:
    """Draw a figure of a saved experiment into a file, or of several over one another.

    Args:
        type_plot: Figure 2, 3, 4 or 5 of the paper, that of any architecture, of a model's layers, or of everything.
        names: The experiments: their folders below npy/.
        path: The file, in .pdf, .png or .svg (default: figures/NAME_TYPE_PLOT.png).
        theory: Draw theoretical curves beside the measured ones.
        use_tex: Let LaTeX set the text, where it is installed.
    """
    from moments_dnns.plots.experiments import plot_architecture, plot_figure, plot_summary
    from moments_dnns.plots.models import plot_layers
    from moments_dnns.results.experiments import load_experiment

    if theory and type_plot in (LAYERS, SUMMARY):
        raise ValueError(
            refusal(f"--theory belongs to {', '.join(FIGURES)} and {OF_ARCHITECTURE}.", type_plot=type_plot)
        )
    others: dict[str, Callable[..., Any]] = {
        OF_ARCHITECTURE: plot_architecture,
        LAYERS: plot_layers,
        SUMMARY: plot_summary,
    }
    draw = others.get(type_plot) or partial(plot_figure, type_plot)
    path = path or Path("figures", f"{'_'.join(names)}_{type_plot}.png")
    experiments = {name: load_experiment(name) for name in names}
    moments = experiments if len(names) > 1 else experiments[names[0]]
    options: dict[str, Any] = {"theory": True} if theory else {}
    draw(moments, path=path, use_tex=use_tex, **options)
    print(path)


def show() -> None:
    """List the saved experiments; a damaged one is listed with the reason."""
    from moments_dnns.results.experiments import list_experiments

    names = list_experiments()
    if names:
        _print_table([HEADER, *map(_row_of, names)])
    else:
        print("no experiments")


def prune(type_plot: Annotated[str, _figure()], name: str, /) -> None:
    """Keep only the arrays that a figure draws. The others are lost.

    Args:
        type_plot: Figure 2, 3, 4 or 5 of the paper, or that of any architecture.
        name: The experiment: its folder below npy/.
    """
    from moments_dnns.plots.pruning import prune_experiment

    print(f"freed {size(prune_experiment(type_plot, name))}")


def merge(names: list[str], /, *, name_merged: str) -> None:
    """Put the realizations of experiments that differ in their seeds only into a new one. The old ones stay.

    Args:
        names: The experiments: their folders below npy/, at least two.
        name_merged: The new experiment.
    """
    from moments_dnns.results.experiments import merge_experiments

    print(merge_experiments(names, name_merged))


def delete(name: str, /) -> None:
    """Delete an experiment for good.

    Args:
        name: The experiment: its folder below npy/.
    """
    from moments_dnns.results.experiments import delete_experiment

    print(f"freed {size(delete_experiment(name))}")


def verify(name: str, /) -> None:
    """Check every file of an experiment against what was written.

    Args:
        name: The experiment: its folder below npy/.
    """
    from moments_dnns.results.files import CorruptExperimentError
    from moments_dnns.results.verification import UNVERIFIED, VERIFIED, verify_experiment

    checked = verify_experiment(name)
    damaged = {file: state for file, state in checked.items() if state not in (VERIFIED, UNVERIFIED)}
    _print_table(list((damaged or checked).items()))
    if damaged:
        raise CorruptExperimentError(f"{name}: {len(damaged)} of {len(checked)} files are damaged")


def verdicts(
    name: str,
    /,
    *,
    as_json: Annotated[Switch, Parameter(name="--json")] = False,
    images: Path | None = None,
    batch_size: _cli.Integer = 64,
    num_realizations: _cli.Integer = 8,
    report: Path | None = None,
) -> int:
    """Say whether a saved experiment, or a Keras model, is pathological, and why.

    Of a model, the exit code is 0 if it can be trained, 3 if it cannot, and 4 if that is not decided. It is 2 after any
    error, and 0 for experiments.

    Args:
        name: The experiment, or the characterized model: its folder below npy/. Or a model in a .keras file.
        as_json: Print verdicts, numbers and causes as JSON.
        images: What goes into a model of a file: a .npy or .npz file.
        batch_size: How many of these are taken.
        num_realizations: How often the weights of a model of a file are drawn.
        report: A page of HTML to write.
    """
    from moments_dnns.analysis.diagnosis import diagnose
    from moments_dnns.plots.pages import report as write_report
    from moments_dnns.results.experiments import load_experiment

    is_file = name.endswith(".keras")
    if is_file != (images is not None):
        raise ValueError(refusal("--images belongs to a model in a .keras file.", name=name, images=images))
    moments = _characterized(name, images, batch_size, num_realizations) if images else load_experiment(name)
    diagnosis = diagnose(moments)
    if report:
        write_report(moments, report)
    print(json.dumps(diagnosis.to_dict(), indent=2, ensure_ascii=False) if as_json else diagnosis)
    return EXIT_CODES[diagnosis.trainable] if is_file else 0


def _characterized(name: str, images: Path, batch_size: int, num_realizations: int) -> Any:
    """Return the moments of the model of a file."""
    from moments_dnns.characterization.files import load_inputs, load_model
    from moments_dnns.characterization.run import characterize

    inputs = load_inputs(images, whole(2)("batch_size", batch_size))
    return characterize(load_model(Path(name)), inputs, num_realizations=num_realizations, verbose=False)


# The commands by name, in the order of `--help`.
COMMANDS: dict[str, Callable[..., int | None]] = {
    "run": run,
    "plot": plot,
    "diagnose": verdicts,
    "list": show,
    "verify": verify,
    "prune": prune,
    "merge": merge,
    "delete": delete,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments of `moments-dnns` name and return the exit code."""
    app = _cli.application("moments-dnns", COMMANDS, "Moments of signal and noise in random neural networks.")
    app.register_install_completion_command()
    return _cli.call(app, argv)


def _row_of(name: str) -> tuple[str, ...]:
    """Return the cells of an experiment in the table of `list`."""
    from moments_dnns.results.files import CorruptExperimentError
    from moments_dnns.results.folders import experiment_folder
    from moments_dnns.results.sources import num_rows
    from moments_dnns.results.transactions import num_bytes, read_record

    folder = experiment_folder(name)
    try:
        record = read_record(folder)
    except CorruptExperimentError as error:
        return name, "damaged", "", "", "", "", str(error)
    return (
        name,
        *record.experiment.headline,
        f"{num_rows(record.sources)} of {record.experiment.num_realizations}",
        str(record.provenance.get("pruned_for", "-")),
        size(num_bytes(folder)),
    )


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
