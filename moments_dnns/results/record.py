"""Record: the content of `experiment.json`, which decides what counts in an experiment's folder."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.moments import MOMENTS, STORED_AS, place_number, split_name

SCHEMA = 4  # of experiment.json


# What an experiment had, before there was a parameter for it, by the schema that lacks it.
EARLIER: dict[int, dict[str, Any]] = {
    1: {"weights": "explicit"},
    2: {"precision": "float32"},
    3: {
        "activation": "relu",
        "gain": 2.0,
        "kernel_initializer": "gaussian",
        "bias_variance": 0.0,
        "statistics": "constant",
    },
}


DESCRIBED = ("depth", "res_depth", "layer")  # arrays that follow from descriptions


LONGEST_DEPTH = 2**31  # more than any network has; a larger one in a file would exhaust the memory


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
    result: list[Source] = []
    for source in sources:
        if result and (source.seed, source.start) == (result[-1].seed, result[-1].stop):
            source = Source(source.seed, result.pop().start, source.stop)
        result.append(source)
    return tuple(result)


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


def told(differences: Mapping[str, tuple[Any, Any]]) -> str:
    """Return differences in words.

    Example:

    >>> told({"seed": (0, 1), "kernel_size": (1, 3)})
    'seed (0 and 1), kernel_size (1 and 3)'
    """
    return ", ".join(f"{name} ({one!r} and {other!r})" for name, (one, other) in differences.items())


def is_array_name(name: str) -> bool:
    """Tell whether an array of an experiment can have this name.

    Example:

    >>> is_array_name("nu2_signal_loc3"), is_array_name("../nu2_signal_loc3")
    (True, False)
    """
    moment, place = split_name(name)
    return name in DESCRIBED or (moment in {*MOMENTS, *STORED_AS.values()} and place_number(place) is not None)


@attrs.frozen
class Record:
    """The content of `experiment.json`.

    Args:
        experiment: The description.
        arrays: Names of the arrays that count; other files do not.
        sources: Which realizations are committed.
        in_place: Whether realization k lies in row k of the files; otherwise the rows follow the sources.
        provenance: How the numbers came about.
        token: Differs between any two generations of arrays under one name.
    """

    experiment: Any  # Experiment or Characterization
    arrays: tuple[str, ...]
    sources: tuple[Source, ...]
    in_place: bool
    provenance: dict[str, Any]
    token: str = attrs.field(factory=lambda: secrets.token_hex(8))

    @property
    def rows(self) -> list[tuple[int, int]]:
        """The range (start, stop) of rows of every source."""
        if self.in_place:
            return [(source.start, source.stop) for source in self.sources]
        return list(pairwise(accumulate((source.stop - source.start for source in self.sources), initial=0)))

    def differences(self, other: Record) -> dict[str, tuple[Any, Any]]:
        """Return in what two records differ apart from their realizations: parameters, images, arrays."""
        found = self.experiment.differences(other.experiment)
        images = self.provenance.get("dataset_sha256"), other.provenance.get("dataset_sha256")
        if None not in images and images[0] != images[1]:
            found["dataset_sha256"] = images
        if lacking := set(self.arrays) ^ set(other.arrays):
            found["arrays"] = (sorted(lacking & set(self.arrays)), sorted(lacking & set(other.arrays)))
        return found

    def path(self, folder: Path, array: str) -> Path:
        """Return the file that holds an array now."""
        staged = self.staged(folder, array)
        return staged if staged.exists() else folder / f"{array}.npy"

    def staged(self, folder: Path, array: str) -> Path:
        """Return the file in which an array waits for the commit."""
        return folder / f"{array}.npy.{self.token}"

    def to_json(self) -> str:
        """Return the record as a JSON object; `from_json` is the way back."""
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        fields |= {
            "experiment": attrs.asdict(self.experiment),
            "sources": [source._asdict() for source in self.sources],
        }
        return json.dumps({"schema": SCHEMA, **fields}, indent=2)

    @classmethod
    def from_json(cls, content: str | bytes) -> Record:
        """Return the record of a JSON object.

        Raises:
            KeyError, TypeError, ValueError, RecursionError: If it is anything else.
        """
        fields = json.loads(content)
        if not isinstance(fields, dict):
            raise TypeError("expected a JSON object")
        if (schema := fields.pop("schema")) not in (*EARLIER, SCHEMA):
            raise ValueError(f"expected schema {SCHEMA}, found {schema!r}: a later version may have written it")
        implied = {
            name: value for known, lacking in EARLIER.items() if known >= schema for name, value in lacking.items()
        }
        if "model" in fields["experiment"]:
            fields["experiment"] = Characterization.from_json(json.dumps(fields["experiment"]))
        else:
            fields["experiment"] = Experiment.from_json(json.dumps({**implied, **fields["experiment"]}))
        fields["arrays"] = tuple(fields["arrays"])
        fields["sources"] = tuple(Source(**source) for source in fields["sources"])
        record = cls(**fields)
        record.check()
        return record

    def check(self) -> None:
        """Refuse what no writer writes.

        Raises:
            TypeError, ValueError: If the fields contradict each other or could lead out of the folder.
        """
        counts = [count for source in self.sources for count in source]
        is_token = isinstance(self.token, str) and re.fullmatch("[0-9a-f]{16}", self.token)
        expectations = {
            "known names of arrays, all different, 'depth' among them": all(
                isinstance(name, str) and is_array_name(name) for name in self.arrays
            )
            and len(set(self.arrays)) == len(self.arrays)
            and "depth" in self.arrays,
            "sources with whole numbers and start < stop": all(type(count) is int and count >= 0 for count in counts)
            and all(source.start < source.stop for source in self.sources),
            "sources without overlap, at most num_realizations in all": overlap(self.sources) is None
            and num_rows(self.sources) <= self.experiment.num_realizations,
            "in_place true or false, and true with one seed only": isinstance(self.in_place, bool)
            and not (self.in_place and any(source.seed != self.experiment.seed for source in self.sources)),
            "a JSON object as provenance, of earlier ones too": isinstance(self.provenance, dict)
            and isinstance(earlier := self.provenance.get("earlier", []), list)
            and all(isinstance(run, dict) for run in earlier),
            "a token of 16 hexadecimal digits": bool(is_token),
            f"depths below {LONGEST_DEPTH}": isinstance(self.experiment, Characterization)
            or max(self.experiment.total_depth, self.experiment.res_depth) < LONGEST_DEPTH,
        }
        for expected, met in expectations.items():
            if not met:
                raise ValueError(f"expected {expected}")
