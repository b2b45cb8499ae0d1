"""A characterized model whose sensitivities are known beforehand."""

import numpy as np

from moments_dnns import Moments
from moments_dnns.descriptions.characterization import Characterization

NAMES = ("image", "block1_conv", "block1_relu", "block2_conv", "block2_add", "top/dense")


PARENTS = ((), (0,), (1,), (2,), (2, 3), (4,))


# ln chi behind every layer, before noise of the realizations.
LOG_CHI = np.array([0.0, 0.0, 0.2, 0.3, 0.25, 0.9])


def characterized(realizations=3, names=NAMES, parents=PARENTS, seed=0, **changes):
    """A model whose signal has variance 1 and whose noise has the sensitivities above, apart from a common factor."""
    model = Characterization("net", names, parents, realizations, (8, 4, 4, 1), "array-0123")
    shape = (realizations, len(names))
    offset = np.random.default_rng(seed).normal(size=(realizations, 1))
    arrays = {name: np.ones(shape) for name in model.array_names}
    log_chi = np.resize(LOG_CHI, len(names))
    arrays |= {"mu4_signal": np.full(shape, 3.0), "log_mu2_noise": 2 * (log_chi + offset)}
    return Moments({**arrays, **changes}, model)
