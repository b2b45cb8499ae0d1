"""Which realizations there are: ranges of the indices of a seed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple


class Source(NamedTuple):
    """Realizations start, ..., stop - 1 of a seed."""

    seed: int
    start: int
    stop: int


def num_rows(sources: Iterable[Source]) -> int:
    """Return how many realizations there are in all."""
    return sum(source.stop - source.start for source in sources)


def indices(sources: Iterable[Source]) -> list[int]:
    """Return the indices of realizations, in the order of their sources.

    Example:

    >>> indices([Source(0, 3, 5), Source(0, 0, 1)])
    [3, 4, 0]
    """
    return [index for source in sources for index in range(source.start, source.stop)]


def joined(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Return the same realizations in the same order, with neighbours made one.

    Example:

    >>> joined([Source(0, 0, 10), Source(0, 10, 15), Source(1, 0, 5)])
    (Source(seed=0, start=0, stop=15), Source(seed=1, start=0, stop=5))
    """
    longest: list[Source] = []
    for source in sources:
        if longest and (source.seed, source.start) == (longest[-1].seed, longest[-1].stop):
            source = Source(source.seed, longest.pop().start, source.stop)
        longest.append(source)
    return tuple(longest)


def overlap(sources: Iterable[Source]) -> Source | None:
    """Return a source that shares realizations of its seed with another one, if there is any."""
    return next(
        (
            after
            for before, after in pairwise(sorted(sources))
            if before.seed == after.seed and before.stop > after.start
        ),
        None,
    )
