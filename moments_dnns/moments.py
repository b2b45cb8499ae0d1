"""The table of moments, the quantities derived from them, and the names of arrays. No Keras here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import attrs
import numpy as np


@attrs.frozen
class Moment:
    """A moment of the signal, the noise or the gradient at a place of a layer.

    With `power` p, the moment is the mean over channels of the mean over (batch, space) of |x|^p, or of
    |x - mean|^p where `centred`. With `power` 0 it has no scale, such as the effective rank.

    Args:
        of: The tensor: `"tokens"` are the signal of a sequence, `"attention"` its probabilities.
        power: The degree p; 0 for the effective rank.
        centred: Whether the mean over (batch, space) is subtracted, channel by channel.
        logarithm: Whether the natural logarithm is stored, because the moment grows exponentially with depth.
        symbol: Mathtext of the moment, with `{}` for the tensor.
        signed: Whether networks return the number itself, because it may be 0 or negative, and not its logarithm.

    Reference: section 3 and definitions 1 to 3 of arXiv 1811.03087.
    """

    of: Literal["signal", "noise", "gradient", "tokens", "attention"]
    power: int
    centred: bool
    symbol: str
    logarithm: bool = False
    signed: bool = False

    @property
    def only_activated(self) -> bool:
        """Whether it is taken after activations only, as effective ranks are: they are costly."""
        return self.power == 0 and self.of in ("signal", "noise", "gradient")

    def value(self, returned: np.ndarray) -> np.ndarray:
        """Return the moment, or the logarithm that is stored of it, from what networks return."""
        return returned if self.logarithm or self.signed else np.exp(returned)


MOMENTS: dict[str, Moment] = {
    "nu1_abs_signal": Moment("signal", 1, centred=False, symbol=r"\nu_1(|{}|)"),
    "nu2_signal": Moment("signal", 2, centred=False, symbol=r"\nu_2({})"),
    "mu2_signal": Moment("signal", 2, centred=True, symbol=r"\mu_2({})"),
    "mu4_signal": Moment("signal", 4, centred=True, symbol=r"\mu_4({})"),
    "log_mu2_noise": Moment("noise", 2, centred=False, symbol=r"\ln\,\mu_2({})", logarithm=True),
    "reff_signal": Moment("signal", 0, centred=True, symbol=r"r_\mathrm{{eff}}({})"),
    "reff_noise": Moment("noise", 0, centred=True, symbol=r"r_\mathrm{{eff}}({})"),
}

# What `characterize` takes beside these where it is asked to: of gradients, and of the tokens of a sequence.
GRADIENT_MOMENTS: dict[str, Moment] = {
    "log_mu2_gradient": Moment("gradient", 2, centred=False, symbol=r"\ln\,\mu_2({})", logarithm=True),
    "reff_gradient": Moment("gradient", 0, centred=True, symbol=r"r_\mathrm{{eff}}({})"),
}
TOKEN_MOMENTS: dict[str, Moment] = {
    "reff_tokens": Moment("tokens", 0, centred=False, symbol=r"r_\mathrm{{tok}}({})"),
    "cosine_tokens": Moment("tokens", 0, centred=False, symbol=r"\cos_\mathrm{{tok}}({})", signed=True),
    "entropy_attention": Moment("attention", 0, centred=False, symbol=r"H({})", signed=True),
}
MODEL_MOMENTS = MOMENTS | GRADIENT_MOMENTS | TOKEN_MOMENTS

Arrays = Mapping[str, np.ndarray]

DECIBELS = 20 / math.log(10)  # in one unit of ln chi

# The name of a place of a layer, with which names of arrays end: "loc3" is the third place.
PLACE = re.compile("loc([1-9][0-9]?)")

# Derived quantity -> ways to derive it, tried in order: the moments it is made of (at the same place), and the formula.
DERIVATIONS: dict[str, tuple[tuple[tuple[str, ...], Callable[..., np.ndarray]], ...]] = {
    "log_chi": (
        (("log_mu2_noise", "log_mu2_signal"), lambda noise, signal: (noise - signal) / 2),
        (("chi",), np.log),
    ),
    "chi": ((("log_chi",), np.exp),),
    "log_mu2_noise": ((("mu2_noise",), np.log),),
    "mu2_noise": ((("log_mu2_noise",), np.exp),),
    "log_mu2_gradient": ((("mu2_gradient",), np.log),),
    "mu2_gradient": ((("log_mu2_gradient",), np.exp),),
    "gradient": ((("log_gradient",), np.exp),),
}

# The logarithms that are stored instead of quantities that grow exponentially.
STORED_AS = {
    "chi": "log_chi",
    "mu2_noise": "log_mu2_noise",
    "mu2_gradient": "log_mu2_gradient",
    "gradient": "log_gradient",
}

# Names under which results keep the moments of the signal, which can leave the range of float64 as well.
KEPT_AS = {name: f"log_{name}" for name, moment in MOMENTS.items() if moment.power and not moment.logarithm}
MEASURED_AS = {kept: name for name, kept in KEPT_AS.items()}

DERIVATIONS |= {name: (((kept,), np.exp),) for name, kept in KEPT_AS.items()}
DERIVATIONS |= {kept: (((name,), np.log),) for name, kept in KEPT_AS.items()}


def place_name(number: int) -> str:
    """Return the name of the place of a layer with a number, counted from 1: 3 is `"loc3"`."""
    return f"loc{number}"


def place_number(place: str) -> int | None:
    """Return the number of a place, 0 for the only place of a model's layers, `""`, or None for other text.

    Example:

    >>> place_number("loc3"), place_number(""), place_number("loc0")
    (3, 0, None)
    """
    if not place:
        return 0
    return int(match[1]) if (match := PLACE.fullmatch(place)) else None


def split_name(name: str) -> tuple[str, str]:
    """Split an array's name into moment and place: `"chi_loc3"` is `("chi", "loc3")`, `"log_chi"` has no place."""
    if name in MODEL_MOMENTS or name in DERIVATIONS:
        return name, ""
    moment, _, place = name.rpartition("_")
    return moment, place


def array_name(moment: str, place: str) -> str:
    """Return the name of the array of a moment at a place: the inverse of `split_name`."""
    return f"{moment}_{place}" if place else moment


def stored_name(name: str) -> str:
    """Return the name under which an array is stored: `"chi_loc3"` is kept as `"log_chi_loc3"`."""
    moment, place = split_name(name)
    return array_name(STORED_AS[moment], place) if moment in STORED_AS else name


def kept_name(name: str) -> str:
    """Return the name under which results keep a moment that was measured.

    Example:

    >>> kept_name("mu2_signal_loc1"), kept_name("log_mu2_noise_loc1"), kept_name("reff_signal_loc4")
    ('log_mu2_signal_loc1', 'log_mu2_noise_loc1', 'reff_signal_loc4')
    """
    moment, place = split_name(name)
    return array_name(KEPT_AS[moment], place) if moment in KEPT_AS else name


def measured_name(name: str) -> str:
    """Return the name of the moment that is kept under a name: the inverse of `kept_name`."""
    moment, place = split_name(name)
    return array_name(MEASURED_AS[moment], place) if moment in MEASURED_AS else name


def by_kept_name(names: Iterable[str], logarithms: np.ndarray) -> dict[str, np.ndarray]:
    """Return moments as results keep them, from their natural logarithms, which is what a network returns.

    Args:
        names: Array names `<moment>_<loc>`, one for each column.
        logarithms: Array of shape (..., number of names).

    Returns:
        float64 arrays of shape (...,) by the names under which they are kept.

    Example:

    >>> by_kept_name(["nu2_signal_loc1", "reff_signal_loc1"], np.zeros((2, 2)))
    {'log_nu2_signal_loc1': array([0., 0.]), 'reff_signal_loc1': array([1., 1.])}
    """
    columns = np.moveaxis(np.asarray(logarithms, np.float64), -1, 0)
    return {kept_name(name): _kept(name, column) for name, column in zip(names, columns, strict=True)}


def _kept(name: str, logarithm: np.ndarray) -> np.ndarray:
    moment = MODEL_MOMENTS[split_name(name)[0]]
    return logarithm if moment.power else moment.value(logarithm)


def from_logarithms(names: Iterable[str], logarithms: np.ndarray) -> dict[str, np.ndarray]:
    """Return moments by array name from their natural logarithms, which networks return.

    Args:
        names: Array names `<moment>_<loc>`, one for each column.
        logarithms: Array of shape (..., number of names).

    Returns:
        float64 arrays of shape (...,): the moments, or their logarithms where these are stored.

    Example:

    >>> from_logarithms(["nu2_signal_loc1", "log_mu2_noise_loc1"], np.zeros((2, 2)))
    {'nu2_signal_loc1': array([1., 1.]), 'log_mu2_noise_loc1': array([0., 0.])}
    """
    columns = np.moveaxis(np.asarray(logarithms, np.float64), -1, 0)
    # Moments beyond float64 become 0 or inf; `Description.out_of_range` warns of these.
    with np.errstate(under="ignore", over="ignore"):
        return {
            name: MODEL_MOMENTS[split_name(name)[0]].value(column) for name, column in zip(names, columns, strict=True)
        }


def derive(arrays: Arrays, name: str) -> np.ndarray:
    """Return an array by its name, derived from the others where it is not among them.

    The normalized sensitivity is chi = sqrt(mu2_noise / mu2_signal) (arXiv 1811.03087, definition 3), kept as
    log_chi = (log_mu2_noise - ln mu2_signal) / 2.

    Args:
        arrays: Mapping from names `<moment>_<loc>` to arrays of one shape.
        name: The name of the array, such as `"chi_loc3"` or `"depth"`.

    Returns:
        The array, of the same shape; float64 if it was derived.

    Raises:
        KeyError: If the array is neither there nor follows from those there.

    Example:

    >>> derive({"log_mu2_noise_loc1": np.array([0.0]), "mu2_signal_loc1": np.array([0.25])}, "chi_loc1")
    array([2.])
    """
    array = _derive(arrays, name, frozenset())
    if array is None:
        raise KeyError(
            f"expected an array that is there or follows from those there: {sorted(arrays)}. Received: name={name!r}"
        )
    return array


def _derive(arrays: Arrays, name: str, pending: frozenset[str]) -> np.ndarray | None:
    """Return the array, or None; `pending` are the quantities whose derivation needs this one."""
    if name in arrays.keys():
        return arrays[name]
    moment, place = split_name(name)
    for sources, formula in DERIVATIONS.get(moment, ()):
        # Without this, chi would be derived from log_chi, and log_chi from chi.
        if pending.isdisjoint(sources):
            parts = [_derive(arrays, array_name(source, place), pending | {moment}) for source in sources]
            if all(part is not None for part in parts):
                # A noise of zeros has ln 0 = -inf, a signal of zeros an infinite chi: both are the true values.
                with np.errstate(divide="ignore"):
                    return formula(*(np.asarray(part, np.float64) for part in parts))
    return None
