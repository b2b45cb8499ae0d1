"""The record of an experiment, the content of `experiment.json`: which arrays and realizations count, and of what.

A folder is what its record says; whatever else lies there does not count. The record has a schema, and those of
earlier schemas are brought to the present one when they are read. Nothing here touches a disk but `Record.path`.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from moments_dnns._validation import one_of
from moments_dnns.descriptions.base import Description
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.moments import KEPT_AS, MODEL_MOMENTS, STORED_AS, measured_name, place_number, split_name

from .checksums import EMPTY, checksum, digest
from .sources import Source, num_rows, overlap

# What an experiment had, before there was a parameter for it, by the last schema that lacks it. Schema 4 lacks `kind`.
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
    4: {},
}

SCHEMA = max(EARLIER) + 1  # of experiment.json

# What can be described, by the `kind` of the record.
DESCRIPTIONS: dict[str, type[Description]] = {each.kind: each for each in (Experiment, Characterization)}

DESCRIBED = ("depth", "res_depth", "layer")  # arrays that follow from descriptions

LONGEST_DEPTH = 2**31  # more than any network has; a larger one in a file would exhaust the memory

LARGEST_RECORD = 2**23  # bytes of `experiment.json`, a hundred times those of a long run with many resumptions


def in_words(differences: Mapping[str, tuple[Any, Any]]) -> str:
    """Return differences in words, for a message.

    Example:

    >>> in_words({"seed": (0, 1), "kernel_size": (1, 3)})
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
    return name in DESCRIBED or (
        moment in {*MODEL_MOMENTS, *STORED_AS.values(), *KEPT_AS.values()} and place_number(place) is not None
    )


@attrs.frozen
class Record:
    """The content of `experiment.json`.

    Args:
        experiment: The description, of an experiment or of a model.
        arrays: Names of the arrays that count; other files do not.
        sources: Which realizations are committed.
        in_place: Whether realization k lies in row k of the files; otherwise the rows follow the sources.
        provenance: How the numbers came about.
        checksums: Of the committed rows of every measured array, by its name; None where there are none, because an
            earlier version wrote the arrays.
        token: 16 hexadecimal digits, drawn anew whenever arrays are replaced; they wait under it for the commit.
    """

    experiment: Description
    arrays: tuple[str, ...]
    sources: tuple[Source, ...]
    in_place: bool
    provenance: dict[str, Any]
    checksums: dict[str, str] | None = None
    token: str = attrs.field(factory=lambda: secrets.token_hex(8))

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of the arrays that have a row for every realization; the others follow from the description."""
        return tuple(name for name in self.arrays if name not in DESCRIBED)

    @property
    def row_ranges(self) -> list[tuple[int, int]]:
        """Where the realizations of every source lie in the files: rows start, ..., stop - 1."""
        if self.in_place:
            return [(source.start, source.stop) for source in self.sources]
        return list(pairwise(accumulate((source.stop - source.start for source in self.sources), initial=0)))

    @property
    def row_numbers(self) -> list[int]:
        """The numbers of the rows that count, in the order of their sources."""
        return [row for start, stop in self.row_ranges for row in range(start, stop)]

    def with_rows(self, arrays: Mapping[str, np.ndarray], numbers: Sequence[int]) -> Record:
        """Return the record with the checksums of more rows, whose numbers are given, of the measured arrays."""
        before = self.checksums or {}
        added = {name: checksum(arrays[name], numbers, before.get(name, EMPTY)) for name in self.measured}
        return attrs.evolve(self, checksums=added)

    def differences(self, other: Record) -> dict[str, tuple[Any, Any]]:
        """Return in what two records differ apart from their realizations: parameters, images, arrays."""
        differences = self.experiment.differences(other.experiment)
        images = self.provenance.get("dataset_sha256"), other.provenance.get("dataset_sha256")
        if None not in images and images[0] != images[1]:
            differences["dataset_sha256"] = images
        # Earlier versions kept values where this one keeps logarithms.
        mine, theirs = (set(map(measured_name, each.arrays)) for each in (self, other))
        if mine != theirs:
            differences["arrays"] = (sorted(mine - theirs), sorted(theirs - mine))
        return differences

    def path(self, folder: Path, array: str) -> Path:
        """Return the file that holds an array now."""
        staged = self.staged(folder, array)
        return staged if staged.exists() else folder / f"{array}.npy"

    def staged(self, folder: Path, array: str) -> Path:
        """Return the file in which an array waits for the commit."""
        return folder / f"{array}.npy.{self.token}"

    def to_json(self) -> str:
        """Return the record as a JSON object with a checksum of all the others; `from_json` is the way back."""
        content = {
            "schema": SCHEMA,
            "kind": self.experiment.kind,
            **attrs.asdict(self, recurse=False),
            "experiment": attrs.asdict(self.experiment),
            "sources": [source._asdict() for source in self.sources],
        }
        return json.dumps({**content, "checksum": _checksum(content)}, indent=2)

    @classmethod
    def from_json(cls, content: str | bytes) -> Record:
        """Return the record of a JSON object.

        Raises:
            KeyError, TypeError, ValueError, RecursionError: If it is anything else.
        """
        fields = _upgraded(json.loads(content, object_pairs_hook=_different))
        kind = one_of(DESCRIPTIONS)("kind", fields.pop("kind"))
        if set(fields) != (known := {field.name for field in attrs.fields(cls)}):
            raise ValueError(f"expected the fields {', '.join(sorted(known))}, not {', '.join(sorted(fields))}")
        fields["experiment"] = DESCRIPTIONS[kind].from_fields(fields["experiment"])
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
        conditions = (
            (all(isinstance(name, str) and is_array_name(name) for name in self.arrays), "known names of arrays"),
            (len(set(self.arrays)) == len(self.arrays), "different names of arrays"),
            ("depth" in self.arrays, "'depth' among the arrays"),
            (all(type(count) is int and count >= 0 for count in counts), "sources with whole numbers"),
            (all(source.start < source.stop for source in self.sources), "sources with start < stop"),
            (overlap(self.sources) is None, "sources without overlap"),
            (num_rows(self.sources) <= self.experiment.num_realizations, "at most num_realizations realizations"),
            (isinstance(self.in_place, bool), "in_place true or false"),
            (
                not self.in_place or all(source.seed == self.experiment.seed for source in self.sources),
                "in_place true with one seed only",
            ),
            (
                isinstance(self.provenance, dict)
                and isinstance(earlier := self.provenance.get("earlier", []), list)
                and all(isinstance(run, dict) for run in earlier),
                "a JSON object as provenance, of earlier ones too",
            ),
            (
                isinstance(self.token, str) and re.fullmatch("[0-9a-f]{16}", self.token),
                "a token of 16 hexadecimal digits",
            ),
            (
                self.checksums is None
                or (
                    isinstance(self.checksums, dict)
                    and set(self.checksums) == set(self.measured)
                    and all(
                        isinstance(each, str) and re.fullmatch("[0-9a-f]{16}", each) for each in self.checksums.values()
                    )
                ),
                "a checksum of 16 hexadecimal digits for every measured array, or null",
            ),
            (
                not isinstance(self.experiment, Experiment)
                or max(self.experiment.total_depth, self.experiment.res_depth) < LONGEST_DEPTH,
                f"depths below {LONGEST_DEPTH}",
            ),
        )
        for holds, expected in conditions:
            if not holds:
                raise ValueError(f"expected {expected}")


def _upgraded(fields: Any) -> dict[str, Any]:
    """Return the fields of a record of any schema as the present one has them, without their schema."""
    if not isinstance(fields, dict):
        raise TypeError("expected a JSON object")
    if (schema := fields.pop("schema")) not in (*EARLIER, SCHEMA):
        raise ValueError(f"expected schema 1 to {SCHEMA}, not {schema!r}: a later version may have written it")
    if schema == SCHEMA:
        expected = fields.pop("checksum")
        if _checksum({"schema": schema, **fields}) != expected:
            raise ValueError("it was changed after it was written: it does not have the checksum that it holds")
        return fields
    fields = {**fields, "checksums": None}
    # Models came with schema 4: no field was added to them.
    if "model" in fields["experiment"]:
        return {**fields, "kind": Characterization.kind}
    implied = {name: value for last, lacking in EARLIER.items() if last >= schema for name, value in lacking.items()}
    return {**fields, "kind": Experiment.kind, "experiment": {**implied, **fields["experiment"]}}


def _checksum(content: Mapping[str, Any]) -> str:
    return digest(json.dumps(content, sort_keys=True).encode())


def _different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object whose keys are different: of a repeated one, readers take either value."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("expected different keys in a JSON object")
    return content
