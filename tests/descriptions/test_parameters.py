"""What parameters mean stands in their fields, and everywhere else comes from there."""

import inspect
import re

import pytest

from moments_dnns import Experiment, run_experiment
from moments_dnns.descriptions.parameters import documented, first_sentence, parameters_of
from moments_dnns.execution.options import RunOptions

PARAMETERS = parameters_of(Experiment, RunOptions)


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_has_a_meaning_and_a_group(name):
    meaning = PARAMETERS[name].metadata["meaning"]
    assert re.fullmatch(r"[A-Z`].+\.", meaning)
    assert PARAMETERS[name].metadata["group"] in ("network", "data", "numbers", "run")
    for choice in PARAMETERS[name].metadata["choices"] or ():
        assert f'"{choice}"' in first_sentence(meaning)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (run_experiment, [*inspect.signature(run_experiment).parameters]),
        (Experiment, [*parameters_of(Experiment)]),
        (RunOptions, [*parameters_of(RunOptions)]),
    ],
)
def test_docstrings_tell_all_of_it_in_the_order_of_the_signature(target, names):
    section = re.search(r"^Args:\n(.*?)\n\n", inspect.getdoc(target), re.DOTALL | re.MULTILINE)[1]
    entries = [" ".join(entry.split()) for entry in re.split(r"\n(?=    \w)", section)]
    assert entries == [f"{name}: {PARAMETERS[name].metadata['meaning']}" for name in names]
    assert max(map(len, inspect.getdoc(target).splitlines())) <= 120


def test_a_docstring_that_is_not_there_stays_so():
    def bare(gain):
        pass

    assert documented(Experiment)(bare).__doc__ is None
