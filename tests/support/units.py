"""Architectures that tests run through: all that have a name, and others, each with something of its own."""

from moments_dnns.descriptions.architecture import ARCHITECTURES, Architecture
from moments_dnns.descriptions.steps import Step
from tests.support.cases import make_experiment

BN_CONV = ("batch_norm", "activation", "conv")
# name -> (architecture, what else the experiment has)
UNITS = {
    **{name: (architecture, {}) for name, architecture in ARCHITECTURES.items()},
    "pre-activation": (Architecture(BN_CONV * 2, residual=True), {"res_depth": 1}),
    "post-activation": (Architecture(["conv", "batch_norm"], residual=True, after=["activation"]), {}),
    "scaled": (Architecture(["conv", "activation", "conv"], residual=True, residual_scale=0.3), {"activation": "tanh"}),
    "bottleneck": (
        Architecture(
            [*BN_CONV[:2], Step("dense", width=0.25), *BN_CONV[:2], Step("conv", width=0.25), *BN_CONV[:2], "dense"],
            residual=True,
        ),
        {"res_depth": 2, "statistics": "differentiated"},
    ),
    "wide": (Architecture([Step("conv", kernel_size=1, width=2), "activation", "conv"]), {"activation": "silu"}),
    "layer_norm": (Architecture(["conv", "layer_norm", "activation"]), {"bias_variance": 0.3}),
    "rms_norm": (Architecture(["rms_norm", "conv", "activation"]), {"activation": "softplus"}),
    "group_norm": (Architecture(["conv", Step("group_norm", groups=2), "activation"]), {"epsilon": 0.1}),
    "instance_norm": (Architecture(["conv", "instance_norm", "activation"]), {"kernel_initializer": "he_normal"}),
    "mixer": (
        Architecture(["layer_norm", "token_mixing", "layer_norm", Step("dense", width=2), "activation", "dense"], True),
        {"bias_variance": 0.2, "res_depth": 1},
    ),
    "biased": (Architecture(["conv", "activation"]), {"bias_variance": 0.05, "gain": 1.7, "activation": "tanh"}),
    "softmax": (Architecture(["conv", "activation"]), {"activation": "softmax"}),
}


def make_unit(name, **changes):
    """Return the description of a small experiment on one of the architectures."""
    architecture, settings = UNITS[name]
    return make_experiment(architecture, "periodic", **{"res_depth": 1, **settings, **changes})
