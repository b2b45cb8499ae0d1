"""The architectures: one row each; the places where moments are taken follow from the row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """The steps of one layer, from which everything else about an architecture follows.

    Args:
        steps: Names of the steps in order: `"conv"`, `"batch_norm"`, `"activation"`.
        residual: Whether the steps, repeated `res_depth` times, are a branch that is added to its input.

    Example:

    >>> ARCHITECTURES["bn_ff"].places
    ('loc1', 'loc2', 'loc3', 'loc4')

    Reference: sections 4 to 6 of arXiv 1811.03087.
    """

    steps: tuple[str, ...]
    residual: bool = False

    @property
    def places(self) -> tuple[str, ...]:
        """Before the first step, after every step, and after the addition of the skip branch."""
        return tuple(f"loc{i + 1}" for i in range(len(self.steps) + 1 + self.residual))

    @property
    def activated_places(self) -> tuple[str, ...]:
        """The places right after an activation, where effective ranks are taken."""
        return tuple(place for step, place in zip(self.steps, self.places[1:], strict=False) if step == "activation")

    def num_repeats(self, res_depth: int) -> int:
        """How often one layer goes through `steps`."""
        return res_depth if self.residual else 1

    def convolutions_per_layer(self, res_depth: int) -> int:
        """How many kernels one layer draws."""
        return self.steps.count("conv") * self.num_repeats(res_depth)


ARCHITECTURES: dict[str, Architecture] = {
    "vanilla": Architecture(("conv", "activation")),
    "bn_ff": Architecture(("conv", "batch_norm", "activation")),
    "bn_res": Architecture(("batch_norm", "activation", "conv"), residual=True),
}
