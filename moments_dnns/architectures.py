"""Architectures as data: the steps of a layer, from which places, kernels and shapes follow. No Keras here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import attrs

from .validation import Check, boolean, non_negative, one_of, positive, refusal, whole

MOST_STEPS = 90  # names of places have two digits at most


@dataclass(frozen=True)
class Kind:
    """What is known of a kind of step before any layer is made.

    Args:
        symbol: Mathtext of the step, in labels such as delta_BN chi.
        options: The options it takes.
        draws: Whether it draws a kernel, and thus needs a seed.
        normalizes: Whether its signals have a scale of their own at any depth.
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
REQUIRED = {"group_norm": "groups", "average_pool": "strides", "max_pool": "strides"}


def _optional(check: Check) -> Any:
    def convert(value: Any, field: attrs.Attribute[Any]) -> Any:
        return None if value is None else check(field.name, value)

    return attrs.field(default=None, converter=attrs.Converter(convert, takes_field=True))


def _checked(check: Check, **default: Any) -> Any:
    def convert(value: Any, field: attrs.Attribute[Any]) -> Any:
        return check(field.name, value)

    return attrs.field(converter=attrs.Converter(convert, takes_field=True), **default)


@attrs.frozen(repr=False)
class Step:
    """One step of a layer.

    Args:
        name: Its kind: `"conv"`, `"dense"` (a convolution of single points), `"token_mixing"` (a dense layer over the
            points of space, shared by channels), `"batch_norm"`, `"layer_norm"`, `"group_norm"`, `"instance_norm"`,
            `"rms_norm"`, `"activation"`; in transitions also `"average_pool"` and `"max_pool"`.
        kernel_size: Of `"conv"`: side of the kernel in pixels; by default the experiment's.
        width: Of `"conv"` and `"dense"`: output channels as a multiple of the channels of the layer; 1 by default.
        strides: Of pools, and of `"conv"` in a transition: step between the output's pixels; of pools, also the side
            of what is pooled.
        groups: Of `"group_norm"`: number of groups of channels.

    Raises:
        TypeError, ValueError: If the kind is unknown, or does not take an option.

    Example:

    >>> Step("conv", kernel_size=1, width=0.25)
    Step('conv', kernel_size=1, width=0.25)
    >>> str(_)
    'conv(kernel_size=1, width=0.25)'
    """

    name: str = _checked(one_of(KINDS))
    kernel_size: int | None = _optional(whole(1))
    width: float | None = _optional(positive)
    strides: int | None = _optional(whole(1))
    groups: int | None = _optional(whole(1))

    def __attrs_post_init__(self) -> None:
        given, known = self.given, self.kind.options
        if not set(given) <= set(known):
            raise ValueError(refusal(f"{self.name!r} takes {' and '.join(known) or 'no options'}.", **given))
        if (required := REQUIRED.get(self.name)) and required not in given:
            raise ValueError(refusal(f"{self.name!r} needs {required}.", **{required: None}))

    @property
    def kind(self) -> Kind:
        """The row of `KINDS`."""
        return KINDS[self.name]

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not left to their defaults."""
        return {name: value for name, value in attrs.asdict(self).items() if name != "name" and value is not None}

    def __repr__(self) -> str:
        return f"Step({', '.join([repr(self.name), *(f'{name}={value!r}' for name, value in self.given.items())])})"

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.given.items())
        return f"{self.name}({options})" if options else self.name

    def channels(self, inputs: int, base: int) -> int:
        """Return the output channels for input channels, in a layer of `base` channels.

        Raises:
            ValueError: If they are no whole number, or groups do not divide them.
        """
        if self.groups and inputs % self.groups:
            raise ValueError(refusal(f"groups must divide the {inputs} channels of the signal.", groups=self.groups))
        if "width" not in self.kind.options:
            return inputs
        width = self.width or 1.0
        found = round(width * base)
        if found < 1 or abs(found - width * base) > 1e-6 * found:
            raise ValueError(
                refusal(f"width must give a whole number of channels in a layer of {base}.", width=self.width)
            )
        return found


def _steps(steps: Iterable[str | Step | dict[str, Any]]) -> tuple[Step, ...]:
    expected = "expected sequences of steps: names or Steps."
    if isinstance(steps, str) or not isinstance(steps, Iterable):
        raise TypeError(refusal(expected, steps=steps))
    found = []
    for step in steps:
        if isinstance(step, str):
            found.append(Step(step))
        elif isinstance(step, dict):
            found.append(Step(**step))
        elif isinstance(step, Step):
            found.append(step)
        else:
            raise TypeError(refusal(expected, steps=step))
    return tuple(found)


@attrs.frozen(repr=False)
class Architecture:
    """The steps of one layer, from which everything else about an architecture follows.

    Args:
        steps: Names of the steps in order, or `Step`s with options.
        residual: Whether the steps, repeated `res_depth` times, are a branch that is added to its input.
        residual_scale: By which the branch is multiplied before the addition; at 0 a unit is the identity.
        after: Steps after the addition, such as the activation of post-activation units.
        stages: Number of equal parts of the depth, between which the shape of the signal may change.
        transition: Steps between two stages, at which no moments are taken: a convolution with strides or another
            width, or a pool. The channels it ends with are those of the next stage.

    Raises:
        TypeError, ValueError: If a value is refused.

    Example:

    >>> ARCHITECTURES["bn_ff"].places
    ('loc1', 'loc2', 'loc3', 'loc4')
    >>> post = Architecture(["conv", "batch_norm"], residual=True, residual_scale=0.5, after=["activation"])
    >>> post.places, post.activated_places, str(post)
    (('loc1', 'loc2', 'loc3', 'loc4', 'loc5'), ('loc5',), '0.5 * [conv, batch_norm] + skip, activation')
    >>> post
    Architecture(['conv', 'batch_norm'], residual=True, residual_scale=0.5, after=['activation'])

    Reference: sections 4 to 6 of arXiv 1811.03087.
    """

    steps: tuple[Step, ...] = attrs.field(converter=_steps)
    residual: bool = _checked(boolean, default=False)
    residual_scale: float = _checked(non_negative, default=1.0)
    after: tuple[Step, ...] = attrs.field(converter=_steps, default=())
    stages: int = _checked(whole(1), default=1)
    transition: tuple[Step, ...] = attrs.field(converter=_steps, default=())

    def __attrs_post_init__(self) -> None:
        layer = (*self.steps, *self.after)
        resizing = [str(step) for step in layer if step.strides is not None]
        bare = {"residual_scale": self.residual_scale, "after": self.after}
        expectations: dict[str, tuple[Any, dict[str, Any]]] = {
            f"steps must be 1 to {MOST_STEPS} in all.": (
                self.steps and len(layer) + len(self.transition) <= MOST_STEPS,
                {"steps": len(layer)},
            ),
            "residual_scale and after need residual=True.": (
                self.residual or (self.residual_scale == 1.0 and not self.after),
                {"residual": False, **bare},
            ),
            "stages and transition need each other.": (
                (self.stages > 1) == bool(self.transition),
                {"stages": self.stages, "transition": self.transition},
            ),
            "a layer must return the shape it took: strides belong to transitions.": (
                not resizing,
                {"steps": resizing},
            ),
        }
        for expected, (met, received) in expectations.items():
            if not met:
                raise ValueError(refusal(expected, **received))
        for name in ("steps", "after"):
            last = [step for step in getattr(self, name) if "width" in step.kind.options][-1:]
            if last and last[0].width not in (None, 1.0):
                raise ValueError(
                    refusal(
                        f"a layer must return the channels it took: the last width of {name} must be 1.",
                        width=last[0].width,
                    )
                )

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={_words(getattr(self, field.name))}"
            for field in attrs.fields(type(self))[1:]
            if getattr(self, field.name) != field.default
        ]
        return f"Architecture({', '.join([_words(self.steps), *changed])})"

    def __str__(self) -> str:
        words = ", ".join(map(str, self.steps))
        if self.residual:
            scale = f"{self.residual_scale:g} * " if self.residual_scale != 1.0 else ""
            words = ", ".join([f"{scale}[{words}] + skip", *map(str, self.after)])
        if self.stages > 1:
            words = f"{self.stages} stages of ({words}), between them ({', '.join(map(str, self.transition))})"
        return words

    @property
    def measured_steps(self) -> tuple[Step | None, ...]:
        """The step before every place but the first one; None is the addition."""
        return (*self.steps, *((None,) * self.residual), *self.after)

    @property
    def places(self) -> tuple[str, ...]:
        """Before the first step, after every step, after the addition, and after every step that follows it."""
        return tuple(f"loc{i + 1}" for i in range(len(self.measured_steps) + 1))

    @property
    def activated_places(self) -> tuple[str, ...]:
        """The places right after an activation, where effective ranks are taken."""
        return self.places_after(lambda step: step.name == "activation")

    def places_after(self, chosen: Any) -> tuple[str, ...]:
        """Return the places right after the steps for which a function is true."""
        pairs = zip(self.measured_steps, self.places[1:], strict=True)
        return tuple(place for step, place in pairs if step is not None and chosen(step))

    @property
    def normalized(self) -> bool:
        """Whether a layer normalizes its signal, which then grows with depth no faster than a power."""
        return any(step.kind.normalizes for step in (*self.steps, *self.after))

    def num_repeats(self, res_depth: int) -> int:
        """How often one layer goes through `steps`."""
        return res_depth if self.residual else 1

    def layer_steps(self, res_depth: int) -> tuple[Step, ...]:
        """Return all steps of one layer, with repeats, the addition left aside."""
        return (*self.steps * self.num_repeats(res_depth), *self.after)

    def kernels_per_layer(self, res_depth: int) -> int:
        """How many kernels one layer draws."""
        return sum(step.kind.draws for step in self.layer_steps(res_depth))

    @property
    def kernels_per_transition(self) -> int:
        """How many kernels a transition draws."""
        return sum(step.kind.draws for step in self.transition)

    def channels(self, num_channels: int) -> tuple[int, ...]:
        """Return the channels of every stage.

        Raises:
            ValueError: If a width gives no whole number of channels, or groups do not divide them.
        """
        found = [num_channels]
        for _ in range(self.stages - 1):
            found.append(widths(self.transition, found[-1])[-1])
        for base in found:
            widths((*self.steps, *self.after), base)
        return tuple(found)

    def sides(self, side: int) -> tuple[int, ...]:
        """Return the sides of the image in every stage, from that of the first one; 0 where nothing is left."""
        found = [side]
        for _ in range(self.stages - 1):
            for step in self.transition:
                # Convolutions read beyond the border, pools do not.
                side = -(-side // (step.strides or 1)) if step.kind.draws else side // (step.strides or 1)
            found.append(side)
        return tuple(found)


def _words(value: Any) -> str:
    """Return a value as code, with steps that have no options by their names."""
    if not isinstance(value, tuple):
        return repr(value)
    return f"[{', '.join(repr(step if step.given else step.name) for step in value)}]"


def widths(steps: Iterable[Step], base: int) -> tuple[int, ...]:
    """Return the channels before the first step and after every one.

    Example:

    >>> widths([Step("conv", width=0.25), Step("activation"), Step("conv")], 64)
    (64, 16, 16, 64)
    """
    found = [base]
    for step in steps:
        found.append(step.channels(found[-1], base))
    return tuple(found)


ARCHITECTURES: dict[str, Architecture] = {
    "vanilla": Architecture(("conv", "activation")),
    "bn_ff": Architecture(("conv", "batch_norm", "activation")),
    "bn_res": Architecture(("batch_norm", "activation", "conv"), residual=True),
}


def checked_architecture(name: str, value: Any) -> str | Architecture:
    """Check what describes an architecture: a name of `ARCHITECTURES`, an `Architecture`, or its fields.

    One that has a name goes by that name.

    Example:

    >>> checked_architecture("architecture", Architecture(["conv", "activation"]))
    'vanilla'
    """
    if isinstance(value, dict):
        value = Architecture(**value)
    if not isinstance(value, Architecture):
        return str(one_of(ARCHITECTURES)(name, value))
    return next((known for known, row in ARCHITECTURES.items() if row == value), value)


checked_architecture.choices = tuple(ARCHITECTURES)  # type: ignore[attr-defined]
