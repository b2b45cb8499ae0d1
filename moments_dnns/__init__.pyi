from .activation import Activation
from .architectures import ARCHITECTURES, Architecture, Step
from .characterization import Characterization
from .closed_forms import (
    activation_growth,
    batch_norm_growth,
    batch_norm_mu4,
    batch_norm_nu1,
    feedforward_growth,
    vanilla_slope,
)
from .diagnosis import Diagnosis, diagnose
from .experiment import Experiment
from .exponents import bootstrap_power_law, residual_sensitivity
from .figures import FIGURES
from .initializers import DeltaOrthogonal
from .layer_plots import plot_layers
from .layers import Add, Convolution, InitialState, Rescaling
from .lifting import Propagate
from .measurement import LogMoments, effective_rank
from .models import characterize
from .moments import MOMENTS
from .narrow import log_norm_cdf, log_norm_cumulants, log_norm_density
from .network import build_network
from .normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
)
from .plotting import plot_architecture, plot_bn_ff, plot_bn_res, plot_summary, plot_vanilla, plot_vanilla_histo
from .predictions import predict, predict_experiment
from .profiles import layer_summary
from .resizing import AveragePooling, MaxPooling, TokenMixing
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
    "Activation",
    "Add",
    "Architecture",
    "AveragePooling",
    "BatchNormalization",
    "Characterization",
    "Convolution",
    "DeltaOrthogonal",
    "Diagnosis",
    "Experiment",
    "GroupNormalization",
    "InitialState",
    "InstanceNormalization",
    "LayerNormalization",
    "LogMoments",
    "MaxPooling",
    "Moments",
    "Propagate",
    "RMSNormalization",
    "Rescaling",
    "State",
    "Step",
    "TokenMixing",
    "activation_growth",
    "batch_norm_growth",
    "batch_norm_mu4",
    "batch_norm_nu1",
    "bootstrap_power_law",
    "build_network",
    "characterize",
    "delete_experiment",
    "diagnose",
    "effective_rank",
    "feedforward_growth",
    "infinite_width",
    "layer_summary",
    "list_experiments",
    "load_experiment",
    "log_norm_cdf",
    "log_norm_cumulants",
    "log_norm_density",
    "merge_experiments",
    "plot_architecture",
    "plot_bn_ff",
    "plot_bn_res",
    "plot_layers",
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
