"""Arrays such as the experiments of the figures give, made up around the published means where there are any."""

import numpy as np

from moments_dnns.moments import stored_name
from moments_dnns.plots.figures import FIGURES

LAYERS = (2, 10, 20, 50, 100, 200)
UNITS = (5, 25, 50, 125, 250, 500)


def arrays(type_plot, num_realizations=20, num_computations=None):
    """Return the stored arrays of a figure, pruned, at the depths of the paper."""
    rng = np.random.default_rng(0)
    number = num_computations or (4 if type_plot == "vanilla_histo" else 100)
    depth = np.arange(1, number + 1) * (500 if type_plot == "bn_res" else 200) // number
    measured = UNITS if type_plot == "bn_res" else LAYERS

    def logs(published, spread):
        curve = np.interp(np.log(depth), np.log(measured), np.log(published))
        return curve + spread * rng.normal(size=(num_realizations, number))

    made = MAKERS[type_plot](logs) if type_plot in MAKERS else _unpublished(FIGURES[type_plot].needs, logs)
    return {"depth": depth, **made}


def _unpublished(names, logs):
    fixed = {"depth": {}, "res_depth": {"res_depth": np.array(2)}}
    made = {}
    for name in names:
        stored, curve = stored_name(name), logs([1.1, 1.2, 1.4, 1.6, 1.8, 2.0], 0.1)
        made |= fixed.get(name, {stored: curve if stored.startswith("log_") else np.exp(curve)})
    return made


def _vanilla_histo(logs):
    decay = np.exp(-np.array(LAYERS) / 50)
    return {"nu2_signal_loc3": np.exp(logs(decay, 0.5)), "log_mu2_noise_loc3": logs(decay, 0.4)}


def _vanilla(logs):
    chi = logs([1.373, 2.237, 2.915, 3.946, 4.864, 6.687], 0.1)
    growth = logs([1.131, 1.039, 1.020, 1.006, 1.004, 1.003], 0.004)
    return {
        "log_chi_loc1": chi - growth,
        "log_chi_loc3": chi,
        "reff_signal_loc3": 1 + np.exp(logs([1.945, 1.678, 0.864, 0.246, 0.079, 0.027], 0.2)),
    }


def _bn_ff(logs):
    chi = logs([1.989, 9.053, 55.1, 8053, 1.66e7, 5.84e13], 0.3)
    phi = logs([1.199, 1.196, 1.186, 1.092, 1.028, 1.019], 0.02)
    bn = logs([1.073, 1.004, 1.007, 1.072, 1.130, 1.142], 0.03)
    return {
        "log_chi_loc1": chi - phi - bn,
        "log_chi_loc3": chi - phi,
        "log_chi_loc4": chi,
        "reff_noise_loc4": np.exp(logs([140.5, 312.0, 309.6, 268.4, 224.6, 210.2], 0.1)),
        "reff_signal_loc4": np.exp(logs([5.97, 14.41, 10.47, 2.88, 2.12, 2.04], 0.1)),
        "mu4_signal_loc3": np.exp(logs([3.61, 3.92, 5.24, 40.4, 96.7, 122.6], 0.3)),
        "nu1_abs_signal_loc3": np.exp(logs([0.780, 0.775, 0.760, 0.562, 0.328, 0.262], 0.1)),
    }


def _bn_res(logs):
    before = logs([3.119, 6.762, 9.705, 15.81, 22.95, 33.32], 0.1)
    growth = logs([1.259, 1.210, 1.206, 1.203, 1.202, 1.201], 0.005)
    return {
        "log_chi_loc1": before,
        "log_chi_loc2": before + growth / 20,
        "log_chi_loc4": before + growth,
        "log_chi_loc5": before + 0.01,
        "res_depth": np.array(2),
        "reff_noise_loc3": np.exp(logs([265.3, 337.5, 346.3, 351.4, 352.9, 353.5], 0.02)),
        "reff_signal_loc3": np.exp(logs([7.01, 15.47, 16.69, 16.75, 16.32, 15.65], 0.1)),
        "mu4_signal_loc2": np.exp(logs([3.510, 3.615, 3.659, 3.741, 3.829, 3.946], 0.02)),
        "nu1_abs_signal_loc2": np.exp(logs([0.78] * 6, 0.01)),
    }


MAKERS = {"vanilla_histo": _vanilla_histo, "vanilla": _vanilla, "bn_ff": _bn_ff, "bn_res": _bn_res}


def plain(arrays, name):
    """Return an array by its derived name, from pruned arrays, as plain numbers."""
    return np.exp(arrays[f"log_{name}"]) if f"log_{name}" in arrays else arrays[name]
