"""The memory and the disk that are left, and refusals of what would not fit."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from ._validation import refusal

# Where Linux says how much memory a process may still take: of the machine, and of its container or job.
MEMORY_OF_THE_MACHINE = Path("/proc/meminfo")
MEMORY_OF_THE_GROUP = Path("/sys/fs/cgroup")


def size(num_bytes: int) -> str:
    """Return a number of bytes as people write it.

    Example:

    >>> size(16_800_000), size(300)
    ('16.8 MB', '300 B')
    """
    units = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    power = min(max(len(str(num_bytes)) - 1, 0) // 3, len(units) - 1)
    return f"{num_bytes / 1000**power:.4g} {units[power]}"


def available_memory() -> int | None:
    """Return how many bytes of memory are left for this process; None where the system does not say."""
    limits = [limit for limit in (_of_the_machine(), _of_the_group()) if limit is not None]
    return min(limits, default=None)


def _of_the_machine() -> int | None:
    try:
        lines = MEMORY_OF_THE_MACHINE.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _of_the_group() -> int | None:
    try:
        most, used = ((MEMORY_OF_THE_GROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        # What files fill of the cache is given back when memory is wanted.
        statistics = dict(line.split() for line in (MEMORY_OF_THE_GROUP / "memory.stat").read_text().splitlines())
        return int(most) - int(used) + int(statistics.get("inactive_file", 0))
    except (OSError, ValueError):  # there is no group, or it has no limit: "max"
        return None


def check_memory(num_bytes: int, what: str, advice: str) -> None:
    """Refuse what is larger than the memory that is left, before it is allocated.

    Args:
        num_bytes: Its size, or less.
        what: What it is, as the subject of a sentence.
        advice: What to do instead.

    Raises:
        MemoryError: If it cannot fit.
    """
    available = available_memory()
    if available is not None and num_bytes > available:
        raise MemoryError(
            refusal(f"{what} take at least {size(num_bytes)} of memory: {advice}.", available=size(available))
        )


def check_disk(folder: Path, num_bytes: int, largest_file: int, what: str, advice: str) -> None:
    """Refuse what is larger than what is left of a disk, or than files may be, before it is written.

    Args:
        folder: A folder on that disk.
        num_bytes: How many bytes will be written.
        largest_file: Size of the largest file among it, in bytes.
        what: What it is, as the subject of a sentence.
        advice: What to do instead.

    Raises:
        OSError: If it cannot fit.
    """
    free, longest = shutil.disk_usage(folder).free, _longest_file()
    for limit, wanted, number in ((free, num_bytes, errno.ENOSPC), (longest, largest_file, errno.EFBIG)):
        if limit is not None and wanted > limit:
            message = refusal(f"{what} take {size(wanted)}: {advice}.", available=size(limit), folder=str(folder))
            raise OSError(number, f"{os.strerror(number)}: {message}")


def _longest_file() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit
