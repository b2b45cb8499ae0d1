"""What the descriptions of results have in common: experiments, and characterizations of models."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.moments import derive


class Description:
    """The frozen description of a result: what decides its numbers, and how many there are.

    Subclasses are `attrs` classes whose fields are JSON, and say what their arrays are.
    """

    num_realizations: int
    seed: int
    # Name of the axis of arrays that counts depth, and the parameters that a summary shows.
    columns: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]

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

    def differences(self, other: Description) -> dict[str, tuple[Any, Any]]:
        """Return the parameters in which two descriptions differ, the number of realizations left aside."""
        if type(self) is not type(other):
            return {"kind": ("an experiment", "the layers of a model")}
        mine, theirs = (attrs.asdict(each, recurse=False) for each in (self, other))  # type: ignore[arg-type]
        return {
            name: (mine[name], theirs[name])
            for name in mine
            if name != "num_realizations" and mine[name] != theirs[name]
        }

    def to_json(self) -> str:
        """Return the description as a JSON object; `from_json` is the way back."""
        return json.dumps(attrs.asdict(self), indent=2)  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, description: str) -> Self:
        """Return the description of a JSON object.

        Raises:
            ValueError: If it is not a JSON object with exactly the parameters of the class.
            TypeError, ValueError: If one of them is refused.
        """
        fields = json.loads(description)
        known = [field.name for field in attrs.fields(cls)]  # type: ignore[arg-type]
        if not isinstance(fields, dict) or set(fields) != set(known):
            raise ValueError(
                refusal(f"expected a JSON object with the fields {', '.join(known)}.", description=description)
            )
        return cls(**fields)


def problems(
    description: Description, realizations: Sequence[int], arrays: dict[str, np.ndarray], logarithms: np.ndarray
) -> Iterator[str]:
    """Tell of every realization in which moments are not finite or left float64's range, and where it began."""
    values = np.stack(list(arrays.values()), axis=-1)
    bad = ~np.isfinite(values) | ((values == 0) & np.isfinite(logarithms))
    for row in np.flatnonzero(bad.any(axis=(1, 2))):
        depth, column = np.argwhere(bad[row])[0]
        yield (
            f"realization {realizations[int(row)]}: {list(arrays)[column]} is {values[row, depth, column]} at "
            f"layer {description.described[description.columns][depth]}, its logarithm "
            f"{logarithms[row, depth, column]}; from there on {np.count_nonzero(bad[row])} values are not finite or "
            "out of range"
        )
