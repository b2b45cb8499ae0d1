from .architectures import ARCHITECTURES, Architecture
from .closed_forms import (
    activation_growth,
    batch_norm_growth,
    batch_norm_mu4,
    batch_norm_nu1,
    feedforward_growth,
    vanilla_slope,
)
from .experiment import Experiment
from .exponents import bootstrap_power_law, residual_sensitivity
from .figures import FIGURES
from .layers import Add, BatchNormalization, Convolution, InitialState, ReLU, Rescaling
from .measurement import LogMoments, effective_rank
from .moments import MOMENTS
from .narrow import log_norm_cdf, log_norm_cumulants, log_norm_density
from .network import build_network
from .plotting import plot_bn_ff, plot_bn_res, plot_summary, plot_vanilla, plot_vanilla_histo
from .predictions import predict, predict_experiment
from .results import (
    Moments,
    delete_experiment,
    list_experiments,
    load_experiment,
    merge_experiments,
    prune_experiment,
    save_experiment,
)
from .simulation import run_experiment
from .state import State
from .theory import infinite_width

__all__ = [
    "ARCHITECTURES",
    "FIGURES",
    "MOMENTS",
    "Add",
    "Architecture",
    "BatchNormalization",
    "Convolution",
    "Experiment",
    "InitialState",
    "LogMoments",
    "Moments",
    "ReLU",
    "Rescaling",
    "State",
    "activation_growth",
    "batch_norm_growth",
    "batch_norm_mu4",
    "batch_norm_nu1",
    "bootstrap_power_law",
    "build_network",
    "delete_experiment",
    "effective_rank",
    "feedforward_growth",
    "infinite_width",
    "list_experiments",
    "load_experiment",
    "log_norm_cdf",
    "log_norm_cumulants",
    "log_norm_density",
    "merge_experiments",
    "plot_bn_ff",
    "plot_bn_res",
    "plot_summary",
    "plot_vanilla",
    "plot_vanilla_histo",
    "predict",
    "predict_experiment",
    "prune_experiment",
    "residual_sensitivity",
    "run_experiment",
    "save_experiment",
    "vanilla_slope",
]
