"""Provenance: how numbers came about, a JSON object in the record of an experiment.

It holds what the last run was: its device, data and options, as the run gives them, versions and times, which are added
here, and `pruned_for` where arrays were removed. The runs before it are a list under the key `earlier`.
"""

from __future__ import annotations

import functools
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from moments_dnns._device import BOX_MULLER

SECONDS_FOR_GIT = 10.0

PACKAGES = ("moments_dnns", "numpy", "keras", "tensorflow", "jax", "torch")

# What numbers depend on, beside the description: the backend and its normal numbers, and, in their last digits, the
# threads within an operation on a CPU, None elsewhere.
DECISIVE = ("backend", "normals", "threads")

# What runs had that do not say it.
EARLIER = {"normals": BOX_MULLER}


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
    """Return what is known of a run when it begins: what it gives itself, the versions, the commit, the time."""
    return {"versions": versions(), **checkout(), **provenance, "started": now()}


def end(begun: float) -> dict[str, Any]:
    """Return what is added when realizations are committed, for a run that began at that `time.monotonic()`."""
    return {"ended": now(), "wall_seconds": round(time.monotonic() - begun, 3)}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return in what two runs differ that numbers depend on, as far as both say it or it is known.

    Example:

    >>> changes({"backend": "jax", "threads": 2}, {"backend": "tensorflow", "threads": 2})
    {'backend': ('jax', 'tensorflow')}
    >>> changes({"backend": "jax"}, {"backend": "jax", "normals": "inverse error function"})
    {'normals': ('Box and Muller', 'inverse error function')}
    """
    before, now = ({**EARLIER, **each} if "backend" in each else each for each in (before, now))
    known = [key for key in DECISIVE if key in before and key in now]
    return {key: (before[key], now[key]) for key in known if before[key] != now[key]}


def pruned_in_words(provenance: Mapping[str, Any]) -> str:
    """Return a sentence for messages about an array that is not there, where the experiment was pruned; else nothing.

    Example:

    >>> pruned_in_words({"pruned_for": "bn_ff"})
    ' It was pruned for bn_ff.'
    """
    return f" It was pruned for {provenance['pruned_for']}." if "pruned_for" in provenance else ""


@functools.cache
def checkout() -> dict[str, Any]:
    """Return the git commit of the checkout that this package runs from, and whether files of it were changed.

    There is neither where the package was installed, or git is missing.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", root, *words], capture_output=True, text=True, check=True, timeout=SECONDS_FOR_GIT
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "changed": bool(changes)}


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
