"""The figures of the paper: one row each, from which drawing and pruning follow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .moments import derive, stored_name
from .validation import one_of, refusal, whole


@dataclass(frozen=True)
class Curve:
    r"""An array, or the ratio of two, over depth.

    Args:
        label: Mathtext, without dollars.
        over: Name of the array.
        under: Name of the array by which it is divided, realization by realization.

    Example:

    >>> curve = Curve(r"\delta\chi^l", "chi_loc3", "chi_loc1")
    >>> curve.logs({"chi_loc3": np.array([[5.0]]), "chi_loc1": np.array([[3.0]])})
    array([[2.]])
    """

    label: str
    over: str
    under: str | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays it is made of."""
        return (self.over,) if self.under is None else (self.under, self.over)

    def logs(self, data: Mapping[str, Any]) -> np.ndarray:
        """Return its natural logarithm from those of the arrays, as `read` gives them."""
        return data[self.over] if self.under is None else data[self.over] - data[self.under]


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows.

    Args:
        label: What is drawn, with mathtext: label of the axis of values.
        curves: What is drawn over depth; of a histogram, one.
        kind: Curves over depth, or densities of ln x over realizations at each depth.
        log: Whether the axis of values is logarithmic.
        reference: Whether a thin line marks the value 1.
        power_law: Names of chi before and after a layer of the residual branch, which give the power law that is
            drawn beside the first curve.
    """

    label: str
    curves: tuple[Curve, ...]
    kind: Literal["curves", "histogram"] = "curves"
    log: bool = False
    reference: bool = False
    power_law: tuple[str, str] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays it is made of."""
        law = (*self.power_law, "res_depth") if self.power_law else ()
        return (*(name for curve in self.curves for name in curve.needs), *law)


@dataclass(frozen=True)
class Drawing:
    """One figure: its panels, and what depth counts.

    Args:
        panels: The panels (a), (b), ... in order.
        depth: Label of the axis of depth, with mathtext.

    Example:

    >>> FIGURES["vanilla"].needs
    ('chi_loc1', 'chi_loc3', 'reff_signal_loc3', 'depth')
    """

    panels: tuple[Panel, ...]
    depth: str = "layer $l$"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays that are drawn, each once: what pruning keeps."""
        return tuple(dict.fromkeys((*(name for panel in self.panels for name in panel.needs), "depth")))


_BN = r"\delta_\mathrm{BN}\,\chi"
_PHI = r"\delta_\phi\,\chi"
_DELTA = r"\delta\chi"
_GROWTH = r"growth of $\chi$ in a layer"
_RANK = r"effective rank $r_\mathrm{eff}$"
_MOMENTS = r"moments of $\mathbf{z}^l$"

FIGURES: dict[str, Drawing] = {
    "vanilla_histo": Drawing(
        (
            Panel(r"$\ln\,\nu_2(\mathbf{x}^l)$", (Curve(r"\nu_2(\mathbf{x}^l)", "nu2_signal_loc3"),), kind="histogram"),
            Panel(
                r"$\ln\,\mu_2(\mathrm{d}\mathbf{x}^l)$",
                (Curve(r"\mu_2(\mathrm{d}\mathbf{x}^l)", "mu2_noise_loc3"),),
                kind="histogram",
            ),
        )
    ),
    "vanilla": Drawing(
        (
            Panel(r"$\delta\chi^l$", (Curve(r"\delta\chi^l", "chi_loc3", "chi_loc1"),), reference=True),
            Panel(
                r"$r_\mathrm{eff}(\mathbf{x}^l)$",
                (Curve(r"r_\mathrm{eff}(\mathbf{x}^l)", "reff_signal_loc3"),),
                reference=True,
            ),
        )
    ),
    "bn_ff": Drawing(
        (
            Panel(
                _GROWTH,
                (
                    Curve(rf"{_BN}^l", "chi_loc3", "chi_loc1"),
                    Curve(rf"{_PHI}^l", "chi_loc4", "chi_loc3"),
                    Curve(rf"{_DELTA}^l", "chi_loc4", "chi_loc1"),
                ),
                reference=True,
            ),
            Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc4"),), log=True),
            Panel(
                _RANK,
                (
                    Curve(r"r_\mathrm{eff}(\mathrm{d}\mathbf{x}^l)", "reff_noise_loc4"),
                    Curve(r"r_\mathrm{eff}(\mathbf{x}^l)", "reff_signal_loc4"),
                ),
                log=True,
                reference=True,
            ),
            Panel(
                _MOMENTS,
                (
                    Curve(r"\mu_4(\mathbf{z}^l)", "mu4_signal_loc3"),
                    Curve(r"\nu_1(|\mathbf{z}^l|)", "nu1_abs_signal_loc3"),
                ),
                log=True,
            ),
        )
    ),
    "bn_res": Drawing(
        (
            Panel(
                _GROWTH,
                (
                    Curve(rf"{_BN}^{{l,1}}", "chi_loc2", "chi_loc1"),
                    Curve(rf"{_PHI}^{{l,1}}", "chi_loc4", "chi_loc2"),
                    Curve(rf"{_DELTA}^{{l,1}}", "chi_loc4", "chi_loc1"),
                ),
                reference=True,
            ),
            Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc5"),), power_law=("chi_loc1", "chi_loc4")),
            Panel(
                _RANK,
                (
                    Curve(r"r_\mathrm{eff}(\mathrm{d}\mathbf{x}^{l,1})", "reff_noise_loc3"),
                    Curve(r"r_\mathrm{eff}(\mathbf{x}^{l,1})", "reff_signal_loc3"),
                ),
                log=True,
                reference=True,
            ),
            Panel(
                r"moments of $\mathbf{z}^{l,1}$",
                (
                    Curve(r"\mu_4(\mathbf{z}^{l,1})", "mu4_signal_loc2"),
                    Curve(r"\nu_1(|\mathbf{z}^{l,1}|)", "nu1_abs_signal_loc2"),
                ),
            ),
        ),
        depth="residual unit $l$",
    ),
}


def read(type_plot: str, moments: Mapping[str, Any], drawing: Drawing | None = None) -> dict[str, Any]:
    """Return the data of a figure: the natural logarithm of every array it draws, `depth` and `res_depth`.

    What has no logarithm is NaN: chi is 0 where the noise of a realization died out, infinite where its signal did.
    One warning says which arrays, depths and how many realizations.

    Args:
        type_plot: A name of `FIGURES`; with a drawing, what it is called in messages.
        moments: Mapping from names to arrays of shape (num_realizations, num_computations), and `depth`.
        drawing: What is drawn, if that is no row of `FIGURES`.

    Returns:
        Mapping from the names in the drawing's `needs` to float64 arrays; `res_depth` is an integer.

    Raises:
        TypeError: If `moments` is not a mapping, or an array does not hold real numbers.
        ValueError: If the figure is unknown, arrays are missing, or their shapes do not match.

    Example:

    >>> ones = np.ones((2, 1))
    >>> read("vanilla_histo", {"nu2_signal_loc3": ones, "mu2_noise_loc3": 4 * ones, "depth": [50]})["mu2_noise_loc3"]
    array([[1.38629436],
           [1.38629436]])
    """
    drawing = drawing or FIGURES[one_of(FIGURES)("type_plot", type_plot)]
    if not isinstance(moments, Mapping):
        raise TypeError(refusal("moments must be a mapping from names to arrays.", moments=type(moments).__name__))
    arrays = Checked(moments)
    data: dict[str, Any] = {name: _logarithm(arrays, name) for name in drawing.needs if name not in _COUNTS}
    missing = [name for name in drawing.needs if (name not in moments if name in _COUNTS else data[name] is None)]
    if missing:
        raise ValueError(
            refusal(
                f"{type_plot} draws {', '.join(drawing.needs)}; missing: {', '.join(missing)}.", moments=list(moments)
            )
        )
    data |= {name: _COUNTS[name](moments[name], arrays.shape) for name in drawing.needs if name in _COUNTS}
    _leave_out(type_plot, data)
    return data


def _logarithm(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray | None:
    stored = stored_name(name)
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite is reported once, by name
        try:
            array = np.asarray(derive(arrays, stored), np.float64)
        except KeyError:
            return None
        return array if stored != name else np.log(array)


class Checked(Mapping[str, np.ndarray]):
    """The arrays of a mapping, each checked when it is asked for, so that an error names the one at fault.

    Args:
        arrays: Mapping from names to arrays, which must all have the shape of the first that is asked for.
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays
        self.shape: tuple[int, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        array = _numbers(name, self._arrays[name])
        if array.ndim != 2 or not array.size or (self.shape and array.shape != self.shape):
            expected = self.shape or "(num_realizations, num_computations)"
            raise ValueError(refusal(f"{name} must have shape {expected}.", shape=array.shape))
        self.shape = array.shape
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _numbers(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(refusal(f"{name} must be an array of real numbers.", dtype=str(array.dtype)))
    return array


def checked_depth(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the depths of arrays of a shape, or refuse what is not one increasing positive number for each column."""
    depth = _numbers("depth", values).astype(np.float64)
    if depth.shape != shape[1:] or not (np.isfinite(depth).all() and depth[0] > 0 and (np.diff(depth) > 0).all()):
        raise ValueError(refusal(f"depth must hold {shape[1]} increasing positive numbers.", depth=depth.tolist()))
    return depth


def _res_depth(values: Any, shape: tuple[int, ...]) -> int:
    array = np.asarray(values)
    return int(whole(1)("res_depth", array.item() if array.size == 1 else array.tolist()))


_COUNTS: dict[str, Callable[[Any, tuple[int, ...]], Any]] = {"depth": checked_depth, "res_depth": _res_depth}


def _leave_out(type_plot: str, data: dict[str, Any]) -> None:
    """Turn what is not finite into NaN, and say so."""
    said = []
    for name in data.keys() - _COUNTS.keys():
        lost = ~np.isfinite(data[name])
        if lost.any():
            data[name] = np.where(lost, np.nan, data[name])
            depth = data["depth"][lost.any(axis=0)]
            said.append(
                f"{name} ({lost.any(axis=1).sum()} of {len(lost)} realizations, "
                f"between depths {depth[0]:g} and {depth[-1]:g})"
            )
    if said:
        warnings.warn(
            f"{type_plot} leaves out what is zero, infinite or not a number: {', '.join(sorted(said))}.", stacklevel=5
        )
