"""Characterization: the frozen, checked description of a Keras model's result, measured along its layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import attrs
import numpy as np

from moments_dnns._validation import boolean, refusal, text, whole
from moments_dnns.moments import MOMENTS

from .base import Description
from .parameters import parameter


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(refusal(f"{name} must be names of layers.", **{name: value}))
    names = tuple(text(name, each) for each in value)
    if not names or len(set(names)) < len(names):
        raise ValueError(refusal(f"{name} must be different names, at least one.", **{name: value}))
    return names


def _wholes(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, Iterable):
        raise TypeError(refusal(f"{name} must hold integers.", **{name: value}))
    return tuple(whole(0)(name, each) for each in value)


def _parents(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, Iterable):
        raise TypeError(refusal(f"{name} must hold integers.", **{name: value}))
    parents = tuple(_wholes(name, each) for each in value)
    if any(parent >= index for index, each in enumerate(parents) for parent in each):
        raise ValueError(refusal(f"{name} must come before their children.", **{name: value}))
    return parents


def _all_layers(characterization: Characterization) -> tuple[int, ...]:
    return tuple(range(len(characterization.layers)))


@attrs.frozen
class Characterization(Description):
    """The description of what was measured along the layers of a Keras model: everything that decides the numbers.

    Args:
        model: The name of the model.
        layers: Names of the measured layers, the input first, in the order in which they run.
        parents: For each measured layer, the positions in `layers` of those that its inputs come from; layers that
            were not measured may lie in between.
        num_realizations: How often weights and noise were drawn.
        batch_shape: Shape of the images, the batch size first.
        images: Label of the array of images.
        noise: `"normal"`, or the label of an array.
        reinitialize: Whether weights were drawn afresh for every realization.
        seed: The only source of randomness; realization k has the child seed of index k.
        sha256: Hash of the model's configuration, of its weights too where these were kept.
        compute_reff_signal: Whether effective ranks of the signal were taken.
        compute_reff_noise: Whether effective ranks of the noise were taken.
        ranked: The positions in `layers` of those of which effective ranks were taken, NaN elsewhere; by default all.

    Raises:
        TypeError, ValueError: If a value is refused.

    Example:

    >>> described = Characterization("net", ("input", "dense"), ((), (0,)), 3, (8, 4, 4, 1), "array-0123")
    >>> described.num_computations, described.described["layer"].tolist()
    (2, ['input', 'dense'])
    """

    kind: ClassVar[str] = "model"
    columns: ClassVar[str] = "layer"
    shown: ClassVar[tuple[str, ...]] = ("model", "batch_shape", "images", "noise", "reinitialize", "seed")

    model: str = parameter(text)
    layers: tuple[str, ...] = parameter(_names)
    parents: tuple[tuple[int, ...], ...] = parameter(_parents)
    num_realizations: int = parameter(whole(1))
    batch_shape: tuple[int, ...] = parameter(_wholes)
    images: str = parameter(text)
    noise: str = parameter(text, default="normal")
    reinitialize: bool = parameter(boolean, default=True)
    seed: int = parameter(whole(0), default=0)
    sha256: str = parameter(text, default="0")
    compute_reff_signal: bool = parameter(boolean, default=True)
    compute_reff_noise: bool = parameter(boolean, default=True)
    ranked: tuple[int, ...] = parameter(_wholes, default=attrs.Factory(_all_layers, takes_self=True))

    def __attrs_post_init__(self) -> None:
        if not set(self.ranked) <= set(range(len(self.layers))):
            raise ValueError(refusal(f"expected positions of {len(self.layers)} layers.", ranked=self.ranked))
        if len(self.parents) != len(self.layers):
            raise ValueError(refusal(f"expected parents of {len(self.layers)} layers.", parents=self.parents))

    def differences(self, other: Description) -> dict[str, tuple[Any, Any]]:
        """Return the parameters in which two descriptions differ, long ones in a few words: {name: values}."""
        differences = super().differences(other)
        differences.pop("parents", None)
        if "layers" in differences:
            mine, theirs = differences["layers"]
            pairs = [(one, two) for one, two in zip(mine, theirs, strict=False) if one != two]
            differences["layers"] = pairs[0] if pairs else (f"{len(mine)} of them", f"{len(theirs)} of them")
        if "ranked" in differences:
            mine, theirs = differences.pop("ranked")
            differences["layers with effective ranks"] = (f"{len(mine)} of them", f"{len(theirs)} of them")
        if "sha256" in differences:
            one, two = differences.pop("sha256")
            differences["settings or weights of layers"] = (f"hash {one[:8]}", f"hash {two[:8]}")
        return differences

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """Return the description of the fields of a JSON object; earlier versions took effective ranks everywhere."""
        if isinstance(fields, dict) and isinstance(fields.get("layers"), list | tuple):
            every = tuple(range(len(fields["layers"])))
            fields = {"compute_reff_signal": True, "compute_reff_noise": True, "ranked": every, **fields}
        return super().from_fields(fields)

    def is_taken(self, name: str) -> np.ndarray:
        """Return for every layer whether a moment is taken of it; what is not taken is NaN."""
        if not MOMENTS[name].only_activated:
            return np.ones(len(self.layers), bool)
        return np.isin(np.arange(len(self.layers)), self.ranked)

    @property
    def num_computations(self) -> int:
        """Number of layers that were measured."""
        return len(self.layers)

    @property
    def array_names(self) -> tuple[str, ...]:
        """The moments, which are taken at every layer."""
        left_out = {"reff_signal": self.compute_reff_signal, "reff_noise": self.compute_reff_noise}
        return tuple(name for name in MOMENTS if left_out.get(name, True))

    @property
    def places(self) -> tuple[str, ...]:
        """One place without a name: after the layer."""
        return ("",)

    @property
    def headline(self) -> tuple[str, str, str]:
        """The name of the model, its number of layers, and `"-"`: layers have no common width."""
        return self.model, str(len(self.layers)), "-"

    @property
    def described(self) -> dict[str, np.ndarray]:
        """The names of the layers, and their positions counted from 1."""
        return {"depth": np.arange(1, len(self.layers) + 1, dtype="<i8"), "layer": np.array(self.layers, "<U")}

    def derive(self, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """Return an array by its name, `log_growth` too, derived where it is not there: see `moments.derive`."""
        if name == "log_growth":
            return self._log_growth(super().derive(arrays, "log_mu2_noise"), super().derive(arrays, "log_mu2_signal"))
        return super().derive(arrays, name)

    def _log_growth(self, log_noise: np.ndarray, log_signal: np.ndarray) -> np.ndarray:
        """Return ln of chi after a layer over chi of its inputs taken together; 0 for the first layer."""
        growth = np.zeros(log_noise.shape)
        with np.errstate(divide="ignore", invalid="ignore"):  # numbers that are not finite were warned of before
            for layer, parents in enumerate(self.parents):
                if parents:
                    before = [np.logaddexp.reduce(logs[:, list(parents)], axis=1) for logs in (log_noise, log_signal)]
                    growth[:, layer] = (log_noise[:, layer] - log_signal[:, layer] - before[0] + before[1]) / 2
        return growth
