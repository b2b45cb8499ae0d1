"""Saved experiments: list, load, save, merge, keep some arrays, delete."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import attrs
import numpy as np

from moments_dnns._validation import boolean, refusal, warn
from moments_dnns.moments import kept_name, stored_name

from .folders import experiment_folder, folder_locked, folders_with, locked, npy_folder
from .moments import Moments
from .provenance import changes, combine
from .record import Record, in_words, is_array_name
from .sources import Source, joined, num_rows, overlap
from .transactions import RECORD_FILE, is_own, num_bytes, publish, read_experiment, remove, writing

MOST_NAMES = 20  # that a message lists


def list_experiments() -> list[str]:
    """Return the names of the experiments that are saved, in alphabetical order.

    Example:

    >>> list_experiments()
    []
    """
    return folders_with(RECORD_FILE)


def load_experiment(name: str) -> Moments:
    """Load a saved experiment, or what an interrupted or running one has committed.

    Args:
        name: Its folder below `npy/`.

    Returns:
        Moments, with the committed realizations in the order of their indices.

    Raises:
        TypeError, ValueError: If the name is refused.
        FileNotFoundError: If there is no such experiment; the message lists those there are.
        CorruptExperimentError: If a file is missing, damaged or foreign; the message names it.

    Example:

    >>> from moments_dnns import Experiment
    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> moments = Moments({name: np.ones((1, 1)) for name in experiment.array_names}, experiment)
    >>> save_experiment(moments, "demo")
    >>> load_experiment("demo")["chi_loc1"]
    array([[1.64872127]])
    """
    try:
        record, arrays = read_experiment(experiment_folder(name))
    except FileNotFoundError as error:
        raise unknown(name) from error
    return Moments(arrays, record.experiment, record.sources, record.provenance)


def save_experiment(moments: Moments, name: str, overwrite: bool = False) -> None:
    """Save moments under a name.

    Args:
        moments: What `run_experiment`, `load_experiment` or `merge_experiments` returned.
        name: The folder below `npy/`; ASCII letters, digits, `_` and `-`.
        overwrite: Whether an experiment of that name is replaced.

    Raises:
        TypeError, ValueError: If an argument is refused.
        FileExistsError: If there is an experiment of that name and `overwrite` is False.
        BlockingIOError: If another process writes to it now.

    Example:

    >>> from moments_dnns import Experiment
    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> moments = Moments({name: np.ones((1, 1)) for name in experiment.array_names}, experiment)
    >>> save_experiment(moments, "demo")
    >>> load_experiment("demo") == moments
    True
    """
    boolean("overwrite", overwrite)
    if not isinstance(moments, Moments):
        raise TypeError(refusal("moments must be Moments.", moments=type(moments).__name__))
    unknown = [array for array in moments if not is_array_name(array)]
    if unknown or not moments.num_realizations:
        raise ValueError(
            refusal(
                "moments must have realizations, and arrays named <moment>_<loc> only.",
                realizations=moments.num_realizations,
                unknown=unknown,
            )
        )
    with writing(name) as folder:
        if (folder / RECORD_FILE).exists() and not overwrite:
            raise FileExistsError(refusal("expected a new name, or overwrite=True.", name=name))
        publish(folder, _record(moments), moments.arrays)


def merge_experiments(names: Sequence[str], name_merged: str) -> Moments:
    """Merge experiments that differ in their seeds and realizations only, and save the result.

    Args:
        names: Two or more experiments, all of them pruned for the same figure or none of them pruned.
        name_merged: A new name.

    Warns of parts that were computed with another backend or other threads, on which last digits depend.

    Returns:
        Moments with the realizations of all, one experiment after the other.

    Raises:
        TypeError, ValueError: If an argument is refused, the descriptions differ, or a realization is there twice.
        FileExistsError: If there is an experiment of the new name.
        FileNotFoundError, CorruptExperimentError: As for `load_experiment`.

    Example:

    >>> from moments_dnns import Experiment
    >>> for seed in (0, 1):
    ...     experiment = Experiment("vanilla", 2, 1, 4, 2, 3, num_computations=1, seed=seed)
    ...     save_experiment(Moments({"nu2_signal_loc3": np.ones((3, 1))}, experiment), f"seed{seed}")
    >>> merge_experiments(["seed0", "seed1"], "both").sources
    (Source(seed=0, start=0, stop=3), Source(seed=1, start=0, stop=3))
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(refusal("names must be a list of names of experiments.", names=names))
    if len(names) < 2:
        raise ValueError(refusal("names must be at least two experiments.", names=names))
    parts = [load_experiment(name) for name in names]
    for name, part in zip(names[1:], parts[1:], strict=True):
        differences = _record(parts[0]).differences(_record(part))
        differences.pop("seed", None)
        if differences:
            raise ValueError(
                refusal(
                    f"experiments that are merged may differ in their seeds only, but {names[0]} and "
                    f"{name} differ in {in_words(differences)}.",
                    names=names,
                )
            )
    for name, part in zip(names[1:], parts[1:], strict=True):
        if changed := changes(parts[0].provenance, part.provenance):
            warn(f"{names[0]} and {name} were computed with different {in_words(changed)}; numbers depend on it")
    sources = joined(source for part in parts for source in part.sources)
    if twice := overlap(sources):
        raise ValueError(
            refusal(
                f"experiments that are merged must not share realizations, but some of {twice} are there twice.",
                names=names,
            )
        )
    described = parts[0].experiment.described
    arrays = {
        array: parts[0][array] if array in described else np.concatenate([part[array] for part in parts])
        for array in parts[0].arrays
    }
    merged = Moments(
        arrays,
        attrs.evolve(parts[0].experiment, num_realizations=num_rows(sources)),
        sources,
        combine(part.provenance for part in parts),
    )
    try:
        save_experiment(merged, name_merged)
    except FileExistsError as error:
        raise FileExistsError(refusal("the merged experiment needs a new name.", name=name_merged)) from error
    return merged


def keep_arrays(name: str, arrays: Iterable[str], pruned_for: str | None = None) -> int:
    """Keep some arrays of a saved experiment and remove the others, at once or not at all.

    An experiment that lacks arrays can be drawn and merged, but not be continued.

    Args:
        name: The experiment.
        arrays: Names of arrays that are stored or follow from those stored. What grows exponentially is kept as its
            logarithm, `"chi_loc3"` as `"log_chi_loc3"`; `depth` is always kept.
        pruned_for: What the arrays are for, which the provenance then says; their names by default.

    Returns:
        The number of bytes that were freed on the disk; 0 if there were no other arrays.

    Raises:
        TypeError, ValueError: If an argument is refused, or the experiment lacks one of the arrays.
        FileNotFoundError, CorruptExperimentError: As for `load_experiment`.
        BlockingIOError: If another process writes to it now.

    Example:

    >>> from moments_dnns import Experiment
    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> moments = Moments({name: np.ones((1, 1)) for name in experiment.array_names}, experiment)
    >>> save_experiment(moments, "demo")
    >>> keep_arrays("demo", ["chi_loc3"]) > 0, list(load_experiment("demo"))
    (True, ['log_chi_loc3', 'depth'])
    """
    names = list(arrays)
    if isinstance(arrays, str) or not all(isinstance(array, str) for array in names):
        raise TypeError(refusal("arrays must be names of arrays.", arrays=arrays))
    if not (experiment_folder(name) / RECORD_FILE).exists():
        raise unknown(name)
    wanted = list(dict.fromkeys([*map(stored_name, names), "depth"]))
    with writing(name) as folder:
        moments = load_experiment(name)
        missing = [array for array in wanted if array not in moments or not is_array_name(array)]
        kept = [kept_name(array) if kept_name(array) in moments.arrays else array for array in wanted]
        if missing:
            raise ValueError(
                refusal(f"expected arrays of the experiment, which lacks: {', '.join(missing)}.", name=name)
            )
        if set(kept) == set(moments.arrays):
            return 0
        before = num_bytes(folder)
        provenance = {**moments.provenance, "pruned_for": pruned_for or ", ".join(wanted)}
        pruned = Moments({array: moments[array] for array in kept}, moments.experiment, moments.sources, provenance)
        publish(folder, _record(pruned), pruned.arrays)
        return before - num_bytes(folder)


def delete_experiment(name: str) -> int:
    """Delete a saved experiment, damaged ones too.

    Args:
        name: Its folder below `npy/`; never a path.

    Returns:
        The number of bytes that were freed on the disk.

    Raises:
        TypeError, ValueError: If the name is refused.
        FileNotFoundError: If there is no such experiment.
        FileExistsError: If there are files in its folder that are not the experiment's.
        BlockingIOError: If another process writes to it now.

    Example:

    >>> from moments_dnns import Experiment
    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> moments = Moments({name: np.ones((1, 1)) for name in experiment.array_names}, experiment)
    >>> save_experiment(moments, "demo")
    >>> delete_experiment("demo") > 0, list_experiments()
    (True, [])
    """
    folder = experiment_folder(name)
    if not folder.exists():
        raise unknown(name)
    with locked(name), folder_locked(folder):
        if foreign := [path.name for path in folder.iterdir() if not is_own(path)]:
            raise FileExistsError(
                refusal(f"expected only files of the experiment in {folder}, not {', '.join(foreign)}.", name=name)
            )
        freed = num_bytes(folder)
        remove(folder)
    return freed


def unknown(name: str) -> FileNotFoundError:
    """Return the error of a name that no experiment has, which names those that are nearest to it."""
    names = list_experiments()
    if len(names) > MOST_NAMES:
        nearest = difflib.get_close_matches(name, names, MOST_NAMES, cutoff=0.5)
        listed = f"{len(names)} of them, the nearest: {', '.join(nearest)}" if nearest else f"{len(names)} of them"
    else:
        listed = ", ".join(names) or "none"
    return FileNotFoundError(
        refusal(f"expected the name of an experiment in {npy_folder()}, which has: {listed}.", name=name)
    )


def _record(moments: Moments) -> Record:
    in_place = moments.sources == (Source(moments.experiment.seed, 0, moments.num_realizations),)
    return Record(moments.experiment, tuple(moments.arrays), moments.sources, in_place, moments.provenance)
