"""Exact theory: networks of infinite width layer by layer, closed forms, the law of narrow networks.

| function | returns | exact for |
|---|---|---|
| `infinite_width`, `predict`, `predict_experiment` | all moments, layer by layer | infinite width; any batch (below) |
| `first_features` | signal and noise after the first convolution, by its weights | any width |
| `first_grams` | Gram matrices (NNGP kernels) after the first convolution | any width, as means over the weights |
| `batch_norm_growth`, `batch_norm_mu4`, `batch_norm_nu1` | batch normalization | infinite width, exchangeable batch |
| `feedforward_growth` | growth of chi in a layer of bn_ff | infinite width, exchangeable batch: asymptotic in depth |
| `vanilla_slope` | chi / l of vanilla | infinite width, equal norms: asymptotic in depth |
| `activation_growth` | growth of chi in a ReLU, from nu1 | nu1 equal in all channels, else a lower bound |
| `residual_sensitivity` | chi of bn_res | a model: branches of one power and one growth |
| `log_norm_cumulants`, `log_norm_density`, `log_norm_cdf` | ln of squared norms | any width; fully connected vanilla |
| `dead_probability` | how often no channel survives the ReLUs | any width; fully connected vanilla |

A batch is exchangeable if all norms and all correlations of its images are equal; with depth, every batch of bn_ff
becomes exchangeable. Where a batch has more than 4096 points and the boundary is periodic, infinitely wide networks are
averaged over translations of the images from the first ReLU on: an approximation, with a warning. The derivations are
in docs/theory.md.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
