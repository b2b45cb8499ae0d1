"""Provenance: how numbers came about, a JSON object in the record of an experiment.

It holds what the last run was: its device, data and options, as the run gives them, versions and times, which are added
here, and `pruned_for` where arrays were removed. The runs before it are a list under the key `earlier`.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

PACKAGES = ("moments_dnns", "numpy", "keras", "tensorflow", "jax", "torch")


def now() -> str:
    """Return the time, in UTC and ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter, as far as they are installed.

    Example:

    >>> "numpy" in versions()
    True
    """
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def begin(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a run when it begins: what it gives itself, the versions, the time."""
    return {"versions": versions(), **provenance, "started": now()}


def end(begun: float) -> dict[str, Any]:
    """Return what is added when realizations are committed, for a run that began at that `time.monotonic()`."""
    return {"ended": now(), "wall_seconds": round(time.monotonic() - begun, 3)}


def runs(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the runs of a provenance, the last one first: itself, then those under its key `earlier`."""
    return [{key: value for key, value in provenance.items() if key != "earlier"}, *provenance.get("earlier", ())]


def combine(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one provenance for numbers from several, the last one first.

    Example:

    >>> combine([{"device": "GPU"}, {"device": "CPU", "earlier": [{"device": "TPU"}]}])
    {'device': 'GPU', 'earlier': [{'device': 'CPU'}, {'device': 'TPU'}]}
    """
    first, *earlier = [run for part in parts for run in runs(part)]
    return {**first, "earlier": earlier} if earlier else first
