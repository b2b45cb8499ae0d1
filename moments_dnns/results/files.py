"""Single files: writes that are on the disk when they return, and reads that trust nothing.

They know bytes, names and shapes, and nothing of experiments: what files mean together is the matter of `transactions`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

BLOCK = 1 << 20  # bytes written at a time, so that memory does not grow with the number of realizations


class CorruptExperimentError(ValueError):
    """A file of a saved experiment is missing, damaged, or not what this library writes; the message names it.

    Everything that reads a saved experiment raises it (`load_experiment`, `prune_experiment`, `merge_experiments`, a
    run that is continued), before anything is changed. Nothing of the file was executed. The experiment can still be
    deleted, or overwritten by a new one of its name.

    Example:

    >>> from moments_dnns import Experiment, Moments, load_experiment, save_experiment
    >>> from moments_dnns.results.folders import experiment_folder
    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> save_experiment(Moments({"nu2_signal_loc3": np.ones((1, 1))}, experiment), "demo")
    >>> (experiment_folder("demo") / "nu2_signal_loc3.npy").unlink()
    >>> load_experiment("demo")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    moments_dnns.results.files.CorruptExperimentError: .../demo/nu2_signal_loc3.npy is missing
    """


def sync(file: BinaryIO) -> None:
    """Return when what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    if os.name == "posix":  # elsewhere folders cannot be opened, and renaming is durable by itself
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_file(path: Path, temporary: Path, content: bytes) -> None:
    """Write a file, or replace it, atomically: at any instant it holds all of the old or all of the new."""
    with open(temporary, "wb") as file:
        file.write(content)
        sync(file)
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a new `.npy` file durably."""
    with open(path, "xb") as file:
        _write_header(file, array.dtype, array.shape)
        file.write(np.ascontiguousarray(array).data)
        sync(file)


def write_padded(path: Path, num_rows: int, head: np.ndarray) -> None:
    """Write a new `.npy` file durably that begins with the rows of `head` and goes on with rows of NaN.

    The NaNs are written, not left as a hole: a disk that is too small is noticed now, not in the middle of a run.
    """
    num_columns = head.shape[1]
    block = np.full((max(1, BLOCK // (8 * num_columns)), num_columns), np.nan, "<f8")
    with open(path, "xb") as file:
        _write_header(file, block.dtype, (num_rows, num_columns))
        file.write(np.ascontiguousarray(head, "<f8").data)
        for start in range(len(head), num_rows, len(block)):
            file.write(block[: num_rows - start].data)
        sync(file)


def write_rows(path: Path, rows: Iterable[int], values: np.ndarray) -> None:
    """Write rows of a float64 `.npy` file in place, durably."""
    check_plain(path)
    with open(path, "r+b") as file:
        num_columns = _read_header(file, "<f8", (None, values.shape[1]))[1]
        offset = file.tell()
        for row, numbers in zip(rows, values, strict=True):
            file.seek(offset + 8 * num_columns * row)
            file.write(np.ascontiguousarray(numbers, "<f8").data)
        sync(file)


def read_array(
    path: Path, dtype: str, shape: tuple[int | None, ...], spans: Iterable[tuple[int, int]] | None = None
) -> np.ndarray:
    """Read a `.npy` file, or some of its rows, after checking that it is what was expected. Nothing is executed.

    Args:
        path: The file.
        dtype: The type of numbers that it must hold, such as `"<f8"`.
        shape: Its shape, with None where any length will do.
        spans: Ranges (start, stop) of rows, in the order wanted; all rows where None.

    Raises:
        CorruptExperimentError: If the file is not a plain file, is truncated, or holds something else.
        FileNotFoundError: If there is no such file.
        OSError: If the disk fails.
    """
    try:
        check_plain(path)
        with open(path, "rb") as file:
            actual = _read_header(file, dtype, shape)
            if spans is None:
                return np.fromfile(file, dtype).reshape(actual)
            offset, row_bytes = file.tell(), np.dtype(dtype).itemsize * int(np.prod(actual[1:], dtype=np.int64))
            parts = [np.empty((0, *actual[1:]), dtype)]
            for start, stop in spans:
                if stop > actual[0]:
                    raise ValueError(f"expected at least {stop} rows, not {actual[0]}")
                file.seek(offset + row_bytes * start)
                parts.append(np.fromfile(file, dtype, (stop - start) * actual[1]).reshape(-1, *actual[1:]))
            return np.concatenate(parts)
    except (OSError, CorruptExperimentError):
        raise
    # NumPy parses the header as a Python literal, and on hostile bytes the parser may raise nearly anything.
    except Exception as error:
        raise CorruptExperimentError(f"{path} is not the array it should be: {error}") from error


def check_plain(path: Path) -> None:
    """Refuse links, folders, pipes and devices."""
    # A link may lead outside, and opening a pipe waits forever.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise CorruptExperimentError(f"{path} is not a plain file")


def _write_header(file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _read_header(file: BinaryIO, dtype: str, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("expected version 1.0 of the format")
    actual, fortran_order, actual_dtype = np.lib.format.read_array_header_1_0(file)
    if actual_dtype != np.dtype(dtype) or (fortran_order and len(actual) > 1):
        raise ValueError(f"expected numbers of type {dtype} in C order, not {actual_dtype}")
    if len(actual) != len(shape) or any(want not in (None, have) for want, have in zip(shape, actual, strict=True)):
        raise ValueError(f"expected the shape {shape} (None: any length), not {actual}")
    size = os.fstat(file.fileno()).st_size - file.tell()
    # Python's integers: a hostile shape may be larger than any machine's.
    expected = actual_dtype.itemsize
    for length in actual:
        expected *= length
    if size != expected:
        raise ValueError(f"expected {expected} bytes of numbers, not {size}")
    return actual
