"""Chunks: finished realizations, as they travel from those who compute them to the one who saves them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np


class Chunk(NamedTuple):
    """Finished realizations.

    Args:
        realizations: Their indices.
        arrays: float64 arrays of shape (len(realizations), number of columns), by the names under which they are kept.
        problems: Messages of warnings.
        notes: Numbers for the provenance, of which the largest of all chunks counts.
        seconds: How long they took.
    """

    realizations: tuple[int, ...]
    arrays: Mapping[str, np.ndarray]
    problems: tuple[str, ...] = ()
    notes: Mapping[str, int] = {}
    seconds: float = 0.0


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks with the same arrays, at least one, as one.

    Example:

    >>> chunks = [Chunk((k,), {"nu2_signal_loc1": np.full((1, 2), k)}, notes={"largest": k}) for k in (3, 1)]
    >>> joined(chunks)._replace(seconds=0.0)
    Chunk(realizations=(3, 1), arrays={'nu2_signal_loc1': array([[3, 3],
           [1, 1]])}, problems=(), notes={'largest': 3}, seconds=0.0)
    """
    realizations, arrays, problems, notes, seconds = zip(*chunks, strict=True)
    return Chunk(
        tuple(chain(*realizations)),
        {name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]},
        tuple(chain(*problems)),
        largest(notes),
        sum(seconds),
    )


def largest(notes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the largest number under each name.

    Example:

    >>> largest([{"a": 1}, {"a": 3, "b": 0}])
    {'a': 3, 'b': 0}
    """
    most: dict[str, int] = {}
    for each in notes:
        most |= {name: max(number, most.get(name, number)) for name, number in each.items()}
    return most


def timed(chunks: Iterable[Chunk]) -> Chunk:
    """Compute chunks and return them as one, with the seconds that all of it took."""
    begun = time.monotonic()
    whole = joined(list(chunks))
    return whole._replace(seconds=time.monotonic() - begun)
