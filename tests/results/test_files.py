"""Arrays on the disk that are damaged, foreign, or mean harm."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns.results.experiments import load_experiment, save_experiment
from moments_dnns.results.files import CorruptExperimentError
from tests.support.harm import READING, fuzz, link_outside, load_with, make_folder, make_pipe
from tests.support.synthetic import complete, describe


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0" * 16)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def save_pickle(path):
    np.save(path, np.array([[Evil()] * 2] * 6), allow_pickle=True)


def save_zip(path):
    np.savez(path.with_suffix(".npz"), np.load(path))
    path.with_suffix(".npz").rename(path)


ARRAY_DAMAGES = {
    "truncated": truncate,
    "too long": lengthen,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not an array"),
    "missing": Path.unlink,
    "a link": link_outside,
    "a pipe": make_pipe,
    "a folder": make_folder,
    "a pickle": save_pickle,
    "wrong shape": lambda path: np.save(path, np.load(path)[..., None]),
    "wrong type": lambda path: np.save(path, np.load(path).astype("f4")),
    "wrong byte order": lambda path: np.save(path, np.load(path).astype(">f8")),
    "complex": lambda path: np.save(path, np.load(path) * 1j),
    "too few rows": lambda path: np.save(path, np.load(path)[:1]),
    "a zip": save_zip,
}


@pytest.mark.parametrize("damage", ARRAY_DAMAGES.values(), ids=ARRAY_DAMAGES)
@pytest.mark.parametrize("array", ["nu2_signal_loc3", "depth"])
def test_a_damaged_array_is_named(damage, array, npy_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_experiment(complete(describe()), "demo")
    damage(npy_folder / "demo" / f"{array}.npy")
    for act in READING.values():
        with pytest.raises(CorruptExperimentError, match=f"{array}.npy"):
            act("demo")
    assert not (tmp_path / "executed").exists()


def test_a_depth_that_contradicts_the_description_is_refused(npy_folder):
    save_experiment(complete(describe()), "demo")
    np.save(npy_folder / "demo" / "depth.npy", np.array([1, 2]))
    with pytest.raises(CorruptExperimentError, match=r"depth\.npy does not agree"):
        load_experiment("demo")


@fuzz
@given(
    file=st.sampled_from(["experiment.json", "nu2_signal_loc1.npy", "depth.npy", "res_depth.npy"]),
    start=st.integers(0, 300),
    length=st.integers(0, 80),
    patch=st.binary(max_size=80),
)
def test_any_bytes_may_be_anywhere(npy_folder, file, start, length, patch):
    load_with(npy_folder, file, lambda content: content[:start] + patch + content[start + length :])


@fuzz
@given(
    st.sampled_from(["'descr'", "'fortran_order'", "'shape'", "'<f8'", "False", "(6, 2)", "6", "2", "{", "}", ","]),
    st.sampled_from(
        [
            "",
            "0",
            "-6",
            "10**9",
            "9" * 4400,
            "True",
            "(",
            ")",
            "()",
            "(2, 6)",
            "'|O'",
            "'<U9'",
            "[" * 99,
            "\\",
            "'",
            "\n",
            "\0",
            "None",
            "__import__('os').mkdir('executed')",
            "12",
            "6L",
            "1e400",
        ]
    ),
)
def test_any_header_may_be_there(npy_folder, old, new):
    def change(content):
        header = content[10:128].decode().strip().replace(old, new, 1)
        length = -(-(len(header) + 11) // 64) * 64 - 10
        return content[:8] + length.to_bytes(2, "little") + header.ljust(length - 1).encode() + b"\n" + content[128:]

    load_with(npy_folder, "nu2_signal_loc1.npy", change)
    assert not Path("executed").exists()
