"""What the descriptions of results have in common: experiments, and characterizations of models."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.moments import derive


@attrs.frozen
class Description(ABC):
    """The frozen description of a result: what decides its numbers, and how many there are.

    Subclasses are `attrs` classes whose fields are JSON, and say what their arrays are.

    Args:
        num_realizations: How many realizations were asked for.
        seed: The only source of randomness.
    """

    # What is described, in a word; the axis of arrays that counts depth; the parameters that a summary shows.
    kind: ClassVar[str]
    columns: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]

    num_realizations: int
    seed: int

    @property
    @abstractmethod
    def num_computations(self) -> int:
        """Number of columns of an array."""

    @property
    @abstractmethod
    def array_names(self) -> tuple[str, ...]:
        """Names of the arrays that are measured, of shape (num_realizations, num_computations)."""

    @property
    @abstractmethod
    def places(self) -> tuple[str, ...]:
        """The places of a layer where moments are taken, by which names of arrays end; one empty name for none."""

    @property
    @abstractmethod
    def headline(self) -> tuple[str, str, str]:
        """What the network is, its depth and its width, in a word each."""

    @property
    @abstractmethod
    def described(self) -> dict[str, np.ndarray]:
        """The arrays that follow from the description, by name."""

    def derive(self, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """Return an array that is there, or follows from those there: see `moments.derive`."""
        return derive(arrays, name)

    def out_of_range(
        self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray], logarithms: np.ndarray
    ) -> Iterator[str]:
        """Yield a warning for every realization with moments that are not finite, or too small for float64.

        Args:
            realizations: The indices of the realizations.
            arrays: Their moments by name, of shape (len(realizations), num_computations).
            logarithms: Natural logarithms of the moments, of shape (len(realizations), num_computations, arrays).

        Yields:
            Where it began: the realization, the moment and the layer.
        """
        names, values = list(arrays), np.stack(list(arrays.values()), axis=-1)
        bad = ~np.isfinite(values) | ((values == 0) & np.isfinite(logarithms))
        for position in np.flatnonzero(bad.any(axis=(1, 2))):
            depth, moment = np.argwhere(bad[position])[0]
            yield (
                f"realization {realizations[int(position)]}: {names[moment]} is {values[position, depth, moment]} at "
                f"layer {self.described[self.columns][depth]}, its logarithm {logarithms[position, depth, moment]}; "
                f"from there on {np.count_nonzero(bad[position])} values are not finite or out of range"
            )

    def differences(self, other: Description) -> dict[str, tuple[Any, Any]]:
        """Return the parameters in which two descriptions differ, the number of realizations left aside."""
        if type(self) is not type(other):
            return {"kind": (self.kind, other.kind)}
        mine, theirs = (attrs.asdict(each, recurse=False) for each in (self, other))
        return {
            name: (mine[name], theirs[name])
            for name in mine
            if name != "num_realizations" and mine[name] != theirs[name]
        }

    def to_json(self) -> str:
        """Return the description as a JSON object; `from_json` is the way back."""
        return json.dumps(attrs.asdict(self), indent=2)

    @classmethod
    def from_json(cls, description: str) -> Self:
        """Return the description of a JSON object.

        Raises:
            ValueError: If it is not a JSON object with exactly the parameters of the class.
            TypeError, ValueError: If one of them is refused.
        """
        return cls.from_fields(json.loads(description))

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """Return the description of the fields of a JSON object, with the errors of `from_json`."""
        known = [field.name for field in attrs.fields(cls)]
        if not isinstance(fields, dict) or set(fields) != set(known):
            raise ValueError(refusal(f"expected a JSON object with the fields {', '.join(known)}.", fields=fields))
        return cls(**fields)


# The description of a result whose kind is known: `Moments[Experiment]` has an `Experiment`.
AnyDescription = TypeVar("AnyDescription", bound=Description)
