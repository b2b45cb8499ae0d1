"""Arrays of small experiments as they were computed once: `python -m tests.support.known_arrays` writes them anew.

Only a change that is meant to change numbers may do so; the changelog says why.
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("known")
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
# What is kept of each experiment: the last place feels every step, the first measured rank the eigenvalues.
MOMENTS = ("nu1_abs_signal", "mu4_signal", "log_mu2_noise", "reff_signal", "reff_noise")
SETTINGS = {
    **{
        f"{architecture}-{boundary}": {"architecture": architecture, "boundary": boundary, "kernel_size": 3}
        for architecture in ("vanilla", "bn_ff", "bn_res")
        for boundary in ("periodic", "symmetric", "zero_padding")
    },
    **{
        f"{architecture}-fully_connected": {"architecture": architecture, "kernel_size": 1}
        for architecture in ("vanilla", "bn_ff", "bn_res")
    },
    # Wide enough that outputs are drawn instead of weights.
    "bn_ff-wide": {"architecture": "bn_ff", "kernel_size": 1, "num_channels": 64},
}
SHARED = {"total_depth": 6, "num_channels": 16, "batch_size": 8, "num_realizations": 2, "num_computations": 3}


def compute(setting):
    """Return the arrays that are kept of an experiment, by name."""
    from moments_dnns import run_experiment

    moments = run_experiment(**{**SHARED, **SETTINGS[setting]}, dataset=IMAGES, verbose=False)
    return {name: moments[name] for name in moments if name.rpartition("_")[0] in MOMENTS}


def path(backend):
    """Return the file of a backend, as each draws its own random numbers."""
    return FOLDER / f"{backend}.npz"


if __name__ == "__main__":
    import keras

    FOLDER.mkdir(exist_ok=True)
    arrays = {f"{setting}-{name}": array for setting in SETTINGS for name, array in compute(setting).items()}
    np.savez_compressed(path(keras.backend.backend()), **arrays)
    print(len(arrays))
