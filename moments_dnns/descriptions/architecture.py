"""Architectures as data: the steps of a layer, from which its places, kernels and shapes follow. No Keras here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from moments_dnns._validation import boolean, non_negative, one_of, refusal, require, whole
from moments_dnns.moments import place_name

from .parameters import parameter
from .steps import MOST_STEPS, Step, as_steps, widths


@attrs.frozen(repr=False)
class Architecture:
    """The steps of one layer, from which everything else about an architecture follows.

    Args:
        steps: Names of the steps in order, or `Step`s with options.
        residual: Whether the steps, repeated `res_depth` times, are a branch that is added to its input.
        residual_scale: Factor of the branch in the addition; with 0 a unit is the identity.
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

    steps: tuple[Step, ...] = attrs.field(converter=as_steps)
    residual: bool = parameter(boolean, default=False)
    residual_scale: float = parameter(non_negative, default=1.0)
    after: tuple[Step, ...] = attrs.field(converter=as_steps, default=())
    stages: int = parameter(whole(1), default=1)
    transition: tuple[Step, ...] = attrs.field(converter=as_steps, default=())

    def __attrs_post_init__(self) -> None:
        layer = (*self.steps, *self.after)
        resizing = [str(step) for step in layer if step.strides is not None]
        require(
            (
                self.steps and len(layer) + len(self.transition) <= MOST_STEPS,
                f"steps must be 1 to {MOST_STEPS} in all.",
                {"steps": len(layer)},
            ),
            (
                self.residual or (self.residual_scale == 1.0 and not self.after),
                "residual_scale and after need residual=True.",
                {"residual": self.residual, "residual_scale": self.residual_scale, "after": self.after},
            ),
            (
                (self.stages > 1) == bool(self.transition),
                "stages and transition need each other.",
                {"stages": self.stages, "transition": self.transition},
            ),
            (
                not resizing,
                "a layer must return the shape it took: strides belong to transitions.",
                {"steps": resizing},
            ),
            *(
                (
                    width in (None, 1.0),
                    f"a layer must return the channels it took: the last width of {name} must be 1.",
                    {"width": width},
                )
                for name, width in {"steps": _last_width(self.steps), "after": _last_width(self.after)}.items()
            ),
        )

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={_as_code(getattr(self, field.name))}"
            for field in attrs.fields(type(self))[1:]
            if getattr(self, field.name) != field.default
        ]
        return f"Architecture({', '.join([_as_code(self.steps), *changed])})"

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
        """The step before each place but the first; None stands for the addition."""
        return (*self.steps, *((None,) * self.residual), *self.after)

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the places: before the first step, after each step, after the addition, after each later step."""
        return tuple(place_name(number + 1) for number in range(len(self.measured_steps) + 1))

    @property
    def activated_places(self) -> tuple[str, ...]:
        """The places directly after an activation, where effective ranks are taken."""
        return self.places_after(lambda step: step.name == "activation")

    def places_after(self, chosen: Callable[[Step], bool]) -> tuple[str, ...]:
        """Return the places directly after the steps for which a function is true."""
        pairs = zip(self.measured_steps, self.places[1:], strict=True)
        return tuple(place for step, place in pairs if step is not None and chosen(step))

    @property
    def normalized(self) -> bool:
        """Whether a layer normalizes its signal; the signal then grows no faster than a power of depth."""
        return any(step.kind.normalizes for step in (*self.steps, *self.after))

    def num_repeats(self, res_depth: int) -> int:
        """Return how often one layer repeats `steps`: `res_depth` times if it is residual, else once."""
        return res_depth if self.residual else 1

    def layer_steps(self, res_depth: int) -> tuple[Step, ...]:
        """Return all steps of one layer, repeats included, without the addition."""
        return (*self.steps * self.num_repeats(res_depth), *self.after)

    def kernels_per_layer(self, res_depth: int) -> int:
        """Return the number of kernels that one layer draws."""
        return sum(step.kind.draws for step in self.layer_steps(res_depth))

    @property
    def kernels_per_transition(self) -> int:
        """The number of kernels that a transition draws."""
        return sum(step.kind.draws for step in self.transition)

    def channels(self, num_channels: int) -> tuple[int, ...]:
        """Return the number of channels in each stage, from that in the first one.

        Raises:
            ValueError: If a width gives no whole number of channels, or groups do not divide them.
        """
        channels = [num_channels]
        for _ in range(self.stages - 1):
            channels.append(widths(self.transition, channels[-1])[-1])
        for base in channels:
            widths((*self.steps, *self.after), base)
        return tuple(channels)

    def sides(self, side: int) -> tuple[int, ...]:
        """Return the side of the images in each stage, from that in the first one, in pixels; 0 if none are left."""
        sides = [side]
        for _ in range(self.stages - 1):
            for step in self.transition:
                # Convolutions read beyond the border, pools do not.
                side = -(-side // (step.strides or 1)) if step.kind.draws else side // (step.strides or 1)
            sides.append(side)
        return tuple(sides)

    def kernels_and_images(self, kernel_size: int, side: int) -> tuple[tuple[int, int], ...]:
        """Return the largest kernel in a layer and in a transition, each with the side of the smallest image it reads.

        Args:
            kernel_size: Side of the kernels that do not have a size of their own, in pixels.
            side: Side of the images in the first stage, in pixels.
        """
        sides = self.sides(side)
        parts = (((*self.steps, *self.after), sides[-1]), (self.transition, sides[-2:][0]))
        return tuple(
            (max((step.kernel_size or kernel_size for step in steps if step.name == "conv"), default=1), smallest)
            for steps, smallest in parts
        )


def _last_width(steps: tuple[Step, ...]) -> float | None:
    return next((step.width for step in reversed(steps) if "width" in step.kind.options), None)


def _as_code(value: Any) -> str:
    """Return a value as code, with steps that have no options by their names."""
    if not isinstance(value, tuple):
        return repr(value)
    return f"[{', '.join(repr(step if step.given else step.name) for step in value)}]"


ARCHITECTURES: dict[str, Architecture] = {
    "vanilla": Architecture(("conv", "activation")),
    "bn_ff": Architecture(("conv", "batch_norm", "activation")),
    "bn_res": Architecture(("batch_norm", "activation", "conv"), residual=True),
}


def checked_architecture(name: str, value: Any) -> str | Architecture:
    """Check an architecture: a name of `ARCHITECTURES`, an `Architecture`, or the fields of one as a mapping.

    Returns:
        The name of an architecture in `ARCHITECTURES`, else the `Architecture`.

    Example:

    >>> checked_architecture("architecture", Architecture(["conv", "activation"]))
    'vanilla'
    """
    if isinstance(value, dict):
        value = _from_fields(name, value)
    if not isinstance(value, Architecture):
        return str(one_of(ARCHITECTURES)(name, value))
    return next((known for known, architecture in ARCHITECTURES.items() if architecture == value), value)


def _from_fields(name: str, value: dict[str, Any]) -> Architecture:
    known = {field.name for field in attrs.fields(Architecture)}
    if "steps" not in value or not value.keys() <= known:
        raise ValueError(refusal(f"expected steps, and no fields but {', '.join(sorted(known))}.", **{name: value}))
    return Architecture(**value)


checked_architecture.choices = tuple(ARCHITECTURES)  # type: ignore[attr-defined]
