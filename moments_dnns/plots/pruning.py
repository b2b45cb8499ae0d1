"""Pruning: a saved experiment keeps only the arrays that a figure draws."""

from __future__ import annotations

from moments_dnns._validation import one_of, refusal
from moments_dnns.descriptions.base import Description
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.results.experiments import keep_arrays, load_experiment

from .architectures import OF_ARCHITECTURE, drawing_of
from .figures import FIGURES


def prune_experiment(type_plot: str, name: str) -> int:
    """Keep only the arrays that a figure draws, chi as its logarithm. A pruned experiment cannot be continued.

    Args:
        type_plot: A name of `plots.FIGURES`, such as `"bn_ff"`, or `"architecture"`: what `plot_architecture` draws of
            the experiment.
        name: The experiment.

    Returns:
        The number of bytes that were freed on the disk; 0 if it was pruned for this figure before.

    Raises:
        TypeError, ValueError: If an argument is refused, or the experiment lacks arrays that the figure draws.
        FileNotFoundError, CorruptExperimentError: As for `load_experiment`.
        BlockingIOError: If another process writes to it now.

    Example:

    >>> from moments_dnns import Experiment, Moments, save_experiment
    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> moments = Moments({name: np.ones((1, 1)) for name in experiment.array_names}, experiment)
    >>> save_experiment(moments, "demo", overwrite=True)
    >>> prune_experiment("vanilla", "demo") > 0
    True
    >>> list(load_experiment("demo"))
    ['log_chi_loc1', 'log_chi_loc3', 'reff_signal_loc3', 'depth']
    """
    one_of((*FIGURES, OF_ARCHITECTURE))("type_plot", type_plot)
    return keep_arrays(name, _needs(type_plot, load_experiment(name).experiment), pruned_for=type_plot)


def _needs(type_plot: str, experiment: Description) -> tuple[str, ...]:
    """Return the names of the arrays that a figure draws of an experiment."""
    if type_plot in FIGURES:
        return FIGURES[type_plot].needs
    if not isinstance(experiment, Experiment):
        raise ValueError(refusal("the layers of a model have no figure to be pruned for.", type_plot=type_plot))
    return drawing_of(experiment.structure, [of for of in ("noise", "signal") if experiment.takes_ranks(of)]).needs
