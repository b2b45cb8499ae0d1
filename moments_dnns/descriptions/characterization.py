"""Characterization: the frozen, checked description of a Keras model's result, measured along its layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import attrs
import numpy as np

from moments_dnns._validation import boolean, one_of, refusal, text, whole
from moments_dnns.moments import GRADIENT_MOMENTS, MODEL_MOMENTS, MOMENTS, TOKEN_MOMENTS

from .base import Description
from .choices import STATISTICS
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


def _shapes(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, Iterable):
        raise TypeError(refusal(f"{name} must hold integers.", **{name: value}))
    return tuple(_wholes(name, each) for each in value)


def _parents(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    parents = _shapes(name, value)
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
        statistics: Whether noise and gradients went through the mean and variance of batches: `"constant"`, where these
            are constants, or `"differentiated"`.
        gradients: Whether moments of gradients were taken.
        tokens: Whether moments of the tokens of sequences were taken.
        shapes: Shapes of the measured tensors without the batch, channels last; none where neither gradients nor
            tokens were taken.
        attention: The positions in `layers` of the probabilities of attention, of which entropies were taken.

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
    statistics: str = parameter(one_of(STATISTICS), default="constant")
    gradients: bool = parameter(boolean, default=False)
    tokens: bool = parameter(boolean, default=False)
    shapes: tuple[tuple[int, ...], ...] = parameter(_shapes, default=())
    attention: tuple[int, ...] = parameter(_wholes, default=())

    def __attrs_post_init__(self) -> None:
        for name in ("ranked", "attention"):
            if not set(getattr(self, name)) <= set(range(len(self.layers))):
                raise ValueError(
                    refusal(f"expected positions of {len(self.layers)} layers.", **{name: getattr(self, name)})
                )
        if len(self.shapes) != (len(self.layers) if self.gradients or self.tokens else 0):
            raise ValueError(
                refusal("expected shapes of all layers with gradients or tokens, else none.", shapes=self.shapes)
            )
        if len(self.parents) != len(self.layers):
            raise ValueError(refusal(f"expected parents of {len(self.layers)} layers.", parents=self.parents))

    def differences(self, other: Description) -> dict[str, tuple[Any, Any]]:
        """Return the parameters in which two descriptions differ, long ones in a few words: {name: values}."""
        differences = super().differences(other)
        for name in ("parents", "shapes", "attention"):
            differences.pop(name, None)
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
        """Return the description of the fields of a JSON object, of earlier versions too."""
        if isinstance(fields, dict) and isinstance(fields.get("layers"), list | tuple):
            every = tuple(range(len(fields["layers"])))
            later = {"statistics": "constant", "gradients": False, "tokens": False, "shapes": (), "attention": ()}
            fields = {"compute_reff_signal": True, "compute_reff_noise": True, "ranked": every, **later, **fields}
        return super().from_fields(fields)

    def is_taken(self, name: str) -> np.ndarray:
        """Return for every layer whether a moment is taken of it; what is not taken is NaN."""
        moment, layers = MODEL_MOMENTS[name], np.arange(len(self.layers))
        if moment.only_activated:
            return np.isin(layers, self.ranked)
        if moment.of == "attention":
            return np.isin(layers, self.attention)
        if moment.of == "tokens":
            return np.array([is_sequence(shape) for shape in self.shapes], bool)
        return np.ones(len(layers), bool)

    @property
    def num_computations(self) -> int:
        """Number of layers that were measured."""
        return len(self.layers)

    @property
    def array_names(self) -> tuple[str, ...]:
        """The moments, which are taken at every layer."""
        taken = {
            "reff_signal": self.compute_reff_signal,
            "reff_noise": self.compute_reff_noise,
            "reff_gradient": self.compute_reff_noise,
            "entropy_attention": bool(self.attention),
        }
        tables = (MOMENTS, GRADIENT_MOMENTS if self.gradients else {}, TOKEN_MOMENTS if self.tokens else {})
        return tuple(name for table in tables for name in table if taken.get(name, True))

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
        """Return an array by its name, derived from the others where it is not there.

        Beside those of `moments.derive`, these are `log_growth`; `gradient`, the root mean square over the batch of the
        gradient's norm, its logarithm `log_gradient`, and `log_gradient_growth`.
        """
        if name == "log_growth":
            return self._log_growth(super().derive(arrays, "log_mu2_noise"), super().derive(arrays, "log_mu2_signal"))
        if name in ("gradient", "log_gradient", "log_gradient_growth") and self.gradients:
            sizes = np.array([np.prod(shape) for shape in self.shapes])
            log_gradient = (super().derive(arrays, "log_mu2_gradient") + np.log(sizes)) / 2
            if name == "log_gradient_growth":
                return self._log_gradient_growth(log_gradient)
            return super().derive({"log_gradient": log_gradient}, name)
        return super().derive(arrays, name)

    @property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """For each measured layer, the positions of those whose inputs come from it."""
        pairs = [(parent, child) for child, parents in enumerate(self.parents) for parent in parents]
        return tuple(tuple(child for parent, child in pairs if parent == each) for each in range(len(self.layers)))

    def _log_growth(self, log_noise: np.ndarray, log_signal: np.ndarray) -> np.ndarray:
        """Return ln of chi after a layer over chi of its inputs taken together; 0 for the first layer."""
        growth = np.zeros(log_noise.shape)
        with np.errstate(divide="ignore", invalid="ignore"):  # numbers that are not finite were warned of before
            for layer, parents in enumerate(self.parents):
                if parents:
                    before = [np.logaddexp.reduce(logs[:, list(parents)], axis=1) for logs in (log_noise, log_signal)]
                    growth[:, layer] = (log_noise[:, layer] - log_signal[:, layer] - before[0] + before[1]) / 2
        return growth

    def _log_gradient_growth(self, log_gradient: np.ndarray) -> np.ndarray:
        """Return ln of the gradient's norm over that of what is computed next, taken together; 0 for the last."""
        growth = np.zeros(log_gradient.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            for layer, children in enumerate(self.children):
                if children:
                    behind = np.logaddexp.reduce(2 * log_gradient[:, list(children)], axis=1) / 2
                    growth[:, layer] = log_gradient[:, layer] - behind
        return growth


def is_sequence(shape: tuple[int, ...]) -> bool:
    """Tell whether tensors of a shape without the batch hold sequences of tokens, which are vectors of channels.

    Example:

    >>> is_sequence((16, 64)), is_sequence((1, 64)), is_sequence((8, 8, 3))
    (True, False, False)
    """
    return len(shape) == 2 and shape[0] > 1
