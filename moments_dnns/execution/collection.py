"""What comes back is counted, shown and saved, whoever computes it and whatever ends the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import numpy as np
from tqdm.auto import tqdm

from moments_dnns._validation import warn
from moments_dnns.descriptions.base import AnyDescription
from moments_dnns.results.writers import Writer

from .chunks import largest
from .dispatch import Chunks

# Finished realizations are made durable this often, the first one at once; and less often on a slow disk, so that
# commits take a small share of the time.
SECONDS_BETWEEN_COMMITS = 1.0
SHARE_OF_COMMITS = 0.05

Row = Mapping[str, np.ndarray]


def rows(realizations: Sequence[int], arrays: Mapping[str, np.ndarray]) -> dict[int, Row]:
    """Return for each realization its row of every array.

    Example:

    >>> rows([3, 5], {"nu2_signal": np.eye(2)})[5]
    {'nu2_signal': array([0., 1.])}
    """
    return {
        realization: {name: array[row] for name, array in arrays.items()}
        for row, realization in enumerate(realizations)
    }


def collect(
    writer: Writer[AnyDescription],
    total: int,
    chunks: Chunks,
    verbose: bool,
    counted: Callable[[dict[int, Row]], dict[int, Row]] = dict,
) -> None:
    """Write chunks as they come, in commits, while a bar shows how many realizations there are.

    Args:
        writer: Where they are written.
        total: How many realizations there will be.
        chunks: The chunks; they are closed at the end.
        verbose: Whether there is a bar.
        counted: Maps realizations that came to those that are written from now on.

    Raises:
        KeyboardInterrupt: On Ctrl-C. As on any error, what has come is written first.
    """
    pacer, notes, left = _Pacer(writer), dict[str, int](), set(writer.missing)
    bar = tqdm(total=total, initial=total - len(left), unit="realization", disable=not verbose)
    with bar, closing(chunks):
        try:
            for chunk in chunks:
                if chunk:
                    for problem in chunk.problems:
                        warn(problem, RuntimeWarning)
                    notes = largest([notes, chunk.notes])
                    writer.note(**notes)
                    new = counted(rows(chunk.realizations, chunk.arrays))
                    pacer.pending |= new
                    bar.update(len(left & new.keys()))
                pacer.commit_if_due()
        finally:
            pacer.commit()


class _Pacer:
    """Commits what is pending, at times.

    Args:
        writer: The writer.
    """

    def __init__(self, writer: Writer[AnyDescription]):
        self._writer = writer
        self._due = time.monotonic()
        self.pending: dict[int, Row] = {}

    def commit_if_due(self) -> None:
        """Commit once some time has passed since the last commit."""
        if self.pending and (begun := time.monotonic()) >= self._due:
            self.commit()
            ended = time.monotonic()
            self._due = ended + max(SECONDS_BETWEEN_COMMITS, (ended - begun) / SHARE_OF_COMMITS)

    def commit(self) -> None:
        """Commit all that is pending."""
        # Ctrl-C may have come between a commit and the clearing of what it committed.
        missing = set(self._writer.missing)
        uncommitted = {realization: row for realization, row in self.pending.items() if realization in missing}
        if uncommitted:
            stacked = list(uncommitted.values())
            arrays = {name: np.stack([row[name] for row in stacked]) for name in stacked[0]}
            self._writer.commit(list(uncommitted), arrays)
        self.pending.clear()
