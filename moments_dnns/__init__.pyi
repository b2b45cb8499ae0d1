from .architectures import ARCHITECTURES, Architecture
from .experiment import Experiment
from .figures import FIGURES
from .layers import Add, BatchNormalization, Convolution, InitialState, ReLU, Rescaling
from .measurement import LogMoments, effective_rank
from .moments import MOMENTS
from .network import build_network
from .plotting import plot_bn_ff, plot_bn_res, plot_summary, plot_vanilla, plot_vanilla_histo
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
    "build_network",
    "delete_experiment",
    "effective_rank",
    "infinite_width",
    "list_experiments",
    "load_experiment",
    "merge_experiments",
    "plot_bn_ff",
    "plot_bn_res",
    "plot_summary",
    "plot_vanilla",
    "plot_vanilla_histo",
    "prune_experiment",
    "run_experiment",
    "save_experiment",
]
