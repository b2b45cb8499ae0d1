"""Description: what the descriptions of experiments and of characterized models have in common."""

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
    """The frozen description of a result: everything that decides its numbers.

    Subclasses are `attrs` classes with fields that JSON can hold. They name the arrays of the result.

    Args:
        num_realizations: Number of realizations.
        seed: The only source of randomness.
    """

    kind: ClassVar[str]  # what is described, in a word
    columns: ClassVar[str]  # the name of the axis of depth: columns of arrays
    shown: ClassVar[tuple[str, ...]]  # the parameters in a printed result

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
        """The places of a layer where moments are taken, with which names of arrays end; one empty name for none."""

    @property
    @abstractmethod
    def headline(self) -> tuple[str, str, str]:
        """The kind of network, its depth and its width, in a word each."""

    @property
    @abstractmethod
    def described(self) -> dict[str, np.ndarray]:
        """The arrays that follow from the description alone, such as `depth`, by name."""

    def derive(self, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """Return an array by its name, derived from the others where it is not among them: see `moments.derive`."""
        return derive(arrays, name)

    def is_taken(self, name: str) -> np.ndarray:
        """Return for every column of an array of moments whether it is measured; what is not is NaN."""
        return np.ones(self.num_computations, bool)

    def out_of_range(
        self, realizations: Sequence[int], arrays: Mapping[str, np.ndarray], logarithms: np.ndarray
    ) -> Iterator[str]:
        """Yield a warning for every realization with moments that are not finite, or too small for float64.

        Args:
            realizations: The indices of the realizations.
            arrays: Their moments by name, of shape (len(realizations), num_computations).
            logarithms: Natural logarithms of the moments, of shape (len(realizations), num_computations, arrays).

        Yields:
            A sentence with the realization, the moment and the layer that are the first.
        """
        names, values = list(arrays), np.stack(list(arrays.values()), axis=-1)
        bad = ~np.isfinite(values) | ((values == 0) & np.isfinite(logarithms) & (logarithms != 0))
        bad &= np.stack([self.is_taken(name) for name in names], axis=-1)
        for position in np.flatnonzero(bad.any(axis=(1, 2))):
            depth, moment = np.argwhere(bad[position])[0]
            yield (
                f"realization {realizations[int(position)]}: {names[moment]} is {values[position, depth, moment]} at "
                f"layer {self.described[self.columns][depth]}, its logarithm {logarithms[position, depth, moment]}; "
                f"from there on {np.count_nonzero(bad[position])} values are not finite or out of range"
            )

    def differences(self, other: Description) -> dict[str, tuple[Any, Any]]:
        """Return the parameters in which two descriptions differ but for the number of realizations: {name: values}."""
        if type(self) is not type(other):
            return {"kind": (self.kind, other.kind)}
        mine, theirs = (attrs.asdict(each, recurse=False) for each in (self, other))
        return {
            name: (mine[name], theirs[name])
            for name in mine
            if name != "num_realizations" and mine[name] != theirs[name]
        }

    def to_json(self) -> str:
        """Return the description as the text of a JSON object, for `from_json`."""
        return json.dumps(attrs.asdict(self), indent=2)

    @classmethod
    def from_json(cls, description: str) -> Self:
        """Return a description from the text of a JSON object.

        Raises:
            ValueError: If it is not a JSON object with exactly the parameters of the class.
            TypeError, ValueError: If one of them is refused.
        """
        return cls.from_fields(json.loads(description))

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """Return a description from the fields of a JSON object; the errors are those of `from_json`."""
        known = [field.name for field in attrs.fields(cls)]
        if not isinstance(fields, dict) or set(fields) != set(known):
            raise ValueError(refusal(f"expected a JSON object with the fields {', '.join(known)}.", fields=fields))
        return cls(**fields)


# For types of results whose kind is known: `Moments[Experiment]` has an `Experiment`.
AnyDescription = TypeVar("AnyDescription", bound=Description)
