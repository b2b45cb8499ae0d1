"""The page on theory: the functions that it names are there, all that is public is named, and its example runs."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from moments_dnns import theory

PAGE = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:theory|analysis)\.[a-z_.0-9]+)`", PAGE.partition("```")[0])))


@pytest.mark.parametrize("name", NAMED)
def test_functions_that_the_page_names_are_there(name):
    module, _, function = name.rpartition(".")
    assert callable(getattr(importlib.import_module(f"moments_dnns.{module}"), function))


def test_the_page_names_every_function_of_the_theory():
    functions = {name for name in theory.__all__ if not isinstance(getattr(theory, name), type)}
    assert functions == {name.rpartition(".")[2] for name in NAMED} & set(theory.__all__)
    # So does the docstring of the room.
    assert functions == set(re.findall(r"`([a-z_0-9]+)`", theory.__doc__))


def test_the_example_of_the_page_runs():
    (example,) = re.findall("```python\n(.*?)```", PAGE, re.DOTALL)
    scope = {}
    exec(compile(example, "theory.md", "exec"), scope)
    assert scope["theory"]["chi_loc4"].shape == (4, 10)
    assert np.isfinite(scope["theory"]["chi_loc4"]).all()
