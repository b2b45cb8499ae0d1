"""Whether the files of a saved experiment are what was written."""

from __future__ import annotations

from .experiments import unknown
from .files import CorruptExperimentError
from .folders import experiment_folder
from .record import DESCRIBED, Record
from .transactions import RECORD_FILE, consistently, read_rows

VERIFIED = "verified"

UNVERIFIED = "readable, without a checksum: an earlier version wrote it"


def verify_experiment(name: str) -> dict[str, str]:
    """Check every file of a saved experiment against what was written, and say what holds for each.

    `load_experiment` makes the same checks, and refuses an experiment at the first file that is damaged.

    Args:
        name: Its folder below `npy/`.

    Returns:
        For `experiment.json` and the file of every array, `"verified"` if its checksum is right (or it follows from the
        description, and agrees with it); `"readable, without a checksum: an earlier version wrote it"`; or what is
        wrong with it.

    Raises:
        TypeError, ValueError: If the name is refused.
        FileNotFoundError: If there is no such experiment.
        BlockingIOError: If the experiment is replaced again and again while it is read.
        MemoryError, OSError: If a file does not fit in memory, or the disk fails.

    Example:

    >>> import numpy as np
    >>> from moments_dnns import Experiment, Moments, save_experiment
    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> save_experiment(Moments({"log_chi_loc3": np.ones((1, 1))}, experiment), "demo")
    >>> verify_experiment("demo")["log_chi_loc3.npy"]
    'verified'
    """
    folder = experiment_folder(name)

    def check(record: Record) -> dict[str, str]:
        unverified = VERIFIED if record.checksums else UNVERIFIED
        checked = {RECORD_FILE: unverified}
        for array in record.arrays:
            try:
                read_rows(folder, record, array)
                checked[f"{array}.npy"] = VERIFIED if array in DESCRIBED else unverified
            except CorruptExperimentError as error:
                checked[f"{array}.npy"] = str(error)
        return checked

    try:
        return consistently(folder, check)[1]
    except FileNotFoundError as error:
        raise unknown(name) from error
    except CorruptExperimentError as error:
        return {RECORD_FILE: str(error)}
