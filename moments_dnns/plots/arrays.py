"""The arrays that a figure draws, checked and as natural logarithms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from moments_dnns._validation import one_of, refusal, text, warn, whole
from moments_dnns.analysis.arrays import CheckedArrays, checked_depth, checked_mapping
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.moments import derive, kept_name, stored_name
from moments_dnns.results.provenance import pruned_in_words

from .figures import FIGURES
from .specs import Drawing


def labelled(moments: Any) -> dict[str | None, Any]:
    """Return one or several results by their labels in the legend; a single one has the label None.

    Args:
        moments: A result, or a mapping from labels to results; results are mappings from names to arrays.

    Raises:
        TypeError, ValueError: If a label is not a string, or is empty.

    Example:

    >>> list(labelled({"depth": [1, 2]})), list(labelled({"narrow": {"depth": [1]}, "wide": {"depth": [1]}}))
    ([None], ['narrow', 'wide'])
    """
    if not isinstance(moments, Mapping) or not moments:
        return {None: moments}
    if not all(isinstance(each, Mapping) for each in moments.values()):
        return {None: moments}
    return {text("label", label): each for label, each in moments.items()}


def read_logarithms(type_plot: str, moments: Mapping[str, Any], drawing: Drawing | None = None) -> dict[str, Any]:
    """Return the data of a figure: the natural logarithms of its arrays, and `depth` and `res_depth` if it needs them.

    Logarithms that are not finite become NaN: chi is 0 where the noise of a realization has become 0, infinite where
    its signal has. One warning names the arrays, the depths and the number of realizations.

    Args:
        type_plot: A name of `FIGURES`; with a drawing, its name in messages.
        moments: Mapping from names to arrays of shape (num_realizations, num_computations), and `depth`.
        drawing: The figure, if it is not in `FIGURES`.

    Returns:
        Mapping from the names in the drawing's `needs` to float64 arrays; `res_depth` is an integer.

    Raises:
        TypeError: If `moments` is not a mapping, or an array does not hold real numbers.
        ValueError: If the figure is unknown, arrays are missing, or their shapes do not match.

    Example:

    >>> arrays = {"nu2_signal_loc3": np.ones((2, 1)), "mu2_noise_loc3": np.full((2, 1), 4.0), "depth": [50]}
    >>> read_logarithms("vanilla_histo", arrays)["mu2_noise_loc3"]
    array([[1.38629436],
           [1.38629436]])
    """
    drawing = drawing or FIGURES[one_of(FIGURES)("type_plot", type_plot)]
    arrays = CheckedArrays(checked_mapping(moments))
    data: dict[str, Any] = {name: _logarithm(arrays, name) for name in drawing.needs if name not in _COUNTS}
    missing = [name for name in drawing.needs if (name not in moments if name in _COUNTS else data[name] is None)]
    if missing:
        raise ValueError(
            refusal(
                f"{type_plot} draws {', '.join(drawing.needs)}; missing: {', '.join(missing)}."
                f"{pruned_in_words(getattr(moments, 'provenance', {}))}{_drawn_by(type_plot, moments)}",
                moments=list(moments),
            )
        )
    data |= {name: _COUNTS[name](moments[name], arrays.shape) for name in drawing.needs if name in _COUNTS}
    return _finite_only(type_plot, data)


def _drawn_by(type_plot: str, moments: Mapping[str, Any]) -> str:
    """Return what the moments are of, and which function draws them, where that is another than the one called."""
    description = getattr(moments, "experiment", None)
    if isinstance(description, Characterization):
        return " These are the layers of a model, which plot_layers draws."
    if not isinstance(description, Experiment) or type_plot.startswith(description.name):
        return ""
    function = f"plot_{description.name}" if description.name in FIGURES else "plot_architecture"
    return f" This experiment is of the architecture {description.structure}, which {function} draws."


def _logarithm(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray | None:
    stored = kept_name(stored_name(name))
    with np.errstate(divide="ignore", invalid="ignore"):  # `_finite_only` warns of numbers that are not finite
        try:
            array = np.asarray(derive(arrays, stored), np.float64)
        except KeyError:
            return None
        return array if stored != name else np.log(array)


def _res_depth(values: Any, shape: tuple[int, ...]) -> int:
    array = np.asarray(values)
    return int(whole(1)("res_depth", array.item() if array.size == 1 else array.tolist()))


_COUNTS: dict[str, Callable[[Any, tuple[int, ...]], Any]] = {"depth": checked_depth, "res_depth": _res_depth}


def _finite_only(type_plot: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data with NaN for numbers that are not finite, and warn of these."""
    finite, left_out = dict(data), []
    for name in sorted(data.keys() - _COUNTS.keys()):
        lost = ~np.isfinite(data[name])
        if lost.any():
            finite[name] = np.where(lost, np.nan, data[name])
            depth = data["depth"][lost.any(axis=0)]
            left_out.append(
                f"{name} ({lost.any(axis=1).sum()} of {len(lost)} realizations, "
                f"between depths {depth[0]:g} and {depth[-1]:g})"
            )
    if left_out:
        warn(f"{type_plot} leaves out what is zero, infinite or not a number: {', '.join(left_out)}.")
    return finite
