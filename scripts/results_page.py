"""docs/results.md: all saved experiments of the paper in a table, and their means beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moments_dnns import Moments, load_experiment
from moments_dnns.analysis.published import PUBLISHED, Comparison, compare

from .experiments import RESULTS, is_paper, saved_results

DOCUMENT = Path(__file__).parents[1] / "docs" / "results.md"
# What images are, by the labels that experiments have.
IMAGES = {
    "cifar10": "CIFAR-10, training images",
    "cifar10-test-jpeg.npy": "CIFAR-10, test images, from JPEG",
    "mnist": "MNIST, training images",
    "mnist-test.npy": "MNIST, test images",
    "photo": "crops of one photograph",
}
# The images of the paper.
AS_PUBLISHED = ("cifar10", "cifar10-test-jpeg.npy")
# Why an experiment is not as published, below its numbers.
NOTES = {
    "figure_5": """\
The published residual networks are not these: the effective rank of their noise is higher by a tenth at every depth,
far beyond chance, and χ is lower by a few per cent. They appear to be those of `figure_5_one_sided`, whose kernels read
a pixel and those above and to the left of it instead of its neighbours on all sides. Where borders are periodic, such
kernels displace the images of a feedforward network as a whole, so that figures 3 and 4 agree either way. But they
displace a residual branch against its skip connection, so that more pixels mix, and signal and noise spread over more
directions. This is concluded from the numbers alone; what is left is a χ that is higher by 2 % in the first units.
Centred kernels are what a reader of the paper would build, and so they are what `boundary="periodic"` has.

`figure_5_narrow` has a quarter of the width and, within its standard error, the same growth δχ.""",
}
# |z| up to which agreement is counted.
WITHIN = (2, 3, 4)


def document() -> str:
    """Return the text of docs/results.md: a table of all saved experiments, and comparisons with published numbers."""
    lines = [
        "# Results",
        "",
        "Written by `make results`, not by hand. Every experiment is saved in `npy/`, pruned, with its parameters and",
        "its provenance in `experiment.json`. *z* is the difference of the means over its standard error, which",
        "includes the published one where that is known. It is a test where the size and the images are those of the",
        "paper, which the first table counts; otherwise the numbers are there to be compared by eye. The",
        "standard error of few realizations is itself uncertain: of means over four, 6 % are beyond 3 σ by chance, of",
        "those over thirty 0.6 %.",
        "",
    ]
    saved = list(saved_results())
    compared = {folder: compared_with(name, folder) for name, folder in saved if RESULTS[name].published}
    lines += agreement({folder: compared[folder] for name, folder in saved if as_published(name, folder)})
    lines += [
        "",
        "| name | realizations | kernel | width | batch | depth | images | seed | size |",
        "|---|---|---|---|---|---|---|---|---|",
        *(overview(name, folder) for name, folder in saved),
    ]
    for folder, rows in compared.items():
        lines += ["", *comparison(folder, rows)]
        if folder in NOTES:
            lines += ["", NOTES[folder]]
    return "\n".join(lines) + "\n"


def as_published(name: str, folder: str) -> bool:
    """Return whether an experiment has published means, and the size and the images of the paper."""
    experiment = load_experiment(folder).experiment
    return bool(RESULTS[name].published) and experiment.dataset in AS_PUBLISHED and is_paper(name, experiment)


def agreement(compared: dict[str, list[Comparison]]) -> list[str]:
    """Return the table of how many published means each experiment agrees with."""
    if not compared:
        return []
    return [
        "| at the size and on the images of the paper | published means | "
        + " | ".join(f"within {z} σ" for z in WITHIN)
        + " | largest | at |",
        "|---|---|" + "---|" * (len(WITHIN) + 2),
        *(f"| `{name}` | {len(rows)} | " + " | ".join(_within(rows)) + " |" for name, rows in compared.items()),
    ]


def _within(rows: Sequence[Comparison]) -> list[str]:
    counts = [sum(abs(row.z) <= most for row in rows) for most in WITHIN]
    worst = max(rows, key=lambda row: abs(row.z))
    return [*map(str, counts), f"{worst.z:.1f}", f"{_in_a_cell(worst.symbol)}, {worst.depth}"]


def _in_a_cell(symbol: str) -> str:
    return symbol.replace("|", r"\|")  # a bar would end the cell


def facts(moments: Moments) -> dict[str, str]:
    """Return the number of realizations, the size and the images of an experiment, as text."""
    experiment = moments.experiment
    return {
        "realizations": f"{moments.num_realizations:,}",
        "kernel": str(experiment.kernel_size),
        "width": str(experiment.num_channels),
        "batch": str(experiment.batch_size),
        "depth": str(experiment.total_depth),
        "images": IMAGES.get(experiment.dataset, experiment.dataset),
    }


def sizes(experiments: Sequence[Moments]) -> str:
    """Return the facts of one or several experiments as a sentence, where they differ one after the other."""
    rows = [facts(moments) for moments in experiments]
    values = {name: [row[name] for row in rows] for name in rows[0]}
    told = {name: " / ".join(each if len(set(each)) > 1 else each[:1]) for name, each in values.items()}
    size = "; ".join(f"{name} {told[name]}" for name in ("kernel", "width", "batch", "depth"))
    return f"{told['realizations']} realizations; {size}; {told['images']}."


def overview(name: str, folder: str) -> str:
    """Return the row of an experiment in the table of all."""
    moments = load_experiment(folder)
    experiment = moments.experiment
    size = "paper" if is_paper(name, experiment) else "smaller"
    return "| " + " | ".join([f"`{folder}`", *facts(moments).values(), str(experiment.seed), size]) + " |"


def compared_with(name: str, folder: str) -> list[Comparison]:
    """Return the means of an experiment beside the published ones."""
    return compare(load_experiment(folder), PUBLISHED[RESULTS[name].published or ""])


def comparison(folder: str, rows: Sequence[Comparison]) -> list[str]:
    """Return the section of an experiment with published numbers."""
    return [
        f"## `{folder}`",
        "",
        "| quantity | depth | ours | standard error | published | its standard error | z |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {_in_a_cell(row.symbol)} | {row.depth} | {row.mean:.5g} | {row.error:.2g} | {row.published:.5g} | "
            f"{f'{row.published_error:.2g}' if row.published_error else ''} | {row.z:.1f} |"
            for row in rows
        ),
    ]
