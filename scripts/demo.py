"""The demo: three architectures on embedded images, their figures and what these show, in a few minutes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from moments_dnns import Moments, _cli, plot_bn_ff, plot_bn_res, plot_vanilla, plot_vanilla_histo, run_experiment
from moments_dnns.moments import DECIBELS


class Demo(NamedTuple):
    """An experiment of the demo.

    Args:
        settings: The arguments of `run_experiment`.
        plot: The function that draws it.
        text: What the figure shows, with a place `{}` for each number.
        numbers: Function of the result that returns these numbers.
    """

    settings: dict[str, Any]
    plot: Callable[..., Any]
    text: str
    numbers: Callable[[Moments], Sequence[float]]


FULLY_CONNECTED = {"total_depth": 100, "kernel_size": 1, "num_channels": 512, "batch_size": 64, "num_computations": 50}


def last_mean(moments: Moments, name: str) -> float:
    """Return the mean of an array over realizations at the last depth."""
    return float(moments[name][:, -1].mean())


DEMOS = {
    "demo_vanilla_histo": Demo(
        {
            "architecture": "vanilla",
            "total_depth": 100,
            "kernel_size": 1,
            "num_channels": 128,
            "batch_size": 64,
            "num_computations": 4,
            "num_realizations": 500,
            "compute_reff_signal": False,
            "compute_reff_noise": False,
        },
        plot_vanilla_histo,
        "A narrow vanilla network: signal and noise diffuse from one random network to the next.\n"
        "ln nu2 of the signal has spread to a standard deviation of {:.2f} at the last layer.",
        lambda moments: [float(np.log(moments["nu2_signal_loc3"][:, -1]).std())],
    ),
    "demo_vanilla": Demo(
        {"architecture": "vanilla", **FULLY_CONNECTED, "num_realizations": 60, "compute_reff_noise": False},
        plot_vanilla,
        "Without normalization the sensitivity chi hardly grows any more, for a poor reason: the signal collapses\n"
        "onto one direction, with an effective rank of {:.2f} at the last layer. The network is pathological.",
        lambda moments: [last_mean(moments, "reff_signal_loc3")],
    ),
    "demo_bn_ff": Demo(
        {"architecture": "bn_ff", **FULLY_CONNECTED, "num_realizations": 60},
        plot_bn_ff,
        "With batch normalization but no skip connections chi explodes: the noise gains {:.2f} dB per layer, and\n"
        "chi is e^{:.1f} at the last one. The network is pathological, in another way.",
        lambda moments: [
            DECIBELS * last_mean(moments, "log_chi_loc4") / moments.experiment.total_depth,
            last_mean(moments, "log_chi_loc4"),
        ],
    ),
    "demo_bn_res": Demo(
        {"architecture": "bn_res", **FULLY_CONNECTED, "num_realizations": 60},
        plot_bn_res,
        "With batch normalization and skip connections chi grows as a power of depth only, up to {:.1f}, and the\n"
        "signal keeps an effective rank of {:.1f}. The network is well-behaved.",
        lambda moments: [last_mean(moments, "chi_loc5"), last_mean(moments, "reff_signal_loc3")],
    ),
    "demo_bn_ff_conv": Demo(
        {
            "architecture": "bn_ff",
            "total_depth": 40,
            "kernel_size": 3,
            "num_channels": 32,
            "batch_size": 16,
            "num_computations": 20,
            "num_realizations": 40,
        },
        plot_bn_ff,
        "The same with 3 x 3 convolutions: chi is e^{:.1f} at the last layer, mu4 of the normalized signal has grown\n"
        "to {:.1f} (3 for a Gaussian).",
        lambda moments: [last_mean(moments, "log_chi_loc4"), last_mean(moments, "mu4_signal_loc3")],
    ),
}


def demo(*, folder: Path = Path("figures"), verbose: bool = True) -> None:
    """Run every experiment, draw it and print what it shows; finished experiments are loaded from npy/.

    Args:
        folder: The folder of the figures.
        verbose: Whether to show progress bars.
    """
    for name, (settings, plot, text, numbers) in DEMOS.items():
        print(f"\n{name}: {settings}")
        moments = run_experiment(**settings, dataset="photo", name_experiment=name, verbose=verbose)
        path = folder / f"{name}.png"
        plot(moments, path=path)
        print(text.format(*numbers(moments)))
        print(f"Figure: {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    interrupted = "interrupted: what was finished is saved, and the same command goes on from there"
    return _cli.call(_cli.application("demo.py", demo), argv, interrupted)


if __name__ == "__main__":
    sys.exit(main())
