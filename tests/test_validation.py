"""Checks of single values: what they accept, what they convert, and what they say of anything else."""

import warnings

import numpy as np
import pytest

from moments_dnns._validation import (
    boolean,
    cause,
    non_negative,
    one_of,
    optional,
    positive,
    refusal,
    text,
    warn,
    whole,
)

# (check, value, what it becomes)
ACCEPTED = [
    (whole(1), 1, 1),
    (whole(0), np.int64(0), 0),
    (whole(1), np.array(3)[()], 3),
    (non_negative, 0, 0.0),
    (non_negative, np.float32(0.5), 0.5),
    (positive, 1e-300, 1e-300),
    (one_of(["a", "b"]), "b", "b"),
    (optional(positive), None, None),
    (optional(positive), 2, 2.0),
    (text, "x", "x"),
    (boolean, np.bool_(True), True),
]
# (check, value, error)
REFUSED = [
    (whole(1), 0, ValueError),
    (whole(1), 10.0, TypeError),
    (whole(0), True, TypeError),
    (whole(0), np.array([3]), TypeError),
    (non_negative, -1e-300, ValueError),
    (non_negative, float("nan"), ValueError),
    (non_negative, 10**400, ValueError),
    (non_negative, "1", TypeError),
    (non_negative, np.bool_(True), TypeError),
    (positive, 0.0, ValueError),
    (one_of(["a", "b"]), "c", ValueError),
    (one_of(["a", "b"]), 3, TypeError),
    (optional(positive), 0, ValueError),
    (text, "", ValueError),
    (text, 3, TypeError),
    (boolean, 1, TypeError),
]


@pytest.mark.parametrize(("check", "value", "expected"), ACCEPTED)
def test_accepted(check, value, expected):
    checked = check("gain", value)
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(("check", "value", "error"), REFUSED)
def test_refused(check, value, error):
    with pytest.raises(error) as refused:
        check("gain", value)
    assert type(refused.value) is error
    expected, _, received = str(refused.value).partition(" Received: ")
    assert expected.startswith("gain must be ")
    assert received == f"gain={value!r}"


def test_a_refusal_names_all_that_was_received():
    assert refusal("expected a < b.", a=2, b="x") == "expected a < b. Received: a=2, b='x'"


def test_a_check_says_what_it_accepts():
    assert one_of(["a", "b"]).choices == ("a", "b")


def test_a_warning_points_outside_of_the_library():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn("something", RuntimeWarning)
    assert [(each.category, each.filename) for each in caught] == [(RuntimeWarning, __file__)]


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("\n one\ntwo"), "ValueError: one"), (KeyError("x"), "KeyError: 'x'"), (OSError(), "OSError:")],
)
def test_an_error_in_one_line(error, line):
    assert cause(error) == line
