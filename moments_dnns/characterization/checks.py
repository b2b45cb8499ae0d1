"""`assert_well_behaved`: a check for tests of one's own models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from moments_dnns._validation import one_of, refusal
from moments_dnns.analysis.diagnosis import Diagnosis, diagnose
from moments_dnns.analysis.verdicts import PATHOLOGIES, UNDECIDED, WELL_BEHAVED

from .run import characterize


class PathologyError(AssertionError):
    """A network is not well-behaved.

    Args:
        message: The verdicts, the numbers behind them and the causes.
        diagnosis: The same, as `diagnose` returns it.
    """

    def __init__(self, message: str, diagnosis: Diagnosis) -> None:
        super().__init__(message)
        self.diagnosis = diagnosis


def assert_well_behaved(
    model_or_moments: keras.Model | Mapping[str, Any],
    inputs: Any = None,
    *,
    allow: str | Sequence[str] = (),
    num_realizations: int = 8,
    **options: Any,
) -> Diagnosis:
    """Raise an error with the causes if a model, or what was measured of a network, is not well-behaved.

    Args:
        model_or_moments: A built Keras model, or moments as `diagnose` takes them.
        inputs: What goes into a model, as for `characterize`.
        allow: Verdicts that are no error, such as `"one-dimensional signal"`.
        num_realizations: How often weights and noise of a model are drawn, at least 4.
        **options: Other arguments of `characterize`.

    Returns:
        The diagnosis, which has no other verdicts than those that are allowed.

    Raises:
        PathologyError: If there is another verdict, or too little was measured to say whether it can be trained; an
            `AssertionError` whose message is the diagnosis.
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> depth = np.arange(1, 101)
    >>> assert_well_behaved({"log_chi_loc4": 0.2 * depth + np.zeros((4, 1)), "depth": depth})
    Traceback (most recent call last):
    moments_dnns.characterization.checks.PathologyError: exploding sensitivity
    ...
    """
    allowed = {one_of(PATHOLOGIES)("allow", each) for each in ([allow] if isinstance(allow, str) else allow)}
    if isinstance(model_or_moments, keras.Model):
        if inputs is None:
            raise TypeError(refusal("expected inputs for the model.", inputs=inputs))
        measured = characterize(model_or_moments, inputs, num_realizations=num_realizations, **options)
        diagnosis = diagnose(measured)
    else:
        if inputs is not None or options:
            raise TypeError(refusal("inputs and options belong to a model.", options=list(options)))
        diagnosis = diagnose(model_or_moments)
    undecided = diagnosis.trainable is None
    if undecided or not set(diagnosis.verdicts) <= {*allowed, WELL_BEHAVED, UNDECIDED}:
        raise PathologyError(str(diagnosis), diagnosis)
    return diagnosis
