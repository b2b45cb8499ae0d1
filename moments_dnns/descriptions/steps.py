"""Steps: the parts of a layer, such as a convolution or an activation, as data. No Keras here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from moments_dnns._validation import one_of, optional, positive, refusal, whole

from .parameters import parameter

MOST_STEPS = 90  # names of places have two digits at most


@attrs.frozen
class Kind:
    """A kind of step: its options, and the properties on which checks and figures depend.

    Args:
        symbol: Mathtext of the step, in labels such as delta_BN chi.
        options: The options it takes.
        draws: Whether it draws a kernel, and thus needs a seed.
        normalizes: Whether it sets the scale of the signal, whatever the scale of its input.
        over_space: Whether it needs more than one point in space.
    """

    symbol: str
    options: tuple[str, ...] = ()
    draws: bool = False
    normalizes: bool = False
    over_space: bool = False


KINDS: dict[str, Kind] = {
    "conv": Kind(r"\mathrm{conv}", ("kernel_size", "width", "strides"), draws=True),
    "dense": Kind(r"\mathrm{dense}", ("width",), draws=True),
    "token_mixing": Kind(r"\mathrm{mix}", draws=True, over_space=True),
    "batch_norm": Kind(r"\mathrm{BN}", normalizes=True),
    "layer_norm": Kind(r"\mathrm{LN}", normalizes=True),
    "group_norm": Kind(r"\mathrm{GN}", ("groups",), normalizes=True),
    "instance_norm": Kind(r"\mathrm{IN}", normalizes=True, over_space=True),
    "rms_norm": Kind(r"\mathrm{RMS}", normalizes=True),
    "activation": Kind(r"\phi"),
    "average_pool": Kind(r"\mathrm{pool}", ("strides",), over_space=True),
    "max_pool": Kind(r"\mathrm{pool}", ("strides",), over_space=True),
}

# Options that have no default.
REQUIRED = {"group_norm": "groups", "average_pool": "strides", "max_pool": "strides"}


@attrs.frozen(repr=False)
class Step:
    """One step of a layer.

    Args:
        name: Its kind: `"conv"`, `"dense"` (a convolution of single points), `"token_mixing"` (a dense layer over the
            pixels, shared by channels), `"batch_norm"`, `"layer_norm"`, `"group_norm"`, `"instance_norm"`,
            `"rms_norm"`, `"activation"`; in transitions also `"average_pool"` and `"max_pool"`.
        kernel_size: Of `"conv"`: side of the kernel in pixels; by default the experiment's.
        width: Of `"conv"` and `"dense"`: output channels as a multiple of the channels of the layer; 1 by default.
        strides: Of pools, and of `"conv"` in a transition: step between the output's pixels; of pools, also the side
            of the pooled squares.
        groups: Of `"group_norm"`: number of groups of channels.

    Raises:
        TypeError, ValueError: If the kind is unknown, or does not take an option.

    Example:

    >>> Step("conv", kernel_size=1, width=0.25)
    Step('conv', kernel_size=1, width=0.25)
    >>> str(_)
    'conv(kernel_size=1, width=0.25)'
    """

    name: str = parameter(one_of(KINDS))
    kernel_size: int | None = parameter(optional(whole(1)), default=None)
    width: float | None = parameter(optional(positive), default=None)
    strides: int | None = parameter(optional(whole(1)), default=None)
    groups: int | None = parameter(optional(whole(1)), default=None)

    def __attrs_post_init__(self) -> None:
        given, known = self.given, self.kind.options
        if not set(given) <= set(known):
            raise ValueError(refusal(f"{self.name!r} takes {' and '.join(known) or 'no options'}.", **given))
        if (required := REQUIRED.get(self.name)) and required not in given:
            raise ValueError(refusal(f"{self.name!r} needs {required}.", **{required: None}))

    @property
    def kind(self) -> Kind:
        """The properties of its kind."""
        return KINDS[self.name]

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not None, by name."""
        return {name: value for name, value in attrs.asdict(self).items() if name != "name" and value is not None}

    def __repr__(self) -> str:
        return f"Step({', '.join([repr(self.name), *(f'{name}={value!r}' for name, value in self.given.items())])})"

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.given.items())
        return f"{self.name}({options})" if options else self.name

    def channels(self, inputs: int, base: int) -> int:
        """Return the number of output channels.

        Args:
            inputs: Number of input channels.
            base: Number of channels of the layer, of which `width` is a multiple.

        Raises:
            ValueError: If they are no whole number, or groups do not divide them.
        """
        if self.groups and inputs % self.groups:
            raise ValueError(refusal(f"groups must divide the {inputs} channels of the signal.", groups=self.groups))
        if "width" not in self.kind.options:
            return inputs
        width = self.width or 1.0
        channels = round(width * base)
        if channels < 1 or abs(channels - width * base) > 1e-6 * channels:
            raise ValueError(
                refusal(f"width must give a whole number of channels in a layer of {base}.", width=self.width)
            )
        return channels


def as_steps(steps: Iterable[str | Step | dict[str, Any]]) -> tuple[Step, ...]:
    """Return `Step`s for a sequence of steps: names, `Step`s, or the fields of a `Step` as a mapping (from JSON).

    Raises:
        TypeError, ValueError: If it is anything else.

    Example:

    >>> as_steps(["conv", Step("activation")])
    (Step('conv'), Step('activation'))
    """
    expected = "expected sequences of steps: names or Steps."
    if isinstance(steps, str) or not isinstance(steps, Iterable):
        raise TypeError(refusal(expected, steps=steps))
    converted = []
    for step in steps:
        if not isinstance(step, str | dict | Step):
            raise TypeError(refusal(expected, steps=step))
        fields = {"name": step} if isinstance(step, str) else step
        converted.append(fields if isinstance(fields, Step) else Step(**fields))
    return tuple(converted)


def widths(steps: Iterable[Step], base: int) -> tuple[int, ...]:
    """Return the number of channels before the first step and after every step.

    Args:
        steps: The steps of a layer or of a transition.
        base: Number of channels before the first step.

    Example:

    >>> widths([Step("conv", width=0.25), Step("activation"), Step("conv")], 64)
    (64, 16, 16, 64)
    """
    channels = [base]
    for step in steps:
        channels.append(step.channels(channels[-1], base))
    return tuple(channels)
